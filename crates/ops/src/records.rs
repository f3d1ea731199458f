//! The ledger's records, as operators look at them.

use std::collections::HashMap;

use anyhow::{Context, Result};
use aws_sdk_dynamodb::types::AttributeValue;
use serde::Serialize;
use wharf_webhook::clock::UnixSeconds;
use wharf_webhook::idempotency::IdempotencyKey;
use wharf_webhook::ledger::{GUARD, RecordKey};

use crate::stack::Facts;

/// A record. Instants are seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RecordView {
    /// `<endpoint>#<event id>`
    pub event_key: String,
    /// The digest of the body, or `-`.
    pub body_key: String,
    /// `processing`, `waiting`, `completed`, `failed`, `parked`
    pub state: String,
    /// How many claims there were.
    pub attempt: i64,
    /// The nonce of the last claim.
    pub owner: String,
    /// The type of the event.
    pub event_type: Option<String>,
    /// API Gateway's id of the request that brought the last claimed delivery.
    pub arrival_id: Option<String>,
    /// The digest of its body.
    pub body_sha256: Option<String>,
    /// When it was first received.
    pub received_at: Option<i64>,
    /// Until when the claim holds, while `processing`.
    pub lease_until: Option<i64>,
    /// When it was completed.
    pub completed_at: Option<i64>,
    /// From when it may be forgotten.
    pub expires_at: Option<i64>,
}

/// The records of an endpoint under a sender's id of an event, or under an idempotency key.
///
/// # Errors
/// If the ledger cannot be read.
pub async fn find(facts: &Facts, endpoint: &str, id: &str) -> Result<Vec<RecordView>> {
    let dynamodb = aws_sdk_dynamodb::Client::new(&facts.configuration());
    let key = IdempotencyKey::parse(id).with_context(|| format!("{id:?} cannot be the id of an event"))?;
    // A key with a body is one record; without, all of that id.
    let (event, body) = key.event_and_body();
    let mut records = Vec::new();
    let mut pages = dynamodb
        .query()
        .table_name(&facts.table)
        .key_condition_expression("event_key = :event_key")
        .expression_attribute_values(":event_key", AttributeValue::S(RecordKey::partition(endpoint, event)))
        .consistent_read(true)
        .into_paginator()
        .items()
        .send();
    while let Some(item) = pages.next().await {
        let item = item.context("cannot read the ledger of the local stack: is `cargo ops dev` still up?")?;
        // Beside an event without an id may stand the guard of a body under another id.
        if item.get("body_key").and_then(|value| value.as_s().ok()).is_none_or(|key| key != GUARD) {
            records.push(view(&item)?);
        }
    }
    records.retain(|record| body.is_none_or(|body| record.body_key == body));
    Ok(records)
}

fn view(item: &HashMap<String, AttributeValue>) -> Result<RecordView> {
    let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).cloned();
    let number = |name: &str| item.get(name).and_then(|value| value.as_n().ok()).and_then(|value| value.parse().ok());
    let required = |name: &str| text(name).with_context(|| format!("a record without {name}"));
    Ok(RecordView {
        event_key: required("event_key")?,
        body_key: required("body_key")?,
        state: required("state")?,
        attempt: number("attempt").context("a record without attempt")?,
        owner: text("owner").unwrap_or_default(),
        event_type: text("event_type"),
        arrival_id: text("arrival_id"),
        body_sha256: text("body_sha256"),
        received_at: number("received_at"),
        lease_until: number("lease_until"),
        completed_at: number("completed_at"),
        expires_at: number("expires_at"),
    })
}

impl RecordView {
    /// As `cargo ops inspect` prints it: a line for each thing that is known.
    pub fn lines(&self) -> Vec<(&'static str, String)> {
        let instant = |at: i64| UnixSeconds(at).to_string();
        let known = [
            ("event", Some(self.event_key.clone())),
            ("body", Some(self.body_key.clone()).filter(|body| body != "-")),
            ("state", Some(self.state.clone())),
            ("attempt", Some(self.attempt.to_string())),
            ("type", self.event_type.clone()),
            ("received at", self.received_at.map(instant)),
            ("lease until", self.lease_until.map(instant)),
            ("completed at", self.completed_at.map(instant)),
            ("forgotten from", self.expires_at.map(instant)),
            ("arrival id", self.arrival_id.clone()),
            ("last owner", Some(self.owner.clone())),
        ];
        known.into_iter().filter_map(|(name, value)| value.map(|value| (name, value))).collect()
    }
}
