//! The housekeeper does what is due, each minute.
//!
//! | module | what it does |
//! | --- | --- |
//! | [`drain`] | puts into the queue what the receiver stored in the spool, because the queue did not take it |
//! | [`errands`] | puts waiting events into the queue when they are due, and erases messages whose time is over |
//! | [`probe`] | every five minutes, sends an event of its own through the front door |
//!
//! It may die at any moment, and two may run at once: whatever it does twice is harmless, and what it did not do, the next
//! one does.

pub mod drain;
pub mod errands;
pub mod probe;

use std::process::ExitCode;

use lambda_runtime::{LambdaEvent, service_fn};
use serde::Deserialize;
use wharf_webhook::limits::HOUSEKEEPER_TIMEOUT_SECONDS;

use self::drain::Drain;
use self::errands::Errands;
use self::probe::Probe;
use crate::aws::{self, Sqs};
use crate::environment::Environment;
use crate::ledger::Ledger;
use crate::metrics::Metrics;
use crate::parameters::Parameters;
use crate::process::{self, now};
use crate::queue::Queue;
use crate::spool::Spool;
use crate::web::Web;

/// The variables that the template sets for the housekeeper.
pub const ENVIRONMENT: [&str; 5] =
    ["WHARF_STAGE", "WHARF_TABLE", "WHARF_QUEUE_URL", "WHARF_BUCKET", "WHARF_PUBLIC_URL"];

/// What a schedule invokes the housekeeper with: `{"task":"probe"}`.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Invocation {
    /// Absent: what is due.
    #[serde(default)]
    pub task: Task,
}

/// What the housekeeper is invoked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// To do what is due.
    #[default]
    Errands,
    /// To send a probe.
    Probe,
}

/// Does what is due whenever it is invoked, until Lambda ends the process. If something that the housekeeper needs is
/// missing, it does not start, and its log says all that is missing in one message.
pub async fn run() -> ExitCode {
    // Boxed, as in the consumer: the layout of all that is in it is more than the compiler takes in one go.
    process::run(Box::pin(serve())).await
}

async fn serve() -> Result<(), lambda_runtime::Error> {
    let mut environment = Environment::default();
    let [stage, table, queue_url, bucket, public_url] = ENVIRONMENT.map(|name| environment.variable(name));
    let configuration = aws::configuration(&mut environment);
    environment.complete(Some(()))?;

    let ledger = Ledger::new(aws::dynamodb(&configuration), table);
    let queue = Queue::new(Sqs::new(&configuration), queue_url);
    let spool = Spool::new(&configuration, &bucket);
    let metrics = Metrics::new(&stage);
    let drain = Drain { spool, queue: queue.clone(), ledger: ledger.clone(), metrics: metrics.clone(), now };
    let errands = Errands { ledger, queue, metrics, now };
    let probe = Probe { parameters: Parameters::new(&configuration), web: Web::new(), public_url, stage, now };
    lambda_runtime::run(service_fn(async |event: LambdaEvent<Invocation>| -> Result<(), lambda_runtime::Error> {
        let deadline = process::deadline(event.context.deadline, HOUSEKEEPER_TIMEOUT_SECONDS, now());
        match event.payload.task {
            Task::Probe => Box::pin(probe.run()).await?,
            Task::Errands => {
                // Neither keeps the other waiting; what each one left is in the log.
                let (drained, done) = tokio::join!(Box::pin(drain.run(deadline)), Box::pin(errands.run(deadline)));
                drained?;
                done?;
            }
        }
        Ok(())
    }))
    .await
}
