//! Keys that senders publish, fetched from where a request says that its key is, and kept.
//!
//! Where that may be is decided in `wharf_webhook::signature::key`: HTTPS, on a host of the sender, at a path of its keys.
//!
//! A stranger can name any number of such places. So each endpoint has a budget of its own, and whoever uses it up shuts no
//! other endpoint out. On the same endpoint, keys that were fetched before go on working, and are fetched anew outside of the
//! budget; only a key that this process has not seen has to wait for the next minute, in which its sender, told 503, comes
//! again.

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
use wharf_webhook::idempotency::Digest;
use wharf_webhook::limits::{
    KEY_BYTES_FETCHED_MAX, KEY_FETCH_TIMEOUT_SECONDS, KEY_FETCHES_PER_MINUTE_MAX, KEY_RETRY_SECONDS,
    KEY_SERVES_SECONDS_MAX, KEY_TTL_SECONDS, KEYS_KEPT_MAX,
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
    /// By the endpoint's name; all names are of `endpoints.toml`, so there are few.
    known: Mutex<HashMap<String, Keys>>,
}

/// What is known of the keys of one endpoint's sender.
#[derive(Debug, Default)]
struct Keys {
    kept: HashMap<KeyAddress, Kept>,
    /// Where there is no key, and when that was said. A stranger chooses how long an address is, so its digest stands for it.
    absent: HashMap<Digest, UnixSeconds>,
    /// The minute that fetches are counted in, and how many there were.
    minute: i64,
    fetches: u32,
}

#[derive(Debug)]
struct Kept {
    key: FetchedKey,
    fetched_at: UnixSeconds,
    /// When the sender was last asked for it, in vain or not.
    asked_at: UnixSeconds,
}

/// What is known of a place.
#[derive(Debug, PartialEq, Eq)]
enum Known {
    /// This key is there.
    Key(FetchedKey),
    /// This key was there, and is to be fetched anew; it serves on if that cannot be done.
    Old(FetchedKey),
    /// There is none.
    Absent,
    /// Nothing: it is to be fetched.
    Nothing,
}

/// What a sender answers.
enum Fetched {
    /// This key.
    Key(FetchedKey),
    /// There is none.
    Absent,
    /// Neither: a redirect, or what is no key. Another answer may come the next time.
    SomethingElse,
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
    #[error("{KEY_FETCHES_PER_MINUTE_MAX} keys were fetched for the endpoint in this minute, and no more will be")]
    TooMany,
    /// Plaid's keys are asked for with credentials, and the endpoint's secret holds none.
    #[error("the endpoint's secret does not hold the client id and the secret that Plaid's keys are asked for with")]
    NoCredentials,
}

impl KeyStore {
    /// A store that holds nothing yet.
    pub fn new() -> KeyStore {
        KeyStore { web: Web::new(), known: Mutex::default() }
    }

    /// The key at an address that a request to this endpoint names; `None` if the sender answers that there is none, or with
    /// something else.
    ///
    /// # Errors
    /// [`SenderUnavailable`]
    pub async fn get(
        &self,
        endpoint: &str,
        address: &KeyAddress,
        secrets: &Secrets,
        now: UnixSeconds,
    ) -> Result<Option<FetchedKey>, SenderUnavailable> {
        let known = self.known.lock().await.entry(endpoint.to_owned()).or_default().look_up(address, now)?;
        let old = match known {
            Known::Key(key) => return Ok(Some(key)),
            Known::Absent => return Ok(None),
            Known::Old(key) => Some(key),
            Known::Nothing => None,
        };
        // Nobody else waits meanwhile for what is at hand.
        let key = match (self.fetch(address, secrets).await, old) {
            (Ok(Fetched::Key(key)), _) => Some(key),
            (Ok(Fetched::Absent), _) => None,
            // Of what was said in passing nothing is remembered.
            (Ok(Fetched::SomethingElse), old) => return Ok(old),
            (Err(unavailable), Some(key)) => {
                tracing::warn!(endpoint, "the key that was fetched before serves on: {unavailable}");
                return Ok(Some(key));
            }
            (Err(unavailable), None) => return Err(unavailable),
        };
        self.known.lock().await.entry(endpoint.to_owned()).or_default().note(address, key.clone(), now);
        Ok(key)
    }

    /// Fetches an address to confirm a subscription. Returns whether it was answered with success.
    ///
    /// # Errors
    /// [`SenderUnavailable`]
    pub async fn confirm(&self, url: &str) -> Result<bool, SenderUnavailable> {
        let (status, _) = self.call(Method::GET, url, None, "the confirmation of a subscription").await?;
        Ok(status.is_success())
    }

    async fn fetch(&self, address: &KeyAddress, secrets: &Secrets) -> Result<Fetched, SenderUnavailable> {
        match address {
            KeyAddress::Certificate { url } => {
                let (status, body) = self.call(Method::GET, url, None, "a certificate").await?;
                Ok(match status {
                    StatusCode::OK => fetched(FetchedKey::from_pem(&body), url),
                    // The last is S3's answer to whom it tells nothing.
                    StatusCode::NOT_FOUND | StatusCode::GONE | StatusCode::FORBIDDEN => Fetched::Absent,
                    _ => Fetched::SomethingElse,
                })
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
                        Ok(fetched(FetchedKey::from_jwk(key.get().as_bytes()), key_id))
                    }
                    // Whoever wrote the request made the key's id up.
                    (None, Some(UNKNOWN_KEY)) => Ok(Fetched::Absent),
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

impl Keys {
    /// What is known of a place. What is to be fetched is counted, and so is not asked for again by the next request.
    fn look_up(&mut self, address: &KeyAddress, now: UnixSeconds) -> Result<Known, SenderUnavailable> {
        let since = |at: UnixSeconds| now.0.saturating_sub(at.0);
        if let Some(kept) = self.kept.get_mut(address)
            && since(kept.fetched_at) < KEY_SERVES_SECONDS_MAX
        {
            if since(kept.fetched_at) < KEY_TTL_SECONDS || since(kept.asked_at) < KEY_RETRY_SECONDS {
                return Ok(Known::Key(kept.key.clone()));
            }
            kept.asked_at = now;
            return Ok(Known::Old(kept.key.clone()));
        }
        if self.absent.get(&digest(address)).is_some_and(|at| since(*at) < KEY_RETRY_SECONDS) {
            return Ok(Known::Absent);
        }
        self.count_fetch(now)?;
        Ok(Known::Nothing)
    }

    /// Notes what the sender has said of a place.
    fn note(&mut self, address: &KeyAddress, key: Option<FetchedKey>, now: UnixSeconds) {
        let Some(key) = key else {
            self.kept.remove(address);
            // As many as are fetched in two minutes are left.
            self.absent.retain(|_, at| now.0.saturating_sub(at.0) < KEY_RETRY_SECONDS);
            self.absent.insert(digest(address), now);
            return;
        };
        if self.kept.len() >= KEYS_KEPT_MAX && !self.kept.contains_key(address) {
            let oldest = self.kept.iter().min_by_key(|(_, kept)| kept.fetched_at).map(|(address, _)| address.clone());
            oldest.and_then(|oldest| self.kept.remove(&oldest));
        }
        self.kept.insert(address.clone(), Kept { key, fetched_at: now, asked_at: now });
    }

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

fn digest(address: &KeyAddress) -> Digest {
    match address {
        KeyAddress::Certificate { url } => Digest::of(url.as_bytes()),
        KeyAddress::Plaid { key_id, sandbox } => Digest::of(format!("{sandbox} {key_id}").as_bytes()),
    }
}

fn fetched<E: std::fmt::Display>(key: Result<FetchedKey, E>, address: &str) -> Fetched {
    match key {
        Ok(key) => Fetched::Key(key),
        Err(error) => {
            tracing::warn!("what is at {address:?} is no key: {error}");
            Fetched::SomethingElse
        }
    }
}

fn unreachable_with(url: &str, what: &'static str, cause: String) -> SenderUnavailable {
    let host = url.parse::<Uri>().ok().and_then(|uri| uri.host().map(str::to_owned)).unwrap_or_default();
    SenderUnavailable::Unreachable { host, what, cause }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: usize) -> KeyAddress {
        KeyAddress::Certificate { url: format!("https://api.paypal.com/v1/notifications/certs/CERT-{number}") }
    }

    fn key(number: u8) -> FetchedKey {
        use base64::Engine;
        let number = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode([number; 32]);
        let jwk = json!({ "kty": "EC", "crv": "P-256", "x": number, "y": number });
        FetchedKey::from_jwk(jwk.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn thirty_fetches_a_minute_and_no_more() {
        let mut keys = Keys::default();
        for number in 0..30 {
            assert_eq!(keys.look_up(&address(number), UnixSeconds(120)).unwrap(), Known::Nothing);
        }
        assert!(matches!(keys.look_up(&address(30), UnixSeconds(179)), Err(SenderUnavailable::TooMany)));
        assert_eq!(keys.look_up(&address(30), UnixSeconds(180)).unwrap(), Known::Nothing);
    }

    #[test]
    fn a_key_that_was_fetched_works_whatever_strangers_name_and_is_fetched_anew_each_hour_outside_of_their_budget() {
        let mut keys = Keys::default();
        keys.note(&address(0), Some(key(1)), UnixSeconds(0));
        let use_up = |keys: &mut Keys, now| {
            for number in 1..=30 {
                keys.look_up(&address(number), now).unwrap();
            }
            assert!(matches!(keys.look_up(&address(31), now), Err(SenderUnavailable::TooMany)));
        };
        use_up(&mut keys, UnixSeconds(3_599));
        assert_eq!(keys.look_up(&address(0), UnixSeconds(3_599)).unwrap(), Known::Key(key(1)));
        use_up(&mut keys, UnixSeconds(3_600));
        assert_eq!(keys.look_up(&address(0), UnixSeconds(3_600)).unwrap(), Known::Old(key(1)));
        // Asked in vain: a minute passes until the sender is asked again.
        assert_eq!(keys.look_up(&address(0), UnixSeconds(3_659)).unwrap(), Known::Key(key(1)));
        assert_eq!(keys.look_up(&address(0), UnixSeconds(3_660)).unwrap(), Known::Old(key(1)));
        // A day without an answer is too long.
        assert_eq!(keys.look_up(&address(0), UnixSeconds(86_399)).unwrap(), Known::Old(key(1)));
        assert_eq!(keys.look_up(&address(0), UnixSeconds(86_400)).unwrap(), Known::Nothing);
        // What the sender answers takes its place, or ends it.
        keys.note(&address(0), Some(key(2)), UnixSeconds(86_400));
        assert_eq!(keys.look_up(&address(0), UnixSeconds(89_999)).unwrap(), Known::Key(key(2)));
        keys.note(&address(0), None, UnixSeconds(90_000));
        assert_eq!(keys.look_up(&address(0), UnixSeconds(90_000)).unwrap(), Known::Absent);
    }

    #[test]
    fn a_place_without_a_key_is_asked_about_once_a_minute_and_counts_once() {
        let mut keys = Keys::default();
        assert_eq!(keys.look_up(&address(0), UnixSeconds(0)).unwrap(), Known::Nothing);
        keys.note(&address(0), None, UnixSeconds(0));
        for _ in 0..100 {
            assert_eq!(keys.look_up(&address(0), UnixSeconds(59)).unwrap(), Known::Absent);
        }
        assert_eq!(keys.fetches, 1);
        assert_eq!(keys.look_up(&address(0), UnixSeconds(60)).unwrap(), Known::Nothing);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut keys = Keys::default();
        for number in 0..1_000 {
            keys.note(&address(number), Some(key(1)), UnixSeconds(i64::try_from(number).unwrap()));
        }
        assert_eq!(keys.kept.len(), 64);
        // The latest are kept; one that is noted again takes nobody's place.
        assert!(keys.kept.contains_key(&address(936)) && !keys.kept.contains_key(&address(935)));
        keys.note(&address(999), Some(key(2)), UnixSeconds(1_000));
        assert_eq!((keys.kept.len(), keys.kept.contains_key(&address(936))), (64, true));
        // Thirty a minute, as the budget allows.
        for number in 0..1_000 {
            keys.note(&address(2_000 + number), None, UnixSeconds(i64::try_from(number * 2).unwrap()));
        }
        assert_eq!(keys.absent.len(), 30);
    }
}
