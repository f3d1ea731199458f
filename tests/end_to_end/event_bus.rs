//! Events of endpoints with `deliver = "eventbridge"` go to the stack's bus, at least once.

use aws_sdk_eventbridge::types::Target;
use serde_json::{Value, json};
use wharf::Delivery;
use wharf::consumer::HandlerError;
use wharf::consumer::batch::Consumer;
use wharf::consumer::event_bus::EventBus;

use crate::harness::{ENDPOINTS, Wharf, shipped_consumer};
use crate::proxy::{Call, Fault, Proxy};

const NOBODY: fn(Delivery) -> std::future::Ready<Result<(), HandlerError>> =
    |_| std::future::ready(Err("no handler is asked".into()));

/// A stack whose shop's events go to the bus, and a queue that a rule with this pattern sends them to.
async fn start(pattern: &Value) -> (Wharf, String) {
    let wharf = Wharf::start_with(&format!("{ENDPOINTS}deliver = \"eventbridge\"\n"), shipped_consumer(), &[]).await;
    let queue = wharf.sqs().create_queue().queue_name("listener").send().await.unwrap().queue_url.unwrap();
    let bus = wharf.stack.output("EventBusName").unwrap();
    let events = aws_sdk_eventbridge::Client::new(&wharf.stack.facts().configuration());
    let rule = events.put_rule().name("listener").event_bus_name(bus).event_pattern(pattern.to_string());
    rule.send().await.unwrap();
    let target = Target::builder().id("queue").arn("arn:aws:sqs:us-east-1:000000000000:listener").build().unwrap();
    let targets = events.put_targets().rule("listener").event_bus_name(bus).targets(target);
    assert_eq!(targets.send().await.unwrap().failed_entry_count, 0);
    (wharf, queue)
}

impl Wharf {
    /// The events that a rule sent to a queue.
    async fn heard(&self, queue: &str) -> Vec<Value> {
        let call = self.sqs().receive_message().queue_url(queue).max_number_of_messages(10);
        let messages = call.send().await.unwrap().messages.unwrap_or_default();
        messages.iter().map(|message| serde_json::from_str(message.body().unwrap()).unwrap()).collect()
    }
}

#[tokio::test]
async fn an_event_is_on_the_bus_with_source_type_key_and_its_body_as_json() {
    let pattern =
        json!({ "source": ["wharf.shop"], "detail-type": ["paid"], "detail": { "body": { "amount": [12.50] } } });
    let (wharf, queue) = start(&pattern).await;
    wharf.order(r#"{"id":"o-0","type":"lost"}"#).await;
    let answer = wharf.order(r#"{"id":"o-1","type":"paid","amount":12.50}"#).await;
    let event = wharf.until("the rule matches", async || wharf.heard(&queue).await.pop()).await;
    assert_eq!(event["source"], "wharf.shop");
    assert_eq!(event["detail-type"], "paid");
    let detail = &event["detail"];
    let answer: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(detail["arrival_id"], answer["arrival_id"]);
    assert_eq!(detail["endpoint"], "shop");
    assert_eq!((&detail["key"], &detail["replay"]), (&json!("o-1"), &json!(0)));
    assert_eq!(detail["body"], json!({ "id": "o-1", "type": "paid", "amount": 12.5 }));
    assert!(detail.get("body_base64").is_none() && detail.get("body_reference").is_none());
    wharf.completed("shop", "o-1").await;
    wharf.completed("shop", "o-0").await;
    wharf.queue_is_empty().await;
    assert!(wharf.heard(&queue).await.is_empty(), "the other one has another type");
    assert_eq!(wharf.handled().await, 0, "the handler has nothing to do with it");
}

#[tokio::test]
async fn a_body_that_is_no_json_is_on_the_bus_in_base64_and_a_large_one_by_reference() {
    let (wharf, queue) = start(&json!({ "source": [{ "prefix": "wharf." }] })).await;
    let post = async |query: &str, body: &[u8]| {
        let pairs = [("content-type", "application/octet-stream")];
        let url = format!("{}{query}", wharf.url("shop"));
        wharf.request("POST", &url, wharf.signed("shop", &pairs, body), body).await
    };
    assert_eq!(post("?tenant=7&name=a%20b", b"\xff\x00").await.status, 200);
    let event = wharf.until("it is on the bus", async || wharf.heard(&queue).await.pop()).await;
    assert_eq!(event["detail-type"], "webhook");
    assert_eq!(event["detail"]["body_base64"], "/wA=");
    assert_eq!(
        (&event["detail"]["method"], &event["detail"]["query"]),
        (&json!("POST"), &json!("tenant=7&name=a%20b"))
    );

    let large = vec![b'x'; 192 * 1024 + 1];
    assert_eq!(post("", &large).await.status, 200);
    let event = wharf.until("it is on the bus", async || wharf.heard(&queue).await.pop()).await;
    let reference = &event["detail"]["body_reference"];
    assert_eq!(reference["bucket"], wharf.stack.facts().bucket.as_str());
    let s3 = aws_sdk_s3::Client::new(&wharf.stack.facts().configuration());
    let object = s3.get_object().bucket(&wharf.stack.facts().bucket).key(reference["key"].as_str().unwrap());
    let stored = object.send().await.unwrap().body.collect().await.unwrap().to_vec();
    assert!(stored == large, "what is stored is what was posted");
}

#[tokio::test]
async fn an_event_that_the_bus_does_not_take_now_is_tried_again_and_one_that_it_never_takes_has_failed() {
    let (wharf, _) = start(&json!({ "source": ["nobody"] })).await;
    // A call that succeeds says so of each entry.
    let busy = r#"{"FailedEntryCount":1,"Entries":[{"ErrorCode":"InternalFailure","ErrorMessage":"busy"}]}"#;
    let never = r#"{"FailedEntryCount":1,"Entries":[{"ErrorCode":"MalformedDetail","ErrorMessage":"too deep"}]}"#;
    let decide = move |call: &Call<'_>| match call.number {
        0 => Fault::Says(busy),
        1 => Fault::Says(never),
        _ => Fault::None,
    };
    let (proxy, _) = Proxy::start(&wharf.stack.facts().aws_endpoint_url, decide).await;
    let bus = wharf.stack.output("EventBusName").unwrap().to_owned();
    let event_bus = EventBus::new(&wharf.configuration_through(&proxy.url), bus, "bucket".into());
    let consumer = Consumer { event_bus, ..wharf.consumer(NOBODY) };

    let messages = wharf.messages_of(&["o-1", "o-2"]);
    assert_eq!(wharf.process_by(&consumer, 10, &messages[..1], 1).await, [0]);
    let waiting = wharf.in_state("o-1", "waiting").await;
    assert_eq!(waiting.failures[0].reason, "EventBridge: InternalFailure: busy");
    assert!(wharf.process_by(&consumer, 10, &messages[1..], 1).await.is_empty());
    let failed = wharf.in_state("o-2", "failed").await;
    assert_eq!(failed.failures[0].reason, "EventBridge does not take the event: MalformedDetail: too deep");
    wharf.is_due(&waiting).await;
    assert!(wharf.process_by(&consumer, 10, &messages[..1], 1).await.is_empty());
    assert_eq!(wharf.in_state("o-1", "completed").await.attempt, 2);
}
