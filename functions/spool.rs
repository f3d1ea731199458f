//! The spool: where the receiver stores a message when the queue does not take it, so that its sender is not turned away. The
//! housekeeper puts it into the queue when that is there again.
//!
//! ```text
//! spool/new/<endpoint>/<digest of the body>/<arrival id>       the receiver stores it
//! spool/refused/<endpoint>/<digest of the body>/<arrival id>   the queue has refused it once
//! ```
//!
//! No sender chooses any of it: the endpoint is one of ours, a digest spreads the names over S3's partitions, and the arrival id
//! is API Gateway's. Nothing here expires: what was accepted stays until it is in the queue or in the ledger.

use std::time::Duration;

use aws_types::SdkConfig;
use bytes::Bytes;
use thiserror::Error;
use wharf_webhook::clock::UnixSeconds;
use wharf_webhook::delivery::Delivery;
use wharf_webhook::limits::MESSAGE_BYTES_MAX;

use crate::bucket::{Bucket, BucketUnavailable, Object, ReadError};

/// What all keys of the spool begin with.
const PREFIX: &str = "spool/";
const NEW: &str = "spool/new/";
const REFUSED: &str = "spool/refused/";
/// Of its objects.
const CONTENT_TYPE: &str = "application/cloudevents+json";

/// The spool, in the bucket of bodies.
#[derive(Debug, Clone)]
pub struct Spool {
    bucket: Bucket,
}

/// A message is not known to be in the spool, or could not be read or taken from there.
#[derive(Debug, Error)]
#[error("the spool: {0}")]
pub struct SpoolUnavailable(#[from] BucketUnavailable);

/// An object of the spool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its key.
    pub key: String,
    /// When it was stored.
    pub stored_at: UnixSeconds,
}

/// Some objects of the spool.
#[derive(Debug)]
pub struct Page {
    /// They.
    pub entries: Vec<Entry>,
    /// Where the next page starts; `None` if there is none.
    pub next: Option<String>,
}

impl Entry {
    /// The endpoint that it came to; none if it is not of the receiver's making.
    pub fn endpoint(&self) -> Option<&str> {
        let path = self.key.strip_prefix(NEW).or(self.key.strip_prefix(REFUSED))?;
        path.split_once('/').map(|(endpoint, _)| endpoint)
    }

    /// Whether the queue has refused it before.
    pub fn was_refused(&self) -> bool {
        self.key.starts_with(REFUSED)
    }
}

impl Spool {
    /// The spool in this bucket.
    pub fn new(configuration: &SdkConfig, bucket: &str) -> Spool {
        Spool { bucket: Bucket::new(configuration, bucket) }
    }

    /// Stores the message of a delivery, within `time`.
    ///
    /// # Errors
    /// If S3 does not acknowledge it; it may be stored all the same.
    pub async fn put(&self, delivery: &Delivery, message: String, time: Duration) -> Result<(), SpoolUnavailable> {
        let (endpoint, digest, arrival_id) = (delivery.endpoint(), delivery.body_digest(), delivery.arrival_id());
        let key = format!("{NEW}{endpoint}/{digest}/{arrival_id}");
        Ok(self.bucket.put(&key, CONTENT_TYPE, Bytes::from(message), None, Some(time)).await?)
    }

    /// What is in the spool, up to a thousand objects from `start` on.
    ///
    /// # Errors
    /// If S3 does not say.
    pub async fn page(&self, start: Option<String>) -> Result<Page, SpoolUnavailable> {
        let listed = self.bucket.list(PREFIX, start.as_deref()).await?;
        let entry = |Object { key, stored_at }| Entry { key, stored_at };
        Ok(Page { entries: listed.objects.into_iter().map(entry).collect(), next: listed.next })
    }

    /// The message that an object holds, all of it within `time`; `None` if it is there no more.
    ///
    /// # Errors
    /// [`ReadError`]
    pub async fn get(&self, entry: &Entry, time: Duration) -> Result<Option<Vec<u8>>, ReadError> {
        self.bucket.get(&entry.key, MESSAGE_BYTES_MAX, time).await
    }

    /// Notes that the queue has refused an object: it is stored under its other name, and then taken away under the first.
    ///
    /// # Errors
    /// If S3 does not acknowledge it; then the object may be there under both names, which is harmless.
    pub async fn note_refusal(&self, entry: &Entry, message: Vec<u8>) -> Result<(), SpoolUnavailable> {
        let key = entry.key.replacen(NEW, REFUSED, 1);
        self.bucket.put(&key, CONTENT_TYPE, Bytes::from(message), None, None).await?;
        self.remove(entry).await
    }

    /// Takes an object away whose message is safe elsewhere.
    ///
    /// # Errors
    /// If S3 does not acknowledge it; then it is sent once more.
    pub async fn remove(&self, entry: &Entry) -> Result<(), SpoolUnavailable> {
        Ok(self.bucket.delete(&entry.key).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_objects_key_says_whose_it_is_and_whether_it_was_refused() {
        let entry = |key: &str| Entry { key: key.to_owned(), stored_at: UnixSeconds(0) };
        let new = entry("spool/new/github/88c33a07/A1=");
        assert_eq!((new.endpoint(), new.was_refused()), (Some("github"), false));
        let refused = entry("spool/refused/github/88c33a07/A1=");
        assert_eq!((refused.endpoint(), refused.was_refused()), (Some("github"), true));
        for key in ["spool/github/A1=", "spool/new/A1=", "bodies/88c33a07/A1="] {
            assert_eq!(entry(key).endpoint(), None, "{key}");
        }
    }
}
