//! What an event costs: DynamoDB's write units, counted on the wire for each case, the calls that faults make anew, and all that
//! `docs/cost.md` multiplies by a price.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use wharf::Delivery;
use wharf::consumer::batch::Consumer;
use wharf::consumer::{Effects, HandlerError};
use wharf::ledger::Ledger;
use wharf_ops::project::Project;
use wharf_webhook::clock::UnixMillis;
use wharf_webhook::message;

use crate::harness::{ENDPOINTS, Wharf, housekeeper, now, record_of, shipped_consumer};
use crate::lambda::{Door, Lambda};
use crate::proxy::{Call, Fault, Proxy};

/// What was written, as the bill shows it: each entry is an operation and its write units.
type Bill = Arc<Mutex<Vec<(String, u64)>>>;

impl Wharf {
    /// A consumer whose ledger is at the end of a proxy.
    fn consumer_through<H>(&self, proxy: &Proxy, handler: H) -> Consumer<H> {
        let client = self.dynamodb();
        let configuration = client.config().to_builder().endpoint_url(&proxy.url).build();
        let client = aws_sdk_dynamodb::Client::from_conf(configuration);
        let ledger = Ledger::new(client, self.stack.facts().table.clone());
        Consumer { ledger, ..self.consumer(handler) }
    }

    /// A proxy that writes a bill.
    async fn billed(&self) -> (Proxy, Bill) {
        let bill = Bill::default();
        let written = Arc::clone(&bill);
        let heard = move |call: &Call<'_>, answer: &str| {
            written.lock().unwrap().push((call.operation.to_owned(), units(call, answer)));
        };
        let url = &self.stack.facts().aws_endpoint_url;
        let (proxy, _) = Proxy::start_listening(url, |_| Fault::None, heard).await;
        (proxy, bill)
    }
}

/// DynamoDB's write units of a call (developer guide, "Capacity unit consumption for write operations"): one for each KiB of
/// the item, or of the item that a failed condition found; twice in a transaction; one more for an entry of the index that is
/// made or taken away.
fn units(call: &Call<'_>, answer: &str) -> u64 {
    let request: Value = serde_json::from_str(call.body).unwrap();
    let answer: Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1.trim()).unwrap_or_default();
    let kib = |item: &Value| size(item).div_ceil(1024).max(1);
    let refused = answer["Item"].is_object();
    let one = |put: &Value| {
        let item = &put["Item"];
        if item.is_object() { kib(item) + u64::from(item["open_list"].is_object()) } else { 1 }
    };
    match call.operation {
        "PutItem" if refused => kib(&answer["Item"]),
        "PutItem" => one(&request),
        "UpdateItem" => 1,
        "TransactWriteItems" => {
            let writes = request["TransactItems"].as_array().unwrap().iter();
            writes.map(|write| 2 * write.as_object().unwrap().values().map(one).sum::<u64>()).sum()
        }
        _ => 0,
    }
}

fn size(item: &Value) -> u64 {
    let values = item.as_object().unwrap().iter();
    values
        .map(|(name, value)| {
            (name.len() + value.as_object().unwrap().values().next().unwrap().to_string().len()) as u64
        })
        .sum()
}

async fn succeeds(_: Delivery) -> Result<(), HandlerError> {
    Ok(())
}

async fn refuses(_: Delivery) -> Result<(), HandlerError> {
    Err(HandlerError::permanent("no"))
}

async fn fails(_: Delivery) -> Result<(), HandlerError> {
    Err("not now".into())
}

async fn is_busy(_: Delivery) -> Result<(), HandlerError> {
    Err(HandlerError::retry_after(std::time::Duration::from_secs(3600), "in an hour"))
}

async fn sells(_: Delivery) -> Result<Effects, HandlerError> {
    let update = aws_sdk_dynamodb::types::Update::builder()
        .table_name("orders")
        .key("id", aws_sdk_dynamodb::types::AttributeValue::S("product tea".into()))
        .update_expression("ADD sold :one")
        .expression_attribute_values(":one", aws_sdk_dynamodb::types::AttributeValue::N("1".into()));
    Ok(Effects::new().update(update.build()?))
}

/// What was billed for a message with this body.
async fn billed<H, F, T>(wharf: &Wharf, handler: H, body: &str) -> Vec<(String, u64)>
where
    H: Fn(Delivery) -> F + Clone + Send + 'static,
    F: Future<Output = Result<T, HandlerError>> + Send + 'static,
    T: Into<Effects> + Send + 'static,
{
    let (proxy, bill) = wharf.billed().await;
    let message = message::encode(&wharf.delivery_of(body, now())).unwrap();
    wharf.process_by(&wharf.consumer_through(&proxy, handler), 10, &[message], 1).await;
    bill.lock().unwrap().clone()
}

fn put(units: u64) -> (String, u64) {
    ("PutItem".to_owned(), units)
}

#[tokio::test]
async fn each_case_costs_the_writes_that_the_readme_says() {
    let wharf = Wharf::start_with_orders("").await;
    let order = |id: &str| format!(r#"{{"id":"{id}","type":"paid"}}"#);
    assert_eq!(billed(&wharf, succeeds, &order("o-1")).await, [put(1), put(1)], "first time: claim, complete");
    assert_eq!(billed(&wharf, succeeds, &order("o-1")).await, [put(1)], "duplicate: a claim that is refused");
    assert_eq!(billed(&wharf, fails, &order("o-2")).await, [put(1), put(1)], "failed attempt, waiting in the queue");
    let record = wharf.in_state("o-2", "waiting").await;
    wharf.is_due(&record).await;
    assert_eq!(
        billed(&wharf, succeeds, &order("o-2")).await,
        [put(1), put(1), put(1)],
        "second attempt: a claim that is refused, a claim, complete"
    );
    // The record holds the message, which is small here, and the index has an entry.
    assert_eq!(billed(&wharf, is_busy, &order("o-3")).await, [put(1), put(2)], "waiting in the record");
    assert_eq!(billed(&wharf, refuses, &order("o-4")).await, [put(1), put(2)], "failed");
    let transaction = ("TransactWriteItems".to_owned(), 4);
    assert_eq!(billed(&wharf, sells, &order("o-5")).await, [put(1), transaction], "one effect");
    let large = format!(r#"{{"id":"o-6","type":"paid","text":"{}"}}"#, "x".repeat(150 * 1024));
    assert_eq!(billed(&wharf, succeeds, &large).await, [put(1), put(1)], "the body's size costs nothing");
}

#[tokio::test]
async fn a_claim_whose_answer_is_lost_is_ours_at_the_first_attempt() {
    let wharf = Wharf::start().await;
    let decide = |call: &Call<'_>| if call.number == 0 { Fault::AnswerLost } else { Fault::None };
    let (proxy, _) = Proxy::start(&wharf.stack.facts().aws_endpoint_url, decide).await;
    let messages = wharf.messages_of(&["o-1"]);
    assert!(wharf.process_by(&wharf.consumer_through(&proxy, succeeds), 20, &messages, 1).await.is_empty());
    let record = wharf.in_state("o-1", "completed").await;
    assert_eq!((record.attempt, record.failures.len()), (1, 0));
}

#[tokio::test]
async fn a_completion_in_conflict_with_a_copys_claim_is_repeated_and_the_handler_is_not() {
    let wharf = Wharf::start_with_orders("").await;
    let conflicts = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&conflicts);
    let decide = move |call: &Call<'_>| {
        let mut conflicts = counted.lock().unwrap();
        if call.operation == "TransactWriteItems" && *conflicts < 5 {
            *conflicts += 1;
            return Fault::Conflict;
        }
        Fault::None
    };
    let (proxy, _) = Proxy::start(&wharf.stack.facts().aws_endpoint_url, decide).await;
    let runs = Arc::new(Mutex::new(0));
    let run = Arc::clone(&runs);
    let handler = move |delivery: Delivery| {
        *run.lock().unwrap() += 1;
        sells(delivery)
    };
    let messages = wharf.messages_of(&["o-1"]);
    assert!(wharf.process_by(&wharf.consumer_through(&proxy, handler), 20, &messages, 1).await.is_empty());
    assert_eq!((*conflicts.lock().unwrap(), *runs.lock().unwrap()), (5, 1));
    assert_eq!(wharf.in_state("o-1", "completed").await.attempt, 1);
    assert_eq!(wharf.sold("tea").await, 1);
}

#[tokio::test]
async fn a_claim_in_conflict_with_a_completion_comes_again_soon_and_a_completion_in_conflict_is_repeated() {
    let wharf = Wharf::start().await;
    // The first claim, and the second worker's completion.
    let decide = |call: &Call<'_>| if matches!(call.number, 0 | 2) { Fault::Conflict } else { Fault::None };
    let (proxy, _) = Proxy::start(&wharf.stack.facts().aws_endpoint_url, decide).await;
    wharf.pause().await;
    wharf.queue().send(wharf.messages_of(&["o-1"]).remove(0), "shop").await.unwrap();
    let consumer = wharf.consumer_through(&proxy, succeeds);
    let process = async |record: Value| {
        let batch = serde_json::from_value(json!({ "Records": [record] })).unwrap();
        consumer.process(batch, UnixMillis(now().0 + 20_000)).await.batch_item_failures.len()
    };
    assert_eq!(process(record_of(&wharf.receive(600).await[0])).await, 1);
    assert!(wharf.records("shop", "o-1").await.is_empty(), "nothing was claimed");
    let again = wharf.until("it comes again", async || wharf.receive(600).await.pop()).await;
    assert_eq!(process(record_of(&again)).await, 0);
    assert_eq!(wharf.in_state("o-1", "completed").await.attempt, 1);
}

#[tokio::test]
async fn a_completion_whose_answer_is_lost_is_done_once() {
    let wharf = Wharf::start_with_orders("").await;
    let lost = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&lost);
    let decide = move |call: &Call<'_>| {
        let mut lost = counted.lock().unwrap();
        if call.operation == "TransactWriteItems" && *lost < 4 {
            *lost += 1;
            return Fault::AnswerLost;
        }
        Fault::None
    };
    let (proxy, _) = Proxy::start(&wharf.stack.facts().aws_endpoint_url, decide).await;
    let messages = wharf.messages_of(&["o-1"]);
    let consumer = wharf.consumer_through(&proxy, sells);
    assert!(wharf.process_by(&consumer, 20, &messages, 1).await.is_empty());
    assert_eq!(wharf.in_state("o-1", "completed").await.attempt, 1);
    assert_eq!(wharf.sold("tea").await, 1);
}

/// How much of a message SQS bills as one request (its pricing page), in bytes.
const SQS_UNIT_BYTES: usize = 64 * 1024;
/// By how much a line of the log may differ from the one that was measured, in bytes: ids and times are not always as long.
const LINE_TOLERANCE_BYTES: f64 = 60.0;

/// The calls to AWS since the last look, by their operation.
#[derive(Clone, Default)]
struct Calls(Arc<Mutex<Vec<(String, String, String)>>>);

impl Calls {
    async fn counting(&self, url: &str) -> Proxy {
        let calls = Arc::clone(&self.0);
        let heard = move |call: &Call<'_>, answer: &str| {
            calls.lock().unwrap().push((call.operation.to_owned(), call.body.to_owned(), answer.to_owned()));
        };
        Proxy::start_listening(url, |_| Fault::None, heard).await.0
    }

    fn take(&self) -> Vec<(String, String, String)> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

/// A row of a table of `docs/cost.md`: what it counts, and the count in each column.
fn counted_in_the_document(first_column: &str) -> BTreeMap<String, Vec<f64>> {
    let document = std::fs::read_to_string(Project::find().unwrap().path("docs/cost.md")).unwrap();
    let head = format!("| {first_column} |");
    let rows = document.lines().skip_while(|line| !line.starts_with(&head)).skip(2);
    rows.take_while(|line| line.starts_with('|'))
        .map(|row| {
            let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
            let numbers = cells[1..].iter().filter_map(|cell| cell.replace(',', "").parse().ok());
            (cells[0].to_owned(), numbers.collect())
        })
        .collect()
}

#[tokio::test]
async fn an_event_of_each_size_makes_the_calls_and_the_lines_that_the_document_on_cost_says() {
    let documented = counted_in_the_document("for one event");
    let wharf = Wharf::start().await;
    wharf.pause().await;
    let calls = Calls::default();
    let proxy = calls.counting(&wharf.stack.facts().aws_endpoint_url).await;
    let door = Door::start(&wharf, "cost-door", &proxy.url, &[]).await;
    let consumer = Lambda::start(&wharf, "cost-consumer", &shipped_consumer(), ENDPOINTS, &proxy.url, &[]).await;
    // The first of each is another: connections are made, and secrets read.
    for (column, kib) in [1, 1, 8, 64, 256].into_iter().enumerate() {
        let frame = r#"{"text":""}"#.len();
        let body = format!(r#"{{"text":"{}"}}"#, "x".repeat(kib * 1024 - frame)).into_bytes();
        let id = format!("72d3162e-cc78-11e3-81ab-4c9367dc09{column:02}");
        let pairs = [("content-type", "application/json"), ("x-github-event", "push"), ("x-github-delivery", &id)];
        let (at_the_door, at_the_consumer) = (door.lambda.log().len(), consumer.log().len());
        let answer = door.post("github", &wharf.signed("github", &pairs, &body), &body).await;
        assert_eq!(answer["statusCode"], 200);
        let received = wharf.receive(60).await;
        let record = record_of(&received[0]);
        let answer = consumer.invoke(&json!({ "Records": [record] }), 30).await.unwrap();
        assert_eq!(answer["batchItemFailures"], json!([]));
        let call = wharf.sqs().delete_message().queue_url(&wharf.stack.facts().queue_url);
        call.receipt_handle(received[0].receipt_handle().unwrap()).send().await.unwrap();
        let seen = calls.take();
        if column == 0 {
            continue;
        }

        let count = |operation: &str| seen.iter().filter(|(called, ..)| called == operation).count() as f64;
        let known = ["SendMessage", "PUT", "GET", "PutItem"];
        let others: Vec<_> = seen.iter().map(|(called, ..)| called).filter(|name| !known.contains(&&***name)).collect();
        assert!(others.is_empty(), "{kib} KiB: the document knows nothing of {others:?}");
        let sqs_units = received[0].body().unwrap().len().div_ceil(SQS_UNIT_BYTES) as f64;
        let writes = seen.iter().filter(|(called, ..)| called == "PutItem");
        let units: u64 = writes
            .map(|(operation, body, answer)| units(&Call { number: 0, operation, target: "/", body }, answer))
            .sum();
        let completed = seen.iter().rfind(|(called, ..)| called == "PutItem").unwrap();
        let item: Value = serde_json::from_str(&completed.1).unwrap();
        let measured = [
            ("SQS: units sent", count("SendMessage") * sqs_units),
            ("SQS: units received", sqs_units),
            ("S3: objects put", count("PUT")),
            ("S3: objects got", count("GET")),
            ("DynamoDB: write units", units as f64),
        ];
        for (row, measured) in measured {
            assert_eq!(documented[row][column - 1], measured, "{row}, {kib} KiB");
        }
        let about = [
            ("logs: bytes of the receiver", door.lambda.log().len() - at_the_door),
            ("logs: bytes of the consumer", consumer.log().len() - at_the_consumer),
            ("record, bytes", usize::try_from(size(&item["Item"])).unwrap()),
        ];
        for (row, measured) in about {
            println!("{kib} KiB: {row}: {measured}");
            let documented = documented[row][column - 1];
            assert!((documented - measured as f64).abs() <= LINE_TOLERANCE_BYTES, "{row}, {kib} KiB: {measured}");
        }
    }
}

#[tokio::test]
async fn a_run_of_the_housekeeper_with_nothing_to_do_makes_the_calls_that_the_document_on_cost_says() {
    let documented = counted_in_the_document("for one run of the housekeeper");
    let wharf = Wharf::start().await;
    let calls = Calls::default();
    let proxy = calls.counting(&wharf.stack.facts().aws_endpoint_url).await;
    let environment = [("WHARF_PUBLIC_URL", "https://hooks.example.com")];
    let lambda = Lambda::start(&wharf, "cost-housekeeper", &housekeeper(), "", &proxy.url, &environment).await;
    let errands = json!({ "task": "errands" });
    lambda.invoke(&errands, 55).await.unwrap();
    calls.take();
    let before = lambda.log().len();
    lambda.invoke(&errands, 55).await.unwrap();
    let seen = calls.take();
    let count = |operation: &str| seen.iter().filter(|(called, ..)| called == operation).count() as f64;
    assert_eq!(documented["DynamoDB: queries"], [count("Query")]);
    assert_eq!(documented["S3: lists"], [count("GET")]);
    assert_eq!(count("Query") + count("GET"), seen.len() as f64, "{seen:?}");
    let lines = (lambda.log().len() - before) as f64;
    println!("log: {lines} bytes");
    assert!((documented["log, bytes"][0] - lines).abs() <= LINE_TOLERANCE_BYTES, "{lines}");
}
