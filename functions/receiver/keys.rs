//! Keys that senders publish, fetched from where a request says that its key is, and kept.
//!
//! Where that may be is decided in `wharf_webhook::signature::key`: HTTPS, on a host of the sender.

use std::collections::HashMap;
use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use thiserror::Error;
use tokio::sync::Mutex;
use wharf_webhook::clock::UnixSeconds;
use wharf_webhook::limits::{
    KEY_BYTES_FETCHED_MAX, KEY_FETCH_TIMEOUT_SECONDS, KEY_FETCHES_PER_MINUTE_MAX, KEY_TTL_SECONDS, KEYS_KEPT_MAX,
};
use wharf_webhook::secret::Secrets;
use wharf_webhook::signature::key::{FetchedKey, KeyAddress};

use crate::web::{Outgoing, Web};

/// Where Plaid is asked for a key.
const PLAID: &str = "https://production.plaid.com/webhook_verification_key/get";
/// What it answers where it has no such key.
const UNKNOWN_KEY: &str = "INVALID_WEBHOOK_VERIFICATION_KEY_ID";
const PLAID_SANDBOX: &str = "https://sandbox.plaid.com/webhook_verification_key/get";

/// The keys at hand, and the way to others.
#[derive(Debug)]
pub struct KeyStore {
    web: Web,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    kept: HashMap<KeyAddress, (FetchedKey, UnixSeconds)>,
    /// The minute that fetches are counted in, and how many there were.
    minute: i64,
    fetches: u32,
}

/// Why there is no answer from the sender. The request may be genuine: it should come again.
#[derive(Debug, Error)]
pub enum SenderUnavailable {
    /// The connection or the answer failed.
    #[error("{host} could not be asked for {what}: {cause}")]
    Unreachable {
        /// Where.
        host: String,
        /// What for.
        what: &'static str,
        /// What happened.
        cause: String,
    },
    /// More different keys were asked for than genuine requests name.
    #[error("{KEY_FETCHES_PER_MINUTE_MAX} keys were fetched in this minute, and no more will be")]
    TooMany,
    /// Plaid's keys are asked for with credentials, and the endpoint's secret holds none.
    #[error("the endpoint's secret does not hold the client id and the secret that Plaid's keys are asked for with")]
    NoCredentials,
}

impl KeyStore {
    /// A store that holds nothing yet.
    pub fn new() -> KeyStore {
        KeyStore { web: Web::new(), state: Mutex::default() }
    }

    /// The key at an address; `None` if the sender answers that there is none, or with something else.
    ///
    /// # Errors
    /// [`SenderUnavailable`]
    pub async fn get(
        &self,
        address: &KeyAddress,
        secrets: &Secrets,
        now: UnixSeconds,
    ) -> Result<Option<FetchedKey>, SenderUnavailable> {
        let mut state = self.state.lock().await;
        if let Some((key, fetched_at)) = state.kept.get(address)
            && now.0.saturating_sub(fetched_at.0) < KEY_TTL_SECONDS
        {
            return Ok(Some(key.clone()));
        }
        state.count_fetch(now)?;
        let Some(key) = self.fetch(address, secrets).await? else { return Ok(None) };
        if state.kept.len() >= KEYS_KEPT_MAX {
            state.kept.clear();
        }
        state.kept.insert(address.clone(), (key.clone(), now));
        Ok(Some(key))
    }

    /// Fetches an address to confirm a subscription. Returns whether it was answered with success.
    ///
    /// # Errors
    /// [`SenderUnavailable`]
    pub async fn confirm(&self, url: &str) -> Result<bool, SenderUnavailable> {
        let (status, _) = self.call(Method::GET, url, None, "the confirmation of a subscription").await?;
        Ok(status.is_success())
    }

    async fn fetch(&self, address: &KeyAddress, secrets: &Secrets) -> Result<Option<FetchedKey>, SenderUnavailable> {
        match address {
            KeyAddress::Certificate { url } => {
                let (status, body) = self.call(Method::GET, url, None, "a certificate").await?;
                Ok(if status == StatusCode::OK { usable(FetchedKey::from_pem(&body), url) } else { None })
            }
            KeyAddress::Plaid { key_id, sandbox } => {
                #[derive(Deserialize, Default)]
                struct Answer<'a> {
                    #[serde(borrow)]
                    key: Option<&'a RawValue>,
                    #[serde(borrow)]
                    error_code: Option<&'a str>,
                }
                let url = if *sandbox { PLAID_SANDBOX } else { PLAID };
                let (client_id, secret) = secrets.plaid_credentials().ok_or(SenderUnavailable::NoCredentials)?;
                let question = json!({ "client_id": client_id, "secret": secret, "key_id": key_id }).to_string();
                let (status, body) = self.call(Method::POST, url, Some(question), "a key").await?;
                let answer: Answer<'_> = serde_json::from_slice(&body).unwrap_or_default();
                match (answer.key, answer.error_code) {
                    (Some(key), _) if status == StatusCode::OK => {
                        Ok(usable(FetchedKey::from_jwk(key.get().as_bytes()), key_id))
                    }
                    // Whoever wrote the request made the key's id up.
                    (None, Some(UNKNOWN_KEY)) => Ok(None),
                    // Else the fault is likely ours: credentials that are wrong, or another account's.
                    (_, code) => {
                        let cause = format!("it answered {status} {}", code.unwrap_or_default());
                        Err(unreachable_with(url, "a key; are the endpoint's credentials right?", cause))
                    }
                }
            }
        }
    }

    async fn call(
        &self,
        method: Method,
        url: &str,
        body: Option<String>,
        what: &'static str,
    ) -> Result<(StatusCode, Vec<u8>), SenderUnavailable> {
        let failed = |cause: String| unreachable_with(url, what, cause);
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        let outgoing = Outgoing { method, url, headers, body: body.unwrap_or_default().into_bytes() };
        let time = Duration::from_secs(KEY_FETCH_TIMEOUT_SECONDS);
        let (status, body) = self.web.ask(outgoing, time, KEY_BYTES_FETCHED_MAX).await.map_err(failed)?;
        // A sender that is out of order has not said that there is no key.
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            return Err(failed(format!("it answered {status}")));
        }
        Ok((status, body))
    }
}

impl Default for KeyStore {
    fn default() -> KeyStore {
        KeyStore::new()
    }
}

impl State {
    /// Counts a fetch. Genuine requests name a key or two in a year; whoever makes keys up costs no more than this.
    fn count_fetch(&mut self, now: UnixSeconds) -> Result<(), SenderUnavailable> {
        let minute = now.0.div_euclid(60);
        if self.minute != minute {
            (self.minute, self.fetches) = (minute, 0);
        }
        if self.fetches >= KEY_FETCHES_PER_MINUTE_MAX {
            return Err(SenderUnavailable::TooMany);
        }
        self.fetches += 1;
        Ok(())
    }
}

fn usable<E: std::fmt::Display>(key: Result<FetchedKey, E>, address: &str) -> Option<FetchedKey> {
    key.inspect_err(|error| tracing::warn!("what is at {address:?} is no key: {error}")).ok()
}

fn unreachable_with(url: &str, what: &'static str, cause: String) -> SenderUnavailable {
    let host = url.parse::<Uri>().ok().and_then(|uri| uri.host().map(str::to_owned)).unwrap_or_default();
    SenderUnavailable::Unreachable { host, what, cause }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thirty_fetches_a_minute_and_no_more() {
        let mut state = State::default();
        for _ in 0..30 {
            state.count_fetch(UnixSeconds(120)).unwrap();
        }
        assert!(matches!(state.count_fetch(UnixSeconds(179)), Err(SenderUnavailable::TooMany)));
        assert!(state.count_fetch(UnixSeconds(180)).is_ok());
    }
}
