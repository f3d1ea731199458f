//! The stack's event bus, for endpoints with `deliver = "eventbridge"`.
//!
//! An event goes there at least once: a worker may die after EventBridge took it and before the ledger knows. So it carries
//! its key and replay number, by which the next one can tell repetitions.

use aws_sdk_sqs::error::ProvideErrorMetadata;
use aws_types::SdkConfig;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use thiserror::Error;
use wharf_webhook::delivery::{Delivery, Envelope};
use wharf_webhook::ledger::Record;
use wharf_webhook::message::{Carried, Referring};

use crate::api::Api;
use crate::aws;

/// What `source` begins with; the endpoint's name follows. A rule matches one endpoint by the whole, or all by the prefix.
const SOURCE_PREFIX: &str = "wharf.";
/// The `detail-type` of events whose sender states no type.
const UNTYPED: &str = "webhook";
/// The longest `detail-type`, in characters (EventBridge, `PutEventsRequestEntry`). The whole type is in the detail.
const DETAIL_TYPE_CHARACTERS_MAX: usize = 128;

/// The stack's event bus.
#[derive(Debug, Clone)]
pub struct EventBus {
    api: Api,
    name: String,
    bucket: String,
}

/// Why an event is not known to be on the bus.
#[derive(Debug, Error)]
pub enum EventBusError {
    /// EventBridge did not answer, or not now.
    #[error("EventBridge: {cause}")]
    Unavailable {
        /// What happened.
        cause: String,
    },
    /// EventBridge does not take this event, and never will.
    #[error("EventBridge does not take the event: {cause}")]
    Refused {
        /// What EventBridge said.
        cause: String,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct PutEvents<'a> {
    entries: [Entry<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Entry<'a> {
    event_bus_name: &'a str,
    source: String,
    detail_type: String,
    /// Seconds since 1970.
    time: i64,
    detail: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Put {
    entries: Vec<PutEntry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PutEntry {
    event_id: Option<String>,
    error_code: Option<String>,
    error_message: Option<String>,
}

/// What a rule's target gets as `detail`.
#[derive(Serialize)]
struct Detail<'a> {
    /// With `key` and `replay`, what to tell repetitions by.
    endpoint: &'a str,
    key: &'a str,
    replay: u32,
    provider: &'a str,
    event_id: Option<&'a str>,
    event_type: Option<&'a str>,
    arrival_id: &'a str,
    received_at: String,
    method: &'a str,
    query: Option<&'a str>,
    headers: serde_json::Map<String, serde_json::Value>,
    content_type: Option<&'a str>,
    body_sha256: String,
    #[serde(flatten)]
    content: Content<'a>,
}

/// The body: one of the three.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Content<'a> {
    /// As JSON, where it is JSON.
    Body(&'a RawValue),
    /// The exact bytes, where it is not.
    BodyBase64(String),
    /// Where they are, if they are more than travel in a message.
    BodyReference { bucket: &'a str, key: &'a str },
}

impl EventBus {
    /// The bus of this name; large bodies are in `bucket`.
    pub fn new(configuration: &SdkConfig, name: String, bucket: String) -> EventBus {
        EventBus { api: Api::new(configuration, "events", "EVENTBRIDGE"), name, bucket }
    }

    /// Puts an event on the bus. `record` is the claim under which that happens.
    ///
    /// # Errors
    /// [`EventBusError`].
    pub async fn put(&self, carried: &Carried, record: &Record) -> Result<(), EventBusError> {
        let envelope = carried.envelope();
        let refused = |cause: String| EventBusError::Refused { cause };
        let detail = self.detail(carried, record).map_err(|error| refused(error.to_string()))?;
        let event_type = envelope.event_type().map_or(UNTYPED, |stated| &stated.text);
        let entry = Entry {
            event_bus_name: &self.name,
            source: format!("{SOURCE_PREFIX}{}", envelope.endpoint()),
            detail_type: event_type.chars().take(DETAIL_TYPE_CHARACTERS_MAX).collect(),
            time: envelope.received_at().seconds().0,
            detail,
        };
        let question =
            serde_json::to_string(&PutEvents { entries: [entry] }).map_err(|error| refused(error.to_string()))?;
        let answer: Result<Put, _> = self.api.ask("AWSEvents.PutEvents", question).await;
        let answer = answer.map_err(|error| match error.code() {
            Some("ValidationException") => refused(aws::cause(&error)),
            _ => EventBusError::Unavailable { cause: aws::cause(&error) },
        })?;
        // A call that succeeds may have put nothing: each entry has its own outcome.
        let Some(entry) = answer.entries.first().filter(|entry| entry.event_id.is_none()) else { return Ok(()) };
        let code = entry.error_code.as_deref().unwrap_or("an error without a code");
        let cause = format!("{code}: {}", entry.error_message.as_deref().unwrap_or_default());
        match code {
            "MalformedDetail" | "InvalidArgument" | "InvalidArgumentException" | "ValidationException" => {
                Err(refused(cause))
            }
            _ => Err(EventBusError::Unavailable { cause }),
        }
    }

    fn detail(&self, carried: &Carried, record: &Record) -> Result<String, serde_json::Error> {
        let envelope: &Envelope = carried.envelope();
        let content = match carried {
            Carried::Whole(delivery) => content(delivery),
            Carried::Referring(referring) => self.reference(referring),
        };
        serde_json::to_string(&Detail {
            endpoint: envelope.endpoint(),
            key: envelope.key().as_str(),
            replay: record.replay,
            provider: envelope.provider(),
            event_id: envelope.event_id().map(|stated| stated.text.as_str()),
            event_type: envelope.event_type().map(|stated| stated.text.as_str()),
            arrival_id: envelope.arrival_id(),
            received_at: envelope.received_at().to_string(),
            method: envelope.method(),
            query: envelope.query(),
            headers: envelope.headers().iter().map(|(name, value)| (name.clone(), value.clone().into())).collect(),
            content_type: envelope.content_type(),
            body_sha256: envelope.body_digest().to_string(),
            content,
        })
    }

    fn reference<'a>(&'a self, referring: &'a Referring) -> Content<'a> {
        Content::BodyReference { bucket: &self.bucket, key: referring.reference() }
    }
}

fn content(delivery: &Delivery) -> Content<'_> {
    match serde_json::from_slice(delivery.body()) {
        Ok(json) => Content::Body(json),
        Err(_) => Content::BodyBase64(STANDARD.encode(delivery.body())),
    }
}
