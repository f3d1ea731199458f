//! What a verified request becomes: its id and type, its key, and a body that is what its sender sends.

#![expect(clippy::unwrap_used, clippy::panic, reason = "what cannot be signed is a failure")]

use http::{HeaderMap, HeaderName, HeaderValue};
use wharf_webhook::clock::UnixMillis;
use wharf_webhook::delivery::{Arrival, Delivery, UnfitBody};
use wharf_webhook::endpoints::{Endpoint, Endpoints};
use wharf_webhook::judgement::{Event, Verdict, judge, methods};
use wharf_webhook::message::{self, Carried};
use wharf_webhook::refusal::Refusal;
use wharf_webhook::request::Request;
use wharf_webhook::secret::Secrets;
use wharf_webhook::signature::signing::{Outgoing, sign};

const NOW: UnixMillis = UnixMillis(1_754_000_000_000);
const JSON: &str = "application/json";

fn endpoint(text: &str) -> Endpoint {
    Endpoints::parse(&format!("[endpoints.x]\nprovider = {text}\n")).unwrap().get("x").unwrap().clone()
}

fn generic(keys: &str) -> Endpoint {
    endpoint(&format!("\"generic\"\nsignature = {{ header = \"X-Signature\" }}\n{keys}"))
}

/// A request that is signed for an endpoint.
fn signed(endpoint: &Endpoint, method: &str, pairs: &[(&str, &str)], body: &[u8]) -> Outgoing {
    let headers: HeaderMap = pairs
        .iter()
        .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap()))
        .collect();
    let outgoing =
        Outgoing { method: method.into(), url: "https://h.example/webhooks/x".into(), headers, body: body.into() };
    let secrets = Secrets::parse("c2VjcmV0LXNlY3JldC1zZWNyZXQ=", &endpoint.terms.scheme).unwrap();
    sign(&endpoint.terms, &secrets, outgoing, NOW).unwrap()
}

fn judged(endpoint: &Endpoint, outgoing: &Outgoing) -> Result<Event, Refusal> {
    let Outgoing { method, url, headers, body } = outgoing;
    let secrets = Secrets::parse("c2VjcmV0LXNlY3JldC1zZWNyZXQ=", &endpoint.terms.scheme).unwrap();
    match judge(&endpoint.terms, &secrets, None, &Request { method, url, headers, body }, NOW.seconds())? {
        Verdict::Event(event) => Ok(*event),
        Verdict::Handshake(reply) => panic!("{reply:?}"),
    }
}

fn key(endpoint: &Endpoint, body: &str) -> String {
    let event = judged(endpoint, &signed(endpoint, "POST", &[], body.as_bytes())).unwrap();
    event.key("a-1").as_str().to_owned()
}

/// What becomes of a request that is signed for an endpoint.
fn accepted(endpoint: &Endpoint, method: &str, content_type: &str, body: &[u8]) -> Result<Delivery, UnfitBody> {
    let outgoing = signed(endpoint, method, &[("content-type", content_type)], body);
    delivered(endpoint, &outgoing, content_type)
}

fn delivered(endpoint: &Endpoint, outgoing: &Outgoing, content_type: &str) -> Result<Delivery, UnfitBody> {
    delivered_with(endpoint, outgoing, content_type, false)
}

fn delivered_with(
    endpoint: &Endpoint,
    outgoing: &Outgoing,
    content_type: &str,
    replay_guard: bool,
) -> Result<Delivery, UnfitBody> {
    let event = judged(endpoint, outgoing).unwrap();
    let arrival = Arrival {
        endpoint: "x".to_owned(),
        provider: endpoint.terms.provider.name.to_owned(),
        arrival_id: "a-1".to_owned(),
        received_at: NOW,
        method: outgoing.method.clone(),
        query: endpoint.terms.carried_query(&outgoing.url),
        content_type: Some(content_type.to_owned()),
        headers: Vec::new(),
        replay_guard,
    };
    Delivery::accept(&event, arrival, outgoing.body.clone())
}

#[test]
fn a_body_is_what_its_sender_sends_whatever_its_headers_say() {
    let form = "application/x-www-form-urlencoded";
    // JSON, an object or a list.
    let stripe = endpoint("\"stripe\"");
    for content_type in [JSON, form, "text/plain"] {
        assert!(accepted(&stripe, "POST", content_type, b"{\"id\":\"e\"}").is_ok(), "{content_type}");
        for unfit in [&b"a=1"[..], b"text", b"", b"1"] {
            assert_eq!(accepted(&stripe, "POST", content_type, unfit), Err(UnfitBody), "{content_type} {unfit:?}");
        }
    }
    // JSON or a form.
    let github = endpoint("\"github\"");
    assert!(accepted(&github, "POST", "text/plain", b"payload=%7B%7D").is_ok());
    assert!(accepted(&github, "POST", form, b"{}").is_ok());
    assert_eq!(accepted(&github, "POST", form, b"some text"), Err(UnfitBody));
    // Anything; JSON, where that is said.
    let any = generic("methods = [\"POST\", \"GET\", \"DELETE\"]");
    assert!(accepted(&any, "POST", "text/plain", b"\xff").is_ok());
    assert!(accepted(&any, "POST", JSON, b"1").is_ok());
    assert_eq!(accepted(&any, "POST", JSON, b"text"), Err(UnfitBody));
    // Nothing, by the methods that have no body.
    for content_type in [JSON, "application/vnd.contentful.management.v1+json"] {
        for method in ["GET", "DELETE"] {
            assert!(accepted(&any, method, content_type, b"").is_ok(), "{method}");
            assert_eq!(accepted(&any, method, content_type, b"text"), Err(UnfitBody), "{method}");
        }
        assert_eq!(accepted(&any, "POST", content_type, b""), Err(UnfitBody));
    }
    let hubspot = endpoint("\"hubspot\"");
    assert!(accepted(&hubspot, "GET", JSON, b"").is_ok());
    assert_eq!(accepted(&hubspot, "GET", JSON, b"text"), Err(UnfitBody));
}

#[test]
fn a_body_that_was_signed_before_it_was_compressed_is_delivered_as_it_was_signed() {
    let plain = r#"{"id":"e-1","type":"paid"}"#;
    let gzip = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xab\x56\xca\x4c\x51\xb2\x52\x4a\xd5\x35\x54\xd2\x51\x2a\xa9\x2c\x48\x05\
        \x72\x0a\x12\x81\x62\xb5\x00\x7e\x7a\xc7\xdf\x1a\x00\x00\x00";
    let deflate = b"\x78\x9c\xab\x56\xca\x4c\x51\xb2\x52\x4a\xd5\x35\x54\xd2\x51\x2a\xa9\x2c\x48\x05\x72\x0a\x12\x81\x62\xb5\x00\x61\
        \xe6\x07\x99";
    let compressing = endpoint(
        "\"generic\"\nsignature = { header = \"X-Signature\", decompress = true }\nevent_id = \"json:/id\"\nevent_type = \"json:/type\"",
    );
    let mut outgoing = signed(&compressing, "POST", &[], plain.as_bytes());
    for (encoding, body) in [("gzip", &gzip[..]), ("GZIP", gzip), ("deflate", deflate), ("identity", plain.as_bytes())]
    {
        outgoing.headers.insert("content-encoding", encoding.parse().unwrap());
        outgoing.body = body.to_vec();
        let delivery = delivered(&compressing, &outgoing, "application/octet-stream").unwrap();
        assert_eq!(delivery.body(), plain.as_bytes(), "{encoding}");
        assert_eq!(delivery.key().as_str(), "e-1");
        assert_eq!(delivery.event_type().map(|stated| stated.text.as_str()), Some("paid"));
    }
    outgoing.headers.insert("content-encoding", "br".parse().unwrap());
    outgoing.body = deflate.to_vec();
    let problem = "its Content-Encoding is neither gzip nor deflate";
    assert_eq!(judged(&compressing, &outgoing).unwrap_err(), Refusal::BodyUnreadable { problem });
}

#[test]
fn whether_id_and_type_are_signed_is_said_of_each_request() {
    let said = |endpoint: &Endpoint, pairs: &[(&str, &str)]| {
        let event = judged(endpoint, &signed(endpoint, "POST", pairs, br#"{"id":"e-1","type":"paid"}"#)).unwrap();
        (event.id().map(|id| id.signed), event.kind().map(|kind| kind.signed))
    };
    assert_eq!(said(&endpoint("\"stripe\""), &[]), (Some(true), Some(true)));
    assert_eq!(
        said(&endpoint("\"github\""), &[("x-github-delivery", "d-1"), ("x-github-event", "push")]),
        (Some(false), Some(false))
    );
    // A Contentful request lists the headers that it signs: what somebody adds is not among them.
    let contentful = endpoint("\"contentful\"");
    let secret = "c".repeat(64);
    let secrets = Secrets::parse(&secret, &contentful.terms.scheme).unwrap();
    let topic = ("x-contentful-topic".parse::<HeaderName>().unwrap(), HeaderValue::from_static("Entry.publish"));
    for is_listed in [true, false] {
        let headers = HeaderMap::from_iter(is_listed.then(|| topic.clone()));
        let outgoing =
            Outgoing { method: "POST".into(), url: "https://h.example/x".into(), headers, body: b"{}".to_vec() };
        let mut signed = sign(&contentful.terms, &secrets, outgoing, NOW).unwrap();
        signed.headers.insert(&topic.0, topic.1.clone());
        let Outgoing { method, url, headers, body } = &signed;
        let request = Request { method, url, headers, body };
        let Verdict::Event(event) = judge(&contentful.terms, &secrets, None, &request, NOW.seconds()).unwrap() else {
            panic!("it is an event");
        };
        assert_eq!(event.kind().map(|kind| kind.signed), Some(is_listed));
    }
}

#[test]
fn the_ids_of_all_lists_count_and_an_id_beside_a_list_counts_with_what_is_signed() {
    let two = generic("event_id = [\"json:/a/*/id\", \"json:/b/*/id\"]");
    let only_b = key(&two, r#"{"b":[{"id":"1"}]}"#);
    assert_ne!(key(&two, r#"{"b":[{"id":"2"}]}"#), only_b);
    assert_eq!(key(&two, r#"{"b":[{"id":"1","note":2}]}"#), only_b);
    let both = key(&two, r#"{"a":[{"id":"1"}],"b":[{"id":"1"}]}"#);
    assert_ne!(key(&two, r#"{"a":[{"id":"1"}],"b":[{"id":"2"}]}"#), both);
    // One without an id: what is signed tells it from others.
    assert_ne!(key(&two, r#"{"a":[{"id":"1"},{"n":1}]}"#), key(&two, r#"{"a":[{"id":"1"},{"n":2}]}"#));

    let beside = generic("event_id = [\"json:/id\", \"json:/events/*/id\"]");
    let first = key(&beside, r#"{"id":"x","events":[{"id":"a"}]}"#);
    assert_ne!(key(&beside, r#"{"id":"y","events":[{"id":"a"}]}"#), first);
    assert_ne!(key(&beside, r#"{"id":"x","events":[{"id":"b"}]}"#), first);

    // HubSpot does not promise that its ids are unique.
    let hubspot = endpoint("\"hubspot\"\nscheme = \"v1\"");
    let of = |value: u8| key(&hubspot, &format!(r#"[{{"eventId":1,"propertyValue":"{value}"}}]"#));
    assert_ne!(of(1), of(2));
    assert_eq!(of(1), of(1));
}

#[test]
fn a_sender_asks_by_methods_of_its_own() {
    let of = |provider: &str| methods(&endpoint(provider).terms);
    assert_eq!(of("\"github\""), ["POST"]);
    assert_eq!(of("\"meta\"\nverify_token = \"v\""), ["POST", "GET"]);
    assert_eq!(of("\"hubspot\""), ["POST", "GET"]);
    assert_eq!(of("\"zendesk\"").len(), 5);
    assert!(of("\"intercom\"").contains(&"HEAD"));
}

#[test]
fn only_where_a_stranger_can_have_something_signed_is_a_plain_token_no_event() {
    let meta = endpoint("\"meta\"\nverify_token = \"v\"");
    assert!(judged(&meta, &signed(&meta, "POST", &[], b"plain-token")).is_ok());
    let twitter = endpoint("\"twitter\"");
    let refused = judged(&twitter, &signed(&twitter, "POST", &[], b"plain-token"));
    assert_eq!(refused.unwrap_err(), Refusal::CouldBeChallenge);
}

#[test]
fn a_signature_that_is_there_twice_is_one() {
    let standard = endpoint("\"standardwebhooks\"");
    let mut outgoing = signed(&standard, "POST", &[("webhook-id", "m-1")], b"{}");
    let once = outgoing.headers.get("webhook-signature").unwrap().to_str().unwrap().to_owned();
    outgoing.headers.insert("webhook-signature", format!("{once} {once}").parse().unwrap());
    assert!(judged(&standard, &outgoing).is_ok());
}

#[test]
fn what_came_beside_the_body_is_there_and_its_signature_is_not() {
    let callback = generic("methods = [\"GET\"]");
    let mut outgoing = signed(&callback, "GET", &[], b"");
    outgoing.url.push_str("?Sid=1&Status=a%20b");
    let delivery = delivered(&callback, &outgoing, JSON).unwrap();
    assert_eq!((delivery.method(), delivery.query()), ("GET", Some("Sid=1&Status=a%20b")));
    let Ok(Carried::Whole(read)) = message::decode(&message::encode(&delivery).unwrap()) else {
        panic!("it is a delivery");
    };
    assert_eq!((read.envelope().method(), read.envelope().query()), ("GET", Some("Sid=1&Status=a%20b")));
}

#[test]
fn a_guard_is_claimed_where_the_endpoint_has_one_and_it_is_not_the_body_itself() {
    let fields = endpoint(
        "\"generic\"\nevent_id = \"json:/id\"\nsignature = { json = \"/signature\", content = \"{json:/order}\" }",
    );
    let github = endpoint("\"github\"");
    let claimed = |endpoint: &Endpoint, replay_guard: bool| {
        let outgoing = signed(endpoint, "POST", &[("x-github-delivery", "d-1")], br#"{"order":"o-1","id":"e-1"}"#);
        let delivery = delivered_with(endpoint, &outgoing, JSON, replay_guard).unwrap();
        let envelope = delivery.envelope();
        assert_eq!(envelope.guard_digest() == envelope.body_digest(), endpoint.terms.provider.name == "github");
        envelope.arriving("message").guard
    };
    assert_eq!(claimed(&fields, false), None);
    assert!(claimed(&fields, true).is_some());
    // The record has the body's digest already.
    assert_eq!(claimed(&github, true), None);
}
