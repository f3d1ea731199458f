//! A sender with a private key of this run: what Discord, SendGrid and SNS sign, nobody else can, so both sides are given a key
//! of ours.

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PKCS_RSA_SHA256, SigningKey};
use serde_json::Value;
use uuid::Uuid;
use wharf_webhook::clock::UnixMillis;
use wharf_webhook::signature::signing::Outgoing;

/// The name of the signed fields of a notification, in their order.
/// (docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html)
const SNS_FIELDS: [&str; 6] = ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"];

/// A sender's key, and how it signs.
#[derive(Debug)]
pub struct StandIn {
    key: KeyPair,
    sender: Sender,
    /// Of its certificate's address: libraries keep what was there.
    certificate_name: String,
    /// What the receiver is given: the key as the sender shows it; empty where it is published.
    pub shown: String,
    /// The certificate that it publishes, in PEM; else empty.
    pub certificate: String,
}

#[derive(Debug, Clone, Copy)]
enum Sender {
    Discord,
    SendGrid,
    Sns,
}

impl StandIn {
    /// One for this provider; `None` if what verifies its requests signs them too.
    ///
    /// # Errors
    /// If the library cannot make a key.
    pub fn of(provider: &str) -> Result<Option<StandIn>> {
        let (sender, algorithm) = match provider {
            "discord" => (Sender::Discord, &PKCS_ED25519),
            "sendgrid" => (Sender::SendGrid, &PKCS_ECDSA_P256_SHA256),
            "sns" => (Sender::Sns, &PKCS_RSA_SHA256),
            _ => return Ok(None),
        };
        let key = KeyPair::generate_for(algorithm)?;
        let pem = key.public_key_pem();
        let (shown, certificate) = match sender {
            Sender::Discord => (hex::encode(key.public_key_raw()), String::new()),
            Sender::SendGrid => (pem.lines().filter(|line| !line.starts_with('-')).collect(), String::new()),
            Sender::Sns => {
                let certificate = CertificateParams::new(vec!["sns.amazonaws.com".to_owned()])?.self_signed(&key)?;
                (String::new(), certificate.pem())
            }
        };
        Ok(Some(StandIn { key, sender, certificate_name: Uuid::new_v4().simple().to_string(), shown, certificate }))
    }

    /// Signs a request as the sender would at `now`.
    ///
    /// # Errors
    /// If the body is not what the sender signs.
    pub fn sign(&self, mut request: Outgoing, now: UnixMillis) -> Result<Outgoing> {
        let stamp = now.seconds().0.to_string();
        let stamped = [stamp.as_bytes(), &request.body].concat();
        let mut insert = |name: &'static str, value: &str| -> Result<()> {
            request.headers.insert(name, HeaderValue::from_str(value)?);
            Ok(())
        };
        match self.sender {
            Sender::Discord => {
                insert("x-signature-timestamp", &stamp)?;
                insert("x-signature-ed25519", &hex::encode(self.key.sign(&stamped)?))?;
            }
            Sender::SendGrid => {
                insert("x-twilio-email-event-webhook-timestamp", &stamp)?;
                insert("x-twilio-email-event-webhook-signature", &STANDARD.encode(self.key.sign(&stamped)?))?;
            }
            Sender::Sns => {
                let mut message: Value = serde_json::from_slice(&request.body).context("the message is no JSON")?;
                let Some(fields) = message.as_object_mut() else { bail!("the message is no object") };
                let text = |name: &str| fields.get(name).and_then(Value::as_str);
                let region = text("TopicArn").and_then(|topic| topic.split(':').nth(3)).context("it has no topic")?;
                let name = format!("SimpleNotificationService-{}.pem", self.certificate_name);
                let address = format!("https://sns.{region}.amazonaws.com/{name}");
                let signed: String =
                    SNS_FIELDS.iter().filter_map(|name| Some(format!("{name}\n{}\n", text(name)?))).collect();
                let signature = STANDARD.encode(self.key.sign(signed.as_bytes())?);
                for (name, value) in
                    [("SignatureVersion", "2".to_owned()), ("SigningCertURL", address), ("Signature", signature)]
                {
                    fields.insert(name.to_owned(), Value::from(value));
                }
                request.body = message.to_string().into_bytes();
            }
        }
        Ok(request)
    }
}
