//! What operators do with secrets: list them, give an endpoint its first, and change one without losing an event.
//!
//! A rotation is two changes, each safe at any moment: [`add`] puts the new secret before the others, and all are valid
//! until [`drop_older`] takes an old one away. In between the sender is switched. Nothing is taken away that is still
//! used ([`require_unused`]), and no text of a secret is in an error or a `Debug`.

use std::fmt;

use anyhow::{Context, Result, anyhow, bail};
use futures_util::future::join_all;
use serde::Serialize;
use wharf_webhook::clock::UnixSeconds;
use wharf_webhook::endpoints::Endpoint;
use wharf_webhook::limits::SECRETS_MAX;
use wharf_webhook::provider::generic::GENERIC;
use wharf_webhook::provider::{Check, Encoding, Scheme, SecretForm};
use wharf_webhook::secret::{SecretError, Secrets};

use crate::deployment::Reach;
use crate::secret_store::{self, Kept, Place};
use crate::secret_use::{IN_USE_SECONDS, Use, Which, last_use};

/// How many endpoints are looked at at the same time.
const AT_ONCE: usize = 16;

/// What is known of one endpoint's secrets. Instants are seconds since 1970 in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EndpointSecrets {
    /// As in `endpoints.toml`.
    pub endpoint: String,
    /// As in `endpoints.toml`.
    pub provider: String,
    /// The name of the parameter or the secret that they are kept in; `None` if the provider needs none.
    pub kept_in: Option<String>,
    /// How many there are; 0 if they cannot be read.
    pub count: usize,
    /// When they were last changed; `None` if there are none, or they cannot be read.
    pub changed_at: Option<UnixSeconds>,
    /// Why the endpoint answers 503: what is wrong with its secrets; `None` if nothing is.
    pub problem: Option<String>,
    /// Whether one that is not the newest is still used; `None` if there is no such one, or CloudWatch does not say.
    pub older: Option<Use>,
    /// Why it is not known whether an older one is still used; `None` if it is, or there is none.
    pub older_unknown: Option<String>,
    /// Why they cannot be read by whoever asks, so that nothing is known of them; `None` if they can.
    pub unreadable: Option<String>,
}

/// A secret that is to be given to an endpoint. Its `Debug` prints a placeholder.
#[derive(Clone, PartialEq, Eq)]
pub struct NewSecret(String);

/// Where the secrets of an endpoint come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// From either side: a sender has you enter one, or shows you its own.
    Either,
    /// From the sender's side only: its public key, or credentials there.
    Sender,
    /// From the sender, in a handshake.
    Handshake,
}

/// Which secrets are dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dropped {
    /// The oldest one.
    Oldest,
    /// All but the newest one.
    AllButNewest,
}

/// A change of an endpoint's secrets that can be made, and is not made yet. Its `Debug` shows none of them.
#[derive(Clone, PartialEq, Eq)]
pub struct Change {
    found: Option<Kept>,
    lines: Vec<String>,
    /// Among which are those that it takes away; `None` if it takes none that could be in use.
    taken: Option<Which>,
}

/// What is known of each endpoint's secrets. What cannot be known is said in its place, and is no error.
pub async fn list<'e>(
    reach: &Reach,
    endpoints: impl Iterator<Item = &'e Endpoint>,
    now: UnixSeconds,
) -> Vec<EndpointSecrets> {
    let endpoints: Vec<&Endpoint> = endpoints.collect();
    let mut all = Vec::new();
    for some in endpoints.chunks(AT_ONCE) {
        all.extend(join_all(some.iter().map(|endpoint| look_at(reach, endpoint, now))).await);
    }
    all
}

async fn look_at(reach: &Reach, endpoint: &Endpoint, now: UnixSeconds) -> EndpointSecrets {
    let mut secrets = EndpointSecrets {
        endpoint: endpoint.name.clone(),
        provider: endpoint.terms.provider.name.to_owned(),
        kept_in: None,
        count: 0,
        changed_at: None,
        problem: None,
        older: None,
        older_unknown: None,
        unreadable: None,
    };
    if !endpoint.terms.scheme.secret.is_kept() {
        return secrets;
    }
    secrets.kept_in = Some(Place::of(endpoint, &reach.stage).name().to_owned());
    let kept = match read(reach, endpoint).await {
        Ok(Some(kept)) => kept,
        Ok(None) => {
            secrets.problem = Some("it has no secret".to_owned());
            return secrets;
        }
        Err(error) => {
            secrets.unreadable = Some(format!("{error:#}"));
            return secrets;
        }
    };
    secrets.count = kept.count();
    secrets.changed_at = Some(kept.changed_at);
    secrets.problem = usable(endpoint, &kept).err().map(|problem| problem.to_string());
    if secrets.count > 1 {
        match last_use(reach, &endpoint.name, Which::Older, kept.changed_at, now).await {
            Ok(older) => secrets.older = Some(older),
            Err(error) => secrets.older_unknown = Some(format!("{error:#}")),
        }
    }
    secrets
}

/// What is kept of an endpoint's secrets; `None` if it has none yet.
///
/// # Errors
/// If its provider needs none, or if it cannot be read.
pub async fn read(reach: &Reach, endpoint: &Endpoint) -> Result<Option<Kept>> {
    let (name, title) = (&endpoint.name, endpoint.terms.provider.title);
    if !endpoint.terms.scheme.secret.is_kept() {
        bail!("{name} needs no secret: {title} signs with a key that it publishes");
    }
    let kept = secret_store::read(&reach.configuration, &Place::of(endpoint, &reach.stage)).await;
    kept.with_context(|| reach.cannot("read a secret"))
}

/// The command by which an endpoint without a usable secret is given one; `again` is [`Reach::again`].
pub fn command_that_gives(endpoint: &Endpoint, again: &str) -> String {
    let name = &endpoint.name;
    let given = format!("cargo ops secret set {name} --stdin --execute{again} < secret.txt");
    match Origin::of(endpoint) {
        Origin::Either => {
            format!(
                "cargo ops secret set {name} --execute{again}, or, with one that {} shows you, {given}",
                sender(endpoint)
            )
        }
        Origin::Sender => given,
        Origin::Handshake => format!("cargo ops open {name}{again}"),
    }
}

/// Who signs, as in a sentence.
pub fn sender(endpoint: &Endpoint) -> &'static str {
    let provider = endpoint.terms.provider;
    if provider.name == GENERIC.name { "its sender" } else { provider.title }
}

/// The endpoint's only secret from now on.
///
/// # Errors
/// If the new one cannot be used.
pub fn set(endpoint: &Endpoint, found: Option<Kept>, new: &NewSecret) -> Result<Change> {
    // With what cannot be used nothing is accepted: whoever sets a new one then mends the endpoint.
    let taken = found.as_ref().and_then(|kept| usable(endpoint, kept).is_ok().then_some(Which::All));
    change(endpoint, found, vec![new.0.clone()], taken)
}

/// A new secret before the others.
///
/// # Errors
/// If it is one of them already, if there are as many as there can be, or if those that there are cannot be used.
pub fn add(endpoint: &Endpoint, found: Option<Kept>, new: &NewSecret) -> Result<Change> {
    let name = &endpoint.name;
    if let Some(kept) = found.as_ref().filter(|kept| kept.count() > 0) {
        if kept.count() >= SECRETS_MAX {
            bail!(
                "{name} has {} secrets, and {SECRETS_MAX} are the most: drop those that its sender uses no more, then add \
                 another",
                kept.count()
            );
        }
        let secrets = usable(endpoint, kept).map_err(|problem| {
            anyhow!("nothing can be added to the secrets of {name}: {problem}. Set a new one instead")
        })?;
        let added = Secrets::parse(&new.0, &endpoint.terms.scheme)?;
        if secrets.iter().any(|secret| Some(secret) == added.newest()) {
            bail!("{name} has this very secret already");
        }
    }
    let lines = before_others(&new.0, found.as_ref());
    change(endpoint, found, lines, None)
}

/// All but the oldest secret, or the newest one alone.
///
/// # Errors
/// If there is no older one, or if what would be left cannot be used.
pub fn drop_older(endpoint: &Endpoint, found: Option<Kept>, dropped: Dropped) -> Result<Change> {
    let name = &endpoint.name;
    let lines: Vec<String> = found.iter().flat_map(Kept::lines).map(str::to_owned).collect();
    let left = match (lines.len(), dropped) {
        (0, _) => bail!("{name} has no secret that could be dropped"),
        (1, _) => bail!(
            "{name} has one secret only: without it, it would answer 503. To change it, add the new one first; drop this one \
             when its sender uses it no more"
        ),
        (count, Dropped::Oldest) => count - 1,
        (_, Dropped::AllButNewest) => 1,
    };
    change(endpoint, found, lines.into_iter().take(left).collect(), Some(Which::Older))
}

/// The change that leads to these secrets, which must be usable.
fn change(endpoint: &Endpoint, found: Option<Kept>, lines: Vec<String>, taken: Option<Which>) -> Result<Change> {
    let change = Change { found, lines, taken };
    Secrets::parse(&change.text(), &endpoint.terms.scheme)
        .map_err(|problem| anyhow!("what {} would have cannot be used: {problem}", endpoint.name))?;
    Ok(change)
}

/// A secret, and then all others that are kept.
fn before_others(new: &str, found: Option<&Kept>) -> Vec<String> {
    let others = found.into_iter().flat_map(Kept::lines).filter(|line| *line != new);
    [new].into_iter().chain(others).map(str::to_owned).collect()
}

/// Makes sure that a change takes nothing away that is in use.
///
/// # Errors
/// If it does, or if it cannot be known: with what is in use, and what to do.
pub async fn require_unused(reach: &Reach, endpoint: &Endpoint, change: &Change, now: UnixSeconds) -> Result<()> {
    let (Some(found), Some(which)) = (&change.found, change.taken) else { return Ok(()) };
    let name = &endpoint.name;
    let used = last_use(reach, name, which, found.changed_at, now).await.with_context(|| {
        format!("whether a secret of {name} is still used is not known, so none is taken away without --force")
    })?;
    let add = format!("cargo ops secret add {name}{}", reach.again());
    match (which, used) {
        (Which::Older | Which::All, Use::No) => Ok(()),
        (Which::Older, Use::Yes { last }) => bail!(
            "an older secret of {name} matched in the minute of {last}, so its sender still uses it: switch the sender to the \
             newest one. A day after the last match it can be dropped; or at once, with --force"
        ),
        (Which::Older, Use::Perhaps { last }) => bail!(
            "the secrets of {name} were changed at {}, and a delivery that was accepted in the minute of {last} may have been \
             signed with what is an older one now. If none matches until {} it can be dropped; or at once, with --force",
            found.changed_at,
            last.plus(IN_USE_SECONDS + 60)
        ),
        (Which::All, Use::Yes { last } | Use::Perhaps { last }) => bail!(
            "a delivery to {name} was accepted in the minute of {last}, so its sender uses a secret that would be gone. `{add}` \
             changes it without losing an event; or replace it at once, with --force"
        ),
    }
}

/// Makes a change.
///
/// # Errors
/// If another was made since the secrets were read, or if it cannot be written.
pub async fn make(reach: &Reach, endpoint: &Endpoint, change: &Change) -> Result<()> {
    let place = Place::of(endpoint, &reach.stage);
    let found = change.found.as_ref();
    let written = secret_store::write(&reach.configuration, &place, found, &change.text(), reach.key.as_deref()).await;
    written.with_context(|| reach.cannot("change a secret"))
}

/// What the sender of the local stack, which `cargo ops send` plays, signs with: the secret that it knows as long as that is
/// valid, as a sender does that was not switched yet; then the newest.
///
/// # Errors
/// If the secrets cannot be read, or if there are none.
pub async fn senders(reach: &Reach, endpoint: &Endpoint, known: Option<&str>) -> Result<String> {
    let kept = read(reach, endpoint).await?;
    let lines: Vec<&str> = kept.iter().flat_map(Kept::lines).collect();
    let secret = known.filter(|known| lines.contains(known)).or(lines.first().copied());
    Ok(secret.with_context(|| format!("{} has no secret to sign with", endpoint.name))?.to_owned())
}

/// What is kept, as what signatures are judged by.
fn usable(endpoint: &Endpoint, kept: &Kept) -> Result<Secrets, SecretError> {
    Secrets::parse(kept.text(), &endpoint.terms.scheme)
}

/// A new secret in the form that the scheme's have; `None` where the secret is the sender's public key, or credentials, or
/// where there is none.
pub(crate) fn generated(scheme: &Scheme) -> Result<Option<String>> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).context("the operating system gives no random bytes")?;
    let written = |encoding: Encoding| String::from_utf8_lossy(&encoding.encode(&bytes)).into_owned();
    Ok(match scheme.secret {
        _ if !scheme.algorithm.is_symmetric() => None,
        SecretForm::Utf8 | SecretForm::Hex => Some(written(Encoding::Hex)),
        SecretForm::Base64 => Some(written(Encoding::Base64)),
        SecretForm::StandardWebhooks => Some(format!("whsec_{}", written(Encoding::Base64))),
        SecretForm::Certificate { .. } | SecretForm::SnsCertificate | SecretForm::PlaidCredentials => None,
    })
}

impl NewSecret {
    /// The one that somebody gives: a single line.
    ///
    /// # Errors
    /// If it is none, several, or not of the form that the endpoint's provider has.
    pub fn given(endpoint: &Endpoint, text: &str) -> Result<NewSecret> {
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let (Some(secret), None) = (lines.next(), lines.next()) else {
            bail!("what is given must be one secret, on one line, and nothing else");
        };
        let scheme = &endpoint.terms.scheme;
        Secrets::parse(secret, scheme)
            .map_err(|problem| anyhow!("what is given cannot be a secret of {}: {problem}", endpoint.name))?;
        Ok(NewSecret(secret.to_owned()))
    }

    /// A strong one, of 32 random bytes.
    ///
    /// # Errors
    /// If the provider takes none: with the reason, and what to do.
    pub fn generated(endpoint: &Endpoint) -> Result<NewSecret> {
        let (name, title) = (&endpoint.name, endpoint.terms.provider.title);
        let scheme = &endpoint.terms.scheme;
        match (Origin::of(endpoint), generated(scheme)?) {
            (Origin::Either, Some(secret)) => Ok(NewSecret(secret)),
            (Origin::Handshake, _) => bail!(
                "no secret can be generated for {name}: {title} brings its own, which `cargo ops open {name}` takes in. One that \
                 you have is taken with --stdin"
            ),
            (Origin::Either | Origin::Sender, _) if scheme.secret == SecretForm::PlaidCredentials => bail!(
                "no secret can be generated for {name}: it is your credentials at {title}, {}. Give them with --stdin",
                scheme.secret
            ),
            (Origin::Either | Origin::Sender, _) => bail!(
                "no secret can be generated for {name}: it is the public key of {title}, which shows it to you. Give it with \
                 --stdin"
            ),
        }
    }

    /// Its text, which is to be shown to the operator once.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl Origin {
    /// Where those of this endpoint come from.
    pub fn of(endpoint: &Endpoint) -> Origin {
        let scheme = &endpoint.terms.scheme;
        let offers = |check: &Check| matches!(check, Check::OffersSecret(_));
        if endpoint.terms.provider.handshakes.iter().any(|handshake| offers(&handshake.check)) {
            return Origin::Handshake;
        }
        match scheme.secret {
            SecretForm::PlaidCredentials => Origin::Sender,
            _ if !scheme.algorithm.is_symmetric() => Origin::Sender,
            SecretForm::Utf8
            | SecretForm::Hex
            | SecretForm::Base64
            | SecretForm::StandardWebhooks
            | SecretForm::Certificate { .. }
            | SecretForm::SnsCertificate => Origin::Either,
        }
    }
}

impl Change {
    /// What is to be kept.
    fn text(&self) -> String {
        self.lines.join("\n")
    }

    /// How many secrets there were.
    pub fn before(&self) -> usize {
        self.found.as_ref().map_or(0, Kept::count)
    }

    /// How many there will be.
    pub fn after(&self) -> usize {
        self.lines.len()
    }
}

impl fmt::Debug for NewSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("NewSecret(…)")
    }
}

impl fmt::Debug for Change {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Change").field("before", &self.before()).field("after", &self.after()).finish()
    }
}

/// Puts a secret before those that a place has, and returns when it is there: also if it was already.
///
/// # Errors
/// If there are as many as there can be, if another was faster, or if it cannot be written.
pub(crate) async fn put_before(reach: &Reach, place: &Place, new: &str) -> Result<()> {
    let found = secret_store::read(&reach.configuration, place).await?;
    let lines = before_others(new, found.as_ref());
    if lines.len() > SECRETS_MAX {
        bail!("{place} holds {SECRETS_MAX} secrets already: drop those that no webhook uses any more");
    }
    secret_store::write(&reach.configuration, place, found.as_ref(), &lines.join("\n"), reach.key.as_deref()).await
}

#[cfg(test)]
mod tests {
    use wharf_webhook::endpoints::Endpoints;
    use wharf_webhook::provider::find;

    use super::*;

    const AT: UnixSeconds = UnixSeconds(1_754_000_000);

    fn endpoint(provider: &str) -> Endpoint {
        let text = format!("[endpoints.one]\nprovider = {provider:?}\n");
        Endpoints::parse(&text).unwrap().get("one").unwrap().clone()
    }

    fn kept(text: &str) -> Option<Kept> {
        Some(Kept::new(text, AT))
    }

    fn given(provider: &str, text: &str) -> NewSecret {
        NewSecret::given(&endpoint(provider), text).unwrap()
    }

    fn outcome(change: Result<Change>) -> String {
        change.map_or_else(|error| error.to_string(), |change| change.text())
    }

    #[test]
    fn a_set_secret_is_the_only_one() {
        let set = |found| outcome(set(&endpoint("github"), found, &given("github", "new\n")));
        assert_eq!(set(None), "new");
        assert_eq!(set(kept("old\nolder")), "new");
    }

    #[test]
    fn an_added_secret_stands_before_the_others() {
        let add = |found| outcome(add(&endpoint("github"), found, &given("github", "new")));
        assert_eq!(add(None), "new");
        assert_eq!(add(kept(" \n")), "new");
        assert_eq!(add(kept("old\n\n older \n")), "new\nold\nolder");
    }

    #[test]
    fn an_eighth_secret_can_be_added_and_a_ninth_cannot() {
        let add = |found| outcome(add(&endpoint("github"), found, &given("github", "new")));
        assert_eq!(add(kept("1\n2\n3\n4\n5\n6\n7")), "new\n1\n2\n3\n4\n5\n6\n7");
        assert_eq!(
            add(kept("1\n2\n3\n4\n5\n6\n7\n8")),
            "one has 8 secrets, and 8 are the most: drop those that its sender uses no more, then add another"
        );
    }

    #[test]
    fn the_same_secret_is_not_added_twice_however_it_is_written() {
        let add = |provider, found, new| outcome(add(&endpoint(provider), kept(found), &given(provider, new)));
        assert_eq!(add("github", "newest\nolder", "older"), "one has this very secret already");
        assert_eq!(add("standardwebhooks", "whsec_AAE=", "AAE"), "one has this very secret already");
    }

    #[test]
    fn nothing_is_added_to_what_cannot_be_used() {
        assert_eq!(
            outcome(add(&endpoint("adyen"), kept("00ff\nsecret"), &given("adyen", "00"))),
            "nothing can be added to the secrets of one: line 2 is not hexadecimal, as the secrets of this provider are. Set a \
             new one instead"
        );
    }

    #[test]
    fn the_oldest_secret_is_dropped_or_all_but_the_newest() {
        let drop = |found, dropped| outcome(drop_older(&endpoint("github"), found, dropped));
        assert_eq!(drop(kept("new\nold\noldest\n"), Dropped::Oldest), "new\nold");
        assert_eq!(drop(kept("new\nold\noldest\n"), Dropped::AllButNewest), "new");
        // A ninth secret makes an endpoint unusable; dropping it mends that.
        assert_eq!(drop(kept("1\n2\n3\n4\n5\n6\n7\n8\n9"), Dropped::Oldest), "1\n2\n3\n4\n5\n6\n7\n8");
    }

    #[test]
    fn the_last_secret_is_never_dropped() {
        for dropped in [Dropped::Oldest, Dropped::AllButNewest] {
            let drop = |found| outcome(drop_older(&endpoint("github"), found, dropped));
            assert!(drop(kept("new\n")).starts_with("one has one secret only: without it, it would answer 503."));
            assert_eq!(drop(None), "one has no secret that could be dropped");
        }
    }

    #[test]
    fn what_would_be_left_must_be_usable() {
        assert_eq!(
            outcome(drop_older(&endpoint("adyen"), kept("secret\n00ff\n00"), Dropped::Oldest)),
            "what one would have cannot be used: line 1 is not hexadecimal, as the secrets of this provider are"
        );
    }

    #[test]
    fn what_is_given_is_one_secret_of_the_providers_form() {
        let given = |provider, text| NewSecret::given(&endpoint(provider), text).unwrap_err().to_string();
        let one_line = "what is given must be one secret, on one line, and nothing else";
        assert_eq!(given("github", " \n"), one_line);
        assert_eq!(given("github", "sesame\nopen"), one_line);
        assert_eq!(
            given("adyen", "sesame"),
            "what is given cannot be a secret of one: line 1 is not hexadecimal, as the secrets of this provider are"
        );
        assert_eq!(NewSecret::given(&endpoint("github"), "\n sesame \r\n").unwrap().reveal(), "sesame");
    }

    #[test]
    fn a_generated_secret_is_256_random_bits_in_the_form_of_the_provider() {
        let generated = |provider| generated(find(provider).unwrap().scheme(None).unwrap()).unwrap();
        let github = generated("github").unwrap();
        assert!(github.len() == 64 && github.bytes().all(|byte| byte.is_ascii_hexdigit()), "{github}");
        assert_ne!(generated("github").unwrap(), github);
        let standard = generated("standardwebhooks").unwrap();
        assert!(standard.starts_with("whsec_") && standard.len() == 6 + 44, "{standard}");
        for provider in ["discord", "sendgrid", "plaid", "sns", "paypal"] {
            assert_eq!(generated(provider), None, "{provider}");
        }
    }

    #[test]
    fn where_no_secret_can_be_generated_the_reason_and_the_way_are_said() {
        let refused = |provider| NewSecret::generated(&endpoint(provider)).unwrap_err().to_string();
        assert_eq!(
            refused("discord"),
            "no secret can be generated for one: it is the public key of Discord, which shows it to you. Give it with --stdin"
        );
        assert_eq!(
            refused("plaid"),
            "no secret can be generated for one: it is your credentials at Plaid, <client id>:<secret>. Give them with --stdin"
        );
        assert_eq!(
            refused("asana"),
            "no secret can be generated for one: Asana brings its own, which `cargo ops open one` takes in. One that you have \
             is taken with --stdin"
        );
    }

    #[test]
    fn debug_shows_no_secret() {
        let new = given("github", "sesame");
        let change = add(&endpoint("github"), kept("open"), &new).unwrap();
        assert_eq!(format!("{new:?} {change:?}"), "NewSecret(…) Change { before: 1, after: 2 }");
    }
}
