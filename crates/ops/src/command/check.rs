//! `cargo ops check`: judges `endpoints.toml`.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use wharf_ops::catalogue;
use wharf_ops::project::Project;
use wharf_webhook::endpoints::Endpoints;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cargo ops check                      the project's endpoints.toml
  cargo ops check staging.toml         another one

It exits with an error if the file cannot be used; what it says beside that is for you to weigh.")]
pub struct Arguments {
    /// The file; without it the project's endpoints.toml
    file: Option<PathBuf>,
}

pub fn run(project: &Project, arguments: &Arguments) -> Result<()> {
    let path = arguments.file.clone().unwrap_or_else(|| project.path("endpoints.toml"));
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let endpoints = match Endpoints::parse(&text) {
        Ok(endpoints) => endpoints,
        Err(problems) => {
            println!("{problems}");
            bail!("{} cannot be used: {} to mend", path.display(), problems.0.len());
        }
    };
    for endpoint in endpoints.iter() {
        let provider = endpoint.terms.provider;
        let scheme = endpoint.terms.scheme;
        let name = if scheme.name.is_empty() { String::new() } else { format!(", scheme {}", scheme.name) };
        println!("/webhooks/{}: {}{name}, {}", endpoint.name, provider.title, catalogue::algorithm(&scheme));
        for caution in catalogue::cautions(endpoint) {
            println!("  - {caution}");
        }
    }
    println!("{} endpoints, and no problem", endpoints.iter().count());
    Ok(())
}
