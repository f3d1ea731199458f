//! `cargo ops check`: judges `endpoints.toml`.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::Serialize;
use wharf_ops::catalogue;
use wharf_ops::project::Project;
use wharf_webhook::endpoints::{Endpoint, Endpoints, Problem};

use crate::print_json;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cargo ops check                      the project's endpoints.toml
  cargo ops check staging.toml         another one

It exits with an error if the file cannot be used; what it says beside that is for you to weigh.")]
pub struct Arguments {
    /// The file; without it the project's endpoints.toml
    file: Option<PathBuf>,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

/// The judgement, as JSON.
#[derive(Serialize)]
struct Checked {
    /// What is wrong: the file cannot be used unless this is empty.
    problems: Vec<ProblemView>,
    endpoints: Vec<EndpointView>,
}

#[derive(Serialize)]
struct ProblemView {
    line: usize,
    text: String,
}

#[derive(Serialize)]
struct EndpointView {
    endpoint: String,
    provider: &'static str,
    /// Empty if the provider has one only.
    scheme: &'static str,
    signature: String,
    /// What is for its owner to weigh.
    cautions: Vec<String>,
}

pub fn run(project: &Project, arguments: &Arguments) -> Result<()> {
    let path = arguments.file.clone().unwrap_or_else(|| project.path("endpoints.toml"));
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let endpoints = match Endpoints::parse(&text) {
        Ok(endpoints) => endpoints,
        Err(problems) => {
            if arguments.json {
                let view = |problem: &Problem| ProblemView { line: problem.line, text: problem.text.clone() };
                print_json(&Checked { problems: problems.0.iter().map(view).collect(), endpoints: vec![] })?;
            } else {
                println!("{problems}");
            }
            bail!("{} cannot be used: {} to mend", path.display(), problems.0.len());
        }
    };
    if arguments.json {
        let view = |endpoint: &Endpoint| EndpointView {
            endpoint: endpoint.name.clone(),
            provider: endpoint.terms.provider.name,
            scheme: endpoint.terms.scheme.name,
            signature: catalogue::algorithm(&endpoint.terms.scheme),
            cautions: catalogue::cautions(endpoint),
        };
        return print_json(&Checked { problems: vec![], endpoints: endpoints.iter().map(view).collect() });
    }
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
