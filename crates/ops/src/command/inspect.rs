//! `cargo ops inspect`: what the ledger knows of an event, and what its sender said.

use std::io::{Write, stdout};
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::Serialize;
use wharf_ops::contents::{Body, Contents, NotShown, contents};
use wharf_ops::deployment::Deployment;
use wharf_ops::history::{history, one_line};
use wharf_ops::project::Project;
use wharf_ops::records::{self, RecordView};
use wharf_webhook::endpoints::Endpoint;
use wharf_webhook::ledger::{Record, RecordKey};

use crate::{Target, print_json};

/// How much of a body is shown, in bytes; `--body` writes all of it.
const SHOWN_BYTES_MAX: usize = 64 * 1024;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cargo ops inspect github 72d3162e-cc78-11e3-81ab-4c9367dc0958     by GitHub's delivery id
  cargo ops inspect github 72d3…:b80208…                            by the delivery.key of the log
  cargo ops inspect partner order-7 --json
  cargo ops inspect partner order-7 --body - | jq .                 its body, byte for byte
  cargo ops inspect partner order-7 --stage production

The values of headers that may be secret are hidden; a body is shown as it came.")]
pub struct Arguments {
    /// An endpoint of endpoints.toml
    endpoint: String,
    /// The sender's id of the event, or the idempotency key that the log shows as delivery.key
    id: String,
    #[command(flatten)]
    target: Target,
    /// Prints JSON
    #[arg(long)]
    json: bool,
    /// Writes the body, byte for byte and nothing else, to this file; - is the standard output
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    body: Option<PathBuf>,
}

/// A record and what it holds, as JSON.
#[derive(Serialize)]
struct Inspected {
    #[serde(flatten)]
    record: RecordView,
    /// What its message brings.
    delivery: Option<Contents>,
    /// Why that is not shown.
    not_shown: Option<String>,
}

pub async fn run(project: &Project, arguments: &Arguments) -> Result<()> {
    // They say in which header a signature is, which is not to be shown.
    let endpoints = project.endpoints()?;
    let endpoint = endpoints.get(&arguments.endpoint);
    let deployment = arguments.target.deployment_with(project, &arguments.endpoint).await?;
    let found = records::whole(&deployment, &arguments.endpoint, &arguments.id).await?;
    if found.is_empty() && arguments.json {
        println!("[]");
    }
    if found.is_empty() {
        bail!(
            "the ledger of {} knows no event {:?} of {}. It begins to when the consumer claims it; what was refused at the \
             door never gets there",
            deployment.name(),
            arguments.id,
            arguments.endpoint
        );
    }
    if let Some(file) = &arguments.body {
        return write_body(&deployment, &found, endpoint, file).await;
    }
    if arguments.json {
        return print_all(&deployment, &found, endpoint).await;
    }
    for (index, (key, record)) in found.iter().enumerate() {
        if index > 0 {
            println!();
        }
        print(&RecordView::new(key, record), record, contents(&deployment, record, endpoint).await?);
    }
    Ok(())
}

async fn print_all(deployment: &Deployment, found: &[(RecordKey, Record)], endpoint: Option<&Endpoint>) -> Result<()> {
    let mut all = Vec::new();
    for (key, record) in found {
        let contents = contents(deployment, record, endpoint).await?;
        let not_shown = contents.as_ref().err().map(NotShown::to_string);
        all.push(Inspected { record: RecordView::new(key, record), delivery: contents.ok(), not_shown });
    }
    print_json(&all)
}

async fn write_body(
    deployment: &Deployment,
    found: &[(RecordKey, Record)],
    endpoint: Option<&Endpoint>,
    file: &PathBuf,
) -> Result<()> {
    let [(_, record)] = found else {
        let keys: Vec<_> = found.iter().map(|(key, _)| key.idempotency_key()).collect();
        bail!("{} events came under this id. Choose one:\n{}", keys.len(), keys.join("\n"));
    };
    let contents = contents(deployment, record, endpoint).await?.context("there is no body to write")?;
    if file.as_os_str() == "-" {
        return stdout().write_all(&contents.body.0).context("cannot write to the standard output");
    }
    std::fs::write(file, &contents.body.0).with_context(|| format!("cannot write {}", file.display()))
}

fn print(view: &RecordView, record: &Record, contents: Result<Contents, NotShown>) {
    for (name, value) in view.lines() {
        println!("{name:<14} {}", one_line(&value));
    }
    println!("\nhistory");
    for happening in history(record) {
        let at = happening.at.map_or_else(|| "-".to_owned(), |at| at.to_string());
        println!("  {at:<20}  {}", happening.what);
    }
    match contents {
        Ok(contents) => print_contents(&contents),
        Err(why) => println!("\nheaders and body are not shown: {why}"),
    }
}

fn print_contents(contents: &Contents) {
    println!("\nheaders");
    for (name, value) in &contents.headers {
        println!("  {name}: {}", one_line(value));
    }
    if contents.headers.is_empty() {
        println!("  (none was kept)");
    }
    let bytes = contents.body.0.len();
    let content_type = contents.content_type.as_deref().unwrap_or("no content type");
    match shown(&contents.body) {
        Shown::Text(text) => println!("\nbody: {bytes} bytes, {}\n{text}", one_line(content_type)),
        Shown::Base64(text) => println!("\nbody: {bytes} bytes, {}, in base64\n{text}", one_line(content_type)),
    }
    if bytes > SHOWN_BYTES_MAX {
        println!("… the first {SHOWN_BYTES_MAX} bytes; --body FILE writes them all");
    }
}

/// What is shown of a body.
#[derive(Debug, PartialEq, Eq)]
enum Shown {
    Text(String),
    Base64(String),
}

/// Its beginning: as it is, if it is text that no terminal acts on.
fn shown(body: &Body) -> Shown {
    let is_harmless = |text: &&str| text.chars().all(|one| !one.is_control() || matches!(one, '\n' | '\r' | '\t'));
    match body.text().filter(is_harmless) {
        Some(text) => Shown::Text(text.get(..text.floor_char_boundary(SHOWN_BYTES_MAX)).unwrap_or(text).to_owned()),
        None => Shown::Base64(Body(body.0.iter().take(SHOWN_BYTES_MAX).copied().collect()).base64()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_shown_as_it_is_up_to_64_kib_and_whole_characters() {
        assert_eq!(shown(&Body(b"{\r\n\t\"a\": 1.0}".to_vec())), Shown::Text("{\r\n\t\"a\": 1.0}".into()));
        let most = "x".repeat(65_536);
        assert_eq!(shown(&Body(most.clone().into_bytes())), Shown::Text(most.clone()));
        assert_eq!(shown(&Body(format!("{most}y").into_bytes())), Shown::Text(most));
        let cut = format!("{}\u{e9}", "x".repeat(65_535));
        assert_eq!(shown(&Body(cut.into_bytes())), Shown::Text("x".repeat(65_535)));
    }

    #[test]
    fn what_is_no_text_or_moves_a_terminals_cursor_is_shown_in_base64() {
        assert_eq!(shown(&Body(b"\xff{}".to_vec())), Shown::Base64("/3t9".into()));
        assert_eq!(shown(&Body(b"\x1b[2J".to_vec())), Shown::Base64("G1sySg==".into()));
    }
}
