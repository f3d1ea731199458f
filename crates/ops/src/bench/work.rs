//! What functions are given to do: requests of GitHub as API Gateway hands them over, batches of queue messages, and the
//! schedule's call.

use anyhow::{Context, Result};
use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Value, json};
use wharf_webhook::clock::UnixMillis;
use wharf_webhook::delivery::{Arrival, Delivery};
use wharf_webhook::endpoints::Endpoints;
use wharf_webhook::judgement::{Verdict, judge};
use wharf_webhook::message;
use wharf_webhook::request::Request;
use wharf_webhook::secret::Secrets;
use wharf_webhook::signature::signing::{Outgoing, sign};

use crate::project::Project;

/// What the functions are configured with while they are measured.
pub const ENDPOINTS: &str = "[endpoints.github]\nprovider = \"github\"\n";
/// GitHub's id of an event, where one is as good as another.
pub const ID: &str = "72d3162e-cc78-11e3-81ab-4c9367dc0958";
/// What GitHub signs with.
pub const SECRET: &str = "a-secret-that-is-long-enough-to-be-one";
/// The sample of API Gateway's event that requests are made of.
const EVENT: &str = "events/lambda/receiver-github-push.json";
/// The body that others are made of.
const BODY: &str = "events/github-push.json";
const URL: &str = "https://hooks.example.com/webhooks/github";

/// Whether an answer is right.
pub type IsRight = fn(&[u8]) -> bool;

/// Makes work of any size.
#[derive(Debug)]
pub struct Work {
    event: Value,
    push: Value,
    endpoints: Endpoints,
    now: UnixMillis,
}

impl Work {
    /// From the samples of the checkout.
    ///
    /// # Errors
    /// If they are not there.
    pub fn new(project: &Project, now: UnixMillis) -> Result<Work> {
        let sample = |name: &str| -> Result<Value> {
            let path = project.path(name);
            let text = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            serde_json::from_slice(&text).with_context(|| format!("{} is no JSON", path.display()))
        };
        Ok(Work { event: sample(EVENT)?, push: sample(BODY)?, endpoints: Endpoints::parse(ENDPOINTS)?, now })
    }

    /// A push of exactly so many bytes, as long as that is not less than a small one has: with as many commits as fit.
    pub fn body(&self, bytes: usize) -> String {
        let commit = self.push.pointer("/commits/0").cloned().unwrap_or_default();
        let each = commit.to_string().len() + 1;
        let mut push = self.push.clone();
        let own = push.to_string().len();
        if own > bytes {
            push = json!({ "ref": "refs/heads/main", "commits": [], "note": "" });
        }
        let room = bytes.saturating_sub(push.to_string().len());
        if let Some(commits) = push.get_mut("commits").and_then(Value::as_array_mut) {
            commits.extend(std::iter::repeat_n(commit, room / each));
        }
        // What is left is less than a commit: blanks, which JSON allows at its end.
        let mut body = push.to_string();
        body.extend(std::iter::repeat_n(' ', bytes.saturating_sub(body.len())));
        body
    }

    fn signed(&self, body: String) -> Result<Outgoing> {
        let terms = &self.endpoints.get("github").context("the endpoint is there")?.terms;
        let secrets = Secrets::parse(SECRET, &terms.scheme)?;
        let headers = HeaderMap::from_iter([
            (http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json")),
            (http::HeaderName::from_static("x-github-event"), http::HeaderValue::from_static("push")),
        ]);
        let outgoing = Outgoing { method: "POST".into(), url: URL.into(), headers, body: body.into_bytes() };
        Ok(sign(terms, &secrets, outgoing, self.now)?)
    }

    /// A request with a body of so many bytes, as API Gateway hands it to the receiver, under GitHub's id `id`.
    ///
    /// # Errors
    /// If it cannot be signed.
    pub fn request(&self, bytes: usize, id: &str) -> Result<Bytes> {
        let signed = self.signed(self.body(bytes))?;
        let mut event = self.event.clone();
        let body = String::from_utf8(signed.body)?;
        if let Some(headers) = event.get_mut("headers").and_then(Value::as_object_mut) {
            for (name, value) in &signed.headers {
                headers.insert(name.as_str().to_owned(), value.to_str()?.into());
            }
            headers.insert("content-length".to_owned(), body.len().to_string().into());
            headers.insert("x-github-delivery".to_owned(), id.into());
        }
        let event = event.as_object_mut().context("the sample of an event is an object")?;
        event.insert("body".to_owned(), body.into());
        event.insert("isBase64Encoded".to_owned(), false.into());
        Ok(serde_json::to_vec(event)?.into())
    }

    /// A batch of so many messages with bodies of so many bytes, as Lambda hands it to the consumer; the ids of its events
    /// begin with `id`.
    ///
    /// # Errors
    /// If they cannot be signed.
    pub fn batch(&self, messages: usize, bytes: usize, id: &str) -> Result<Bytes> {
        let body = self.body(bytes);
        let message = |number| self.message(body.clone(), &format!("{id}-{number}"));
        Ok(self.batch_of((0..messages).map(message).collect::<Result<_>>()?))
    }

    /// A batch of these messages.
    pub fn batch_of(&self, messages: Vec<String>) -> Bytes {
        let record = |(number, message): (usize, String)| {
            json!({
                "messageId": format!("059f36b4-87a3-44ab-83d2-66197583{number:04}"),
                "receiptHandle": "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a",
                "body": message,
                "attributes": {
                    "ApproximateReceiveCount": "1",
                    "SentTimestamp": self.now.0.to_string(),
                    "SenderId": "AIDAIENQZJOLO23YVJ4VO",
                    "ApproximateFirstReceiveTimestamp": self.now.0.to_string(),
                    "MessageGroupId": "github",
                },
                "messageAttributes": {},
                "md5OfBody": "e4e68fb7bd0e697a0ae8f1bb342846b3",
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:eu-central-1:123456789012:deliveries",
                "awsRegion": "eu-central-1",
            })
        };
        let records: Vec<Value> = messages.into_iter().enumerate().map(record).collect();
        json!({ "Records": records }).to_string().into()
    }

    /// What the receiver makes of a request, by the code that it runs.
    fn message(&self, body: String, id: &str) -> Result<String> {
        let Outgoing { url, mut headers, body, .. } = self.signed(body)?;
        headers.insert("x-github-delivery", id.parse()?);
        let terms = &self.endpoints.get("github").context("the endpoint is there")?.terms;
        let secrets = Secrets::parse(SECRET, &terms.scheme)?;
        let request = Request { method: "POST", url: &url, headers: &headers, body: &body };
        let Verdict::Event(event) = judge(terms, &secrets, None, &request, self.now.seconds())? else {
            anyhow::bail!("a push is no handshake");
        };
        let arrival = Arrival {
            endpoint: "github".into(),
            provider: "github".into(),
            arrival_id: id.to_owned(),
            received_at: self.now,
            method: "POST".to_owned(),
            query: None,
            content_type: Some("application/json".into()),
            headers: vec![("x-github-event".into(), "push".into()), ("x-github-delivery".into(), id.to_owned())],
            replay_guard: false,
        };
        Ok(message::encode(&Delivery::accept(&event, arrival, body)?)?)
    }

    /// What the schedule calls the housekeeper with.
    pub fn errands(&self) -> Bytes {
        Bytes::from_static(br#"{"task":"errands"}"#)
    }
}

/// The receiver's answer to what it accepts.
pub fn is_accepted(answer: &[u8]) -> bool {
    answer.starts_with(br#"{"statusCode":200"#)
}

/// The consumer's answer if each event has landed.
pub fn has_no_failures(answer: &[u8]) -> bool {
    answer == br#"{"batchItemFailures":[]}"#
}

/// The housekeeper's answer.
pub fn is_done(answer: &[u8]) -> bool {
    answer == b"null"
}
