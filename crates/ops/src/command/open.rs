//! `cargo ops open`: lets a sender bring its own secret, for some minutes.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::Serialize;
use wharf_ops::opening;
use wharf_ops::project::Project;
use wharf_ops::secrets::Origin;
use wharf_webhook::clock::UnixSeconds;

use crate::{Target, now, print_json_line};

#[derive(Debug, Args)]
#[command(after_help = "\
Some senders (Asana) make the secret up themselves and offer it in a handshake that nobody signs. It is taken only \
while the endpoint is open for it: run this, create the webhook at the sender, and the secret that is offered becomes the \
endpoint's newest one.

Examples:
  cargo ops open asana                        on the local stack, for 10 minutes
  cargo ops open asana --stage production     on AWS")]
pub struct Arguments {
    /// An endpoint of endpoints.toml
    endpoint: String,
    #[command(flatten)]
    target: Target,
    /// How long it stays open
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=60))]
    minutes: u32,
    /// Prints JSON: a line when it is open, and one when it is closed again
    #[arg(long)]
    json: bool,
}

/// What has happened, as JSON.
#[derive(Serialize)]
struct Opened<'a> {
    stage: &'a str,
    endpoint: &'a str,
    /// `open`, or `closed`
    state: &'static str,
    /// What the sender is to post to.
    url: &'a str,
    /// Until when it is open at most, in seconds since 1970.
    until: UnixSeconds,
    /// Whether a secret was offered, which is the endpoint's newest now.
    offered: bool,
}

pub async fn run(project: &Project, arguments: &Arguments) -> Result<()> {
    let endpoints = project.endpoints()?;
    let (name, minutes) = (&arguments.endpoint, arguments.minutes);
    let endpoint = endpoints.get(name).with_context(|| format!("endpoints.toml has no endpoint {name:?}"))?;
    let title = endpoint.terms.provider.title;
    if Origin::of(endpoint) != Origin::Handshake {
        bail!("{title} brings no secret of its own: you give it one, or copy the one that it shows you");
    }
    let deployment = arguments.target.deployment_with(project, name).await?;
    let address = format!("{}/webhooks/{name}", deployment.api_url);
    let seconds = i64::from(minutes) * 60;
    let until = now().seconds().plus(seconds);
    let view =
        |state, offered| Opened { stage: &deployment.stage, endpoint: name, state, url: &address, until, offered };
    let opened = || {
        if arguments.json {
            return drop(print_json_line(&view("open", false)));
        }
        println!("{name} is open for {minutes} min: now create the webhook at {title}, with the address\n  {address}")
    };
    let time = Duration::from_secs(seconds.unsigned_abs());
    let offered = opening::open(&deployment, name, until, time, opened).await?;
    if arguments.json {
        print_json_line(&view("closed", offered))?;
    }
    if !offered {
        bail!("{title} offered no secret within {minutes} min; {name} is closed again");
    }
    if arguments.json {
        return Ok(());
    }
    println!("{title} offered a secret: it is the newest of {name} now, and the endpoint is closed again");
    Ok(())
}
