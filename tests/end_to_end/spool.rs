//! What the queue does not take is stored in the spool, and lands when the queue is there again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::{Value, json};
use wharf::aws::Sqs;
use wharf::housekeeper::drain::Drain;
use wharf::housekeeper::errands::Errands;
use wharf::queue::Queue;
use wharf::spool::Spool;
use wharf_ops::log_tail::{Function, Line};
use wharf_ops::records::{self, Written};
use wharf_webhook::clock::UnixMillis;
use wharf_webhook::idempotency::Digest;
use wharf_webhook::message;

use crate::harness::{ENDPOINTS, Wharf, housekeeper, now};
use crate::lambda::{Door, Lambda};
use crate::proxy::{Call, Fault, Proxy};

impl Wharf {
    /// The keys of all objects in the spool.
    async fn spooled(&self) -> Vec<String> {
        let (mut keys, mut next) = (Vec::new(), None);
        loop {
            let page = self.spool().page(next.take()).await.unwrap();
            keys.extend(page.entries.into_iter().map(|entry| entry.key));
            next = page.next;
            if next.is_none() {
                return keys;
            }
        }
    }

    /// Stores an order in the spool, as the receiver does.
    pub async fn spool_order(&self, id: &str) {
        let delivery = self.delivery(id);
        let text = message::encode(&delivery).unwrap();
        self.spool().put(&delivery, text, Duration::from_secs(5)).await.unwrap();
    }

    /// The queue at the end of a proxy.
    pub fn queue_through(&self, proxy: &Proxy) -> Queue {
        Queue::new(Sqs::new(&self.configuration_through(&proxy.url)), self.stack.facts().queue_url.clone())
    }
}

fn deadline() -> UnixMillis {
    UnixMillis(now().0 + 55_000)
}

fn order(id: &str) -> String {
    format!(r#"{{"id":"{id}","type":"paid"}}"#)
}

#[tokio::test]
async fn while_the_queue_is_gone_senders_get_their_2xx_and_what_they_sent_lands_when_it_is_back() {
    let wharf = Wharf::start().await;
    let queue_url = &wharf.stack.facts().queue_url;
    let names = [QueueAttributeName::RedrivePolicy, QueueAttributeName::VisibilityTimeout];
    let call = wharf.sqs().get_queue_attributes().queue_url(queue_url).set_attribute_names(Some(names.to_vec()));
    let attributes = call.send().await.unwrap().attributes.unwrap();
    wharf.sqs().delete_queue().queue_url(queue_url).send().await.unwrap();

    let answer = wharf.push("d-1", b"{}").await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let line = wharf.logged("it is spooled", |line| line.text("outcome") == Some("spooled")).await;
    let text = line.text("message").unwrap();
    assert!(text.contains("which did not take it: SQS: ") && text.contains("QueueDoesNotExist"), "{text}");
    assert!(text.len() < 400 && !text.contains("Response"), "what happened, and not the whole answer: {text}");
    let arrival_id = line.text("arrival_id").unwrap();
    assert_eq!(wharf.spooled().await, [format!("spool/new/github/{}/{arrival_id}", Digest::of(b"{}"))]);
    wharf.drain().run(deadline()).await.unwrap_err();
    assert_eq!(wharf.spooled().await.len(), 1, "the queue is still gone");

    let name = queue_url.rsplit('/').next().unwrap();
    wharf.sqs().create_queue().queue_name(name).set_attributes(Some(attributes)).send().await.unwrap();
    wharf.drain().run(deadline()).await.unwrap();
    assert_eq!(wharf.completed("github", "d-1").await.attempt, 1);
    assert!(wharf.spooled().await.is_empty());
}

/// How long SQS is not there, while senders go on posting.
const OUTAGE: Duration = Duration::from_secs(60);
/// How many senders post at the same time, each as fast as it is answered.
const SENDERS: usize = 3;

#[tokio::test]
async fn every_2xx_of_a_minute_without_sqs_lands_once() {
    let wharf = Arc::new(Wharf::start_with_orders("").await);
    let is_down = Arc::new(AtomicBool::new(true));
    let down = Arc::clone(&is_down);
    // It is down in every way that it can be.
    let decide = move |call: &Call<'_>| match (call.operation, down.load(Ordering::SeqCst)) {
        ("SendMessage", true) => match call.number % 7 {
            0 => Fault::ServerError,
            1 => Fault::Throttled,
            2 => Fault::AnswerLost,
            3 if call.number.is_multiple_of(5) => Fault::Slow(Duration::from_secs(20)),
            _ => Fault::Refused,
        },
        _ => Fault::None,
    };
    let (proxy, _) = Proxy::start(&wharf.stack.facts().aws_endpoint_url, decide).await;
    let started = Instant::now();
    let senders = (0..SENDERS).map(|sender| {
        let (wharf, url, is_down) = (Arc::clone(&wharf), proxy.url.clone(), Arc::clone(&is_down));
        tokio::spawn(async move {
            let door = Door::start(&wharf, &format!("outage-{sender}"), &url, &[]).await;
            let (mut accepted, mut spooled) = (Vec::new(), 0);
            let mut number = 0;
            // And a little longer, when it is back.
            while started.elapsed() < OUTAGE + Duration::from_secs(3) {
                is_down.store(started.elapsed() < OUTAGE, Ordering::SeqCst);
                let id = format!("o-{sender}-{number}");
                let body = order(&id);
                let answer = door.post("shop", &wharf.signed("shop", &[], body.as_bytes()), body.as_bytes()).await;
                if answer["statusCode"] == 200 {
                    accepted.push(id);
                }
                number += 1;
            }
            spooled += door.lambda.log().matches(r#""outcome":"spooled""#).count();
            (number, accepted, spooled)
        })
    });
    let senders = senders.collect::<Vec<_>>();
    // The housekeeper comes by while it is down, and nothing it does then does harm.
    let drain = Drain { queue: wharf.queue_through(&proxy), ..wharf.drain() };
    while started.elapsed() < OUTAGE {
        tokio::time::sleep(Duration::from_secs(10)).await;
        let _ = drain.run(deadline()).await;
    }
    let (mut posted, mut orders, mut spooled) = (0, Vec::new(), 0);
    for sender in senders {
        let (number, accepted, stored) = sender.await.unwrap();
        posted += number;
        spooled += stored;
        orders.extend(accepted);
    }
    wharf
        .until("the spool is empty", async || {
            let _ = drain.run(deadline()).await;
            wharf.spooled().await.is_empty().then_some(())
        })
        .await;
    wharf
        .until_within(Duration::from_secs(240), "the queue is empty", async || {
            (wharf.messages(&wharf.stack.facts().queue_url).await == 0).then_some(())
        })
        .await;
    println!("{posted} posted, {} accepted, {spooled} of them by the spool", orders.len());
    assert_eq!(orders.len(), posted, "nobody was turned away");
    assert!(spooled > 50, "only {spooled} were spooled");
    for id in &orders {
        let records = wharf.records("shop", id).await;
        assert!(records.first().is_some_and(|record| record.state == "completed"), "{id} is lost: {records:?}");
    }
    assert_eq!(wharf.sold("tea").await, i64::try_from(orders.len()).unwrap());
    assert_eq!(wharf.messages(&wharf.stack.facts().dead_letter_queue_url).await, 0);
}

#[tokio::test]
async fn when_queue_and_spool_are_both_gone_senders_get_503_and_nothing_is_stored() {
    let wharf = Wharf::start().await;
    let decide =
        |call: &Call<'_>| if ["SendMessage", "PUT"].contains(&call.operation) { Fault::Refused } else { Fault::None };
    let (proxy, _) = Proxy::start(&wharf.stack.facts().aws_endpoint_url, decide).await;
    let door = Door::start(&wharf, "both-gone", &proxy.url, &[]).await;
    let body = order("o-1");
    let answer = door.post("shop", &wharf.signed("shop", &[], body.as_bytes()), body.as_bytes()).await;
    assert_eq!((&answer["statusCode"], &answer["headers"]["retry-after"]), (&json!(503), &json!("30")));
    let log = door.lambda.log();
    assert!(log.contains(r#""reason":"not_stored""#), "{log}");
    assert_eq!(wharf.messages(&wharf.stack.facts().queue_url).await, 0);
    assert!(wharf.spooled().await.is_empty());
}

#[tokio::test]
async fn a_queue_that_does_not_answer_costs_no_sender_its_patience() {
    // Slack waits three seconds.
    let endpoints = "[endpoints.slack]\nprovider = \"slack\"\n";
    let wharf = Wharf::start_with(&format!("{ENDPOINTS}{endpoints}"), crate::harness::shipped_consumer(), &[]).await;
    let hangs = Duration::from_secs(30);
    let is_slow = |operations: &'static [&str]| {
        move |call: &Call<'_>| if operations.contains(&call.operation) { Fault::Slow(hangs) } else { Fault::None }
    };
    let cases: [(&[&str], i64); 3] =
        [(&["SendMessage"], 200), (&["SendMessage", "PUT"], 503), (&["SendMessage", "PUT", "GetParameters"], 503)];
    for (operations, status) in cases {
        let (proxy, _) = Proxy::start(&wharf.stack.facts().aws_endpoint_url, is_slow(operations)).await;
        let body = br#"{"type":"event_callback","event_id":"Ev1"}"#;
        let headers = wharf.signed("slack", &[("content-type", "application/json")], body);
        let door = Door::start_with(&wharf, "hangs", endpoints, &proxy.url, &[]).await;
        // Its start is no sender's: at first it fetches the secrets.
        door.post("nowhere", &headers, b"").await;
        let started = Instant::now();
        let answer = door.post("slack", &headers, body).await;
        assert!(started.elapsed() < Duration::from_secs(3), "{operations:?}: {:?}", started.elapsed());
        assert_eq!(answer["statusCode"], status, "{operations:?}: {}", door.lambda.log());
    }
}

#[tokio::test]
async fn what_sqs_refuses_as_such_is_not_spooled() {
    let wharf = Wharf::start().await;
    let decide = |call: &Call<'_>| if call.operation == "SendMessage" { Fault::Refusal } else { Fault::None };
    let (proxy, _) = Proxy::start(&wharf.stack.facts().aws_endpoint_url, decide).await;
    let door = Door::start(&wharf, "refuses", &proxy.url, &[]).await;
    let body = order("o-1");
    let answer = door.post("shop", &wharf.signed("shop", &[], body.as_bytes()), body.as_bytes()).await;
    assert_eq!(answer["statusCode"], 503);
    assert!(door.lambda.log().contains(r#""reason":"queue_refuses""#), "{}", door.lambda.log());
    assert!(wharf.spooled().await.is_empty());
}

#[tokio::test]
async fn what_the_queue_refuses_twice_becomes_a_failed_record_that_can_be_replayed() {
    let wharf = Wharf::start().await;
    wharf.pause().await;
    let decide = |call: &Call<'_>| if call.operation == "SendMessage" { Fault::Refusal } else { Fault::None };
    let (proxy, _) = Proxy::start(&wharf.stack.facts().aws_endpoint_url, decide).await;
    let refusing = Drain { queue: wharf.queue_through(&proxy), ..wharf.drain() };
    wharf.spool_order("o-1").await;
    wharf.spool_order("o-2").await;

    refusing.run(deadline()).await.unwrap();
    let keys = wharf.spooled().await;
    assert!(keys.len() == 2 && keys.iter().all(|key| key.starts_with("spool/refused/shop/")), "{keys:?}");
    assert!(wharf.records("shop", "o-1").await.is_empty());
    // One of them is brought by another delivery meanwhile.
    let copies = wharf.messages_of(&["o-2"]);
    let completes = async |_: wharf::Delivery| -> Result<(), wharf::consumer::HandlerError> { Ok(()) };
    assert!(wharf.process(completes, 10, &copies).await.is_empty());
    refusing.run(deadline()).await.unwrap();
    assert!(wharf.spooled().await.is_empty());
    assert_eq!(wharf.records("shop", "o-2").await[0].state, "completed");
    let failed = wharf.in_state("o-1", "failed").await;
    assert!(failed.holds_message);
    let reason = &failed.failures[0].reason;
    assert!(
        reason.starts_with("it was accepted while the queue was not there, and the queue refuses it: "),
        "{reason}"
    );

    // Replayed while it is still refused, it fails again, and is not sent each minute for ever.
    wharf.replay_order("o-1").await;
    wharf.is_due(&wharf.in_state("o-1", "waiting").await).await;
    let errands = Errands { queue: wharf.queue_through(&proxy), ..wharf.errands() };
    errands.run(deadline()).await.unwrap();
    let failed = wharf.in_state("o-1", "failed").await;
    assert!(failed.holds_message && failed.failures[1].reason.starts_with("the queue refuses its message: "));
    // And when the queue takes it, it lands.
    wharf.resume().await;
    wharf.replay_order("o-1").await;
    wharf.is_due(&wharf.in_state("o-1", "waiting").await).await;
    wharf.errands().run(deadline()).await.unwrap();
    assert_eq!(wharf.completed("shop", "o-1").await.replay, 2);
}

#[tokio::test]
async fn an_object_that_is_none_of_ours_stays_where_it_is_and_keeps_no_other_waiting() {
    let wharf = Wharf::start().await;
    let s3 = wharf.s3();
    let put = async |key: &str, body: &'static [u8]| {
        s3.put_object().bucket(&wharf.stack.facts().bucket).key(key).body(body.to_vec().into()).send().await.unwrap();
    };
    put("spool/elsewhere", b"{}").await;
    put("spool/new/shop/0/bytes", b"\xff\xfe").await;
    wharf.spool_order("o-1").await;
    let error = wharf.drain().run(deadline()).await.unwrap_err().to_string();
    assert!(error.starts_with("the spool still holds 2 deliveries or more; one of them because of: "), "{error}");
    assert_eq!(wharf.spooled().await, ["spool/elsewhere", "spool/new/shop/0/bytes"]);
    wharf.completed("shop", "o-1").await;
}

#[tokio::test]
async fn objects_that_cannot_be_drained_cost_only_themselves_and_all_others_are_drained_in_one_run() {
    let wharf = Wharf::start().await;
    wharf.pause().await;
    let bucket = &wharf.stack.facts().bucket;
    let put = async |key: &str, body: Vec<u8>| {
        wharf.s3().put_object().bucket(bucket).key(key).body(body.into()).send().await.unwrap();
    };
    // They stand before all others in the list.
    put("spool/new/a/bytes", vec![0xff, 0xfe]).await;
    put("spool/new/a/large", vec![b'x'; 1024 * 1024 + 1]).await;
    put("spool/elsewhere", b"{}".to_vec()).await;
    let ids = |name: &str, count: usize| (0..count).map(|number| format!("{name}-{number}")).collect::<Vec<_>>();
    let (stalled, unsent, good) = (ids("stalls", 20), ids("unsent", 3), ids("good", 40));
    for id in stalled.iter().chain(&unsent).chain(&good) {
        wharf.spool_order(id).await;
    }
    let digests: Vec<String> = stalled.iter().map(|id| Digest::of(order(id).as_bytes()).to_string()).collect();
    let decide = move |call: &Call<'_>| match call.operation {
        "GET" if digests.iter().any(|digest| call.target.contains(digest)) => Fault::Stalls,
        "SendMessage" if call.body.contains("unsent-") => Fault::ServerError,
        _ => Fault::None,
    };
    let (proxy, _) = Proxy::start(&wharf.stack.facts().aws_endpoint_url, decide).await;
    let spool = Spool::new(&wharf.configuration_through(&proxy.url), bucket);
    let drain = Drain { spool, queue: wharf.queue_through(&proxy), ..wharf.drain() };
    let error = drain.run(deadline()).await.unwrap_err().to_string();
    assert!(error.starts_with("the spool still holds 26 deliveries or more; one of them because of: "), "{error}");
    assert_eq!(wharf.messages(&wharf.stack.facts().queue_url).await, 40);
    assert_eq!(wharf.spooled().await.len(), 26);

    wharf.drain().run(deadline()).await.unwrap_err();
    assert_eq!(wharf.messages(&wharf.stack.facts().queue_url).await, 63);
    // What is none of ours: nobody can send it.
    assert_eq!(wharf.spooled().await, ["spool/elsewhere", "spool/new/a/bytes", "spool/new/a/large"]);
}

#[tokio::test]
async fn a_housekeeper_killed_at_every_step_of_a_drain_loses_nothing_and_nothing_is_done_twice() {
    let wharf = Wharf::start_with_orders("").await;
    // Which call, counted from the start of a run, is its last.
    let (last, since) = (Arc::new(AtomicI64::new(-1)), Arc::new(AtomicUsize::new(0)));
    let dies_after = Arc::new(AtomicBool::new(false));
    let (armed, counted, after) = (Arc::clone(&last), Arc::clone(&since), Arc::clone(&dies_after));
    let decide = move |call: &Call<'_>| {
        // The errands beside it are another test's.
        if call.operation == "Query" {
            return Fault::None;
        }
        let number = counted.fetch_add(1, Ordering::SeqCst);
        if armed.load(Ordering::SeqCst) != i64::try_from(number).unwrap() {
            return Fault::None;
        }
        armed.store(-1, Ordering::SeqCst);
        if after.load(Ordering::SeqCst) { Fault::DiesAfter } else { Fault::DiesBefore }
    };
    let (proxy, victim) = Proxy::start(&wharf.stack.facts().aws_endpoint_url, decide).await;
    let environment = [("WHARF_PUBLIC_URL", "https://hooks.example.com")];
    let lambda = Lambda::start(&wharf, "drain-killed", &housekeeper(), ENDPOINTS, &proxy.url, &environment).await;
    victim.is(lambda.killer());
    let (mut sold, mut killed, mut step) = (0, 0, 0);
    loop {
        for is_after in [false, true] {
            let orders = [format!("o-{step}-{is_after}-1"), format!("o-{step}-{is_after}-2")];
            for order in &orders {
                wharf.spool_order(order).await;
            }
            since.store(0, Ordering::SeqCst);
            dies_after.store(is_after, Ordering::SeqCst);
            last.store(step, Ordering::SeqCst);
            wharf
                .until("the spool is empty", async || {
                    if lambda.invoke(&json!({ "task": "errands" }), 55).await.is_none() {
                        killed += 1;
                    }
                    wharf.spooled().await.is_empty().then_some(())
                })
                .await;
            for order in &orders {
                wharf.completed("shop", order).await;
            }
            sold += 2;
            wharf.queue_is_empty().await;
            assert_eq!(wharf.sold("tea").await, sold, "step {step}, after it: {is_after}");
        }
        // A step that no run comes to: all have been met.
        if last.swap(-1, Ordering::SeqCst) != -1 {
            break;
        }
        step += 1;
    }
    assert!(step >= 7, "a run has {step} steps");
    assert_eq!(killed, 2 * step, "each step was met, before and after it");
}

#[tokio::test]
async fn the_age_of_the_spool_is_reported_by_every_run() {
    let wharf = Wharf::start().await;
    wharf.pause().await;
    let decide = |call: &Call<'_>| if call.operation == "SendMessage" { Fault::ServerError } else { Fault::None };
    let (proxy, _) = Proxy::start(&wharf.stack.facts().aws_endpoint_url, decide).await;
    let environment = [("WHARF_PUBLIC_URL", "https://hooks.example.com")];
    let lambda = Lambda::start(&wharf, "spool-age", &housekeeper(), ENDPOINTS, &proxy.url, &environment).await;
    let ages = || {
        let log = lambda.log();
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter_map(|line| line["SpoolAge"].as_i64()).collect::<Vec<_>>()
    };
    lambda.invoke(&json!({}), 55).await.unwrap();
    assert_eq!(ages(), [0]);
    wharf.spool_order("o-1").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    // A run that leaves something is an error of the function.
    lambda.fails(&json!({}), 55).await;
    assert!(matches!(ages()[..], [0, age] if age >= 1), "{:?}", ages());
}

#[tokio::test]
async fn the_schedule_has_the_spool_drained() {
    let wharf = Wharf::start().await;
    wharf.spool_order("o-1").await;
    let is_drained = |line: &Line| line.function == Function::Housekeeper && line.text("outcome") == Some("drained");
    let line = wharf.logged_within(100, "the housekeeper drains it", is_drained).await;
    assert_eq!(line.text("endpoint"), Some("shop"));
    wharf.completed("shop", "o-1").await;
}

impl Wharf {
    /// Has an event processed again, whose message nobody has put into the queue yet.
    pub async fn replay_order(&self, id: &str) {
        let (key, record) = records::whole(&self.deployment(), "shop", id).await.unwrap().remove(0);
        let write = record.replayed(&format!("replay of {id} at {}", now().0), now().seconds()).unwrap();
        assert!(matches!(records::write(&self.deployment(), &key, &write).await.unwrap(), Written::Yes));
    }
}
