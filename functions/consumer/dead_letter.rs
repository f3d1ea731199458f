//! Where a message goes that can never be processed: it never reaches the ledger, so this queue is its record.

use aws_sdk_sqs::types::MessageAttributeValue;
use thiserror::Error;

use crate::aws::{self, Sqs};

/// The dead-letter queue.
#[derive(Debug)]
pub struct DeadLetterQueue {
    sqs: Sqs,
    url: String,
}

/// The message is not known to be in the dead-letter queue.
#[derive(Debug, Error)]
#[error("the dead-letter queue: {cause}")]
pub struct DeadLetterError {
    cause: String,
}

impl DeadLetterQueue {
    /// The queue at this URL.
    pub fn new(sqs: Sqs, url: String) -> DeadLetterQueue {
        DeadLetterQueue { sqs, url }
    }

    /// Puts a message there, unchanged, with the reason as its attribute `reason`.
    ///
    /// # Errors
    /// If SQS does not acknowledge it.
    pub async fn send(&self, body: &str, reason: &str) -> Result<(), DeadLetterError> {
        let cause = |cause: String| DeadLetterError { cause };
        let reason = MessageAttributeValue::builder()
            .data_type("String")
            .string_value(reason)
            .build()
            .map_err(|error| cause(error.to_string()))?;
        // SQS takes no message without text, and an empty one can reach us only by another way than SQS.
        let body = if body.is_empty() { " " } else { body };
        let call = self.sqs.client().send_message().queue_url(&self.url).message_body(body);
        let sent = call.message_attributes("reason", reason).send().await;
        sent.map(|_| ()).map_err(|error| cause(aws::cause(&error)))
    }
}
