//! The probe: a signed event of Wharf's own goes through the front door to an endpoint that is always there. The consumer
//! reports how long it took until it landed; if none lands, an alarm says so.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use thiserror::Error;
use uuid::Uuid;
use wharf_webhook::clock::UnixMillis;
use wharf_webhook::endpoints::Endpoint;
use wharf_webhook::limits::PROBE_TIMEOUT_SECONDS;
use wharf_webhook::probe;
use wharf_webhook::secret::{SecretError, Secrets};
use wharf_webhook::signature::signing::{self, Outgoing, SigningError};

use crate::aws;
use crate::parameters::Parameters;
use crate::web::{self, Web};

/// How much of an answer is read, in bytes.
const ANSWER_BYTES_MAX: usize = 16 * 1024;
/// The sender's id of the event, of which `standardwebhooks` makes the idempotency key.
const ID: HeaderName = HeaderName::from_static("webhook-id");

/// Everything that a probe is sent with.
#[derive(Debug)]
pub struct Probe {
    /// Where its secret is.
    pub parameters: Parameters,
    /// The way to the front door.
    pub web: Web,
    /// What senders post to, without path.
    pub public_url: String,
    /// As in its secret's name.
    pub stage: String,
    /// Reads the time.
    pub now: fn() -> UnixMillis,
}

/// Why a probe was not accepted.
#[derive(Debug, Error)]
pub enum ProbeError {
    /// Its secret could not be read or made.
    #[error("the probe was not sent: its secret {name} cannot be had: {cause}")]
    Secret {
        /// The parameter.
        name: String,
        /// What SSM said.
        cause: String,
    },
    /// Somebody has written something else there.
    #[error("the probe was not sent: {name} cannot be used: {cause}. Delete it, and the next probe makes a new one")]
    SecretUnusable {
        /// The parameter.
        name: String,
        /// What is wrong.
        cause: SecretError,
    },
    /// It could not be signed.
    #[error("the probe was not sent: {0}")]
    NotSigned(#[from] SigningError),
    /// Nobody answered.
    #[error("the front door does not answer the probe at {url}: {cause}")]
    NoAnswer {
        /// Where.
        url: String,
        /// What happened.
        cause: String,
    },
    /// It was turned away.
    #[error("the front door answered the probe at {url} with {status}: senders are answered so too")]
    TurnedAway {
        /// Where.
        url: String,
        /// What it was told.
        status: StatusCode,
    },
}

impl Probe {
    /// Sends a probe, and returns when it is accepted.
    ///
    /// # Errors
    /// [`ProbeError`].
    pub async fn run(&self) -> Result<(), ProbeError> {
        let endpoint = Endpoint::probe();
        let secrets = self.secrets(&endpoint).await?;
        let url = format!("{}/webhooks/{}", self.public_url.trim_end_matches('/'), endpoint.name);
        let id = format!("probe-{}", Uuid::new_v4());
        let mut headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        headers.extend(HeaderValue::from_str(&id).ok().map(|id| (ID, id)));
        let posted_at = (self.now)();
        let outgoing =
            Outgoing { method: Method::POST.to_string(), url: url.clone(), headers, body: probe::body(posted_at) };
        let signed = signing::sign(&endpoint.terms, &secrets, outgoing, posted_at)?;
        let request = web::Outgoing { method: Method::POST, url: &url, headers: signed.headers, body: signed.body };
        let answer = self.web.ask(request, Duration::from_secs(PROBE_TIMEOUT_SECONDS), ANSWER_BYTES_MAX).await;
        let (status, _) = answer.map_err(|cause| ProbeError::NoAnswer { url: url.clone(), cause })?;
        if !status.is_success() {
            return Err(ProbeError::TurnedAway { url, status });
        }
        let duration_ms = (self.now)().0 - posted_at.0;
        tracing::info!(
            outcome = "probed",
            endpoint = endpoint.name,
            status = status.as_u16(),
            event_id = id,
            duration_ms,
            "a probe is accepted; the consumer reports when it lands"
        );
        Ok(())
    }

    /// The probe's secret, which the first probe of a stage makes.
    async fn secrets(&self, endpoint: &Endpoint) -> Result<Secrets, ProbeError> {
        let name = endpoint.secret_parameter(&self.stage);
        let unavailable = |cause: String| ProbeError::Secret { name: name.clone(), cause };
        let text = match self.read(&name).await.map_err(unavailable)? {
            Some(text) => text,
            None => self.make(&name).await.map_err(unavailable)?,
        };
        Secrets::parse(&text, &endpoint.terms.scheme).map_err(|cause| ProbeError::SecretUnusable { name, cause })
    }

    async fn read(&self, name: &str) -> Result<Option<String>, String> {
        let found = self.parameters.secrets(&[name.to_owned()]).await.map_err(|error| aws::cause(&error))?;
        Ok(found.into_iter().next().map(|parameter| parameter.value))
    }

    async fn make(&self, name: &str) -> Result<String, String> {
        let secret = STANDARD.encode([*Uuid::new_v4().as_bytes(), *Uuid::new_v4().as_bytes()].concat());
        match self.parameters.create_secret(name, &secret).await {
            Ok(true) => Ok(secret),
            // Another run was faster.
            Ok(false) => {
                let found = self.read(name).await?;
                found.ok_or_else(|| "it exists, and is not there".to_owned())
            }
            Err(error) => Err(aws::cause(&error)),
        }
    }
}
