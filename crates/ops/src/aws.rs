//! The way to an account of AWS: region and credentials from the environment.

use anyhow::{Result, bail};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_ssm::config::BehaviorVersion;
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_types::SdkConfig;
use aws_types::region::Region;

/// For any client, from the variables that every tool of AWS understands.
///
/// # Errors
/// With all that are missing, and how to come by them.
pub fn from_environment() -> Result<SdkConfig> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let region = variable("AWS_REGION").or_else(|| variable("AWS_DEFAULT_REGION"));
    match (region, variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY")) {
        (Some(region), Some(key_id), Some(key)) => Ok(configuration(
            region,
            Credentials::new(key_id, key, variable("AWS_SESSION_TOKEN"), None, "environment"),
            variable("AWS_ENDPOINT_URL"),
        )),
        (region, key_id, key) => {
            let missing = [("AWS_REGION", region), ("AWS_ACCESS_KEY_ID", key_id), ("AWS_SECRET_ACCESS_KEY", key)];
            let missing: Vec<_> =
                missing.into_iter().filter(|(_, value)| value.is_none()).map(|(name, _)| name).collect();
            bail!(
                "to reach a deployed stage, {} must be set; `eval \"$(aws configure export-credentials --format env)\"` sets \
                 the credentials of your profile",
                missing.join(", ")
            )
        }
    }
}

/// For any client, by these credentials; at `endpoint_url`, if that is not AWS's own.
pub(crate) fn configuration(region: String, credentials: Credentials, endpoint_url: Option<String>) -> SdkConfig {
    let mut configuration = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(region))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .http_client(
            aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::AwsLc)).build_https(),
        )
        .sleep_impl(TokioSleep::new());
    configuration.set_endpoint_url(endpoint_url);
    configuration.build()
}
