//! One request's way through the door.
//!
//! What costs least is judged first, and nothing of a request is believed before its signature is. The sender gets a
//! status and no more; the log gets the reason and the ids, one line a request.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use tokio::time::Instant;
use wharf_webhook::clock::UnixMillis;
use wharf_webhook::delivery::{Arrival, Delivery};
use wharf_webhook::endpoints::{Endpoint, Endpoints};
use wharf_webhook::handshake::{self, First, Reply};
use wharf_webhook::judgement::{Verdict, event_types, judge};
use wharf_webhook::limits::{
    BODY_BYTES_MAX, HEADER_BYTES_ACCEPTED_MAX, LOGGED_BODY_BYTES_MAX, QUEUE_MILLIS_MAX, RECEIVER_TIMEOUT_SECONDS,
};
use wharf_webhook::message;
use wharf_webhook::obfuscation::{hidden, obfuscated};
use wharf_webhook::request;
use wharf_webhook::secret::Secrets;
use wharf_webhook::signature::key;

use super::gateway::{Answer, Request};
use super::keys::KeyStore;
use super::opening::Openings;
use super::outcome::{self, Arriving, Entry, Outcome, Rejection, Stored};
use super::secrets::{SecretStore, SecretsUnavailable};
use crate::bodies::Bodies;
use crate::metrics::Metrics;
use crate::process::trace_id;
use crate::queue::{Queue, SendError};
use crate::spool::Spool;

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
    /// Where they go if the queue does not take them.
    pub spool: Spool,
    /// What is reported.
    pub metrics: Metrics,
}

/// A request that has found its endpoint.
struct Visit<'a> {
    endpoint: &'a Endpoint,
    /// X-Ray's header.
    trace: Option<&'a str>,
    /// When it was read.
    now: UnixMillis,
    /// When it must be answered.
    deadline: Instant,
}

impl Visit<'_> {
    fn time_left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }
}

impl Ingress {
    /// Judges a request that was read at `now`, and answers it. A 2xx is only given once the delivery is stored. `trace` is
    /// X-Ray's header of the invocation.
    pub async fn receive(&self, request: Request, trace: Option<&str>, now: UnixMillis) -> Answer {
        let started = Instant::now();
        let arrival_id = request.arrival_id().to_owned();
        let name = request.endpoint().unwrap_or(&request.raw_path);
        let logged_name: String = name.chars().take(LOGGED_CHARACTERS_MAX).collect();
        let endpoint = request.endpoint().and_then(|name| self.endpoints.get(name));
        let outcome = match endpoint {
            Some(endpoint) => {
                let budget = budget(endpoint);
                let visit = Visit { endpoint, trace, now, deadline: started + budget };
                let admitted = tokio::time::timeout(budget, self.admit(&visit, request)).await;
                admitted.unwrap_or(Err(Rejection::OutOfTime { budget_millis: budget.as_millis() }))
            }
            None => Err(Rejection::UnknownEndpoint),
        };
        let answer = outcome::answer(&outcome, endpoint, &arrival_id);
        let duration_ms = i64::try_from(started.elapsed().as_millis()).unwrap_or(i64::MAX);
        let trace_id = trace.and_then(trace_id);
        outcome::log(
            &outcome,
            &answer,
            Arriving { name: &logged_name, arrival_id: &arrival_id, trace_id, duration_ms },
        );
        self.metrics.report(&outcome::report(&outcome, &answer, endpoint), now);
        answer
    }

    async fn admit(&self, visit: &Visit<'_>, mut request: Request) -> Outcome {
        let endpoint = visit.endpoint;
        if !endpoint.may_come_from(request.source()) {
            return Err(Rejection::SourceAddress);
        }
        let header_bytes = request.header_bytes();
        if header_bytes > HEADER_BYTES_ACCEPTED_MAX {
            return Err(Rejection::HeadersTooLarge { bytes: header_bytes });
        }
        let body = request.take_body(BODY_BYTES_MAX)?;
        let headers = request.headers();
        log_request(endpoint, &request, &headers, &body);
        let url = request.url(&self.public_url);
        let judged = request::Request { method: request.method(), url: &url, headers: &headers, body: &body };
        let event = match self.judge(visit, &judged).await? {
            Verdict::Event(event) => event,
            Verdict::Handshake(reply) => {
                self.do_first(endpoint, &reply, visit.now).await?;
                return Ok(Entry::Handshake(reply));
            }
        };
        if endpoint.events.is_some() {
            let body = event.decompressed().unwrap_or(&body);
            let types = event_types(&endpoint.terms, &request::Request { body, ..judged });
            if !endpoint.subscribes_to(&types) {
                let event_type = event.kind().map(|stated| stated.text.clone());
                return Ok(Entry::NotSubscribed { event_type, secret_index: event.secret_index() });
            }
        }
        let arrival = Arrival {
            endpoint: endpoint.name.clone(),
            provider: endpoint.terms.provider.name.to_owned(),
            arrival_id: request.arrival_id().to_owned(),
            received_at: visit.now,
            method: request.method().to_owned(),
            query: endpoint.terms.carried_query(&url),
            content_type: text(&headers, "content-type"),
            headers: endpoint
                .kept_headers()
                .filter_map(|name| text(&headers, name).map(|value| (name.to_owned(), value)))
                .collect(),
            replay_guard: endpoint.replay_guard,
        };
        let delivery = Box::new(Delivery::accept(&event, arrival, body)?);
        let stored = self.store(visit, &delivery).await?;
        Ok(Entry::Accepted { delivery, stored })
    }

    /// Stores a delivery: in the queue, or else in the spool. A large body goes to its bucket first, so that nothing refers to
    /// what is not there.
    async fn store(&self, visit: &Visit<'_>, delivery: &Delivery) -> Result<Stored, Rejection> {
        let message = message::encode(delivery)?;
        if let Some(reference) = message::reference(delivery) {
            self.bodies.put(&reference, delivery, visit.time_left()).await?;
        }
        let time = Duration::from_millis(QUEUE_MILLIS_MAX).min(visit.time_left() / 2);
        let queue = match self.queue.send_within(time, message, delivery.endpoint(), visit.trace).await {
            Ok(message_id) => return Ok(Stored::Queued { message_id }),
            Err(refused @ SendError::Refused { .. }) => return Err(Rejection::QueueRefuses(refused)),
            Err(unavailable @ SendError::Unavailable { .. }) => unavailable,
        };
        // Written anew rather than copied for each delivery that the queue takes.
        let message = message::encode(delivery)?;
        match self.spool.put(delivery, message, visit.time_left()).await {
            Ok(()) => Ok(Stored::Spooled { cause: queue.to_string() }),
            Err(spool) => Err(Rejection::NotStored { queue, spool }),
        }
    }

    /// Judges a request with the secrets at hand, and once more with fresh ones if only an unknown secret can be the cause.
    async fn judge(&self, visit: &Visit<'_>, request: &request::Request<'_>) -> Result<Verdict, Rejection> {
        let (terms, now) = (&visit.endpoint.terms, visit.now.seconds());
        if let Some(handshake) = handshake::unsigned(terms, request) {
            // Some senders ask before their endpoint can have a secret.
            let secrets = if handshake.needs_secret() { self.secrets(visit).await? } else { Secrets::NONE };
            return Ok(Verdict::Handshake(Box::new(handshake::reply(terms, handshake, &secrets, request)?)));
        }
        if !terms.methods.contains(&request.method) {
            return Err(Rejection::Method);
        }
        let secrets = self.secrets(visit).await?;
        let published = match (key::address(terms, request)?, &self.keys) {
            (Some(address), Some(keys)) => keys.get(&visit.endpoint.name, &address, &secrets, now).await?,
            (Some(_), None) | (None, _) => None,
        };
        match judge(terms, &secrets, published.as_ref(), request, now) {
            Err(refusal) if refusal.may_be_an_unknown_secret() => {
                match self.secrets.get_after_mismatch(visit.endpoint, visit.time_left(), now).await? {
                    Some(fresh) if fresh != secrets => Ok(judge(terms, &fresh, published.as_ref(), request, now)?),
                    _ => Err(refusal.into()),
                }
            }
            judged => Ok(judged?),
        }
    }

    async fn secrets(&self, visit: &Visit<'_>) -> Result<Secrets, Rejection> {
        match self.secrets.get(visit.endpoint, visit.time_left(), visit.now.seconds()).await {
            Ok(secrets) => Ok(secrets),
            // No probe was ever sent here: who posts to its endpoint is a stranger, and no trouble of ours.
            Err(SecretsUnavailable::Absent { .. }) if visit.endpoint.is_probe() => Err(Rejection::UnknownEndpoint),
            Err(unavailable) => Err(unavailable.into()),
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

/// What an operator needs who looks for the reason of a refusal: at debug level the headers, those that may let somebody in
/// hidden; and the body, where the endpoint says so.
fn log_request(endpoint: &Endpoint, request: &Request, headers: &HeaderMap, body: &[u8]) {
    let arrival_id = request.arrival_id();
    if tracing::enabled!(tracing::Level::DEBUG) {
        let shown = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
            let (name, value) = (name.as_str(), String::from_utf8_lossy(value.as_bytes()));
            // A sender's signature, or the secret itself, may stand in a header whose name does not say so.
            let is_signature = endpoint.terms.scheme.has_signature_in(name);
            let value = if is_signature { hidden(&value) } else { obfuscated(name, &value) };
            (name.to_owned(), serde_json::Value::from(value))
        };
        let headers = serde_json::Value::Object(headers.iter().map(shown).collect()).to_string();
        let source = request.source().map(|source| source.to_string());
        tracing::debug!(
            endpoint = endpoint.name,
            arrival_id,
            method = request.method(),
            source,
            headers,
            body_bytes = body.len(),
            "a request, as it came"
        );
    }
    if endpoint.log_bodies {
        let shown = body.get(..LOGGED_BODY_BYTES_MAX).unwrap_or(body);
        let text = std::str::from_utf8(body).ok().filter(|_| shown.len() == body.len());
        let base64 = text.is_none().then(|| STANDARD.encode(shown));
        tracing::info!(
            endpoint = endpoint.name,
            arrival_id,
            body_bytes = body.len(),
            body = text,
            body_base64 = base64,
            "the body, whose endpoint says `log_bodies`: verified or not"
        );
    }
}
