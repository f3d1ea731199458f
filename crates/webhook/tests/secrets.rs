//! Which secret, or which published key, a request was judged by: what an operator relies on who drops an old one.

#![expect(clippy::unwrap_used, clippy::panic, reason = "what goes wrong in a test is a failure of the test")]

use http::{HeaderMap, HeaderValue};
use wharf_webhook::clock::UnixSeconds;
use wharf_webhook::judgement::{Event, Verdict, judge};
use wharf_webhook::provider::find;
use wharf_webhook::refusal::Refusal;
use wharf_webhook::request::Request;
use wharf_webhook::secret::Secrets;
use wharf_webhook::signature::key::FetchedKey;
use wharf_webhook::terms::Terms;

fn terms(provider: &str) -> Terms {
    let provider = find(provider).unwrap();
    Terms::new(provider, *provider.scheme(None).unwrap())
}

fn event(judged: Result<Verdict, Refusal>) -> Event {
    match judged.unwrap() {
        Verdict::Event(event) => *event,
        Verdict::Handshake(_) => panic!("it is no question"),
    }
}

/// The secret that two notifications of one request are credited to, of the newest, `new`, and an older one, `old`.
fn credited(states: [&str; 2]) -> usize {
    let notification = |state: &str| {
        format!(
            r#"{{"id":"n-1","subscriptionId":"s-1","clientState":"{state}","changeType":"created","resource":"users/u1"}}"#
        )
    };
    let body = format!(r#"{{"value":[{},{}]}}"#, notification(states[0]), notification(states[1]));
    let terms = terms("msgraph");
    let secrets = Secrets::parse("new\nold", &terms.scheme).unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    let url = "https://hooks.example.com/webhooks/graph";
    let request = Request { method: "POST", url, headers: &headers, body: body.as_bytes() };
    event(judge(&terms, &secrets, None, &request, UnixSeconds(1_754_000_000))).secret_index()
}

#[test]
fn an_old_secret_is_in_use_as_long_as_any_signature_of_a_request_needs_it_whichever_comes_last() {
    assert_eq!(credited(["new", "new"]), 0);
    assert_eq!(credited(["old", "new"]), 1);
    assert_eq!(credited(["new", "old"]), 1);
    assert_eq!(credited(["old", "old"]), 1);
}

/// Whether a genuine request of Plaid's, signed at 1754000000, is let in at that second with a key that expires then.
fn plaid_lets_in(expired_at: &str) -> bool {
    // As in tests/vectors/plaid.json.
    let key = format!(
        r#"{{"alg":"ES256","crv":"P-256","expired_at":{expired_at},"kid":"bfbd5111-8e33-4643-8ced-b2e642a72f3c","kty":"EC",
            "use":"sig","x":"6Va15UxeV8w68eh3Q3aIUvQPF3hXFT7jXWF25pG6jZk","y":"1eP4prXVcYwk3_jVI0JHVmVhCqsKQrQR7SdKqo34msk"}}"#
    );
    let key = FetchedKey::from_jwk(key.as_bytes()).unwrap();
    let terms = terms("plaid");
    let secrets = Secrets::parse("client:secret", &terms.scheme).unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    headers.insert(
        "plaid-verification",
        HeaderValue::from_static(
            "eyJhbGciOiJFUzI1NiIsImtpZCI6ImJmYmQ1MTExLThlMzMtNDY0My04Y2VkLWIyZTY0MmE3MmYzYyIsInR5cCI6IkpXVCJ9.\
             eyJpYXQiOjE3NTQwMDAwMDAsInJlcXVlc3RfYm9keV9zaGEyNTYiOiI0YjlmMTA4N2FmZGEyZWU1YjAzN2FiZDY2ZmIyMGRlMDI5OTEyNjE1NGNmODVj\
             ZDY1ZWJhOTJiNjNjMjAxM2RjIn0.\
             EX9cQeaWrU5mnJ6xDdfPHsSAgOPbTXAhB9UJDVxcvUrJX2NqvVGXXKTuSEZOZXGpWp2IHivKzs4pidAUUe8plw",
        ),
    );
    let body = "{\n  \"environment\": \"production\",\n  \"error\": null,\n  \"item_id\": \"eVBnVMp7zdTJLkRNr33Rs6zr7KNJqBFL9DrE6\",\n  \
                \"new_transactions\": 0,\n  \"webhook_code\": \"DEFAULT_UPDATE\",\n  \"webhook_type\": \"TRANSACTIONS\"\n}";
    let url = "https://hooks.example.com/plaid";
    let request = Request { method: "POST", url, headers: &headers, body: body.as_bytes() };
    judge(&terms, &secrets, Some(&key), &request, UnixSeconds(1_754_000_000)).is_ok()
}

/// Plaid: `expired_at` is when the key expired, and from then on it is not to be used.
#[test]
fn a_published_key_is_good_until_the_second_before_it_expires() {
    assert!(plaid_lets_in("null"));
    assert!(plaid_lets_in("1754000001"));
    assert!(!plaid_lets_in("1754000000"));
    assert!(!plaid_lets_in("1753999999"));
}
