//! `cargo ops tail`: deliveries as they arrive, land, are refused and fail.

use std::io::{ErrorKind, Write, stdout};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use wharf_ops::log_tail::{Line, LogTail};
use wharf_ops::project::Project;
use wharf_ops::since::Since;
use wharf_ops::terminal;
use wharf_webhook::clock::UnixMillis;

use crate::{Target, now};

/// How often the logs are asked for new lines: CloudWatch takes a few calls a second, of the whole account.
const INTERVAL: Duration = Duration::from_secs(2);
/// How long one look may take before it is said that lines come late.
const LOOK_LONGEST: Duration = Duration::from_secs(10);

#[derive(Debug, Args)]
#[command(after_help = "\
A line for each request at the door and for each message behind it, and for each warning, until Ctrl-C; the README's \"Logs\" \
lists the outcomes. CloudWatch has lines some seconds late. Times are in UTC.

Examples:
  cargo ops tail                                            of the local stack
  cargo ops tail --stage production --endpoint github       GitHub's only
  cargo ops tail --stage production --since 10m             from ten minutes ago on
  cargo ops tail --stage production --json | jq -c 'select(.outcome == \"refused\")'")]
pub struct Arguments {
    /// Those of an endpoint only
    #[arg(long)]
    endpoint: Option<String>,
    /// From then on: a time ago, as in 30m, 2h or 3d, or an instant, as in 2026-11-22T16:10:32Z; without it from now on
    #[arg(long, value_name = "TIME")]
    since: Option<Since>,
    #[command(flatten)]
    target: Target,
    /// Prints the log's own lines, of JSON
    #[arg(long)]
    json: bool,
}

pub async fn run(project: &Project, arguments: &Arguments) -> Result<()> {
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for Ctrl-C")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let follow = follow(project, arguments);
    tokio::select! {
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
        followed = follow => followed,
    }
}

async fn follow(project: &Project, arguments: &Arguments) -> Result<()> {
    let deployment = match &arguments.endpoint {
        Some(endpoint) => arguments.target.deployment_with(project, endpoint).await?,
        None => arguments.target.deployment(project).await?,
    };
    let started_at = now();
    let since = arguments.since.map(|since| UnixMillis(since.before(started_at.seconds()).0.saturating_mul(1000)));
    let mut tail = LogTail::new(&deployment, since.unwrap_or(started_at));
    let mut is_first = true;
    loop {
        let looked = Instant::now();
        let lines = tail.next().await.with_context(|| deployment.cannot("follow the logs"))?;
        for line in lines.iter().filter(|line| is_wanted(line, arguments.endpoint.as_deref())) {
            let Some(told) = line.told() else { continue };
            let text = if arguments.json { terminal::json(&line.fields.to_string()) } else { told };
            match writeln!(stdout(), "{text}") {
                Ok(()) => {}
                // Whoever reads it has enough.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
                Err(error) => return Err(error).context("cannot write to the standard output"),
            }
        }
        let took = looked.elapsed();
        // The first look may have hours to read.
        if took > LOOK_LONGEST && !is_first {
            eprintln!(
                "more is logged than CloudWatch hands over at once: what you see is up to {} s old, and none is left out",
                took.as_secs()
            );
        }
        is_first = false;
        tokio::time::sleep(INTERVAL.saturating_sub(took)).await;
    }
}

fn is_wanted(line: &Line, endpoint: Option<&str>) -> bool {
    endpoint.is_none_or(|endpoint| line.text("endpoint") == Some(endpoint))
}
