//! How each sender signs, as data: one row a provider, read by one engine (`signature.rs`).
//!
//! To add a sender whose scheme these parameters can express, add a row to `provider/table.rs` and its cases to
//! `tests/vectors/`. A private sender needs no row: `provider = "generic"` in `endpoints.toml` supplies one
//! (`provider/generic.rs`).

mod table;
pub mod generic;

use std::borrow::Cow;
use std::fmt;

use base64::Engine;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

pub use self::table::{find, named};

/// Text that a row writes as a literal and a configuration owns.
pub type Text = Cow<'static, str>;
/// A list that a row writes as a literal and a configuration owns.
pub type List<T> = Cow<'static, [T]>;

/// One sender's scheme.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provider {
    /// As in `endpoints.toml`: `github`.
    pub name: Text,
    /// As its users write it: `GitHub`.
    pub title: Text,
    /// Where the scheme is documented by its sender.
    pub documentation: Text,
    /// How a request proves where it comes from.
    pub signature: Scheme,
    /// Where the sender's own id of the event is; the first source that yields one counts.
    pub event_id: List<Source>,
    /// What that id is worth.
    pub event_id_rating: IdRating,
    /// Where the type of the event is; the first source that yields one counts.
    pub event_type: List<Source>,
    /// The request headers that travel with the delivery, in lower case; others are dropped at the door.
    pub headers: List<Text>,
    /// The status that the sender expects for an accepted event.
    pub status_accepted: u16,
    /// The status that the sender expects for a bad signature.
    pub status_refused: u16,
    /// How long the sender waits for an answer, in seconds.
    pub patience_seconds: u16,
}

/// How a request is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scheme {
    /// The header that holds the signature, or a list of them; lower case.
    pub header: Text,
    /// What stands between several signatures in that header; `None` where there is only ever one.
    pub separator: Option<Text>,
    /// What stands before each signature: `sha256=`. An item without it is not a signature.
    pub prefix: Text,
    /// How the signature is written.
    pub encoding: Encoding,
    /// How it is computed.
    pub algorithm: Algorithm,
    /// How the secret is written.
    pub secret: SecretForm,
    /// What is signed.
    pub content: List<Part>,
    /// Where the sender says when it signed, if the content covers that.
    pub timestamp: Option<Timestamp>,
}

/// How a signature is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// HMAC with SHA-1: broken for collisions, not for this; some senders have nothing else.
    HmacSha1,
    /// HMAC with SHA-256.
    HmacSha256,
    /// HMAC with SHA-384.
    HmacSha384,
    /// HMAC with SHA-512.
    HmacSha512,
    /// The secret itself: it says who sent a request, and nothing about its body.
    Token,
}

/// How a signature is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Hexadecimal, of either case.
    Hex,
    /// Base64, padded or not.
    Base64,
    /// Base64 of the URL-safe alphabet, padded or not.
    Base64Url,
    /// The bytes as they are.
    Raw,
}

/// How a secret is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretForm {
    /// The text's own bytes.
    Utf8,
    /// Hexadecimal.
    Hex,
    /// Base64, padded or not.
    Base64,
}

/// A part of the signed content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Fixed text.
    Literal(Text),
    /// The body, byte for byte.
    Body,
    /// The timestamp, as it was sent.
    Timestamp,
    /// A header's value; its name in lower case.
    Header(Text),
}

/// A place in a request where an id or a type may stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A header; its name in lower case.
    Header(Text),
    /// A member of the JSON body, by RFC 6901 pointer: `/data/id`.
    Json(Text),
}

/// When a request was signed, and how old it may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timestamp {
    /// The header that holds it; lower case.
    pub header: Text,
    /// How it is written.
    pub unit: TimestampUnit,
    /// How far it may lie in the past, in seconds, this one included. `None`: its age is not judged.
    pub tolerance_seconds: Option<i64>,
    /// How far it may lie in the future, in seconds, this one included. `None`: as far as in the past.
    pub future_tolerance_seconds: Option<i64>,
}

/// How a timestamp is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimestampUnit {
    /// Seconds since 1970.
    Seconds,
    /// Milliseconds since 1970.
    Milliseconds,
    /// `2025-08-01T00:13:20+02:00`.
    Rfc3339,
}

/// What a sender's id of an event is worth when duplicates are to be recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdRating {
    /// Signed, and unique to the event: the id alone is the idempotency key.
    Event,
    /// Not signed, or not unique: the key is the id and the digest of the body. Whoever captured a signed body cannot
    /// pass it off as the event of another id's body, and a list under a reused id is not swallowed.
    Hint,
    /// There is none: the key is the digest of what was signed.
    None,
}

impl Scheme {
    /// Whether a change of the body makes the signature wrong.
    pub fn covers_body(&self) -> bool {
        self.algorithm != Algorithm::Token && self.content.contains(&Part::Body)
    }

    /// Whether a change of what `source` names makes the signature wrong.
    pub fn covers(&self, source: &Source) -> bool {
        match source {
            Source::Json(_) => self.covers_body(),
            Source::Header(name) => {
                self.algorithm != Algorithm::Token
                    && self.content.iter().any(|part| matches!(part, Part::Header(signed) if signed == name))
            }
        }
    }
}

/// Decodes what senders write: some pad, some do not.
fn base64_engine(alphabet: &base64::alphabet::Alphabet) -> GeneralPurpose {
    GeneralPurpose::new(alphabet, GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent))
}

impl Encoding {
    /// The bytes that `text` stands for; `None` if it is not of this encoding.
    pub fn decode(self, text: &[u8]) -> Option<Vec<u8>> {
        match self {
            Encoding::Hex => hex::decode(text).ok(),
            Encoding::Base64 => base64_engine(&STANDARD).decode(text).ok(),
            Encoding::Base64Url => base64_engine(&URL_SAFE).decode(text).ok(),
            Encoding::Raw => Some(text.to_vec()),
        }
    }

    /// How `bytes` are written, as senders do it: lower case, padded.
    pub fn encode(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Encoding::Hex => hex::encode(bytes).into_bytes(),
            Encoding::Base64 => base64_engine(&STANDARD).encode(bytes).into_bytes(),
            Encoding::Base64Url => base64_engine(&URL_SAFE).encode(bytes).into_bytes(),
            Encoding::Raw => bytes.to_vec(),
        }
    }
}

impl SecretForm {
    /// The key that `text` stands for; `None` if it is not of this form.
    pub fn key(self, text: &str) -> Option<Vec<u8>> {
        match self {
            SecretForm::Utf8 => Some(text.as_bytes().to_vec()),
            SecretForm::Hex => hex::decode(text).ok(),
            SecretForm::Base64 => base64_engine(&STANDARD).decode(text).ok(),
        }
    }
}

impl fmt::Display for SecretForm {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            SecretForm::Utf8 => "text",
            SecretForm::Hex => "hexadecimal",
            SecretForm::Base64 => "base64",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read_with_and_without_padding() {
        assert_eq!(Encoding::Base64.decode(b"AAE="), Some(vec![0, 1]));
        assert_eq!(Encoding::Base64.decode(b"AAE"), Some(vec![0, 1]));
        assert_eq!(Encoding::Base64.decode(b"AA-_"), None);
        assert_eq!(Encoding::Base64Url.decode(b"AA-_"), Some(vec![0, 15, 191]));
    }

    #[test]
    fn hex_is_read_in_either_case_and_written_in_lower_case() {
        assert_eq!(Encoding::Hex.decode(b"0aFF"), Some(vec![10, 255]));
        assert_eq!(Encoding::Hex.encode(&[10, 255]), b"0aff");
        assert_eq!(Encoding::Hex.decode(b"0a f"), None);
        assert_eq!(Encoding::Hex.decode(b"0a1"), None);
    }

    #[test]
    fn a_token_covers_nothing() {
        let scheme = Scheme { algorithm: Algorithm::Token, ..find("github").unwrap().signature.clone() };
        assert!(!scheme.covers_body());
        assert!(!scheme.covers(&Source::Json("/id".into())));
    }
}
