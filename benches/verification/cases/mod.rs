//! Requests of five providers that are verified, and the bare check that each cannot do without.

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderName, HeaderValue};
use sha1::Sha1;
use sha2::Sha256;
use wharf_webhook::clock::{UnixMillis, UnixSeconds};
use wharf_webhook::judgement::{Verdict, judge};
use wharf_webhook::provider::find;
use wharf_webhook::request::Request;
use wharf_webhook::secret::Secrets;
use wharf_webhook::signature::signing::{Outgoing, sign};
use wharf_webhook::signature::verify;
use wharf_webhook::terms::Terms;

/// The providers that are measured.
pub const PROVIDERS: [&str; 5] = ["github", "stripe", "twilio", "standardwebhooks", "discord"];
/// The bodies that are measured, in bytes.
pub const SIZES: [usize; 3] = [1024, 8 * 1024, 256 * 1024];

const NOW: UnixSeconds = UnixSeconds(1_754_000_000);
const SECRET: &str = "whsec_bWVhc3VyZWQtc2VjcmV0LW9mLTMyLWJ5dGVzLi4uLg==";

/// A genuine request, and all that it is judged by.
pub struct Case {
    terms: Terms,
    secrets: Secrets,
    outgoing: Outgoing,
    /// What is signed, in one piece.
    content: Vec<u8>,
    key: Vec<u8>,
    signature: Vec<u8>,
}

impl Case {
    /// A request of this provider with a body of about this size.
    pub fn new(provider: &str, bytes: usize) -> Case {
        let provider = find(provider).unwrap();
        let terms = Terms::new(provider, provider.schemes[0]);
        let body = body(provider.name, bytes);
        let mut headers = HeaderMap::new();
        let mut add = |name: &'static str, value: &str| {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        };
        let form = provider.name == "twilio";
        add("content-type", if form { "application/x-www-form-urlencoded" } else { "application/json" });
        add("webhook-id", "msg_1");
        let url = "https://hooks.example.com/webhooks/x".to_owned();
        let outgoing = Outgoing { method: "POST".into(), url, headers, body };
        if provider.name == "discord" {
            return Case::of_discord(terms, outgoing);
        }
        let secrets = Secrets::parse(SECRET, &terms.scheme).unwrap();
        let outgoing = sign(&terms, &secrets, outgoing, UnixMillis(NOW.0 * 1000)).unwrap();
        let (prefix, key) = match provider.name {
            "stripe" => (format!("{}.", NOW.0), SECRET.as_bytes().to_vec()),
            "standardwebhooks" => (format!("msg_1.{}.", NOW.0), b"measured-secret-of-32-bytes....".to_vec()),
            "twilio" => (outgoing.url.clone(), SECRET.as_bytes().to_vec()),
            _ => (String::new(), SECRET.as_bytes().to_vec()),
        };
        let signed: Vec<u8> = if form {
            outgoing.body.iter().copied().filter(|byte| !b"&=".contains(byte)).collect()
        } else {
            outgoing.body.clone()
        };
        let content = [prefix.as_bytes(), &signed].concat();
        Case { terms, secrets, outgoing, content, key, signature: vec![] }
    }

    fn of_discord(terms: Terms, mut outgoing: Outgoing) -> Case {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let content = [NOW.0.to_string().as_bytes(), &outgoing.body].concat();
        let signature = pair.sign(&content).as_ref().to_vec();
        let text = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        outgoing.headers.insert("x-signature-ed25519", text(&signature).parse().unwrap());
        outgoing.headers.insert("x-signature-timestamp", NOW.0.into());
        let key = pair.public_key().as_ref().to_vec();
        let secrets = Secrets::parse(&text(&key), &terms.scheme).unwrap();
        Case { terms, secrets, outgoing, content, key, signature }
    }

    fn request(&self) -> Request<'_> {
        Request {
            method: &self.outgoing.method,
            url: &self.outgoing.url,
            headers: &self.outgoing.headers,
            body: &self.outgoing.body,
        }
    }

    /// Whether the signature is right, as Wharf finds it.
    pub fn verify(&self) -> bool {
        verify(&self.terms, &self.secrets, None, &self.request(), NOW).is_ok()
    }

    /// The whole judgement: handshakes, signature, the event's id, type, key and digest.
    pub fn judge(&self) -> bool {
        matches!(judge(&self.terms, &self.secrets, None, &self.request(), NOW), Ok(Verdict::Event(_)))
    }

    /// The bare code or signature over content that lies ready, and nothing else.
    pub fn bare(&self) -> bool {
        match self.terms.provider.name {
            "discord" => UnparsedPublicKey::new(&ED25519, &self.key).verify(&self.content, &self.signature).is_ok(),
            "twilio" => mac::<Hmac<Sha1>>(&self.key, &self.content),
            _ => mac::<Hmac<Sha256>>(&self.key, &self.content),
        }
    }
}

fn mac<M: Mac + KeyInit>(key: &[u8], content: &[u8]) -> bool {
    let mut mac = <M as KeyInit>::new_from_slice(key).unwrap();
    mac.update(content);
    !mac.finalize().into_bytes().is_empty()
}

/// JSON in the shape of an event, or a form of 20 fields in alphabetical order.
fn body(provider: &str, bytes: usize) -> Vec<u8> {
    if provider == "twilio" {
        let value = "x".repeat(bytes / 20 - 4);
        let fields: Vec<String> = (0..20).map(|index| format!("F{index:02}={value}")).collect();
        return fields.join("&").into_bytes();
    }
    let item = r#"{"id":"ii_1","amount":2000,"note":"one of many lines of an invoice"},"#;
    let items = item.repeat((bytes.saturating_sub(80) / item.len()).max(1));
    let list = items.trim_end_matches(',');
    format!(r#"{{"id":"evt_1","object":"event","data":{{"lines":[{list}]}},"type":"invoice.paid"}}"#).into_bytes()
}
