//! Bodies that are too large to travel in a message: objects of a bucket, written by the receiver before it sends the message.

use std::time::Duration;

use aws_types::SdkConfig;
use wharf_webhook::delivery::Delivery;
use wharf_webhook::limits::BODY_BYTES_MAX;

use crate::bucket::{Bucket, BucketUnavailable, ReadError};

/// The bucket of bodies.
#[derive(Debug, Clone)]
pub struct Bodies {
    bucket: Bucket,
}

impl Bodies {
    /// The bodies in this bucket.
    pub fn new(configuration: &SdkConfig, bucket: &str) -> Bodies {
        Bodies { bucket: Bucket::new(configuration, bucket) }
    }

    /// Stores a delivery's body under `reference`, within `time`. S3 compares it with its digest, so that what is stored is
    /// what was verified.
    ///
    /// # Errors
    /// If S3 does not acknowledge it.
    pub async fn put(&self, reference: &str, delivery: &Delivery, time: Duration) -> Result<(), BucketUnavailable> {
        let (body, digest) = (delivery.shared_body(), Some(delivery.body_digest()));
        self.bucket.put(reference, "application/octet-stream", body, digest, Some(time)).await
    }

    /// The body under `reference`, all of it within `time`; `None` if there is none.
    ///
    /// # Errors
    /// [`ReadError`]
    pub async fn get(&self, reference: &str, time: Duration) -> Result<Option<Vec<u8>>, ReadError> {
        self.bucket.get(reference, BODY_BYTES_MAX, time).await
    }
}
