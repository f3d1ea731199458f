//! `cargo ops pause`: stops the consumer.

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use wharf_ops::consumption::{Consumption, consumption, in_queue, pause};
use wharf_ops::project::Project;
use wharf_webhook::limits::QUEUE_RETENTION_SECONDS;

use crate::{Target, nothing_was_changed, print_json, progress};

/// How long the queue keeps a message, in days.
const QUEUE_RETENTION_DAYS: i64 = QUEUE_RETENTION_SECONDS / (24 * 60 * 60);

#[derive(Debug, Args)]
#[command(after_help = "\
Nothing is processed until `cargo ops resume`. Senders notice nothing: what they send is accepted, and waits in the queue.

Examples:
  cargo ops pause                                   shows what it would do
  cargo ops pause --execute --stage production      stops the consumer there")]
pub struct Arguments {
    #[command(flatten)]
    target: Target,
    /// Does it, instead of showing what it would do
    #[arg(long)]
    execute: bool,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

/// What it comes to, as JSON; of `cargo ops resume` too.
#[derive(Serialize)]
pub struct Changed {
    /// `production`
    pub stage: String,
    /// Whether it was to be done, or only looked at.
    pub execute: bool,
    /// What the consumer was: `running`, `paused`, or Lambda's word for what is in between.
    pub before: String,
    /// What it is now.
    pub after: String,
    /// About how many messages are in the queue.
    pub messages: u64,
}

pub async fn run(project: &Project, arguments: &Arguments) -> Result<()> {
    let deployment = arguments.target.deployment(project).await?;
    let name = deployment.name();
    let found = consumption(&deployment).await?;
    if arguments.json {
        if arguments.execute {
            pause(&deployment).await?;
        }
        return print_json(&Changed {
            stage: deployment.stage.clone(),
            execute: arguments.execute,
            before: found.word().to_owned(),
            after: consumption(&deployment).await?.word().to_owned(),
            messages: in_queue(&deployment).await?,
        });
    }
    match &found {
        Consumption::Paused => {
            println!("the consumer of {name} is paused already; about {} messages wait", in_queue(&deployment).await?);
            return Ok(());
        }
        Consumption::Running => println!("the consumer of {name} takes deliveries from {}", deployment.queue_url),
        Consumption::Changing { state } => println!("the consumer of {name} is changing at the moment: {state}"),
    }
    println!(
        "paused, it finishes what it has in hand and takes nothing more; what is accepted meanwhile waits in the queue"
    );
    if !arguments.execute {
        println!("{}", retention());
        nothing_was_changed();
        return Ok(());
    }
    progress("stopping it; this may take a minute");
    pause(&deployment).await?;
    println!("it is paused; about {} messages are in the queue", in_queue(&deployment).await?);
    println!("{}", retention());
    println!("go on: cargo ops resume --execute{}", deployment.again());
    Ok(())
}

/// What must not be forgotten.
fn retention() -> String {
    format!("the queue keeps a message for {QUEUE_RETENTION_DAYS} days: what is not taken by then is lost")
}
