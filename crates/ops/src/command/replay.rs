//! `cargo ops replay`: has events processed again.

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use futures_util::future::join_all;
use serde::Serialize;
use wharf_ops::deployment::Deployment;
use wharf_ops::failed::{GivenUp, Selection, list};
use wharf_ops::project::Project;
use wharf_ops::records;
use wharf_ops::replay::{Replayed, next_number, replay};
use wharf_ops::since::Since;
use wharf_ops::terminal::one_line;
use wharf_webhook::clock::UnixSeconds;
use wharf_webhook::ledger::RecordKey;

use super::failed::{LISTED_MAX, lines};
use crate::{Target, nothing_was_changed, now, print_json};

/// How many are asked for at the same time.
const AT_ONCE: usize = 16;
/// How many are shown, of those that would be replayed.
const SHOWN_MAX: usize = 50;

#[derive(Debug, Args)]
#[command(after_help = "\
An event is processed once more for each replay, under a new replay number, however often its message is delivered. \
Failed and parked events can be replayed, and completed ones whose endpoint has `keep_days` in endpoints.toml.

Examples:
  cargo ops replay partner order-7                               shows what it would do
  cargo ops replay partner order-7 --execute                     does it
  cargo ops replay --all-failed --endpoint github --since 2h     all of GitHub's that failed since
  cargo ops replay --all-failed --state parked --stage production")]
pub struct Arguments {
    /// An endpoint of endpoints.toml
    #[arg(required_unless_present = "all_failed", requires = "id", conflicts_with = "all_failed")]
    endpoint: Option<String>,
    /// The sender's id of the event, or the idempotency key that the log shows as delivery.key
    id: Option<String>,
    /// All that `cargo ops failed` lists, instead of one
    #[arg(long)]
    all_failed: bool,
    /// Of these, those of an endpoint only
    #[arg(long = "endpoint", value_name = "ENDPOINT", requires = "all_failed", conflicts_with = "endpoint")]
    of_endpoint: Option<String>,
    /// Of these, those since then only: a time ago, as in 30m, 2h or 3d, or an instant, as in 2026-11-22T16:10:32Z
    #[arg(long, value_name = "TIME", requires = "all_failed", conflicts_with = "endpoint")]
    since: Option<Since>,
    /// Of these, failed or parked ones only
    #[arg(long, requires = "all_failed", conflicts_with = "endpoint")]
    state: Option<Kind>,
    #[command(flatten)]
    target: Target,
    /// Does it, instead of showing what it would do
    #[arg(long)]
    execute: bool,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

/// What a run comes to, as JSON.
#[derive(Serialize)]
struct ReplayedView {
    stage: String,
    execute: bool,
    events: Vec<EventView>,
    /// How many there are beyond what one run takes.
    more: usize,
}

/// An event, and what became of it.
#[derive(Serialize)]
struct EventView {
    endpoint: String,
    id: String,
    event_key: String,
    body_key: String,
    /// `would_be_replayed`, `replayed`, `refused`, `overtaken`, `unknown` (its record is gone), or `not_known` (whether it was
    /// replayed)
    outcome: &'static str,
    /// The number of the replay.
    replay: Option<u32>,
    /// Whether its message is in the queue already; if not, the housekeeper puts it there.
    in_queue: Option<bool>,
    /// Why it was refused, or is not known.
    reason: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    Failed,
    Parked,
}

pub async fn run(project: &Project, arguments: &Arguments) -> Result<()> {
    match (&arguments.endpoint, &arguments.id) {
        (Some(endpoint), Some(id)) => {
            let deployment = arguments.target.deployment_with(project, endpoint).await?;
            if arguments.json {
                return replay_one_in_json(&deployment, endpoint, id, arguments.execute).await;
            }
            replay_one(&deployment, endpoint, id, arguments.execute).await
        }
        (Some(_) | None, Some(_) | None) => {
            let deployment = match &arguments.of_endpoint {
                Some(endpoint) => arguments.target.deployment_with(project, endpoint).await?,
                None => arguments.target.deployment(project).await?,
            };
            replay_all(&deployment, arguments).await
        }
    }
}

async fn replay_one(deployment: &Deployment, endpoint: &str, id: &str, execute: bool) -> Result<()> {
    let now = now().seconds();
    let found = records::whole(deployment, endpoint, id).await?;
    if found.is_empty() {
        bail!("the ledger of {} knows no event {id:?} of {endpoint}", deployment.name());
    }
    let mut replayed = 0;
    for (key, record) in &found {
        if execute {
            let outcome = replay(deployment, key, now).await?;
            replayed += u32::from(matches!(outcome, Replayed::Yes { .. }));
            println!("{}  {}", name(key), sentence(&outcome));
            continue;
        }
        match next_number(record, now) {
            Ok(number) => {
                replayed += 1;
                println!("{}  {}: would be processed again, as replay {number}", name(key), record.state);
            }
            Err(refused) => println!("{}  {}: would not: {refused}", name(key), record.state),
        }
    }
    if replayed == 0 {
        bail!("nothing can be replayed of what {endpoint} sent under {id:?}");
    }
    if !execute {
        nothing_was_changed();
    }
    Ok(())
}

async fn replay_one_in_json(deployment: &Deployment, endpoint: &str, id: &str, execute: bool) -> Result<()> {
    let now = now().seconds();
    let found = records::whole(deployment, endpoint, id).await?;
    let mut events = Vec::new();
    for (key, record) in &found {
        events.push(match (execute, next_number(record, now)) {
            (true, _) => EventView::after(key, replay(deployment, key, now).await),
            (false, Ok(replay)) => EventView::before(key, Some(replay), None),
            (false, Err(refused)) => EventView::before(key, None, Some(refused.to_string())),
        });
    }
    ReplayedView { stage: deployment.stage.clone(), execute, events, more: 0 }.print()
}

async fn replay_all_in_json(
    deployment: &Deployment,
    keys: &[RecordKey],
    more: usize,
    execute: bool,
    now: UnixSeconds,
) -> Result<()> {
    let mut events = Vec::new();
    for keys in keys.chunks(AT_ONCE) {
        if execute {
            let outcomes = join_all(keys.iter().map(|key| replay(deployment, key, now))).await;
            events.extend(keys.iter().zip(outcomes).map(|(key, outcome)| EventView::after(key, outcome)));
        } else {
            events.extend(keys.iter().map(|key| EventView::before(key, None, None)));
        }
    }
    let view = ReplayedView { stage: deployment.stage.clone(), execute, events, more };
    if view.events.is_empty() { print_json(&view) } else { view.print() }
}

impl ReplayedView {
    /// Prints it.
    ///
    /// # Errors
    /// If there is something that is not known, or nothing that can be replayed.
    fn print(&self) -> Result<()> {
        print_json(self)?;
        let count = |outcome: &str| self.events.iter().filter(|event| event.outcome == outcome).count();
        match (count("not_known"), count("replayed") + count("would_be_replayed")) {
            (0, 0) => bail!("nothing can be replayed"),
            (0, _) => Ok(()),
            (unknown, _) => bail!("of {unknown} it is not known whether they were replayed"),
        }
    }
}

impl EventView {
    fn new(key: &RecordKey, outcome: &'static str) -> EventView {
        EventView {
            endpoint: key.endpoint().to_owned(),
            id: key.event_id().to_owned(),
            event_key: key.event.clone(),
            body_key: key.body.clone(),
            outcome,
            replay: None,
            in_queue: None,
            reason: None,
        }
    }

    fn before(key: &RecordKey, replay: Option<u32>, refused: Option<String>) -> EventView {
        let outcome = if refused.is_some() { "refused" } else { "would_be_replayed" };
        EventView { replay, reason: refused, ..EventView::new(key, outcome) }
    }

    fn after(key: &RecordKey, outcome: Result<Replayed>) -> EventView {
        match outcome {
            Ok(Replayed::Yes { replay, in_queue }) => {
                EventView { replay: Some(replay), in_queue: Some(in_queue), ..EventView::new(key, "replayed") }
            }
            Ok(Replayed::Refused(refused)) => {
                EventView { reason: Some(refused.to_string()), ..EventView::new(key, "refused") }
            }
            Ok(Replayed::Overtaken) => EventView::new(key, "overtaken"),
            Ok(Replayed::Unknown) => EventView::new(key, "unknown"),
            Err(error) => EventView { reason: Some(format!("{error:#}")), ..EventView::new(key, "not_known") },
        }
    }
}

async fn replay_all(deployment: &Deployment, arguments: &Arguments) -> Result<()> {
    let now = now().seconds();
    let selection = Selection {
        given_up: match arguments.state {
            None => GivenUp::Either,
            Some(Kind::Failed) => GivenUp::Failed,
            Some(Kind::Parked) => GivenUp::Parked,
        },
        endpoint: arguments.of_endpoint.clone(),
        since: arguments.since.map(|since| since.before(now)),
    };
    let mut listing = list(deployment, &selection, usize::try_from(LISTED_MAX)?).await?;
    // In the order in which they failed.
    listing.events.reverse();
    if arguments.json {
        let keys: Vec<_> = listing.events.iter().map(|event| event.key()).collect();
        return replay_all_in_json(deployment, &keys, listing.more, arguments.execute, now).await;
    }
    if listing.events.is_empty() {
        println!("no failed or parked events");
        return Ok(());
    }
    if arguments.execute {
        let keys: Vec<_> = listing.events.iter().map(|event| event.key()).collect();
        execute_all(deployment, &keys, now).await?;
    } else {
        let shown: Vec<_> = listing.events.iter().take(SHOWN_MAX).cloned().collect();
        for line in lines(&shown) {
            println!("{line}");
        }
        if listing.events.len() > shown.len() {
            println!("and {} more", listing.events.len() - shown.len());
        }
        println!("\n{} would be processed again", listing.events.len());
    }
    if listing.more > 0 {
        println!("there are more than one run takes: {} at least; run it again after this one", listing.more);
    }
    if !arguments.execute {
        nothing_was_changed();
    }
    Ok(())
}

async fn execute_all(deployment: &Deployment, keys: &[RecordKey], now: UnixSeconds) -> Result<()> {
    let (mut replayed, mut not_replayed, mut unknown) = (0, 0, 0);
    for keys in keys.chunks(AT_ONCE) {
        let outcomes = join_all(keys.iter().map(|key| replay(deployment, key, now))).await;
        for (key, outcome) in keys.iter().zip(outcomes) {
            match outcome {
                Ok(outcome @ Replayed::Yes { .. }) => {
                    replayed += 1;
                    println!("{}  {}", name(key), sentence(&outcome));
                }
                Ok(outcome @ (Replayed::Refused(_) | Replayed::Overtaken | Replayed::Unknown)) => {
                    not_replayed += 1;
                    println!("{}  {}", name(key), sentence(&outcome));
                }
                Err(error) => {
                    unknown += 1;
                    println!("{}  not known: {}", name(key), one_line(&format!("{error:#}")));
                }
            }
        }
    }
    println!("\n{replayed} replayed, {not_replayed} not");
    if unknown > 0 {
        bail!("of {unknown} it is not known whether they were replayed: `cargo ops failed` lists those that were not");
    }
    Ok(())
}

fn sentence(outcome: &Replayed) -> String {
    match outcome {
        Replayed::Yes { replay, in_queue: true } => format!("replayed: replay {replay} is in the queue"),
        Replayed::Yes { replay, in_queue: false } => {
            format!("replayed: replay {replay}; the queue did not answer, so the housekeeper sends it within a minute")
        }
        Replayed::Refused(refused) => format!("not replayed: {refused}"),
        Replayed::Overtaken => "not replayed: another was faster, a worker or an operator; look at it again".to_owned(),
        Replayed::Unknown => "not replayed: its record is gone".to_owned(),
    }
}

fn name(key: &RecordKey) -> String {
    format!("{} {}", key.endpoint(), one_line(key.event_id()))
}
