//! A consumer may die, fail or panic at any moment: nothing is lost, and the next one finishes.

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::json;
use wharf::Delivery;
use wharf::consumer::HandlerError;
use wharf::consumer::batch::Consumer;
use wharf::consumer::dead_letter::DeadLetterQueue;
use wharf::consumer::ledger::Ledger;
use wharf_ops::log_tail::{Function, Line};
use wharf_webhook::clock::UnixMillis;
use wharf_webhook::message;

use crate::harness::{ENDPOINTS, Wharf, now, orders_consumer};

impl Wharf {
    /// Lets the time pass that a lease lasts, by moving its end to now.
    async fn the_lease_ends(&self, event_key: &str, body_key: &str) {
        let dynamodb = aws_sdk_dynamodb::Client::new(&self.stack.facts().configuration());
        dynamodb
            .update_item()
            .table_name(&self.stack.facts().table)
            .key("event_key", AttributeValue::S(event_key.to_owned()))
            .key("body_key", AttributeValue::S(body_key.to_owned()))
            .update_expression("SET lease_until = :now")
            .condition_expression("attribute_exists(lease_until)")
            .expression_attribute_values(":now", AttributeValue::N(now().seconds().0.to_string()))
            .send()
            .await
            .unwrap();
    }

    async fn bookings(&self, order: &str) -> Vec<Line> {
        let is_it = |line: &Line| line.text("message") == Some("booked") && line.text("order") == Some(order);
        self.log().await.into_iter().filter(is_it).collect()
    }
}

/// Runs an order whose first attempt ends in this way, and returns what the second one did.
async fn the_first_attempt_ends_by(drill: &str) -> (Wharf, Vec<Line>) {
    let wharf = Wharf::start_with(ENDPOINTS, orders_consumer(), &[]).await;
    wharf.messages_come_back_after_a_second().await;
    let answer = wharf.order(&format!(r#"{{"id":"o-1","type":"paid","drill":"{drill}"}}"#)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);

    // The message comes back while the dead worker's lease still holds, and is not touched.
    let is_held = |line: &Line| line.function == Function::Consumer && line.text("reason") == Some("held");
    wharf.logged("the lease keeps others off", is_held).await;
    let record = wharf.records("shop", "o-1").await.remove(0);
    assert_eq!((&*record.state, record.attempt), ("processing", 1));
    assert!(record.lease_until.unwrap() > now().seconds().0, "{record:?}");
    assert!(wharf.bookings("o-1").await.is_empty());

    wharf.the_lease_ends(&record.event_key, &record.body_key).await;
    let record = wharf.completed("shop", "o-1").await;
    assert_eq!(record.attempt, 2);
    wharf.queue_is_empty().await;
    let bookings = wharf.bookings("o-1").await;
    assert_eq!(bookings.len(), 1);
    (wharf, bookings)
}

#[tokio::test]
async fn a_consumer_killed_between_claim_and_completion_loses_nothing_and_the_next_one_finishes() {
    let (wharf, bookings) = the_first_attempt_ends_by("crash").await;
    assert_eq!(bookings[0].number("attempt"), Some(2));
    assert_eq!(wharf.messages(&wharf.stack.facts().dead_letter_queue_url).await, 0);
}

#[tokio::test]
async fn a_handler_that_panics_is_run_again() {
    let (wharf, _) = the_first_attempt_ends_by("panic").await;
    let reasons = |line: &Line| line.text("reason") == Some("handler_panicked");
    assert_eq!(wharf.log().await.into_iter().filter(reasons).count(), 1);
}

#[tokio::test]
async fn a_handler_that_fails_is_run_again_and_the_log_says_why_it_failed() {
    let (wharf, _) = the_first_attempt_ends_by("fail").await;
    let line = wharf.logged("the reason is logged", |line| line.text("reason") == Some("handler_failed")).await;
    assert_eq!(line.text("message"), Some("back to the queue: the handler failed: the warehouse is closed"));
}

/// Processes the orders `o-1` and `o-2` in one batch, with four seconds until Lambda ends the invocation, of which three are
/// kept back for reporting. Returns the orders that go back to the queue, and the two records' states.
async fn one_batch<F>(
    wharf: &Wharf,
    handler: impl Fn(Delivery) -> F + Clone + Send + 'static,
) -> (Vec<String>, [String; 2])
where
    F: Future<Output = Result<(), HandlerError>> + Send + 'static,
{
    let facts = wharf.stack.facts();
    let configuration = facts.configuration();
    let consumer = Consumer::new(
        Ledger::new(aws_sdk_dynamodb::Client::new(&configuration), facts.table.clone()),
        DeadLetterQueue::new(wharf.sqs().clone(), facts.dead_letter_queue_url.clone()),
        handler,
        now,
    );
    let record = |id: &str| json!({ "messageId": id, "body": message::encode(&wharf.delivery(id)).unwrap() });
    let batch = json!({ "Records": [record("o-1"), record("o-2")] });
    let deadline = UnixMillis(now().0 + 4_000);
    let response = consumer.process(serde_json::from_value(batch).unwrap(), deadline).await;
    assert!(now() < deadline);
    let back = response.batch_item_failures.into_iter().map(|failure| failure.item_identifier).collect();
    let state = async |id| wharf.records("shop", id).await.remove(0).state;
    (back, [state("o-1").await, state("o-2").await])
}

#[tokio::test]
async fn a_handler_that_hangs_is_cut_off_before_the_deadline_and_its_neighbour_lands() {
    let wharf = Wharf::start().await;
    let hang = async |delivery: Delivery| {
        if delivery.event_id().unwrap().text == "o-1" {
            std::future::pending::<()>().await;
        }
        Ok(())
    };
    let (back, states) = one_batch(&wharf, hang).await;
    assert_eq!(back, ["o-1"]);
    assert_eq!(states, ["processing", "completed"]);
}

#[tokio::test]
async fn a_handler_that_panics_before_it_first_waits_hurts_only_its_own_event() {
    let wharf = Wharf::start().await;
    let panic_at_once = |delivery: Delivery| {
        assert_ne!(delivery.event_id().unwrap().text, "o-1", "a bug in the handler");
        std::future::ready(Ok(()))
    };
    let (back, states) = one_batch(&wharf, panic_at_once).await;
    assert_eq!(back, ["o-1"]);
    assert_eq!(states, ["processing", "completed"]);
}
