//! `cargo ops vectors`: conformance cases, judged by the code that the receiver runs.
//!
//! A file is a JSON list of cases and of sequences of requests; its format is described in `tests/vectors/README.md`. A new
//! one needs no new code.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use wharf_webhook::clock::UnixSeconds;
use wharf_webhook::handshake::{self, First, Reply};
use wharf_webhook::judgement::{Verdict, judge, stated};
use wharf_webhook::provider::generic::{self, GENERIC, Parameters};
use wharf_webhook::provider::{self, Source};
use wharf_webhook::refusal::Refusal;
use wharf_webhook::request::Request;
use wharf_webhook::secret::Secrets;
use wharf_webhook::signature::key::{self, FetchedKey, KeyAddress};
use wharf_webhook::terms::{Settings, Terms};

/// What came of a folder of cases.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// How many cases there were.
    pub cases: usize,
    /// How many sequences there were.
    pub sequences: usize,
    /// Those that were judged otherwise than expected.
    pub disagreements: Vec<Disagreement>,
    /// The providers that there were cases of.
    pub providers: BTreeSet<String>,
    /// The files, by their names without ending.
    pub files: BTreeSet<String>,
}

/// A case that was judged otherwise than expected.
#[derive(Debug, Serialize)]
pub struct Disagreement {
    /// The case's name.
    pub case: String,
    /// What it expects.
    pub expected: String,
    /// What it was judged to be, or why it could not be judged.
    pub got: String,
}

/// What a file holds.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Entry {
    Sequence(Sequence),
    Case(Box<Case>),
}

/// Requests to one endpoint, and which of them bring the same event.
#[derive(Debug, Deserialize)]
pub struct Sequence {
    /// Unique, `<provider>/<what it shows>`.
    pub name: String,
    /// A row's name.
    pub provider: String,
    secrets: Vec<String>,
    config: Map<String, Value>,
    /// In their order.
    pub steps: Vec<Step>,
    /// How many events there are in all.
    pub lands: usize,
}

/// A request of a sequence.
#[derive(Debug, Deserialize)]
pub struct Step {
    now_unix: i64,
    request: CaseRequest,
    verdict: String,
    /// Requests with the same word here bring the same event. Absent if the request brings none.
    #[serde(default)]
    event: Option<String>,
}

/// One case, as it stands in a file.
#[derive(Debug, Clone, Deserialize)]
pub struct Case {
    /// Unique, `<provider>/<what it shows>`.
    pub name: String,
    /// A row's name.
    pub provider: String,
    secrets: Vec<String>,
    now_unix: i64,
    config: Map<String, Value>,
    request: CaseRequest,
    expect: Outcome,
    #[serde(skip)]
    arrival_id: String,
    /// Whether the row says how old a timestamp may be, as at an endpoint.
    #[serde(skip)]
    has_own_tolerance: bool,
}

#[derive(Debug, Clone, Deserialize)]
struct CaseRequest {
    method: String,
    url: String,
    headers: Map<String, Value>,
    body_base64: String,
}

/// What a case comes to.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
struct Outcome {
    verdict: String,
    event_id: Option<String>,
    event_type: Option<String>,
    #[serde(default)]
    response: Option<Response>,
    #[serde(default)]
    confirm_url: Option<String>,
    /// What makes the event the same as another's.
    #[serde(skip)]
    key: Option<String>,
}

/// A handshake's answer.
#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Response {
    status: u16,
    headers: BTreeMap<String, String>,
    /// Text, or an object that the body must be as JSON.
    body: Value,
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.verdict)?;
        for (name, value) in [("id", &self.event_id), ("type", &self.event_type), ("confirm", &self.confirm_url)] {
            if let Some(value) = value {
                write!(formatter, " {name}={value}")?;
            }
        }
        if let Some(Response { status, headers, body }) = &self.response {
            write!(formatter, " {status} {headers:?} {body}")?;
        }
        Ok(())
    }
}

/// Judges every case of every `*.json` in a folder.
///
/// # Errors
/// If the folder cannot be read, or a file is not a list of cases.
pub fn judge_folder(folder: &Path) -> Result<Report> {
    let mut report = Report::default();
    for path in files(folder)? {
        report.files.insert(path.file_stem().unwrap_or_default().to_string_lossy().into_owned());
        for entry in read(&path)? {
            let case = match entry {
                Entry::Case(case) => *case,
                Entry::Sequence(sequence) => {
                    report.sequences += 1;
                    report.disagreements.extend(sequence.judge());
                    report.providers.insert(sequence.provider);
                    continue;
                }
            };
            report.cases += 1;
            let (agrees, got) = match case.judge() {
                Ok(judged) => (agrees(&case.expect, &judged), judged.to_string()),
                Err(error) => (false, format!("cannot be judged: {error:#}")),
            };
            if !agrees {
                let expected = case.expect.to_string();
                report.disagreements.push(Disagreement { case: case.name, expected, got });
            }
            report.providers.insert(case.provider);
        }
    }
    Ok(report)
}

/// What a case's request brings, to be signed and sent anew.
#[derive(Debug)]
pub struct CaseBody {
    /// As the case expects it.
    pub event_type: String,
    /// As the case has it.
    pub content_type: String,
    /// All headers that the case has once, the content type among them.
    pub headers: Vec<(String, String)>,
    /// Byte for byte.
    pub body: Vec<u8>,
}

/// The request of the first case of a provider's own file that is accepted; `None` if there is none.
///
/// # Errors
/// If the file is there and cannot be read.
pub fn first_accepted(folder: &Path, provider: &str) -> Result<Option<CaseBody>> {
    let path = folder.join(format!("{provider}.json"));
    if !path.is_file() {
        return Ok(None);
    }
    let cases = read(&path)?.into_iter().filter_map(|entry| match entry {
        Entry::Case(case) => Some(*case),
        Entry::Sequence(_) => None,
    });
    let Some(case) = { cases }.find(|case| case.expect.verdict == "accepted") else { return Ok(None) };
    let headers = case.request.headers.iter();
    let headers: Vec<(String, String)> =
        headers.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect();
    let content_type = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    Ok(Some(CaseBody {
        event_type: case.expect.event_type.unwrap_or_else(|| "sample".to_owned()),
        content_type: content_type.map_or("application/json", |(_, value)| value).to_owned(),
        headers,
        body: STANDARD.decode(&case.request.body_base64).with_context(|| format!("the body of {}", case.name))?,
    }))
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read the folder {}", folder.display()))?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.retain(|path| path.extension().is_some_and(|ending| ending == "json"));
    files.sort();
    Ok(files)
}

fn read(path: &Path) -> Result<Vec<Entry>> {
    let text = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{} is not a list of cases", path.display()))
}

/// Whether a judgement is what was expected. Of an answer's headers only those count that the case names; its body is
/// compared as JSON where the case has an object.
fn agrees(expected: &Outcome, judged: &Outcome) -> bool {
    let answers = match (&expected.response, &judged.response) {
        (None, _) => expected.verdict != "handshake" || judged.response.is_none(),
        (Some(expected), Some(judged)) => {
            let body = match (&expected.body, &judged.body) {
                (Value::String(expected), Value::String(judged)) => expected == judged,
                (expected, Value::String(judged)) => {
                    serde_json::from_str::<Value>(judged).is_ok_and(|judged| judged == *expected)
                }
                _ => false,
            };
            let headers = expected.headers.iter().all(|(name, value)| judged.headers.get(name) == Some(value));
            body && headers && expected.status == judged.status
        }
        (Some(_), None) => false,
    };
    answers
        && (&expected.verdict, &expected.event_id, &expected.event_type, &expected.confirm_url)
            == (&judged.verdict, &judged.event_id, &judged.event_type, &judged.confirm_url)
}

impl Sequence {
    /// What of it is judged otherwise than expected.
    fn judge(&self) -> Vec<Disagreement> {
        let mut disagreements = Vec::new();
        let mut disagree = |step: usize, expected: String, got: String| {
            disagreements.push(Disagreement { case: format!("{}, step {}", self.name, step + 1), expected, got });
        };
        // The step in which an event came first, and its key.
        let mut events: Vec<(usize, &str, String)> = Vec::new();
        for (index, step) in self.steps.iter().enumerate() {
            let case = Case {
                name: self.name.clone(),
                provider: self.provider.clone(),
                secrets: self.secrets.clone(),
                now_unix: step.now_unix,
                config: self.config.clone(),
                request: step.request.clone(),
                expect: Outcome::default(),
                arrival_id: format!("arrival {index}"),
                has_own_tolerance: true,
            };
            let judged = match case.judge() {
                Ok(judged) => judged,
                Err(error) => {
                    disagree(index, step.verdict.clone(), format!("cannot be judged: {error:#}"));
                    continue;
                }
            };
            if judged.verdict != step.verdict {
                disagree(index, step.verdict.clone(), judged.to_string());
            }
            let (Some(event), Some(key)) = (&step.event, judged.key) else { continue };
            let known = events.iter().find(|(_, known, known_key)| known == event || *known_key == key);
            match known {
                None => events.push((index, event, key)),
                Some((_, known, known_key)) if known == event && *known_key == key => {}
                Some((first, known, _)) => {
                    let is = |same: bool| {
                        format!("{} event as in step {}", if same { "the same" } else { "another" }, first + 1)
                    };
                    disagree(index, is(known == event), is(known != event));
                }
            }
        }
        if events.len() != self.lands {
            let last = self.steps.len().saturating_sub(1);
            disagree(last, format!("{} events in all", self.lands), format!("{} events in all", events.len()));
        }
        disagreements
    }
}

impl Case {
    fn judge(&self) -> Result<Outcome> {
        let terms = self.terms()?;
        let mut headers = HeaderMap::new();
        for (name, value) in &self.request.headers {
            let values = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
            for value in values {
                let value = value.as_str().with_context(|| format!("the header {name} is no text"))?;
                headers.append(HeaderName::from_bytes(name.as_bytes())?, HeaderValue::from_bytes(value.as_bytes())?);
            }
        }
        let body = STANDARD.decode(&self.request.body_base64).context("the body is no base64")?;
        let request = Request { method: &self.request.method, url: &self.request.url, headers: &headers, body: &body };
        let secrets = if self.secrets.is_empty() || !terms.scheme.secret.is_kept() {
            Secrets::NONE
        } else {
            Secrets::parse(&self.secrets.join("\n"), &terms.scheme)?
        };
        let verdict = self.verdict(&terms, &secrets, &request);
        let said = |sources: &[Source]| stated(&terms, &request, sources).map(|stated| stated.text);
        Ok(match verdict {
            Ok(Verdict::Event(event)) => Outcome {
                verdict: "accepted".to_owned(),
                event_id: event.id().map(|stated| stated.text.clone()),
                event_type: event.kind().map(|stated| stated.text.clone()),
                key: Some(event.key(&self.arrival_id).to_string()),
                ..Outcome::default()
            },
            Ok(Verdict::Handshake(reply)) => {
                // Of these only a subscription's confirmation is a message with an id of its own.
                let confirm_url = match &reply.first {
                    First::Fetch { url } => Some(url.clone()),
                    First::Nothing | First::Keep { .. } => None,
                };
                let is_message = confirm_url.is_some();
                Outcome {
                    verdict: "handshake".to_owned(),
                    event_id: said(terms.scheme.event_id).filter(|_| is_message),
                    event_type: said(terms.scheme.event_type).filter(|_| is_message),
                    response: Some(response(*reply)),
                    confirm_url,
                    key: None,
                }
            }
            Err(refusal) => Outcome { verdict: refusal.kind().word().to_owned(), ..Outcome::default() },
        })
    }

    /// As the receiver does it, with the keys of the case instead of fetched ones.
    fn verdict(&self, terms: &Terms, secrets: &Secrets, request: &Request<'_>) -> Result<Verdict, Refusal> {
        if handshake::unsigned(terms, request).is_some() {
            return judge(terms, secrets, None, request, UnixSeconds(self.now_unix));
        }
        let published = key::address(terms, request)?.and_then(|address| self.published(&address));
        judge(terms, secrets, published.as_ref(), request, UnixSeconds(self.now_unix))
    }

    fn published(&self, address: &KeyAddress) -> Option<FetchedKey> {
        match address {
            KeyAddress::Certificate { url } => {
                FetchedKey::from_pem(self.config.get("certs")?.get(url)?.as_str()?.as_bytes()).ok()
            }
            KeyAddress::Plaid { key_id, .. } => {
                FetchedKey::from_jwk(self.config.get("jwks")?.get(key_id)?.to_string().as_bytes()).ok()
            }
        }
    }

    fn terms(&self) -> Result<Terms> {
        let text = |key: &str| self.config.get(key).and_then(Value::as_str).map(str::to_owned);
        let number = |key: &str| self.config.get(key).and_then(Value::as_i64);
        let (provider, scheme) = if self.provider == GENERIC.name {
            (&GENERIC, self.generic()?)
        } else {
            let provider = provider::find(&self.provider).with_context(|| format!("no provider {}", self.provider))?;
            let scheme = provider.scheme(text("scheme").as_deref());
            (provider, *scheme.with_context(|| format!("{} has no such scheme", self.provider))?)
        };
        let varies = self.sources("varies")?;
        let scheme = if varies.is_empty() { scheme } else { scheme.with_more_that_varies(varies) };
        let mut terms = Terms::new(provider, scheme);
        let (own, own_future) = (terms.settings.tolerance_seconds, terms.settings.future_tolerance_seconds);
        // A case without a tolerance judges no age, and one without topics no topic; an endpoint has its provider's
        // tolerance, and must name topics.
        terms.settings = Settings {
            public_url: text("public_url").or(text("notification_url")).or(text("callback_url")),
            trust_forwarded: self.config.get("trust_forwarded").and_then(Value::as_bool).unwrap_or_default(),
            verify_token: text("verify_token"),
            webhook_id: text("webhook_id"),
            topics: self.config.get("topics").map(texts),
            sandbox: false,
            tolerance_seconds: number("tolerance_secs").or(own.filter(|_| self.has_own_tolerance)),
            future_tolerance_seconds: number("future_tolerance_secs").or(own_future.filter(|_| self.has_own_tolerance)),
        };
        let event_id: Vec<Source> = self.sources("event_id")?;
        Ok(if event_id.is_empty() { terms } else { terms.with_event_id(event_id) })
    }

    fn sources(&self, key: &str) -> Result<Vec<Source>> {
        let named = self.config.get(key).map(texts).unwrap_or_default();
        named.iter().map(|text| generic::source(text).map_err(anyhow::Error::msg)).collect()
    }

    fn generic(&self) -> Result<provider::Scheme> {
        let text = |key: &str| self.config.get(key).and_then(Value::as_str).map(str::to_owned);
        let number = |key: &str| self.config.get(key).and_then(Value::as_i64);
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
            tolerance_seconds: number("tolerance_secs"),
            future_tolerance_seconds: number("future_tolerance_secs"),
            require: Vec::new(),
            body: text("body"),
            decompress: self.config.get("decompress").and_then(Value::as_bool),
        };
        match generic::scheme(&parameters) {
            Ok(scheme) => Ok(scheme.with_event_type(self.sources("event_type")?)),
            Err(problems) => {
                let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
                bail!("{}", problems.join("; "))
            }
        }
    }
}

/// One text, or a list of them.
fn texts(value: &Value) -> Vec<String> {
    let values = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    values.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn response(reply: Reply) -> Response {
    Response {
        status: reply.status,
        headers: reply.headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        body: Value::String(reply.body),
    }
}
