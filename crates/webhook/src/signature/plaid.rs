//! Plaid: a web token (ES256) that holds the body's digest; its key is asked for by the id in the token.
//! (plaid.com/docs/api/webhooks/webhook-verification)

use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

use super::key::{FetchedKey, KeyAddress};
use super::token::Unverified;
use super::{Verified, header, header_name, judge_age, what};
use crate::clock::{UnixMillis, UnixSeconds};
use crate::crypto;
use crate::idempotency::Digest;
use crate::provider::Encoding;
use crate::refusal::{Quoted, Refusal};
use crate::request::Request;
use crate::terms::Terms;

const ALGORITHM: &str = "ES256";

#[derive(Deserialize)]
struct Claims {
    iat: i64,
    request_body_sha256: String,
}

/// Which of Plaid's keys the request says that it was signed with.
pub(super) fn key_address(terms: &Terms, request: &Request<'_>) -> Result<KeyAddress, Refusal> {
    let key_id = token(terms, request)?.key_id(ALGORITHM)?.filter(|key_id| !key_id.is_empty());
    let problem = "it names no key";
    let key_id = key_id.ok_or_else(|| Refusal::TokenUnusable { what: what(&terms.scheme.signature), problem })?;
    Ok(KeyAddress::Plaid { key_id, sandbox: terms.settings.sandbox })
}

pub(super) fn verify(
    terms: &Terms,
    published: Option<&FetchedKey>,
    request: &Request<'_>,
    now: UnixSeconds,
) -> Result<Verified, Refusal> {
    let token = token(terms, request)?;
    let key_id = token.key_id(ALGORITHM)?.unwrap_or_default();
    let point = published.and_then(|key| key.point_at(now));
    let point = point.ok_or_else(|| Refusal::KeyUnknown { address: Quoted::new(&key_id) })?;
    if !crypto::is_es256(point, token.signed, &token.signature) {
        return Err(Refusal::PublishedKeyMismatch);
    }
    let claims: Claims = token.claims()?;
    let digest = Encoding::Hex.decode(claims.request_body_sha256.as_bytes()).unwrap_or_default();
    if !bool::from(digest.ct_eq(Sha256::digest(request.body).as_slice())) {
        return Err(Refusal::BodyAltered { what: "request_body_sha256" });
    }
    judge_age(terms, UnixMillis(claims.iat.saturating_mul(1000)), now)?;
    Ok(Verified { secret_index: 0 })
}

/// The digest of the token without its signature: which key it is of, when it was made, and the body's digest.
pub(super) fn digest(terms: &Terms, request: &Request<'_>) -> Digest {
    let token = token(terms, request);
    Digest::of(token.as_ref().map_or(request.body, |token| token.signed))
}

fn token<'a>(terms: &Terms, request: &Request<'a>) -> Result<Unverified<'a>, Refusal> {
    let place = &terms.scheme.signature;
    let name = header_name(&terms.scheme);
    Unverified::read(header(request, name)?.as_bytes(), what(place))
}
