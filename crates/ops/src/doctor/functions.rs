//! The functions as their alias has them, what leads from the queue to the consumer, and the account's room for both.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use aws_sdk_lambda::error::ProvideErrorMetadata;
use aws_sdk_lambda::types::{FunctionResponseType, LastUpdateStatus, State};
use wharf_webhook::limits::{
    BATCH_SIZE, BATCH_WINDOW_SECONDS, CONSUMER_TIMEOUT_SECONDS, HOUSEKEEPER_TIMEOUT_SECONDS, RECEIVER_TIMEOUT_SECONDS,
};

use super::{Finding, Patient};
use crate::consumption::ALIAS;
use crate::template;

/// Below how many concurrent executions an account is a new one, whose quota somebody should have raised.
const NEW_ACCOUNT_EXECUTIONS: i32 = 100;
/// The quota of concurrent executions, as Service Quotas knows it.
const QUOTA_CODE: &str = "L-B99A9384";
/// The template's default of `ConsumerConcurrency`.
const CONCURRENCY_DEFAULT: &str = "5";

impl Patient<'_> {
    /// A function, by its logical id.
    pub(super) async fn function(&self, resource: &str) -> Result<Vec<Finding>> {
        let name = self.id(resource)?;
        let about = format!("function {}", resource.to_lowercase());
        let call = self.deployment.lambda().get_function_configuration().function_name(name).qualifier(ALIAS);
        let found = match call.send().await {
            Ok(found) => found,
            Err(error) if error.code() == Some("ResourceNotFoundException") => {
                let said = format!("there is no function {name} with the alias {ALIAS}");
                return Ok(vec![Finding::wrong(&about, said, self.bring_back())]);
            }
            Err(error) => return Err(error).with_context(|| self.deployment.cannot("look at a function")),
        };
        let mut findings = Vec::new();
        match found.state() {
            // Lambda wakes it with the next request.
            Some(State::Active | State::Inactive) | None => {}
            Some(state) => findings.push(Finding::wrong(
                &about,
                format!("it is {state}: {}", found.state_reason().unwrap_or("Lambda does not say why")),
                self.deploy(),
            )),
        }
        if let Some(status @ (LastUpdateStatus::Failed | LastUpdateStatus::InProgress)) = found.last_update_status() {
            let said =
                format!("its last update is {status}: {}", found.last_update_status_reason().unwrap_or("no reason"));
            findings.push(Finding::wrong(&about, said, self.deploy()));
        }
        let wanted = match resource {
            "Receiver" => RECEIVER_TIMEOUT_SECONDS,
            "Consumer" => CONSUMER_TIMEOUT_SECONDS,
            _ => HOUSEKEEPER_TIMEOUT_SECONDS,
        };
        if found.timeout().map(i64::from) != Some(wanted) {
            let has = found.timeout().unwrap_or_default();
            findings.push(Finding::wrong(
                &about,
                format!("it has {has} s, and its code counts on {wanted}"),
                self.deploy(),
            ));
        }
        let variables = found.environment().and_then(|environment| environment.variables());
        let has: BTreeSet<String> = variables.into_iter().flatten().map(|(name, _)| name.clone()).collect();
        let wanted = self.variables(resource)?;
        let difference = |one: &BTreeSet<String>, other: &BTreeSet<String>| -> Vec<String> {
            one.difference(other).cloned().collect()
        };
        let (missing, unknown) = (difference(&wanted, &has), difference(&has, &wanted));
        if !missing.is_empty() {
            let said = format!("its environment lacks {}, which the template has", missing.join(", "));
            findings.push(Finding::wrong(&about, said, self.deploy()));
        }
        if !unknown.is_empty() {
            let said = format!("its environment has {}, which the template does not have", unknown.join(", "));
            findings.push(Finding::wrong(&about, said, self.deploy()));
        }
        if findings.is_empty() {
            let version = found.version().unwrap_or("?");
            findings.push(Finding::well(&about, format!("version {version} is live")));
        }
        Ok(findings)
    }

    /// The variables that the checkout's template sets for a function. `tests/template` holds it to what the function reads.
    fn variables(&self, resource: &str) -> Result<BTreeSet<String>> {
        let parameters = [("Stage".to_owned(), self.deployment.stage.clone())].into();
        let text = template::packaged_anywhere(self.project)?;
        let expanded = template::expand_text(self.project, &text, &parameters, &|_| {})?;
        let variables = expanded
            .pointer(&format!("/Resources/{resource}/Properties/Environment/Variables"))
            .and_then(serde_json::Value::as_object)
            .with_context(|| format!("{} sets no variables for {resource}", template::PATH))?;
        Ok(variables.keys().cloned().collect())
    }

    /// The consumer's event source mapping.
    pub(super) async fn mapping(&self) -> Result<Vec<Finding>> {
        let about = "consumption";
        let uuid = self.id("ConsumerDeliveries")?;
        let found = match self.deployment.lambda().get_event_source_mapping().uuid(uuid).send().await {
            Ok(found) => found,
            Err(error) if error.code() == Some("ResourceNotFoundException") => {
                let said = "nothing takes deliveries from the queue: the event source mapping is gone";
                return Ok(vec![Finding::wrong(about, said, self.bring_back())]);
            }
            Err(error) => {
                return Err(error)
                    .with_context(|| self.deployment.cannot("look at the consumer's event source mapping"));
            }
        };
        let update = |change: &str| format!("aws lambda update-event-source-mapping --uuid {uuid} {change}");
        let mut findings = Vec::new();
        let again = self.deployment.again();
        match found.state().unwrap_or_default() {
            "Enabled" => {}
            "Disabled" => findings.push(Finding::wrong(
                about,
                "the consumer is paused: what is accepted stays in the queue, which keeps it for four days",
                format!("cargo ops resume --execute{again}"),
            )),
            state => findings.push(Finding::hint(about, format!("it is {state}"), format!("cargo ops doctor{again}"))),
        }
        let function = &self.deployment.consumer_function;
        let arn = found.function_arn().unwrap_or_default();
        if !arn.ends_with(&format!(":{ALIAS}")) {
            let said = format!("it invokes {arn}, and not the alias {ALIAS}, which a roll-out changes");
            findings.push(Finding::wrong(about, said, update(&format!("--function-name {function}:{ALIAS}"))));
        }
        if !found.function_response_types().contains(&FunctionResponseType::ReportBatchItemFailures) {
            let said = "it does not hear which messages of a batch failed: one that fails has all come again";
            findings.push(Finding::wrong(about, said, update("--function-response-types ReportBatchItemFailures")));
        }
        if found.batch_size().map(i64::from) != Some(BATCH_SIZE) {
            let said = format!(
                "it takes {} messages at once, and the consumer counts on {BATCH_SIZE}",
                found.batch_size().unwrap_or_default()
            );
            findings.push(Finding::wrong(about, said, update(&format!("--batch-size {BATCH_SIZE}"))));
        }
        let window = i64::from(found.maximum_batching_window_in_seconds().unwrap_or_default());
        if window != BATCH_WINDOW_SECONDS {
            let said =
                format!("it waits {window} s for a batch to fill, and the lease counts on {BATCH_WINDOW_SECONDS}");
            let change = format!("--maximum-batching-window-in-seconds {BATCH_WINDOW_SECONDS}");
            findings.push(Finding::wrong(about, said, update(&change)));
        }
        let bound = found.scaling_config().and_then(|scaling| scaling.maximum_concurrency());
        let wanted = self.parameter("ConsumerConcurrency").unwrap_or(CONCURRENCY_DEFAULT);
        if bound.map(|bound| bound.to_string()).as_deref() != Some(wanted) {
            let bound = bound.map_or_else(|| "without a bound".to_owned(), |bound| format!("{bound} times at once"));
            let said = format!("the consumer runs {bound}, and was deployed with {wanted} (ConsumerConcurrency)");
            findings.push(Finding::wrong(
                about,
                said,
                update(&format!("--scaling-config MaximumConcurrency={wanted}")),
            ));
        }
        if findings.is_empty() {
            findings.push(Finding::well(about, format!("the consumer takes batches, up to {wanted} at once")));
        }
        Ok(findings)
    }

    /// Whether there is room for all functions at once.
    pub(super) async fn concurrency(&self) -> Result<Vec<Finding>> {
        let about = "concurrency";
        let lambda = self.deployment.lambda();
        let settings = lambda.get_account_settings().send().await;
        let settings = settings.with_context(|| self.deployment.cannot("look at the account's settings"))?;
        let limit = settings.account_limit().map(|limit| limit.concurrent_executions());
        let limit = limit.context("Lambda does not say how many concurrent executions the account has")?;
        let mut findings = Vec::new();
        for (resource, parameter) in
            [("Receiver", "ReceiverReservedConcurrency"), ("Consumer", "ConsumerReservedConcurrency")]
        {
            let name = self.id(resource)?;
            let found = lambda.get_function_concurrency().function_name(name).send().await;
            let found = found.with_context(|| self.deployment.cannot("look at a function's reserved concurrency"))?;
            let (has, wanted) = (found.reserved_concurrent_executions(), self.parameter(parameter));
            findings.extend(reserved(name, has, wanted, &self.deploy()));
        }
        let bound: i32 = self.parameter("ConsumerConcurrency").unwrap_or(CONCURRENCY_DEFAULT).parse()?;
        let consumer: Option<i32> = self.parameter("ConsumerReservedConcurrency").map(str::parse).transpose()?;
        let raise = format!(
            "aws service-quotas request-service-quota-increase --service-code lambda --quota-code {QUOTA_CODE} --desired-value 1000"
        );
        if let Some(reserved) = consumer.filter(|reserved| (1..bound).contains(reserved)) {
            findings.push(Finding::wrong(
                about,
                format!("ConsumerConcurrency is {bound}, and {reserved} are reserved: the queue is polled by more than can run"),
                format!("{} --parameter ConsumerConcurrency={reserved}", self.deploy()),
            ));
        } else if bound >= limit {
            let said =
                format!("the consumer may take all {limit} concurrent executions of the account, and senders get 503");
            findings.push(Finding::wrong(about, said, raise));
        } else if limit < NEW_ACCOUNT_EXECUTIONS {
            findings.push(Finding::hint(
                about,
                format!("the account has {limit} concurrent executions, as new ones do"),
                raise,
            ));
        }
        if findings.is_empty() {
            findings.push(Finding::well(about, format!("the account has {limit} concurrent executions")));
        }
        Ok(findings)
    }
}

/// What is wrong with the reserved concurrency of a function.
fn reserved(function: &str, has: Option<i32>, wanted: Option<&str>, deploy: &str) -> Option<Finding> {
    let about = "concurrency";
    let said = |count: Option<&str>| count.map_or("none".to_owned(), str::to_owned);
    let text = has.map(|has| has.to_string());
    if text.as_deref() != wanted {
        let has = said(text.as_deref());
        let mend = match wanted {
            Some(wanted) => format!(
                "aws lambda put-function-concurrency --function-name {function} --reserved-concurrent-executions {wanted}"
            ),
            None => format!("aws lambda delete-function-concurrency --function-name {function}"),
        };
        let what = if has == "0" { ": it does not run at all" } else { "" };
        let said = format!(
            "{has} of the concurrent executions are reserved for {function}, and it was deployed with {}{what}",
            said(wanted)
        );
        return Some(Finding::wrong(about, said, mend));
    }
    let said = format!("{function} does not run at all: it was deployed with a reserved concurrency of 0");
    (has == Some(0)).then(|| Finding::wrong(about, said, deploy))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserved_concurrency_is_what_the_stack_was_deployed_with_and_zero_is_said_to_stop_the_function() {
        let found =
            |has, wanted| reserved("f", has, wanted, "deploy").map(|finding| (finding.said, finding.mend.unwrap()));
        assert_eq!(found(None, None), None);
        assert_eq!(found(Some(20), Some("20")), None);
        let (said, mend) = found(Some(0), None).unwrap();
        assert_eq!(
            said,
            "0 of the concurrent executions are reserved for f, and it was deployed with none: it does not run at all"
        );
        assert_eq!(mend, "aws lambda delete-function-concurrency --function-name f");
        let (_, mend) = found(None, Some("20")).unwrap();
        assert_eq!(mend, "aws lambda put-function-concurrency --function-name f --reserved-concurrent-executions 20");
        let (said, mend) = found(Some(0), Some("0")).unwrap();
        assert_eq!(said, "f does not run at all: it was deployed with a reserved concurrency of 0");
        assert_eq!(mend, "deploy");
    }
}
