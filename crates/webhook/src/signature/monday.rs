//! monday: a web token (HS256) that says until when it is good, and nothing about the body.
//! (developer.monday.com/api-reference/reference/webhooks)

use serde::Deserialize;
use serde_json::json;

use super::token::{self, Unverified};
use super::{Pieces, Verified, header, header_name, what};
use crate::clock::UnixSeconds;
use crate::provider::Algorithm;
use crate::refusal::Refusal;
use crate::request::Request;
use crate::secret::{Secret, Secrets};
use crate::terms::Terms;

const ALGORITHM: &str = "HS256";
/// How long a token is good that `sign` makes, in seconds; monday's are good for minutes.
const LIFETIME_SECONDS: i64 = 300;

#[derive(Deserialize)]
struct Claims {
    #[serde(default)]
    exp: Option<i64>,
}

pub(super) fn verify(
    terms: &Terms,
    secrets: &Secrets,
    request: &Request<'_>,
    now: UnixSeconds,
) -> Result<Verified, Refusal> {
    let scheme = &terms.scheme;
    let name = header_name(scheme);
    let text = header(request, name)?.as_bytes();
    let token = Unverified::read(text.strip_prefix(b"Bearer ").unwrap_or(text), what(&scheme.signature))?;
    token.key_id(ALGORITHM)?;
    let content = Pieces::bytes([token.signed.into()]);
    let signatures = [token.signature.clone()];
    let secret_index = secrets
        .iter()
        .position(|secret| content.fits(Algorithm::HmacSha256, secret, &signatures))
        .ok_or_else(|| Refusal::SignatureMismatch { secrets: secrets.count() })?;
    let claims: Claims = token.claims()?;
    match claims.exp {
        // RFC 7519, 4.1.4: not accepted on or after this instant.
        Some(exp) if now.0 >= exp => Err(Refusal::Expired { age_seconds: now.0.saturating_sub(exp) }),
        Some(_) | None => Ok(Verified { secret_index }),
    }
}

/// The token of a request that is to be sent at `now`.
pub(super) fn sign(secret: &Secret, now: UnixSeconds) -> Vec<u8> {
    let header = json!({ "alg": ALGORITHM, "typ": "JWT" }).to_string();
    let claims = json!({ "iat": now.0, "exp": now.plus(LIFETIME_SECONDS).0 }).to_string();
    let unsigned = token::unsigned(&header, &claims);
    let content = Pieces::bytes([unsigned.as_bytes().into()]);
    let signature = content.signed_with(Algorithm::HmacSha256, secret).pop().unwrap_or_default();
    format!("{unsigned}.{}", token::encoded(&signature)).into_bytes()
}
