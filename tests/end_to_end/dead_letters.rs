//! One bad message hurts only itself.

use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use wharf_webhook::delivery::{Arrival, Delivery};
use wharf_webhook::message;
use wharf_webhook::secret::Secrets;
use wharf_webhook::signature::{Request, verify};

use crate::harness::{Wharf, now};

impl Wharf {
    /// The queue message of an order, made by the code that the receiver runs.
    fn message(&self, id: &str) -> String {
        let body = format!(r#"{{"id":"{id}","type":"paid"}}"#).into_bytes();
        let endpoint = self.endpoint("shop");
        let headers = self.signed("shop", &[], &body);
        let secrets = Secrets::parse(self.secret("shop"), endpoint.provider.signature.secret).unwrap();
        let request = Request { headers: &headers, body: &body };
        let verified = verify(&endpoint.provider, request, &secrets, now().seconds()).unwrap();
        let arrival = Arrival {
            endpoint: "shop".into(),
            provider: "generic".into(),
            arrival_id: format!("arrival-{id}"),
            received_at: now(),
            content_type: None,
            headers: vec![],
        };
        message::encode(&Delivery::accept(verified, arrival, body)).unwrap()
    }
}

#[tokio::test]
async fn a_message_that_is_not_ours_goes_alone_to_the_dead_letter_queue_while_its_nine_neighbours_complete() {
    let wharf = Wharf::start().await;
    let stranger = "{\"hello\":\"I am not a delivery\"}";
    let bodies = (1..=9).map(|number| wharf.message(&format!("o-{number}"))).chain([stranger.to_owned()]);
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
    let newer = wharf.message("o-1").replace("\"wharfversion\":1", "\"wharfversion\":2");
    wharf.sqs().send_message().queue_url(&wharf.stack.facts().queue_url).message_body(newer).send().await.unwrap();
    wharf.logged("it is left alone", |line| line.text("reason") == Some("newer_version")).await;
    assert_eq!(wharf.messages(&wharf.stack.facts().queue_url).await, 1);
    assert_eq!(wharf.messages(&wharf.stack.facts().dead_letter_queue_url).await, 0);
    assert_eq!(wharf.record_count().await, 0);
}
