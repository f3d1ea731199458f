//! The bytes that were signed are the bytes that are processed.
//!
//! API Gateway hands some bodies over as text and some as base64. The consumer's record holds the digest of the body that
//! came out of the queue; the literals here are the digests of what was posted.

use serde_json::json;
use wharf::Delivery;
use wharf::bodies::Bodies;
use wharf::consumer::HandlerError;
use wharf::consumer::batch::Consumer;
use wharf_ops::log_tail::Line;
use wharf_webhook::idempotency::Digest;

use crate::harness::{ENDPOINTS, Wharf, record_of, sample, shipped_consumer};
use crate::lambda::{Door, Lambda};
use crate::proxy::{Call, Fault, Proxy};

/// An endpoint whose sender sends anything.
pub const ANYTHING: &str = r#"
[endpoints.anything]
provider = "generic"
signature = { header = "X-Signature" }
event_id = "header:X-Id"
"#;

#[tokio::test]
async fn form_and_non_utf8_bodies_keep_their_exact_bytes() {
    let wharf = Wharf::start_with(ANYTHING, shipped_consumer(), &[]).await;
    let push = sample("github-push.json");
    let cases: [(&str, Option<&str>, &[u8], &str); 9] = [
        ("json", Some("application/json"), &push, "b80208ccf35d987558554fbeaa3c3b7143826cd0d26b0fd355143ca3ad328c0c"),
        (
            "form",
            Some("application/x-www-form-urlencoded"),
            b"payload=%7B%7D&a=1+2&a=%C3%A9",
            "b49d2978928b10bc6cdfa84fe9a22aa53c582fa453ecb07c7e6e2ca1456d85d5",
        ),
        (
            "bytes",
            Some("application/octet-stream"),
            b"\x00\xff\xfe\r\n\x80",
            "c941553e3c5f10e58a21a31eb011614eac184ef80b8f411b806ab7b32d659558",
        ),
        ("untyped", None, b"\xc3\x28 not utf-8", "5e30c4f8ef39c7b41af898024a131aae17c9059a868e3018f770c67fc83c7ad5"),
        (
            "text",
            Some("text/plain; charset=utf-8"),
            "Zürich \u{1F600}\r\n".as_bytes(),
            "78e440f043213027fb4d9df3d8fb2c7e7c932bffebe926526cf35f90c2d37d60",
        ),
        (
            "crlf",
            Some("text/plain"),
            b"a: 1\r\nb: 2\r\n\r\n\r",
            "64fcf0c7cc47a01ca2d55bb95037dd9db2bca077fd0d71faa0e211d6e5f23277",
        ),
        (
            "nul",
            Some("text/plain"),
            b"a\x00b\x00\x00",
            "8810e7f8541fdfb6dd46a5f8414fd2e638432bac181da615a9ad293adee675e2",
        ),
        (
            "emoji",
            Some("application/json"),
            "{\"mood\":\"\u{1F469}\u{200D}\u{1F680} \u{1F600}\"}".as_bytes(),
            "77430d30420ec90e34b118872be40979e442055fd2b46718d97eb66674bb8fc2",
        ),
        ("empty", None, b"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    ];
    for (id, content_type, body, digest) in cases {
        let mut pairs = vec![("x-id", id)];
        pairs.extend(content_type.map(|content_type| ("content-type", content_type)));
        let answer = wharf.post("anything", wharf.signed("anything", &pairs, body), body).await;
        assert_eq!(answer.status, 200, "{id}: {}", answer.body);
        assert_eq!(wharf.completed("anything", id).await.body_sha256, digest, "{id}");
    }
}

#[tokio::test]
async fn a_body_over_192_kib_travels_by_the_bucket_and_lands_as_it_was_signed() {
    let wharf = Wharf::start().await;
    let body = format!(r#"{{"id":"o-1","text":"{}"}}"#, "ü".repeat(300 * 1024 / 2));
    assert_eq!(wharf.order(&body).await.status, 200);
    let record = wharf.completed("shop", "o-1").await;
    assert_eq!(record.body_sha256, Digest::of(body.as_bytes()).to_string());
    let is_it = |line: &Line| line.number("body_bytes") == Some(i64::try_from(body.len()).unwrap());
    let line =
        wharf.logged("the handler has the whole body", |line| is_it(line) && line.text("outcome").is_none()).await;
    assert_eq!(line.text("endpoint"), Some("shop"));
}

#[tokio::test]
async fn ten_bodies_of_five_megabytes_in_one_batch_land_as_they_were_signed() {
    let wharf = Wharf::start_with(ANYTHING, shipped_consumer(), &[]).await;
    wharf.pause().await;
    let mut digests = Vec::new();
    for number in 0..10_u8 {
        // Every byte there is, among them those that no text has.
        let body: Vec<u8> = (0..5_000_000_u32).map(|at| (at.wrapping_mul(31) >> 3) as u8 ^ number).collect();
        let id = format!("large-{number}");
        let pairs = [("content-type", "application/octet-stream"), ("x-id", &id)];
        let answer = wharf.post("anything", wharf.signed("anything", &pairs, &body), &body).await;
        assert_eq!(answer.status, 200, "{id}: {}", answer.body);
        digests.push(Digest::of(&body).to_string());
    }
    wharf.resume().await;
    for (number, digest) in digests.iter().enumerate() {
        let record = wharf.completed("anything", &format!("large-{number}")).await;
        assert_eq!((record.body_sha256.as_str(), record.attempt), (digest.as_str(), 1));
    }
    assert_eq!(wharf.handled().await, 10);
}

/// What Lambda gives each function, in KiB.
const MEMORY_KIB: u64 = 256 * 1024;

/// The most memory that a process has had, in KiB.
fn peak_kib(process_id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process_id}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn the_largest_bodies_fit_the_memory_of_receiver_and_consumer() {
    let endpoints = format!("{ENDPOINTS}{ANYTHING}");
    let wharf = Wharf::start_with(&endpoints, shipped_consumer(), &[]).await;
    wharf.pause().await;
    let aws = &wharf.stack.facts().aws_endpoint_url;
    let door = Door::start_with(&wharf, "largest", ANYTHING, aws, &[]).await;
    for number in 0..10_u8 {
        let body = vec![number; 6 * 1024 * 1024];
        let answer =
            door.post("anything", &wharf.signed("anything", &[("x-id", &number.to_string())], &body), &body).await;
        assert_eq!(answer["statusCode"], 200);
    }
    let receiver = peak_kib(door.lambda.process_id());
    let messages = wharf.receive(60).await;
    assert_eq!(messages.len(), 10, "one batch of all");
    let consumer = Lambda::start(&wharf, "largest-consumer", &shipped_consumer(), &endpoints, aws, &[]).await;
    let records: Vec<_> = messages.iter().map(record_of).collect();
    let answer = consumer.invoke(&json!({ "Records": records }), 30).await.unwrap();
    assert_eq!(answer["batchItemFailures"], json!([]));
    let consumer = peak_kib(consumer.process_id());
    println!("at most {receiver} KiB in the receiver, {consumer} KiB in the consumer");
    assert!(receiver < MEMORY_KIB / 2 && consumer < MEMORY_KIB / 2);
}

#[tokio::test]
async fn a_body_that_is_missing_from_the_bucket_or_was_changed_fails_its_event_and_says_so() {
    let wharf = Wharf::start().await;
    wharf.pause().await;
    let body = |id: &str| format!(r#"{{"id":"{id}","text":"{}"}}"#, "x".repeat(200 * 1024));
    let (s3, bucket) = (wharf.s3(), wharf.stack.facts().bucket.clone());
    wharf.order(&body("missing")).await;
    let objects = s3.list_objects_v2().bucket(&bucket).send().await.unwrap().contents.unwrap();
    assert_eq!(objects.len(), 1);
    let key = objects[0].key().unwrap();
    assert!(key.starts_with(&format!("bodies/{}/", Digest::of(body("missing").as_bytes()))), "{key}");
    s3.delete_object().bucket(&bucket).key(key).send().await.unwrap();
    wharf.order(&body("changed")).await;
    let objects = s3.list_objects_v2().bucket(&bucket).send().await.unwrap().contents.unwrap();
    let changed = s3.put_object().bucket(&bucket).key(objects[0].key().unwrap());
    changed.body(b"another".to_vec().into()).send().await.unwrap();
    wharf.resume().await;
    let reason = async |id| wharf.in_state(id, "failed").await.failures.remove(0).reason;
    assert_eq!(reason("missing").await, format!("its body is not in the bucket any more: {key}"));
    assert_eq!(reason("changed").await, "the stored body is not the one that was signed: its digest is another");
    assert_eq!(wharf.handled().await, 0);
    let missing: i64 = wharf.log().await.iter().filter_map(|line| line.number("BodiesMissing")).sum();
    assert_eq!(missing, 2, "the metric that an alarm watches");
}

#[tokio::test]
async fn a_body_that_stalls_is_an_attempt_of_ours_which_does_not_count_and_no_interruption() {
    let policy = "on_interrupted = \"park\"\nretry = { attempts = 1 }\n";
    let wharf = Wharf::start_with(&format!("{ENDPOINTS}{policy}"), shipped_consumer(), &[]).await;
    wharf.pause().await;
    for order in [format!(r#"{{"id":"large","text":"{}"}}"#, "x".repeat(200 * 1024)), r#"{"id":"small"}"#.to_owned()] {
        assert_eq!(wharf.order(&order).await.status, 200);
    }
    let mut messages: Vec<String> = wharf.receive(600).await.into_iter().map(|message| message.body.unwrap()).collect();
    messages.sort_by_key(|message| !message.contains("large"));
    assert_eq!(messages.len(), 2);
    let decide = |call: &Call<'_>| if call.operation == "GET" { Fault::Stalls } else { Fault::None };
    let (proxy, _) = Proxy::start(&wharf.stack.facts().aws_endpoint_url, decide).await;
    let handles = async |delivery: Delivery| match delivery.event_id().unwrap().text.as_str() {
        "small" => Ok(()),
        id => Err(HandlerError::permanent(format!("{id} was handled"))),
    };
    let bodies = Bodies::new(&wharf.configuration_through(&proxy.url), &wharf.stack.facts().bucket);
    let consumer = Consumer { bodies, ..wharf.consumer(handles) };
    assert_eq!(wharf.process_by(&consumer, 5, &messages, 1).await, [0]);
    let waiting = wharf.in_state("large", "waiting").await;
    assert_eq!((waiting.attempt, waiting.interruptions), (0, 0));
    let reason = &waiting.failures[0].reason;
    assert!(reason.starts_with("its body cannot be fetched: S3: the object was not read within "), "{reason}");
    assert_eq!(wharf.completed("shop", "small").await.attempt, 1);

    // When S3 answers, it is the first attempt.
    wharf.is_due(&waiting).await;
    assert!(wharf.process(async |_| Ok(()), 10, &messages).await.is_empty());
    assert_eq!(wharf.completed("shop", "large").await.attempt, 1);
}

#[tokio::test]
async fn while_the_bucket_is_gone_a_large_body_gets_503_and_is_not_in_the_queue() {
    let wharf = Wharf::start().await;
    wharf.pause().await;
    wharf.s3().delete_bucket().bucket(&wharf.stack.facts().bucket).send().await.unwrap();
    let answer = wharf.order(&format!(r#"{{"id":"o-1","text":"{}"}}"#, "x".repeat(200 * 1024))).await;
    assert_eq!((answer.status, answer.headers["retry-after"].to_str().unwrap()), (503, "30"));
    assert_eq!(wharf.messages(&wharf.stack.facts().queue_url).await, 0);
    assert_eq!(wharf.order(r#"{"id":"o-2"}"#).await.status, 200, "small ones have no need of it");
}
