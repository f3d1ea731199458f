//! Puts a delivery into SQS.

use std::time::Duration;

use aws_sdk_sqs::error::DisplayErrorContext;
use thiserror::Error;

/// The queue of deliveries.
#[derive(Debug)]
pub struct Queue {
    client: aws_sdk_sqs::Client,
    url: String,
}

/// Why a message is not known to be in the queue; it may be there all the same.
#[derive(Debug, Error)]
pub enum QueueUnavailable {
    /// SQS refused it or could not be reached.
    #[error("SQS: {cause}")]
    Failed {
        /// What happened.
        cause: String,
    },
    /// The sender would not wait any longer.
    #[error("SQS did not answer within {budget_millis} ms")]
    TimedOut {
        /// How long it was given.
        budget_millis: u128,
    },
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
    /// [`QueueUnavailable`] after `budget` at the latest.
    pub async fn send(&self, message: String, endpoint: &str, budget: Duration) -> Result<String, QueueUnavailable> {
        let call = self.client.send_message().queue_url(&self.url).message_group_id(endpoint).message_body(message);
        match tokio::time::timeout(budget, call.send()).await {
            Ok(Ok(sent)) => Ok(sent.message_id.unwrap_or_default()),
            Ok(Err(error)) => Err(QueueUnavailable::Failed { cause: DisplayErrorContext(error).to_string() }),
            Err(_) => Err(QueueUnavailable::TimedOut { budget_millis: budget.as_millis() }),
        }
    }
}
