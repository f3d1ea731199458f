//! What the fuzz target `door` does with its bytes: an event of API Gateway goes the receiver's whole way, and what comes out is
//! held to what the door promises. All of it is real, the SDK too; AWS is stood in for on the wire, where it answers from memory
//! as the bytes choose. (Keys that senders publish are not fetched here; `judge` has them.)
//!
//! Bytes that begin with `{` are the event as it is. Others describe a request as in `targets.rs`: some bytes that choose, then
//! lines (the query; a letter for the header's name and its value, each), an empty line, and the body. By choice it is signed
//! with the endpoint's secret, which is the only way in.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::mem;
use std::sync::LazyLock;
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_async::rt::sleep::{AsyncSleep, SharedAsyncSleep, Sleep};
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::retry::RetryConfig;
use aws_types::SdkConfig;
use aws_types::region::Region;
use aws_types::sdk_config::StalledStreamProtectionConfig;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::FutureExt;
use http::{HeaderMap, HeaderValue};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};
use wharf::aws;
use wharf::aws::Sqs;
use wharf::bodies::Bodies;
use wharf::metrics::Metrics;
use wharf::parameters::Parameters;
use wharf::queue::Queue;
use wharf::receiver::gateway::{self, Answer};
use wharf::receiver::ingress::Ingress;
use wharf::receiver::opening::Openings;
use wharf::receiver::secrets::SecretStore;
use wharf::spool::Spool;
use wharf_webhook::clock::{UnixMillis, UnixSeconds};
use wharf_webhook::endpoints::{Endpoint, Endpoints, PROBE};
use wharf_webhook::handshake;
use wharf_webhook::judgement::{self, Verdict};
use wharf_webhook::limits::{BODY_BYTES_INLINE_MAX, BODY_BYTES_MAX, HEADER_BYTES_ACCEPTED_MAX};
use wharf_webhook::message::{self, Carried};
use wharf_webhook::provider::{BodyForm, Content, Coverage, Place};
use wharf_webhook::refusal::Refusal;
use wharf_webhook::request::Request;
use wharf_webhook::signature::signing::{self, Outgoing};

use crate::targets::{METHODS, NOW, Rest, Sender, holds, holds_secret, is_form, sender};

/// One of each kind that the door treats in its own way. Letters choose them by name; behind `z` come `[`, `\`, `]`, ...
const ENDPOINTS: &str = r#"
[endpoints]
adyen.provider = "adyen"
asana.provider = "asana"
cloudevents.provider = "cloudevents"
contentful.provider = "contentful"
discord.provider = "discord"
github.provider = "github"
guarded = { provider = "github", replay_guard = true, headers = ["X-Note", "Content-Type"] }
hubspot.provider = "hubspot"
logged = { provider = "svix", log_bodies = true }
mailgun.provider = "mailgun"
meta = { provider = "meta", verify_token = "meatyhamhock" }
monday.provider = "monday"
msgraph.provider = "msgraph"
okta.provider = "okta"
paypal = { provider = "paypal", webhook_id = "1JE4291016473214C" }
ranged = { provider = "github", source_ranges = ["192.30.252.0/22", "2a0a:a440::/29"] }
replying = { provider = "stripe", reply = { status = 201, content_type = "text/plain", body = "[accepted]" } }
slack.provider = "slack"
sns = { provider = "sns", topics = ["arn:aws:sns:us-west-2:123456789012:MyTopic"] }
stripe.provider = "stripe"
subscribed = { provider = "linear", events = ["Issue", "Comment"] }
trello.provider = "trello"
twilio.provider = "twilio"
twitter.provider = "twitter"
vault = { provider = "standardwebhooks", secret_store = "secretsmanager" }
woocommerce.provider = "woocommerce"
zoom.provider = "zoom"

[endpoints.fields]
provider = "generic"
event_id = ["json:/id", "query:id", "header:X-Id"]
event_type = ["json:/items/*/type", "form:type"]
events = ["a"]
signature = { json = "/signature", content = "{json:/id}|{json?:/o/0}" }

[endpoints.listed]
provider = "generic"
signature = { header = "X-S", separator = ",", prefix = "v1=", content = "{ts}.{body}", timestamp = "item:t=" }

[endpoints.queried]
provider = "generic"
signature = { query = "token", algorithm = "token" }

[endpoints.token]
provider = "generic"
signature = { header = "X-S", algorithm = "token" }
"#;

const STAGE: &str = "fuzz";
const PUBLIC_URL: &str = "https://hooks.example.com";
const BUCKET: &str = "bodies";
const ARRIVAL_ID: &str = "A1";
const TRACE: &str = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";
const SOURCES: [&str; 5] = ["192.30.252.1", "10.0.0.1", "::ffff:192.30.255.254", "2a0a:a440::1", "unknown"];
/// How long before the request comes it is signed, in seconds.
const AGES: [i64; 7] = [0, 299, 300, 301, 100_000, -299, -100_000];

/// What a sender is told (README).
const STATUSES: [u16; 13] = [200, 201, 202, 204, 400, 401, 403, 404, 405, 413, 422, 431, 503];
/// Why it is turned away: every value that the dimension of this name ever has.
const REASONS: [&str; 10] = [
    "unknown_endpoint",
    "source_address",
    "method",
    "too_large",
    "malformed",
    "bad_signature",
    "stale",
    "unfit_body",
    "not_open",
    "not_confirmed",
];

/// How a service of AWS answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Mood {
    #[default]
    Well,
    /// 500.
    Fails,
    /// It does not take what it is asked, and never will; SSM may not be asked.
    Refuses,
    /// Nothing of this name is there.
    Absent,
    /// There is no connection.
    Unreachable,
    /// It does what it is asked, and the connection breaks before its answer.
    AnswerLost,
    /// It never answers.
    Silent,
    /// It answers with something else than its protocol's.
    Garbled,
}

const MOODS: [Mood; 8] = [
    Mood::Well,
    Mood::Fails,
    Mood::Refuses,
    Mood::Absent,
    Mood::Unreachable,
    Mood::AnswerLost,
    Mood::Silent,
    Mood::Garbled,
];

/// What the door knows of its endpoint's secrets when the request comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    /// Those of all endpoints, fetched just now.
    All,
    /// Nothing yet.
    Nothing,
    /// What SSM held so many seconds ago.
    Since(i64),
    /// The same, which was another.
    OtherSince(i64),
}

const KNOWN: [Known; 8] = [
    Known::All,
    Known::Nothing,
    Known::Since(29),
    Known::Since(31),
    Known::Since(301),
    Known::OtherSince(0),
    Known::OtherSince(31),
    Known::OtherSince(301),
];

/// AWS, and what leaves the process beside it.
#[derive(Debug, Default)]
struct World {
    ssm: Mood,
    sqs: Mood,
    s3: Mood,
    /// Whether an operator has opened the endpoint for its sender's secret.
    is_open: bool,
    /// Whether SSM still holds another secret.
    holds_other: bool,
    sent: Vec<Sent>,
    metrics: Vec<String>,
    log: Vec<u8>,
}

/// What AWS was given.
#[derive(Debug)]
struct Sent {
    what: What,
    /// Whether it said so.
    acknowledged: bool,
}

#[derive(Debug)]
enum What {
    Message { group: String, text: String },
    Object { key: String, bytes: Vec<u8> },
    Parameter { name: String, value: String },
}

/// An endpoint, and who sends to it.
struct Site {
    endpoint: Endpoint,
    sender: Sender,
}

/// What became of a request.
struct Seen {
    answer: Answer,
    sent: Vec<Sent>,
    log: String,
}

thread_local! {
    static WORLD: RefCell<World> = RefCell::default();
}

static CONFIGURED: LazyLock<Endpoints> =
    LazyLock::new(|| Endpoints::parse(ENDPOINTS).expect("the endpoints above are right"));

static SITES: LazyLock<Vec<Site>> = LazyLock::new(|| {
    let all = CONFIGURED.iter().chain(CONFIGURED.get(PROBE)).cloned();
    all.map(|endpoint| Site { sender: sender(endpoint.terms.clone()), endpoint }).collect()
});

static CONFIGURATION: LazyLock<SdkConfig> = LazyLock::new(|| {
    SdkConfig::builder()
        .behavior_version(aws_sdk_sqs::config::BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new("id", "key", None, None, "fuzz")))
        .http_client(http_client_fn(|_, _| SharedHttpConnector::new(Wire)))
        .sleep_impl(SharedAsyncSleep::new(NoWait))
        .retry_config(RetryConfig::disabled())
        .timeout_config(aws::timeouts(Duration::from_secs(8)))
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .build()
});

/// A door that has fetched all secrets.
static OPEN_DOOR: LazyLock<Ingress> = LazyLock::new(|| {
    let door = new_door();
    WORLD.with_borrow_mut(|world| *world = World::default());
    at_once(door.secrets.fetch_all(&door.endpoints, NOW));
    // The probe's are fetched when it comes.
    let probe = door.endpoints.get(PROBE).expect("it is always there");
    at_once(door.secrets.get(probe, Duration::from_secs(1), NOW)).expect("SSM is well");
    door
});

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let log = fmt::layer().json().flatten_event(true).with_current_span(false).with_span_list(false);
    let of_ours = Targets::new().with_target("wharf", LevelFilter::DEBUG);
    tracing_subscriber::registry().with(log.with_writer(|| Log).with_filter(of_ours)).init();
    tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime")
});

/// The log, in memory.
struct Log;

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        WORLD.with_borrow_mut(|world| world.log.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Time that is always up: whoever waits for AWS beside a time-out sees that first which is there.
#[derive(Debug)]
struct NoWait;

impl AsyncSleep for NoWait {
    fn sleep(&self, _: Duration) -> Sleep {
        Sleep::new(std::future::ready(()))
    }
}

/// Nothing here has to wait for anything, so that no outcome depends on a clock.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    let _entered = RUNTIME.enter();
    Box::pin(future).now_or_never().expect("nothing waits")
}

fn new_door() -> Ingress {
    let parameters = Parameters::new(&CONFIGURATION);
    Ingress {
        endpoints: CONFIGURED.clone(),
        public_url: PUBLIC_URL.to_owned(),
        secrets: SecretStore::new(parameters.clone(), STAGE),
        openings: Openings::new(parameters, STAGE),
        keys: None,
        bodies: Bodies::new(&CONFIGURATION, BUCKET),
        queue: Queue::new(Sqs::new(&CONFIGURATION), "https://sqs.example/1/deliveries".to_owned()),
        spool: Spool::new(&CONFIGURATION, BUCKET),
        metrics: Metrics::written_by(STAGE, |line| WORLD.with_borrow_mut(|world| world.metrics.push(line.to_owned()))),
    }
}

/// AWS on the wire.
#[derive(Debug)]
struct Wire;

impl HttpConnector for Wire {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        match WORLD.with_borrow_mut(|world| world.answer(&request)) {
            Some(answer) => HttpConnectorFuture::ready(answer),
            None => HttpConnectorFuture::new(std::future::pending()),
        }
    }
}

type Answered = Option<Result<HttpResponse, ConnectorError>>;

impl World {
    fn answer(&mut self, request: &HttpRequest) -> Answered {
        let body = request.body().bytes().expect("no body is a stream");
        let parsed = || -> Value { serde_json::from_slice(body).expect("JSON") };
        match request.headers().get("x-amz-target") {
            Some("AmazonSSM.GetParameters") => self.parameters(&parsed()),
            Some("AmazonSSM.PutParameter") => {
                let asked = parsed();
                assert_eq!(asked["Overwrite"], json!(false));
                let what = What::Parameter { name: text(&asked["Name"]), value: text(&asked["Value"]) };
                let refusal = json!({ "__type": "ParameterAlreadyExists", "message": "m" });
                self.take(self.ssm, what, json!({ "Version": 1 }).to_string(), refusal.to_string())
            }
            Some("AmazonSQS.SendMessage") => {
                let asked = parsed();
                let trace = &asked["MessageSystemAttributes"]["AWSTraceHeader"]["StringValue"];
                assert_eq!(*trace, json!(TRACE));
                let what = What::Message { group: text(&asked["MessageGroupId"]), text: text(&asked["MessageBody"]) };
                let refusal = json!({ "__type": "com.amazonaws.sqs#InvalidMessageContents", "message": "m" });
                self.take(self.sqs, what, json!({ "MessageId": "m-1" }).to_string(), refusal.to_string())
            }
            Some(other) => unreachable!("the door asks for {other}"),
            None => {
                assert_eq!(request.method(), "PUT");
                let place = format!("https://{BUCKET}.s3.eu-central-1.amazonaws.com/");
                let key = request.uri().strip_prefix(&place).expect("an object of the bucket");
                let key = key.split('?').next().unwrap_or_default().to_owned();
                let what = What::Object { key, bytes: body.to_vec() };
                let refusal = "<Error><Code>AccessDenied</Code><Message>m</Message></Error>".to_owned();
                // What else than its status such an answer says, nobody reads.
                let mood = if self.s3 == Mood::Garbled { Mood::Well } else { self.s3 };
                self.take(mood, what, String::new(), refusal)
            }
        }
    }

    /// Takes something, or does not.
    fn take(&mut self, mood: Mood, what: What, answer: String, refusal: String) -> Answered {
        if matches!(mood, Mood::Well | Mood::AnswerLost) {
            self.sent.push(Sent { what, acknowledged: mood == Mood::Well });
        }
        respond(mood, answer, refusal)
    }

    /// Parameters, as many of those that are asked for as there are.
    fn parameters(&self, asked: &Value) -> Answered {
        let names: Vec<String> = asked["Names"].as_array().expect("a list").iter().map(text).collect();
        let value = |name: &str| -> Option<String> {
            if let Some(parameter) = name.strip_suffix("/opening") {
                assert_eq!(parameter, format!("/wharf/{STAGE}/asana"));
                return self.is_open.then(|| (NOW.0 + 60).to_string());
            }
            let site = SITES.iter().find(|site| site.endpoint.secret_parameter(STAGE) == name).expect("a secret");
            let [secret, other] = &site.sender.texts;
            Some(if self.holds_other { other } else { secret }.clone())
        };
        let answer = |names: &[String]| {
            let found = names.iter().filter_map(|name| Some(json!({ "Name": name, "Value": value(name)? })));
            json!({ "Parameters": found.collect::<Vec<_>>() }).to_string()
        };
        let refusal = |code: &str| json!({ "__type": code, "message": "m" }).to_string();
        if self.ssm != Mood::Absent {
            return respond(self.ssm, answer(&names), refusal("AccessDeniedException"));
        }
        if names.iter().any(|name| name.contains("secretsmanager")) {
            return respond(Mood::Refuses, String::new(), refusal("ParameterNotFound"));
        }
        respond(Mood::Well, answer(&[]), String::new())
    }
}

fn text(value: &Value) -> String {
    value.as_str().expect("text").to_owned()
}

/// An answer in this mood.
fn respond(mood: Mood, answer: String, refusal: String) -> Answered {
    let response = |status: u16, body: String| {
        Some(Ok(HttpResponse::new(StatusCode::try_from(status).expect("a status"), SdkBody::from(body))))
    };
    let broken = || io::Error::from(io::ErrorKind::ConnectionReset).into();
    match mood {
        Mood::Well => response(200, answer),
        Mood::Fails => response(500, String::new()),
        Mood::Refuses => response(400, refusal),
        Mood::Absent => response(404, String::new()),
        Mood::Unreachable => Some(Err(ConnectorError::io(broken()))),
        Mood::AnswerLost => Some(Err(ConnectorError::timeout(broken()))),
        Mood::Silent => None,
        Mood::Garbled => response(200, "<".to_owned()),
    }
}

/// An event goes through a door; nothing, if it is no event.
fn receive(door: &Ingress, event: &str) -> Option<Seen> {
    let request: gateway::Request = serde_json::from_str(event).ok()?;
    let arrival_id = request.arrival_id().to_owned();
    WORLD.with_borrow_mut(|world| {
        world.sent.clear();
        world.metrics.clear();
        world.log.clear();
    });
    let answer = at_once(door.receive(request, Some(TRACE), UnixMillis(NOW.0 * 1000)));
    let (sent, metrics, log) = WORLD.with_borrow_mut(|world| {
        (mem::take(&mut world.sent), mem::take(&mut world.metrics), mem::take(&mut world.log))
    });
    let log = String::from_utf8(log).expect("the log is text");
    assert_told(&answer, &arrival_id, event.len());
    metrics.iter().for_each(|line| assert_reported(line));
    assert_logged(&log);
    Some(Seen { answer, sent, log })
}

/// The sender learns its status, and of a refusal nothing more.
fn assert_told(answer: &Answer, arrival_id: &str, asked_bytes: usize) {
    let status = answer.status_code;
    assert!(STATUSES.contains(&status), "{status}");
    assert!(answer.headers.values().all(|value| HeaderValue::from_str(value).is_ok()), "{answer:?}");
    // What is echoed was asked, and may be escaped.
    assert!(answer.body.len() <= 512 + 6 * asked_bytes);
    assert!(!holds_secret(&serde_json::to_string(answer).expect("an answer is JSON")));
    if status >= 400 {
        let word = if status == 503 { "unavailable" } else { "refused" };
        assert_eq!(answer.body, json!({ "status": word, "arrival_id": arrival_id }).to_string());
        let mut names: Vec<&str> = answer.headers.keys().copied().collect();
        names.sort_unstable();
        let more = match status {
            405 => &["allow", "content-type"][..],
            503 => &["content-type", "retry-after"],
            _ => &["content-type"],
        };
        assert_eq!(names, more);
    }
}

/// No dimension has a value that a stranger chose.
fn assert_reported(line: &str) {
    let line: Value = serde_json::from_str(line).expect("a line is JSON");
    let is_known = |name: &str, known: &dyn Fn(&str) -> bool| line[name].as_str().is_none_or(known);
    assert_eq!(line["Stage"], json!(STAGE));
    assert!(is_known("Endpoint", &|name| SITES.iter().any(|site| site.endpoint.name == name && name != PROBE)));
    assert!(is_known("Reason", &|reason| REASONS.contains(&reason)), "{line}");
}

/// One line says what became of a request; and no line holds a secret.
fn assert_logged(log: &str) {
    let lines = log.lines().map(|line| serde_json::from_str::<BTreeMap<String, Value>>(line).expect("a line is JSON"));
    assert_eq!(lines.filter(|line| line.contains_key("outcome")).count(), 1, "{log}");
    assert!(!holds_secret(log), "{log}");
}

/// Events of API Gateway, as they are or described.
pub(crate) fn door(data: &[u8]) {
    if data.first() != Some(&b'{') {
        return described(data);
    }
    let Ok(event) = std::str::from_utf8(data) else { return };
    WORLD.with_borrow_mut(|world| *world = World::default());
    if let Some(seen) = receive(&OPEN_DOOR, event) {
        assert!(seen.sent.is_empty(), "{:?}", seen.sent);
    }
}

/// A request to one of the endpoints, signed or not, at a door in some state, while AWS is in some mood.
fn described(data: &[u8]) {
    let mut rest = Rest(data);
    let Some(Site { endpoint, sender }) = rest.choose(&SITES) else { return };
    let how = rest.byte();
    let known = rest.choose(&KNOWN).copied().unwrap_or(Known::All);
    let moods =
        [rest.choose(&MOODS), rest.choose(&MOODS), rest.choose(&MOODS)].map(|mood| mood.copied().unwrap_or_default());
    let source = rest.choose(&SOURCES).copied().unwrap_or_default();
    let size = rest.byte();
    let method = rest.choose(&METHODS).copied().unwrap_or("POST");
    let age = rest.choose(&AGES).copied().unwrap_or(0);
    let bit = u16::from_le_bytes([rest.byte(), rest.byte()]);
    let query = String::from_utf8_lossy(rest.line()).into_owned();
    let mut headers = gathered(&rest.headers(&sender.names));
    let mut body = rest.0.to_vec();
    let [is_signed, is_base64, is_open, is_compared] = [0, 1, 2, 3].map(|bit| how >> bit & 1 == 1);
    // A door remembers for a while that an endpoint is open.
    let is_open = is_open && known != Known::All;
    match size {
        b'b' => body.resize(body.len().max(BODY_BYTES_INLINE_MAX + 1), b' '),
        b'c' => _ = headers.insert("x-padding", "x".repeat(HEADER_BYTES_ACCEPTED_MAX).parse().expect("a header")),
        b'd' => body.resize(BODY_BYTES_MAX + 1, b' '),
        _ => {}
    }
    let separator = if query.is_empty() { "" } else { "?" };
    let url = format!("{PUBLIC_URL}/webhooks/{}{separator}{query}", endpoint.name);
    let outgoing = Outgoing { method: method.to_owned(), url, headers, body };
    let signed_at = UnixMillis((NOW.0 - age) * 1000);
    let sign = |secrets| signing::sign(&endpoint.terms, secrets, outgoing.clone(), signed_at).ok();
    let signed = if is_signed && size != b'd' { sign(&sender.secrets) } else { None };
    let event = |outgoing: &Outgoing| event(outgoing, source, is_base64);

    let sent = signed.as_ref().unwrap_or(&outgoing);
    let Some(seen) = at_door(known, endpoint, moods, is_open, &event(sent)) else { return };
    assert_kept(&seen, sent, is_open);
    let Some(signed) = signed else {
        assert!(!seen.sent.iter().any(|sent| !matches!(sent.what, What::Parameter { .. })), "{:?}", seen.sent);
        return;
    };
    let request = request(&signed);
    let verdict = judgement::judge(&endpoint.terms, &sender.secrets, None, &request, NOW);
    let types = judgement::event_types(&endpoint.terms, &request);
    let is_event = matches!(verdict, Ok(Verdict::Event(_)));
    let is_stored = is_event && endpoint.subscribes_to(&types);
    let stored = acknowledged(&seen.sent, endpoint, &signed.body);
    match seen.answer.status_code {
        200..300 => {
            assert_eq!(stored, usize::from(is_stored), "{verdict:?}");
            assert!(!matches!(verdict, Err(refusal) if refusal != Refusal::UnsignedPing));
        }
        503 => assert_eq!(stored, 0),
        status => {
            assert!(!seen.sent.iter().any(|sent| !matches!(sent.what, What::Parameter { .. })), "{:?}", seen.sent);
            let is_welcome = is_event
                && moods == [Mood::Well; 3]
                && known != Known::OtherSince(0)
                && endpoint.may_come_from(source.parse().ok())
                && endpoint.terms.methods.contains(&method)
                && size != b'c';
            let content_type = signed.headers.get("content-type").map_or(b"".as_slice(), HeaderValue::as_bytes);
            let says_json = String::from_utf8_lossy(content_type).to_ascii_lowercase().contains("json");
            let is_judged = says_json || endpoint.terms.scheme.body != BodyForm::Any;
            assert!(!is_welcome || status == 422 && is_judged, "{status} {verdict:?}");
        }
    }
    for signature in signatures(endpoint, &signed) {
        assert!(!holds(&seen.log, &signature), "{}", seen.log);
        assert!(!holds(&seen.answer.body, &signature), "{}", seen.answer.body);
    }
    if !is_compared {
        return;
    }

    // Altered, or signed with another's secret: nobody can tell from the answer.
    let is_form = endpoint.terms.scheme.content == Content::Twilio && is_form(&signed);
    let covers_bytes = endpoint.terms.scheme.coverage() == Coverage::Body && !is_form;
    let Some(forged) = sign(&sender.others) else { return };
    let mut altered = signed.clone();
    let at = usize::from(bit).checked_rem(altered.body.len() * 8).filter(|_| covers_bytes);
    let Some((byte, bit)) = at.and_then(|bit| Some((altered.body.get_mut(bit / 8)?, bit % 8))) else { return };
    *byte ^= 1 << bit;
    let asks = |outgoing: &Outgoing| handshake::unsigned(&endpoint.terms, &self::request(outgoing)).is_some();
    if asks(&forged) || asks(&altered) {
        return;
    }
    let answers = [forged, altered].map(|outgoing| {
        let seen = at_door(Known::All, endpoint, [Mood::Well; 3], false, &event(&outgoing)).expect("an event");
        assert!(seen.sent.is_empty(), "{:?}", seen.sent);
        assert!((400..500).contains(&seen.answer.status_code));
        seen.answer
    });
    let [forged, altered] = answers;
    assert_eq!(forged, altered);
}

/// An event goes through a door in some state.
fn at_door(known: Known, endpoint: &Endpoint, moods: [Mood; 3], is_open: bool, event: &str) -> Option<Seen> {
    let door = (known != Known::All).then(new_door);
    let fetched = match known {
        Known::All | Known::Nothing => None,
        Known::Since(seconds) => Some((seconds, false)),
        Known::OtherSince(seconds) => Some((seconds, true)),
    };
    WORLD.with_borrow_mut(|world| *world = World::default());
    if let (Some((seconds, holds_other)), Some(door)) = (fetched, &door) {
        WORLD.with_borrow_mut(|world| world.holds_other = holds_other);
        let time = Duration::from_secs(1);
        let fetched = at_once(door.secrets.get(endpoint, time, UnixSeconds(NOW.0 - seconds)));
        assert!(fetched.is_ok(), "{fetched:?}");
    }
    let door = door.as_ref().unwrap_or(&OPEN_DOOR);
    let [ssm, sqs, s3] = moods;
    WORLD.with_borrow_mut(|world| *world = World { ssm, sqs, s3, is_open, ..World::default() });
    receive(door, event)
}

fn request(outgoing: &Outgoing) -> Request<'_> {
    Request { method: &outgoing.method, url: &outgoing.url, headers: &outgoing.headers, body: &outgoing.body }
}

/// Headers as API Gateway hands them over: each once, and all of it text.
fn gathered(headers: &HeaderMap) -> HeaderMap {
    let joined = headers.keys().filter_map(|name| {
        let values: Option<Vec<&str>> =
            headers.get_all(name).iter().map(|value| std::str::from_utf8(value.as_bytes()).ok()).collect();
        Some((name.clone(), HeaderValue::from_bytes(values?.join(",").as_bytes()).ok()?))
    });
    joined.collect()
}

/// The event that API Gateway makes of a request.
fn event(outgoing: &Outgoing, source: &str, is_base64: bool) -> String {
    let address = outgoing.url.strip_prefix(PUBLIC_URL).expect("our own address");
    let (path, query) = address.split_once('?').unwrap_or((address, ""));
    let headers: BTreeMap<&str, &str> = outgoing
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), std::str::from_utf8(value.as_bytes()).expect("headers are text")))
        .collect();
    let text = std::str::from_utf8(&outgoing.body).ok().filter(|_| !is_base64);
    json!({
        "version": "2.0",
        "rawPath": path,
        "rawQueryString": query,
        "headers": headers,
        "requestContext": {
            "requestId": ARRIVAL_ID,
            "http": { "method": outgoing.method, "sourceIp": source },
        },
        "body": text.map_or_else(|| STANDARD.encode(&outgoing.body), str::to_owned),
        "isBase64Encoded": text.is_none(),
    })
    .to_string()
}

/// A secret that a sender offers is kept if the endpoint is open, and only then is the offer accepted.
fn assert_kept(seen: &Seen, asked: &Outgoing, is_open: bool) {
    for Sent { what, acknowledged } in &seen.sent {
        if let What::Parameter { name, value } = what {
            assert_eq!(*name, format!("/wharf/{STAGE}/asana/offered"));
            assert_eq!(value.as_bytes(), asked.headers["x-hook-secret"].as_bytes());
            assert!(is_open);
            assert_eq!(seen.answer.status_code, if *acknowledged { 200 } else { 503 });
        }
    }
}

/// Whatever is stored is the request's delivery, and its body was stored before it. Returns how often that was acknowledged.
fn acknowledged(sent: &[Sent], endpoint: &Endpoint, body: &[u8]) -> usize {
    let mut count = 0;
    for (index, Sent { what, acknowledged }) in sent.iter().enumerate() {
        let (place, text) = match what {
            What::Message { group, text } => {
                assert_eq!(*group, endpoint.name);
                (None, text.as_str())
            }
            What::Object { key, bytes } if !key.starts_with("bodies/") => {
                (Some(key), std::str::from_utf8(bytes).expect("a message is text"))
            }
            What::Object { .. } | What::Parameter { .. } => continue,
        };
        let delivery = match message::decode(text).expect("what is stored can be read") {
            Carried::Whole(delivery) => delivery,
            Carried::Referring(referring) => {
                let stored = sent.iter().take(index).find_map(|sent| match &sent.what {
                    What::Object { key, bytes } if key == referring.reference() && sent.acknowledged => Some(bytes),
                    What::Object { .. } | What::Message { .. } | What::Parameter { .. } => None,
                });
                referring.with_body(stored.expect("the body is stored before").clone()).expect("it is the body")
            }
        };
        assert_eq!(delivery.endpoint(), endpoint.name);
        assert_eq!(delivery.body(), body);
        if let Some(place) = place {
            assert_eq!(*place, format!("spool/new/{}/{}/{ARRIVAL_ID}", endpoint.name, delivery.body_digest()));
        }
        count += usize::from(*acknowledged);
    }
    count
}

/// The signatures that stand in a request's headers.
fn signatures(endpoint: &Endpoint, signed: &Outgoing) -> Vec<String> {
    let names = match endpoint.terms.scheme.signature {
        Place::Header(name) => vec![name],
        Place::Headers(names) => names.to_vec(),
        Place::NumberedHeaders(_) | Place::Json(_) | Place::JsonEach { .. } | Place::Query(_) => vec![],
    };
    let values = names.into_iter().filter_map(|name| signed.headers.get(name)?.to_str().ok());
    values.filter(|value| value.len() > 20).map(str::to_owned).collect()
}
