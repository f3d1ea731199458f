//! Twilio: the signature covers the address and, of a form, each field's name and value in alphabetical order; of any other
//! body, the digest that the address carries as `bodySHA256`.
//!
//! Twilio leaves the port out of the address or writes it, whatever the receiver sees, so all three forms are tried, as its
//! libraries do. (twilio.com/docs/usage/security; twilio-python `request_validator.py`.)

use std::borrow::Cow;

use sha2::{Digest as _, Sha256};

use super::{Pieces, Verified, header, header_name, header_signature};
use crate::idempotency::Digest;
use crate::provider::{Algorithm, Encoding, Scheme};
use crate::refusal::{Quoted, Refusal};
use crate::request::{Once, Request, has_escapes, query_of, unescaped};
use crate::secret::{Secret, Secrets};
use crate::terms::Terms;

/// The header that names the hash where a shared key signs and not the account's token; what is signed is the same. It is not
/// signed itself, and chooses between two HMACs under the endpoint's own secrets and no more.
/// (twilio.com/docs/usage/webhooks/webhook-shared-keys, September 2026)
const SETTINGS: &str = "x-twilio-webhooks-signature-settings";
/// The query parameter with the digest of a body that is no form.
const BODY_DIGEST: &str = "bodySHA256";

pub(super) fn verify(terms: &Terms, secrets: &Secrets, request: &Request<'_>) -> Result<Verified, Refusal> {
    let scheme = &terms.scheme;
    let name = header_name(scheme);
    let url = terms.signed_url(request);
    header(request, name)?;
    let (url, body_digest) = if covers_as_form(request) {
        (url, None)
    } else {
        let (url, digest) = with_body_digest(url, request)?;
        (url, Some(digest))
    };
    let fields = fields(request);
    let algorithm = algorithm(scheme, request)?;
    let signatures = [header_signature(request, name, scheme.encoding)?];
    // The address as it is nearly always fits; the others are only made if it does not.
    let found = |url: &str| {
        let content = content(url, &fields);
        secrets.iter().position(|secret| content.fits(algorithm, secret, &signatures))
    };
    let secret_index = found(&url)
        .or_else(|| found(&with_port(&url, Port::Left)))
        .or_else(|| found(&with_port(&url, Port::Written)))
        .ok_or_else(|| Refusal::SignatureMismatch { secrets: secrets.count() })?;
    if body_digest.is_some_and(|digest| digest != Sha256::digest(request.body).as_slice()) {
        return Err(Refusal::BodyAltered { what: BODY_DIGEST });
    }
    Ok(Verified { secret_index })
}

/// The signature of a request that is to be sent.
pub(super) fn sign(terms: &Terms, secret: &Secret, request: &Request<'_>) -> Result<Vec<u8>, Refusal> {
    let url = terms.signed_url(request);
    let url = if covers_as_form(request) { url } else { with_body_digest(url, request)?.0 };
    let content = content(&url, &fields(request));
    Ok(content.signed_with(algorithm(&terms.scheme, request)?, secret).pop().unwrap_or_default())
}

/// The algorithm that a request is signed with: the row's, unless its settings name another.
fn algorithm(scheme: &Scheme, request: &Request<'_>) -> Result<Algorithm, Refusal> {
    let settings = match request.header(SETTINGS) {
        Once::Value(value) => value.to_str().unwrap_or_default(),
        Once::Absent | Once::Empty => return Ok(scheme.algorithm),
        Once::Repeated => return Err(Refusal::Repeated { what: format!("header {SETTINGS}") }),
    };
    let named = settings.split(',').find_map(|item| item.trim().strip_prefix("algorithm=")).map(str::trim);
    match named {
        None | Some("") => Ok(scheme.algorithm),
        Some(name) if name.eq_ignore_ascii_case("HMAC_SHA1") => Ok(Algorithm::HmacSha1),
        Some(name) if name.eq_ignore_ascii_case("HMAC_SHA256") => Ok(Algorithm::HmacSha256),
        Some(_) => Err(Refusal::UnknownVersion {
            header: SETTINGS.to_owned(),
            found: Quoted::new(settings),
            expected: "HMAC_SHA1 or HMAC_SHA256",
        }),
    }
}

/// The address with the digest of a body that is no form.
pub(super) fn address_with_digest(url: &str, body: &[u8]) -> String {
    with_digest(url, &hex::encode(Sha256::digest(body)))
}

/// The digest of what is signed, without a port: whichever of the three forms of the address was signed, it is the same.
pub(super) fn digest(terms: &Terms, request: &Request<'_>) -> Digest {
    let url = terms.signed_url(request);
    let url = if covers_as_form(request) { Ok(url) } else { with_body_digest(url, request).map(|(url, _)| url) };
    let address = with_port(&url.unwrap_or_default(), Port::Left);
    let fields = fields(request);
    let pieces = std::iter::once(address.as_bytes()).chain(fields.iter().flatten().map(AsRef::as_ref));
    Digest::of_parts(&pieces.collect::<Vec<_>>())
}

/// Whether the body's fields are signed themselves; an empty body has none. Where the address has a digest, that is what was
/// signed, whatever the body claims to be.
pub(super) fn covers_as_form(request: &Request<'_>) -> bool {
    (request.body.is_empty() || request.is_form()) && request.query(BODY_DIGEST) == Once::Absent
}

/// The digest of a body that is no form, as the address has it, and the address as it was signed: Twilio adds the digest to
/// the address that it was given, which is all that an endpoint's `public_url` says.
fn with_body_digest<'a>(url: Cow<'a, str>, request: &Request<'_>) -> Result<(Cow<'a, str>, Vec<u8>), Refusal> {
    let what = || format!("query parameter {BODY_DIGEST}");
    let given = body_digests(&url);
    let is_given = !given.is_empty();
    let digests = if is_given { given } else { body_digests(request.url) };
    let Some((digest, others)) = digests.split_first() else { return Err(Refusal::Absent { what: what() }) };
    // Twilio adds it to addresses that have it already (twilio/twilio-php#861).
    if others.iter().any(|other| other != digest) {
        return Err(Refusal::Repeated { what: what() });
    }
    if digest.is_empty() {
        return Err(Refusal::Empty { what: what() });
    }
    let bytes = Encoding::Hex.decode(digest.as_bytes()).ok_or(Refusal::SignatureUndecodable { what: what() })?;
    let url = if is_given { url } else { Cow::Owned(with_digest(&url, digest)) };
    Ok((url, bytes))
}

fn body_digests(url: &str) -> Vec<String> {
    let pairs = form_urlencoded::parse(query_of(url).as_bytes());
    pairs.filter(|(name, _)| name == BODY_DIGEST).map(|(_, digest)| digest.into_owned()).collect()
}

fn with_digest(url: &str, digest: &str) -> String {
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}{BODY_DIGEST}={digest}")
}

/// As many fields as Twilio's forms have, and some.
const USUAL_FIELDS: usize = 32;

/// A form's names and values as bytes, each pair once, in the order in which they are signed.
fn fields<'a>(request: &Request<'a>) -> Vec<[Cow<'a, [u8]>; 2]> {
    let mut fields: Vec<[Cow<'a, [u8]>; 2]> = Vec::with_capacity(USUAL_FIELDS);
    // One look at a whole body without escapes costs less than one at each of its parts.
    if has_escapes(request.body) {
        fields.extend(request.form().map(|(name, value)| [unescaped(name), unescaped(value)]));
    } else {
        fields.extend(request.form().map(|(name, value)| [name.into(), value.into()]));
    }
    fields.sort_unstable();
    fields.dedup();
    fields
}

fn content<'a>(url: &str, fields: &[[Cow<'a, [u8]>; 2]]) -> Pieces<'a> {
    let mut pieces = Vec::with_capacity(1 + 2 * fields.len());
    pieces.push(Cow::Owned(url.to_owned().into_bytes()));
    pieces.extend(fields.iter().flatten().cloned());
    Pieces::bytes(pieces)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Port {
    /// `https://host:443/` becomes `https://host/`, whatever the port.
    Left,
    /// `https://host/` becomes `https://host:443/`; a port that is there stays.
    Written,
}

fn with_port(url: &str, port: Port) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let Some((authority, path)) = rest.split_at_checked(end) else { return url.to_owned() };
    // Behind the last colon, unless that is within the brackets of an IPv6 address.
    let written = authority.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    match (written, port) {
        (Some((host, _)), Port::Left) => format!("{scheme}://{host}{path}"),
        (None, Port::Written) => {
            let default = if scheme == "https" { 443 } else { 80 };
            format!("{scheme}://{authority}:{default}{path}")
        }
        (Some(_), Port::Written) | (None, Port::Left) => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_left_out_or_written() {
        let cases = [
            ("https://a.example/x?y=1", "https://a.example/x?y=1", "https://a.example:443/x?y=1"),
            ("http://a.example", "http://a.example", "http://a.example:80"),
            ("https://a.example:1234/x", "https://a.example/x", "https://a.example:1234/x"),
            ("https://[::1]/x", "https://[::1]/x", "https://[::1]:443/x"),
            ("https://a.example?u=b:1", "https://a.example?u=b:1", "https://a.example:443?u=b:1"),
        ];
        for (url, left, written) in cases {
            assert_eq!(with_port(url, Port::Left), left);
            assert_eq!(with_port(url, Port::Written), written);
        }
    }

    #[test]
    fn the_digest_goes_behind_what_the_address_asks_already() {
        let digest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(address_with_digest("https://a.example/x", b""), format!("https://a.example/x?bodySHA256={digest}"));
        let address = address_with_digest("https://a.example/x?y=1", b"");
        assert_eq!(query_of(&address), format!("y=1&bodySHA256={digest}"));
    }

    #[test]
    fn behind_a_public_url_the_digest_is_where_twilio_put_it() {
        let provider = crate::provider::find("twilio").unwrap();
        let mut terms = Terms::new(provider, provider.schemes[0]);
        terms.settings.public_url = Some("https://hooks.example.com/sms".to_owned());
        let secrets = Secrets::parse("12345", &terms.scheme).unwrap();
        // Made with Python: the address and its digest under HMAC-SHA1.
        let query = "bodySHA256=0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620";
        let headers = http::HeaderMap::from_iter([(
            http::HeaderName::from_static("x-twilio-signature"),
            http::HeaderValue::from_static("C8JqeDPv2kne8LRb78Zi24p063k="),
        )]);
        let url = format!("https://abc.execute-api.eu-central-1.amazonaws.com/webhooks/sms?{query}");
        let body = br#"{"property": "value", "boolean": true}"#;
        let request = Request { method: "POST", url: &url, headers: &headers, body };
        assert!(verify(&terms, &secrets, &request).is_ok());
        let altered = Request { body: b"{}", ..request };
        assert_eq!(verify(&terms, &secrets, &altered), Err(Refusal::BodyAltered { what: BODY_DIGEST }));
    }
}
