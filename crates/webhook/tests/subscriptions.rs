//! Which types a request's event has, and so what an endpoint's `events` lets through.

#![expect(clippy::unwrap_used, reason = "what cannot be read is a failure")]

use http::{HeaderMap, HeaderName, HeaderValue};
use wharf_webhook::endpoints::Endpoints;
use wharf_webhook::judgement::event_types;
use wharf_webhook::request::Request;

const JSON: (&str, &str) = ("content-type", "application/json");
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

/// Whether an endpoint that processes `events` only processes this request.
fn processes(provider: &str, events: &str, pairs: &[(&str, &str)], body: &str) -> bool {
    let text = format!("[endpoints.x]\nprovider = {provider:?}\nevents = {events}\n");
    let scheme = if provider == "gitlab" { "scheme = \"token\"\n" } else { "" };
    let settings = if provider == "meta" { "verify_token = \"v\"\n" } else { scheme };
    let endpoints = Endpoints::parse(&format!("{text}{settings}")).unwrap();
    let endpoint = endpoints.get("x").unwrap();
    let headers: HeaderMap = pairs
        .iter()
        .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap()))
        .collect();
    let request =
        Request { method: "POST", url: "https://h.example/webhooks/x", headers: &headers, body: body.as_bytes() };
    endpoint.subscribes_to(&event_types(&endpoint.terms, &request))
}

#[test]
fn the_kind_of_a_message_of_messenger_is_the_name_of_its_member() {
    let message = r#"{"object":"page","entry":[{"messaging":[{"sender":{},"recipient":{},"timestamp":1,"message":{"mid":"m"}}]}]}"#;
    let meta = |events: &str| processes("meta", events, &[JSON], message);
    assert!(meta(r#"["message"]"#) && meta(r#"["page"]"#));
    assert!(!meta(r#"["postback"]"#) && !meta(r#"["sender"]"#));
    let standby = message.replace("messaging", "standby").replace("\"message\"", "\"postback\"");
    assert!(processes("meta", r#"["postback"]"#, &[JSON], &standby));
    // One request can hold several, of which one is enough.
    let both = message.replace("[{\"messaging\"", "[{\"changes\":[{\"field\":\"feed\"}]},{\"messaging\"");
    for events in [r#"["feed"]"#, r#"["message"]"#] {
        assert!(processes("meta", events, &[JSON], &both), "{events}");
    }
}

#[test]
fn a_list_with_an_element_whose_type_cannot_be_told_is_processed() {
    let sendgrid = |body: &str| processes("sendgrid", r#"["click"]"#, &[JSON], body);
    assert!(!sendgrid(r#"[{"event":"open"},{"event":"bounce"}]"#));
    assert!(sendgrid(r#"[{"event":"open"},{"event":"click"}]"#));
    assert!(sendgrid(r#"[{"event":"open"},{"x":1}]"#));
    // Its elements have one of two members.
    let msgraph = |body: &str| processes("msgraph", r#"["created"]"#, &[JSON], body);
    assert!(!msgraph(r#"{"value":[{"changeType":"updated"},{"lifecycleEvent":"missed"}]}"#));
    assert!(msgraph(r#"{"value":[{"changeType":"updated"},{"subscriptionId":"s"}]}"#));
    assert!(msgraph(r#"{"value":[{"subscriptionId":"s"},{"changeType":"updated"}]}"#));
    // A batch has its types in the list, and no header with one.
    let batch = |body: &str| processes("cloudevents", r#"["order.paid"]"#, &[JSON], body);
    assert!(!batch(r#"[{"type":"order.sent"}]"#) && batch(r#"[{"type":"order.sent"},{"n":1}]"#));
    // A list that is an event's data is none of events.
    let data = |events: &str| processes("cloudevents", events, &[JSON, ("ce-type", "order.paid")], r#"[{"n":1}]"#);
    assert!(data(r#"["order.paid"]"#) && !data(r#"["order.sent"]"#));
}

#[test]
fn the_action_is_matched_in_github_s_form_as_in_its_json() {
    for (pair, body) in [(JSON, r#"{"action":"opened"}"#), (FORM, "payload=%7B%22action%22%3A%22opened%22%7D")] {
        let github = |events: &str| processes("github", events, &[pair, ("x-github-event", "pull_request")], body);
        assert!(github(r#"["opened"]"#) && github(r#"["pull_request"]"#), "{body}");
        assert!(!github(r#"["closed"]"#), "{body}");
    }
}

#[test]
fn a_type_that_a_sender_does_not_have_is_a_mistake() {
    let sns = |events: &str| {
        let topics = "topics = [\"arn:aws:sns:eu-central-1:123456789012:orders\"]";
        Endpoints::parse(&format!("[endpoints.x]\nprovider = \"sns\"\n{topics}\nevents = {events}\n"))
    };
    assert!(sns(r#"["Notification"]"#).is_ok());
    assert_eq!(
        sns(r#"["Notification", "orders"]"#).unwrap_err().to_string(),
        "endpoints.toml:4: `events` has \"orders\", and the types of Amazon SNS are Notification, UnsubscribeConfirmation"
    );
}

#[test]
fn types_are_found_under_the_other_names_of_a_family_of_headers() {
    let of = |prefix: &str, events: &str| {
        let (topic, hmac) = (format!("{prefix}shopify-topic"), format!("{prefix}shopify-hmac-sha256"));
        processes("shopify", events, &[JSON, (&topic, "orders/create"), (&hmac, "x")], "{}")
    };
    for prefix in ["x-", ""] {
        assert!(of(prefix, r#"["orders/create"]"#) && !of(prefix, r#"["orders/paid"]"#), "{prefix:?}");
    }
}

#[test]
fn what_more_is_said_of_a_type_is_matched_too() {
    for (provider, pairs, body, said) in [
        (
            "shopify",
            &[("x-shopify-topic", "products"), ("x-shopify-action", "create")][..],
            "{}",
            &["products", "create"][..],
        ),
        (
            "gitlab",
            &[("x-gitlab-event", "System Hook")],
            r#"{"object_kind":"push","event_name":"project_create"}"#,
            &["System Hook", "push", "project_create"],
        ),
        ("linear", &[("linear-event", "Issue")], r#"{"type":"Issue","action":"create"}"#, &["Issue", "create"]),
        ("sentry", &[("sentry-hook-resource", "issue")], r#"{"action":"resolved"}"#, &["issue", "resolved"]),
        (
            "twitter",
            &[],
            r#"{"for_user_id":"1","follow_events":[{"type":"follow"},{"type":"unfollow"}]}"#,
            &["follow_events", "follow", "unfollow"],
        ),
        ("twitter", &[], r#"{"block_events":[{"type":"block"}],"mute_events":[{"type":"mute"}]}"#, &["block", "mute"]),
        (
            "plaid",
            &[],
            r#"{"webhook_type":"TRANSACTIONS","webhook_code":"SYNC_UPDATES_AVAILABLE"}"#,
            &["TRANSACTIONS", "SYNC_UPDATES_AVAILABLE"],
        ),
    ] {
        for word in said {
            assert!(processes(provider, &format!("[{word:?}]"), pairs, body), "{provider} {word}");
        }
        assert!(!processes(provider, "[\"another\"]", pairs, body), "{provider}");
    }
}
