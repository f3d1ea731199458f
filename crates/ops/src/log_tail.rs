//! The functions' log lines as they come, from CloudWatch Logs.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use aws_sdk_cloudwatchlogs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_cloudwatchlogs::operation::filter_log_events::FilterLogEventsError;
use aws_sdk_cloudwatchlogs::types::FilteredLogEvent;
use serde_json::Value;
use wharf_webhook::clock::UnixMillis;

use crate::deployment::Deployment;
use crate::terminal::one_line;

/// How far back lines are asked for again, in milliseconds: they come in another order than they are written, the first ones
/// of a new log stream late, and seen ones are passed over.
const OVERLAP_MILLIS: i64 = 60_000;
/// How many lines an answer has at most (FilterLogEvents). The emulator stops there; CloudWatch says where to go on.
const LINES_MAX: usize = 10_000;
/// How long a call waits that CloudWatch throttles, or that did not get through, and for how long all in all.
const PAUSE_FIRST: Duration = Duration::from_millis(500);
const PAUSE_LONGEST: Duration = Duration::from_secs(10);
const PAUSES_TIMEOUT: Duration = Duration::from_secs(120);

/// CloudWatch's words for "too fast".
const THROTTLED: [&str; 3] =
    ["ThrottlingException", "LimitExceededException", "ProvisionedThroughputExceededException"];

/// Which function wrote a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Function {
    /// The receiver.
    Receiver,
    /// The consumer.
    Consumer,
    /// The housekeeper.
    Housekeeper,
}

/// A line of JSON that a function logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Which function.
    pub function: Function,
    /// When it was written.
    pub at: UnixMillis,
    /// Its fields.
    pub fields: Value,
}

impl Line {
    /// A field, as text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.fields.get(name).and_then(Value::as_str)
    }

    /// A field, as a number.
    pub fn number(&self, name: &str) -> Option<i64> {
        self.fields.get(name).and_then(Value::as_i64)
    }

    /// For people: when, where, and what became of a delivery; or what a warning says. `None` if it says neither.
    pub fn told(&self) -> Option<String> {
        let Some(outcome) = self.text("outcome") else {
            let is_warning = matches!(self.text("level"), Some("WARN" | "ERROR"));
            let message = one_line(self.text("message").unwrap_or_default());
            return is_warning.then(|| format!("{}  {message}", TimeOfDay(self.at)));
        };
        let endpoint = self.text("endpoint").unwrap_or("-");
        let mut parts = vec![format!("{}  {:<10} {:<14}", TimeOfDay(self.at), one_line(endpoint), one_line(outcome))];
        parts.extend(self.text("event_type").map(one_line));
        // The housekeeper knows records only.
        parts.extend(self.text("event_id").or_else(|| self.text("record")).map(one_line));
        parts.extend(self.number("status").map(|status| format!("answered {status}")));
        parts.extend(self.number("replay").map(|replay| format!("replay {replay}")));
        parts.extend(self.number("attempt").map(|attempt| format!("attempt {attempt}")));
        parts.extend(self.number("age_ms").map(|age| format!("{age} ms after it arrived")));
        if !matches!(outcome, "accepted" | "landed") {
            parts.extend(self.text("message").map(|message| format!("({})", one_line(message))));
        }
        Some(parts.join(" "))
    }
}

/// `16:40:12.345`, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeOfDay(pub UnixMillis);

impl fmt::Display for TimeOfDay {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.0.rem_euclid(24 * 60 * 60 * 1000);
        let (seconds, millis) = (millis / 1000, millis % 1000);
        write!(formatter, "{:02}:{:02}:{:02}.{millis:03}", seconds / 3600, seconds / 60 % 60, seconds % 60)
    }
}

/// Follows the logs of all functions.
#[derive(Debug)]
pub struct LogTail {
    client: aws_sdk_cloudwatchlogs::Client,
    groups: Vec<Followed>,
    since: UnixMillis,
}

/// A log group, as far as it was read.
///
/// ```text
///  since          newest - OVERLAP_MILLIS          newest
/// ───┼────────────────────┼───────────────────────────┼──────────▶
///    │                    │◀── asked for again: what is seen ───▶│ new
///                              is passed over, what came late is new
/// ```
#[derive(Debug)]
struct Followed {
    function: Function,
    name: String,
    /// When the newest line was written that was read.
    newest: UnixMillis,
    /// When lines were written that may be read again, and their ids.
    seen: BTreeSet<(i64, String)>,
}

impl LogTail {
    /// Follows the logs of a deployment from `since` on.
    pub fn new(deployment: &Deployment, since: UnixMillis) -> LogTail {
        let followed =
            |(function, name): (Function, String)| Followed { function, name, newest: since, seen: BTreeSet::new() };
        LogTail { client: deployment.logs(), groups: deployment.log_groups.clone().map(followed).into(), since }
    }

    /// The JSON lines that have come since the last call, in the order in which they were written. Whoever is throttled
    /// waits.
    ///
    /// # Errors
    /// If the logs cannot be read.
    pub async fn next(&mut self) -> Result<Vec<Line>> {
        let mut lines = Vec::new();
        for group in &mut self.groups {
            lines.extend(group.next(&self.client, self.since).await?);
        }
        lines.sort_by_key(|line| line.at);
        Ok(lines)
    }
}

impl Followed {
    async fn next(&mut self, client: &aws_sdk_cloudwatchlogs::Client, since: UnixMillis) -> Result<Vec<Line>> {
        let mut lines = Vec::new();
        let mut start = self.newest.0.saturating_sub(OVERLAP_MILLIS).max(since.0);
        self.seen = self.seen.split_off(&(start, String::new()));
        let mut token = None;
        let mut repetitions = HashMap::new();
        loop {
            let (events, next) = page(client, &self.name, start, token).await?;
            for event in &events {
                let at = event.timestamp().unwrap_or_default();
                self.newest = self.newest.max(UnixMillis(at));
                if !self.seen.insert((at, id(event, &mut repetitions))) {
                    continue;
                }
                let Ok(fields @ Value::Object(_)) = serde_json::from_str(event.message().unwrap_or_default()) else {
                    continue;
                };
                let at = written_at(&fields).unwrap_or(UnixMillis(at));
                lines.push(Line { function: self.function, at, fields });
            }
            let last = events.last().and_then(FilteredLogEvent::timestamp);
            match (next, last) {
                (Some(next), _) => token = Some(next),
                (None, Some(last)) if events.len() >= LINES_MAX && last > start => {
                    (start, token) = (last, None);
                    repetitions.clear();
                }
                (None, _) => return Ok(lines),
            }
        }
    }
}

/// What tells a line apart from all others: CloudWatch's id, or where it stands among equal ones.
fn id(event: &FilteredLogEvent, repetitions: &mut HashMap<(i64, String), u32>) -> String {
    if let Some(id) = event.event_id() {
        return id.to_owned();
    }
    let text = format!("{} {}", event.log_stream_name().unwrap_or_default(), event.message().unwrap_or_default());
    let count = repetitions.entry((event.timestamp().unwrap_or_default(), text.clone())).or_default();
    *count += 1;
    format!("{count} {text}")
}

/// One answer, and where to go on.
async fn page(
    client: &aws_sdk_cloudwatchlogs::Client,
    group: &str,
    start: i64,
    token: Option<String>,
) -> Result<(Vec<FilteredLogEvent>, Option<String>)> {
    let started = Instant::now();
    let mut pause = PAUSE_FIRST;
    loop {
        let call = client.filter_log_events().log_group_name(group).start_time(start).set_next_token(token.clone());
        match call.send().await {
            Ok(answer) => return Ok((answer.events.unwrap_or_default(), answer.next_token)),
            Err(error) if passes(&error) && started.elapsed() < PAUSES_TIMEOUT => tokio::time::sleep(pause).await,
            Err(error) => return Err(error).with_context(|| format!("cannot read the log {group}")),
        }
        pause = (pause * 2).min(PAUSE_LONGEST);
    }
}

/// Whether the same call may get through later.
fn passes<R>(error: &SdkError<FilterLogEventsError, R>) -> bool {
    if let SdkError::ServiceError(error) = error {
        let code = error.err().code().unwrap_or_default();
        return THROTTLED.contains(&code) || code == "ServiceUnavailableException";
    }
    matches!(error, SdkError::TimeoutError(_) | SdkError::ResponseError(_))
}

/// When a line says that it was written: one of the log, or one that metrics are made of.
fn written_at(fields: &Value) -> Option<UnixMillis> {
    let logged = fields.get("timestamp").and_then(Value::as_str).and_then(UnixMillis::from_rfc3339);
    logged.or_else(|| fields.pointer("/_aws/Timestamp").and_then(Value::as_i64).map(UnixMillis))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(fields: Value) -> Option<String> {
        Line { function: Function::Receiver, at: UnixMillis(1_754_000_000_250), fields }.told()
    }

    #[test]
    fn a_line_tells_when_where_and_what_became_of_a_delivery() {
        let landed = json!({
            "outcome": "landed", "endpoint": "shop", "event_type": "paid", "event_id": "o-1", "attempt": 1, "age_ms": 41,
            "message": "handled",
        });
        assert_eq!(
            told(landed).unwrap(),
            "22:13:20.250  shop       landed         paid o-1 attempt 1 41 ms after it arrived"
        );
        let refused = json!({ "outcome": "refused", "endpoint": "shop", "status": 400, "message": "no signature" });
        assert_eq!(told(refused).unwrap(), "22:13:20.250  shop       refused        answered 400 (no signature)");
    }

    #[test]
    fn of_other_lines_only_warnings_are_told_and_no_terminal_acts_on_what_a_sender_wrote() {
        assert_eq!(told(json!({ "level": "INFO", "message": "started" })), None);
        assert_eq!(told(json!({ "level": "WARN", "message": "slow" })).unwrap(), "22:13:20.250  slow");
        let id = json!({ "outcome": "accepted", "endpoint": "shop", "event_id": "o\u{1b}[2J\n1\u{202e}" });
        assert_eq!(told(id).unwrap(), r"22:13:20.250  shop       accepted       o\u{1b}[2J 1\u{202e}");
    }
}
