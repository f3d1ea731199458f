//! What a record's message brings: what the sender said in headers, and the body, from the bucket where it is there.

use anyhow::{Context, Result};
use aws_sdk_s3::error::SdkError;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde::ser::{SerializeStruct, Serializer};
use thiserror::Error;
use wharf_webhook::delivery::Envelope;
use wharf_webhook::ledger::{Record, State};
use wharf_webhook::message::{self, Carried, MessageError};
use wharf_webhook::obfuscation::obfuscated;

use crate::deployment::Deployment;

/// What a record's message brings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Contents {
    /// The provider whose scheme verified it.
    pub provider: String,
    /// Which of the endpoint's secrets matched; 0 was the newest.
    pub secret_index: usize,
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

/// What a record's message brings, or why that cannot be shown.
///
/// # Errors
/// If the bucket of bodies cannot be read.
pub async fn contents(deployment: &Deployment, record: &Record) -> Result<Result<Contents, NotShown>> {
    let Some(text) = &record.message else { return Ok(Err(not_held(record.state))) };
    let referring = match message::decode(text) {
        Ok(Carried::Whole(delivery)) => {
            return Ok(Ok(Contents::new(delivery.envelope(), delivery.body().to_vec())));
        }
        Ok(Carried::Referring(referring)) => referring,
        Err(error) => return Ok(Err(error.into())),
    };
    let reference = referring.reference().to_owned();
    let Some(body) = stored(deployment, &reference).await? else {
        return Ok(Err(NotShown::BodyMissing { reference }));
    };
    let delivery = referring.with_body(body);
    Ok(delivery.map(|delivery| Contents::new(delivery.envelope(), delivery.body().to_vec())).map_err(NotShown::from))
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
    fn new(envelope: &Envelope, body: Vec<u8>) -> Contents {
        let shown = |(name, value): &(String, String)| (name.clone(), obfuscated(name, value));
        Contents {
            provider: envelope.provider().to_owned(),
            secret_index: envelope.secret_index(),
            content_type: envelope.content_type().map(str::to_owned),
            headers: envelope.headers().iter().map(shown).collect(),
            body: Body(body),
        }
    }
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
