//! Judging a request: is it a question, is it signed, and which event does it bring.
//!
//! The order is fixed. A handshake that senders leave unsigned comes first; then what is malformed, the signature, its age;
//! then a handshake that is signed; and only then is anything of the request believed.

use std::borrow::Cow;

use crate::clock::UnixSeconds;
use crate::handshake::{self, First, Reply};
use crate::idempotency::{Digest, IdempotencyKey};
use crate::limits::STATED_BYTES_MAX;
use crate::provider::{Content, IdRating, Part, Source};
use crate::refusal::Refusal;
use crate::request::{Once, Request};
use crate::secret::Secrets;
use crate::signature::key::FetchedKey;
use crate::signature::{self, Verified};
use crate::terms::Terms;

/// What a request is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// An event, and its signature is right.
    Event(Box<Event>),
    /// A question, to be answered at once.
    Handshake(Box<Reply>),
}

/// What a verified request says about its event. Only [`judge`] makes one, so that holding it is the proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    basis: KeyBasis,
    id: Option<Stated>,
    kind: Option<Stated>,
    body_digest: Digest,
    secret_index: usize,
}

/// What a request states about its event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stated {
    /// As the sender wrote it.
    pub text: String,
    /// Whether the signature covers it. If not, whoever has captured one signed body can state anything here.
    pub signed: bool,
}

/// What the idempotency key is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
enum KeyBasis {
    Key(IdempotencyKey),
    /// Each arrival is an event of its own.
    Arrival,
}

/// Judges a request by its endpoint's terms at `now`. `published` is the key at [`signature::key::address`], where there is
/// one.
///
/// # Errors
/// A [`Refusal`] that names the cause.
pub fn judge(
    terms: &Terms,
    secrets: &Secrets,
    published: Option<&FetchedKey>,
    request: &Request<'_>,
    now: UnixSeconds,
) -> Result<Verdict, Refusal> {
    if let Some(handshake) = handshake::unsigned(terms, request) {
        return handshake::reply(terms, handshake, secrets, request).map(|reply| Verdict::Handshake(Box::new(reply)));
    }
    let ping = terms.provider.unsigned_ping;
    if !ping.is_empty() && ping.iter().all(|condition| request.meets(condition)) {
        return Err(Refusal::UnsignedPing);
    }
    let verified = signature::verify(terms, secrets, published, request, now)?;
    if let Some(handshake) = handshake::find(terms, request, true) {
        return handshake::reply(terms, handshake, secrets, request).map(|reply| Verdict::Handshake(Box::new(reply)));
    }
    if terms.scheme.content == Content::Sns
        && let Some(url) = signature::sns::confirmation(terms, verified, request)?
    {
        let reply = Reply { status: 200, headers: Vec::new(), body: String::new(), first: First::Fetch { url } };
        return Ok(Verdict::Handshake(Box::new(reply)));
    }
    Ok(Verdict::Event(Box::new(event(terms, verified, request))))
}

/// The methods that a sender uses: it posts events, and some ask in other ways.
pub fn methods(terms: &Terms) -> Vec<&'static str> {
    let mut methods = vec!["POST"];
    for handshake in terms.provider.handshakes {
        if !methods.contains(&handshake.method) {
            methods.push(handshake.method);
        }
    }
    methods
}

/// Every type that a request's event, or its list of events, has.
pub fn event_types<'a>(terms: &Terms, request: &Request<'a>) -> Vec<Cow<'a, str>> {
    let found = terms.scheme.event_type.iter().map(|source| request.lookup_all(source));
    found.into_iter().find(|types| !types.is_empty()).unwrap_or_default()
}

/// What a request says about its event, whoever sent it. For what is not let in, and for conformance cases.
pub fn stated(terms: &Terms, request: &Request<'_>, sources: &[Source]) -> Option<Stated> {
    sources.iter().find_map(|source| {
        let text = request.lookup(source).filter(|text| text.len() <= STATED_BYTES_MAX)?.into_owned();
        match (terms.scheme.content, source) {
            // A Contentful request lists the headers that it signs: what it could have signed and did not is not its own.
            (Content::Contentful, Source::Header(name)) => {
                signature::signs_header(request, name).then_some(Stated { text, signed: true })
            }
            _ => Some(Stated { text, signed: terms.scheme.covers(source) }),
        }
    })
}

fn event(terms: &Terms, verified: Verified, request: &Request<'_>) -> Event {
    let scheme = &terms.scheme;
    let id = stated(terms, request, scheme.event_id);
    let body_digest = Digest::of(request.body);
    let basis = match (scheme.event_id_rating, &id) {
        (IdRating::Repeats, _) => KeyBasis::Arrival,
        // An id that this request does not sign is worth less than its provider's best.
        (IdRating::Event, Some(id)) if id.signed => KeyBasis::Key(IdempotencyKey::of_event(&id.text)),
        (IdRating::Event | IdRating::Hint, Some(id)) => {
            KeyBasis::Key(IdempotencyKey::of_event_and_body(&id.text, body_digest))
        }
        (IdRating::None, _) | (_, None) => {
            KeyBasis::Key(IdempotencyKey::of_content(signed_digest(terms, request, body_digest)))
        }
    };
    let kind = stated(terms, request, scheme.event_type);
    Event { basis, id, kind, body_digest, secret_index: verified.secret_index() }
}

/// The digest of what was signed beside the timestamp: the body, and the headers that a scheme adds to it.
fn signed_digest(terms: &Terms, request: &Request<'_>, body_digest: Digest) -> Digest {
    let Content::Parts(parts) = terms.scheme.content else { return body_digest };
    let mut headers: Vec<&[u8]> = Vec::new();
    for part in parts {
        if let Part::Header(name) = part
            && let Once::Value(value) = request.header(name)
        {
            headers.push(value.as_bytes());
        }
    }
    if headers.is_empty() {
        return body_digest;
    }
    // A header holds no line feed, so this is unambiguous.
    Digest::of_parts(&[&headers.join(b"\n".as_slice()), b"\n", request.body])
}

impl Event {
    /// The event's key: same event, same key. `arrival_id` is what it is made of where each arrival is an event.
    pub fn key(&self, arrival_id: &str) -> IdempotencyKey {
        match &self.basis {
            KeyBasis::Key(key) => key.clone(),
            KeyBasis::Arrival => IdempotencyKey::of_event(arrival_id),
        }
    }

    /// The sender's own id of the event.
    pub fn id(&self) -> Option<&Stated> {
        self.id.as_ref()
    }

    /// The type of the event.
    pub fn kind(&self) -> Option<&Stated> {
        self.kind.as_ref()
    }

    /// The digest of the body.
    pub fn body_digest(&self) -> Digest {
        self.body_digest
    }

    /// Which of the endpoint's secrets matched; 0 is the newest.
    pub fn secret_index(&self) -> usize {
        self.secret_index
    }
}
