//! The clients' common ground: one HTTP client, credentials from the environment, bounded time.
//!
//! The SDK's own defaults look for credentials in files and on the network and bring a second HTTP client: all of it
//! start time and size that a Lambda function has no use for.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_runtime_api::client::http::{
    HttpConnectorSettings, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use aws_types::region::Region;
use aws_types::sdk_config::StalledStreamProtectionConfig;

use crate::environment::Environment;

/// A connection within a region is made in a few milliseconds; one that takes longer is tried anew.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// One try of a call.
const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(2500);
/// All tries of a call, within every function's time-out.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(8);

/// Whose certificates are believed when AWS is called: `amazon`, and the same if it is not set; `system`; or the path of a
/// file of certificates, PEM, that it names instead of them.
pub const TRUST_STORE: &str = "WHARF_TRUST_STORE";
/// The roots from which the certificates of AWS's endpoints descend. The system's are thirty times as many, and to read them
/// takes longer than all else at start.
const AMAZON_ROOTS: &[u8] = include_bytes!("amazon-roots.pem");

/// What happened, in one line: an error of the SDK and its causes. Not more, which the SDK's own long form would show: the
/// whole answer, and with it what the log must not have.
pub fn cause(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let said = cause.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        source = cause.source();
    }
    text
}

/// The limits of a call that has only so much time: two tries of it, if the first one does not end by itself.
pub fn timeouts(time: Duration) -> TimeoutConfig {
    TimeoutConfig::builder().operation_attempt_timeout(time / 2).operation_timeout(time).build()
}

/// One connector, and so one pool of connections, for all clients. The SDK's own HTTP client would make one for each different
/// time-out of a connection, read all roots for each, and none would use the others' connections.
fn http_client(environment: &mut Environment) -> SharedHttpClient {
    let connector = Connector::builder()
        .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
        .tls_context(tls_context(environment))
        .connector_settings(HttpConnectorSettings::builder().connect_timeout(CONNECT_TIMEOUT).build())
        .sleep_impl(TokioSleep::new())
        .build();
    let connector = SharedHttpConnector::new(connector);
    http_client_fn(move |_, _| connector.clone())
}

fn tls_context(environment: &mut Environment) -> TlsContext {
    let only = |pem: Vec<u8>| TrustStore::empty().with_pem_certificate(pem);
    let trust_store = match std::env::var(TRUST_STORE).unwrap_or_default().as_str() {
        "" | "amazon" => only(AMAZON_ROOTS.to_vec()),
        "system" => TrustStore::default(),
        path => only(environment.certificates(path.as_ref())),
    };
    // Nothing in it can fail.
    TlsContext::builder().with_trust_store(trust_store).build().unwrap_or_default()
}

/// Where a service is, if that is not where AWS has it: by the SDKs' variable for one service, `AWS_ENDPOINT_URL_SSM`, or as
/// the configuration says of all.
pub fn endpoint(configuration: &SdkConfig, service: &str) -> Option<String> {
    set(&format!("AWS_ENDPOINT_URL_{service}")).or_else(|| configuration.endpoint_url().map(str::to_owned))
}

fn set(variable: &str) -> Option<String> {
    std::env::var(variable).ok().filter(|value| !value.is_empty())
}

/// DynamoDB's client.
pub fn dynamodb(configuration: &SdkConfig) -> aws_sdk_dynamodb::Client {
    let mut own = aws_sdk_dynamodb::config::Builder::from(configuration);
    own.set_endpoint_url(endpoint(configuration, "DYNAMODB"));
    aws_sdk_dynamodb::Client::from_conf(own.build())
}

/// SQS's client. It is made when it is first used: that takes half a million instructions, and the consumer seldom needs it.
#[derive(Debug, Clone)]
pub struct Sqs {
    configuration: SdkConfig,
    client: Arc<OnceLock<aws_sdk_sqs::Client>>,
}

impl Sqs {
    /// None is made yet.
    pub fn new(configuration: &SdkConfig) -> Sqs {
        Sqs { configuration: configuration.clone(), client: Arc::default() }
    }

    /// The client.
    pub fn client(&self) -> &aws_sdk_sqs::Client {
        self.client.get_or_init(|| {
            let mut own = aws_sdk_sqs::config::Builder::from(&self.configuration);
            own.set_endpoint_url(endpoint(&self.configuration, "SQS"));
            aws_sdk_sqs::Client::from_conf(own.build())
        })
    }
}

/// The configuration for every client of this function. `AWS_ENDPOINT_URL`, where it is set, leads them to a local stack.
pub fn configuration(environment: &mut Environment) -> SdkConfig {
    let credentials = Credentials::new(
        environment.variable("AWS_ACCESS_KEY_ID"),
        environment.variable("AWS_SECRET_ACCESS_KEY"),
        set("AWS_SESSION_TOKEN"),
        None,
        "environment",
    );
    let timeouts = TimeoutConfig::builder()
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .operation_timeout(OPERATION_TIMEOUT)
        .build();
    let mut configuration = SdkConfig::builder()
        .behavior_version(aws_sdk_sqs::config::BehaviorVersion::latest())
        .region(Region::new(environment.variable("AWS_REGION")))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .http_client(http_client(environment))
        .sleep_impl(TokioSleep::new())
        .retry_config(RetryConfig::standard().with_initial_backoff(Duration::from_millis(50)))
        .timeout_config(timeouts)
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    configuration.set_endpoint_url(set("AWS_ENDPOINT_URL"));
    configuration.build()
}

#[cfg(test)]
mod tests {
    use rustls_pki_types::CertificateDer;
    use rustls_pki_types::pem::PemObject;
    use wharf_webhook::idempotency::Digest;

    use super::*;

    #[test]
    fn the_roots_that_are_built_in_are_five_and_have_the_fingerprints_that_stand_beside_them() {
        let text = std::str::from_utf8(AMAZON_ROOTS).unwrap();
        let said: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# SHA-256 ")).collect();
        let roots: Vec<CertificateDer<'_>> = CertificateDer::pem_slice_iter(AMAZON_ROOTS).map(Result::unwrap).collect();
        let found: Vec<String> = roots.iter().map(|root| Digest::of(root).to_string()).collect();
        assert_eq!(found.len(), 5);
        assert_eq!(found, said);
        for root in &roots {
            webpki::anchor_from_trusted_cert(root).unwrap();
        }
    }
}
