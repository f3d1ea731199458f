//! The endpoints' secrets: SSM parameters `/wharf/<stage>/<endpoint>`, one secret a line, newest first.
//!
//! They are fetched together at start and used for [`SECRET_TTL_SECONDS`], so a rotation needs no deployment. A signature
//! that fits none has them fetched again if the copy is older than [`SECRET_REFRESH_SECONDS`]: a secret that was just
//! added works at once, and a forger causes two look-ups a minute at most. While SSM cannot be reached, the last copy
//! serves; a parameter that is gone, or that we may no longer read, ends it.

use std::collections::HashMap;

use aws_sdk_ssm::error::{DisplayErrorContext, ProvideErrorMetadata};
use thiserror::Error;
use tokio::sync::Mutex;
use wharf_webhook::clock::UnixSeconds;
use wharf_webhook::endpoints::{Endpoint, Endpoints};
use wharf_webhook::limits::{SECRET_REFRESH_SECONDS, SECRET_TTL_SECONDS};
use wharf_webhook::secret::{SecretError, Secrets};

/// How many names `GetParameters` takes.
const NAMES_MAX: usize = 10;

/// The secrets of all endpoints.
#[derive(Debug)]
pub struct SecretStore {
    client: aws_sdk_ssm::Client,
    /// `/wharf/<stage>/`
    prefix: String,
    copies: Mutex<HashMap<String, Copy>>,
}

/// What is known of one endpoint's secrets.
#[derive(Debug)]
struct Copy {
    fetched_at: UnixSeconds,
    secrets: Result<Secrets, SecretsUnavailable>,
}

/// Why an endpoint has no secrets: always ours to mend.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SecretsUnavailable {
    /// There is no such parameter.
    #[error("there is no parameter {name}: create it as a SecureString that holds the secret")]
    Absent {
        /// Its name.
        name: String,
    },
    /// The function's role may not read it.
    #[error("the receiver may not read {name}: {cause}")]
    Denied {
        /// Its name.
        name: String,
        /// What SSM said.
        cause: String,
    },
    /// What it holds is not a list of secrets.
    #[error("{name} cannot be used: {cause}")]
    Unusable {
        /// Its name.
        name: String,
        /// What is wrong with it.
        cause: SecretError,
    },
    /// SSM did not answer, and there is no earlier copy.
    #[error("{name} could not be fetched: {cause}")]
    Unreachable {
        /// Its name.
        name: String,
        /// What happened.
        cause: String,
    },
}

impl SecretStore {
    /// A store that holds nothing yet.
    pub fn new(client: aws_sdk_ssm::Client, stage: &str) -> SecretStore {
        SecretStore { client, prefix: format!("/wharf/{stage}/"), copies: Mutex::default() }
    }

    /// Fetches the secrets of all endpoints, ten a call. What cannot be had leaves its endpoint without, and is asked for
    /// again when a request comes.
    pub async fn fetch_all(&self, endpoints: &Endpoints, now: UnixSeconds) {
        let endpoints: Vec<&Endpoint> = endpoints.iter().collect();
        let mut copies = self.copies.lock().await;
        for some in endpoints.chunks(NAMES_MAX) {
            self.fetch(some, &mut copies, now).await;
        }
    }

    /// The secrets of an endpoint, from a copy that is fresh enough.
    ///
    /// # Errors
    /// [`SecretsUnavailable`]
    pub async fn get(&self, endpoint: &Endpoint, now: UnixSeconds) -> Result<Secrets, SecretsUnavailable> {
        let mut copies = self.copies.lock().await;
        let usable_seconds = match copies.get(&endpoint.name) {
            Some(Copy { secrets: Ok(_), .. }) => SECRET_TTL_SECONDS,
            Some(Copy { secrets: Err(_), .. }) => SECRET_REFRESH_SECONDS,
            None => 0,
        };
        self.secrets_no_older_than(usable_seconds, endpoint, &mut copies, now).await
    }

    /// The secrets of an endpoint after a signature fitted none of those that [`SecretStore::get`] returned; `None` if the
    /// copy was fetched only just now.
    ///
    /// # Errors
    /// [`SecretsUnavailable`]
    pub async fn get_after_mismatch(
        &self,
        endpoint: &Endpoint,
        now: UnixSeconds,
    ) -> Result<Option<Secrets>, SecretsUnavailable> {
        let mut copies = self.copies.lock().await;
        if copies.get(&endpoint.name).is_some_and(|copy| age_seconds(copy, now) < SECRET_REFRESH_SECONDS) {
            return Ok(None);
        }
        self.secrets_no_older_than(0, endpoint, &mut copies, now).await.map(Some)
    }

    async fn secrets_no_older_than(
        &self,
        usable_seconds: i64,
        endpoint: &Endpoint,
        copies: &mut HashMap<String, Copy>,
        now: UnixSeconds,
    ) -> Result<Secrets, SecretsUnavailable> {
        if copies.get(&endpoint.name).is_none_or(|copy| age_seconds(copy, now) >= usable_seconds) {
            self.fetch(&[endpoint], copies, now).await;
        }
        let unreachable = || SecretsUnavailable::Unreachable {
            name: self.parameter(endpoint),
            cause: "it was not asked for".to_owned(),
        };
        copies.get(&endpoint.name).map_or_else(|| Err(unreachable()), |copy| copy.secrets.clone())
    }

    /// Asks SSM for at most ten endpoints' secrets and notes what it says.
    async fn fetch(&self, endpoints: &[&Endpoint], copies: &mut HashMap<String, Copy>, now: UnixSeconds) {
        let names = endpoints.iter().map(|endpoint| self.parameter(endpoint)).collect();
        let answer = self.client.get_parameters().set_names(Some(names)).with_decryption(true).send().await;
        for endpoint in endpoints {
            let name = self.parameter(endpoint);
            let secrets = match &answer {
                Ok(found) => match found.parameters().iter().find(|parameter| parameter.name() == Some(&name)) {
                    Some(parameter) => {
                        Secrets::parse(parameter.value().unwrap_or_default(), endpoint.provider.signature.secret)
                            .map_err(|cause| SecretsUnavailable::Unusable { name, cause })
                    }
                    None => Err(SecretsUnavailable::Absent { name }),
                },
                Err(error) if error.code() == Some("AccessDeniedException") => {
                    Err(SecretsUnavailable::Denied { name, cause: DisplayErrorContext(error).to_string() })
                }
                Err(error) => match copies.get(&endpoint.name) {
                    Some(Copy { secrets: Ok(earlier), .. }) => {
                        tracing::warn!(
                            endpoint = endpoint.name,
                            cause = %DisplayErrorContext(error),
                            "SSM cannot be reached: the earlier copy of the secrets serves on"
                        );
                        Ok(earlier.clone())
                    }
                    _ => Err(SecretsUnavailable::Unreachable { name, cause: DisplayErrorContext(error).to_string() }),
                },
            };
            if let Err(unavailable) = &secrets {
                tracing::error!(
                    endpoint = endpoint.name,
                    "the endpoint answers 503 until this is mended: {unavailable}"
                );
            }
            copies.insert(endpoint.name.clone(), Copy { fetched_at: now, secrets });
        }
    }

    fn parameter(&self, endpoint: &Endpoint) -> String {
        format!("{}{}", self.prefix, endpoint.name)
    }
}

fn age_seconds(copy: &Copy, now: UnixSeconds) -> i64 {
    now.0.saturating_sub(copy.fetched_at.0)
}
