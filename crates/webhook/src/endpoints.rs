//! `endpoints.toml`: what this deployment accepts.
//!
//! It is read and checked whole: every problem is reported with its line, so that one round of mending is enough.
//!
//! | key of `[endpoints.NAME]` | meaning |
//! | --- | --- |
//! | `provider` | whose scheme verifies it; required |
//! | `scheme` | which, where the provider has several: `"v3"`. Absent: the provider's first |
//! | `events` | the types that are processed; others are acknowledged and counted. A list of events is processed if any of them is, and so is an event whose type cannot be told. Absent: all |
//! | `headers` | further request headers that the handler is given |
//! | `reply` | `{ status, content_type, body }`, what an accepted request is answered with |
//! | `varies` | members of the JSON body, and signed headers, that the sender changes when it tries again, beside those that the provider's row names: `["json:/attempt"]`. They do not tell events apart |
//! | `event_id`, `event_type` | where they are, if not where the provider has them: `header:NAME`, `json:/pointer`, `form:FIELD`, `query:NAME`, or a list of these; `json:/events/*/id` is that of each element |
//! | `replay_guard` | `true`: a body that was processed is not processed again under another unsigned id |
//! | `tolerance_seconds`, `future_tolerance_seconds` | how old a signed timestamp may be, or how far ahead, if not what the provider names |
//! | `public_url` | the whole address as the sender knows it, where it is signed and is not the one that requests come to |
//! | `trust_forwarded` | `true`: `X-Forwarded-Proto` and `X-Forwarded-Host` say what that address was; only behind a proxy that sets both. What is no `http` or `https`, or no host, is ignored |
//! | `verify_token` | Meta: what it repeats in its handshake |
//! | `webhook_id` | PayPal: its id of the webhook |
//! | `topics` | SNS: the ARNs of the topics that are let in |
//! | `sandbox` | Plaid: `true` if its sandbox sends |
//! | `deliver` | `"handler"`, which is what the consumer runs, or `"eventbridge"`. Absent: the handler |
//! | `on_interrupted` | what happens to an event whose worker died: `"rerun"` or `"park"`. Absent: it is run again |
//! | `retry` | `{ attempts, first_seconds, longest_seconds }`, when a failed attempt is repeated, see [`crate::policy::Retry`] |
//! | `keep_days` | how long the message of a completed event is kept, so that it can be replayed. Absent: not at all |
//! | `source_ranges` | the addresses that requests may come from: `["192.30.252.0/22", "2a0a:a440::/29"]`; others are turned away. Absent: from anywhere |
//! | `secret_store` | `"parameterstore"`, or `"secretsmanager"` for the secret `wharf/<stage>/<endpoint>` there. Absent: the parameter store |
//! | `log_bodies` | `true`: what of its bodies fits goes into the log. Absent: nothing of them |
//! | `alarm_refusals` | how many of its requests may be turned away within five minutes before an alarm tells. Absent: only the stage's alarm does |
//! | `alarm_silence_hours` | how many hours may pass without a delivery before an alarm tells, up to 168. Absent: it may be silent for ever |
//! | `methods` | `generic` only: the methods by which events come. Absent: `["POST"]` |
//! | `signature` | `generic` only: the scheme, see [`crate::provider::generic`] |

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::limits::{
    ALARM_SILENCE_HOURS_MAX, ATTEMPTS_MAX, ENDPOINTS_MAX, KEEP_DAYS_MAX, SOURCE_RANGES_MAX, WAIT_SECONDS_MAX,
};
use crate::policy::{Deliver, OnInterrupted, Policy, Retry};
use crate::provider::generic::{self, GENERIC, PARAMETERS, Parameters};
use crate::provider::{self, Check, Content, IdRating, Part, Provider, Scheme, Setting, Source};
use crate::signature;
use crate::terms::{Settings, Terms};

/// The longest name of an endpoint, in bytes: with its prefix it names an SSM parameter and a message group.
pub const NAME_BYTES_MAX: usize = 64;

/// The name of the endpoint that Wharf sends its own probe to. No endpoint of `endpoints.toml` can have it.
pub const PROBE: &str = "_probe";
/// Whose scheme the probe is signed by.
const PROBE_PROVIDER: &str = "standardwebhooks";

/// What `endpoints.toml` says: every endpoint by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoints {
    configured: BTreeMap<String, Endpoint>,
    probe: Endpoint,
}

/// Our address for one sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// `/webhooks/{name}`.
    pub name: String,
    /// What its requests are judged by.
    pub terms: Terms,
    /// The types of event that are processed; `None` for all.
    pub events: Option<Vec<String>>,
    /// Headers that are kept beside the provider's; lower case.
    pub headers: Vec<String>,
    /// What an accepted request is answered with, instead of the provider's status and a short JSON.
    pub reply: Option<Reply>,
    /// Whether a body that was processed is not processed again under another id.
    pub replay_guard: bool,
    /// How its events are processed.
    pub policy: Policy,
    /// Where its secrets are.
    pub secret_store: SecretStore,
    /// The addresses that requests may come from; `None`: any.
    pub source_ranges: Option<Vec<IpNet>>,
    /// Whether bodies go into the log.
    pub log_bodies: bool,
    /// What an alarm of its own tells of.
    pub alarms: Alarms,
}

/// What an endpoint's own alarms tell of; nothing, if it does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Alarms {
    /// More refusals than this within [`ALARM_REFUSALS_SECONDS`](crate::limits::ALARM_REFUSALS_SECONDS).
    pub refusals: Option<i64>,
    /// No delivery for so many hours.
    pub silence_hours: Option<i64>,
}

/// Where an endpoint's secrets are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SecretStore {
    /// A SecureString of SSM's parameter store.
    #[default]
    ParameterStore,
    /// A secret of Secrets Manager, which SSM hands over.
    SecretsManager,
}

/// What an accepted request is answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// 200 to 299.
    pub status: u16,
    /// Of the body.
    pub content_type: String,
    /// As it is sent.
    pub body: String,
}

/// Everything that is wrong with an `endpoints.toml`, in the order of its lines; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong, and what would be right.
    pub text: String,
}

impl fmt::Display for Problems {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Problem { line, text }) in self.0.iter().enumerate() {
            let line_feed = if index == 0 { "" } else { "\n" };
            write!(formatter, "{line_feed}endpoints.toml:{line}: {text}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

impl Endpoint {
    /// The endpoint of Wharf's own probe: there without being configured, and processed by nobody.
    pub fn probe() -> Endpoint {
        let known = provider::find(PROBE_PROVIDER).and_then(|provider| Some((provider, *provider.scheme(None)?)));
        #[expect(clippy::expect_used, reason = "it is a row of the table")]
        let (provider, scheme) = known.expect("the probe's provider is known");
        Endpoint {
            name: PROBE.to_owned(),
            terms: Terms::new(provider, scheme),
            events: None,
            headers: Vec::new(),
            reply: None,
            replay_guard: false,
            policy: Policy { deliver: Deliver::Nobody, ..Policy::default() },
            secret_store: SecretStore::ParameterStore,
            source_ranges: None,
            log_bodies: false,
            alarms: Alarms::default(),
        }
    }

    /// Whether it is Wharf's own.
    pub fn is_probe(&self) -> bool {
        self.name == PROBE
    }

    /// The name by which SSM hands over its secrets on a stage: of a parameter, or of its reference to a secret of Secrets
    /// Manager.
    pub fn secret_parameter(&self, stage: &str) -> String {
        match self.secret_store {
            SecretStore::ParameterStore => format!("/wharf/{stage}/{}", self.name),
            SecretStore::SecretsManager => format!("/aws/reference/secretsmanager/wharf/{stage}/{}", self.name),
        }
    }

    /// Whether a request from this address may be meant; `None` if nobody knows where it came from.
    pub fn may_come_from(&self, source: Option<IpAddr>) -> bool {
        let Some(ranges) = &self.source_ranges else { return true };
        source.is_some_and(|source| ranges.iter().any(|range| range.contains(&source.to_canonical())))
    }

    /// Whether events of these types are processed: all of a request's, of which one is enough. A request whose type cannot be
    /// told is processed: what is not known to be unwanted must not be dropped.
    pub fn subscribes_to(&self, types: &[impl AsRef<str>]) -> bool {
        let is_listed =
            |events: &Vec<String>| types.iter().any(|kind| events.iter().any(|event| event == kind.as_ref()));
        types.is_empty() || self.events.as_ref().is_none_or(is_listed)
    }

    /// The names of the headers that travel with a delivery: those that hold its id and type, the provider's and the
    /// endpoint's; lower case.
    pub fn kept_headers(&self) -> impl Iterator<Item = &str> {
        let scheme = &self.terms.scheme;
        let types = scheme.event_type.iter().chain(scheme.event_subtype);
        let sources = scheme.event_id.iter().chain(types).chain(scheme.beside);
        let named = sources.filter_map(|source| match source {
            Source::Header(name) | Source::EncodedHeader(name) => Some(*name),
            Source::Json(_)
            | Source::MembersBeside { .. }
            | Source::Form(_)
            | Source::FormJson(..)
            | Source::Query(_) => None,
        });
        let mut names: Vec<&str> = named
            .chain(self.terms.provider.headers.iter().copied())
            .chain(self.headers.iter().map(String::as_str))
            .collect();
        // Each once, in this order.
        for index in (1..names.len()).rev() {
            let (before, from) = names.split_at(index);
            if from.first().is_some_and(|name| before.contains(name)) {
                names.remove(index);
            }
        }
        names.into_iter()
    }
}

impl Endpoints {
    /// Reads and checks the text of an `endpoints.toml`.
    ///
    /// # Errors
    /// All [`Problems`] at once.
    pub fn parse(text: &str) -> Result<Endpoints, Problems> {
        let mut reader = Reader { text, problems: Vec::new() };
        let (document, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            let at = error.span().map_or(0, |span| span.start);
            reader.problem(at, error.message().replace('\n', ": "));
        }
        let endpoints = reader.document(document.get_ref());
        if reader.problems.is_empty() {
            return Ok(Endpoints { configured: endpoints, probe: Endpoint::probe() });
        }
        reader.problems.sort_by_key(|problem| problem.line);
        Err(Problems(reader.problems))
    }

    /// The endpoint of this name, [`PROBE`] among them.
    pub fn get(&self, name: &str) -> Option<&Endpoint> {
        if name == PROBE { Some(&self.probe) } else { self.configured.get(name) }
    }

    /// All that are configured, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Endpoint> {
        self.configured.values()
    }
}

/// Reads tables, and collects what is wrong with them.
struct Reader<'a> {
    text: &'a str,
    problems: Vec<Problem>,
}

/// A key or a value, and where it stands.
type At<'a, T> = (usize, T);

impl Reader<'_> {
    fn problem(&mut self, at: usize, text: impl Into<String>) {
        let before = self.text.as_bytes().get(..at).unwrap_or(self.text.as_bytes());
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        // One line each, whatever a key is called.
        self.problems.push(Problem { line, text: text.into().replace('\n', " ") });
    }

    fn document(&mut self, document: &DeTable<'_>) -> BTreeMap<String, Endpoint> {
        self.refuse_unknown_keys(document, &["endpoints"], "the file", "every endpoint is a table [endpoints.NAME]");
        let mut endpoints = BTreeMap::new();
        let Some(value) = document.get("endpoints") else {
            if self.problems.is_empty() {
                self.problem(0, "there is no endpoint: add a table [endpoints.NAME] with its provider");
            }
            return endpoints;
        };
        let Some(table) = self.table(value, "`endpoints`") else { return endpoints };
        if table.is_empty() && self.problems.is_empty() {
            self.problem(value.span().start, "there is no endpoint: add a table [endpoints.NAME] with its provider");
        }
        if table.len() > ENDPOINTS_MAX {
            let found = table.len();
            self.problem(value.span().start, format!("there are {found} endpoints, and {ENDPOINTS_MAX} are the most"));
        }
        for (key, value) in table {
            if let Some(endpoint) = self.endpoint(key, value) {
                endpoints.insert(endpoint.name.clone(), endpoint);
            }
        }
        endpoints
    }

    fn endpoint(&mut self, key: &Spanned<Cow<'_, str>>, value: &Spanned<DeValue<'_>>) -> Option<Endpoint> {
        let (at, name) = (key.span().start, &**key.get_ref());
        if !is_name(name) {
            self.problem(
                at,
                format!(
                    "{name:?} cannot name an endpoint: up to {NAME_BYTES_MAX} of a-z, 0-9, - and _, beginning with a letter or digit"
                ),
            );
        }
        let place = format!("[endpoints.{name}]");
        let table = self.table(value, &place)?;
        let hint = format!("it knows {}", KEYS.join(", "));
        self.refuse_unknown_keys(table, &KEYS, &place, &hint);

        let terms = self.terms(at, name, table);
        let events = self.texts(table, "events");
        if let Some((at, events)) = &events
            && events.is_empty()
        {
            self.problem(
                *at,
                "`events` is empty, so that nothing would be processed: leave it out to process all types",
            );
        }
        if let (Some((at, _)), Some(terms)) = (&events, &terms)
            && terms.scheme.event_type.is_empty()
        {
            let problem = "`events` can match nothing: where the types of";
            let remedy = "is not known. Name the place with `event_type`, or leave `events` out";
            self.problem(*at, format!("{problem} {} stand {remedy}", terms.provider.title));
        }
        if let (Some((at, events)), Some(terms)) = (&events, &terms)
            && let known @ [_, ..] = terms.scheme.types
            && let Some(unknown) = events.iter().find(|event| !known.contains(&event.as_str()))
        {
            let (title, known) = (terms.provider.title, known.join(", "));
            self.problem(*at, format!("`events` has {unknown:?}, and the types of {title} are {known}"));
        }
        let headers = self.headers(table);
        let reply = table.get("reply").and_then(|value| self.reply(value));
        let replay_guard = self.boolean(table, "replay_guard");
        if let (Some((at, true)), Some(terms)) = (replay_guard, &terms)
            && terms.scheme.event_id_rating != IdRating::Hint
        {
            let problem = "`replay_guard` has no meaning here: it is for ids that are not signed, and ";
            self.problem(at, format!("{problem}{}", terms.scheme.rating_reason));
        }
        let policy = self.policy(table);
        let secret_store = self.secret_store(table, terms.as_ref());
        let source_ranges = self.source_ranges(table);
        let log_bodies = self.boolean(table, "log_bodies");
        Some(Endpoint {
            name: name.to_owned(),
            terms: terms?,
            events: events.map(|(_, events)| events),
            headers,
            reply,
            replay_guard: replay_guard.is_some_and(|(_, guard)| guard),
            policy,
            secret_store,
            source_ranges,
            log_bodies: log_bodies.is_some_and(|(_, log)| log),
            alarms: self.alarms(table),
        })
    }

    fn alarms(&mut self, table: &DeTable<'_>) -> Alarms {
        let refusals = self.integer(table, "alarm_refusals");
        if let Some((at, count)) = refusals
            && count < 1
        {
            self.problem(at, format!("`alarm_refusals` is {count}, and must be 1 or more"));
        }
        let silence_hours = self.integer(table, "alarm_silence_hours");
        if let Some((at, hours)) = silence_hours
            && !(1..=ALARM_SILENCE_HOURS_MAX).contains(&hours)
        {
            let problem = format!("`alarm_silence_hours` is {hours}, and must be 1 to {ALARM_SILENCE_HOURS_MAX}");
            self.problem(at, problem);
        }
        Alarms { refusals: refusals.map(|(_, count)| count), silence_hours: silence_hours.map(|(_, hours)| hours) }
    }

    fn secret_store(&mut self, table: &DeTable<'_>, terms: Option<&Terms>) -> SecretStore {
        let Some((at, word)) = self.text(table, "secret_store") else { return SecretStore::default() };
        let brings_its_own = |terms: &Terms| {
            terms.provider.handshakes.iter().any(|handshake| matches!(handshake.check, Check::OffersSecret(_)))
        };
        match word.as_str() {
            "parameterstore" => SecretStore::ParameterStore,
            "secretsmanager" => {
                if let Some(terms) = terms.filter(|terms| !terms.scheme.secret.is_kept()) {
                    let title = terms.provider.title;
                    self.problem(at, format!("`secret_store` has no meaning here: {title} needs no secret"));
                } else if let Some(terms) = terms.filter(|terms| brings_its_own(terms)) {
                    let title = terms.provider.title;
                    self.problem(
                        at,
                        format!("`secret_store`: {title} brings its secret along, which the parameter store takes in"),
                    );
                }
                SecretStore::SecretsManager
            }
            _ => {
                let problem =
                    format!("`secret_store` is {word:?}, and must be \"parameterstore\" or \"secretsmanager\"");
                self.problem(at, problem);
                SecretStore::default()
            }
        }
    }

    fn source_ranges(&mut self, table: &DeTable<'_>) -> Option<Vec<IpNet>> {
        let (at, texts) = self.texts(table, "source_ranges")?;
        if texts.is_empty() {
            self.problem(at, "`source_ranges` is empty, so that nothing would be let in: leave it out to let all in");
        }
        if texts.len() > SOURCE_RANGES_MAX {
            let found = texts.len();
            self.problem(at, format!("`source_ranges` has {found} ranges, and {SOURCE_RANGES_MAX} are the most"));
        }
        let mut ranges = Vec::new();
        for text in texts {
            let problem = match range(&text) {
                Ok(range) => {
                    ranges.push(range);
                    continue;
                }
                Err(NoRange::Unreadable) => "which is no range of addresses: \"192.30.252.0/22\", \"2a0a:a440::/29\"",
                Err(NoRange::PartlyMapped) => {
                    "which begins at an IPv4 address and reaches beyond all of them: write IPv4 ranges as \"10.0.0.0/8\""
                }
            };
            self.problem(at, format!("`source_ranges` has {text:?}, {problem}"));
        }
        Some(ranges)
    }

    fn terms(&mut self, at: usize, name: &str, table: &DeTable<'_>) -> Option<Terms> {
        let Some((provider_at, provider)) = self.text(table, "provider") else {
            if !table.contains_key("provider") {
                self.problem(at, format!("[endpoints.{name}] has no `provider`: {}", list_of_providers()));
            }
            return None;
        };
        let found = if provider == GENERIC.name { Some(&GENERIC) } else { provider::find(&provider) };
        let Some(provider) = found else {
            let problem = match nearest_provider(&provider) {
                Some(nearest) => format!("did you mean {nearest:?}? {}", list_of_providers()),
                None => list_of_providers().to_owned(),
            };
            self.problem(provider_at, format!("the provider {provider:?} is unknown: {problem}"));
            return None;
        };
        let scheme = self.scheme(at, name, provider, table);
        let event_id = self.sources(table, "event_id");
        let event_type = self.sources(table, "event_type");
        let mut scheme = scheme?;
        if let Some(event_type) = event_type {
            scheme = scheme.with_event_type(event_type);
        }
        if let Some(varies) = self.varies(&scheme, table) {
            scheme = scheme.with_more_that_varies(varies);
        }
        let mut terms = Terms::new(provider, scheme);
        self.settings(provider_at, name, table, &mut terms);
        self.methods(table, &mut terms);
        Some(match event_id {
            Some(event_id) => terms.with_event_id(event_id),
            None => terms,
        })
    }

    fn scheme(&mut self, at: usize, name: &str, provider: &Provider, table: &DeTable<'_>) -> Option<Scheme> {
        if provider.name == GENERIC.name {
            if let Some(value) = table.get("scheme") {
                self.problem(value.span().start, "`scheme` has no meaning here: `signature` is the scheme");
            }
            return self.generic(at, name, table);
        }
        if let Some(value) = table.get("signature") {
            let problem =
                format!("`signature` belongs to the provider \"generic\", and {:?} has its own", provider.name);
            self.problem(value.span().start, problem);
        }
        let chosen = self.text(table, "scheme");
        let scheme = provider.scheme(chosen.as_ref().map(|(_, name)| name.as_str()));
        if let (None, Some((at, chosen))) = (scheme, chosen) {
            let names: Vec<_> = provider.schemes.iter().map(|scheme| format!("{:?}", scheme.name)).collect();
            let problem = match &names[..] {
                [_] => format!("`scheme` has no meaning here: {} has one only", provider.title),
                _ => format!("`scheme` is {chosen:?}, and must be one of {}", names.join(", ")),
            };
            self.problem(at, problem);
        }
        scheme.copied()
    }

    /// Reads what only the endpoint's owner knows, and refuses what its provider has no use for: a setting that does
    /// nothing is a mistake.
    fn settings(&mut self, at: usize, name: &str, table: &DeTable<'_>, terms: &mut Terms) {
        let provider = terms.provider;
        for (key, seconds) in [
            ("tolerance_seconds", &mut terms.settings.tolerance_seconds),
            ("future_tolerance_seconds", &mut terms.settings.future_tolerance_seconds),
        ] {
            if let Some((at, found)) = self.integer(table, key) {
                if found < 0 {
                    self.problem(at, format!("`{key}` is negative: it is a number of seconds"));
                } else if terms.scheme.timestamp.is_none() {
                    self.problem(at, format!("`{key}` has no meaning here: {} signs no timestamp", provider.title));
                }
                *seconds = Some(found);
            }
        }
        let Settings { public_url, trust_forwarded, verify_token, webhook_id, topics, sandbox, .. } =
            &mut terms.settings;
        if let Some((at, url)) = self.text(table, "public_url") {
            let is_url = url.parse::<http::Uri>().is_ok_and(|uri| uri.scheme().is_some() && uri.host().is_some());
            if !is_url {
                self.problem(at, format!("`public_url` is {url:?}, and must be a whole address: \"https://…\""));
            }
            self.refuse_unless(terms.scheme.signs_url(), at, "public_url", provider, "signs no address");
            *public_url = Some(url);
        }
        if let Some((at, trusted)) = self.boolean(table, "trust_forwarded") {
            self.refuse_unless(terms.scheme.signs_url(), at, "trust_forwarded", provider, "signs no address");
            *trust_forwarded = trusted;
        }
        if let Some((at, sandboxed)) = self.boolean(table, "sandbox") {
            let has_sandbox = terms.scheme.secret == provider::SecretForm::PlaidCredentials;
            self.refuse_unless(has_sandbox, at, "sandbox", provider, "has no keys of its own for it");
            *sandbox = sandboxed;
        }
        let needs = |setting| provider.required.contains(&setting);
        for (setting, value) in [(Setting::VerifyToken, verify_token), (Setting::WebhookId, webhook_id)] {
            let key = setting.key();
            if let Some((at, text)) = self.text(table, key) {
                self.refuse_unless(needs(setting), at, key, provider, "does not use it");
                if text.is_empty() {
                    self.problem(at, format!("`{key}` is empty"));
                }
                *value = Some(text);
            }
        }
        if let Some((at, arns)) = self.texts(table, Setting::Topics.key()) {
            self.refuse_unless(needs(Setting::Topics), at, "topics", provider, "does not use it");
            if arns.is_empty() {
                self.problem(at, "`topics` is empty, so that nothing would be let in");
            }
            for arn in arns.iter().filter(|arn| signature::sns::region_of_topic(arn).is_none()) {
                let problem = "which is not a topic's: \"arn:aws:sns:<region>:<account>:<name>\", with `aws-cn`, `aws-eusc` or \
                               another partition's name where its region is there";
                self.problem(at, format!("`topics` has {arn:?}, {problem}"));
            }
            *topics = Some(arns);
        }
        for setting in provider.required {
            if !table.contains_key(setting.key()) {
                let problem = format!("[endpoints.{name}] has no `{}`, {}", setting.key(), reason_of(*setting));
                self.problem(at, problem);
            }
        }
    }

    fn policy(&mut self, table: &DeTable<'_>) -> Policy {
        let mut policy = Policy::default();
        if let Some((at, word)) = self.text(table, "deliver") {
            match word.as_str() {
                "handler" => policy.deliver = Deliver::Handler,
                "eventbridge" => policy.deliver = Deliver::EventBridge,
                _ => self.problem(at, format!("`deliver` is {word:?}, and must be \"handler\" or \"eventbridge\"")),
            }
        }
        if let Some((at, word)) = self.text(table, "on_interrupted") {
            match word.as_str() {
                "rerun" => policy.on_interrupted = OnInterrupted::Rerun,
                "park" => policy.on_interrupted = OnInterrupted::Park,
                _ => self.problem(at, format!("`on_interrupted` is {word:?}, and must be \"rerun\" or \"park\"")),
            }
        }
        if let Some((at, days)) = self.integer(table, "keep_days") {
            if (1..=KEEP_DAYS_MAX).contains(&days) {
                policy.keep_seconds = Some(days * 24 * 60 * 60);
            } else {
                self.problem(at, format!("`keep_days` is {days}, and must be 1 to {KEEP_DAYS_MAX}"));
            }
        }
        if let Some(retry) = table.get("retry").and_then(|value| self.retry(value)) {
            policy.retry = retry;
        }
        policy
    }

    fn retry(&mut self, value: &Spanned<DeValue<'_>>) -> Option<Retry> {
        let table = self.table(value, "`retry`")?;
        let keys = ["attempts", "first_seconds", "longest_seconds"];
        self.refuse_unknown_keys(table, &keys, "`retry`", "it knows attempts, first_seconds, longest_seconds");
        let mut retry = Retry::default();
        if let Some((at, attempts)) = self.integer(table, "attempts") {
            match u32::try_from(attempts) {
                Ok(attempts) if (1..=ATTEMPTS_MAX).contains(&attempts) => retry.attempts = attempts,
                _ => self.problem(at, format!("`attempts` is {attempts}, and must be 1 to {ATTEMPTS_MAX}")),
            }
        }
        for (key, seconds) in
            [("first_seconds", &mut retry.first_seconds), ("longest_seconds", &mut retry.longest_seconds)]
        {
            if let Some((at, found)) = self.integer(table, key) {
                if !(1..=WAIT_SECONDS_MAX).contains(&found) {
                    self.problem(at, format!("`{key}` is {found}, and must be 1 to {WAIT_SECONDS_MAX}, a week"));
                }
                *seconds = found;
            }
        }
        if retry.first_seconds > retry.longest_seconds {
            let (first, longest) = (retry.first_seconds, retry.longest_seconds);
            let at = value.span().start;
            self.problem(at, format!("`retry` waits {first} s first, and {longest} s are its longest wait"));
        }
        Some(retry)
    }

    fn refuse_unless(&mut self, meaningful: bool, at: usize, key: &str, provider: &Provider, reason: &str) {
        if !meaningful {
            self.problem(at, format!("`{key}` has no meaning here: {} {reason}", provider.title));
        }
    }

    fn generic(&mut self, at: usize, name: &str, table: &DeTable<'_>) -> Option<Scheme> {
        let Some(value) = table.get("signature") else {
            self.problem(
                at,
                format!("[endpoints.{name}] has no `signature`, which the provider \"generic\" needs: `signature = {{ header = \"X-Signature\" }}`"),
            );
            return None;
        };
        let signature = self.table(value, "`signature`")?;
        let hint = format!("it knows {}", PARAMETERS.join(", "));
        self.refuse_unknown_keys(signature, &PARAMETERS, "`signature`", &hint);
        let require = signature.get("require").and_then(|value| self.table(value, "`require`"));
        let require = require.map_or_else(Vec::new, |required| {
            let names = required.keys().map(|key| key.get_ref().to_string()).collect::<Vec<_>>();
            names.into_iter().filter_map(|name| Some((name.clone(), self.text(required, &name)?.1))).collect()
        });
        let tolerance_seconds = self.integer(signature, "tolerance_seconds").map(|(_, seconds)| seconds);
        let future_tolerance_seconds = self.integer(signature, "future_tolerance_seconds").map(|(_, seconds)| seconds);
        let decompress = self.boolean(signature, "decompress").map(|(_, decompress)| decompress);
        let mut text = |key| self.text(signature, key).map(|(_, text)| text);
        let parameters = Parameters {
            header: text("header"),
            query: text("query"),
            json: text("json"),
            algorithm: text("algorithm"),
            encoding: text("encoding"),
            prefix: text("prefix"),
            separator: text("separator"),
            secret_encoding: text("secret_encoding"),
            content: text("content"),
            timestamp: text("timestamp"),
            timestamp_unit: text("timestamp_unit"),
            tolerance_seconds,
            future_tolerance_seconds,
            require,
            body: text("body"),
            decompress,
        };
        match generic::scheme(&parameters) {
            Ok(scheme) => Some(scheme),
            Err(errors) => {
                for error in errors {
                    let at = signature.get(error.parameter).map_or(value.span().start, |value| value.span().start);
                    self.problem(at, error.problem);
                }
                None
            }
        }
    }

    fn sources(&mut self, table: &DeTable<'_>, key: &str) -> Option<Vec<Source>> {
        let (at, texts) = match table.get(key).map(Spanned::get_ref) {
            Some(DeValue::String(_)) => self.text(table, key).map(|(at, text)| (at, vec![text])),
            _ => self.texts(table, key),
        }?;
        let mut sources = Vec::new();
        for text in texts {
            match generic::source(&text) {
                Ok(source) => sources.push(source),
                Err(problem) => self.problem(at, format!("`{key}`: {problem}")),
            }
        }
        Some(sources)
    }

    fn varies(&mut self, scheme: &Scheme, table: &DeTable<'_>) -> Option<Vec<Source>> {
        let at = table.get("varies")?.span().start;
        let sources = self.sources(table, "varies")?;
        let counts = |source: &Source| match (source, scheme.content) {
            (Source::Json(_), _) => true,
            (Source::Header(name), Content::Parts(parts)) => parts.contains(&Part::Header(name)),
            (
                Source::Header(_)
                | Source::EncodedHeader(_)
                | Source::MembersBeside { .. }
                | Source::Form(_)
                | Source::FormJson(..)
                | Source::Query(_),
                _,
            ) => false,
        };
        for source in sources.iter().filter(|source| !counts(source)) {
            let problem =
                format!("`varies` has \"{source}\", and can have members of the JSON body, \"json:/attempt\"");
            self.problem(at, format!("{problem}, and headers that are signed: what is not signed tells nothing apart"));
        }
        Some(sources)
    }

    fn methods(&mut self, table: &DeTable<'_>, terms: &mut Terms) {
        let Some((at, methods)) = self.texts(table, "methods") else { return };
        if terms.provider.name != GENERIC.name {
            let (title, known) = (terms.provider.title, terms.scheme.methods.join(", "));
            self.problem(at, format!("`methods` has no meaning here: {title} sends its events by {known}"));
        }
        if methods.is_empty() {
            self.problem(at, "`methods` is empty, so that nothing would be let in");
        }
        for method in methods.iter().filter(|method| !EVENT_METHODS.contains(&method.as_str())) {
            let problem = format!("`methods` has {method:?}, and can have {}", EVENT_METHODS.join(", "));
            self.problem(at, problem);
        }
        terms.methods = methods.into_iter().map(generic::kept).collect();
    }

    fn headers(&mut self, table: &DeTable<'_>) -> Vec<String> {
        let Some((at, names)) = self.texts(table, "headers") else { return Vec::new() };
        let mut headers = Vec::new();
        for name in names {
            match http::HeaderName::from_bytes(name.as_bytes()) {
                Ok(name) => headers.push(name.as_str().to_owned()),
                Err(_) => self.problem(at, format!("`headers` has {name:?}, which is not a header's name")),
            }
        }
        headers
    }

    fn reply(&mut self, value: &Spanned<DeValue<'_>>) -> Option<Reply> {
        let table = self.table(value, "`reply`")?;
        self.refuse_unknown_keys(
            table,
            &["status", "content_type", "body"],
            "`reply`",
            "it knows status, content_type, body",
        );
        let status = match self.integer(table, "status") {
            None => Some(200),
            Some((_, status)) if (200..300).contains(&status) => u16::try_from(status).ok(),
            Some((at, status)) => {
                self.problem(at, format!("`status` is {status}: an accepted request is answered with 200 to 299"));
                None
            }
        };
        let content_type = self.text(table, "content_type");
        if let Some((at, content_type)) = &content_type
            && http::HeaderValue::from_str(content_type).is_err()
        {
            self.problem(*at, format!("`content_type` is {content_type:?}, which is not a header's value"));
        }
        Some(Reply {
            status: status?,
            content_type: content_type.map_or_else(|| "text/plain".to_owned(), |(_, text)| text),
            body: self.text(table, "body").map(|(_, text)| text).unwrap_or_default(),
        })
    }

    fn table<'v, 'i>(&mut self, value: &'v Spanned<DeValue<'i>>, place: &str) -> Option<&'v DeTable<'i>> {
        let table = value.get_ref().as_table();
        if table.is_none() {
            let found = value.get_ref().type_str();
            self.problem(value.span().start, format!("{place} must be a table, and its type is {found}"));
        }
        table
    }

    fn text(&mut self, table: &DeTable<'_>, key: &str) -> Option<At<'static, String>> {
        let value = table.get(key)?;
        let at = value.span().start;
        let text = value.get_ref().as_str().map(|text| (at, text.to_owned()));
        if text.is_none() {
            self.problem(at, format!("`{key}` must be a text, and its type is {}", value.get_ref().type_str()));
        }
        text
    }

    fn texts(&mut self, table: &DeTable<'_>, key: &str) -> Option<At<'static, Vec<String>>> {
        let value = table.get(key)?;
        let at = value.span().start;
        let texts = value
            .get_ref()
            .as_array()
            .and_then(|items| items.iter().map(|item| item.get_ref().as_str().map(str::to_owned)).collect());
        if texts.is_none() {
            self.problem(at, format!("`{key}` must be a list of texts: {key} = [\"…\"]"));
        }
        texts.map(|texts| (at, texts))
    }

    fn boolean(&mut self, table: &DeTable<'_>, key: &str) -> Option<At<'static, bool>> {
        let value = table.get(key)?;
        let at = value.span().start;
        let boolean = value.get_ref().as_bool();
        if boolean.is_none() {
            self.problem(at, format!("`{key}` must be true or false, and its type is {}", value.get_ref().type_str()));
        }
        boolean.map(|boolean| (at, boolean))
    }

    fn integer(&mut self, table: &DeTable<'_>, key: &str) -> Option<At<'static, i64>> {
        let value = table.get(key)?;
        let at = value.span().start;
        let integer = value
            .get_ref()
            .as_integer()
            .and_then(|integer| i64::from_str_radix(integer.as_str(), integer.radix()).ok());
        if integer.is_none() {
            self.problem(at, format!("`{key}` must be a whole number, and its type is {}", value.get_ref().type_str()));
        }
        integer.map(|integer| (at, integer))
    }

    fn refuse_unknown_keys(&mut self, table: &DeTable<'_>, known: &[&str], place: &str, hint: &str) {
        for key in table.keys() {
            if !known.contains(&&**key.get_ref()) {
                self.problem(key.span().start, format!("{place} has the unknown key `{}`: {hint}", key.get_ref()));
            }
        }
    }
}

/// The methods by which events may come.
const EVENT_METHODS: [&str; 5] = ["POST", "PUT", "PATCH", "GET", "DELETE"];

/// All keys of an endpoint.
const KEYS: [&str; 28] = [
    "provider",
    "scheme",
    "events",
    "headers",
    "reply",
    "event_id",
    "event_type",
    "varies",
    "replay_guard",
    "tolerance_seconds",
    "future_tolerance_seconds",
    "public_url",
    "trust_forwarded",
    "verify_token",
    "webhook_id",
    "topics",
    "sandbox",
    "deliver",
    "on_interrupted",
    "retry",
    "keep_days",
    "source_ranges",
    "secret_store",
    "log_bodies",
    "alarm_refusals",
    "alarm_silence_hours",
    "methods",
    "signature",
];

fn reason_of(setting: Setting) -> &'static str {
    match setting {
        Setting::VerifyToken => {
            "the text that you enter at Meta beside the address, and that it repeats in its handshake"
        }
        Setting::WebhookId => "the id that PayPal shows for the webhook, which it signs",
        Setting::Topics => {
            "the ARNs of the topics that are let in: anyone with an AWS account can have SNS sign messages to any address"
        }
    }
}

fn list_of_providers() -> &'static str {
    "`cargo ops providers` lists those that are known"
}

/// The provider whose name is most like this one, if any is.
fn nearest_provider(name: &str) -> Option<&'static str> {
    let likeness = |known: &str| strsim::jaro_winkler(&name.to_ascii_lowercase(), known);
    let nearest = provider::named().max_by(|one, other| likeness(one).total_cmp(&likeness(other)))?;
    (likeness(nearest) > 0.85).then_some(nearest)
}

/// Why a text is no range of source addresses.
enum NoRange {
    Unreadable,
    /// `::ffff:10.0.0.0/90`: it would hold all of IPv4, and more that is none.
    PartlyMapped,
}

/// A range of source addresses, or a single one. An IPv4 range that is written as IPv6 (RFC 4291, 2.5.5.2) becomes an IPv4
/// range, because [`Endpoint::may_come_from`] compares addresses in that form: `::ffff:10.0.0.0/104` is `10.0.0.0/8`.
fn range(text: &str) -> Result<IpNet, NoRange> {
    let single = || text.parse::<IpAddr>().map(IpNet::from);
    let range = text.parse::<IpNet>().or_else(|_| single()).map_err(|_| NoRange::Unreadable)?;
    let IpNet::V6(wide) = range else { return Ok(range) };
    let Some(mapped) = wide.addr().to_ipv4_mapped() else { return Ok(range) };
    let prefix = wide.prefix_len().checked_sub(96).ok_or(NoRange::PartlyMapped)?;
    Ipv4Net::new(mapped, prefix).map(IpNet::V4).map_err(|_| NoRange::Unreadable)
}

fn is_name(name: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    name.len() <= NAME_BYTES_MAX
        && name.bytes().next().is_some_and(is_word)
        && name.bytes().all(|byte| is_word(byte) || byte == b'-' || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<(usize, String)> {
        match Endpoints::parse(text) {
            Ok(endpoints) => panic!("accepted: {endpoints:?}"),
            Err(problems) => problems.0.into_iter().map(|problem| (problem.line, problem.text)).collect(),
        }
    }

    #[test]
    fn an_endpoint_needs_a_provider_and_no_more() {
        let endpoints = Endpoints::parse("[endpoints.github]\nprovider = \"github\"\n").unwrap();
        let github = endpoints.get("github").unwrap();
        assert_eq!(github.terms.provider.name, "github");
        assert!(github.subscribes_to(&["push"]));
        assert!(github.subscribes_to(&[] as &[&str]));
    }

    #[test]
    fn only_the_listed_events_are_subscribed_to() {
        let text = "[endpoints.github]\nprovider = \"github\"\nevents = [\"push\"]\n";
        let endpoints = Endpoints::parse(text).unwrap();
        let github = endpoints.get("github").unwrap();
        assert!(github.subscribes_to(&["push"]));
        assert!(github.subscribes_to(&["pull_request", "push"]));
        assert!(!github.subscribes_to(&["pull_request"]));
        // Its type cannot be told.
        assert!(github.subscribes_to(&[] as &[&str]));
    }

    #[test]
    fn a_generic_endpoint_brings_its_row() {
        let text = r#"
            [endpoints.partner]
            provider = "generic"
            signature = { header = "X-Webhook-Signature", algorithm = "hmac-sha256", encoding = "hex", prefix = "sha256=" }
            event_id = "header:X-Webhook-Id"
            event_type = ["header:X-Type", "json:/type"]
            headers = ["X-Tenant"]
            reply = { status = 202, content_type = "text/xml", body = "<Response/>" }
        "#;
        let endpoints = Endpoints::parse(text).unwrap();
        let partner = endpoints.get("partner").unwrap();
        assert_eq!(partner.terms.scheme.prefix, "sha256=");
        assert_eq!(partner.kept_headers().collect::<Vec<_>>(), ["x-webhook-id", "x-type", "x-tenant"]);
        assert_eq!(
            partner.reply,
            Some(Reply { status: 202, content_type: "text/xml".into(), body: "<Response/>".into() })
        );
    }

    #[test]
    fn every_problem_is_reported_with_its_line() {
        let text = r#"colour = "red"
[endpoints.GitHub]
provider = "github"
[endpoints.billing]
provider = "strype"
evnts = ["a"]
[endpoints.shop]
events = []
[endpoints.partner]
provider = "generic"
event_id = "body:/id"
signature = { header = "X S", algorithm = "md5", tolerance_seconds = "1" }
reply = { status = 500 }
[endpoints.code]
provider = "github"
signature = { header = "X-S" }
"#;
        assert_eq!(
            problems(text),
            [
                (1, "the file has the unknown key `colour`: every endpoint is a table [endpoints.NAME]".into()),
                (
                    2,
                    "\"GitHub\" cannot name an endpoint: up to 64 of a-z, 0-9, - and _, beginning with a letter or digit"
                        .into()
                ),
                (5, "the provider \"strype\" is unknown: did you mean \"stripe\"? `cargo ops providers` lists those that are known".into()),
                (
                    6,
                    "[endpoints.billing] has the unknown key `evnts`: it knows provider, scheme, events, headers, reply, event_id, event_type, varies, replay_guard, tolerance_seconds, future_tolerance_seconds, public_url, trust_forwarded, verify_token, webhook_id, topics, sandbox, deliver, on_interrupted, retry, keep_days, source_ranges, secret_store, log_bodies, alarm_refusals, alarm_silence_hours, methods, signature"
                        .into()
                ),
                (7, "[endpoints.shop] has no `provider`: `cargo ops providers` lists those that are known".into()),
                (
                    8,
                    "`events` is empty, so that nothing would be processed: leave it out to process all types".into()
                ),
                (11, "`event_id`: \"body:/id\" is none of \"header:NAME\", \"json:/pointer\", \"form:FIELD\", \"form:FIELD:/pointer\", \"query:NAME\"".into()),
                (12, "`tolerance_seconds` must be a whole number, and its type is string".into()),
                (12, "`header` names \"X S\", which is not a header's name".into()),
                (
                    12,
                    "`algorithm` is \"md5\", and must be one of \"hmac-sha1\", \"hmac-sha256\", \"hmac-sha384\", \"hmac-sha512\", \"token\", \"sha256\", \"ed25519\", \"ecdsa-p256-sha256\", \"rsa-sha256\""
                        .into()
                ),
                (13, "`status` is 500: an accepted request is answered with 200 to 299".into()),
                (16, "`signature` belongs to the provider \"generic\", and \"github\" has its own".into()),
            ]
        );
    }

    #[test]
    fn what_only_the_owner_knows_is_asked_for_and_what_means_nothing_is_refused() {
        let text = r#"
[endpoints.sns]
provider = "sns"
[endpoints.alerts]
provider = "sns"
topics = []
[endpoints.orders]
provider = "sns"
topics = ["orders"]
[endpoints.meta]
provider = "meta"
verify_token = ""
[endpoints.paypal]
provider = "paypal"
[endpoints.github]
provider = "github"
scheme = "v2"
tolerance_seconds = 10
public_url = "hooks.example.com"
trust_forwarded = true
verify_token = "x"
sandbox = true
[endpoints.gitlab]
provider = "gitlab"
scheme = "signature"
[endpoints.stripe]
provider = "stripe"
tolerance_seconds = -1
replay_guard = true
"#;
        assert_eq!(
            problems(text),
            [
                (3, "[endpoints.sns] has no `topics`, the ARNs of the topics that are let in: anyone with an AWS account can have SNS sign messages to any address".into()),
                (6, "`topics` is empty, so that nothing would be let in".into()),
                (9, "`topics` has \"orders\", which is not a topic's: \"arn:aws:sns:<region>:<account>:<name>\", with `aws-cn`, `aws-eusc` or another partition's name where its region is there".into()),
                (12, "`verify_token` is empty".into()),
                (14, "[endpoints.paypal] has no `webhook_id`, the id that PayPal shows for the webhook, which it signs".into()),
                (17, "`scheme` has no meaning here: GitHub has one only".into()),
                (25, "`scheme` is \"signature\", and must be one of \"token\", \"signing\"".into()),
                (28, "`tolerance_seconds` is negative: it is a number of seconds".into()),
                (29, "`replay_guard` has no meaning here: it is for ids that are not signed, and the id is the event's; the body changes between sends (pending_webhooks)".into()),
            ]
        );
        let text = text.replace("scheme = \"v2\"\n", "");
        let github: Vec<_> =
            problems(&text).into_iter().filter(|(line, _)| (15..23).contains(line)).map(|(_, text)| text).collect();
        assert_eq!(
            github,
            [
                "`tolerance_seconds` has no meaning here: GitHub signs no timestamp",
                "`public_url` is \"hooks.example.com\", and must be a whole address: \"https://…\"",
                "`public_url` has no meaning here: GitHub signs no address",
                "`trust_forwarded` has no meaning here: GitHub signs no address",
                "`verify_token` has no meaning here: GitHub does not use it",
                "`sandbox` has no meaning here: GitHub has no keys of its own for it",
            ]
        );
    }

    #[test]
    fn an_endpoint_has_its_providers_tolerance_or_its_own() {
        let text = "[endpoints.a]\nprovider = \"box\"\n[endpoints.b]\nprovider = \"stripe\"\ntolerance_seconds = 60\n\
                    [endpoints.c]\nprovider = \"github\"\nevent_id = \"json:/id\"\n";
        let endpoints = Endpoints::parse(text).unwrap();
        let settings = |name| &endpoints.get(name).unwrap().terms.settings;
        assert_eq!((settings("a").tolerance_seconds, settings("a").future_tolerance_seconds), (Some(600), Some(60)));
        assert_eq!((settings("b").tolerance_seconds, settings("b").future_tolerance_seconds), (Some(60), None));
        // An id of the endpoint's own is worth what the signature makes of it.
        assert_eq!(endpoints.get("c").unwrap().terms.scheme.event_id_rating, IdRating::Event);
    }

    #[test]
    fn text_that_is_not_toml_is_reported_with_its_line() {
        let text = "[endpoints.github]\nprovider = \"github\"\nprovider = \"generic\"\nevents = [\n";
        let lines: Vec<usize> = problems(text).into_iter().map(|(line, _)| line).collect();
        assert!(lines.contains(&3), "{:?}", problems(text));
        assert!(lines.iter().any(|line| *line >= 4), "{:?}", problems(text));
    }

    #[test]
    fn a_file_without_endpoints_is_refused() {
        let none = "there is no endpoint: add a table [endpoints.NAME] with its provider";
        assert_eq!(problems(""), [(1, none.into())]);
        assert_eq!(problems("# nothing\n[endpoints]\n"), [(2, none.into())]);
        assert_eq!(problems("endpoints = 3"), [(1, "`endpoints` must be a table, and its type is integer".into())]);
    }

    #[test]
    fn a_name_of_64_bytes_is_accepted_and_one_of_65_is_not() {
        assert!(is_name(&"a".repeat(64)));
        assert!(!is_name(&"a".repeat(65)));
        for name in ["", "_probe", "-a", "a.b", "a/b", "é"] {
            assert!(!is_name(name), "{name}");
        }
    }

    #[test]
    fn an_endpoint_says_how_its_events_are_processed() {
        let endpoint = |policy: &str| {
            let text = format!("[endpoints.shop]\nprovider = \"github\"\n{policy}");
            Endpoints::parse(&text).map(|endpoints| endpoints.get("shop").unwrap().policy)
        };
        assert_eq!(endpoint(""), Ok(Policy::default()));
        let text = "deliver = \"eventbridge\"\non_interrupted = \"park\"\nkeep_days = 35\n\
                    retry = { attempts = 100, first_seconds = 1, longest_seconds = 604800 }";
        let policy = Policy {
            deliver: Deliver::EventBridge,
            on_interrupted: OnInterrupted::Park,
            retry: Retry { attempts: 100, first_seconds: 1, longest_seconds: 604_800 },
            keep_seconds: Some(3_024_000),
        };
        assert_eq!(endpoint(text), Ok(policy));
        let partly = Policy { retry: Retry { attempts: 3, ..Retry::default() }, ..Policy::default() };
        assert_eq!(endpoint("retry = { attempts = 3 }"), Ok(partly));
    }

    #[test]
    fn the_probes_endpoint_is_there_without_being_configured_and_is_not_listed() {
        let endpoints = Endpoints::parse("[endpoints.github]\nprovider = \"github\"\n").unwrap();
        let probe = endpoints.get("_probe").unwrap();
        assert!(probe.is_probe() && probe.terms.scheme.can_sign());
        assert_eq!((probe.terms.provider.name, probe.policy.deliver), ("standardwebhooks", Deliver::Nobody));
        assert_eq!(probe.secret_parameter("production"), "/wharf/production/_probe");
        assert_eq!(endpoints.iter().map(|endpoint| endpoint.name.as_str()).collect::<Vec<_>>(), ["github"]);
    }

    #[test]
    fn only_a_named_range_of_addresses_is_let_in() {
        let text = "[endpoints.github]\nprovider = \"github\"\n\
                    source_ranges = [\"192.30.252.0/22\", \"2a0a:a440::/29\", \"203.0.113.7\"]\n\
                    [endpoints.open]\nprovider = \"github\"\n";
        let endpoints = Endpoints::parse(text).unwrap();
        let lets_in = |name: &str, source: &str| endpoints.get(name).unwrap().may_come_from(source.parse().ok());
        for source in ["192.30.252.0", "192.30.255.255", "::ffff:192.30.253.1", "2a0a:a447::1", "203.0.113.7"] {
            assert!(lets_in("github", source), "{source}");
        }
        for source in ["192.30.251.255", "192.31.0.0", "2a0a:a448::", "203.0.113.8", "", "unknown"] {
            assert!(!lets_in("github", source), "{source}");
            assert!(lets_in("open", source), "{source}");
        }
    }

    #[test]
    fn an_ipv4_range_that_is_written_as_ipv6_lets_in_what_the_ipv4_range_does() {
        let text = "[endpoints.a]\nprovider = \"github\"\n\
                    source_ranges = [\"::ffff:10.0.0.0/104\", \"::ffff:203.0.113.7\", \"::ffff:c000:200/120\"]\n\
                    [endpoints.b]\nprovider = \"github\"\nsource_ranges = [\"::ffff:0:0/96\"]\n";
        let endpoints = Endpoints::parse(text).unwrap();
        let lets_in = |name: &str, source: &str| endpoints.get(name).unwrap().may_come_from(source.parse().ok());
        for source in ["10.0.0.0", "10.255.255.255", "::ffff:10.1.2.3", "203.0.113.7", "192.0.2.0", "192.0.2.255"] {
            assert!(lets_in("a", source), "{source}");
        }
        for source in ["9.255.255.255", "11.0.0.0", "203.0.113.8", "192.0.3.0", "2a0a::1"] {
            assert!(!lets_in("a", source), "{source}");
        }
        assert!(lets_in("b", "0.0.0.0") && lets_in("b", "255.255.255.255") && !lets_in("b", "2a0a::1"));
    }

    #[test]
    fn a_secret_is_in_the_parameter_store_or_in_secrets_manager() {
        let text = "[endpoints.a]\nprovider = \"github\"\nsecret_store = \"secretsmanager\"\n[endpoints.b]\nprovider = \"github\"\n";
        let endpoints = Endpoints::parse(text).unwrap();
        let parameter = |name| endpoints.get(name).unwrap().secret_parameter("staging");
        assert_eq!(parameter("a"), "/aws/reference/secretsmanager/wharf/staging/a");
        assert_eq!(parameter("b"), "/wharf/staging/b");
    }

    #[test]
    fn an_endpoint_has_alarms_of_its_own_where_it_says_so() {
        let text = "[endpoints.a]\nprovider = \"github\"\nalarm_refusals = 20\nalarm_silence_hours = 168\n[endpoints.b]\nprovider = \"github\"\n";
        let endpoints = Endpoints::parse(text).unwrap();
        let alarms = |name| endpoints.get(name).unwrap().alarms;
        assert_eq!(alarms("a"), Alarms { refusals: Some(20), silence_hours: Some(168) });
        assert_eq!(alarms("b"), Alarms::default());
    }

    #[test]
    fn what_the_door_is_told_and_cannot_be_meant_is_a_problem() {
        let cases = [
            (
                "github",
                "source_ranges = []",
                "`source_ranges` is empty, so that nothing would be let in: leave it out to let all in",
            ),
            (
                "github",
                "source_ranges = [\"10.0.0.0/33\"]",
                "`source_ranges` has \"10.0.0.0/33\", which is no range of addresses: \"192.30.252.0/22\", \"2a0a:a440::/29\"",
            ),
            (
                "github",
                "source_ranges = [\"::ffff:10.0.0.0/95\"]",
                "`source_ranges` has \"::ffff:10.0.0.0/95\", which begins at an IPv4 address and reaches beyond all of them: write IPv4 ranges as \"10.0.0.0/8\"",
            ),
            (
                "github",
                "secret_store = \"vault\"",
                "`secret_store` is \"vault\", and must be \"parameterstore\" or \"secretsmanager\"",
            ),
            (
                "sns\"\ntopics = [\"arn:aws:sns:eu-west-1:123456789012:orders\"]\nsecret_store = \"secretsmanager",
                "",
                "`secret_store` has no meaning here: Amazon SNS needs no secret",
            ),
            (
                "asana",
                "secret_store = \"secretsmanager\"",
                "`secret_store`: Asana brings its secret along, which the parameter store takes in",
            ),
            ("github", "log_bodies = 1", "`log_bodies` must be true or false, and its type is integer"),
            ("github", "alarm_refusals = 0", "`alarm_refusals` is 0, and must be 1 or more"),
            ("github", "alarm_silence_hours = 0", "`alarm_silence_hours` is 0, and must be 1 to 168"),
            ("github", "alarm_silence_hours = 169", "`alarm_silence_hours` is 169, and must be 1 to 168"),
        ];
        for (provider, keys, problem) in cases {
            let text = format!("[endpoints.shop]\nprovider = \"{provider}\"\n{keys}");
            let found: Vec<_> = problems(&text).into_iter().map(|(_, text)| text).collect();
            assert_eq!(found, [problem], "{keys}");
        }
        let ranges =
            |count| format!("[endpoints.shop]\nprovider = \"github\"\nsource_ranges = {:?}", vec!["10.0.0.0/8"; count]);
        assert!(Endpoints::parse(&ranges(64)).is_ok());
        assert_eq!(problems(&ranges(65)), [(3, "`source_ranges` has 65 ranges, and 64 are the most".into())]);
    }

    #[test]
    fn a_policy_that_cannot_be_meant_is_a_problem() {
        let cases = [
            ("deliver = \"sqs\"", "`deliver` is \"sqs\", and must be \"handler\" or \"eventbridge\""),
            ("on_interrupted = \"retry\"", "`on_interrupted` is \"retry\", and must be \"rerun\" or \"park\""),
            ("keep_days = 0", "`keep_days` is 0, and must be 1 to 35"),
            ("keep_days = 36", "`keep_days` is 36, and must be 1 to 35"),
            ("retry = { attempts = 0 }", "`attempts` is 0, and must be 1 to 100"),
            ("retry = { attempts = 101 }", "`attempts` is 101, and must be 1 to 100"),
            ("retry = { first_seconds = 0 }", "`first_seconds` is 0, and must be 1 to 604800, a week"),
            ("retry = { longest_seconds = 604801 }", "`longest_seconds` is 604801, and must be 1 to 604800, a week"),
            ("retry = { longest_seconds = 9 }", "`retry` waits 10 s first, and 9 s are its longest wait"),
            (
                "retry = { tries = 3 }",
                "`retry` has the unknown key `tries`: it knows attempts, first_seconds, longest_seconds",
            ),
        ];
        for (policy, problem) in cases {
            let text = format!("[endpoints.shop]\nprovider = \"github\"\n{policy}");
            let problems = Endpoints::parse(&text).unwrap_err().0;
            assert_eq!(problems, [Problem { line: 3, text: problem.to_owned() }], "{policy}");
        }
    }
}
