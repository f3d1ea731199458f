//! The receiver answers the sender: it verifies a request, puts the delivery into the queue, and only then says 2xx.
//!
//! | module | what it does |
//! | --- | --- |
//! | [`gateway`] | the event that API Gateway hands over, and the answer that it takes |
//! | [`ingress`] | one request's way through the door |
//! | [`secrets`] | the endpoints' secrets, from SSM, kept for a few minutes |
//! | [`opening`] | secrets that a sender brings along, while the operator lets it |
//! | [`keys`] | keys that senders publish |
//! | [`queue`] | puts a delivery into SQS |

pub mod gateway;
pub mod ingress;
pub mod secrets;
pub mod opening;
pub mod keys;

use std::process::ExitCode;

use lambda_runtime::{LambdaEvent, service_fn};

use self::gateway::{Answer, Request};
use self::ingress::Ingress;
use self::keys::KeyStore;
use self::opening::Openings;
use self::secrets::SecretStore;
use crate::aws;
use crate::bodies::Bodies;
use crate::environment::Environment;
use crate::process::{self, now};
use crate::queue::Queue;

/// The variables that the template sets for the receiver.
pub const ENVIRONMENT: [&str; 4] = ["WHARF_STAGE", "WHARF_QUEUE_URL", "WHARF_BUCKET", "WHARF_PUBLIC_URL"];

/// Serves requests until Lambda ends the process. If something that the receiver needs is missing, it does not start, and
/// its log says all that is missing in one message.
pub async fn run() -> ExitCode {
    process::run(serve()).await
}

async fn serve() -> Result<(), lambda_runtime::Error> {
    let mut environment = Environment::default();
    let [stage, queue_url, bucket, public_url] = ENVIRONMENT.map(|name| environment.variable(name));
    let endpoints = environment.endpoints();
    let configuration = aws::configuration(&mut environment);
    let endpoints = environment.complete(endpoints)?;

    let ssm = aws_sdk_ssm::Client::new(&configuration);
    let secrets = SecretStore::new(ssm.clone(), &stage);
    secrets.fetch_all(&endpoints, now().seconds()).await;
    let openings = Openings::new(ssm, &stage);
    let keys = endpoints.iter().any(|endpoint| endpoint.terms.scheme.publishes_key()).then(KeyStore::new);
    let queue = Queue::new(aws_sdk_sqs::Client::new(&configuration), queue_url);
    let bodies = Bodies::new(aws_sdk_s3::Client::new(&configuration), bucket);
    let ingress = Ingress { endpoints, public_url, secrets, openings, keys, bodies, queue };
    lambda_runtime::run(service_fn(async |event: LambdaEvent<Request>| -> Result<Answer, lambda_runtime::Error> {
        Ok(ingress.receive(event.payload, now()).await)
    }))
    .await
}
