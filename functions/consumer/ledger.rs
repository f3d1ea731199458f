//! The ledger: a record for each event, changed by conditional writes only.
//!
//! What a record means at an instant is decided in `wharf_webhook::ledger`; the conditions here say the same to DynamoDB,
//! which judges them in one step with the write. The loser of a claim gets the record back in the same call.

use std::collections::HashMap;

use aws_sdk_dynamodb::error::{DisplayErrorContext, SdkError};
use aws_sdk_dynamodb::operation::update_item::{UpdateItemError, UpdateItemOutput};
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};
use thiserror::Error;
use uuid::Uuid;
use wharf_webhook::clock::UnixSeconds;
use wharf_webhook::delivery::Delivery;
use wharf_webhook::ledger::{Record, RecordKey, Standing, State, VERSION, standing};
use wharf_webhook::limits::RECORD_RETENTION_SECONDS;

/// The table of records.
#[derive(Debug)]
pub struct Ledger {
    client: aws_sdk_dynamodb::Client,
    table: String,
}

/// The right to process an event, until the lease ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    key: RecordKey,
    /// A nonce of this claim alone.
    owner: String,
    /// Which attempt at the event this is, counted from 1.
    pub attempt: u32,
}

/// What a claim comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// The event is ours to process.
    Granted(Lease),
    /// It is not, and this is how it stands.
    Refused(Standing),
}

/// Why the ledger could not say.
#[derive(Debug, Error)]
pub enum LedgerError {
    /// DynamoDB refused the call or did not answer. The write may have happened.
    #[error("the ledger: {cause}")]
    Unavailable {
        /// What happened.
        cause: String,
    },
    /// A record that this release cannot read.
    #[error("the ledger's record {event} {body} cannot be read: {problem}")]
    Unreadable {
        /// Its partition key.
        event: String,
        /// Its sort key.
        body: String,
        /// What is wrong with it.
        problem: &'static str,
    },
}

/// When an event may be claimed. `wharf_webhook::ledger::standing` is the same rule in Rust.
///
/// ```text
///              first arrival             lease_until         expires_at
/// (no record)  |-- processing -----------|-- open -----------|-- open
///              |-- waiting ----- due_at --|-- open           |
///              |-- completed, parked: settled ---------------|-- open
///              |-- failed: open to a later arrival           |
/// ```
const IS_OPEN: &str = "attribute_not_exists(event_key) \
    OR expires_at <= :now \
    OR (#state = :processing AND lease_until <= :now) \
    OR (#state = :waiting AND due_at <= :now) \
    OR #state = :failed";

const CLAIM: &str = "SET #state = :processing, #owner = :owner, lease_until = :lease_until, \
    attempt = if_not_exists(attempt, :none) + :one, \
    received_at = if_not_exists(received_at, :received_at), expires_at = :expires_at, \
    version = :version, event_type = :event_type, body_sha256 = :body_sha256, arrival_id = :arrival_id \
    REMOVE due_at, completed_at, last_error";

/// Whether the claim is still ours: nobody else has claimed the event since.
const IS_OURS: &str = "#state = :processing AND #owner = :owner";

const COMPLETE: &str = "SET #state = :completed, completed_at = :now, expires_at = :expires_at REMOVE lease_until";

impl Ledger {
    /// The ledger in this table.
    pub fn new(client: aws_sdk_dynamodb::Client, table: String) -> Ledger {
        Ledger { client, table }
    }

    /// Claims a delivery's event until `lease_until`. One conditional write.
    ///
    /// # Errors
    /// [`LedgerError`]; then nothing may be processed.
    pub async fn claim(
        &self,
        delivery: &Delivery,
        lease_until: UnixSeconds,
        now: UnixSeconds,
    ) -> Result<Claim, LedgerError> {
        let key = RecordKey::new(delivery.endpoint(), delivery.key());
        let owner = Uuid::new_v4().to_string();
        let written = self
            .update(&key, CLAIM, IS_OPEN)
            .expression_attribute_values(":processing", text(State::Processing.word()))
            .expression_attribute_values(":waiting", text(State::Waiting.word()))
            .expression_attribute_values(":failed", text(State::Failed.word()))
            .expression_attribute_values(":owner", text(&owner))
            .expression_attribute_values(":now", number(now.0))
            .expression_attribute_values(":lease_until", number(lease_until.0))
            .expression_attribute_values(":received_at", number(delivery.received_at().seconds().0))
            .expression_attribute_values(":expires_at", number(now.plus(RECORD_RETENTION_SECONDS).0))
            .expression_attribute_values(":version", number(i64::from(VERSION)))
            .expression_attribute_values(":none", number(0))
            .expression_attribute_values(":one", number(1))
            .expression_attribute_values(
                ":event_type",
                delivery.event_type().map_or(AttributeValue::Null(true), |stated| text(&stated.text)),
            )
            .expression_attribute_values(":body_sha256", text(&delivery.body_digest().to_string()))
            .expression_attribute_values(":arrival_id", text(delivery.arrival_id()))
            .return_values(ReturnValue::UpdatedNew)
            .send()
            .await;
        match met(written, &key)? {
            Met::Written(output) => {
                let attempt = output.attributes().and_then(|item| integer(item, "attempt"));
                let attempt = attempt.and_then(|attempt| u32::try_from(attempt).ok());
                let attempt = attempt.ok_or_else(|| unreadable(&key, "the claim returned no attempt"))?;
                Ok(Claim::Granted(Lease { key, owner, attempt }))
            }
            // Our own write, whose first answer was lost, so that the SDK repeated it.
            Met::Refused(record) if record.owner == owner && record.state == State::Processing => {
                Ok(Claim::Granted(Lease { key, owner, attempt: record.attempt }))
            }
            Met::Refused(record) => Ok(Claim::Refused(standing(Some(&record), now))),
        }
    }

    /// Claims a delivery's body for its key, for as long as the ledger remembers. Returns whether it is the key's own: if not,
    /// the same body came under another id before.
    ///
    /// This is a write of its own before the claim: a worker that dies between the two leaves a guard that names the same
    /// key, which lets every copy of the event pass.
    ///
    /// # Errors
    /// [`LedgerError`]; then nothing may be processed.
    pub async fn guard(&self, delivery: &Delivery, now: UnixSeconds) -> Result<bool, LedgerError> {
        let key = RecordKey::guard(delivery.endpoint(), delivery.body_digest());
        let written = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("event_key", text(&key.event))
            .key("body_key", text(&key.body))
            .update_expression("SET claimed_by = :key, expires_at = :expires_at, version = :version")
            .condition_expression("attribute_not_exists(event_key) OR expires_at <= :now OR claimed_by = :key")
            .expression_attribute_values(":key", text(delivery.key().as_str()))
            .expression_attribute_values(":now", number(now.0))
            .expression_attribute_values(":expires_at", number(now.plus(RECORD_RETENTION_SECONDS).0))
            .expression_attribute_values(":version", number(i64::from(VERSION)))
            .send()
            .await;
        match written {
            Ok(_) => Ok(true),
            Err(SdkError::ServiceError(error)) if error.err().is_conditional_check_failed_exception() => Ok(false),
            Err(error) => Err(LedgerError::Unavailable { cause: DisplayErrorContext(error).to_string() }),
        }
    }

    /// Completes the event of a lease. Returns whether it was still ours; if not, another worker has claimed the event.
    ///
    /// # Errors
    /// [`LedgerError`]; then it is not known whether the event is completed.
    pub async fn complete(&self, lease: &Lease, now: UnixSeconds) -> Result<bool, LedgerError> {
        let written = self
            .update(&lease.key, COMPLETE, IS_OURS)
            .expression_attribute_values(":processing", text(State::Processing.word()))
            .expression_attribute_values(":completed", text(State::Completed.word()))
            .expression_attribute_values(":owner", text(&lease.owner))
            .expression_attribute_values(":now", number(now.0))
            .expression_attribute_values(":expires_at", number(now.plus(RECORD_RETENTION_SECONDS).0))
            .send()
            .await;
        match met(written, &lease.key)? {
            Met::Written(_) => Ok(true),
            // Our own write, whose first answer was lost, so that the SDK repeated it.
            Met::Refused(record) => Ok(record.owner == lease.owner && record.state == State::Completed),
        }
    }

    fn update(
        &self,
        key: &RecordKey,
        update: &str,
        condition: &str,
    ) -> aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder {
        self.client
            .update_item()
            .table_name(&self.table)
            .key("event_key", text(&key.event))
            .key("body_key", text(&key.body))
            .update_expression(update)
            .condition_expression(condition)
            .expression_attribute_names("#state", "state")
            .expression_attribute_names("#owner", "owner")
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
    }
}

/// What a conditional write met.
enum Met {
    /// The condition held, and it is written.
    Written(Box<UpdateItemOutput>),
    /// The condition did not hold; this is the record.
    Refused(Record),
}

fn met(written: Result<UpdateItemOutput, SdkError<UpdateItemError>>, key: &RecordKey) -> Result<Met, LedgerError> {
    match written {
        Ok(output) => Ok(Met::Written(Box::new(output))),
        Err(SdkError::ServiceError(error)) if error.err().is_conditional_check_failed_exception() => {
            let UpdateItemError::ConditionalCheckFailedException(refused) = error.into_err() else {
                return Err(unreadable(key, "the refused condition came without it"));
            };
            read(&refused.item.unwrap_or_default(), key).map(Met::Refused)
        }
        Err(error) => Err(LedgerError::Unavailable { cause: DisplayErrorContext(error).to_string() }),
    }
}

/// Reads a record as `CLAIM` and the others write it.
fn read(item: &HashMap<String, AttributeValue>, key: &RecordKey) -> Result<Record, LedgerError> {
    if integer(item, "version").is_none_or(|version| version > i64::from(VERSION)) {
        return Err(unreadable(key, "its version is missing or newer than this release"));
    }
    let word = |name| item.get(name).and_then(|value| value.as_s().ok());
    let instant = |name| integer(item, name).map(UnixSeconds);
    Ok(Record {
        state: word("state")
            .and_then(|word| State::from_word(word))
            .ok_or_else(|| unreadable(key, "its state is missing or unknown"))?,
        owner: word("owner").cloned().unwrap_or_default(),
        attempt: integer(item, "attempt")
            .and_then(|attempt| u32::try_from(attempt).ok())
            .ok_or_else(|| unreadable(key, "its attempt is missing"))?,
        lease_until: instant("lease_until"),
        due_at: instant("due_at"),
        expires_at: instant("expires_at").ok_or_else(|| unreadable(key, "its expires_at is missing"))?,
    })
}

fn unreadable(key: &RecordKey, problem: &'static str) -> LedgerError {
    LedgerError::Unreadable { event: key.event.clone(), body: key.body.clone(), problem }
}

fn integer(item: &HashMap<String, AttributeValue>, name: &str) -> Option<i64> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

fn number(value: i64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}
