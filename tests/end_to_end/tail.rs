//! Following the logs, as `cargo ops tail` does.

use std::sync::atomic::{AtomicUsize, Ordering};

use aws_sdk_cloudwatchlogs::types::InputLogEvent;
use wharf_ops::log_tail::{Function, Line, LogTail};
use wharf_ops::stack::Facts;
use wharf_webhook::clock::UnixMillis;

use crate::harness::{Wharf, headers, now};
use crate::proxy::{Call, Fault, Proxy};

impl Wharf {
    /// Writes lines into a stream of the consumer's log, each with the instant of CloudWatch's time-stamp.
    async fn write_log(&self, stream: &str, lines: &[(UnixMillis, &str)]) {
        let logs = aws_sdk_cloudwatchlogs::Client::new(&self.stack.facts().configuration());
        let group = &self.stack.facts().consumer_log_group;
        let _ = logs.create_log_stream().log_group_name(group).log_stream_name(stream).send().await;
        let event = |(at, id): &(UnixMillis, &str)| {
            let message = format!(r#"{{"outcome":"landed","endpoint":"shop","event_id":"{id}"}}"#);
            InputLogEvent::builder().timestamp(at.0).message(message).build().unwrap()
        };
        for lines in lines.chunks(5000) {
            let events = lines.iter().map(event).collect();
            let put = logs.put_log_events().log_group_name(group).log_stream_name(stream).set_log_events(Some(events));
            put.send().await.unwrap();
        }
    }
}

/// What landed, by ids, in the order in which it was told.
fn landed(lines: &[Line]) -> Vec<&str> {
    let landed = lines.iter().filter(|line| line.function == Function::Consumer);
    landed.filter_map(|line| line.text("event_id")).collect()
}

#[tokio::test]
async fn a_delivery_is_told_at_the_door_and_when_it_lands_and_no_line_twice() {
    let wharf = Wharf::start().await;
    let mut tail = LogTail::new(&wharf.deployment(), now());
    assert_eq!(wharf.order(r#"{"id":"o-1","type":"paid"}"#).await.status, 200);
    assert_eq!(wharf.post("shop", headers(&[]), b"{}").await.status, 400);
    wharf.completed("shop", "o-1").await;
    let mut told: Vec<String> = Vec::new();
    wharf
        .until("all is told", async || {
            told.extend(tail.next().await.unwrap().iter().filter_map(Line::told));
            (told.len() >= 3).then_some(())
        })
        .await;
    told.extend(tail.next().await.unwrap().iter().filter_map(Line::told));
    let count = |text: &str| told.iter().filter(|line| line.contains(text)).count();
    assert_eq!((count("accepted"), count("landed"), count("refused"), told.len()), (1, 1, 1, 3), "{told:#?}");
}

#[tokio::test]
async fn lines_of_one_instant_and_lines_that_come_late_are_told_once_each() {
    let wharf = Wharf::start().await;
    let start = now();
    let at = |seconds: i64| UnixMillis(start.0 + seconds * 1000);
    let mut tail = LogTail::new(&wharf.deployment(), start);
    wharf.write_log("a", &[(at(30), "1"), (at(30), "2"), (at(30), "2"), (at(50), "3")]).await;
    assert_eq!(landed(&tail.next().await.unwrap()), ["1", "2", "2", "3"]);
    assert_eq!(landed(&tail.next().await.unwrap()), Vec::<&str>::new());
    // Of another stream, at the same instant, and half a minute late.
    wharf.write_log("b", &[(at(20), "4"), (at(30), "1"), (at(50), "5")]).await;
    assert_eq!(landed(&tail.next().await.unwrap()), ["4", "1", "5"]);
    wharf.write_log("a", &[(at(50), "3")]).await;
    assert_eq!(landed(&tail.next().await.unwrap()), ["3"]);
    // What was written before it began is not asked for.
    wharf.write_log("b", &[(at(-1), "6"), (at(0), "7")]).await;
    assert_eq!(landed(&tail.next().await.unwrap()), ["7"]);
}

#[tokio::test]
async fn a_burst_of_more_lines_than_an_answer_holds_is_told_whole() {
    let wharf = Wharf::start().await;
    let start = now();
    let mut tail = LogTail::new(&wharf.deployment(), start);
    let ids: Vec<String> = (0..12_345).map(|number| number.to_string()).collect();
    let lines: Vec<_> =
        (0i64..).zip(&ids).map(|(number, id)| (UnixMillis(start.0 + number / 10), id.as_str())).collect();
    wharf.write_log("a", &lines).await;
    assert_eq!(landed(&tail.next().await.unwrap()), ids.iter().map(String::as_str).collect::<Vec<_>>());
    wharf.write_log("a", &[(UnixMillis(start.0 + 2000), "last")]).await;
    assert_eq!(landed(&tail.next().await.unwrap()), ["last"]);
}

#[tokio::test]
async fn whoever_is_throttled_waits_and_misses_nothing() {
    let wharf = Wharf::start().await;
    let start = now();
    wharf.write_log("a", &[(UnixMillis(start.0 + 1), "1"), (UnixMillis(start.0 + 2), "2")]).await;
    let calls = AtomicUsize::new(0);
    // More often than the SDK itself tries again.
    let throttled = move |call: &Call<'_>| match call.operation {
        "FilterLogEvents" if calls.fetch_add(1, Ordering::SeqCst) < 5 => Fault::Throttled,
        _ => Fault::None,
    };
    let (proxy, _victim) = Proxy::start(&wharf.stack.facts().aws_endpoint_url, throttled).await;
    let deployment = Facts { aws_endpoint_url: proxy.url.clone(), ..wharf.stack.facts().clone() }.deployment();
    let mut tail = LogTail::new(&deployment, start);
    assert_eq!(landed(&tail.next().await.unwrap()), ["1", "2"]);
}
