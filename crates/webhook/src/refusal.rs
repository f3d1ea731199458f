//! Why a request is turned away. For the log; the sender learns the status and nothing else.

use std::fmt;

use thiserror::Error;

use crate::limits::QUOTED_CHARACTERS_MAX;

/// Why a request is turned away. It carries no secret, no signature, and of what a stranger wrote only a [`Quoted`] part.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    /// Something that the scheme needs is not there.
    #[error("the {what} is absent")]
    Absent {
        /// `header x-hub-signature-256`
        what: String,
    },
    /// Something that the scheme needs has no value.
    #[error("the {what} is empty")]
    Empty {
        /// As in [`Refusal::Absent`].
        what: String,
    },
    /// Something that the scheme needs is there more than once, so that it is unclear which counts.
    #[error("the {what} is repeated")]
    Repeated {
        /// As in [`Refusal::Absent`].
        what: String,
    },
    /// More signatures than a request may bring.
    #[error("the {what} holds more than {max} signatures")]
    TooManySignatures {
        /// As in [`Refusal::Absent`].
        what: String,
        /// [`SIGNATURES_MAX`](crate::limits::SIGNATURES_MAX), or where public keys verify them
        /// [`PUBLIC_KEY_SIGNATURES_MAX`](crate::limits::PUBLIC_KEY_SIGNATURES_MAX).
        max: usize,
    },
    /// The timestamp is not of its unit.
    #[error("the {what} does not hold a timestamp")]
    TimestampUnreadable {
        /// As in [`Refusal::Absent`].
        what: String,
    },
    /// The scheme reads fields of the body, and it is not the JSON that they would be in.
    #[error("the body is not the JSON that this provider sends: {problem}")]
    BodyUnreadable {
        /// What is wrong with it.
        problem: &'static str,
    },
    /// What a handshake asks to be answered is not what this provider asks.
    #[error("the handshake's {what} is not one: an answer to it could be used as a signature")]
    ChallengeUnacceptable {
        /// As in [`Refusal::Absent`].
        what: String,
    },
    /// What is signed is what a handshake could have asked to be answered: anybody can have such a signature.
    #[error("what is signed could be the question of a handshake, which anybody can have answered with this signature")]
    CouldBeChallenge,
    /// What the sender posts when an endpoint is set up: unsigned, so nothing is let in.
    #[error("the provider's unsigned ping, which it sends when a webhook is set up: acknowledged, and not let in")]
    UnsignedPing,
    /// A header does not have the only value that this scheme knows.
    #[error("the header {header} is {found}, and this scheme is known with {expected:?} only")]
    UnknownVersion {
        /// Its name.
        header: String,
        /// What it holds.
        found: Quoted,
        /// What was looked for.
        expected: &'static str,
    },
    /// Nothing in the signature's place begins with the scheme's prefix.
    #[error("the {what} holds no signature of this scheme: nothing in it begins with {prefix:?}")]
    SignaturePrefixAbsent {
        /// As in [`Refusal::Absent`].
        what: String,
        /// What was looked for.
        prefix: String,
    },
    /// What stands there is not of the scheme's encoding.
    #[error("the {what} holds no signature that can be decoded")]
    SignatureUndecodable {
        /// As in [`Refusal::Absent`].
        what: String,
    },
    /// No secret gives this signature: another secret was used, or the content was altered on its way.
    #[error(
        "the signature fits none of the endpoint's {secrets} secrets: it was made with another, or the request was altered"
    )]
    SignatureMismatch {
        /// How many were tried.
        secrets: usize,
    },
    /// The sender's published key does not give this signature.
    #[error("the signature does not fit the sender's published key: the request was altered, or is forged")]
    PublishedKeyMismatch,
    /// The signature is right, and the digest that it covers is another body's: no secret is wrong.
    #[error("the signature is right, and the {what} that it covers is not the body's: the body was altered on its way")]
    BodyAltered {
        /// Where the digest stands.
        what: &'static str,
    },
    /// The web token in the signature's place cannot be used.
    #[error("the {what} does not hold a web token of this scheme: {problem}")]
    TokenUnusable {
        /// As in [`Refusal::Absent`].
        what: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The request names a key at an address where this sender keeps none. Nothing was fetched.
    #[error("the signing key is said to be at {address}, where this sender keeps none")]
    KeyElsewhere {
        /// What it names.
        address: Quoted,
    },
    /// The address, or the id, of the key is one of the sender's, and there is no usable key.
    #[error("there is no usable key at {address}")]
    KeyUnknown {
        /// What it names.
        address: Quoted,
    },
    /// The message is of a topic that the endpoint does not name.
    #[error("the message is of the topic {topic}, which is not among the endpoint's `topics`")]
    TopicNotNamed {
        /// What it says.
        topic: Quoted,
    },
    /// A handshake repeats another token than the endpoint's.
    #[error("the handshake's {what} is not the endpoint's `verify_token`")]
    VerifyTokenMismatch {
        /// As in [`Refusal::Absent`].
        what: String,
    },
    /// Signed too long ago.
    #[error("signed {age_seconds} s ago, and {tolerance_seconds} s are tolerated")]
    Stale {
        /// How long ago.
        age_seconds: i64,
        /// How long would have been accepted.
        tolerance_seconds: i64,
    },
    /// Signed in the future.
    #[error("signed {ahead_seconds} s in the future, and {tolerance_seconds} s are tolerated")]
    FromTheFuture {
        /// How far.
        ahead_seconds: i64,
        /// How far would have been accepted.
        tolerance_seconds: i64,
    },
    /// The sender itself limited how long its signature is good for.
    #[error("the web token expired {age_seconds} s ago")]
    Expired {
        /// How long ago.
        age_seconds: i64,
    },
}

/// The kinds of refusal that conformance cases tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalKind {
    /// A part that the scheme needs is absent, empty, repeated or unreadable.
    Malformed,
    /// The signature is not one, or is wrong.
    BadSignature,
    /// The signature is right, and too old or too new.
    Stale,
}

/// What a stranger wrote, cut short and escaped, so that it can stand in a log line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quoted(String);

impl Quoted {
    /// The beginning of this text.
    pub fn new(text: &str) -> Quoted {
        Quoted(text.chars().take(QUOTED_CHARACTERS_MAX).collect())
    }
}

impl fmt::Display for Quoted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}", self.0)
    }
}

impl Refusal {
    /// Which kind this is.
    pub fn kind(&self) -> RefusalKind {
        match self {
            Refusal::Absent { .. }
            | Refusal::Empty { .. }
            | Refusal::Repeated { .. }
            | Refusal::TooManySignatures { .. }
            | Refusal::TimestampUnreadable { .. }
            | Refusal::BodyUnreadable { .. }
            | Refusal::ChallengeUnacceptable { .. }
            | Refusal::CouldBeChallenge
            | Refusal::UnsignedPing => RefusalKind::Malformed,
            Refusal::UnknownVersion { .. }
            | Refusal::SignaturePrefixAbsent { .. }
            | Refusal::SignatureUndecodable { .. }
            | Refusal::SignatureMismatch { .. }
            | Refusal::PublishedKeyMismatch
            | Refusal::BodyAltered { .. }
            | Refusal::TokenUnusable { .. }
            | Refusal::KeyElsewhere { .. }
            | Refusal::KeyUnknown { .. }
            | Refusal::TopicNotNamed { .. }
            | Refusal::VerifyTokenMismatch { .. } => RefusalKind::BadSignature,
            Refusal::Stale { .. } | Refusal::FromTheFuture { .. } | Refusal::Expired { .. } => RefusalKind::Stale,
        }
    }

    /// Whether other secrets could change the verdict, so that fetching them again makes sense.
    pub fn may_be_an_unknown_secret(&self) -> bool {
        matches!(self, Refusal::SignatureMismatch { .. })
    }
}

impl RefusalKind {
    /// One word for logs and metrics.
    pub fn word(self) -> &'static str {
        match self {
            RefusalKind::Malformed => "malformed",
            RefusalKind::BadSignature => "bad_signature",
            RefusalKind::Stale => "stale",
        }
    }
}
