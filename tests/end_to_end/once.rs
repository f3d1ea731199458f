//! Every event is processed once, however often it arrives.

use std::collections::HashSet;

use futures_util::future::join_all;
use wharf_ops::log_tail::{Function, Line};

use crate::harness::{Wharf, sample};

#[tokio::test]
async fn a_signed_push_is_handled_once() {
    let wharf = Wharf::start().await;
    let answer = wharf.push("d-1", &sample("github-push.json")).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let record = wharf.completed("github", "d-1").await;
    assert_eq!(record.event_key, "github#d-1");
    assert_eq!(record.attempt, 1);
    assert_eq!(record.event_type.as_deref(), Some("push"));
    assert_eq!(
        record.expires_at.0 - record.settled_at.unwrap().0,
        3_024_000,
        "35 days, longer than any sender repeats an event"
    );
    wharf.queue_is_empty().await;
    assert_eq!(wharf.handled().await, 1);
}

#[tokio::test]
async fn fifty_copies_at_once_are_handled_once() {
    let wharf = Wharf::start().await;
    wharf.messages_come_back_after(1).await;
    let body = sample("github-push.json");
    let answers = join_all((0..50).map(|_| wharf.push("d-1", &body))).await;
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    wharf.queue_is_empty().await;
    assert_eq!(wharf.completed("github", "d-1").await.attempt, 1);
    // A message whose second is over before its batch is comes twice, so messages are counted, not lines.
    wharf
        .until("all fifty are acknowledged", async || {
            let log = wharf.log().await;
            let is_settled = |line: &&Line| matches!(line.text("outcome"), Some("landed" | "duplicate"));
            let messages: HashSet<_> = log.iter().filter(is_settled).map(|line| line.text("message_id")).collect();
            (messages.len() == 50).then_some(())
        })
        .await;
    assert_eq!(wharf.count(Function::Consumer, "landed").await, 1);
    assert_eq!(wharf.handled().await, 1);
}

#[tokio::test]
async fn the_same_id_after_completion_runs_nothing() {
    let wharf = Wharf::start().await;
    let body = sample("github-push.json");
    wharf.push("d-1", &body).await;
    let first = wharf.completed("github", "d-1").await;
    assert_eq!(wharf.push("d-1", &body).await.status, 200);
    wharf.logged("the copy is acknowledged", |line| line.text("outcome") == Some("duplicate")).await;
    wharf.queue_is_empty().await;
    assert_eq!(wharf.handled().await, 1);
    assert_eq!(wharf.records("github", "d-1").await, [first], "the record is untouched");
}

#[tokio::test]
async fn another_body_under_an_unsigned_id_is_another_event_and_under_a_signed_id_the_same() {
    let wharf = Wharf::start().await;
    // GitHub's id is a header that nothing signs.
    wharf.push("d-1", b"{\"a\":1}").await;
    wharf.push("d-1", b"{\"a\":2}").await;
    wharf
        .until("both are completed", async || {
            let records = wharf.records("github", "d-1").await;
            (records.len() == 2 && records.iter().all(|record| record.state == "completed")).then_some(())
        })
        .await;
    // The shop's id is in the signed body.
    wharf.order(r#"{"id":"o-1","type":"paid","sends":1}"#).await;
    wharf.completed("shop", "o-1").await;
    wharf.order(r#"{"id":"o-1","type":"paid","sends":2}"#).await;
    let is_it = |line: &Line| line.text("outcome") == Some("duplicate_with_other_body");
    wharf.logged("the copy is acknowledged, and counted apart", is_it).await;
    assert_eq!(wharf.count(Function::Consumer, "duplicate").await, 0);
    assert_eq!(wharf.records("shop", "o-1").await.len(), 1);
    wharf.queue_is_empty().await;
    assert_eq!(wharf.handled().await, 3);
}
