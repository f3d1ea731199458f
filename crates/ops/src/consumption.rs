//! Stopping the consumer and starting it again, by the event source mapping between the queue and it. The door stays open:
//! what is accepted meanwhile waits in the queue.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use aws_sdk_lambda::operation::update_event_source_mapping::UpdateEventSourceMappingError;
use aws_sdk_sqs::types::QueueAttributeName;

use crate::deployment::Deployment;

/// The alias of the consumer that the template publishes, and that the queue invokes.
pub(crate) const ALIAS: &str = "live";
/// How long Lambda may take to stop or to start.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(120);
/// How often Lambda is asked whether it has.
const INTERVAL: Duration = Duration::from_millis(500);

/// Whether deliveries are taken from the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Consumption {
    /// They are.
    Running,
    /// They stay in the queue.
    Paused,
    /// One of the two becomes the other.
    Changing {
        /// Lambda's word for it.
        state: String,
    },
}

impl Consumption {
    /// In a word.
    pub fn word(&self) -> &str {
        match self {
            Consumption::Running => "running",
            Consumption::Paused => "paused",
            Consumption::Changing { state } => state,
        }
    }
}

/// Whether deliveries are taken from the queue.
///
/// # Errors
/// If Lambda does not say, or nothing ever takes any from it.
pub async fn consumption(deployment: &Deployment) -> Result<Consumption> {
    let mapping = mapping(deployment).await?;
    Ok(match mapping.state.as_str() {
        "Enabled" => Consumption::Running,
        "Disabled" => Consumption::Paused,
        _ => Consumption::Changing { state: mapping.state },
    })
}

/// Has the consumer take nothing more from the queue, and returns when that is so. What it has in hand, it finishes.
///
/// # Errors
/// If Lambda refuses, or has not done it within two minutes.
pub async fn pause(deployment: &Deployment) -> Result<()> {
    change(deployment, &Consumption::Paused).await
}

/// Has the consumer take deliveries from the queue again, and returns when that is so.
///
/// # Errors
/// If Lambda refuses, or has not done it within two minutes.
pub async fn resume(deployment: &Deployment) -> Result<()> {
    change(deployment, &Consumption::Running).await
}

/// About how many messages are in the queue, those included that are hidden until they are due.
///
/// # Errors
/// If SQS does not say.
pub async fn in_queue(deployment: &Deployment) -> Result<u64> {
    messages(deployment, &deployment.queue_url).await
}

/// About how many messages a queue holds, visible or not.
pub(crate) async fn messages(deployment: &Deployment, queue_url: &str) -> Result<u64> {
    let names = [
        QueueAttributeName::ApproximateNumberOfMessages,
        QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
        QueueAttributeName::ApproximateNumberOfMessagesDelayed,
    ];
    let call = deployment.sqs().get_queue_attributes().queue_url(queue_url).set_attribute_names(Some(names.to_vec()));
    let answer = call.send().await.with_context(|| deployment.cannot("count the messages in a queue"))?;
    let count = |name| answer.attributes()?.get(name)?.parse::<u64>().ok();
    Ok(names.iter().filter_map(count).sum())
}

async fn change(deployment: &Deployment, wanted: &Consumption) -> Result<()> {
    let deadline = Instant::now() + CHANGE_TIMEOUT;
    let mut is_asked_for = false;
    loop {
        let found = consumption(deployment).await?;
        if found == *wanted {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!(
                "Lambda has not done it within {} s: it says {found:?}. It may still do it: run this again to see",
                CHANGE_TIMEOUT.as_secs()
            );
        }
        match found {
            // It may still be busy with what somebody else asked for.
            Consumption::Changing { .. } => {}
            Consumption::Running | Consumption::Paused if is_asked_for => {}
            Consumption::Running | Consumption::Paused => is_asked_for = ask_for(deployment, wanted).await?,
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Returns whether Lambda takes the request; if not, it is busy.
async fn ask_for(deployment: &Deployment, wanted: &Consumption) -> Result<bool> {
    let mapping = mapping(deployment).await?;
    let call = deployment.lambda().update_event_source_mapping().uuid(mapping.uuid);
    match call
        .enabled(*wanted == Consumption::Running)
        .send()
        .await
        .map_err(aws_sdk_lambda::error::SdkError::into_service_error)
    {
        Ok(_) => Ok(true),
        Err(UpdateEventSourceMappingError::ResourceInUseException(_)) => Ok(false),
        Err(error) => Err(error).with_context(|| deployment.cannot("change the consumer's event source mapping")),
    }
}

/// What leads from the queue of deliveries to the consumer.
struct Mapping {
    uuid: String,
    state: String,
}

async fn mapping(deployment: &Deployment) -> Result<Mapping> {
    let function = &deployment.consumer_function;
    // The emulator lists those of an alias under the function's own name.
    for name in [format!("{function}:{ALIAS}"), function.clone()] {
        if let Some(mapping) = mapping_of(deployment, &name).await? {
            return Ok(mapping);
        }
    }
    bail!(
        "nothing leads from the queue {} to the function {function} of {}: deploy the template, which has it",
        deployment.queue_url,
        deployment.name()
    )
}

async fn mapping_of(deployment: &Deployment, function: &str) -> Result<Option<Mapping>> {
    let queue = deployment.queue_url.rsplit('/').next().unwrap_or_default();
    let mut mappings =
        deployment.lambda().list_event_source_mappings().function_name(function).into_paginator().items().send();
    while let Some(mapping) = mappings.next().await {
        let mapping = mapping.with_context(|| deployment.cannot("list the consumer's event source mappings"))?;
        let is_it = mapping.event_source_arn().and_then(|arn| arn.rsplit(':').next()) == Some(queue);
        if let (true, Some(uuid), Some(state)) = (is_it, mapping.uuid(), mapping.state()) {
            return Ok(Some(Mapping { uuid: uuid.to_owned(), state: state.to_owned() }));
        }
    }
    Ok(None)
}
