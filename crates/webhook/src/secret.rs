//! What an endpoint and its sender share.

use std::fmt;

use thiserror::Error;

use crate::crypto;
use crate::limits::SECRETS_MAX;
use crate::provider::{Algorithm, Encoding, Scheme, SecretForm};

/// One secret, or the sender's public key: the bytes that a signature is judged by. Its `Debug` prints a placeholder.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    key: Vec<u8>,
    is_public: bool,
}

/// The secrets of one endpoint, newest first; none only where the provider needs none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secrets(Vec<Secret>);

/// Why a text does not hold the secrets of an endpoint. Ours to mend, never the sender's fault, and it carries no part
/// of the text.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SecretError {
    /// Nothing but white space.
    #[error("there is no secret in it: put one secret on each line, newest first")]
    Empty,
    /// More secrets than [`SECRETS_MAX`].
    #[error("it holds {found} secrets, and {SECRETS_MAX} are the most: drop those that no sender uses any more")]
    TooMany {
        /// How many lines hold one.
        found: usize,
    },
    /// A line that cannot be read in the form that the provider's secrets have.
    #[error("line {line} is not {form}, as the secrets of this provider are")]
    Unreadable {
        /// Counted from 1.
        line: usize,
        /// What was expected.
        form: SecretForm,
    },
    /// A line that is well written and no public key of the provider's algorithm.
    #[error("line {line} is not the public key that this provider's signatures are verified with")]
    NotAPublicKey {
        /// Counted from 1.
        line: usize,
    },
}

impl Secret {
    /// The key that `text` stands for in a scheme.
    ///
    /// # Errors
    /// [`SecretError`], if the text is not of the scheme's form, stands for no bytes at all, or is no public key where one
    /// is needed.
    fn parse(text: &str, line: usize, scheme: &Scheme) -> Result<Secret, SecretError> {
        let unreadable = || SecretError::Unreadable { line, form: scheme.secret };
        let algorithm_of_public_key = match scheme.with_public_key {
            Some((_, algorithm)) if text.starts_with(PUBLIC_KEY_PREFIX) => Some(algorithm),
            _ => Some(scheme.algorithm).filter(|algorithm| !algorithm.is_symmetric()),
        };
        let key = read(text, scheme.secret).filter(|key| !key.is_empty()).ok_or_else(unreadable)?;
        if let Some(algorithm) = algorithm_of_public_key {
            // Ed25519 keys of any 32 bytes are taken; what else is wrong with one shows when nothing fits.
            if !crypto::is_public_key(algorithm, &key) || algorithm == Algorithm::Ed25519 && key.len() != 32 {
                return Err(SecretError::NotAPublicKey { line });
            }
        }
        Ok(Secret { key, is_public: algorithm_of_public_key.is_some() })
    }

    /// The key's bytes, for computing a signature and nothing else.
    pub(crate) fn key(&self) -> &[u8] {
        &self.key
    }

    /// Whether it verifies and cannot sign.
    pub(crate) fn is_public(&self) -> bool {
        self.is_public
    }
}

/// What a Standard Webhooks secret begins with, and what its public key does.
const SECRET_PREFIX: &str = "whsec_";
const PUBLIC_KEY_PREFIX: &str = "whpk_";

fn read(text: &str, form: SecretForm) -> Option<Vec<u8>> {
    match form {
        SecretForm::Utf8 => Some(text.as_bytes().to_vec()),
        SecretForm::Hex => Encoding::Hex.decode(text.as_bytes()),
        SecretForm::Base64 => Encoding::Base64.decode(text.as_bytes()),
        SecretForm::StandardWebhooks => {
            let key = text.strip_prefix(PUBLIC_KEY_PREFIX).or(text.strip_prefix(SECRET_PREFIX)).unwrap_or(text);
            Encoding::Base64.decode(key.as_bytes())
        }
        SecretForm::PlaidCredentials => {
            let (client_id, secret) = text.split_once(':')?;
            (!client_id.is_empty() && !secret.is_empty()).then(|| text.as_bytes().to_vec())
        }
        SecretForm::Certificate { .. } | SecretForm::SnsCertificate => None,
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

impl Secrets {
    /// Those of an endpoint whose provider needs none.
    pub const NONE: Secrets = Secrets(Vec::new());

    /// Reads a parameter's value: one secret a line, newest first, blank lines and outer white space left out.
    ///
    /// # Errors
    /// [`SecretError`] if there is none, or if any of them cannot be used: half of a rotation must not pass unseen.
    pub fn parse(text: &str, scheme: &Scheme) -> Result<Secrets, SecretError> {
        let lines = || {
            text.lines().enumerate().map(|(index, line)| (index + 1, line.trim())).filter(|(_, line)| !line.is_empty())
        };
        match lines().count() {
            0 => return Err(SecretError::Empty),
            found if found > SECRETS_MAX => return Err(SecretError::TooMany { found }),
            _ => {}
        }
        lines().map(|(line, text)| Secret::parse(text, line, scheme)).collect::<Result<Vec<_>, _>>().map(Secrets)
    }

    /// The newest first.
    pub fn iter(&self) -> impl Iterator<Item = &Secret> {
        self.0.iter()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The secret to sign with.
    pub fn newest(&self) -> Option<&Secret> {
        self.0.first()
    }

    /// The newest credentials with which Plaid's keys are asked for: client id and secret.
    pub fn plaid_credentials(&self) -> Option<(&str, &str)> {
        std::str::from_utf8(self.newest()?.key()).ok()?.split_once(':')
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::find;

    fn parse(text: &str, provider: &str) -> Result<Secrets, SecretError> {
        Secrets::parse(text, find(provider).unwrap().scheme(None).unwrap())
    }

    #[test]
    fn one_secret_a_line_newest_first() {
        let secrets = parse("new\n\n  old \n", "github").unwrap();
        assert_eq!(secrets.iter().map(Secret::key).collect::<Vec<_>>(), [b"new", b"old"]);
    }

    #[test]
    fn a_text_without_a_secret_is_refused() {
        assert_eq!(parse(" \n\t\n", "github"), Err(SecretError::Empty));
    }

    #[test]
    fn eight_secrets_are_accepted_and_nine_are_not() {
        let lines = |count: usize| (0..count).map(|index| format!("secret-{index}\n")).collect::<String>();
        assert_eq!(parse(&lines(8), "github").unwrap().count(), 8);
        assert_eq!(parse(&lines(9), "github"), Err(SecretError::TooMany { found: 9 }));
    }

    #[test]
    fn an_unreadable_secret_is_named_by_its_line_and_not_by_its_text() {
        let error = |text, provider| parse(text, provider).unwrap_err().to_string();
        assert_eq!(error("00ff\n\nnot hex", "adyen"), "line 3 is not hexadecimal, as the secrets of this provider are");
        assert_eq!(
            error("whsec_????", "standardwebhooks"),
            "line 1 is not whsec_ or whpk_ and base64, as the secrets of this provider are"
        );
        assert_eq!(
            error("00ff", "discord"),
            "line 1 is not the public key that this provider's signatures are verified with"
        );
        assert_eq!(
            error("AAAA", "sendgrid"),
            "line 1 is not the public key that this provider's signatures are verified with"
        );
    }

    /// A key of no bytes is one that everybody has.
    #[test]
    fn a_line_that_stands_for_no_bytes_is_no_secret_in_any_form() {
        let cases = [
            ("standardwebhooks", "whsec_"),
            ("standardwebhooks", "whpk_"),
            ("svix", "whsec_"),
            ("svix", "whsec_="),
            ("adyen", "0"),
        ];
        for (provider, text) in cases {
            let error = parse(text, provider).unwrap_err();
            assert!(matches!(error, SecretError::Unreadable { line: 1, .. }), "{provider} {text}: {error}");
        }
        let scheme = Scheme { secret: SecretForm::Base64, ..*find("github").unwrap().scheme(None).unwrap() };
        for text in ["=", "=="] {
            assert_eq!(
                Secrets::parse(text, &scheme),
                Err(SecretError::Unreadable { line: 1, form: SecretForm::Base64 }),
                "{text}"
            );
        }
        assert_eq!(
            parse("whsec_AAE=\nwhsec_", "standardwebhooks"),
            Err(SecretError::Unreadable { line: 2, form: SecretForm::StandardWebhooks }),
            "a good one beside it does not excuse it"
        );
    }

    #[test]
    fn the_prefix_of_a_standard_webhooks_secret_is_optional() {
        assert_eq!(parse("whsec_AAE=", "standardwebhooks"), parse("AAE", "standardwebhooks"));
    }

    #[test]
    fn a_public_key_is_known_by_its_prefix_has_32_bytes_and_cannot_sign() {
        // RFC 8032, 7.1, test 1.
        let key = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
        let public = parse(&format!("whpk_{key}"), "standardwebhooks").unwrap();
        assert!(public.newest().unwrap().is_public());
        assert!(!parse(&format!("whsec_{key}"), "standardwebhooks").unwrap().newest().unwrap().is_public());
        assert!(!parse(key, "standardwebhooks").unwrap().newest().unwrap().is_public());
        // 31 bytes, and 33.
        for wrong in ["AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
            assert_eq!(
                parse(&format!("whpk_{wrong}"), "standardwebhooks"),
                Err(SecretError::NotAPublicKey { line: 1 }),
                "{wrong}"
            );
        }
    }

    #[test]
    fn a_public_key_of_another_algorithm_is_as_long_as_it_is() {
        // As in tests/vectors/sendgrid.json: a point on P-256, in DER.
        let key = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE97RRpXq/iSpluw+lEzfjfigtMNbsn3dYHtw7Dx8cj/OfI8dAxuU8JqQYktvivvlaXR0JEOnNeb54zuI1buyueA==";
        assert!(parse(key, "sendgrid").unwrap().newest().unwrap().is_public());
    }

    #[test]
    fn plaids_credentials_are_a_client_id_and_a_secret_and_neither_is_empty() {
        let secrets = parse("client:se:cret", "plaid").unwrap();
        assert_eq!(secrets.plaid_credentials(), Some(("client", "se:cret")));
        for wrong in ["client", ":", "client:", ":secret"] {
            assert!(matches!(parse(wrong, "plaid"), Err(SecretError::Unreadable { line: 1, .. })), "{wrong}");
        }
        assert_eq!(Secrets::NONE.plaid_credentials(), None);
    }

    #[test]
    fn debug_shows_no_secret() {
        let secrets = parse("sesame", "github").unwrap();
        assert_eq!(format!("{secrets:?}"), "Secrets([Secret(…)])");
    }
}
