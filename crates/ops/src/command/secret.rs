//! `cargo ops secret`: lists and changes the endpoints' secrets.

use std::io::{IsTerminal, Read};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use wharf_ops::deployment::Deployment;
use wharf_ops::project::Project;
use wharf_ops::secret_use::{IN_USE_SECONDS, Use};
use wharf_ops::secrets::{self, Change, Dropped, EndpointSecrets, NewSecret};
use wharf_webhook::clock::UnixSeconds;
use wharf_webhook::endpoints::{Endpoint, Endpoints};
use wharf_webhook::limits::{SECRET_REFRESH_SECONDS, SECRET_TTL_SECONDS};

use crate::{Target, nothing_was_changed, now};

/// The most that is read from standard input, in bytes: SSM takes 4 KB, Secrets Manager 64.
const STDIN_BYTES_MAX: u64 = 64 * 1024;

#[derive(Debug, Args)]
#[command(after_help = "\
To change a secret without losing an event: add the new one, wait 5 minutes, enter it at the sender, and drop the old one \
when nothing matches it any more. All that an endpoint has are valid until then.

Examples:
  cargo ops secret list                                                what each endpoint has
  cargo ops secret set stripe --stdin --execute < secret.txt           the one that Stripe shows you
  cargo ops secret add github --execute --stage production             a new one, made up and shown once
  cargo ops secret drop github --execute --stage production            the oldest one, if it is not used any more")]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Lists how many secrets each endpoint has, when they changed, and whether an older one is still used
    List(ListArguments),
    /// Gives an endpoint its only secret
    Set(SetArguments),
    /// Gives an endpoint a new secret; those that it has stay valid
    Add(AddArguments),
    /// Takes an endpoint's oldest secret away, unless it is still used
    Drop(DropArguments),
}

#[derive(Debug, Args)]
struct ListArguments {
    /// An endpoint of endpoints.toml; without it all of them
    endpoint: Option<String>,
    #[command(flatten)]
    target: Target,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cargo ops secret set partner                                   shows what it would do
  cargo ops secret set partner --execute                         makes one up, and shows it once
  cargo ops secret set stripe --stdin --execute < secret.txt     the one that Stripe shows you")]
struct SetArguments {
    #[command(flatten)]
    new: NewArguments,
    /// Even if deliveries were signed with the one that it replaces within the last day
    #[arg(long)]
    force: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cargo ops secret add github                                    shows what it would do
  cargo ops secret add github --execute                          makes one up, and shows it once
  cargo ops secret add stripe --stdin --execute < secret.txt     the one that Stripe shows you")]
struct AddArguments {
    #[command(flatten)]
    new: NewArguments,
}

/// Where a secret is to go, and where it comes from. It is no argument: other users of a machine see those, and shells keep
/// them.
#[derive(Debug, Args)]
struct NewArguments {
    /// An endpoint of endpoints.toml
    endpoint: String,
    /// Takes the secret from standard input, instead of making one up
    #[arg(long)]
    stdin: bool,
    #[command(flatten)]
    target: Target,
    /// Does it, instead of showing what it would do
    #[arg(long)]
    execute: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cargo ops secret drop github                          shows what it would do
  cargo ops secret drop github --execute                drops the oldest one
  cargo ops secret drop github --all-but-newest --execute --stage production")]
struct DropArguments {
    /// An endpoint of endpoints.toml
    endpoint: String,
    /// All secrets but the newest one, instead of the oldest one
    #[arg(long)]
    all_but_newest: bool,
    /// Even if an older secret matched within the last day
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    target: Target,
    /// Does it, instead of showing what it would do
    #[arg(long)]
    execute: bool,
}

pub async fn run(project: &Project, arguments: &Arguments) -> Result<()> {
    let endpoints = project.endpoints()?;
    match &arguments.action {
        Action::List(arguments) => list(project, &endpoints, arguments).await,
        Action::Set(arguments) => set(project, &endpoints, arguments).await,
        Action::Add(arguments) => add(project, &endpoints, arguments).await,
        Action::Drop(arguments) => drop_older(project, &endpoints, arguments).await,
    }
}

async fn list(project: &Project, endpoints: &Endpoints, arguments: &ListArguments) -> Result<()> {
    let chosen = arguments.endpoint.as_deref().map(|name| find(endpoints, name)).transpose()?;
    let deployment = match &arguments.endpoint {
        Some(name) => arguments.target.deployment_with(project, name).await?,
        None => arguments.target.deployment(project).await?,
    };
    let now = now().seconds();
    let listed = match chosen {
        Some(endpoint) => secrets::list(&deployment, [endpoint].into_iter(), now).await?,
        None => secrets::list(&deployment, endpoints.iter(), now).await?,
    };
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&listed)?);
        return Ok(());
    }
    let width = listed.iter().map(|secrets| secrets.endpoint.len()).max().unwrap_or_default();
    for secrets in &listed {
        for (index, line) in lines(secrets, &deployment.again(), now).iter().enumerate() {
            let name = if index == 0 { secrets.endpoint.as_str() } else { "" };
            println!("{name:width$}  {line}");
        }
    }
    Ok(())
}

/// What is said of one endpoint.
fn lines(secrets: &EndpointSecrets, again: &str, now: UnixSeconds) -> Vec<String> {
    let name = &secrets.endpoint;
    let Some(kept_in) = &secrets.kept_in else { return vec![format!("needs none: {}", secrets.provider)] };
    let set = format!("cargo ops secret set {name} --execute{again}, with --stdin for one that the sender has");
    let changed = secrets.changed_at.map(|at| format!(", changed {at} ({} ago)", span(now.0 - at.0)));
    let mut lines = match secrets.count {
        0 => vec!["no secret, so that it answers 503".to_owned()],
        1 => vec!["1 secret".to_owned()],
        count => vec![format!("{count} secrets")],
    };
    if let (Some(line), Some(changed)) = (lines.first_mut().filter(|_| secrets.count > 0), changed) {
        line.push_str(&changed);
    }
    if secrets.count == 0 {
        lines.push(format!("give it one: {set}"));
    } else if let Some(problem) = &secrets.problem {
        lines.push(format!("{kept_in} cannot be used, so that it answers 503: {problem}"));
        lines.push(format!("replace it: {set}"));
    }
    let drop = format!("cargo ops secret drop {name} --execute{again}");
    match &secrets.older {
        None => {}
        Some(Use::No) => {
            lines.push(format!("none but the newest matched within the last day; drop the oldest: {drop}"))
        }
        Some(Use::Yes { last }) => lines.push(format!(
            "an older one matched in the minute of {last}, so its sender still uses it ({} ago)",
            span(now.0 - last.0)
        )),
        Some(Use::Perhaps { last }) => lines.push(format!(
            "an older one may be used: deliveries were accepted until {last}, when the newest one was not in use yet"
        )),
    }
    lines.extend(secrets.older_unknown.as_ref().map(|why| format!("whether an older one is used is not known: {why}")));
    lines
}

async fn set(project: &Project, endpoints: &Endpoints, arguments: &SetArguments) -> Result<()> {
    let new = &arguments.new;
    let endpoint = find(endpoints, &new.endpoint)?;
    let deployment = new.target.deployment_with(project, &endpoint.name).await?;
    let found = secrets::read(&deployment, endpoint).await?;
    let secret = new.secret(endpoint)?;
    let change = secrets::set(endpoint, found, &secret)?;
    if !arguments.force {
        secrets::require_unused(&deployment, endpoint, &change, now().seconds()).await?;
    }
    let name = &endpoint.name;
    match change.before() {
        0 => println!("{name} of {} has no secret: {} becomes its first", deployment.name(), new.what()),
        before => println!(
            "{} becomes the only secret of {name} of {}; the {before} that it has {}",
            new.what(),
            deployment.name(),
            dead()
        ),
    }
    if !make_with(&deployment, endpoint, &change, &secret, new).await? {
        return Ok(());
    }
    println!("deliveries that are signed with it are accepted within {SECRET_REFRESH_SECONDS} s");
    Ok(())
}

async fn add(project: &Project, endpoints: &Endpoints, arguments: &AddArguments) -> Result<()> {
    let new = &arguments.new;
    let endpoint = find(endpoints, &new.endpoint)?;
    let deployment = new.target.deployment_with(project, &endpoint.name).await?;
    let found = secrets::read(&deployment, endpoint).await?;
    let secret = new.secret(endpoint)?;
    let change = secrets::add(endpoint, found, &secret)?;
    let name = &endpoint.name;
    println!(
        "{} becomes the newest of {name} of {}, which has {} then; the {} before it stay valid",
        new.what(),
        deployment.name(),
        change.after(),
        change.before()
    );
    if !make_with(&deployment, endpoint, &change, &secret, new).await? {
        return Ok(());
    }
    let (title, minutes) = (endpoint.terms.provider.title, SECRET_TTL_SECONDS / 60);
    let until = now().seconds().plus(SECRET_TTL_SECONDS);
    println!("now");
    println!(
        "  1. wait {minutes} minutes, until {until}: then it is valid everywhere, and before that only after a first"
    );
    println!("     delivery was refused, within {SECRET_REFRESH_SECONDS} s");
    println!("  2. enter it at {title}, if it is not there already");
    println!(
        "  3. when nothing matches an older one any more, a day later: cargo ops secret drop {name} --execute{}",
        new.target.again()
    );
    println!("     (cargo ops secret list {name}{} says whether one still does)", new.target.again());
    Ok(())
}

async fn drop_older(project: &Project, endpoints: &Endpoints, arguments: &DropArguments) -> Result<()> {
    let endpoint = find(endpoints, &arguments.endpoint)?;
    let deployment = arguments.target.deployment_with(project, &endpoint.name).await?;
    let found = secrets::read(&deployment, endpoint).await?;
    let dropped = if arguments.all_but_newest { Dropped::AllButNewest } else { Dropped::Oldest };
    let change = secrets::drop_older(endpoint, found, dropped)?;
    if !arguments.force {
        secrets::require_unused(&deployment, endpoint, &change, now().seconds()).await?;
    }
    let taken = change.before().saturating_sub(change.after());
    println!(
        "the oldest {taken} of the {} secrets of {} of {} {}",
        change.before(),
        endpoint.name,
        deployment.name(),
        dead()
    );
    if !arguments.execute {
        nothing_was_changed();
        return Ok(());
    }
    secrets::make(&deployment, endpoint, &change).await?;
    println!("dropped; {} left", change.after());
    Ok(())
}

/// Makes a change with a new secret, and shows the secret if nobody has it yet. Returns whether it was made: without
/// `--execute` nothing is, and a secret that was made up is forgotten unseen.
async fn make_with(
    deployment: &Deployment,
    endpoint: &Endpoint,
    change: &Change,
    secret: &NewSecret,
    new: &NewArguments,
) -> Result<bool> {
    if !new.execute {
        nothing_was_changed();
        return Ok(false);
    }
    secrets::make(deployment, endpoint, change).await?;
    if new.stdin {
        println!("done");
    } else {
        println!("done. It is shown this once:\n\n{}\n", secret.reveal());
    }
    Ok(true)
}

impl NewArguments {
    /// The secret that is meant.
    fn secret(&self, endpoint: &Endpoint) -> Result<NewSecret> {
        if !self.stdin {
            return NewSecret::generated(endpoint);
        }
        if std::io::stdin().is_terminal() {
            eprintln!("reading the secret from the terminal, which shows it; better: --stdin < secret.txt");
        }
        let mut text = String::new();
        let read = std::io::stdin().take(STDIN_BYTES_MAX + 1).read_to_string(&mut text);
        // What could not be read may be a part of the secret: it is not shown.
        read.ok().context("cannot read a secret from standard input: it must be text")?;
        if text.len() as u64 > STDIN_BYTES_MAX {
            bail!("standard input has more than {STDIN_BYTES_MAX} bytes, and a secret is one line");
        }
        NewSecret::given(endpoint, &text)
    }

    /// As in a sentence.
    fn what(&self) -> &'static str {
        if self.stdin { "the secret from standard input" } else { "a secret that is made up" }
    }
}

/// What becomes of what is taken away.
fn dead() -> String {
    format!("are refused within {} minutes", SECRET_TTL_SECONDS / 60)
}

fn find<'e>(endpoints: &'e Endpoints, name: &str) -> Result<&'e Endpoint> {
    endpoints.get(name).filter(|endpoint| !endpoint.is_probe()).with_context(|| {
        let names: Vec<_> = endpoints.iter().map(|endpoint| endpoint.name.as_str()).collect();
        format!("endpoints.toml has no endpoint {name:?}; it has {}", names.join(", "))
    })
}

/// A span of time in its largest whole unit, as in `3 h`.
fn span(seconds: i64) -> String {
    match seconds {
        ..60 => format!("{} s", seconds.max(0)),
        60..3600 => format!("{} min", seconds / 60),
        3600..IN_USE_SECONDS => format!("{} h", seconds / 3600),
        IN_USE_SECONDS.. => format!("{} d", seconds / IN_USE_SECONDS),
    }
}
