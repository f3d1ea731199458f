//! Contentful: the signature covers method, path, the headers that the request itself lists, and the body, joined with line
//! feeds.
//!
//! The query is percent-encoded as one component and the whole path once more, so that `?a=1` is signed as `?a%253D1`. A
//! request is too old at exactly the tolerance. (contentful/node-apps-toolkit, `src/requests`.)

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::covered::constant_body;
use super::{Pieces, Verified, header, header_name, header_signature, instant};
use crate::clock::{UnixMillis, UnixSeconds};
use crate::idempotency::Digest;
use crate::provider::{Source, TimestampUnit};
use crate::refusal::Refusal;
use crate::request::Request;
use crate::secret::{Secret, Secrets};
use crate::terms::{Terms, path_and_query};

const SIGNED_HEADERS: &str = "x-contentful-signed-headers";
const TIMESTAMP: &str = "x-contentful-timestamp";

/// What JavaScript's `encodeURIComponent` leaves as it is, beside letters and digits.
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');
/// What `encodeURI` leaves as it is.
const ADDRESS: &AsciiSet = &COMPONENT
    .remove(b';')
    .remove(b',')
    .remove(b'/')
    .remove(b'?')
    .remove(b':')
    .remove(b'@')
    .remove(b'&')
    .remove(b'=')
    .remove(b'+')
    .remove(b'$')
    .remove(b'#');

pub(super) fn verify(
    terms: &Terms,
    secrets: &Secrets,
    request: &Request<'_>,
    now: UnixSeconds,
) -> Result<Verified, Refusal> {
    let scheme = &terms.scheme;
    let name = header_name(scheme);
    header(request, name)?;
    let listed = header(request, SIGNED_HEADERS)?.to_str().unwrap_or_default();
    let stamp = header(request, TIMESTAMP)?.as_bytes();
    let signed_at = instant(stamp, TimestampUnit::Milliseconds)
        .ok_or_else(|| Refusal::TimestampUnreadable { what: format!("header {TIMESTAMP}") })?;
    let content = content(terms, request, listed)?;
    let signatures = [header_signature(request, name, scheme.encoding)?];
    let secret_index = secrets
        .iter()
        .position(|secret| content.fits(scheme.algorithm, secret, &signatures))
        .ok_or_else(|| Refusal::SignatureMismatch { secrets: secrets.count() })?;
    judge_age(terms, signed_at, now)?;
    Ok(Verified { secret_index })
}

/// Lists the headers of Contentful's that a request has, which are then signed.
pub(super) fn list_headers(headers: &mut HeaderMap) {
    let mut names: Vec<&str> =
        headers.keys().map(HeaderName::as_str).filter(|name| name.starts_with("x-contentful-")).collect();
    names.retain(|name| *name != SIGNED_HEADERS && *name != "x-contentful-signature");
    names.push(SIGNED_HEADERS);
    names.sort_unstable();
    if let Ok(list) = HeaderValue::from_str(&names.join(",")) {
        headers.insert(SIGNED_HEADERS, list);
    }
}

/// The signature of a request that is to be sent; its signed headers and its timestamp must be in it.
pub(super) fn sign(terms: &Terms, secret: &Secret, request: &Request<'_>) -> Result<Vec<u8>, Refusal> {
    let listed = header(request, SIGNED_HEADERS)?.to_str().unwrap_or_default();
    let content = content(terms, request, listed)?;
    Ok(content.signed_with(terms.scheme.algorithm, secret).pop().unwrap_or_default())
}

/// Whether the request says that this header is signed.
pub(crate) fn signs_header(request: &Request<'_>, name: &str) -> bool {
    let listed = request.headers.get(SIGNED_HEADERS).and_then(|value| value.to_str().ok()).unwrap_or_default();
    listed.split(',').any(|listed| listed.eq_ignore_ascii_case(name))
}

/// The digest of what is signed, but for the timestamp, the list of what is signed, and the headers that vary.
pub(super) fn digest(terms: &Terms, request: &Request<'_>) -> Digest {
    let listed = request.headers.get(SIGNED_HEADERS).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let varies = |name: &str| {
        terms.scheme.varies.iter().any(|source| matches!(source, Source::Header(varying) if *varying == name))
    };
    let names = signed_names(request, listed);
    let lines = names.iter().filter(|name| ![SIGNED_HEADERS, TIMESTAMP].contains(*name) && !varies(name));
    let lines: Vec<Vec<u8>> = lines.filter_map(|name| line(request, name, "").ok()).collect();
    let url = terms.signed_url(request);
    let address = encoded(path_and_query(&url));
    let mut pieces = vec![request.method.as_bytes(), b"\n", address.as_bytes(), b"\n"];
    let lines = lines.join(b";".as_slice());
    pieces.extend([lines.as_slice(), b"\n"]);
    pieces.extend(constant_body(&terms.scheme, request));
    Digest::of_parts(&pieces)
}

fn judge_age(terms: &Terms, signed_at: UnixMillis, now: UnixSeconds) -> Result<(), Refusal> {
    if let Some(tolerance_seconds) = terms.settings.tolerance_seconds
        && now.0.saturating_mul(1000).saturating_sub(signed_at.0) == tolerance_seconds.saturating_mul(1000)
    {
        return Err(Refusal::Stale { age_seconds: tolerance_seconds, tolerance_seconds });
    }
    super::judge_age(terms, signed_at, now)
}

/// The headers that are signed, in alphabetical order: those that are listed and there, and the list and the timestamp always.
fn signed_names<'a>(request: &Request<'_>, listed: &'a str) -> Vec<&'a str> {
    let mut names: Vec<&str> = listed.split(',').chain([SIGNED_HEADERS, TIMESTAMP]).collect();
    names.retain(|name| request.headers.contains_key(*name));
    names.sort_unstable();
    names.dedup();
    names
}

fn line(request: &Request<'_>, name: &str, list: &str) -> Result<Vec<u8>, Refusal> {
    let value = if name == SIGNED_HEADERS { list.as_bytes() } else { header(request, name)?.as_bytes() };
    Ok([name.as_bytes(), b":", value.trim_ascii()].concat())
}

fn content<'a>(terms: &Terms, request: &Request<'a>, listed: &'a str) -> Result<Pieces<'a>, Refusal> {
    let names = signed_names(request, listed);
    let list = names.join(",");
    let lines: Vec<Vec<u8>> = names.iter().map(|name| line(request, name, &list)).collect::<Result<_, Refusal>>()?;
    let url = terms.signed_url(request);
    Ok(Pieces::bytes([
        request.method.as_bytes().into(),
        b"\n".as_slice().into(),
        Cow::Owned(encoded(path_and_query(&url)).into_bytes()),
        b"\n".as_slice().into(),
        Cow::Owned(lines.join(b";".as_slice())),
        b"\n".as_slice().into(),
        request.body.into(),
    ]))
}

fn encoded(path_and_query: &str) -> String {
    let mut parts = path_and_query.split('?');
    let path = parts.next().unwrap_or_default();
    let address = match parts.next().filter(|query| !query.is_empty()) {
        Some(query) => format!("{path}?{}", utf8_percent_encode(query, COMPONENT)),
        None => path.to_owned(),
    };
    utf8_percent_encode(&address, ADDRESS).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_encoded_twice_and_a_path_once() {
        assert_eq!(encoded("/a b/ü?a=1&b=(2)"), "/a%20b/%C3%BC?a%253D1%2526b%253D(2)");
        assert_eq!(encoded("/a?"), "/a");
        assert_eq!(encoded("/a%20b"), "/a%2520b");
    }
}
