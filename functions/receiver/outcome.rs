//! What becomes of a request: what its sender is told, its line in the log, and what is reported of it.

use serde_json::json;
use thiserror::Error;
use wharf_webhook::delivery::{Delivery, UnfitBody};
use wharf_webhook::endpoints::Endpoint;
use wharf_webhook::handshake::Reply;
use wharf_webhook::judgement::methods;
use wharf_webhook::limits::{BODY_BYTES_MAX, HEADER_BYTES_ACCEPTED_MAX};
use wharf_webhook::message::MessageTooLarge;
use wharf_webhook::metrics::{Metric, Report};
use wharf_webhook::refusal::Refusal;

use super::gateway::{Answer, BodyError};
use super::keys::SenderUnavailable;
use super::opening::NotKept;
use super::secrets::SecretsUnavailable;
use crate::bucket::BucketUnavailable;
use crate::queue::SendError;
use crate::spool::SpoolUnavailable;

/// What a sender is told to wait before it tries again, in seconds, when the fault is ours. Zendesk retries a 503 only
/// with a value under 60.
const RETRY_AFTER_SECONDS: u32 = 30;

/// What becomes of a request.
pub type Outcome = Result<Entry, Rejection>;

/// What becomes of a request that is let in.
#[derive(Debug)]
pub enum Entry {
    /// It is stored.
    Accepted {
        /// What was verified.
        delivery: Box<Delivery>,
        /// Where it is.
        stored: Stored,
    },
    /// Its type is not among the endpoint's `events`.
    NotSubscribed {
        /// What it states.
        event_type: Option<String>,
        /// Which of the endpoint's secrets matched.
        secret_index: usize,
    },
    /// It was a question.
    Handshake(Box<Reply>),
}

/// Where a delivery is stored.
#[derive(Debug)]
pub enum Stored {
    /// In the queue.
    Queued {
        /// SQS's id for it.
        message_id: String,
    },
    /// In the spool, from where the housekeeper puts it into the queue.
    Spooled {
        /// Why the queue does not have it.
        cause: String,
    },
}

/// Why a request is not let in.
#[derive(Debug, Error)]
pub enum Rejection {
    /// Nobody posts there.
    #[error("no endpoint has this name")]
    UnknownEndpoint,
    /// It came from elsewhere.
    #[error("it came from an address that is not in the endpoint's `source_ranges`")]
    SourceAddress,
    /// API Gateway lets no such request through.
    #[error("headers and address have {bytes} bytes, and {HEADER_BYTES_ACCEPTED_MAX} are the most")]
    HeadersTooLarge {
        /// What it has.
        bytes: usize,
    },
    /// No sender of this kind uses it.
    #[error("the method is not one that the sender posts or asks with")]
    Method,
    /// More than an invocation can bring.
    #[error("the body has {bytes} bytes, and {BODY_BYTES_MAX} are the most")]
    BodyTooLarge {
        /// What it has, or a little more.
        bytes: usize,
    },
    /// No request that API Gateway lets through is.
    #[error("the body and headers do not fit the queue: {0}")]
    MessageTooLarge(#[from] MessageTooLarge),
    /// The event is not what API Gateway makes.
    #[error("API Gateway says that the body is base64, and it is not")]
    BodyNotBase64,
    /// It is not signed as it has to be.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// It is signed, and not what its sender sends.
    #[error("{0}")]
    UnfitBody(#[from] UnfitBody),
    /// The secret that it offers is not taken.
    #[error("{0}")]
    NotKept(#[from] NotKept),
    /// The sender's confirmation did not succeed.
    #[error("the sender, asked to confirm the subscription, says no")]
    NotConfirmed,
    /// The sender's key could not be had.
    #[error("{0}")]
    SenderUnavailable(#[from] SenderUnavailable),
    /// The endpoint's secret could not be had.
    #[error("{0}")]
    SecretsUnavailable(#[from] SecretsUnavailable),
    /// A large body could not be stored.
    #[error("{0}")]
    BodiesUnavailable(#[from] BucketUnavailable),
    /// It could be stored neither in the queue nor in the spool.
    #[error("{queue}; {spool}")]
    NotStored {
        /// Why not in the queue.
        queue: SendError,
        /// Why not in the spool.
        spool: SpoolUnavailable,
    },
    /// SQS does not take the message, and would not take it from the spool either.
    #[error("{0}")]
    QueueRefuses(SendError),
    /// It took too long.
    #[error("it could not be stored within {budget_millis} ms, and the sender waits little longer")]
    OutOfTime {
        /// How long it had.
        budget_millis: u128,
    },
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
    pub fn word(&self) -> &'static str {
        match self {
            Rejection::UnknownEndpoint => "unknown_endpoint",
            Rejection::SourceAddress => "source_address",
            Rejection::Method => "method",
            Rejection::HeadersTooLarge { .. } | Rejection::BodyTooLarge { .. } | Rejection::MessageTooLarge(_) => {
                "too_large"
            }
            Rejection::BodyNotBase64 => "malformed",
            Rejection::Refused(refusal) => refusal.kind().word(),
            Rejection::UnfitBody(_) => "unfit_body",
            Rejection::NotKept(NotKept::Unavailable { .. }) => "secrets_unavailable",
            Rejection::NotKept(NotKept::NotOpen { .. } | NotKept::AlreadyOffered { .. }) => "not_open",
            Rejection::NotConfirmed => "not_confirmed",
            Rejection::SenderUnavailable(_) => "sender_unavailable",
            Rejection::SecretsUnavailable(_) => "secrets_unavailable",
            Rejection::BodiesUnavailable(_) => "bodies_unavailable",
            Rejection::NotStored { .. } => "not_stored",
            Rejection::QueueRefuses(_) => "queue_refuses",
            Rejection::OutOfTime { .. } => "out_of_time",
        }
    }

    /// What the sender is told. What is ours to mend is 503, so that it comes again.
    fn status(&self, endpoint: Option<&Endpoint>) -> u16 {
        match self {
            Rejection::UnknownEndpoint => 404,
            Rejection::SourceAddress => 403,
            Rejection::Method => 405,
            Rejection::HeadersTooLarge { .. } => 431,
            Rejection::BodyTooLarge { .. } | Rejection::MessageTooLarge(_) => 413,
            Rejection::BodyNotBase64 => 400,
            // Nothing is let in, and the sender's set-up of the webhook needs it.
            Rejection::Refused(Refusal::UnsignedPing) => 200,
            Rejection::Refused(_) | Rejection::NotConfirmed => {
                endpoint.map_or(400, |endpoint| endpoint.terms.provider.status_refused)
            }
            Rejection::NotKept(NotKept::NotOpen { .. } | NotKept::AlreadyOffered { .. }) => 403,
            Rejection::UnfitBody(_) => 422,
            Rejection::NotKept(NotKept::Unavailable { .. })
            | Rejection::SenderUnavailable(_)
            | Rejection::SecretsUnavailable(_)
            | Rejection::BodiesUnavailable(_)
            | Rejection::NotStored { .. }
            | Rejection::QueueRefuses(_)
            | Rejection::OutOfTime { .. } => 503,
        }
    }
}

/// What the sender is told.
pub fn answer(outcome: &Outcome, endpoint: Option<&Endpoint>, arrival_id: &str) -> Answer {
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
                Entry::Accepted { .. } => "accepted",
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

/// What a request's lines in the log have in common.
#[derive(Debug, Clone, Copy)]
pub struct Arriving<'a> {
    /// The endpoint, or what the address has in its place, cut short.
    pub name: &'a str,
    /// API Gateway's id of the request.
    pub arrival_id: &'a str,
    /// X-Ray's id, which the consumer has too.
    pub trace_id: Option<&'a str>,
    /// How long it took, in milliseconds.
    pub duration_ms: i64,
}

/// Writes the request's line into the log.
pub fn log(outcome: &Outcome, answer: &Answer, arriving: Arriving<'_>) {
    let status = answer.status_code;
    let Arriving { name: endpoint, arrival_id, trace_id, duration_ms } = arriving;
    // A level is a part of where a line is logged, so each has a place of its own; what a line is about is the same for all.
    macro_rules! line {
        ($level:ident, $outcome:expr, { $($fields:tt)* }, $($text:tt)+) => {
            tracing::$level!(
                outcome = $outcome,
                endpoint,
                status,
                arrival_id,
                trace_id,
                $($fields)*
                duration_ms,
                $($text)+
            )
        };
    }
    macro_rules! accepted {
        ($level:ident, $outcome:expr, $delivery:expr, { $($fields:tt)* }, $($text:tt)+) => {
            line!(
                $level,
                $outcome,
                {
                    delivery.key = %$delivery.key(),
                    event_id = $delivery.event_id().map(|stated| stated.text.as_str()),
                    event_type = $delivery.event_type().map(|stated| stated.text.as_str()),
                    body_bytes = $delivery.body().len(),
                    secret_index = $delivery.secret_index(),
                    $($fields)*
                },
                $($text)+
            )
        };
    }
    match outcome {
        Ok(Entry::Accepted { delivery, stored: Stored::Queued { message_id } }) => {
            accepted!(info, "accepted", delivery, { message_id, }, "verified, and stored in the queue");
        }
        Ok(Entry::Accepted { delivery, stored: Stored::Spooled { cause } }) => {
            accepted!(
                warn,
                "spooled",
                delivery,
                {},
                "verified, and stored in the spool, from where the housekeeper puts it into the queue, which did not take \
                 it: {cause}"
            );
        }
        Ok(Entry::NotSubscribed { event_type, secret_index }) => {
            line!(
                info,
                "not_subscribed",
                { event_type, secret_index, },
                "verified, and of a type that the endpoint does not process"
            );
        }
        Ok(Entry::Handshake(_)) => line!(info, "handshake", {}, "the sender's question is answered"),
        Err(rejection) if status >= 500 => line!(error, "unavailable", { reason = rejection.word(), }, "{rejection}"),
        Err(rejection) => line!(warn, "refused", { reason = rejection.word(), }, "{rejection}"),
    }
}

/// What is reported of a request. The probe's are no sender's.
pub fn report<'a>(outcome: &Outcome, answer: &Answer, endpoint: Option<&'a Endpoint>) -> Report<'a> {
    let of = endpoint.filter(|endpoint| !endpoint.is_probe());
    let report = of.map_or_else(Report::new, |endpoint| Report::of(&endpoint.name));
    let with_secret = |report: Report<'a>, index: usize| {
        if index > 0 { report.with(Metric::OlderSecretMatched, 1) } else { report }
    };
    match outcome {
        Ok(Entry::Accepted { stored: Stored::Spooled { .. }, .. }) if of.is_none() => report.with(Metric::Spooled, 1),
        Ok(Entry::Accepted { .. }) if of.is_none() => report,
        Ok(Entry::Accepted { delivery, stored }) => {
            let report = with_secret(report.with(Metric::Accepted, 1), delivery.secret_index());
            match stored {
                Stored::Queued { .. } => report,
                Stored::Spooled { .. } => report.with(Metric::Spooled, 1),
            }
        }
        Ok(Entry::NotSubscribed { secret_index, .. }) => with_secret(report, *secret_index),
        Ok(Entry::Handshake(_)) => report,
        Err(_) if answer.status_code >= 500 => report.with(Metric::Unavailable, 1),
        Err(rejection) => report.because(rejection.word()).with(Metric::Refused, 1),
    }
}
