//! Endpoints whose sender brings its own secret (Asana), and offers it in a handshake that anyone could have sent.
//!
//! So it is taken only while the operator has opened the endpoint: `cargo ops open` writes until when into the parameter
//! `/wharf/<stage>/<endpoint>/opening`, and waits. The receiver puts the first secret that is offered meanwhile into
//! `…/offered`, where its role lets it create a parameter and never change one; `cargo ops open`, with the operator's own
//! rights, adds it to the endpoint's secrets. So the door itself can change no secret.

use std::collections::HashMap;

use thiserror::Error;
use tokio::sync::Mutex;
use wharf_webhook::clock::UnixSeconds;
use wharf_webhook::endpoints::Endpoint;
use wharf_webhook::limits::OPENING_RETRY_SECONDS;

use crate::aws;
use crate::parameters::Parameters;

/// Which endpoints are open, and the way to keep what is offered to them.
#[derive(Debug)]
pub struct Openings {
    parameters: Parameters,
    /// `/wharf/<stage>/`
    prefix: String,
    known: Mutex<HashMap<String, Known>>,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    asked_at: UnixSeconds,
    until: UnixSeconds,
}

/// Why an offered secret is not kept.
#[derive(Debug, Error)]
pub enum NotKept {
    /// The operator has not opened the endpoint.
    #[error(
        "a secret is offered, and the endpoint is not open for it: `cargo ops open {endpoint}`, then have the sender ask again"
    )]
    NotOpen {
        /// Its name.
        endpoint: String,
    },
    /// Another was offered before, in the same opening.
    #[error(
        "a secret was offered before in this opening, and only the first one is taken: `cargo ops open {endpoint}` anew"
    )]
    AlreadyOffered {
        /// The endpoint's name.
        endpoint: String,
    },
    /// SSM did not do it.
    #[error("the offered secret cannot be kept: {cause}")]
    Unavailable {
        /// What it said.
        cause: String,
    },
}

impl Openings {
    /// Knows of nothing yet.
    pub fn new(parameters: Parameters, stage: &str) -> Openings {
        Openings { parameters, prefix: format!("/wharf/{stage}/"), known: Mutex::default() }
    }

    /// Keeps a secret that a sender offers, if the endpoint is open at `now`.
    ///
    /// # Errors
    /// [`NotKept`]; then the handshake must not be answered.
    pub async fn keep(&self, endpoint: &Endpoint, secret: &str, now: UnixSeconds) -> Result<(), NotKept> {
        if now >= self.open_until(endpoint, now).await? {
            return Err(NotKept::NotOpen { endpoint: endpoint.name.clone() });
        }
        let name = format!("{}{}/offered", self.prefix, endpoint.name);
        match self.parameters.create_secret(&name, secret).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(NotKept::AlreadyOffered { endpoint: endpoint.name.clone() }),
            Err(error) => Err(NotKept::Unavailable { cause: aws::cause(&error) }),
        }
    }

    /// Until when an endpoint is open; long past, if it is not. A stranger's offers ask SSM once a second at most.
    async fn open_until(&self, endpoint: &Endpoint, now: UnixSeconds) -> Result<UnixSeconds, NotKept> {
        let mut known = self.known.lock().await;
        if let Some(known) = known.get(&endpoint.name)
            && now.0.saturating_sub(known.asked_at.0) < OPENING_RETRY_SECONDS
        {
            return Ok(known.until);
        }
        let name = format!("{}{}/opening", self.prefix, endpoint.name);
        let value = self.parameters.plain(name).await;
        let value = value.map_err(|error| NotKept::Unavailable { cause: aws::cause(&error) })?;
        let until = UnixSeconds(value.and_then(|value| value.trim().parse().ok()).unwrap_or(i64::MIN));
        known.insert(endpoint.name.clone(), Known { asked_at: now, until });
        Ok(until)
    }
}
