//! Judging a request: is it a question, is it signed, and which event does it bring.
//!
//! The order is fixed. A handshake that senders leave unsigned comes first; then what is malformed, the signature, its age;
//! then a handshake that is signed; and only then is anything of the request believed.

use std::borrow::Cow;
use std::cell::LazyCell;

use crate::clock::UnixSeconds;
use crate::compression;
use crate::handshake::{self, First, Reply};
use crate::idempotency::{Digest, IdempotencyKey};
use crate::json;
use crate::limits::STATED_BYTES_MAX;
use crate::provider::{BodyForm, Content, Coverage, Covered, IdRating, Scheme, Source, WithoutId};
use crate::refusal::Refusal;
use crate::request::Request;
use crate::secret::Secrets;
use crate::signature::key::FetchedKey;
use crate::signature::{self, Verified, covered};
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
    guard_digest: Digest,
    form: BodyForm,
    /// The body, where it did not come as it was signed.
    decompressed: Option<Vec<u8>>,
    may_be_empty: bool,
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
    let headers = terms.scheme.in_its_own_names(request.headers);
    let request = &Request { headers: &headers, ..*request };
    if let Some(handshake) = handshake::unsigned(terms, request) {
        return handshake::reply(terms, handshake, secrets, request).map(|reply| Verdict::Handshake(Box::new(reply)));
    }
    let ping = terms.provider.unsigned_ping;
    if !ping.is_empty() && ping.iter().all(|condition| request.meets(condition)) {
        return Err(Refusal::UnsignedPing);
    }
    let decompressed = if terms.scheme.decompress { compression::decompressed(request)? } else { None };
    let body = decompressed.as_deref().unwrap_or(request.body);
    let request = &Request { body, ..*request };
    let verified = signature::verify(terms, secrets, published, request, now)?;
    if let Some(handshake) = handshake::find(terms, request, true) {
        return handshake::reply(terms, handshake, secrets, request).map(|reply| Verdict::Handshake(Box::new(reply)));
    }
    if handshake::signs_for_anyone(terms) && covered::could_be_challenge(terms, request) {
        return Err(Refusal::CouldBeChallenge);
    }
    if terms.scheme.content == Content::Sns
        && let Some(url) = signature::sns::confirmation(terms, verified, request)?
    {
        let reply = Reply { status: 200, headers: Vec::new(), body: String::new(), first: First::Fetch { url } };
        return Ok(Verdict::Handshake(Box::new(reply)));
    }
    let event = event(terms, verified, request);
    Ok(Verdict::Event(Box::new(Event { decompressed, ..event })))
}

/// The methods that a sender uses: its events come by some, and it asks by others too.
pub fn methods(terms: &Terms) -> Vec<&'static str> {
    let mut methods = terms.methods.clone();
    for handshake in terms.provider.handshakes {
        if !methods.contains(&handshake.method) {
            methods.push(handshake.method);
        }
    }
    methods
}

/// Every type that a verified request's event, or its list of events, has, wherever it stands, and what more is said of it; none
/// if the type of the event, or of any in the list, cannot be told. The request's body is the one that was verified.
pub fn event_types(terms: &Terms, request: &Request<'_>) -> Vec<String> {
    let headers = terms.scheme.in_its_own_names(request.headers);
    let request = &Request { headers: &headers, ..*request };
    let found = |sources: &[Source]| -> Vec<String> {
        sources.iter().flat_map(|source| request.lookup_all(source)).map(Cow::into_owned).collect()
    };
    let mut types = found(terms.scheme.event_type);
    if types.is_empty() || has_untyped(terms.scheme.event_type, request) {
        return Vec::new();
    }
    types.extend(found(terms.scheme.event_subtype));
    types
}

/// Whether an element has no type, where the types stand in a list.
fn has_untyped(sources: &[Source], request: &Request<'_>) -> bool {
    let count = |source: &Source| request.lookup_all(source).len();
    let Some(list) = sources.iter().find(|source| count(source) > 0).and_then(Source::list) else { return false };
    let of_list = sources.iter().filter(|source| source.list() == Some(list));
    of_list.map(count).sum::<usize>() < request.count(list)
}

/// What a request says about its event, whoever sent it. For what is not let in, and for conformance cases.
pub fn stated(terms: &Terms, request: &Request<'_>, sources: &[Source]) -> Option<Stated> {
    said(terms, request, sources).map(|(text, covered)| Stated { text, signed: covered == Covered::Yes })
}

fn said(terms: &Terms, request: &Request<'_>, sources: &[Source]) -> Option<(String, Covered)> {
    sources.iter().find_map(|source| {
        let text = request.lookup(source).filter(|text| text.len() <= STATED_BYTES_MAX)?.into_owned();
        let covered = match (terms.scheme.content, source) {
            // A Contentful request lists the headers that it signs.
            (Content::Contentful, Source::Header(name)) if signature::signs_header(request, name) => Covered::Yes,
            _ => terms.covers(source),
        };
        Some((text, covered))
    })
}

fn event(terms: &Terms, verified: Verified, request: &Request<'_>) -> Event {
    let scheme = &terms.scheme;
    let said_id = said(terms, request, scheme.event_id);
    let body_digest = Digest::of(request.body);
    // Hashing is most of what a large body costs: each digest is taken once, and only if it counts.
    let constant = LazyCell::new(|| covered::constant_digest(terms, request, body_digest));
    let digest = || covered::event_digest(terms, request, *constant);
    let without_id = || match scheme.without_id {
        WithoutId::Digest => KeyBasis::Key(IdempotencyKey::of_content(digest())),
        WithoutId::Stamp => {
            KeyBasis::Key(IdempotencyKey::of_content(covered::signature_digest(terms, request, body_digest)))
        }
        WithoutId::Arrival => KeyBasis::Arrival,
    };
    let basis = match (scheme.event_id_rating, &said_id) {
        (IdRating::Repeats, _) => KeyBasis::Arrival,
        (IdRating::None, _) => KeyBasis::Key(IdempotencyKey::of_content(digest())),
        (IdRating::Event | IdRating::Events | IdRating::Hint, None) => without_id(),
        // An id that this request does not sign is worth less than its provider's best.
        (IdRating::Event, Some((id, Covered::Yes))) => KeyBasis::Key(IdempotencyKey::of_event(id)),
        (IdRating::Events | IdRating::Hint, Some((id, covered))) => match ids_of_list(scheme, request) {
            Ids::Missing => without_id(),
            Ids::Of(ids) if scheme.event_id_rating == IdRating::Events && *covered == Covered::Yes => {
                KeyBasis::Key(IdempotencyKey::of_events(&ids))
            }
            Ids::Of(_) | Ids::NoList => hint(id, *covered, digest()),
        },
        (IdRating::Event, Some((id, covered))) => hint(id, *covered, digest()),
    };
    let id = said_id.map(|(text, covered)| Stated { text, signed: covered == Covered::Yes });
    let kind = stated(terms, request, scheme.event_type);
    let guard_digest = match (scheme.event_id_rating, scheme.coverage()) {
        // Anybody can change the rest of the body: one signature is one event.
        (IdRating::Hint, Coverage::Fields) => covered::signature_digest(terms, request, body_digest),
        (IdRating::Hint, Coverage::Body | Coverage::Nothing) => *constant,
        // Where the endpoint has no guard.
        (IdRating::Event | IdRating::Events | IdRating::None | IdRating::Repeats, _) => body_digest,
    };
    Event {
        basis,
        id,
        kind,
        body_digest,
        guard_digest,
        form: scheme.body,
        decompressed: None,
        may_be_empty: ["GET", "DELETE"].contains(&request.method),
        secret_index: verified.secret_index(),
    }
}

/// The key of an id that does not identify an event by itself. One that can be parted anew out of what is signed would make
/// several events of one signature; and the digest holds it already.
fn hint(id: &str, covered: Covered, digest: Digest) -> KeyBasis {
    KeyBasis::Key(match covered {
        Covered::Movable => IdempotencyKey::of_content(digest),
        Covered::Yes | Covered::No => IdempotencyKey::of_event_and_body(id, digest),
    })
}

/// The ids of a list of events.
enum Ids {
    /// The place of the id is in no list.
    NoList,
    /// Each element has one.
    Of(Vec<String>),
    /// An element has none.
    Missing,
}

fn ids_of_list(scheme: &Scheme, request: &Request<'_>) -> Ids {
    let found: Vec<&Source> = scheme.event_id.iter().filter(|source| request.lookup(source).is_some()).collect();
    if found.first().and_then(|source| source.list()).is_none() {
        return Ids::NoList;
    }
    let mut all = Vec::new();
    for source in found {
        let Some(list) = source.list() else { continue };
        let ids = request.lookup_all(source);
        if ids.len() != request.count(list) {
            return Ids::Missing;
        }
        all.extend(ids.into_iter().map(Cow::into_owned));
    }
    Ids::Of(all)
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

    /// The digest of the body, as it was signed.
    pub fn body_digest(&self) -> Digest {
        self.body_digest
    }

    /// What a replay guard claims: the same for all that one signature fits.
    pub fn guard_digest(&self) -> Digest {
        self.guard_digest
    }

    /// The body as it was signed, where it came compressed.
    pub fn decompressed(&self) -> Option<&[u8]> {
        self.decompressed.as_deref()
    }

    /// Whether a verified body is what its sender sends: a check that no header decides.
    pub(crate) fn is_fit(&self, body: &[u8], content_type: Option<&str>) -> bool {
        match self.form {
            _ if self.may_be_empty && body.is_empty() => true,
            BodyForm::Json => json::is_object_or_list(body),
            BodyForm::JsonOrForm => json::is_object_or_list(body) || is_form(body),
            BodyForm::Any => !content_type.is_some_and(says_json) || json::is_json(body),
        }
    }

    /// Which of the endpoint's secrets matched; 0 is the newest.
    pub fn secret_index(&self) -> usize {
        self.secret_index
    }
}

/// `application/json`, or a type that is built on it, such as `application/cloudevents+json`.
fn says_json(content_type: &str) -> bool {
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    media_type == "application/json" || media_type.ends_with("+json")
}

/// Whether a body can be a form: names and values, escaped.
fn is_form(body: &[u8]) -> bool {
    body.contains(&b'=') && body.iter().all(|byte| byte.is_ascii_graphic() && !b"{}[]\"<>".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_what_says_so() {
        for content_type in ["application/json", "Application/JSON; charset=utf-8", "application/cloudevents+json"] {
            assert!(says_json(content_type), "{content_type}");
        }
        for content_type in ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonl"] {
            assert!(!says_json(content_type), "{content_type}");
        }
    }

    #[test]
    fn a_form_is_names_and_values() {
        assert!(is_form(b"payload=%7B%22a%22%3A1%7D&b=+c"));
        for body in [&b""[..], b"payload", b"{\"a\":\"=\"}", b"a=b c", b"a=\xff", b"[1=2]"] {
            assert!(!is_form(body), "{body:?}");
        }
    }
}
