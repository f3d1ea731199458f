//! The consumer takes deliveries from the queue and has each event processed once.
//!
//! | module | what it does |
//! | --- | --- |
//! | [`batch`] | each record of a batch on its own: decode, claim, process, complete |
//! | [`ledger`] | the claim and the completion, as conditional writes |
//! | [`dead_letter`] | where a message goes that can never be processed |
//!
//! `handler.rs` beside them belongs to the binary: it is the user's code. A binary of your own calls [`run`] with its own
//! handler, as `examples/orders.rs` does.

pub mod batch;
pub mod ledger;
pub mod dead_letter;

use std::fmt;
use std::process::ExitCode;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use lambda_runtime::{LambdaEvent, service_fn};
use wharf_webhook::clock::UnixMillis;
use wharf_webhook::delivery::Delivery;

use self::batch::Consumer;
use self::dead_letter::DeadLetterQueue;
use self::ledger::Ledger;
use crate::aws;
use crate::environment::Environment;
use crate::process::{self, now};

/// The variables that the template sets for the consumer.
pub const ENVIRONMENT: [&str; 2] = ["WHARF_TABLE", "WHARF_DEAD_LETTER_QUEUE_URL"];

/// Why a handler could not process a delivery. Any error converts into it with `?`; its text goes into the log.
pub struct HandlerError(Box<dyn std::error::Error + Send + Sync>);

impl<E: Into<Box<dyn std::error::Error + Send + Sync>>> From<E> for HandlerError {
    fn from(error: E) -> HandlerError {
        HandlerError(error.into())
    }
}

impl fmt::Debug for HandlerError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, formatter)
    }
}

impl fmt::Display for HandlerError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, formatter)
    }
}

/// Has every event processed by `handler`, until Lambda ends the process. If something that the consumer needs is missing,
/// it does not start, and its log says all that is missing in one message.
pub async fn run<H, F>(handler: H) -> ExitCode
where
    H: Fn(Delivery) -> F + Clone + Send + 'static,
    F: Future<Output = Result<(), HandlerError>> + Send + 'static,
{
    process::run(serve(handler)).await
}

async fn serve<H, F>(handler: H) -> Result<(), lambda_runtime::Error>
where
    H: Fn(Delivery) -> F + Clone + Send + 'static,
    F: Future<Output = Result<(), HandlerError>> + Send + 'static,
{
    let mut environment = Environment::default();
    let [table, dead_letter_queue_url] = ENVIRONMENT.map(|name| environment.variable(name));
    let configuration = aws::configuration(&mut environment);
    environment.complete(Some(()))?;

    let ledger = Ledger::new(aws_sdk_dynamodb::Client::new(&configuration), table);
    let dead_letters = DeadLetterQueue::new(aws_sdk_sqs::Client::new(&configuration), dead_letter_queue_url);
    let consumer = Consumer::new(ledger, dead_letters, handler, now);
    lambda_runtime::run(service_fn(
        async |event: LambdaEvent<SqsEvent>| -> Result<SqsBatchResponse, lambda_runtime::Error> {
            let deadline = UnixMillis(i64::try_from(event.context.deadline).unwrap_or(i64::MAX));
            Ok(consumer.process(event.payload, deadline).await)
        },
    ))
    .await
}
