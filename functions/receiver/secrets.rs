//! The endpoints' secrets: SSM parameters `/wharf/<stage>/<endpoint>`, or secrets of Secrets Manager, which SSM hands over; one
//! secret a line, newest first.
//!
//! They are fetched together at start and used for [`SECRET_TTL_SECONDS`], so a rotation needs no deployment. A signature
//! that fits none has them fetched again if SSM was last asked more than [`SECRET_REFRESH_SECONDS`] ago: a secret that was
//! just added works at once, and a forger causes two look-ups a minute at most. While SSM cannot be reached, or does not answer
//! within a part of the sender's patience, the last copy serves and SSM is asked again as often; a parameter that is gone, or
//! that we may no longer read, ends it.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use futures_util::future::join_all;
use thiserror::Error;
use tokio::sync::Mutex;
use wharf_webhook::clock::UnixSeconds;
use wharf_webhook::endpoints::{self, Endpoint, Endpoints};
use wharf_webhook::limits::{SECRET_MILLIS_MAX, SECRET_REFRESH_SECONDS, SECRET_RETRY_SECONDS, SECRET_TTL_SECONDS};
use wharf_webhook::secret::{SecretError, Secrets};

use crate::api::CallError;
use crate::aws;
use crate::parameters::{NAMES_MAX, Parameter, Parameters};

/// The secrets of all endpoints.
#[derive(Debug)]
pub struct SecretStore {
    parameters: Parameters,
    stage: String,
    copies: Mutex<HashMap<String, Copy>>,
}

/// What is known of one endpoint's secrets.
#[derive(Debug)]
struct Copy {
    /// When SSM was last asked.
    asked_at: UnixSeconds,
    /// How long that holds.
    usable_seconds: i64,
    secrets: Result<Secrets, SecretsUnavailable>,
}

type ParametersAnswer = Result<Vec<Parameter>, CallError>;

/// Why an endpoint has no secrets: always ours to mend.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SecretsUnavailable {
    /// There is no such parameter.
    #[error("there is no {name}: `cargo ops secret set` makes it")]
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
    pub fn new(parameters: Parameters, stage: &str) -> SecretStore {
        SecretStore { parameters, stage: stage.to_owned(), copies: Mutex::default() }
    }

    /// Fetches the secrets of all endpoints, ten a call, all calls at the same time. What cannot be had leaves its endpoint
    /// without, and is asked for again when a request comes.
    pub async fn fetch_all(&self, endpoints: &Endpoints, now: UnixSeconds) {
        let kept = endpoints.iter().filter(|endpoint| endpoint.terms.scheme.secret.is_kept());
        // A secret that Secrets Manager does not let us have fails its whole call: it is asked for alone.
        let (parameters, others): (Vec<&Endpoint>, Vec<&Endpoint>) =
            kept.partition(|endpoint| endpoint.secret_store == endpoints::SecretStore::ParameterStore);
        let calls: Vec<&[&Endpoint]> = parameters.chunks(NAMES_MAX).chain(others.chunks(1)).collect();
        let answers = join_all(calls.iter().map(|some| self.ask(some))).await;
        let mut copies = self.copies.lock().await;
        for (some, answer) in calls.into_iter().zip(answers) {
            for endpoint in some {
                let copy = self.copy_of(endpoint, &answer, copies.get(&endpoint.name), now);
                copies.insert(endpoint.name.clone(), copy);
            }
        }
    }

    /// The secrets of an endpoint, from a copy that is fresh enough, for a request that has so much time.
    ///
    /// # Errors
    /// [`SecretsUnavailable`]
    pub async fn get(
        &self,
        endpoint: &Endpoint,
        time: Duration,
        now: UnixSeconds,
    ) -> Result<Secrets, SecretsUnavailable> {
        if !endpoint.terms.scheme.secret.is_kept() {
            return Ok(Secrets::NONE);
        }
        let mut copies = self.copies.lock().await;
        match copies.get(&endpoint.name) {
            Some(copy) if age_seconds(copy, now) < copy.usable_seconds => copy.secrets.clone(),
            _ => self.fetch(endpoint, time, &mut copies, now).await,
        }
    }

    /// The secrets of an endpoint after a signature fitted none of those that [`SecretStore::get`] returned; `None` if SSM
    /// was asked only just now.
    ///
    /// # Errors
    /// [`SecretsUnavailable`]
    pub async fn get_after_mismatch(
        &self,
        endpoint: &Endpoint,
        time: Duration,
        now: UnixSeconds,
    ) -> Result<Option<Secrets>, SecretsUnavailable> {
        let mut copies = self.copies.lock().await;
        match copies.get(&endpoint.name) {
            Some(copy) if age_seconds(copy, now) < SECRET_REFRESH_SECONDS => Ok(None),
            _ => self.fetch(endpoint, time, &mut copies, now).await.map(Some),
        }
    }

    async fn fetch(
        &self,
        endpoint: &Endpoint,
        time: Duration,
        copies: &mut HashMap<String, Copy>,
        now: UnixSeconds,
    ) -> Result<Secrets, SecretsUnavailable> {
        let (with_copy, without) = SECRET_MILLIS_MAX;
        let has_copy = copies.get(&endpoint.name).is_some_and(|copy| copy.secrets.is_ok());
        let time = Duration::from_millis(if has_copy { with_copy } else { without }).min(time / 3);
        let answer = match tokio::time::timeout(time, self.ask(&[endpoint])).await {
            Ok(answer) => answer,
            Err(_) => Err(SdkError::timeout_error(format!("no answer within {} ms", time.as_millis()))),
        };
        let copy = self.copy_of(endpoint, &answer, copies.get(&endpoint.name), now);
        let secrets = copy.secrets.clone();
        copies.insert(endpoint.name.clone(), copy);
        secrets
    }

    /// Asks SSM for at most ten endpoints' secrets.
    async fn ask(&self, endpoints: &[&Endpoint]) -> ParametersAnswer {
        let names: Vec<String> = endpoints.iter().map(|endpoint| endpoint.secret_parameter(&self.stage)).collect();
        self.parameters.secrets(&names).await
    }

    /// What SSM's answer means for an endpoint of which `earlier` was known.
    fn copy_of(
        &self,
        endpoint: &Endpoint,
        answer: &ParametersAnswer,
        earlier: Option<&Copy>,
        now: UnixSeconds,
    ) -> Copy {
        let name = endpoint.secret_parameter(&self.stage);
        let known = |secrets| Copy { asked_at: now, usable_seconds: SECRET_TTL_SECONDS, secrets: Ok(secrets) };
        let unavailable = |usable_seconds, unavailable: SecretsUnavailable| {
            // The housekeeper makes the probe's with its first one.
            if !endpoint.is_probe() {
                tracing::error!(
                    endpoint = endpoint.name,
                    "the endpoint answers 503 until this is mended: {unavailable}"
                );
            }
            Copy { asked_at: now, usable_seconds, secrets: Err(unavailable) }
        };
        match answer {
            Ok(found) => match found.iter().find(|parameter| parameter.name == name) {
                Some(parameter) => match Secrets::parse(&parameter.value, &endpoint.terms.scheme) {
                    Ok(secrets) => known(secrets),
                    Err(cause) => unavailable(SECRET_REFRESH_SECONDS, SecretsUnavailable::Unusable { name, cause }),
                },
                None => unavailable(SECRET_REFRESH_SECONDS, SecretsUnavailable::Absent { name }),
            },
            // What SSM says of a secret that Secrets Manager does not have.
            Err(error) if error.code() == Some("ParameterNotFound") => {
                unavailable(SECRET_REFRESH_SECONDS, SecretsUnavailable::Absent { name })
            }
            Err(error) if error.code() == Some("AccessDeniedException") => {
                let cause = aws::cause(error);
                unavailable(SECRET_REFRESH_SECONDS, SecretsUnavailable::Denied { name, cause })
            }
            Err(error) => match earlier.map(|copy| &copy.secrets) {
                Some(Ok(secrets)) => {
                    tracing::warn!(
                        endpoint = endpoint.name,
                        cause = aws::cause(error),
                        "SSM cannot be reached: the earlier copy of the secrets serves on"
                    );
                    Copy { usable_seconds: SECRET_REFRESH_SECONDS, ..known(secrets.clone()) }
                }
                Some(Err(_)) | None => {
                    let cause = aws::cause(error);
                    unavailable(SECRET_RETRY_SECONDS, SecretsUnavailable::Unreachable { name, cause })
                }
            },
        }
    }
}

fn age_seconds(copy: &Copy, now: UnixSeconds) -> i64 {
    now.0.saturating_sub(copy.asked_at.0)
}
