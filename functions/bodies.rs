//! Bodies that are too large to travel in a message: objects of a bucket, written by the receiver before it sends the message.

use std::time::Duration;

use aws_types::SdkConfig;
use wharf_webhook::delivery::Delivery;

use crate::bucket::{Bucket, BucketUnavailable};

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

    /// The body under `reference`; `None` if there is none.
    ///
    /// # Errors
    /// If S3 does not say.
    pub async fn get(&self, reference: &str) -> Result<Option<Vec<u8>>, BucketUnavailable> {
        self.bucket.get(reference).await
    }
}
