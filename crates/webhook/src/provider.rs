//! How each sender signs, as data: one row a provider, read by one engine (`signature.rs`).
//!
//! A row is a constant: nothing of it is built or copied when a function starts. To add a sender whose scheme these
//! parameters can express, add a row to `provider/table.rs` and its cases to `tests/vectors/`; nothing else names
//! providers. A private sender needs no row: `provider = "generic"` in `endpoints.toml` supplies one
//! (`provider/generic.rs`).

mod separation;
mod table;
pub mod generic;

use std::borrow::Cow;
use std::fmt;

use base64::Engine;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use http::{HeaderMap, HeaderName};

pub use self::table::PROVIDERS;

/// Text of a row: a literal, or of the configuration, which is read once and lives as long as the process.
pub type Text = &'static str;
/// A list of a row.
pub type List<T> = &'static [T];

/// One sender: how it proves who it is, shakes hands, and behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Provider {
    /// As in `endpoints.toml`: `github`.
    pub name: Text,
    /// As its users write it: `GitHub`.
    pub title: Text,
    /// Where the scheme is documented by its sender.
    pub documentation: Text,
    /// How a request proves where it comes from. Where there are several, the endpoint chooses; the first is the default.
    pub schemes: List<Scheme>,
    /// What the endpoint must say in `endpoints.toml` before this provider can be verified.
    pub required: List<Setting>,
    /// Questions that it asks before, or between, its events.
    pub handshakes: List<Handshake>,
    /// What it sends unsigned when an endpoint is set up, or to look at its certificate, and wants a 2xx for. It is turned
    /// away as everything unsigned is, and told 200. Empty where there is no such thing.
    pub unsigned_ping: List<Condition>,
    /// Request headers that travel with the delivery beside those that hold its id and type; lower case.
    pub headers: List<Text>,
    /// The status that the sender expects for an accepted event.
    pub status_accepted: u16,
    /// The status that the sender expects for a bad signature.
    pub status_refused: u16,
    /// How long it waits for an answer, in seconds; `None` where it does not say.
    pub patience_seconds: Option<u16>,
    /// What it does after a failure.
    pub retries: Retries,
    /// What its owner has to set, or to know, so that all of its events are understood.
    pub remarks: List<Text>,
}

/// What a sender does when it is not answered as it wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retries {
    /// The answers after which it sends again.
    pub after: Retried,
    /// What it signs then.
    pub signed: Signed,
    /// How late the last repetition of an event can come, in seconds after the first; `None` where it does not say.
    pub horizon_seconds: Option<i64>,
    /// As its documentation puts it, in short.
    pub schedule: Text,
}

/// What a sender signs when it sends an event again. It decides how old a timestamp may be: a repetition that bears the first
/// one must be accepted as late as it can come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signed {
    /// Each attempt is signed with its own timestamp.
    Afresh,
    /// The first attempt's signature is repeated, or the signature has no timestamp.
    Once,
    /// It does not say.
    Unknown,
}

/// The answers after which a sender sends again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retried {
    /// None: what it does not deliver at once is lost, unless it is asked to redeliver.
    Never,
    /// It does not say.
    Unknown,
    /// All but 2xx.
    NotSuccess,
    /// All but 200.
    NotOk,
    /// 5xx only.
    ServerErrors,
    /// All but these.
    AllBut(List<u16>),
    /// These, and 5xx.
    ServerErrorsAnd(List<u16>),
    /// These, and no other.
    Only(List<u16>),
}

/// What only the owner of an endpoint knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setting {
    /// `verify_token`: what the sender repeats in its handshake.
    VerifyToken,
    /// `webhook_id`: the sender's id of the webhook, which it signs.
    WebhookId,
    /// `topics`: the only ones whose messages are let in.
    Topics,
}

/// How a request is signed, and what it says about its event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scheme {
    /// Tells it from the provider's others: `v3`. Empty where there is one only.
    pub name: Text,
    /// Where the signature is, or a list of them.
    pub signature: Place,
    /// What stands between several signatures in one place; `None` where there is only ever one.
    pub separator: Option<Text>,
    /// What stands before each signature: `sha256=`. An item without it is not a signature.
    pub prefix: Text,
    /// How the signature is written.
    pub encoding: Encoding,
    /// How it is computed.
    pub algorithm: Algorithm,
    /// What stands before a signature, and how it is computed, where the endpoint's secret is a public key instead.
    pub with_public_key: Option<(Text, Algorithm)>,
    /// Where the key comes from, and how it is written.
    pub secret: SecretForm,
    /// What is signed.
    pub content: Content,
    /// What the body must be, whatever its `Content-Type` says.
    pub body: BodyForm,
    /// Whether the signature is over the body without its `Content-Encoding`.
    pub decompress: bool,
    /// What all its headers may begin with instead, first what they begin with in this row: some of the sender's own customers,
    /// or its newer products, use other names. A request has one family of them or the other.
    pub other_headers: Option<(Text, Text)>,
    /// Where the sender says when it signed, if the signature covers that.
    pub timestamp: Option<Timestamp>,
    /// The methods by which events come, the usual one first. Questions have methods of their own.
    pub methods: List<Text>,
    /// Headers that must have this value; names in lower case.
    pub require: List<(Text, Text)>,
    /// Where the sender's own id of the event is; the first source that yields one counts.
    pub event_id: List<Source>,
    /// What that id is worth.
    pub event_id_rating: IdRating,
    /// Why it is rated so.
    pub rating_reason: Text,
    /// What an event is whose request has no id, or a list of which an element has none.
    pub without_id: WithoutId,
    /// What the digest is taken of that is a part of the key, or all of it.
    pub digest: DigestOf,
    /// Members of the JSON body, and headers, that differ between attempts at one event: the digest leaves them out.
    pub varies: List<Source>,
    /// What tells events apart beside what is signed: the digest takes it in, though anybody can change it.
    pub beside: List<Source>,
    /// Where the type of the event is; the first source that yields one names it, and filters match what stands at any.
    pub event_type: List<Source>,
    /// Where more is said of a type that was found, such as the action. Filters match that too.
    pub event_subtype: List<Source>,
    /// All types that there are; empty where the sender may add to them.
    pub types: List<Text>,
}

/// What a body must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyForm {
    /// A JSON object or list; nothing, where the method is GET. Neither its beginning nor its end is one, so nobody can part it
    /// from what is signed beside it at another place.
    Json,
    /// A JSON object or list, or a form.
    JsonOrForm,
    /// Anything; JSON, where the `Content-Type` says that.
    Any,
}

/// What an event is that has no id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WithoutId {
    /// Its digest tells it from others.
    Digest,
    /// Its digest and its timestamp do: what comes again with the very signature is the same, and each new signature is an event,
    /// because equal requests can be different events.
    Stamp,
    /// Each arrival is an event: the sender says the same again when the same happens again.
    Arrival,
}

/// What the digest of an idempotency key is taken of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DigestOf {
    /// All that the signature covers, but for the timestamp: what is not signed is nobody's word.
    Signed,
    /// The body, because what is signed beside it does not tell events apart, or is made anew for each attempt.
    Body,
}

/// Where signatures are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In this header; lower case, as in all of these.
    Header(Text),
    /// In any of these headers.
    Headers(List<Text>),
    /// In the headers of this name and a number: `x-docusign-signature-` 1, 2, ...
    NumberedHeaders(Text),
    /// In the JSON body, at this pointer.
    Json(Text),
    /// In the JSON body: each element of the list at `list` holds one, at `member`, and each must be right. Pointers in the
    /// content then begin at the element.
    JsonEach {
        /// Pointer to the list.
        list: Text,
        /// Pointer within an element.
        member: Text,
    },
    /// In this query parameter.
    Query(Text),
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
    /// The plain SHA-256 digest of a content that holds the secret.
    Sha256,
    /// The secret itself: it says who sent a request, and nothing about its body.
    Token,
    /// Ed25519 (RFC 8032); the key is 32 bytes.
    Ed25519,
    /// ECDSA on P-256 with SHA-256, the signature in DER; the key is a SubjectPublicKeyInfo.
    EcdsaP256Sha256,
    /// RSA PKCS#1 v1.5 with SHA-256; the key is a SubjectPublicKeyInfo.
    RsaSha256,
    /// RSA PKCS#1 v1.5 with SHA-1; the key is a SubjectPublicKeyInfo.
    RsaSha1,
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

/// Where the key comes from, and how it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretForm {
    /// The text's own bytes.
    Utf8,
    /// Hexadecimal.
    Hex,
    /// Base64, padded or not.
    Base64,
    /// `whsec_` and base64, the prefix optional; or `whpk_` and base64, which is a public key (Standard Webhooks).
    StandardWebhooks,
    /// There is none: the request names an address with a certificate, on one of these hosts.
    Certificate {
        /// The header with the address; lower case.
        header: Text,
        /// The only hosts that it may be on.
        hosts: List<Text>,
        /// What its path begins with; behind it come letters, digits and hyphens, at least one, and no query.
        path: Text,
    },
    /// There is none: SNS names a certificate of its own region in the body.
    SnsCertificate,
    /// `<client id>:<secret>`, with which the key is asked for that the request names.
    PlaidCredentials,
}

/// What is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// These parts, one after the other.
    Parts(List<Part>),
    /// As `signature/twilio.rs` says: the address and the form's fields in order.
    Twilio,
    /// As `signature/contentful.rs` says: request line, headers and body.
    Contentful,
    /// As `signature/sns.rs` says: the body's fields by the type of message.
    Sns,
    /// The signature is a JSON Web Token that holds the body's digest (`signature/plaid.rs`).
    PlaidToken,
    /// The signature is a JSON Web Token that says nothing about the body (`signature/monday.rs`).
    MondayToken,
}

/// A part of the signed content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Fixed text.
    Literal(Text),
    /// The body, byte for byte.
    Body,
    /// The timestamp, as it was sent.
    Timestamp,
    /// A header's value; its name in lower case.
    Header(Text),
    /// The method: `POST`.
    Method,
    /// The whole address as the sender knows it, query included.
    Url,
    /// The same with twelve percent escapes decoded, or as it is: HubSpot's documentation says the one, its libraries do
    /// the other.
    UrlHubspot,
    /// The secret's own bytes ([`Algorithm::Sha256`]).
    Secret,
    /// The CRC-32 of the body, in decimal. It guards against accidents, not against forgers.
    Crc32,
    /// A member of the JSON body, which must be there.
    Json(Text),
    /// A member of the JSON body, or nothing.
    JsonOrNothing(Text),
    /// The endpoint's `webhook_id`.
    WebhookId,
}

/// A place in a request where an id, a type or a question may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A header; its name in lower case.
    Header(Text),
    /// A header whose value is percent-encoded (CloudEvents' HTTP binding); its name in lower case.
    EncodedHeader(Text),
    /// A member of the JSON body, by RFC 6901 pointer: `/data/id`. The step `*` stands for the elements of a list: of
    /// these the first counts, and filters match any.
    Json(Text),
    /// The names of members that are none of `names`, of the object at the pointer `of`, or of each in a list. The first counts,
    /// and filters match any.
    MembersBeside {
        /// Pointer to the object; empty for the body itself.
        of: Text,
        /// The members that every event has.
        names: List<Text>,
    },
    /// A field of a form body.
    Form(Text),
    /// A member of the JSON in a field of a form body: the field, and the pointer.
    FormJson(Text, Text),
    /// A query parameter.
    Query(Text),
}

/// When a request was signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timestamp {
    /// Where it stands.
    pub at: TimestampPlace,
    /// How it is written.
    pub unit: TimestampUnit,
    /// How far it may lie in the past, in seconds, this one included, where the endpoint does not say. `None`: its age is
    /// not judged, because the sender publishes no bound and may repeat an event under its first timestamp.
    pub tolerance_seconds: Option<i64>,
    /// The same for the future. `None`: as far as in the past.
    pub future_tolerance_seconds: Option<i64>,
}

/// Where a timestamp stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimestampPlace {
    /// In a header; lower case.
    Header(Text),
    /// Among the signatures, behind this prefix: `t=`.
    Item(Text),
    /// In the JSON body, at this pointer.
    Json(Text),
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
    /// Signed, and each unique to one event of a list: all of them, in their order, are the key.
    Events,
    /// Not signed, or not unique: the key is the id and the digest of the body. Whoever captured a signed body cannot
    /// pass it off as the event of another id's body, and a list under a reused id is not swallowed.
    Hint,
    /// There is none, or another one for each attempt: the key is the digest alone.
    None,
    /// There is none, and equal bodies are different events: every arrival is an event, and nothing is recognised as a
    /// duplicate.
    Repeats,
}

/// What a signature vouches for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coverage {
    /// The body, byte for byte.
    Body,
    /// Some fields; the rest of the body may be anything.
    Fields,
    /// Who sent it, and nothing of what it says.
    Nothing,
}

/// How far a signature vouches for one place of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Covered {
    /// What stands there was signed, as what stands there.
    Yes,
    /// Each of its characters was signed, and nothing separates them from those beside them: whoever has captured a request
    /// can part them anew.
    Movable,
    /// It was not.
    No,
}

/// A question that a sender asks, and the answer that it wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Handshake {
    /// The method of the question.
    pub method: Text,
    /// What makes a request this question; all must hold.
    pub when: List<Condition>,
    /// Whether its signature is judged first. If not, anyone may ask, and what is answered must be harmless.
    pub signed: bool,
    /// What must be right before it is answered.
    pub check: Check,
    /// The answer's status.
    pub status: u16,
    /// The answer's headers; names in lower case.
    pub headers: List<(Text, Answer)>,
    /// The answer's body, one part after the other.
    pub body: List<Answer>,
}

/// Something that holds for a request or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// It is there, empty or not. What is asked about is then required not to be empty.
    Present(Source),
    /// It is not there, or is no text or number.
    Absent(Source),
    /// It is this text or number.
    Is(Source, Text),
}

/// What must be right before a handshake is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// Nothing.
    None,
    /// This must be the endpoint's `verify_token`.
    VerifyToken(Source),
    /// This must be 1 to 64 of `A-Za-z0-9+/=_-`. What is answered is signed with the secret that signs bodies, so nothing
    /// that could be a body may be asked.
    PlainToken(Source),
    /// This is a secret that the sender offers. It is taken only while the operator has opened the endpoint for it.
    OffersSecret(Source),
}

/// A part of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Fixed text.
    Literal(Text),
    /// What the request says there.
    Echo(Source),
    /// The same as a JSON string, quotes included.
    EchoJson(Source),
    /// The HMAC-SHA256 of what the request says there, under the newest secret.
    Hmac(Encoding, Source),
}

/// How a sender is to be spoken of where nothing is known of its retries.
pub const RETRIES_UNKNOWN: Retries =
    Retries { after: Retried::Unknown, signed: Signed::Unknown, horizon_seconds: None, schedule: "not published" };

/// The sender's patience where it does not say, in seconds; few wait less.
pub const PATIENCE_ASSUMED_SECONDS: u16 = 5;

/// The provider with this name in `endpoints.toml`; not `generic`, which takes its row from there.
pub fn find(name: &str) -> Option<&'static Provider> {
    PROVIDERS.iter().find(|provider| provider.name == name)
}

/// The names that `provider` may have in `endpoints.toml`, `generic` last.
pub fn named() -> impl Iterator<Item = &'static str> {
    PROVIDERS.iter().map(|provider| provider.name).chain(["generic"])
}

impl Provider {
    /// How long the sender waits, in seconds, as far as is known.
    pub fn patience(&self) -> u16 {
        self.patience_seconds.unwrap_or(PATIENCE_ASSUMED_SECONDS)
    }

    /// The scheme of this name; for `None` the default one.
    pub fn scheme(&self, name: Option<&str>) -> Option<&'static Scheme> {
        match name {
            None => self.schemes.first(),
            Some(name) => self.schemes.iter().find(|scheme| scheme.name == name),
        }
    }
}

impl Retried {
    /// Whether the sender sends again after this status; `None` where it does not say.
    pub fn includes(self, status: u16) -> Option<bool> {
        Some(match self {
            Retried::Never => false,
            Retried::Unknown => return None,
            Retried::NotSuccess => !(200..300).contains(&status),
            Retried::NotOk => status != 200,
            Retried::ServerErrors => status >= 500,
            Retried::AllBut(statuses) => !statuses.contains(&status),
            Retried::ServerErrorsAnd(statuses) => status >= 500 || statuses.contains(&status),
            Retried::Only(statuses) => statuses.contains(&status),
        })
    }
}

impl Setting {
    /// Its key in `endpoints.toml`.
    pub fn key(self) -> &'static str {
        match self {
            Setting::VerifyToken => "verify_token",
            Setting::WebhookId => "webhook_id",
            Setting::Topics => "topics",
        }
    }
}

impl Algorithm {
    /// Whether the key that verifies also signs.
    pub fn is_symmetric(self) -> bool {
        match self {
            Algorithm::HmacSha1
            | Algorithm::HmacSha256
            | Algorithm::HmacSha384
            | Algorithm::HmacSha512
            | Algorithm::Sha256
            | Algorithm::Token => true,
            Algorithm::Ed25519 | Algorithm::EcdsaP256Sha256 | Algorithm::RsaSha256 | Algorithm::RsaSha1 => false,
        }
    }
}

impl Scheme {
    /// What a signature of this scheme vouches for.
    pub fn coverage(&self) -> Coverage {
        match self.content {
            _ if self.algorithm == Algorithm::Token => Coverage::Nothing,
            Content::Parts(parts) if parts.contains(&Part::Body) => Coverage::Body,
            Content::Parts(_) | Content::Sns => Coverage::Fields,
            Content::Twilio | Content::Contentful | Content::PlaidToken => Coverage::Body,
            Content::MondayToken => Coverage::Nothing,
        }
    }

    /// How far the signature vouches for what `source` names. (Contentful's signed headers are named by the request, and an
    /// endpoint may name the address that is signed: see [`Terms::covers`](crate::terms::Terms::covers).)
    pub fn covers(&self, source: &Source) -> Covered {
        let parts = match self.content {
            Content::Parts(parts) => parts,
            Content::Twilio | Content::Contentful | Content::Sns | Content::PlaidToken | Content::MondayToken => &[],
        };
        let is_covered = match (self.coverage(), source) {
            (Coverage::Nothing, _) => false,
            (_, Source::Header(name) | Source::EncodedHeader(name)) => {
                parts.iter().any(|part| matches!(part, Part::Header(signed) if signed == name))
            }
            // Of Contentful's query, what stands behind a second question mark is not signed.
            (_, Source::Query(_)) => self.signs_url() && self.content != Content::Contentful,
            (
                Coverage::Body,
                Source::Json(_) | Source::MembersBeside { .. } | Source::Form(_) | Source::FormJson(..),
            ) => true,
            (Coverage::Fields, Source::Json(pointer)) => {
                let list = match self.signature {
                    Place::JsonEach { list, .. } => format!("{list}/*"),
                    Place::Header(_)
                    | Place::Headers(_)
                    | Place::NumberedHeaders(_)
                    | Place::Json(_)
                    | Place::Query(_) => String::new(),
                };
                let covered = |signed: &str| format!("{list}{signed}") == *pointer;
                self.content == Content::Sns && crate::signature::sns::SIGNED_ALWAYS.iter().any(|name| covered(name))
                    || parts
                        .iter()
                        .any(|part| matches!(part, Part::Json(signed) | Part::JsonOrNothing(signed) if covered(signed)))
            }
            (Coverage::Fields, Source::MembersBeside { .. } | Source::Form(_) | Source::FormJson(..)) => false,
        };
        match is_covered {
            false => Covered::No,
            true if self.separates() => Covered::Yes,
            true => Covered::Movable,
        }
    }

    /// Whether what is signed can be parted in one way only, so that each part is what its sender meant by it.
    pub fn separates(&self) -> bool {
        match self.content {
            Content::Parts(parts) => separation::is_unique(parts, self.body, self.timestamp.map(|stamp| stamp.unit)),
            // Names and values of fields follow one another.
            Content::Twilio => false,
            Content::Contentful | Content::Sns | Content::PlaidToken | Content::MondayToken => true,
        }
    }

    /// Whether whoever has captured one request can write on behind its body: SHA-256 can be computed on from its own result
    /// (length extension), where the secret stands in front and the body last. No JSON and no form holds what is appended.
    pub fn can_be_extended(&self) -> bool {
        let Content::Parts(parts) = self.content else { return false };
        self.algorithm == Algorithm::Sha256 && self.body == BodyForm::Any && parts.last() == Some(&Part::Body)
    }

    /// Whether signatures stand in this header, in lower case: its value may let in whoever knows it.
    pub fn has_signature_in(&self, header: &str) -> bool {
        match self.signature {
            Place::Header(name) => header == name,
            Place::Headers(names) => names.contains(&header),
            Place::NumberedHeaders(prefix) => header.starts_with(prefix),
            Place::Json(_) | Place::JsonEach { .. } | Place::Query(_) => false,
        }
    }

    /// A request's headers by the names of this row. Where the signature stands under the other names only, all headers of that
    /// family take the place of this row's; the request keeps both names, so that an endpoint can ask for either.
    pub(crate) fn in_its_own_names<'h>(&self, headers: &'h HeaderMap) -> Cow<'h, HeaderMap> {
        let Some((own, other)) = self.other_headers else { return Cow::Borrowed(headers) };
        let is_signed = |name: &str| self.has_signature_in(name);
        let renamed = |name: &HeaderName| {
            let rest = name.as_str().strip_prefix(other)?;
            HeaderName::from_bytes(format!("{own}{rest}").as_bytes()).ok()
        };
        let has_own = headers.keys().any(|name| is_signed(name.as_str()));
        let has_other = headers.keys().filter_map(renamed).any(|name| is_signed(name.as_str()));
        if has_own || !has_other {
            return Cow::Borrowed(headers);
        }
        let mut in_own: HeaderMap = headers
            .iter()
            .filter(|(name, _)| !name.as_str().starts_with(own))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        for (name, value) in headers {
            if let Some(name) = renamed(name) {
                in_own.append(name, value.clone());
            }
        }
        Cow::Owned(in_own)
    }

    /// Whether its key is fetched from where a request says that it is.
    pub fn publishes_key(&self) -> bool {
        match self.secret {
            SecretForm::Certificate { .. } | SecretForm::SnsCertificate | SecretForm::PlaidCredentials => true,
            SecretForm::Utf8 | SecretForm::Hex | SecretForm::Base64 | SecretForm::StandardWebhooks => false,
        }
    }

    /// Whether the address is a part of what is signed.
    pub fn signs_url(&self) -> bool {
        match self.content {
            Content::Parts(parts) => parts.iter().any(|part| matches!(part, Part::Url | Part::UrlHubspot)),
            Content::Twilio | Content::Contentful => true,
            Content::Sns | Content::PlaidToken | Content::MondayToken => false,
        }
    }

    /// Whether whoever can verify can sign, so that `cargo ops send` can play the sender.
    pub fn can_sign(&self) -> bool {
        match self.content {
            Content::Sns | Content::PlaidToken => false,
            Content::MondayToken | Content::Twilio | Content::Contentful | Content::Parts(_) => {
                self.algorithm.is_symmetric()
            }
        }
    }
}

impl SecretForm {
    /// Whether the endpoint's owner has to keep something in SSM for it.
    pub fn is_kept(self) -> bool {
        match self {
            SecretForm::Utf8
            | SecretForm::Hex
            | SecretForm::Base64
            | SecretForm::StandardWebhooks
            | SecretForm::PlaidCredentials => true,
            SecretForm::Certificate { .. } | SecretForm::SnsCertificate => false,
        }
    }
}

/// Decodes what senders write: some pad, some do not, and some cut off the padding's share of the last character too.
fn base64_engine(alphabet: &base64::alphabet::Alphabet) -> GeneralPurpose {
    let lenient = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    GeneralPurpose::new(alphabet, lenient)
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

impl fmt::Display for SecretForm {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            SecretForm::Utf8 => "text",
            SecretForm::Hex => "hexadecimal",
            SecretForm::Base64 => "base64",
            SecretForm::StandardWebhooks => "whsec_ or whpk_ and base64",
            SecretForm::Certificate { .. } | SecretForm::SnsCertificate => "a certificate",
            SecretForm::PlaidCredentials => "<client id>:<secret>",
        })
    }
}

impl Source {
    /// The pointer into the JSON body, where it is one.
    pub fn pointer(&self) -> Option<Text> {
        match self {
            Source::Json(pointer) => Some(pointer),
            Source::Header(_)
            | Source::EncodedHeader(_)
            | Source::MembersBeside { .. }
            | Source::Form(_)
            | Source::FormJson(..)
            | Source::Query(_) => None,
        }
    }

    /// The pointer to the elements of the list that it leads through last: `/events/*` of `/events/*/id`.
    pub fn list(&self) -> Option<Text> {
        let pointer = self.pointer()?;
        pointer.rfind("/*/").and_then(|at| pointer.get(..at + 2))
    }
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Header(name) | Source::EncodedHeader(name) => write!(formatter, "header:{name}"),
            Source::Json(pointer) => write!(formatter, "json:{pointer}"),
            Source::MembersBeside { of, names } => {
                let place = if of.is_empty() { String::new() } else { format!(" in json:{of}") };
                write!(formatter, "the member beside {}{place}", names.join(", "))
            }
            Source::Form(field) => write!(formatter, "form:{field}"),
            Source::FormJson(field, pointer) => write!(formatter, "form:{field}:{pointer}"),
            Source::Query(name) => write!(formatter, "query:{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::RECORD_RETENTION_SECONDS;

    #[test]
    fn a_header_that_holds_signatures_is_known_by_its_scheme_whatever_its_name_says() {
        let has_signature_in =
            |provider: &str, header: &str| find(provider).unwrap().scheme(None).unwrap().has_signature_in(header);
        assert!(has_signature_in("trello", "x-trello-webhook"));
        assert!(has_signature_in("box", "box-signature-secondary"));
        assert!(has_signature_in("docusign", "x-docusign-signature-7"));
        assert!(!has_signature_in("box", "box-delivery-id"));
        assert!(!has_signature_in("mailgun", "signature"));
    }

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
    fn the_latest_repetition_of_every_sender_still_finds_its_record() {
        for provider in PROVIDERS {
            let horizon = provider.retries.horizon_seconds.unwrap_or_default();
            assert!(horizon < RECORD_RETENTION_SECONDS, "{}", provider.name);
        }
    }

    #[test]
    fn no_tolerance_is_shorter_than_the_senders_own_retries_unless_each_is_signed_afresh() {
        for provider in PROVIDERS.iter().filter(|provider| provider.retries.signed != Signed::Afresh) {
            for timestamp in provider.schemes.iter().filter_map(|scheme| scheme.timestamp) {
                let Some(tolerance) = timestamp.tolerance_seconds else { continue };
                let horizon = provider.retries.horizon_seconds;
                let names = provider.name;
                assert!(horizon.is_some_and(|horizon| tolerance >= horizon), "{names}: {tolerance} s, {horizon:?}");
            }
        }
    }

    #[test]
    fn a_clock_that_is_a_minute_ahead_refuses_nothing() {
        for timestamp in PROVIDERS.iter().flat_map(|provider| provider.schemes).filter_map(|scheme| scheme.timestamp) {
            let ahead = timestamp.future_tolerance_seconds.or(timestamp.tolerance_seconds);
            assert!(ahead.is_none_or(|seconds| seconds >= 60), "{timestamp:?}");
        }
    }

    #[test]
    fn what_stands_under_other_names_is_read_by_the_rows() {
        let scheme = find("shopify").unwrap().scheme(None).unwrap();
        let headers = |pairs: &[(&'static str, &'static str)]| -> HeaderMap {
            pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
        };
        let other = headers(&[("shopify-hmac-sha256", "a"), ("shopify-topic", "t"), ("x-shopify-topic", "forged")]);
        let own = scheme.in_its_own_names(&other);
        assert_eq!(
            (&own["x-shopify-hmac-sha256"], &own["x-shopify-topic"]),
            (&"a".parse().unwrap(), &"t".parse().unwrap())
        );
        assert_eq!(own.get_all("x-shopify-topic").iter().count(), 1);
        assert_eq!(own["shopify-topic"], "t");
        // A request that has the row's own signature is read by the row's own names only.
        let both = headers(&[("shopify-hmac-sha256", "a"), ("x-shopify-hmac-sha256", "b"), ("shopify-topic", "t")]);
        assert_eq!(scheme.in_its_own_names(&both).as_ref(), &both);
    }

    #[test]
    fn who_tries_again_at_all_tries_again_after_our_503() {
        for provider in PROVIDERS.iter().filter(|provider| provider.retries.after != Retried::Never) {
            assert_ne!(provider.retries.after.includes(503), Some(false), "{}", provider.name);
        }
        assert_eq!(Retried::AllBut(&[200, 406]).includes(406), Some(false));
        assert_eq!(Retried::ServerErrors.includes(429), Some(false));
        assert_eq!(Retried::ServerErrorsAnd(&[429]).includes(429), Some(true));
        assert_eq!(Retried::NotOk.includes(204), Some(true));
        assert_eq!(Retried::NotSuccess.includes(204), Some(false));
    }

    #[test]
    fn a_token_covers_nothing_and_a_web_token_only_what_it_holds() {
        let scheme = |name: &str, scheme: Option<&str>| *find(name).unwrap().scheme(scheme).unwrap();
        assert_eq!(scheme("gitlab", None).coverage(), Coverage::Nothing);
        assert_eq!(scheme("gitlab", None).covers(&Source::Json("/id")), Covered::No);
        assert_eq!(scheme("gitlab", Some("signing")).coverage(), Coverage::Body);
        assert_eq!(scheme("monday", None).coverage(), Coverage::Nothing);
        assert_eq!(scheme("plaid", None).coverage(), Coverage::Body);
        assert_eq!(scheme("mailgun", None).coverage(), Coverage::Fields);
        assert_eq!(scheme("mailgun", None).covers(&Source::Json("/event-data/id")), Covered::No);
        // Eight fields, joined with a character that each may have.
        assert_eq!(scheme("adyen", None).covers(&scheme("adyen", None).event_id[0]), Covered::Movable);
        assert_eq!(scheme("paypal", None).covers(&Source::Json("/id")), Covered::No);
    }
}
