//! Stand-ins for the services of AWS that functions call: each on a port of its own, as each has a host of its own. They keep
//! nothing, check nothing and answer at once, so that what is measured is the function.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use md5::{Digest, Md5};
use rustls::ServerConfig;
use serde_json::{Value, json};

use super::server::{Answer, Request, Server};

/// What the ledger says of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ledger {
    /// Nobody has seen it: every write is done.
    Vacant,
    /// It is completed: no claim is granted.
    Completed,
}

/// How the stand-ins behave.
#[derive(Debug, Clone)]
pub struct Behaviour {
    /// Whether they speak TLS.
    pub tls: Option<Arc<ServerConfig>>,
    /// What every endpoint's secret is.
    pub secret: String,
    /// Of all events.
    pub ledger: Ledger,
    /// How long a call to the ledger takes, at least.
    pub ledger_latency: Duration,
    /// Where messages go that are put into the queue; without it, nowhere.
    pub queue: Option<Sender<String>>,
}

/// The services, until this process ends.
#[derive(Debug)]
pub struct Services {
    servers: Vec<(&'static str, Server)>,
    seen: Arc<Seen>,
}

/// What they were asked.
#[derive(Debug, Default)]
struct Seen {
    calls: Mutex<BTreeMap<String, usize>>,
    in_flight: AtomicUsize,
    in_flight_max: AtomicUsize,
}

/// The services by the end of the variable that leads an SDK's client to them.
const SERVICES: [&str; 5] = ["SQS", "SSM", "DYNAMODB", "S3", "EVENTBRIDGE"];

impl Services {
    /// Services that nobody has called yet.
    ///
    /// # Errors
    /// If there are no ports.
    pub fn start(behaviour: &Behaviour) -> io::Result<Services> {
        let seen = Arc::new(Seen::default());
        let start = |service| {
            let (seen, behaviour) = (Arc::clone(&seen), behaviour.clone());
            let server = Server::start(behaviour.tls.clone(), move |request| Some(answer(request, &behaviour, &seen)))?;
            Ok((service, server))
        };
        let servers = SERVICES.into_iter().map(start).collect::<io::Result<_>>()?;
        Ok(Services { servers, seen })
    }

    /// The variables that lead the clients of all SDKs to them; and those that know but one endpoint, to one of them, which
    /// answers for all. There it is an address, in front of which S3's client can put no bucket.
    pub fn variables(&self) -> Vec<(String, String)> {
        let one = self
            .servers
            .first()
            .map(|(_, server)| ("AWS_ENDPOINT_URL".to_owned(), server.url().replace("localhost", "127.0.0.1")));
        // JavaScript's SDK calls the host of a queue's address.
        let queue = self
            .servers
            .first()
            .map(|(_, sqs)| ("QUEUE_URL".to_owned(), format!("{}/123456789012/deliveries", sqs.url())));
        let each = self.servers.iter();
        each.map(|(service, server)| (format!("AWS_ENDPOINT_URL_{service}"), server.url()))
            .chain(one)
            .chain(queue)
            .collect()
    }

    /// How many connections were made to them, all together.
    pub fn connections(&self) -> usize {
        self.servers.iter().map(|(_, server)| server.connections()).sum()
    }

    /// How often each operation was called: `PutItem`.
    pub fn calls(&self) -> BTreeMap<String, usize> {
        self.seen.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many calls were answered at the same time, at most.
    pub fn calls_at_once(&self) -> usize {
        self.seen.in_flight_max.load(Ordering::Relaxed)
    }
}

fn answer(request: Request, behaviour: &Behaviour, seen: &Seen) -> Answer {
    let started_at = Instant::now();
    let in_flight = seen.in_flight.fetch_add(1, Ordering::Relaxed) + 1;
    seen.in_flight_max.fetch_max(in_flight, Ordering::Relaxed);
    let target = request.header("x-amz-target");
    let (is_s3, is_ledger) = (target.is_none(), target.is_some_and(|target| target.starts_with("DynamoDB")));
    // `DynamoDB_20120810.PutItem`
    let operation = target.and_then(|target| target.rsplit('.').next());
    let operation = operation.map_or_else(|| format!("S3 {}", request.method), str::to_owned);
    let (status, body) = match operation.as_str() {
        "GetParameters" | "GetParameter" => (200, parameters(&request.body, &behaviour.secret)),
        "SendMessage" => (200, sent(&request.body, behaviour.queue.as_ref())),
        "PutItem" if behaviour.ledger == Ledger::Completed => (400, refusal(&request.body)),
        "PutEvents" => (200, json!({ "FailedEntryCount": 0, "Entries": [{ "EventId": MESSAGE_ID }] })),
        "Query" => (200, json!({ "Items": [], "Count": 0, "ScannedCount": 0 })),
        _ => (200, json!({})),
    };
    *seen.calls.lock().unwrap_or_else(PoisonError::into_inner).entry(operation).or_default() += 1;
    if is_ledger {
        // What the stand-in itself does is done within this time.
        std::thread::sleep(behaviour.ledger_latency.saturating_sub(started_at.elapsed()));
    }
    seen.in_flight.fetch_sub(1, Ordering::Relaxed);
    if is_s3 {
        let body = if request.method == "GET" { Bytes::from_static(EMPTY_LIST) } else { Bytes::new() };
        return Answer {
            status: 200,
            headers: vec![("etag", "\"5d41402abc4b2a76b9719d911017c592\"".to_owned())],
            body,
        };
    }
    let headers =
        vec![("content-type", "application/x-amz-json-1.0".to_owned()), ("x-amzn-requestid", MESSAGE_ID.to_owned())];
    Answer { status, headers, body: body.to_string().into() }
}

const MESSAGE_ID: &str = "5fea7756-0ea4-451a-a703-a558b933e274";
const EMPTY_LIST: &[u8] = b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>measured</Name><Prefix>spool/</Prefix><KeyCount>0</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated></ListBucketResult>";

fn parameters(asked: &[u8], secret: &str) -> Value {
    let asked: Value = serde_json::from_slice(asked).unwrap_or_default();
    let parameter = |name: &Value| json!({ "Name": name, "Type": "SecureString", "Value": secret, "Version": 1 });
    let named = |name: &str| asked.get(name).cloned().unwrap_or_default();
    let found: Vec<_> = named("Names").as_array().into_iter().flatten().map(parameter).collect();
    json!({ "Parameters": found, "InvalidParameters": [], "Parameter": parameter(&named("Name")) })
}

/// With the digest that JavaScript's SDK compares.
fn sent(message: &[u8], queue: Option<&Sender<String>>) -> Value {
    let message: Value = serde_json::from_slice(message).unwrap_or_default();
    let body = message.get("MessageBody").and_then(Value::as_str).unwrap_or_default();
    if let Some(queue) = queue {
        // Whoever has stopped listening wants none.
        let _ = queue.send(body.to_owned());
    }
    json!({ "MessageId": MESSAGE_ID, "MD5OfMessageBody": hex::encode(Md5::digest(body)) })
}

/// What a claim is told whose event another worker has completed.
fn refusal(put: &[u8]) -> Value {
    let put: Value = serde_json::from_slice(put).unwrap_or_default();
    let mut item = put.get("Item").cloned().unwrap_or_default();
    if let Some(item) = item.as_object_mut() {
        let received_at = item.get("received_at").cloned().unwrap_or_default();
        item.insert("state".to_owned(), json!({ "S": "completed" }));
        item.insert("owner".to_owned(), json!({ "S": "another" }));
        item.insert("settled_at".to_owned(), received_at);
    }
    json!({
        "__type": "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException",
        "message": "The conditional request failed",
        "Item": item,
    })
}
