//! Nobody gets in without a valid signature, and everybody else is told no more than a status.

use std::io::{Read, Write};
use std::net::TcpStream;

use wharf_ops::log_tail::Function;

use crate::bodies::ANYTHING;
use crate::harness::{Wharf, headers, sample, shipped_consumer};
use crate::lambda::Door;

/// What makes a push of GitHub's, but for the signature.
const PUSH: [(&str, &str); 3] =
    [("content-type", "application/json"), ("x-github-event", "push"), ("x-github-delivery", "d-1")];
const SIGNATURE: &str = "x-hub-signature-256";

impl Wharf {
    /// Every message that the receiver stores is in the queue, or in the dead-letter queue, or has its record: none are.
    async fn nothing_has_reached_the_queue(&self) {
        assert_eq!(self.messages(&self.stack.facts().queue_url).await, 0);
        assert_eq!(self.messages(&self.stack.facts().dead_letter_queue_url).await, 0);
        assert_eq!(self.record_count().await, 0);
    }
}

#[tokio::test]
async fn a_forged_an_unsigned_and_a_truncated_signature_get_400_and_nothing_reaches_the_queue() {
    let wharf = Wharf::start().await;
    let body = sample("github-push.json");
    let genuine = wharf.signed("github", &PUSH, &body);
    let signature = genuine[SIGNATURE].to_str().unwrap();

    let mut answers = Vec::new();
    for forged in [
        wharf.signed_with("another secret", "github", &PUSH, &body),
        headers(&PUSH),
        headers(&[&PUSH[..], &[(SIGNATURE, signature.get(..signature.len() - 2).unwrap())]].concat()),
        headers(&[&PUSH[..], &[(SIGNATURE, "")]].concat()),
        headers(&[&PUSH[..], &[(SIGNATURE, signature.strip_prefix("sha256=").unwrap())]].concat()),
    ] {
        answers.push(wharf.post("github", forged, &body).await);
    }
    let mut altered = body.clone();
    altered.push(b' ');
    answers.push(wharf.post("github", genuine.clone(), &altered).await);

    for answer in answers {
        assert_eq!(answer.status, 400, "{answer:?}");
        let told: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(told["status"], "refused");
        assert_eq!(told.as_object().unwrap().len(), 2, "nothing but the arrival's id beside it: {told}");
    }
    wharf.nothing_has_reached_the_queue().await;
    let reasons: Vec<_> = wharf
        .log()
        .await
        .iter()
        .filter(|line| line.text("outcome") == Some("refused"))
        .map(|line| line.text("reason").unwrap().to_owned())
        .collect();
    let bad = "bad_signature".to_owned();
    let malformed = "malformed".to_owned();
    assert_eq!(reasons, [bad.clone(), malformed.clone(), bad.clone(), malformed, bad.clone(), bad]);
    // The same body with its genuine signature gets in, so it was the signature.
    assert_eq!(wharf.post("github", genuine, &body).await.status, 200);
}

#[tokio::test]
async fn an_unknown_endpoint_gets_404_a_wrong_method_405_and_false_json_422() {
    let wharf = Wharf::start().await;
    let body = sample("github-push.json");
    let genuine = wharf.signed("github", &PUSH, &body);

    assert_eq!(wharf.post("gitlab", genuine.clone(), &body).await.status, 404);
    assert_eq!(wharf.post("github/", genuine.clone(), &body).await.status, 404);
    // OPTIONS is missing here because the emulator answers it itself, as a browser's preflight.
    for method in ["GET", "HEAD", "PUT", "DELETE", "PATCH"] {
        let answer = wharf.request(method, &wharf.url("github"), genuine.clone(), b"").await;
        assert_eq!(answer.status, 405, "{method}");
        assert_eq!(answer.headers["allow"], "POST", "{method}");
    }
    for not_json in [&b"{"[..], b"", b"payload={}", b"{}{}"] {
        let answer = wharf.post("github", wharf.signed("github", &PUSH, not_json), not_json).await;
        assert_eq!(answer.status, 422, "{not_json:?}");
    }
    // Without a valid signature, nobody learns what is thought of the body.
    assert_eq!(wharf.post("github", genuine, b"{").await.status, 400);
    wharf.nothing_has_reached_the_queue().await;
}

#[tokio::test]
async fn a_body_of_six_mebibytes_lands_and_one_byte_more_gets_413() {
    let wharf = Wharf::start_with(ANYTHING, shipped_consumer(), &[]).await;
    let text = [("content-type", "text/plain"), ("x-id", "text")];
    let binary = [("content-type", "application/octet-stream"), ("x-id", "binary")];
    for (pairs, byte) in [(text, b'x'), (binary, 0xff)] {
        let too_large = vec![byte; 6_291_457];
        let answer = wharf.post("anything", wharf.signed("anything", &pairs, &too_large), &too_large).await;
        assert_eq!(answer.status, 413, "{}", answer.body);
        let largest = vec![byte; 6_291_456];
        let answer = wharf.post("anything", wharf.signed("anything", &pairs, &largest), &largest).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        wharf.completed("anything", pairs[1].1).await;
    }
}

#[tokio::test]
async fn headers_and_address_of_14336_bytes_are_taken_and_one_byte_more_gets_431() {
    let wharf = Wharf::start_with_orders("").await;
    wharf.pause().await;
    let door = Door::start(&wharf, "header-bomb", &wharf.stack.facts().aws_endpoint_url, &[]).await;
    let body = br#"{"id":"o-1"}"#;
    let signed = wharf.signed("shop", &[("x-bomb", "x")], body);
    let bytes: usize = signed.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    let address = "/webhooks/shop".len();
    for (surplus, status) in [(0, 200), (1, 431)] {
        let mut headers = signed.clone();
        let bomb = "x".repeat(14_336 - bytes - address + 1 + surplus);
        headers.insert("x-bomb", bomb.parse().unwrap());
        assert_eq!(door.post("shop", &headers, body).await["statusCode"], status);
    }
    // Six megabytes of them are read once, by the runtime, and no further.
    let mut headers = signed.clone();
    headers.insert("x-bomb", "x".repeat(6_000_000).parse().unwrap());
    assert_eq!(door.post("shop", &headers, body).await["statusCode"], 431);
    assert_eq!(wharf.messages(&wharf.stack.facts().queue_url).await, 1);
}

#[tokio::test]
async fn headers_of_any_bytes_are_no_obstacle_to_a_genuine_request() {
    let wharf = Wharf::start().await;
    let body = b"{}";
    let signature = wharf.signed("github", &PUSH, body)[SIGNATURE].to_str().unwrap().to_owned();
    let (address, path) = {
        let url = wharf.url("github");
        let rest = url.strip_prefix("http://").unwrap().to_owned();
        let (address, path) = rest.split_once('/').unwrap();
        (address.to_owned(), format!("/{path}"))
    };
    let odd: [&[u8]; 5] =
        [b"X-Odd: \xff\xfe\x80", b"X-Odd: \xc3\xa9", b"X-Odd: \t a\tb", b"X-Odd:", b"X-!#$%&'*+.^_`|~: {}[]<>\"\\"];
    for header in odd {
        let mut stream = TcpStream::connect(&address).unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\nContent-Type: application/json\r\n\
             X-Hub-Signature-256: {signature}\r\nX-GitHub-Delivery: d-1\r\nContent-Length: {}\r\n",
            body.len()
        );
        stream.write_all(&[head.as_bytes(), header, b"\r\n\r\n", body].concat()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with("HTTP/1.1 200"), "{:?}: {answer}", String::from_utf8_lossy(header));
    }
}

#[tokio::test]
async fn an_event_that_is_not_subscribed_to_is_acknowledged_and_goes_no_further() {
    let endpoints = "[endpoints.github]\nprovider = \"github\"\nevents = [\"push\"]\n";
    let wharf = Wharf::start_with(endpoints, shipped_consumer(), &[]).await;
    let body = sample("github-pull_request-opened.json");
    let pairs = [PUSH[0], ("x-github-event", "pull_request"), PUSH[2]];
    let answer = wharf.post("github", wharf.signed("github", &pairs, &body), &body).await;
    assert_eq!(answer.status, 200);
    assert!(answer.body.contains("not_subscribed"), "{}", answer.body);
    wharf.nothing_has_reached_the_queue().await;
    assert_eq!(wharf.count(Function::Receiver, "not_subscribed").await, 1);
}

#[tokio::test]
async fn an_endpoints_own_reply_is_what_its_sender_gets() {
    let endpoints = "[endpoints.github]\nprovider = \"github\"\n\
                     reply = { status = 202, content_type = \"text/xml\", body = \"<Response/>\" }\n";
    let wharf = Wharf::start_with(endpoints, shipped_consumer(), &[]).await;
    let answer = wharf.push("d-1", b"{}").await;
    assert_eq!((answer.status, &*answer.body), (202, "<Response/>"));
    assert_eq!(answer.headers["content-type"], "text/xml");
    wharf.completed("github", "d-1").await;
}

#[tokio::test]
async fn a_request_from_another_address_than_the_endpoint_names_gets_403_whatever_its_headers_say() {
    let range = "source_ranges = [\"192.30.252.0/22\", \"2a0a:a440::/29\"]\n";
    let wharf = Wharf::start_with_orders(range).await;
    let door = Door::start_with(&wharf, "sources", range, &wharf.stack.facts().aws_endpoint_url, &[]).await;
    let body = br#"{"id":"o-1"}"#;
    let signed = wharf.signed("shop", &[("x-forwarded-for", "192.30.252.1")], body);
    for (source, status) in [("192.30.252.1", 200), ("2a0a:a447::9", 200), ("192.30.251.1", 403), ("", 403)] {
        assert_eq!(door.post_from(source, "shop", &signed, body).await["statusCode"], status, "{source:?}");
    }
    // Through the front door, everybody comes from this machine.
    assert_eq!(wharf.post("shop", signed, body).await.status, 403);
    let line = wharf.logged("the reason is logged", |line| line.text("reason") == Some("source_address")).await;
    assert_eq!(line.text("endpoint"), Some("shop"));
}

#[tokio::test]
async fn a_wrong_secret_an_altered_body_and_a_missing_signature_are_told_the_same() {
    let wharf = Wharf::start().await;
    let body = sample("github-push.json");
    let mut altered = body.clone();
    altered[10] ^= 1;
    let genuine = wharf.signed("github", &PUSH, &body);
    let mut told = Vec::new();
    for (headers, body) in [
        (wharf.signed_with("another secret", "github", &PUSH, &body), &body),
        (genuine.clone(), &altered),
        (headers(&PUSH), &body),
    ] {
        let answer = wharf.post("github", headers, body).await;
        let mut told_of_it: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        assert!(told_of_it["arrival_id"].take().is_string());
        let names = answer.headers.keys().map(ToString::to_string).collect::<std::collections::BTreeSet<_>>();
        told.push((answer.status, names, told_of_it));
    }
    assert_eq!(told[0], told[1]);
    assert_eq!(told[0], told[2]);
}

#[tokio::test]
async fn no_line_of_the_log_holds_a_body_a_secret_or_a_signature() {
    let wharf = Wharf::start().await;
    let body = b"{\"card\":\"4242-4242\"}";
    let genuine = wharf.signed("github", &PUSH, body);
    let forged = wharf.signed_with("another secret", "github", &PUSH, body);
    assert_eq!(wharf.post("github", genuine.clone(), body).await.status, 200);
    assert_eq!(wharf.post("github", forged.clone(), body).await.status, 400);
    assert_eq!(wharf.post("github", genuine.clone(), b"{\"card\":").await.status, 400);
    wharf.completed("github", "d-1").await;
    wharf.logged("the consumer has logged it", |line| line.text("outcome") == Some("landed")).await;
    for line in wharf.log().await {
        let line = line.fields.to_string();
        let digits = |headers: &http::HeaderMap| headers[SIGNATURE].to_str().unwrap().replace("sha256=", "");
        for private in ["card", "4242", wharf.secret("github"), "another secret", &digits(&genuine), &digits(&forged)] {
            assert!(!line.contains(private), "{private} in {line}");
        }
    }
}
