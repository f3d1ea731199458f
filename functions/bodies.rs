//! Bodies that are too large to travel in a message: objects of a bucket, written by the receiver before it sends the message.

use std::time::Duration;

use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::primitives::ByteStream;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;
use wharf_webhook::delivery::Delivery;
use wharf_webhook::limits::BODY_BYTES_MAX;

use crate::aws;

/// The bucket of bodies.
#[derive(Debug, Clone)]
pub struct Bodies {
    client: aws_sdk_s3::Client,
    bucket: String,
}

/// A body is not known to be stored, or could not be read.
#[derive(Debug, Error)]
#[error("S3: {cause}")]
pub struct BodiesUnavailable {
    cause: String,
}

impl Bodies {
    /// The bodies in this bucket.
    pub fn new(client: aws_sdk_s3::Client, bucket: String) -> Bodies {
        Bodies { client, bucket }
    }

    /// The bucket's name.
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// Stores a delivery's body under `reference`, within `time`. S3 compares it with its digest, so that what is stored is
    /// what was verified.
    ///
    /// # Errors
    /// If S3 does not acknowledge it.
    pub async fn put(&self, reference: &str, delivery: &Delivery, time: Duration) -> Result<(), BodiesUnavailable> {
        let digest = STANDARD.encode(delivery.body_digest().bytes());
        let call = self.client.put_object().bucket(&self.bucket).key(reference).checksum_sha256(digest);
        let call = call.content_type("application/octet-stream").body(ByteStream::from(delivery.body().to_vec()));
        let limits = aws_sdk_s3::Config::builder().timeout_config(aws::timeouts(time));
        call.customize().config_override(limits).send().await.map(|_| ()).map_err(unavailable)
    }

    /// The body under `reference`; `None` if there is none.
    ///
    /// # Errors
    /// If S3 does not say.
    pub async fn get(&self, reference: &str) -> Result<Option<Vec<u8>>, BodiesUnavailable> {
        match self.client.get_object().bucket(&self.bucket).key(reference).send().await {
            Ok(object) => {
                // Read into its place: ten of them at once are as much as an invocation has memory for.
                let bytes = object.content_length().and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
                let mut body = Vec::with_capacity(bytes.min(BODY_BYTES_MAX));
                let mut stream = object.body;
                while let Some(chunk) = stream.try_next().await.map_err(unavailable)? {
                    body.extend_from_slice(&chunk);
                }
                Ok(Some(body))
            }
            Err(SdkError::ServiceError(error)) if error.err().is_no_such_key() => Ok(None),
            Err(error) => Err(unavailable(error)),
        }
    }
}

fn unavailable<E: std::error::Error + Send + Sync + 'static>(error: E) -> BodiesUnavailable {
    BodiesUnavailable { cause: aws::cause(&error) }
}
