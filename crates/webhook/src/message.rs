//! The queue message, version 1: a CloudEvents 1.0 event in JSON.
//!
//! CloudEvents says that equal `source` and `id` name the same event, which is the ledger's rule. The text is ASCII,
//! because SQS refuses or replaces some characters. A consumer reads only versions that it knows and leaves newer ones
//! in the queue: while a new version is rolled out, both run.

use std::io;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::ser::{CompactFormatter, Formatter};
use thiserror::Error;

use crate::clock::UnixMillis;
use crate::delivery::Delivery;
use crate::idempotency::{Digest, IdempotencyKey};
use crate::judgement::Stated;
use crate::limits::MESSAGE_BYTES_MAX;

/// The version that is written, and the newest that is read.
pub const VERSION: u32 = 1;

/// What `source` begins with; the endpoint's name follows.
const SOURCE_PREFIX: &str = "/webhooks/";
/// CloudEvents wants a type on every event; this one is given to those whose sender states none.
const UNTYPED: &str = "webhook";

/// The message as it is written. Names beside CloudEvents' own are extensions, which are lower case without underscores.
#[derive(Serialize, Deserialize)]
struct Message {
    specversion: String,
    /// The idempotency key.
    id: String,
    source: String,
    #[serde(rename = "type")]
    event_type: String,
    /// When the request was read at the door.
    time: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    datacontenttype: Option<String>,
    wharfversion: u32,
    provider: String,
    /// Absent if the sender states no type.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    typesigned: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    eventid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    eventidsigned: Option<bool>,
    arrivalid: String,
    /// A JSON object as text: an extension's value cannot be an object.
    headers: String,
    bodysha256: String,
    secretindex: usize,
    /// Absent where it is false.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    replayguard: bool,
    /// The exact bytes.
    data_base64: String,
}

/// The version alone, which every version of the message says in this way.
#[derive(Deserialize)]
struct Version {
    specversion: String,
    wharfversion: u32,
}

/// Why a delivery does not fit into a message.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the queue message would have {bytes} bytes, and {MESSAGE_BYTES_MAX} are the most")]
pub struct MessageTooLarge {
    /// What it would have.
    pub bytes: usize,
}

/// Why a message is not read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MessageError {
    /// Written by a newer release: to be left in the queue until that one consumes.
    #[error("its version is {found}, and this release reads up to {VERSION}")]
    NewerVersion {
        /// Its `wharfversion`.
        found: u32,
    },
    /// Not a message of ours, and never will be. Carries no part of the message.
    #[error("it is not a delivery: {problem}")]
    Undecodable {
        /// What is wrong.
        problem: String,
    },
}

/// The message that carries a delivery through the queue.
///
/// # Errors
/// [`MessageTooLarge`]; bodies up to [`crate::limits::BODY_BYTES_MAX`] always fit.
pub fn encode(delivery: &Delivery) -> Result<String, MessageTooLarge> {
    let headers: serde_json::Map<_, _> =
        delivery.headers.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect();
    let message = Message {
        specversion: "1.0".to_owned(),
        id: delivery.key.as_str().to_owned(),
        source: format!("{SOURCE_PREFIX}{}", delivery.endpoint),
        event_type: delivery.event_type.as_ref().map_or(UNTYPED, |stated| &stated.text).to_owned(),
        time: delivery.received_at.to_string(),
        datacontenttype: delivery.content_type.clone(),
        wharfversion: VERSION,
        provider: delivery.provider.clone(),
        typesigned: delivery.event_type.as_ref().map(|stated| stated.signed),
        eventid: delivery.event_id.as_ref().map(|stated| stated.text.clone()),
        eventidsigned: delivery.event_id.as_ref().map(|stated| stated.signed),
        arrivalid: delivery.arrival_id.clone(),
        headers: serde_json::Value::Object(headers).to_string(),
        bodysha256: delivery.body_digest.to_string(),
        secretindex: delivery.secret_index,
        replayguard: delivery.replay_guard,
        data_base64: STANDARD.encode(&delivery.body),
    };
    let text = ascii_json(&message);
    if text.len() > MESSAGE_BYTES_MAX {
        return Err(MessageTooLarge { bytes: text.len() });
    }
    Ok(text)
}

/// The delivery that a message carries.
///
/// # Errors
/// [`MessageError`]; the two variants are handled in opposite ways.
pub fn decode(text: &str) -> Result<Delivery, MessageError> {
    let undecodable = |problem: &str| MessageError::Undecodable { problem: problem.to_owned() };
    // serde's text says what was expected and where, and quotes nothing but names and single values' kinds.
    let unreadable = |error: serde_json::Error| MessageError::Undecodable {
        problem: format!("{:?} error at line {} column {}", error.classify(), error.line(), error.column()),
    };
    let version: Version = serde_json::from_str(text).map_err(unreadable)?;
    if version.specversion != "1.0" {
        return Err(undecodable("it is not a CloudEvents 1.0 event"));
    }
    if version.wharfversion > VERSION {
        return Err(MessageError::NewerVersion { found: version.wharfversion });
    }
    let message: Message = serde_json::from_str(text).map_err(unreadable)?;
    let endpoint = message.source.strip_prefix(SOURCE_PREFIX).filter(|endpoint| !endpoint.is_empty());
    let headers: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(&message.headers).map_err(|_| undecodable("`headers` is not a JSON object as text"))?;
    let headers = headers
        .into_iter()
        .map(|(name, value)| value.as_str().map(|value| (name, value.to_owned())))
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| undecodable("a header is not text"))?;
    let body = STANDARD.decode(&message.data_base64).map_err(|_| undecodable("`data_base64` is not base64"))?;
    let body_digest = Digest::of(&body);
    if Digest::from_hex(&message.bodysha256) != Some(body_digest) {
        return Err(undecodable("`bodysha256` is not the digest of the body"));
    }
    Ok(Delivery {
        endpoint: endpoint.ok_or_else(|| undecodable("`source` is not /webhooks/{endpoint}"))?.to_owned(),
        provider: message.provider,
        key: IdempotencyKey::parse(&message.id).ok_or_else(|| undecodable("`id` is no idempotency key"))?,
        event_id: message.eventid.map(|text| Stated { text, signed: message.eventidsigned.unwrap_or(false) }),
        event_type: message.typesigned.map(|signed| Stated { text: message.event_type, signed }),
        arrival_id: message.arrivalid,
        received_at: UnixMillis::from_rfc3339(&message.time).ok_or_else(|| undecodable("`time` is no instant"))?,
        content_type: message.datacontenttype,
        headers,
        body,
        body_digest,
        secret_index: message.secretindex,
        replay_guard: message.replayguard,
        attempt: 1,
    })
}

/// JSON in which everything beyond printable ASCII is escaped.
fn ascii_json(message: &Message) -> String {
    struct Ascii;
    impl Formatter for Ascii {
        fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
            if fragment.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
                return CompactFormatter.write_string_fragment(writer, fragment);
            }
            let mut units = [0; 2];
            fragment.chars().try_for_each(|character| match character {
                ' '..='~' => write!(writer, "{character}"),
                _ => character.encode_utf16(&mut units).iter().try_for_each(|unit| write!(writer, "\\u{unit:04x}")),
            })
        }
    }
    let mut bytes = Vec::with_capacity(message.data_base64.len() + 2048);
    let written = message.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, Ascii));
    #[expect(clippy::expect_used, reason = "a Vec takes all that is written, and every name in the message is text")]
    written.expect("the message is JSON");
    #[expect(clippy::expect_used, reason = "ASCII is UTF-8")]
    String::from_utf8(bytes).expect("the message is ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery() -> Delivery {
        Delivery {
            endpoint: "github".into(),
            provider: "github".into(),
            key: IdempotencyKey::of_event_and_body("d-1", Digest::of(b"\xff{}")),
            event_id: Some(Stated { text: "d-1".into(), signed: false }),
            event_type: Some(Stated { text: "push".into(), signed: false }),
            arrival_id: "A1=".into(),
            received_at: UnixMillis(1_754_000_000_250),
            content_type: Some("application/octet-stream".into()),
            headers: vec![
                ("x-github-event".into(), "push".into()),
                ("x-note".into(), "é \u{1F600} \u{7f}\u{ffff}".into()),
            ],
            body: b"\xff{}".to_vec(),
            body_digest: Digest::of(b"\xff{}"),
            secret_index: 1,
            replay_guard: false,
            attempt: 1,
        }
    }

    #[test]
    fn version_1_is_written_like_this() {
        assert_eq!(
            encode(&delivery()).unwrap(),
            concat!(
                r#"{"specversion":"1.0","#,
                r#""id":"d-1:88c33a076d6c13228dc93728ed09cac76bab58b4401aa14cb52b646ffdb6ae58","#,
                r#""source":"/webhooks/github","type":"push","time":"2025-07-31T22:13:20.25Z","#,
                r#""datacontenttype":"application/octet-stream","wharfversion":1,"provider":"github","typesigned":false,"#,
                r#""eventid":"d-1","eventidsigned":false,"arrivalid":"A1=","#,
                r#""headers":"{\"x-github-event\":\"push\",\"x-note\":\"\u00e9 \ud83d\ude00 \u007f\uffff\"}","#,
                r#""bodysha256":"88c33a076d6c13228dc93728ed09cac76bab58b4401aa14cb52b646ffdb6ae58","#,
                r#""secretindex":1,"data_base64":"/3t9"}"#,
            )
        );
    }

    #[test]
    fn what_was_written_is_read_unchanged() {
        let untyped = Delivery { event_id: None, event_type: None, content_type: None, headers: vec![], ..delivery() };
        let guarded = Delivery { replay_guard: true, ..delivery() };
        for delivery in [delivery(), untyped, guarded] {
            assert_eq!(decode(&encode(&delivery).unwrap()), Ok(delivery));
        }
    }

    #[test]
    fn the_largest_body_with_the_largest_headers_fits() {
        let body = vec![0xff; crate::limits::BODY_BYTES_MAX];
        let headers = vec![("x".to_owned(), "\u{e9}".repeat(crate::limits::HEADER_BYTES_MAX / 2))];
        let largest = Delivery { body_digest: Digest::of(&body), body, headers, ..delivery() };
        let text = encode(&largest).unwrap();
        assert!(text.is_ascii());
        assert_eq!(decode(&text), Ok(largest));
    }

    #[test]
    fn a_message_over_one_mebibyte_is_refused() {
        let body = vec![0; MESSAGE_BYTES_MAX];
        let bytes = encode(&Delivery { body_digest: Digest::of(&body), body, ..delivery() }).unwrap_err().bytes;
        assert!(bytes > MESSAGE_BYTES_MAX);
    }

    #[test]
    fn a_newer_version_is_left_for_a_newer_release() {
        let text = r#"{"specversion":"1.0","wharfversion":2,"anything":"else"}"#;
        assert_eq!(decode(text), Err(MessageError::NewerVersion { found: 2 }));
    }

    #[test]
    fn what_is_not_ours_is_undecodable_and_not_quoted() {
        let good = encode(&delivery()).unwrap();
        for text in [
            "",
            "not json",
            "{}",
            "[]",
            r#"{"specversion":"1.0"}"#,
            r#"{"specversion":"2.0","wharfversion":1}"#,
            &good.replace("/webhooks/github", "/elsewhere"),
            &good.replace("/webhooks/github", "/webhooks/"),
            &good.replace("/3t9", "/3t8"),
            &good.replace("/3t9", "!"),
            &good.replace("2025-07-31", "soon"),
            &good.replace("d-1:", &"x".repeat(300)),
        ] {
            match decode(text) {
                Err(MessageError::Undecodable { problem }) => assert!(!problem.contains("not json"), "{problem}"),
                other => panic!("{text}: {other:?}"),
            }
        }
    }
}
