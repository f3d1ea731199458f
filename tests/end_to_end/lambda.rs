//! A function's binary as Lambda runs it, with a Runtime API of the test's own: so a test can end it at any moment, and lead
//! its way to AWS through a proxy.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

use crate::harness::{ENDPOINTS, Wharf, now, receiver, scratch};

/// How often it is looked whether the process is still there.
const GLANCE: Duration = Duration::from_millis(10);

/// X-Ray's header of every invocation.
pub const TRACE: &str = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";

/// A function that waits for invocations.
pub struct Lambda {
    command: Mutex<Command>,
    child: Arc<Mutex<Child>>,
    listener: TcpListener,
    log: PathBuf,
}

/// A request over HTTP/1.1.
pub struct HttpRequest {
    /// Its first line and its headers, as they came.
    pub head: String,
    pub body: Vec<u8>,
}

impl HttpRequest {
    /// The next request of a connection; `None` if there is none.
    pub async fn read(stream: &mut (impl AsyncBufReadExt + Unpin)) -> Option<HttpRequest> {
        let (mut head, mut line) = (String::new(), String::new());
        loop {
            line.clear();
            if stream.read_line(&mut line).await.ok()? == 0 {
                return None;
            }
            head.push_str(&line);
            if line.trim().is_empty() {
                break;
            }
        }
        let mut request = HttpRequest { head, body: Vec::new() };
        let length = request.header("content-length").map_or(0, |length| length.parse().unwrap());
        request.body = vec![0; length];
        stream.read_exact(&mut request.body).await.ok()?;
        Some(request)
    }

    /// A header's value; `name` in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let pairs = self.head.lines().filter_map(|line| line.split_once(':'));
        pairs.into_iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }
}

impl Lambda {
    /// Starts a function beside a stack, which it reaches at `aws`; `name` tells it from those of other tests.
    pub async fn start(
        wharf: &Wharf,
        name: &str,
        binary: &Path,
        endpoints: &str,
        aws: &str,
        environment: &[(&str, &str)],
    ) -> Lambda {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let facts = wharf.stack.facts();
        let folder = scratch().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("endpoints.toml"), endpoints).unwrap();
        let log = folder.join("log");
        File::create(&log).unwrap();
        let mut command = Command::new(binary);
        command
            .env_clear()
            .env("LAMBDA_TASK_ROOT", &folder)
            .env("AWS_LAMBDA_RUNTIME_API", listener.local_addr().unwrap().to_string())
            .env("AWS_LAMBDA_FUNCTION_NAME", name)
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
            .env("AWS_ENDPOINT_URL", aws)
            .env("AWS_REGION", &facts.region)
            .env("AWS_ACCESS_KEY_ID", &facts.access_key_id)
            .env("AWS_SECRET_ACCESS_KEY", &facts.secret_access_key)
            .env("WHARF_STAGE", "local")
            .env("WHARF_TABLE", &facts.table)
            .env("WHARF_QUEUE_URL", &facts.queue_url)
            .env("WHARF_DEAD_LETTER_QUEUE_URL", &facts.dead_letter_queue_url)
            .env("WHARF_BUCKET", &facts.bucket)
            .env("WHARF_EVENT_BUS", wharf.stack.output("EventBusName").unwrap())
            .envs(environment.iter().copied());
        let child = Arc::new(Mutex::new(spawn(&mut command, &log)));
        Lambda { command: Mutex::new(command), child, listener, log }
    }

    /// What ends the process from one moment to the next.
    pub fn killer(&self) -> impl Fn() + Send + Sync + 'static {
        let child = Arc::clone(&self.child);
        move || {
            let _ = child.lock().unwrap().kill();
        }
    }

    /// Invokes the function, which has so many seconds for it. `None` if it died; then the next invocation starts it again.
    pub async fn invoke(&self, event: &Value, seconds: i64) -> Option<Value> {
        let (head, answer) = self.invoked(event, seconds).await?;
        assert!(head.contains("/response "), "{head} {answer}");
        Some(answer)
    }

    /// Invokes the function, and returns the error that it ends with.
    pub async fn fails(&self, event: &Value, seconds: i64) -> String {
        let (head, answer) = self.invoked(event, seconds).await.unwrap();
        assert!(head.contains("/error "), "{head} {answer}");
        answer["errorMessage"].as_str().unwrap().to_owned()
    }

    /// How an invocation was answered: the request's head, and its body.
    async fn invoked(&self, event: &Value, seconds: i64) -> Option<(String, Value)> {
        if self.has_ended() {
            *self.child.lock().unwrap() = spawn(&mut self.command.lock().unwrap(), &self.log);
        }
        let event = event.to_string();
        loop {
            let (mut stream, _) = tokio::select! {
                accepted = self.listener.accept() => accepted.unwrap(),
                () = tokio::time::sleep(GLANCE) => {
                    if self.has_ended() {
                        return None;
                    }
                    continue;
                }
            };
            // It may have been asked for by a life that is over.
            let Some(request) = HttpRequest::read(&mut BufReader::new(&mut stream)).await else { continue };
            if request.head.starts_with("GET") {
                let deadline = now().0 + seconds * 1000;
                let text = format!(
                    "HTTP/1.1 200 OK\r\nlambda-runtime-aws-request-id: 1\r\nlambda-runtime-deadline-ms: {deadline}\r\n\
                     lambda-runtime-trace-id: {TRACE}\r\nlambda-runtime-invoked-function-arn: arn\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{event}",
                    event.len()
                );
                let _ = stream.write_all(text.as_bytes()).await;
                continue;
            }
            let text = String::from_utf8(request.body).unwrap();
            let _ = stream.write_all(b"HTTP/1.1 202 Accepted\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").await;
            return Some((request.head, serde_json::from_str(&text).unwrap()));
        }
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// The process, for whoever looks at its memory.
    pub fn process_id(&self) -> u32 {
        self.child.lock().unwrap().id()
    }

    fn has_ended(&self) -> bool {
        self.child.lock().unwrap().try_wait().unwrap().is_some()
    }
}

/// The receiver as Lambda runs it, behind a front door of the test's own: API Gateway's events are made here.
pub struct Door {
    pub lambda: Lambda,
}

impl Door {
    /// The receiver, with the endpoints that the tests accept.
    pub async fn start(wharf: &Wharf, name: &str, aws: &str, environment: &[(&str, &str)]) -> Door {
        Door::start_with(wharf, name, "", aws, environment).await
    }

    /// The same; `more` is what else `endpoints.toml` says, of the endpoint `shop` first.
    pub async fn start_with(wharf: &Wharf, name: &str, more: &str, aws: &str, environment: &[(&str, &str)]) -> Door {
        let endpoints = format!("{ENDPOINTS}{more}");
        let environment = [&[("WHARF_PUBLIC_URL", "https://hooks.example.com")], environment].concat();
        let lambda = Lambda::start(wharf, name, &receiver(), &endpoints, aws, &environment).await;
        Door { lambda }
    }

    /// What a sender is answered: API Gateway's `statusCode`, `headers` and `body`.
    pub async fn post(&self, endpoint: &str, headers: &HeaderMap, body: &[u8]) -> Value {
        self.post_from("203.0.113.7", endpoint, headers, body).await
    }

    /// The same, of a sender at this address.
    pub async fn post_from(&self, source: &str, endpoint: &str, headers: &HeaderMap, body: &[u8]) -> Value {
        let event = event(source, endpoint, headers, body);
        self.lambda.invoke(&event, 10).await.unwrap_or_else(|| panic!("the receiver has ended: {}", self.lambda.log()))
    }
}

/// API Gateway's event, payload format 2.0.
pub fn event(source: &str, endpoint: &str, headers: &HeaderMap, body: &[u8]) -> Value {
    let headers = headers.iter().map(|(name, value)| (name.to_string(), Value::from(value.to_str().unwrap())));
    json!({
        "version": "2.0",
        "rawPath": format!("/webhooks/{endpoint}"),
        "rawQueryString": "",
        "headers": headers.collect::<serde_json::Map<_, _>>(),
        "requestContext": {
            "requestId": uuid::Uuid::new_v4().to_string(),
            "http": { "method": "POST", "sourceIp": source },
        },
        "body": STANDARD.encode(body),
        "isBase64Encoded": true,
    })
}

impl Drop for Lambda {
    fn drop(&mut self) {
        let mut child = self.child.lock().unwrap();
        let _ = child.kill();
        let _ = child.wait();
    }
}

fn spawn(command: &mut Command, log: &Path) -> Child {
    let log = File::options().append(true).open(log).unwrap();
    command.stdout(Stdio::from(log.try_clone().unwrap())).stderr(Stdio::from(log)).spawn().unwrap()
}
