//! One attempt at processing an event: by the handler, or by handing it to the event bus.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use thiserror::Error;
use wharf_webhook::delivery::Delivery;
use wharf_webhook::ledger::Again;
use wharf_webhook::message::OtherBody;

use super::HandlerError;
use super::effects::{Effects, EffectsTooLarge};
use super::event_bus::EventBusError;
use crate::bucket::{BucketUnavailable, ReadError};
use crate::ledger::EffectsRefused;

/// Why an attempt failed.
#[derive(Debug, Error)]
pub enum AttemptError {
    /// The handler says so.
    #[error("the handler failed: {0}")]
    HandlerFailed(HandlerError),
    /// The handler has a bug.
    #[error("the handler panicked: {0}")]
    HandlerPanicked(String),
    /// The handler was cut off.
    #[error("the handler took longer than the {budget_millis} ms that this invocation had left for it")]
    HandlerTimedOut {
        /// How long it had.
        budget_millis: u128,
    },
    /// The handler wants too much written.
    #[error("{0}")]
    EffectsTooLarge(#[from] EffectsTooLarge),
    /// DynamoDB does not take what the handler wants written.
    #[error("{refused}")]
    EffectsRefused {
        /// Why.
        refused: EffectsRefused,
        /// Whether a failed condition may hold later.
        conditions_may_hold_later: bool,
    },
    /// EventBridge did not take the event.
    #[error("{0}")]
    EventBus(#[from] EventBusError),
    /// The body is not where it was stored.
    #[error("its body is not in the bucket any more: {reference}")]
    BodyMissing {
        /// Its key.
        reference: String,
    },
    /// The body is not the one that was signed.
    #[error("{0}")]
    OtherBody(#[from] OtherBody),
    /// The body could not be fetched, so that no handler was run.
    #[error("its body cannot be fetched: {0}")]
    BodiesUnavailable(BucketUnavailable),
    /// What is stored is larger than any body.
    #[error("the stored body is not the one that was signed: {0}")]
    BodyTooLarge(ReadError),
    /// Nobody says what is to be done with it.
    #[error(
        "endpoints.toml has no endpoint of its name any more, so nobody says who processes it: put the endpoint back, deploy, and replay it"
    )]
    EndpointUnknown,
}

impl AttemptError {
    /// One word for logs and metrics.
    pub fn word(&self) -> &'static str {
        match self {
            AttemptError::HandlerFailed(_) => "handler_failed",
            AttemptError::HandlerPanicked(_) => "handler_panicked",
            AttemptError::HandlerTimedOut { .. } => "handler_timed_out",
            AttemptError::EffectsTooLarge(_) => "effects_too_large",
            AttemptError::EffectsRefused { refused: EffectsRefused::ConditionFailed { .. }, .. } => "condition_failed",
            AttemptError::EffectsRefused { .. } => "effects_refused",
            AttemptError::EventBus(_) => "event_bus",
            AttemptError::BodyMissing { .. } => "body_missing",
            AttemptError::OtherBody(_) | AttemptError::BodyTooLarge(_) => "other_body",
            AttemptError::BodiesUnavailable(_) => "bodies_unavailable",
            AttemptError::EndpointUnknown => "endpoint_unknown",
        }
    }

    /// Whether, and when, it is tried again.
    pub fn again(&self) -> Again {
        match self {
            AttemptError::HandlerFailed(error) => error.again(),
            // The next release may have the bug mended, and until then others come first.
            AttemptError::HandlerPanicked(_) | AttemptError::HandlerTimedOut { .. } => Again::BySchedule,
            AttemptError::EffectsTooLarge(_) => Again::Never,
            AttemptError::EffectsRefused { refused, conditions_may_hold_later } => match refused {
                EffectsRefused::ConditionFailed { .. } if *conditions_may_hold_later => Again::BySchedule,
                EffectsRefused::ConditionFailed { .. } | EffectsRefused::Invalid { .. } => Again::Never,
                EffectsRefused::Denied { .. } => Again::BySchedule,
            },
            AttemptError::EventBus(EventBusError::Unavailable { .. }) => Again::BySchedule,
            AttemptError::EventBus(EventBusError::Refused { .. }) => Again::Never,
            AttemptError::BodyMissing { .. }
            | AttemptError::OtherBody(_)
            | AttemptError::BodyTooLarge(_)
            | AttemptError::EndpointUnknown => Again::Never,
            AttemptError::BodiesUnavailable(_) => Again::Uncounted,
        }
    }
}

impl From<ReadError> for AttemptError {
    fn from(error: ReadError) -> AttemptError {
        match error {
            ReadError::Unavailable(unavailable) => AttemptError::BodiesUnavailable(unavailable),
            too_large @ ReadError::TooLarge { .. } => AttemptError::BodyTooLarge(too_large),
        }
    }
}

/// Runs the handler as a task of its own, so that its panic ends nothing else, and ends it when its time is up.
///
/// # Errors
/// [`AttemptError`], of the handler.
pub async fn run_handler<H, F, T>(handler: H, delivery: Delivery, budget: Duration) -> Result<Effects, AttemptError>
where
    H: FnOnce(Delivery) -> F + Send + 'static,
    F: Future<Output = Result<T, HandlerError>> + Send + 'static,
    T: Into<Effects> + Send + 'static,
{
    let mut task = tokio::spawn(async move { handler(delivery).await });
    match tokio::time::timeout(budget, &mut task).await {
        Ok(Ok(handled)) => {
            let effects: Effects = handled.map_err(AttemptError::HandlerFailed)?.into();
            effects.check_size()?;
            Ok(effects)
        }
        Ok(Err(ended)) => Err(AttemptError::HandlerPanicked(panic_text(ended))),
        Err(_) => {
            task.abort();
            Err(AttemptError::HandlerTimedOut { budget_millis: budget.as_millis() })
        }
    }
}

/// What a panic said, as `panic!` and failed assertions say it.
fn panic_text(ended: tokio::task::JoinError) -> String {
    let Ok(payload) = ended.try_into_panic() else { return "the runtime ended it".to_owned() };
    let text = payload.downcast_ref::<String>().cloned();
    let text = text.or_else(|| payload.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    // A payload of another type may panic when it is dropped.
    let _ = std::panic::catch_unwind(AssertUnwindSafe(|| drop(payload)));
    text.unwrap_or_else(|| "without a text".to_owned())
}
