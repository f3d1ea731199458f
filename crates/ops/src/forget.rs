//! Erasing an event: its record, what guards its body against coming again, and its body in the bucket.

use std::collections::HashMap;

use anyhow::{Context, Result};
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{AttributeValue, Delete, TransactWriteItem};
use wharf_webhook::clock::UnixSeconds;
use wharf_webhook::ledger::{Condition, Record, RecordKey, State};
use wharf_webhook::message::{self, Carried};

use crate::deployment::Deployment;
use crate::records::{self, ConditionParts, primary_key};

/// Everything that is kept of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// Where its record is.
    pub key: RecordKey,
    /// Its record.
    pub record: Record,
    /// Where the guard of its body is, if that names this event.
    pub guard: Option<RecordKey>,
    /// The keys of its bodies in the bucket of bodies.
    pub bodies: Vec<String>,
    /// The keys of equal bodies there that came with other arrivals: copies of this event, or another event with the same
    /// body.
    pub equal_bodies: Vec<String>,
}

/// Which bodies are erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bodies {
    /// Those of the event.
    Own,
    /// All that are equal to it, whichever arrival they came with.
    AllEqual,
}

/// What became of an event that was to be forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forgotten {
    /// Nothing of it is left.
    Yes,
    /// A worker may be at it: it can be forgotten when its lease has ended.
    Held {
        /// When that is.
        until: UnixSeconds,
    },
    /// It has changed since it was looked at.
    Changed,
}

/// Everything that is kept of an endpoint's events under a sender's id, or under an idempotency key.
///
/// # Errors
/// If the ledger or the bucket cannot be read.
pub async fn remembered(deployment: &Deployment, endpoint: &str, id: &str) -> Result<Vec<Remembered>> {
    let mut all = Vec::new();
    for (key, record) in records::whole(deployment, endpoint, id).await? {
        let guard = guard(deployment, &key, &record).await?;
        let prefix = message::references_of(record.body);
        let own = [Some(format!("{prefix}{}", record.arrival_id)), referred_to(&record)];
        let stored = stored(deployment, &prefix).await?;
        let (bodies, equal_bodies) = stored.into_iter().partition(|key| own.iter().flatten().any(|own| own == key));
        all.push(Remembered { key, record, guard, bodies, equal_bodies });
    }
    Ok(all)
}

/// Erases what was found. The record goes first, together with the guard, so that nothing is erased of an event that is
/// claimed at this moment.
///
/// # Errors
/// If it is not known whether the record is erased; or if it is, and a body is not.
pub async fn forget(
    deployment: &Deployment,
    remembered: &Remembered,
    bodies: Bodies,
    now: UnixSeconds,
) -> Result<Forgotten> {
    if let Some(until) = held_until(&remembered.record, now) {
        return Ok(Forgotten::Held { until });
    }
    if !erase_items(deployment, remembered).await? {
        return Ok(Forgotten::Changed);
    }
    let equal = match bodies {
        Bodies::Own => [].iter(),
        Bodies::AllEqual => remembered.equal_bodies.iter(),
    };
    for reference in remembered.bodies.iter().chain(equal) {
        let call = deployment.s3().delete_object().bucket(&deployment.bucket).key(reference);
        call.send().await.with_context(|| {
            format!(
                "the record is erased, but its body is not: delete the object {reference} of the bucket {} yourself",
                deployment.bucket
            )
        })?;
    }
    Ok(Forgotten::Yes)
}

/// Until when a worker may be at it.
pub fn held_until(record: &Record, now: UnixSeconds) -> Option<UnixSeconds> {
    record.lease_until.filter(|until| record.state == State::Processing && now < *until)
}

/// Deletes record and guard, if both are what was read. Returns whether they were.
///
/// ```text
/// read           delete
/// | owner, state | unchanged: gone, and its guard with it
///                | claimed, completed, replayed since: both stay
/// ```
async fn erase_items(deployment: &Deployment, remembered: &Remembered) -> Result<bool> {
    let Remembered { key, record, guard, .. } = remembered;
    let unchanged = Condition::Unchanged { state: record.state, owner: record.owner.clone() };
    let condition = ConditionParts::new(unchanged.expression());
    let of_record = Delete::builder()
        .table_name(&deployment.table)
        .set_key(Some(primary_key(key)))
        .condition_expression(condition.text)
        .set_expression_attribute_names(condition.names)
        .set_expression_attribute_values(condition.values)
        .build()
        .context("the record has a key")?;
    let of_guard = guard.as_ref().map(|guard| {
        Delete::builder()
            .table_name(&deployment.table)
            .set_key(Some(primary_key(guard)))
            .condition_expression("claimed_by = :key")
            .expression_attribute_values(":key", AttributeValue::S(key.idempotency_key()))
            .build()
    });
    let of_guard = of_guard.transpose().context("the guard has a key")?;
    let deletes = [of_record].into_iter().chain(of_guard);
    let items = deletes.map(|delete| TransactWriteItem::builder().delete(delete).build()).collect();
    match deployment.dynamodb().transact_write_items().set_transact_items(Some(items)).send().await {
        Ok(_) => Ok(true),
        Err(SdkError::ServiceError(error)) if is_refused_condition(error.err()) => Ok(false),
        Err(error) => Err(error).with_context(|| deployment.cannot("erase records in the ledger")),
    }
}

/// Whether a transaction was cancelled because one of its conditions does not hold, or somebody is at the same record.
fn is_refused_condition(error: &TransactWriteItemsError) -> bool {
    let TransactWriteItemsError::TransactionCanceledException(cancelled) = error else { return false };
    let refused = |code| matches!(code, Some("ConditionalCheckFailed" | "TransactionConflict"));
    cancelled.cancellation_reasons().iter().any(|reason| refused(reason.code()))
}

/// Where the guard of a record's body is, if it names this record's event.
async fn guard(deployment: &Deployment, key: &RecordKey, record: &Record) -> Result<Option<RecordKey>> {
    let guard = RecordKey::guard(key.endpoint(), record.guard.unwrap_or(record.body));
    let call = deployment.dynamodb().get_item().table_name(&deployment.table).consistent_read(true);
    let answer = call.set_key(Some(primary_key(&guard))).send().await;
    let item: HashMap<_, _> = answer.with_context(|| deployment.cannot("read the ledger"))?.item.unwrap_or_default();
    let claimed_by = item.get("claimed_by").and_then(|value| value.as_s().ok());
    Ok(claimed_by.is_some_and(|claimed_by| *claimed_by == key.idempotency_key()).then_some(guard))
}

/// The key of the body that a record's message refers to.
fn referred_to(record: &Record) -> Option<String> {
    match message::decode(record.message.as_deref()?) {
        Ok(Carried::Referring(referring)) => Some(referring.reference().to_owned()),
        Ok(Carried::Whole(_)) | Err(_) => None,
    }
}

/// What is stored under this prefix.
async fn stored(deployment: &Deployment, prefix: &str) -> Result<Vec<String>> {
    let mut pages = deployment.s3().list_objects_v2().bucket(&deployment.bucket).prefix(prefix).into_paginator().send();
    let mut keys = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.with_context(|| deployment.cannot(&format!("list the bucket {}", deployment.bucket)))?;
        keys.extend(page.contents().iter().filter_map(|object| object.key().map(str::to_owned)));
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::tests::failed;

    #[test]
    fn only_a_lease_that_lasts_keeps_an_event_from_being_forgotten() {
        let until = UnixSeconds(1_754_000_000);
        let processing = Record { state: State::Processing, lease_until: Some(until), ..failed() };
        assert_eq!(held_until(&processing, until.plus(-1)), Some(until));
        assert_eq!(held_until(&processing, until), None);
        assert_eq!(held_until(&failed(), until), None);
    }
}
