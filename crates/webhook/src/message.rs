//! The queue message, version 1: a CloudEvents 1.0 event in JSON.
//!
//! CloudEvents says that equal `source` and `id` name the same event, which is the ledger's rule. The text is ASCII,
//! because SQS refuses or replaces some characters. A consumer reads only versions that it knows and leaves newer ones
//! in the queue: while a new version is rolled out, both run.

use std::borrow::Cow;
use std::io;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::ser::{CompactFormatter, Formatter};
use thiserror::Error;

use crate::clock::UnixMillis;
use crate::delivery::{Delivery, Envelope};
use crate::idempotency::{Digest, IdempotencyKey};
use crate::judgement::Stated;
use crate::limits::{BODY_BYTES_INLINE_MAX, MESSAGE_BYTES_MAX};

/// The version that is written, and the newest that is read.
pub const VERSION: u32 = 1;

/// What `source` begins with; the endpoint's name follows.
const SOURCE_PREFIX: &str = "/webhooks/";
/// CloudEvents wants a type on every event; this one is given to those whose sender states none.
const UNTYPED: &str = "webhook";

/// The message as it is written. Names beside CloudEvents' own are extensions, which are lower case without underscores.
#[derive(Serialize, Deserialize)]
struct Message<'a> {
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
    /// Absent where it is `POST`.
    #[serde(skip_serializing_if = "is_post", default = "post")]
    method: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    query: Option<String>,
    /// A JSON object as text: an extension's value cannot be an object.
    headers: String,
    bodysha256: String,
    /// What a replay guard claims; absent where it is the body's digest.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    guardsha256: Option<String>,
    secretindex: usize,
    /// Absent where it is false.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    replayguard: bool,
    /// The exact bytes. They are by far the most of a message: they are read where they stand, and written by [`encode`] itself.
    #[serde(borrow, skip_serializing, default)]
    data_base64: Option<Cow<'a, str>>,
    /// Where they are, if they are not in the message: the key of an object in the bucket of bodies.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    dataref: Option<String>,
}

fn is_post(method: &str) -> bool {
    method == "POST"
}

fn post() -> String {
    "POST".to_owned()
}

/// What a message carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Carried {
    /// A delivery.
    Whole(Delivery),
    /// A delivery whose body is elsewhere.
    Referring(Referring),
}

/// A delivery whose body is in the bucket of bodies, because it is larger than [`BODY_BYTES_INLINE_MAX`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Referring {
    envelope: Envelope,
    reference: String,
}

/// A stored body that is not the one that was signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the stored body is not the one that was signed: its digest is another")]
pub struct OtherBody;

impl Carried {
    /// Everything about the delivery but its body.
    pub fn envelope(&self) -> &Envelope {
        match self {
            Carried::Whole(delivery) => &delivery.envelope,
            Carried::Referring(referring) => &referring.envelope,
        }
    }
}

impl Referring {
    /// The key of its body in the bucket of bodies.
    pub fn reference(&self) -> &str {
        &self.reference
    }

    /// The delivery, with the body that was found.
    ///
    /// # Errors
    /// If that is another.
    pub fn with_body(self, body: Vec<u8>) -> Result<Delivery, OtherBody> {
        if Digest::of(&body) != self.envelope.body_digest {
            return Err(OtherBody);
        }
        Ok(Delivery { envelope: self.envelope, body: body.into(), replay: 0, attempt: 1 })
    }
}

/// The key of a delivery's body in the bucket of bodies, if the message is not to carry it. No sender chooses any of it.
pub fn reference(delivery: &Delivery) -> Option<String> {
    let Envelope { body_digest, arrival_id, .. } = &delivery.envelope;
    (delivery.body.len() > BODY_BYTES_INLINE_MAX).then(|| format!("{}{arrival_id}", references_of(*body_digest)))
}

/// What the keys begin with of all bodies with this digest; the id of the arrival follows.
pub fn references_of(digest: Digest) -> String {
    format!("bodies/{digest}/")
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

/// The message that carries a delivery through the queue. Where [`reference`] says so, it only refers to the body, which must
/// have been stored before the message is sent.
///
/// # Errors
/// [`MessageTooLarge`]; with the headers that API Gateway lets through, every delivery fits.
pub fn encode(delivery: &Delivery) -> Result<String, MessageTooLarge> {
    let dataref = reference(delivery);
    let Delivery { envelope, body, .. } = delivery;
    let headers: serde_json::Map<_, _> =
        envelope.headers.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect();
    let message = Message {
        specversion: "1.0".to_owned(),
        id: envelope.key.as_str().to_owned(),
        source: format!("{SOURCE_PREFIX}{}", envelope.endpoint),
        event_type: envelope.event_type.as_ref().map_or(UNTYPED, |stated| &stated.text).to_owned(),
        time: envelope.received_at.to_string(),
        datacontenttype: envelope.content_type.clone(),
        wharfversion: VERSION,
        provider: envelope.provider.clone(),
        typesigned: envelope.event_type.as_ref().map(|stated| stated.signed),
        eventid: envelope.event_id.as_ref().map(|stated| stated.text.clone()),
        eventidsigned: envelope.event_id.as_ref().map(|stated| stated.signed),
        arrivalid: envelope.arrival_id.clone(),
        method: envelope.method.clone(),
        query: envelope.query.clone(),
        headers: serde_json::Value::Object(headers).to_string(),
        bodysha256: envelope.body_digest.to_string(),
        guardsha256: Some(envelope.guard_digest)
            .filter(|guard| *guard != envelope.body_digest)
            .map(|guard| guard.to_string()),
        secretindex: envelope.secret_index,
        replayguard: envelope.replay_guard,
        data_base64: None,
        dataref,
    };
    let data = message.dataref.is_none().then_some(body);
    let mut text = ascii_json(&message, data.map_or(0, |data| data.len().div_ceil(3) * 4));
    if let Some(data) = data {
        // Base64 needs no escapes, so it is not looked through for what does.
        text.pop();
        text.push_str(",\"data_base64\":\"");
        STANDARD.encode_string(data, &mut text);
        text.push_str("\"}");
    }
    if text.len() > MESSAGE_BYTES_MAX {
        return Err(MessageTooLarge { bytes: text.len() });
    }
    Ok(text)
}

/// What a message carries.
///
/// # Errors
/// [`MessageError`]; the two variants are handled in opposite ways.
pub fn decode(text: &str) -> Result<Carried, MessageError> {
    let undecodable = |problem: &str| MessageError::Undecodable { problem: problem.to_owned() };
    // serde's text says what was expected and where, and quotes nothing but names and single values' kinds.
    let unreadable = |error: serde_json::Error| MessageError::Undecodable {
        problem: format!("{:?} error at line {} column {}", error.classify(), error.line(), error.column()),
    };
    let read = serde_json::from_str::<Message<'_>>(text);
    let version = match &read {
        Ok(message) => Version { specversion: message.specversion.clone(), wharfversion: message.wharfversion },
        Err(_) => serde_json::from_str(text).map_err(unreadable)?,
    };
    if version.specversion != "1.0" {
        return Err(undecodable("it is not a CloudEvents 1.0 event"));
    }
    if version.wharfversion > VERSION {
        return Err(MessageError::NewerVersion { found: version.wharfversion });
    }
    let message = read.map_err(unreadable)?;
    let endpoint = message.source.strip_prefix(SOURCE_PREFIX).filter(|endpoint| !endpoint.is_empty());
    let headers: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(&message.headers).map_err(|_| undecodable("`headers` is not a JSON object as text"))?;
    let headers = headers
        .into_iter()
        .map(|(name, value)| value.as_str().map(|value| (name, value.to_owned())))
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| undecodable("a header is not text"))?;
    let body_digest = Digest::from_hex(&message.bodysha256).ok_or_else(|| undecodable("`bodysha256` is no digest"))?;
    let guard_digest = match &message.guardsha256 {
        Some(digest) => Digest::from_hex(digest).ok_or_else(|| undecodable("`guardsha256` is no digest"))?,
        None => body_digest,
    };
    let envelope = Envelope {
        endpoint: endpoint.ok_or_else(|| undecodable("`source` is not /webhooks/{endpoint}"))?.to_owned(),
        provider: message.provider,
        key: IdempotencyKey::parse(&message.id).ok_or_else(|| undecodable("`id` is no idempotency key"))?,
        event_id: message.eventid.map(|text| Stated { text, signed: message.eventidsigned.unwrap_or(false) }),
        event_type: message.typesigned.map(|signed| Stated { text: message.event_type, signed }),
        arrival_id: message.arrivalid,
        received_at: UnixMillis::from_rfc3339(&message.time).ok_or_else(|| undecodable("`time` is no instant"))?,
        method: message.method,
        query: message.query,
        content_type: message.datacontenttype,
        headers,
        body_digest,
        guard_digest,
        secret_index: message.secretindex,
        replay_guard: message.replayguard,
    };
    match (message.data_base64, message.dataref) {
        (Some(data), None) => {
            let body = STANDARD.decode(&*data).map_err(|_| undecodable("`data_base64` is not base64"))?;
            if Digest::of(&body) != envelope.body_digest {
                return Err(undecodable("`bodysha256` is not the digest of the body"));
            }
            Ok(Carried::Whole(Delivery { envelope, body: body.into(), replay: 0, attempt: 1 }))
        }
        (None, Some(reference)) => Ok(Carried::Referring(Referring { envelope, reference })),
        (Some(_), Some(_)) | (None, None) => Err(undecodable("it has neither `data_base64` nor `dataref`, or both")),
    }
}

/// JSON in which everything beyond printable ASCII is escaped, with room for so many bytes more.
fn ascii_json(message: &Message<'_>, more_bytes: usize) -> String {
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
    let mut bytes = Vec::with_capacity(more_bytes + 2048);
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
        of(envelope(), b"\xff{}")
    }

    fn of(envelope: Envelope, body: &[u8]) -> Delivery {
        let envelope = Envelope { body_digest: Digest::of(body), guard_digest: Digest::of(body), ..envelope };
        Delivery { envelope, body: body.to_vec().into(), replay: 0, attempt: 1 }
    }

    fn envelope() -> Envelope {
        Envelope {
            endpoint: "github".into(),
            provider: "github".into(),
            key: IdempotencyKey::of_event_and_body("d-1", Digest::of(b"\xff{}")),
            event_id: Some(Stated { text: "d-1".into(), signed: false }),
            event_type: Some(Stated { text: "push".into(), signed: false }),
            arrival_id: "A1=".into(),
            received_at: UnixMillis(1_754_000_000_250),
            method: "POST".into(),
            query: None,
            content_type: Some("application/octet-stream".into()),
            headers: vec![
                ("x-github-event".into(), "push".into()),
                ("x-note".into(), "é \u{1F600} \u{7f}\u{ffff}".into()),
            ],
            body_digest: Digest::of(b"\xff{}"),
            guard_digest: Digest::of(b"\xff{}"),
            secret_index: 1,
            replay_guard: false,
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
        let untyped = Envelope { event_id: None, event_type: None, content_type: None, headers: vec![], ..envelope() };
        let guarded = Envelope { replay_guard: true, ..envelope() };
        let mut by_signature = of(envelope(), b"\xff{}");
        by_signature.envelope.guard_digest = Digest::of(b"what was signed");
        let queried = Envelope { method: "GET".into(), query: Some("Sid=1&Status=a%20b".into()), ..envelope() };
        let deliveries = [envelope(), untyped, guarded, queried].map(|envelope| of(envelope, b"\xff{}"));
        for delivery in deliveries.into_iter().chain([by_signature]) {
            assert_eq!(decode(&encode(&delivery).unwrap()), Ok(Carried::Whole(delivery)));
        }
    }

    #[test]
    fn a_body_over_192_kib_is_referred_to_by_its_digest_and_its_arrival() {
        let largest_inline = of(envelope(), &vec![0xff; 192 * 1024]);
        assert_eq!(decode(&encode(&largest_inline).unwrap()), Ok(Carried::Whole(largest_inline)));

        let body = vec![0xff; 192 * 1024 + 1];
        let delivery = of(envelope(), &body);
        let text = encode(&delivery).unwrap();
        assert!(text.len() < 1024, "{text}");
        let Ok(Carried::Referring(referring)) = decode(&text) else { panic!("{text}") };
        assert_eq!(
            referring.reference(),
            "bodies/fd8431e36dd69ae317007f41e1837932b35fda053ae65b0466483fab3f30e3d8/A1="
        );
        assert_eq!(referring.clone().with_body(b"another".to_vec()), Err(OtherBody));
        assert_eq!(referring.with_body(body), Ok(delivery));
    }

    #[test]
    fn the_largest_inline_body_with_the_largest_headers_fits() {
        let headers = vec![("x".to_owned(), "\u{e9}".repeat(crate::limits::HEADER_BYTES_MAX / 2))];
        let largest = of(Envelope { headers, ..envelope() }, &vec![0xff; BODY_BYTES_INLINE_MAX]);
        let text = encode(&largest).unwrap();
        assert!(text.is_ascii());
        assert_eq!(decode(&text), Ok(Carried::Whole(largest)));
    }

    #[test]
    fn a_message_of_one_mebibyte_is_carried_and_one_of_a_byte_more_is_not() {
        let of_header = |bytes: usize| {
            let headers = vec![("x".to_owned(), "y".repeat(bytes))];
            encode(&of(Envelope { headers, ..envelope() }, b""))
        };
        let beside = of_header(1).unwrap().len() - 1;
        assert_eq!(of_header(1_048_576 - beside).unwrap().len(), 1_048_576);
        assert_eq!(of_header(1_048_577 - beside).unwrap_err().bytes, 1_048_577);
    }

    #[test]
    fn a_message_over_one_mebibyte_is_refused() {
        let headers = vec![("x".to_owned(), "y".repeat(MESSAGE_BYTES_MAX))];
        let bytes = encode(&of(Envelope { headers, ..envelope() }, b"")).unwrap_err().bytes;
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
            &good.replace("\"secretindex\"", "\"guardsha256\":\"88\",\"secretindex\""),
            &good.replace("2025-07-31", "soon"),
            &good.replace("d-1:", &"x".repeat(300)),
            &good.replace("data_base64", "data"),
            &good.replace("\"data_base64\"", "\"dataref\":\"bodies/1\",\"data_base64\""),
        ] {
            match decode(text) {
                Err(MessageError::Undecodable { problem }) => assert!(!problem.contains("not json"), "{problem}"),
                other => panic!("{text}: {other:?}"),
            }
        }
    }
}
