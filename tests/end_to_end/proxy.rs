//! A way to AWS on which things go wrong, on loopback.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::lambda::HttpRequest;

/// A call to AWS.
pub struct Call<'a> {
    /// Counted from 0.
    pub number: usize,
    /// `PutItem`, `SendMessage`, ...; for S3 the method.
    pub operation: &'a str,
    /// Path and query; for S3 they name the object.
    pub target: &'a str,
    pub body: &'a str,
}

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// The connection is closed, and AWS never hears of it.
    Refused,
    /// It comes late.
    Slow(Duration),
    /// AWS has trouble.
    ServerError,
    /// It is one too many.
    Throttled,
    /// Somebody else is at the same item.
    Conflict,
    /// It is done, and nobody hears of it.
    AnswerLost,
    /// Its answer begins, and never ends.
    Stalls,
    /// SQS does not take this message, and never will.
    Refusal,
    /// We may not.
    Denied,
    /// AWS says this, and does nothing.
    Says(&'static str),
    /// The caller dies, before AWS hears of it.
    DiesBefore,
    /// The caller dies, after it is done.
    DiesAfter,
}

/// A proxy; it ends with the test.
pub struct Proxy {
    /// Where AWS answers, or not.
    pub url: String,
}

type Decide = dyn Fn(&Call<'_>) -> Fault + Send + Sync;
type Heard = dyn Fn(&Call<'_>, &str) + Send + Sync;

/// Everything that a connection needs.
struct Way {
    address: String,
    calls: AtomicUsize,
    decide: Box<Decide>,
    heard: Box<Heard>,
    kill: std::sync::OnceLock<Box<dyn Fn() + Send + Sync>>,
}

/// Ends the caller; it is there only after the proxy is, whose address it is started with.
pub struct Victim(Arc<Way>);

impl Victim {
    pub fn is(&self, kill: impl Fn() + Send + Sync + 'static) {
        assert!(self.0.kill.set(Box::new(kill)).is_ok(), "one proxy has one victim");
    }
}

impl Proxy {
    /// A way to the emulator at `url`, on which `decide` says what happens to each call.
    pub async fn start(url: &str, decide: impl Fn(&Call<'_>) -> Fault + Send + Sync + 'static) -> (Proxy, Victim) {
        Proxy::start_listening(url, decide, |_, _| {}).await
    }

    /// The same; `heard` hears every answer.
    pub async fn start_listening(
        url: &str,
        decide: impl Fn(&Call<'_>) -> Fault + Send + Sync + 'static,
        heard: impl Fn(&Call<'_>, &str) + Send + Sync + 'static,
    ) -> (Proxy, Victim) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Proxy { url: format!("http://{}", listener.local_addr().unwrap()) };
        let way = Arc::new(Way {
            address: url.strip_prefix("http://").unwrap().to_owned(),
            calls: AtomicUsize::new(0),
            decide: Box::new(decide),
            heard: Box::new(heard),
            kill: std::sync::OnceLock::new(),
        });
        let victim = Victim(Arc::clone(&way));
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(carry(stream, Arc::clone(&way)));
            }
        });
        (proxy, victim)
    }
}

/// Carries one call to AWS and its answer back, or not.
async fn carry(mut stream: TcpStream, way: Arc<Way>) {
    let Some(request) = HttpRequest::read(&mut BufReader::new(&mut stream)).await else { return };
    let operation = request.header("x-amz-target").and_then(|target| target.split_once('.'));
    let operation = operation.map_or_else(|| request.head.split(' ').next().unwrap(), |(_, operation)| operation);
    let body = String::from_utf8_lossy(&request.body);
    let target = request.head.split(' ').nth(1).unwrap_or_default();
    let call = Call { number: way.calls.fetch_add(1, Ordering::SeqCst), operation, target, body: &body };
    let kill = || way.kill.get().unwrap()();
    match (way.decide)(&call) {
        Fault::None => {}
        Fault::Refused => return,
        Fault::Slow(time) => tokio::time::sleep(time).await,
        Fault::ServerError => return answer(&mut stream, "500 Oops", "InternalServerError", "").await,
        Fault::Throttled => return answer(&mut stream, "400 Bad", "ProvisionedThroughputExceededException", "").await,
        Fault::Refusal => return answer(&mut stream, "400 Bad", "InvalidMessageContents", "").await,
        Fault::Denied => return answer(&mut stream, "400 Bad", "AccessDeniedException", "").await,
        Fault::Conflict if operation == "TransactWriteItems" => {
            let reasons = r#","CancellationReasons":[{"Code":"TransactionConflict","Message":"busy"}]"#;
            return answer(&mut stream, "400 Bad", "TransactionCanceledException", reasons).await;
        }
        Fault::Conflict => return answer(&mut stream, "400 Bad", "TransactionConflictException", "").await,
        Fault::Says(body) => return say(&mut stream, "200 OK", body).await,
        Fault::AnswerLost => {
            forward(&request, &way.address).await;
            return;
        }
        Fault::Stalls => {
            let answered = forward(&request, &way.address).await;
            let _ = stream.write_all(&answered[..answered.len() - 1]).await;
            return std::future::pending().await;
        }
        Fault::DiesBefore => return kill(),
        Fault::DiesAfter => {
            forward(&request, &way.address).await;
            return kill();
        }
    }
    let answered = forward(&request, &way.address).await;
    (way.heard)(&call, &String::from_utf8_lossy(&answered));
    let _ = stream.write_all(&answered).await;
}

async fn answer(stream: &mut TcpStream, status: &str, code: &str, more: &str) {
    let body = format!(r#"{{"__type":"com.amazonaws.dynamodb.v20120810#{code}","message":"a drill"{more}}}"#);
    say(stream, status, &body).await;
}

async fn say(stream: &mut TcpStream, status: &str, body: &str) {
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/x-amz-json-1.0\r\nconnection: close\r\n");
    let _ = stream.write_all(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).as_bytes()).await;
}

/// Asks the emulator, and returns its whole answer.
async fn forward(request: &HttpRequest, address: &str) -> Vec<u8> {
    let mut upstream = TcpStream::connect(address).await.unwrap();
    // One call a connection, so that the answer ends with it.
    let head: String = request
        .head
        .lines()
        .filter(|line| !line.to_ascii_lowercase().starts_with("connection:") && !line.is_empty())
        .map(|line| format!("{line}\r\n"))
        .collect();
    upstream.write_all(format!("{head}connection: close\r\n\r\n").as_bytes()).await.unwrap();
    upstream.write_all(&request.body).await.unwrap();
    let mut answered = Vec::new();
    upstream.read_to_end(&mut answered).await.unwrap();
    answered
}
