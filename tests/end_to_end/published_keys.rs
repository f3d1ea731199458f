//! Keys that senders publish: the receiver fetches them over HTTPS from the sender's own hosts, and from nowhere else.
//!
//! The receiver runs as Lambda would run it. Its way to the world leads through a proxy that plays the sender's hosts,
//! with certificates of an authority that only this receiver trusts.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, PKCS_RSA_SHA256};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use wharf_ops::log_tail::Function;

use crate::harness::{Wharf, now, receiver, scratch, shipped_consumer};
use crate::lambda::{HttpRequest, Lambda};

const TOPIC: &str = "arn:aws:sns:eu-central-1:123456789012:orders";
const CERTIFICATE: &str = "https://sns.eu-central-1.amazonaws.com/SimpleNotificationService-0a.pem";
const CONFIRMATION: &str = "https://sns.eu-central-1.amazonaws.com/?Action=ConfirmSubscription&Token=t";
const ENDPOINTS: &str = r#"
[endpoints.sns]
provider = "sns"
topics = ["arn:aws:sns:eu-central-1:123456789012:orders"]

[endpoints.plaid]
provider = "plaid"
sandbox = true
"#;

/// What a host of a sender answers: status, headers, body.
type Host = dyn Fn(&str, &str) -> (u16, String, String) + Send + Sync;

/// Starts the receiver beside a stack, whose queue it uses.
async fn start_receiver(wharf: &Wharf, name: &str, endpoints: &str, proxy: &str, authority: &Path) -> Lambda {
    let environment = [
        ("WHARF_PUBLIC_URL", "https://hooks.example.com"),
        ("HTTPS_PROXY", proxy),
        ("SSL_CERT_FILE", authority.to_str().unwrap()),
    ];
    Lambda::start(wharf, name, &receiver(), endpoints, &wharf.stack.facts().aws_endpoint_url, &environment).await
}

impl Lambda {
    /// Has the receiver answer one request.
    async fn post(&self, endpoint: &str, headers: Value, body: &str) -> Value {
        let event = json!({
            "version": "2.0",
            "rawPath": format!("/webhooks/{endpoint}"),
            "rawQueryString": "",
            "headers": headers,
            "requestContext": { "requestId": format!("arrival-{}", now().0), "http": { "method": "POST" } },
            "body": body,
            "isBase64Encoded": false,
        });
        self.invoke(&event, 10).await.unwrap()
    }
}

/// A request's first line, and its body.
async fn read_request(stream: &mut (impl AsyncBufReadExt + Unpin)) -> (String, String) {
    let request = HttpRequest::read(stream).await.unwrap();
    (request.head.lines().next().unwrap().to_owned(), String::from_utf8(request.body).unwrap())
}

/// A proxy that plays every host which it is asked for; it says which ones, and what was asked of them.
async fn play(authority: Issuer<'static, KeyPair>, host: Arc<Host>) -> (String, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (asked, questions) = mpsc::unbounded_channel();
    let authority = Arc::new(authority);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(play_one(stream, authority.clone(), host.clone(), asked.clone()));
        }
    });
    (address, questions)
}

async fn play_one(
    mut stream: TcpStream,
    authority: Arc<Issuer<'static, KeyPair>>,
    host: Arc<Host>,
    asked: mpsc::UnboundedSender<String>,
) {
    let (head, _) = read_request(&mut BufReader::new(&mut stream)).await;
    let name = head.split(' ').nth(1).unwrap().strip_suffix(":443").unwrap().to_owned();
    stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![name.clone()]).unwrap().signed_by(&key, &authority).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key);
    let Ok(mut tls) = TlsAcceptor::from(Arc::new(config.unwrap())).accept(stream).await else {
        asked.send(format!("{name} is not trusted")).unwrap();
        return;
    };
    let (head, body) = read_request(&mut BufReader::new(&mut tls)).await;
    let line = head.trim().trim_end_matches(" HTTP/1.1").to_owned();
    asked.send(format!("{line} {name}")).unwrap();
    let (status, headers, answer) = host(&line, &body);
    let text = format!(
        "HTTP/1.1 {status} X\r\n{headers}connection: close\r\ncontent-length: {}\r\n\r\n{answer}",
        answer.len()
    );
    let _ = tls.write_all(text.as_bytes()).await;
    let _ = tls.shutdown().await;
}

/// An authority, and the file by which a process comes to trust it.
fn authority(name: &str) -> (Issuer<'static, KeyPair>, PathBuf) {
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let path = scratch().join(format!("{name}.pem"));
    std::fs::write(&path, params.self_signed(&key).unwrap().pem()).unwrap();
    (Issuer::new(params, key), path)
}

/// What signs as SNS does, and its certificate.
fn sns() -> (RsaKeyPair, String) {
    let key = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
    let certificate = CertificateParams::new(vec!["sns.amazonaws.com".into()]).unwrap().self_signed(&key).unwrap();
    (RsaKeyPair::from_pkcs8(&key.serialize_der()).unwrap(), certificate.pem())
}

/// A message that SNS signs.
fn message(key: &RsaKeyPair, kind: &str, topic: &str, certificate: &str, id: &str) -> String {
    let mut fields = vec![("Message", "hello"), ("MessageId", id)];
    if kind == "SubscriptionConfirmation" {
        fields.push(("SubscribeURL", CONFIRMATION));
    }
    fields.push(("Timestamp", "2026-11-22T10:00:00.000Z"));
    if kind == "SubscriptionConfirmation" {
        fields.push(("Token", "t"));
    }
    fields.extend([("TopicArn", topic), ("Type", kind)]);
    let content: String = fields.iter().map(|(name, value)| format!("{name}\n{value}\n")).collect();
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), content.as_bytes(), &mut signature).unwrap();
    let mut message: serde_json::Map<String, Value> =
        fields.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    message.insert("SignatureVersion".into(), json!("2"));
    message.insert("Signature".into(), json!(STANDARD.encode(signature)));
    message.insert("SigningCertURL".into(), json!(certificate));
    Value::Object(message).to_string()
}

fn questions(asked: &mut mpsc::UnboundedReceiver<String>) -> Vec<String> {
    std::iter::from_fn(|| asked.try_recv().ok()).collect()
}

const TEXT: &str = "text/plain; charset=UTF-8";

#[tokio::test]
async fn sns_is_confirmed_and_verified_by_what_its_own_host_says_and_a_strangers_topic_fetches_nothing() {
    let wharf = Wharf::start_with(ENDPOINTS, shipped_consumer(), &[]).await;
    let (issuer, trusted) = authority("sns-authority");
    let (key, certificate) = sns();
    let served = Arc::new(Mutex::new((200, certificate)));
    let host: Arc<Host> = {
        let served = served.clone();
        Arc::new(move |line, _| {
            let (status, certificate) = served.lock().unwrap().clone();
            if line.contains(".pem") {
                (status, String::new(), certificate)
            } else {
                (200, String::new(), "<ok/>".into())
            }
        })
    };
    let (proxy, mut asked) = play(issuer, host).await;
    let receiver = start_receiver(&wharf, "sns", ENDPOINTS, &proxy, &trusted).await;
    let post =
        async |body: &str| receiver.post("sns", json!({ "content-type": TEXT }), body).await["statusCode"].clone();

    // Validly signed, by whoever made the topic; or pointing elsewhere for its key. Nothing is asked of anybody.
    let stranger = "arn:aws:sns:eu-central-1:666666666666:orders";
    assert_eq!(post(&message(&key, "Notification", stranger, CERTIFICATE, "m-0")).await, 400);
    assert_eq!(post(&message(&key, "SubscriptionConfirmation", stranger, CERTIFICATE, "m-0")).await, 400);
    for elsewhere in [
        "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0a.pem",
        "https://sns.eu-central-1.amazonaws.com.evil.example/x.pem",
        "https://evil.example/x.pem",
        "https://sns.eu-central-1.amazonaws.com:8443/x.pem",
        "https://a@sns.eu-central-1.amazonaws.com/x.pem",
        "http://sns.eu-central-1.amazonaws.com/x.pem",
        "https://sns.eu-central-1.amazonaws.com/x.pem",
        "https://sns.eu-central-1.amazonaws.com/SimpleNotificationService-0a.pem?x",
        "https://sns.eu-central-1.amazonaws.com.cn/SimpleNotificationService-0a.pem",
        "https://sns.eu-central-1.amazonaws.eu/SimpleNotificationService-0a.pem",
    ] {
        assert_eq!(post(&message(&key, "Notification", TOPIC, elsewhere, "m-0")).await, 400, "{elsewhere}");
    }
    assert_eq!(questions(&mut asked), Vec::<String>::new());

    // While SNS is out of order, what may be genuine is to come again; a redirect is not followed.
    served.lock().unwrap().0 = 500;
    assert_eq!(post(&message(&key, "Notification", TOPIC, CERTIFICATE, "m-1")).await, 503);
    served.lock().unwrap().0 = 302;
    assert_eq!(post(&message(&key, "Notification", TOPIC, CERTIFICATE, "m-1")).await, 400);
    served.lock().unwrap().0 = 200;
    assert_eq!(questions(&mut asked).len(), 2);

    let confirmed = post(&message(&key, "SubscriptionConfirmation", TOPIC, CERTIFICATE, "m-2")).await;
    assert_eq!(confirmed, 200);
    assert_eq!(
        questions(&mut asked),
        [
            "GET /SimpleNotificationService-0a.pem sns.eu-central-1.amazonaws.com",
            "GET /?Action=ConfirmSubscription&Token=t sns.eu-central-1.amazonaws.com"
        ]
    );
    // The certificate is kept.
    let genuine = message(&key, "Notification", TOPIC, CERTIFICATE, "m-3");
    assert_eq!(post(&genuine).await, 200);
    assert_eq!(post(&genuine.replace("hello", "hullo")).await, 400);
    assert_eq!(questions(&mut asked), Vec::<String>::new());
    wharf.completed("sns", "m-3").await;
    assert_eq!(wharf.count(Function::Consumer, "landed").await, 1);
}

/// As PayPal's signature has it (ISO 3309).
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 })
    })
}

#[tokio::test]
async fn addresses_that_a_stranger_makes_up_shut_out_no_other_endpoint_and_no_key_that_was_fetched() {
    let endpoints = format!("{ENDPOINTS}\n[endpoints.paypal]\nprovider = \"paypal\"\nwebhook_id = \"WH-1\"\n");
    let wharf = Wharf::start_with(&endpoints, shipped_consumer(), &[]).await;
    let (issuer, trusted) = authority("starved-authority");
    let (key, certificate) = sns();
    let host: Arc<Host> = Arc::new(move |line, _| {
        let is_known = line.ends_with("/CERT-1") || line.contains(".pem");
        if is_known { (200, String::new(), certificate.clone()) } else { (404, String::new(), String::new()) }
    });
    let (proxy, mut asked) = play(issuer, host).await;
    let receiver = start_receiver(&wharf, "starved", &endpoints, &proxy, &trusted).await;
    let post = async |certificate: &str| {
        let (id, at, body) = ("t-1", "2026-11-27T10:00:00Z", r#"{"id":"WH-EVENT-1","event_type":"x"}"#);
        let signed = format!("{id}|{at}|WH-1|{}", crc32(body.as_bytes()));
        let mut signature = vec![0; key.public_modulus_len()];
        key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).unwrap();
        let headers = json!({
            "content-type": "application/json",
            "paypal-transmission-id": id,
            "paypal-transmission-time": at,
            "paypal-transmission-sig": STANDARD.encode(signature),
            "paypal-auth-algo": "SHA256withRSA",
            "paypal-cert-url": format!("https://api.paypal.com/v1/notifications/certs/{certificate}"),
        });
        receiver.post("paypal", headers, body).await["statusCode"].clone()
    };
    assert_eq!(post("CERT-1").await, 200);
    assert_eq!(questions(&mut asked), ["GET /v1/notifications/certs/CERT-1 api.paypal.com"]);
    // Where there is no key, PayPal is asked once.
    assert_eq!((post("CERT-made-up").await, post("CERT-made-up").await), (json!(400), json!(400)));
    assert_eq!(questions(&mut asked), ["GET /v1/notifications/certs/CERT-made-up api.paypal.com"]);
    // Thirty a minute, and the minute may end meanwhile.
    let mut refused = 0;
    while post(&format!("CERT-made-up-{refused}")).await != 503 {
        refused += 1;
        assert!(refused <= 60, "no end to it");
    }
    assert_eq!(questions(&mut asked).len(), refused);
    assert_eq!(post("CERT-1").await, 200);
    let notification = message(&key, "Notification", TOPIC, CERTIFICATE, "m-1");
    let answer = receiver.post("sns", json!({ "content-type": TEXT }), &notification).await;
    assert_eq!(answer["statusCode"], 200);
    assert_eq!(questions(&mut asked), ["GET /SimpleNotificationService-0a.pem sns.eu-central-1.amazonaws.com"]);
}

#[tokio::test]
async fn a_host_that_no_public_authority_vouches_for_is_not_believed() {
    let wharf = Wharf::start_with(ENDPOINTS, shipped_consumer(), &[]).await;
    let (issuer, _) = authority("forged-authority");
    let (_, trusted) = authority("another-authority");
    let (key, certificate) = sns();
    let (proxy, mut asked) = play(issuer, Arc::new(move |_, _| (200, String::new(), certificate.clone()))).await;
    let receiver = start_receiver(&wharf, "forged", ENDPOINTS, &proxy, &trusted).await;
    let forged = message(&key, "Notification", TOPIC, CERTIFICATE, "m-1");
    assert_eq!(receiver.post("sns", json!({ "content-type": TEXT }), &forged).await["statusCode"], 503);
    assert_eq!(asked.recv().await.unwrap(), "sns.eu-central-1.amazonaws.com is not trusted");
    assert_eq!(wharf.record_count().await, 0);
}

#[tokio::test]
async fn plaid_is_asked_for_its_key_with_the_endpoints_credentials() {
    let wharf = Wharf::start_with(ENDPOINTS, shipped_consumer(), &[("plaid", "client-1:plaid-secret")]).await;
    let (issuer, trusted) = authority("plaid-authority");
    let random = SystemRandom::new();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref()).unwrap();
    let point = key.public_key().as_ref();
    let number = |from: usize| URL_SAFE_NO_PAD.encode(&point[from..from + 32]);
    let jwk = json!({ "kty": "EC", "crv": "P-256", "alg": "ES256", "kid": "k-1", "x": number(1), "y": number(33), "expired_at": null });
    let questions_asked = Arc::new(Mutex::new(Vec::new()));
    let host: Arc<Host> = {
        let questions_asked = questions_asked.clone();
        Arc::new(move |_, body| {
            let question: Value = serde_json::from_str(body).unwrap();
            let known = question["key_id"] == "k-1";
            questions_asked.lock().unwrap().push(question);
            let unknown = r#"{"error_code":"INVALID_WEBHOOK_VERIFICATION_KEY_ID"}"#.to_owned();
            if known {
                (200, String::new(), json!({ "key": jwk, "request_id": "r" }).to_string())
            } else {
                (400, String::new(), unknown)
            }
        })
    };
    let (proxy, mut asked) = play(issuer, host).await;
    let receiver = start_receiver(&wharf, "plaid", ENDPOINTS, &proxy, &trusted).await;
    let token_of = |kid: &str, body: &str, seconds_ago: i64| {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, body.as_bytes());
        let digest: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let header = part(json!({ "alg": "ES256", "kid": kid, "typ": "JWT" }));
        let signed = format!(
            "{header}.{}",
            part(json!({ "iat": now().seconds().0 - seconds_ago, "request_body_sha256": digest }))
        );
        let signature = key.sign(&random, signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
    };
    let token = |kid: &str, body: &str| token_of(kid, body, 0);
    let body = r#"{"webhook_code":"SYNC_UPDATES_AVAILABLE","item_id":"i"}"#;
    let post = async |token: String, body: &str| {
        let headers = json!({ "content-type": "application/json", "plaid-verification": token });
        receiver.post("plaid", headers, body).await["statusCode"].clone()
    };
    let first = token_of("k-1", body, 60);
    assert_eq!(post(first.clone(), body).await, 200);
    // Plaid says the same when the same happens again, with a token of that time: that is another event. The very token is not.
    assert_eq!(post(token("k-1", body), body).await, 200);
    assert_eq!(post(first, body).await, 200);
    assert_eq!(post(token("k-1", body), "{}").await, 400);
    assert_eq!(post(token("made-up", body), body).await, 400);
    assert_eq!(
        *questions_asked.lock().unwrap(),
        ["k-1", "made-up"].map(|kid| json!({ "client_id": "client-1", "secret": "plaid-secret", "key_id": kid }))
    );
    assert_eq!(questions(&mut asked), vec!["POST /webhook_verification_key/get sandbox.plaid.com"; 2]);
    wharf.queue_is_empty().await;
    assert_eq!(wharf.record_count().await, 2);
}
