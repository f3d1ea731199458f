//! Signing: from a body to the request that its sender would make, by the same row that verifies it.

use http::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use thiserror::Error;

use super::{Reading, contentful, monday, twilio};
use crate::clock::UnixMillis;
use crate::provider::{Content, Place, Timestamp, TimestampPlace, TimestampUnit};
use crate::refusal::Refusal;
use crate::request::Request;
use crate::secret::Secrets;
use crate::terms::Terms;

/// A request that is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// `POST`
    pub method: String,
    /// The whole address, query included, as the receiver will take it to have been signed.
    pub url: String,
    /// All headers.
    pub headers: HeaderMap,
    /// Byte for byte.
    pub body: Vec<u8>,
}

/// Why a request cannot be signed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SigningError {
    /// The sender has a private key, and nobody else does.
    #[error("{title} signs with a private key that only it has, so nobody can play it")]
    PrivateKey {
        /// Who.
        title: &'static str,
    },
    /// There is no secret, or it is a public key.
    #[error("there is no secret to sign with; a public key verifies and cannot sign")]
    NoSecret,
    /// The signature has its place in the body, and the body has none.
    #[error("the signature of {title} stands in the JSON body at {pointer}, and the body has no such place")]
    NoPlace {
        /// Who.
        title: &'static str,
        /// Where.
        pointer: String,
    },
    /// The signature, which is the secret itself, has bytes that a header cannot have.
    #[error("the signature cannot stand in the header {header}: the secret has bytes that no header can have")]
    NotAHeader {
        /// Its name.
        header: String,
    },
    /// Something that is signed is not in the request.
    #[error("what is to be signed is not complete: {0}")]
    Incomplete(#[from] Refusal),
}

/// Signs a request as its sender would at `now`, with the newest secret. Headers and fields that the signature covers must be
/// in it, but for the timestamp and what the scheme requires: these are set.
///
/// # Errors
/// [`SigningError`]
pub fn sign(terms: &Terms, secrets: &Secrets, outgoing: Outgoing, now: UnixMillis) -> Result<Outgoing, SigningError> {
    let title = terms.provider.title;
    let scheme = &terms.scheme;
    if !scheme.can_sign() {
        return Err(SigningError::PrivateKey { title });
    }
    let secret = secrets.newest().filter(|secret| !secret.is_public()).ok_or(SigningError::NoSecret)?;
    let mut outgoing = outgoing;
    for (name, value) in scheme.require {
        insert(&mut outgoing.headers, name, value.as_bytes());
    }
    let stamp = scheme.timestamp.map(|timestamp| stamp(&timestamp, now));
    if let (Some(timestamp), Some(stamp)) = (&scheme.timestamp, &stamp) {
        match timestamp.at {
            TimestampPlace::Header(name) => insert(&mut outgoing.headers, name, stamp.as_bytes()),
            TimestampPlace::Json(pointer) => {
                let value = match timestamp.unit {
                    TimestampUnit::Milliseconds => Value::from(now.0),
                    TimestampUnit::Seconds | TimestampUnit::Rfc3339 => Value::from(stamp.as_str()),
                };
                // Where only the timestamp's age is judged, a body without it is signed as it is.
                outgoing.body = with_member(&outgoing.body, pointer, value).unwrap_or(outgoing.body);
            }
            TimestampPlace::Item(_) => {}
        }
    }
    let encode = |signature: &[u8]| [scheme.prefix.as_bytes(), &scheme.encoding.encode(signature)].concat();
    match scheme.content {
        Content::Twilio => {
            if !twilio::covers_as_form(&request(&outgoing)) {
                outgoing.url = twilio::address_with_digest(&outgoing.url, &outgoing.body);
            }
            let signature = twilio::sign(terms, secret, &request(&outgoing))?;
            put(terms, &mut outgoing, encode(&signature))
        }
        Content::Contentful => {
            contentful::list_headers(&mut outgoing.headers);
            let signature = contentful::sign(terms, secret, &request(&outgoing))?;
            put(terms, &mut outgoing, encode(&signature))
        }
        Content::MondayToken => put(terms, &mut outgoing, monday::sign(secret, now.seconds())),
        Content::Sns | Content::PlaidToken => Err(SigningError::PrivateKey { title }),
        Content::Parts(parts) => {
            // A signature of nothing first, so that what is signed can be read as it will be when it arrives.
            let item = |signature: &[u8]| match (&scheme.timestamp, &stamp, scheme.separator) {
                (Some(Timestamp { at: TimestampPlace::Item(prefix), .. }), Some(stamp), Some(separator)) => {
                    [prefix.as_bytes(), stamp.as_bytes(), separator.as_bytes(), &encode(signature)].concat()
                }
                _ => encode(signature),
            };
            put(terms, &mut outgoing, item(b"?"))?;
            let signatures: Vec<Vec<u8>> = {
                let request = request(&outgoing);
                let contents = Reading::of(terms, parts, &request)?.contents;
                let signed = contents.iter().map(|content| content.signed_with(scheme.algorithm, secret));
                signed.map(|alternatives| item(alternatives.first().map_or(b"", |first| first))).collect()
            };
            put_each(terms, &mut outgoing, &signatures)
        }
    }?;
    Ok(outgoing)
}

fn request(outgoing: &Outgoing) -> Request<'_> {
    Request { method: &outgoing.method, url: &outgoing.url, headers: &outgoing.headers, body: &outgoing.body }
}

fn stamp(timestamp: &Timestamp, now: UnixMillis) -> String {
    match timestamp.unit {
        TimestampUnit::Seconds => now.seconds().0.to_string(),
        TimestampUnit::Milliseconds => now.0.to_string(),
        TimestampUnit::Rfc3339 => now.seconds().to_string(),
    }
}

/// Puts one signature where the receiver looks for it.
fn put(terms: &Terms, outgoing: &mut Outgoing, signature: Vec<u8>) -> Result<(), SigningError> {
    put_each(terms, outgoing, &[signature])
}

/// Puts a signature where the receiver looks for it; where each element of a list has one, one after the other, and the
/// last one in all that remain.
fn put_each(terms: &Terms, outgoing: &mut Outgoing, signatures: &[Vec<u8>]) -> Result<(), SigningError> {
    let no_place = |pointer: &str| SigningError::NoPlace { title: terms.provider.title, pointer: pointer.to_owned() };
    let Some(first) = signatures.first() else { return Ok(()) };
    match terms.scheme.signature {
        Place::Header(name) => insert_signature(&mut outgoing.headers, name, first)?,
        Place::Headers(names) => {
            if let Some(name) = names.first() {
                insert_signature(&mut outgoing.headers, name, first)?;
            }
        }
        Place::NumberedHeaders(prefix) => insert_signature(&mut outgoing.headers, &format!("{prefix}1"), first)?,
        Place::Query(name) => {
            let (address, query) = outgoing.url.split_once('?').unwrap_or((&outgoing.url, ""));
            let pairs = form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key != name);
            let mut query = form_urlencoded::Serializer::new(String::new());
            query.extend_pairs(pairs);
            query.append_pair(name, &String::from_utf8_lossy(first));
            outgoing.url = format!("{address}?{}", query.finish());
        }
        Place::Json(pointer) => {
            let value = Value::from(String::from_utf8_lossy(first));
            outgoing.body = with_member(&outgoing.body, pointer, value).ok_or_else(|| no_place(pointer))?;
        }
        Place::JsonEach { list, member } => {
            let mut body: Value = serde_json::from_slice(&outgoing.body).map_err(|_| no_place(list))?;
            let elements = body.pointer_mut(list).and_then(Value::as_array_mut).ok_or_else(|| no_place(list))?;
            let repeated = signatures.iter().chain(std::iter::repeat(signatures.last().unwrap_or(first)));
            for (element, signature) in elements.iter_mut().zip(repeated) {
                let value = Value::from(String::from_utf8_lossy(signature));
                set(element, member, value).ok_or_else(|| no_place(member))?;
            }
            outgoing.body = body.to_string().into_bytes();
        }
    }
    Ok(())
}

fn insert_signature(headers: &mut HeaderMap, name: &str, value: &[u8]) -> Result<(), SigningError> {
    HeaderValue::from_bytes(value).map_err(|_| SigningError::NotAHeader { header: name.to_owned() })?;
    insert(headers, name, value);
    Ok(())
}

fn insert(headers: &mut HeaderMap, name: &str, value: &[u8]) {
    if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value)) {
        headers.insert(name, value);
    }
}

/// A JSON body with this value at `pointer`; `None` if it has no place for it.
fn with_member(body: &[u8], pointer: &str, value: Value) -> Option<Vec<u8>> {
    let mut json: Value = serde_json::from_slice(body).ok()?;
    set(&mut json, pointer, value)?;
    Some(json.to_string().into_bytes())
}

/// Sets a member, of an object that is there or can be made.
fn set(json: &mut Value, pointer: &str, value: Value) -> Option<()> {
    let unescaped = |step: &str| step.replace("~1", "/").replace("~0", "~");
    let (parents, name) = pointer.rsplit_once('/')?;
    let mut at = json;
    for step in parents.split('/').skip(1) {
        at = at.as_object_mut()?.entry(unescaped(step)).or_insert_with(|| Value::Object(serde_json::Map::new()));
    }
    at.as_object_mut()?.insert(unescaped(name), value);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judgement::judge;
    use crate::provider::generic::{GENERIC, Parameters, scheme};

    #[test]
    fn a_signature_within_a_body_fits_whatever_numbers_are_in_it() {
        let parameters =
            Parameters { json: Some("/sig".into()), content: Some("{json:/id}".into()), ..Parameters::default() };
        let terms = Terms::new(&GENERIC, scheme(&parameters).unwrap());
        let secrets = Secrets::parse("secret", &terms.scheme).unwrap();
        for id in [
            "1087279148403313868.6",
            "1.1e300",
            "0.1",
            "5e-324",
            "18446744073709551615",
            "-0.0",
            "123456789012345678.9",
        ] {
            let outgoing = Outgoing {
                method: "POST".into(),
                url: "https://h.example/".into(),
                headers: HeaderMap::new(),
                body: format!(r#"{{"id":{id}}}"#).into_bytes(),
            };
            let signed = sign(&terms, &secrets, outgoing, UnixMillis(0)).unwrap();
            assert!(judge(&terms, &secrets, None, &request(&signed), UnixMillis(0).seconds()).is_ok(), "{id}");
        }
    }
}
