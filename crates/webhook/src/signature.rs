//! Verifying a request, and signing one, by a provider's row.
//!
//! The order of judgement is fixed: what is missing or cannot be read is malformed; then the signature; the age last, so
//! that a request both forged and old is called forged. Every comparison with something secret takes the same time
//! wherever the difference lies.

use std::borrow::Cow;
use std::collections::HashMap;

use hmac::{Hmac, KeyInit, Mac};
use http::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::value::RawValue;
use sha1::Sha1;
use sha2::{Sha256, Sha384, Sha512};
use subtle::ConstantTimeEq;
use thiserror::Error;

use crate::clock::{UnixMillis, UnixSeconds};
use crate::idempotency::{Digest, IdempotencyKey};
use crate::limits::SIGNATURES_MAX;
use crate::provider::{Algorithm, IdRating, Part, Provider, Scheme, Source, Timestamp, TimestampUnit};
use crate::secret::{Secret, Secrets};

/// What a sender put on the wire, as far as a signature can cover it.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Repeated headers stay repeated.
    pub headers: &'a HeaderMap,
    /// Byte for byte as received.
    pub body: &'a [u8],
}

/// A request whose signature is right. Only [`verify`] makes one, so that holding it is the proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    key: IdempotencyKey,
    event_id: Option<Stated>,
    event_type: Option<Stated>,
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

/// Why a request was turned away. For the log; the sender learns the status and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    /// A header that the scheme needs is not there.
    #[error("the header {header} is absent")]
    HeaderAbsent {
        /// Its name.
        header: String,
    },
    /// A header that the scheme needs has no value.
    #[error("the header {header} is empty")]
    HeaderEmpty {
        /// Its name.
        header: String,
    },
    /// A header that the scheme needs is there more than once, so that it is unclear which counts.
    #[error("the header {header} is repeated")]
    HeaderRepeated {
        /// Its name.
        header: String,
    },
    /// More signatures than [`SIGNATURES_MAX`].
    #[error("the header {header} holds more than {SIGNATURES_MAX} signatures")]
    TooManySignatures {
        /// Its name.
        header: String,
    },
    /// The timestamp is not of its unit.
    #[error("the header {header} does not hold a timestamp")]
    TimestampUnreadable {
        /// Its name.
        header: String,
    },
    /// Nothing in the signature header begins with the scheme's prefix.
    #[error("the header {header} holds no signature of this scheme: nothing in it begins with {prefix:?}")]
    SignaturePrefixAbsent {
        /// Its name.
        header: String,
        /// What was looked for.
        prefix: String,
    },
    /// What stands there is not of the scheme's encoding, or has not the length of such a signature.
    #[error("the header {header} holds no signature that can be decoded")]
    SignatureUndecodable {
        /// Its name.
        header: String,
    },
    /// No secret gives this signature: another secret was used, or the content was altered on its way.
    #[error(
        "the signature fits none of the endpoint's {secrets} secrets: it was made with another, or the request was altered"
    )]
    SignatureMismatch {
        /// How many were tried.
        secrets: usize,
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

impl Refusal {
    /// Which kind this is.
    pub fn kind(&self) -> RefusalKind {
        match self {
            Refusal::HeaderAbsent { .. }
            | Refusal::HeaderEmpty { .. }
            | Refusal::HeaderRepeated { .. }
            | Refusal::TooManySignatures { .. }
            | Refusal::TimestampUnreadable { .. } => RefusalKind::Malformed,
            Refusal::SignaturePrefixAbsent { .. }
            | Refusal::SignatureUndecodable { .. }
            | Refusal::SignatureMismatch { .. } => RefusalKind::BadSignature,
            Refusal::Stale { .. } | Refusal::FromTheFuture { .. } => RefusalKind::Stale,
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

impl Verified {
    /// Same event, same key.
    pub fn key(&self) -> &IdempotencyKey {
        &self.key
    }

    /// The sender's own id of the event.
    pub fn event_id(&self) -> Option<&Stated> {
        self.event_id.as_ref()
    }

    /// The type of the event.
    pub fn event_type(&self) -> Option<&Stated> {
        self.event_type.as_ref()
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

/// Judges a request by its provider's row: whether one of `secrets` signed it, and not too long before `now`.
///
/// # Errors
/// A [`Refusal`] that names the cause.
pub fn verify(
    provider: &Provider,
    request: Request<'_>,
    secrets: &Secrets,
    now: UnixSeconds,
) -> Result<Verified, Refusal> {
    let scheme = &provider.signature;
    let header = required_header(request.headers, &scheme.header)?;
    let signed_at = scheme.timestamp.as_ref().map(|timestamp| signed_at(timestamp, request.headers)).transpose()?;
    let content = Content::of(scheme, request)?;
    let candidates = candidates(scheme, header.as_bytes())?;
    let secret_index = secrets
        .iter()
        .position(|secret| is_signed_by(scheme, &content, secret, &candidates))
        .ok_or_else(|| Refusal::SignatureMismatch { secrets: secrets.iter().count() })?;
    if let (Some(timestamp), Some(signed_at)) = (&scheme.timestamp, signed_at) {
        judge_age(timestamp, signed_at, now)?;
    }

    let stated = |sources: &[Source]| {
        sources
            .iter()
            .find_map(|source| lookup(source, request).map(|text| Stated { text, signed: scheme.covers(source) }))
    };
    let event_id = stated(&provider.event_id);
    let body_digest = Digest::of(request.body);
    let key = match (provider.event_id_rating, &event_id) {
        (IdRating::Event, Some(id)) => IdempotencyKey::of_event(&id.text),
        (IdRating::Hint, Some(id)) => IdempotencyKey::of_event_and_body(&id.text, body_digest),
        (IdRating::None, _) | (_, None) => IdempotencyKey::of_content(content.digest()),
    };
    Ok(Verified { key, event_id, event_type: stated(&provider.event_type), body_digest, secret_index })
}

/// The headers that make `body` a signed request of this provider: the signature, and what its content needs. Headers
/// that the content covers must be in `headers`; the timestamp is `now`.
///
/// # Errors
/// A [`Refusal`] if a header that the content covers is missing.
pub fn sign(
    provider: &Provider,
    headers: &HeaderMap,
    body: &[u8],
    secret: &Secret,
    now: UnixMillis,
) -> Result<HeaderMap, Refusal> {
    let scheme = &provider.signature;
    let mut signed = headers.clone();
    if let Some(timestamp) = &scheme.timestamp {
        let text = match timestamp.unit {
            TimestampUnit::Seconds => now.seconds().0.to_string(),
            TimestampUnit::Milliseconds => now.0.to_string(),
            TimestampUnit::Rfc3339 => now.seconds().to_string(),
        };
        insert(&mut signed, &timestamp.header, text.into_bytes());
    }
    let content = Content::of(scheme, Request { headers: &signed, body })?;
    let signature = scheme.encoding.encode(&signature(scheme.algorithm, &content, secret));
    let value = [scheme.prefix.as_bytes(), &signature].concat();
    insert(&mut signed, &scheme.header, value);
    Ok(signed)
}

fn insert(headers: &mut HeaderMap, name: &str, value: Vec<u8>) {
    if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::try_from(value)) {
        headers.insert(name, value);
    }
}

/// The only value of a header that must be there once.
fn required_header<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a HeaderValue, Refusal> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Err(Refusal::HeaderAbsent { header: name.to_owned() }) };
    if values.next().is_some() {
        return Err(Refusal::HeaderRepeated { header: name.to_owned() });
    }
    if value.is_empty() {
        return Err(Refusal::HeaderEmpty { header: name.to_owned() });
    }
    Ok(value)
}

fn signed_at(timestamp: &Timestamp, headers: &HeaderMap) -> Result<UnixSeconds, Refusal> {
    let text = required_header(headers, &timestamp.header)?.to_str().ok();
    let number = || text.and_then(|text| text.parse::<i64>().ok());
    let instant = match timestamp.unit {
        TimestampUnit::Seconds => number().map(UnixSeconds),
        TimestampUnit::Milliseconds => number().map(|millis| UnixMillis(millis).seconds()),
        TimestampUnit::Rfc3339 => text.and_then(UnixSeconds::from_rfc3339),
    };
    instant.ok_or_else(|| Refusal::TimestampUnreadable { header: timestamp.header.to_string() })
}

fn judge_age(timestamp: &Timestamp, signed_at: UnixSeconds, now: UnixSeconds) -> Result<(), Refusal> {
    let age_seconds = now.0.saturating_sub(signed_at.0);
    if let Some(tolerance_seconds) = timestamp.tolerance_seconds
        && age_seconds > tolerance_seconds
    {
        return Err(Refusal::Stale { age_seconds, tolerance_seconds });
    }
    let ahead_seconds = age_seconds.saturating_neg();
    if let Some(tolerance_seconds) = timestamp.future_tolerance_seconds.or(timestamp.tolerance_seconds)
        && ahead_seconds > tolerance_seconds
    {
        return Err(Refusal::FromTheFuture { ahead_seconds, tolerance_seconds });
    }
    Ok(())
}

/// The signed bytes, as slices of the request: nothing is copied.
struct Content<'a>(Vec<&'a [u8]>);

impl<'a> Content<'a> {
    fn of(scheme: &'a Scheme, request: Request<'a>) -> Result<Content<'a>, Refusal> {
        scheme
            .content
            .iter()
            .map(|part| match part {
                Part::Literal(text) => Ok(text.as_bytes()),
                Part::Body => Ok(request.body),
                Part::Header(name) => required_header(request.headers, name).map(HeaderValue::as_bytes),
                Part::Timestamp => match &scheme.timestamp {
                    Some(timestamp) => required_header(request.headers, &timestamp.header).map(HeaderValue::as_bytes),
                    None => Ok(b"".as_slice()),
                },
            })
            .collect::<Result<_, _>>()
            .map(Content)
    }

    /// A token signs nothing; its content is the body.
    fn digest(&self) -> Digest {
        Digest::of_parts(&self.0)
    }
}

/// The decoded signatures in a header. Items of another scheme, and items that cannot be decoded beside ones that can,
/// are passed over: senders put several versions into one list.
fn candidates(scheme: &Scheme, header: &[u8]) -> Result<Vec<Vec<u8>>, Refusal> {
    let name = || scheme.header.to_string();
    let items: Vec<&[u8]> = match &scheme.separator {
        None => vec![header],
        Some(separator) => split(header, separator.as_bytes()).take(SIGNATURES_MAX + 1).collect(),
    };
    if items.len() > SIGNATURES_MAX {
        return Err(Refusal::TooManySignatures { header: name() });
    }
    let prefixed: Vec<&[u8]> =
        items.into_iter().filter_map(|item| item.strip_prefix(scheme.prefix.as_bytes())).collect();
    if prefixed.is_empty() {
        return Err(Refusal::SignaturePrefixAbsent { header: name(), prefix: scheme.prefix.to_string() });
    }
    let decoded: Vec<Vec<u8>> = prefixed.into_iter().filter_map(|text| scheme.encoding.decode(text)).collect();
    if decoded.is_empty() {
        return Err(Refusal::SignatureUndecodable { header: name() });
    }
    Ok(decoded)
}

/// The trimmed items between separators.
fn split<'a>(list: &'a [u8], separator: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let mut rest = Some(list);
    std::iter::from_fn(move || {
        let list = rest?;
        let found = list.windows(separator.len().max(1)).position(|window| window == separator);
        let (item, after) = match found.and_then(|at| list.split_at_checked(at)) {
            Some((item, after)) => (item, after.get(separator.len()..)),
            None => (list, None),
        };
        rest = after;
        Some(item.trim_ascii())
    })
}

/// Whether any candidate is the signature under this secret. All are compared, whatever the first ones give.
fn is_signed_by(scheme: &Scheme, content: &Content<'_>, secret: &Secret, candidates: &[Vec<u8>]) -> bool {
    let expected = signature(scheme.algorithm, content, secret);
    candidates.iter().fold(false, |found, candidate| bool::from(expected.ct_eq(candidate)) | found)
}

fn signature<'a>(algorithm: Algorithm, content: &Content<'_>, secret: &'a Secret) -> Cow<'a, [u8]> {
    match algorithm {
        Algorithm::HmacSha1 => mac::<Hmac<Sha1>>(content, secret).into(),
        Algorithm::HmacSha256 => mac::<Hmac<Sha256>>(content, secret).into(),
        Algorithm::HmacSha384 => mac::<Hmac<Sha384>>(content, secret).into(),
        Algorithm::HmacSha512 => mac::<Hmac<Sha512>>(content, secret).into(),
        Algorithm::Token => secret.key().into(),
    }
}

fn mac<M: Mac + KeyInit>(content: &Content<'_>, secret: &Secret) -> Vec<u8> {
    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length (RFC 2104), so this cannot fail")]
    let mut mac = <M as KeyInit>::new_from_slice(secret.key()).expect("HMAC takes a key of any length");
    content.0.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().to_vec()
}

/// What a source yields; nothing where it is absent, empty or not a text or number.
fn lookup(source: &Source, request: Request<'_>) -> Option<String> {
    match source {
        Source::Header(name) => {
            let text = request.headers.get(&**name)?.to_str().ok()?;
            (!text.is_empty()).then(|| text.to_owned())
        }
        Source::Json(pointer) => json_member(request.body, pointer),
    }
}

/// The text or number at an RFC 6901 pointer. A number is returned as it was written: two ids of more than 64 bits must
/// not become one.
fn json_member(body: &[u8], pointer: &str) -> Option<String> {
    let mut at: &RawValue = serde_json::from_slice(body).ok()?;
    for step in pointer.split('/').skip(1) {
        let step = step.replace("~1", "/").replace("~0", "~");
        at = match at.get().as_bytes().first()? {
            b'{' => serde_json::from_str::<HashMap<Cow<'_, str>, &RawValue>>(at.get()).ok()?.remove(&*step)?,
            b'[' => {
                let items: Vec<&RawValue> = serde_json::from_str(at.get()).ok()?;
                items.get(step.parse::<usize>().ok()?)?
            }
            _ => return None,
        };
    }
    match at.get().as_bytes().first()? {
        b'"' => serde_json::from_str::<String>(at.get()).ok().filter(|text| !text.is_empty()),
        b'-' | b'0'..=b'9' => Some(at.get().to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::generic::{self, Parameters};
    use crate::provider::{List, SecretForm, find};

    /// The example of GitHub's documentation.
    const SECRET: &str = "It's a Secret to Everybody";
    const BODY: &[u8] = b"Hello, World!";
    const SIGNATURE: &str = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    const NOW: UnixSeconds = UnixSeconds(1_754_000_000);

    fn secrets(text: &str) -> Secrets {
        Secrets::parse(text, SecretForm::Utf8).unwrap()
    }

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap())).collect()
    }

    fn github(pairs: &[(&str, &str)], secret: &str) -> Result<Verified, Refusal> {
        let request = Request { headers: &headers(pairs), body: BODY };
        verify(find("github").unwrap(), request, &secrets(secret), NOW)
    }

    #[test]
    fn a_signature_made_with_the_previous_secret_is_accepted_and_says_so() {
        let verified = github(&[("x-hub-signature-256", SIGNATURE)], &format!("new\n{SECRET}")).unwrap();
        assert_eq!(verified.secret_index(), 1);
    }

    #[test]
    fn a_refusal_names_its_cause() {
        let cause = |pairs: &[(&str, &str)]| github(pairs, SECRET).unwrap_err().to_string();
        assert_eq!(cause(&[]), "the header x-hub-signature-256 is absent");
        assert_eq!(cause(&[("x-hub-signature-256", "")]), "the header x-hub-signature-256 is empty");
        assert_eq!(
            cause(&[("x-hub-signature-256", SIGNATURE), ("x-hub-signature-256", SIGNATURE)]),
            "the header x-hub-signature-256 is repeated"
        );
        assert_eq!(
            cause(&[("x-hub-signature-256", "sha1=00")]),
            "the header x-hub-signature-256 holds no signature of this scheme: nothing in it begins with \"sha256=\""
        );
        assert_eq!(
            cause(&[("x-hub-signature-256", "sha256=zz")]),
            "the header x-hub-signature-256 holds no signature that can be decoded"
        );
        assert_eq!(
            cause(&[("x-hub-signature-256", "sha256=00")]),
            "the signature fits none of the endpoint's 1 secrets: it was made with another, or the request was altered"
        );
    }

    #[test]
    fn an_unsigned_id_is_a_key_only_together_with_the_body() {
        let verified = github(&[("x-hub-signature-256", SIGNATURE), ("x-github-delivery", "d-1")], SECRET).unwrap();
        assert_eq!(verified.event_id(), Some(&Stated { text: "d-1".into(), signed: false }));
        assert_eq!(verified.key().as_str(), "d-1:dffd6021bb2bd5b0af676290809ec3a53191dd81c7f70a4b28688a362182986f");
    }

    #[test]
    fn without_an_id_the_key_is_the_digest_of_what_was_signed() {
        let verified = github(&[("x-hub-signature-256", SIGNATURE)], SECRET).unwrap();
        assert_eq!(verified.key().as_str(), "dffd6021bb2bd5b0af676290809ec3a53191dd81c7f70a4b28688a362182986f");
    }

    fn generic(parameters: Parameters) -> Provider {
        generic::provider(&Parameters { header: Some("X-S".into()), ..parameters }, List::default(), List::default())
            .unwrap()
    }

    fn is_accepted(provider: &Provider, pairs: &[(&str, &str)], body: &[u8], now: UnixSeconds) -> Result<(), Refusal> {
        verify(provider, Request { headers: &headers(pairs), body }, &secrets("k"), now).map(|_| ())
    }

    #[test]
    fn any_signature_of_a_list_will_do_and_other_schemes_in_it_are_passed_over() {
        let provider =
            generic(Parameters { prefix: Some("v1=".into()), separator: Some(",".into()), ..Parameters::default() });
        let signed = sign(&provider, &HeaderMap::new(), b"{}", secrets("k").newest().unwrap(), UnixMillis(0)).unwrap();
        let right = signed["x-s"].to_str().unwrap();
        let wrong = format!("v1={}", "0".repeat(64));
        for list in [format!("{wrong}, {right}"), format!("v0=zz,v1=zz ,{right}"), format!(",,{right},")] {
            assert_eq!(is_accepted(&provider, &[("x-s", &list)], b"{}", NOW), Ok(()), "{list}");
        }
        assert_eq!(
            is_accepted(&provider, &[("x-s", &wrong)], b"{}", NOW),
            Err(Refusal::SignatureMismatch { secrets: 1 })
        );
    }

    #[test]
    fn sixty_four_signatures_are_tried_and_sixty_five_are_refused() {
        let provider = generic(Parameters { separator: Some(",".into()), ..Parameters::default() });
        let list = |count: usize| vec!["00"; count].join(",");
        assert_eq!(
            is_accepted(&provider, &[("x-s", &list(64))], b"{}", NOW),
            Err(Refusal::SignatureMismatch { secrets: 1 })
        );
        assert_eq!(
            is_accepted(&provider, &[("x-s", &list(65))], b"{}", NOW),
            Err(Refusal::TooManySignatures { header: "x-s".into() })
        );
    }

    #[test]
    fn the_age_is_tolerated_to_the_second_in_both_directions() {
        let provider = generic(Parameters {
            content: Some("{ts}.{body}".into()),
            timestamp: Some("header:X-T".into()),
            tolerance_seconds: Some(60),
            future_tolerance_seconds: Some(5),
            ..Parameters::default()
        });
        let at = UnixMillis(NOW.0 * 1000);
        let signed = sign(&provider, &HeaderMap::new(), b"{}", secrets("k").newest().unwrap(), at).unwrap();
        let judged = |now| verify(&provider, Request { headers: &signed, body: b"{}" }, &secrets("k"), now).map(|_| ());
        assert_eq!(judged(NOW.plus(60)), Ok(()));
        assert_eq!(judged(NOW.plus(61)), Err(Refusal::Stale { age_seconds: 61, tolerance_seconds: 60 }));
        assert_eq!(judged(NOW.plus(-5)), Ok(()));
        assert_eq!(judged(NOW.plus(-6)), Err(Refusal::FromTheFuture { ahead_seconds: 6, tolerance_seconds: 5 }));
    }

    #[test]
    fn a_timestamp_at_the_end_of_time_is_stale_and_no_panic() {
        let provider = generic(Parameters {
            content: Some("{ts}.{body}".into()),
            timestamp: Some("header:X-T".into()),
            ..Parameters::default()
        });
        for number in [i64::MIN, i64::MAX] {
            let timestamp = provider.signature.timestamp.as_ref().unwrap();
            assert!(judge_age(timestamp, UnixSeconds(number), NOW).is_err(), "{number}");
        }
        assert_eq!(
            is_accepted(&provider, &[("x-s", "00"), ("x-t", "99999999999999999999")], b"{}", NOW),
            Err(Refusal::TimestampUnreadable { header: "x-t".into() })
        );
    }

    #[test]
    fn what_sign_makes_verify_accepts_and_one_bit_more_or_less_is_refused() {
        for algorithm in ["hmac-sha1", "hmac-sha256", "hmac-sha384", "hmac-sha512"] {
            for encoding in ["hex", "base64", "base64url"] {
                let provider = generic(Parameters {
                    algorithm: Some(algorithm.into()),
                    encoding: Some(encoding.into()),
                    ..Parameters::default()
                });
                let secret = secrets("k");
                let signed = sign(&provider, &HeaderMap::new(), BODY, secret.newest().unwrap(), UnixMillis(0)).unwrap();
                let judged = |body: &[u8]| verify(&provider, Request { headers: &signed, body }, &secret, NOW);
                assert!(judged(BODY).is_ok(), "{algorithm} {encoding}");
                for bit in 0..BODY.len() * 8 {
                    let mut altered = BODY.to_vec();
                    altered[bit / 8] ^= 1 << (bit % 8);
                    assert_eq!(judged(&altered).unwrap_err(), Refusal::SignatureMismatch { secrets: 1 });
                }
            }
        }
    }

    #[test]
    fn a_member_is_found_by_its_pointer_and_keeps_its_digits() {
        let body = br#"{"id":18446744073709551617,"a/b":{"c~d":[0,"x"]},"t":true,"e":"","n":null,"s":"\u00e9"}"#;
        let member = |pointer| json_member(body, pointer);
        assert_eq!(member("/id").as_deref(), Some("18446744073709551617"));
        assert_eq!(member("/a~1b/c~0d/1").as_deref(), Some("x"));
        assert_eq!(member("/s").as_deref(), Some("é"));
        for absent in ["/t", "/e", "/n", "/none", "/a~1b", "/id/0", "/a~1b/c~0d/9", "/a~1b/c~0d/x"] {
            assert_eq!(member(absent), None, "{absent}");
        }
    }

    #[test]
    fn a_body_that_is_deeply_nested_has_no_member_and_does_no_harm() {
        let deep = "[".repeat(100_000);
        assert_eq!(json_member(deep.as_bytes(), "/0"), None);
        let closed = format!("{deep}{}", "]".repeat(100_000));
        assert_eq!(json_member(closed.as_bytes(), "/0/0/0"), None);
    }
}
