//! A record as an item of a DynamoDB table, and conditions in DynamoDB's words.
//!
//! Whoever reads or writes records does it by this: the consumer, the housekeeper and `cargo ops`.

use std::fmt;

use sha2::{Digest as _, Sha256};
use thiserror::Error;

use super::{Condition, Failure, GUARD, Record, RecordKey, State};
use crate::clock::UnixSeconds;
use crate::idempotency::Digest;
use crate::limits::INDEX_SHARDS;

/// The version of a record that is written, and the newest that is read.
pub const VERSION: u32 = 1;

/// The attribute that is the table's partition key.
pub const PARTITION_KEY: &str = "event_key";
/// The attribute that is its sort key.
pub const SORT_KEY: &str = "body_key";
/// The index of the records that somebody has to do something about.
pub const INDEX: &str = "open-records";
/// The attribute that is the index's partition key; only open records have it.
pub const INDEX_PARTITION_KEY: &str = "open_list";
/// The attribute that is its sort key: an instant.
pub const INDEX_SORT_KEY: &str = "open_at";

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attribute {
    /// DynamoDB's `S`.
    Text(String),
    /// DynamoDB's `N`.
    Number(i64),
}

/// A list of open records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum List {
    /// What the housekeeper has to do, by the instant at which it is due.
    Errands,
    /// Failed events, by the instant at which they failed.
    Failed,
    /// Parked events, by the instant at which they were parked.
    Parked,
}

/// A condition in DynamoDB's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expression {
    /// `ConditionExpression`.
    pub text: &'static str,
    /// `ExpressionAttributeNames`: some of ours are DynamoDB's own words.
    pub names: &'static [(&'static str, &'static str)],
    /// `ExpressionAttributeValues`.
    pub values: Vec<(&'static str, Attribute)>,
}

/// An item that is no record that this release reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Unreadable {
    /// Written by a newer release, or not by us.
    #[error("its version is missing or newer than this release's")]
    Version,
    /// An attribute that every record has.
    #[error("its {0} is missing or not what it should be")]
    Attribute(&'static str),
}

impl List {
    /// The partitions of the index that hold it: all of them together are the list.
    pub fn partitions(self) -> impl Iterator<Item = String> {
        (0..INDEX_SHARDS).map(move |shard| format!("{self}#{shard}"))
    }

    /// The partition that holds the records of this event.
    fn partition_of(self, event: &str) -> String {
        let shard = Sha256::digest(event).first().map_or(0, |byte| byte % INDEX_SHARDS);
        format!("{self}#{shard}")
    }
}

impl fmt::Display for List {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            List::Errands => "errands",
            List::Failed => "failed",
            List::Parked => "parked",
        })
    }
}

impl Record {
    /// On which list it stands, and at which instant.
    pub fn listed(&self) -> Option<(List, UnixSeconds)> {
        match self.state {
            State::Failed => Some((List::Failed, self.settled_at?)),
            State::Parked => Some((List::Parked, self.settled_at?)),
            State::Processing | State::Waiting | State::Completed => {
                self.errand().map(|(_, due_at)| (List::Errands, due_at))
            }
        }
    }
}

impl Condition {
    /// The condition in DynamoDB's words.
    ///
    /// ```text
    ///              first arrival      expires_at
    /// vacant       |  (no item)       |  (deleted within days)
    ///              vacant             occupied until here, then vacant
    ///
    ///              claim       complete, fail, release     claim
    /// unchanged    | owner A, processing | owner A, completed | ...     whatever happens changes owner or state
    /// ```
    pub fn expression(&self) -> Expression {
        match self {
            Condition::Vacant { now } => Expression {
                text: "attribute_not_exists(event_key) OR expires_at <= :now",
                names: &[],
                values: vec![(":now", Attribute::Number(now.0))],
            },
            Condition::Unchanged { state, owner } => Expression {
                text: "#state = :state AND #owner = :owner",
                names: &[("#state", "state"), ("#owner", "owner")],
                values: vec![
                    (":state", Attribute::Text(state.word().to_owned())),
                    (":owner", Attribute::Text(owner.clone())),
                ],
            },
        }
    }
}

/// The item that holds a record.
pub fn item(key: &RecordKey, record: &Record) -> Vec<(&'static str, Attribute)> {
    let text = |text: &str| Attribute::Text(text.to_owned());
    let count = |count: u32| Attribute::Number(i64::from(count));
    let mut item = vec![
        (PARTITION_KEY, text(&key.event)),
        (SORT_KEY, text(&key.body)),
        ("version", count(VERSION)),
        ("state", text(record.state.word())),
        ("owner", text(&record.owner)),
        ("replay", count(record.replay)),
        ("attempt", count(record.attempt)),
        ("interruptions", count(record.interruptions)),
        ("received_at", Attribute::Number(record.received_at.0)),
        ("expires_at", Attribute::Number(record.expires_at.0)),
        ("arrival_id", text(&record.arrival_id)),
        ("body_sha256", Attribute::Text(record.body.to_string())),
    ];
    let instants = [
        ("lease_until", record.lease_until),
        ("due_at", record.due_at),
        ("sent_at", record.sent_at),
        ("settled_at", record.settled_at),
        ("keep_until", record.keep_until),
        ("replayed_at", record.replayed_at),
    ];
    let instants = instants.into_iter().filter_map(|(name, at)| Some((name, Attribute::Number(at?.0))));
    item.extend(instants);
    item.extend(record.event_type.as_deref().map(|event_type| ("event_type", text(event_type))));
    item.extend(record.guard.map(|guard| ("guard_sha256", Attribute::Text(guard.to_string()))));
    item.extend(record.message.as_deref().map(|message| ("message", text(message))));
    if !record.failures.is_empty() {
        // As JSON: nothing searches in it, and every reader takes it whole.
        item.push(("failures", Attribute::Text(serde_json::to_string(&record.failures).unwrap_or_default())));
    }
    if let Some((list, at)) = record.listed() {
        item.push((INDEX_PARTITION_KEY, Attribute::Text(list.partition_of(&key.event))));
        item.push((INDEX_SORT_KEY, Attribute::Number(at.0)));
    }
    item
}

/// The record that an item holds, of which `attribute` gives each attribute by name.
///
/// # Errors
/// [`Unreadable`]: then nothing may be concluded from it, and it must not be replaced.
pub fn read(attribute: impl Fn(&str) -> Option<Attribute>) -> Result<Record, Unreadable> {
    let text = |name: &str| match attribute(name) {
        Some(Attribute::Text(text)) => Some(text),
        Some(Attribute::Number(_)) | None => None,
    };
    let number = |name: &str| match attribute(name) {
        Some(Attribute::Number(number)) => Some(number),
        Some(Attribute::Text(_)) | None => None,
    };
    let instant = |name: &str| number(name).map(UnixSeconds);
    let count = |name: &'static str| {
        number(name).and_then(|count| u32::try_from(count).ok()).ok_or(Unreadable::Attribute(name))
    };
    // Records were written before these were counted.
    let count_if_any = |name: &'static str| attribute(name).map_or(Ok(0), |_| count(name));
    if !count("version").is_ok_and(|version| (1..=VERSION).contains(&version)) {
        return Err(Unreadable::Version);
    }
    let failures: Vec<Failure> = match text("failures") {
        Some(failures) => serde_json::from_str(&failures).map_err(|_| Unreadable::Attribute("failures"))?,
        None => Vec::new(),
    };
    let required = |name: &'static str| text(name).ok_or(Unreadable::Attribute(name));
    Ok(Record {
        state: text("state").and_then(|word| State::from_word(&word)).ok_or(Unreadable::Attribute("state"))?,
        owner: required("owner")?,
        replay: count_if_any("replay")?,
        attempt: count("attempt")?,
        interruptions: count_if_any("interruptions")?,
        lease_until: instant("lease_until"),
        due_at: instant("due_at"),
        sent_at: instant("sent_at"),
        settled_at: instant("settled_at"),
        keep_until: instant("keep_until"),
        replayed_at: instant("replayed_at"),
        received_at: instant("received_at").ok_or(Unreadable::Attribute("received_at"))?,
        expires_at: instant("expires_at").ok_or(Unreadable::Attribute("expires_at"))?,
        arrival_id: required("arrival_id")?,
        body: text("body_sha256")
            .and_then(|digest| Digest::from_hex(&digest))
            .ok_or(Unreadable::Attribute("body_sha256"))?,
        guard: match text("guard_sha256") {
            Some(digest) => Some(Digest::from_hex(&digest).ok_or(Unreadable::Attribute("guard_sha256"))?),
            None => None,
        },
        event_type: text("event_type"),
        failures,
        message: text("message"),
    })
}

/// Where an item stands. `None` if it is not a record's: a guard, or not ours.
pub fn key(attribute: impl Fn(&str) -> Option<Attribute>) -> Option<RecordKey> {
    match (attribute(PARTITION_KEY)?, attribute(SORT_KEY)?) {
        (Attribute::Text(event), Attribute::Text(body)) if body != GUARD => Some(RecordKey { event, body }),
        _ => None,
    }
}
