//! What operators do: list, look at, replay and forget events, stop the consumer, empty the dead-letter queue.

use std::time::Duration;

use aws_sdk_sqs::types::MessageAttributeValue;
use futures_util::future::join_all;
use wharf::Delivery;
use wharf::consumer::HandlerError;
use wharf_ops::consumption::{Consumption, consumption, in_queue};
use wharf_ops::contents::{NotShown, contents};
use wharf_ops::deployment::Deployment;
use wharf_ops::failed::{GivenUp, Selection, list};
use wharf_ops::forget::{Bodies, Forgotten, forget, remembered};
use wharf_ops::log_tail::{Function, Line};
use wharf_ops::records::{self, RecordView};
use wharf_ops::redrive::{DeadLetter, Fate, Options, Undecodable, look, redrive};
use wharf_ops::replay::{Replayed, replay};
use wharf_webhook::clock::{UnixMillis, UnixSeconds};
use wharf_webhook::ledger::{NotReplayable, RecordKey};
use wharf_webhook::message;

use crate::harness::{ENDPOINTS, Wharf, now, sample, shipped_consumer};

/// All that failed or was parked.
const ALL: Selection = Selection { given_up: GivenUp::Either, endpoint: None, since: None };
/// As `cargo ops redrive` has it.
const REDRIVE: Options = Options { limit: 1000, per_second: 1000, undecodable: Undecodable::Stay };

async fn refuses(_: Delivery) -> Result<(), HandlerError> {
    Err(HandlerError::permanent("there is no such order"))
}

async fn succeeds(_: Delivery) -> Result<(), HandlerError> {
    Ok(())
}

impl Wharf {
    /// Has orders fail for good, a minute ago.
    async fn fail(&self, orders: &[&str]) {
        assert!(self.process(refuses, 10, &self.messages_of(orders)).await.is_empty());
        for order in orders {
            self.was_settled_a_minute_ago(&self.in_state(order, "failed").await).await;
        }
    }

    /// Lets the minute pass for which a replay waits.
    async fn was_settled_a_minute_ago(&self, record: &RecordView) {
        self.change(record, "SET settled_at = :at", now().seconds().0 - 60).await;
    }

    async fn replay(&self, order: &str) -> Replayed {
        replay(&self.deployment(), &key(order), now().seconds()).await.unwrap()
    }

    /// The ids of a selection's newest events, and how many more there are.
    async fn listed(&self, selection: &Selection, limit: usize) -> (Vec<String>, usize) {
        let listing = list(&self.deployment(), selection, limit).await.unwrap();
        assert!(listing.all_counted);
        (listing.events.into_iter().map(|event| event.id).collect(), listing.more)
    }

    async fn bodies_stored(&self) -> usize {
        let s3 = aws_sdk_s3::Client::new(&self.stack.facts().configuration());
        let stored = s3.list_objects_v2().bucket(&self.stack.facts().bucket).send().await.unwrap();
        stored.contents().len()
    }

    /// Puts a message into the dead-letter queue, as SQS does or as the consumer does.
    async fn put_dead_letter(&self, body: &str, group: Option<&str>, reason: Option<&str>) {
        let call = self.sqs().send_message().queue_url(&self.stack.facts().dead_letter_queue_url).message_body(body);
        let reason = reason
            .map(|reason| MessageAttributeValue::builder().data_type("String").string_value(reason).build().unwrap());
        let attributes = reason.map(|reason| [("reason".to_owned(), reason)].into());
        call.set_message_group_id(group.map(str::to_owned)).set_message_attributes(attributes).send().await.unwrap();
    }
}

fn key(order: &str) -> RecordKey {
    RecordKey { event: format!("shop#{order}"), body: "-".into() }
}

#[tokio::test]
async fn failed_and_parked_events_are_listed_newest_first_by_endpoint_kind_and_time() {
    let wharf = Wharf::start().await;
    wharf.pause().await;
    wharf.fail(&["o-1", "o-2", "o-3", "o-4", "o-5"]).await;
    let old = UnixMillis(now().0 - 31 * 24 * 60 * 60 * 1000);
    let old = message::encode(&wharf.delivery_of(r#"{"id":"old","type":"paid"}"#, old)).unwrap();
    assert!(wharf.process(refuses, 10, &[old]).await.is_empty());
    assert!(wharf.process(succeeds, 10, &wharf.messages_of(&["o-6"])).await.is_empty());
    // One after the other, in an order that is not that of their ids.
    let at = 1_754_000_000;
    for (order, settled_at) in [("o-2", at + 1), ("o-5", at + 2), ("old", at + 3), ("o-1", at + 4), ("o-4", at + 5)] {
        let record = wharf.records("shop", order).await.remove(0);
        wharf.change(&record, "SET settled_at = :at, open_at = :at", settled_at).await;
    }

    let ids = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
    assert_eq!(wharf.listed(&ALL, 50).await, (ids(&["o-3", "o-4", "o-1", "old", "o-5", "o-2"]), 0));
    assert_eq!(wharf.listed(&ALL, 2).await, (ids(&["o-3", "o-4"]), 4));
    let of = |endpoint: &str| Selection { endpoint: Some(endpoint.into()), ..ALL };
    assert_eq!(wharf.listed(&of("shop"), 1).await, (ids(&["o-3"]), 5));
    assert_eq!(wharf.listed(&of("sho"), 50).await, (ids(&[]), 0), "another endpoint, though its name begins alike");
    let parked = Selection { given_up: GivenUp::Parked, ..ALL };
    assert_eq!(wharf.listed(&parked, 50).await, (ids(&["old"]), 0));
    let since = |at| Selection { given_up: GivenUp::Failed, since: Some(UnixSeconds(at)), endpoint: None };
    assert_eq!(wharf.listed(&since(at + 4), 50).await, (ids(&["o-3", "o-4", "o-1"]), 0));
    assert_eq!(wharf.listed(&since(at + 5), 50).await, (ids(&["o-3", "o-4"]), 0));

    let newest = list(&wharf.deployment(), &ALL, 1).await.unwrap().events.remove(0);
    assert_eq!((&*newest.endpoint, &*newest.state, newest.attempt, newest.replay), ("shop", "failed", 1, 0));
    assert_eq!(newest.event_type.as_deref(), Some("paid"));
    assert_eq!(newest.reason.as_deref(), Some("the handler failed: there is no such order"));
    assert_eq!(newest.key(), key("o-3"));
}

#[tokio::test]
async fn a_failed_event_is_replayed_once_for_each_request_however_often_its_message_is_delivered() {
    let wharf = Wharf::start_with_orders("").await;
    wharf.pause().await;
    wharf.fail(&["o-1"]).await;

    // Two operators ask at the same time, and one of them again.
    let outcomes = join_all([wharf.replay("o-1"), wharf.replay("o-1")]).await;
    let is_replayed = |outcome: &&Replayed| **outcome == Replayed::Yes { replay: 1, in_queue: true };
    assert_eq!(outcomes.iter().filter(is_replayed).count(), 1, "{outcomes:?}");
    let waiting = wharf.in_state("o-1", "waiting").await;
    assert_eq!((waiting.replay, waiting.attempt, waiting.holds_message), (1, 0, true));
    assert!(waiting.sent_at.is_some());
    let refused = Replayed::Refused(NotReplayable::Waiting { due_at: waiting.due_at.unwrap() });
    assert_eq!(wharf.replay("o-1").await, refused);
    assert_eq!(in_queue(&wharf.deployment()).await.unwrap(), 1);
    assert_eq!(wharf.listed(&ALL, 50).await, (vec![], 0));

    // The queue delivers it three times.
    let (_, record) = records::whole(&wharf.deployment(), "shop", "o-1").await.unwrap().remove(0);
    for _ in 0..2 {
        wharf.queue().send(record.message.clone().unwrap(), "shop").await.unwrap();
    }
    wharf.resume().await;
    let completed = wharf.completed("shop", "o-1").await;
    assert_eq!((completed.replay, completed.attempt, completed.failures.len()), (1, 1, 1));
    wharf.queue_is_empty().await;
    assert_eq!(wharf.sold("tea").await, 1);
    let landed = wharf.logged("it landed", |line| line.text("outcome") == Some("landed")).await;
    assert_eq!(landed.number("replay"), Some(1));
    assert_eq!(wharf.replay("o-1").await, Replayed::Refused(NotReplayable::NotKept));
    assert_eq!(wharf.replay("o-2").await, Replayed::Unknown);
}

#[tokio::test]
async fn a_replay_that_is_cut_short_before_its_message_is_sent_is_finished_by_the_housekeeper() {
    let wharf = Wharf::start_with_orders("").await;
    wharf.pause().await;
    wharf.fail(&["o-1"]).await;
    let mut deployment = wharf.deployment();
    deployment.queue_url.push_str("-that-is-not-there");
    let outcome = replay(&deployment, &key("o-1"), now().seconds()).await.unwrap();
    assert_eq!(outcome, Replayed::Yes { replay: 1, in_queue: false });
    let waiting = wharf.in_state("o-1", "waiting").await;
    assert_eq!((waiting.sent_at, waiting.holds_message), (None, true));
    assert_eq!(in_queue(&wharf.deployment()).await.unwrap(), 0);
    wharf.errands().run(UnixMillis(now().0 + 55_000)).await.unwrap();
    wharf.resume().await;
    assert_eq!(wharf.completed("shop", "o-1").await.replay, 1);
    assert_eq!(wharf.sold("tea").await, 1);
}

#[tokio::test]
async fn a_completed_event_whose_message_is_kept_is_replayed_and_takes_effect_once_more() {
    let wharf = Wharf::start_with_orders("keep_days = 30").await;
    wharf.order(r#"{"id":"o-1","type":"paid"}"#).await;
    let first = wharf.completed("shop", "o-1").await;
    assert!(first.holds_message);
    for replay in [1, 2] {
        wharf.was_settled_a_minute_ago(&wharf.completed("shop", "o-1").await).await;
        assert_eq!(wharf.replay("o-1").await, Replayed::Yes { replay, in_queue: true });
        wharf
            .until("it is completed again", async || {
                let record = wharf.completed("shop", "o-1").await;
                (record.replay == replay && record.attempt == 1 && record.holds_message).then_some(())
            })
            .await;
        assert_eq!(wharf.sold("tea").await, i64::from(replay) + 1);
    }
}

#[tokio::test]
async fn what_the_sender_said_is_shown_from_the_record_or_from_the_bucket_and_no_secret_with_it() {
    let kept = "keep_days = 30\nheaders = [\"authorization\", \"x-note\"]\n";
    let wharf = Wharf::start_with(&format!("{ENDPOINTS}{kept}"), shipped_consumer(), &[]).await;
    let pairs = [("content-type", "application/json"), ("authorization", "Bearer sesame"), ("x-note", "hello")];
    let small = r#"{"id":"small","type":"paid"}"#.to_owned();
    let large = format!(r#"{{"id":"large","type":"paid","fill":"{}"}}"#, "x".repeat(200 * 1024));
    for (id, body) in [("small", &small), ("large", &large)] {
        let body = body.as_bytes();
        let url = format!("{}?tenant=7&token=sesame", wharf.url("shop"));
        assert_eq!(wharf.request("POST", &url, wharf.signed("shop", &pairs, body), body).await.status, 200);
        wharf.completed("shop", id).await;
        let (_, record) = records::whole(&wharf.deployment(), "shop", id).await.unwrap().remove(0);
        let contents = contents(&wharf.deployment(), &record, Some(wharf.endpoint("shop"))).await.unwrap().unwrap();
        assert_eq!(contents.body.0, body);
        assert_eq!((contents.provider.as_str(), contents.secret_index), ("generic", 0));
        assert_eq!(contents.content_type.as_deref(), Some("application/json"));
        assert_eq!(contents.method, "POST");
        assert_eq!(contents.query.as_deref(), Some("tenant=7&token=(hidden: 6 characters)"));
        let shown = [("authorization", "(hidden: 13 characters)"), ("x-note", "hello")];
        assert_eq!(contents.headers, shown.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    // It says so where there is nothing to show.
    let (_, mut record) = records::whole(&wharf.deployment(), "shop", "large").await.unwrap().remove(0);
    let s3 = aws_sdk_s3::Client::new(&wharf.stack.facts().configuration());
    let bucket = &wharf.stack.facts().bucket;
    let reference = format!("bodies/{}/{}", record.body, record.arrival_id);
    s3.put_object().bucket(bucket).key(&reference).body(b"another".to_vec().into()).send().await.unwrap();
    let shown = contents(&wharf.deployment(), &record, Some(wharf.endpoint("shop"))).await.unwrap();
    assert_eq!(shown, Err(NotShown::OtherBody(message::OtherBody)));
    s3.delete_object().bucket(bucket).key(&reference).send().await.unwrap();
    let shown = contents(&wharf.deployment(), &record, Some(wharf.endpoint("shop"))).await.unwrap();
    assert_eq!(shown, Err(NotShown::BodyMissing { reference }));
    record.message = None;
    assert_eq!(
        contents(&wharf.deployment(), &record, Some(wharf.endpoint("shop"))).await.unwrap(),
        Err(NotShown::NotKept)
    );
}

#[tokio::test]
async fn a_forgotten_event_leaves_nothing_behind_and_is_new_when_it_comes_again() {
    let wharf = Wharf::start().await;
    let large = format!(r#"{{"id":"o-1","type":"paid","fill":"{}"}}"#, "x".repeat(200 * 1024));
    wharf.order(&large).await;
    wharf.completed("shop", "o-1").await;
    // A copy, whose body came with another arrival.
    wharf.order(&large).await;
    wharf.logged("the copy is acknowledged", |line| line.text("outcome") == Some("duplicate")).await;
    assert_eq!((wharf.record_count().await, wharf.bodies_stored().await), (1, 2));

    let deployment = wharf.deployment();
    let found = remembered(&deployment, "shop", "o-1").await.unwrap().remove(0);
    assert_eq!((found.bodies.len(), found.equal_bodies.len(), &found.guard), (1, 1, &None));
    let now = now().seconds();
    assert_eq!(forget(&deployment, &found, Bodies::Own, now).await.unwrap(), Forgotten::Yes);
    assert_eq!((wharf.record_count().await, wharf.bodies_stored().await), (0, 1));
    assert_eq!(forget(&deployment, &found, Bodies::Own, now).await.unwrap(), Forgotten::Changed, "it is gone");
    assert!(remembered(&deployment, "shop", "o-1").await.unwrap().is_empty());

    wharf.order(&large).await;
    wharf.completed("shop", "o-1").await;
    let found = remembered(&deployment, "shop", "o-1").await.unwrap().remove(0);
    assert_eq!(forget(&deployment, &found, Bodies::AllEqual, now).await.unwrap(), Forgotten::Yes);
    assert_eq!((wharf.record_count().await, wharf.bodies_stored().await), (0, 0));
}

#[tokio::test]
async fn a_forgotten_body_may_come_again_under_another_id_and_a_guard_of_another_event_stays() {
    let endpoints = "[endpoints.github]\nprovider = \"github\"\nreplay_guard = true\n";
    let wharf = Wharf::start_with(endpoints, shipped_consumer(), &[]).await;
    let body = sample("github-push.json");
    let deployment = wharf.deployment();
    wharf.push("d-1", &body).await;
    wharf.completed("github", "d-1").await;
    assert_eq!(wharf.record_count().await, 2, "the record, and the guard of its body");
    wharf.push("captured", &body).await;
    let is_guarded = |line: &Line| line.function == Function::Consumer && line.text("event_id") == Some("captured");
    assert_eq!(wharf.logged("the guard works", is_guarded).await.text("outcome"), Some("repeated_body"));

    let found = remembered(&deployment, "github", "d-1").await.unwrap().remove(0);
    assert!(found.guard.is_some());
    assert_eq!(forget(&deployment, &found, Bodies::Own, now().seconds()).await.unwrap(), Forgotten::Yes);
    assert_eq!(wharf.record_count().await, 0);
    wharf.push("d-2", &body).await;
    wharf.completed("github", "d-2").await;
    // What was found before cannot take the other event's guard along.
    assert_eq!(forget(&deployment, &found, Bodies::Own, now().seconds()).await.unwrap(), Forgotten::Changed);
    assert_eq!(wharf.record_count().await, 2);
}

#[tokio::test]
async fn an_event_is_not_forgotten_while_a_worker_is_at_it_or_after_it_has_changed() {
    let wharf = Wharf::start_with_orders("").await;
    let deployment = wharf.deployment();
    wharf.order(r#"{"id":"o-1","type":"paid","drill":"crash"}"#).await;
    let record = wharf.in_state("o-1", "processing").await;
    let found = remembered(&deployment, "shop", "o-1").await.unwrap().remove(0);
    let until = record.lease_until.unwrap();
    let held = forget(&deployment, &found, Bodies::Own, until.plus(-1)).await.unwrap();
    assert_eq!(held, Forgotten::Held { until });

    wharf.pause().await;
    wharf.fail(&["o-2"]).await;
    let found = remembered(&deployment, "shop", "o-2").await.unwrap().remove(0);
    assert_eq!(wharf.replay("o-2").await, Replayed::Yes { replay: 1, in_queue: true });
    assert_eq!(forget(&deployment, &found, Bodies::Own, now().seconds()).await.unwrap(), Forgotten::Changed);
    wharf.in_state("o-2", "waiting").await;
}

#[tokio::test]
async fn while_the_consumer_is_paused_events_are_accepted_and_wait_until_it_is_resumed() {
    let wharf = Wharf::start().await;
    let deployment = wharf.deployment();
    assert_eq!(consumption(&deployment).await.unwrap(), Consumption::Running);
    wharf.pause().await;
    wharf.pause().await;
    assert_eq!(consumption(&deployment).await.unwrap(), Consumption::Paused);
    for id in ["o-1", "o-2", "o-3"] {
        assert_eq!(wharf.order(&format!(r#"{{"id":"{id}","type":"paid"}}"#)).await.status, 200);
    }
    // Nothing is waited for here but what must not come.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!((in_queue(&deployment).await.unwrap(), wharf.record_count().await), (3, 0));
    wharf.resume().await;
    assert_eq!(consumption(&deployment).await.unwrap(), Consumption::Running);
    for id in ["o-1", "o-2", "o-3"] {
        wharf.completed("shop", id).await;
    }
}

#[tokio::test]
async fn the_dead_letter_queue_is_emptied_into_the_queue_but_for_what_is_no_delivery() {
    let wharf = Wharf::start_with_orders("").await;
    let deployment = wharf.deployment();
    wharf.pause().await;
    let names: Vec<String> = (1..=23).map(|number| format!("o-{number}")).collect();
    let orders: Vec<&str> = names.iter().map(String::as_str).collect();
    for message in wharf.messages_of(&orders) {
        wharf.put_dead_letter(&message, Some("shop"), None).await;
    }
    wharf.put_dead_letter("hello", None, Some("it is no delivery")).await;

    let mut would_move = vec![];
    let looked =
        look(&deployment, &REDRIVE, &mut |letter, fate| would_move.push((letter.clone(), fate))).await.unwrap();
    assert_eq!((looked.moved, looked.stayed, looked.left), (23, 1, 24));
    assert_eq!(in_queue(&deployment).await.unwrap(), 0, "nothing was changed");
    let few = Options { limit: 3, ..REDRIVE };
    assert_eq!(look(&deployment, &few, &mut |_, _| {}).await.unwrap().moved, 3, "and all of it can be seen again");
    let (letter, fate) = would_move.iter().find(|(letter, _)| letter.delivery.is_err()).unwrap();
    assert_eq!((letter.reason.as_deref(), *fate), (Some("it is no delivery"), Fate::Stays));
    let is_first = |letter: &DeadLetter| letter.delivery.as_ref().is_ok_and(|delivery| delivery.id == "o-1");
    let (letter, fate) = would_move.iter().find(|(letter, _)| is_first(letter)).unwrap();
    let delivery = letter.delivery.as_ref().unwrap();
    assert_eq!((&*delivery.endpoint, delivery.event_type.as_deref(), *fate), ("shop", Some("paid"), Fate::Moved));

    let mut moved = 0;
    let mut hear = |_: &DeadLetter, fate| moved += usize::from(fate == Fate::Moved);
    let summary = redrive(&deployment, &REDRIVE, &mut hear).await.unwrap();
    assert_eq!((summary.moved, summary.stayed, summary.left, moved), (23, 1, 1, 23));
    assert_eq!(in_queue(&deployment).await.unwrap(), 23);
    assert_eq!(wharf.dead_letters().await, [("hello".to_owned(), Some("it is no delivery".to_owned()))]);
    wharf.resume().await;
    for order in orders {
        wharf.completed("shop", order).await;
    }
    wharf.queue_is_empty().await;
    assert_eq!(wharf.sold("tea").await, 23);
}

#[tokio::test]
async fn a_redrive_keeps_its_pace_and_ends_even_if_what_it_moves_comes_back() {
    let wharf = Wharf::start().await;
    let deployment = wharf.deployment();
    for number in 0..5 {
        wharf.put_dead_letter(&format!("hello {number}"), None, None).await;
    }
    let options = Options { per_second: 10, undecodable: Undecodable::Move, ..REDRIVE };
    let started = std::time::Instant::now();
    let mut moved = Vec::new();
    let mut hear = |letter: &DeadLetter, fate: Fate| {
        if fate == Fate::Moved {
            moved.push(letter.message_id.clone());
        }
    };
    let summary = redrive(&deployment, &options, &mut hear).await.unwrap();
    assert!(started.elapsed() > Duration::from_millis(400), "five messages, a tenth of a second apart");
    assert_eq!((summary.moved, moved.len()), (5, 5));
    // The consumer gives them up once more.
    wharf
        .until("they are back", async || {
            (wharf.messages(&wharf.stack.facts().dead_letter_queue_url).await == 5).then_some(())
        })
        .await;
}

#[tokio::test]
async fn a_stage_is_reached_by_what_its_stack_says_of_itself() {
    let wharf = Wharf::start().await;
    let facts = wharf.stack.facts();
    let stage = Deployment::of_stage(facts.configuration(), "local").await.unwrap();
    assert_eq!(stage.name(), "stage local");
    let names = [&stage.table, &stage.bucket, &stage.consumer_function, &stage.queue_url, &stage.dead_letter_queue_url];
    let expected =
        [&facts.table, &facts.bucket, &facts.consumer_function, &facts.queue_url, &facts.dead_letter_queue_url];
    assert_eq!(names, expected);
    assert_eq!(consumption(&stage).await.unwrap(), Consumption::Running);

    let error = Deployment::of_stage(facts.configuration(), "production").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "there is no stack wharf-production in us-east-1: is the stage \"production\" deployed, in this region, by this \
         account?"
    );
}
