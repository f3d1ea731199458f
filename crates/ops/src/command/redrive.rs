//! `cargo ops redrive`: from the dead-letter queue back to the queue.

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use wharf_ops::project::Project;
use wharf_ops::redrive::{self, DeadLetter, Fate, Options, Undecodable, look, redrive};
use wharf_ops::terminal::one_line;

use crate::{Target, nothing_was_changed, print_json_line};

#[derive(Debug, Args)]
#[command(after_help = "\
Mend the cause first: what fails again comes back. A message may be moved twice, if a run is cut short: its event is \
processed once all the same. What is no delivery stays, because the consumer would only put it there again.

Examples:
  cargo ops redrive                     shows what it would move
  cargo ops redrive --execute           moves it, 20 messages a second
  cargo ops redrive --execute --rate 5 --limit 100 --stage production")]
pub struct Arguments {
    /// How many messages are moved in a second, at most
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rate: u32,
    /// How many messages are looked at, at most
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// Moves what is no delivery too
    #[arg(long)]
    undecodable: bool,
    #[command(flatten)]
    target: Target,
    /// Does it, instead of showing what it would do
    #[arg(long)]
    execute: bool,
    /// Prints JSON: a line for each message, and one for all
    #[arg(long)]
    json: bool,
}

/// A message, as JSON.
#[derive(Serialize)]
struct LetterView<'a> {
    /// SQS's id of it.
    message_id: &'a str,
    /// `moved`, `would_be_moved`, `stays` or `came_back`
    fate: &'static str,
    endpoint: Option<&'a str>,
    /// The sender's id of the event, or the idempotency key.
    id: Option<&'a str>,
    event_type: Option<&'a str>,
    /// When it was read at the door, in milliseconds since 1970.
    received_at_ms: Option<i64>,
    /// Why it is no delivery.
    undecodable: Option<String>,
    /// Why it was put there, if somebody said so.
    reason: Option<&'a str>,
}

/// What a run comes to, as JSON.
#[derive(Serialize)]
struct SummaryView<'a> {
    stage: &'a str,
    execute: bool,
    moved: usize,
    stayed: usize,
    /// About how many are in the dead-letter queue now.
    left: u64,
}

pub async fn run(project: &Project, arguments: &Arguments) -> Result<()> {
    let deployment = arguments.target.deployment(project).await?;
    let options = Options {
        limit: usize::try_from(arguments.limit)?,
        per_second: arguments.rate,
        undecodable: if arguments.undecodable { Undecodable::Move } else { Undecodable::Stay },
    };
    let mut print = |letter: &DeadLetter, fate| match arguments.json {
        // What cannot be written as JSON there is not among texts and numbers.
        true => drop(print_json_line(&view(letter, fate, arguments.execute))),
        false => println!("{}", line(letter, fate, arguments.execute)),
    };
    let summary = match arguments.execute {
        true => redrive(&deployment, &options, &mut print).await?,
        false => look(&deployment, &options, &mut print).await?,
    };
    if arguments.json {
        let redrive::Summary { moved, stayed, left } = summary;
        return print_json_line(&SummaryView {
            stage: &deployment.stage,
            execute: arguments.execute,
            moved,
            stayed,
            left,
        });
    }
    let moved = if arguments.execute { "moved" } else { "would be moved" };
    println!(
        "{} {moved}, {} stay; about {} are in the dead-letter queue now",
        summary.moved, summary.stayed, summary.left
    );
    if !arguments.execute && summary.moved > 0 {
        nothing_was_changed();
    }
    Ok(())
}

fn view<'a>(letter: &'a DeadLetter, fate: Fate, execute: bool) -> LetterView<'a> {
    let delivery = letter.delivery.as_ref().ok();
    LetterView {
        message_id: &letter.message_id,
        fate: match (fate, execute) {
            (Fate::Moved, true) => "moved",
            (Fate::Moved, false) => "would_be_moved",
            (Fate::Stays, _) => "stays",
            (Fate::CameBack, _) => "came_back",
        },
        endpoint: delivery.map(|delivery| delivery.endpoint.as_str()),
        id: delivery.map(|delivery| delivery.id.as_str()),
        event_type: delivery.and_then(|delivery| delivery.event_type.as_deref()),
        received_at_ms: delivery.map(|delivery| delivery.received_at.0),
        undecodable: letter.delivery.as_ref().err().map(ToString::to_string),
        reason: letter.reason.as_deref(),
    }
}

/// A message on one line.
fn line(letter: &DeadLetter, fate: Fate, execute: bool) -> String {
    let fate = match (fate, execute) {
        (Fate::Moved, true) => "moved",
        (Fate::Moved, false) => "would be moved",
        (Fate::Stays, _) => "stays",
        (Fate::CameBack, _) => "came back, stays",
    };
    let what = match &letter.delivery {
        Ok(delivery) => format!(
            "{} {} {}, received {}",
            one_line(&delivery.endpoint),
            one_line(&delivery.id),
            one_line(delivery.event_type.as_deref().unwrap_or("-")),
            delivery.received_at
        ),
        Err(error) => format!("message {}: {}", letter.message_id, one_line(&error.to_string())),
    };
    match letter.reason.as_deref().map(one_line) {
        Some(reason) => format!("{fate}: {what} ({reason})"),
        None => format!("{fate}: {what}"),
    }
}

#[cfg(test)]
mod tests {
    use wharf_ops::redrive::DeadDelivery;
    use wharf_webhook::clock::UnixMillis;
    use wharf_webhook::message::MessageError;

    use super::*;

    #[test]
    fn a_message_is_one_line_with_what_it_carries_and_why_it_is_there() {
        let delivery = DeadDelivery {
            endpoint: "shop".into(),
            id: "o-1".into(),
            event_type: Some("paid".into()),
            received_at: UnixMillis(1_754_000_000_250),
        };
        let letter = DeadLetter { message_id: "m-1".into(), delivery: Ok(delivery), reason: None };
        assert_eq!(line(&letter, Fate::Moved, true), "moved: shop o-1 paid, received 2025-07-31T22:13:20.25Z");
        assert_eq!(
            line(&letter, Fate::Moved, false),
            "would be moved: shop o-1 paid, received 2025-07-31T22:13:20.25Z"
        );

        let error = MessageError::Undecodable { problem: "`id` is no idempotency key".into() };
        let letter = DeadLetter { delivery: Err(error), reason: Some("it is no\ndelivery".into()), ..letter };
        assert_eq!(
            line(&letter, Fate::Stays, true),
            "stays: message m-1: it is not a delivery: `id` is no idempotency key (it is no delivery)"
        );
    }
}
