//! What holds of every provider whose key is shared, whatever it sends: what is signed verifies, and what was changed,
//! signed with another secret or in another scheme does not.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "what cannot be made up is a failure")]

use std::collections::BTreeSet;

use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};
use wharf_webhook::clock::UnixMillis;
use wharf_webhook::endpoints::Endpoints;
use wharf_webhook::judgement::{Verdict, event_types, judge};
use wharf_webhook::provider::{
    Answer, Check, Content, Coverage, Covered, Encoding, IdRating, PROVIDERS, Part, Place, Provider, Scheme,
    SecretForm, Source, TimestampPlace, WithoutId,
};
use wharf_webhook::refusal::{Refusal, RefusalKind};
use wharf_webhook::request::Request;
use wharf_webhook::secret::Secrets;
use wharf_webhook::signature::signing::{Outgoing, sign};
use wharf_webhook::terms::Terms;

const NOW: UnixMillis = UnixMillis(1_754_000_000_250);
const URL: &str = "https://hooks.example.com/webhooks/x?a=1";

/// Every scheme that can sign.
fn schemes() -> Vec<(&'static Provider, &'static Scheme)> {
    let all = PROVIDERS.iter().flat_map(|provider| provider.schemes.iter().map(move |scheme| (provider, scheme)));
    all.filter(|(_, scheme)| scheme.can_sign()).collect()
}

fn terms(provider: &'static Provider, scheme: &Scheme) -> Terms {
    let mut terms = Terms::new(provider, *scheme);
    terms.settings.webhook_id = Some("WH-1".into());
    terms
}

/// A secret in the form that the scheme's have.
fn secret(scheme: &Scheme, bytes: [u8; 16]) -> Secrets {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let base64 = String::from_utf8(Encoding::Base64.encode(&bytes)).unwrap();
    let text = match scheme.secret {
        SecretForm::Utf8 | SecretForm::Hex => hex,
        SecretForm::Base64 => base64,
        SecretForm::StandardWebhooks => format!("whsec_{base64}"),
        SecretForm::Certificate { .. } | SecretForm::SnsCertificate | SecretForm::PlaidCredentials => String::new(),
    };
    Secrets::parse(&text, scheme).unwrap()
}

/// A request that the scheme can sign, with these bytes in it as far as the scheme lets them be any.
fn unsigned(scheme: &Scheme, bytes: &[u8]) -> Outgoing {
    let text = String::from_utf8_lossy(bytes);
    let body = match (scheme.signature, scheme.timestamp.map(|timestamp| timestamp.at)) {
        (Place::JsonEach { list: "/value", .. }, _) => {
            json!({ "value": [{ "id": text }, { "id": "2" }] }).to_string().into_bytes()
        }
        (Place::JsonEach { .. }, _) => {
            let item = |code: &str| json!({ "NotificationRequestItem": { "pspReference": format!("p{text}"), "eventCode": code } });
            json!({ "notificationItems": [item("E"), item("F")] }).to_string().into_bytes()
        }
        (Place::Json(_), _) => {
            json!({ "signature": { "token": format!("t{text}") }, "event-data": {} }).to_string().into_bytes()
        }
        (_, Some(TimestampPlace::Json(_))) => json!({ "note": text }).to_string().into_bytes(),
        _ => bytes.to_vec(),
    };
    let mut headers = HeaderMap::new();
    if let Content::Parts(parts) = scheme.content {
        for part in parts {
            if let Part::Header(name) = part {
                headers.insert(*name, HeaderValue::from_static("msg_1"));
            }
        }
    }
    if scheme.content == Content::Twilio && bytes.len().is_multiple_of(2) {
        headers.insert("content-type", HeaderValue::from_static("application/x-www-form-urlencoded"));
    }
    headers.insert("x-contentful-topic", HeaderValue::from_static("Entry.publish"));
    Outgoing { method: "POST".into(), url: URL.into(), headers, body }
}

fn judged(terms: &Terms, secrets: &Secrets, outgoing: &Outgoing) -> Result<Verdict, Refusal> {
    let request =
        Request { method: &outgoing.method, url: &outgoing.url, headers: &outgoing.headers, body: &outgoing.body };
    judge(terms, secrets, None, &request, NOW.seconds())
}

fn is_refused(terms: &Terms, secrets: &Secrets, outgoing: &Outgoing) -> bool {
    judged(terms, secrets, outgoing).is_err()
}

/// A form as the set that Twilio signs: other bytes may say the same.
fn fields(body: &[u8]) -> BTreeSet<(Vec<u8>, Vec<u8>)> {
    let decoded = |text: &[u8]| {
        let spaced: Vec<u8> = text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
        percent_encoding::percent_decode(&spaced).collect::<Vec<u8>>()
    };
    let field = |field: &[u8]| {
        let at = field.iter().position(|byte| *byte == b'=').unwrap_or(field.len());
        (decoded(&field[..at]), decoded(field.get(at + 1..).unwrap_or_default()))
    };
    body.split(|byte| *byte == b'&').filter(|part| !part.is_empty()).map(field).collect()
}

/// Whether two schemes are the same but for where ids and types are: then what the one signs is the other's.
fn is_same(one: &Scheme, other: &Scheme) -> bool {
    let essence = |scheme: &Scheme| {
        (scheme.signature, scheme.separator, scheme.prefix, scheme.encoding, scheme.algorithm, scheme.content)
    };
    // Some senders' schemes are known by two families of names.
    let renamed = |own: &str, theirs: &str| match one.signature {
        Place::Header(name) => name.strip_prefix(theirs).map(|rest| format!("{own}{rest}")),
        Place::Headers(_) | Place::NumberedHeaders(_) | Place::Json(_) | Place::JsonEach { .. } | Place::Query(_) => {
            None
        }
    };
    let is_other_name = other
        .other_headers
        .is_some_and(|(own, theirs)| renamed(own, theirs).is_some_and(|name| other.has_signature_in(&name)));
    essence(one) == essence(other) || is_other_name
}

/// The key of the event that a request brings.
fn key(terms: &Terms, secrets: &Secrets, outgoing: &Outgoing, now: UnixMillis) -> String {
    let request =
        Request { method: &outgoing.method, url: &outgoing.url, headers: &outgoing.headers, body: &outgoing.body };
    match judge(terms, secrets, None, &request, now.seconds()) {
        Ok(Verdict::Event(event)) => event.key("this arrival").to_string(),
        other => unreachable!("{}: {other:?}", terms.provider.name),
    }
}

/// Sets what a pointer leads to, making objects and lists of one element on the way.
fn set(json: &mut Value, pointer: &str, value: Value) {
    let mut at = json;
    for step in pointer.split('/').skip(1) {
        if step == "*" {
            if !at.is_array() {
                *at = json!([{}]);
            }
            at = &mut at[0];
        } else {
            if !at.is_object() {
                *at = json!({});
            }
            at = &mut at[step];
        }
    }
    *at = value;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_body_verifies_after_signing(bytes in vec(any::<u8>(), 0..200), key in any::<[u8; 16]>()) {
        for (provider, scheme) in schemes() {
            let (terms, secrets) = (terms(provider, scheme), secret(scheme, key));
            let signed = sign(&terms, &secrets, unsigned(scheme, &bytes), NOW).unwrap();
            let verdict = judged(&terms, &secrets, &signed);
            prop_assert!(verdict.is_ok(), "{} {}: {verdict:?}", provider.name, scheme.name);
        }
    }

    #[test]
    fn any_other_secret_is_refused(
        bytes in vec(any::<u8>(), 0..60), key in any::<[u8; 16]>(), other in any::<[u8; 16]>(),
    ) {
        prop_assume!(key != other);
        for (provider, scheme) in schemes() {
            let terms = terms(provider, scheme);
            let signed = sign(&terms, &secret(scheme, key), unsigned(scheme, &bytes), NOW).unwrap();
            let refusal = judged(&terms, &secret(scheme, other), &signed).unwrap_err();
            prop_assert_eq!(refusal.kind(), RefusalKind::BadSignature, "{} {}", provider.name, scheme.name);
        }
    }

    #[test]
    fn any_bit_of_a_covered_body_counts(
        bytes in vec(any::<u8>(), 1..120), key in any::<[u8; 16]>(), at in any::<Index>(), bit in 0..8u32,
    ) {
        for (provider, scheme) in schemes() {
            if scheme.coverage() != Coverage::Body {
                continue;
            }
            let (terms, secrets) = (terms(provider, scheme), secret(scheme, key));
            let signed = sign(&terms, &secrets, unsigned(scheme, &bytes), NOW).unwrap();
            let mut altered = signed.clone();
            let length = altered.body.len();
            altered.body[at.index(length)] ^= 1u8 << bit;
            let says_the_same = signed.headers.contains_key("content-type") && fields(&signed.body) == fields(&altered.body);
            prop_assert!(
                says_the_same || is_refused(&terms, &secrets, &altered),
                "{} {}: {:?}", provider.name, scheme.name, altered.body
            );
        }
    }

    #[test]
    fn any_bit_of_a_signed_header_and_of_the_signature_counts(
        bytes in vec(any::<u8>(), 0..40), key in any::<[u8; 16]>(), at in any::<Index>(), bit in 0..8u32,
    ) {
        for (provider, scheme) in schemes() {
            let (terms, secrets) = (terms(provider, scheme), secret(scheme, key));
            let signed = sign(&terms, &secrets, unsigned(scheme, &bytes), NOW).unwrap();
            let mut names: Vec<HeaderName> = vec![];
            let mut add = |name: &str| names.push(name.parse().unwrap());
            if let Place::Header(name) = scheme.signature {
                add(name);
            }
            if let Some(TimestampPlace::Header(name)) = scheme.timestamp.map(|timestamp| timestamp.at) {
                add(name);
            }
            if let Content::Parts(parts) = scheme.content {
                for part in parts {
                    if let Part::Header(name) = part {
                        add(name);
                    }
                }
            }
            if scheme.content == Content::Contentful {
                // Not the list itself: what is signed is the set of those that it names and that are there.
                add("x-contentful-topic");
            }
            for name in names {
                let mut value = signed.headers[&name].as_bytes().to_vec();
                let index = at.index(value.len());
                value[index] ^= 1u8 << bit;
                // Another case of a hexadecimal digit is the same digit, and the last character of a base64 text may have
                // bits that stand for nothing. White space around an item of a list is not part of it.
                let decodes_alike = scheme.signature == Place::Header(Box::leak(name.as_str().to_owned().into_boxed_str()))
                    && (value[index].eq_ignore_ascii_case(&signed.headers[&name].as_bytes()[index])
                        || scheme.encoding == Encoding::Base64 && index + 3 >= value.len()
                        || scheme.separator.is_some()
                        || scheme.content == Content::MondayToken);
                let Ok(value) = HeaderValue::from_bytes(&value) else { continue };
                let mut altered = signed.clone();
                altered.headers.insert(&name, value);
                prop_assert!(
                    decodes_alike || is_refused(&terms, &secrets, &altered),
                    "{} {} {name}: {:?}", provider.name, scheme.name, altered.headers[&name]
                );
            }
        }
    }

    #[test]
    fn a_signature_of_one_scheme_is_none_of_another(bytes in vec(any::<u8>(), 0..40), key in any::<[u8; 16]>()) {
        for (provider, scheme) in schemes() {
            let signed = sign(&terms(provider, scheme), &secret(scheme, key), unsigned(scheme, &bytes), NOW).unwrap();
            for (other_provider, other) in schemes() {
                if is_same(scheme, other) {
                    continue;
                }
                let verdict = judged(&terms(other_provider, other), &secret(other, key), &signed);
                prop_assert!(
                    !matches!(verdict, Ok(Verdict::Event(_))),
                    "what {} {} signs is let in as {} {}", provider.name, scheme.name, other_provider.name, other.name
                );
            }
        }
    }

    #[test]
    fn every_signed_field_counts(text in "[a-z]{1,8}", key in any::<[u8; 16]>()) {
        for (provider, scheme) in schemes() {
            let Content::Parts(parts) = scheme.content else { continue };
            let (terms, secrets) = (terms(provider, scheme), secret(scheme, key));
            let signed = sign(&terms, &secrets, unsigned(scheme, b"x"), NOW).unwrap();
            for part in parts {
                let (Part::Json(pointer) | Part::JsonOrNothing(pointer)) = part else { continue };
                let mut body: Value = serde_json::from_slice(&signed.body).unwrap();
                // The last element, where there is a list: each must be right.
                let element = match scheme.signature {
                    Place::JsonEach { list, .. } => body.pointer_mut(list).unwrap().as_array_mut().unwrap().last_mut().unwrap(),
                    Place::Header(_) | Place::Headers(_) | Place::NumberedHeaders(_) | Place::Json(_) | Place::Query(_) => &mut body,
                };
                let Some(member) = element.pointer_mut(pointer) else { continue };
                *member = Value::from(format!("{}{text}", member.as_str().unwrap_or_default()));
                let altered = Outgoing { body: body.to_string().into_bytes(), ..signed.clone() };
                prop_assert!(is_refused(&terms, &secrets, &altered), "{} {pointer}", provider.name);
            }
        }
    }

    #[test]
    fn where_the_address_is_signed_another_one_is_refused(key in any::<[u8; 16]>(), other in "[a-z]{1,8}") {
        for (provider, scheme) in schemes().into_iter().filter(|(_, scheme)| scheme.signs_url()) {
            let (terms, secrets) = (terms(provider, scheme), secret(scheme, key));
            let signed = sign(&terms, &secrets, unsigned(scheme, b"{}"), NOW).unwrap();
            let altered = Outgoing { url: format!("{}&{other}=1", signed.url), ..signed };
            prop_assert!(is_refused(&terms, &secrets, &altered), "{} {}", provider.name, scheme.name);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_a_sender_changes_when_it_tries_again_makes_no_other_event(
        first in "[a-z0-9]{1,6}", second in "[a-z0-9]{1,6}", seconds in 1..200i64, key_bytes in any::<[u8; 16]>(),
    ) {
        for (provider, scheme) in schemes() {
            let repeats = scheme.event_id_rating == IdRating::Repeats || scheme.without_id != WithoutId::Digest;
            let (terms, secrets) = (terms(provider, scheme), secret(scheme, key_bytes));
            let attempt = |varying: Option<&str>, at: UnixMillis| {
                let mut outgoing = unsigned(scheme, br#"{"note":"x"}"#);
                for source in scheme.varies {
                    match source {
                        Source::Json(pointer) => {
                            let mut body: Value = serde_json::from_slice(&outgoing.body).unwrap_or_else(|_| json!({}));
                            if let Some(Source::Json(id)) = scheme.event_id.first() {
                                set(&mut body, id, Value::from("id-1"));
                            }
                            // A list beside what else the scheme's body has, or the body itself.
                            if let Some(varying) = varying.filter(|_| !pointer.starts_with("/signature")) {
                                set(&mut body, pointer, Value::from(varying));
                            } else if let Some((parent, _)) = pointer.rsplit_once('/').filter(|(parent, _)| parent.contains("deliveryContext")) {
                                set(&mut body, parent, json!({}));
                            }
                            outgoing.body = body.to_string().into_bytes();
                        }
                        Source::Header(name) => {
                            if let Some(varying) = varying {
                                outgoing.headers.insert(*name, varying.parse().unwrap());
                            }
                        }
                        Source::EncodedHeader(_)
                        | Source::MembersBeside { .. }
                        | Source::Form(_)
                        | Source::FormJson(..)
                        | Source::Query(_) => unreachable!("{source} cannot vary"),
                    }
                }
                sign(&terms, &secrets, outgoing, at).unwrap()
            };
            if repeats {
                continue;
            }
            // A time of the event's own within the body is not the time of the attempt.
            let is_events = match scheme.timestamp.map(|timestamp| timestamp.at) {
                Some(TimestampPlace::Json(pointer)) => {
                    !scheme.varies.iter().any(|source| matches!(source, Source::Json(varying) if pointer.starts_with(varying)))
                }
                Some(TimestampPlace::Header(_) | TimestampPlace::Item(_)) | None => false,
            };
            let later = if is_events { NOW } else { UnixMillis(NOW.0 + seconds * 1000) };
            let before = key(&terms, &secrets, &attempt(Some(&first), NOW), NOW);
            let after = key(&terms, &secrets, &attempt(Some(&second), later), later);
            prop_assert_eq!(&before, &after, "{} {}", provider.name, scheme.name);
            let without = key(&terms, &secrets, &attempt(None, NOW), NOW);
            prop_assert_eq!(&before, &without, "{} {}", provider.name, scheme.name);
        }
    }

    #[test]
    fn what_anyone_may_have_signed_is_no_event(token in "[A-Za-z0-9+/=_-]{1,64}", key_bytes in any::<[u8; 16]>()) {
        for (provider, scheme) in schemes() {
            let asks = |answer: &Answer| matches!(answer, Answer::Hmac(..));
            if !provider.handshakes.iter().any(|handshake| handshake.body.iter().any(asks)) {
                continue;
            }
            let (terms, secrets) = (terms(provider, scheme), secret(scheme, key_bytes));
            let outgoing = Outgoing { body: token.clone().into_bytes(), ..unsigned(scheme, b"") };
            let signed = sign(&terms, &secrets, outgoing, NOW).unwrap();
            // The signature is the answer to the question where nothing stands beside the body.
            let is_answer = matches!(scheme.content, Content::Parts([Part::Body]));
            prop_assert_eq!(is_refused(&terms, &secrets, &signed), is_answer, "{}", provider.name);
        }
    }
}

#[test]
fn what_is_answered_with_a_signature_is_a_plain_token() {
    for handshake in PROVIDERS.iter().flat_map(|provider| provider.handshakes) {
        for answer in handshake.body.iter().chain(handshake.headers.iter().map(|(_, answer)| answer)) {
            if let Answer::Hmac(_, source) = answer {
                assert_eq!(handshake.check, Check::PlainToken(*source));
            }
        }
    }
}

#[test]
fn an_event_whose_type_cannot_be_told_is_not_dropped() {
    let mut filtered = 0;
    for (provider, scheme) in schemes() {
        let signature = if scheme.name.is_empty() { String::new() } else { format!("scheme = {:?}\n", scheme.name) };
        let settings = "verify_token = \"v\"\n";
        let settings = if provider.required.is_empty() { "" } else { settings };
        let text =
            format!("[endpoints.x]\nprovider = {:?}\n{signature}{settings}events = [\"wanted\"]\n", provider.name);
        let endpoints = match Endpoints::parse(&text) {
            Ok(endpoints) => endpoints,
            Err(problems) => {
                assert!(
                    scheme.event_type.is_empty() && problems.to_string().contains("can match nothing"),
                    "{problems}"
                );
                continue;
            }
        };
        let endpoint = endpoints.get("x").unwrap();
        let outgoing = unsigned(scheme, b"");
        for body in [&b"{}"[..], b"[]", b"[{}]", b"", b"{"] {
            let mut headers = outgoing.headers.clone();
            headers.remove("x-contentful-topic");
            let request = Request { method: "POST", url: URL, headers: &headers, body };
            assert!(endpoint.subscribes_to(&event_types(&endpoint.terms, &request)), "{}", provider.name);
        }
        filtered += 1;
    }
    assert!(filtered > 45, "{filtered}");
}

#[test]
fn every_provider_whose_key_is_shared_can_sign() {
    let names: BTreeSet<&str> = schemes().into_iter().map(|(provider, _)| provider.name).collect();
    let others: Vec<&str> =
        PROVIDERS.iter().map(|provider| provider.name).filter(|name| !names.contains(name)).collect();
    assert_eq!(others, ["discord", "sendgrid", "sns", "plaid", "paypal"]);
}

#[test]
fn no_field_of_the_row_that_a_signed_id_is_read_from_is_unsigned() {
    for (provider, scheme) in
        PROVIDERS.iter().flat_map(|provider| provider.schemes.iter().map(move |scheme| (provider, scheme)))
    {
        if matches!(scheme.event_id_rating, IdRating::Event | IdRating::Events) {
            assert!(!scheme.event_id.is_empty(), "{}", provider.name);
            // What a Contentful request signs, it says itself; and the places behind the first are second best.
            if let (Some(source), true) = (scheme.event_id.first(), scheme.content != Content::Contentful) {
                let covered = scheme.covers(source);
                assert_eq!(covered, Covered::Yes, "{}: {source} is rated as signed, and is not", provider.name);
            }
        }
    }
}
