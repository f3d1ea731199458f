//! What becomes of a message: its line in the log, and what is reported of it.

use thiserror::Error;
use wharf_webhook::clock::{UnixMillis, UnixSeconds};
use wharf_webhook::delivery::Envelope;
use wharf_webhook::endpoints::Endpoint;
use wharf_webhook::ledger::State;
use wharf_webhook::message::{Carried, MessageError};
use wharf_webhook::metrics::{Metric, Report};
use wharf_webhook::probe;

use super::attempt::AttemptError;
use super::dead_letter::DeadLetterError;
use crate::ledger::LedgerError;
use crate::process::trace_id;

/// Why an event failed, or was parked, whose worker died at it.
const INTERRUPTED: &str = "interrupted";

/// What becomes of a message.
pub type Outcome = Result<Done, Again>;

/// What became of a message that can be acknowledged.
#[derive(Debug)]
pub enum Done {
    /// Its event is completed.
    Landed {
        /// At which attempt.
        attempt: u32,
        /// Under which replay number.
        replay: u32,
    },
    /// Its event is settled, or its record holds a message.
    Duplicate {
        /// How it stands.
        state: State,
        /// Whether it has another body than the one that was processed.
        other_body: bool,
    },
    /// Its body came under another id before, and the endpoint guards against that.
    RepeatedBody,
    /// Its event waits, and the record holds the message.
    Waiting {
        /// Why the attempt failed, if there was one.
        error: Option<AttemptError>,
        /// Which attempt that was.
        attempt: u32,
        /// When the next one is due.
        until: UnixSeconds,
    },
    /// Its event failed, and a person has to look at it.
    Failed {
        /// Why.
        reason: String,
        /// The attempt's error; `None` if its last worker died at it.
        error: Option<AttemptError>,
        /// At which attempt.
        attempt: u32,
    },
    /// Its event waits for a person, because nobody knows how far it came.
    Parked {
        /// Why.
        reason: String,
        /// At which attempt.
        attempt: u32,
    },
    /// It lies in the dead-letter queue.
    DeadLettered {
        /// What is wrong with it.
        problem: String,
    },
}

/// Why a message goes back to the queue.
#[derive(Debug, Error)]
pub enum Again {
    /// It has to wait for a newer consumer.
    #[error("a newer release wrote it: {0}")]
    NewerVersion(MessageError),
    /// Another worker may be at its event.
    #[error("another worker has the event until {until}")]
    Held {
        /// Until then.
        until: UnixSeconds,
    },
    /// It comes before its event's next attempt.
    #[error("the next attempt is due at {until}")]
    NotDue {
        /// Which is due then.
        until: UnixSeconds,
    },
    /// Nobody says who processes it, and a newer consumer may know.
    #[error("endpoints.toml, as this consumer has it, has no endpoint of its name: a newer release may have it")]
    EndpointUnknown,
    /// Other workers are at its event.
    #[error("other workers were faster")]
    Overtaken,
    /// It has to be processed by itself, and the batch took all the time.
    #[error(
        "a worker died at its event before, so that it is processed by itself, and this invocation has no time left"
    )]
    NoTimeLeft,
    /// An attempt failed, and the next is due soon.
    #[error("{error}; the next attempt is due at {until}")]
    AttemptFailed {
        /// Why.
        error: AttemptError,
        /// Which it was.
        attempt: u32,
        /// When the next one is due.
        until: UnixSeconds,
    },
    /// It was processed too late.
    #[error("the lease was lost before the event could be completed: another worker has it")]
    LeaseLost,
    /// The ledger did not say.
    #[error("{0}")]
    Ledger(#[from] LedgerError),
    /// It cannot be processed, and the dead-letter queue did not take it.
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
            Again::EndpointUnknown => "endpoint_unknown",
            Again::Overtaken => "overtaken",
            Again::NoTimeLeft => "no_time_left",
            Again::AttemptFailed { error, .. } => error.word(),
            Again::LeaseLost => "lease_lost",
            Again::Ledger(_) => "ledger_unavailable",
            Again::DeadLetter(_) => "dead_letter_queue_unavailable",
        }
    }

    /// When there is something to do, if that is known.
    pub fn comes_at(&self) -> Option<UnixSeconds> {
        match self {
            Again::Held { until } | Again::NotDue { until } | Again::AttemptFailed { until, .. } => Some(*until),
            Again::NewerVersion(_)
            | Again::EndpointUnknown
            | Again::Overtaken
            | Again::NoTimeLeft
            | Again::LeaseLost
            | Again::Ledger(_)
            | Again::DeadLetter(_) => None,
        }
    }

    /// Whether there is something to do at once.
    pub fn comes_soon(&self) -> bool {
        matches!(self, Again::Overtaken | Again::NoTimeLeft)
    }

    /// Whether this happens when nothing is wrong: copies of an event meet.
    fn is_expected(&self) -> bool {
        matches!(
            self,
            Again::Held { .. } | Again::NotDue { .. } | Again::Overtaken | Again::NewerVersion(_) | Again::NoTimeLeft
        )
    }

    fn attempt(&self) -> Option<u32> {
        match self {
            Again::AttemptFailed { attempt, .. } => Some(*attempt),
            Again::NewerVersion(_)
            | Again::Held { .. }
            | Again::NotDue { .. }
            | Again::EndpointUnknown
            | Again::Overtaken
            | Again::NoTimeLeft
            | Again::LeaseLost
            | Again::Ledger(_)
            | Again::DeadLetter(_) => None,
        }
    }
}

/// A message on its way, as its line in the log has it.
#[derive(Debug, Clone, Copy)]
pub struct Traveller<'a> {
    /// What it carries, if that could be read.
    pub envelope: Option<&'a Envelope>,
    /// SQS's id.
    pub message_id: Option<&'a str>,
    /// X-Ray's header, which the receiver had too.
    pub trace: Option<&'a str>,
}

/// Writes a message's line into the log.
pub fn log(outcome: &Outcome, traveller: Traveller<'_>, started_at: UnixMillis, now: UnixMillis) {
    let Traveller { envelope, message_id, trace } = traveller;
    let trace_id = trace.and_then(trace_id);
    let endpoint = envelope.map(Envelope::endpoint);
    let key = envelope.map(|envelope| envelope.key().as_str());
    let event_id = envelope.and_then(Envelope::event_id).map(|stated| stated.text.as_str());
    let event_type = envelope.and_then(Envelope::event_type).map(|stated| stated.text.as_str());
    let arrival_id = envelope.map(Envelope::arrival_id);
    let age_ms = envelope.map(|envelope| now.0 - envelope.received_at().0);
    let duration_ms = now.0 - started_at.0;
    // A level is a part of where a line is logged, so each has a place of its own; what a line is about is the same for all.
    macro_rules! line {
        ($level:ident, $outcome:expr, { $($fields:tt)* }, $($text:tt)+) => {
            tracing::$level!(
                outcome = $outcome,
                endpoint,
                delivery.key = key,
                event_id,
                event_type,
                arrival_id,
                message_id,
                trace_id,
                $($fields)*
                duration_ms,
                $($text)+
            )
        };
    }
    match outcome {
        Ok(Done::Landed { attempt, replay }) => line!(
            info,
            "landed",
            { attempt, replay = Some(replay).filter(|replay| **replay > 0), age_ms, },
            "processed, and completed in the ledger"
        ),
        Ok(Done::Duplicate { state, other_body: false }) => {
            line!(info, "duplicate", { state = %state, }, "a copy of an event that is {state}: nothing was run")
        }
        Ok(Done::Duplicate { state, other_body: true }) => line!(
            info,
            "duplicate_with_other_body",
            { state = %state, },
            "an event that is {state}, now with another body: nothing was run"
        ),
        Ok(Done::RepeatedBody) => {
            line!(warn, "repeated_body", {}, "a body that came under another id before: nothing was run")
        }
        Ok(Done::Waiting { error: Some(error), attempt, until }) => line!(
            error,
            "waiting",
            { reason = error.word(), attempt, due_at = %until, },
            "{error}; the next attempt is due at {until}, and until then the record holds the message"
        ),
        Ok(Done::Waiting { error: None, attempt, until }) => line!(
            info,
            "waiting",
            { attempt, due_at = %until, },
            "a copy that came early too often: the record holds it until {until}"
        ),
        Ok(Done::Failed { reason, error, attempt }) => line!(
            error,
            "failed",
            { reason = error.as_ref().map_or(INTERRUPTED, AttemptError::word), attempt, },
            "given up, for a person to look at (cargo ops failed): {reason}"
        ),
        Ok(Done::Parked { reason, attempt }) => line!(
            error,
            "parked",
            { reason = INTERRUPTED, attempt, },
            "parked, for a person to judge (cargo ops failed): {reason}"
        ),
        Ok(Done::DeadLettered { problem }) => {
            line!(error, "dead_lettered", {}, "moved to the dead-letter queue: {problem}")
        }
        Err(again) if again.is_expected() => {
            line!(info, "again", { reason = again.word(), }, "back to the queue: {again}")
        }
        Err(again) => line!(
            error,
            "again",
            { reason = again.word(), attempt = again.attempt(), },
            "back to the queue: {again}"
        ),
    }
}

/// What is reported of a message. `endpoint` is its endpoint, if that is still configured: no other name makes a metric. The
/// probe's events are no sender's: what matters is how long they took.
pub fn report<'a>(
    outcome: &Outcome,
    carried: Option<&Carried>,
    endpoint: Option<&'a Endpoint>,
    now: UnixMillis,
) -> Report<'a> {
    let is_probe = endpoint.is_some_and(Endpoint::is_probe);
    let report = endpoint.filter(|_| !is_probe).map_or_else(Report::new, |endpoint| Report::of(&endpoint.name));
    let since = |at: UnixMillis| (now.0 - at.0).max(0);
    match outcome {
        Ok(Done::Landed { .. }) if is_probe => match carried {
            Some(Carried::Whole(delivery)) => {
                let age = probe::posted_at(delivery).map(since);
                age.map_or_else(Report::new, |age| report.with(Metric::ProbeAge, age))
            }
            Some(Carried::Referring(_)) | None => report,
        },
        Ok(Done::Landed { .. }) => {
            let report = report.with(Metric::Landed, 1);
            match carried.map(|carried| since(carried.envelope().received_at())) {
                Some(age) => report.with(Metric::AgeAtLanding, age),
                None => report,
            }
        }
        Ok(Done::Duplicate { .. } | Done::RepeatedBody) => report.with(Metric::Duplicates, 1),
        Ok(Done::Waiting { error: Some(_), .. }) => report.with(Metric::AttemptsFailed, 1),
        Ok(Done::Waiting { error: None, .. }) => report,
        Ok(Done::Failed { error, .. }) => {
            let report = report.with(Metric::Failed, 1);
            match error {
                None => report,
                Some(AttemptError::BodyMissing { .. } | AttemptError::OtherBody(_) | AttemptError::BodyTooLarge(_)) => {
                    report.with(Metric::AttemptsFailed, 1).with(Metric::BodiesMissing, 1)
                }
                Some(_) => report.with(Metric::AttemptsFailed, 1),
            }
        }
        Ok(Done::Parked { .. }) => report.with(Metric::Parked, 1),
        Ok(Done::DeadLettered { .. }) => report.with(Metric::DeadLettered, 1),
        Err(Again::AttemptFailed { .. }) => report.with(Metric::AttemptsFailed, 1),
        Err(
            Again::NewerVersion(_)
            | Again::Held { .. }
            | Again::NotDue { .. }
            | Again::EndpointUnknown
            | Again::Overtaken
            | Again::NoTimeLeft
            | Again::LeaseLost
            | Again::Ledger(_)
            | Again::DeadLetter(_),
        ) => report,
    }
}
