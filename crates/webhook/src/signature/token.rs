//! JSON Web Tokens (RFC 7519), as far as two senders use them: three parts, one algorithm, named by the scheme and never by
//! the token.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::refusal::Refusal;

/// A token whose signature has not been judged: nothing in it may be believed but where its key is.
pub(super) struct Unverified<'a> {
    what: String,
    /// Header and claims as they were sent: what is signed.
    pub(super) signed: &'a [u8],
    header: Vec<u8>,
    claims: Vec<u8>,
    /// The signature, decoded.
    pub(super) signature: Vec<u8>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: Option<String>,
}

impl<'a> Unverified<'a> {
    /// Takes a token apart. `what` is where it stood: `header authorization`.
    pub(super) fn read(token: &'a [u8], what: String) -> Result<Unverified<'a>, Refusal> {
        let unusable = |problem| Refusal::TokenUnusable { what: what.clone(), problem };
        let dots: Vec<usize> = memchr::memchr_iter(b'.', token).take(3).collect();
        let [first, second] = dots[..] else { return Err(unusable("it has not three parts")) };
        let part = |start: usize, end: usize| {
            let text = token.get(start..end).unwrap_or_default();
            URL_SAFE_NO_PAD.decode(text).map_err(|_| unusable("a part of it is not base64url"))
        };
        let header = part(0, first)?;
        let claims = part(first + 1, second)?;
        let signature = part(second + 1, token.len())?;
        Ok(Unverified { signed: token.get(..second).unwrap_or_default(), header, claims, signature, what })
    }

    /// The id of its key, if its algorithm is `algorithm` and no other: a token must not choose how it is judged.
    pub(super) fn key_id(&self, algorithm: &str) -> Result<Option<String>, Refusal> {
        let header: Header =
            serde_json::from_slice(&self.header).map_err(|_| self.unusable("its header is not the JSON of one"))?;
        if header.alg != algorithm {
            return Err(self.unusable("it names another algorithm"));
        }
        Ok(header.kid)
    }

    /// What it claims. To be called when its signature is known to be right.
    pub(super) fn claims<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        serde_json::from_slice(&self.claims).map_err(|_| self.unusable("its claims are not those of this scheme"))
    }

    fn unusable(&self, problem: &'static str) -> Refusal {
        Refusal::TokenUnusable { what: self.what.clone(), problem }
    }
}

/// The two parts of a token that are signed.
pub(super) fn unsigned(header: &str, claims: &str) -> String {
    format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims))
}

/// A token's last part.
pub(super) fn encoded(signature: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(signature)
}
