//! `cargo ops dev`: all of Wharf on this machine.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use std::{fs, io};

use anyhow::{Context, Result, bail};
use clap::Args;
use http::HeaderMap;
use tokio::signal::unix::{SignalKind, signal};
use wharf_ops::cargo_lambda;
use wharf_ops::embedded_metrics;
use wharf_ops::emulator::Port;
use wharf_ops::log_tail::{Function, Line, LogTail, TimeOfDay};
use wharf_ops::package::{self, FUNCTIONS};
use wharf_ops::private_file;
use wharf_ops::project::Project;
use wharf_ops::python;
use wharf_ops::records;
use wharf_ops::samples::Sample;
use wharf_ops::stack::{EndpointFacts, Facts, Options, Stack};
use wharf_ops::terminal::one_line;
use wharf_webhook::clock::UnixMillis;
use wharf_webhook::endpoints::{Endpoint, Endpoints};

use crate::send::posted_to;
use crate::{name_and_value, now, progress};

/// How long the one event of `--once` may take.
const ONCE_TIMEOUT: Duration = Duration::from_secs(60);
/// How often the logs are asked for new lines.
const TAIL_INTERVAL: Duration = Duration::from_millis(200);

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cargo ops dev                                  stays up until Ctrl-C
  cargo ops dev --once                           sends one signed event, shows its way, and ends
  cargo ops dev --zips --once                    the same with the zips that cargo-lambda made
  cargo ops dev --secrets secrets.txt            with secrets that you have given to senders, or that they show you

The file has a line for each endpoint that is not to be given a generated one, as in github=my-secret.")]
pub struct Arguments {
    /// Sends one signed event from events/, follows it until its record is completed, and stops everything
    #[arg(long)]
    once: bool,
    /// Deploys the zips in target/lambda as `cargo lambda build` made them, instead of building the functions
    #[arg(long)]
    zips: bool,
    /// The port of 127.0.0.1 that everything answers on
    #[arg(long, default_value_t = 4566)]
    port: u16,
    /// Secrets for endpoints, instead of generated ones: a file with ENDPOINT=SECRET on each line; - is the standard input
    #[arg(long, value_name = "FILE")]
    secrets: Option<PathBuf>,
    /// The same for one endpoint, for made-up secrets only: every user of this machine sees them in the list of processes
    #[arg(long, value_name = "ENDPOINT=SECRET", value_parser = name_and_value)]
    secret: Vec<(String, String)>,
}

pub async fn run(project: &Project, arguments: &Arguments) -> Result<()> {
    let started = Instant::now();
    let endpoints = project.endpoints()?;
    let path = project.path("endpoints.toml");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let secrets = given_secrets(arguments)?;
    let port = Port::Fixed(arguments.port);
    // What can be missing on this machine is missed before minutes are spent on building.
    port.require_free()?;
    python::interpreter(project, python::EMULATOR, &progress)?;
    let [receiver, consumer, housekeeper] = if arguments.zips {
        cargo_lambda::require_zips_for_this_machine(project, &text)?;
        FUNCTIONS.map(|function| package::zip_path(project, function))
    } else {
        progress("building the functions");
        project.build_functions()?;
        FUNCTIONS.map(|function| project.debug_binary(function))
    };
    let options = Options { port, endpoints: text, receiver, consumer, housekeeper, secrets };
    let stack = Stack::start(project, &options, &progress).await?;
    println!("  … up after {:.1} s", started.elapsed().as_secs_f32());
    if arguments.once {
        return once(project, &stack, &endpoints).await.with_context(|| {
            format!("the event did not land. The local stack's last words:\n{}", stack.emulator().last_words())
        });
    }
    stay_up(project, &stack, &endpoints).await
}

/// The secrets that are given, by endpoint.
fn given_secrets(arguments: &Arguments) -> Result<BTreeMap<String, String>> {
    let text = match &arguments.secrets {
        None => String::new(),
        Some(path) if path.as_os_str() == "-" => {
            io::read_to_string(io::stdin()).context("cannot read the secrets from standard input")?
        }
        Some(path) => fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?,
    };
    let mut secrets = BTreeMap::new();
    for (name, secret) in secrets_in(&text)?.into_iter().chain(arguments.secret.iter().cloned()) {
        if secrets.insert(name.clone(), secret).is_some() {
            bail!("the endpoint {name:?} is given two secrets: give it one");
        }
    }
    Ok(secrets)
}

/// Endpoint and secret of each line. An error says which line, and nothing of what it holds.
fn secrets_in(text: &str) -> Result<Vec<(String, String)>> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let pair = |(index, line): (usize, &str)| {
        let parts = line.split_once('=').filter(|(name, secret)| !name.trim().is_empty() && !secret.is_empty());
        let (name, secret) =
            parts.with_context(|| format!("line {} of the secrets must be ENDPOINT=SECRET", index + 1))?;
        Ok((name.trim().to_owned(), secret.to_owned()))
    };
    lines.map(pair).collect()
}

/// Shows deliveries until Ctrl-C or SIGTERM.
async fn stay_up(project: &Project, stack: &Stack, endpoints: &Endpoints) -> Result<()> {
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for Ctrl-C")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let mut tail = LogTail::new(&stack.facts().deployment(), now());
    stack.facts().write(project)?;
    write_function_environment(project, stack).await?;
    let _facts_end_with_us = RemoveOnDrop(project, stack.facts());
    introduce(project, stack, endpoints)?;
    loop {
        tokio::select! {
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
            () = tokio::time::sleep(TAIL_INTERVAL) => {}
        }
        let lines = tail.next().await.with_context(|| {
            format!("the local stack has ended. Its last words:\n{}", stack.emulator().last_words())
        })?;
        for text in lines.iter().filter_map(Line::told) {
            println!("{text}");
        }
        if let Err(error) = embedded_metrics::put(&stack.facts().configuration(), &lines).await {
            println!("{}  {}", TimeOfDay(now()), one_line(&format!("{error:#}")));
        }
    }
    println!("\nstopping the local stack");
    Ok(())
}

/// What leads others to this stack must not outlive it.
struct RemoveOnDrop<'a>(&'a Project, &'a Facts);

impl Drop for RemoveOnDrop<'_> {
    fn drop(&mut self) {
        // Another stack, on another port, may have replaced it by its own.
        if Facts::read(self.0).is_ok_and(|facts| facts == *self.1) {
            let _ = fs::remove_file(Facts::path(self.0));
            let _ = fs::remove_file(function_environment(self.0));
        }
    }
}

fn function_environment(project: &Project) -> PathBuf {
    project.made("functions.env")
}

/// `target/ops/functions.env`: what `cargo lambda watch` needs to run the functions against this stack.
async fn write_function_environment(project: &Project, stack: &Stack) -> Result<()> {
    let variables = stack.function_environment().await?;
    let text: String = variables.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
    let path = function_environment(project);
    private_file::write(&path, &text)
}

/// Says what is up, and what to try.
fn introduce(project: &Project, stack: &Stack, endpoints: &Endpoints) -> Result<()> {
    println!("\nSenders post to");
    for facts in &stack.facts().endpoints {
        println!("  {}", facts.url);
        match (&facts.secret, endpoints.get(&facts.name).map(|endpoint| endpoint.terms.scheme.secret.is_kept())) {
            (Some(secret), _) => println!("    provider {}, secret {secret}", facts.provider),
            (None, Some(true)) => println!(
                "    provider {}, no secret yet, so it answers 503: what {} shows you goes to cargo ops secret set {} --stdin \
                 --execute",
                facts.provider, facts.provider, facts.name
            ),
            (None, Some(false) | None) => println!("    provider {}, which needs no secret", facts.provider),
        }
    }
    println!("\nTry, in another terminal");
    if let Some(curl) = curl(project, stack, endpoints)? {
        println!("{curl}\n");
    }
    for endpoint in endpoints.iter().filter(|endpoint| endpoint.terms.scheme.can_sign()) {
        println!("  cargo ops send {}", endpoint.name);
    }
    println!("\nHow to reach it all: {}", project.relative(&Facts::path(project)).display());
    println!("Deliveries, as they arrive and land (Ctrl-C stops everything):");
    Ok(())
}

/// A command that posts a signed sample, to be pasted as it is. `None` if no endpoint has one.
fn curl(project: &Project, stack: &Stack, endpoints: &Endpoints) -> Result<Option<String>> {
    let Some((endpoint, facts, sample)) = first_sample(project, stack, endpoints) else { return Ok(None) };
    let (Some(secret), Some(path)) = (&facts.secret, &sample.path) else { return Ok(None) };
    let outgoing = sample.signed(endpoint, secret, &facts.signed_url, None, now())?;
    if outgoing.body != sample.body {
        return Ok(None);
    }
    let mut command = format!("  curl -i '{}'", posted_to(&facts.url, &outgoing));
    for (name, value) in &outgoing.headers {
        command.push_str(&format!(" \\\n    -H '{name}: {}'", value.to_str().unwrap_or_default()));
    }
    command.push_str(&format!(" \\\n    --data-binary '@{}'", path.display()));
    Ok(Some(command))
}

/// The first endpoint that events/ has a sample for: GitHub's, where there is one.
fn first_sample<'a>(
    project: &Project,
    stack: &'a Stack,
    endpoints: &'a Endpoints,
) -> Option<(&'a Endpoint, &'a EndpointFacts, Sample)> {
    let mut candidates: Vec<&Endpoint> = endpoints.iter().collect();
    candidates.sort_by_key(|endpoint| endpoint.terms.provider.name != "github");
    candidates.into_iter().find_map(|endpoint| {
        let facts = stack.facts().endpoint(&endpoint.name).ok()?;
        facts.secret.as_ref().filter(|_| endpoint.terms.scheme.can_sign())?;
        let sample = Sample::find(project, endpoint.terms.provider.name, None).ok()?;
        endpoint.subscribes_to(&[&sample.event]).then_some(())?;
        Some((endpoint, facts, sample))
    })
}

/// Sends one event, and prints its way.
async fn once(project: &Project, stack: &Stack, endpoints: &Endpoints) -> Result<()> {
    let sample = first_sample(project, stack, endpoints);
    let (endpoint, facts, sample) = sample.context("no endpoint of endpoints.toml has a sample in events/")?;
    let sent_at = now();
    let secret = facts.secret.as_deref().context("the endpoint has no secret")?;
    let outgoing = sample.signed(endpoint, secret, &facts.signed_url, None, sent_at)?;
    let mut tail = LogTail::new(&stack.facts().deployment(), sent_at);
    let mut lines = Vec::new();
    println!("\nOne event on its way, times in UTC");
    step(sent_at, "sent", &format!("{} of {} bytes to {}", sample.event, sample.body.len(), facts.url));
    post(&posted_to(&facts.url, &outgoing), outgoing.headers, outgoing.body).await?;

    // It is the only event there is.
    let accepted = wait_for(&mut tail, &mut lines, Function::Receiver, "accepted").await?;
    let key = accepted.text("delivery.key").context("the receiver logged no delivery.key")?;
    step(
        accepted.at,
        "accepted",
        &format!(
            "arrival {}: signature verified by secret {}, stored as SQS message {}",
            accepted.text("arrival_id").unwrap_or_default(),
            accepted.number("secret_index").unwrap_or_default(),
            accepted.text("message_id").unwrap_or_default()
        ),
    );
    let landed = wait_for(&mut tail, &mut lines, Function::Consumer, "landed").await?;
    step(
        landed.at,
        "landed",
        &format!(
            "handled at attempt {} in {} ms, {} ms after it arrived",
            landed.number("attempt").unwrap_or_default(),
            landed.number("duration_ms").unwrap_or_default(),
            landed.number("age_ms").unwrap_or_default()
        ),
    );
    let records = records::find(&stack.facts().deployment(), &endpoint.name, key).await?;
    let record = records.first().context("the ledger has no record of it")?;
    if record.state != "completed" || record.attempt != 1 {
        bail!("its record is {} at attempt {}, and should be completed at the first", record.state, record.attempt);
    }
    step(now(), "completed", &format!("the ledger's record {}", record.event_key));
    for (name, value) in record.lines() {
        println!("                            {name:<14} {}", one_line(&value));
    }
    println!("\nIt landed, once. `cargo ops dev` stays up for more.");
    Ok(())
}

fn step(at: UnixMillis, what: &str, text: &str) {
    println!("  {}  {what:<10} {}", TimeOfDay(at), one_line(text));
}

/// Posts an event that must be accepted.
async fn post(url: &str, headers: HeaderMap, body: Vec<u8>) -> Result<()> {
    let request = reqwest::Client::new().post(url).headers(headers).body(body);
    let answer = request.send().await.with_context(|| format!("cannot post to {url}"))?;
    let status = answer.status();
    let body = answer.text().await.context("the answer broke off")?;
    if !status.is_success() {
        bail!("it was answered {status} {body}");
    }
    step(now(), "answered", &format!("{status} {body}"));
    Ok(())
}

/// The first line by which a function says what became of an event; it must be `outcome`. `lines` are all that were read.
async fn wait_for(tail: &mut LogTail, lines: &mut Vec<Line>, function: Function, outcome: &str) -> Result<Line> {
    let deadline = Instant::now() + ONCE_TIMEOUT;
    loop {
        lines.extend(tail.next().await?);
        let said = lines.iter().find(|line| line.function == function && line.text("outcome").is_some());
        match said {
            Some(line) if line.text("outcome") == Some(outcome) => return Ok(line.clone()),
            Some(line) => bail!("the {function:?} logged {}", line.fields),
            None if Instant::now() > deadline => {
                bail!("the {function:?} did not log {outcome:?} within {} s", ONCE_TIMEOUT.as_secs())
            }
            None => tokio::time::sleep(Duration::from_millis(25)).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_of_a_file_is_all_that_stands_behind_its_endpoint() {
        let secrets = secrets_in("github=It's a Secret to Everybody\r\n\n partner =c2VzYW1l==\n").unwrap();
        let pair = |name: &str, secret: &str| (name.to_owned(), secret.to_owned());
        assert_eq!(secrets, [pair("github", "It's a Secret to Everybody"), pair("partner", "c2VzYW1l==")]);
    }

    #[test]
    fn a_line_that_is_none_is_named_by_its_number_and_not_shown() {
        for text in ["github=a\nsesame", "github=a\n=sesame", "github=sesame\npartner="] {
            let error = secrets_in(text).unwrap_err().to_string();
            assert_eq!(error, "line 2 of the secrets must be ENDPOINT=SECRET");
        }
    }
}
