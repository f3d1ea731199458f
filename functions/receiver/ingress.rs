//! One request's way through the door.
//!
//! What costs least is judged first, and nothing of a request is believed before its signature is. The sender gets a
//! status and no more; the log gets the reason and the ids, one line a request.

use std::time::Duration;

use http::HeaderMap;
use serde::de::IgnoredAny;
use serde_json::json;
use thiserror::Error;
use wharf_webhook::clock::UnixMillis;
use wharf_webhook::delivery::{Arrival, Delivery};
use wharf_webhook::endpoints::{Endpoint, Endpoints};
use wharf_webhook::handshake::{self, First, Reply};
use wharf_webhook::judgement::{Verdict, event_types, judge, methods};
use wharf_webhook::limits::{BODY_BYTES_MAX, RECEIVER_TIMEOUT_SECONDS};
use wharf_webhook::message::{self, MessageTooLarge};
use wharf_webhook::refusal::Refusal;
use wharf_webhook::request;
use wharf_webhook::secret::Secrets;
use wharf_webhook::signature::key;

use super::gateway::{Answer, BodyError, Request};
use super::keys::{KeyStore, SenderUnavailable};
use super::opening::{NotKept, Openings};
use super::secrets::{SecretStore, SecretsUnavailable};
use crate::bodies::{Bodies, BodiesUnavailable};
use crate::queue::{Queue, QueueUnavailable};

/// What a sender is told to wait before it tries again, in seconds, when the fault is ours. Zendesk retries a 503 only
/// with a value under 60.
const RETRY_AFTER_SECONDS: u32 = 30;
/// How much of a text that a stranger chose goes into a log line, in characters.
const LOGGED_CHARACTERS_MAX: usize = 64;

/// The door: everything that a request is judged by.
#[derive(Debug)]
pub struct Ingress {
    /// What is accepted.
    pub endpoints: Endpoints,
    /// What senders post to, without path: a part of what some of them sign.
    pub public_url: String,
    /// What they sign with.
    pub secrets: SecretStore,
    /// Where they may bring their own.
    pub openings: Openings,
    /// Keys that they publish; `None` if none of the endpoints' senders does.
    pub keys: Option<KeyStore>,
    /// Where bodies go that are too large for the queue.
    pub bodies: Bodies,
    /// Where deliveries go.
    pub queue: Queue,
}

/// What becomes of a request that is let in.
enum Entry {
    /// It is in the queue.
    Queued { delivery: Box<Delivery>, message_id: String },
    /// Its type is not among the endpoint's `events`.
    NotSubscribed { event_type: Option<String> },
    /// It was a question.
    Handshake(Box<Reply>),
}

/// Why a request is not let in.
#[derive(Debug, Error)]
enum Rejection {
    #[error("no endpoint has this name")]
    UnknownEndpoint,
    #[error("the method is not one that the sender posts or asks with")]
    Method,
    #[error("the body has {bytes} bytes, and {BODY_BYTES_MAX} are the most")]
    BodyTooLarge { bytes: usize },
    #[error("the body and headers do not fit the queue: {0}")]
    MessageTooLarge(#[from] MessageTooLarge),
    #[error("API Gateway says that the body is base64, and it is not")]
    BodyNotBase64,
    #[error("{0}")]
    Refused(#[from] Refusal),
    #[error("the signature is right, and the body is not the JSON that its content type says")]
    NotJson,
    #[error("{0}")]
    NotKept(#[from] NotKept),
    #[error("the sender, asked to confirm the subscription, says no")]
    NotConfirmed,
    #[error("{0}")]
    SenderUnavailable(#[from] SenderUnavailable),
    #[error("{0}")]
    SecretsUnavailable(#[from] SecretsUnavailable),
    #[error("{0}")]
    BodiesUnavailable(#[from] BodiesUnavailable),
    #[error("{0}")]
    QueueUnavailable(#[from] QueueUnavailable),
    #[error(
        "the secrets and the queue together took longer than {budget_millis} ms, and the sender waits little longer"
    )]
    OutOfTime { budget_millis: u128 },
}

impl From<BodyError> for Rejection {
    fn from(error: BodyError) -> Rejection {
        match error {
            BodyError::TooLarge { bytes } => Rejection::BodyTooLarge { bytes },
            BodyError::NotBase64 => Rejection::BodyNotBase64,
        }
    }
}

impl Rejection {
    /// One word for logs and metrics.
    fn word(&self) -> &'static str {
        match self {
            Rejection::UnknownEndpoint => "unknown_endpoint",
            Rejection::Method => "method",
            Rejection::BodyTooLarge { .. } | Rejection::MessageTooLarge(_) => "too_large",
            Rejection::BodyNotBase64 => "malformed",
            Rejection::Refused(refusal) => refusal.kind().word(),
            Rejection::NotJson => "not_json",
            Rejection::NotKept(NotKept::Unavailable { .. }) => "secrets_unavailable",
            Rejection::NotKept(NotKept::NotOpen { .. } | NotKept::AlreadyOffered { .. }) => "not_open",
            Rejection::NotConfirmed => "not_confirmed",
            Rejection::SenderUnavailable(_) => "sender_unavailable",
            Rejection::SecretsUnavailable(_) => "secrets_unavailable",
            Rejection::BodiesUnavailable(_) => "bodies_unavailable",
            Rejection::QueueUnavailable(_) => "queue_unavailable",
            Rejection::OutOfTime { .. } => "out_of_time",
        }
    }

    /// What the sender is told. What is ours to mend is 503, so that it comes again.
    fn status(&self, endpoint: Option<&Endpoint>) -> u16 {
        match self {
            Rejection::UnknownEndpoint => 404,
            Rejection::Method => 405,
            Rejection::BodyTooLarge { .. } | Rejection::MessageTooLarge(_) => 413,
            Rejection::BodyNotBase64 => 400,
            // Nothing is let in, and the sender's set-up of the webhook needs it.
            Rejection::Refused(Refusal::UnsignedPing) => 200,
            Rejection::Refused(_) | Rejection::NotConfirmed => {
                endpoint.map_or(400, |endpoint| endpoint.terms.provider.status_refused)
            }
            Rejection::NotKept(NotKept::NotOpen { .. } | NotKept::AlreadyOffered { .. }) => 403,
            Rejection::NotJson => 422,
            Rejection::NotKept(NotKept::Unavailable { .. })
            | Rejection::SenderUnavailable(_)
            | Rejection::SecretsUnavailable(_)
            | Rejection::BodiesUnavailable(_)
            | Rejection::QueueUnavailable(_)
            | Rejection::OutOfTime { .. } => 503,
        }
    }
}

impl Ingress {
    /// Judges a request that was read at `now`, and answers it. A 2xx is only given once the delivery is stored.
    pub async fn receive(&self, request: Request, now: UnixMillis) -> Answer {
        let arrival_id = request.arrival_id().to_owned();
        let name = request.endpoint().unwrap_or(&request.raw_path);
        let logged_name: String = name.chars().take(LOGGED_CHARACTERS_MAX).collect();
        let endpoint = request.endpoint().and_then(|name| self.endpoints.get(name));
        let outcome = match endpoint {
            Some(endpoint) => {
                let budget = budget(endpoint);
                let admitted = tokio::time::timeout(budget, self.admit(endpoint, request, now)).await;
                admitted.unwrap_or(Err(Rejection::OutOfTime { budget_millis: budget.as_millis() }))
            }
            None => Err(Rejection::UnknownEndpoint),
        };
        let answer = answer(&outcome, endpoint, &arrival_id);
        record(&outcome, &answer, &logged_name, &arrival_id);
        answer
    }

    async fn admit(&self, endpoint: &Endpoint, mut request: Request, now: UnixMillis) -> Result<Entry, Rejection> {
        let body = request.take_body(BODY_BYTES_MAX)?;
        let headers = request.headers();
        let url = request.url(&self.public_url);
        let judged = request::Request { method: request.method(), url: &url, headers: &headers, body: &body };
        let event = match self.judge(endpoint, &judged, now).await? {
            Verdict::Event(event) => event,
            Verdict::Handshake(reply) => {
                self.do_first(endpoint, &reply, now).await?;
                return Ok(Entry::Handshake(reply));
            }
        };
        if endpoint.events.is_some() {
            let types = event_types(&endpoint.terms, &judged);
            if !endpoint.subscribes_to(types.iter().map(AsRef::as_ref)) {
                return Ok(Entry::NotSubscribed { event_type: event.kind().map(|stated| stated.text.clone()) });
            }
        }
        let content_type = text(&headers, "content-type");
        if content_type.as_deref().is_some_and(says_json) && !is_json(&body) {
            return Err(Rejection::NotJson);
        }
        let arrival = Arrival {
            endpoint: endpoint.name.clone(),
            provider: endpoint.terms.provider.name.to_owned(),
            arrival_id: request.arrival_id().to_owned(),
            received_at: now,
            content_type,
            headers: endpoint
                .kept_headers()
                .filter_map(|name| text(&headers, name).map(|value| (name.to_owned(), value)))
                .collect(),
            replay_guard: endpoint.replay_guard,
        };
        let delivery = Delivery::accept(&event, arrival, body);
        let message = message::encode(&delivery)?;
        if let Some(reference) = message::reference(&delivery) {
            self.bodies.put(&reference, &delivery).await?;
        }
        let message_id = self.queue.send(message, &endpoint.name).await?;
        Ok(Entry::Queued { delivery: Box::new(delivery), message_id })
    }

    /// Judges a request with the secrets at hand, and once more with fresh ones if only an unknown secret can be the cause.
    async fn judge(
        &self,
        endpoint: &Endpoint,
        request: &request::Request<'_>,
        now: UnixMillis,
    ) -> Result<Verdict, Rejection> {
        let (terms, now) = (&endpoint.terms, now.seconds());
        if let Some(handshake) = handshake::unsigned(terms, request) {
            // Some senders ask before their endpoint can have a secret.
            let secrets = if handshake.needs_secret() { self.secrets.get(endpoint, now).await? } else { Secrets::NONE };
            return Ok(Verdict::Handshake(Box::new(handshake::reply(terms, handshake, &secrets, request)?)));
        }
        if request.method != "POST" {
            return Err(Rejection::Method);
        }
        let secrets = self.secrets.get(endpoint, now).await?;
        let published = match (key::address(terms, request)?, &self.keys) {
            (Some(address), Some(keys)) => keys.get(&address, &secrets, now).await?,
            (Some(_), None) | (None, _) => None,
        };
        match judge(terms, &secrets, published.as_ref(), request, now) {
            Err(refusal) if refusal.may_be_an_unknown_secret() => {
                match self.secrets.get_after_mismatch(endpoint, now).await? {
                    Some(fresh) if fresh != secrets => Ok(judge(terms, &fresh, published.as_ref(), request, now)?),
                    _ => Err(refusal.into()),
                }
            }
            judged => Ok(judged?),
        }
    }

    /// Does what a handshake's answer is the acknowledgement of.
    async fn do_first(&self, endpoint: &Endpoint, reply: &Reply, now: UnixMillis) -> Result<(), Rejection> {
        match (&reply.first, &self.keys) {
            (First::Nothing, _) => Ok(()),
            (First::Keep { secret }, _) => Ok(self.openings.keep(endpoint, secret, now.seconds()).await?),
            (First::Fetch { url }, Some(keys)) => {
                if keys.confirm(url).await? {
                    Ok(())
                } else {
                    Err(Rejection::NotConfirmed)
                }
            }
            (First::Fetch { .. }, None) => Err(Rejection::NotConfirmed),
        }
    }
}

/// How long an answer may take: the sender's patience less a second, or half of it where it has little, within our own
/// time-out less a second. A delivery that is stored a moment later comes again, and its second arrival is a duplicate.
fn budget(endpoint: &Endpoint) -> Duration {
    let patience = Duration::from_secs(u64::from(endpoint.terms.provider.patience()));
    let ours = Duration::from_secs(RECEIVER_TIMEOUT_SECONDS.unsigned_abs());
    let patience = patience.min(ours);
    patience.saturating_sub(Duration::from_secs(1)).max(patience / 2)
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).and_then(|value| std::str::from_utf8(value.as_bytes()).ok()).map(str::to_owned)
}

/// `application/json`, or a type that is built on it, such as `application/cloudevents+json`.
fn says_json(content_type: &str) -> bool {
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    media_type == "application/json" || media_type.ends_with("+json")
}

fn is_json(body: &[u8]) -> bool {
    std::str::from_utf8(body).is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok())
}

fn answer(outcome: &Result<Entry, Rejection>, endpoint: Option<&Endpoint>, arrival_id: &str) -> Answer {
    let json_answer = |status: u16, word: &str| {
        Answer::new(status, "application/json", json!({ "status": word, "arrival_id": arrival_id }).to_string())
    };
    match outcome {
        Ok(entry) => {
            let word = match entry {
                Entry::Handshake(reply) => {
                    return Answer::with_headers(
                        reply.status,
                        reply.headers.iter().cloned().collect(),
                        reply.body.clone(),
                    );
                }
                Entry::Queued { .. } => "accepted",
                Entry::NotSubscribed { .. } => "not_subscribed",
            };
            if let Some(reply) = endpoint.and_then(|endpoint| endpoint.reply.as_ref()) {
                return Answer::new(reply.status, &reply.content_type, reply.body.clone());
            }
            json_answer(endpoint.map_or(200, |endpoint| endpoint.terms.provider.status_accepted), word)
        }
        Err(rejection) => {
            let status = rejection.status(endpoint);
            let word = match status {
                500.. => "unavailable",
                400.. => "refused",
                _ => "acknowledged",
            };
            let mut answer = json_answer(status, word);
            if status == 405 {
                let methods = endpoint.map_or_else(|| vec!["POST"], |endpoint| methods(&endpoint.terms));
                answer.headers.insert("allow", methods.join(", "));
            }
            if status == 503 {
                answer.headers.insert("retry-after", RETRY_AFTER_SECONDS.to_string());
            }
            answer
        }
    }
}

/// The request's line in the log.
fn record(outcome: &Result<Entry, Rejection>, answer: &Answer, endpoint: &str, arrival_id: &str) {
    let status = answer.status_code;
    match outcome {
        Ok(Entry::Queued { delivery, message_id }) => tracing::info!(
            outcome = "accepted",
            endpoint,
            status,
            arrival_id,
            delivery.key = %delivery.key(),
            event_id = delivery.event_id().map(|stated| stated.text.as_str()),
            event_type = delivery.event_type().map(|stated| stated.text.as_str()),
            body_bytes = delivery.body().len(),
            secret_index = delivery.secret_index(),
            message_id,
            "verified, and stored in the queue"
        ),
        Ok(Entry::NotSubscribed { event_type }) => tracing::info!(
            outcome = "not_subscribed",
            endpoint,
            status,
            arrival_id,
            event_type,
            "verified, and of a type that the endpoint does not process"
        ),
        Ok(Entry::Handshake(_)) => {
            tracing::info!(outcome = "handshake", endpoint, status, arrival_id, "the sender's question is answered");
        }
        Err(rejection) if status >= 500 => tracing::error!(
            outcome = "unavailable",
            endpoint,
            status,
            arrival_id,
            reason = rejection.word(),
            "{rejection}"
        ),
        Err(rejection) => {
            tracing::warn!(outcome = "refused", endpoint, status, arrival_id, reason = rejection.word(), "{rejection}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_what_says_so_and_is_so() {
        for content_type in ["application/json", "Application/JSON; charset=utf-8", "application/cloudevents+json"] {
            assert!(says_json(content_type), "{content_type}");
        }
        for content_type in ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonl"] {
            assert!(!says_json(content_type), "{content_type}");
        }
        assert!(is_json(b" {\"a\": [1, \"x\"]} "));
        for body in [&b""[..], b"{", b"{} {}", b"\xff", b"\"\xff\"", b"payload={}"] {
            assert!(!is_json(body), "{body:?}");
        }
        assert!(is_json(format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)).as_bytes()));
    }
}
