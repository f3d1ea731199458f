//! The housekeeper does what is due, each minute.
//!
//! | module | what it does |
//! | --- | --- |
//! | [`errands`] | puts waiting events into the queue when they are due, and erases messages whose time is over |
//!
//! It may die at any moment, and two may run at once: whatever it does twice is harmless, and what it did not do, the next
//! one does.

pub mod errands;

use std::process::ExitCode;

use lambda_runtime::{LambdaEvent, service_fn};
use serde::de::IgnoredAny;
use wharf_webhook::clock::UnixMillis;

use self::errands::Errands;
use crate::aws;
use crate::environment::Environment;
use crate::ledger::Ledger;
use crate::process::{self, now};
use crate::queue::Queue;

/// The variables that the template sets for the housekeeper.
pub const ENVIRONMENT: [&str; 2] = ["WHARF_TABLE", "WHARF_QUEUE_URL"];

/// Does what is due whenever it is invoked, until Lambda ends the process. If something that the housekeeper needs is
/// missing, it does not start, and its log says all that is missing in one message.
pub async fn run() -> ExitCode {
    process::run(serve()).await
}

async fn serve() -> Result<(), lambda_runtime::Error> {
    let mut environment = Environment::default();
    let [table, queue_url] = ENVIRONMENT.map(|name| environment.variable(name));
    let configuration = aws::configuration(&mut environment);
    environment.complete(Some(()))?;

    let errands = Errands {
        ledger: Ledger::new(aws_sdk_dynamodb::Client::new(&configuration), table),
        queue: Queue::new(aws_sdk_sqs::Client::new(&configuration), queue_url),
        now,
    };
    // The schedule says nothing that matters.
    lambda_runtime::run(service_fn(async |event: LambdaEvent<IgnoredAny>| -> Result<(), lambda_runtime::Error> {
        let deadline = UnixMillis(i64::try_from(event.context.deadline).unwrap_or(i64::MAX));
        Ok(errands.run(deadline).await?)
    }))
    .await
}
