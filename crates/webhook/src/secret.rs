//! What an endpoint and its sender share.

use std::fmt;

use thiserror::Error;

use crate::limits::SECRETS_MAX;
use crate::provider::SecretForm;

/// One secret, as the bytes that go into the signature. Its `Debug` prints a placeholder.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

/// The secrets of one endpoint, newest first; never empty.
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
}

impl Secret {
    /// The key that `text` stands for.
    ///
    /// # Errors
    /// `None` if the text is not of that form, or stands for no bytes at all.
    pub fn parse(text: &str, form: SecretForm) -> Option<Secret> {
        let key = form.key(text)?;
        (!key.is_empty()).then_some(Secret(key))
    }

    /// The key's bytes, for computing a signature and nothing else.
    pub(crate) fn key(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

impl Secrets {
    /// Reads a parameter's value: one secret a line, newest first, blank lines and outer white space left out.
    ///
    /// # Errors
    /// [`SecretError`] if there is none, or if any of them cannot be used: half of a rotation must not pass unseen.
    pub fn parse(text: &str, form: SecretForm) -> Result<Secrets, SecretError> {
        let lines = || {
            text.lines().enumerate().map(|(index, line)| (index + 1, line.trim())).filter(|(_, line)| !line.is_empty())
        };
        match lines().count() {
            0 => return Err(SecretError::Empty),
            found if found > SECRETS_MAX => return Err(SecretError::TooMany { found }),
            _ => {}
        }
        lines()
            .map(|(line, text)| Secret::parse(text, form).ok_or(SecretError::Unreadable { line, form }))
            .collect::<Result<Vec<_>, _>>()
            .map(Secrets)
    }

    /// The newest first.
    pub fn iter(&self) -> impl Iterator<Item = &Secret> {
        self.0.iter()
    }

    /// The secret to sign with.
    pub fn newest(&self) -> Option<&Secret> {
        self.0.first()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_secret_a_line_newest_first() {
        let secrets = Secrets::parse("new\n\n  old \n", SecretForm::Utf8).unwrap();
        assert_eq!(secrets.iter().map(Secret::key).collect::<Vec<_>>(), [b"new", b"old"]);
    }

    #[test]
    fn a_text_without_a_secret_is_refused() {
        assert_eq!(Secrets::parse(" \n\t\n", SecretForm::Utf8), Err(SecretError::Empty));
    }

    #[test]
    fn eight_secrets_are_accepted_and_nine_are_not() {
        let lines = |count: usize| (0..count).map(|index| format!("secret-{index}\n")).collect::<String>();
        assert_eq!(Secrets::parse(&lines(8), SecretForm::Utf8).unwrap().iter().count(), 8);
        assert_eq!(Secrets::parse(&lines(9), SecretForm::Utf8), Err(SecretError::TooMany { found: 9 }));
    }

    #[test]
    fn an_unreadable_secret_is_named_by_its_line_and_not_by_its_text() {
        let error = Secrets::parse("00ff\n\nnot hex", SecretForm::Hex).unwrap_err();
        assert_eq!(error.to_string(), "line 3 is not hexadecimal, as the secrets of this provider are");
    }

    #[test]
    fn debug_shows_no_secret() {
        let secrets = Secrets::parse("sesame", SecretForm::Utf8).unwrap();
        assert_eq!(format!("{secrets:?}"), "Secrets([Secret(…)])");
    }
}
