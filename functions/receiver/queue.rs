//! Puts a delivery into SQS.

use aws_sdk_sqs::error::DisplayErrorContext;
use thiserror::Error;

/// The queue of deliveries.
#[derive(Debug)]
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
}
