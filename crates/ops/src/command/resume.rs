//! `cargo ops resume`: starts the consumer again.

use anyhow::Result;
use clap::Args;
use wharf_ops::consumption::{Consumption, consumption, in_queue, resume};
use wharf_ops::project::Project;

use super::pause::Changed;
use crate::{Target, nothing_was_changed, print_json, progress};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cargo ops resume                                  shows what it would do
  cargo ops resume --execute --stage production     starts the consumer there")]
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

pub async fn run(project: &Project, arguments: &Arguments) -> Result<()> {
    let deployment = arguments.target.deployment(project).await?;
    let name = deployment.name();
    let messages = in_queue(&deployment).await?;
    let found = consumption(&deployment).await?;
    if arguments.json {
        if arguments.execute {
            resume(&deployment).await?;
        }
        return print_json(&Changed {
            stage: deployment.stage.clone(),
            execute: arguments.execute,
            before: found.word().to_owned(),
            after: consumption(&deployment).await?.word().to_owned(),
            messages,
        });
    }
    match found {
        Consumption::Running => {
            println!("the consumer of {name} is running already; about {messages} messages are in the queue");
            return Ok(());
        }
        Consumption::Paused => {
            println!("the consumer of {name} is paused; about {messages} messages wait in the queue")
        }
        Consumption::Changing { state } => println!("the consumer of {name} is changing at the moment: {state}"),
    }
    if !arguments.execute {
        println!("resumed, it takes them from the queue");
        nothing_was_changed();
        return Ok(());
    }
    progress("starting it; this may take a minute");
    resume(&deployment).await?;
    println!("it is running");
    Ok(())
}
