//! Deploying a stage: what must be right before, the build, SAM, and a probe after. Each of it is a command that a person can
//! run as well.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use aws_sdk_cloudformation::types::StackStatus;
use aws_types::SdkConfig;
use wharf_webhook::clock::UnixSeconds;
use wharf_webhook::endpoints::Endpoints;

use crate::cargo_lambda::{self, Build};
use crate::deployment::{Deployment, Reach, stack, stack_name};
use crate::package::{self, Architecture};
use crate::project::Project;
use crate::records::RecordView;
use crate::stack_state::{Hindrance, hindrance};
use crate::step::Step;
use crate::{endpoint_alarms, probe, python, samconfig, secrets};

/// What is asked for.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// `staging`
    pub stage: String,
    /// The profile by which the account was found, which SAM needs too.
    pub profile: Option<String>,
    /// Parameters of the template, instead of those that `infra/samconfig.toml` has.
    pub parameters: BTreeMap<String, String>,
    /// Deploys without a look at the endpoints' secrets: one that has none answers 503 until it has. So it needs no right to
    /// read them.
    pub without_secrets: bool,
    /// What CloudFormation does its work as, where that is not who deploys: a role's ARN.
    pub execution_role: Option<String>,
    /// Where SAM uploads to, if not to a bucket that it makes.
    pub bucket: Option<String>,
    /// Deploys the zips that are there: what was tried on one stage goes to the next as it is.
    pub without_build: bool,
    /// Does not have SAM ask whether its change set is wanted.
    pub yes: bool,
}

/// What a deployment comes to, before anything is done.
#[derive(Debug)]
pub struct Plan {
    /// The account's number.
    pub account: String,
    /// Where in it.
    pub region: String,
    /// As who: an ARN.
    pub caller: String,
    /// CloudFormation's word for the stack's state; `None` if it is not there yet.
    pub status: Option<String>,
    /// What is accepted.
    pub endpoints: Endpoints,
    /// How many endpoints have no secret with which they would work; `None` if that was not asked.
    pub without_secret: Option<usize>,
    /// What Lambda runs the functions on.
    pub architecture: Architecture,
    /// What stands against it.
    pub hindrances: Vec<Hindrance>,
    /// The build; `None` if the zips that are there are deployed.
    pub build: Option<Step>,
    /// The deployment.
    pub deploy: Step,
    /// The command by which a probe is had sent by hand; `None` if the stage has no probe.
    pub probe: Option<String>,
    text: String,
    stage: String,
}

/// Looks at all that must be right for a deployment.
///
/// # Errors
/// If something of it cannot be looked at. What is wrong is in the plan.
pub async fn plan(project: &Project, configuration: &SdkConfig, options: &Options, now: UnixSeconds) -> Result<Plan> {
    let stage = &options.stage;
    let path = project.path("endpoints.toml");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let endpoints = project.endpoints()?;
    let mut parameters = samconfig::of_deployment(project, stage)?;
    parameters.extend(options.parameters.clone());
    if parameters.get("Stage") != Some(stage) {
        bail!("the parameter Stage cannot be another than the stage that is deployed, {stage}");
    }
    let parameter = |name: &str, default: &str| parameters.get(name).map_or(default, String::as_str).to_owned();
    let architecture = Architecture::of_parameter(&parameter("Architecture", "arm64"))?;

    let (account, caller) = caller(configuration).await?;
    let region = configuration.region().context("no region")?.to_string();
    let status = stack(configuration, stage).await?;
    let status = status.and_then(|stack| stack.stack_status.as_ref().map(StackStatus::as_str).map(str::to_owned));
    let mut hindrances = Vec::from_iter(status.as_deref().and_then(|status| hindrance(stage, status)));
    let mut without_secret = None;
    if !options.without_secrets {
        let missing = missing_secrets(configuration, stage, &endpoints, now).await?;
        without_secret = Some(missing.len());
        hindrances.extend(missing);
    }
    hindrances.extend(stale_alarms(project, &endpoints)?);
    if options.without_build {
        let anew = format!("cargo ops deploy --stage {stage}, without --no-build");
        package::require_fit(project, &text, architecture, &anew)?;
    } else {
        hindrances.extend(missing_target(architecture)?);
    }
    let build = match options.without_build {
        true => None,
        false => Some(cargo_lambda::build(Build::Release(architecture))?),
    };
    let function = probe::housekeeper(stage);
    let probe = (parameter("Probe", "on") == "on").then(|| {
        format!(
            "aws lambda invoke --function-name {function} --qualifier live --cli-binary-format raw-in-base64-out --payload '{}' \
             /dev/stdout",
            probe::INVOCATION
        )
    });
    Ok(Plan {
        deploy: sam_deploy(options, &region, &parameters),
        account,
        region,
        caller,
        status,
        endpoints,
        without_secret,
        architecture,
        hindrances,
        build,
        probe,
        text,
        stage: stage.clone(),
    })
}

impl Plan {
    /// Builds the zips, and makes sure that they are what is to be deployed.
    ///
    /// # Errors
    /// If they cannot be built.
    pub fn build(&self, project: &Project, progress: &dyn Fn(&str)) -> Result<()> {
        let Some(build) = &self.build else { return Ok(()) };
        build.run(project, progress)?;
        package::require_fit(project, &self.text, self.architecture, &build.line(project))
    }

    /// Has SAM deploy them.
    ///
    /// # Errors
    /// If it fails, or somebody does not confirm its change set.
    pub fn deploy(&self, project: &Project, progress: &dyn Fn(&str)) -> Result<()> {
        self.deploy.run(project, progress).with_context(|| {
            let name = stack_name(&self.stage);
            format!(
                "the stage {} is not deployed; why a resource failed: aws cloudformation describe-stack-events --stack-name {name}",
                self.stage
            )
        })
    }

    /// Sends a probe, and follows it until it has landed. `accepted` hears its id.
    ///
    /// # Errors
    /// If it does not land, with where it stopped.
    pub async fn probe(&self, configuration: &SdkConfig, accepted: impl FnOnce(&str)) -> Result<RecordView> {
        let deployment = Deployment::of_stage(configuration.clone(), &self.stage).await?;
        probe::send(&deployment, probe::PATIENCE, accepted).await.context("the stage is deployed, and does not work")
    }
}

/// The account, and who is asking.
async fn caller(configuration: &SdkConfig) -> Result<(String, String)> {
    let answer = aws_sdk_sts::Client::new(configuration).get_caller_identity().send().await;
    let answer =
        answer.context("AWS does not say whose the credentials are (sts:GetCallerIdentity): are they still valid?")?;
    let account = answer.account().context("AWS names no account")?;
    Ok((account.to_owned(), answer.arn().unwrap_or_default().to_owned()))
}

/// What each endpoint without a usable secret needs.
async fn missing_secrets(
    configuration: &SdkConfig,
    stage: &str,
    endpoints: &Endpoints,
    now: UnixSeconds,
) -> Result<Vec<Hindrance>> {
    let reach = Reach::of_stage(configuration.clone(), stage).await?;
    let mut missing = Vec::new();
    for secrets in secrets::list(&reach, endpoints.iter(), now).await {
        let name = &secrets.endpoint;
        if let Some(why) = &secrets.unreadable {
            bail!("whether {name} has a secret is not known: {why}");
        }
        if let (Some(problem), Some(endpoint)) = (&secrets.problem, endpoints.get(name)) {
            let what = format!("{name} would answer 503: {problem}");
            missing.push(Hindrance { what, mend: secrets::command_that_gives(endpoint, &reach.again()) });
        }
    }
    Ok(missing)
}

/// The endpoints' alarms are deployed from a file of their own.
fn stale_alarms(project: &Project, endpoints: &Endpoints) -> Result<Option<Hindrance>> {
    let path = project.path(endpoint_alarms::PATH);
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok((text != endpoint_alarms::template(endpoints)).then(|| Hindrance {
        what: format!("{} does not have the alarms that endpoints.toml asks for", endpoint_alarms::PATH),
        mend: "cargo ops alarms".to_owned(),
    }))
}

/// Whether rustc can compile for it. (Not by asking rustup: there are other ways to have Rust.)
fn missing_target(architecture: Architecture) -> Result<Option<Hindrance>> {
    let output = Command::new("rustc").args(["--print", "sysroot"]).output();
    let output = output.context("cannot run rustc, which must be on the PATH")?;
    anyhow::ensure!(output.status.success(), "rustc does not say where its targets are ({})", output.status);
    let sysroot = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    let target = architecture.target();
    let is_there = sysroot.join("lib/rustlib").join(target).join("lib").is_dir();
    Ok((!is_there).then(|| Hindrance {
        what: format!(
            "Rust cannot compile for Lambda's {architecture} processors: its target {target} is not installed"
        ),
        mend: format!("rustup target add {target}"),
    }))
}

fn sam_deploy(options: &Options, region: &str, parameters: &BTreeMap<String, String>) -> Step {
    let environment = samconfig::environment(&options.stage);
    let step = Step::new(python::SAM, "infra", "sam").variable("SAM_CLI_TELEMETRY", "0");
    // SAM does not know AWS_REGION.
    let mut step = step.arguments(["deploy", "--config-env", environment, "--region", region]);
    if let Some(profile) = &options.profile {
        step = step.arguments(["--profile", profile]);
    }
    if options.yes {
        step = step.arguments(["--no-confirm-changeset"]);
    }
    if let Some(role) = &options.execution_role {
        step = step.arguments(["--role-arn", role]);
    }
    if let Some(bucket) = &options.bucket {
        // The prefix under which alone GitHub's role may look and write.
        step = step.arguments(["--no-resolve-s3", "--s3-bucket", bucket, "--s3-prefix", &stack_name(&options.stage)]);
    }
    if !options.parameters.is_empty() {
        // What is given replaces all that samconfig.toml has.
        step = step.arguments(["--parameter-overrides"]);
        step = step.arguments(parameters.iter().map(|(name, value)| format!("{name}={value}")));
    }
    step
}
