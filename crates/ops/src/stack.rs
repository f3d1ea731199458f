//! The local stack: the real template and the real binaries on the emulator.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use aws_sdk_cloudformation::types::{Capability, Parameter, StackStatus};
use aws_types::SdkConfig;
use serde::{Deserialize, Serialize};
use wharf_webhook::endpoints::Endpoints;

use crate::deployment::stack_name;
use crate::emulator::{ACCESS_KEY_ID, Emulator, Port, REGION, SECRET_ACCESS_KEY, configuration};
use crate::endpoint_alarms;
use crate::package;
use crate::private_file;
use crate::project::Project;
use crate::secret_store::{self, Place};
use crate::secrets::generated;
use crate::template;

/// The stage that the local stack is.
pub const STAGE: &str = "local";
const CODE_BUCKET: &str = "wharf-local-code";
/// How long the emulator may take to create the stack.
const DEPLOY_TIMEOUT: Duration = Duration::from_secs(60);

/// What is deployed, and how.
#[derive(Debug)]
pub struct Options {
    /// Where the emulator listens.
    pub port: Port,
    /// The text of `endpoints.toml`.
    pub endpoints: String,
    /// The receiver's binary, or its zip.
    pub receiver: PathBuf,
    /// The consumer's binary, or its zip.
    pub consumer: PathBuf,
    /// The housekeeper's binary, or its zip.
    pub housekeeper: PathBuf,
    /// Secrets that are given; every other endpoint's is generated.
    pub secrets: BTreeMap<String, String>,
}

impl Options {
    /// Each function's name, and its binary or zip.
    fn binaries(&self) -> [(&'static str, &Path); 3] {
        [("receiver", &self.receiver), ("consumer", &self.consumer), ("housekeeper", &self.housekeeper)]
    }
}

/// A local stack that is up. It ends when this is dropped, or when this process ends in any way.
#[derive(Debug)]
pub struct Stack {
    emulator: Emulator,
    facts: Facts,
    outputs: BTreeMap<String, String>,
}

/// How to reach a local stack: `target/ops/stack.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The checkout that it runs. A copy of that has these facts too, and is not to act on the stack of another.
    pub checkout: PathBuf,
    /// Where every service of AWS answers.
    pub aws_endpoint_url: String,
    /// The region that its resources are in.
    pub region: String,
    /// For any client of AWS.
    pub access_key_id: String,
    /// For any client of AWS.
    pub secret_access_key: String,
    /// The front door, without `/webhooks/…`.
    pub api_url: String,
    /// The queue of deliveries.
    pub queue_url: String,
    /// The dead-letter queue.
    pub dead_letter_queue_url: String,
    /// The ledger.
    pub table: String,
    /// The bucket of bodies that are too large for a message.
    pub bucket: String,
    /// The name of the function that takes deliveries from the queue.
    pub consumer_function: String,
    /// The name of the receiver's log group.
    pub receiver_log_group: String,
    /// The name of the consumer's log group.
    pub consumer_log_group: String,
    /// The name of the housekeeper's log group.
    pub housekeeper_log_group: String,
    /// What it accepts.
    pub endpoints: Vec<EndpointFacts>,
}

/// An endpoint of a local stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointFacts {
    /// As in `endpoints.toml`.
    pub name: String,
    /// What its sender posts to.
    pub url: String,
    /// What it takes that address for where the sender signs it: the template's.
    pub signed_url: String,
    /// As in `endpoints.toml`.
    pub provider: String,
    /// What its sender signs with; `None` where that is nothing that could be made up.
    pub secret: Option<String>,
}

impl Stack {
    /// Brings a stack up, and returns when it accepts requests. `progress` hears of every step.
    ///
    /// # Errors
    /// If any step fails, with what the emulator said.
    pub async fn start(project: &Project, options: &Options, progress: &dyn Fn(&str)) -> Result<Stack> {
        let endpoints = Endpoints::parse(&options.endpoints)?;
        let secrets = secrets(&endpoints, &options.secrets)?;
        let emulator = Emulator::start(project, options.port, progress).await?;
        progress("deploying infra/template.yaml with the functions' binaries");
        let configuration = configuration(&emulator.url());
        put_secrets(&configuration, &endpoints, &secrets).await?;
        let template = upload_template(&emulator, project, options).await?;
        let outputs = deploy(&configuration, &template, &[], Action::Create)
            .await
            .with_context(|| format!("the emulator's last words:\n{}", emulator.last_words()))?;
        let output =
            |name: &str| outputs.get(name).cloned().with_context(|| format!("{} has no output {name}", template::PATH));
        let api_url = format!("{}/_aws/execute-api/{}/$default", emulator.url(), output("ApiId")?);
        let public_url = output("ApiUrl")?;
        let facts = Facts {
            checkout: project.root().to_owned(),
            aws_endpoint_url: emulator.url(),
            region: REGION.to_owned(),
            access_key_id: ACCESS_KEY_ID.to_owned(),
            secret_access_key: SECRET_ACCESS_KEY.to_owned(),
            queue_url: output("QueueUrl")?,
            dead_letter_queue_url: output("DeadLetterQueueUrl")?,
            table: output("TableName")?,
            bucket: output("BucketName")?,
            consumer_function: output("ConsumerFunction")?,
            receiver_log_group: output("ReceiverLogGroup")?,
            consumer_log_group: output("ConsumerLogGroup")?,
            housekeeper_log_group: output("HousekeeperLogGroup")?,
            endpoints: endpoints
                .iter()
                .map(|endpoint| EndpointFacts {
                    name: endpoint.name.clone(),
                    url: format!("{api_url}/webhooks/{}", endpoint.name),
                    signed_url: format!("{public_url}/webhooks/{}", endpoint.name),
                    provider: endpoint.terms.provider.name.to_owned(),
                    secret: secrets.get(&endpoint.name).cloned(),
                })
                .collect(),
            api_url,
        };
        Ok(Stack { emulator, facts, outputs })
    }

    /// Deploys again, with parameters that are not as they were before: an update of the stack, as `sam deploy` makes it.
    ///
    /// # Errors
    /// If any step fails, with what the emulator said.
    pub async fn update(&self, project: &Project, options: &Options, parameters: &[(&str, &str)]) -> Result<()> {
        let template = upload_template(&self.emulator, project, options).await?;
        deploy(&self.facts.configuration(), &template, parameters, Action::Update).await?;
        Ok(())
    }

    /// How to reach it.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// An output of the template.
    ///
    /// # Errors
    /// If it has none of this name.
    pub fn output(&self, name: &str) -> Result<&str> {
        let output = self.outputs.get(name).with_context(|| format!("{} has no output {name}", template::PATH))?;
        Ok(output)
    }

    /// The variables that the template sets for the functions, all together.
    ///
    /// # Errors
    /// If the emulator does not say.
    pub async fn function_environment(&self) -> Result<BTreeMap<String, String>> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Configuration {
            environment: Environment,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Environment {
            variables: BTreeMap<String, String>,
        }
        let mut variables = BTreeMap::new();
        for function in ["receiver", "consumer", "housekeeper"] {
            let name = format!("{}-{function}", stack_name(STAGE));
            let url = format!("{}/2015-03-31/functions/{name}/configuration", self.emulator.url());
            let answer = reqwest::get(&url).await.with_context(|| format!("cannot ask for {name}"))?;
            let text = answer.text().await.with_context(|| format!("cannot ask for {name}"))?;
            let configuration: Configuration =
                serde_json::from_str(&text).with_context(|| format!("{name} has no environment: {text}"))?;
            variables.extend(configuration.environment.variables);
        }
        let facts = self.facts();
        variables.extend(
            [
                ("AWS_ENDPOINT_URL", facts.aws_endpoint_url.as_str()),
                ("AWS_REGION", &facts.region),
                ("AWS_ACCESS_KEY_ID", &facts.access_key_id),
                ("AWS_SECRET_ACCESS_KEY", &facts.secret_access_key),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
        Ok(variables)
    }

    /// Its emulator.
    pub fn emulator(&self) -> &Emulator {
        &self.emulator
    }
}

impl Facts {
    /// Where the facts of the local stack are that `cargo ops dev` has up.
    pub fn path(project: &Project) -> PathBuf {
        project.made("stack.json")
    }

    /// The local stack that `cargo ops dev` has up.
    ///
    /// # Errors
    /// If none is up.
    pub fn read(project: &Project) -> Result<Facts> {
        let path = Facts::path(project);
        let text = fs::read_to_string(&path)
            .context("no local stack is up: start one with `cargo ops dev`, in another terminal")?;
        let facts: Facts = serde_json::from_str(&text).with_context(|| {
            format!("{} is not what this release's `cargo ops dev` writes: start that anew", path.display())
        })?;
        if facts.checkout != project.root() {
            bail!(
                "no local stack of this checkout is up: {} is of {}, from which it was copied or moved. Start one with `cargo ops \
                 dev`, in another terminal",
                path.display(),
                facts.checkout.display()
            );
        }
        Ok(facts)
    }

    /// Writes them for `cargo ops` in another terminal. Only this user may read them: they hold secrets.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, project: &Project) -> Result<()> {
        let text = serde_json::to_string_pretty(self).context("facts are JSON")?;
        private_file::write(&Facts::path(project), &format!("{text}\n"))
    }

    /// For any client of its services.
    pub fn configuration(&self) -> SdkConfig {
        configuration(&self.aws_endpoint_url)
    }

    /// The endpoint of this name.
    ///
    /// # Errors
    /// If there is none, with those that there are.
    pub fn endpoint(&self, name: &str) -> Result<&EndpointFacts> {
        self.endpoints.iter().find(|endpoint| endpoint.name == name).with_context(|| {
            let names: Vec<_> = self.endpoints.iter().map(|endpoint| endpoint.name.as_str()).collect();
            format!("the local stack has no endpoint {name:?}; it has {}", names.join(", "))
        })
    }
}

/// A secret for every endpoint that can be given one.
fn secrets(endpoints: &Endpoints, given: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>> {
    if let Some(name) = given.keys().find(|name| endpoints.get(name).is_none()) {
        bail!("a secret is given for the endpoint {name:?}, which endpoints.toml does not have");
    }
    let mut secrets = given.clone();
    for endpoint in endpoints.iter().filter(|endpoint| !given.contains_key(&endpoint.name)) {
        if let Some(secret) = generated(&endpoint.terms.scheme)? {
            secrets.insert(endpoint.name.clone(), secret);
        }
    }
    Ok(secrets)
}

async fn put_secrets(
    configuration: &SdkConfig,
    endpoints: &Endpoints,
    secrets: &BTreeMap<String, String>,
) -> Result<()> {
    for endpoint in endpoints.iter() {
        if let Some(secret) = secrets.get(&endpoint.name) {
            let put = secret_store::write(configuration, &Place::of(endpoint, STAGE), None, secret, None).await;
            put.with_context(|| format!("cannot put the secret of {}", endpoint.name))?;
        }
    }
    Ok(())
}

/// Puts the template, and what it refers to, where CloudFormation finds them; the template's address. As a text it would be too
/// long: CloudFormation takes 51,200 bytes.
async fn upload_template(emulator: &Emulator, project: &Project, options: &Options) -> Result<String> {
    let mut code = BTreeMap::new();
    for (function, binary) in options.binaries() {
        let zip = package::of(binary, &options.endpoints)?;
        // By its content, as `sam deploy` names it: a new version is published when the name is another.
        let mut hasher = DefaultHasher::new();
        zip.hash(&mut hasher);
        let name = format!("{function}-{:016x}.zip", hasher.finish());
        upload(emulator, &name, zip).await?;
        code.insert(function, format!("s3://{CODE_BUCKET}/{name}"));
    }
    let alarms = endpoint_alarms::template(&Endpoints::parse(&options.endpoints)?);
    let alarms = upload(emulator, "endpoint-alarms.yaml", alarms.into_bytes()).await?;
    let code_uri = |function: &str| code.get(function).cloned().unwrap_or_default();
    upload(emulator, "template.yaml", template::packaged(project, code_uri, &alarms)?.into_bytes()).await
}

/// Puts what the template refers to into a bucket; where it is. The emulator takes S3's requests unsigned.
async fn upload(emulator: &Emulator, name: &str, content: Vec<u8>) -> Result<String> {
    let bucket = format!("{}/{CODE_BUCKET}", emulator.url());
    let url = format!("{bucket}/{name}");
    let client = reqwest::Client::new();
    for (url, body) in [(&bucket, Vec::new()), (&url, content)] {
        let answer = client.put(url).body(body).send().await.with_context(|| format!("cannot upload to {url}"))?;
        // The bucket is there from the second upload on.
        if !answer.status().is_success() && *url != bucket {
            bail!("cannot upload to {url}: {}", answer.status());
        }
    }
    Ok(url)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Create,
    Update,
}

/// Has CloudFormation make of the stack what a template says, and waits until it has; the stack's outputs.
async fn deploy(
    configuration: &SdkConfig,
    template_url: &str,
    parameters: &[(&str, &str)],
    action: Action,
) -> Result<BTreeMap<String, String>> {
    let cloudformation = aws_sdk_cloudformation::Client::new(configuration);
    // The address that the emulator gives the API, from which the template takes the probe's, is no name of this machine.
    let parameters: BTreeMap<_, _> =
        [("Stage", STAGE), ("Probe", "off")].into_iter().chain(parameters.iter().copied()).collect();
    let parameters: Vec<_> = parameters
        .into_iter()
        .map(|(name, value)| Parameter::builder().parameter_key(name).parameter_value(value).build())
        .collect();
    let capabilities = vec![Capability::CapabilityIam, Capability::CapabilityAutoExpand];
    match action {
        Action::Create => {
            let call = cloudformation.create_stack().stack_name(stack_name(STAGE)).template_url(template_url);
            let call = call.set_parameters(Some(parameters)).set_capabilities(Some(capabilities));
            call.send().await.context("the emulator does not take infra/template.yaml")?;
        }
        Action::Update => {
            let call = cloudformation.update_stack().stack_name(stack_name(STAGE)).template_url(template_url);
            let call = call.set_parameters(Some(parameters)).set_capabilities(Some(capabilities));
            call.send().await.context("the emulator does not update its stack by infra/template.yaml")?;
        }
    }
    let deadline = tokio::time::Instant::now() + DEPLOY_TIMEOUT;
    loop {
        let described = cloudformation.describe_stacks().stack_name(stack_name(STAGE)).send().await;
        let described = described.context("cannot ask the emulator for the stack")?;
        let stack = described.stacks().first().context("the emulator has lost the stack")?;
        match stack.stack_status() {
            Some(StackStatus::CreateComplete | StackStatus::UpdateComplete) => {
                let outputs = stack.outputs().iter();
                return Ok(outputs
                    .filter_map(|output| Some((output.output_key()?.to_owned(), output.output_value()?.to_owned())))
                    .collect());
            }
            Some(
                StackStatus::CreateInProgress
                | StackStatus::UpdateInProgress
                | StackStatus::UpdateCompleteCleanupInProgress,
            ) if tokio::time::Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            status => bail!(
                "the emulator could not deploy the stack: {} {}",
                status.map_or("no status", StackStatus::as_str),
                stack.stack_status_reason().unwrap_or_default()
            ),
        }
    }
}
