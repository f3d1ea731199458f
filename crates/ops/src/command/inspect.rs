//! `cargo ops inspect`: what the ledger knows of an event, and what its sender said.

use std::fs::File;
use std::io::{IsTerminal, Write, stdout};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::Serialize;
use wharf_ops::contents::{Body, Contents, NotShown, contents};
use wharf_ops::deployment::Deployment;
use wharf_ops::history::history;
use wharf_ops::project::Project;
use wharf_ops::records::{self, RecordView};
use wharf_ops::terminal::{self, one_line};
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

The values of headers that may be secret are hidden. What a terminal would act on, or not show, is written as \\u{…}; \
what --body writes is the very body, and a terminal is given only what it shows as it is.")]
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
    file: &Path,
) -> Result<()> {
    let [(_, record)] = found else {
        let keys: Vec<_> = found.iter().map(|(key, _)| one_line(&key.idempotency_key())).collect();
        bail!("{} events came under this id. Choose one:\n{}", keys.len(), keys.join("\n"));
    };
    let contents = contents(deployment, record, endpoint).await?.context("there is no body to write")?;
    if file.as_os_str() == "-" {
        if stdout().is_terminal() {
            require_safe(&contents.body)?;
        }
        return stdout().write_all(&contents.body.0).context("cannot write to the standard output");
    }
    let cannot = || format!("cannot write {}", file.display());
    let mut opened = File::create(file).with_context(cannot)?;
    if opened.is_terminal() {
        require_safe(&contents.body)?;
    }
    opened.write_all(&contents.body.0).with_context(cannot)
}

/// Fails if a terminal does not show a body as it is.
fn require_safe(body: &Body) -> Result<()> {
    if !body.text().is_some_and(terminal::is_safe) {
        bail!(
            "the body is not written to a terminal, which would act on some of its bytes, or not show them: write it to a \
             file, or into a pipe; without --body it is shown with these written out"
        );
    }
    Ok(())
}

fn print(view: &RecordView, record: &Record, contents: Result<Contents, NotShown>) {
    for (name, value) in view.lines() {
        println!("{name:<14} {}", one_line(&value));
    }
    println!("\nhistory");
    for happening in history(record) {
        let at = happening.at.map_or_else(|| "-".to_owned(), |at| at.to_string());
        println!("  {at:<20}  {}", one_line(&happening.what));
    }
    match contents {
        Ok(contents) => print_contents(&contents),
        Err(why) => println!("\nheaders and body are not shown: {}", one_line(&why.to_string())),
    }
}

fn print_contents(contents: &Contents) {
    let query = contents.query.as_ref().map(|query| format!(" ?{query}")).unwrap_or_default();
    println!("\n{}", one_line(&format!("{}{query}", contents.method)));
    println!("headers");
    for (name, value) in &contents.headers {
        println!("  {}: {}", one_line(name), one_line(value));
    }
    if contents.headers.is_empty() {
        println!("  (none was kept)");
    }
    let bytes = contents.body.0.len();
    let content_type = one_line(contents.content_type.as_deref().unwrap_or("no content type"));
    match shown(&contents.body) {
        Shown::Text(text) => println!("\nbody: {bytes} bytes, {content_type}\n{text}"),
        Shown::Escaped(text) => {
            println!(
                "\nbody: {bytes} bytes, {content_type}; what a terminal acts on or does not show, as \\u{{…}}\n{text}"
            )
        }
        Shown::Base64(text) => println!("\nbody: {bytes} bytes, {content_type}, in base64\n{text}"),
    }
    if bytes > SHOWN_BYTES_MAX {
        println!("… the first {SHOWN_BYTES_MAX} bytes; --body FILE writes them all");
    }
}

/// What is shown of a body.
#[derive(Debug, PartialEq, Eq)]
enum Shown {
    Text(String),
    /// Text, with some of its characters written out.
    Escaped(String),
    Base64(String),
}

/// Its beginning: as it is, if it is text that a terminal shows as it is.
fn shown(body: &Body) -> Shown {
    let beginning = |text: &'_ str| text.get(..text.floor_char_boundary(SHOWN_BYTES_MAX)).unwrap_or(text).to_owned();
    match body.text().map(beginning) {
        Some(text) if terminal::is_safe(&text) => Shown::Text(text),
        Some(text) => Shown::Escaped(terminal::lines(&text)),
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
    fn what_is_no_text_is_shown_in_base64() {
        assert_eq!(shown(&Body(b"\xff{}".to_vec())), Shown::Base64("/3t9".into()));
    }

    #[test]
    fn what_moves_a_terminals_cursor_turns_its_text_around_or_is_not_seen_is_written_out() {
        let escaped = |text: &str| shown(&Body(text.as_bytes().to_vec()));
        assert_eq!(escaped("\u{1b}[2J"), Shown::Escaped(r"\u{1b}[2J".into()));
        assert_eq!(
            escaped("{\n\"a\": \"\u{202e}\u{200b}\"}"),
            Shown::Escaped("{\n\"a\": \"\\u{202e}\\u{200b}\"}".into())
        );
        assert_eq!(escaped("failed\rlanded"), Shown::Escaped(r"failed\u{d}landed".into()));
    }

    #[test]
    fn a_terminal_is_given_no_body_that_it_would_act_on() {
        let cases: [(&[u8], bool); 4] =
            [(b"{\"a\": \"\xc3\xa9\"}\r\n", true), (b"\x1b[2J", false), (b"\xe2\x80\xae", false), (b"\xff", false)];
        for (body, is_safe) in cases {
            assert_eq!(require_safe(&Body(body.to_vec())).is_ok(), is_safe, "{body:?}");
        }
    }
}
