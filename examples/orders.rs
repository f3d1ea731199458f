//! A consumer of your own: a binary with its own handler, run by `wharf::consumer::run`. This one books orders in a table of
//! its own, each once.
//!
//! Build it instead of `consumer`: name it in a `[[bin]]` of `Cargo.toml`, and its zip as the consumer's `CodeUri` in
//! `infra/template.yaml`; and name its table in the template's parameter `EffectTables`.

use std::process::ExitCode;
use std::time::Duration;

use aws_sdk_dynamodb::types::{AttributeValue, Put, Update};
use serde::Deserialize;
use wharf::Delivery;
use wharf::consumer::{Effects, HandlerError};

/// What the shop posts.
#[derive(Debug, Deserialize)]
struct Order {
    id: String,
    #[serde(default = "tea")]
    product: String,
}

/// Books an order, and counts what was sold.
async fn book(delivery: Delivery) -> Result<Effects, HandlerError> {
    // A body that is no order will never be one.
    let order: Order = delivery.json().map_err(HandlerError::permanent)?;
    let replay = AttributeValue::N(delivery.replay().to_string());
    // An order that is booked is booked again only if a person replays its event.
    let booked = Put::builder()
        .table_name("orders")
        .item("id", AttributeValue::S(order.id.clone()))
        .item("product", AttributeValue::S(order.product.clone()))
        .item("replay", replay.clone())
        .condition_expression("attribute_not_exists(id) OR replay < :replay")
        .expression_attribute_values(":replay", replay)
        .build()?;
    // To add is not repeatable: done twice, it would count twice.
    let sold = Update::builder()
        .table_name("orders")
        .key("id", AttributeValue::S(format!("product {}", order.product)))
        .update_expression("ADD sold :one")
        .expression_attribute_values(":one", AttributeValue::N("1".to_owned()))
        .build()?;
    tracing::info!(order = order.id, attempt = delivery.attempt(), replay = delivery.replay(), "booked");
    Ok(Effects::new().put(booked).update(sold))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    wharf::consumer::run(book_or_drill).await
}

fn tea() -> String {
    "tea".to_owned()
}

/// What the tests in `tests/end_to_end` have go wrong.
#[derive(Debug, Deserialize)]
struct Drilled {
    drill: Drill,
    /// At which attempt it goes wrong no more.
    #[serde(default = "second")]
    until_attempt: u32,
}

fn second() -> u32 {
    2
}

async fn book_or_drill(delivery: Delivery) -> Result<Effects, HandlerError> {
    if let Ok(Drilled { drill, until_attempt }) = delivery.json()
        && delivery.attempt() < until_attempt
    {
        drill.run().await?;
    }
    book(delivery).await
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Drill {
    /// The handler reports an error.
    Fail,
    /// The handler knows when it is worth trying again.
    Busy,
    /// The handler knows that it never is.
    Refuse,
    /// The handler panics.
    Panic,
    /// The handler never ends.
    Hang,
    /// The process is gone from one moment to the next, as when a machine dies.
    Crash,
}

impl Drill {
    async fn run(self) -> Result<(), HandlerError> {
        match self {
            Drill::Fail => Err("the warehouse is closed".into()),
            Drill::Busy => Err(HandlerError::retry_after(Duration::from_secs(3), "the warehouse is busy")),
            Drill::Refuse => Err(HandlerError::permanent("the warehouse does not know this product")),
            #[expect(clippy::panic, reason = "this is what the drill is about")]
            Drill::Panic => panic!("a bug in the handler"),
            Drill::Hang => std::future::pending().await,
            Drill::Crash => std::process::abort(),
        }
    }
}
