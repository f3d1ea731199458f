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
use wharf_webhook::limits::{BODY_BYTES_MAX, RECEIVER_TIMEOUT_SECONDS};
use wharf_webhook::message::{self, MessageTooLarge};
use wharf_webhook::signature::{self, Refusal, Verified, verify};

use super::gateway::{Answer, BodyError, Request};
use super::queue::{Queue, QueueUnavailable};
use super::secrets::{SecretStore, SecretsUnavailable};

/// What a sender is told to wait before it tries again, in seconds, when the fault is ours. Zendesk retries a 503 only
/// with a value under 60.
const RETRY_AFTER_SECONDS: u32 = 30;
/// How much of a text that a stranger chose goes into a log line, in characters.
const LOGGED_CHARACTERS_MAX: usize = 64;

/// The door: everything that a request is judged by.
#[derive(Debug)]
pub struct Ingress {
    endpoints: Endpoints,
    secrets: SecretStore,
    queue: Queue,
}

/// What becomes of a request that is let in.
enum Entry {
    /// It is in the queue.
    Queued { delivery: Box<Delivery>, message_id: String },
    /// Its type is not among the endpoint's `events`.
    NotSubscribed { event_type: Option<String> },
}

/// Why a request is not let in.
#[derive(Debug, Error)]
enum Rejection {
    #[error("no endpoint has this name")]
    UnknownEndpoint,
    #[error("the method is not POST")]
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
    SecretsUnavailable(#[from] SecretsUnavailable),
    #[error("{0}")]
    QueueUnavailable(#[from] QueueUnavailable),
    #[error(
        "the secrets and the queue together took longer than {budget_seconds} s, and the sender waits little longer"
    )]
    OutOfTime { budget_seconds: u64 },
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
            Rejection::SecretsUnavailable(_) => "secrets_unavailable",
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
            Rejection::Refused(_) => endpoint.map_or(400, |endpoint| endpoint.provider.status_refused),
            Rejection::NotJson => 422,
            Rejection::SecretsUnavailable(_) | Rejection::QueueUnavailable(_) | Rejection::OutOfTime { .. } => 503,
        }
    }
}

impl Ingress {
    /// A door with these endpoints.
    pub fn new(endpoints: Endpoints, secrets: SecretStore, queue: Queue) -> Ingress {
        Ingress { endpoints, secrets, queue }
    }

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
                admitted.unwrap_or(Err(Rejection::OutOfTime { budget_seconds: budget.as_secs() }))
            }
            None => Err(Rejection::UnknownEndpoint),
        };
        let answer = answer(&outcome, endpoint, &arrival_id);
        record(&outcome, &answer, &logged_name, &arrival_id);
        answer
    }

    async fn admit(&self, endpoint: &Endpoint, mut request: Request, now: UnixMillis) -> Result<Entry, Rejection> {
        if request.method() != "POST" {
            return Err(Rejection::Method);
        }
        let body = request.take_body(BODY_BYTES_MAX)?;
        let headers = request.headers();
        let verified = self.verify(endpoint, &headers, &body, now).await?;
        let event_type = verified.event_type().map(|stated| stated.text.clone());
        if !endpoint.subscribes_to(event_type.as_deref()) {
            return Ok(Entry::NotSubscribed { event_type });
        }
        let content_type = text(&headers, "content-type");
        if content_type.as_deref().is_some_and(says_json) && !is_json(&body) {
            return Err(Rejection::NotJson);
        }
        let arrival = Arrival {
            endpoint: endpoint.name.clone(),
            provider: endpoint.provider.name.to_string(),
            arrival_id: request.arrival_id().to_owned(),
            received_at: now,
            content_type,
            headers: endpoint
                .kept_headers()
                .filter_map(|name| text(&headers, name).map(|value| (name.to_owned(), value)))
                .collect(),
        };
        let delivery = Delivery::accept(verified, arrival, body);
        let message = message::encode(&delivery)?;
        let message_id = self.queue.send(message, &endpoint.name).await?;
        Ok(Entry::Queued { delivery: Box::new(delivery), message_id })
    }

    /// Verifies with the secrets at hand, and once more with fresh ones if only an unknown secret can be the cause.
    async fn verify(
        &self,
        endpoint: &Endpoint,
        headers: &HeaderMap,
        body: &[u8],
        now: UnixMillis,
    ) -> Result<Verified, Rejection> {
        let request = signature::Request { headers, body };
        let secrets = self.secrets.get(endpoint, now.seconds()).await?;
        match verify(&endpoint.provider, request, &secrets, now.seconds()) {
            Err(refusal) if refusal.may_be_an_unknown_secret() => {
                match self.secrets.get_after_mismatch(endpoint, now.seconds()).await? {
                    Some(fresh) if fresh != secrets => Ok(verify(&endpoint.provider, request, &fresh, now.seconds())?),
                    _ => Err(refusal.into()),
                }
            }
            judged => Ok(judged?),
        }
    }
}

/// How long an answer may take: the sender's patience less a second, within our own time-out less a second. A delivery that
/// is stored a moment later comes again, and its second arrival is a duplicate.
fn budget(endpoint: &Endpoint) -> Duration {
    let seconds = i64::from(endpoint.provider.patience_seconds).min(RECEIVER_TIMEOUT_SECONDS) - 1;
    Duration::from_secs(u64::try_from(seconds.max(1)).unwrap_or(1))
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
            if let Some(reply) = endpoint.and_then(|endpoint| endpoint.reply.as_ref()) {
                return Answer::new(reply.status, &reply.content_type, reply.body.clone());
            }
            let status = endpoint.map_or(200, |endpoint| endpoint.provider.status_accepted);
            match entry {
                Entry::Queued { .. } => json_answer(status, "accepted"),
                Entry::NotSubscribed { .. } => json_answer(status, "not_subscribed"),
            }
        }
        Err(rejection) => {
            let status = rejection.status(endpoint);
            let mut answer = json_answer(status, if status >= 500 { "unavailable" } else { "refused" });
            if status == 405 {
                answer.headers.insert("allow", "POST".to_owned());
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
