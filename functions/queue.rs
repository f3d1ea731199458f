//! The queue of deliveries, as those see it who put something into it or hand something back.

use aws_sdk_sqs::error::DisplayErrorContext;
use aws_sdk_sqs::types::{ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry};
use thiserror::Error;

/// How many entries one call takes.
const SQS_BATCH_MAX: usize = 10;

/// The queue of deliveries.
#[derive(Debug, Clone)]
pub struct Queue {
    client: aws_sdk_sqs::Client,
    url: String,
}

/// A message is not known to be in the queue; it may be there all the same.
#[derive(Debug, Error)]
#[error("SQS: {cause}")]
pub struct QueueUnavailable {
    cause: String,
}

impl Queue {
    /// The queue at this URL.
    pub fn new(client: aws_sdk_sqs::Client, url: String) -> Queue {
        Queue { client, url }
    }

    /// Puts a message into the queue and returns SQS's id for it, which is the acknowledgement. `endpoint` is the message
    /// group: in a fair queue, a noisy endpoint does not delay a quiet one.
    ///
    /// # Errors
    /// If SQS refuses it or does not answer.
    pub async fn send(&self, message: String, endpoint: &str) -> Result<String, QueueUnavailable> {
        let call = self.client.send_message().queue_url(&self.url).message_group_id(endpoint).message_body(message);
        match call.send().await {
            Ok(sent) => Ok(sent.message_id.unwrap_or_default()),
            Err(error) => Err(QueueUnavailable { cause: DisplayErrorContext(error).to_string() }),
        }
    }

    /// Hides messages that were received, each by its receipt handle, for some seconds more from now on.
    ///
    /// # Errors
    /// If SQS does not do it for all of them; then some come back when the queue's own time-out is over.
    pub async fn hide(&self, messages: &[(String, i32)]) -> Result<(), QueueUnavailable> {
        let unavailable = |cause: String| QueueUnavailable { cause };
        for messages in messages.chunks(SQS_BATCH_MAX) {
            let entries = messages.iter().enumerate().map(|(index, (receipt_handle, seconds))| {
                ChangeMessageVisibilityBatchRequestEntry::builder()
                    .id(index.to_string())
                    .receipt_handle(receipt_handle)
                    .visibility_timeout(*seconds)
                    .build()
            });
            let entries: Result<Vec<_>, _> = entries.collect();
            let entries = entries.map_err(|error| unavailable(error.to_string()))?;
            let call = self.client.change_message_visibility_batch().queue_url(&self.url).set_entries(Some(entries));
            let answer = call.send().await.map_err(|error| unavailable(DisplayErrorContext(error).to_string()))?;
            if let Some(failed) = answer.failed().first() {
                return Err(unavailable(format!("{} {}", failed.code(), failed.message().unwrap_or_default())));
            }
        }
        Ok(())
    }

    /// Deletes messages that were received, each by its receipt handle.
    ///
    /// # Errors
    /// If SQS does not do it for all of them.
    pub async fn delete(&self, messages: &[String]) -> Result<(), QueueUnavailable> {
        let unavailable = |cause: String| QueueUnavailable { cause };
        for messages in messages.chunks(SQS_BATCH_MAX) {
            let entries = messages.iter().enumerate().map(|(index, receipt_handle)| {
                DeleteMessageBatchRequestEntry::builder().id(index.to_string()).receipt_handle(receipt_handle).build()
            });
            let entries: Result<Vec<_>, _> = entries.collect();
            let entries = entries.map_err(|error| unavailable(error.to_string()))?;
            let call = self.client.delete_message_batch().queue_url(&self.url).set_entries(Some(entries));
            let answer = call.send().await.map_err(|error| unavailable(DisplayErrorContext(error).to_string()))?;
            if let Some(failed) = answer.failed().first() {
                return Err(unavailable(format!("{} {}", failed.code(), failed.message().unwrap_or_default())));
            }
        }
        Ok(())
    }
}
