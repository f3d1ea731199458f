//! What a handler returns is written together with the completion of its event, or not at all.

use std::time::Duration;

use aws_sdk_dynamodb::types::{AttributeValue, ConditionCheck, Put, Update};
use wharf::Delivery;
use wharf::consumer::{Effects, HandlerError};

use crate::harness::Wharf;

fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

/// One more tea sold.
fn sell() -> Update {
    Update::builder()
        .table_name("orders")
        .key("id", text("product tea"))
        .update_expression("ADD sold :one")
        .expression_attribute_values(":one", AttributeValue::N("1".to_owned()))
        .build()
        .unwrap()
}

/// There must be a warehouse.
fn warehouse() -> ConditionCheck {
    let check = ConditionCheck::builder().table_name("orders").key("id", text("warehouse"));
    check.condition_expression("attribute_exists(id)").build().unwrap()
}

async fn sells(_: Delivery) -> Result<Effects, HandlerError> {
    Ok(Effects::new().update(sell()))
}

async fn sells_from_the_warehouse(_: Delivery) -> Result<Effects, HandlerError> {
    Ok(Effects::new().update(sell()).check(warehouse()))
}

async fn sells_from_the_warehouse_when_there_is_one(_: Delivery) -> Result<Effects, HandlerError> {
    Ok(Effects::new().update(sell()).check(warehouse()).retry_if_a_condition_fails())
}

async fn sells_a_hundred_times(_: Delivery) -> Result<Effects, HandlerError> {
    Ok((0..100).fold(Effects::new(), |effects, _| effects.update(sell())))
}

async fn sells_the_same_twice(_: Delivery) -> Result<Effects, HandlerError> {
    Ok(Effects::new().update(sell()).update(sell()))
}

async fn books_elsewhere(_: Delivery) -> Result<Effects, HandlerError> {
    let put = Put::builder().table_name("elsewhere").item("id", text("o-1")).build()?;
    Ok(Effects::new().put(put))
}

#[tokio::test]
async fn an_order_is_booked_once_with_its_completion_however_often_it_arrives() {
    let wharf = Wharf::start_with_orders("").await;
    let body = r#"{"id":"o-1","type":"paid","product":"coffee"}"#;
    for _ in 0..5 {
        assert_eq!(wharf.order(body).await.status, 200);
    }
    wharf.completed("shop", "o-1").await;
    wharf.queue_is_empty().await;
    assert_eq!(wharf.sold("coffee").await, 1);
    let call = wharf.dynamodb().get_item().table_name("orders").key("id", text("o-1"));
    let order = call.send().await.unwrap().item.unwrap();
    assert_eq!(order["product"], text("coffee"));
}

#[tokio::test]
async fn a_condition_of_the_handlers_own_that_does_not_hold_fails_the_event_and_writes_nothing() {
    let wharf = Wharf::start_with_orders("").await;
    let messages = wharf.messages_of(&["o-1"]);
    assert!(wharf.process(sells_from_the_warehouse, 10, &messages).await.is_empty());
    let failed = wharf.in_state("o-1", "failed").await;
    assert_eq!(failed.failures[0].reason, "the condition of effect 2 does not hold");
    assert_eq!(wharf.sold("tea").await, 0);
}

#[tokio::test]
async fn a_condition_that_may_hold_later_is_tried_again() {
    let wharf = Wharf::start_with_orders("retry = { first_seconds = 1, longest_seconds = 1 }").await;
    let messages = wharf.messages_of(&["o-1"]);
    let handler = sells_from_the_warehouse_when_there_is_one;
    assert_eq!(wharf.process(handler, 10, &messages).await, [0]);
    let waiting = wharf.in_state("o-1", "waiting").await;
    assert_eq!(wharf.sold("tea").await, 0);
    let put = wharf.dynamodb().put_item().table_name("orders").item("id", text("warehouse"));
    put.send().await.unwrap();
    wharf.is_due(&waiting).await;
    assert!(wharf.process(handler, 10, &messages).await.is_empty());
    wharf.in_state("o-1", "completed").await;
    assert_eq!(wharf.sold("tea").await, 1);
}

#[tokio::test]
async fn what_a_late_worker_wanted_written_is_not_written() {
    let wharf = Wharf::start_with_orders("").await;
    let messages = wharf.messages_of(&["o-1"]);
    let slow = async |_: Delivery| {
        tokio::time::sleep(Duration::from_secs(3)).await;
        Ok(Effects::new().update(sell()))
    };
    let late = wharf.process(slow, 20, &messages);
    let next = async {
        let record = wharf.in_state("o-1", "processing").await;
        wharf.the_lease_ends(&record).await;
        wharf.process(sells, 20, &messages).await
    };
    let (late, next) = tokio::join!(late, next);
    assert_eq!(late, [0], "it goes back to the queue");
    assert!(next.is_empty());
    assert_eq!(wharf.in_state("o-1", "completed").await.attempt, 2);
    assert_eq!(wharf.sold("tea").await, 1);
}

#[tokio::test]
async fn a_late_worker_that_succeeds_after_its_successor_died_writes_nothing_and_the_third_one_finishes() {
    let wharf = Wharf::start_with_orders("").await;
    let messages = wharf.messages_of(&["o-1"]);
    let slow = async |_: Delivery| {
        tokio::time::sleep(Duration::from_secs(3)).await;
        Ok(Effects::new().update(sell()))
    };
    let successor = async {
        wharf.the_lease_ends(&wharf.in_state("o-1", "processing").await).await;
        let dies = async |_: Delivery| -> Result<Effects, HandlerError> { std::future::pending().await };
        let _ = tokio::time::timeout(Duration::from_secs(1), wharf.process(dies, 60, &messages)).await;
    };
    let (late, ()) = tokio::join!(wharf.process(slow, 20, &messages), successor);
    assert_eq!(late, [0], "it goes back to the queue");
    let record = wharf.in_state("o-1", "processing").await;
    assert_eq!((record.attempt, wharf.sold("tea").await), (2, 0));
    wharf.the_lease_ends(&record).await;
    assert!(wharf.process(sells, 20, &messages).await.is_empty());
    assert_eq!(wharf.in_state("o-1", "completed").await.attempt, 3);
    assert_eq!(wharf.sold("tea").await, 1);
}

#[tokio::test]
async fn effects_that_no_transaction_takes_fail_the_event_and_say_what_is_wrong() {
    let wharf = Wharf::start_with_orders("").await;
    assert!(wharf.process(sells_a_hundred_times, 10, &wharf.messages_of(&["o-1"])).await.is_empty());
    assert!(wharf.process(sells_the_same_twice, 10, &wharf.messages_of(&["o-2"])).await.is_empty());
    let reason = async |order| wharf.in_state(order, "failed").await.failures.remove(0).reason;
    let expected = "the handler returned 100 effects, and a transaction takes 99 beside the completion";
    assert_eq!(reason("o-1").await, expected);
    let reason = reason("o-2").await;
    assert!(reason.starts_with("DynamoDB does not take the effects: ValidationException: "), "{reason}");
    assert_eq!(wharf.sold("tea").await, 0);
}

#[tokio::test]
async fn a_table_that_is_missing_is_waited_for() {
    let wharf = Wharf::start_with_orders("").await;
    assert_eq!(wharf.process(books_elsewhere, 10, &wharf.messages_of(&["o-1"])).await, [0]);
    let reason = wharf.in_state("o-1", "waiting").await.failures.remove(0).reason;
    assert!(reason.starts_with("DynamoDB does not let the effects be written: ResourceNotFound"), "{reason}");
}
