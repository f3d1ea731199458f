//! Every provider that can be played lands; what senders ask is answered, and what they offer is taken only when wanted.

use std::fmt::Write;
use std::time::Duration;

use aws_sdk_ssm::types::ParameterType;
use http::HeaderMap;
use wharf_ops::log_tail::Function;
use wharf_ops::opening;
use wharf_ops::project::Project;
use wharf_ops::samples::Sample;
use wharf_webhook::idempotency::Digest;
use wharf_webhook::ledger::RecordKey;
use wharf_webhook::provider::{PROVIDERS, Setting};

use crate::harness::{Answer, Wharf, headers, now, sample, shipped_consumer};

/// An endpoint for each scheme of each provider whose key is shared: its name, and its table.
fn playable() -> (Vec<String>, String) {
    let (mut names, mut text) = (Vec::new(), String::new());
    for provider in PROVIDERS {
        for scheme in provider.schemes.iter().filter(|scheme| scheme.can_sign()) {
            let name = if scheme.name.is_empty() {
                provider.name.to_owned()
            } else {
                format!("{}-{}", provider.name, scheme.name)
            };
            write!(text, "[endpoints.{name}]\nprovider = {:?}\n", provider.name).unwrap();
            if !scheme.name.is_empty() {
                writeln!(text, "scheme = {:?}", scheme.name).unwrap();
            }
            for setting in provider.required {
                assert_eq!(*setting, Setting::VerifyToken, "{name}");
                writeln!(text, "verify_token = \"verify-me\"").unwrap();
            }
            names.push(name);
        }
    }
    (names, text)
}

impl Wharf {
    /// Posts the provider's sample as `cargo ops send` does.
    async fn play(&self, endpoint: &str) -> Answer {
        let facts = self.stack.facts().endpoint(endpoint).unwrap();
        let endpoint = self.endpoint(endpoint);
        let sample = Sample::find(&Project::find().unwrap(), endpoint.terms.provider.name, None).unwrap();
        let outgoing = sample.signed(endpoint, self.secret(&endpoint.name), &facts.signed_url, None, now()).unwrap();
        let query = outgoing.url.split_once('?').map_or(String::new(), |(_, query)| format!("?{query}"));
        self.request("POST", &format!("{}{query}", facts.url), outgoing.headers, &outgoing.body).await
    }

    async fn ask(&self, method: &str, endpoint: &str, query: &str, pairs: &[(&str, &str)], body: &str) -> Answer {
        self.request(method, &format!("{}{query}", self.url(endpoint)), headers(pairs), body.as_bytes()).await
    }
}

#[tokio::test]
async fn every_provider_whose_key_is_shared_lands_what_it_signs() {
    let (names, endpoints) = playable();
    assert!(names.len() > 45, "{names:?}");
    let wharf = Wharf::start_with(&endpoints, shipped_consumer(), &[]).await;
    for name in &names {
        let answer = wharf.play(name).await;
        assert_eq!(answer.status, wharf.endpoint(name).terms.provider.status_accepted, "{name}: {}", answer.body);
    }
    wharf.queue_is_empty().await;
    let landed = wharf.until("all have landed", async || {
        (wharf.count(Function::Consumer, "landed").await >= names.len()).then_some(names.len())
    });
    landed.await;
    // Signed afresh, with a new id where there is a place for one; nobody else's secret is of use.
    for name in &names {
        let mut forged = headers(&[("content-type", "application/json")]);
        forged.insert("authorization", "Bearer wrong".parse().unwrap());
        let answer = wharf.post(name, forged, b"{}").await;
        assert!((400..402).contains(&answer.status), "{name}: {} {}", answer.status, answer.body);
    }
    assert_eq!(wharf.record_count().await, i32::try_from(names.len()).unwrap());
}

#[tokio::test]
async fn what_a_sender_asks_is_answered_and_nothing_is_let_in() {
    let (_, endpoints) = playable();
    let wharf =
        Wharf::start_with(&endpoints, shipped_consumer(), &[("twitter", "consumer-secret"), ("slack", "s3cret")]).await;

    let dropbox = wharf.ask("GET", "dropbox", "?challenge=a%20b%3Cc", &[], "").await;
    assert_eq!((dropbox.status, dropbox.body.as_str()), (200, "a b<c"));
    assert_eq!(dropbox.headers["content-type"], "text/plain");
    assert_eq!(dropbox.headers["x-content-type-options"], "nosniff");

    let okta = wharf.ask("GET", "okta", "", &[("x-okta-verification-challenge", "a\"b")], "").await;
    assert_eq!((okta.status, okta.body.as_str()), (200, r#"{"verification":"a\"b"}"#));

    let meta = |token: &str| format!("?hub.mode=subscribe&hub.challenge=115&hub.verify_token={token}");
    let answer = wharf.ask("GET", "meta", &meta("verify-me"), &[], "").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "115"));
    assert_eq!(wharf.ask("GET", "meta", &meta("verify-you"), &[], "").await.status, 400);

    // The answer is a signature under the secret that signs bodies: what could be a body is not signed.
    let crc = wharf.ask("GET", "twitter", "?crc_token=9b4507b3-9040-4669-9ca3-6b94edb50553", &[], "").await;
    assert_eq!(crc.body, r#"{"response_token":"sha256=NhN+8FRk3FiSPXyqxXmpVRtiLiWoawvOgUBuXwGUTL4="}"#);
    let oracle = wharf.ask("GET", "twitter", "?crc_token=%7B%22for_user_id%22%3A1%7D", &[], "").await;
    assert_eq!(oracle.status, 400);
    assert!(!oracle.body.contains("sha256"), "{}", oracle.body);

    let graph = wharf.ask("POST", "msgraph", "?validationToken=Validation%3A+x", &[], "").await;
    assert_eq!((graph.status, graph.body.as_str()), (200, "Validation: x"));
    let monday =
        wharf.ask("POST", "monday", "", &[("content-type", "application/json")], r#"{"challenge":"c-1"}"#).await;
    assert_eq!((monday.status, monday.body.as_str()), (200, r#"{"challenge":"c-1"}"#));
    assert_eq!(wharf.ask("HEAD", "trello", "", &[], "").await.status, 200);
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let ping = wharf.ask("POST", "woocommerce", "", &form, "webhook_id=5").await;
    assert_eq!(ping.status, 200);
    assert!(ping.body.contains("acknowledged"), "{}", ping.body);

    let question = br#"{"type":"url_verification","challenge":"3eZb"}"#;
    let json = [("content-type", "application/json")];
    let slack = wharf.post("slack", wharf.signed("slack", &json, question), question).await;
    assert_eq!((slack.status, slack.body.as_str()), (200, "3eZb"));
    assert_eq!(wharf.post("slack", headers(&json), question).await.status, 400);

    // What is not asked in this way by this sender is still a method that it does not use.
    let answer = wharf.ask("GET", "slack", "", &[], "").await;
    assert_eq!((answer.status, answer.headers["allow"].to_str().unwrap()), (405, "POST"));
    let answer = wharf.ask("PUT", "dropbox", "?challenge=x", &[], "").await;
    assert_eq!((answer.status, answer.headers["allow"].to_str().unwrap()), (405, "POST, GET"));

    wharf.logged("a handshake in the log", |line| line.text("outcome") == Some("handshake")).await;
    assert_eq!(wharf.count(Function::Receiver, "accepted").await, 0);
    assert_eq!(wharf.record_count().await, 0);
    let log = wharf.log().await;
    for line in &log {
        let text = line.fields.to_string();
        assert!(!text.contains("3eZb") && !text.contains("verify-me") && !text.contains("consumer-secret"), "{text}");
    }
}

#[tokio::test]
async fn a_secret_that_a_sender_offers_is_taken_only_while_the_endpoint_is_open() {
    let wharf =
        Wharf::start_with("[endpoints.asana]\nprovider = \"asana\"\n", shipped_consumer(), &[("asana", "old")]).await;
    let ssm = aws_sdk_ssm::Client::new(&wharf.stack.facts().configuration());
    let offer = async |secret: &str| wharf.ask("POST", "asana", "", &[("x-hook-secret", secret)], "{}").await;
    let open_until = async |until: i64| {
        let put = ssm.put_parameter().name("/wharf/local/asana/opening").value(until.to_string());
        put.r#type(ParameterType::String).overwrite(true).send().await.unwrap();
        // The receiver asks again after a second.
        tokio::time::sleep(Duration::from_millis(2100)).await;
    };
    let offered = async || {
        let get = ssm.get_parameters().names("/wharf/local/asana/offered").with_decryption(true).send().await.unwrap();
        get.parameters().first().and_then(|parameter| parameter.value()).map(str::to_owned)
    };

    assert_eq!(offer("stranger").await.status, 403);
    open_until(now().seconds().0 - 1).await;
    assert_eq!(offer("stranger").await.status, 403);
    assert_eq!(offered().await, None);

    open_until(now().seconds().0 + 60).await;
    let answer = offer("asanas-own").await;
    assert_eq!((answer.status, answer.headers["x-hook-secret"].to_str().unwrap()), (200, "asanas-own"));
    assert_eq!(offer("too-late").await.status, 403);
    assert_eq!(offered().await.as_deref(), Some("asanas-own"));
    // It is not the endpoint's yet: that needs the operator.
    let body = br#"{"events":[]}"#;
    let signed = wharf.signed_with("asanas-own", "asana", &[], body);
    assert_eq!(wharf.post("asana", signed, body).await.status, 400);

    // As `cargo ops open` does it: what is offered then is the endpoint's newest secret, and it is closed again.
    let deployment = wharf.deployment();
    let (until, time) = (now().seconds().plus(60), Duration::from_secs(60));
    let opening = opening::open(&deployment, "asana", until, time, || println!("open"));
    let offering =
        wharf.until("the endpoint is open", async || (offer("asanas-next").await.status == 200).then_some(()));
    let (opened, ()) = tokio::join!(opening, offering);
    assert!(opened.unwrap());
    let get = ssm.get_parameters().names("/wharf/local/asana").with_decryption(true).send().await.unwrap();
    assert_eq!(get.parameters()[0].value(), Some("asanas-next\nold"));
    assert_eq!(offered().await, None);
    tokio::time::sleep(Duration::from_millis(2100)).await;
    assert_eq!(offer("stranger").await.status, 403);
    for line in wharf.log().await {
        assert!(!line.fields.to_string().contains("asanas-own"), "{}", line.fields);
    }
}

#[tokio::test]
async fn a_list_of_events_is_processed_if_any_of_its_types_is_subscribed_to() {
    let endpoints = "[endpoints.hubspot]\nprovider = \"hubspot\"\nevents = [\"deal.creation\"]\n";
    let wharf = Wharf::start_with(endpoints, shipped_consumer(), &[]).await;
    let post = async |body: &str| {
        let signed = wharf.signed("hubspot", &[("content-type", "application/json")], body.as_bytes());
        wharf.post("hubspot", signed, body.as_bytes()).await.body
    };
    let second =
        r#"[{"eventId":1,"subscriptionType":"contact.creation"},{"eventId":2,"subscriptionType":"deal.creation"}]"#;
    assert!(post(second).await.contains("accepted"));
    assert!(post(r#"[{"eventId":1,"subscriptionType":"contact.creation"}]"#).await.contains("not_subscribed"));
}

#[tokio::test]
async fn with_a_replay_guard_a_captured_body_under_a_new_id_runs_nothing() {
    let endpoints =
        "[endpoints.github]\nprovider = \"github\"\nreplay_guard = true\n[endpoints.open]\nprovider = \"github\"\n";
    let wharf = Wharf::start_with(endpoints, shipped_consumer(), &[]).await;
    let body = sample("github-push.json");
    let post = async |endpoint: &str, id: &str| {
        let pairs = [("x-github-event", "push"), ("x-github-delivery", id)];
        let headers: HeaderMap = wharf.signed(endpoint, &pairs, &body);
        assert_eq!(wharf.post(endpoint, headers, &body).await.status, 200);
    };
    post("github", "genuine").await;
    wharf.completed("github", "genuine").await;
    post("github", "captured").await;
    wharf.logged("the replay", |line| line.text("outcome") == Some("repeated_body")).await;
    assert!(wharf.records("github", "captured").await.is_empty());
    // The genuine one again is a duplicate of itself, and not a replay.
    post("github", "genuine").await;
    wharf.logged("the duplicate", |line| line.text("outcome") == Some("duplicate")).await;
    assert_eq!(wharf.handled().await, 1);
    // Without a guard, another id is another event.
    post("open", "genuine").await;
    post("open", "captured").await;
    wharf.completed("open", "genuine").await;
    wharf.completed("open", "captured").await;
    // A guard past its time guards nothing, deleted or not.
    let guard = RecordKey::guard("github", Digest::of(&body));
    wharf.change_item(&guard.event, &guard.body, "SET expires_at = :at", now().seconds().0).await;
    post("github", "later").await;
    wharf.completed("github", "later").await;
}
