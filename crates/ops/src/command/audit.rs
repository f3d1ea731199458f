//! `cargo ops audit`: holds the crates to `deny.toml`.

use anyhow::Result;
use clap::Args;
use wharf_ops::project::Project;
use wharf_ops::supply_chain::{self, Rules};

use crate::progress;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cargo ops audit                      licences, sources, versions
  cargo ops audit --advisories         known weaknesses too; the RustSec database is fetched from its repository

It exits with an error if a crate is not what deny.toml lets in.")]
pub struct Arguments {
    /// Judges known weaknesses too, by the RustSec database
    #[arg(long)]
    advisories: bool,
}

pub fn run(project: &Project, arguments: &Arguments) -> Result<()> {
    supply_chain::audit(project, Rules::Crates, &progress)?;
    if arguments.advisories {
        supply_chain::audit(project, Rules::Advisories, &progress)?;
    }
    Ok(())
}
