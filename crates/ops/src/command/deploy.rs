//! `cargo ops deploy`: builds the functions, and deploys them to a stage.

use anyhow::{Result, bail};
use clap::Args;
use wharf_ops::aws::{self, Account};
use wharf_ops::deploy::{self, Options, Plan};
use wharf_ops::deployment::stack_name;
use wharf_ops::project::Project;

use crate::{name_and_value, nothing_was_changed, now, progress};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cargo ops deploy --stage development              what would be done, and whether anything stands against it
  cargo ops deploy --stage development --execute    does it; SAM asks before it changes anything
  cargo ops deploy --stage production --no-build --execute
                                                    the zips that were tried on staging, as they are
  cargo ops deploy --stage production --parameter Canary=false --yes --execute
                                                    at once, unasked; the next deployment has samconfig.toml's again

Each command is shown before it runs: a person can do the same by hand. cargo-lambda and SAM are installed in target/ops/python, \
in the versions that CI has tried.")]
pub struct Arguments {
    /// The stage: a table of infra/samconfig.toml, of which `default` is development
    #[arg(long)]
    stage: String,
    /// A profile of ~/.aws/config; without it AWS_PROFILE, or what the environment has
    #[arg(long)]
    profile: Option<String>,
    /// The stage's region; without it AWS_REGION, or the profile's
    #[arg(long)]
    region: Option<String>,
    /// A parameter of the template, instead of what infra/samconfig.toml has, for this deployment only
    #[arg(long, value_name = "NAME=VALUE", value_parser = name_and_value)]
    parameter: Vec<(String, String)>,
    /// Does not look at the endpoints' secrets: one that has none answers 503 until it has one
    #[arg(long)]
    without_secrets: bool,
    /// A role that CloudFormation works as, instead of you
    #[arg(long, value_name = "ARN", env = "WHARF_EXECUTION_ROLE_ARN")]
    execution_role: Option<String>,
    /// The bucket that SAM uploads to, instead of one that it makes
    #[arg(long, env = "WHARF_ARTIFACTS_BUCKET")]
    bucket: Option<String>,
    /// Deploys the zips in target/lambda as they are, instead of building
    #[arg(long)]
    no_build: bool,
    /// Has SAM not ask whether its changes are wanted
    #[arg(long)]
    yes: bool,
    /// Does it
    #[arg(long)]
    execute: bool,
}

pub async fn run(project: &Project, arguments: &Arguments) -> Result<()> {
    let stage = &arguments.stage;
    let options = Options {
        stage: stage.clone(),
        profile: arguments.profile.clone(),
        parameters: arguments.parameter.iter().cloned().collect(),
        without_secrets: arguments.without_secrets,
        execution_role: arguments.execution_role.clone().filter(|role| !role.is_empty()),
        bucket: arguments.bucket.clone().filter(|bucket| !bucket.is_empty()),
        without_build: arguments.no_build,
        yes: arguments.yes,
    };
    // What is wrong on this machine is said before an account is asked for.
    project.endpoints()?;
    let account = Account { profile: arguments.profile.clone(), region: arguments.region.clone() };
    let configuration = aws::from_environment(&account).await?;
    let plan = deploy::plan(project, &configuration, &options, now().seconds()).await?;
    introduce(&plan, arguments);
    if !plan.hindrances.is_empty() {
        println!("\nWhat stands against it:");
        for hindrance in &plan.hindrances {
            println!("- {}\n    {}", hindrance.what, hindrance.mend);
        }
        let later = if plan.without_secret.is_some_and(|count| count > 0) {
            "; with --without-secrets, endpoints get theirs later"
        } else {
            ""
        };
        bail!("nothing was deployed: there is something to mend first{later}");
    }

    let steps = plan.build.iter().chain([&plan.deploy]).map(|step| step.line(project)).chain(plan.probe.clone());
    if !arguments.execute {
        println!("\nWhat would be done:");
        for step in steps {
            println!("$ {step}");
        }
        nothing_was_changed();
        return Ok(());
    }
    if let Some(build) = &plan.build {
        println!("\n$ {}", build.line(project));
        plan.build(project, &progress)?;
    }
    println!("\n$ {}", plan.deploy.line(project));
    plan.deploy(project, &progress)?;
    let Some(probe) = &plan.probe else {
        println!("\n{stage} is deployed. It has no probe (Probe=off): whether it works, its first event tells");
        return Ok(());
    };
    println!("\n$ {probe}");
    let accepted = |id: &str| println!("the front door has accepted {id}");
    let record = plan.probe(&configuration, accepted).await?;
    println!("{stage} is deployed, and works: the probe {} is {}", record.event_key, record.state);
    Ok(())
}

/// What is deployed where, by whom.
fn introduce(plan: &Plan, arguments: &Arguments) {
    let name = stack_name(&arguments.stage);
    let status = plan.status.as_deref().map_or_else(|| "not there yet".to_owned(), |status| format!("now {status}"));
    println!("The stage {} in {}, account {}, as {}", arguments.stage, plan.region, plan.account, plan.caller);
    println!("  the stack          {name}, {status}");
    println!("  endpoints.toml     {} endpoints, and no problem", plan.endpoints.iter().count());
    let secrets = match plan.without_secret {
        None => "not looked at".to_owned(),
        Some(0) => "each endpoint that needs one has one".to_owned(),
        Some(1) => "1 endpoint has none that works, and answers 503".to_owned(),
        Some(count) => format!("{count} endpoints have none that works, and answer 503"),
    };
    println!("  secrets            {secrets}");
    let zips = if arguments.no_build { "the zips in target/lambda" } else { "built now" };
    println!("  functions          for {}, {zips}", plan.architecture);
}
