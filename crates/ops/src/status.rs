//! Whether all is well with a stage, and what there is to know about it at a glance. What cannot be had is said in its
//! place, and the rest is there all the same.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use aws_sdk_cloudformation::types::StackStatus;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{AlarmType, StateValue};
use aws_sdk_sqs::types::QueueAttributeName;
use futures_util::future::join3;
use serde::Serialize;
use wharf_webhook::clock::UnixSeconds;
use wharf_webhook::endpoints::Endpoint;
use wharf_webhook::metrics::Metric;

use crate::consumption::{self, consumption};
use crate::deployment::{Deployment, stack, stack_name};
use crate::failed::{GivenUp, Selection, list};
use crate::measured::{MINUTE, Points, Query, measured};
use crate::secrets::{self, EndpointSecrets};
use crate::terminal::one_line;

/// How finely a day is counted, in seconds: a day of minutes would be more than one answer of CloudWatch holds.
const FIVE_MINUTES: i32 = 300;
const HOUR: i32 = 3600;
const DAY_SECONDS: i64 = 24 * 60 * 60;

/// What is counted of a stage.
const STAGE_COUNTS: [(&str, Metric); 8] = [
    ("accepted", Metric::Accepted),
    ("refused", Metric::Refused),
    ("unavailable", Metric::Unavailable),
    ("spooled", Metric::Spooled),
    ("landed", Metric::Landed),
    ("duplicates", Metric::Duplicates),
    ("failed", Metric::Failed),
    ("parked", Metric::Parked),
];
/// What is counted of each endpoint.
const ENDPOINT_COUNTS: [(&str, Metric); 4] = [
    ("accepted", Metric::Accepted),
    ("refused", Metric::Refused),
    ("landed", Metric::Landed),
    ("failed", Metric::Failed),
];

/// What there is to know about a stage. Instants are seconds since 1970 in JSON.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Status {
    /// `production`
    pub stage: String,
    /// When this was.
    pub at: UnixSeconds,
    /// Whether nothing is wrong, as far as is known.
    pub well: bool,
    /// What is wrong.
    pub troubles: Vec<String>,
    /// What could not be had.
    pub not_known: Vec<String>,
    /// The CloudFormation stack.
    pub stack: Told<StackState>,
    /// The alarms.
    pub alarms: Told<Alarms>,
    /// Whether deliveries are taken from the queue: `running`, `paused`, or Lambda's word for what is in between.
    pub consumer: Told<String>,
    /// The queue of deliveries.
    pub queue: Told<QueueState>,
    /// How many messages the dead-letter queue has.
    pub dead_letters: Told<u64>,
    /// The events that somebody must do something about.
    pub open_records: Told<OpenRecords>,
    /// What CloudWatch has counted and measured.
    pub measured: Told<Measured>,
    /// Each endpoint.
    pub endpoints: Vec<EndpointState>,
}

/// What was asked for, or why it could not be had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Told<T> {
    /// What was asked for.
    Known(T),
    /// It could not be had.
    Unknown {
        /// Why.
        unknown: String,
    },
}

/// The CloudFormation stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StackState {
    /// CloudFormation's word: `UPDATE_COMPLETE`.
    pub status: String,
    /// When it was last created or updated.
    pub changed_at: Option<UnixSeconds>,
}

/// The alarms of a stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Alarms {
    /// How many there are.
    pub count: usize,
    /// Those in the state ALARM, by name.
    pub raised: Vec<Alarm>,
    /// The names of those that have too little data to be judged.
    pub without_data: Vec<String>,
}

/// An alarm in the state ALARM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Alarm {
    /// Its name, without the stack's.
    pub name: String,
    /// Since when.
    pub since: Option<UnixSeconds>,
    /// The first sentence of its description.
    pub says: String,
}

/// About how many messages the queue has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct QueueState {
    /// Those that can be taken.
    pub visible: u64,
    /// Those that the consumer has in hand, or that wait for their next attempt.
    pub in_flight: u64,
    /// Those that were sent with a delay.
    pub delayed: u64,
}

/// The records in the ledger's index that a person must judge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct OpenRecords {
    /// How many events failed.
    pub failed: usize,
    /// How many are parked.
    pub parked: usize,
    /// Whether all were counted; if not, there are more.
    pub all_counted: bool,
}

/// What CloudWatch has counted and measured of the stage.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Measured {
    /// By what was counted: `accepted`, `refused`, `unavailable`, `spooled`, `landed`, `duplicates`, `failed`, `parked`.
    pub counts: BTreeMap<&'static str, Counts>,
    /// How old events were when they landed, in the last hour.
    pub age_at_landing: Option<Ages>,
    /// How long the latest probe of the last hour took to land, in milliseconds.
    pub probe_age_ms: Option<Latest>,
    /// How old the oldest delivery in the spool was last, in seconds; 0 if it was empty.
    pub spool_age_seconds: Option<Latest>,
    /// How old the oldest message in the queue was last, in seconds.
    pub oldest_in_queue_seconds: Option<Latest>,
}

/// How much was counted in the time before now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// In the last five minutes.
    pub last_5_minutes: u64,
    /// In the last hour.
    pub last_hour: u64,
    /// In the last day.
    pub last_day: u64,
}

/// Percentiles, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Ages {
    /// Half of them were no older.
    pub p50_ms: f64,
    /// All but a hundredth of them were no older.
    pub p99_ms: f64,
}

/// The latest value of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Latest {
    /// The beginning of its minute.
    pub at: UnixSeconds,
    /// The value.
    pub value: f64,
}

/// One endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EndpointState {
    /// As in `endpoints.toml`.
    pub endpoint: String,
    /// By what was counted: `accepted`, `refused`, `landed`, `failed`; empty if CloudWatch does not say.
    pub counts: BTreeMap<&'static str, Counts>,
    /// What is known of its secrets.
    pub secrets: EndpointSecrets,
}

/// All that there is to know about a deployment and these endpoints of it.
pub async fn status(deployment: &Deployment, endpoints: &[&Endpoint], now: UnixSeconds) -> Status {
    let (stack, alarms, consumer) = join3(stack_state(deployment), alarms(deployment), consumer(deployment)).await;
    let (queue, dead_letters, open_records) =
        join3(queue(deployment), dead_letters(deployment), open_records(deployment)).await;
    let secrets = secrets::list(deployment, endpoints.iter().copied(), now);
    let (secrets, measured) = futures_util::future::join(secrets, counted(deployment, endpoints, now)).await;
    let (measured, mut by_endpoint) = match measured {
        Ok((measured, by_endpoint)) => (Told::Known(measured), by_endpoint),
        Err(error) => (Told::Unknown { unknown: format!("{error:#}") }, BTreeMap::new()),
    };
    let state = |secrets: EndpointSecrets| EndpointState {
        counts: by_endpoint.remove(&secrets.endpoint).unwrap_or_default(),
        endpoint: secrets.endpoint.clone(),
        secrets,
    };
    let mut status = Status {
        stage: deployment.stage.clone(),
        at: now,
        well: true,
        troubles: Vec::new(),
        not_known: Vec::new(),
        stack: stack.into(),
        alarms: alarms.into(),
        consumer: consumer.into(),
        queue: queue.into(),
        dead_letters: dead_letters.into(),
        open_records: open_records.into(),
        measured,
        endpoints: secrets.into_iter().map(state).collect(),
    };
    status.troubles = troubles(&status);
    status.not_known = not_known(&status);
    status.well = status.troubles.is_empty();
    status
}

impl<T> From<Result<T>> for Told<T> {
    fn from(result: Result<T>) -> Told<T> {
        match result {
            Ok(known) => Told::Known(known),
            Err(error) => Told::Unknown { unknown: format!("{error:#}") },
        }
    }
}

impl<T> Told<T> {
    /// What was asked for, if it could be had.
    pub fn known(&self) -> Option<&T> {
        match self {
            Told::Known(known) => Some(known),
            Told::Unknown { .. } => None,
        }
    }

    fn unknown(&self) -> Option<&str> {
        match self {
            Told::Known(_) => None,
            Told::Unknown { unknown } => Some(unknown),
        }
    }
}

async fn stack_state(deployment: &Deployment) -> Result<StackState> {
    let stack = stack(&deployment.configuration, &deployment.stage).await?.context("the stack is gone")?;
    let changed_at = stack.last_updated_time().or(stack.creation_time());
    Ok(StackState {
        status: stack.stack_status().map_or("no status", StackStatus::as_str).to_owned(),
        changed_at: changed_at.map(instant),
    })
}

async fn alarms(deployment: &Deployment) -> Result<Alarms> {
    let prefix = format!("{}-", stack_name(&deployment.stage));
    let mut pages = deployment
        .cloudwatch()
        .describe_alarms()
        .alarm_name_prefix(&prefix)
        .alarm_types(AlarmType::MetricAlarm)
        .alarm_types(AlarmType::CompositeAlarm)
        .into_paginator()
        .send();
    let mut alarms = Alarms { count: 0, raised: Vec::new(), without_data: Vec::new() };
    let mut add =
        |name: Option<&str>, state: Option<&StateValue>, since: Option<&DateTime>, description: Option<&str>| {
            let name = name.unwrap_or_default();
            let name = name.strip_prefix(&prefix).unwrap_or(name).to_owned();
            alarms.count += 1;
            match state {
                Some(&StateValue::Alarm) => alarms.raised.push(Alarm {
                    name,
                    since: since.map(instant),
                    says: first_sentence(description.unwrap_or_default()),
                }),
                Some(&StateValue::InsufficientData) => alarms.without_data.push(name),
                _ => {}
            }
        };
    while let Some(page) = pages.next().await {
        let page = page.with_context(|| deployment.cannot("list the alarms"))?;
        for alarm in page.metric_alarms() {
            let since = alarm.state_transitioned_timestamp().or(alarm.state_updated_timestamp());
            add(alarm.alarm_name(), alarm.state_value(), since, alarm.alarm_description());
        }
        for alarm in page.composite_alarms() {
            let since = alarm.state_transitioned_timestamp().or(alarm.state_updated_timestamp());
            add(alarm.alarm_name(), alarm.state_value(), since, alarm.alarm_description());
        }
    }
    alarms.raised.sort_by(|one, other| one.name.cmp(&other.name));
    alarms.without_data.sort_unstable();
    Ok(alarms)
}

async fn consumer(deployment: &Deployment) -> Result<String> {
    Ok(consumption(deployment).await?.word().to_owned())
}

async fn queue(deployment: &Deployment) -> Result<QueueState> {
    let names = [
        QueueAttributeName::ApproximateNumberOfMessages,
        QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
        QueueAttributeName::ApproximateNumberOfMessagesDelayed,
    ];
    let call = deployment.sqs().get_queue_attributes().queue_url(&deployment.queue_url);
    let answer = call.set_attribute_names(Some(names.to_vec())).send().await;
    let answer = answer.with_context(|| deployment.cannot("count the messages in the queue"))?;
    let count = |name| answer.attributes().and_then(|all| all.get(&name)?.parse::<u64>().ok()).unwrap_or_default();
    let [visible, in_flight, delayed] = names.map(count);
    Ok(QueueState { visible, in_flight, delayed })
}

async fn dead_letters(deployment: &Deployment) -> Result<u64> {
    consumption::messages(deployment, &deployment.dead_letter_queue_url).await
}

async fn open_records(deployment: &Deployment) -> Result<OpenRecords> {
    let of = |given_up| Selection { given_up, endpoint: None, since: None };
    let failed = list(deployment, &of(GivenUp::Failed), 0).await?;
    let parked = list(deployment, &of(GivenUp::Parked), 0).await?;
    Ok(OpenRecords { failed: failed.more, parked: parked.more, all_counted: failed.all_counted && parked.all_counted })
}

type ByEndpoint = BTreeMap<String, BTreeMap<&'static str, Counts>>;

/// What CloudWatch has: minutes of the last hour, and five minutes each of the last day.
async fn counted(deployment: &Deployment, endpoints: &[&Endpoint], now: UnixSeconds) -> Result<(Measured, ByEndpoint)> {
    let counts = |period| {
        let stage = STAGE_COUNTS.map(|(_, metric)| Query::of_stage(deployment, metric, "Sum", period));
        let of_endpoint = move |endpoint: &&Endpoint| {
            ENDPOINT_COUNTS.map(|(_, metric)| Query::sum_of_endpoint(deployment, metric, &endpoint.name, period))
        };
        stage.into_iter().chain(endpoints.iter().flat_map(of_endpoint)).collect::<Vec<_>>()
    };
    let queue = deployment.queue_url.rsplit('/').next().unwrap_or_default();
    let others = [
        Query::of_stage(deployment, Metric::AgeAtLanding, "p50", HOUR),
        Query::of_stage(deployment, Metric::AgeAtLanding, "p99", HOUR),
        Query::of_stage(deployment, Metric::ProbeAge, "Maximum", MINUTE),
        Query::of_stage(deployment, Metric::SpoolAge, "Maximum", MINUTE),
        Query::largest_of_queue("ApproximateAgeOfOldestMessage", queue),
    ];
    let (by_minute, by_five_minutes) = (counts(MINUTE), counts(FIVE_MINUTES));
    let of_hour: Vec<Query> = others.into_iter().chain(by_minute).collect();
    let hour = measured(deployment, &of_hour, now.plus(-i64::from(HOUR)), now);
    let day = measured(deployment, &by_five_minutes, now.plus(-DAY_SECONDS), now);
    let answer = futures_util::future::try_join(hour, day).await;
    let (hour, day) = answer.with_context(|| deployment.cannot("read the metrics"))?;

    let mut hour = hour.into_iter();
    let mut next = || hour.next().unwrap_or_default();
    let [p50, p99, probe, spool, oldest] = [next(), next(), next(), next(), next()];
    let mut counts = hour.zip(day).map(|(minutes, day)| counts_of(&minutes, &day, now));
    let mut take = |names: &'static [(&'static str, Metric)]| -> BTreeMap<&'static str, Counts> {
        names.iter().map(|(name, _)| (*name, counts.next().unwrap_or_default())).collect()
    };
    let measured = Measured {
        counts: take(&STAGE_COUNTS),
        age_at_landing: largest(&p50).zip(largest(&p99)).map(|(p50_ms, p99_ms)| Ages { p50_ms, p99_ms }),
        probe_age_ms: latest(&probe),
        spool_age_seconds: latest(&spool),
        oldest_in_queue_seconds: latest(&oldest),
    };
    let by_endpoint = endpoints.iter().map(|endpoint| (endpoint.name.clone(), take(&ENDPOINT_COUNTS))).collect();
    Ok((measured, by_endpoint))
}

/// ```text
///  a day ago                      an hour ago            5 min ago   this minute   now
/// ─────┼───────────────────────────────┼──────────────────────┼───────────┼─────────▶
///      │◀──────────────── five minutes each ─────────────────────────────▶│
///                                      │◀────── minutes: those that begin in it ───▶│
/// ```
fn counts_of(minutes: &Points, day: &Points, now: UnixSeconds) -> Counts {
    let this_minute = now.0.div_euclid(60) * 60;
    let sum = |points: &Points, seconds: i64| {
        let begins_in_it = |(at, _): &&(UnixSeconds, f64)| at.0 >= this_minute - seconds;
        let sum: f64 = points.iter().filter(begins_in_it).map(|(_, value)| value).sum();
        whole(sum)
    };
    let last_hour = sum(minutes, i64::from(HOUR));
    Counts {
        last_5_minutes: sum(minutes, i64::from(FIVE_MINUTES)),
        last_hour,
        last_day: sum(day, DAY_SECONDS + i64::from(FIVE_MINUTES)).max(last_hour),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is a count, which CloudWatch has as f64"
)]
fn whole(sum: f64) -> u64 {
    sum.max(0.0).round() as u64
}

/// CloudWatch may divide the last hour into two periods, whose percentiles cannot be put together: the larger one.
fn largest(points: &Points) -> Option<f64> {
    points.iter().map(|(_, value)| *value).reduce(f64::max)
}

fn latest(points: &Points) -> Option<Latest> {
    points.last().map(|(at, value)| Latest { at: *at, value: *value })
}

fn instant(at: &DateTime) -> UnixSeconds {
    UnixSeconds(at.secs())
}

fn first_sentence(text: &str) -> String {
    let text = one_line(text);
    let end = text.find(". ").map_or(text.len(), |end| end + 1);
    text.get(..end).unwrap_or(&text).to_owned()
}

/// What is wrong, the gravest first.
fn troubles(status: &Status) -> Vec<String> {
    let mut troubles = Vec::new();
    if let Some(alarms) = status.alarms.known() {
        troubles.extend(alarms.raised.iter().map(|alarm| format!("alarm {}: {}", alarm.name, alarm.says)));
    }
    if let Some(state) = status.stack.known().filter(|state| deployment_failed(&state.status)) {
        troubles.push(format!("the last deployment did not go through: the stack is {}", state.status));
    }
    if let Some(consumer) = status.consumer.known().filter(|consumer| *consumer != "running") {
        troubles.push(format!("the consumer is not running: {consumer}"));
    }
    for endpoint in &status.endpoints {
        if let Some(problem) = &endpoint.secrets.problem {
            troubles.push(format!("{} answers 503: {problem}", endpoint.endpoint));
        }
    }
    let measured = status.measured.known();
    let now = measured.and_then(|measured| measured.counts.get("unavailable")).map(|counts| counts.last_5_minutes);
    if let Some(count) = now.filter(|count| *count > 0) {
        troubles.push(format!("{count} requests were answered 503 in the last five minutes"));
    }
    let spool = measured.and_then(|measured| measured.spool_age_seconds).filter(|latest| latest.value > 0.0);
    if let Some(latest) = spool {
        troubles.push(format!("deliveries lie in the spool, the oldest for {} s", latest.value));
    }
    if let Some(count) = status.dead_letters.known().filter(|count| **count > 0) {
        troubles.push(format!("{count} messages are in the dead-letter queue"));
    }
    if let Some(open) = status.open_records.known() {
        let at_least = if open.all_counted { "" } else { "at least " };
        for (count, what) in [(open.failed, "failed"), (open.parked, "parked")] {
            if count > 0 {
                troubles.push(format!("{at_least}{count} events are {what} and wait for somebody"));
            }
        }
    }
    troubles
}

/// Whether a stack is in a state into which a deployment only comes by failing.
fn deployment_failed(status: &str) -> bool {
    status.ends_with("_FAILED") || status.contains("ROLLBACK")
}

fn not_known(status: &Status) -> Vec<String> {
    let parts = [
        ("the stack", status.stack.unknown()),
        ("the alarms", status.alarms.unknown()),
        ("the consumer", status.consumer.unknown()),
        ("the queue", status.queue.unknown()),
        ("the dead letters", status.dead_letters.unknown()),
        ("the failed and parked events", status.open_records.unknown()),
        ("the metrics", status.measured.unknown()),
    ];
    let parts = parts.into_iter().filter_map(|(what, why)| Some(format!("{what}: {}", why?)));
    let secrets = status.endpoints.iter().filter_map(|endpoint| {
        let why = endpoint.secrets.unreadable.as_ref()?;
        Some(format!("the secrets of {}: {why}", endpoint.endpoint))
    });
    parts.chain(secrets).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Not the beginning of a minute.
    const NOW: UnixSeconds = UnixSeconds(1_754_000_050);
    const THIS_MINUTE: UnixSeconds = UnixSeconds(1_754_000_040);

    #[test]
    fn what_is_counted_is_summed_over_five_minutes_an_hour_and_a_day() {
        let at = |seconds: i64, value: f64| (THIS_MINUTE.plus(-seconds), value);
        let minutes = vec![at(3660, 1000.0), at(3600, 100.0), at(360, 10.0), at(300, 1.0), at(0, 1.0)];
        let day = vec![at(86_400 + 360, 10_000.0), at(86_400, 5.0), at(0, 12.0)];
        let counts = counts_of(&minutes, &day, NOW);
        assert_eq!(
            counts,
            Counts { last_5_minutes: 2, last_hour: 112, last_day: 112 },
            "a day has its last hour in it"
        );
        let day = vec![at(86_400, 500.0), at(0, 12.0)];
        assert_eq!(counts_of(&minutes, &day, NOW).last_day, 512);
        assert_eq!(counts_of(&vec![], &vec![], NOW), Counts::default());
    }

    #[test]
    fn an_alarm_says_its_first_sentence() {
        assert_eq!(first_sentence("Events failed\nfor good. Each is a record."), "Events failed for good.");
        assert_eq!(first_sentence("No end"), "No end");
        assert_eq!(first_sentence("Version 1.5 fails."), "Version 1.5 fails.");
    }

    #[test]
    fn a_rolled_back_stack_is_a_trouble_and_one_that_is_being_updated_is_none() {
        for status in ["UPDATE_ROLLBACK_COMPLETE", "ROLLBACK_COMPLETE", "UPDATE_FAILED", "UPDATE_ROLLBACK_IN_PROGRESS"]
        {
            assert!(deployment_failed(status), "{status}");
        }
        for status in ["CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_IN_PROGRESS"] {
            assert!(!deployment_failed(status), "{status}");
        }
    }
}
