//! `cargo ops inspect`: what the ledger knows of an event.

use anyhow::{Result, bail};
use clap::Args;
use wharf_ops::project::Project;
use wharf_ops::records;
use wharf_ops::stack::Facts;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cargo ops inspect github 72d3162e-cc78-11e3-81ab-4c9367dc0958     by GitHub's delivery id
  cargo ops inspect github 72d3…:b80208…                            by the delivery.key of the log
  cargo ops inspect partner order-7 --json")]
pub struct Arguments {
    /// An endpoint of endpoints.toml
    endpoint: String,
    /// The sender's id of the event, or the idempotency key that the log shows as delivery.key
    id: String,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

pub async fn run(project: &Project, arguments: &Arguments) -> Result<()> {
    let facts = Facts::read(project)?;
    facts.endpoint(&arguments.endpoint)?;
    let records = records::find(&facts, &arguments.endpoint, &arguments.id).await?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&records)?);
    }
    if records.is_empty() {
        bail!(
            "the ledger of the local stack knows no event {:?} of {}. It begins to when the consumer claims it; what was \
             refused at the door never gets there",
            arguments.id,
            arguments.endpoint
        );
    }
    if !arguments.json {
        for (index, record) in records.iter().enumerate() {
            if index > 0 {
                println!();
            }
            for (name, value) in record.lines() {
                println!("{name:<14} {value}");
            }
        }
    }
    Ok(())
}
