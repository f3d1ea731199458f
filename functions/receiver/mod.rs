//! The receiver answers the sender: it verifies a request, puts the delivery into the queue, and only then says 2xx.
//!
//! | module | what it does |
//! | --- | --- |
//! | [`gateway`] | the event that API Gateway hands over, and the answer that it takes |
//! | [`ingress`] | one request's way through the door |
//! | [`secrets`] | the endpoints' secrets, from SSM, kept for a few minutes |
//! | [`queue`] | puts a delivery into SQS |

pub mod gateway;
pub mod ingress;
pub mod queue;
pub mod secrets;

use std::time::{SystemTime, UNIX_EPOCH};

use lambda_runtime::{LambdaEvent, service_fn};
use wharf_webhook::clock::UnixMillis;

use self::gateway::{Answer, Request};
use self::ingress::Ingress;
use self::queue::Queue;
use self::secrets::SecretStore;
use crate::aws;
use crate::environment::Environment;

/// The variables that the template sets for the receiver.
pub const ENVIRONMENT: [&str; 2] = ["WHARF_STAGE", "WHARF_QUEUE_URL"];

/// Starts the receiver and serves requests until Lambda ends the process.
///
/// # Errors
/// If something that it needs is missing, all in one message; or if Lambda's runtime interface fails.
pub async fn run() -> Result<(), lambda_runtime::Error> {
    let mut environment = Environment::default();
    let [stage, queue_url] = ENVIRONMENT.map(|name| environment.variable(name));
    let endpoints = environment.endpoints();
    let configuration = aws::configuration(&mut environment);
    environment.complete()?;
    // `complete` has made sure of them.
    let Some(endpoints) = endpoints else { return Ok(()) };

    let secrets = SecretStore::new(aws_sdk_ssm::Client::new(&configuration), &stage);
    secrets.fetch_all(&endpoints, now().seconds()).await;
    let queue = Queue::new(aws_sdk_sqs::Client::new(&configuration), queue_url);
    let ingress = Ingress::new(endpoints, secrets, queue);
    lambda_runtime::run(service_fn(async |event: LambdaEvent<Request>| -> Result<Answer, lambda_runtime::Error> {
        Ok(ingress.receive(event.payload, now()).await)
    }))
    .await
}

/// The only place where the receiver reads the clock.
fn now() -> UnixMillis {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX))
}
