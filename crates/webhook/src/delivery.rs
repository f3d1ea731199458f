//! One verified arrival of an event.

use bytes::Bytes;
use thiserror::Error;

use crate::clock::UnixMillis;
use crate::idempotency::{Digest, IdempotencyKey};
use crate::judgement::{Event, Stated};
use crate::ledger::{Arriving, RecordKey};

/// One verified arrival of an event: what a handler is given.
///
/// There are two ways to one. [`Delivery::accept`] takes an [`Event`], which only verification makes;
/// [`message::decode`](crate::message::decode) reads what `accept` made and the queue kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    pub(crate) envelope: Envelope,
    pub(crate) body: Bytes,
    pub(crate) replay: u32,
    pub(crate) attempt: u32,
}

/// Everything about a delivery but its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    pub(crate) endpoint: String,
    pub(crate) provider: String,
    pub(crate) key: IdempotencyKey,
    pub(crate) event_id: Option<Stated>,
    pub(crate) event_type: Option<Stated>,
    pub(crate) arrival_id: String,
    pub(crate) received_at: UnixMillis,
    pub(crate) method: String,
    pub(crate) query: Option<String>,
    pub(crate) content_type: Option<String>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body_digest: Digest,
    pub(crate) guard_digest: Digest,
    pub(crate) secret_index: usize,
    pub(crate) replay_guard: bool,
}

/// A verified body that is not what its sender sends: a part of something else that was signed, or a mistake of the sender's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the signature is right, and the body is not the JSON, or the form, that this sender sends")]
pub struct UnfitBody;

/// Where and when a request arrived, and what of it travels on beside the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// The endpoint's name.
    pub endpoint: String,
    /// The provider's name.
    pub provider: String,
    /// API Gateway's id of the request.
    pub arrival_id: String,
    /// When it was read at the door.
    pub received_at: UnixMillis,
    /// The request's method: `POST`.
    pub method: String,
    /// The query of its address, as it came, without the parameter that holds the signature; `None` where nothing is left. See
    /// [`Terms::carried_query`](crate::terms::Terms::carried_query).
    pub query: Option<String>,
    /// The `Content-Type` header, if it is text.
    pub content_type: Option<String>,
    /// The headers that the provider's row and the endpoint keep; names in lower case.
    pub headers: Vec<(String, String)>,
    /// Whether a body that was processed is not to be processed again under another id.
    pub replay_guard: bool,
}

impl Delivery {
    /// Lets a verified request in. `body` is its body as it came; one that came compressed becomes what was signed.
    ///
    /// # Errors
    /// [`UnfitBody`], whatever the headers say.
    pub fn accept(event: &Event, arrival: Arrival, body: Vec<u8>) -> Result<Delivery, UnfitBody> {
        let body = event.decompressed().map_or(body, <[u8]>::to_vec);
        if !event.is_fit(&body, arrival.content_type.as_deref()) {
            return Err(UnfitBody);
        }
        let body = Bytes::from(body);
        let envelope = Envelope {
            endpoint: arrival.endpoint,
            provider: arrival.provider,
            key: event.key(&arrival.arrival_id),
            event_id: event.id().cloned(),
            event_type: event.kind().cloned(),
            arrival_id: arrival.arrival_id,
            received_at: arrival.received_at,
            method: arrival.method,
            query: arrival.query,
            content_type: arrival.content_type,
            headers: arrival.headers,
            body_digest: event.body_digest(),
            guard_digest: event.guard_digest(),
            secret_index: event.secret_index(),
            replay_guard: arrival.replay_guard,
        };
        Ok(Delivery { envelope, body, replay: 0, attempt: 1 })
    }

    /// Everything but the body.
    pub fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// The name of the endpoint that it came to: `github`.
    pub fn endpoint(&self) -> &str {
        self.envelope.endpoint()
    }

    /// The provider whose scheme it was verified by: `github`, `generic`.
    pub fn provider(&self) -> &str {
        self.envelope.provider()
    }

    /// Same event, same key.
    pub fn key(&self) -> &IdempotencyKey {
        self.envelope.key()
    }

    /// The sender's own id of the event, and whether its signature covers it.
    pub fn event_id(&self) -> Option<&Stated> {
        self.envelope.event_id()
    }

    /// The type of the event, and whether the signature covers it.
    pub fn event_type(&self) -> Option<&Stated> {
        self.envelope.event_type()
    }

    /// API Gateway's id of the request that brought it.
    pub fn arrival_id(&self) -> &str {
        self.envelope.arrival_id()
    }

    /// When it was read at the door.
    pub fn received_at(&self) -> UnixMillis {
        self.envelope.received_at()
    }

    /// The method that it came by: `POST`, `GET`.
    pub fn method(&self) -> &str {
        self.envelope.method()
    }

    /// The query of the address that it came to, percent-encoded as it came, without the parameter that holds the signature:
    /// `CallSid=CA1&Status=busy`. It is signed where the provider signs the address.
    pub fn query(&self) -> Option<&str> {
        self.envelope.query()
    }

    /// The `Content-Type` that the sender gave.
    pub fn content_type(&self) -> Option<&str> {
        self.envelope.content_type()
    }

    /// A request header that the provider's row or the endpoint keeps. `name` is in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.envelope.header(name)
    }

    /// All kept headers; names in lower case.
    pub fn headers(&self) -> &[(String, String)] {
        self.envelope.headers()
    }

    /// The body's digest.
    pub fn body_digest(&self) -> Digest {
        self.envelope.body_digest()
    }

    /// Which of the endpoint's secrets matched; 0 was the newest.
    pub fn secret_index(&self) -> usize {
        self.envelope.secret_index()
    }

    /// Whether the endpoint wants no body processed again under another id.
    pub fn replay_guard(&self) -> bool {
        self.envelope.replay_guard()
    }

    /// The body, byte for byte as it was signed.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The same bytes, shared and not copied.
    pub fn shared_body(&self) -> Bytes {
        self.body.clone()
    }

    /// How often a person had this event processed again; 0 at first. What a handler does to
    /// the world should happen once for each key and replay number.
    pub fn replay(&self) -> u32 {
        self.replay
    }

    /// Which attempt at processing this event this is, counted from 1.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The same delivery, at this attempt under this replay number.
    #[must_use]
    pub fn at_attempt(self, replay: u32, attempt: u32) -> Delivery {
        Delivery { replay, attempt, ..self }
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// If it is not, or not of this type.
    pub fn json<'a, T: serde::Deserialize<'a>>(&'a self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.body)
    }
}

impl Envelope {
    /// The name of the endpoint that it came to: `github`.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The provider whose scheme it was verified by: `github`, `generic`.
    pub fn provider(&self) -> &str {
        &self.provider
    }

    /// Same event, same key.
    pub fn key(&self) -> &IdempotencyKey {
        &self.key
    }

    /// The sender's own id of the event, and whether its signature covers it.
    pub fn event_id(&self) -> Option<&Stated> {
        self.event_id.as_ref()
    }

    /// The type of the event, and whether the signature covers it.
    pub fn event_type(&self) -> Option<&Stated> {
        self.event_type.as_ref()
    }

    /// API Gateway's id of the request that brought it.
    pub fn arrival_id(&self) -> &str {
        &self.arrival_id
    }

    /// When it was read at the door.
    pub fn received_at(&self) -> UnixMillis {
        self.received_at
    }

    /// The method that it came by: `POST`, `GET`.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The query of the address that it came to, percent-encoded as it came, without the parameter that holds the signature.
    pub fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    /// The `Content-Type` that the sender gave.
    pub fn content_type(&self) -> Option<&str> {
        self.content_type.as_deref()
    }

    /// A request header that the provider's row or the endpoint keeps. `name` is in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(kept, _)| kept == name).map(|(_, value)| value.as_str())
    }

    /// All kept headers; names in lower case.
    pub fn headers(&self) -> &[(String, String)] {
        &self.headers
    }

    /// The body's digest.
    pub fn body_digest(&self) -> Digest {
        self.body_digest
    }

    /// What a replay guard claims: the same for all that one signature fits.
    pub fn guard_digest(&self) -> Digest {
        self.guard_digest
    }

    /// Which of the endpoint's secrets matched; 0 was the newest.
    pub fn secret_index(&self) -> usize {
        self.secret_index
    }

    /// Whether the endpoint wants no body processed again under another id.
    pub fn replay_guard(&self) -> bool {
        self.replay_guard
    }

    /// Where its event's record is.
    pub fn record_key(&self) -> RecordKey {
        RecordKey::new(&self.endpoint, &self.key)
    }

    /// As the ledger meets it, carried by this queue message.
    pub fn arriving<'a>(&'a self, message: &'a str) -> Arriving<'a> {
        Arriving {
            received_at: self.received_at.seconds(),
            arrival_id: &self.arrival_id,
            body: self.body_digest,
            guard: Some(self.guard_digest).filter(|guard| self.replay_guard && *guard != self.body_digest),
            event_type: self.event_type.as_ref().map(|stated| stated.text.as_str()),
            message,
        }
    }
}
