//! What is known of the providers, for people: as a table, and of one in full.

use std::fmt::Write;

use serde::Serialize;
use wharf_webhook::endpoints::Endpoint;
use wharf_webhook::provider::generic::GENERIC;
use wharf_webhook::provider::{
    Algorithm, Content, Coverage, IdRating, PROVIDERS, Place, Provider, Retried, Scheme, SecretForm, Setting, Source,
    WithoutId,
};

/// The table of the README, in Markdown: a line for each scheme of each provider, in the order of use.
pub fn markdown() -> String {
    let mut table = String::from(
        "| `provider` | sender | signature | it covers | id | handshake | retries |\n| --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for (provider, scheme) in schemes() {
        let Provider { name, title, documentation, .. } = provider;
        let scheme_name = if scheme.name.is_empty() { String::new() } else { format!(" `{}`", scheme.name) };
        // Writing to a text cannot fail.
        let _ = writeln!(
            table,
            "| `{name}`{scheme_name} | [{title}]({documentation}) | {} | {} | {} | {} | {} |",
            algorithm(scheme),
            coverage(scheme),
            rating(scheme.event_id_rating),
            handshakes(provider),
            provider.retries.schedule,
        );
    }
    let _ = writeln!(
        table,
        "| `{}` | {} | as you describe it | as you describe it | as you name it | - | - |",
        GENERIC.name, GENERIC.title
    );
    table
}

/// The same as lines for a terminal.
pub fn lines() -> String {
    let mut text =
        format!("{:<18} {:<10} {:<36} {:<30} {:<8}\n", "PROVIDER", "SCHEME", "SENDER", "SIGNATURE", "COVERS");
    for (provider, scheme) in schemes() {
        let name = if scheme.name.is_empty() { "-" } else { scheme.name };
        let (title, signature, covers) = (provider.title, algorithm(scheme), coverage(scheme));
        let _ = writeln!(text, "{:<18} {name:<10} {title:<36} {signature:<30} {covers:<8}", provider.name);
    }
    let _ = writeln!(text, "{:<18} {:<10} {:<36} as you describe it", GENERIC.name, "-", GENERIC.title);
    let schemes: usize = PROVIDERS.iter().map(|provider| provider.schemes.len()).sum();
    let _ = writeln!(text, "\n{} providers, {} schemes", PROVIDERS.len() + 1, schemes + 1);
    text
}

/// A provider, as JSON. `generic`, which is what an endpoint describes, has none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProviderView {
    /// As in `endpoints.toml`.
    pub provider: &'static str,
    /// Its sender.
    pub title: &'static str,
    /// Where it documents its webhooks.
    pub documentation: &'static str,
    /// Its schemes, the default first.
    pub schemes: Vec<SchemeView>,
    /// What it asks before it posts; `-` for nothing.
    pub handshake: String,
    /// For how long it waits for an answer, if it says so.
    pub patience_seconds: Option<u16>,
    /// When it tries again.
    pub retries: &'static str,
    /// What it is answered where a delivery is accepted.
    pub status_accepted: u16,
    /// What it is answered where a request is refused.
    pub status_refused: u16,
    /// What its owner has to set, or to know.
    pub remarks: Vec<&'static str>,
    /// The keys of `endpoints.toml` that it needs beside `provider`.
    pub required: Vec<&'static str>,
}

/// How a provider signs, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SchemeView {
    /// As in `endpoints.toml`; empty if the provider has this one only.
    pub scheme: &'static str,
    /// The algorithm.
    pub signature: String,
    /// Where the signature stands.
    pub place: String,
    /// What the secret is; `None` if the provider publishes a key.
    pub secret: Option<String>,
    /// What the signature vouches for: `body`, `fields` or `nothing`.
    pub covers: &'static str,
    /// How old a signed timestamp may be, if there is one and it may not be of any age.
    pub tolerance_seconds: Option<i64>,
    /// Where the event's id may be.
    pub event_id: Vec<String>,
    /// What the id is worth: `event`, `events`, `hint`, `none` or `repeats`.
    pub event_id_rating: &'static str,
    /// Why.
    pub event_id_rating_reason: &'static str,
    /// Where the event's type may be.
    pub event_type: Vec<String>,
    /// Where more may be said of it; filters match that too.
    pub event_subtype: Vec<String>,
    /// The methods by which events come.
    pub methods: Vec<&'static str>,
    /// What differs between attempts at one event, and does not tell events apart.
    pub varies: Vec<String>,
}

impl ProviderView {
    /// All that is known of a provider.
    pub fn new(provider: &Provider) -> ProviderView {
        ProviderView {
            provider: provider.name,
            title: provider.title,
            documentation: provider.documentation,
            schemes: provider.schemes.iter().map(SchemeView::new).collect(),
            handshake: handshakes(provider),
            patience_seconds: provider.patience_seconds,
            retries: provider.retries.schedule,
            status_accepted: provider.status_accepted,
            status_refused: provider.status_refused,
            remarks: provider.remarks.to_vec(),
            required: provider.required.iter().map(|setting| setting.key()).collect(),
        }
    }
}

impl SchemeView {
    fn new(scheme: &Scheme) -> SchemeView {
        let named = |sources: &[Source]| sources.iter().map(ToString::to_string).collect();
        SchemeView {
            scheme: scheme.name,
            signature: algorithm(scheme),
            place: place(scheme),
            secret: scheme.secret.is_kept().then(|| scheme.secret.to_string()),
            covers: coverage(scheme),
            tolerance_seconds: scheme.timestamp.and_then(|timestamp| timestamp.tolerance_seconds),
            event_id: named(scheme.event_id),
            event_id_rating: rating(scheme.event_id_rating),
            event_id_rating_reason: scheme.rating_reason,
            event_type: named(scheme.event_type),
            event_subtype: named(scheme.event_subtype),
            methods: scheme.methods.to_vec(),
            varies: named(scheme.varies),
        }
    }
}

/// All providers, in the order of use.
pub fn views() -> Vec<ProviderView> {
    PROVIDERS.iter().map(ProviderView::new).collect()
}

/// All that is known of one provider, and what to write into `endpoints.toml`.
pub fn describe(provider: &Provider) -> String {
    let mut text = format!("{} ({})\n", provider.title, provider.name);
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "  {name:<14} {value}");
    };
    line("documentation", provider.documentation.to_owned());
    for scheme in provider.schemes {
        let default =
            if provider.schemes.len() > 1 && Some(scheme) == provider.schemes.first() { ", the default" } else { "" };
        if !scheme.name.is_empty() {
            line("scheme", format!("{}{default}", scheme.name));
        }
        line("signature", format!("{}, in {}", algorithm(scheme), place(scheme)));
        let secret =
            if scheme.secret.is_kept() { scheme.secret.to_string() } else { "none: its key is published".to_owned() };
        line("secret", secret);
        line("covers", coverage(scheme).to_owned());
        if let Some(timestamp) = scheme.timestamp {
            let age = timestamp.tolerance_seconds.map_or("any age".to_owned(), |seconds| format!("{seconds} s"));
            line("tolerance", age);
        }
        let sources = |sources: &[Source]| {
            let named: Vec<_> = sources.iter().map(ToString::to_string).collect();
            if named.is_empty() { "none".to_owned() } else { named.join(", ") }
        };
        line("event id", sources(scheme.event_id));
        line("", format!("{}: {}", rating(scheme.event_id_rating), scheme.rating_reason));
        line("event type", sources(scheme.event_type));
        if !scheme.event_subtype.is_empty() {
            line("", format!("{}; filters match that too", sources(scheme.event_subtype)));
        }
        if !scheme.varies.is_empty() {
            line("varies", format!("{}; it does not tell events apart", sources(scheme.varies)));
        }
        line("methods", scheme.methods.join(", "));
    }
    line("handshake", handshakes(provider));
    let waits = provider.patience_seconds.map_or("not published".to_owned(), |seconds| format!("{seconds} s"));
    line("waits", waits);
    let after = match provider.retries.after {
        Retried::Never => "nothing".to_owned(),
        Retried::Unknown => "not published".to_owned(),
        Retried::NotSuccess => "all but 2xx".to_owned(),
        Retried::NotOk => "all but 200".to_owned(),
        Retried::ServerErrors => "5xx".to_owned(),
        Retried::AllBut(statuses) => format!("all but {statuses:?}"),
        Retried::ServerErrorsAnd(statuses) => format!("5xx and {statuses:?}"),
        Retried::Only(statuses) => format!("{statuses:?} only"),
    };
    line("retries", format!("{} (after: {after})", provider.retries.schedule));
    for remark in provider.remarks {
        line("remark", (*remark).to_owned());
    }
    line("answered", format!("{} if accepted, {} if refused", provider.status_accepted, provider.status_refused));
    let _ = write!(text, "\n  [endpoints.{0}]\n  provider = \"{0}\"\n", provider.name);
    for setting in provider.required {
        let example = match setting {
            Setting::VerifyToken => "\"what you enter at Meta beside the address\"",
            Setting::WebhookId => "\"the id that PayPal shows for the webhook\"",
            Setting::Topics => "[\"arn:aws:sns:eu-central-1:123456789012:orders\"]",
        };
        let _ = writeln!(text, "  {} = {example}", setting.key());
    }
    text
}

/// What the owner of an endpoint should know about it: what its signature leaves open, and what that leads to.
pub fn cautions(endpoint: &Endpoint) -> Vec<String> {
    let terms = &endpoint.terms;
    let Provider { title, schemes, .. } = terms.provider;
    let scheme = &terms.scheme;
    let mut cautions = Vec::new();
    match scheme.coverage() {
        Coverage::Body => {}
        Coverage::Fields => {
            cautions.push(
                "the signature covers some fields only: whoever captured one request can change the rest".to_owned(),
            );
        }
        Coverage::Nothing => {
            let mut caution =
                "the signature covers nothing of the body: whoever saw one request can send any".to_owned();
            let better = schemes.iter().find(|other| other.coverage() == Coverage::Body);
            if let Some(better) = better {
                let _ = write!(caution, ". {title} has a better scheme: scheme = {:?}", better.name);
            }
            cautions.push(caution);
        }
    }
    if !scheme.separates() {
        let remedy = if terms.provider.name == GENERIC.name {
            ". If the body is always a JSON object or list, say so in `signature`: body = \"json\""
        } else {
            ""
        };
        cautions.push(format!(
            "nothing separates some of the parts that are signed: whoever captured one request can part them anew{remedy}"
        ));
    }
    if scheme.can_be_extended() {
        cautions.push(
            "SHA-256 of the secret and a body that may be anything: whoever captured one request can write on behind its body. If \
             it is always a JSON object or list, say so in `signature`: body = \"json\""
                .to_owned(),
        );
    }
    match scheme.event_id_rating {
        IdRating::Event | IdRating::Events => {}
        IdRating::Hint if endpoint.replay_guard && scheme.without_id == WithoutId::Arrival => cautions.push(
            "replay_guard: of equal requests without an id, the second one counts as a repetition for 35 days".to_owned(),
        ),
        IdRating::Hint if endpoint.replay_guard => {}
        IdRating::Hint if scheme.without_id == WithoutId::Arrival => cautions.push(format!(
            "duplicates are told by id and body ({}); a request without an id is an event each time that it arrives, also when a \
             stranger repeats it",
            scheme.rating_reason
        )),
        IdRating::Hint => cautions.push(format!(
            "duplicates are told by id and body ({}); replay_guard = true also stops a captured body under a new id",
            scheme.rating_reason
        )),
        IdRating::None => {
            cautions.push(format!("{}: duplicates are told by what is signed", scheme.rating_reason));
        }
        IdRating::Repeats => cautions.push(format!(
            "duplicates are not recognised: {}. So whoever captured one request can repeat it",
            scheme.rating_reason
        )),
    }
    if terms.provider.retries.after == Retried::Never {
        cautions
            .push(format!("{title} does not retry: what it cannot deliver is lost, unless it is asked to redeliver"));
    }
    cautions.extend(terms.provider.remarks.iter().map(|remark| (*remark).to_owned()));
    if terms.settings.trust_forwarded {
        cautions.push("trust_forwarded: whoever reaches the API past your proxy chooses the signed address".to_owned());
    }
    if endpoint.source_ranges.is_some() {
        cautions.push(
            "source_ranges: they are the connection's addresses: behind a CDN or a proxy of yours, those are its own"
                .to_owned(),
        );
    }
    if endpoint.log_bodies {
        cautions.push(
            "log_bodies: whoever may read the log reads what its senders send, unverified requests too".to_owned(),
        );
    }
    if terms.provider.patience_seconds.is_some_and(|seconds| seconds <= 2) {
        let seconds = terms.provider.patience();
        cautions.push(format!("{title} waits {seconds} s only: a cold start may come too late for it"));
    }
    cautions
}

fn schemes() -> impl Iterator<Item = (&'static Provider, &'static Scheme)> {
    PROVIDERS.iter().flat_map(|provider| provider.schemes.iter().map(move |scheme| (provider, scheme)))
}

/// How a scheme signs, in a few words.
pub fn algorithm(scheme: &Scheme) -> String {
    let name = match (scheme.content, scheme.algorithm) {
        (Content::PlaidToken, _) => "JWT, ES256",
        (Content::MondayToken, _) => "JWT, HS256",
        (Content::Sns, _) => "RSA, SHA-1 or SHA-256",
        (_, Algorithm::HmacSha1) => "HMAC-SHA1",
        (_, Algorithm::HmacSha256) => "HMAC-SHA256",
        (_, Algorithm::HmacSha384) => "HMAC-SHA384",
        (_, Algorithm::HmacSha512) => "HMAC-SHA512",
        (_, Algorithm::Sha256) => "SHA-256",
        (_, Algorithm::Token) => "token",
        (_, Algorithm::Ed25519) => "Ed25519",
        (_, Algorithm::EcdsaP256Sha256) => "ECDSA P-256",
        (_, Algorithm::RsaSha256) => "RSA, SHA-256",
        (_, Algorithm::RsaSha1) => "RSA, SHA-1",
    };
    match scheme.with_public_key {
        Some(_) => format!("{name}, or Ed25519"),
        None => name.to_owned(),
    }
}

fn coverage(scheme: &Scheme) -> &'static str {
    match scheme.coverage() {
        Coverage::Body => "body",
        Coverage::Fields => "fields",
        Coverage::Nothing => "nothing",
    }
}

fn rating(rating: IdRating) -> &'static str {
    match rating {
        IdRating::Event => "event",
        IdRating::Events => "events",
        IdRating::Hint => "hint",
        IdRating::None => "none",
        IdRating::Repeats => "repeats",
    }
}

fn handshakes(provider: &Provider) -> String {
    let mut kinds: Vec<String> = provider
        .handshakes
        .iter()
        .map(|handshake| format!("{}{}", handshake.method, if handshake.signed { ", signed" } else { "" }))
        .collect();
    if provider.schemes.iter().any(|scheme| scheme.secret == SecretForm::SnsCertificate) {
        kinds.push("POST, signed, confirmed by a fetch".to_owned());
    }
    kinds.dedup();
    if kinds.is_empty() { "-".to_owned() } else { kinds.join("; ") }
}

fn place(scheme: &Scheme) -> String {
    match scheme.signature {
        Place::Header(name) => name.to_owned(),
        Place::Headers(names) => names.join(" or "),
        Place::NumberedHeaders(prefix) => format!("{prefix}1, {prefix}2, ..."),
        Place::Json(pointer) => format!("the body at {pointer}"),
        Place::JsonEach { list, member } => format!("the body, at {member} in each of {list}"),
        Place::Query(name) => format!("the query parameter {name}"),
    }
}

#[cfg(test)]
mod tests {
    use wharf_webhook::endpoints::Endpoints;

    use super::*;

    #[test]
    fn whoever_sets_up_an_endpoint_is_told_what_its_sender_leaves_open() {
        let told = |text: &str, caution: &str| {
            let endpoints = Endpoints::parse(&format!("[endpoints.one]\nprovider = {text}\n")).unwrap();
            let all = cautions(endpoints.get("one").unwrap());
            all.iter().any(|one| one.contains(caution))
        };
        let guard = "replay_guard = true also stops";
        assert!(told("\"github\"", guard));
        assert!(!told("\"github\"\nreplay_guard = true", guard) && !told("\"stripe\"", guard));
        let each_counts = "a request without an id is an event each time that it arrives";
        assert!(told("\"msgraph\"", each_counts) && !told("\"github\"", each_counts));
        let second_is_swallowed = "of equal requests without an id, the second one counts as a repetition";
        assert!(told("\"msgraph\"\nreplay_guard = true", second_is_swallowed));
        assert!(!told("\"github\"\nreplay_guard = true", second_is_swallowed));
        assert!(told("\"dropbox\"", "whoever captured one request can repeat it"));
        let hashed = "\"generic\"\nsignature = { header = \"x\", algorithm = \"sha256\", content = \"{secret}{body}\"";
        assert!(told(&format!("{hashed} }}"), "can write on behind its body"));
        assert!(!told(&format!("{hashed}, body = \"json\" }}"), "can write on behind its body"));
        assert!(told("\"twilio\"", "nothing separates some of the parts"));
        assert!(told("\"telegram\"", "the signature covers nothing of the body"));
        assert!(told("\"gitlab\"\nscheme = \"token\"", "has a better scheme: scheme = \"signing\""));
    }
}
