//! The ledger's table: a record for each event, changed by conditional writes only.
//!
//! What a record means at an instant, and what takes its place under which condition, is decided in
//! `wharf_webhook::ledger`; DynamoDB judges the condition in one step with the write. Whoever is refused gets the record that
//! is there back in the same call.

use std::collections::HashMap;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    AttributeValue, CancellationReason, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem,
};
use aws_smithy_types::retry::RetryConfig;
use thiserror::Error;
use wharf_webhook::clock::UnixSeconds;
use wharf_webhook::delivery::Envelope;
use wharf_webhook::ledger::table::{self, Attribute, Expression, List, Unreadable};
use wharf_webhook::ledger::{Record, RecordKey, Write};
use wharf_webhook::limits::RECORD_RETENTION_SECONDS;

use crate::aws;

/// The table of records.
#[derive(Debug, Clone)]
pub struct Ledger {
    client: aws_sdk_dynamodb::Client,
    table: String,
}

/// What a conditional write comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// It is in the table.
    Yes,
    /// The condition does not hold of this record, which is in the table instead; `None` if there is none.
    No(Option<Box<Record>>),
}

/// What a transaction comes to.
#[derive(Debug)]
pub enum Committed {
    /// The record and all effects are in their tables.
    Yes,
    /// None of it is: the record's condition does not hold.
    No,
    /// None of it is: DynamoDB does not take the effects.
    Refused(EffectsRefused),
}

/// Why DynamoDB does not take a handler's effects.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EffectsRefused {
    /// A condition of the handler's own does not hold.
    #[error("the condition of effect {number} does not hold")]
    ConditionFailed {
        /// Which of the handler's writes, counted from 1.
        number: usize,
    },
    /// They are not what DynamoDB takes, and never will be.
    #[error("DynamoDB does not take the effects: {cause}")]
    Invalid {
        /// What DynamoDB said.
        cause: String,
    },
    /// A table is missing, or may not be written.
    #[error("DynamoDB does not let the effects be written: {cause}")]
    Denied {
        /// What DynamoDB said.
        cause: String,
    },
}

/// Why the ledger could not say.
#[derive(Debug, Error)]
pub enum LedgerError {
    /// Somebody is at the same item, in a transaction. Nothing was written.
    #[error("the ledger: another worker is just at the same record")]
    Conflict,
    /// DynamoDB refused the call or did not answer. A write may have happened.
    #[error("the ledger: {cause}")]
    Unavailable {
        /// What happened.
        cause: String,
    },
    /// A record that this release cannot read, and must not replace.
    #[error("the ledger's record {event} {body} cannot be read: {problem}")]
    Unreadable {
        /// Its partition key.
        event: String,
        /// Its sort key.
        body: String,
        /// What is wrong with it.
        problem: Unreadable,
    },
}

/// One page of a list.
#[derive(Debug)]
pub struct Page {
    /// Where its records are.
    pub keys: Vec<RecordKey>,
    /// Where the next one starts; `None` if there is none.
    pub next: Option<HashMap<String, AttributeValue>>,
}

type Item = HashMap<String, AttributeValue>;

impl Ledger {
    /// The ledger in this table.
    pub fn new(client: aws_sdk_dynamodb::Client, table: String) -> Ledger {
        Ledger { client, table }
    }

    /// Makes a connection before a message needs one: at a function's start, when a processor is all its own. If that fails, the
    /// first message makes its own.
    pub async fn connect(&self) {
        // Of a record that never is: half a read unit.
        let key = RecordKey { event: "connection".to_owned(), body: "connection".to_owned() };
        let call = self.client.get_item().table_name(&self.table).consistent_read(false);
        let call = call.key(table::PARTITION_KEY, text(&key.event)).key(table::SORT_KEY, text(&key.body));
        let own = aws_sdk_dynamodb::Config::builder().retry_config(RetryConfig::disabled());
        if let Err(error) = call.customize().config_override(own).send().await {
            tracing::debug!("no connection to DynamoDB yet: {}", aws::cause(&error));
        }
    }

    /// The record of a key.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn read(&self, key: &RecordKey) -> Result<Option<Record>, LedgerError> {
        let call = self.client.get_item().table_name(&self.table).consistent_read(true);
        let call = call.key(table::PARTITION_KEY, text(&key.event)).key(table::SORT_KEY, text(&key.body));
        let answer = call.send().await.map_err(unavailable)?;
        answer.item.map(|item| record(&item, key)).transpose()
    }

    /// Writes a record under its condition. One write.
    ///
    /// # Errors
    /// [`LedgerError`]; then it is not known whether it was written.
    pub async fn write(&self, key: &RecordKey, write: &Write) -> Result<Written, LedgerError> {
        let Expression { text: condition, names, values } = write.condition.expression();
        let names = names.iter().map(|(short, name)| ((*short).to_owned(), (*name).to_owned())).collect();
        let answer = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item(key, &write.record)))
            .condition_expression(condition)
            .set_expression_attribute_names(Some::<HashMap<_, _>>(names).filter(|names| !names.is_empty()))
            .set_expression_attribute_values(Some(attributes(values)))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match answer {
            Ok(_) => Ok(Written::Yes),
            Err(SdkError::ServiceError(error)) if error.err().is_conditional_check_failed_exception() => {
                let PutItemError::ConditionalCheckFailedException(refused) = error.into_err() else {
                    return Ok(Written::No(None));
                };
                met(refused.item, key, write)
            }
            Err(SdkError::ServiceError(error)) if error.err().is_transaction_conflict_exception() => {
                Err(LedgerError::Conflict)
            }
            Err(error) => Err(unavailable(error)),
        }
    }

    /// Writes a record under its condition, and a handler's effects with it: all of them or none.
    ///
    /// `token` makes a repetition of the same call, within ten minutes, one write. It is for this record and these effects
    /// alone.
    ///
    /// # Errors
    /// [`LedgerError`]; then it is not known whether it was written, and the call may be repeated as it is.
    pub async fn commit(
        &self,
        key: &RecordKey,
        write: &Write,
        effects: &[TransactWriteItem],
        token: &str,
    ) -> Result<Committed, LedgerError> {
        let Expression { text: condition, names, values } = write.condition.expression();
        let put = Put::builder()
            .table_name(&self.table)
            .set_item(Some(item(key, &write.record)))
            .condition_expression(condition)
            .set_expression_attribute_names(Some(
                names.iter().map(|(short, name)| ((*short).to_owned(), (*name).to_owned())).collect(),
            ))
            .set_expression_attribute_values(Some(attributes(values)))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .build()
            .map_err(|error| LedgerError::Unavailable { cause: error.to_string() })?;
        let call = self.client.transact_write_items().client_request_token(token);
        // The record is first, so that its reason is.
        let call = call.transact_items(TransactWriteItem::builder().put(put).build());
        let call = effects.iter().fold(call, |call, effect| call.transact_items(effect.clone()));
        match call.send().await {
            Ok(_) => Ok(Committed::Yes),
            Err(SdkError::ServiceError(error)) => cancelled(error.into_err(), key, write),
            Err(error) => Err(unavailable(error)),
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
    pub async fn guard(&self, envelope: &Envelope, now: UnixSeconds) -> Result<bool, LedgerError> {
        let key = RecordKey::guard(envelope.endpoint(), envelope.guard_digest());
        let written = self
            .client
            .update_item()
            .table_name(&self.table)
            .key(table::PARTITION_KEY, text(&key.event))
            .key(table::SORT_KEY, text(&key.body))
            .update_expression("SET claimed_by = :key, expires_at = :expires_at, version = :version")
            .condition_expression("attribute_not_exists(event_key) OR expires_at <= :now OR claimed_by = :key")
            .expression_attribute_values(":key", text(envelope.key().as_str()))
            .expression_attribute_values(":now", number(now.0))
            .expression_attribute_values(":expires_at", number(now.plus(RECORD_RETENTION_SECONDS).0))
            .expression_attribute_values(":version", number(i64::from(table::VERSION)))
            .send()
            .await;
        match written {
            Ok(_) => Ok(true),
            Err(SdkError::ServiceError(error)) if error.err().is_conditional_check_failed_exception() => Ok(false),
            Err(error) => Err(unavailable(error)),
        }
    }

    /// Where the records are that one partition of the list of errands has due at `now`, the longest due first. The index
    /// lags behind the table: read each record before anything is concluded from it.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn errands(&self, partition: &str, now: UnixSeconds, start: Option<Item>) -> Result<Page, LedgerError> {
        debug_assert!(List::Errands.partitions().any(|one| one == partition));
        let answer = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(table::INDEX)
            .key_condition_expression("open_list = :list AND open_at <= :now")
            .expression_attribute_values(":list", text(partition))
            .expression_attribute_values(":now", number(now.0))
            .set_exclusive_start_key(start)
            .send()
            .await
            .map_err(unavailable)?;
        let keys = answer.items().iter().filter_map(|item| table::key(|name| attribute(item, name))).collect();
        Ok(Page { keys, next: answer.last_evaluated_key })
    }
}

/// What a refused condition comes to: our own write may be what is there, if its first answer was lost and the SDK repeated
/// it.
fn met(found: Option<Item>, key: &RecordKey, write: &Write) -> Result<Written, LedgerError> {
    let found = found.map(|item| record(&item, key)).transpose()?;
    match found {
        Some(found) if write.is(&found) => Ok(Written::Yes),
        found => Ok(Written::No(found.map(Box::new))),
    }
}

/// Why a transaction was cancelled: because of us, of others, or of the handler.
fn cancelled(error: TransactWriteItemsError, key: &RecordKey, write: &Write) -> Result<Committed, LedgerError> {
    let unavailable = |error: &TransactWriteItemsError| LedgerError::Unavailable { cause: error_text(error) };
    let TransactWriteItemsError::TransactionCanceledException(cancelled) = &error else {
        return match error.code() {
            Some("ValidationException" | "SerializationException" | "IdempotentParameterMismatchException") => {
                Ok(Committed::Refused(EffectsRefused::Invalid { cause: error_text(&error) }))
            }
            Some("AccessDeniedException" | "ResourceNotFoundException") => {
                Ok(Committed::Refused(EffectsRefused::Denied { cause: error_text(&error) }))
            }
            _ => Err(unavailable(&error)),
        };
    };
    let reasons = cancelled.cancellation_reasons();
    let code = |reason: &CancellationReason| reason.code().unwrap_or("None").to_owned();
    if let Some(ours) = reasons.first()
        && code(ours) == "ConditionalCheckFailed"
    {
        return Ok(match met(ours.item().cloned(), key, write)? {
            Written::Yes => Committed::Yes,
            Written::No(_) => Committed::No,
        });
    }
    // Whoever else is at one of the items, or a table that is asked for too much: the same call may succeed in a moment.
    let may_pass = ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"];
    if reasons.iter().any(|reason| may_pass.contains(&code(reason).as_str())) {
        return Err(unavailable(&error));
    }
    for (number, reason) in reasons.iter().enumerate() {
        match code(reason).as_str() {
            "None" => {}
            "ConditionalCheckFailed" => return Ok(Committed::Refused(EffectsRefused::ConditionFailed { number })),
            code => {
                let cause = format!("effect {number}: {code}: {}", reason.message().unwrap_or_default());
                return Ok(Committed::Refused(EffectsRefused::Invalid { cause }));
            }
        }
    }
    Err(unavailable(&error))
}

fn error_text(error: &TransactWriteItemsError) -> String {
    let message = error.message().map_or_else(|| error.to_string(), str::to_owned);
    format!("{}: {message}", error.code().unwrap_or("an error without a code"))
}

fn unavailable<E: std::error::Error + Send + Sync + 'static>(error: E) -> LedgerError {
    LedgerError::Unavailable { cause: aws::cause(&error) }
}

fn item(key: &RecordKey, record: &Record) -> Item {
    attributes(table::item(key, record))
}

fn attributes(attributes: Vec<(&'static str, Attribute)>) -> Item {
    let value = |attribute| match attribute {
        Attribute::Text(text) => AttributeValue::S(text),
        Attribute::Number(value) => number(value),
    };
    attributes.into_iter().map(|(name, attribute)| (name.to_owned(), value(attribute))).collect()
}

fn record(item: &Item, key: &RecordKey) -> Result<Record, LedgerError> {
    table::read(|name| attribute(item, name)).map_err(|problem| LedgerError::Unreadable {
        event: key.event.clone(),
        body: key.body.clone(),
        problem,
    })
}

fn attribute(item: &Item, name: &str) -> Option<Attribute> {
    let value = item.get(name)?;
    let number = || value.as_n().ok()?.parse().ok().map(Attribute::Number);
    value.as_s().ok().cloned().map(Attribute::Text).or_else(number)
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

fn number(value: i64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}
