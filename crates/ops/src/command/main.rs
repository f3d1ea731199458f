//! `cargo ops`: the local stack, and what operators run. `cargo ops help` lists it all.

use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use serde::Serialize;
use wharf_ops::aws::Account;
use wharf_ops::deployment::{Deployment, Reach};
use wharf_ops::lint;
use wharf_ops::project::Project;
use wharf_ops::stack::Facts;
use wharf_ops::terminal;
use wharf_webhook::clock::UnixMillis;

mod dev;
mod send;
mod build;
mod deploy;
mod doctor;
mod status;
mod tail;
mod inspect;
mod failed;
mod replay;
mod forget;
mod pause;
mod resume;
mod redrive;
mod secret;
mod open;
mod providers;
mod check;
mod vectors;
mod interop;
mod alarms;
mod audit;
mod bench;
mod completions;

/// Wharf's tools: try it on this machine, and look after what is deployed.
#[derive(Debug, Parser)]
#[command(name = "cargo ops", bin_name = "cargo ops")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs all of Wharf on this machine, and shows each delivery as it arrives and lands
    Dev(dev::Arguments),
    /// Signs a sample event as its sender would, and posts it
    Send(send::Arguments),
    /// Builds the functions' zips, as cargo-lambda makes them
    Build(build::Arguments),
    /// Builds the functions, deploys them to a stage, and sees a probe land
    Deploy(deploy::Arguments),
    /// Finds what is misconfigured, and the command that mends it
    Doctor(doctor::Arguments),
    /// Tells on one screen whether all is well
    Status(status::Arguments),
    /// Shows deliveries as they arrive, land, are refused and fail
    Tail(tail::Arguments),
    /// Shows what the ledger knows of an event
    Inspect(inspect::Arguments),
    /// Lists the failed and parked events, newest first
    Failed(failed::Arguments),
    /// Has events processed again
    Replay(replay::Arguments),
    /// Erases all that is kept of an event
    Forget(forget::Arguments),
    /// Stops the consumer; what is accepted meanwhile waits in the queue
    Pause(pause::Arguments),
    /// Starts the consumer again
    Resume(resume::Arguments),
    /// Moves what lies in the dead-letter queue back into the queue
    Redrive(redrive::Arguments),
    /// Lists and changes the endpoints' secrets
    Secret(secret::Arguments),
    /// Opens an endpoint for a secret that its sender brings along
    Open(open::Arguments),
    /// Lists the providers, or shows one in full
    Providers(providers::Arguments),
    /// Judges endpoints.toml: what is wrong with it, and what its senders' signatures leave open
    Check(check::Arguments),
    /// Judges every conformance case of a folder by the code that the receiver runs
    Vectors(vectors::Arguments),
    /// Crosses Wharf with the senders' own libraries: each verifies what the other signs
    Interop(interop::Arguments),
    /// Writes the alarms that endpoints.toml asks for into infra/endpoint-alarms.yaml
    #[command(after_help = "\
Examples:
  cargo ops alarms        after a change of alarm_refusals or alarm_silence_hours in endpoints.toml

The next deployment brings what it wrote.")]
    Alarms,
    /// Checks infra/template.yaml with cfn-lint, AWS's serverless rules and SAM, as written and as expanded for each stage
    #[command(after_help = "\
Examples:
  cargo ops lint          exits with an error if a linter finds fault

What is excused, and why, stands in crates/ops/src/lint.rs.")]
    Lint,
    /// Holds the crates that Wharf is built from to deny.toml, with cargo-deny
    Audit(audit::Arguments),
    /// Measures what the functions take, and holds it to limits
    Bench(bench::Arguments),
    /// Prints what makes a shell complete `cargo ops`
    Completions(completions::Arguments),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments.command).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", terminal::lines(&format!("{error:#}")));
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> Result<()> {
    // Those that need no checkout work without one.
    let project = Project::find;
    match command {
        Command::Dev(arguments) => dev::run(&project()?, &arguments).await,
        Command::Send(arguments) => send::run(&project()?, &arguments).await,
        Command::Build(arguments) => build::run(&project()?, &arguments),
        Command::Deploy(arguments) => deploy::run(&project()?, &arguments).await,
        Command::Doctor(arguments) => doctor::run(&project()?, &arguments).await,
        Command::Status(arguments) => status::run(&project()?, &arguments).await,
        Command::Tail(arguments) => tail::run(&project()?, &arguments).await,
        Command::Inspect(arguments) => inspect::run(&project()?, &arguments).await,
        Command::Failed(arguments) => failed::run(&project()?, &arguments).await,
        Command::Replay(arguments) => replay::run(&project()?, &arguments).await,
        Command::Forget(arguments) => forget::run(&project()?, &arguments).await,
        Command::Pause(arguments) => pause::run(&project()?, &arguments).await,
        Command::Resume(arguments) => resume::run(&project()?, &arguments).await,
        Command::Redrive(arguments) => redrive::run(&project()?, &arguments).await,
        Command::Secret(arguments) => secret::run(&project()?, &arguments).await,
        Command::Open(arguments) => open::run(&project()?, &arguments).await,
        Command::Providers(arguments) => providers::run(&arguments),
        Command::Check(arguments) => check::run(&project()?, &arguments),
        Command::Vectors(arguments) => vectors::run(&arguments),
        Command::Interop(arguments) => interop::run(&project()?, &arguments),
        Command::Alarms => alarms::run(&project()?),
        Command::Audit(arguments) => audit::run(&project()?, &arguments),
        Command::Bench(arguments) => bench::run(&project()?, &arguments),
        Command::Lint => lint::lint(&project()?, &progress),
        Command::Completions(arguments) => completions::run(&project()?, &arguments),
    }
}

/// Which deployment a command is about.
#[derive(Debug, Args)]
struct Target {
    /// A deployed stage, instead of the local stack; credentials as every tool of AWS has them
    #[arg(long)]
    stage: Option<String>,
    /// A profile of ~/.aws/config; without it AWS_PROFILE, or what the environment has
    #[arg(long, requires = "stage")]
    profile: Option<String>,
    /// The stage's region; without it AWS_REGION, or the profile's
    #[arg(long, requires = "stage")]
    region: Option<String>,
}

impl Target {
    /// How to reach it.
    async fn deployment(&self, project: &Project) -> Result<Deployment> {
        Deployment::find(project, self.stage.as_deref(), &self.account()).await
    }

    /// How to reach its services, though it may not be deployed yet, for something about an endpoint.
    async fn reach_with(&self, project: &Project, endpoint: &str) -> Result<Reach> {
        if self.stage.is_none() {
            Facts::read(project)?.endpoint(endpoint)?;
        }
        self.reach(project).await
    }

    /// How to reach its services, though it may not be deployed yet.
    async fn reach(&self, project: &Project) -> Result<Reach> {
        Reach::find(project, self.stage.as_deref(), &self.account()).await
    }

    fn account(&self) -> Account {
        Account { profile: self.profile.clone(), region: self.region.clone() }
    }

    /// How to reach it, for something about an endpoint. The local stack has those of endpoints.toml and no others; a
    /// deployed stage may have events of one that is there no more.
    async fn deployment_with(&self, project: &Project, endpoint: &str) -> Result<Deployment> {
        if self.stage.is_none() {
            Facts::read(project)?.endpoint(endpoint)?;
        }
        self.deployment(project).await
    }
}

/// Ends what only shows what would be done.
fn nothing_was_changed() {
    println!("\nNothing was changed: with --execute, it is done.");
}

/// Prints what a program reads: one document, and nothing else beside it.
fn print_json(document: &impl Serialize) -> Result<()> {
    println!("{}", terminal::json(&serde_json::to_string_pretty(document)?));
    Ok(())
}

/// Prints one document of several, on a line.
fn print_json_line(document: &impl Serialize) -> Result<()> {
    println!("{}", terminal::json(&serde_json::to_string(document)?));
    Ok(())
}

/// Says what is being done, before it is.
fn progress(step: &str) {
    println!("  … {step}");
}

/// The only place where `cargo ops` reads the clock.
fn now() -> UnixMillis {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX))
}

/// Reads `NAME=VALUE`.
fn name_and_value(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("it must be NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}
