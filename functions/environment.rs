//! What a function learns from its environment, read once, at start.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use thiserror::Error;
use wharf_webhook::endpoints::{Endpoints, Problems};

use crate::aws::TRUST_STORE;

/// Collects what a function needs, and what of it is missing.
#[derive(Debug, Default)]
pub struct Environment {
    missing: BTreeSet<&'static str>,
    unusable_endpoints: Option<EndpointsError>,
    unusable_certificates: Option<CertificatesError>,
}

/// Why a function does not start: everything that is missing, in one message.
#[derive(Debug, Error)]
pub struct StartError {
    missing: BTreeSet<&'static str>,
    endpoints: Option<EndpointsError>,
    certificates: Option<CertificatesError>,
}

/// Why the certificates of a file cannot be believed.
#[derive(Debug, Error)]
pub enum CertificatesError {
    /// The file is not there, or cannot be read.
    #[error("cannot read {}, which {TRUST_STORE} names: {cause}", path.display())]
    Unreadable {
        /// Where it was looked for.
        path: PathBuf,
        /// What the operating system said.
        cause: io::Error,
    },
    /// It holds something else.
    #[error("{}, which {TRUST_STORE} names, holds no certificates (PEM), or one that is broken", path.display())]
    Wrong {
        /// Where it is.
        path: PathBuf,
    },
}

/// Why there are no endpoints.
#[derive(Debug, Error)]
pub enum EndpointsError {
    /// The file is not there, or cannot be read.
    #[error("cannot read {}: {cause}. It belongs into the function's zip: build with `--include endpoints.toml`, or with the repository's CargoLambda.toml", path.display())]
    Unreadable {
        /// Where it was looked for.
        path: PathBuf,
        /// What the operating system said.
        cause: io::Error,
    },
    /// It is there, and wrong.
    #[error("{0}")]
    Wrong(Problems),
}

impl Environment {
    /// The value of a variable; an empty one counts as missing. Whoever asks for a missing one gets a placeholder, and
    /// [`Environment::complete`] then refuses to start.
    pub fn variable(&mut self, name: &'static str) -> String {
        match std::env::var(name) {
            Ok(value) if !value.is_empty() => value,
            Ok(_) | Err(_) => {
                self.missing.insert(name);
                String::new()
            }
        }
    }

    /// The endpoints of the `endpoints.toml` beside the function's binary, which is where Lambda starts it.
    pub fn endpoints(&mut self) -> Option<Endpoints> {
        let folder = std::env::var_os("LAMBDA_TASK_ROOT").map(PathBuf::from).unwrap_or_default();
        let path = folder.join("endpoints.toml");
        let read = match std::fs::read_to_string(&path) {
            Ok(text) => Endpoints::parse(&text).map_err(EndpointsError::Wrong),
            Err(cause) => Err(EndpointsError::Unreadable { path, cause }),
        };
        read.map_err(|error| self.unusable_endpoints = Some(error)).ok()
    }

    /// The certificates in a file, PEM, each of which can be believed; placeholders for [`Environment::complete`], if not.
    pub fn certificates(&mut self, path: &Path) -> Vec<u8> {
        let path = path.to_owned();
        let read = match std::fs::read(&path) {
            Ok(pem) if are_certificates(&pem) => Ok(pem),
            Ok(_) => Err(CertificatesError::Wrong { path }),
            Err(cause) => Err(CertificatesError::Unreadable { path, cause }),
        };
        read.map_err(|error| self.unusable_certificates = Some(error)).unwrap_or_default()
    }

    /// What was read, if everything was there.
    ///
    /// # Errors
    /// All that was not.
    pub fn complete<T>(self, read: Option<T>) -> Result<T, StartError> {
        let Environment { missing, unusable_endpoints: endpoints, unusable_certificates: certificates } = self;
        match read {
            Some(read) if missing.is_empty() && endpoints.is_none() && certificates.is_none() => Ok(read),
            _ => Err(StartError { missing, endpoints, certificates }),
        }
    }
}

/// The HTTP client takes it for granted that they are.
fn are_certificates(pem: &[u8]) -> bool {
    let mut certificates = CertificateDer::pem_slice_iter(pem).peekable();
    let is_one = |certificate: Result<CertificateDer<'_>, _>| {
        certificate.is_ok_and(|certificate| webpki::anchor_from_trusted_cert(&certificate).is_ok())
    };
    certificates.peek().is_some() && certificates.all(is_one)
}

impl fmt::Display for StartError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the function cannot start.")?;
        if !self.missing.is_empty() {
            let names: Vec<_> = self.missing.iter().copied().collect();
            write!(
                formatter,
                " These environment variables are not set, which infra/template.yaml and Lambda set: {}.",
                names.join(", ")
            )?;
        }
        if let Some(error) = &self.endpoints {
            write!(formatter, " {error}")?;
        }
        if let Some(error) = &self.certificates {
            write!(formatter, " {error}")?;
        }
        Ok(())
    }
}
