//! `cargo ops forget`: erases all that is kept of an event.

use anyhow::{Result, bail};
use clap::Args;
use serde::Serialize;
use wharf_ops::deployment::Deployment;
use wharf_ops::forget::{Bodies, Forgotten, Remembered, forget, held_until, remembered};
use wharf_ops::project::Project;
use wharf_ops::terminal::one_line;
use wharf_webhook::clock::UnixSeconds;
use wharf_webhook::ledger::State;

use crate::{Target, nothing_was_changed, now, print_json};

#[derive(Debug, Args)]
#[command(after_help = "\
It erases the event's record with the message and the reasons in it, what guards its body against coming again, and its \
body in the bucket. It does not reach copies of the message in the queues, logs, backups of the table, or what a handler \
did. A sender that repeats the event afterwards has it processed as a new one.

Examples:
  cargo ops forget partner order-7                  shows what it would erase
  cargo ops forget partner order-7 --execute        erases it
  cargo ops forget partner order-7 --execute --all-equal-bodies --stage production")]
pub struct Arguments {
    /// An endpoint of endpoints.toml
    endpoint: String,
    /// The sender's id of the event, or the idempotency key that the log shows as delivery.key
    id: String,
    /// Equal bodies that came with other arrivals too: copies of the event, or other events with the same body, which then
    /// have none
    #[arg(long)]
    all_equal_bodies: bool,
    #[command(flatten)]
    target: Target,
    /// Does it, instead of showing what it would do
    #[arg(long)]
    execute: bool,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

/// An event, and what became of it, as JSON.
#[derive(Serialize)]
struct ForgottenView<'a> {
    event_key: &'a str,
    body_key: &'a str,
    state: &'static str,
    /// Whether the record holds the message.
    holds_message: bool,
    /// What guards its body against coming again: `event_key` and `body_key` of that.
    guard: Option<[&'a str; 2]>,
    /// Its bodies in the bucket.
    bodies: &'a [String],
    /// Equal bodies of other arrivals.
    equal_bodies: &'a [String],
    /// Whether these are erased too.
    all_equal_bodies: bool,
    /// `would_be_erased`, `erased`, `held` or `changed`
    outcome: &'static str,
    /// Until when it is held, in seconds since 1970.
    held_until: Option<UnixSeconds>,
}

pub async fn run(project: &Project, arguments: &Arguments) -> Result<()> {
    let deployment = arguments.target.deployment_with(project, &arguments.endpoint).await?;
    let all = remembered(&deployment, &arguments.endpoint, &arguments.id).await?;
    if all.is_empty() {
        bail!("the ledger of {} knows no event {:?} of {}", deployment.name(), arguments.id, arguments.endpoint);
    }
    let bodies = if arguments.all_equal_bodies { Bodies::AllEqual } else { Bodies::Own };
    let now = now().seconds();
    if arguments.json {
        return forget_in_json(&deployment, &all, bodies, arguments.execute, now).await;
    }
    let mut left = 0;
    for event in &all {
        show(event, bodies);
        if let Some(until) = held_until(&event.record, now) {
            println!("  a worker may be at it until {until}: it cannot be erased before");
            left += 1;
        } else if arguments.execute {
            match forget(&deployment, event, bodies, now).await? {
                Forgotten::Yes => println!("  erased"),
                Forgotten::Held { until } => {
                    println!("  not erased: a worker may be at it until {until}");
                    left += 1;
                }
                Forgotten::Changed => {
                    println!("  not erased: it has changed since it was looked at; look at it again");
                    left += 1;
                }
            }
        }
    }
    println!(
        "\nA sender that repeats it has it processed as a new event.\nCopies of its message in the queues are not touched: one \
         that is delivered later is processed as a new event too."
    );
    if arguments.execute && left > 0 {
        bail!("{left} of {} could not be erased", all.len());
    }
    if !arguments.execute {
        nothing_was_changed();
    }
    Ok(())
}

async fn forget_in_json(
    deployment: &Deployment,
    all: &[Remembered],
    bodies: Bodies,
    execute: bool,
    now: UnixSeconds,
) -> Result<()> {
    let mut views = Vec::new();
    for event in all {
        let held = held_until(&event.record, now);
        let (outcome, held_until) = match (held, execute) {
            (Some(until), _) => ("held", Some(until)),
            (None, false) => ("would_be_erased", None),
            (None, true) => match forget(deployment, event, bodies, now).await? {
                Forgotten::Yes => ("erased", None),
                Forgotten::Held { until } => ("held", Some(until)),
                Forgotten::Changed => ("changed", None),
            },
        };
        views.push(ForgottenView {
            event_key: &event.key.event,
            body_key: &event.key.body,
            state: event.record.state.word(),
            holds_message: event.record.message.is_some(),
            guard: event.guard.as_ref().map(|guard| [guard.event.as_str(), guard.body.as_str()]),
            bodies: &event.bodies,
            equal_bodies: &event.equal_bodies,
            all_equal_bodies: bodies == Bodies::AllEqual,
            outcome,
            held_until,
        });
    }
    print_json(&views)?;
    let left = views.iter().filter(|view| matches!(view.outcome, "held" | "changed")).count();
    if execute && left > 0 {
        bail!("{left} of {} could not be erased", all.len());
    }
    Ok(())
}

/// Says what is erased.
fn show(event: &Remembered, bodies: Bodies) {
    let holding = if event.record.message.is_some() { ", with its message" } else { "" };
    println!("record  {} {} ({}{holding})", one_line(&event.key.event), event.key.body, event.record.state);
    if let Some(guard) = &event.guard {
        println!("guard   {} {}", one_line(&guard.event), guard.body);
    }
    for body in &event.bodies {
        println!("body    {body}");
    }
    for body in &event.equal_bodies {
        match bodies {
            Bodies::AllEqual => println!("body    {body} (of another arrival)"),
            Bodies::Own => println!("stays   {body} (the same body, of another arrival: --all-equal-bodies)"),
        }
    }
    match event.record.state {
        State::Processing | State::Waiting => {
            println!(
                "  it is not settled: a copy of its message is probably in the queue, and would be processed as new"
            );
        }
        State::Completed | State::Failed | State::Parked => {}
    }
}
