//! The way to an account of AWS: region and credentials from where every tool of AWS has them.

use std::error::Error;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use aws_config::ecs::EcsCredentialsProvider;
use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::imds;
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::imds::region::ImdsRegionProvider;
use aws_config::meta::credentials::CredentialsProviderChain;
use aws_config::profile::{ProfileFileCredentialsProvider, ProfileSet};
use aws_config::provider_config::ProviderConfig;
use aws_config::web_identity_token::WebIdentityTokenCredentialsProvider;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use aws_sdk_ssm::config::{BehaviorVersion, SharedHttpClient};
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_types::SdkConfig;
use aws_types::os_shim_internal::{Env, Fs};
use aws_types::region::Region;
use tokio::time::timeout;

/// How long EC2's metadata service may take. It answers within milliseconds or is not there, as most machines are not EC2's;
/// the library alone would try for several seconds of an operator's time.
const METADATA_TIMEOUT: Duration = Duration::from_millis(1500);
/// The profile that is meant where none is named.
const DEFAULT_PROFILE: &str = "default";

/// Which account of AWS, and where in it, as far as somebody says so.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Account {
    /// A profile of `~/.aws/config` and `~/.aws/credentials`; without it AWS_PROFILE, and else `default`.
    pub profile: Option<String>,
    /// A region; without it AWS_REGION, AWS_DEFAULT_REGION, and else the profile's.
    pub region: Option<String>,
}

/// For any client: region and credentials from the environment, the profile (keys, a process, single sign-on, a role),
/// a web identity, a container or a machine of AWS, in this order, as with every tool of AWS. A profile that is named in
/// `account` comes before the environment's credentials.
///
/// # Errors
/// If there is no region or are no credentials: with all that was tried, and how to come by them.
pub async fn from_environment(account: &Account) -> Result<SdkConfig> {
    let http_client = http_client();
    let profiles = profiles(account).await?;
    let providers = ProviderConfig::without_region().with_http_client(http_client.clone());
    let metadata = imds::Client::builder().configure(&providers).build();
    let region = region(account, &profiles, &providers, &metadata).await?;
    let providers = providers.with_region(Some(region.clone()));
    // A profile that is asked for is not to be passed over in favour of variables that happen to be set.
    let provider = match &account.profile {
        Some(profile) => SharedCredentialsProvider::new(
            ProfileFileCredentialsProvider::builder().configure(&providers).profile_name(profile).build(),
        ),
        None => SharedCredentialsProvider::new(chain(&providers, metadata)),
    };
    let found = provider.provide_credentials().await;
    let found = found.map_err(|error| explained(error, account, &profiles))?;
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http_client)
        .sleep_impl(TokioSleep::new())
        .region(region)
        .credentials_provider(FoundFirst { found: Mutex::new(Some(found)), provider });
    if let Some(profile) = &account.profile {
        loader = loader.profile_name(profile);
    }
    Ok(loader.load().await)
}

/// For any client, by these credentials; at `endpoint_url`, if that is not AWS's own.
pub(crate) fn configuration(region: String, credentials: Credentials, endpoint_url: Option<String>) -> SdkConfig {
    let mut configuration = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(region))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .http_client(http_client())
        .sleep_impl(TokioSleep::new());
    configuration.set_endpoint_url(endpoint_url);
    configuration.build()
}

fn http_client() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::AwsLc)).build_https()
}

/// Where credentials may be, in the order in which every tool of AWS looks.
fn chain(providers: &ProviderConfig, metadata: imds::Client) -> CredentialsProviderChain {
    let profile = ProfileFileCredentialsProvider::builder().configure(providers).build();
    let web_identity = WebIdentityTokenCredentialsProvider::builder().configure(providers).build();
    let container = EcsCredentialsProvider::builder().configure(providers).build();
    let machine = ImdsCredentialsProvider::builder().configure(providers).imds_client(metadata).build();
    CredentialsProviderChain::first_try("environment", EnvironmentVariableCredentialsProvider::new())
        .or_else("profile", profile)
        .or_else("web identity", web_identity)
        .or_else("container", container)
        .or_else("machine", OfMachine(machine))
}

/// What EC2's metadata service has. Whatever it answers instead of credentials, the machine has none for us: on most
/// machines it is not there, or something else answers at its address.
#[derive(Debug)]
struct OfMachine(ImdsCredentialsProvider);

impl ProvideCredentials for OfMachine {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            let found = timeout(METADATA_TIMEOUT, self.0.provide_credentials()).await;
            found.map_err(CredentialsError::not_loaded)?.map_err(CredentialsError::not_loaded)
        })
    }
}

/// The profiles of the files, with the one selected that is meant.
async fn profiles(account: &Account) -> Result<ProfileSet> {
    let named = account.profile.clone().map(Into::into);
    let profiles = aws_config::profile::load(&Fs::real(), &Env::real(), &Default::default(), named).await;
    let profiles = profiles.context("the files in which AWS's tools have their profiles cannot be read")?;
    let meant = profiles.selected_profile();
    // Nobody needs to have a profile; who names one does.
    if meant != DEFAULT_PROFILE && profiles.get_profile(meant).is_none() {
        let mut names: Vec<&str> = profiles.profiles().collect();
        names.sort_unstable();
        let known =
            if names.is_empty() { "they have none".to_owned() } else { format!("they have {}", names.join(", ")) };
        bail!(
            "there is no profile {meant:?} in ~/.aws/config and ~/.aws/credentials; {known}. `aws configure --profile {meant}`, \
             or `aws configure sso --profile {meant}`, makes it"
        );
    }
    Ok(profiles)
}

async fn region(
    account: &Account,
    profiles: &ProfileSet,
    providers: &ProviderConfig,
    metadata: &imds::Client,
) -> Result<Region> {
    let variable = |name: &str| std::env::var(name).ok();
    let said = [account.region.clone(), variable("AWS_REGION"), variable("AWS_DEFAULT_REGION")];
    let said = said.into_iter().flatten().chain(profiles.get("region").map(str::to_owned));
    if let Some(region) = said.into_iter().find(|region| !region.is_empty()) {
        return Ok(Region::new(region));
    }
    let of_machine = ImdsRegionProvider::builder().configure(providers).imds_client(metadata.clone()).build();
    let profile = profiles.selected_profile();
    timeout(METADATA_TIMEOUT, of_machine.region()).await.ok().flatten().with_context(|| {
        format!(
            "no region to reach a deployed stage in: AWS_REGION and AWS_DEFAULT_REGION are not set, the profile {profile:?} \
             names none, and this machine is none of AWS's. Give --region, or have the profile name one: `aws configure set \
             region eu-central-1 --profile {profile}`"
        )
    })
}

/// Why there are no credentials, and what to do.
fn explained(error: CredentialsError, account: &Account, profiles: &ProfileSet) -> anyhow::Error {
    let profile = profiles.selected_profile();
    if !matches!(error, CredentialsError::CredentialsNotLoaded(_)) {
        let is_signed_in_to = ["sso_session", "sso_start_url"].iter().any(|key| profiles.get(key).is_some());
        let mend = match is_signed_in_to {
            true => format!("`aws sso login --profile {profile}` signs in again"),
            false => "Mend that, or name another profile with --profile".to_owned(),
        };
        return anyhow!(
            "the credentials to reach a deployed stage cannot be had (profile {profile:?}): {}. {mend}",
            causes(&error)
        );
    }
    if account.profile.is_some() {
        return anyhow!(
            "no credentials to reach a deployed stage: the profile {profile:?} has neither keys, nor a process, a role or a \
             single sign-on that would give some. `aws configure --profile {profile}`, or `aws configure sso --profile \
             {profile}`, sets it up"
        );
    }
    let is_there = if profiles.get_profile(profile).is_some() { "has none" } else { "does not exist" };
    anyhow!(
        "no credentials to reach a deployed stage: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set, the profile \
         {profile:?} {is_there}, AWS_WEB_IDENTITY_TOKEN_FILE is not set, and this machine is neither a container nor an \
         instance of AWS that has a role. Name a profile with --profile; `aws sso login --profile NAME` signs in to one, `aws \
         configure` sets one up"
    )
}

/// What an error says, and what led to it, each once: the providers wrap each other in the same words.
fn causes(error: &CredentialsError) -> String {
    let mut said: Vec<String> = Vec::new();
    let mut next: Option<&dyn Error> = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        let text = text.trim().trim_end_matches("Stderr:").trim_end_matches(['.', ' ']);
        if !said.iter().any(|before| before == text) {
            said.push(text.to_owned());
        }
        next = error.source();
    }
    said.join(": ")
}

/// Hands over what was found at first, and asks again when that is used up: a process that a profile names may ask a person
/// for a code, and is not to do so twice.
#[derive(Debug)]
struct FoundFirst {
    found: Mutex<Option<Credentials>>,
    provider: SharedCredentialsProvider,
}

impl ProvideCredentials for FoundFirst {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        match self.found.lock().ok().and_then(|mut found| found.take()) {
            Some(found) => future::ProvideCredentials::ready(Ok(found)),
            None => self.provider.provide_credentials(),
        }
    }
}
