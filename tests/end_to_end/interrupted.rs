//! A worker may die at any moment: nothing is lost, and the next one finishes, or a person judges.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use wharf::Delivery;
use wharf::consumer::batch::Consumer;
use wharf::consumer::{Effects, HandlerError};
use wharf_ops::log_tail::Line;
use wharf_ops::records::RecordView;
use wharf_webhook::clock::UnixMillis;
use wharf_webhook::endpoints::Endpoints;
use wharf_webhook::message;

use crate::harness::{ENDPOINTS, Wharf, now, orders_consumer, record_of, shipped_consumer};
use crate::proxy::{Call, Fault, Proxy};

impl Wharf {
    /// With the consumer of `examples/orders.rs` and its table; `policy` is what the endpoint `shop` says of processing.
    pub async fn start_with_orders(policy: &str) -> Wharf {
        Wharf::start_with_orders_of(policy, orders_consumer()).await
    }

    pub async fn start_with_orders_of(policy: &str, consumer: PathBuf) -> Wharf {
        let wharf = Wharf::start_with(&format!("{ENDPOINTS}{policy}\n"), consumer, &[]).await;
        wharf.make_orders_table().await;
        wharf
    }

    pub async fn bookings(&self, order: &str) -> Vec<Line> {
        let is_it = |line: &Line| line.text("message") == Some("booked") && line.text("order") == Some(order);
        self.log().await.into_iter().filter(is_it).collect()
    }

    /// The record of an order, once it is in a state.
    pub async fn in_state(&self, order: &str, state: &str) -> RecordView {
        self.until(&format!("{order} is {state}"), async || {
            self.records("shop", order).await.into_iter().find(|record| record.state == state)
        })
        .await
    }

    /// Processes a batch of messages in this test's process, with `seconds` until Lambda would end the invocation. Returns the
    /// numbers of the messages that go back to the queue.
    pub async fn process<H, F, T>(&self, handler: H, seconds: i64, messages: &[String]) -> Vec<usize>
    where
        H: Fn(Delivery) -> F + Clone + Send + 'static,
        F: Future<Output = Result<T, HandlerError>> + Send + 'static,
        T: Into<Effects> + Send + 'static,
    {
        self.process_received(handler, seconds, messages, 1).await
    }

    /// The same for messages that were received so often.
    pub async fn process_received<H, F, T>(
        &self,
        handler: H,
        seconds: i64,
        messages: &[String],
        receives: u32,
    ) -> Vec<usize>
    where
        H: Fn(Delivery) -> F + Clone + Send + 'static,
        F: Future<Output = Result<T, HandlerError>> + Send + 'static,
        T: Into<Effects> + Send + 'static,
    {
        self.process_by(&self.consumer(handler), seconds, messages, receives).await
    }

    /// The same by a consumer that the test made.
    pub async fn process_by<H, F, T>(
        &self,
        consumer: &Consumer<H>,
        seconds: i64,
        messages: &[String],
        receives: u32,
    ) -> Vec<usize>
    where
        H: Fn(Delivery) -> F + Clone + Send + 'static,
        F: Future<Output = Result<T, HandlerError>> + Send + 'static,
        T: Into<Effects> + Send + 'static,
    {
        let records = messages.iter().enumerate().map(|(number, message)| {
            let attributes = json!({ "ApproximateReceiveCount": receives.to_string() });
            json!({ "messageId": number.to_string(), "body": message, "attributes": attributes })
        });
        let batch = json!({ "Records": records.collect::<Vec<_>>() });
        let deadline = UnixMillis(now().0 + seconds * 1000);
        let response = consumer.process(serde_json::from_value(batch).unwrap(), deadline).await;
        assert!(now() < deadline, "the invocation ended before it could report");
        response.batch_item_failures.into_iter().map(|back| back.item_identifier.parse().unwrap()).collect()
    }

    pub fn messages_of(&self, orders: &[&str]) -> Vec<String> {
        orders.iter().map(|order| message::encode(&self.delivery(order)).unwrap()).collect()
    }

    async fn states(&self, orders: &[&str]) -> Vec<String> {
        let mut states = Vec::new();
        for order in orders {
            states.push(self.records("shop", order).await.remove(0).state);
        }
        states
    }
}

fn id(delivery: &Delivery) -> String {
    delivery.event_id().unwrap().text.clone()
}

#[tokio::test]
async fn a_consumer_killed_between_claim_and_completion_loses_nothing_and_the_next_one_finishes() {
    let wharf = Wharf::start_with_orders("").await;
    wharf.messages_come_back_after(3).await;
    assert_eq!(wharf.order(r#"{"id":"o-1","type":"paid","drill":"crash"}"#).await.status, 200);
    let record = wharf.in_state("o-1", "processing").await;
    assert!(record.lease_until.unwrap() > now().seconds(), "{record:?}");
    assert_eq!(wharf.sold("tea").await, 0);
    wharf.the_lease_ends(&record).await;
    let record = wharf.completed("shop", "o-1").await;
    assert_eq!((record.attempt, record.interruptions), (2, 1));
    assert_eq!(record.failures.len(), 1);
    wharf.queue_is_empty().await;
    assert_eq!(wharf.bookings("o-1").await.len(), 1);
    assert_eq!(wharf.sold("tea").await, 1);
    assert_eq!(wharf.messages(&wharf.stack.facts().dead_letter_queue_url).await, 0);
}

#[tokio::test]
async fn what_was_cut_short_is_parked_where_the_endpoint_says_so_and_holds_its_message() {
    let wharf = Wharf::start_with_orders("on_interrupted = \"park\"").await;
    wharf.messages_come_back_after(3).await;
    wharf.order(r#"{"id":"o-1","type":"paid","drill":"crash"}"#).await;
    let record = wharf.in_state("o-1", "processing").await;
    wharf.the_lease_ends(&record).await;
    let record = wharf.in_state("o-1", "parked").await;
    assert!(record.holds_message);
    wharf.queue_is_empty().await;
    // A repetition of the sender changes nothing.
    wharf.order(r#"{"id":"o-1","type":"paid","drill":"crash"}"#).await;
    wharf.logged("it is a duplicate", |line| line.text("outcome") == Some("duplicate")).await;
    assert!(wharf.bookings("o-1").await.is_empty());
    assert_eq!(wharf.in_state("o-1", "parked").await, record);
}

#[tokio::test]
async fn what_kills_its_worker_each_time_comes_to_an_end_and_nine_neighbours_complete() {
    let wharf = Wharf::start_with_orders("retry = { attempts = 3 }").await;
    wharf.messages_come_back_after(2).await;
    wharf.pause().await;
    wharf.order(r#"{"id":"poison","type":"paid","product":"arsenic","drill":"crash","until_attempt":99}"#).await;
    for number in 1..=9 {
        wharf.order(&format!(r#"{{"id":"o-{number}","type":"paid"}}"#)).await;
    }
    wharf.resume().await;
    let orders: Vec<String> = (1..=9).map(|number| format!("o-{number}")).collect();
    // What died before comes back after forty seconds each time, whatever the queue has.
    wharf
        .until_within(Duration::from_secs(180), "the poison has failed and its neighbours are completed", async || {
            let mut open = 0;
            for order in orders.iter().map(String::as_str).chain(["poison"]) {
                for record in wharf.records("shop", order).await {
                    if record.state == "processing" {
                        open += 1;
                        wharf.the_lease_ends(&record).await;
                    }
                }
            }
            let is_over = open == 0 && !wharf.records("shop", "poison").await.is_empty();
            (is_over && wharf.records("shop", "poison").await[0].state == "failed").then_some(())
        })
        .await;
    let poison = wharf.in_state("poison", "failed").await;
    assert_eq!((poison.attempt, poison.holds_message), (3, true));
    for order in &orders {
        let record = wharf.completed("shop", order).await;
        assert!(record.attempt <= 2, "it was taken along once at most: {record:?}");
    }
    assert_eq!((wharf.sold("tea").await, wharf.sold("arsenic").await), (9, 0));
    wharf.queue_is_empty().await;
    assert_eq!(wharf.messages(&wharf.stack.facts().dead_letter_queue_url).await, 0);
}

#[tokio::test]
async fn what_was_interrupted_before_runs_alone_after_its_batch_and_those_first_that_died_seldom() {
    let wharf = Wharf::start().await;
    let orders = ["died-twice", "new-1", "died-once", "new-2"];
    let messages = wharf.messages_of(&orders);
    // A worker that takes a message and is never heard of again.
    let dies = async |_: Delivery| -> Result<(), HandlerError> { std::future::pending().await };
    for (order, times) in [("died-twice", 2), ("died-once", 1)] {
        let message = wharf.messages_of(&[order]);
        for _ in 0..times {
            let process = wharf.process(dies, 60, &message);
            let _ = tokio::time::timeout(Duration::from_secs(1), process).await;
            wharf.the_lease_ends(&wharf.in_state(order, "processing").await).await;
        }
    }
    let (at_once, order_of_events) = (Arc::new(Mutex::new(0)), Arc::new(Mutex::new(Vec::new())));
    let (counted, seen) = (Arc::clone(&at_once), Arc::clone(&order_of_events));
    let handler = move |delivery: Delivery| {
        let (counted, seen) = (Arc::clone(&counted), Arc::clone(&seen));
        async move {
            *counted.lock().unwrap() += 1;
            tokio::time::sleep(Duration::from_millis(200)).await;
            let together = std::mem::take(&mut *counted.lock().unwrap());
            seen.lock().unwrap().push((id(&delivery), delivery.attempt(), together));
            Ok::<(), HandlerError>(())
        }
    };
    assert!(wharf.process(handler, 60, &messages).await.is_empty());
    let seen = order_of_events.lock().unwrap().clone();
    // The first of the two new ones that ends takes the count of both.
    assert_eq!(seen[0].2 + seen[1].2, 2, "{seen:?}");
    assert!(seen[..2].iter().all(|(id, attempt, _)| id.starts_with("new-") && *attempt == 1), "{seen:?}");
    assert_eq!(seen[2..], [("died-once".to_owned(), 2, 1), ("died-twice".to_owned(), 3, 1)]);
}

#[tokio::test]
async fn what_runs_alone_goes_back_unclaimed_if_the_batch_took_all_the_time() {
    let wharf = Wharf::start().await;
    let dies = async |_: Delivery| -> Result<(), HandlerError> { std::future::pending().await };
    let messages = wharf.messages_of(&["o-1"]);
    let _ = tokio::time::timeout(Duration::from_secs(1), wharf.process(dies, 60, &messages)).await;
    wharf.the_lease_ends(&wharf.in_state("o-1", "processing").await).await;
    let before = wharf.in_state("o-1", "processing").await;
    assert_eq!(wharf.process(async |_| Ok(()), 7, &messages).await, [0]);
    assert_eq!(wharf.in_state("o-1", "processing").await, before);
}

#[tokio::test]
async fn what_is_settled_is_deleted_before_something_runs_that_may_kill_the_worker() {
    let wharf = Wharf::start().await;
    wharf.pause().await;
    let dies = async |delivery: Delivery| -> Result<(), HandlerError> {
        match id(&delivery).as_str() {
            "poison" => std::future::pending().await,
            _ => Ok(()),
        }
    };
    let soon = Duration::from_secs(3);
    let _ = tokio::time::timeout(soon, wharf.process(dies, 60, &wharf.messages_of(&["poison"]))).await;
    wharf.the_lease_ends(&wharf.in_state("poison", "processing").await).await;
    // Both come in one batch, of which Lambda never hears.
    for message in wharf.messages_of(&["poison", "o-1"]) {
        wharf.queue().send(message, "shop").await.unwrap();
    }
    let records: Vec<_> = wharf.receive(600).await.iter().map(record_of).collect();
    assert_eq!(records.len(), 2);
    let batch = serde_json::from_value(json!({ "Records": records })).unwrap();
    let consumer = wharf.consumer(dies);
    let invocation = consumer.process(batch, UnixMillis(now().0 + 60_000));
    assert!(tokio::time::timeout(soon, invocation).await.is_err(), "the worker is gone");
    wharf.completed("shop", "o-1").await;
    assert_eq!(wharf.in_state("poison", "processing").await.attempt, 2);
    assert_eq!(wharf.messages(&wharf.stack.facts().queue_url).await, 1, "only what killed it comes again");
}

#[tokio::test]
async fn an_attempt_that_fails_after_its_lease_was_lost_changes_nothing_and_its_message_is_not_acknowledged() {
    let wharf = Wharf::start().await;
    let messages = wharf.messages_of(&["o-1"]);
    let (goes_on, is_told) = tokio::sync::watch::channel(false);
    let late = move |_: Delivery| {
        let mut is_told = is_told.clone();
        async move {
            is_told.wait_for(|told| *told).await?;
            // If this were written, the event would have failed.
            Err::<(), _>(HandlerError::permanent("too late"))
        }
    };
    let next = async {
        wharf.the_lease_ends(&wharf.in_state("o-1", "processing").await).await;
        assert!(wharf.process(async |_| Ok(()), 30, &messages).await.is_empty());
        let completed = wharf.completed("shop", "o-1").await;
        goes_on.send(true).unwrap();
        completed
    };
    let (back, completed) = tokio::join!(wharf.process(late, 60, &messages), next);
    assert_eq!(back, [0]);
    assert_eq!((completed.attempt, completed.interruptions), (2, 1));
    assert_eq!(wharf.completed("shop", "o-1").await, completed);
}

#[tokio::test]
async fn messages_of_a_slow_batch_and_of_what_died_before_come_back_when_the_lease_ends() {
    let wharf = Wharf::start().await;
    wharf.pause().await;
    let hidden = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&hidden);
    let decide = move |call: &Call<'_>| {
        if call.operation == "ChangeMessageVisibilityBatch" {
            let call: serde_json::Value = serde_json::from_str(call.body).unwrap();
            let entries = call["Entries"].as_array().unwrap().iter();
            heard.lock().unwrap().extend(entries.map(|entry| entry["VisibilityTimeout"].as_i64().unwrap()));
        }
        Fault::None
    };
    let (proxy, _) = Proxy::start(&wharf.stack.facts().aws_endpoint_url, decide).await;
    let taken = || std::mem::take(&mut *hidden.lock().unwrap());
    for message in wharf.messages_of(&["o-1", "o-2"]) {
        wharf.queue().send(message, "shop").await.unwrap();
    }
    let records: Vec<_> = wharf.receive(600).await.iter().map(record_of).collect();
    assert_eq!(records.len(), 2);
    let batch = || serde_json::from_value(json!({ "Records": records })).unwrap();
    let (died, is_dead) = tokio::sync::watch::channel(0);
    // One takes its time, and this worker dies at it; whoever looks on knows when it began.
    let dies = move |delivery: Delivery| {
        let died = died.clone();
        async move {
            if id(&delivery) == "o-1" {
                died.send_modify(|times| *times += 1);
                std::future::pending::<()>().await;
            }
            Ok::<(), HandlerError>(())
        }
    };
    let consumer = Consumer { queue: wharf.queue_through(&proxy), ..wharf.consumer(dies) };
    let deadline = || UnixMillis(now().0 + 60_000);
    let is_hidden = async |count| {
        wharf.until("its messages are hidden", async || (hidden.lock().unwrap().len() == count).then_some(())).await;
    };
    tokio::select! {
        _ = consumer.process(batch(), deadline()) => panic!("it never ends"),
        () = is_hidden(2) => {}
    }
    // After two seconds of seventy.
    let seconds = taken();
    assert!(seconds.iter().all(|seconds| (62..=69).contains(seconds)), "{seconds:?}");

    wharf.the_lease_ends(&wharf.in_state("o-1", "processing").await).await;
    let begins_again = async { is_dead.clone().wait_for(|times| *times == 2).await.map(|_| ()).unwrap() };
    tokio::select! {
        _ = consumer.process(batch(), deadline()) => panic!("it never ends"),
        () = begins_again => {}
    }
    // Of the one that runs alone, before it does.
    let seconds = taken();
    assert!(seconds.len() == 1 && (65..=71).contains(&seconds[0]), "{seconds:?}");

    // A batch that is quick makes no such call.
    let quick = Consumer { queue: wharf.queue_through(&proxy), ..wharf.consumer(async |_| Ok(())) };
    let message = json!({ "messageId": "3", "receiptHandle": "none", "body": wharf.messages_of(&["o-3"])[0] });
    let batch = serde_json::from_value(json!({ "Records": [message] })).unwrap();
    assert!(quick.process(batch, deadline()).await.batch_item_failures.is_empty());
    assert_eq!(taken(), Vec::<i64>::new());
}

#[tokio::test]
async fn an_event_of_an_endpoint_that_is_not_configured_any_more_is_never_run_and_can_be_replayed_when_it_is_back() {
    let wharf = Wharf::start_with(&format!("{ENDPOINTS}deliver = \"eventbridge\"\n"), shipped_consumer(), &[]).await;
    let handles = async |_: Delivery| -> Result<(), HandlerError> { Err(HandlerError::permanent("it was handled")) };
    let endpoints = Endpoints::parse("[endpoints.github]\nprovider = \"github\"\n").unwrap();
    let consumer = Consumer { endpoints, ..wharf.consumer(handles) };
    let messages = wharf.messages_of(&["o-1"]);
    // A newer consumer may know the endpoint: so it stays in the queue at first.
    for receives in [1, 9] {
        assert_eq!(wharf.process_by(&consumer, 10, &messages, receives).await, [0]);
        assert!(wharf.records("shop", "o-1").await.is_empty());
    }
    assert!(wharf.process_by(&consumer, 10, &messages, 10).await.is_empty());
    let failed = wharf.in_state("o-1", "failed").await;
    assert!(failed.holds_message);
    assert_eq!(
        failed.failures[0].reason,
        "endpoints.toml has no endpoint of its name any more, so nobody says who processes it: put the endpoint back, deploy, and replay it"
    );
    // The deployed consumer has it.
    wharf.replay_order("o-1").await;
    wharf.is_due(&wharf.in_state("o-1", "waiting").await).await;
    wharf.errands().run(UnixMillis(now().0 + 55_000)).await.unwrap();
    assert_eq!(wharf.completed("shop", "o-1").await.replay, 1);
    assert_eq!(wharf.handled().await, 0);
}

#[tokio::test]
async fn a_handler_that_hangs_is_cut_off_before_the_deadline_and_its_neighbour_lands() {
    let wharf = Wharf::start().await;
    let hangs = async |delivery: Delivery| {
        if id(&delivery) == "o-1" {
            std::future::pending::<()>().await;
        }
        Ok(())
    };
    assert_eq!(wharf.process(hangs, 5, &wharf.messages_of(&["o-1", "o-2"])).await, [0]);
    assert_eq!(wharf.states(&["o-1", "o-2"]).await, ["waiting", "completed"]);
    let reason = &wharf.records("shop", "o-1").await[0].failures[0].reason;
    assert!(reason.starts_with("the handler took longer than the "), "{reason}");
}

#[tokio::test]
async fn a_handler_that_panics_before_it_first_waits_hurts_only_its_own_event() {
    let wharf = Wharf::start().await;
    let panics = |delivery: Delivery| {
        assert_ne!(id(&delivery), "o-1", "a bug in the handler");
        std::future::ready(Ok(()))
    };
    assert_eq!(wharf.process(panics, 10, &wharf.messages_of(&["o-1", "o-2"])).await, [0]);
    assert_eq!(wharf.states(&["o-1", "o-2"]).await, ["waiting", "completed"]);
    let reason = &wharf.records("shop", "o-1").await[0].failures[0].reason;
    assert!(reason.starts_with("the handler panicked: assertion `left != right` failed: a bug"), "{reason}");
}
