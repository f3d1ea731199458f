//! Verifying a request by a provider's row.
//!
//! The order of judgement is fixed: what is missing or cannot be read is malformed; then the signature; the age last, so
//! that a request both forged and old is called forged: a forger can write any time, so to judge it first would spare
//! nothing. Every comparison with something secret takes the same time
//! wherever the difference lies. What a row cannot say is in five small modules behind the same entry; the way back, from a
//! body to a signed request, is in [`signing`].

mod contentful;
pub(crate) mod covered;
mod monday;
mod plaid;
pub(crate) mod sns;
mod token;
mod twilio;
pub mod key;
pub mod signing;

use std::borrow::Cow;
use std::collections::BTreeSet;

use http::header::HeaderValue;
use serde_json::value::RawValue;
use subtle::ConstantTimeEq;

pub(crate) use self::contentful::signs_header;
use self::key::{FetchedKey, KeyAddress};
use crate::clock::{UnixMillis, UnixSeconds};
use crate::crypto::{self, Message};
use crate::json;
use crate::limits::{PUBLIC_KEY_SIGNATURES_MAX, SIGNATURES_MAX};
use crate::provider::{
    Algorithm, Content, Coverage, Encoding, List, Part, Place, Scheme, SecretForm, Text, TimestampPlace, TimestampUnit,
};
use crate::refusal::{Quoted, Refusal};
use crate::request::{Once, Request};
use crate::secret::{Secret, Secrets};
use crate::terms::Terms;

/// The proof that a request's signature is right. Only [`verify`] makes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    secret_index: usize,
}

impl Verified {
    /// Which of the endpoint's secrets matched; 0 is the newest, and 0 where the sender publishes its key. Where several
    /// signatures had to match, the oldest one that was used.
    pub fn secret_index(self) -> usize {
        self.secret_index
    }
}

/// Judges a request's signature by its endpoint's terms: whether one of `secrets`, or the sender's `published` key where
/// it publishes one ([`key::address`]), signed it, and not too long before `now`.
///
/// # Errors
/// A [`Refusal`] that names the cause.
pub fn verify(
    terms: &Terms,
    secrets: &Secrets,
    published: Option<&FetchedKey>,
    request: &Request<'_>,
    now: UnixSeconds,
) -> Result<Verified, Refusal> {
    match terms.scheme.content {
        Content::Parts(parts) => verify_parts(terms, parts, secrets, published, request, now),
        Content::Twilio => twilio::verify(terms, secrets, request),
        Content::Contentful => contentful::verify(terms, secrets, request, now),
        Content::Sns => sns::verify(terms, published, request, now),
        Content::PlaidToken => plaid::verify(terms, published, request, now),
        Content::MondayToken => monday::verify(terms, secrets, request, now),
    }
}

fn verify_parts(
    terms: &Terms,
    parts: List<Part>,
    secrets: &Secrets,
    published: Option<&FetchedKey>,
    request: &Request<'_>,
    now: UnixSeconds,
) -> Result<Verified, Refusal> {
    let scheme = &terms.scheme;
    let Reading { claims, stamped, contents } = Reading::of(terms, parts, request)?;
    let mut oldest = 0;
    for (claim, content) in claims.iter().zip(&contents) {
        let secret_index = match scheme.secret {
            SecretForm::Certificate { header: name, .. } => {
                let signatures = decoded(scheme, claim, scheme.prefix)?;
                let Some(KeyAddress::Certificate { url }) = key::address(terms, request)? else {
                    return Err(Refusal::Absent { what: format!("header {name}") });
                };
                let key = published.and_then(FetchedKey::certified);
                let key = key.ok_or_else(|| Refusal::KeyUnknown { address: Quoted::new(&url) })?;
                let fits = content.messages(scheme.algorithm).iter().any(|message| message.fits(key, &signatures));
                fits.then_some(0).ok_or(Refusal::PublishedKeyMismatch)?
            }
            SecretForm::Utf8
            | SecretForm::Hex
            | SecretForm::Base64
            | SecretForm::StandardWebhooks
            | SecretForm::SnsCertificate
            | SecretForm::PlaidCredentials => matching_secret(scheme, claim, content, secrets)?,
        };
        oldest = oldest.max(secret_index);
    }
    if let Place::JsonEach { list, .. } = scheme.signature
        && scheme.coverage() == Coverage::Fields
    {
        // Nothing signs the list: whoever captured one element could make lists of it without end.
        let mut seen = BTreeSet::new();
        if !contents.iter().all(|content| seen.insert(content.text())) {
            return Err(Refusal::Repeated { what: format!("element of list {list} in the body") });
        }
    }
    if let Some(stamped) = &stamped {
        judge_age(terms, stamped.at, now)?;
    }
    Ok(Verified { secret_index: oldest })
}

/// What a request has of all that its scheme needs: whatever of it is missing or cannot be read is found before anything
/// is computed or fetched.
struct Reading<'a> {
    claims: Vec<Claim<'a>>,
    stamped: Option<Stamp<'a>>,
    /// One for each claim.
    contents: Vec<Pieces<'a>>,
}

impl<'a> Reading<'a> {
    fn of(terms: &'a Terms, parts: List<Part>, request: &Request<'a>) -> Result<Reading<'a>, Refusal> {
        let claims = claims(&terms.scheme, request)?;
        let stamped = timestamp(terms, parts, &claims, request)?;
        let contents = claims.iter().map(|claim| Pieces::of(terms, parts, claim, stamped.as_ref(), request));
        let contents = contents.collect::<Result<_, _>>()?;
        require(&terms.scheme, request)?;
        Ok(Reading { claims, stamped, contents })
    }
}

/// Which secret made one of the signatures that a request claims.
fn matching_secret(
    scheme: &Scheme,
    claim: &Claim<'_>,
    content: &Pieces<'_>,
    secrets: &Secrets,
) -> Result<usize, Refusal> {
    let with_secret = (scheme.prefix, scheme.algorithm);
    let with_public_key = scheme.with_public_key.unwrap_or(with_secret);
    // Where there are secrets and public keys, signatures for either are enough.
    let (mut compared, mut unreadable) = (false, None);
    // What public keys verify is hashed once, however many keys and signatures there are.
    let mut messages = None;
    let mut matching = None;
    for (index, secret) in secrets.iter().enumerate() {
        let (prefix, algorithm) = if secret.is_public() { with_public_key } else { with_secret };
        let signatures = match decoded(scheme, claim, prefix) {
            Ok(signatures) => signatures,
            Err(refusal) => {
                unreadable = Some(refusal);
                continue;
            }
        };
        compared = true;
        let fits = if secret.is_public() {
            if signatures.len() > PUBLIC_KEY_SIGNATURES_MAX {
                return Err(Refusal::TooManySignatures {
                    what: what(&scheme.signature),
                    max: PUBLIC_KEY_SIGNATURES_MAX,
                });
            }
            let messages = messages.get_or_insert_with(|| content.messages(algorithm));
            messages.iter().any(|message| message.fits(secret.key(), &signatures))
        } else {
            content.fits(algorithm, secret, &signatures)
        };
        if fits {
            matching = Some(index);
            break;
        }
    }
    match (matching, unreadable) {
        (Some(index), _) => Ok(index),
        (None, Some(refusal)) if !compared => Err(refusal),
        (None, Some(_) | None) => Err(Refusal::SignatureMismatch { secrets: secrets.count() }),
    }
}

/// What claims to be one signature, or a list of alternatives.
struct Claim<'a> {
    /// As it stands in the request, split at the separator.
    items: Vec<Cow<'a, [u8]>>,
    /// The element of a list that it stands in; pointers begin there.
    element: Option<&'a RawValue>,
}

/// Every signature that must be right: one, but for lists whose elements are each signed.
fn claims<'a>(scheme: &Scheme, request: &Request<'a>) -> Result<Vec<Claim<'a>>, Refusal> {
    let one = |texts: Vec<Cow<'a, [u8]>>| -> Result<Vec<Claim<'a>>, Refusal> {
        let items: Vec<Cow<'a, [u8]>> = match scheme.separator {
            None => texts,
            Some(separator) => texts.into_iter().flat_map(|text| split(text, separator)).collect(),
        };
        if items.len() > SIGNATURES_MAX {
            return Err(Refusal::TooManySignatures { what: what(&scheme.signature), max: SIGNATURES_MAX });
        }
        Ok(vec![Claim { items, element: None }])
    };
    match scheme.signature {
        Place::Header(name) => one(vec![header(request, name)?.as_bytes().into()]),
        Place::Headers(names) => {
            let there = names.iter().filter(|name| request.headers.contains_key(**name));
            let texts =
                there.map(|name| Ok(header(request, name)?.as_bytes().into())).collect::<Result<Vec<_>, _>>()?;
            if texts.is_empty() {
                return Err(Refusal::Absent { what: what(&scheme.signature) });
            }
            one(texts)
        }
        Place::NumberedHeaders(prefix) => {
            let numbered = request.headers.keys().filter(|name| {
                let number = name.as_str().strip_prefix(prefix);
                number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
            });
            let texts = numbered
                .take(SIGNATURES_MAX + 1)
                .map(|name| Ok(header(request, name.as_str())?.as_bytes().into()))
                .collect::<Result<Vec<_>, _>>()?;
            if texts.is_empty() {
                return Err(Refusal::Absent { what: what(&scheme.signature) });
            }
            one(texts)
        }
        Place::Json(pointer) => {
            let found = json::member(request.body, pointer);
            one(vec![json_text(found, pointer)?])
        }
        Place::JsonEach { list, member } => {
            let elements = json::members(request.body, &format!("{list}/*"))
                .ok_or(Refusal::BodyUnreadable { problem: "it is no JSON" })?;
            if elements.is_empty() {
                return Err(Refusal::Empty { what: format!("list {list} in the body") });
            }
            let claim = |element: &'a RawValue| {
                let text = json_text(json::member(element.get().as_bytes(), member), member)?;
                Ok(Claim { items: vec![text], element: Some(element) })
            };
            elements.into_iter().map(claim).collect()
        }
        Place::Query(name) => {
            let named = || what(&scheme.signature);
            match request.query(name) {
                Once::Value(text) => one(vec![bytes_of(text)]),
                Once::Absent => Err(Refusal::Absent { what: named() }),
                Once::Empty => Err(Refusal::Empty { what: named() }),
                Once::Repeated => Err(Refusal::Repeated { what: named() }),
            }
        }
    }
}

/// How a place is called in a refusal.
fn what(place: &Place) -> String {
    match place {
        Place::Header(name) => format!("header {name}"),
        Place::Headers(names) => format!("header {}", names.join(" or ")),
        Place::NumberedHeaders(prefix) => format!("header {prefix}1"),
        Place::Json(pointer) | Place::JsonEach { member: pointer, .. } => format!("member {pointer} of the body"),
        Place::Query(name) => format!("query parameter {name}"),
    }
}

/// A header that must be there once.
fn header<'a>(request: &Request<'a>, name: &str) -> Result<&'a HeaderValue, Refusal> {
    let what = || format!("header {name}");
    match request.header(name) {
        Once::Value(value) => Ok(value),
        Once::Absent => Err(Refusal::Absent { what: what() }),
        Once::Empty => Err(Refusal::Empty { what: what() }),
        Once::Repeated => Err(Refusal::Repeated { what: what() }),
    }
}

/// A member of the body that must be there, with a value.
fn json_text<'a>(found: Option<&'a RawValue>, pointer: &str) -> Result<Cow<'a, [u8]>, Refusal> {
    let what = || format!("member {pointer} of the body");
    match found.and_then(json::scalar) {
        None => Err(Refusal::Absent { what: what() }),
        Some(text) if text.is_empty() => Err(Refusal::Empty { what: what() }),
        Some(text) => Ok(bytes_of(text)),
    }
}

fn bytes_of(text: Cow<'_, str>) -> Cow<'_, [u8]> {
    match text {
        Cow::Borrowed(text) => text.as_bytes().into(),
        Cow::Owned(text) => text.into_bytes().into(),
    }
}

/// The headers that must have one value.
fn require(scheme: &Scheme, request: &Request<'_>) -> Result<(), Refusal> {
    let found = scheme.require.iter().map(|(name, expected)| Ok((*name, *expected, header(request, name)?)));
    for (name, expected, value) in found.collect::<Result<Vec<_>, Refusal>>()? {
        if value != expected {
            let found = Quoted::new(&String::from_utf8_lossy(value.as_bytes()));
            return Err(Refusal::UnknownVersion { header: name.to_owned(), found, expected });
        }
    }
    Ok(())
}

/// When a request says that it was signed, and how it says so.
struct Stamp<'a> {
    text: Cow<'a, [u8]>,
    at: UnixMillis,
}

/// The timestamp, where it is signed as such or its age is to be judged.
fn timestamp<'a>(
    terms: &Terms,
    parts: &[Part],
    claims: &[Claim<'a>],
    request: &Request<'a>,
) -> Result<Option<Stamp<'a>>, Refusal> {
    let Some(timestamp) = &terms.scheme.timestamp else { return Ok(None) };
    let is_judged = terms.settings.tolerance_seconds.is_some() || terms.settings.future_tolerance_seconds.is_some();
    if !is_judged && !parts.contains(&Part::Timestamp) {
        return Ok(None);
    }
    let (text, what): (Cow<'a, [u8]>, String) = match timestamp.at {
        TimestampPlace::Header(name) => (header(request, name)?.as_bytes().into(), format!("header {name}")),
        TimestampPlace::Json(pointer) => {
            (json_text(json::member(request.body, pointer), pointer)?, format!("member {pointer} of the body"))
        }
        TimestampPlace::Item(prefix) => {
            let what = format!("{prefix} in the {}", what(&terms.scheme.signature));
            let items = claims.iter().flat_map(|claim| &claim.items);
            let mut stamps = items.filter_map(|item| match item {
                Cow::Borrowed(item) => item.strip_prefix(prefix.as_bytes()).map(Cow::Borrowed),
                Cow::Owned(item) => item.strip_prefix(prefix.as_bytes()).map(|text| Cow::Owned(text.to_vec())),
            });
            match (stamps.next(), stamps.next()) {
                (None, _) => return Err(Refusal::Absent { what }),
                (Some(_), Some(_)) => return Err(Refusal::Repeated { what }),
                (Some(text), None) if text.is_empty() => return Err(Refusal::Empty { what }),
                (Some(text), None) => (text, what),
            }
        }
    };
    match instant(&text, timestamp.unit) {
        Some(at) => Ok(Some(Stamp { text, at })),
        None => Err(Refusal::TimestampUnreadable { what }),
    }
}

/// The instant that a text names.
fn instant(text: &[u8], unit: TimestampUnit) -> Option<UnixMillis> {
    let text = std::str::from_utf8(text).ok()?;
    // Digits only: Rust would also take a sign. No sender writes zeros in front, and whoever moves a zero here from what is
    // signed before it must not have the same instant.
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit()) && (!text.starts_with('0') || text == "0");
    let number = || is_number.then(|| text.parse::<i64>().ok()).flatten();
    match unit {
        TimestampUnit::Seconds => number()?.checked_mul(1000).map(UnixMillis),
        TimestampUnit::Milliseconds => number().map(UnixMillis),
        TimestampUnit::Rfc3339 => UnixMillis::from_rfc3339(text),
    }
}

/// Refuses what was signed too long before `now`, or too long after.
fn judge_age(terms: &Terms, signed_at: UnixMillis, now: UnixSeconds) -> Result<(), Refusal> {
    let age_millis = now.0.saturating_mul(1000).saturating_sub(signed_at.0);
    if let Some(tolerance_seconds) = terms.settings.tolerance_seconds
        && age_millis > tolerance_seconds.saturating_mul(1000)
    {
        return Err(Refusal::Stale { age_seconds: rounded_up(age_millis), tolerance_seconds });
    }
    let ahead_millis = age_millis.saturating_neg();
    if let Some(tolerance_seconds) = terms.settings.future_tolerance_seconds.or(terms.settings.tolerance_seconds)
        && ahead_millis > tolerance_seconds.saturating_mul(1000)
    {
        return Err(Refusal::FromTheFuture { ahead_seconds: rounded_up(ahead_millis), tolerance_seconds });
    }
    Ok(())
}

fn rounded_up(millis: i64) -> i64 {
    UnixMillis(millis).seconds_rounded_up().0
}

/// The signed bytes, as slices of the request: nothing that grows with it is copied. Where a sender's documentation and its
/// libraries differ, there are two alternatives.
struct Pieces<'a> {
    alternatives: Vec<Vec<Piece<'a>>>,
}

enum Piece<'a> {
    Bytes(Cow<'a, [u8]>),
    Secret,
}

impl<'a> Pieces<'a> {
    fn of(
        terms: &'a Terms,
        parts: List<Part>,
        claim: &Claim<'a>,
        stamped: Option<&Stamp<'a>>,
        request: &Request<'a>,
    ) -> Result<Pieces<'a>, Refusal> {
        let url = terms.signed_url(request);
        let decoded = parts.contains(&Part::UrlHubspot).then(|| decode_hubspot(&url)).filter(|decoded| *decoded != url);
        let json_of = claim.element.map_or(request.body, |element| element.get().as_bytes());
        let mut alternatives = Vec::with_capacity(2);
        for hubspot_url in decoded.map(Cow::Owned).into_iter().chain([url.clone()]) {
            let mut pieces = Vec::with_capacity(parts.len());
            for part in parts {
                pieces.push(Piece::Bytes(match part {
                    Part::Literal(text) => text.as_bytes().into(),
                    Part::Body => request.body.into(),
                    Part::Timestamp => stamped.map_or(Cow::Borrowed(b"".as_slice()), |stamped| stamped.text.clone()),
                    Part::Header(name) => header(request, name)?.as_bytes().into(),
                    Part::Method => request.method.as_bytes().into(),
                    Part::Url => bytes_of(url.clone()),
                    Part::UrlHubspot => bytes_of(hubspot_url.clone()),
                    Part::Secret => {
                        pieces.push(Piece::Secret);
                        continue;
                    }
                    Part::Crc32 => crc32fast::hash(request.body).to_string().into_bytes().into(),
                    Part::Json(pointer) => json_text(json::member(json_of, pointer), pointer)?,
                    Part::JsonOrNothing(pointer) => {
                        bytes_of(json::member(json_of, pointer).and_then(json::scalar).unwrap_or_default())
                    }
                    Part::WebhookId => terms.settings.webhook_id.as_deref().unwrap_or_default().as_bytes().into(),
                }));
            }
            alternatives.push(pieces);
        }
        Ok(Pieces { alternatives })
    }

    /// One content, without alternatives.
    fn bytes(pieces: impl IntoIterator<Item = Cow<'a, [u8]>>) -> Pieces<'a> {
        Pieces { alternatives: vec![pieces.into_iter().map(Piece::Bytes).collect()] }
    }

    /// What is signed, but for the secret, in the first of the alternatives.
    fn text(&self) -> Vec<u8> {
        let pieces = self.alternatives.first().into_iter().flatten();
        pieces.fold(Vec::new(), |mut text, piece| {
            if let Piece::Bytes(bytes) = piece {
                text.extend_from_slice(bytes);
            }
            text
        })
    }

    /// The signatures that this secret gives, one for each alternative.
    fn signed_with(&self, algorithm: Algorithm, secret: &Secret) -> Vec<Vec<u8>> {
        let sign = |pieces: &Vec<Piece<'_>>| {
            let bytes = pieces.iter().map(|piece| match piece {
                Piece::Bytes(bytes) => bytes.as_ref(),
                Piece::Secret => secret.key(),
            });
            crypto::sign(algorithm, secret.key(), bytes)
        };
        self.alternatives.iter().map(sign).collect()
    }

    /// Whether any of `signatures` is this secret's. All are compared, whatever the first ones give: that could tell something
    /// about the secret.
    fn fits(&self, algorithm: Algorithm, secret: &Secret, signatures: &[Vec<u8>]) -> bool {
        let expected = self.signed_with(algorithm, secret);
        let pairs = expected.iter().flat_map(|expected| signatures.iter().map(move |signature| (expected, signature)));
        pairs.fold(false, |found, (expected, signature)| {
            let is_equal = !expected.is_empty() & bool::from(expected.ct_eq(signature));
            found | is_equal
        })
    }

    /// What a public key verifies, one for each alternative: read and hashed once.
    fn messages(&self, algorithm: Algorithm) -> Vec<Message> {
        let bytes = |pieces: &Vec<Piece<'a>>| {
            let bytes = pieces.iter().map(|piece| match piece {
                Piece::Bytes(bytes) => bytes.as_ref(),
                Piece::Secret => b"",
            });
            Message::of(algorithm, bytes)
        };
        self.alternatives.iter().filter_map(bytes).collect()
    }

    /// Whether `signature` is one under this public key.
    fn fits_public(&self, algorithm: Algorithm, key: &[u8], signature: &[u8]) -> bool {
        let signatures = [signature.to_vec()];
        self.messages(algorithm).iter().any(|message| message.fits(key, &signatures))
    }
}

/// An address with the twelve escapes decoded that HubSpot's documentation lists.
fn decode_hubspot(url: &str) -> String {
    const ESCAPES: [(&str, &str); 12] = [
        ("%3A", ":"),
        ("%2F", "/"),
        ("%3F", "?"),
        ("%40", "@"),
        ("%21", "!"),
        ("%24", "$"),
        ("%27", "'"),
        ("%28", "("),
        ("%29", ")"),
        ("%2A", "*"),
        ("%2C", ","),
        ("%3B", ";"),
    ];
    let mut decoded = String::with_capacity(url.len());
    let mut rest = url;
    while let Some((before, at)) = rest.find('%').and_then(|at| rest.split_at_checked(at)) {
        decoded.push_str(before);
        let escape = ESCAPES
            .iter()
            .find(|(escape, _)| at.get(..escape.len()).is_some_and(|text| text.eq_ignore_ascii_case(escape)));
        let (text, length) = escape.map_or(("%", 1), |(escape, character)| (*character, escape.len()));
        decoded.push_str(text);
        rest = at.get(length..).unwrap_or_default();
    }
    decoded + rest
}

/// The decoded signatures of a claim. Items of another scheme, and items that cannot be decoded beside ones that can, are
/// passed over: senders put several versions into one list.
fn decoded(scheme: &Scheme, claim: &Claim<'_>, prefix: Text) -> Result<Vec<Vec<u8>>, Refusal> {
    let mut prefixed = claim.items.iter().filter_map(|item| item.strip_prefix(prefix.as_bytes())).peekable();
    if prefixed.peek().is_none() {
        return Err(Refusal::SignaturePrefixAbsent { what: what(&scheme.signature), prefix: prefix.to_owned() });
    }
    let decoded: Vec<Vec<u8>> = prefixed.filter_map(|text| scheme.encoding.decode(text)).collect();
    if decoded.is_empty() {
        return Err(Refusal::SignatureUndecodable { what: what(&scheme.signature) });
    }
    Ok(decoded)
}

/// The header with the signature, in the schemes that have code: each has one.
fn header_name(scheme: &Scheme) -> Text {
    match scheme.signature {
        Place::Header(name) => name,
        Place::Headers(_) | Place::NumberedHeaders(_) | Place::Json(_) | Place::JsonEach { .. } | Place::Query(_) => "",
    }
}

/// One header's signature, decoded.
fn header_signature(request: &Request<'_>, name: &str, encoding: Encoding) -> Result<Vec<u8>, Refusal> {
    let text = header(request, name)?.as_bytes();
    encoding.decode(text).ok_or_else(|| Refusal::SignatureUndecodable { what: format!("header {name}") })
}

/// The trimmed items between separators.
fn split<'a>(list: Cow<'a, [u8]>, separator: &str) -> Vec<Cow<'a, [u8]>> {
    fn items<'l>(list: &'l [u8], separator: &str) -> Vec<&'l [u8]> {
        let mut ends = memchr::memmem::find_iter(list, separator).collect::<Vec<_>>();
        ends.truncate(SIGNATURES_MAX + 1);
        let starts = std::iter::once(0).chain(ends.iter().map(|end| end + separator.len()));
        let ends = ends.iter().copied().chain([list.len()]);
        starts.zip(ends).filter_map(|(start, end)| list.get(start..end)).map(<[u8]>::trim_ascii).collect()
    }
    match list {
        Cow::Borrowed(list) => items(list, separator).into_iter().map(Cow::Borrowed).collect(),
        Cow::Owned(list) => items(&list, separator).into_iter().map(|item| Cow::Owned(item.to_vec())).collect(),
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::*;
    use crate::provider::find;
    use crate::secret::Secrets;

    /// The example of GitHub's documentation.
    const SECRET: &str = "It's a Secret to Everybody";
    const BODY: &[u8] = b"Hello, World!";
    const SIGNATURE: &str = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    const NOW: UnixSeconds = UnixSeconds(1_754_000_000);

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&str, &str)| {
            (name.parse::<HeaderName>().unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap())
        };
        pairs.iter().map(pair).collect()
    }

    /// Verifies by a provider's default scheme, with its own tolerances.
    fn judged(provider: &str, pairs: &[(&str, &str)], body: &[u8], secrets: &str) -> Result<Verified, Refusal> {
        let provider = find(provider).unwrap();
        let terms = Terms::new(provider, provider.schemes[0]);
        let secrets = Secrets::parse(secrets, &terms.scheme).unwrap();
        let request = Request { method: "POST", url: "https://h.example/webhooks/x", headers: &headers(pairs), body };
        verify(&terms, &secrets, None, &request, NOW)
    }

    fn cause(provider: &str, pairs: &[(&str, &str)], body: &[u8]) -> String {
        judged(provider, pairs, body, SECRET).unwrap_err().to_string()
    }

    #[test]
    fn a_signature_made_with_the_previous_secret_is_accepted_and_says_so() {
        let verified = judged("github", &[("x-hub-signature-256", SIGNATURE)], BODY, &format!("new\n{SECRET}"));
        assert_eq!(verified.unwrap().secret_index(), 1);
    }

    #[test]
    fn a_refusal_names_its_cause() {
        let github = |pairs: &[(&str, &str)]| cause("github", pairs, BODY);
        assert_eq!(github(&[]), "the header x-hub-signature-256 is absent");
        assert_eq!(github(&[("x-hub-signature-256", "")]), "the header x-hub-signature-256 is empty");
        assert_eq!(
            github(&[("x-hub-signature-256", SIGNATURE), ("x-hub-signature-256", SIGNATURE)]),
            "the header x-hub-signature-256 is repeated"
        );
        assert_eq!(
            github(&[("x-hub-signature-256", "sha1=00")]),
            "the header x-hub-signature-256 holds no signature of this scheme: nothing in it begins with \"sha256=\""
        );
        assert_eq!(
            github(&[("x-hub-signature-256", "sha256=zz")]),
            "the header x-hub-signature-256 holds no signature that can be decoded"
        );
        assert_eq!(
            github(&[("x-hub-signature-256", "sha256=00")]),
            "the signature fits none of the endpoint's 1 secrets: it was made with another, or the request was altered"
        );
        let stripe = |value: &str| cause("stripe", &[("stripe-signature", value)], BODY);
        assert_eq!(stripe("v1=00"), "the t= in the header stripe-signature is absent");
        assert_eq!(stripe("t=soon,v1=00"), "the t= in the header stripe-signature does not hold a timestamp");
        assert_eq!(cause("box", &[], BODY), "the header box-signature-primary or box-signature-secondary is absent");
        assert_eq!(cause("msgraph", &[], b"{}"), "the list /value in the body is empty");
        assert_eq!(cause("msgraph", &[], b"{"), "the body is not the JSON that this provider sends: it is no JSON");
        assert_eq!(cause("mailgun", &[], b"{}"), "the member /signature/signature of the body is absent");
        assert_eq!(
            cause("twilio", &[("x-twilio-signature", "AA==")], b"{}"),
            "the query parameter bodySHA256 is absent"
        );
    }

    #[test]
    fn what_was_signed_too_long_ago_or_in_the_future_says_by_how_much() {
        let terms = Terms::new(find("stripe").unwrap(), find("stripe").unwrap().schemes[0]);
        let age = |signed_at: i64| judge_age(&terms, UnixMillis(NOW.0 * 1000 + signed_at), NOW);
        assert_eq!(age(-300_000), Ok(()));
        assert_eq!(age(-300_001).unwrap_err().to_string(), "signed 301 s ago, and 300 s are tolerated");
        assert_eq!(age(300_000), Ok(()));
        assert_eq!(age(300_001).unwrap_err().to_string(), "signed 301 s in the future, and 300 s are tolerated");
        for signed_at in [i64::MIN, i64::MAX] {
            assert!(judge_age(&terms, UnixMillis(signed_at), NOW).is_err());
        }
    }

    #[test]
    fn a_timestamp_is_digits_within_64_bits() {
        assert_eq!(instant(b"1754000000", TimestampUnit::Seconds), Some(UnixMillis(1_754_000_000_000)));
        assert_eq!(instant(b"1754000000123", TimestampUnit::Milliseconds), Some(UnixMillis(1_754_000_000_123)));
        for text in [
            "",
            "+1",
            "-1",
            "01754000000",
            "00",
            " 1",
            "1.0",
            "1e3",
            "0x1",
            "9223372036854775808",
            "99999999999999999999",
            "\u{661}",
        ] {
            assert_eq!(instant(text.as_bytes(), TimestampUnit::Seconds), None, "{text}");
        }
        assert_eq!(instant(b"\xff", TimestampUnit::Seconds), None);
        // Within 64 bits as seconds, beyond them as milliseconds.
        assert_eq!(instant(b"9223372036854775807", TimestampUnit::Seconds), None);
    }

    #[test]
    fn a_hundred_signatures_are_judged_and_one_more_is_malformed() {
        let list = |count: usize| format!("t={},{}", NOW.0, vec!["v1=00"; count - 1].join(","));
        let stripe = |count| judged("stripe", &[("stripe-signature", &list(count))], BODY, SECRET).unwrap_err();
        assert_eq!(stripe(100), Refusal::SignatureMismatch { secrets: 1 });
        assert_eq!(stripe(101), Refusal::TooManySignatures { what: "header stripe-signature".into(), max: 100 });
        let commas = ",".repeat(8192);
        let refusal = judged("stripe", &[("stripe-signature", &commas)], BODY, SECRET).unwrap_err();
        assert_eq!(refusal, Refusal::TooManySignatures { what: "header stripe-signature".into(), max: 100 });
        let numbered: Vec<String> = (1..=101).map(|number| format!("x-docusign-signature-{number}")).collect();
        let pairs: Vec<(&str, &str)> = numbered.iter().map(|name| (name.as_str(), "AA==")).collect();
        let docusign = |count| judged("docusign", &pairs[..count], BODY, SECRET).unwrap_err();
        assert_eq!(docusign(100), Refusal::SignatureMismatch { secrets: 1 });
        assert_eq!(
            docusign(101),
            Refusal::TooManySignatures { what: "header x-docusign-signature-1".into(), max: 100 }
        );
    }

    #[test]
    fn four_signatures_are_judged_by_public_keys_and_one_more_is_malformed() {
        let key = "whpk_avjUbEzb1B1bjEYsxO+7G+hX3FMIkmToR2PexBR9b/w=";
        let stamp = NOW.0.to_string();
        let judged = |count: usize| {
            let list = vec!["v1a,AA=="; count].join(" ");
            let pairs = [("webhook-id", "m1"), ("webhook-timestamp", &stamp), ("webhook-signature", &list)];
            judged("standardwebhooks", &pairs, BODY, key).unwrap_err()
        };
        assert_eq!(judged(4), Refusal::SignatureMismatch { secrets: 1 });
        assert_eq!(judged(5), Refusal::TooManySignatures { what: "header webhook-signature".into(), max: 4 });
    }

    #[test]
    fn bytes_that_are_no_text_are_refused_like_any_other() {
        let odd = HeaderValue::from_bytes(b"v1=\xff\xfe,t=\xff").unwrap();
        for provider in crate::provider::PROVIDERS.iter() {
            let mut headers = HeaderMap::new();
            for scheme in provider.schemes {
                if let Place::Header(name) = scheme.signature {
                    headers.insert(name, odd.clone());
                }
            }
            for scheme in provider.schemes.iter().filter(|scheme| scheme.algorithm.is_symmetric()) {
                let terms = Terms::new(provider, *scheme);
                let request = Request { method: "POST", url: "\u{fffd}", headers: &headers, body: b"\xff\xfe" };
                let verified = verify(&terms, &Secrets::NONE, None, &request, NOW);
                assert!(verified.is_err(), "{} {}", provider.name, scheme.name);
            }
        }
    }

    #[test]
    fn an_empty_or_absent_secret_lets_nobody_in() {
        let request = Request { method: "POST", url: "", headers: &headers(&[("x-gitlab-token", "a")]), body: BODY };
        let terms = Terms::new(find("gitlab").unwrap(), find("gitlab").unwrap().schemes[0]);
        assert_eq!(verify(&terms, &Secrets::NONE, None, &request, NOW), Err(Refusal::SignatureMismatch { secrets: 0 }));
    }

    #[test]
    fn hubspots_twelve_escapes_are_decoded_and_no_other() {
        assert_eq!(decode_hubspot("/a?b=%3a%2F%40%20%25%C3%B6%"), "/a?b=:/@%20%25%C3%B6%");
    }
}
