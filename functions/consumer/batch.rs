//! A batch of messages: each is decoded, claimed, processed and reported alone, all at the same time.
//!
//! A message is acknowledged only when that loses nothing: its event is completed or settled, or it can never be
//! processed and lies in the dead-letter queue. Anything else goes back to the queue.

use std::time::Duration;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use futures_util::future::join_all;
use thiserror::Error;
use wharf_webhook::clock::{UnixMillis, UnixSeconds};
use wharf_webhook::delivery::Delivery;
use wharf_webhook::ledger::{Standing, State};
use wharf_webhook::limits::{CONSUMER_RESERVE_SECONDS, LEASE_MARGIN_SECONDS};
use wharf_webhook::message::{self, MessageError};

use super::HandlerError;
use super::dead_letter::{DeadLetterError, DeadLetterQueue};
use super::ledger::{Claim, Ledger, LedgerError};

/// Everything that a batch is processed with.
#[derive(Debug)]
pub struct Consumer<H> {
    ledger: Ledger,
    dead_letters: DeadLetterQueue,
    handler: H,
    now: fn() -> UnixMillis,
}

/// What became of a message that can be acknowledged.
enum Done {
    /// Its event is completed.
    Landed { attempt: u32 },
    /// Its event was settled before it came.
    Duplicate { state: State },
    /// Its body came under another id before, and the endpoint guards against that.
    Replayed,
    /// It lies in the dead-letter queue.
    DeadLettered { problem: String },
}

/// Why a message goes back to the queue.
#[derive(Debug, Error)]
enum Again {
    #[error("a newer release wrote it: {0}")]
    NewerVersion(MessageError),
    #[error("another worker has the event until {until}")]
    Held { until: UnixSeconds },
    #[error("the next attempt is due at {until}")]
    NotDue { until: UnixSeconds },
    #[error("another worker was faster, and is through already")]
    Overtaken,
    #[error("the handler failed: {0}")]
    HandlerFailed(HandlerError),
    #[error("the handler panicked")]
    HandlerPanicked,
    #[error("the handler took longer than the {budget_millis} ms that this invocation had left for it")]
    HandlerTimedOut { budget_millis: u128 },
    #[error("the lease was lost before the event could be completed: another worker has it")]
    LeaseLost,
    #[error("{0}")]
    Ledger(#[from] LedgerError),
    #[error("{0}")]
    DeadLetter(#[from] DeadLetterError),
}

impl Again {
    /// One word for logs and metrics.
    fn word(&self) -> &'static str {
        match self {
            Again::NewerVersion(_) => "newer_version",
            Again::Held { .. } => "held",
            Again::NotDue { .. } => "not_due",
            Again::Overtaken => "overtaken",
            Again::HandlerFailed(_) => "handler_failed",
            Again::HandlerPanicked => "handler_panicked",
            Again::HandlerTimedOut { .. } => "handler_timed_out",
            Again::LeaseLost => "lease_lost",
            Again::Ledger(_) => "ledger_unavailable",
            Again::DeadLetter(_) => "dead_letter_queue_unavailable",
        }
    }

    /// Whether this happens when nothing is wrong: copies of an event meet.
    fn is_expected(&self) -> bool {
        matches!(self, Again::Held { .. } | Again::NotDue { .. } | Again::Overtaken | Again::NewerVersion(_))
    }
}

impl<H, F> Consumer<H>
where
    H: Fn(Delivery) -> F + Clone + Send + 'static,
    F: Future<Output = Result<(), HandlerError>> + Send + 'static,
{
    /// A consumer with this handler, which reads the time by `now`.
    pub fn new(ledger: Ledger, dead_letters: DeadLetterQueue, handler: H, now: fn() -> UnixMillis) -> Consumer<H> {
        Consumer { ledger, dead_letters, handler, now }
    }

    /// Processes a batch before `deadline`, when Lambda ends the invocation. The answer names the messages that go back
    /// to the queue.
    pub async fn process(&self, batch: SqsEvent, deadline: UnixMillis) -> SqsBatchResponse {
        let mut response = SqsBatchResponse::default();
        let outcomes = join_all(batch.records.iter().map(|record| self.process_message(record, deadline))).await;
        for (record, stays) in batch.records.iter().zip(outcomes) {
            if stays {
                // SQS gives every message an id. An unknown one here makes Lambda retry the whole batch, which is safe.
                response.add_failure(record.message_id.clone().unwrap_or_default());
            }
        }
        response
    }

    /// Processes one message and says in the log what became of it. Returns whether it goes back to the queue.
    async fn process_message(&self, record: &SqsMessage, deadline: UnixMillis) -> bool {
        let started_at = (self.now)();
        let body = record.body.as_deref().unwrap_or_default();
        let (delivery, outcome) = match message::decode(body) {
            Ok(delivery) => {
                let outcome = self.process_delivery(&delivery, deadline).await;
                (Some(delivery), outcome)
            }
            Err(error @ MessageError::NewerVersion { .. }) => (None, Err(Again::NewerVersion(error))),
            Err(MessageError::Undecodable { problem }) => (None, self.give_up(body, problem).await),
        };
        log(&outcome, delivery.as_ref(), record.message_id.as_deref(), started_at, (self.now)());
        outcome.is_err()
    }

    async fn process_delivery(&self, delivery: &Delivery, deadline: UnixMillis) -> Result<Done, Again> {
        let lease_until = deadline.seconds_rounded_up().plus(LEASE_MARGIN_SECONDS);
        if delivery.replay_guard() && !self.ledger.guard(delivery, (self.now)().seconds()).await? {
            return Ok(Done::Replayed);
        }
        let lease = match self.ledger.claim(delivery, lease_until, (self.now)().seconds()).await? {
            Claim::Granted(lease) => lease,
            Claim::Refused(Standing::Settled(state)) => return Ok(Done::Duplicate { state }),
            Claim::Refused(Standing::Held { until }) => return Err(Again::Held { until }),
            Claim::Refused(Standing::NotDue { until }) => return Err(Again::NotDue { until }),
            Claim::Refused(Standing::Open) => return Err(Again::Overtaken),
        };
        self.handle(delivery.clone().at_attempt(lease.attempt), deadline).await?;
        if !self.ledger.complete(&lease, (self.now)().seconds()).await? {
            return Err(Again::LeaseLost);
        }
        Ok(Done::Landed { attempt: lease.attempt })
    }

    /// Runs the handler as a task of its own, so that its panic ends nothing else, and ends it when its time is up.
    async fn handle(&self, delivery: Delivery, deadline: UnixMillis) -> Result<(), Again> {
        let budget_millis = deadline.0 - CONSUMER_RESERVE_SECONDS * 1000 - (self.now)().0;
        let budget = Duration::from_millis(u64::try_from(budget_millis).unwrap_or(0));
        let handler = self.handler.clone();
        let mut task = tokio::spawn(async move { handler(delivery).await });
        match tokio::time::timeout(budget, &mut task).await {
            Ok(Ok(handled)) => handled.map_err(Again::HandlerFailed),
            Ok(Err(_)) => Err(Again::HandlerPanicked),
            Err(_) => {
                task.abort();
                Err(Again::HandlerTimedOut { budget_millis: budget.as_millis() })
            }
        }
    }

    /// Moves what can never be processed out of the way, with the reason.
    async fn give_up(&self, body: &str, problem: String) -> Result<Done, Again> {
        self.dead_letters.send(body, &problem).await?;
        Ok(Done::DeadLettered { problem })
    }
}

/// The message's line in the log.
fn log(
    outcome: &Result<Done, Again>,
    delivery: Option<&Delivery>,
    message_id: Option<&str>,
    started_at: UnixMillis,
    now: UnixMillis,
) {
    let endpoint = delivery.map(Delivery::endpoint);
    let key = delivery.map(|delivery| delivery.key().as_str());
    let event_id = delivery.and_then(Delivery::event_id).map(|stated| stated.text.as_str());
    let event_type = delivery.and_then(Delivery::event_type).map(|stated| stated.text.as_str());
    let arrival_id = delivery.map(Delivery::arrival_id);
    let duration_ms = now.0 - started_at.0;
    match outcome {
        Ok(Done::Landed { attempt }) => tracing::info!(
            outcome = "landed",
            endpoint,
            delivery.key = key,
            event_id,
            event_type,
            arrival_id,
            message_id,
            attempt,
            age_ms = delivery.map(|delivery| now.0 - delivery.received_at().0),
            duration_ms,
            "processed, and completed in the ledger"
        ),
        Ok(Done::Duplicate { state }) => tracing::info!(
            outcome = "duplicate",
            endpoint,
            delivery.key = key,
            event_id,
            event_type,
            arrival_id,
            message_id,
            state = %state,
            duration_ms,
            "a copy of an event that is settled: nothing was run"
        ),
        Ok(Done::Replayed) => tracing::warn!(
            outcome = "replayed",
            endpoint,
            delivery.key = key,
            event_id,
            event_type,
            arrival_id,
            message_id,
            duration_ms,
            "a body that came under another id before: nothing was run"
        ),
        Ok(Done::DeadLettered { problem }) => tracing::error!(
            outcome = "dead_lettered",
            message_id,
            duration_ms,
            "moved to the dead-letter queue: {problem}"
        ),
        Err(again) if again.is_expected() => tracing::info!(
            outcome = "again",
            endpoint,
            delivery.key = key,
            event_id,
            arrival_id,
            message_id,
            reason = again.word(),
            duration_ms,
            "back to the queue: {again}"
        ),
        Err(again) => tracing::error!(
            outcome = "again",
            endpoint,
            delivery.key = key,
            event_id,
            arrival_id,
            message_id,
            reason = again.word(),
            duration_ms,
            "back to the queue: {again}"
        ),
    }
}
