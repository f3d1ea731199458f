//! Keys that the sender publishes: where a request says that its key is, whether that may be asked for, and what comes
//! back. Fetching is the receiver's.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Uri;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde::Deserialize;
use thiserror::Error;
use webpki::EndEntityCert;

use super::{Reading, header, plaid, sns};
use crate::clock::UnixSeconds;
use crate::provider::{Content, SecretForm};
use crate::refusal::{Quoted, Refusal};
use crate::request::Request;
use crate::terms::Terms;

/// Where a request's key is. Only [`address`] makes one, after it has found the place among the sender's own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum KeyAddress {
    /// A certificate, in PEM. The address is HTTPS, on a host of the sender, without port or user part.
    Certificate {
        /// The whole address.
        url: String,
    },
    /// One of Plaid's keys, asked for with the endpoint's credentials.
    Plaid {
        /// As the request names it; any text.
        key_id: String,
        /// Whether it is one of the sandbox's.
        sandbox: bool,
    },
}

/// A key that the sender publishes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedKey(Form);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Form {
    /// A SubjectPublicKeyInfo in DER.
    Certified(Vec<u8>),
    /// An uncompressed point on P-256, good until an instant where there is one.
    Point { point: Vec<u8>, expired_at: Option<UnixSeconds> },
}

/// Why what was fetched is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum KeyError {
    /// No certificate in PEM.
    #[error("it is not a certificate in PEM")]
    NotPem,
    /// The certificate cannot be read.
    #[error("its certificate is not an X.509 one of version 3")]
    NotX509,
    /// The JSON is no key on P-256.
    #[error("it is not the JSON Web Key of a point on P-256")]
    NotJwk,
}

/// Where the key of a request is that is verified with a published key; `None` for all others. To be asked before
/// [`verify`](super::verify), which wants the key; what is malformed, or of a place or topic that is not allowed, is refused
/// before anything is fetched.
///
/// # Errors
/// A [`Refusal`] that names the cause.
pub fn address(terms: &Terms, request: &Request<'_>) -> Result<Option<KeyAddress>, Refusal> {
    match terms.scheme.secret {
        SecretForm::Certificate { header: name, hosts, path } => {
            if let Content::Parts(parts) = terms.scheme.content {
                Reading::of(terms, parts, request)?;
            }
            let url = header(request, name)?.to_str().unwrap_or_default();
            match host_of(url) {
                Some((uri, host)) if hosts.contains(&&*host) && is_named_under(path, &uri) => {
                    Ok(Some(KeyAddress::Certificate { url: url.to_owned() }))
                }
                Some(_) | None => Err(Refusal::KeyElsewhere { address: Quoted::new(url) }),
            }
        }
        SecretForm::SnsCertificate => sns::key_address(terms, request).map(Some),
        SecretForm::PlaidCredentials => plaid::key_address(terms, request).map(Some),
        SecretForm::Utf8 | SecretForm::Hex | SecretForm::Base64 | SecretForm::StandardWebhooks => Ok(None),
    }
}

fn is_named_under(path: &str, uri: &Uri) -> bool {
    let is_name =
        |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    uri.path().strip_prefix(path).is_some_and(is_name) && uri.query().is_none()
}

/// An HTTPS address without port, user part or fragment, and its host; `None` for any other.
pub(super) fn host_of(url: &str) -> Option<(Uri, String)> {
    if url.contains('#') {
        return None;
    }
    let uri: Uri = url.parse().ok()?;
    let host = uri.authority()?.as_str().to_owned();
    let is_plain = uri.scheme_str() == Some("https") && uri.host() == Some(&*host);
    is_plain.then_some((uri, host))
}

impl FetchedKey {
    /// Reads a certificate in PEM, and nothing else: a bare public key is not what these senders publish. The certificate's own
    /// signature and dates are not judged: that it is the sender's follows from where it was fetched.
    ///
    /// # Errors
    /// [`KeyError`]
    pub fn from_pem(pem: &[u8]) -> Result<FetchedKey, KeyError> {
        let certificate = CertificateDer::from_pem_slice(pem).map_err(|_| KeyError::NotPem)?;
        let certificate = EndEntityCert::try_from(&certificate).map_err(|_| KeyError::NotX509)?;
        Ok(FetchedKey(Form::Certified(certificate.subject_public_key_info().to_vec())))
    }

    /// Reads a JSON Web Key on P-256, with Plaid's `expired_at`.
    ///
    /// # Errors
    /// [`KeyError`]
    pub fn from_jwk(json: &[u8]) -> Result<FetchedKey, KeyError> {
        #[derive(Deserialize)]
        struct Jwk {
            kty: String,
            crv: String,
            x: String,
            y: String,
            #[serde(default)]
            expired_at: Option<i64>,
        }
        let jwk: Jwk = serde_json::from_slice(json).map_err(|_| KeyError::NotJwk)?;
        let number =
            |text: &str| URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok().filter(|number| number.len() == 32);
        match (jwk.kty.as_str(), jwk.crv.as_str(), number(&jwk.x), number(&jwk.y)) {
            ("EC", "P-256", Some(x), Some(y)) => {
                // SEC 1, 2.3.3: an uncompressed point.
                let point = [vec![4], x, y].concat();
                Ok(FetchedKey(Form::Point { point, expired_at: jwk.expired_at.map(UnixSeconds) }))
            }
            _ => Err(KeyError::NotJwk),
        }
    }

    /// The SubjectPublicKeyInfo, if it came as a certificate.
    pub(super) fn certified(&self) -> Option<&[u8]> {
        match &self.0 {
            Form::Certified(key) => Some(key),
            Form::Point { .. } => None,
        }
    }

    /// The point, if it came as one and is good at `now`.
    pub(super) fn point_at(&self, now: UnixSeconds) -> Option<&[u8]> {
        match &self.0 {
            Form::Point { point, expired_at } if expired_at.is_none_or(|expired_at| now < expired_at) => Some(point),
            Form::Point { .. } | Form::Certified(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_path_of_paypals_certificates_is_fetched() {
        let paypal = crate::provider::find("paypal").unwrap();
        let mut terms = Terms::new(paypal, *paypal.scheme(None).unwrap());
        terms.settings.webhook_id = Some("WH-1".to_owned());
        let address = |url: &str| {
            let mut headers = http::HeaderMap::new();
            for (name, value) in [
                ("paypal-transmission-id", "t-1"),
                ("paypal-transmission-time", "2026-11-27T12:00:00Z"),
                ("paypal-transmission-sig", "AA=="),
                ("paypal-auth-algo", "SHA256withRSA"),
                ("paypal-cert-url", url),
            ] {
                headers.insert(name, value.parse().unwrap());
            }
            address(&terms, &Request { method: "POST", url: "", headers: &headers, body: b"{}" })
        };
        for path in ["CERT-1", "CERT-360caa42-fca2a594-a5cafa77"] {
            let url = format!("https://api.paypal.com/v1/notifications/certs/{path}");
            assert_eq!(address(&url), Ok(Some(KeyAddress::Certificate { url })));
        }
        for path in [
            "/v1/notifications/certs/CERT-",
            "/v1/notifications/certs/CERT-1/2",
            "/v1/notifications/certs/CERT-1?x",
            "/v1/notifications/certs/CERT-%31",
            "/v1/notifications/certs/CERT-1.pem",
            "/v1/notifications/certs/cert-1",
            "/v1/notifications/certs/../CERT-1",
            "/v1/notifications/webhooks/CERT-1",
            "/",
            "",
        ] {
            let url = format!("https://api.paypal.com{path}");
            assert_eq!(address(&url), Err(Refusal::KeyElsewhere { address: Quoted::new(&url) }), "{url}");
        }
    }

    #[test]
    fn a_certificate_is_a_key_and_a_bare_public_key_is_none() {
        let certificate = include_str!("../../tests/certificate.pem");
        let key = FetchedKey::from_pem(certificate.as_bytes()).unwrap();
        assert!(key.certified().is_some_and(|key| key.len() == 294));
        let bare = format!(
            "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
            base64::engine::general_purpose::STANDARD.encode(key.certified().unwrap())
        );
        for text in [&bare, "", "{}", "-----BEGIN CERTIFICATE-----\n-----END PUBLIC KEY-----\n"] {
            assert_eq!(FetchedKey::from_pem(text.as_bytes()), Err(KeyError::NotPem), "{text}");
        }
        // As some tools write: the key first, and the certificate behind it.
        assert_eq!(FetchedKey::from_pem(format!("{bare}{certificate}").as_bytes()), Ok(key));
        let short = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert_eq!(FetchedKey::from_pem(short.as_bytes()), Err(KeyError::NotX509));
    }

    #[test]
    fn only_a_plain_https_address_has_a_host() {
        let host = |url: &str| host_of(url).map(|(_, host)| host);
        assert_eq!(host("https://a.example/x.pem?y").as_deref(), Some("a.example"));
        for url in [
            "http://a.example/x.pem",
            "https://a.example:443/x.pem",
            "https://a@b.example/x.pem",
            "https://a.example@b.example/",
            "https://a.example#@b.example/",
            "//a.example/x.pem",
            "a.example",
            "https://",
            "",
        ] {
            assert_eq!(host(url), None, "{url}");
        }
    }
}
