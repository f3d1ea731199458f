//! What each fuzz target of the core does with its bytes, and what must hold whatever they are; `door.rs` says it of the
//! receiver. The fuzzers (`fuzz_targets/`) and plain tests that replay the corpus (`crates/webhook/tests/corpus.rs`,
//! `tests/corpus.rs`) run the same functions.
//!
//! A request is written so that a mutation changes one thing: some bytes that choose, then lines (the address; a letter for
//! the header's name and its value, each), an empty line, and the body.

use std::sync::LazyLock;

use http::{HeaderMap, HeaderName, HeaderValue};
use wharf_webhook::clock::{UnixMillis, UnixSeconds};
use wharf_webhook::delivery::{Arrival, Delivery, Envelope};
use wharf_webhook::endpoints::Endpoints;
use wharf_webhook::handshake::{self, First};
use wharf_webhook::judgement::{self, Verdict};
use wharf_webhook::ledger::{self, Claimant, Meeting, State};
use wharf_webhook::limits::{KEY_BYTES_MAX, SIGNATURES_MAX};
use wharf_webhook::message::{self, Carried, MessageError};
use wharf_webhook::policy::Policy;
use wharf_webhook::provider::generic::{self, GENERIC, Parameters};
use wharf_webhook::provider::{
    Algorithm, Condition, Content, Coverage, Encoding, PROVIDERS, Part, Place, Scheme, SecretForm, Setting, Source,
    TimestampPlace,
};
use wharf_webhook::refusal::Refusal;
use wharf_webhook::request::Request;
use wharf_webhook::secret::Secrets;
use wharf_webhook::signature::key::{self, FetchedKey, KeyAddress};
use wharf_webhook::signature::signing::{self, Outgoing};
use wharf_webhook::terms::Terms;

/// The clock, unless the bytes choose another: 2025-07-31T22:13:20Z, as in the conformance cases.
pub(crate) const NOW: UnixSeconds = UnixSeconds(1_754_000_000);

/// Secrets that stand in no seed and not in the dictionary, so that whoever is let in by one has found a way around it.
const SECRET: &str = "ef3aac326427f094a9b1ec2f7a3b79107e70fab5292951713ff6220638d1b0dc";
/// The same where the secret itself is sent: the receiver compares secrets, which a fuzzer watches and so may learn the others.
const TOKEN: &str = "28f735ea5af4bb10c3bea46790f00230e4c6d0996899ae1593dbabdd1154c36b";
const SECRET_BASE64: &str = "30gq+2vEnbnxuWVdh93dBblIxN97+2zDBJi/9Ku/axE=";
const OTHER_SECRET: &str = "6ff7404c92c95ca85421763cb41e7baa5dca141218609122a3da1456f785bf04";
const OTHER_SECRET_BASE64: &str = "T+v++1uWiBqWprLzL8aYiu9dbLaoxwA3gJ4qDyu4HtE=";

/// Public keys of the conformance cases; nobody here has the private ones.
const ED25519_HEX: &str = "89cd7489bf665a36667ba46dfd521ca6713fd2f9ad842835340b244e98355f2a";
const ED25519_BASE64: &str = "avjUbEzb1B1bjEYsxO+7G+hX3FMIkmToR2PexBR9b/w=";
const P256_BASE64: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE97RRpXq/iSpluw+lEzfjfigtMNbsn3dYHtw7Dx8cj/OfI8dAxuU8JqQYktvivvlaXR0JEOnNeb54zuI1buyueA==";
const RSA_BASE64: &str = "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAv/dTGcDzwzDtnR2aATtnWfSNSWobsjHXtImb++HBEP20qUeZt83LSwL5kJWIY0YlcJ0z4FIsGPkjdyUZsU5njQ4CjM4H9QUGzi6fbsoOg0vIOSi1EAPoexsp0VpIuHAHQFVcvLAEgeWZjoWQMU5g9TFcv+ON29oXEwchbEbAoaB0m8WPfm3MpMgb0TJ2jXeElBG5Klgl3T2EMwpjhyflrGTLysUtQuEwlZ/MVQHeichWwektLTB63ZZxRhO1sX/rj2zB9UFxb1UcV7vXoHvjOALVjmpx06bvx6qgVoZTENXeJ2nLpn2rRTPtB033y0bNUnfSEwosuqrcqO619QpfawIDAQAB";
const PAYPAL_PEM: &str = "-----BEGIN CERTIFICATE-----\nMIIDHjCCAgagAwIBAgIEATUAazANBgkqhkiG9w0BAQsFADBRMSEwHwYDVQQKDBhU\nZXN0IHZlY3RvcnMsIG5vdCBQYXlQYWwxLDAqBgNVBAMMI21lc3NhZ2V2ZXJpZmlj\nYXRpb25jZXJ0cy5wYXlwYWwuY29tMB4XDTE0MDEwMTAwMDAwMFoXDTQ5MTIzMTAw\nMDAwMFowUTEhMB8GA1UECgwYVGVzdCB2ZWN0b3JzLCBub3QgUGF5UGFsMSwwKgYD\nVQQDDCNtZXNzYWdldmVyaWZpY2F0aW9uY2VydHMucGF5cGFsLmNvbTCCASIwDQYJ\nKoZIhvcNAQEBBQADggEPADCCAQoCggEBALms2mk3JkgUv4gUpOiFA34yH8hX2b37\nA9z9PeQeGaFe/H7kkQKTNeyrS+3OyBfCfW9fVwxACeOFlykjtvBCpKmBFTnVZgTS\nH0gHC7hrOV9Y0X5XYBoubpXoJmiPCbOoKorIiu7aXcMWuY3jlpIPFy0TWXH0Jim2\napms126lIaEwmnRw3zKPz3J4192lcqCHKR1HdKoNYlzaOtxvT9EMDPJGikUcRopK\nQT/+9c3SSIvNT25+UbVN0Z+H+DUNkFA5trNwtWtJswGw4/kTJoz5vCclr4KmUYFa\nqBOFayknhSUwdQNlOl3Sv3k0rnkbSX6+ercyFlKjnM67njO96AgAb30CAwEAATAN\nBgkqhkiG9w0BAQsFAAOCAQEABOunv8ExK1gnqxCVdvo2atFEKJCHfjxpjKeMZhhr\nGusNLWOb8Hl3OWxt6wUB7rzYpKWlZuZ1JahFhKKi4ShT1L8MegB/8nbhRigRKam+\nsUvwN+9LtV5W+7cMDDME1VCAcG9SjtmEeVan6E7CmdhcjChj3ISbnN2eGd64DKxl\nOnDy6DE+qtV7lEEKxmoVk70/1J9oRw9F8VwI/KBlCDBL9g29hF7cSlFaccbR5LCy\n9FRiccjMnEuue9rHbADGysYqT/n9orelrEuDQeA0gcNLrUzsrlppX2XMM2tyq2St\njRLXGQxL1LL8xPSJsIrwvRrSjObYTfgZc0C9mbLNhZQO4g==\n-----END CERTIFICATE-----\n";
/// Of the key that is `RSA_BASE64`.
const SNS_PEM: &str = "-----BEGIN CERTIFICATE-----\nMIICsjCCAZqgAwIBAgICA+kwDQYJKoZIhvcNAQELBQAwHDEaMBgGA1UEAwwRc25z\nLmFtYXpvbmF3cy5jb20wHhcNMjUwMTAxMDAwMDAwWhcNNDUwMTAxMDAwMDAwWjAc\nMRowGAYDVQQDDBFzbnMuYW1hem9uYXdzLmNvbTCCASIwDQYJKoZIhvcNAQEBBQAD\nggEPADCCAQoCggEBAL/3UxnA88Mw7Z0dmgE7Z1n0jUlqG7Ix17SJm/vhwRD9tKlH\nmbfNy0sC+ZCViGNGJXCdM+BSLBj5I3clGbFOZ40OAozOB/UFBs4un27KDoNLyDko\ntRAD6HsbKdFaSLhwB0BVXLywBIHlmY6FkDFOYPUxXL/jjdvaFxMHIWxGwKGgdJvF\nj35tzKTIG9Eydo13hJQRuSpYJd09hDMKY4cn5axky8rFLULhMJWfzFUB3onIVsHp\nLS0wet2WcUYTtbF/649swfVBcW9VHFe716B74zgC1Y5qcdOm78eqoFaGUxDV3idp\ny6Z9q0Uz7QdN98tGzVJ30hMKLLqq3KjutfUKX2sCAwEAATANBgkqhkiG9w0BAQsF\nAAOCAQEAX9HI3RhUZezffaSsZXDjDAnk6UsmobQqMLUNDGl5bXLL6dU2k768VW6Z\n79FRRvqa9vDgDSKt1ziEgqyxo6dCCNmtvWpsNCUnc9xpSbTZjfF4LJGinsW7QQf7\nxLsRKVvUhJWMns3TD8vURx+MyqLTU2WufxEgAxCn9iQo6rraIy8VT0gLPJQrgWCo\n++0bEXI83J8+8Cy2QWCdJsf8JGVcom3TWfulL/UfW5T2SEpOqH7s5A6HYjAuPbJR\nSHJdcKYHCVNKk4Jhs1SMMS527CI94hviPhAqMDrzxFZ+GRBqCekSdsQjA++/+mdt\nncjoGKbbx9aPHdb8xi61tpSCodFUyw==\n-----END CERTIFICATE-----\n";
const PLAID_JWK: &str = r#"{"kty":"EC","crv":"P-256","x":"6Va15UxeV8w68eh3Q3aIUvQPF3hXFT7jXWF25pG6jZk","y":"1eP4prXVcYwk3_jVI0JHVmVhCqsKQrQR7SdKqo34msk"}"#;

/// Bodies of the seeds that the owners of those private keys signed.
const GENUINE: [&[u8]; 6] = [
    br#"{"id":"1012345678901234567","application_id":"1012345678901234000","type":2,"token":"A_UNIQUE_TOKEN","data":{"name":"blep","type":1}}"#,
    br#"{"id":"1","application_id":"2","type":1,"token":"t","version":1}"#,
    br#"{"version":1,"application_id":"1234560123453231555","type":0}"#,
    br#"[{"email":"example@test.com","timestamp":1754000000,"smtp-id":"<14c5d75ce93.dfd.64b469@ismtpd-555>","event":"delivered","sg_event_id":"ZGVsaXZlcmVkLTAtMTIz","sg_message_id":"14c5d75ce93.dfd.64b469.filter0001.16648.5515E0B88.0"}]"#,
    b"{\n  \"environment\": \"production\",\n  \"error\": null,\n  \"item_id\": \"eVBnVMp7zdTJLkRNr33Rs6zr7KNJqBFL9DrE6\",\n  \"new_transactions\": 0,\n  \"webhook_code\": \"DEFAULT_UPDATE\",\n  \"webhook_type\": \"TRANSACTIONS\"\n}",
    br#"{"type":"user.updated","data":{"id":1}}"#,
];

pub(crate) const TOPIC: &str = "arn:aws:sns:us-west-2:123456789012:MyTopic";
const WEBHOOK_ID: &str = "1JE4291016473214C";
const VERIFY_TOKEN: &str = "meatyhamhock";
pub(crate) const METHODS: [&str; 8] = ["POST", "GET", "HEAD", "OPTIONS", "PUT", "post", "", "P\u{d6}ST"];

/// A scheme, and what an endpoint with it has.
pub(crate) struct Sender {
    pub(crate) terms: Terms,
    pub(crate) secrets: Secrets,
    /// Another endpoint's.
    pub(crate) others: Secrets,
    /// The same as they are kept.
    pub(crate) texts: [String; 2],
    /// The names of the headers that matter to it.
    pub(crate) names: Vec<HeaderName>,
}

/// Every scheme of every provider in the table's order, then some that a configuration could supply.
static SENDERS: LazyLock<Vec<Sender>> = LazyLock::new(|| {
    let rows =
        PROVIDERS.iter().flat_map(|provider| provider.schemes.iter().map(move |scheme| Terms::new(provider, *scheme)));
    rows.chain(CONFIGURED.iter().map(|text| configured(text))).map(sender).collect()
});

/// Parameters as `endpoints_target` reads them, one a line.
const CONFIGURED: [&str; 11] = [
    "header=x-s\nalgorithm=hmac-sha384\ncontent={ts}.{body}\ntimestamp=header:x-t\ntimestamp_unit=ms",
    "header=x-s\nalgorithm=hmac-sha512\nencoding=base64\nprefix=v1=\nseparator=,\ncontent={ts}.{body}\ntimestamp=item:t=\ntimestamp_unit=rfc3339",
    "query=sig\nalgorithm=hmac-sha1\nencoding=base64url\ncontent={method} {header:x-a} {body}",
    "json=/sig\ncontent={json:/id}|{json?:/o/0}",
    "header=x-s\nalgorithm=sha256\ncontent={secret}{url}{body}",
    "query=token\nalgorithm=token",
    "json=/token\nalgorithm=token\nsecret_encoding=hex\nencoding=base64",
    "header=x-s\ntimestamp=json:/at\ntimestamp_unit=rfc3339\nrequire=x-v: 1",
    "header=x-s\nalgorithm=ed25519",
    "header=x-s\nalgorithm=ecdsa-p256-sha256\nencoding=base64\nseparator= ",
    "header=x-s\nalgorithm=rsa-sha256\nencoding=base64\ncontent={ts}{body}\ntimestamp=header:x-t",
];

fn configured(text: &str) -> Terms {
    let scheme = generic::scheme(&parameters(text)).expect("the parameters above are right");
    let id = generic::source("json:/id").expect("a source");
    let kind = generic::source("header:x-type").expect("a source");
    Terms::new(&GENERIC, scheme.with_event_type(vec![kind])).with_event_id(vec![id])
}

pub(crate) fn sender(terms: Terms) -> Sender {
    let scheme = &terms.scheme;
    let (text, other) = match (scheme.algorithm, scheme.secret) {
        (Algorithm::Ed25519, SecretForm::Hex) => (ED25519_HEX.to_owned(), ED25519_HEX.to_owned()),
        (Algorithm::Ed25519, _) => (ED25519_BASE64.to_owned(), ED25519_BASE64.to_owned()),
        (Algorithm::EcdsaP256Sha256, _) => (P256_BASE64.to_owned(), P256_BASE64.to_owned()),
        (Algorithm::RsaSha256 | Algorithm::RsaSha1, SecretForm::Base64) => {
            (RSA_BASE64.to_owned(), RSA_BASE64.to_owned())
        }
        (Algorithm::Token, SecretForm::Utf8 | SecretForm::Hex) => (TOKEN.to_owned(), OTHER_SECRET.to_owned()),
        (_, SecretForm::Utf8 | SecretForm::Hex) => (format!("{SECRET}\n{OTHER_SECRET}00"), OTHER_SECRET.to_owned()),
        (_, SecretForm::Base64) => (SECRET_BASE64.to_owned(), OTHER_SECRET_BASE64.to_owned()),
        (_, SecretForm::StandardWebhooks) if scheme.with_public_key.is_some() => {
            (format!("whsec_{SECRET_BASE64}\nwhpk_{ED25519_BASE64}"), format!("whsec_{OTHER_SECRET_BASE64}"))
        }
        (_, SecretForm::StandardWebhooks) => (SECRET_BASE64.to_owned(), OTHER_SECRET_BASE64.to_owned()),
        (_, SecretForm::PlaidCredentials) => (format!("client:{SECRET}"), format!("client:{OTHER_SECRET}")),
        (_, SecretForm::Certificate { .. } | SecretForm::SnsCertificate) => (String::new(), String::new()),
    };
    let parse = |text: &str| {
        if text.is_empty() {
            Secrets::NONE
        } else {
            Secrets::parse(text, scheme).expect("a secret of the scheme's form")
        }
    };
    let (secrets, others) = (parse(&text), parse(&other));
    Sender { secrets, others, texts: [text, other], names: header_names(&terms), terms }
}

/// The names of all headers that can change how a request is judged.
fn header_names(terms: &Terms) -> Vec<HeaderName> {
    let scheme = &terms.scheme;
    let mut names: Vec<String> = Vec::new();
    match scheme.signature {
        Place::Header(name) => names.push(name.to_owned()),
        Place::Headers(several) => names.extend(several.iter().map(|name| (*name).to_owned())),
        Place::NumberedHeaders(prefix) => {
            names.extend(["1", "2", "3", "04", "99999999999999999999", "x"].map(|number| format!("{prefix}{number}")));
        }
        Place::Json(_) | Place::JsonEach { .. } | Place::Query(_) => {}
    }
    if let Some(TimestampPlace::Header(name)) = scheme.timestamp.map(|timestamp| timestamp.at) {
        names.push(name.to_owned());
    }
    if let Content::Parts(parts) = scheme.content {
        names.extend(
            parts.iter().filter_map(|part| if let Part::Header(name) = part { Some((*name).to_owned()) } else { None }),
        );
    }
    if scheme.content == Content::Contentful {
        names.push("x-contentful-signed-headers".to_owned());
    }
    if let SecretForm::Certificate { header, .. } = scheme.secret {
        names.push(header.to_owned());
    }
    names.extend(scheme.require.iter().map(|(name, _)| (*name).to_owned()));
    let conditions = terms.provider.handshakes.iter().flat_map(|handshake| handshake.when);
    let asked = conditions.chain(terms.provider.unsigned_ping).map(|condition| match condition {
        Condition::Present(source) | Condition::Absent(source) | Condition::Is(source, _) => source,
    });
    let sources = scheme.event_id.iter().chain(scheme.event_type).chain(asked);
    names.extend(sources.filter_map(|source| {
        if let Source::Header(name) | Source::EncodedHeader(name) = source { Some((*name).to_owned()) } else { None }
    }));
    if let Some((own, other)) = scheme.other_headers {
        let others: Vec<_> =
            names.iter().filter_map(|name| Some(format!("{other}{}", name.strip_prefix(own)?))).collect();
        names.extend(others);
    }
    names.extend(["content-type", "x-forwarded-proto", "x-forwarded-host"].map(str::to_owned));
    names.extend(terms.provider.headers.iter().map(|name| (*name).to_owned()));
    let mut known: Vec<HeaderName> = Vec::new();
    for name in names {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a row's name of a header");
        if !known.contains(&name) {
            known.push(name);
        }
    }
    known
}

/// What is left of the bytes.
pub(crate) struct Rest<'a>(pub(crate) &'a [u8]);

impl<'a> Rest<'a> {
    /// The next byte; 0 where there is none.
    pub(crate) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// Up to the next line feed, which is left out.
    pub(crate) fn line(&mut self) -> &'a [u8] {
        let end = self.0.iter().position(|byte| *byte == b'\n');
        let (line, rest) = self.0.split_at(end.unwrap_or(self.0.len()));
        self.0 = rest.get(1..).unwrap_or_default();
        line
    }

    /// One of these; letters choose in their order.
    pub(crate) fn choose<'i, T>(&mut self, items: &'i [T]) -> Option<&'i T> {
        chosen(items, self.byte())
    }

    /// The address.
    fn url(&mut self) -> String {
        let line = String::from_utf8_lossy(self.line());
        if line.contains("://") { line.into_owned() } else { format!("https://hooks.example.com{line}") }
    }

    /// Headers of these names, up to an empty line.
    pub(crate) fn headers(&mut self, names: &[HeaderName]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        while let Some((choice, value)) = self.line().split_first() {
            if let (Some(name), Ok(value)) = (chosen(names, *choice), HeaderValue::from_bytes(value)) {
                headers.append(name, value);
            }
        }
        headers
    }
}

fn chosen<T>(items: &[T], choice: u8) -> Option<&T> {
    items.get(usize::from(choice.wrapping_sub(b'a')).checked_rem(items.len())?)
}

/// Terms as an endpoint could have them.
fn terms_of(sender: &Sender, choices: u8) -> Terms {
    let mut terms = sender.terms.clone();
    let is = |bit: u8| choices >> bit & 1 == 1;
    let settings = &mut terms.settings;
    match choices & 3 {
        0 => {}
        1 => (settings.tolerance_seconds, settings.future_tolerance_seconds) = (None, None),
        2 => (settings.tolerance_seconds, settings.future_tolerance_seconds) = (Some(0), Some(i64::MAX)),
        _ => (settings.tolerance_seconds, settings.future_tolerance_seconds) = (Some(i64::MAX), None),
    }
    settings.trust_forwarded = is(2);
    settings.public_url = is(3).then(|| "https://public.example/hooks?a=%3A&b".to_owned());
    settings.topics = is(4).then(|| vec![TOPIC.to_owned()]);
    settings.sandbox = is(5);
    settings.verify_token = is(6).then(|| VERIFY_TOKEN.to_owned());
    settings.webhook_id = is(7).then(|| WEBHOOK_ID.to_owned());
    terms
}

/// A refusal goes into the log as one line, and must hold no secret.
fn assert_loggable(refusal: &Refusal) {
    let text = refusal.to_string();
    assert!(!text.is_empty() && text.len() < 4096 && !text.chars().any(char::is_control), "{text:?}");
    assert!(!holds_secret(&text), "{text:?}");
}

/// Whether a secret stands in a text.
pub(crate) fn holds_secret(text: &str) -> bool {
    [SECRET, SECRET_BASE64, TOKEN].iter().any(|secret| holds(text, secret))
}

/// Whether something that only its owner knows stands in a text. No byte of it is compared alone: the fuzzer watches
/// comparisons, and would learn it.
pub(crate) fn holds(text: &str, secret: &str) -> bool {
    let stands_at = |place: &[u8]| place.iter().zip(secret.bytes()).fold(0, |all, (a, b)| all | a ^ b) == 0;
    text.as_bytes().windows(secret.len()).any(stands_at)
}

/// An address that will be fetched is the sender's own.
fn assert_senders_own(terms: &Terms, url: &str) {
    let (scheme, rest) = url.split_once("://").expect("a whole address");
    assert!(scheme.eq_ignore_ascii_case("https"), "{url}");
    let host = rest.split(['/', '?']).next().unwrap_or_default();
    let is_own = if let SecretForm::Certificate { hosts, .. } = terms.scheme.secret {
        hosts.contains(&host)
    } else {
        let labels: Vec<&str> = host.split('.').collect();
        let is_region = |region: &str| region.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        match labels[..] {
            ["sns", region, "amazonaws", "com" | "eu"] | ["sns", region, "amazonaws", "com", "cn"] => is_region(region),
            // The partitions that are not on the internet.
            ["sns", region, "c2s" | "sc2s", .., "gov"] | ["sns", region, "cloud", "adc-e", "uk"] => is_region(region),
            ["sns", region, "csp", "hci", "ic", "gov"] => is_region(region),
            _ => false,
        }
    };
    assert!(is_own && !url.contains(['#', ' ', '\t', '\r', '\n']), "{url:?}");
}

/// Any request against any provider. Nobody here can sign, so nobody may be let in but by a signature of the seeds.
pub fn judge(data: &[u8]) {
    static KEYS: LazyLock<[FetchedKey; 4]> = LazyLock::new(|| {
        let expired = PLAID_JWK.replace('}', r#","expired_at":1754000000}"#);
        [
            FetchedKey::from_pem(SNS_PEM.as_bytes()).expect("a certificate"),
            FetchedKey::from_pem(PAYPAL_PEM.as_bytes()).expect("a certificate"),
            FetchedKey::from_jwk(PLAID_JWK.as_bytes()).expect("a key"),
            FetchedKey::from_jwk(expired.as_bytes()).expect("a key"),
        ]
    });
    let mut rest = Rest(data);
    let Some(sender) = rest.choose(&SENDERS) else { return };
    let terms = terms_of(sender, rest.byte());
    let how = rest.byte();
    let published = KEYS.get(usize::from(how & 7));
    let now = [NOW, NOW, UnixSeconds(i64::MIN), UnixSeconds(i64::MAX)];
    let now = now.get(usize::from(how >> 3 & 3)).copied().unwrap_or(NOW);
    let method = METHODS.get(usize::from(how >> 5)).copied().unwrap_or("POST");
    let url = rest.url();
    let headers = rest.headers(&sender.names);
    let request = Request { method, url: &url, headers: &headers, body: rest.0 };

    let address = key::address(&terms, &request);
    match &address {
        Ok(Some(KeyAddress::Certificate { url })) => assert_senders_own(&terms, url),
        Ok(Some(KeyAddress::Plaid { key_id, sandbox })) => {
            assert!(!key_id.is_empty() && *sandbox == terms.settings.sandbox);
        }
        Ok(None) => assert!(!terms.scheme.publishes_key()),
        Err(refusal) => assert_loggable(refusal),
    }
    let unsigned = handshake::unsigned(&terms, &request).is_some();
    let is_genuine = || {
        let is_public = terms.scheme.publishes_key()
            || !terms.scheme.algorithm.is_symmetric()
            || terms.scheme.with_public_key.is_some();
        // Some senders sign the timestamp and the body without anything between them: a digit may change sides.
        let is_body = GENUINE.iter().any(|body| request.body.ends_with(body));
        is_public && (is_body || terms.scheme.coverage() == Coverage::Fields)
    };
    let types = judgement::event_types(&terms, &request);
    assert!(types.iter().all(|kind| !kind.is_empty()));
    match judgement::judge(&terms, &sender.secrets, published, &request, now) {
        Ok(Verdict::Event(event)) => {
            assert!(!unsigned && is_genuine(), "{} let in", terms.provider.name);
            assert!(!terms.scheme.publishes_key() || address.is_ok());
            assert!((1..=KEY_BYTES_MAX).contains(&event.key("arrival").as_str().len()));
        }
        Ok(Verdict::Handshake(reply)) => {
            assert!(unsigned || is_genuine(), "{} answered", terms.provider.name);
            assert!((200..300).contains(&reply.status));
            assert!(reply.headers.iter().all(|(_, value)| HeaderValue::from_str(value).is_ok()));
            assert!(!holds_secret(&reply.body), "{}", reply.body);
            if let First::Fetch { url } = &reply.first {
                assert!(!unsigned);
                assert_senders_own(&terms, url);
            }
        }
        Err(refusal) => assert_loggable(&refusal),
    }
    // What a stranger could have had us fetch; whatever it is, it is a key or none.
    let _ = (FetchedKey::from_pem(request.body), FetchedKey::from_jwk(request.body));
}

/// What is signed is let in; with another's secret, or with one bit of the body changed, it is not.
pub fn sign_then_judge(data: &[u8]) {
    let mut rest = Rest(data);
    let signers: Vec<&Sender> = SENDERS.iter().filter(|sender| sender.terms.scheme.can_sign()).collect();
    let Some(sender) = rest.choose(&signers) else { return };
    let choices = rest.byte();
    let mut terms = sender.terms.clone();
    let scheme = terms.scheme;
    if choices & 1 == 1 {
        (terms.settings.tolerance_seconds, terms.settings.future_tolerance_seconds) = (None, None);
    }
    // The digest of a Twilio request's body stands in the address that it came to.
    let is_twilio = scheme.content == Content::Twilio;
    terms.settings.trust_forwarded = choices & 2 == 2 && !is_twilio;
    terms.settings.public_url = (choices & 4 == 4 && !is_twilio).then(|| "https://public.example/h?a=%3A&b".to_owned());
    let method = METHODS.get(usize::from(choices >> 4 & 3)).copied().unwrap_or("POST");
    let at = u16::from_le_bytes([rest.byte(), rest.byte()]);
    let now = UnixSeconds(i64::from(u32::from_le_bytes([rest.byte(), rest.byte(), rest.byte(), rest.byte()])));
    let mut url = rest.url();
    if is_twilio && (url.contains(['%', '#']) || url.contains("bodySHA256")) {
        url = "https://hooks.example.com/".to_owned();
    }
    let headers = rest.headers(&sender.names);
    let outgoing = Outgoing { method: method.to_owned(), url, headers, body: rest.0.to_vec() };

    let millis = UnixMillis(now.0 * 1000);
    let Ok(signed) = signing::sign(&terms, &sender.secrets, outgoing, millis) else { return };
    let request = Request { method: &signed.method, url: &signed.url, headers: &signed.headers, body: &signed.body };
    if handshake::unsigned(&terms, &request).is_some() {
        return;
    }
    match judgement::judge(&terms, &sender.secrets, None, &request, now) {
        Ok(Verdict::Event(event)) => {
            assert_eq!(event.secret_index(), 0);
            let mut headers: Vec<(String, String)> = Vec::new();
            for name in &sender.names {
                if let Some(value) = signed.headers.get(name).and_then(|value| value.to_str().ok()) {
                    headers.push((name.as_str().to_owned(), value.to_owned()));
                }
            }
            headers.sort();
            let arrival = Arrival {
                endpoint: "fuzz".to_owned(),
                provider: terms.provider.name.to_owned(),
                arrival_id: "arrival".to_owned(),
                received_at: millis,
                method: "POST".to_owned(),
                query: None,
                content_type: Some(String::from_utf8_lossy(&signed.body).into_owned()),
                headers,
                replay_guard: choices & 8 == 8,
            };
            if let Ok(delivery) = Delivery::accept(&event, arrival, signed.body.clone()) {
                assert_carried(&delivery);
            }
        }
        Ok(Verdict::Handshake(_)) => assert!(terms.provider.handshakes.iter().any(|handshake| handshake.signed)),
        // What anybody may have signed.
        Err(Refusal::CouldBeChallenge) => {}
        // A handshake that asks about nothing.
        Err(Refusal::Empty { .. }) if terms.provider.handshakes.iter().any(|handshake| handshake.signed) => {}
        Err(refusal) => assert_eq!(refusal.to_string(), "", "{} {}", terms.provider.name, scheme.name),
    }
    let forged = judgement::judge(&terms, &sender.others, None, &request, now);
    assert!(forged.is_err(), "{} {}: another's secret", terms.provider.name, scheme.name);

    // A form is signed as the set of its fields, which can be written in several ways.
    let covers_bytes = scheme.coverage() == Coverage::Body && !(is_twilio && is_form(&signed));
    let mut body = signed.body.clone();
    let bit = usize::from(at).checked_rem(body.len() * 8);
    let Some((byte, bit)) = bit.and_then(|bit| Some((body.get_mut(bit / 8)?, bit % 8))).filter(|_| covers_bytes) else {
        return;
    };
    *byte ^= 1 << bit;
    let altered = Request { body: &body, ..request };
    if handshake::unsigned(&terms, &altered).is_none() {
        let verdict = judgement::judge(&terms, &sender.secrets, None, &altered, now);
        assert!(verdict.is_err(), "{} {}: an altered body", terms.provider.name, scheme.name);
    }
}

pub(crate) fn is_form(outgoing: &Outgoing) -> bool {
    let content_type = outgoing.headers.get("content-type").map_or(b"".as_slice(), HeaderValue::as_bytes);
    content_type.to_ascii_lowercase().windows(4).any(|word| word == b"form")
}

/// The queue gives back what it was given.
fn assert_carried(delivery: &Delivery) {
    let text = message::encode(delivery).expect("a body of this size fits");
    assert!(text.is_ascii() && !text.contains(char::is_control));
    let Ok(Carried::Referring(referring)) = message::decode(&text) else {
        assert_eq!(message::decode(&text), Ok(Carried::Whole(delivery.clone())));
        return;
    };
    assert_eq!(message::reference(delivery).as_deref(), Some(referring.reference()));
    assert_eq!(referring.with_body(delivery.body().to_vec()).as_ref(), Ok(delivery));
}

/// Lists of signatures, and timestamps in all units. Alone they let nobody in; with a genuine signature among them they do.
pub fn lists(data: &[u8]) {
    const LISTS: [&str; 15] = [
        "stripe",
        "paddle",
        "standardwebhooks",
        "svix",
        "pagerduty",
        "circleci",
        "calendly",
        "buildkite",
        "docusign",
        "box",
        "slack",
        "hubspot",
        "zendesk",
        "contentful",
        "linear",
    ];
    static LISTED: LazyLock<Vec<&Sender>> = LazyLock::new(|| {
        let of = |name: &&str| SENDERS.iter().find(|sender| sender.terms.provider.name == *name);
        let configured = SENDERS.iter().filter(|sender| sender.terms.provider.name == GENERIC.name);
        LISTS.iter().filter_map(of).chain(configured.take(2)).collect()
    });
    let mut rest = Rest(data);
    let Some(sender) = rest.choose(&LISTED) else { return };
    let how = rest.byte();
    let (terms, scheme) = (&sender.terms, &sender.terms.scheme);
    let stamp = rest.line();
    assert_instant(stamp);
    let printable = |text: &[u8]| -> Vec<u8> { text.iter().copied().filter(|byte| *byte != b'\n').collect() };

    let mut headers = HeaderMap::new();
    let mut put = |name: &str, value: &[u8]| {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    };
    for (name, value) in scheme.require {
        put(name, value.as_bytes());
    }
    if let Some(TimestampPlace::Header(name)) = scheme.timestamp.map(|timestamp| timestamp.at) {
        put(name, stamp);
    }
    if let Content::Parts(parts) = scheme.content {
        for part in parts {
            if let Part::Header(name) = part {
                put(name, b"msg_1");
            }
        }
    }
    if scheme.content == Content::Contentful {
        put("x-contentful-signed-headers", stamp);
    }
    let list = printable(rest.0);
    match scheme.signature {
        Place::Header(name) => put(name, &list),
        Place::Headers(names) => {
            for (name, value) in names.iter().zip(rest.0.split(|byte| *byte == b'\n')) {
                put(name, value);
            }
        }
        Place::NumberedHeaders(prefix) => {
            for (number, value) in rest.0.split(|byte| *byte == b'\n').enumerate() {
                put(&format!("{prefix}{}", number % 120 + 1), value);
            }
        }
        Place::Json(_) | Place::JsonEach { .. } | Place::Query(_) => {}
    }
    let body = match (scheme.timestamp.map(|timestamp| timestamp.at), std::str::from_utf8(stamp)) {
        (Some(TimestampPlace::Json(pointer)), Ok(stamp)) => {
            format!("{{{:?}:{stamp}}}", pointer.trim_start_matches('/'))
        }
        _ => "{}".to_owned(),
    };
    let request =
        Request { method: "POST", url: "https://hooks.example.com/x", headers: &headers, body: body.as_bytes() };
    let verdict = judgement::judge(terms, &sender.secrets, None, &request, NOW);
    let refusal = verdict.expect_err("a signature by nobody");
    assert_loggable(&refusal);
    let count = |separator: &str| items(&list, separator).len();
    if let (Place::Header(name), Some(separator)) = (scheme.signature, scheme.separator)
        && headers.contains_key(name)
        && count(separator) > SIGNATURES_MAX
    {
        assert!(matches!(refusal, Refusal::TooManySignatures { .. }), "{refusal}");
    }

    // The same list with a genuine signature in it.
    let outgoing = Outgoing {
        method: "POST".to_owned(),
        url: request.url.to_owned(),
        headers: headers.clone(),
        body: request.body.to_vec(),
    };
    let (Place::Header(name), Some(separator)) = (scheme.signature, scheme.separator) else { return };
    let Ok(mut signed) = signing::sign(terms, &sender.secrets, outgoing, UnixMillis(NOW.0 * 1000)) else { return };
    let genuine = signed.headers.get(name).map_or(b"".as_slice(), HeaderValue::as_bytes).to_vec();
    let together = if how & 1 == 0 {
        [&list, separator.as_bytes(), &genuine].concat()
    } else {
        [&genuine, separator.as_bytes(), &list].concat()
    };
    let Ok(value) = HeaderValue::from_bytes(&together) else { return };
    signed.headers.insert(name, value);
    let prefix = match scheme.timestamp.map(|timestamp| timestamp.at) {
        Some(TimestampPlace::Item(prefix)) => Some(prefix),
        Some(TimestampPlace::Header(_) | TimestampPlace::Json(_)) | None => None,
    };
    let stamps = prefix.map_or(1, |prefix| {
        items(&together, separator).iter().filter(|item| item.starts_with(prefix.as_bytes())).count()
    });
    let is_good = items(&together, separator).len() <= SIGNATURES_MAX && stamps == 1;
    let request = Request { method: "POST", url: &signed.url, headers: &signed.headers, body: &signed.body };
    let verdict = judgement::judge(terms, &sender.secrets, None, &request, NOW);
    assert_eq!(verdict.is_ok(), is_good, "{}: {verdict:?}", terms.provider.name);
}

/// The items of a list, found the slow way.
fn items<'a>(list: &'a [u8], separator: &str) -> Vec<&'a [u8]> {
    let separator = separator.as_bytes();
    let (mut items, mut start, mut at) = (Vec::new(), 0, 0);
    while let Some(rest) = list.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with(separator) {
            items.push(list.get(start..at).unwrap_or_default());
            at += separator.len();
            start = at;
        } else {
            at += 1;
        }
    }
    items.push(list.get(start..).unwrap_or_default());
    items.into_iter().map(<[u8]>::trim_ascii).collect()
}

/// An instant that can be read can be written, and read again.
fn assert_instant(text: &[u8]) {
    let Ok(text) = std::str::from_utf8(text) else { return };
    let Some(millis) = UnixMillis::from_rfc3339(text) else { return };
    assert_eq!(UnixSeconds::from_rfc3339(text), Some(millis.seconds()));
    if is_of_four_digits(millis) {
        assert_eq!(UnixMillis::from_rfc3339(&millis.to_string()), Some(millis));
    }
}

/// Whether an instant lies in the years 0 to 9999 of UTC: an offset can lead out of them, and then it cannot be written.
fn is_of_four_digits(instant: UnixMillis) -> bool {
    (-62_167_219_200_000..=253_402_300_799_999).contains(&instant.0)
}

/// Configurations: `P` and parameters of a signature, `S` and a place, or else an `endpoints.toml`.
pub fn endpoints(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match text.split_at_checked(1) {
        Some(("P", text)) => supplied_scheme(&parameters(text)),
        Some(("S", text)) => match generic::source(text) {
            Ok(source) => {
                assert_eq!(generic::source(&source.to_string()), Ok(source));
            }
            Err(problem) => assert!(!problem.is_empty()),
        },
        _ => endpoints_toml(text),
    }
}

fn endpoints_toml(text: &str) {
    let endpoints = match Endpoints::parse(text) {
        Ok(endpoints) => endpoints,
        Err(problems) => {
            let lines = text.bytes().filter(|byte| *byte == b'\n').count() + 1;
            assert!(!problems.0.is_empty() && problems.0.is_sorted_by_key(|problem| problem.line));
            for problem in &problems.0 {
                assert!((1..=lines).contains(&problem.line) && !problem.text.trim().is_empty(), "{problem:?}");
            }
            assert!(!problems.to_string().is_empty());
            return;
        }
    };
    assert!(endpoints.iter().next().is_some());
    for endpoint in endpoints.iter() {
        assert_eq!(endpoints.get(&endpoint.name), Some(endpoint));
        let kept: Vec<&str> = endpoint.kept_headers().collect();
        for (index, name) in kept.iter().enumerate() {
            assert!(HeaderName::from_bytes(name.as_bytes()).is_ok_and(|known| known.as_str() == *name), "{name}");
            assert!(!kept.iter().skip(index + 1).any(|other| other == name), "{name}");
        }
        assert!(endpoint.reply.as_ref().is_none_or(|reply| (200..300).contains(&reply.status)));
        let settings = &endpoint.terms.settings;
        for setting in endpoint.terms.provider.required {
            assert!(match setting {
                Setting::VerifyToken => settings.verify_token.as_ref().is_some_and(|token| !token.is_empty()),
                Setting::WebhookId => settings.webhook_id.as_ref().is_some_and(|id| !id.is_empty()),
                Setting::Topics => settings.topics.as_ref().is_some_and(|topics| !topics.is_empty()),
            });
        }
        nobody_gets_in(&endpoint.terms);
    }
}

/// An endpoint without a secret lets nobody in.
fn nobody_gets_in(terms: &Terms) {
    let headers = header_names(terms).into_iter().map(|name| (name, HeaderValue::from_static("1754000000"))).collect();
    let request = Request { method: "POST", url: "https://h.example/?a=b", headers: &headers, body: b"{\"id\":1}" };
    let verdict = judgement::judge(terms, &Secrets::NONE, None, &request, NOW);
    assert!(!matches!(verdict, Ok(Verdict::Event(_))), "{terms:?}");
}

/// A scheme that is found right covers something, and what is signed by it is let in.
fn supplied_scheme(parameters: &Parameters) {
    let scheme = match generic::scheme(parameters) {
        Ok(scheme) => scheme,
        Err(problems) => {
            assert!(!problems.is_empty());
            for problem in problems {
                assert!(generic::PARAMETERS.contains(&problem.parameter) && !problem.problem.is_empty());
            }
            return;
        }
    };
    let Content::Parts(parts) = scheme.content else { return };
    assert!(scheme.algorithm == Algorithm::Token || scheme.coverage() != Coverage::Nothing);
    assert!(scheme.timestamp.is_some() || !parts.contains(&Part::Timestamp));
    assert_eq!(scheme.algorithm == Algorithm::Sha256, parts.contains(&Part::Secret));
    let terms = Terms::new(&GENERIC, scheme);
    nobody_gets_in(&terms);

    let Place::Header(signature) = scheme.signature else { return };
    if !scheme.can_sign() || scheme.separator.is_some() || is_binary_token(&scheme) {
        return;
    }
    // A signature cannot cover itself.
    let takes = |name: &str| name == signature;
    let stamp = scheme.timestamp.map(|timestamp| timestamp.at);
    if matches!(stamp, Some(TimestampPlace::Header(name)) if takes(name))
        || scheme.require.iter().any(|(name, _)| takes(name))
        || parts.iter().any(|part| matches!(part, Part::Header(name) if takes(name)))
    {
        return;
    }
    let (secret, other) = match scheme.secret {
        SecretForm::Hex | SecretForm::Utf8 => (SECRET, OTHER_SECRET),
        SecretForm::Base64
        | SecretForm::StandardWebhooks
        | SecretForm::Certificate { .. }
        | SecretForm::SnsCertificate
        | SecretForm::PlaidCredentials => (SECRET_BASE64, OTHER_SECRET_BASE64),
    };
    let secrets = [secret, other].map(|text| Secrets::parse(text, &scheme).expect("a secret of this form"));
    let [secrets, others] = secrets;
    let names = header_names(&terms).into_iter().filter(|name| !takes(name.as_str()));
    let headers: HeaderMap = names.map(|name| (name, HeaderValue::from_static("a"))).collect();
    let (method, url) = ("POST".to_owned(), "https://hooks.example.com/x?a=%3A".to_owned());
    let outgoing = Outgoing { method, url, headers, body: br#"{"id":[1,{"a":"b"}],"type":"t"}"#.to_vec() };
    let Ok(signed) = signing::sign(&terms, &secrets, outgoing, UnixMillis(NOW.0 * 1000)) else { return };
    let request = Request { method: &signed.method, url: &signed.url, headers: &signed.headers, body: &signed.body };
    let verdict = judgement::judge(&terms, &secrets, None, &request, NOW);
    // A timestamp that the body has already, where none can be put, is as old as it is.
    let is_old = matches!(verdict, Err(Refusal::Stale { .. })) && matches!(stamp, Some(TimestampPlace::Json(_)));
    assert!(matches!(verdict, Ok(Verdict::Event(_))) || is_old, "{verdict:?}");
    assert!(judgement::judge(&terms, &others, None, &request, NOW).is_err());
}

/// A token whose bytes are no text, sent as they are: no header can hold it, and `sign` does not say so.
fn is_binary_token(scheme: &Scheme) -> bool {
    scheme.algorithm == Algorithm::Token && scheme.encoding == Encoding::Raw && scheme.secret != SecretForm::Utf8
}

/// `name=value` lines.
fn parameters(text: &str) -> Parameters {
    let mut parameters = Parameters::default();
    for (name, value) in text.lines().filter_map(|line| line.split_once('=')) {
        let text = || Some(value.to_owned());
        match name {
            "header" => parameters.header = text(),
            "query" => parameters.query = text(),
            "json" => parameters.json = text(),
            "algorithm" => parameters.algorithm = text(),
            "encoding" => parameters.encoding = text(),
            "prefix" => parameters.prefix = text(),
            "separator" => parameters.separator = text(),
            "secret_encoding" => parameters.secret_encoding = text(),
            "content" => parameters.content = text(),
            "timestamp" => parameters.timestamp = text(),
            "timestamp_unit" => parameters.timestamp_unit = text(),
            "tolerance_seconds" => parameters.tolerance_seconds = value.parse().ok(),
            "future_tolerance_seconds" => parameters.future_tolerance_seconds = value.parse().ok(),
            "require" => {
                let (name, value) = value.split_once(": ").unwrap_or((value, ""));
                parameters.require.push((name.to_owned(), value.to_owned()));
            }
            _ => {}
        }
    }
    parameters
}

/// Texts in the queue: ours or not, they are read or named, and what is read can be written.
pub fn message(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match message::decode(text) {
        Ok(carried) => {
            let envelope = carried.envelope();
            assert!((1..=KEY_BYTES_MAX).contains(&envelope.key().as_str().len()));
            assert!(!envelope.endpoint().is_empty());
            assert_met(envelope, text);
            let is_writable = is_of_four_digits(envelope.received_at());
            let whole = match carried {
                Carried::Whole(delivery) => Some(delivery),
                // Only the body that it refers to makes it whole.
                Carried::Referring(referring) => referring.with_body(Vec::new()).ok(),
            };
            if let Some(delivery) = whole.filter(|_| is_writable) {
                assert_carried(&delivery);
            }
        }
        Err(MessageError::NewerVersion { found }) => assert!(found > message::VERSION),
        Err(MessageError::Undecodable { problem }) => assert!(!problem.is_empty()),
    }
}

/// The ledger, which knows nothing of an event yet, meets its message: the record is found again by its key, and the event is
/// processed, or waits for a person.
fn assert_met(envelope: &Envelope, text: &str) {
    let key = envelope.record_key();
    // No endpoint of ours has the character that ends its name.
    if !envelope.endpoint().contains('#') {
        assert_eq!((key.endpoint(), &*key.idempotency_key()), (envelope.endpoint(), envelope.key().as_str()));
    }
    let claimant = Claimant { owner: "worker".to_owned(), lease_until: NOW.plus(35) };
    let is_at_hand = match ledger::meet(None, &envelope.arriving(text), &Policy::default(), &claimant, NOW) {
        Meeting::Run(write) => write.record.state == State::Processing,
        Meeting::Settle(write) => write.record.state == State::Parked && write.record.message.as_deref() == Some(text),
        Meeting::Duplicate { .. } | Meeting::Early { .. } => false,
    };
    assert!(is_at_hand);
}
