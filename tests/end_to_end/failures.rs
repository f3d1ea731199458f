//! What fails is tried again when its time has come, and given up with its reason and its message.

use serde_json::json;
use wharf::Delivery;
use wharf::aws::Sqs;
use wharf::consumer::HandlerError;
use wharf::consumer::batch::Consumer;
use wharf::queue::Queue;
use wharf_ops::log_tail::Line;
use wharf_webhook::clock::UnixMillis;
use wharf_webhook::message;

use crate::harness::{Wharf, now};
use crate::proxy::{Call, Fault, Proxy};

/// Waits of a second, in the queue.
const SOON: &str = "retry = { attempts = 3, first_seconds = 1, longest_seconds = 1 }";

async fn fails(_: Delivery) -> Result<(), HandlerError> {
    Err("the warehouse is closed".into())
}

async fn busy(_: Delivery) -> Result<(), HandlerError> {
    Err(HandlerError::retry_after(std::time::Duration::from_secs(901), "the warehouse is busy"))
}

async fn succeeds(_: Delivery) -> Result<(), HandlerError> {
    Ok(())
}

#[tokio::test]
async fn a_handler_that_fails_is_run_again_when_its_schedule_says_and_the_record_says_why_it_failed() {
    let wharf = Wharf::start_with_orders(SOON).await;
    wharf.order(r#"{"id":"o-1","type":"paid","drill":"fail"}"#).await;
    let line = wharf.logged("the reason is logged", |line| line.text("reason") == Some("handler_failed")).await;
    let text = line.text("message").unwrap();
    assert!(text.starts_with("back to the queue: the handler failed: the warehouse is closed; the next"), "{text}");
    let record = wharf.completed("shop", "o-1").await;
    assert_eq!((record.attempt, record.interruptions), (2, 0));
    assert_eq!(record.failures[0].reason, "the handler failed: the warehouse is closed");
    wharf.queue_is_empty().await;
    assert_eq!(wharf.sold("tea").await, 1);
}

#[tokio::test]
async fn a_handlers_own_delay_is_kept() {
    let wharf = Wharf::start_with_orders("").await;
    wharf.order(r#"{"id":"o-1","type":"paid","drill":"busy"}"#).await;
    let waiting = wharf.in_state("o-1", "waiting").await;
    assert_eq!(waiting.due_at.unwrap().0 - waiting.failures[0].at.0, 3);
    let record = wharf.completed("shop", "o-1").await;
    assert!(record.settled_at.unwrap() >= waiting.due_at.unwrap(), "{record:?}");
}

#[tokio::test]
async fn attempts_that_are_used_up_and_errors_that_are_permanent_leave_a_failed_record_with_the_message() {
    let wharf = Wharf::start_with_orders(SOON).await;
    let used_up = r#"{"id":"o-1","type":"paid","drill":"panic","until_attempt":99}"#;
    wharf.order(used_up).await;
    wharf.order(r#"{"id":"o-2","type":"paid","drill":"refuse"}"#).await;
    let (first, second) = (wharf.in_state("o-1", "failed").await, wharf.in_state("o-2", "failed").await);
    assert_eq!((first.attempt, second.attempt), (3, 1));
    assert_eq!(first.failures.len(), 3);
    assert_eq!(first.failures[2].reason, "the handler panicked: a bug in the handler");
    assert_eq!(second.failures[0].reason, "the handler failed: the warehouse does not know this product");
    assert!(first.holds_message && second.holds_message);
    wharf.queue_is_empty().await;
    assert_eq!(wharf.messages(&wharf.stack.facts().dead_letter_queue_url).await, 0);
    wharf.logged("the log says so", |line| line.text("outcome") == Some("failed")).await;
    // What the record holds is what arrived.
    let (key, record) = wharf_ops::records::whole(&wharf.deployment(), "shop", "o-1").await.unwrap().remove(0);
    assert_eq!(key.event, "shop#o-1");
    let message::Carried::Whole(delivery) = message::decode(&record.message.unwrap()).unwrap() else {
        panic!("it is small")
    };
    assert_eq!(delivery.body(), used_up.as_bytes());
}

#[tokio::test]
async fn a_failed_event_that_its_sender_redelivers_is_processed_and_a_copy_that_was_on_its_way_is_not() {
    let wharf = Wharf::start().await;
    let refuses = async |_: Delivery| -> Result<(), HandlerError> { Err(HandlerError::permanent("no")) };
    let body = r#"{"id":"o-1","type":"paid"}"#;
    let at = |received_at: UnixMillis| vec![message::encode(&wharf.delivery_of(body, received_at)).unwrap()];
    assert!(wharf.process(refuses, 10, &at(now())).await.is_empty());
    let failed = wharf.in_state("o-1", "failed").await;
    // Received in the second in which the first one failed, and in the next.
    let failed_at = UnixMillis(failed.settled_at.unwrap().0 * 1000);
    assert!(wharf.process(succeeds, 10, &at(failed_at)).await.is_empty());
    assert_eq!(wharf.in_state("o-1", "failed").await, failed);
    assert!(wharf.process(succeeds, 10, &at(UnixMillis(failed_at.0 + 1000))).await.is_empty());
    assert_eq!(wharf.in_state("o-1", "completed").await.attempt, 1);
}

#[tokio::test]
async fn a_long_wait_is_spent_in_the_record_and_the_housekeeper_sends_the_message_when_it_is_due() {
    let wharf = Wharf::start_with_orders("").await;
    let messages = wharf.messages_of(&["o-1"]);
    assert!(wharf.process(busy, 10, &messages).await.is_empty(), "the record holds it");
    let waiting = wharf.in_state("o-1", "waiting").await;
    assert!(waiting.holds_message);
    assert_eq!(waiting.due_at.unwrap().0 - waiting.failures[0].at.0, 901);
    // A copy is safe to acknowledge.
    assert!(wharf.process(succeeds, 10, &messages).await.is_empty());
    assert_eq!(wharf.in_state("o-1", "waiting").await, waiting);

    let deadline = || UnixMillis(now().0 + 55_000);
    wharf.errands().run(deadline()).await.unwrap();
    assert_eq!(wharf.messages(&wharf.stack.facts().queue_url).await, 0, "it is not due");
    wharf.pause().await;
    wharf.is_due(&waiting).await;
    wharf.errands().run(deadline()).await.unwrap();
    // A housekeeper that died before it could mark what it sent is followed by one that sends it again.
    let sent = wharf.in_state("o-1", "waiting").await;
    assert!(sent.sent_at.is_some() && sent.holds_message);
    wharf.errands().run(deadline()).await.unwrap();
    assert_eq!(wharf.messages(&wharf.stack.facts().queue_url).await, 1, "it is sent once");
    wharf.is_unsent(&sent).await;
    wharf.errands().run(deadline()).await.unwrap();
    assert_eq!(wharf.messages(&wharf.stack.facts().queue_url).await, 2);
    wharf.resume().await;
    let record = wharf.completed("shop", "o-1").await;
    assert_eq!((record.attempt, record.holds_message), (2, false));
    wharf.queue_is_empty().await;
    assert_eq!(wharf.sold("tea").await, 1, "twice is harmless");
}

#[tokio::test]
async fn fifty_copies_that_come_while_the_first_waits_eat_none_of_its_attempts() {
    let wharf = Wharf::start_with_orders("").await;
    let copies = vec![wharf.messages_of(&["o-1"]).remove(0); 50];
    assert_eq!(wharf.process(fails, 10, &copies[..1]).await, [0]);
    let waiting = wharf.in_state("o-1", "waiting").await;
    wharf.is_due_in(&waiting, 60).await;
    assert_eq!(wharf.process(succeeds, 20, &copies).await.len(), 50, "all come again");
    let still = wharf.in_state("o-1", "waiting").await;
    assert_eq!((still.attempt, still.failures.len()), (1, 1));
    wharf.is_due_in(&still, 0).await;
    // One is processed, and the others meet it at work or done.
    wharf.process(succeeds, 20, &copies).await;
    assert_eq!(wharf.in_state("o-1", "completed").await.attempt, 2);
    assert!(wharf.process(succeeds, 20, &copies).await.is_empty());
}

#[tokio::test]
async fn an_outage_downstream_that_lasts_longer_than_the_queue_remembers_loses_nothing() {
    let wharf = Wharf::start_with_orders("").await;
    wharf.pause().await;
    let days = |days: i64| UnixMillis(now().0 - days * 24 * 60 * 60 * 1000);
    let body = r#"{"id":"o-1","type":"paid"}"#;
    let arrived = message::encode(&wharf.delivery_of(body, days(10))).unwrap();
    let mut held = arrived.clone();
    for attempt in 1..=5 {
        // Nothing is in the queue while it waits, so the queue has nothing to forget.
        assert!(wharf.process(busy, 10, &[held]).await.is_empty());
        assert_eq!(wharf.messages(&wharf.stack.facts().queue_url).await, 0);
        let waiting = wharf.in_state("o-1", "waiting").await;
        assert_eq!(waiting.attempt, attempt);
        wharf.is_due(&waiting).await;
        wharf.errands().run(UnixMillis(now().0 + 55_000)).await.unwrap();
        let sent = wharf.sqs().receive_message().queue_url(&wharf.stack.facts().queue_url).send().await.unwrap();
        let sent = sent.messages.unwrap().remove(0);
        held = sent.body.unwrap();
        assert_eq!(held, arrived, "what is sent is what arrived");
        let delete = wharf.sqs().delete_message().queue_url(&wharf.stack.facts().queue_url);
        delete.receipt_handle(sent.receipt_handle.unwrap()).send().await.unwrap();
    }
    assert!(wharf.process(succeeds, 10, &[held]).await.is_empty());
    assert_eq!(wharf.in_state("o-1", "completed").await.attempt, 6);
}

#[tokio::test]
async fn the_schedule_invokes_the_housekeeper_each_minute() {
    let wharf = Wharf::start_with_orders("").await;
    assert!(wharf.process(busy, 10, &wharf.messages_of(&["o-1"])).await.is_empty());
    wharf.is_due(&wharf.in_state("o-1", "waiting").await).await;
    let is_sent = |line: &Line| line.text("outcome") == Some("sent") && line.text("record") == Some("shop#o-1");
    wharf.logged_within(100, "the housekeeper sends it", is_sent).await;
    assert_eq!(wharf.completed("shop", "o-1").await.attempt, 2);
}

#[tokio::test]
async fn a_copy_that_comes_too_early_too_often_is_kept_by_the_record_instead_of_being_given_up() {
    let wharf = Wharf::start().await;
    let messages = wharf.messages_of(&["o-1"]);
    assert_eq!(wharf.process(fails, 10, &messages).await, [0], "it waits in the queue");
    let waiting = wharf.in_state("o-1", "waiting").await;
    assert!(!waiting.holds_message);
    wharf.is_due_in(&waiting, 300).await;
    assert_eq!(wharf.process(succeeds, 10, &messages).await, [0]);
    assert!(!wharf.in_state("o-1", "waiting").await.holds_message);
    assert!(wharf.process_received(succeeds, 10, &messages, 10).await.is_empty());
    assert!(wharf.in_state("o-1", "waiting").await.holds_message);
}

#[tokio::test]
async fn a_message_that_was_received_ten_times_waits_in_the_record_even_for_a_short_while() {
    let wharf = Wharf::start().await;
    let messages = wharf.messages_of(&["nine", "ten"]);
    assert_eq!(wharf.process_received(fails, 10, &messages[..1], 9).await, [0]);
    assert!(!wharf.in_state("nine", "waiting").await.holds_message);
    assert!(wharf.process_received(fails, 10, &messages[1..], 10).await.is_empty());
    assert!(wharf.in_state("ten", "waiting").await.holds_message);
}

#[tokio::test]
async fn a_late_worker_that_fails_changes_nothing_and_its_message_is_not_acknowledged() {
    let wharf = Wharf::start().await;
    let messages = wharf.messages_of(&["o-1"]);
    let slow = async |_: Delivery| -> Result<(), HandlerError> {
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        Err(HandlerError::permanent("no"))
    };
    let next_worker = async {
        wharf.the_lease_ends(&wharf.in_state("o-1", "processing").await).await;
        let dies = async |_: Delivery| -> Result<(), HandlerError> { std::future::pending().await };
        let _ = tokio::time::timeout(std::time::Duration::from_secs(1), wharf.process(dies, 60, &messages)).await;
    };
    let (late, ()) = tokio::join!(wharf.process(slow, 20, &messages), next_worker);
    assert_eq!(late, [0]);
    let record = wharf.in_state("o-1", "processing").await;
    assert_eq!(record.attempt, 2, "the new owner, who died, holds it");
}

#[tokio::test]
async fn a_queue_that_does_not_answer_does_not_cost_the_invocation_its_report() {
    let wharf = Wharf::start().await;
    let slow = |_: &Call<'_>| Fault::Slow(std::time::Duration::from_secs(20));
    let (proxy, _) = Proxy::start(&wharf.stack.facts().aws_endpoint_url, slow).await;
    let queue = Queue::new(Sqs::new(&wharf.configuration_through(&proxy.url)), wharf.stack.facts().queue_url.clone());
    let consumer = Consumer { queue, ..wharf.consumer(fails) };
    let body = wharf.messages_of(&["o-1"]).remove(0);
    let record = json!({ "messageId": "1", "receiptHandle": "r", "body": body, "attributes": {} });
    let batch = serde_json::from_value(json!({ "Records": [record] })).unwrap();
    let deadline = UnixMillis(now().0 + 5_000);
    let response = consumer.process(batch, deadline).await;
    assert!(now() < deadline);
    assert_eq!(response.batch_item_failures.len(), 1);
    wharf.in_state("o-1", "waiting").await;
}

#[tokio::test]
async fn a_delivery_received_over_thirty_days_ago_is_parked() {
    let wharf = Wharf::start().await;
    let days = |days: i64| UnixMillis(now().0 - days * 24 * 60 * 60 * 1000);
    let message = |id: &str, at| message::encode(&wharf.delivery_of(&format!(r#"{{"id":"{id}"}}"#), at)).unwrap();
    let messages = [message("old", days(30)), message("young", days(29))];
    assert!(wharf.process(succeeds, 10, &messages).await.is_empty());
    let old = wharf.in_state("old", "parked").await;
    assert!(old.holds_message);
    assert!(old.failures[0].reason.starts_with("it arrived over 30 days ago"), "{old:?}");
    wharf.in_state("young", "completed").await;
}

#[tokio::test]
async fn a_kept_message_is_erased_when_its_days_are_over() {
    let wharf = Wharf::start_with_orders("keep_days = 30").await;
    assert!(wharf.process(succeeds, 10, &wharf.messages_of(&["o-1"])).await.is_empty());
    let kept = wharf.in_state("o-1", "completed").await;
    assert!(kept.holds_message);
    assert_eq!(kept.keep_until.unwrap().0 - kept.settled_at.unwrap().0, 30 * 24 * 60 * 60);
    let errands = async || wharf.errands().run(UnixMillis(now().0 + 55_000)).await.unwrap();
    errands().await;
    assert_eq!(wharf.in_state("o-1", "completed").await, kept);
    wharf.change(&kept, "SET keep_until = :at, open_at = :at", now().seconds().0).await;
    errands().await;
    let erased = wharf.in_state("o-1", "completed").await;
    assert_eq!((erased.holds_message, erased.expires_at), (false, kept.expires_at));
}
