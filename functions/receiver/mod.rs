//! The receiver answers the sender: it verifies a request, puts the delivery into the queue, and only then says 2xx.
//!
//! | module | what it does |
//! | --- | --- |
//! | [`gateway`] | the event that API Gateway hands over, and the answer that it takes |
//! | [`ingress`] | one request's way through the door |
//! | [`secrets`] | the endpoints' secrets, from SSM, kept for a few minutes |
//! | [`opening`] | secrets that a sender brings along, while the operator lets it |
//! | [`keys`] | keys that senders publish |
//! | [`outcome`] | what becomes of a request: the answer, its line in the log, what is reported |

pub mod gateway;
pub mod ingress;
pub mod secrets;
pub mod opening;
pub mod keys;
pub mod outcome;

use std::process::ExitCode;

use lambda_runtime::{LambdaEvent, service_fn};

use self::gateway::{Answer, Request};
use self::ingress::Ingress;
use self::keys::KeyStore;
use self::opening::Openings;
use self::secrets::SecretStore;
use crate::aws::{self, Sqs};
use crate::bodies::Bodies;
use crate::environment::Environment;
use crate::metrics::Metrics;
use crate::parameters::Parameters;
use crate::process::{self, now};
use crate::queue::Queue;
use crate::spool::Spool;

/// The variables that the template sets for the receiver.
pub const ENVIRONMENT: [&str; 4] = ["WHARF_STAGE", "WHARF_QUEUE_URL", "WHARF_BUCKET", "WHARF_PUBLIC_URL"];

/// Serves requests until Lambda ends the process. If something that the receiver needs is missing, it does not start, and
/// its log says all that is missing in one message.
pub async fn run() -> ExitCode {
    // Boxed, as in the consumer: the layout of all that is in it is more than the compiler takes in one go.
    process::run(Box::pin(serve())).await
}

async fn serve() -> Result<(), lambda_runtime::Error> {
    let mut environment = Environment::default();
    let [stage, queue_url, bucket, public_url] = ENVIRONMENT.map(|name| environment.variable(name));
    let endpoints = environment.endpoints();
    let configuration = aws::configuration(&mut environment);
    let endpoints = environment.complete(endpoints)?;

    let parameters = Parameters::new(&configuration);
    let secrets = SecretStore::new(parameters.clone(), &stage);
    let queue = Queue::new(Sqs::new(&configuration), queue_url);
    // What the first request needs is there before it, and at the same time.
    tokio::join!(secrets.fetch_all(&endpoints, now().seconds()), queue.connect());
    let openings = Openings::new(parameters, &stage);
    let keys = endpoints.iter().any(|endpoint| endpoint.terms.scheme.publishes_key()).then(KeyStore::new);
    let bodies = Bodies::new(&configuration, &bucket);
    let spool = Spool::new(&configuration, &bucket);
    let metrics = Metrics::new(&stage);
    let ingress = Ingress { endpoints, public_url, secrets, openings, keys, bodies, queue, spool, metrics };
    lambda_runtime::run(service_fn(async |event: LambdaEvent<Request>| -> Result<Answer, lambda_runtime::Error> {
        let trace = event.context.xray_trace_id.as_deref();
        Ok(Box::pin(ingress.receive(event.payload, trace, now())).await)
    }))
    .await
}
