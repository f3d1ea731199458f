//! The queue of deliveries, as those see it who put something into it or hand something back.

use std::time::Duration;

use aws_sdk_sqs::error::ProvideErrorMetadata;
use aws_sdk_sqs::operation::send_message::builders::SendMessageFluentBuilder;
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, MessageSystemAttributeNameForSends,
    MessageSystemAttributeValue, QueueAttributeName,
};
use aws_smithy_types::retry::RetryConfig;
use thiserror::Error;

use crate::aws::{self, Sqs};

/// How many entries one call takes.
const SQS_BATCH_MAX: usize = 10;

/// The queue of deliveries.
#[derive(Debug, Clone)]
pub struct Queue {
    sqs: Sqs,
    url: String,
}

/// Why a message is not known to be in the queue.
#[derive(Debug, Error)]
pub enum SendError {
    /// SQS did not do it, or did not say so in time: the message may be there all the same. Whatever is wrong may be over
    /// later, a queue that is missing or that we may not use among it.
    #[error("SQS: {cause}")]
    Unavailable {
        /// What happened.
        cause: String,
    },
    /// SQS does not take this message, and never will.
    #[error("SQS refuses the message: {cause}")]
    Refused {
        /// What SQS said.
        cause: String,
    },
}

/// SQS did not do something with messages that were received.
#[derive(Debug, Error)]
#[error("SQS: {cause}")]
pub struct QueueUnavailable {
    cause: String,
}

/// What SQS says of a message that it does not take, as such.
const REFUSALS: [&str; 4] =
    ["InvalidMessageContents", "InvalidParameterValue", "InvalidParameterValueException", "ValidationException"];

impl Queue {
    /// The queue at this URL.
    pub fn new(sqs: Sqs, url: String) -> Queue {
        Queue { sqs, url }
    }

    /// Makes a connection before a message needs one: at a function's start, when a processor is all its own. If that fails, the
    /// first message makes its own.
    pub async fn connect(&self) {
        let call =
            self.sqs.client().get_queue_attributes().queue_url(&self.url).attribute_names(QueueAttributeName::QueueArn);
        let own = aws_sdk_sqs::Config::builder().retry_config(RetryConfig::disabled());
        if let Err(error) = call.customize().config_override(own).send().await {
            tracing::debug!("no connection to SQS yet: {}", aws::cause(&error));
        }
    }

    /// Puts a message into the queue and returns SQS's id for it, which is the acknowledgement. `endpoint` is the message
    /// group: in a fair queue, a noisy endpoint does not delay a quiet one.
    ///
    /// # Errors
    /// [`SendError`].
    pub async fn send(&self, message: String, endpoint: &str) -> Result<String, SendError> {
        sent(self.sending(message, endpoint).send().await)
    }

    /// The same, within `time`. `trace` is X-Ray's header, which the consumer is given too.
    ///
    /// # Errors
    /// [`SendError`].
    pub async fn send_within(
        &self,
        time: Duration,
        message: String,
        endpoint: &str,
        trace: Option<&str>,
    ) -> Result<String, SendError> {
        let mut call = self.sending(message, endpoint);
        let value = trace.map(|trace| MessageSystemAttributeValue::builder().data_type("String").string_value(trace));
        if let Some(Ok(value)) = value.map(|value| value.build()) {
            call = call.message_system_attributes(MessageSystemAttributeNameForSends::AwsTraceHeader, value);
        }
        let limits = aws_sdk_sqs::Config::builder().timeout_config(aws::timeouts(time));
        sent(call.customize().config_override(limits).send().await)
    }

    fn sending(&self, message: String, endpoint: &str) -> SendMessageFluentBuilder {
        self.sqs.client().send_message().queue_url(&self.url).message_group_id(endpoint).message_body(message)
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
            let call =
                self.sqs.client().change_message_visibility_batch().queue_url(&self.url).set_entries(Some(entries));
            let answer = call.send().await.map_err(|error| unavailable(aws::cause(&error)))?;
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
            let call = self.sqs.client().delete_message_batch().queue_url(&self.url).set_entries(Some(entries));
            let answer = call.send().await.map_err(|error| unavailable(aws::cause(&error)))?;
            if let Some(failed) = answer.failed().first() {
                return Err(unavailable(format!("{} {}", failed.code(), failed.message().unwrap_or_default())));
            }
        }
        Ok(())
    }
}

type Sent = Result<
    aws_sdk_sqs::operation::send_message::SendMessageOutput,
    aws_sdk_sqs::error::SdkError<aws_sdk_sqs::operation::send_message::SendMessageError>,
>;

fn sent(answer: Sent) -> Result<String, SendError> {
    answer.map(|sent| sent.message_id.unwrap_or_default()).map_err(|error| {
        let is_refusal = error.code().is_some_and(|code| REFUSALS.contains(&code));
        let cause = aws::cause(&error);
        if is_refusal { SendError::Refused { cause } } else { SendError::Unavailable { cause } }
    })
}
