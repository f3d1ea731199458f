//! `endpoints.toml`: what this deployment accepts.
//!
//! It is read and checked whole: every problem is reported with its line, so that one round of mending is enough.
//!
//! | key of `[endpoints.NAME]` | meaning |
//! | --- | --- |
//! | `provider` | whose scheme verifies it; required |
//! | `events` | the types that are processed; others are acknowledged and counted. Absent: all |
//! | `headers` | further request headers that the handler is given |
//! | `reply` | `{ status, content_type, body }`, what an accepted request is answered with |
//! | `signature` | `generic` only: the scheme, see [`crate::provider::generic`] |
//! | `event_id`, `event_type` | `generic` only: where they are, `header:NAME` or `json:/pointer`, or a list of these |

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::limits::ENDPOINTS_MAX;
use crate::provider::generic::{self, Parameters};
use crate::provider::{self, List, Provider, Source};

/// The longest name of an endpoint, in bytes: with its prefix it names an SSM parameter and a message group.
pub const NAME_BYTES_MAX: usize = 64;

/// What `endpoints.toml` says: every endpoint by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoints(BTreeMap<String, Endpoint>);

/// Our address for one sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// `/webhooks/{name}`.
    pub name: String,
    /// How its requests are verified.
    pub provider: Cow<'static, Provider>,
    /// The types of event that are processed; `None` for all.
    pub events: Option<Vec<String>>,
    /// Headers that are kept beside the provider's; lower case.
    pub headers: Vec<String>,
    /// What an accepted request is answered with, instead of the provider's status and a short JSON.
    pub reply: Option<Reply>,
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
    /// Whether events of this type are processed. One without a type is, where all are.
    pub fn subscribes_to(&self, event_type: Option<&str>) -> bool {
        match (&self.events, event_type) {
            (None, _) => true,
            (Some(events), Some(event_type)) => events.iter().any(|event| event == event_type),
            (Some(_), None) => false,
        }
    }

    /// The names of the headers that travel with a delivery; lower case.
    pub fn kept_headers(&self) -> impl Iterator<Item = &str> {
        self.provider.headers.iter().map(|name| &**name).chain(self.headers.iter().map(String::as_str))
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
            return Ok(Endpoints(endpoints));
        }
        reader.problems.sort_by_key(|problem| problem.line);
        Err(Problems(reader.problems))
    }

    /// The endpoint of this name.
    pub fn get(&self, name: &str) -> Option<&Endpoint> {
        self.0.get(name)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Endpoint> {
        self.0.values()
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
        self.problems.push(Problem { line, text: text.into() });
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
        let table = self.table(value, &format!("[endpoints.{name}]"))?;
        let place = format!("[endpoints.{name}]");
        let own = ["provider", "events", "headers", "reply", "signature", "event_id", "event_type"];
        self.refuse_unknown_keys(table, &own, &place, &format!("it knows {}", own.join(", ")));

        let provider = self.provider(at, name, table);
        let events = self.texts(table, "events");
        if let Some((at, events)) = &events
            && events.is_empty()
        {
            self.problem(
                *at,
                "`events` is empty, so that nothing would be processed: leave it out to process all types",
            );
        }
        let headers = self.headers(table);
        let reply = table.get("reply").and_then(|value| self.reply(value));
        Some(Endpoint {
            name: name.to_owned(),
            provider: provider?,
            events: events.map(|(_, events)| events),
            headers,
            reply,
        })
    }

    fn provider(&mut self, at: usize, name: &str, table: &DeTable<'_>) -> Option<Cow<'static, Provider>> {
        let known = provider::named().collect::<Vec<_>>().join(", ");
        let Some((at, provider)) = self.text(table, "provider") else {
            if !table.contains_key("provider") {
                self.problem(at, format!("[endpoints.{name}] has no `provider`: name one of {known}"));
            }
            return None;
        };
        if provider == "generic" {
            return self.generic(at, name, table).map(Cow::Owned);
        }
        let found = provider::find(&provider);
        if found.is_none() {
            self.problem(at, format!("the provider {provider:?} is unknown: name one of {known}"));
        }
        for only_generic in ["signature", "event_id", "event_type"] {
            if let Some(value) = table.get(only_generic)
                && found.is_some()
            {
                self.problem(
                    value.span().start,
                    format!("`{only_generic}` belongs to the provider \"generic\", and {provider:?} has its own"),
                );
            }
        }
        found.map(Cow::Borrowed)
    }

    fn generic(&mut self, at: usize, name: &str, table: &DeTable<'_>) -> Option<Provider> {
        let event_id = self.sources(table, "event_id");
        let event_type = self.sources(table, "event_type");
        let Some(value) = table.get("signature") else {
            self.problem(
                at,
                format!("[endpoints.{name}] has no `signature`, which the provider \"generic\" needs: `signature = {{ header = \"X-Signature\" }}`"),
            );
            return None;
        };
        let signature = self.table(value, "`signature`")?;
        let own = [
            "header",
            "algorithm",
            "encoding",
            "prefix",
            "separator",
            "secret_encoding",
            "content",
            "timestamp",
            "timestamp_unit",
            "tolerance_seconds",
            "future_tolerance_seconds",
        ];
        self.refuse_unknown_keys(signature, &own, "`signature`", &format!("it knows {}", own.join(", ")));
        let mut text = |key| self.text(signature, key).map(|(_, text)| text);
        let parameters = Parameters {
            header: text("header"),
            algorithm: text("algorithm"),
            encoding: text("encoding"),
            prefix: text("prefix"),
            separator: text("separator"),
            secret_encoding: text("secret_encoding"),
            content: text("content"),
            timestamp: text("timestamp"),
            timestamp_unit: text("timestamp_unit"),
            tolerance_seconds: self.integer(signature, "tolerance_seconds").map(|(_, seconds)| seconds),
            future_tolerance_seconds: self.integer(signature, "future_tolerance_seconds").map(|(_, seconds)| seconds),
        };
        match generic::provider(&parameters, event_id, event_type) {
            Ok(provider) => Some(provider),
            Err(errors) => {
                for error in errors {
                    let at = signature.get(error.parameter).map_or(value.span().start, |value| value.span().start);
                    self.problem(at, error.problem);
                }
                None
            }
        }
    }

    fn sources(&mut self, table: &DeTable<'_>, key: &str) -> List<Source> {
        let Some((at, texts)) = (match table.get(key).map(Spanned::get_ref) {
            Some(DeValue::String(_)) => self.text(table, key).map(|(at, text)| (at, vec![text])),
            _ => self.texts(table, key),
        }) else {
            return List::default();
        };
        let mut sources = Vec::new();
        for text in texts {
            match generic::source(&text) {
                Ok(source) => sources.push(source),
                Err(problem) => self.problem(at, format!("`{key}`: {problem}")),
            }
        }
        sources.into()
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
        assert_eq!(github.provider.name, "github");
        assert!(github.subscribes_to(Some("push")));
        assert!(github.subscribes_to(None));
    }

    #[test]
    fn only_the_listed_events_are_subscribed_to() {
        let text = "[endpoints.github]\nprovider = \"github\"\nevents = [\"push\"]\n";
        let endpoints = Endpoints::parse(text).unwrap();
        let github = endpoints.get("github").unwrap();
        assert!(github.subscribes_to(Some("push")));
        assert!(!github.subscribes_to(Some("pull_request")));
        assert!(!github.subscribes_to(None));
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
        assert_eq!(partner.provider.signature.prefix, "sha256=");
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
                (5, "the provider \"strype\" is unknown: name one of github, generic".into()),
                (
                    6,
                    "[endpoints.billing] has the unknown key `evnts`: it knows provider, events, headers, reply, signature, event_id, event_type"
                        .into()
                ),
                (7, "[endpoints.shop] has no `provider`: name one of github, generic".into()),
                (
                    8,
                    "`events` is empty, so that nothing would be processed: leave it out to process all types".into()
                ),
                (11, "`event_id`: \"body:/id\" is neither \"header:NAME\" nor \"json:/pointer\"".into()),
                (12, "`tolerance_seconds` must be a whole number, and its type is string".into()),
                (12, "`header` names \"X S\", which is not a header's name".into()),
                (
                    12,
                    "`algorithm` is \"md5\", and must be one of \"hmac-sha1\", \"hmac-sha256\", \"hmac-sha384\", \"hmac-sha512\", \"token\""
                        .into()
                ),
                (13, "`status` is 500: an accepted request is answered with 200 to 299".into()),
                (16, "`signature` belongs to the provider \"generic\", and \"github\" has its own".into()),
            ]
        );
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
}
