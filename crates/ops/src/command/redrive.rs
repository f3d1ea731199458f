//! `cargo ops redrive`: from the dead-letter queue back to the queue.

use anyhow::Result;
use clap::Args;
use wharf_ops::history::one_line;
use wharf_ops::project::Project;
use wharf_ops::redrive::{DeadLetter, Fate, Options, Undecodable, look, redrive};

use crate::{Target, nothing_was_changed};

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
}

pub async fn run(project: &Project, arguments: &Arguments) -> Result<()> {
    let deployment = arguments.target.deployment(project).await?;
    let options = Options {
        limit: usize::try_from(arguments.limit)?,
        per_second: arguments.rate,
        undecodable: if arguments.undecodable { Undecodable::Move } else { Undecodable::Stay },
    };
    let mut print = |letter: &DeadLetter, fate| println!("{}", line(letter, fate, arguments.execute));
    let summary = match arguments.execute {
        true => redrive(&deployment, &options, &mut print).await?,
        false => look(&deployment, &options, &mut print).await?,
    };
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
            delivery.endpoint,
            one_line(&delivery.id),
            one_line(delivery.event_type.as_deref().unwrap_or("-")),
            delivery.received_at
        ),
        Err(error) => format!("message {}: {error}", letter.message_id),
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
