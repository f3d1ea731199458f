//! The failed and parked events, newest first, by the index that holds only such records: no scan.

use std::cmp::Reverse;
use std::collections::HashMap;

use anyhow::{Context, Result};
use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::try_join_all;
use serde::Serialize;
use wharf_webhook::clock::UnixSeconds;
use wharf_webhook::ledger::table::{self, List};
use wharf_webhook::ledger::{Record, RecordKey, State};

use crate::deployment::Deployment;
use crate::records::{Item, key_of, record_of};

/// How many pages of a partition are read in order to count what is not listed, each up to 1 MB (DynamoDB).
const PAGES_MAX: usize = 10;

/// Which events are listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// Which kinds of them.
    pub given_up: GivenUp,
    /// Those of this endpoint; `None` for all.
    pub endpoint: Option<String>,
    /// Those that failed or were parked since; `None` for all.
    pub since: Option<UnixSeconds>,
}

/// How an event was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GivenUp {
    /// It failed, or was parked.
    Either,
    /// It failed.
    Failed,
    /// It was parked.
    Parked,
}

/// Events, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listing {
    /// The newest, up to the limit that was asked for.
    pub events: Vec<FailedEvent>,
    /// How many there are beyond these.
    pub more: usize,
    /// Whether all were counted; if not, `more` is the least that there are.
    pub all_counted: bool,
}

/// A failed or parked event, as the index knows it. Instants are seconds since 1970 in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FailedEvent {
    /// The endpoint that it came to.
    pub endpoint: String,
    /// The sender's id of the event, or what stands for it.
    pub id: String,
    /// `<endpoint>#<event id>`
    pub event_key: String,
    /// The digest of the body, or `-`.
    pub body_key: String,
    /// `failed` or `parked`
    pub state: String,
    /// When it failed or was parked.
    pub settled_at: UnixSeconds,
    /// When it was first received.
    pub received_at: UnixSeconds,
    /// The type of the event.
    pub event_type: Option<String>,
    /// How often a person had it processed again.
    pub replay: u32,
    /// How many attempts there were, since it last failed, was parked or replayed.
    pub attempt: u32,
    /// How many of these ended with the death of the worker.
    pub interruptions: u32,
    /// Why it failed or was parked.
    pub reason: Option<String>,
}

/// The newest `limit` events of a selection, and how many more there are. The index follows the table within moments: what
/// is done to a record must go by the table.
///
/// # Errors
/// If the index cannot be read.
pub async fn list(deployment: &Deployment, selection: &Selection, limit: usize) -> Result<Listing> {
    let partitions = selection.given_up.lists().iter().flat_map(|list| list.partitions());
    let parts = partitions.map(|partition| part(deployment, selection, partition, limit));
    let parts = try_join_all(parts).await?;
    let found: usize = parts.iter().map(|part| part.found).sum();
    let all_counted = parts.iter().all(|part| part.all_counted);
    let mut events: Vec<FailedEvent> = parts.into_iter().flat_map(|part| part.events).collect();
    events.sort_by_key(|event| Reverse(event.settled_at));
    events.truncate(limit);
    Ok(Listing { more: found - events.len(), events, all_counted })
}

/// What one partition of the index has.
struct Part {
    events: Vec<FailedEvent>,
    found: usize,
    all_counted: bool,
}

async fn part(deployment: &Deployment, selection: &Selection, partition: String, limit: usize) -> Result<Part> {
    let mut part = Part { events: Vec::new(), found: 0, all_counted: true };
    let since = selection.since.unwrap_or(UnixSeconds(0));
    let text = AttributeValue::S;
    let mut values = HashMap::from([
        (":list".to_owned(), text(partition)),
        (":since".to_owned(), AttributeValue::N(since.0.to_string())),
    ]);
    if let Some(endpoint) = &selection.endpoint {
        values.insert(":endpoint".to_owned(), text(RecordKey::partition(endpoint, "")));
    }
    let mut pages = deployment
        .dynamodb()
        .query()
        .table_name(&deployment.table)
        .index_name(table::INDEX)
        .key_condition_expression("open_list = :list AND open_at >= :since")
        .set_filter_expression(selection.endpoint.as_ref().map(|_| "begins_with(event_key, :endpoint)".to_owned()))
        .set_expression_attribute_values(Some(values))
        .scan_index_forward(false)
        .into_paginator()
        .send();
    let mut pages_read = 0;
    while let Some(page) = pages.next().await {
        let page = page.with_context(|| deployment.cannot("read the list of failed and parked events"))?;
        part.found += page.items().len();
        for item in page.items() {
            if part.events.len() < limit {
                part.events.extend(event(item)?);
            }
        }
        pages_read += 1;
        if pages_read >= PAGES_MAX && part.events.len() >= limit {
            part.all_counted = page.last_evaluated_key().is_none();
            break;
        }
    }
    Ok(part)
}

fn event(item: &Item) -> Result<Option<FailedEvent>> {
    let Some(key) = key_of(item) else { return Ok(None) };
    let record = record_of(item, &key)?;
    Ok(FailedEvent::new(&key, &record))
}

impl GivenUp {
    fn lists(self) -> &'static [List] {
        match self {
            GivenUp::Either => &[List::Failed, List::Parked],
            GivenUp::Failed => &[List::Failed],
            GivenUp::Parked => &[List::Parked],
        }
    }
}

impl FailedEvent {
    /// What the list shows of a record; `None` if it is neither failed nor parked.
    fn new(key: &RecordKey, record: &Record) -> Option<FailedEvent> {
        match record.state {
            State::Failed | State::Parked => {}
            State::Processing | State::Waiting | State::Completed => return None,
        }
        Some(FailedEvent {
            endpoint: key.endpoint().to_owned(),
            id: key.event_id().to_owned(),
            event_key: key.event.clone(),
            body_key: key.body.clone(),
            state: record.state.word().to_owned(),
            settled_at: record.settled_at?,
            received_at: record.received_at,
            event_type: record.event_type.clone(),
            replay: record.replay,
            attempt: record.attempt,
            interruptions: record.interruptions,
            reason: record.failures.last().map(|failure| failure.reason.clone()),
        })
    }

    /// Where its record is.
    pub fn key(&self) -> RecordKey {
        RecordKey { event: self.event_key.clone(), body: self.body_key.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::tests::failed;

    #[test]
    fn the_list_shows_why_an_event_failed_last() {
        let key = RecordKey { event: "shop#o#1".into(), body: "-".into() };
        let event = FailedEvent::new(&key, &failed()).unwrap();
        assert_eq!(
            serde_json::to_string(&event).unwrap(),
            concat!(
                r#"{"endpoint":"shop","id":"o#1","event_key":"shop#o#1","body_key":"-","state":"failed","#,
                r#""settled_at":1754000100,"received_at":1754000000,"event_type":"paid","replay":1,"attempt":2,"#,
                r#""interruptions":0,"reason":"there is no such order"}"#
            )
        );
        assert_eq!(event.key(), key);
        let waiting = Record { state: State::Waiting, ..failed() };
        assert_eq!(FailedEvent::new(&key, &waiting), None);
    }
}
