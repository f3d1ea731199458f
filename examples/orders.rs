//! A consumer of your own: a binary with its own handler, run by `wharf::consumer::run`.
//!
//! Build it instead of `consumer`: name it in a `[[bin]]` of `Cargo.toml`, and its zip as the consumer's `CodeUri` in
//! `infra/template.yaml`.

use std::process::ExitCode;

use serde::Deserialize;
use wharf::Delivery;
use wharf::consumer::HandlerError;

/// What the shop posts.
#[derive(Debug, Deserialize)]
struct Order {
    id: String,
    /// What goes wrong at the first attempt: the drill that `tests/end_to_end` runs with this consumer.
    drill: Option<Drill>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Drill {
    /// The handler reports an error.
    Fail,
    /// The handler panics.
    Panic,
    /// The process is gone from one moment to the next, as when a machine dies.
    Crash,
}

async fn book(delivery: Delivery) -> Result<(), HandlerError> {
    let order: Order = delivery.json()?;
    if delivery.attempt() == 1 {
        match order.drill {
            None => {}
            Some(Drill::Fail) => return Err("the warehouse is closed".into()),
            #[expect(clippy::panic, reason = "this is what the drill is about")]
            Some(Drill::Panic) => panic!("a bug in the handler"),
            Some(Drill::Crash) => std::process::abort(),
        }
    }
    tracing::info!(order = order.id, attempt = delivery.attempt(), "booked");
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    wharf::consumer::run(book).await
}
