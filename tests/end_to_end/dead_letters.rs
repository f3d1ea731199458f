//! One bad message hurts only itself.

use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use wharf_webhook::message;

use crate::harness::Wharf;

#[tokio::test]
async fn a_message_that_is_not_ours_goes_alone_to_the_dead_letter_queue_while_its_nine_neighbours_complete() {
    let wharf = Wharf::start().await;
    let stranger = "{\"hello\":\"I am not a delivery\"}";
    let bodies = (1..=9)
        .map(|number| message::encode(&wharf.delivery(&format!("o-{number}"))).unwrap())
        .chain([stranger.to_owned()]);
    let entries = bodies.enumerate().map(|(index, body)| {
        SendMessageBatchRequestEntry::builder().id(index.to_string()).message_body(body).build().unwrap()
    });
    let batch = wharf.sqs().send_message_batch().queue_url(&wharf.stack.facts().queue_url);
    let sent = batch.set_entries(Some(entries.collect())).send().await.unwrap();
    assert!(sent.failed().is_empty(), "{sent:?}");

    for number in 1..=9 {
        assert_eq!(wharf.completed("shop", &format!("o-{number}")).await.attempt, 1);
    }
    wharf.queue_is_empty().await;
    let dead_letters = wharf.dead_letters().await;
    assert_eq!(dead_letters.len(), 1, "{dead_letters:?}");
    let (body, reason) = &dead_letters[0];
    assert_eq!(body, stranger);
    assert_eq!(reason.as_deref(), Some("Data error at line 1 column 31"));
    assert_eq!(wharf.handled().await, 9);
}

#[tokio::test]
async fn a_message_of_a_newer_release_stays_in_the_queue_for_it() {
    let wharf = Wharf::start().await;
    let newer = message::encode(&wharf.delivery("o-1")).unwrap().replace("\"wharfversion\":1", "\"wharfversion\":2");
    wharf.sqs().send_message().queue_url(&wharf.stack.facts().queue_url).message_body(newer).send().await.unwrap();
    wharf.logged("it is left alone", |line| line.text("reason") == Some("newer_version")).await;
    assert_eq!(wharf.messages(&wharf.stack.facts().queue_url).await, 1);
    assert_eq!(wharf.messages(&wharf.stack.facts().dead_letter_queue_url).await, 0);
    assert_eq!(wharf.record_count().await, 0);
}
