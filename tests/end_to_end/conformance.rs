//! The conformance cases go through the receiver's door, and sequences through the whole of the local stack.

use std::fmt::Write;
use std::fs;

use aws_sdk_ssm::types::ParameterType;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use serde_json::{Map, Value, json};
use wharf::aws::Sqs;
use wharf::bodies::Bodies;
use wharf::parameters::Parameters;
use wharf::queue::Queue;
use wharf::receiver::ingress::Ingress;
use wharf::receiver::opening::Openings;
use wharf::receiver::secrets::SecretStore;
use wharf::spool::Spool;
use wharf_ops::log_tail::Function;
use wharf_ops::project::Project;
use wharf_webhook::clock::{UnixMillis, UnixSeconds};
use wharf_webhook::endpoints::Endpoints;
use wharf_webhook::secret::Secrets;
use wharf_webhook::signature::signing::{Outgoing, sign};

use crate::harness::{Answer, Wharf, headers, now, shipped_consumer};

/// What an endpoint of a case says in `endpoints.toml`. `None` where a case has what no endpoint can have.
fn endpoint(case: &Value) -> Option<String> {
    let provider = case["provider"].as_str().unwrap();
    let config = case["config"].as_object().unwrap();
    // Their keys are fetched from the sender; and a path that no endpoint has is signed.
    if ["certs", "jwks", "trust_forwarded"].iter().any(|key| config.contains_key(*key)) || provider == "sns" {
        return None;
    }
    // API Gateway joins what is repeated.
    if case["request"]["headers"].as_object().unwrap().values().any(Value::is_array) {
        return None;
    }
    let mut text = format!("[endpoints.case]\nprovider = {provider:?}\n");
    let has_setting = |name: &str| config.contains_key(name);
    let mut signature = Map::new();
    for (key, value) in config {
        match key.as_str() {
            "scheme" if value == "" => {}
            "scheme" | "verify_token" | "webhook_id" | "event_id" | "event_type" => {
                writeln!(text, "{key} = {value}").unwrap();
            }
            "notification_url" | "callback_url" | "public_url" => writeln!(text, "public_url = {value}").unwrap(),
            "tolerance_secs" if provider == "generic" => {
                _ = signature.insert("tolerance_seconds".into(), value.clone())
            }
            "future_tolerance_secs" if provider == "generic" => {
                _ = signature.insert("future_tolerance_seconds".into(), value.clone());
            }
            // A web token says itself until when it is good.
            "tolerance_secs" if provider == "monday" => {}
            "tolerance_secs" => writeln!(text, "tolerance_seconds = {value}").unwrap(),
            "future_tolerance_secs" => writeln!(text, "future_tolerance_seconds = {value}").unwrap(),
            _ => _ = signature.insert(key.clone(), value.clone()),
        }
    }
    if provider == "generic" {
        let pairs: Vec<String> = signature.iter().map(|(key, value)| format!("{key} = {value}")).collect();
        writeln!(text, "signature = {{ {} }}", pairs.join(", ")).unwrap();
    }
    // What an endpoint must have, and the case's request has no need of.
    for (of, setting) in [("meta", "verify_token"), ("paypal", "webhook_id")] {
        if provider == of && !has_setting(setting) {
            writeln!(text, "{setting} = \"none\"").unwrap();
        }
    }
    // The address of a case is not that of an endpoint.
    if !["notification_url", "callback_url", "public_url"].iter().any(|key| has_setting(key)) {
        let signed = format!("{text}public_url = {}\n", case["request"]["url"]);
        if Endpoints::parse(&signed).is_ok() {
            text = signed;
        }
    }
    // A case without a tolerance judges no age, and one without another for the future has the same for that.
    let is_judged = |text: &str| {
        let endpoints = Endpoints::parse(text);
        endpoints.is_ok_and(|endpoints| endpoints.get("case").unwrap().terms.settings.tolerance_seconds.is_some())
    };
    if provider != "generic" && is_judged(&text) {
        let past = config.get("tolerance_secs").and_then(Value::as_i64);
        let any = past.unwrap_or(100_000_000_000);
        let mut tolerant = text.clone();
        if past.is_none() {
            writeln!(tolerant, "tolerance_seconds = {any}").unwrap();
        }
        if !has_setting("future_tolerance_secs") {
            writeln!(tolerant, "future_tolerance_seconds = {any}").unwrap();
        }
        if Endpoints::parse(&tolerant).is_ok() {
            text = tolerant;
        }
    }
    Some(text)
}

/// The event that API Gateway makes of a case's request.
fn event(case: &Value) -> Value {
    let request = &case["request"];
    let url = request["url"].as_str().unwrap();
    let headers: Map<String, Value> = request["headers"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))
        .collect();
    json!({
        "version": "2.0",
        "rawPath": "/webhooks/case",
        "rawQueryString": url.split_once('?').map_or("", |(_, query)| query),
        "headers": headers,
        "requestContext": {
            "requestId": "arrival",
            "http": { "method": request["method"], "sourceIp": "203.0.113.1" },
        },
        "body": request["body_base64"],
        "isBase64Encoded": true,
    })
}

#[tokio::test]
async fn what_the_core_accepts_the_door_lets_in_and_nothing_else() {
    let wharf = Wharf::start().await;
    wharf.pause().await;
    let configuration = wharf.stack.facts().configuration();
    let (ssm, facts) = (aws_sdk_ssm::Client::new(&configuration), wharf.stack.facts());
    let folder = Project::find().unwrap().path("tests/vectors");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "json"));
    files.sort();
    let (mut judged, mut let_in) = (0, 0);
    for case in files.iter().flat_map(|path| {
        let text = fs::read_to_string(path).unwrap();
        serde_json::from_str::<Vec<Value>>(&text).unwrap().into_iter().filter(|case| case["steps"].is_null())
    }) {
        let name = case["name"].as_str().unwrap();
        let Some(text) = endpoint(&case) else { continue };
        let endpoints = Endpoints::parse(&text).unwrap_or_else(|problems| panic!("{name}: {problems}\n{text}"));
        let secrets: Vec<&str> =
            case["secrets"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
        let secret = ssm.put_parameter().name("/wharf/local/case").value(secrets.join("\n")).overwrite(true);
        secret.r#type(ParameterType::SecureString).send().await.unwrap();
        let parameters = Parameters::new(&configuration);
        let ingress = Ingress {
            endpoints,
            public_url: "https://hooks.example.com".to_owned(),
            secrets: SecretStore::new(parameters.clone(), "local"),
            openings: Openings::new(parameters, "local"),
            keys: None,
            bodies: Bodies::new(&configuration, &facts.bucket),
            queue: Queue::new(Sqs::new(&configuration), facts.queue_url.clone()),
            spool: Spool::new(&configuration, &facts.bucket),
            metrics: wharf.metrics(),
        };
        let request = serde_json::from_value(event(&case)).unwrap();
        let now = UnixSeconds(case["now_unix"].as_i64().unwrap());
        let answer = ingress.receive(request, None, UnixMillis(now.0 * 1000)).await;
        let status = answer.status_code;
        let row = ingress.endpoints.get("case").unwrap().terms.provider;
        let body = STANDARD.decode(case["request"]["body_base64"].as_str().unwrap()).unwrap();
        let is_json = serde_json::from_slice::<Value>(&body).is_ok_and(|body| body.is_object() || body.is_array());
        match case["expect"]["verdict"].as_str().unwrap() {
            // What a signature is shown with is not always what its sender sends.
            "accepted" if status == 422 => assert!(!is_json, "{name}: 422"),
            "accepted" => {
                assert_eq!(status, row.status_accepted, "{name}: {}", answer.body);
                let_in += 1;
            }
            // A secret is only taken while the operator wants it.
            "handshake" if row.name == "asana" => assert_eq!(status, 403, "{name}"),
            "handshake" => {
                assert_eq!(u64::from(status), case["expect"]["response"]["status"], "{name}: {}", answer.body)
            }
            // What a sender sends unsigned when a webhook is set up is told so, and is not let in.
            _ => assert!(
                (400..500).contains(&status) || status == 200 && answer.body.contains("acknowledged"),
                "{name}: {status} {}",
                answer.body
            ),
        }
        judged += 1;
    }
    assert!(judged > 1000 && let_in > 300, "{judged} judged, {let_in} let in");
}

fn post<'a>(pairs: &'a [(&'a str, &'a str)], body: &'a str, at: Option<UnixMillis>) -> Post<'a> {
    Post { method: "POST", query: "", pairs, body, at }
}

/// What is posted in a sequence.
struct Post<'a> {
    method: &'a str,
    query: &'a str,
    pairs: &'a [(&'a str, &'a str)],
    body: &'a str,
    /// When it was signed; `None` for what is not.
    at: Option<UnixMillis>,
}

impl Wharf {
    async fn play_step(&self, name: &str, post: Post<'_>) -> Answer {
        let endpoint = self.endpoint(name);
        let facts = self.stack.facts().endpoint(name).unwrap();
        let headers: HeaderMap = headers(post.pairs);
        let url = format!("{}{}", facts.signed_url, post.query);
        let outgoing = Outgoing { method: post.method.into(), url, headers, body: post.body.into() };
        let signed = match post.at {
            Some(at) => {
                let secrets = Secrets::parse(self.secret(name), &endpoint.terms.scheme).unwrap();
                sign(&endpoint.terms, &secrets, outgoing, at).unwrap()
            }
            None => outgoing,
        };
        self.request(post.method, &format!("{}{}", facts.url, post.query), signed.headers, &signed.body).await
    }

    async fn landed(&self, endpoint: &str) -> usize {
        let is_landed = |line: &&wharf_ops::log_tail::Line| {
            line.function == Function::Consumer
                && line.text("outcome") == Some("landed")
                && line.text("endpoint") == Some(endpoint)
        };
        self.log().await.iter().filter(is_landed).count()
    }
}

const JSON: (&str, &str) = ("content-type", "application/json");

#[tokio::test]
async fn events_land_as_often_as_they_happened() {
    let endpoints = r#"
[endpoints.linear]
provider = "linear"
[endpoints.contentful]
provider = "contentful"
[endpoints.twilio]
provider = "twilio"
[endpoints.bitbucket]
provider = "bitbucket"
[endpoints.telegram]
provider = "telegram"
events = ["message"]
[endpoints.asana]
provider = "asana"
events = ["changed"]
[endpoints.hubspot]
provider = "hubspot"
scheme = "v1"
[endpoints.msgraph]
provider = "msgraph"
[endpoints.counted]
provider = "generic"
signature = { header = "X-Signature" }
varies = ["json:/attempt"]
methods = ["PUT"]
"#;
    let secrets = [("contentful", "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc")];
    let wharf = Wharf::start_with(endpoints, shipped_consumer(), &secrets).await;
    let at = now();

    // A minute and an hour after its first attempt, which was not answered with 200.
    let linear = [JSON, ("linear-delivery", "d-1"), ("linear-event", "Issue")];
    let body = r#"{"action":"create","type":"Issue","data":{"id":"i1"}}"#;
    for ago in [61_000, 3_660_000] {
        let answer = wharf.play_step("linear", post(&linear, body, Some(UnixMillis(at.0 - ago)))).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }

    let published = "ContentManagement.Entry.publish";
    for (method, topic, key) in [
        ("POST", published, "1"),
        ("POST", "ContentManagement.Entry.unpublish", "2"),
        ("POST", published, "3"),
        ("POST", published, "3"),
        ("PUT", published, "4"),
    ] {
        let pairs = [JSON, ("x-contentful-topic", topic), ("x-contentful-idempotency-key", key)];
        let step = Post { method, query: "", pairs: &pairs, body: r#"{"entry":"e1"}"#, at: Some(at) };
        let answer = wharf.play_step("contentful", step).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }

    let query = "?AccountSid=AC1&BundleSid=BU1&Status=pending-review&FailureReason=";
    let step = Post { method: "GET", query, pairs: &[], body: "", at: Some(at) };
    assert_eq!(wharf.play_step("twilio", step).await.status, 204);

    let ping = [JSON, ("x-event-key", "diagnostics:ping"), ("x-request-id", "r1")];
    assert_eq!(wharf.play_step("bitbucket", post(&ping, r#"{"test": true}"#, None)).await.status, 200);

    for (body, word) in [
        (r#"{"update_id":1,"message":{"text":"hi"}}"#, "accepted"),
        (r#"{"update_id":2,"poll":{"id":"p"}}"#, "not_subscribed"),
    ] {
        let answer = wharf.play_step("telegram", post(&[JSON], body, Some(at))).await;
        assert!(answer.status == 200 && answer.body.contains(word), "{}", answer.body);
    }
    for (body, word) in [
        (r#"{"events":[{"action":"changed","resource":{"gid":"1"}}]}"#, "accepted"),
        (r#"{"events":[{"action":"deleted","resource":{"gid":"1"}}]}"#, "not_subscribed"),
        // A heartbeat has no type.
        (r#"{"events":[]}"#, "accepted"),
    ] {
        let answer = wharf.play_step("asana", post(&[JSON], body, Some(at))).await;
        assert!(answer.status == 200 && answer.body.contains(word), "{}", answer.body);
    }
    for attempt in 0..3 {
        let body = format!(r#"[{{"eventId":1,"subscriptionType":"deal.creation","attemptNumber":{attempt}}}]"#);
        assert_eq!(wharf.play_step("hubspot", post(&[JSON], &body, Some(at))).await.status, 200);
    }
    for _ in 0..2 {
        let body = r#"{"value":[{"subscriptionId":"s1","lifecycleEvent":"missed"}]}"#;
        assert_eq!(wharf.play_step("msgraph", post(&[JSON], body, Some(at))).await.status, 202);
    }
    for attempt in 0..3 {
        let body = format!(r#"{{"order":1,"attempt":{attempt}}}"#);
        let step = Post { method: "PUT", query: "", pairs: &[JSON], body: &body, at: Some(at) };
        assert_eq!(wharf.play_step("counted", step).await.status, 200);
    }

    wharf.queue_is_empty().await;
    let must_land = [
        ("linear", 1),
        ("contentful", 4),
        ("twilio", 1),
        ("bitbucket", 0),
        ("telegram", 1),
        ("asana", 2),
        ("hubspot", 1),
        ("msgraph", 2),
        ("counted", 1),
    ];
    for (endpoint, times) in must_land {
        wharf
            .until(&format!("{endpoint} lands {times} times"), async || {
                (wharf.landed(endpoint).await >= times).then_some(())
            })
            .await;
        assert_eq!(wharf.landed(endpoint).await, times, "{endpoint}");
    }
    let lines = wharf.log().await;
    let duplicates =
        lines.iter().filter(|line| line.text("outcome").is_some_and(|outcome| outcome.starts_with("duplicate")));
    // Linear's second, Contentful's fourth, HubSpot's and the counted one's second and third.
    assert_eq!(duplicates.count(), 6);
}
