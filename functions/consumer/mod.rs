//! The consumer takes deliveries from the queue and has each event processed once.
//!
//! | module | what it does |
//! | --- | --- |
//! | [`batch`] | each record of a batch on its own: decode, claim, process, complete |
//! | [`attempt`] | runs the handler, and says how an attempt failed |
//! | [`effects`] | what a handler wants committed together with the completion |
//! | [`event_bus`] | where events go that no handler processes |
//! | [`dead_letter`] | where a message goes that can never be processed |
//! | [`outcome`] | what becomes of a message: its line in the log, and what is reported of it |
//!
//! `handler.rs` beside them belongs to the binary: it is the user's code. A binary of your own calls [`run`] with its own
//! handler, as `examples/orders.rs` does.

pub mod batch;
pub mod attempt;
pub mod effects;
pub mod event_bus;
pub mod dead_letter;
pub mod outcome;

use std::fmt;
use std::process::ExitCode;
use std::time::Duration;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use lambda_runtime::{LambdaEvent, service_fn};
use wharf_webhook::delivery::Delivery;
use wharf_webhook::ledger::Again;
use wharf_webhook::limits::CONSUMER_TIMEOUT_SECONDS;

use self::batch::Consumer;
use self::dead_letter::DeadLetterQueue;
pub use self::effects::Effects;
use self::event_bus::EventBus;
use crate::aws::{self, Sqs};
use crate::bodies::Bodies;
use crate::environment::Environment;
use crate::ledger::Ledger;
use crate::metrics::Metrics;
use crate::process::{self, now};
use crate::queue::Queue;

/// The variables that the template sets for the consumer.
pub const ENVIRONMENT: [&str; 6] =
    ["WHARF_STAGE", "WHARF_TABLE", "WHARF_QUEUE_URL", "WHARF_DEAD_LETTER_QUEUE_URL", "WHARF_BUCKET", "WHARF_EVENT_BUS"];

/// Why a handler could not process a delivery, and whether it is worth another attempt. Any error converts into it with `?`,
/// and is then tried again by the endpoint's schedule. Its text goes into the log and into the record.
pub struct HandlerError {
    cause: Cause,
    again: Again,
}

type Cause = Box<dyn std::error::Error + Send + Sync>;

impl<E: Into<Cause>> From<E> for HandlerError {
    fn from(error: E) -> HandlerError {
        HandlerError { cause: error.into(), again: Again::BySchedule }
    }
}

impl HandlerError {
    /// It would fail in the same way again: the event has failed at once, for a person to look at.
    pub fn permanent(error: impl Into<Cause>) -> HandlerError {
        HandlerError { cause: error.into(), again: Again::Never }
    }

    /// It is worth trying again after this time, which somebody downstream asked for; a week is the most. The endpoint's number
    /// of attempts counts all the same.
    pub fn retry_after(wait: Duration, error: impl Into<Cause>) -> HandlerError {
        let seconds = i64::try_from(wait.as_millis().div_ceil(1000)).unwrap_or(i64::MAX);
        HandlerError { cause: error.into(), again: Again::AfterSeconds(seconds) }
    }

    pub(crate) fn again(&self) -> Again {
        self.again
    }
}

impl fmt::Debug for HandlerError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("HandlerError").field("cause", &self.cause).field("again", &self.again).finish()
    }
}

/// The error and all its causes.
impl fmt::Display for HandlerError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.cause, formatter)?;
        let mut source = self.cause.source();
        while let Some(cause) = source {
            write!(formatter, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}

/// Has every event processed by `handler`, until Lambda ends the process. If something that the consumer needs is missing,
/// it does not start, and its log says all that is missing in one message.
pub async fn run<H, F, T>(handler: H) -> ExitCode
where
    H: Fn(Delivery) -> F + Clone + Send + 'static,
    F: Future<Output = Result<T, HandlerError>> + Send + 'static,
    T: Into<Effects> + Send + 'static,
{
    // Boxed, as in `batch`: the layout of all that is in it is more than the compiler takes in one go.
    process::run(Box::pin(serve(handler))).await
}

async fn serve<H, F, T>(handler: H) -> Result<(), lambda_runtime::Error>
where
    H: Fn(Delivery) -> F + Clone + Send + 'static,
    F: Future<Output = Result<T, HandlerError>> + Send + 'static,
    T: Into<Effects> + Send + 'static,
{
    let mut environment = Environment::default();
    let [stage, table, queue_url, dead_letter_queue_url, bucket, event_bus] =
        ENVIRONMENT.map(|name| environment.variable(name));
    let endpoints = environment.endpoints();
    let configuration = aws::configuration(&mut environment);
    let endpoints = environment.complete(endpoints)?;

    let ledger = Ledger::new(aws::dynamodb(&configuration), table);
    // What the first message needs is there before it.
    ledger.connect().await;
    let sqs = Sqs::new(&configuration);
    let consumer = Consumer {
        endpoints,
        ledger,
        queue: Queue::new(sqs.clone(), queue_url),
        event_bus: EventBus::new(&configuration, event_bus, bucket.clone()),
        bodies: Bodies::new(&configuration, &bucket),
        dead_letters: DeadLetterQueue::new(sqs, dead_letter_queue_url),
        metrics: Metrics::new(&stage),
        handler,
        now,
    };
    lambda_runtime::run(service_fn(
        async |event: LambdaEvent<SqsEvent>| -> Result<SqsBatchResponse, lambda_runtime::Error> {
            let deadline = process::deadline(event.context.deadline, CONSUMER_TIMEOUT_SECONDS, now());
            Ok(Box::pin(consumer.process(event.payload, deadline)).await)
        },
    ))
    .await
}
