//! What a replay guard claims: one signature is one event, whatever else of the request anybody changes.

#![expect(clippy::unwrap_used, clippy::panic, reason = "what cannot be signed is a failure")]

use http::{HeaderMap, HeaderName, HeaderValue};
use wharf_webhook::clock::UnixMillis;
use wharf_webhook::endpoints::{Endpoint, Endpoints};
use wharf_webhook::idempotency::Digest;
use wharf_webhook::judgement::{Event, Verdict, judge};
use wharf_webhook::refusal::Refusal;
use wharf_webhook::request::Request;
use wharf_webhook::secret::Secrets;
use wharf_webhook::signature::signing::{Outgoing, sign};

const NOW: UnixMillis = UnixMillis(1_754_000_000_000);
const URL: &str = "https://h.example/webhooks/x";
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

fn endpoint(text: &str) -> Endpoint {
    Endpoints::parse(&format!("[endpoints.x]\n{text}\n")).unwrap().get("x").unwrap().clone()
}

fn signed(endpoint: &Endpoint, secret: &str, pairs: &[(&str, &str)], body: &str) -> Outgoing {
    let headers: HeaderMap = pairs
        .iter()
        .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap()))
        .collect();
    let outgoing = Outgoing { method: "POST".into(), url: URL.into(), headers, body: body.into() };
    sign(&endpoint.terms, &Secrets::parse(secret, &endpoint.terms.scheme).unwrap(), outgoing, NOW).unwrap()
}

fn judged(endpoint: &Endpoint, secret: &str, outgoing: &Outgoing) -> Result<Event, Refusal> {
    let Outgoing { method, url, headers, body } = outgoing;
    let secrets = Secrets::parse(secret, &endpoint.terms.scheme).unwrap();
    match judge(&endpoint.terms, &secrets, None, &Request { method, url, headers, body }, NOW.seconds())? {
        Verdict::Event(event) => Ok(*event),
        Verdict::Handshake(reply) => panic!("{reply:?}"),
    }
}

/// The key and what the guard claims of a request, and of one under the same signature with another body.
fn both(endpoint: &Endpoint, secret: &str, outgoing: &Outgoing, other: &str) -> [(String, Digest); 2] {
    [outgoing.body.clone(), other.into()].map(|body| {
        let event = judged(endpoint, secret, &Outgoing { body, ..outgoing.clone() }).unwrap();
        (event.key("a-1").as_str().to_owned(), event.guard_digest())
    })
}

#[test]
fn fields_that_are_encoded_otherwise_are_the_same_event() {
    let twilio = endpoint("provider = \"twilio\"");
    let outgoing = signed(&twilio, "token", &[FORM], "Body=a+b&MessageStatus=sent&Sid=1");
    let [first, second] = both(&twilio, "token", &outgoing, "Sid=%31&Body=a%20b&MessageStatus=sent");
    assert_eq!(first, second);
    // Another id, which nothing signs, makes another key, and the guard has the same.
    let mut renamed = outgoing.clone();
    renamed.headers.insert("i-twilio-idempotency-token", HeaderValue::from_static("t-2"));
    let event = judged(&twilio, "token", &renamed).unwrap();
    assert_ne!(event.key("a-1").as_str(), first.0);
    assert_eq!(event.guard_digest(), first.1);
    assert_ne!(event.guard_digest(), Digest::of(&renamed.body));
    // What is another event stays one.
    let other =
        judged(&twilio, "token", &signed(&twilio, "token", &[FORM], "Body=c&MessageStatus=sent&Sid=1")).unwrap();
    assert_ne!(other.guard_digest(), first.1);
}

#[test]
fn a_body_of_which_some_fields_are_signed_counts_by_these() {
    let fields = endpoint(
        "provider = \"generic\"\nevent_id = \"json:/id\"\nsignature = { json = \"/signature\", content = \"{json:/order}\" }",
    );
    let outgoing = signed(&fields, "secret", &[], r#"{"order":"o-1","id":"e-1"}"#);
    let body = String::from_utf8(outgoing.body.clone()).unwrap();
    let [first, second] = both(&fields, "secret", &outgoing, &body.replace("e-1", "e-2"));
    assert_ne!(first.0, second.0);
    assert_eq!(first.1, second.1);

    let adyen = endpoint("provider = \"adyen\"");
    let secret = "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056";
    let item = r#"{"notificationItems":[{"NotificationRequestItem":{"pspReference":"p-1","eventCode":"CAPTURE","reason":"a"}}]}"#;
    let outgoing = signed(&adyen, secret, &[], item);
    let body = String::from_utf8(outgoing.body.clone()).unwrap();
    let [first, second] = both(&adyen, secret, &outgoing, &body.replace("\"a\"", "\"b\""));
    assert_eq!(first, second);
}

#[test]
fn a_list_of_signed_elements_has_each_once_and_no_order() {
    let adyen = endpoint("provider = \"adyen\"");
    let secret = "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056";
    let item = |id: &str| {
        let text = format!(
            r#"{{"notificationItems":[{{"NotificationRequestItem":{{"pspReference":"{id}","eventCode":"CAPTURE"}}}}]}}"#
        );
        let body: serde_json::Value = serde_json::from_slice(&signed(&adyen, secret, &[], &text).body).unwrap();
        body.pointer("/notificationItems/0").unwrap().clone()
    };
    let of = |items: &[serde_json::Value]| {
        let body = serde_json::json!({ "notificationItems": items }).to_string().into_bytes();
        let outgoing = Outgoing { method: "POST".into(), url: URL.into(), headers: HeaderMap::new(), body };
        judged(&adyen, secret, &outgoing).map(|event| (event.key("a-1").as_str().to_owned(), event.guard_digest()))
    };
    let (one, two) = (item("p-1"), item("p-2"));
    let both = of(&[one.clone(), two.clone()]).unwrap();
    assert_eq!(of(&[two.clone(), one.clone()]).unwrap(), both);
    assert_ne!(of(std::slice::from_ref(&one)).unwrap().0, both.0);
    let what = "element of list /notificationItems in the body".to_owned();
    assert_eq!(of(&[one.clone(), two, one]).unwrap_err(), Refusal::Repeated { what });
}

#[test]
fn an_endpoint_s_own_id_in_a_list_is_that_of_each_element() {
    let batches =
        endpoint("provider = \"generic\"\nevent_id = \"json:/events/*/id\"\nsignature = { header = \"X-Signature\" }");
    let key = |body: &str| {
        let event = judged(&batches, "secret", &signed(&batches, "secret", &[], body)).unwrap();
        event.key("a-1").as_str().to_owned()
    };
    let first = key(r#"{"events":[{"id":"a"}]}"#);
    assert_ne!(key(r#"{"events":[{"id":"a"},{"id":"b"}]}"#), first);
    assert_eq!(key(r#"{ "events": [{ "id": "a" }] }"#), first);
}

#[test]
fn what_is_signed_and_does_not_vary_tells_events_apart() {
    let key = |signature: &str, nonce: &str, body: &str| {
        let endpoint = endpoint(&format!("provider = \"generic\"\n{signature}"));
        let outgoing = signed(&endpoint, "secret", &[("x-nonce", nonce)], body);
        judged(&endpoint, "secret", &outgoing).unwrap().key("a-1")
    };
    let nonce = "signature = { header = \"X-Signature\", content = \"{header:X-Nonce}.{body}\" }";
    assert_eq!(key(nonce, "1", "{}"), key(nonce, "1", "{}"));
    assert_ne!(key(nonce, "1", "{}"), key(nonce, "2", "{}"));
    let varying = format!("{nonce}\nvaries = [\"header:X-Nonce\"]");
    assert_eq!(key(&varying, "1", "{}"), key(&varying, "2", "{}"));

    let members = "signature = { header = \"X-Signature\", content = \"{json:/order}|{json:/attempt}\" }";
    let of = |keys: &str, order: u8, attempt: u8| {
        key(&format!("{members}{keys}"), "1", &format!(r#"{{"order":{order},"attempt":{attempt}}}"#))
    };
    assert_ne!(of("", 1, 0), of("", 1, 1));
    let varying = "\nvaries = [\"json:/attempt\"]";
    assert_eq!(of(varying, 1, 0), of(varying, 1, 1));
    assert_ne!(of(varying, 1, 0), of(varying, 2, 0));

    // What says nothing beside the body is no part of it: the digest is the body's own.
    let stamped =
        "signature = { header = \"X-Signature\", content = \"v1:{ts}.{body}\", timestamp = \"header:X-Time\" }";
    assert_eq!(key(stamped, "1", "{}").as_str(), Digest::of(b"{}").to_string());
}

#[test]
fn without_an_id_what_comes_again_with_the_very_signature_is_the_same() {
    let hubspot = endpoint("provider = \"hubspot\"");
    let key = |body: &str| judged(&hubspot, "s", &signed(&hubspot, "s", &[], body)).unwrap().key("a-1");
    assert_eq!(key(r#"[{"attemptNumber":0}]"#), key(r#"[{"attemptNumber":0}]"#));
    assert_ne!(key(r#"[{"attemptNumber":0}]"#), key(r#"[{"attemptNumber":1}]"#));
}

#[test]
fn a_header_that_must_have_one_value_is_required() {
    let versioned =
        endpoint("provider = \"generic\"\nsignature = { header = \"X-Signature\", require = { X-Version = \"1\" } }");
    let outgoing = signed(&versioned, "secret", &[], "{}");
    assert!(judged(&versioned, "secret", &outgoing).is_ok());
    let mut other = outgoing;
    other.headers.insert("x-version", HeaderValue::from_static("2"));
    assert!(matches!(judged(&versioned, "secret", &other), Err(Refusal::UnknownVersion { .. })));
}
