//! `cargo ops build`: the functions' zips.

use std::fs;

use anyhow::{Context, Result};
use clap::Args;
use wharf_ops::cargo_lambda::{self, Build};
use wharf_ops::package::{self, Architecture};
use wharf_ops::project::Project;

use crate::progress;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cargo ops build                        for Lambda's arm64 processors, as they are deployed
  cargo ops build --architecture x86_64  for its x86-64 ones: a stage with Architecture=x86_64 in infra/samconfig.toml
  cargo ops build --native               for the local stack of this machine: cargo ops dev --zips")]
pub struct Arguments {
    /// The processors that they are for: arm64 or x86_64
    #[arg(long, value_name = "NAME", default_value = "arm64", value_parser = architecture, conflicts_with = "native")]
    architecture: Architecture,
    /// For this machine, by its own compiler and linker
    #[arg(long)]
    native: bool,
}

pub fn run(project: &Project, arguments: &Arguments) -> Result<()> {
    let path = project.path("endpoints.toml");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    project.endpoints()?;
    let (build, architecture) = match arguments.native {
        true => (Build::Native, Architecture::of_this_machine()?),
        false => (Build::Release(arguments.architecture), arguments.architecture),
    };
    let step = cargo_lambda::build(build)?;
    let line = step.line(project);
    println!("$ {line}");
    step.run(project, &progress)?;
    package::require_fit(project, &text, architecture, &line)?;
    for function in package::FUNCTIONS {
        let path = package::zip_path(project, function);
        let size = fs::metadata(&path).with_context(|| format!("cannot read {}", path.display()))?.len();
        println!("{}  {:.1} MB", project.relative(&path).display(), size as f64 / 1e6);
    }
    Ok(())
}

fn architecture(text: &str) -> Result<Architecture, String> {
    Architecture::of_parameter(text).map_err(|_| "it must be arm64 or x86_64".to_owned())
}
