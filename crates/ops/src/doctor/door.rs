//! Whether what senders post to leads to the receiver.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use wharf_webhook::endpoints::Endpoints;

use super::{Finding, Patient};

/// An endpoint that there cannot be: names that begin so are Wharf's own.
const UNKNOWN: &str = "_doctor";
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(15);

impl Patient<'_> {
    /// Asks for an endpoint that is not there: only the receiver's own refusal has an arrival id. It is counted as one.
    pub(super) async fn door(&self, endpoints: &Endpoints) -> Result<Vec<Finding>> {
        let about = "front door";
        if self.parameter("TruststoreUri").is_some() {
            let said = "mutual TLS lets nobody in without a certificate: the probe's alarm tells of it";
            return Ok(vec![Finding::skipped(about, said)]);
        }
        let mut addresses = BTreeSet::from([self.deployment.api_url.trim_end_matches('/').to_owned()]);
        // Those that one endpoint has for itself.
        let own = endpoints.iter().filter_map(|endpoint| endpoint.terms.settings.public_url.as_deref());
        addresses.extend(own.filter_map(|url| Some(url.split_once("/webhooks/")?.0.to_owned())));
        let client = reqwest::Client::builder().timeout(PATIENCE).build().context("no HTTP client can be made")?;
        let mut findings = Vec::new();
        for address in &addresses {
            let url = format!("{address}/webhooks/{UNKNOWN}");
            let problem = match client.get(&url).send().await {
                Ok(answer) => {
                    let status = answer.status().as_u16();
                    judge(status, &answer.text().await.unwrap_or_default())
                }
                Err(error) => Some(format!("nobody answers: {:#}", anyhow::Error::new(error))),
            };
            findings.push(match problem {
                None => Finding::well(about, format!("{address} leads to the receiver")),
                Some(problem) => Finding::wrong(about, format!("{address}: {problem}"), format!("curl -i {url}")),
            });
        }
        Ok(findings)
    }
}

/// What is wrong with an answer to a request for an endpoint that there is not.
fn judge(status: u16, body: &str) -> Option<String> {
    let answer: Option<Value> = serde_json::from_str(body).ok();
    let is_receivers = answer.is_some_and(|answer| answer.get("arrival_id").is_some());
    match (status, is_receivers) {
        (404, true) => None,
        (404, false) => Some(
            "404, and not by the receiver: the API has no route to it, or something else answers at this address"
                .to_owned(),
        ),
        (403, false) => Some("403: is the API's own address shut, or does something stand before it?".to_owned()),
        (500.., _) => Some(format!("{status}: the receiver does not start, or may not be invoked; its log says why")),
        (status, _) => Some(format!("{status}, where the receiver answers 404")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_receivers_own_404_is_well() {
        assert_eq!(judge(404, r#"{"arrival_id":"A1=","status":"refused"}"#), None);
        let problem = |status, body| judge(status, body).unwrap();
        assert!(problem(404, r#"{"message":"Not Found"}"#).starts_with("404, and not by the receiver"));
        assert!(problem(403, r#"{"message":"Forbidden"}"#).starts_with("403: is the API's own address shut"));
        assert!(problem(503, r#"{"message":"Service Unavailable"}"#).starts_with("503: the receiver does not start"));
        assert_eq!(problem(200, "<html>"), "200, where the receiver answers 404");
    }
}
