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
use wharf_webhook::judgement::{Verdict, judge};
use wharf_webhook::provider::{
    Content, Coverage, Covered, Encoding, PROVIDERS, Part, Place, Provider, Scheme, SecretForm, TimestampPlace,
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
            let item = json!({ "NotificationRequestItem": { "pspReference": format!("p{text}"), "eventCode": "E" } });
            json!({ "notificationItems": [item, item] }).to_string().into_bytes()
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
    essence(one) == essence(other)
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
        if scheme.event_id_rating == wharf_webhook::provider::IdRating::Event {
            assert!(!scheme.event_id.is_empty(), "{}", provider.name);
            for source in scheme.event_id {
                assert_eq!(scheme.covers(source), Covered::Yes, "{}: {source} is rated as signed, and is not", provider.name);
            }
        }
    }
}
