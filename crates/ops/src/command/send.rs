//! `cargo ops send`: plays the sender.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::Serialize;
use wharf_ops::project::Project;
use wharf_ops::samples::Sample;
use wharf_ops::secrets;
use wharf_ops::stack::Facts;
use wharf_ops::terminal;
use wharf_webhook::judgement::stated;
use wharf_webhook::request::Request;
use wharf_webhook::signature::signing::Outgoing;

use crate::{now, print_json_line};

/// Where the secret is looked for when the request goes elsewhere than to the local stack.
const SECRET_VARIABLE: &str = "WHARF_SECRET";

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cargo ops send github                          GitHub's push from events/, to the local stack
  cargo ops send github --event pull_request     another sample of the provider
  cargo ops send github --times 5                five copies of one event: it is processed once
  cargo ops send partner --body order.json       a body of your own
  cargo ops send stripe                          any provider whose key is shared: a sample, signed as Stripe does
  WHARF_SECRET=… cargo ops send github --url https://hooks.example.com/webhooks/github")]
pub struct Arguments {
    /// An endpoint of endpoints.toml
    endpoint: String,
    /// Which sample of the provider in events/
    #[arg(long)]
    event: Option<String>,
    /// A body of your own, instead of a sample; its content type goes by its ending: .json, .form, .txt
    #[arg(long, value_name = "FILE")]
    body: Option<PathBuf>,
    /// The sender's id of the event; without it a new one
    #[arg(long)]
    id: Option<String>,
    /// How many copies of the event
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    times: u32,
    /// Where to, instead of the local stack; the secret is then read from the variable WHARF_SECRET, or is the local stack's
    #[arg(long)]
    url: Option<String>,
    /// Prints JSON: a line for each copy
    #[arg(long)]
    json: bool,
}

/// An answer, as JSON.
#[derive(Serialize)]
struct Answered<'a> {
    endpoint: &'a str,
    /// The sender's id of the event, if its scheme has one.
    id: Option<&'a str>,
    event_type: &'a str,
    status: u16,
    milliseconds: u128,
    body: &'a str,
}

pub async fn run(project: &Project, arguments: &Arguments) -> Result<()> {
    let endpoints = project.endpoints()?;
    let endpoint = endpoints.get(&arguments.endpoint).with_context(|| {
        let names: Vec<_> = endpoints.iter().map(|endpoint| endpoint.name.as_str()).collect();
        format!("endpoints.toml has no endpoint {:?}; it has {}", arguments.endpoint, names.join(", "))
    })?;
    let given_secret = std::env::var(SECRET_VARIABLE).ok().filter(|_| arguments.url.is_some());
    let (url, signed_url, secret) = match (&arguments.url, given_secret) {
        (Some(url), Some(secret)) => (url.clone(), url.clone(), secret),
        (url, _) => {
            let facts = Facts::read(project).with_context(|| match url {
                Some(_) => format!("no secret to sign with: set {SECRET_VARIABLE}"),
                None => "nowhere to send to".to_owned(),
            })?;
            let local = facts.endpoint(&endpoint.name)?;
            let title = endpoint.terms.provider.title;
            if !endpoint.terms.scheme.can_sign() {
                bail!("nobody can play {title}: it signs with a private key, or with credentials that are not ours");
            }
            let secret = secrets::senders(&facts.deployment(), endpoint, local.secret.as_deref()).await?;
            (url.clone().unwrap_or_else(|| local.url.clone()), local.signed_url.clone(), secret)
        }
    };
    let sample = match &arguments.body {
        Some(path) => {
            let mut sample = Sample::read(project, endpoint.terms.provider.name, path)?;
            if let Some(event) = &arguments.event {
                sample.event.clone_from(event);
            }
            sample
        }
        None => Sample::find(project, endpoint.terms.provider.name, arguments.event.as_deref())?,
    };
    let outgoing = sample.signed(endpoint, &secret, &signed_url, arguments.id.as_deref(), now())?;
    let url = posted_to(&url, &outgoing);

    let request =
        Request { method: &outgoing.method, url: &outgoing.url, headers: &outgoing.headers, body: &outgoing.body };
    let id = stated(&endpoint.terms, &request, endpoint.terms.scheme.event_id);
    let client = reqwest::Client::new();
    let mut refused = 0;
    for _ in 0..arguments.times {
        let started = Instant::now();
        let request = client.post(&url).headers(outgoing.headers.clone()).body(outgoing.body.clone());
        let answer = request.send().await.with_context(|| match &arguments.url {
            Some(_) => format!("cannot post to {url}"),
            None => format!("cannot post to {url}: is `cargo ops dev` still up?"),
        })?;
        let status = answer.status();
        let body = answer.text().await.context("the answer broke off")?;
        let milliseconds = started.elapsed().as_millis();
        if arguments.json {
            print_json_line(&Answered {
                endpoint: &endpoint.name,
                id: id.as_ref().map(|id| id.text.as_str()),
                event_type: &sample.event,
                status: status.as_u16(),
                milliseconds,
                body: &body,
            })?;
        } else {
            println!("{} {status} in {milliseconds} ms  {}", sample.event, terminal::lines(&body));
        }
        refused += u32::from(!status.is_success());
    }
    if refused > 0 {
        bail!("{refused} of {} were not accepted; the receiver's log says why", arguments.times);
    }
    if let (Some(id), None, false) = (id, &arguments.url, arguments.json) {
        println!("look at it: cargo ops inspect {} {}", endpoint.name, terminal::shell_word(&id.text));
    }
    Ok(())
}

/// Where a request is posted to: what was signed may have a query that the address has not.
pub fn posted_to(url: &str, outgoing: &Outgoing) -> String {
    match (url.contains('?'), outgoing.url.split_once('?')) {
        (_, None) => url.to_owned(),
        (false, Some((_, query))) => format!("{url}?{query}"),
        (true, Some((_, query))) => format!("{}?{query}", url.split('?').next().unwrap_or_default()),
    }
}
