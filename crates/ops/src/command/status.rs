//! `cargo ops status`: whether all is well.

use anyhow::Result;
use clap::Args;
use wharf_ops::project::Project;
use wharf_ops::secret_use::Use;
use wharf_ops::secrets::EndpointSecrets;
use wharf_ops::status::{Counts, EndpointState, Measured, Status, Told, status};
use wharf_ops::terminal;
use wharf_webhook::clock::UnixSeconds;
use wharf_webhook::endpoints::Endpoint;

use crate::secret::span;
use crate::{Target, now, print_json};

#[derive(Debug, Args)]
#[command(after_help = "\
The first line says whether all is well, the lines below it what is not. What cannot be had (a permission that is missing, a \
metric without data) is said in its place. CloudWatch has numbers a minute or two late. The exit status is 0 also where \
something is wrong.

Examples:
  cargo ops status                                   of the local stack
  cargo ops status --stage production
  cargo ops status --stage production --json | jq -e .well      an exit status by what it says")]
pub struct Arguments {
    #[command(flatten)]
    target: Target,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

pub async fn run(project: &Project, arguments: &Arguments) -> Result<()> {
    let endpoints = project.endpoints()?;
    let deployment = arguments.target.deployment(project).await?;
    let configured: Vec<&Endpoint> = endpoints.iter().collect();
    let status = status(&deployment, &configured, now().seconds()).await;
    if arguments.json {
        return print_json(&status);
    }
    println!("{}", terminal::lines(&screen(&deployment.name(), &status).join("\n")));
    Ok(())
}

/// All of it, line by line.
fn screen(name: &str, status: &Status) -> Vec<String> {
    let verdict = match (status.well, status.not_known.is_empty()) {
        (true, true) => "well",
        (true, false) => "well, as far as is known",
        (false, _) => "NOT WELL",
    };
    let mut lines = vec![format!("{name}: {verdict}, at {}", status.at)];
    lines.extend(status.troubles.iter().map(|trouble| format!("  ! {trouble}")));
    lines.extend(status.not_known.iter().map(|unknown| format!("  ? {unknown}")));
    lines.push(String::new());
    let mut line = |what: &str, text: String| lines.push(format!("{what:<14} {text}"));
    let now = status.at;
    line(
        "stack",
        told(&status.stack, |state| match state.changed_at {
            Some(at) => format!("{}, {}", state.status, ago(at, now)),
            None => state.status.clone(),
        }),
    );
    line(
        "alarms",
        told(&status.alarms, |alarms| {
            let without_data = match alarms.without_data.len() {
                0 => String::new(),
                few @ 1..=5 => format!(", {few} without data: {}", alarms.without_data.join(", ")),
                many => format!(", {many} without data"),
            };
            format!("{} of {} raised{without_data}", alarms.raised.len(), alarms.count)
        }),
    );
    if let Some(alarms) = status.alarms.known() {
        for alarm in &alarms.raised {
            let since = alarm.since.map_or_else(|| "-".to_owned(), |at| format!("since {at} ({})", ago(at, now)));
            line("", format!("{}, {since}", alarm.name));
        }
    }
    line("consumer", told(&status.consumer, String::clone));
    line(
        "queue",
        told(&status.queue, |queue| {
            let oldest = status.measured.known().and_then(|measured| measured.oldest_in_queue_seconds);
            let oldest = oldest.map_or_else(
                || "the age of the oldest is not known".to_owned(),
                |latest| format!("the oldest {} old {}", milliseconds(latest.value * 1000.0), ago(latest.at, now)),
            );
            format!("{} visible, {} in flight, {} delayed; {oldest}", queue.visible, queue.in_flight, queue.delayed)
        }),
    );
    line("dead letters", told(&status.dead_letters, u64::to_string));
    line(
        "open records",
        told(&status.open_records, |open| {
            let at_least = if open.all_counted { "" } else { "at least " };
            format!("{at_least}{} failed, {} parked", open.failed, open.parked)
        }),
    );
    match &status.measured {
        Told::Known(measured) => {
            for (what, text) in of_stage(measured, now) {
                line(what, text);
            }
            lines.extend(rates(measured));
        }
        Told::Unknown { .. } => line("metrics", told(&status.measured, |_| String::new())),
    }
    lines.extend(of_endpoints(&status.endpoints, now));
    lines
}

fn told<T>(told: &Told<T>, text: impl FnOnce(&T) -> String) -> String {
    told.known().map_or_else(|| "not known (see above)".to_owned(), text)
}

fn of_stage(measured: &Measured, now: UnixSeconds) -> [(&'static str, String); 3] {
    let spool = match measured.spool_age_seconds {
        Some(latest) if latest.value > 0.0 => {
            format!("the oldest {} old, {}", milliseconds(latest.value * 1000.0), ago(latest.at, now))
        }
        Some(latest) => format!("empty, {}", ago(latest.at, now)),
        None => "not known: the housekeeper reported nothing in the last hour".to_owned(),
    };
    let probe = match measured.probe_age_ms {
        Some(latest) => format!("landed after {}, {}", milliseconds(latest.value), ago(latest.at, now)),
        None => "none landed in the last hour".to_owned(),
    };
    let ages = match measured.age_at_landing {
        Some(ages) => {
            format!("p50 {}, p99 {} in the last hour", milliseconds(ages.p50_ms), milliseconds(ages.p99_ms))
        }
        None => "nothing landed in the last hour".to_owned(),
    };
    [("spool", spool), ("probe", probe), ("age at landing", ages)]
}

fn rates(measured: &Measured) -> Vec<String> {
    let mut lines = vec![String::new(), format!("{:<14} {:>9} {:>9} {:>9}", "", "5 min", "1 h", "1 d")];
    let order = ["accepted", "refused", "unavailable", "spooled", "landed", "duplicates", "failed", "parked"];
    for name in order {
        let Counts { last_5_minutes, last_hour, last_day } = measured.counts.get(name).copied().unwrap_or_default();
        lines.push(format!("{name:<14} {last_5_minutes:>9} {last_hour:>9} {last_day:>9}"));
    }
    lines
}

/// A table: what was counted in the last hour and the last day, and the secrets.
fn of_endpoints(endpoints: &[EndpointState], now: UnixSeconds) -> Vec<String> {
    let width =
        endpoints.iter().map(|endpoint| endpoint.endpoint.len()).max().unwrap_or_default().max("endpoint".len());
    let columns = ["accepted", "refused", "landed", "failed"];
    let heads: Vec<_> = columns.iter().map(|column| format!("{:>14}", format!("{column} h/d"))).collect();
    let mut lines = vec![String::new(), format!("{:<width$} {}  secrets", "endpoint", heads.join(" "))];
    for endpoint in endpoints {
        let cell = |column: &&str| match endpoint.counts.get(column) {
            Some(counts) => format!("{:>14}", format!("{}/{}", counts.last_hour, counts.last_day)),
            None => format!("{:>14}", "?"),
        };
        let cells: Vec<_> = columns.iter().map(cell).collect();
        lines.push(format!("{:<width$} {}  {}", endpoint.endpoint, cells.join(" "), secrets(&endpoint.secrets, now)));
    }
    lines
}

/// What is said of an endpoint's secrets in a few words; `cargo ops secret list` says more.
fn secrets(secrets: &EndpointSecrets, now: UnixSeconds) -> String {
    if secrets.unreadable.is_some() {
        return "not known (see above)".to_owned();
    }
    let Some(changed_at) = secrets.changed_at else {
        return if secrets.kept_in.is_some() { "none".to_owned() } else { "needs none".to_owned() };
    };
    let older = match (secrets.older, &secrets.older_unknown) {
        (Some(Use::No), _) => ", older ones unused",
        (Some(Use::Yes { .. }), _) => ", an older one still used",
        (Some(Use::Perhaps { .. }), _) => ", an older one perhaps used",
        (None, Some(_)) => ", whether an older one is used is not known",
        (None, None) => "",
    };
    let unusable = if secrets.problem.is_some() { ", unusable" } else { "" };
    format!("{}, changed {}{older}{unusable}", secrets.count, ago(changed_at, now))
}

fn ago(at: UnixSeconds, now: UnixSeconds) -> String {
    format!("{} ago", span(now.0.saturating_sub(at.0)))
}

/// `340 ms`, `12.3 s`, `15 min`.
fn milliseconds(value: f64) -> String {
    match value {
        ..1000.0 => format!("{value:.0} ms"),
        1000.0..120_000.0 => format!("{:.1} s", value / 1000.0),
        _ => format!("{:.0} min", value / 60_000.0),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use wharf_ops::status::{Ages, Alarm, Alarms, Latest, OpenRecords, QueueState, StackState};

    use super::*;

    const NOW: UnixSeconds = UnixSeconds(1_754_000_050);

    fn measured() -> Measured {
        let counts = |last_5_minutes, last_hour, last_day| Counts { last_5_minutes, last_hour, last_day };
        Measured {
            counts: BTreeMap::from([("accepted", counts(12, 140, 3200)), ("refused", counts(0, 0, 7))]),
            age_at_landing: Some(Ages { p50_ms: 41.7, p99_ms: 2340.0 }),
            probe_age_ms: Some(Latest { at: NOW.plus(-130), value: 340.0 }),
            spool_age_seconds: Some(Latest { at: NOW.plus(-70), value: 0.0 }),
            oldest_in_queue_seconds: None,
        }
    }

    fn well() -> Status {
        let secrets = EndpointSecrets {
            endpoint: "github".into(),
            provider: "github".into(),
            kept_in: Some("/wharf/production/github".into()),
            count: 2,
            changed_at: Some(NOW.plus(-3 * 86_400)),
            problem: None,
            older: Some(Use::Yes { last: NOW }),
            older_unknown: None,
            unreadable: None,
        };
        let counts = BTreeMap::from([("accepted", Counts { last_5_minutes: 1, last_hour: 140, last_day: 3200 })]);
        Status {
            stage: "production".into(),
            at: NOW,
            well: true,
            troubles: vec![],
            not_known: vec![],
            stack: Told::Known(StackState { status: "UPDATE_COMPLETE".into(), changed_at: Some(NOW.plus(-7200)) }),
            alarms: Told::Known(Alarms { count: 24, raised: vec![], without_data: vec!["parked".into()] }),
            consumer: Told::Known("running".into()),
            queue: Told::Known(QueueState { visible: 3, in_flight: 1, delayed: 0 }),
            dead_letters: Told::Known(0),
            open_records: Told::Known(OpenRecords { failed: 0, parked: 0, all_counted: true }),
            measured: Told::Known(measured()),
            endpoints: vec![EndpointState { endpoint: "github".into(), counts, secrets }],
        }
    }

    #[test]
    fn one_screen_tells_it_all() {
        assert_eq!(
            screen("stage production", &well()),
            [
                "stage production: well, at 2025-07-31T22:14:10Z",
                "",
                "stack          UPDATE_COMPLETE, 2 h ago",
                "alarms         0 of 24 raised, 1 without data: parked",
                "consumer       running",
                "queue          3 visible, 1 in flight, 0 delayed; the age of the oldest is not known",
                "dead letters   0",
                "open records   0 failed, 0 parked",
                "spool          empty, 1 min ago",
                "probe          landed after 340 ms, 2 min ago",
                "age at landing p50 42 ms, p99 2.3 s in the last hour",
                "",
                "                   5 min       1 h       1 d",
                "accepted              12       140      3200",
                "refused                0         0         7",
                "unavailable            0         0         0",
                "spooled                0         0         0",
                "landed                 0         0         0",
                "duplicates             0         0         0",
                "failed                 0         0         0",
                "parked                 0         0         0",
                "",
                "endpoint   accepted h/d    refused h/d     landed h/d     failed h/d  secrets",
                "github         140/3200              ?              ?              ?  2, changed 3 d ago, an older one still used",
            ]
        );
    }

    #[test]
    fn what_is_wrong_stands_first_and_what_is_not_known_is_said_in_its_place() {
        let raised = Alarm { name: "queue-age".into(), since: Some(NOW.plus(-720)), says: "It waits.".into() };
        let status = Status {
            well: false,
            troubles: vec!["alarm queue-age: It waits.".into()],
            not_known: vec!["the metrics: denied".into()],
            alarms: Told::Known(Alarms { count: 24, raised: vec![raised], without_data: vec![] }),
            measured: Told::Unknown { unknown: "denied".into() },
            ..well()
        };
        let lines = screen("stage production", &status);
        assert_eq!(
            lines[..3],
            [
                "stage production: NOT WELL, at 2025-07-31T22:14:10Z",
                "  ! alarm queue-age: It waits.",
                "  ? the metrics: denied",
            ]
        );
        assert!(
            lines.contains(&"               queue-age, since 2025-07-31T22:02:10Z (12 min ago)".to_owned()),
            "{lines:?}"
        );
        assert!(lines.contains(&"metrics        not known (see above)".to_owned()), "{lines:?}");
        assert!(lines.iter().all(|line| !line.contains("5 min       1 h")), "{lines:?}");
        assert_eq!(
            screen("it", &Status { well: true, troubles: vec![], ..status })[0],
            "it: well, as far as is known, at 2025-07-31T22:14:10Z"
        );
    }
}
