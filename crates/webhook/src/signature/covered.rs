//! What a signature covers, as digests: by them events are told apart.
//!
//! A sender signs anew when it tries again, and counts its attempts within what it signs. So the digest of an event leaves out the
//! timestamp, and what the row says that varies. And it is taken of what was signed, in the form in which it was signed: other
//! bytes that the same signature fits are the same event.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::{bytes_of, claims, contentful, decode_hubspot, json_text, plaid, twilio};
use crate::idempotency::Digest;
use crate::json;
use crate::provider::{Content, Coverage, Covered, DigestOf, List, Part, Scheme, Source};
use crate::refusal::Refusal;
use crate::request::{Once, Request};
use crate::terms::Terms;

/// The digest of what a verified request's signature covers and no attempt changes. `body` is the digest of its body, which is
/// not taken once more where nothing else counts.
pub(crate) fn constant_digest(terms: &Terms, request: &Request<'_>, body: Digest) -> Digest {
    let scheme = &terms.scheme;
    let of_body = || constant_body_digest(scheme, request, body);
    if scheme.digest == DigestOf::Body || scheme.coverage() == Coverage::Nothing {
        return of_body();
    }
    match scheme.content {
        Content::Parts(parts) if parts.iter().all(is_fixed_beside_body) => of_body(),
        Content::Parts(parts) => signed_parts(terms, parts, request, Left::Varying),
        Content::Twilio => twilio::digest(terms, request),
        Content::Contentful => contentful::digest(terms, request),
        Content::PlaidToken => plaid::digest(terms, request),
        Content::Sns | Content::MondayToken => of_body(),
    }
}

/// The digest that attempts at one event share and no other event has: of what is `constant`, and what stands beside it.
pub(crate) fn event_digest(terms: &Terms, request: &Request<'_>, constant: Digest) -> Digest {
    // A header holds no line feed, so this is unambiguous.
    let beside: Vec<String> = terms
        .scheme
        .beside
        .iter()
        .filter(|source| terms.covers(source) != Covered::Yes)
        .map(|source| request.lookup(source).map_or("\n".to_owned(), |text| format!("{text}\n")))
        .collect();
    if beside.iter().all(|text| text == "\n") {
        return constant;
    }
    Digest::of_parts(&[beside.concat().as_bytes(), &constant.bytes()])
}

/// The digest of all that one signature covers, the timestamp included.
pub(crate) fn signature_digest(terms: &Terms, request: &Request<'_>, body: Digest) -> Digest {
    match terms.scheme.content {
        Content::Parts(parts) => signed_parts(terms, parts, request, Left::Nothing),
        Content::Twilio | Content::Contentful | Content::Sns | Content::PlaidToken | Content::MondayToken => {
            constant_digest(terms, request, body)
        }
    }
}

/// Whether all that is signed is a text that a handshake may ask to have signed.
pub(crate) fn could_be_challenge(terms: &Terms, request: &Request<'_>) -> bool {
    let Content::Parts(parts) = terms.scheme.content else { return false };
    let pieces = pieces(terms, parts, request, Left::Nothing);
    let length: usize = pieces.iter().map(|piece| piece.len()).sum();
    crate::handshake::is_plain_length(length) && pieces.iter().all(|piece| crate::handshake::is_plain(piece))
}

/// What is left out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Left {
    Nothing,
    /// The timestamp, and what the row says that varies.
    Varying,
}

fn signed_parts(terms: &Terms, parts: List<Part>, request: &Request<'_>, left: Left) -> Digest {
    let pieces = pieces(terms, parts, request, left);
    Digest::of_parts(&pieces.iter().map(AsRef::as_ref).collect::<Vec<_>>())
}

/// Whether a part is the body, or says nothing that could tell events apart.
fn is_fixed_beside_body(part: &Part) -> bool {
    matches!(part, Part::Body | Part::Literal(_) | Part::Timestamp | Part::Secret)
}

/// The signed bytes of a request that was verified: whatever is not there was nothing to the signature either.
fn pieces<'a>(terms: &'a Terms, parts: List<Part>, request: &Request<'a>, left: Left) -> Vec<Cow<'a, [u8]>> {
    let scheme = &terms.scheme;
    let url = terms.signed_url(request);
    let varies = |source: Source| left == Left::Varying && scheme.varies.contains(&source);
    let elements = match claims(scheme, request) {
        Ok(claims) => claims.into_iter().map(|claim| claim.element).collect(),
        Err(_) => vec![None],
    };
    let of_element = |element: Option<&'a RawValue>| {
        let mut pieces: Vec<Cow<'a, [u8]>> = Vec::new();
        let json_of = element.map_or(request.body, |element| element.get().as_bytes());
        for part in parts {
            match *part {
                Part::Literal(text) => pieces.push(text.as_bytes().into()),
                Part::Body if left == Left::Varying => {
                    pieces.extend(constant_body(scheme, request).into_iter().map(Cow::Borrowed));
                }
                Part::Body => pieces.push(request.body.into()),
                Part::Timestamp if left == Left::Varying => {}
                Part::Timestamp => pieces.extend(timestamp(terms, parts, request)),
                Part::Header(name) if !varies(Source::Header(name)) => {
                    if let Once::Value(value) = request.header(name) {
                        pieces.push(value.as_bytes().into());
                    }
                }
                Part::Method => pieces.push(request.method.as_bytes().into()),
                Part::Url => pieces.push(bytes_of(url.clone())),
                // Of the two that a signature may be over, always the same.
                Part::UrlHubspot => pieces.push(decode_hubspot(&url).into_bytes().into()),
                Part::Crc32 => pieces.push(crc32fast::hash(request.body).to_string().into_bytes().into()),
                Part::Json(pointer) | Part::JsonOrNothing(pointer) if !varies(Source::Json(pointer)) => {
                    pieces.extend(json_text(json::member(json_of, pointer), pointer).ok());
                }
                Part::WebhookId => {
                    pieces.push(terms.settings.webhook_id.as_deref().unwrap_or_default().as_bytes().into());
                }
                Part::Header(_) | Part::Json(_) | Part::JsonOrNothing(_) | Part::Secret => {}
            }
        }
        pieces
    };
    // Each element is signed by itself, and not in which order they are.
    let mut of_elements: Vec<_> = elements.into_iter().map(of_element).collect();
    of_elements.sort_unstable();
    of_elements.into_iter().flatten().collect()
}

fn timestamp<'a>(terms: &Terms, parts: &[Part], request: &Request<'a>) -> Option<Cow<'a, [u8]>> {
    let claims: Result<_, Refusal> = claims(&terms.scheme, request);
    super::timestamp(terms, parts, &claims.ok()?, request).ok()?.map(|stamp| stamp.text)
}

fn constant_body_digest(scheme: &Scheme, request: &Request<'_>, body: Digest) -> Digest {
    if scheme.varies.is_empty() { body } else { Digest::of_parts(&constant_body(scheme, request)) }
}

/// The body without the members that vary.
pub(super) fn constant_body<'a>(scheme: &Scheme, request: &Request<'a>) -> Vec<&'a [u8]> {
    let pointers: Vec<&str> = scheme.varies.iter().filter_map(Source::pointer).collect();
    if pointers.is_empty() { vec![request.body] } else { json::without(request.body, &pointers) }
}
