//! Runs the conformance cases of `tests/vectors/`: a new case needs no new code.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a case that cannot be read is a failure")]
#![expect(clippy::disallowed_methods, reason = "the core does no IO, its tests read their cases")]

use std::path::PathBuf;

use base64::Engine;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use wharf_webhook::clock::UnixSeconds;
use wharf_webhook::provider::generic::{self, Parameters};
use wharf_webhook::provider::{self, List, Provider, Source};
use wharf_webhook::secret::Secrets;
use wharf_webhook::signature::{Refusal, Request, verify};

#[derive(Deserialize)]
struct Case {
    name: String,
    provider: String,
    secrets: Vec<String>,
    now_unix: i64,
    config: serde_json::Map<String, serde_json::Value>,
    request: CaseRequest,
    expect: Expectation,
}

#[derive(Deserialize)]
struct CaseRequest {
    headers: serde_json::Map<String, serde_json::Value>,
    body_base64: String,
}

#[derive(Deserialize, Debug, PartialEq)]
struct Expectation {
    verdict: String,
    event_id: Option<String>,
    event_type: Option<String>,
}

fn judge(case: &Case) -> Expectation {
    let provider = match &*case.provider {
        "generic" => generic_row(&case.config),
        name => provider::find(name).unwrap_or_else(|| panic!("no row for {name}")).clone(),
    };
    let mut headers = HeaderMap::new();
    for (name, value) in &case.request.headers {
        let values = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
        for value in values {
            let value = HeaderValue::from_bytes(value.as_str().unwrap().as_bytes()).unwrap();
            headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value);
        }
    }
    let body = base64::engine::general_purpose::STANDARD.decode(&case.request.body_base64).unwrap();
    let secrets = Secrets::parse(&case.secrets.join("\n"), provider.signature.secret).unwrap();
    match verify(&provider, Request { headers: &headers, body: &body }, &secrets, UnixSeconds(case.now_unix)) {
        Ok(verified) => Expectation {
            verdict: "accepted".into(),
            event_id: verified.event_id().map(|stated| stated.text.clone()),
            event_type: verified.event_type().map(|stated| stated.text.clone()),
        },
        Err(refusal) => {
            Expectation { verdict: Refusal::kind(&refusal).word().into(), event_id: None, event_type: None }
        }
    }
}

fn generic_row(config: &serde_json::Map<String, serde_json::Value>) -> Provider {
    let text = |key: &str| config.get(key).map(|value| value.as_str().unwrap().to_owned());
    let number = |key: &str| config.get(key).map(|value| value.as_i64().unwrap());
    let sources = |key: &str| -> List<Source> {
        let texts = match config.get(key) {
            None => vec![],
            Some(serde_json::Value::Array(texts)) => texts.clone(),
            Some(text) => vec![text.clone()],
        };
        texts.iter().map(|text| generic::source(text.as_str().unwrap()).unwrap()).collect()
    };
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
        tolerance_seconds: number("tolerance_secs"),
        future_tolerance_seconds: number("future_tolerance_secs"),
    };
    let mut provider = generic::provider(&parameters, sources("event_id"), sources("event_type")).unwrap();
    if let Some(timestamp) = &mut provider.signature.timestamp {
        // A case without a tolerance judges no age; in the product the default applies.
        timestamp.tolerance_seconds = parameters.tolerance_seconds;
    }
    provider
}

#[test]
fn every_conformance_case_is_judged_as_expected() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors");
    let mut providers_with_cases = Vec::new();
    let mut disagreements = Vec::new();
    let mut cases = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        for case in serde_json::from_str::<Vec<Case>>(&text).unwrap() {
            cases += 1;
            let judged = judge(&case);
            if judged != case.expect {
                disagreements.push(format!("{}: expected {:?}, judged {judged:?}", case.name, case.expect));
            }
            providers_with_cases.push(case.provider);
        }
    }
    assert!(
        disagreements.is_empty(),
        "{} of {cases} cases disagree:\n{}",
        disagreements.len(),
        disagreements.join("\n")
    );
    for name in provider::named() {
        assert!(providers_with_cases.iter().any(|provider| provider == name), "{name} has no cases");
    }
}
