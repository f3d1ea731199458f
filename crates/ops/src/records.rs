//! The ledger's records, as operators look at them, and their way from the table and back.
//!
//! What a record means, what may take its place and under which condition, is the core's: `wharf_webhook::ledger`.

use std::collections::HashMap;

use anyhow::{Context, Result};
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use serde::Serialize;
use wharf_webhook::clock::UnixSeconds;
use wharf_webhook::idempotency::IdempotencyKey;
use wharf_webhook::ledger::table::{self, Attribute, Expression};
use wharf_webhook::ledger::{Failure, Record, RecordKey, Write};

use crate::deployment::Deployment;

/// A record. Instants are seconds since 1970 in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RecordView {
    /// `<endpoint>#<event id>`
    pub event_key: String,
    /// The digest of the body, or `-`.
    pub body_key: String,
    /// `processing`, `waiting`, `completed`, `failed`, `parked`
    pub state: String,
    /// How often a person had it processed again.
    pub replay: u32,
    /// How many claims there were, since it last failed, was parked or replayed.
    pub attempt: u32,
    /// How many of these ended with the death of the worker.
    pub interruptions: u32,
    /// The nonce of the last claim, or of the last replay.
    pub owner: String,
    /// The type of the event.
    pub event_type: Option<String>,
    /// API Gateway's id of the request that brought the delivery that was last claimed.
    pub arrival_id: String,
    /// The digest of its body.
    pub body_sha256: String,
    /// When it was first received.
    pub received_at: UnixSeconds,
    /// Until when the claim holds, while `processing`.
    pub lease_until: Option<UnixSeconds>,
    /// From when it may be claimed, while `waiting`.
    pub due_at: Option<UnixSeconds>,
    /// When its message was last put into the queue again, while `waiting`.
    pub sent_at: Option<UnixSeconds>,
    /// When it was completed, failed or parked.
    pub settled_at: Option<UnixSeconds>,
    /// Until when the message is kept, if it is `completed` and holds one.
    pub keep_until: Option<UnixSeconds>,
    /// When it was last replayed.
    pub replayed_at: Option<UnixSeconds>,
    /// From when it may be forgotten.
    pub expires_at: UnixSeconds,
    /// Whether the record, and not the queue, holds the message.
    pub holds_message: bool,
    /// The attempts that failed, oldest first; of many, the latest.
    pub failures: Vec<Failure>,
}

/// What a conditional write comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// It is in the table.
    Yes,
    /// It is not: the record has changed since it was read, or is gone.
    No,
}

/// The records of an endpoint under a sender's id of an event, or under an idempotency key.
///
/// # Errors
/// If the ledger cannot be read.
pub async fn find(deployment: &Deployment, endpoint: &str, id: &str) -> Result<Vec<RecordView>> {
    let records = whole(deployment, endpoint, id).await?;
    Ok(records.iter().map(|(key, record)| RecordView::new(key, record)).collect())
}

/// The same records, with all that they hold.
///
/// # Errors
/// If the ledger cannot be read.
pub async fn whole(deployment: &Deployment, endpoint: &str, id: &str) -> Result<Vec<(RecordKey, Record)>> {
    let key = IdempotencyKey::parse(id).with_context(|| format!("{id:?} cannot be the id of an event"))?;
    // A key with a body is one record; without, all of that id.
    let (event, body) = key.event_and_body();
    let mut records = Vec::new();
    let mut items = deployment
        .dynamodb()
        .query()
        .table_name(&deployment.table)
        .key_condition_expression("event_key = :event_key")
        .expression_attribute_values(":event_key", AttributeValue::S(RecordKey::partition(endpoint, event)))
        .consistent_read(true)
        .into_paginator()
        .items()
        .send();
    while let Some(item) = items.next().await {
        let item = item.with_context(|| deployment.cannot("read the ledger"))?;
        // Beside an event without an id may stand the guard of a body under another id.
        if let Some(key) = key_of(&item)
            && body.is_none_or(|body| key.body == body)
        {
            let record = record_of(&item, &key)?;
            records.push((key, record));
        }
    }
    Ok(records)
}

/// The record of a key, as it is in the table now.
///
/// # Errors
/// If the ledger cannot be read.
pub async fn read(deployment: &Deployment, key: &RecordKey) -> Result<Option<Record>> {
    let call = deployment.dynamodb().get_item().table_name(&deployment.table).consistent_read(true);
    let answer = call.set_key(Some(primary_key(key))).send().await;
    let answer = answer.with_context(|| deployment.cannot("read the ledger"))?;
    answer.item.map(|item| record_of(&item, key)).transpose()
}

/// Writes a record under its condition.
///
/// # Errors
/// If it is not known whether it was written.
pub async fn write(deployment: &Deployment, key: &RecordKey, write: &Write) -> Result<Written> {
    let condition = ConditionParts::new(write.condition.expression());
    let call = deployment.dynamodb().put_item().table_name(&deployment.table);
    let answer = call
        .set_item(Some(item(key, &write.record)))
        .condition_expression(condition.text)
        .set_expression_attribute_names(condition.names)
        .set_expression_attribute_values(condition.values)
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
        .send()
        .await;
    match answer {
        Ok(_) => Ok(Written::Yes),
        Err(SdkError::ServiceError(error)) if error.err().is_conditional_check_failed_exception() => {
            let PutItemError::ConditionalCheckFailedException(refused) = error.into_err() else {
                return Ok(Written::No);
            };
            // It may be our own write, whose first answer was lost, so that the SDK repeated it.
            let found = refused.item.map(|item| record_of(&item, key)).transpose()?;
            Ok(if found.is_some_and(|found| write.is(&found)) { Written::Yes } else { Written::No })
        }
        Err(error) => Err(error).with_context(|| deployment.cannot("write to the ledger")),
    }
}

/// A condition, as DynamoDB's calls take it.
pub(crate) struct ConditionParts {
    /// `ConditionExpression`.
    pub text: &'static str,
    /// `ExpressionAttributeNames`.
    pub names: Option<HashMap<String, String>>,
    /// `ExpressionAttributeValues`.
    pub values: Option<Item>,
}

impl ConditionParts {
    pub(crate) fn new(expression: Expression) -> ConditionParts {
        let names: HashMap<_, _> =
            expression.names.iter().map(|(short, name)| ((*short).to_owned(), (*name).to_owned())).collect();
        // DynamoDB refuses an empty list of names.
        let names = Some(names).filter(|names| !names.is_empty());
        ConditionParts { text: expression.text, names, values: Some(values(expression.values)) }
    }
}

/// As DynamoDB's client has it.
pub(crate) type Item = HashMap<String, AttributeValue>;

fn item(key: &RecordKey, record: &Record) -> Item {
    values(table::item(key, record))
}

fn values(attributes: Vec<(&'static str, Attribute)>) -> Item {
    let value = |attribute| match attribute {
        Attribute::Text(text) => AttributeValue::S(text),
        Attribute::Number(number) => AttributeValue::N(number.to_string()),
    };
    attributes.into_iter().map(|(name, attribute)| (name.to_owned(), value(attribute))).collect()
}

/// The primary key of the item that stands there.
pub(crate) fn primary_key(key: &RecordKey) -> Item {
    let text = |text: &str| AttributeValue::S(text.to_owned());
    HashMap::from([(table::PARTITION_KEY.to_owned(), text(&key.event)), (table::SORT_KEY.to_owned(), text(&key.body))])
}

/// Where an item stands; `None` if it is no record.
pub(crate) fn key_of(item: &Item) -> Option<RecordKey> {
    table::key(|name| attribute(item, name))
}

/// The record that an item holds.
pub(crate) fn record_of(item: &Item, key: &RecordKey) -> Result<Record> {
    table::read(|name| attribute(item, name)).with_context(|| {
        format!(
            "the record {} {} is left as it is: it cannot be read by this release of `cargo ops`, and perhaps by a newer one",
            key.event, key.body
        )
    })
}

fn attribute(item: &Item, name: &str) -> Option<Attribute> {
    let value = item.get(name)?;
    let number = || value.as_n().ok()?.parse().ok().map(Attribute::Number);
    value.as_s().ok().cloned().map(Attribute::Text).or_else(number)
}

impl RecordView {
    /// What people see of a record.
    pub fn new(key: &RecordKey, record: &Record) -> RecordView {
        RecordView {
            event_key: key.event.clone(),
            body_key: key.body.clone(),
            state: record.state.word().to_owned(),
            replay: record.replay,
            attempt: record.attempt,
            interruptions: record.interruptions,
            owner: record.owner.clone(),
            event_type: record.event_type.clone(),
            arrival_id: record.arrival_id.clone(),
            body_sha256: record.body.to_string(),
            received_at: record.received_at,
            lease_until: record.lease_until,
            due_at: record.due_at,
            sent_at: record.sent_at,
            settled_at: record.settled_at,
            keep_until: record.keep_until,
            replayed_at: record.replayed_at,
            expires_at: record.expires_at,
            holds_message: record.message.is_some(),
            failures: record.failures.clone(),
        }
    }

    /// As `cargo ops inspect` prints it: a line for each thing that is known.
    pub fn lines(&self) -> Vec<(&'static str, String)> {
        let instant = |at: UnixSeconds| at.to_string();
        let counted = |count: u32| Some(count.to_string()).filter(|_| count > 0);
        let known = [
            ("event", Some(self.event_key.clone())),
            ("body", Some(self.body_key.clone()).filter(|body| body != "-")),
            ("state", Some(self.state.clone())),
            ("replay", counted(self.replay)),
            ("attempt", Some(self.attempt.to_string())),
            ("interruptions", counted(self.interruptions)),
            ("type", self.event_type.clone()),
            ("received at", Some(instant(self.received_at))),
            ("lease until", self.lease_until.map(instant)),
            ("due at", self.due_at.map(instant)),
            ("sent at", self.sent_at.map(instant)),
            ("settled at", self.settled_at.map(instant)),
            ("kept until", self.keep_until.map(instant)),
            ("replayed at", self.replayed_at.map(instant)),
            ("forgotten from", Some(instant(self.expires_at))),
            ("arrival id", Some(self.arrival_id.clone())),
            ("last owner", Some(self.owner.clone())),
        ];
        known.into_iter().filter_map(|(name, value)| value.map(|value| (name, value))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::tests::failed;

    #[test]
    fn json_shows_a_record_like_this() {
        let key = RecordKey { event: "shop#o-1".into(), body: "-".into() };
        let view = serde_json::to_string_pretty(&RecordView::new(&key, &failed())).unwrap();
        assert_eq!(
            view,
            r#"{
  "event_key": "shop#o-1",
  "body_key": "-",
  "state": "failed",
  "replay": 1,
  "attempt": 2,
  "interruptions": 0,
  "owner": "nonce",
  "event_type": "paid",
  "arrival_id": "A1=",
  "body_sha256": "88c33a076d6c13228dc93728ed09cac76bab58b4401aa14cb52b646ffdb6ae58",
  "received_at": 1754000000,
  "lease_until": null,
  "due_at": null,
  "sent_at": null,
  "settled_at": 1754000100,
  "keep_until": null,
  "replayed_at": 1754000080,
  "expires_at": 1757024100,
  "holds_message": true,
  "failures": [
    {
      "at": 1754000010,
      "replay": 0,
      "attempt": 1,
      "reason": "the warehouse is closed"
    },
    {
      "at": 1754000090,
      "replay": 1,
      "attempt": 1,
      "reason": "the warehouse is closed"
    },
    {
      "at": 1754000100,
      "replay": 1,
      "attempt": 2,
      "reason": "there is no such order"
    }
  ]
}"#
        );
    }

    #[test]
    fn what_is_written_to_the_table_is_read_from_it_unchanged() {
        let key = RecordKey { event: "shop#o-1".into(), body: "-".into() };
        let item = item(&key, &failed());
        assert_eq!(key_of(&item), Some(key.clone()));
        assert_eq!(record_of(&item, &key).unwrap(), failed());
    }

    #[test]
    fn a_record_of_a_newer_release_is_not_read() {
        let key = RecordKey { event: "shop#o-1".into(), body: "-".into() };
        let mut item = item(&key, &failed());
        item.insert("version".into(), AttributeValue::N("2".into()));
        assert_eq!(
            format!("{:#}", record_of(&item, &key).unwrap_err()),
            "the record shop#o-1 - is left as it is: it cannot be read by this release of `cargo ops`, and perhaps by a \
             newer one: its version is missing or newer than this release's"
        );
    }
}
