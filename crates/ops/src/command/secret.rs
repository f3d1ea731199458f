//! `cargo ops secret`: lists and changes the endpoints' secrets.

use std::io::{IsTerminal, Read};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use serde::Serialize;
use wharf_ops::deployment::Reach;
use wharf_ops::project::Project;
use wharf_ops::secret_use::{IN_USE_SECONDS, Use};
use wharf_ops::secrets::{self, Change, Dropped, EndpointSecrets, NewSecret};
use wharf_webhook::clock::UnixSeconds;
use wharf_webhook::endpoints::{Endpoint, Endpoints};
use wharf_webhook::limits::{SECRET_REFRESH_SECONDS, SECRET_TTL_SECONDS};

use crate::{Target, nothing_was_changed, now, print_json};

/// The most that is read from standard input, in bytes: SSM takes 4 KB, Secrets Manager 64.
const STDIN_BYTES_MAX: u64 = 64 * 1024;

#[derive(Debug, Args)]
#[command(after_help = "\
To change a secret without losing an event: add the new one, wait 5 minutes, enter it at the sender, and drop the old one \
when nothing matches it any more. All that an endpoint has are valid until then.

Examples:
  cargo ops secret list --stage production                       what each endpoint has
  cargo ops secret set stripe --stdin --execute < secret.txt     the one that Stripe shows you
  cargo ops secret add github --execute                          a new one, shown once
  cargo ops secret drop github --execute                         the oldest, if it is not used")]
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
    /// The KMS key that an endpoint's first secret is encrypted with: its id, ARN or alias. Without it the stack's own
    /// (KeyArn), or the account's default; later secrets stay with the key of the first
    #[arg(long, value_name = "KEY", requires = "stage")]
    key: Option<String>,
    #[command(flatten)]
    target: Target,
    /// Does it, instead of showing what it would do
    #[arg(long)]
    execute: bool,
    /// Prints JSON
    #[arg(long)]
    json: bool,
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
    /// Prints JSON
    #[arg(long)]
    json: bool,
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
    let reach = match &arguments.endpoint {
        Some(name) => arguments.target.reach_with(project, name).await?,
        None => arguments.target.reach(project).await?,
    };
    let now = now().seconds();
    let listed = match chosen {
        Some(endpoint) => secrets::list(&reach, [endpoint].into_iter(), now).await,
        None => secrets::list(&reach, endpoints.iter(), now).await,
    };
    if arguments.json {
        print_json(&listed)?;
        return require_readable(&listed);
    }
    let width = listed.iter().map(|secrets| secrets.endpoint.len()).max().unwrap_or_default();
    for secrets in &listed {
        let endpoint = find(endpoints, &secrets.endpoint)?;
        for (index, line) in lines(endpoint, secrets, &reach.again(), now).iter().enumerate() {
            let name = if index == 0 { secrets.endpoint.as_str() } else { "" };
            println!("{name:width$}  {line}");
        }
    }
    require_readable(&listed)
}

/// What a script must not take for an endpoint without secrets.
fn require_readable(listed: &[EndpointSecrets]) -> Result<()> {
    match listed.iter().filter(|secrets| secrets.unreadable.is_some()).count() {
        0 => Ok(()),
        count => bail!("of {count} of {} endpoints the secrets cannot be read", listed.len()),
    }
}

/// What is said of one endpoint.
fn lines(endpoint: &Endpoint, secrets: &EndpointSecrets, again: &str, now: UnixSeconds) -> Vec<String> {
    let name = &endpoint.name;
    let Some(kept_in) = &secrets.kept_in else {
        return vec![format!("needs no secret: {} publishes its key", endpoint.terms.provider.title)];
    };
    if let Some(why) = &secrets.unreadable {
        return vec![format!("not known: {why}")];
    }
    let ago = |at: UnixSeconds| span(now.0.saturating_sub(at.0));
    let mut lines = vec![match secrets.changed_at {
        Some(at) => format!("{}, changed {at} ({} ago)", count(secrets.count), ago(at)),
        None => count(secrets.count),
    }];
    if let Some(problem) = &secrets.problem {
        let problem = if secrets.count == 0 { String::new() } else { format!("{kept_in} cannot be used: {problem}. ") };
        lines.push(format!(
            "{problem}It answers 503 until it has one: {}",
            secrets::command_that_gives(endpoint, again)
        ));
    }
    lines.extend(secrets.older.map(|used| match used {
        Use::No => format!(
            "nothing matched an older one within the last day. If its sender was switched, drop the oldest: cargo ops \
             secret drop {name} --execute{again}"
        ),
        Use::Yes { last } => {
            format!("an older one matched in the minute of {last} ({} ago): its sender still uses it", ago(last))
        }
        Use::Perhaps { last } => format!(
            "an older one may be in use: it may have been the newest when a delivery was accepted, in the minute of \
             {last} ({} ago)",
            ago(last)
        ),
    }));
    lines.extend(
        secrets.older_unknown.as_ref().map(|why| format!("whether an older one is in use is not known: {why}")),
    );
    lines
}

async fn set(project: &Project, endpoints: &Endpoints, arguments: &SetArguments) -> Result<()> {
    let new = &arguments.new;
    let endpoint = find(endpoints, &new.endpoint)?;
    let reach = new.reach(project, endpoint).await?;
    let found = secrets::read(&reach, endpoint).await?;
    new.require_key_for_first(endpoint, found.is_some())?;
    let secret = new.secret(endpoint)?;
    let change = secrets::set(endpoint, found, &secret)?;
    if !arguments.force {
        secrets::require_unused(&reach, endpoint, &change, now().seconds()).await?;
    }
    if new.json {
        return new.make_in_json(&reach, endpoint, &change, &secret).await;
    }
    say(&reach, endpoint, &change);
    match change.before() {
        0 => println!("{} becomes its first", new.what()),
        _ => println!("{} becomes its only one, and what is signed with another is {}", new.what(), refused()),
    }
    if !new.execute {
        nothing_was_changed();
        return Ok(());
    }
    secrets::make(&reach, endpoint, &change).await?;
    new.show(endpoint, &secret);
    println!("{}", accepted());
    Ok(())
}

async fn add(project: &Project, endpoints: &Endpoints, arguments: &AddArguments) -> Result<()> {
    let new = &arguments.new;
    let endpoint = find(endpoints, &new.endpoint)?;
    let reach = new.reach(project, endpoint).await?;
    let found = secrets::read(&reach, endpoint).await?;
    new.require_key_for_first(endpoint, found.is_some())?;
    let secret = new.secret(endpoint)?;
    let change = secrets::add(endpoint, found, &secret)?;
    if new.json {
        return new.make_in_json(&reach, endpoint, &change, &secret).await;
    }
    say(&reach, endpoint, &change);
    println!("{} becomes its newest, and all are valid until they are dropped", new.what());
    if !new.execute {
        nothing_was_changed();
        return Ok(());
    }
    secrets::make(&reach, endpoint, &change).await?;
    new.show(endpoint, &secret);
    if change.before() == 0 {
        println!("{}", accepted());
        return Ok(());
    }
    let (name, again) = (&endpoint.name, reach.again());
    println!(
        "1. wait {} minutes, until {}: it is valid everywhere then. Sooner, the first delivery that is signed with it may be \
         refused, and within {SECRET_REFRESH_SECONDS} s none any more",
        SECRET_TTL_SECONDS / 60,
        now().seconds().plus(SECRET_TTL_SECONDS)
    );
    println!("2. have {} sign with it", secrets::sender(endpoint));
    println!("3. a day after an older one matched last: cargo ops secret drop {name} --execute{again}");
    println!("   when that was: cargo ops secret list {name}{again}");
    Ok(())
}

async fn drop_older(project: &Project, endpoints: &Endpoints, arguments: &DropArguments) -> Result<()> {
    let endpoint = find(endpoints, &arguments.endpoint)?;
    let reach = arguments.target.reach_with(project, &endpoint.name).await?;
    let found = secrets::read(&reach, endpoint).await?;
    let dropped = if arguments.all_but_newest { Dropped::AllButNewest } else { Dropped::Oldest };
    let change = secrets::drop_older(endpoint, found, dropped)?;
    if !arguments.force {
        secrets::require_unused(&reach, endpoint, &change, now().seconds()).await?;
    }
    if arguments.json {
        if arguments.execute {
            secrets::make(&reach, endpoint, &change).await?;
        }
        return print_json(&ChangeView::new(&reach, endpoint, &change, arguments.execute));
    }
    say(&reach, endpoint, &change);
    let which = match dropped {
        Dropped::Oldest => "the oldest is",
        Dropped::AllButNewest => "all but the newest are",
    };
    println!("{which} dropped, and what is signed with it is {}", refused());
    if !arguments.execute {
        nothing_was_changed();
        return Ok(());
    }
    secrets::make(&reach, endpoint, &change).await?;
    println!("done: {} left", change.after());
    Ok(())
}

/// What an endpoint has, before anything is changed.
fn say(reach: &Reach, endpoint: &Endpoint, change: &Change) {
    println!("{} of {} has {}", endpoint.name, reach.name(), count(change.before()));
}

fn count(secrets: usize) -> String {
    match secrets {
        0 => "no secret".to_owned(),
        1 => "1 secret".to_owned(),
        _ => format!("{secrets} secrets"),
    }
}

/// What happens to what is signed with an endpoint's first secret, or its only one.
fn accepted() -> String {
    format!("deliveries that are signed with it are accepted within {SECRET_REFRESH_SECONDS} s")
}

/// What happens to what is signed with a secret that was taken away.
fn refused() -> String {
    format!("refused within {} minutes", SECRET_TTL_SECONDS / 60)
}

/// A change, as JSON.
#[derive(Serialize)]
struct ChangeView<'a> {
    stage: &'a str,
    endpoint: &'a str,
    execute: bool,
    /// How many secrets there were.
    before: usize,
    /// How many there are then.
    after: usize,
    /// The new secret, where it was made up and is in place: nobody else has it.
    secret: Option<&'a str>,
}

impl<'a> ChangeView<'a> {
    fn new(reach: &'a Reach, endpoint: &'a Endpoint, change: &Change, execute: bool) -> ChangeView<'a> {
        ChangeView {
            stage: &reach.stage,
            endpoint: &endpoint.name,
            execute,
            before: change.before(),
            after: change.after(),
            secret: None,
        }
    }
}

impl NewArguments {
    /// How to reach the endpoint's secrets, with the key that a first one is encrypted with.
    async fn reach(&self, project: &Project, endpoint: &Endpoint) -> Result<Reach> {
        let mut reach = self.target.reach_with(project, &endpoint.name).await?;
        if self.key.is_some() {
            reach.key.clone_from(&self.key);
        }
        Ok(reach)
    }

    /// What is kept has its key: another is not chosen by the way.
    fn require_key_for_first(&self, endpoint: &Endpoint, is_kept: bool) -> Result<()> {
        if self.key.is_some() && is_kept {
            bail!(
                "{} has secrets, which are encrypted with a key already, and stay with it: leave --key out, or change the key \
                 where they are kept",
                endpoint.name
            );
        }
        Ok(())
    }

    async fn make_in_json(
        &self,
        reach: &Reach,
        endpoint: &Endpoint,
        change: &Change,
        secret: &NewSecret,
    ) -> Result<()> {
        let mut view = ChangeView::new(reach, endpoint, change, self.execute);
        if self.execute {
            secrets::make(reach, endpoint, change).await?;
            view.secret = (!self.stdin).then(|| secret.reveal());
        }
        print_json(&view)
    }

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
        if self.stdin { "the one from standard input" } else { "one that is made up" }
    }

    /// Says that it is done, and shows a secret that nobody has yet.
    fn show(&self, endpoint: &Endpoint, secret: &NewSecret) {
        if self.stdin {
            println!("done");
        } else {
            let sender = secrets::sender(endpoint);
            println!("done. It is shown this once, to be entered at {sender}:\n\n{}\n", secret.reveal());
        }
    }
}

fn find<'e>(endpoints: &'e Endpoints, name: &str) -> Result<&'e Endpoint> {
    endpoints.get(name).filter(|endpoint| !endpoint.is_probe()).with_context(|| {
        let names: Vec<_> = endpoints.iter().map(|endpoint| endpoint.name.as_str()).collect();
        format!("endpoints.toml has no endpoint {name:?}; it has {}", names.join(", "))
    })
}

/// A span of time in its largest whole unit, as in `3 h`.
pub fn span(seconds: i64) -> String {
    match seconds {
        ..60 => format!("{} s", seconds.max(0)),
        60..3600 => format!("{} min", seconds / 60),
        3600..IN_USE_SECONDS => format!("{} h", seconds / 3600),
        IN_USE_SECONDS.. => format!("{} d", seconds / IN_USE_SECONDS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixSeconds = UnixSeconds(1_754_000_040);

    fn endpoint(provider: &str) -> Endpoint {
        let text = format!("[endpoints.one]\nprovider = {provider:?}\n");
        Endpoints::parse(&text).unwrap().get("one").unwrap().clone()
    }

    fn secrets(count: usize, older: Option<Use>) -> EndpointSecrets {
        EndpointSecrets {
            endpoint: "one".into(),
            provider: "github".into(),
            kept_in: Some("/wharf/production/one".into()),
            count,
            changed_at: (count > 0).then_some(NOW.plus(-7200)),
            problem: None,
            older,
            older_unknown: None,
            unreadable: None,
        }
    }

    fn said(provider: &str, secrets: &EndpointSecrets) -> Vec<String> {
        lines(&endpoint(provider), secrets, " --stage production", NOW)
    }

    #[test]
    fn the_list_says_when_an_older_secret_matched_last_and_when_it_can_be_dropped() {
        assert_eq!(said("github", &secrets(1, None)), ["1 secret, changed 2025-07-31T20:14:00Z (2 h ago)"]);
        let two = |used| said("github", &secrets(2, Some(used))).remove(1);
        assert_eq!(
            two(Use::No),
            "nothing matched an older one within the last day. If its sender was switched, drop the oldest: cargo ops secret \
             drop one --execute --stage production"
        );
        assert_eq!(
            two(Use::Yes { last: NOW.plus(-60) }),
            "an older one matched in the minute of 2025-07-31T22:13:00Z (1 min ago): its sender still uses it"
        );
        assert_eq!(
            two(Use::Perhaps { last: NOW.plus(-10_800) }),
            "an older one may be in use: it may have been the newest when a delivery was accepted, in the minute of \
             2025-07-31T19:14:00Z (3 h ago)"
        );
        let unknown = EndpointSecrets { older_unknown: Some("cannot read the metrics".into()), ..secrets(2, None) };
        assert_eq!(said("github", &unknown)[1], "whether an older one is in use is not known: cannot read the metrics");
    }

    #[test]
    fn an_endpoint_without_a_usable_secret_is_listed_with_the_command_that_mends_it() {
        let none = EndpointSecrets { problem: Some("it has no secret".into()), ..secrets(0, None) };
        let mended = |provider| said(provider, &none).join(". ");
        assert_eq!(
            mended("stripe"),
            "no secret. It answers 503 until it has one: cargo ops secret set one --execute --stage production, or, with one \
             that Stripe shows you, cargo ops secret set one --stdin --execute --stage production < secret.txt"
        );
        let text = "[endpoints.one]\nprovider = \"generic\"\nsignature = { header = \"X-Signature\" }\n";
        let generic = Endpoints::parse(text).unwrap();
        let mended_generic = secrets::command_that_gives(generic.get("one").unwrap(), "");
        assert!(mended_generic.contains(", or, with one that its sender shows you, "), "{mended_generic}");
        assert_eq!(
            mended("discord"),
            "no secret. It answers 503 until it has one: cargo ops secret set one --stdin --execute --stage production < \
             secret.txt"
        );
        assert_eq!(
            mended("asana"),
            "no secret. It answers 503 until it has one: cargo ops open one --stage production"
        );
        let unusable = EndpointSecrets { problem: Some("line 2 is not hexadecimal".into()), ..secrets(2, None) };
        assert!(
            said("adyen", &unusable)[1].starts_with(
                "/wharf/production/one cannot be used: line 2 is not hexadecimal. It answers 503 until it has one: cargo ops"
            )
        );
        let needless = EndpointSecrets { kept_in: None, ..secrets(0, None) };
        assert_eq!(said("github", &needless), ["needs no secret: GitHub publishes its key"]);
    }

    #[test]
    fn a_span_is_told_in_its_largest_whole_unit() {
        let spans = [-5, 59, 60, 3599, 3600, 86_399, 86_400, 200_000].map(span);
        assert_eq!(spans, ["0 s", "59 s", "1 min", "59 min", "1 h", "23 h", "1 d", "2 d"]);
    }
}
