//! Lambda's Runtime API for the process of one function: it hands events over, and notes when they are asked for and answered.

use std::io;
use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use thiserror::Error;

use super::server::{Answer, Request, Server};

/// How long an invocation may take: as long as a consumer's, in milliseconds.
const INVOCATION_MILLIS: u64 = 30_000;
/// How long a function may take to ask for its first event, or to answer one. The slowest peer starts within a second; under
/// valgrind all takes fifty times as long.
const PATIENCE: Duration = Duration::from_secs(60);

/// The API, as the one who invokes the function sees it.
#[derive(Debug)]
pub struct RuntimeApi {
    server: Server,
    events: Sender<Bytes>,
    asked: Receiver<Instant>,
    answers: Receiver<Told>,
}

/// What a function answered, and when.
type Told = (Instant, Result<Vec<u8>, String>);

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum NoAnswer {
    /// The process has ended, or does not do anything.
    #[error("the function did not {0}")]
    Silent(&'static str),
    /// It answered with an error.
    #[error("the function reports an error: {0}")]
    Failed(String),
}

impl RuntimeApi {
    /// An API that nobody uses yet.
    ///
    /// # Errors
    /// If there is no port.
    pub fn start() -> io::Result<RuntimeApi> {
        let (events, next_event) = mpsc::channel::<Bytes>();
        let (ask, asked) = mpsc::channel();
        let (tell, answers) = mpsc::channel();
        let (next_event, ask, tell) = (Mutex::new(next_event), Mutex::new(ask), Mutex::new(tell));
        let server = Server::start(None, move |request| {
            let now = Instant::now();
            if request.method == "GET" {
                ask.lock().ok()?.send(now).ok()?;
                return Some(invocation(next_event.lock().ok()?.recv().ok()?));
            }
            tell.lock().ok()?.send((now, told(request))).ok()?;
            Some(Answer { status: 202, headers: Vec::new(), body: Bytes::new() })
        })?;
        Ok(RuntimeApi { server, events, asked, answers })
    }

    /// For `AWS_LAMBDA_RUNTIME_API`.
    pub fn address(&self) -> String {
        self.server.address.to_string()
    }

    /// Waits until the function asks for an event, and says when it did.
    ///
    /// # Errors
    /// [`NoAnswer`].
    pub fn asked(&self) -> Result<Instant, NoAnswer> {
        match self.asked.recv_timeout(PATIENCE) {
            Ok(asked_at) => Ok(asked_at),
            // A function that cannot start says so before it ends.
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => match self.answers.try_recv() {
                Ok((_, Err(error))) => Err(NoAnswer::Failed(error)),
                Ok((_, Ok(_))) | Err(_) => Err(NoAnswer::Silent("ask for an event")),
            },
        }
    }

    /// Hands over an event, for which the function has asked, and says how long the answer took, and what it is.
    ///
    /// # Errors
    /// [`NoAnswer`].
    pub fn invoke(&self, event: Bytes) -> Result<(Duration, Vec<u8>), NoAnswer> {
        let silent = || NoAnswer::Silent("answer");
        let started_at = Instant::now();
        self.events.send(event).map_err(|_| silent())?;
        let (answered_at, answer) = self.answers.recv_timeout(PATIENCE).map_err(|_| silent())?;
        Ok((answered_at - started_at, answer.map_err(NoAnswer::Failed)?))
    }
}

fn invocation(event: Bytes) -> Answer {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let deadline = now + Duration::from_millis(INVOCATION_MILLIS);
    let headers = vec![
        ("content-type", "application/json".to_owned()),
        ("lambda-runtime-aws-request-id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd".to_owned()),
        ("lambda-runtime-deadline-ms", deadline.as_millis().to_string()),
        (
            "lambda-runtime-invoked-function-arn",
            "arn:aws:lambda:eu-central-1:123456789012:function:measured".to_owned(),
        ),
        (
            "lambda-runtime-trace-id",
            "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=0".to_owned(),
        ),
    ];
    Answer { status: 200, headers, body: event }
}

fn told(request: Request) -> Result<Vec<u8>, String> {
    if request.target.ends_with("/response") {
        return Ok(request.body);
    }
    Err(String::from_utf8_lossy(&request.body).into_owned())
}
