//! How long the consumer takes for a batch whose ledger answers after 5 ms, and how much memory for the largest one:
//! `cargo bench --package wharf --bench consumer`.
//!
//! For an event that lands, the consumer must wait for the ledger twice: for its claim and for its completion. A batch should
//! take little longer than its slowest message, so its time is compared with these round trips. The store keeps nothing and
//! answers each call on a thread of its own, on a port of this machine and without TLS. Every measurement is a process of
//! its own, on one thread as in Lambda, with the consumer's own clients and log.
//!
//! The figures hold for this machine and its load, and nothing depends on them.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what cannot be measured is a failure"
)]

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use aws_lambda_events::sqs::SqsEvent;
use aws_sdk_dynamodb::types::{AttributeValue, Update};
use http::HeaderMap;
use serde_json::{Value, json};
use wharf::Delivery;
use wharf::bodies::Bodies;
use wharf::consumer::batch::Consumer;
use wharf::consumer::dead_letter::DeadLetterQueue;
use wharf::consumer::event_bus::EventBus;
use wharf::consumer::{ENVIRONMENT, Effects, HandlerError};
use wharf::environment::Environment;
use wharf::ledger::Ledger;
use wharf::metrics::Metrics;
use wharf::process::now;
use wharf::queue::Queue;
use wharf_webhook::clock::UnixMillis;
use wharf_webhook::delivery::Arrival;
use wharf_webhook::endpoints::Endpoints;
use wharf_webhook::judgement::{Verdict, judge};
use wharf_webhook::message;
use wharf_webhook::request::Request as Webhook;
use wharf_webhook::secret::Secrets;
use wharf_webhook::signature::signing::{Outgoing, sign};

/// How long the store takes for a call.
const ROUND_TRIP: Duration = Duration::from_millis(5);
/// How many batches are measured, and how many go before them, until all connections are made.
const BATCHES: usize = 200;
const WARM_UP_BATCHES: usize = 20;
/// How long one invocation has.
const INVOCATION_MILLIS: i64 = 30_000;

const ENDPOINTS: &str = r#"
[endpoints.shop]
provider = "generic"
signature = { header = "X-Signature" }
event_id = "json:/id"
event_type = "json:/type"
"#;

/// A batch, and what becomes of its messages.
struct Case {
    batch: Batch,
    outcome: Outcome,
}

#[derive(Clone, Copy)]
struct Batch {
    messages: usize,
    body_kib: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// The handler returns nothing.
    Landed,
    /// The handler returns an effect, which is committed in a transaction.
    Committed,
    /// The store knows all of them.
    Duplicate,
}

const ONE: Batch = Batch { messages: 1, body_kib: 8 };
const TEN: Batch = Batch { messages: 10, body_kib: 8 };
/// The largest bodies that travel within their messages.
const TEN_LARGEST: Batch = Batch { messages: 10, body_kib: 192 };
const CASES: [Case; 9] = [
    Case { batch: ONE, outcome: Outcome::Landed },
    Case { batch: ONE, outcome: Outcome::Committed },
    Case { batch: ONE, outcome: Outcome::Duplicate },
    Case { batch: TEN, outcome: Outcome::Landed },
    Case { batch: TEN, outcome: Outcome::Committed },
    Case { batch: TEN, outcome: Outcome::Duplicate },
    Case { batch: TEN_LARGEST, outcome: Outcome::Landed },
    Case { batch: TEN_LARGEST, outcome: Outcome::Committed },
    Case { batch: TEN_LARGEST, outcome: Outcome::Duplicate },
];

impl Outcome {
    /// How often the consumer must wait for the ledger.
    fn round_trips(self) -> usize {
        match self {
            Outcome::Landed | Outcome::Committed => 2,
            Outcome::Duplicate => 1,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Outcome::Landed => "no effects",
            Outcome::Committed => "one effect",
            Outcome::Duplicate => "duplicates",
        }
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match &arguments[..] {
        // What `times` starts.
        [what, case] if what == "batches" => process_batches(&CASES[case.parse::<usize>().unwrap()]),
        _ => {
            times();
            memory();
            ExitCode::SUCCESS
        }
    }
}

fn times() {
    println!("a store that takes {} ms a call; {BATCHES} warm batches each, in ms", ROUND_TRIP.as_millis());
    println!("one bare call to it, with no consumer: {:.2}", bare_call());
    println!("the two round trips that it must make: {} ms; for a duplicate, one\n", 2 * ROUND_TRIP.as_millis());
    println!(
        "{:<32} {:>8} {:>8} {:>8} {:>8} {:>8} {:>12}",
        "batch", "floor", "median", "p90", "ratio", "CPU", "connections"
    );
    for (number, Case { batch, outcome }) in CASES.iter().enumerate() {
        let store = Store::start(*outcome);
        let mut process = Command::new(std::env::current_exe().unwrap());
        let output = with_variables(&mut process, store.address)
            .args(["batches", &number.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        let figures = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{figures}");
        // Nothing was repeated, and nothing answered in any other way than it should be.
        let calls = (WARM_UP_BATCHES + BATCHES) * batch.messages * outcome.round_trips();
        assert_eq!(store.calls.load(Ordering::Relaxed), calls);
        let figures: Vec<f64> = figures.split_whitespace().map(|figure| figure.parse().unwrap()).collect();
        let [median, p90, cpu] = figures[..] else { panic!("three figures, and not {figures:?}") };
        let floor = millis(ROUND_TRIP) * outcome.round_trips() as f64;
        println!(
            "{:<32} {floor:>8.1} {median:>8.2} {p90:>8.2} {:>8.2} {cpu:>8.2} {:>12}",
            format!("{} x {} KiB, {}", batch.messages, batch.body_kib, outcome.name()),
            median / floor,
            store.connections.load(Ordering::Relaxed),
        );
    }
    println!();
}

/// What the machine and the store themselves take for a round trip.
fn bare_call() -> f64 {
    let store = Store::start(Outcome::Landed);
    let mut stream = TcpStream::connect(store.address).unwrap();
    stream.set_nodelay(true).unwrap();
    let call = b"POST / HTTP/1.1\r\nx-amz-target: DynamoDB_20120810.PutItem\r\ncontent-length: 2\r\n\r\n{}";
    let took = (0..BATCHES).map(|_| {
        let started_at = Instant::now();
        stream.write_all(call).unwrap();
        assert!(stream.read(&mut [0; 1024]).unwrap() > 0);
        started_at.elapsed()
    });
    median_and_p90(took.collect()).0
}

/// Processes batches, and writes the median, the 90th percentile and the CPU time of one to standard error: standard output
/// is the log's.
#[tokio::main(flavor = "current_thread")]
async fn process_batches(case: &Case) -> ExitCode {
    let batch: SqsEvent = serde_json::from_value(case.batch.event()).unwrap();
    wharf::process::run(async {
        let took = match case.outcome {
            Outcome::Landed | Outcome::Duplicate => {
                took(async |_: Delivery| -> Result<(), HandlerError> { Ok(()) }, &batch).await
            }
            Outcome::Committed => took(async |delivery| book(&delivery), &batch).await,
        };
        let cpu = took.cpu.map_or(f64::NAN, millis) / BATCHES as f64;
        let (median, p90) = median_and_p90(took.batches);
        eprintln!("{median} {p90} {cpu}");
        Ok(())
    })
    .await
}

struct Took {
    batches: Vec<Duration>,
    /// All of them together, on the CPU.
    cpu: Option<Duration>,
}

async fn took<H, F, T>(handler: H, batch: &SqsEvent) -> Took
where
    H: Fn(Delivery) -> F + Clone + Send + 'static,
    F: Future<Output = Result<T, HandlerError>> + Send + 'static,
    T: Into<Effects> + Send + 'static,
{
    let consumer = consumer(handler);
    let mut took = Took { batches: Vec::new(), cpu: None };
    let mut cpu = Duration::ZERO;
    for number in 0..WARM_UP_BATCHES + BATCHES {
        let batch = batch.clone();
        let (started_at, cpu_before) = (Instant::now(), cpu_time());
        let response = consumer.process(batch, UnixMillis(now().0 + INVOCATION_MILLIS)).await;
        let elapsed = started_at.elapsed();
        assert!(response.batch_item_failures.is_empty());
        if number >= WARM_UP_BATCHES {
            took.batches.push(elapsed);
            cpu += cpu_time().zip(cpu_before).map_or(Duration::ZERO, |(after, before)| after - before);
            took.cpu = cpu_before.map(|_| cpu);
        }
    }
    took
}

fn consumer<H>(handler: H) -> Consumer<H> {
    let mut environment = Environment::default();
    let [stage, table, queue_url, dead_letter_queue_url, bucket, event_bus] =
        ENVIRONMENT.map(|name| environment.variable(name));
    let configuration = wharf::aws::configuration(&mut environment);
    let endpoints = environment.complete(Some(Endpoints::parse(ENDPOINTS).unwrap())).unwrap();
    let sqs = aws_sdk_sqs::Client::new(&configuration);
    let event_bridge = aws_sdk_eventbridge::Client::new(&configuration);
    Consumer {
        endpoints,
        ledger: Ledger::new(aws_sdk_dynamodb::Client::new(&configuration), table),
        queue: Queue::new(sqs.clone(), queue_url),
        event_bus: EventBus::new(event_bridge, event_bus, bucket.clone()),
        bodies: Bodies::new(aws_sdk_s3::Client::new(&configuration), bucket),
        dead_letters: DeadLetterQueue::new(sqs, dead_letter_queue_url),
        metrics: Metrics::new(&stage),
        handler,
        now,
    }
}

/// A handler with one effect, as in `examples/orders.rs`.
fn book(delivery: &Delivery) -> Result<Effects, HandlerError> {
    let sold = Update::builder()
        .table_name("orders")
        .key("id", AttributeValue::S(delivery.key().as_str().to_owned()))
        .update_expression("ADD sold :one")
        .expression_attribute_values(":one", AttributeValue::N("1".to_owned()))
        .build()?;
    Ok(Effects::new().update(sold))
}

/// How long this thread, which is the only one that does anything, was on the CPU. Only Linux says so.
fn cpu_time() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

fn median_and_p90(mut took: Vec<Duration>) -> (f64, f64) {
    took.sort();
    (millis(took[took.len() / 2]), millis(took[took.len() * 9 / 10]))
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

impl Batch {
    /// As Lambda hands it to a function.
    fn event(self) -> Value {
        let records = (0..self.messages).map(|number| {
            let delivery = delivery(&format!("o-{number}"), self.body_kib * 1024);
            json!({
                "messageId": format!("m-{number}"),
                "receiptHandle": "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a",
                "body": message::encode(&delivery).unwrap(),
                "attributes": {
                    "ApproximateReceiveCount": "1",
                    "SentTimestamp": now().0.to_string(),
                    "SenderId": "AIDAIENQZJOLO23YVJ4VO",
                    "ApproximateFirstReceiveTimestamp": now().0.to_string(),
                },
                "messageAttributes": {},
                "md5OfBody": "e4e68fb7bd0e697a0ae8f1bb342846b3",
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:eu-central-1:123456789012:deliveries",
                "awsRegion": "eu-central-1",
            })
        });
        json!({ "Records": records.collect::<Vec<_>>() })
    }
}

/// A delivery whose body has this many bytes, made by the code that the receiver runs.
fn delivery(id: &str, bytes: usize) -> Delivery {
    let start = format!(r#"{{"id":"{id}","type":"paid","note":""#);
    let body = format!("{start}{}\"}}", "x".repeat(bytes.saturating_sub(start.len() + 2))).into_bytes();
    let endpoints = Endpoints::parse(ENDPOINTS).unwrap();
    let terms = &endpoints.get("shop").unwrap().terms;
    let secrets = Secrets::parse("a-secret-that-is-long-enough-to-be-one", &terms.scheme).unwrap();
    let url = "https://hooks.example.com/webhooks/shop".to_owned();
    let outgoing = Outgoing { method: "POST".into(), url, headers: HeaderMap::new(), body };
    let Outgoing { url, headers, body, .. } = sign(terms, &secrets, outgoing, now()).unwrap();
    let webhook = Webhook { method: "POST", url: &url, headers: &headers, body: &body };
    let Ok(Verdict::Event(event)) = judge(terms, &secrets, None, &webhook, now().seconds()) else {
        panic!("an order is an event");
    };
    let arrival = Arrival {
        endpoint: "shop".into(),
        provider: "generic".into(),
        arrival_id: format!("arrival-{id}"),
        received_at: now(),
        content_type: Some("application/json".into()),
        headers: vec![],
        replay_guard: false,
    };
    Delivery::accept(&event, arrival, body)
}

/// The peak of the consumer's resident memory: of the binary that is deployed, with Lambda's Runtime API played by this one.
fn memory() {
    if cfg!(not(target_os = "linux")) {
        println!("the consumer's memory is read from /proc, which only Linux has");
        return;
    }
    let store = Store::start(Outcome::Landed);
    let consumer = Process::start(store.address);
    let event = TEN_LARGEST.event().to_string();
    println!("peak resident memory of the consumer, in MiB");
    consumer.invoke(&Batch { messages: 1, body_kib: 0 }.event().to_string());
    println!("{:<44} {:>8.1}", "idle, after 1 message of a few bytes", consumer.peak_mib());
    for number in 1..=20 {
        consumer.invoke(&event);
        if [1, 2, 20].contains(&number) {
            let what = format!("after {number} of 10 x 192 KiB, an event of {:.1} MB", event.len() as f64 / 1e6);
            println!("{what:<44} {:>8.1}", consumer.peak_mib());
        }
    }
    let took = (0..BATCHES).map(|_| consumer.invoke(&event)).collect();
    println!("{:<44} {:>8.1}", format!("after {BATCHES} more"), consumer.peak_mib());
    // Here the Runtime API's two calls count too, and reading the event.
    let (median, p90) = median_and_p90(took);
    println!("\none whole invocation with it: median {median:.2} ms, p90 {p90:.2} ms");
}

/// The consumer's binary, as Lambda runs it.
struct Process {
    child: Child,
    events: mpsc::Sender<String>,
    responses: mpsc::Receiver<Vec<u8>>,
}

impl Process {
    fn start(store: SocketAddr) -> Process {
        let (events, next_event) = mpsc::channel();
        let (response, responses) = mpsc::channel();
        let next_event = Mutex::new(next_event);
        let runtime_api = serve(move |request| {
            if request.line.starts_with("GET") {
                let event: String = next_event.lock().unwrap().recv().ok()?;
                let deadline = now().0 + INVOCATION_MILLIS;
                let headers = format!(
                    "lambda-runtime-aws-request-id: 1\r\nlambda-runtime-deadline-ms: {deadline}\r\n\
                     lambda-runtime-invoked-function-arn: arn\r\n"
                );
                return Some(Answer { status: 200, headers, body: event });
            }
            assert!(request.line.contains("/response "), "{}", request.line);
            response.send(request.body).ok()?;
            Some(Answer { status: 202, headers: String::new(), body: String::new() })
        });
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("measured-consumer");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("endpoints.toml"), ENDPOINTS).unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_consumer"));
        let child = with_variables(&mut process, store)
            .env("LAMBDA_TASK_ROOT", &folder)
            .env("AWS_LAMBDA_RUNTIME_API", runtime_api.address.to_string())
            .env("AWS_LAMBDA_FUNCTION_NAME", "consumer")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Process { child, events, responses }
    }

    /// Has it process an event, and says how long that took.
    fn invoke(&self, event: &str) -> Duration {
        let event = event.to_owned();
        let started_at = Instant::now();
        self.events.send(event).unwrap();
        // A consumer that does not start says why on standard error, and never answers.
        let patience = Duration::from_millis(INVOCATION_MILLIS.unsigned_abs());
        let response = self.responses.recv_timeout(patience).unwrap();
        let took = started_at.elapsed();
        assert_eq!(serde_json::from_slice::<Value>(&response).unwrap(), json!({ "batchItemFailures": [] }));
        took
    }

    fn peak_mib(&self) -> f64 {
        let status = std::fs::read_to_string(Path::new("/proc").join(self.child.id().to_string()).join("status"));
        let status = status.unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        peak.trim().strip_suffix(" kB").unwrap().parse::<f64>().unwrap() / 1024.0
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Nothing of this process's environment, and what the template and Lambda set.
fn with_variables(process: &mut Command, store: SocketAddr) -> &mut Command {
    process
        .env_clear()
        .env("AWS_ENDPOINT_URL", format!("http://{store}"))
        .env("AWS_REGION", "eu-central-1")
        .env("AWS_ACCESS_KEY_ID", "measured")
        .env("AWS_SECRET_ACCESS_KEY", "measured")
        .envs(ENVIRONMENT.map(|name| (name, "measured")))
}

/// What answers as DynamoDB would, and keeps nothing.
struct Store {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    calls: Arc<AtomicUsize>,
}

impl Store {
    fn start(outcome: Outcome) -> Store {
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&calls);
        let Server { address, connections } = serve(move |request| {
            counted.fetch_add(1, Ordering::Relaxed);
            let (status, body) = match (request.operation.as_str(), outcome) {
                ("PutItem", Outcome::Duplicate) => (400, refusal(&request.body)),
                ("PutItem" | "TransactWriteItems", _) => (200, "{}".to_owned()),
                (operation, _) => panic!("the consumer calls {operation}"),
            };
            let headers = "content-type: application/x-amz-json-1.0\r\nx-amzn-requestid: measured\r\n".to_owned();
            // What the store itself does is done within its time.
            std::thread::sleep(ROUND_TRIP.saturating_sub(request.read_at.elapsed()));
            Some(Answer { status, headers, body })
        });
        Store { address, connections, calls }
    }
}

/// What a claim is told whose event another one has completed.
fn refusal(put: &[u8]) -> String {
    let mut put: Value = serde_json::from_slice(put).unwrap();
    let mut item = put["Item"].take();
    item["state"] = json!({ "S": "completed" });
    item["owner"] = json!({ "S": "another" });
    item["settled_at"] = item["received_at"].clone();
    json!({
        "__type": "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException",
        "message": "The conditional request failed",
        "Item": item,
    })
    .to_string()
}

/// A server on a port of this machine.
struct Server {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

struct Request {
    line: String,
    /// What is asked of DynamoDB: `PutItem`.
    operation: String,
    body: Vec<u8>,
    read_at: Instant,
}

struct Answer {
    status: u16,
    headers: String,
    body: String,
}

/// Serves any number of connections at once, each until one side ends it. Threads, because they sleep more exactly than
/// Tokio, whose clock counts whole milliseconds.
fn serve(answer: impl Fn(Request) -> Option<Answer> + Send + Sync + 'static) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let (answer, counted) = (Arc::new(answer), Arc::clone(&connections));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            counted.fetch_add(1, Ordering::Relaxed);
            let (stream, answer) = (stream.unwrap(), Arc::clone(&answer));
            // A connection that breaks is made again by whoever needs it.
            std::thread::spawn(move || serve_one(&stream, &*answer));
        }
    });
    Server { address, connections }
}

fn serve_one(stream: &TcpStream, answer: &impl Fn(Request) -> Option<Answer>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut reader, mut writer) = (BufReader::new(stream), stream);
    while let Some(request) = read_request(&mut reader)? {
        let Some(Answer { status, headers, body }) = answer(request) else { break };
        let answer = format!("HTTP/1.1 {status} X\r\n{headers}content-length: {}\r\n\r\n{body}", body.len());
        // In one piece, as a reader is to wake up once.
        writer.write_all(answer.as_bytes())?;
    }
    Ok(())
}

/// The next request; `None` at the connection's end.
fn read_request(reader: &mut impl BufRead) -> io::Result<Option<Request>> {
    let (mut first, mut operation, mut length) = (String::new(), String::new(), 0);
    if reader.read_line(&mut first)? == 0 {
        return Ok(None);
    }
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim().split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().unwrap(),
            "x-amz-target" => operation = value.rsplit('.').next().unwrap().to_owned(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Some(Request { line: first, operation, body, read_at: Instant::now() }))
}
