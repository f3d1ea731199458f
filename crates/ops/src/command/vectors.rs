//! `cargo ops vectors`: judges conformance cases.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use wharf_ops::{terminal, vectors};

use crate::print_json;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cargo ops vectors tests/vectors        the project's own cases
  cargo ops vectors ../more-cases        yours; their format is in tests/vectors/README.md")]
pub struct Arguments {
    /// The folder; each of its *.json is a list of cases
    folder: PathBuf,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let report = vectors::judge_folder(&arguments.folder)?;
    if arguments.json {
        print_json(&report)?;
    } else {
        for disagreement in &report.disagreements {
            let line = format!("{}: expected {}, got {}", disagreement.case, disagreement.expected, disagreement.got);
            println!("{}", terminal::one_line(&line));
        }
        let sequences = match report.sequences {
            0 => String::new(),
            count => format!(" and {count} sequences"),
        };
        println!("{} cases{sequences}, {} disagree", report.cases, report.disagreements.len());
    }
    if report.cases + report.sequences == 0 {
        bail!("{} holds no case: its files must be named *.json", arguments.folder.display());
    }
    if !report.disagreements.is_empty() {
        let all = report.cases + report.sequences;
        bail!("{} of {all} cases are judged otherwise than expected", report.disagreements.len());
    }
    Ok(())
}
