//! `cargo ops open`: lets a sender bring its own secret, for some minutes.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use aws_sdk_ssm::types::ParameterType;
use clap::Args;
use wharf_ops::project::Project;
use wharf_ops::stack::{Facts, STAGE};
use wharf_webhook::limits::SECRETS_MAX;
use wharf_webhook::provider::Check;

use crate::now;

/// How often it is looked whether a secret was offered.
const INTERVAL: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
#[command(after_help = "\
Some senders (Asana) make the secret up themselves and offer it in a handshake that nobody signs. It is taken only while
the endpoint is open for it: run this, create the webhook at the sender, and the secret that is offered becomes the
endpoint's newest one.

Examples:
  cargo ops open asana                   on the local stack, for 10 minutes
  cargo ops open asana --minutes 2")]
pub struct Arguments {
    /// An endpoint of endpoints.toml
    endpoint: String,
    /// How long it stays open
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=60))]
    minutes: u32,
}

pub async fn run(project: &Project, arguments: &Arguments) -> Result<()> {
    let endpoints = project.endpoints()?;
    let name = &arguments.endpoint;
    let endpoint = endpoints.get(name).with_context(|| format!("endpoints.toml has no endpoint {name:?}"))?;
    let provider = endpoint.terms.provider;
    if !provider.handshakes.iter().any(|handshake| matches!(handshake.check, Check::OffersSecret(_))) {
        bail!("{} brings no secret of its own: you give it one, or copy the one that it shows you", provider.title);
    }
    let facts = Facts::read(project)?;
    let url = &facts.endpoint(name)?.url;
    let ssm = aws_sdk_ssm::Client::new(&facts.configuration());
    let parameter = |last: &str| format!("/wharf/{STAGE}/{name}{last}");
    let (opening, offered) = (parameter("/opening"), parameter("/offered"));

    // What was offered in an earlier opening was not wanted then.
    let _ = ssm.delete_parameter().name(&offered).send().await;
    let seconds = i64::from(arguments.minutes) * 60;
    let put = ssm.put_parameter().name(&opening).r#type(ParameterType::String).overwrite(true);
    put.value(now().seconds().plus(seconds).0.to_string()).send().await.context("cannot open the endpoint")?;
    println!(
        "{name} is open for {} min: now create the webhook at {}, with the address",
        arguments.minutes, provider.title
    );
    println!("  {url}");

    let result = take(&ssm, &offered, &parameter(""), Duration::from_secs(seconds.unsigned_abs())).await;
    for name in [&opening, &offered] {
        let _ = ssm.delete_parameter().name(name).send().await;
    }
    if !result? {
        bail!("{} offered no secret within {} min; {name} is closed again", provider.title, arguments.minutes);
    }
    println!("{} offered a secret: it is the newest of {name} now, and the endpoint is closed again", provider.title);
    Ok(())
}

/// Waits for a secret, and puts it before those that the endpoint has.
async fn take(ssm: &aws_sdk_ssm::Client, offered: &str, secrets: &str, time: Duration) -> Result<bool> {
    let deadline = Instant::now() + time;
    while Instant::now() < deadline {
        let names = [offered, secrets].map(str::to_owned).to_vec();
        let answer = ssm.get_parameters().set_names(Some(names)).with_decryption(true).send().await;
        let found = answer.context("cannot look for an offered secret")?;
        let value = |name: &str| {
            let parameter = found.parameters().iter().find(|parameter| parameter.name() == Some(name));
            parameter.and_then(|parameter| parameter.value()).map(str::to_owned)
        };
        if let Some(new) = value(offered) {
            let text = format!("{new}\n{}", value(secrets).unwrap_or_default());
            if text.trim().lines().count() > SECRETS_MAX {
                bail!("{secrets} holds {SECRETS_MAX} secrets already: drop those that no webhook uses any more");
            }
            let put = ssm.put_parameter().name(secrets).r#type(ParameterType::SecureString).overwrite(true);
            put.value(text.trim()).send().await.context("cannot keep the offered secret")?;
            return Ok(true);
        }
        tokio::time::sleep(INTERVAL).await;
    }
    Ok(false)
}
