//! Someone forges requests by the thousand: it costs no write anywhere, and no memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use http::HeaderMap;
use serde_json::Value;

use crate::harness::{Wharf, headers, sample};
use crate::lambda::Door;
use crate::proxy::{Call, Fault, Proxy};

/// How many requests are forged.
const REQUESTS: usize = 10_000;
/// How much memory the receiver may need more at the end than after the first thousand: pages of the allocator, in KiB.
const GROWTH_KIB_MAX: u64 = 1024;
/// The longest line that a forged request may leave in the log, in bytes.
const LINE_BYTES_MAX: usize = 1024;

/// How much memory a process has, in KiB.
fn resident_kib(process_id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process_id}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn ten_thousand_forged_requests_cost_no_write_and_no_memory_and_name_no_metric() {
    let wharf = Wharf::start().await;
    let calls = Arc::new(Mutex::new(BTreeMap::<String, usize>::new()));
    let counted = Arc::clone(&calls);
    let decide = move |call: &Call<'_>| {
        *counted.lock().unwrap().entry(call.operation.to_owned()).or_default() += 1;
        Fault::None
    };
    let (proxy, _) = Proxy::start(&wharf.stack.facts().aws_endpoint_url, decide).await;
    let door = Door::start(&wharf, "flood", &proxy.url, &[]).await;
    let push = sample("github-push.json");
    let mut after_the_first_thousand = 0;
    for number in 0..REQUESTS {
        let name = format!("attacker-{number}-{}", "x".repeat(500));
        // Each says something else wherever something could be kept of it.
        let forged: HeaderMap = headers(&[
            ("content-type", "application/json"),
            ("x-github-event", &name),
            ("x-github-delivery", &name),
            ("x-hub-signature-256", &format!("sha256={number:064x}")),
            ("x-forwarded-for", &format!("10.{}.{}.1", number / 256, number % 256)),
        ]);
        let (endpoint, body, status) = match number % 5 {
            0 => (name.as_str(), &push[..], 404),
            1 => ("shop", b"{}".as_slice(), 400),
            2 => ("_probe", b"{}".as_slice(), 404),
            _ => ("github", &push[..], 400),
        };
        assert_eq!(door.post(endpoint, &forged, body).await["statusCode"], status, "{number}");
        if number == REQUESTS / 10 {
            after_the_first_thousand = resident_kib(door.lambda.process_id());
        }
    }
    let at_the_end = resident_kib(door.lambda.process_id());
    println!("{after_the_first_thousand} KiB after the first thousand, {at_the_end} KiB at the end");
    assert!(at_the_end <= after_the_first_thousand + GROWTH_KIB_MAX);
    let calls = calls.lock().unwrap().clone();
    println!("calls to AWS: {calls:?}");
    let called: Vec<&str> = calls.keys().map(String::as_str).collect();
    assert_eq!(called, ["GetParameters", "GetQueueAttributes"], "secrets are read, and nothing is written");
    assert_eq!(calls["GetQueueAttributes"], 1, "a connection to SQS, at the start");

    let log = door.lambda.log();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(log.lines().all(|line| line.len() <= LINE_BYTES_MAX));
    let refused = lines.iter().filter(|line| line["outcome"] == "refused").count();
    assert_eq!(refused, REQUESTS, "each has its line");
    let named = |dimension: &str| {
        let mut values: Vec<&str> = lines.iter().filter_map(|line| line[dimension].as_str()).collect();
        values.sort_unstable();
        values.dedup();
        values
    };
    assert_eq!(named("Endpoint"), ["github", "shop"]);
    assert_eq!(named("Reason"), ["bad_signature", "malformed", "unknown_endpoint"]);
    assert!(
        wharf.s3().list_objects_v2().bucket(&wharf.stack.facts().bucket).send().await.unwrap().contents().is_empty()
    );
    assert_eq!(wharf.record_count().await, 0);
}
