//! `cargo ops failed`: the failed and parked events, newest first.

use anyhow::Result;
use clap::Args;
use wharf_ops::failed::{FailedEvent, GivenUp, Listing, Selection, list};
use wharf_ops::project::Project;
use wharf_ops::since::Since;
use wharf_ops::terminal::{one_line, shell_word};

use crate::{Target, now, print_json};

/// The most that one command lists.
pub const LISTED_MAX: u32 = 10_000;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cargo ops failed                                     the newest 50
  cargo ops failed --endpoint github --since 2h        GitHub's, of the last two hours
  cargo ops failed --since 2026-11-22T16:00:00Z --stage production
  cargo ops failed --limit 1000 --json                 for a program")]
pub struct Arguments {
    /// Those of an endpoint only
    #[arg(long)]
    endpoint: Option<String>,
    /// Those since then only: a time ago, as in 30m, 2h or 3d, or an instant, as in 2026-11-22T16:10:32Z
    #[arg(long, value_name = "TIME")]
    since: Option<Since>,
    /// How many are listed
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=i64::from(LISTED_MAX)))]
    limit: u32,
    #[command(flatten)]
    target: Target,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

pub async fn run(project: &Project, arguments: &Arguments) -> Result<()> {
    let deployment = match &arguments.endpoint {
        Some(endpoint) => arguments.target.deployment_with(project, endpoint).await?,
        None => arguments.target.deployment(project).await?,
    };
    let selection = Selection {
        given_up: GivenUp::Either,
        endpoint: arguments.endpoint.clone(),
        since: arguments.since.map(|since| since.before(now().seconds())),
    };
    let listing = list(&deployment, &selection, usize::try_from(arguments.limit)?).await?;
    if arguments.json {
        return print_json(&listing);
    }
    for line in lines(&listing.events) {
        println!("{line}");
    }
    let Some(newest) = listing.events.first() else {
        println!("no failed or parked events");
        return Ok(());
    };
    if let Some(more) = more(&listing) {
        println!("{more}");
    }
    let stage = deployment.again();
    let one = format!("{} {}{stage}", newest.endpoint, shell_word(&newest.id));
    let endpoint = arguments.endpoint.as_ref().map(|endpoint| format!(" --endpoint {endpoint}")).unwrap_or_default();
    let since = arguments.since.map(|since| format!(" --since {since}")).unwrap_or_default();
    println!("\nlook at one:          cargo ops inspect {one}");
    println!("process one again:    cargo ops replay {one}");
    println!("process all of these: cargo ops replay --all-failed{endpoint}{since}{stage}");
    Ok(())
}

/// How many there are beyond those that are listed.
fn more(listing: &Listing) -> Option<String> {
    let at_least = if listing.all_counted { "" } else { "at least " };
    (listing.more > 0).then(|| format!("and {at_least}{} more, which a higher --limit shows", listing.more))
}

/// A line for each event, in columns.
pub fn lines(events: &[FailedEvent]) -> Vec<String> {
    let width = |text: fn(&FailedEvent) -> usize| events.iter().map(text).max().unwrap_or_default();
    let endpoint_width = width(|event| event.endpoint.chars().count());
    let id_width = width(|event| one_line(&event.id).chars().count());
    let type_width = width(|event| event_type(event).chars().count());
    let line = |event: &FailedEvent| {
        let attempts = match (event.attempt, event.replay) {
            (1, 0) => "1 attempt".to_owned(),
            (attempts, 0) => format!("{attempts} attempts"),
            (attempts, replay) => format!("{attempts} of replay {replay}"),
        };
        format!(
            "{}  {:<6}  {:endpoint_width$}  {:id_width$}  {:type_width$}  {attempts:<13}  {}",
            event.settled_at,
            event.state,
            event.endpoint,
            one_line(&event.id),
            event_type(event),
            one_line(event.reason.as_deref().unwrap_or("-")),
        )
    };
    events.iter().map(line).collect()
}

fn event_type(event: &FailedEvent) -> String {
    one_line(event.event_type.as_deref().unwrap_or("-"))
}

#[cfg(test)]
mod tests {
    use wharf_webhook::clock::UnixSeconds;

    use super::*;

    fn event(id: &str, event_type: Option<&str>, attempt: u32, replay: u32) -> FailedEvent {
        FailedEvent {
            endpoint: "shop".into(),
            id: id.into(),
            event_key: format!("shop#{id}"),
            body_key: "-".into(),
            state: if attempt == 0 { "parked" } else { "failed" }.into(),
            settled_at: UnixSeconds(1_754_000_000),
            received_at: UnixSeconds(1_754_000_000),
            event_type: event_type.map(str::to_owned),
            replay,
            attempt,
            interruptions: 0,
            reason: Some("the warehouse\nis closed".into()),
        }
    }

    #[test]
    fn an_event_is_one_line_in_columns() {
        let events =
            [event("o-1", Some("paid"), 20, 0), event("order-17", None, 1, 0), event("o-3", Some("paid"), 0, 2)];
        assert_eq!(
            lines(&events),
            [
                "2025-07-31T22:13:20Z  failed  shop  o-1       paid  20 attempts    the warehouse is closed",
                "2025-07-31T22:13:20Z  failed  shop  order-17  -     1 attempt      the warehouse is closed",
                "2025-07-31T22:13:20Z  parked  shop  o-3       paid  0 of replay 2  the warehouse is closed",
            ]
        );
    }

    #[test]
    fn what_was_not_counted_is_not_claimed_to_be_all() {
        let listing = |more, all_counted| Listing { events: vec![], more, all_counted };
        assert_eq!(more(&listing(0, true)), None);
        assert_eq!(more(&listing(7, true)).as_deref(), Some("and 7 more, which a higher --limit shows"));
        assert_eq!(more(&listing(7, false)).as_deref(), Some("and at least 7 more, which a higher --limit shows"));
    }
}
