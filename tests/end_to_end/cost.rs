//! What an event costs: DynamoDB's write units, counted on the wire for each case, and the calls that faults make anew.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use wharf::Delivery;
use wharf::consumer::batch::Consumer;
use wharf::consumer::{Effects, HandlerError};
use wharf::ledger::Ledger;
use wharf_webhook::clock::UnixMillis;
use wharf_webhook::message;

use crate::harness::{Wharf, now, record_of};
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
