//! A probe on demand: the housekeeper of a stage is had to send one through the front door, and it is followed until it has
//! landed. So the first event after a deployment is not a sender's.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::LogType;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use wharf_webhook::endpoints::Endpoint;
use wharf_webhook::limits::PROBE_AGE_MILLIS_MAX;

use crate::consumption::{ALIAS, Consumption, consumption};
use crate::deployment::{Deployment, stack_name};
use crate::records::{self, RecordView};

/// What the housekeeper is invoked with, as its schedule does.
pub const INVOCATION: &str = r#"{"task":"probe"}"#;
/// How often the ledger is looked at.
const INTERVAL: Duration = Duration::from_millis(200);

/// The name of a stage's housekeeper.
pub fn housekeeper(stage: &str) -> String {
    format!("{}-housekeeper", stack_name(stage))
}

/// How long a probe may take until it lands: as long as its alarm lets it.
pub const PATIENCE: Duration = Duration::from_millis(PROBE_AGE_MILLIS_MAX.unsigned_abs());

/// Has a probe sent, and returns its record once it is completed. `accepted` hears its id when the front door has taken it.
///
/// # Errors
/// If it is not sent, not accepted, or does not land in time: with how far it came.
pub async fn send(deployment: &Deployment, patience: Duration, accepted: impl FnOnce(&str)) -> Result<RecordView> {
    let id = invoke(deployment).await?;
    accepted(&id);
    let endpoint = Endpoint::probe().name;
    let started = Instant::now();
    loop {
        let record = records::find(deployment, &endpoint, &id).await?.into_iter().next();
        match record {
            Some(record) if record.state == "completed" => return Ok(record),
            record if started.elapsed() > patience => return Err(stopped(deployment, &id, record, patience).await),
            _ => tokio::time::sleep(INTERVAL).await,
        }
    }
}

/// Invokes the housekeeper; the id of the event that it sent.
async fn invoke(deployment: &Deployment) -> Result<String> {
    let name = housekeeper(&deployment.stage);
    let call = deployment.lambda().invoke().function_name(&name).qualifier(ALIAS).log_type(LogType::Tail);
    let answer = call.payload(Blob::new(INVOCATION)).send().await;
    let answer = answer.with_context(|| deployment.cannot("invoke the housekeeper"))?;
    if answer.function_error().is_some() {
        let payload = answer.payload().map(|payload| String::from_utf8_lossy(payload.as_ref()).into_owned());
        let payload = payload.unwrap_or_default();
        let error: Option<Value> = serde_json::from_str(&payload).ok();
        let said = error.as_ref().and_then(|error| error.get("errorMessage")?.as_str()).unwrap_or(&payload);
        bail!("no probe was accepted: {said}");
    }
    let log = STANDARD.decode(answer.log_result().unwrap_or_default()).unwrap_or_default();
    probed(&String::from_utf8_lossy(&log)).with_context(|| {
        format!(
            "{name} ran, and the end of its log does not say that a probe was accepted: does another release run? Deploy this one"
        )
    })
}

/// The id of the event that the housekeeper says it sent.
fn probed(log: &str) -> Option<String> {
    let mut lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let probed = lines.rfind(|line| line.get("outcome").and_then(Value::as_str) == Some("probed"))?;
    Some(probed.get("event_id")?.as_str()?.to_owned())
}

/// How far a probe came that did not land.
async fn stopped(deployment: &Deployment, id: &str, record: Option<RecordView>, patience: Duration) -> anyhow::Error {
    let again = deployment.again();
    let seconds = patience.as_secs();
    let Some(record) = record else {
        let said = match consumption(deployment).await {
            Ok(Consumption::Paused) => format!("the consumer is paused: cargo ops resume --execute{again}"),
            Ok(Consumption::Changing { state }) => format!("the consumer is {state}: run this again"),
            Ok(Consumption::Running) => format!(
                "the consumer should run. Its log says why it does not: cargo ops tail{again}. What else can be wrong: cargo ops \
                 doctor{again}"
            ),
            Err(error) => format!("{error:#}"),
        };
        return anyhow!("the probe {id} was accepted, and after {seconds} s the ledger does not know it: {said}");
    };
    let reason = record.failures.last().map_or_else(String::new, |failure| format!(": {}", failure.reason));
    anyhow!(
        "the probe {id} was accepted, and after {seconds} s it is {} at attempt {}, and not completed{reason}. cargo ops inspect \
         {} {id}{again}",
        record.state,
        record.attempt,
        Endpoint::probe().name
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probes_id_is_what_the_housekeepers_log_says() {
        let log = "START RequestId: 1\n{\"outcome\":\"drained\",\"event_id\":\"x\"}\n\
                   {\"outcome\":\"probed\",\"event_id\":\"probe-1\",\"status\":200}\nEND RequestId: 1\n";
        assert_eq!(probed(log).as_deref(), Some("probe-1"));
        assert_eq!(probed("START RequestId: 1\n{\"level\":\"INFO\"}\n"), None);
    }
}
