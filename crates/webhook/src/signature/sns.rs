//! Amazon SNS: the signature and everything that it covers are fields of the body, in an order of their own by the type of
//! message; the key is a certificate whose address the message gives.
//!
//! Anyone with an AWS account can have SNS sign a message to anybody's endpoint. So the topic is compared before anything is
//! fetched, and what is fetched comes from SNS in that topic's region only.
//! (docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html)

use std::borrow::Cow;

use http::Uri;
use serde::Deserialize;

use super::key::{FetchedKey, KeyAddress, host_of};
use super::{Pieces, Verified, instant, judge_age};
use crate::clock::UnixSeconds;
use crate::partition::{self, Partition};
use crate::provider::{Algorithm, Encoding, TimestampUnit};
use crate::refusal::{Quoted, Refusal};
use crate::request::Request;
use crate::terms::Terms;

/// Pointers to what is signed in a message of any type.
pub(crate) const SIGNED_ALWAYS: [&str; 5] = ["/Message", "/MessageId", "/Timestamp", "/TopicArn", "/Type"];
const NOTIFICATION: &str = "Notification";
const SUBSCRIPTION_CONFIRMATION: &str = "SubscriptionConfirmation";
const UNSUBSCRIBE_CONFIRMATION: &str = "UnsubscribeConfirmation";

/// The fields as they stand in the body.
#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(rename = "Type", borrow)]
    kind: Option<Cow<'a, str>>,
    #[serde(rename = "MessageId", borrow)]
    message_id: Option<Cow<'a, str>>,
    #[serde(rename = "TopicArn", borrow)]
    topic: Option<Cow<'a, str>>,
    #[serde(rename = "Subject", borrow)]
    subject: Option<Cow<'a, str>>,
    #[serde(rename = "Message", borrow)]
    message: Option<Cow<'a, str>>,
    #[serde(rename = "Timestamp", borrow)]
    timestamp: Option<Cow<'a, str>>,
    #[serde(rename = "Token", borrow)]
    token: Option<Cow<'a, str>>,
    #[serde(rename = "SubscribeURL", borrow)]
    subscribe_url: Option<Cow<'a, str>>,
    #[serde(rename = "SignatureVersion", borrow)]
    signature_version: Option<Cow<'a, str>>,
    #[serde(rename = "Signature", borrow)]
    signature: Option<Cow<'a, str>>,
    #[serde(rename = "SigningCertURL", alias = "SigningCertUrl", borrow)]
    certificate_url: Option<Cow<'a, str>>,
}

/// A message that has all fields of its type, and whose topic the endpoint names.
struct Message<'a> {
    kind: Cow<'a, str>,
    topic: Cow<'a, str>,
    /// Names and values of what is signed, in order.
    signed: Vec<(&'static str, Cow<'a, str>)>,
    timestamp: Cow<'a, str>,
    signature_version: Cow<'a, str>,
    signature: Cow<'a, str>,
    certificate_url: Cow<'a, str>,
    subscribe_url: Option<Cow<'a, str>>,
}

/// Where the message says that its certificate is, if the endpoint names its topic and SNS keeps certificates there.
pub(super) fn key_address(terms: &Terms, request: &Request<'_>) -> Result<KeyAddress, Refusal> {
    let message = Message::read(terms, request)?;
    let url = message.certificate_url.as_ref();
    let uri = of_sns(terms, &message, url).filter(is_certificate);
    uri.map(|_| KeyAddress::Certificate { url: url.to_owned() })
        .ok_or_else(|| Refusal::KeyElsewhere { address: Quoted::new(url) })
}

pub(super) fn verify(
    terms: &Terms,
    published: Option<&FetchedKey>,
    request: &Request<'_>,
    now: UnixSeconds,
) -> Result<Verified, Refusal> {
    key_address(terms, request)?;
    let message = Message::read(terms, request)?;
    let algorithm = match &*message.signature_version {
        "1" => Algorithm::RsaSha1,
        "2" => Algorithm::RsaSha256,
        other => {
            let found = Quoted::new(other);
            return Err(Refusal::UnknownVersion {
                header: "member SignatureVersion".to_owned(),
                found,
                expected: "1 or 2",
            });
        }
    };
    let signed_at = instant(message.timestamp.as_bytes(), TimestampUnit::Rfc3339)
        .ok_or_else(|| Refusal::TimestampUnreadable { what: "member /Timestamp of the body".to_owned() })?;
    let signature = Encoding::Base64
        .decode(message.signature.as_bytes())
        .ok_or_else(|| Refusal::SignatureUndecodable { what: "member /Signature of the body".to_owned() })?;
    let address = || Quoted::new(&message.certificate_url);
    let key = published.and_then(FetchedKey::certified).ok_or_else(|| Refusal::KeyUnknown { address: address() })?;
    let lines = message.signed.iter().flat_map(|(name, value)| {
        [name.as_bytes().into(), b"\n".as_slice().into(), value.as_bytes().into(), b"\n".as_slice().into()]
    });
    if !Pieces::bytes(lines).fits_public(algorithm, key, &signature) {
        return Err(Refusal::PublishedKeyMismatch);
    }
    judge_age(terms, signed_at, now)?;
    Ok(Verified { secret_index: 0 })
}

/// Where a verified message asks to be confirmed, if that is what it asks and SNS would answer there.
pub(crate) fn confirmation(terms: &Terms, _: Verified, request: &Request<'_>) -> Result<Option<String>, Refusal> {
    let message = Message::read(terms, request)?;
    let Some(url) = message.subscribe_url.as_ref().filter(|_| message.kind == SUBSCRIPTION_CONFIRMATION) else {
        return Ok(None);
    };
    match of_sns(terms, &message, url) {
        Some(_) => Ok(Some(url.to_string())),
        None => Err(Refusal::KeyElsewhere { address: Quoted::new(url) }),
    }
}

impl<'a> Message<'a> {
    fn read(terms: &Terms, request: &Request<'a>) -> Result<Message<'a>, Refusal> {
        let problem = "it is not an SNS message with its envelope; turn raw message delivery off";
        let text = std::str::from_utf8(request.body).map_err(|_| Refusal::BodyUnreadable { problem })?;
        let fields: Fields<'a> = serde_json::from_str(text).map_err(|_| Refusal::BodyUnreadable { problem })?;

        let kind = required(fields.kind, "Type")?;
        let topic = required(fields.topic, "TopicArn")?;
        let message = required(fields.message, "Message")?;
        let message_id = required(fields.message_id, "MessageId")?;
        let timestamp = required(fields.timestamp, "Timestamp")?;
        let signature_version = required(fields.signature_version, "SignatureVersion")?;
        let signature = required(fields.signature, "Signature")?;
        let certificate_url = required(fields.certificate_url, "SigningCertURL")?;
        let (signed, subscribe_url) = match &*kind {
            NOTIFICATION => {
                let mut signed = vec![("Message", message), ("MessageId", message_id)];
                signed.extend(fields.subject.map(|subject| ("Subject", subject)));
                signed.extend([("Timestamp", timestamp.clone()), ("TopicArn", topic.clone()), ("Type", kind.clone())]);
                (signed, None)
            }
            SUBSCRIPTION_CONFIRMATION | UNSUBSCRIBE_CONFIRMATION => {
                let url = required(fields.subscribe_url, "SubscribeURL")?;
                let signed = vec![
                    ("Message", message),
                    ("MessageId", message_id),
                    ("SubscribeURL", url.clone()),
                    ("Timestamp", timestamp.clone()),
                    ("Token", required(fields.token, "Token")?),
                    ("TopicArn", topic.clone()),
                    ("Type", kind.clone()),
                ];
                (signed, Some(url))
            }
            _ => return Err(Refusal::BodyUnreadable { problem: "its Type is none of SNS's" }),
        };
        if terms.settings.topics.as_ref().is_some_and(|topics| !topics.iter().any(|named| *named == topic)) {
            return Err(Refusal::TopicNotNamed { topic: Quoted::new(&topic) });
        }
        Ok(Message { kind, topic, signed, timestamp, signature_version, signature, certificate_url, subscribe_url })
    }
}

fn required<'a>(value: Option<Cow<'a, str>>, name: &str) -> Result<Cow<'a, str>, Refusal> {
    let what = || format!("member /{name} of the body");
    match value {
        None => Err(Refusal::Absent { what: what() }),
        Some(text) if text.is_empty() && name != "Message" => Err(Refusal::Empty { what: what() }),
        Some(text) => Ok(text),
    }
}

/// An address that SNS answers: in the topic's own region where the endpoint names its topics.
fn of_sns(terms: &Terms, message: &Message<'_>, url: &str) -> Option<Uri> {
    let (uri, host) = host_of(url)?;
    let region = partition::region_of_host("sns", &host)?;
    let is_topics = terms.settings.topics.is_none() || region_of_topic(&message.topic) == Some(region);
    is_topics.then_some(uri)
}

/// The address of a certificate is `/SimpleNotificationService-` with letters and digits, and `.pem`: those that SNS sends
/// have had 32 hexadecimal digits. A stranger can name fewer addresses this way.
fn is_certificate(uri: &Uri) -> bool {
    let name = uri.path().strip_prefix("/SimpleNotificationService-").and_then(|name| name.strip_suffix(".pem"));
    let is_name = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    name.is_some_and(is_name) && uri.query().is_none()
}

/// The region of a topic's ARN, `arn:<partition>:sns:<region>:<account>:<name>`; `None` if it is no such ARN, or the region is
/// of another partition.
pub(crate) fn region_of_topic(arn: &str) -> Option<&str> {
    let parts: Vec<&str> = arn.split(':').collect();
    let ["arn", partition, "sns", region, account, name] = parts[..] else { return None };
    let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    let is_regions = Partition::of_region(region).is_some_and(|of_region| of_region.name == partition);
    (is_account && is_regions && !name.is_empty()).then_some(region)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_certificate_of_sns_is_at_an_address_of_a_certificate() {
        let is_certificate =
            |path: &str| is_certificate(&format!("https://sns.eu-west-1.amazonaws.com{path}").parse().unwrap());
        for path in
            ["/SimpleNotificationService-a.pem", "/SimpleNotificationService-f3ecfb7224c7233fe7bb5f59f96de52f.pem"]
        {
            assert!(is_certificate(path), "{path}");
        }
        for path in [
            "/SimpleNotificationService-.pem",
            "/SimpleNotificationService-a",
            "/SimpleNotificationService-a.pem?x",
            "/SimpleNotificationService-a.pem/b.pem",
            "/SimpleNotificationService-a%2e.pem",
            "/SimpleNotificationService-a-b.pem",
            "/simplenotificationservice-a.pem",
            "/x/SimpleNotificationService-a.pem",
            "/x.pem",
            "/",
        ] {
            assert!(!is_certificate(path), "{path}");
        }
    }

    #[test]
    fn a_topic_is_in_a_region_of_its_partition() {
        assert_eq!(region_of_topic("arn:aws:sns:eu-west-1:123456789012:orders"), Some("eu-west-1"));
        assert_eq!(region_of_topic("arn:aws-eusc:sns:eusc-de-east-1:123456789012:orders"), Some("eusc-de-east-1"));
        assert_eq!(region_of_topic("arn:aws-cn:sns:cn-north-1:123456789012:orders"), Some("cn-north-1"));
        for arn in [
            "arn:aws:sns:cn-north-1:123456789012:orders",
            "arn:aws:sns:eusc-de-east-1:123456789012:orders",
            "arn:aws-cn:sns:eu-west-1:123456789012:orders",
            "arn:aws:sqs:eu-west-1:123456789012:orders",
            "arn:aws:sns:eu-west-1:12345678901:orders",
            "arn:aws:sns:eu-west-1:123456789012:",
            "arn:aws:sns:eu-west-1:123456789012:orders:8b2d",
            "orders",
            "",
        ] {
            assert_eq!(region_of_topic(arn), None, "{arn:?}");
        }
    }

    #[test]
    fn the_certificate_is_of_the_topics_own_region() {
        let sns = crate::provider::find("sns").unwrap();
        let topic = "arn:aws:sns:eu-west-1:123456789012:orders";
        let address = |topics: Option<Vec<String>>, region: &str| {
            let mut terms = Terms::new(sns, *sns.scheme(None).unwrap());
            terms.settings.topics = topics;
            let url = format!("https://sns.{region}.amazonaws.com/SimpleNotificationService-a.pem");
            let body = serde_json::json!({
                "Type": "Notification", "MessageId": "m", "TopicArn": topic, "Message": "", "Timestamp": "2026-11-27T12:00:00.000Z",
                "SignatureVersion": "1", "Signature": "AA==", "SigningCertURL": url,
            });
            let (headers, body) = (http::HeaderMap::new(), body.to_string());
            let request = Request { method: "POST", url: "", headers: &headers, body: body.as_bytes() };
            (key_address(&terms, &request), url)
        };
        let (found, url) = address(Some(vec![topic.to_owned()]), "eu-west-1");
        assert_eq!(found, Ok(KeyAddress::Certificate { url }));
        let (found, url) = address(Some(vec![topic.to_owned()]), "us-east-1");
        assert_eq!(found, Err(Refusal::KeyElsewhere { address: Quoted::new(&url) }));
        let (found, url) = address(None, "us-east-1");
        assert_eq!(found, Ok(KeyAddress::Certificate { url }));
    }
}
