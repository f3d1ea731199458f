//! A local stack for one test, and what a test asks of it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::Statistic;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName, QueueAttributeName};
use aws_types::SdkConfig;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};
use wharf::aws::Sqs;
use wharf::bodies::Bodies;
use wharf::consumer::batch::Consumer;
use wharf::consumer::dead_letter::DeadLetterQueue;
use wharf::consumer::event_bus::EventBus;
use wharf::housekeeper::drain::Drain;
use wharf::housekeeper::errands::Errands;
use wharf::ledger::Ledger;
use wharf::metrics::Metrics;
pub use wharf::process::now;
use wharf::queue::Queue;
use wharf::spool::Spool;
use wharf_ops::consumption;
use wharf_ops::deployment::Deployment;
use wharf_ops::embedded_metrics;
use wharf_ops::emulator::Port;
use wharf_ops::log_tail::{Function, Line, LogTail};
use wharf_ops::project::Project;
use wharf_ops::records::{self, RecordView};
use wharf_ops::stack::{Options, Stack};
use wharf_webhook::clock::UnixMillis;
use wharf_webhook::delivery::{Arrival, Delivery};
use wharf_webhook::endpoints::{Endpoint, Endpoints};
use wharf_webhook::judgement::{Verdict, judge};
use wharf_webhook::metrics::{Dimension, Metric, NAMESPACE};
use wharf_webhook::request::Request;
use wharf_webhook::secret::Secrets;
use wharf_webhook::signature::signing::{Outgoing, sign};

/// How long a test waits for a state that must come.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the tests accept, where they need nothing else.
pub const ENDPOINTS: &str = r#"
[endpoints.github]
provider = "github"

[endpoints.shop]
provider = "generic"
signature = { header = "X-Signature" }
event_id = "json:/id"
event_type = "json:/type"
"#;

/// A local stack of this test's own.
pub struct Wharf {
    pub stack: Stack,
    endpoints: Endpoints,
    client: reqwest::Client,
    sqs: aws_sdk_sqs::Client,
    started_at: UnixMillis,
    /// What metrics were not made of yet.
    unmeasured: tokio::sync::Mutex<LogTail>,
}

/// What the sender was told.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
}

impl Wharf {
    /// The shipped functions, accepting [`ENDPOINTS`].
    pub async fn start() -> Wharf {
        Wharf::start_with(ENDPOINTS, shipped_consumer(), &[]).await
    }

    /// With these endpoints, this consumer, and secrets for some endpoints; the others' are generated.
    pub async fn start_with(endpoints: &str, consumer: PathBuf, secrets: &[(&str, &str)]) -> Wharf {
        let project = Project::find().unwrap();
        let secrets = secrets.iter().map(|(name, secret)| ((*name).to_owned(), (*secret).to_owned())).collect();
        let options = Options { secrets, ..options(endpoints, consumer) };
        let stack = Stack::start(&project, &options, &|step| println!("{step}")).await.unwrap();
        let sqs = aws_sdk_sqs::Client::new(&stack.facts().configuration());
        let started_at = now();
        Wharf {
            unmeasured: LogTail::new(&stack.facts().deployment(), started_at).into(),
            endpoints: Endpoints::parse(endpoints).unwrap(),
            client: reqwest::Client::new(),
            sqs,
            started_at,
            stack,
        }
    }

    pub fn endpoint(&self, name: &str) -> &Endpoint {
        self.endpoints.get(name).unwrap()
    }

    /// The secret that the sender of an endpoint signs with.
    pub fn secret(&self, endpoint: &str) -> &str {
        self.stack.facts().endpoint(endpoint).unwrap().secret.as_deref().unwrap()
    }

    pub fn url(&self, endpoint: &str) -> String {
        format!("{}/webhooks/{endpoint}", self.stack.facts().api_url)
    }

    /// These headers, and a signature of the body as the endpoint's sender makes it.
    pub fn signed(&self, endpoint: &str, pairs: &[(&str, &str)], body: &[u8]) -> HeaderMap {
        self.signed_with(self.secret(endpoint), endpoint, pairs, body)
    }

    /// The same with another secret.
    pub fn signed_with(&self, secret: &str, endpoint: &str, pairs: &[(&str, &str)], body: &[u8]) -> HeaderMap {
        let terms = &self.endpoint(endpoint).terms;
        let secrets = Secrets::parse(secret, &terms.scheme).unwrap();
        let url = self.stack.facts().endpoint(endpoint).unwrap().signed_url.clone();
        let outgoing = Outgoing { method: "POST".into(), url, headers: headers(pairs), body: body.to_vec() };
        let signed = sign(terms, &secrets, outgoing, now()).unwrap();
        assert_eq!(signed.body, body, "use the provider's sample where the signature stands in the body");
        signed.headers
    }

    /// Posts GitHub's push under a delivery id.
    pub async fn push(&self, delivery: &str, body: &[u8]) -> Answer {
        let pairs = [("content-type", "application/json"), ("x-github-event", "push"), ("x-github-delivery", delivery)];
        self.post("github", self.signed("github", &pairs, body), body).await
    }

    /// Posts JSON to the endpoint `shop`.
    pub async fn order(&self, body: &str) -> Answer {
        let headers = self.signed("shop", &[("content-type", "application/json")], body.as_bytes());
        self.post("shop", headers, body.as_bytes()).await
    }

    /// The delivery of an order, made by the code that the receiver runs.
    pub fn delivery(&self, id: &str) -> Delivery {
        self.delivery_of(&format!(r#"{{"id":"{id}","type":"paid"}}"#), now())
    }

    /// The delivery of an order with this body, received at some time.
    pub fn delivery_of(&self, body: &str, received_at: UnixMillis) -> Delivery {
        let body = body.as_bytes().to_vec();
        let endpoint = self.endpoint("shop");
        let headers = self.signed("shop", &[], &body);
        let secrets = Secrets::parse(self.secret("shop"), &endpoint.terms.scheme).unwrap();
        let request = Request { method: "POST", url: "", headers: &headers, body: &body };
        let Ok(Verdict::Event(event)) = judge(&endpoint.terms, &secrets, None, &request, now().seconds()) else {
            panic!("an order is an event");
        };
        let arrival = Arrival {
            endpoint: "shop".into(),
            provider: "generic".into(),
            arrival_id: format!("arrival-{}", received_at.0),
            received_at,
            method: "POST".to_owned(),
            query: None,
            content_type: None,
            headers: vec![],
            replay_guard: false,
        };
        Delivery::accept(&event, arrival, body).unwrap()
    }

    pub async fn post(&self, endpoint: &str, headers: HeaderMap, body: &[u8]) -> Answer {
        self.request("POST", &self.url(endpoint), headers, body).await
    }

    pub async fn request(&self, method: &str, url: &str, headers: HeaderMap, body: &[u8]) -> Answer {
        let request = self.client.request(method.parse().unwrap(), url).headers(headers).body(body.to_vec());
        let answer = request.send().await.unwrap();
        Answer {
            status: answer.status().as_u16(),
            headers: answer.headers().clone(),
            body: answer.text().await.unwrap(),
        }
    }

    /// The record of an id, once it is completed.
    pub async fn completed(&self, endpoint: &str, id: &str) -> RecordView {
        self.until(&format!("{endpoint} {id} is completed"), async || {
            self.records(endpoint, id).await.into_iter().find(|record| record.state == "completed")
        })
        .await
    }

    pub async fn records(&self, endpoint: &str, id: &str) -> Vec<RecordView> {
        records::find(&self.deployment(), endpoint, id).await.unwrap()
    }

    /// How operators reach it.
    pub fn deployment(&self) -> Deployment {
        self.stack.facts().deployment()
    }

    pub fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        aws_sdk_dynamodb::Client::new(&self.stack.facts().configuration())
    }

    pub fn s3(&self) -> aws_sdk_s3::Client {
        aws_sdk_s3::Client::new(&self.stack.facts().configuration())
    }

    /// The ledger, as the functions have it.
    pub fn ledger(&self) -> Ledger {
        Ledger::new(self.dynamodb(), self.stack.facts().table.clone())
    }

    /// The housekeeper's errands, to be run when a test wants them run.
    pub fn errands(&self) -> Errands {
        Errands { ledger: self.ledger(), queue: self.queue(), metrics: self.metrics(), now }
    }

    /// The housekeeper's drain of the spool, likewise.
    pub fn drain(&self) -> Drain {
        Drain { spool: self.spool(), queue: self.queue(), ledger: self.ledger(), metrics: self.metrics(), now }
    }

    /// The clients' configuration, by way of a proxy or another address.
    pub fn configuration_through(&self, url: &str) -> SdkConfig {
        self.stack.facts().configuration().into_builder().endpoint_url(url).build()
    }

    pub fn spool(&self) -> Spool {
        Spool::new(&self.stack.facts().configuration(), &self.stack.facts().bucket)
    }

    pub fn metrics(&self) -> Metrics {
        Metrics::new("local")
    }

    pub fn queue(&self) -> Queue {
        Queue::new(Sqs::new(&self.stack.facts().configuration()), self.stack.facts().queue_url.clone())
    }

    /// A consumer in the test's own process, which processes batches that the test makes.
    pub fn consumer<H>(&self, handler: H) -> Consumer<H> {
        let facts = self.stack.facts();
        let configuration = facts.configuration();
        let event_bus = self.stack.output("EventBusName").unwrap().to_owned();
        Consumer {
            endpoints: self.endpoints.clone(),
            ledger: self.ledger(),
            queue: self.queue(),
            bodies: Bodies::new(&configuration, &facts.bucket),
            event_bus: EventBus::new(&configuration, event_bus, facts.bucket.clone()),
            dead_letters: DeadLetterQueue::new(Sqs::new(&configuration), facts.dead_letter_queue_url.clone()),
            metrics: self.metrics(),
            handler,
            now,
        }
    }

    /// Makes the table of `examples/orders.rs`.
    pub async fn make_orders_table(&self) {
        let definition = AttributeDefinition::builder().attribute_name("id").attribute_type(ScalarAttributeType::S);
        let definition = definition.build().unwrap();
        let key = KeySchemaElement::builder().attribute_name("id").key_type(KeyType::Hash).build().unwrap();
        let call = self.dynamodb().create_table().table_name("orders").billing_mode(BillingMode::PayPerRequest);
        call.attribute_definitions(definition).key_schema(key).send().await.unwrap();
    }

    /// How often a product was sold, as `examples/orders.rs` counts.
    pub async fn sold(&self, product: &str) -> i64 {
        let id = AttributeValue::S(format!("product {product}"));
        let call = self.dynamodb().get_item().table_name("orders").key("id", id).consistent_read(true);
        let item = call.send().await.unwrap().item.unwrap_or_default();
        item.get("sold").map_or(0, |sold| sold.as_n().unwrap().parse().unwrap())
    }

    /// How many records there are in all.
    pub async fn record_count(&self) -> i32 {
        let dynamodb = self.dynamodb();
        dynamodb.scan().table_name(&self.stack.facts().table).consistent_read(true).send().await.unwrap().count()
    }

    /// Waits until a log has a line of which `is_it` is true.
    pub async fn logged(&self, what: &str, is_it: impl Fn(&Line) -> bool) -> Line {
        self.until(what, async || self.log().await.into_iter().find(|line| is_it(line))).await
    }

    /// All lines of both functions up to now.
    pub async fn log(&self) -> Vec<Line> {
        LogTail::new(&self.deployment(), self.started_at).next().await.unwrap()
    }

    /// How many lines of a function say that this became of an event.
    pub async fn count(&self, function: Function, outcome: &str) -> usize {
        let log = self.log().await;
        log.iter().filter(|line| line.function == function && line.text("outcome") == Some(outcome)).count()
    }

    /// How often the shipped handler ran.
    pub async fn handled(&self) -> usize {
        let is_handled = |line: &&Line| line.text("message").is_some_and(|message| message.starts_with("handled"));
        self.log().await.iter().filter(is_handled).count()
    }

    /// Makes the metrics that the lines up to now name, each once, as CloudWatch does. A line that it would make none of,
    /// though it claims to be of its format, is an error.
    pub async fn metrics_are_made(&self) {
        let lines = self.unmeasured.lock().await.next().await.unwrap();
        embedded_metrics::put(&self.stack.facts().configuration(), &lines).await.unwrap();
    }

    /// The sum of a metric since this stack started, under exactly these dimensions.
    pub async fn metric_sum(&self, metric: Metric, dimensions: &[(Dimension, &str)]) -> f64 {
        let at = |at: UnixMillis| DateTime::from_secs(at.seconds().0);
        let dimension = |(name, value): &(Dimension, &str)| {
            aws_sdk_cloudwatch::types::Dimension::builder().name(name.name()).value(*value).build()
        };
        let answer = aws_sdk_cloudwatch::Client::new(&self.stack.facts().configuration())
            .get_metric_statistics()
            .namespace(NAMESPACE)
            .metric_name(metric.name())
            .set_dimensions(Some(dimensions.iter().map(dimension).collect()))
            .start_time(at(self.started_at))
            .end_time(at(UnixMillis(now().0 + 60_000)))
            .period(60)
            .statistics(Statistic::Sum)
            .send()
            .await
            .unwrap();
        answer.datapoints().iter().filter_map(|point| point.sum()).sum()
    }

    /// Subscribes a queue to a topic; its address.
    pub async fn subscribe(&self, topic_arn: &str) -> String {
        let queue = self.sqs.create_queue().queue_name("told").send().await.unwrap().queue_url.unwrap();
        let name = QueueAttributeName::QueueArn;
        let attributes =
            self.sqs.get_queue_attributes().queue_url(&queue).attribute_names(name.clone()).send().await.unwrap();
        let arn = &attributes.attributes().unwrap()[&name];
        let form = [("Action", "Subscribe"), ("TopicArn", topic_arn), ("Protocol", "sqs"), ("Endpoint", arn)];
        let form = form.map(|(name, value)| format!("{name}={}", value.replace(':', "%3A"))).join("&");
        let answer = self
            .client
            .post(self.stack.facts().aws_endpoint_url.as_str())
            // By the service in it, the emulator knows whom this is for.
            .header("Authorization", "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/sns/aws4_request")
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(form)
            .send()
            .await
            .unwrap();
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
        queue
    }

    /// What a topic told a queue of [`Wharf::subscribe`] since it was last asked.
    pub async fn told(&self, queue_url: &str) -> Vec<String> {
        let call = self.sqs.receive_message().queue_url(queue_url).max_number_of_messages(10).wait_time_seconds(0);
        let mut told = Vec::new();
        for message in call.send().await.unwrap().messages.unwrap_or_default() {
            let handle = message.receipt_handle().unwrap();
            self.sqs.delete_message().queue_url(queue_url).receipt_handle(handle).send().await.unwrap();
            let notification: Value = serde_json::from_str(message.body().unwrap()).unwrap();
            told.push(notification["Message"].as_str().unwrap().to_owned());
        }
        told
    }

    /// Waits until nothing is in the queue, visible or not.
    pub async fn queue_is_empty(&self) {
        self.until("the queue is empty", async || {
            (self.messages(&self.stack.facts().queue_url).await == 0).then_some(())
        })
        .await;
    }

    /// How many messages a queue holds, visible or not.
    pub async fn messages(&self, queue_url: &str) -> u32 {
        let names = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
            QueueAttributeName::ApproximateNumberOfMessagesDelayed,
        ];
        let call = self.sqs.get_queue_attributes().queue_url(queue_url).set_attribute_names(Some(names.to_vec()));
        let answer = call.send().await.unwrap();
        let attributes = answer.attributes().unwrap();
        names.iter().map(|name| attributes[name].parse::<u32>().unwrap()).sum()
    }

    /// The dead-letter queue's messages: body and reason.
    pub async fn dead_letters(&self) -> Vec<(String, Option<String>)> {
        let call = self.sqs.receive_message().queue_url(&self.stack.facts().dead_letter_queue_url);
        let answer = call
            .max_number_of_messages(10)
            .message_attribute_names("All")
            .message_system_attribute_names(MessageSystemAttributeName::All)
            .send()
            .await
            .unwrap();
        let reason = |message: &Message| message.message_attributes()?.get("reason")?.string_value().map(str::to_owned);
        answer.messages().iter().map(|message| (message.body().unwrap().to_owned(), reason(message))).collect()
    }

    /// Has messages whose worker died come again after some seconds, instead of the three minutes of the template: the test
    /// is about what happens then.
    pub async fn messages_come_back_after(&self, seconds: u32) {
        let call = self.sqs.set_queue_attributes().queue_url(&self.stack.facts().queue_url);
        call.attributes(QueueAttributeName::VisibilityTimeout, seconds.to_string()).send().await.unwrap();
    }

    /// Lets the time pass that a lease lasts, by moving its end to now.
    pub async fn the_lease_ends(&self, record: &RecordView) {
        self.change(record, "SET lease_until = :at", now().seconds().0).await;
    }

    /// Lets the time pass until a waiting event is due.
    pub async fn is_due(&self, record: &RecordView) {
        self.change(record, "SET due_at = :at, open_at = :at", now().seconds().0).await;
    }

    /// Has an event that waits in the queue wait for some seconds.
    pub async fn is_due_in(&self, record: &RecordView, seconds: i64) {
        self.change(record, "SET due_at = :at", now().seconds().0 + seconds).await;
    }

    /// Takes back what the housekeeper noted after it had sent a message.
    pub async fn is_unsent(&self, record: &RecordView) {
        self.change(record, "SET open_at = :at REMOVE sent_at", now().seconds().0).await;
    }

    /// Changes a record behind everybody's back.
    pub async fn change(&self, record: &RecordView, update: &str, at: i64) {
        self.change_item(&record.event_key, &record.body_key, update, at).await;
    }

    /// The same, of any item of the ledger.
    pub async fn change_item(&self, event_key: &str, body_key: &str, update: &str, at: i64) {
        let call = self.dynamodb().update_item().table_name(&self.stack.facts().table);
        call.key("event_key", AttributeValue::S(event_key.to_owned()))
            .key("body_key", AttributeValue::S(body_key.to_owned()))
            .update_expression(update)
            .condition_expression("attribute_exists(event_key)")
            .expression_attribute_values(":at", AttributeValue::N(at.to_string()))
            .send()
            .await
            .unwrap();
    }

    /// Stops the consumption of the queue.
    pub async fn pause(&self) {
        consumption::pause(&self.deployment()).await.unwrap();
    }

    /// Starts it again.
    pub async fn resume(&self) {
        consumption::resume(&self.deployment()).await.unwrap();
    }

    pub fn sqs(&self) -> &aws_sdk_sqs::Client {
        &self.sqs
    }

    /// As [`Wharf::logged`], with a patience of its own.
    pub async fn logged_within(&self, seconds: u64, what: &str, is_it: impl Fn(&Line) -> bool) -> Line {
        let ask = async || self.log().await.into_iter().find(|line| is_it(line));
        self.until_within(Duration::from_secs(seconds), what, ask).await
    }

    /// Up to ten messages of the queue, which it hides for so long.
    pub async fn receive(&self, visibility_seconds: i32) -> Vec<Message> {
        let call = self.sqs.receive_message().queue_url(&self.stack.facts().queue_url).max_number_of_messages(10);
        let call = call.wait_time_seconds(0).visibility_timeout(visibility_seconds);
        let call = call.message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount);
        call.send().await.unwrap().messages.unwrap_or_default()
    }

    /// Asks again and again until there is an answer.
    pub async fn until<T>(&self, what: &str, ask: impl AsyncFnMut() -> Option<T>) -> T {
        self.until_within(PATIENCE, what, ask).await
    }

    /// As [`Wharf::until`], with a patience of its own.
    pub async fn until_within<T>(&self, patience: Duration, what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
        let started = Instant::now();
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            if started.elapsed() > patience {
                let log: Vec<_> = self.log().await.into_iter().map(|line| line.fields.to_string()).collect();
                panic!(
                    "waited {} s until {what}.\nThe functions logged:\n{}\nThe emulator's last words:\n{}",
                    patience.as_secs(),
                    log.join("\n"),
                    self.stack.emulator().last_words()
                );
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// What is deployed, with these endpoints and this consumer; every secret is generated.
pub fn options(endpoints: &str, consumer: PathBuf) -> Options {
    Options {
        port: Port::Any,
        endpoints: endpoints.to_owned(),
        receiver: receiver(),
        consumer,
        housekeeper: housekeeper(),
        secrets: BTreeMap::new(),
    }
}

/// A message as Lambda hands it to the consumer.
pub fn record_of(message: &Message) -> Value {
    let receives = &message.attributes().unwrap()[&MessageSystemAttributeName::ApproximateReceiveCount];
    json!({
        "messageId": message.message_id(),
        "receiptHandle": message.receipt_handle(),
        "body": message.body(),
        "attributes": { "ApproximateReceiveCount": receives },
    })
}

pub fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let pair =
        |(name, value): &(&str, &str)| (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
    pairs.iter().map(pair).collect()
}

/// A body of `events/`.
pub fn sample(name: &str) -> Vec<u8> {
    std::fs::read(Project::find().unwrap().path("events").join(name)).unwrap()
}

/// A program as it was built for this run. Its path is compiled in, too, and that is another checkout's where this one is a copy.
fn built(name: &str) -> PathBuf {
    std::env::var_os(format!("CARGO_BIN_EXE_{name}")).unwrap().into()
}

/// Where tests write, in this checkout's target folder.
pub fn scratch() -> PathBuf {
    let folder = Project::find().unwrap().made("tests");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

pub fn receiver() -> PathBuf {
    built("receiver")
}

pub fn housekeeper() -> PathBuf {
    built("housekeeper")
}

pub fn shipped_consumer() -> PathBuf {
    built("consumer")
}

/// The consumer of `examples/orders.rs`, whose handler can be made to fail. `cargo test --test` does not build examples,
/// and would run these tests with an old one; so it is built here, which takes no time where it is built.
pub fn orders_consumer() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let build = Command::new(env!("CARGO")).args(["build", "--quiet", "--example", "orders"]).status().unwrap();
        assert!(build.success(), "examples/orders.rs cannot be built");
        receiver().parent().unwrap().join("examples/orders")
    });
    built.clone()
}
