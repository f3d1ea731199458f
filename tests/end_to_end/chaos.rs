//! Consumers are killed at every step, and their way to AWS fails in every way that it can: nothing is lost, and nothing is
//! done twice.
//!
//! The real binary runs on a Runtime API of the test's own, which takes messages from the real queue as Lambda would. Its
//! handler adds to a count in a table: lost or doubled, the count would tell.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use wharf_webhook::message;

use crate::harness::{ENDPOINTS, Wharf, now, orders_consumer, record_of};
use crate::lambda::Lambda;
use crate::proxy::{Call, Fault, Proxy};

/// What the shop's endpoint says of processing: attempts enough for any run of bad luck, a second apart.
const POLICY: &str = "retry = { attempts = 100, first_seconds = 1, longest_seconds = 1 }\n";

impl Wharf {
    /// Puts orders into the queue, as the receiver does.
    async fn enqueue(&self, bodies: &[String]) {
        for body in bodies {
            let text = message::encode(&self.delivery_of(body, now())).unwrap();
            self.queue().send(text, "shop").await.unwrap();
        }
    }

    /// Takes up to ten messages from the queue, has the function process them, and deletes those that it is through with, as
    /// Lambda does. Returns whether there were any, and whether the function lived.
    async fn poll(&self, lambda: &Lambda, visibility_seconds: i32, seconds: i64) -> (bool, bool) {
        let url = &self.stack.facts().queue_url;
        let messages = self.receive(visibility_seconds).await;
        if messages.is_empty() {
            return (false, true);
        }
        let records: Vec<_> = messages.iter().map(record_of).collect();
        let Some(answer) = lambda.invoke(&json!({ "Records": records }), seconds).await else { return (true, false) };
        let failures = answer["batchItemFailures"].as_array().unwrap().iter();
        let back: BTreeSet<&str> = failures.map(|failure| failure["itemIdentifier"].as_str().unwrap()).collect();
        for message in messages.iter().filter(|message| !back.contains(message.message_id().unwrap())) {
            let call = self.sqs().delete_message().queue_url(url).receipt_handle(message.receipt_handle().unwrap());
            // Another copy of the same receipt may have been deleted.
            let _ = call.send().await;
        }
        (true, true)
    }

    async fn is_completed(&self, order: &str) -> bool {
        let records = self.records("shop", order).await;
        records.first().is_some_and(|record| record.state == "completed")
    }

    /// Lets the time pass that the leases of these orders last.
    async fn their_leases_end(&self, orders: &[String]) {
        for order in orders {
            for record in self.records("shop", order).await {
                if record.state == "processing" {
                    self.the_lease_ends(&record).await;
                }
            }
        }
    }
}

fn order(id: &str) -> String {
    format!(r#"{{"id":"{id}","type":"paid"}}"#)
}

#[tokio::test]
async fn a_consumer_killed_at_every_step_of_a_run_loses_nothing_and_does_nothing_twice() {
    let wharf = Wharf::start_with_orders(POLICY).await;
    wharf.pause().await;
    // Which call, counted from the start of a run, is the worker's last.
    let (last, since) = (Arc::new(AtomicI64::new(-1)), Arc::new(AtomicUsize::new(0)));
    let dies_after = Arc::new(AtomicBool::new(false));
    let (armed, counted, after) = (Arc::clone(&last), Arc::clone(&since), Arc::clone(&dies_after));
    let decide = move |_: &Call<'_>| {
        let number = counted.fetch_add(1, Ordering::SeqCst);
        if armed.load(Ordering::SeqCst) != i64::try_from(number).unwrap() {
            return Fault::None;
        }
        armed.store(-1, Ordering::SeqCst);
        if after.load(Ordering::SeqCst) { Fault::DiesAfter } else { Fault::DiesBefore }
    };
    let (proxy, victim) = Proxy::start(&wharf.stack.facts().aws_endpoint_url, decide).await;
    let endpoints = format!("{ENDPOINTS}{POLICY}");
    let lambda = Lambda::start(&wharf, "killed", &orders_consumer(), &endpoints, &proxy.url, &[]).await;
    victim.is(lambda.killer());

    // An order of each kind: one that is booked, and one that is booked at the second attempt.
    let (mut booked, mut killed, mut step) = (0, 0, 0);
    loop {
        for is_after in [false, true] {
            let id = |kind: &str| format!("{kind}-{step}-{is_after}");
            let orders = [id("plain"), id("again")];
            let again = format!(r#"{{"id":"{}","type":"paid","drill":"fail"}}"#, orders[1]);
            wharf.enqueue(&[order(&orders[0]), again]).await;
            since.store(0, Ordering::SeqCst);
            dies_after.store(is_after, Ordering::SeqCst);
            last.store(step, Ordering::SeqCst);
            wharf
                .until("both orders are completed", async || {
                    // A worker that dies leaves its messages hidden for no time at all.
                    let (_, lived) = wharf.poll(&lambda, 0, 30).await;
                    if !lived {
                        killed += 1;
                        wharf.their_leases_end(&orders).await;
                    }
                    let are_completed = wharf.is_completed(&orders[0]).await && wharf.is_completed(&orders[1]).await;
                    (are_completed && wharf.messages(&wharf.stack.facts().queue_url).await == 0).then_some(())
                })
                .await;
            booked += 2;
            assert_eq!(wharf.sold("tea").await, booked, "step {step}, after it: {is_after}");
        }
        // A step that no run comes to: all have been met.
        if last.swap(-1, Ordering::SeqCst) != -1 {
            break;
        }
        step += 1;
    }
    assert!(step >= 8, "a run has {step} steps");
    assert_eq!(killed, 2 * step, "each step was met, before and after it");
    assert_eq!(wharf.messages(&wharf.stack.facts().dead_letter_queue_url).await, 0);
}

/// How many events there are, and how many copies of the first.
const EVENTS: usize = 500;
const COPIES: usize = 50;

#[tokio::test]
async fn five_hundred_events_through_bad_weather_are_each_done_once() {
    let wharf = Arc::new(Wharf::start_with_orders(POLICY).await);
    wharf.pause().await;
    let seed: u64 = std::env::var("WHARF_SEED").map_or_else(|_| now().0.unsigned_abs(), |seed| seed.parse().unwrap());
    println!("WHARF_SEED={seed} draws the same faults again, though calls may come in another order");
    let mut orders: Vec<String> = (0..EVENTS).map(|number| order(&format!("o-{number}"))).collect();
    orders.extend(std::iter::repeat_n(order("o-0"), COPIES));
    wharf.enqueue(&orders).await;
    let deaths = Arc::new(AtomicUsize::new(0));
    let faults = Arc::new(AtomicUsize::new(0));
    let workers = [1, 2].map(|number| {
        let (deaths, faults) = (Arc::clone(&deaths), Arc::clone(&faults));
        consume(Arc::clone(&wharf), seed.wrapping_mul(number), deaths, faults)
    });
    let [first, second] = workers;
    tokio::join!(first, second);

    for number in 0..EVENTS {
        let id = format!("o-{number}");
        assert!(wharf.is_completed(&id).await, "{id} is lost (seed {seed}): {:?}", wharf.records("shop", &id).await);
    }
    assert_eq!(wharf.sold("tea").await, i64::try_from(EVENTS).unwrap(), "seed {seed}");
    assert_eq!(wharf.messages(&wharf.stack.facts().dead_letter_queue_url).await, 0, "seed {seed}");
    let (faults, deaths) = (faults.load(Ordering::SeqCst), deaths.load(Ordering::SeqCst));
    println!("{faults} faults, {deaths} deaths");
    assert!(faults > 100 && deaths >= 2, "the weather was too good: {faults} faults, {deaths} deaths (seed {seed})");
}

/// Consumes the queue until it is empty, by a worker of its own on a way of its own.
async fn consume(wharf: Arc<Wharf>, seed: u64, deaths: Arc<AtomicUsize>, faults: Arc<AtomicUsize>) {
    let (counted, died) = (Arc::clone(&faults), Arc::clone(&deaths));
    let decide = move |call: &Call<'_>| {
        let fault = weather(random(seed, call.number), call.operation);
        let is_death = matches!(fault, Fault::DiesBefore | Fault::DiesAfter);
        // Each death costs a lease, in real time.
        if is_death
            && died
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |deaths| (deaths < 4).then_some(deaths + 1))
                .is_err()
        {
            return Fault::None;
        }
        if fault != Fault::None {
            counted.fetch_add(1, Ordering::SeqCst);
        }
        fault
    };
    let (proxy, victim) = Proxy::start(&wharf.stack.facts().aws_endpoint_url, decide).await;
    let endpoints = format!("{ENDPOINTS}{POLICY}");
    let name = format!("weather-{seed}");
    let lambda = Lambda::start(&wharf, &name, &orders_consumer(), &endpoints, &proxy.url, &[]).await;
    victim.is(lambda.killer());
    wharf
        .until_within(Duration::from_secs(300), "the queue is empty", async || {
            // Leases of 17 s: a message whose worker died comes back when its lease is over.
            let (found, _) = wharf.poll(&lambda, 18, 12).await;
            (!found && wharf.messages(&wharf.stack.facts().queue_url).await == 0).then_some(())
        })
        .await;
}

/// One call in six has something happen to it.
fn weather(random: u64, operation: &str) -> Fault {
    match random % 1000 {
        0..30 => Fault::Refused,
        30..40 => Fault::Slow(Duration::from_secs(3)),
        40..70 => Fault::ServerError,
        70..100 => Fault::Throttled,
        100..140 => Fault::AnswerLost,
        140..170 if operation != "ChangeMessageVisibilityBatch" => Fault::Conflict,
        170..175 => Fault::DiesBefore,
        175..180 => Fault::DiesAfter,
        _ => Fault::None,
    }
}

/// SplitMix64, of which the calls' numbers are the steps.
fn random(seed: u64, step: usize) -> u64 {
    let mut state = seed.wrapping_add((step as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}
