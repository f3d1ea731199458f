//! What a record's message brings: what the sender said in headers, and the body, from the bucket where it is there.

use anyhow::{Context, Result};
use aws_sdk_s3::error::SdkError;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde::ser::{SerializeStruct, Serializer};
use thiserror::Error;
use wharf_webhook::delivery::{Delivery, Envelope};
use wharf_webhook::endpoints::Endpoint;
use wharf_webhook::ledger::{Record, State};
use wharf_webhook::message::{self, Carried, MessageError};
use wharf_webhook::obfuscation::{hidden, obfuscated};
use wharf_webhook::provider::find;
use wharf_webhook::provider::generic::GENERIC;

use crate::deployment::Deployment;

/// What a record's message brings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Contents {
    /// The provider whose scheme verified it.
    pub provider: String,
    /// Which of the endpoint's secrets matched; 0 was the newest.
    pub secret_index: usize,
    /// The method that it came by.
    pub method: String,
    /// The query of the address that it came to; the values of parameters that may be secret are not shown.
    pub query: Option<String>,
    /// The `Content-Type` that the sender gave.
    pub content_type: Option<String>,
    /// The headers that were kept; the values of those that may be secret are not shown.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Body,
}

/// A body, byte for byte. In JSON: its size, and `text` where it is UTF-8, else `base64`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body(pub Vec<u8>);

/// Why there is nothing to show.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NotShown {
    /// A worker has the message in hand, or had it when it died.
    #[error("the queue holds the message while a worker is at it")]
    InProcess,
    /// The next attempt is due soon.
    #[error("the queue holds the message until the next attempt is due")]
    InQueue,
    /// Its endpoint keeps no messages, or not any longer.
    #[error("the message of a completed event is not kept, unless `keep_days` in endpoints.toml says so")]
    NotKept,
    /// It was erased by other means than ours.
    #[error("the record holds no message, though it should")]
    Missing,
    /// It is not what this release writes.
    #[error("the message cannot be read: {0}")]
    Unreadable(#[from] MessageError),
    /// The bucket does not have the body.
    #[error("the bucket has no body {reference}")]
    BodyMissing {
        /// The key of the object.
        reference: String,
    },
    /// The bucket has something else in its place.
    #[error("{0}")]
    OtherBody(#[from] message::OtherBody),
}

/// What a record's message brings, or why that cannot be shown. `endpoint` is the one that it came to, if that is still
/// configured: it says in which header a signature is.
///
/// # Errors
/// If the bucket of bodies cannot be read.
pub async fn contents(
    deployment: &Deployment,
    record: &Record,
    endpoint: Option<&Endpoint>,
) -> Result<Result<Contents, NotShown>> {
    let Some(text) = &record.message else { return Ok(Err(not_held(record.state))) };
    let referring = match message::decode(text) {
        Ok(Carried::Whole(delivery)) => {
            return Ok(Ok(Contents::new(delivery.envelope(), delivery.body().to_vec(), endpoint)));
        }
        Ok(Carried::Referring(referring)) => referring,
        Err(error) => return Ok(Err(error.into())),
    };
    let reference = referring.reference().to_owned();
    let Some(body) = stored(deployment, &reference).await? else {
        return Ok(Err(NotShown::BodyMissing { reference }));
    };
    let delivery = referring.with_body(body);
    let contents = |delivery: Delivery| Contents::new(delivery.envelope(), delivery.body().to_vec(), endpoint);
    Ok(delivery.map(contents).map_err(NotShown::from))
}

/// The body under this key in the bucket of bodies; `None` if there is none.
async fn stored(deployment: &Deployment, reference: &str) -> Result<Option<Vec<u8>>> {
    let cannot = || deployment.cannot(&format!("read the body {reference} in the bucket {}", deployment.bucket));
    match deployment.s3().get_object().bucket(&deployment.bucket).key(reference).send().await {
        Ok(object) => Ok(Some(object.body.collect().await.with_context(cannot)?.to_vec())),
        Err(SdkError::ServiceError(error)) if error.err().is_no_such_key() => Ok(None),
        Err(error) => Err(error).with_context(cannot),
    }
}

/// Who has the message instead.
fn not_held(state: State) -> NotShown {
    match state {
        State::Processing => NotShown::InProcess,
        State::Waiting => NotShown::InQueue,
        State::Completed => NotShown::NotKept,
        State::Failed | State::Parked => NotShown::Missing,
    }
}

impl Contents {
    fn new(envelope: &Envelope, body: Vec<u8>, endpoint: Option<&Endpoint>) -> Contents {
        let shown = |(name, value): &(String, String)| {
            let is_secret = may_hold_signature(envelope.provider(), endpoint, name);
            (name.clone(), if is_secret { hidden(value) } else { obfuscated(name, value) })
        };
        Contents {
            provider: envelope.provider().to_owned(),
            secret_index: envelope.secret_index(),
            method: envelope.method().to_owned(),
            query: envelope.query().map(shown_query),
            content_type: envelope.content_type().map(str::to_owned),
            headers: envelope.headers().iter().map(shown).collect(),
            body: Body(body),
        }
    }
}

fn shown_query(query: &str) -> String {
    let shown = |field: &str| match (field.split_once('='), form_urlencoded::parse(field.as_bytes()).next()) {
        (Some((written, value)), Some((name, _))) => format!("{written}={}", obfuscated(&name, value)),
        (_, _) => field.to_owned(),
    };
    query.split('&').map(shown).collect::<Vec<_>>().join("&")
}

/// Whether a header may hold a signature, or the secret itself, though its name does not say so: by any scheme of the
/// provider, as the endpoint may have had another one then. Of a generic endpoint that is not configured any more, every
/// header may.
fn may_hold_signature(provider: &str, endpoint: Option<&Endpoint>, header: &str) -> bool {
    let header = header.to_ascii_lowercase();
    let by_endpoint = endpoint.map(|endpoint| endpoint.terms.scheme.has_signature_in(&header));
    let by_provider =
        find(provider).is_some_and(|provider| provider.schemes.iter().any(|scheme| scheme.has_signature_in(&header)));
    by_provider || by_endpoint.unwrap_or(provider == GENERIC.name)
}

impl Body {
    /// As text, where it is that.
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// In base64.
    pub fn base64(&self) -> String {
        STANDARD.encode(&self.0)
    }
}

impl Serialize for Body {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Body", 2)?;
        fields.serialize_field("bytes", &self.0.len())?;
        match self.text() {
            Some(text) => fields.serialize_field("text", text)?,
            None => fields.serialize_field("base64", &self.base64())?,
        }
        fields.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(text: &str) -> Endpoint {
        let text = format!("[endpoints.one]\n{text}");
        wharf_webhook::endpoints::Endpoints::parse(&text).unwrap().get("one").unwrap().clone()
    }

    #[test]
    fn what_may_be_secret_in_a_query_is_hidden_however_its_name_is_written() {
        assert_eq!(shown_query("tenant=7&flag&a=b%20c"), "tenant=7&flag&a=b%20c");
        assert_eq!(shown_query("token=sesame"), "token=(hidden: 6 characters)");
        assert_eq!(shown_query("to%6Ben=sesame&x=1"), "to%6Ben=(hidden: 6 characters)&x=1");
    }

    #[test]
    fn a_header_with_a_signature_is_hidden_though_its_name_does_not_say_so() {
        assert!(may_hold_signature("trello", None, "X-Trello-Webhook"));
        assert!(!may_hold_signature("trello", None, "content-type"));
        let partner =
            endpoint("provider = \"generic\"\nsignature = { header = \"X-Partner\" }\nevent_id = \"json:/id\"");
        assert!(may_hold_signature("generic", Some(&partner), "x-partner"));
        assert!(!may_hold_signature("generic", Some(&partner), "x-tenant"));
        assert!(may_hold_signature("generic", None, "x-tenant"), "nobody knows which one it was");
        let trello = endpoint("provider = \"trello\"");
        assert!(may_hold_signature("generic", Some(&trello), "x-trello-webhook"), "it has changed its provider since");
    }

    #[test]
    fn json_has_a_body_as_text_where_it_is_that_and_else_in_base64() {
        let json = |body: &[u8]| serde_json::to_string(&Body(body.to_vec())).unwrap();
        assert_eq!(json(b"{\"a\": \"\xc3\xa9\"}"), r#"{"bytes":11,"text":"{\"a\": \"é\"}"}"#);
        assert_eq!(json(b"\xff{}"), r#"{"bytes":3,"base64":"/3t9"}"#);
    }

    #[test]
    fn a_record_without_a_message_says_who_has_it() {
        let why = |state| not_held(state).to_string();
        assert_eq!(why(State::Processing), "the queue holds the message while a worker is at it");
        assert_eq!(why(State::Waiting), "the queue holds the message until the next attempt is due");
        assert_eq!(
            why(State::Completed),
            "the message of a completed event is not kept, unless `keep_days` in endpoints.toml says so"
        );
        assert_eq!(why(State::Failed), "the record holds no message, though it should");
    }
}
