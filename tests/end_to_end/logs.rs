//! Who reads the log of one webhook understands what happened to it; and what is counted is what happened.

use serde_json::{Value, json};
use wharf_ops::log_tail::{Function, Line};

use crate::harness::{ENDPOINTS, Wharf, headers, orders_consumer, shipped_consumer};
use crate::lambda::{Door, TRACE};

/// The root of [`TRACE`].
const TRACE_ID: &str = "1-5759e988-bd862e3fe1be46a994272793";

impl Wharf {
    /// What a metric was counted as, under these dimensions.
    async fn counted(&self, metric: &str, dimensions: &[(&str, &str)]) -> i64 {
        let log = self.log().await;
        let of = |line: &&Line| dimensions.iter().all(|(name, value)| line.text(name) == Some(value));
        log.iter().filter(of).filter_map(|line| line.number(metric)).sum()
    }
}

#[tokio::test]
async fn the_lines_of_one_webhook_are_joined_by_its_ids_from_the_door_to_its_completion() {
    let wharf = Wharf::start_with(ENDPOINTS, orders_consumer(), &[]).await;
    wharf.make_orders_table().await;
    let door = Door::start(&wharf, "joined", &wharf.stack.facts().aws_endpoint_url, &[]).await;
    let body = br#"{"id":"o-1","type":"paid"}"#;
    let answer = door.post("shop", &wharf.signed("shop", &[], body), body).await;
    let told: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
    let arrival_id = told["arrival_id"].as_str().unwrap();

    let log = door.lambda.log();
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let accepted: Vec<_> = lines.filter(|line| line["arrival_id"] == arrival_id).collect();
    assert_eq!(accepted.len(), 1, "one line for each request: {accepted:?}");
    let landed = wharf.logged("it landed", |line| line.text("outcome") == Some("landed")).await;
    for joined in ["arrival_id", "message_id", "delivery.key", "trace_id", "endpoint", "event_id", "event_type"] {
        assert!(accepted[0][joined].is_string(), "{joined}: {accepted:?}");
        assert_eq!(accepted[0][joined].as_str(), landed.text(joined), "{joined}");
    }
    assert_eq!(landed.text("trace_id"), Some(TRACE_ID));
    assert!(TRACE.contains(TRACE_ID));
    assert_eq!((&accepted[0]["outcome"], &accepted[0]["status"]), (&json!("accepted"), &json!(200)));
    assert_eq!(accepted[0]["message"], "verified, and stored in the queue");
    assert_eq!(landed.text("message"), Some("processed, and completed in the ledger"));
}

#[tokio::test]
async fn at_debug_level_the_headers_are_logged_with_what_is_secret_hidden() {
    let wharf = Wharf::start().await;
    let aws = &wharf.stack.facts().aws_endpoint_url;
    let pairs = [("x-github-event", "push"), ("authorization", "Bearer s3same"), ("x-odd", "a\"b\\")];
    let signed = wharf.signed("github", &pairs, b"{}");
    let signature = signed["x-hub-signature-256"].to_str().unwrap();

    let door = Door::start(&wharf, "debug", aws, &[("WHARF_LOG_LEVEL", "DEBUG")]).await;
    assert_eq!(door.post("github", &signed, b"{}").await["statusCode"], 200);
    let log = door.lambda.log();
    let lines: Vec<Value> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let line = lines.iter().find(|line| line["message"] == "a request, as it came").unwrap();
    let shown: Value = serde_json::from_str(line["headers"].as_str().unwrap()).unwrap();
    assert_eq!(
        shown,
        json!({
            "x-github-event": "push",
            "authorization": "(hidden: 13 characters)",
            "x-hub-signature-256": "(hidden: 71 characters)",
            "x-odd": "a\"b\\"
        })
    );
    assert_eq!((&line["endpoint"], &line["source"]), (&json!("github"), &json!("203.0.113.7")));
    assert!(!log.contains("s3same") && !log.contains(signature));

    let door = Door::start(&wharf, "info", aws, &[]).await;
    door.post("github", &signed, b"{}").await;
    assert!(!door.lambda.log().contains("as it came"));
    // Metrics do not depend on what is logged.
    let door = Door::start(&wharf, "error", aws, &[("WHARF_LOG_LEVEL", "ERROR")]).await;
    door.post("github", &signed, b"{}").await;
    let log = door.lambda.log();
    assert!(log.contains(r#""Accepted":1"#) && !log.contains("accepted"), "{log}");
}

#[tokio::test]
async fn a_body_is_logged_only_where_its_endpoint_says_so_and_only_as_much_of_it_as_a_line_holds() {
    let more = "[endpoints.open]\nprovider = \"github\"\nlog_bodies = true\n";
    let wharf = Wharf::start_with(&format!("{ENDPOINTS}{more}"), shipped_consumer(), &[]).await;
    let aws = &wharf.stack.facts().aws_endpoint_url;
    let door = Door::start_with(&wharf, "bodies-logged", more, aws, &[]).await;
    let long = vec![b'x'; 16 * 1024 + 1];
    let bodies: [(&[u8], Option<&str>, Option<&str>); 4] = [
        (b"{\"a\":\"\xc3\xa9\"}", Some("{\"a\":\"é\"}"), None),
        (b"\xff\x00", None, Some("/wA=")),
        (&long[1..], Some(std::str::from_utf8(&long[1..]).unwrap()), None),
        (&long, None, Some("eHh4")),
    ];
    for (body, text, base64) in bodies {
        for endpoint in ["open", "github"] {
            door.post(endpoint, &wharf.signed(endpoint, &[], body), body).await;
        }
        // And one that is not signed at all: whoever looks for the reason of a refusal needs it.
        door.post("open", &headers(&[]), body).await;
        let log = door.lambda.log();
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let shown: Vec<Value> =
            lines.filter(|line| line["message"].as_str().is_some_and(|text| text.contains("log_bodies"))).collect();
        let last = shown.last().unwrap();
        assert!(shown.iter().all(|line| line["endpoint"] == "open"));
        assert_eq!(last["body_bytes"], body.len());
        assert_eq!(last["body"].as_str(), text);
        assert_eq!(last["body_base64"].as_str().and_then(|shown| shown.get(..4)), base64);
        assert!(last.to_string().len() < 24 * 1024);
    }
    let log = door.lambda.log();
    assert_eq!(log.matches("log_bodies").count(), 8);
}

#[tokio::test]
async fn what_happens_to_deliveries_is_counted_by_endpoint_and_for_the_stage() {
    let policy = "retry = { attempts = 2, first_seconds = 1, longest_seconds = 1 }\n";
    let wharf = Wharf::start_with(&format!("{ENDPOINTS}{policy}"), orders_consumer(), &[("shop", "new\nold")]).await;
    wharf.make_orders_table().await;
    let order = async |id: &str, more: &str| {
        let status = wharf.order(&format!(r#"{{"id":"{id}","type":"paid"{more}}}"#)).await.status;
        assert_eq!(status, 200);
    };
    order("o-1", "").await;
    wharf.completed("shop", "o-1").await;
    order("o-1", "").await;
    order("o-2", r#","drill":"refuse""#).await;
    order("o-3", r#","drill":"fail""#).await;
    let old = br#"{"id":"o-4","type":"paid"}"#;
    let signed = wharf.signed_with("old", "shop", &[], old);
    assert_eq!(wharf.post("shop", signed, old).await.status, 200);
    assert_eq!(wharf.post("shop", headers(&[]), b"{}").await.status, 400);
    assert_eq!(wharf.post("nobody", headers(&[]), b"{}").await.status, 404);
    wharf.completed("shop", "o-3").await;
    wharf.completed("shop", "o-4").await;
    wharf.in_state("o-2", "failed").await;
    wharf.queue_is_empty().await;
    let shop = [("Endpoint", "shop")];
    wharf.until("all is counted", async || (wharf.counted("Landed", &shop).await == 3).then_some(())).await;

    assert_eq!(wharf.counted("Accepted", &shop).await, 5);
    assert_eq!(wharf.counted("OlderSecretMatched", &shop).await, 1);
    assert_eq!(wharf.counted("Refused", &[("Endpoint", "shop"), ("Reason", "malformed")]).await, 1);
    assert_eq!(wharf.counted("Refused", &[("Reason", "unknown_endpoint")]).await, 1);
    assert_eq!(wharf.counted("Failed", &shop).await, 1);
    assert_eq!(wharf.counted("AttemptsFailed", &[("Stage", "local"), ("Version", "1")]).await, 2);
    assert_eq!(wharf.counted("Duplicates", &[("Stage", "local")]).await, 1);
    let is_age = |line: &&Line| line.function == Function::Consumer && !line.fields["AgeAtLanding"].is_null();
    assert!(wharf.log().await.iter().filter(is_age).count() >= 1);
}
