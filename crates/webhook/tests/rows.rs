//! What rows of the table say that most do not, as the senders' documents have it (docs/providers.md).

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName, HeaderValue};
use wharf_webhook::clock::UnixSeconds;
use wharf_webhook::judgement::judge;
use wharf_webhook::provider::{BodyForm, PROVIDERS, Scheme, Source, find};
use wharf_webhook::refusal::Refusal;
use wharf_webhook::request::Request;
use wharf_webhook::secret::Secrets;
use wharf_webhook::terms::Terms;

#[test]
fn events_come_by_post_but_for_these() {
    let all: &[&str] = &["POST", "GET", "PUT", "PATCH", "DELETE"];
    let others = BTreeMap::from([
        (("svix", ""), &["POST", "PUT"][..]),
        (("hubspot", "v3"), &["POST", "GET"]),
        (("hubspot", "v2"), &["POST", "GET"]),
        (("twilio", ""), &["POST", "GET"]),
        (("zendesk", ""), all),
        (("contentful", ""), all),
    ]);
    for (provider, scheme) in PROVIDERS.iter().flat_map(|row| row.schemes.iter().map(move |scheme| (row, scheme))) {
        let expected = others.get(&(provider.name, scheme.name)).copied().unwrap_or(&["POST"]);
        assert_eq!(scheme.methods, expected, "{} {}", provider.name, scheme.name);
    }
}

#[test]
fn a_body_is_a_json_object_or_list_but_for_these() {
    let others = BTreeMap::from([
        ("github", BodyForm::JsonOrForm),
        ("slack", BodyForm::JsonOrForm),
        ("shopify", BodyForm::Any),
        ("twilio", BodyForm::Any),
        ("docusign", BodyForm::Any),
        ("zendesk", BodyForm::Any),
        ("contentful", BodyForm::Any),
        ("cloudevents", BodyForm::Any),
    ]);
    for (provider, scheme) in PROVIDERS.iter().flat_map(|row| row.schemes.iter().map(move |scheme| (row, scheme))) {
        let expected = others.get(provider.name).copied().unwrap_or(BodyForm::Json);
        assert_eq!(scheme.body, expected, "{} {}", provider.name, scheme.name);
    }
}

#[test]
fn what_is_accepted_is_answered_with_200_but_for_these() {
    let others = BTreeMap::from([("discord", 204), ("twilio", 204), ("msgraph", 202)]);
    for provider in PROVIDERS {
        assert_eq!(provider.status_accepted, others.get(provider.name).copied().unwrap_or(200), "{}", provider.name);
    }
}

#[test]
fn a_look_at_an_address_is_told_from_an_event() {
    let json = ("content-type", "application/json");
    let form = ("content-type", "application/x-www-form-urlencoded");
    for (provider, pairs, body, is_ping) in [
        ("slack", &[form][..], "ssl_check=1&token=x", true),
        ("slack", &[form], "ssl_check=1&command=%2Fweather", false),
        ("slack", &[form], "ssl_check=1&payload=%7B%7D", false),
        ("slack", &[form], "ssl_check=0", false),
        ("bitbucket", &[json, ("x-event-key", "diagnostics:ping")], r#"{"test":true}"#, true),
        ("bitbucket", &[json, ("x-event-key", "repo:push")], r#"{"test":true}"#, false),
        ("bitbucket", &[json, ("x-event-key", "diagnostics:ping"), ("x-hub-signature", "sha256=00")], "{}", false),
        ("woocommerce", &[form], "webhook_id=7", true),
        ("woocommerce", &[form, ("x-wc-webhook-signature", "AA==")], "webhook_id=7", false),
    ] {
        let row = find(provider).unwrap();
        let terms = Terms::new(row, *row.scheme(None).unwrap());
        let secrets = Secrets::parse("secret", &terms.scheme).unwrap();
        let headers: HeaderMap = pairs
            .iter()
            .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap()))
            .collect();
        let request = Request { method: "POST", url: "https://h.example/x", headers: &headers, body: body.as_bytes() };
        let refusal = judge(&terms, &secrets, None, &request, UnixSeconds(1_754_000_000)).unwrap_err();
        assert_eq!(refusal == Refusal::UnsignedPing, is_ping, "{provider} {body}: {refusal}");
    }
}

#[test]
fn no_question_is_every_request() {
    for provider in PROVIDERS {
        for handshake in provider.handshakes {
            let is_of_its_own = !handshake.when.is_empty()
                || !provider.schemes.iter().any(|scheme| scheme.methods.contains(&handshake.method));
            assert!(is_of_its_own, "{} {}", provider.name, handshake.method);
            assert!(!handshake.when.is_empty() || handshake.method == "HEAD", "{} {}", provider.name, handshake.method);
        }
    }
}

/// What each provider's first scheme names, in the words of `endpoints.toml`.
fn named(sources: fn(&Scheme) -> &'static [Source]) -> BTreeMap<&'static str, Vec<String>> {
    let first = PROVIDERS.iter().filter_map(|row| Some((row.name, sources(row.scheme(None)?))));
    first
        .filter(|(_, sources)| !sources.is_empty())
        .map(|(name, sources)| (name, sources.iter().map(ToString::to_string).collect()))
        .collect()
}

#[test]
fn these_change_between_attempts() {
    let expected = BTreeMap::from([
        ("linear", vec!["json:/webhookTimestamp"]),
        ("hubspot", vec!["json:/*/attemptNumber"]),
        ("okta", vec!["json:/eventId", "json:/eventTime"]),
        (
            "intercom",
            vec!["json:/delivery_attempts", "json:/delivery_status", "json:/delivered_at", "json:/first_sent_at"],
        ),
        ("coinbase_commerce", vec!["json:/attempt_number", "json:/scheduled_for"]),
        ("line", vec!["json:/events/*/deliveryContext/isRedelivery"]),
        ("docusign", vec!["json:/retryCount"]),
        ("msgraph", vec!["json:/validationTokens"]),
        ("mailgun", vec!["json:/signature"]),
        ("contentful", vec!["header:x-contentful-webhook-request-attempt"]),
        ("monday", vec!["json:/event/isRetry"]),
    ]);
    let found = named(|scheme| scheme.varies);
    assert_eq!(
        found,
        expected.into_iter().map(|(name, all)| (name, all.iter().map(ToString::to_string).collect())).collect()
    );
}

#[test]
fn these_tell_events_apart_beside_what_is_signed() {
    let expected = BTreeMap::from([
        ("sentry", vec!["header:sentry-hook-resource".to_owned()]),
        ("woocommerce", vec!["header:x-wc-webhook-topic".to_owned()]),
        ("cloudevents", vec!["header:ce-source".to_owned()]),
        ("contentful", vec!["header:x-contentful-topic".to_owned()]),
    ]);
    assert_eq!(named(|scheme| scheme.beside), expected);
}
