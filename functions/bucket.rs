//! Objects of a bucket of S3.

use std::time::Duration;

use aws_sdk_sqs::error::ProvideErrorMetadata;
use aws_smithy_types::body::SdkBody;
use aws_smithy_xml::decode::{Document, ScopedDecoder, try_data};
use aws_types::SdkConfig;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use thiserror::Error;
use wharf_webhook::clock::UnixSeconds;
use wharf_webhook::idempotency::Digest;

use crate::api::{Api, Call};
use crate::aws;

/// What stands for itself in a path that is signed: RFC 3986's unreserved characters, and the slash.
const PATH: AsciiSet = QUERY.remove(b'/');
const QUERY: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A bucket.
#[derive(Debug, Clone)]
pub struct Bucket {
    api: Api,
}

/// An object is not known to be stored, or could not be read or deleted.
#[derive(Debug, Error)]
#[error("S3: {cause}")]
pub struct BucketUnavailable {
    cause: String,
}

/// Why there is no content of an object.
#[derive(Debug, Error)]
pub enum ReadError {
    /// S3 did not say, the object broke off, or it took too long. It may be there later.
    #[error("{0}")]
    Unavailable(#[from] BucketUnavailable),
    /// It is larger than anything that is stored there by us. It will not become smaller.
    #[error("the object has more than {bytes_max} bytes, and nothing of ours has: somebody else has written it")]
    TooLarge {
        /// The most that was expected.
        bytes_max: usize,
    },
}

/// An object of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its key.
    pub key: String,
    /// When it was stored.
    pub stored_at: UnixSeconds,
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Its objects.
    pub objects: Vec<Object>,
    /// Where the next one starts; `None` if there is none.
    pub next: Option<String>,
}

impl Bucket {
    /// The bucket of this name.
    pub fn new(configuration: &SdkConfig, name: &str) -> Bucket {
        Bucket { api: Api::bucket(configuration, name) }
    }

    /// Stores an object, within `time` if that is given. `digest` is its content's, if it is known: S3 compares it, so that
    /// what is stored is what was meant.
    ///
    /// # Errors
    /// If S3 does not acknowledge it; it may be stored all the same.
    pub async fn put(
        &self,
        key: &str,
        content_type: &str,
        content: Bytes,
        digest: Option<Digest>,
        time: Option<Duration>,
    ) -> Result<(), BucketUnavailable> {
        let mut request = Request::put(path(key)).header("content-type", content_type);
        if let Some(digest) = digest {
            request = request.header("x-amz-checksum-sha256", STANDARD.encode(digest.bytes()));
        }
        let request = request.body(content).map_err(unavailable)?;
        let call = Call { body_digest: digest, limits: time.map(aws::timeouts), ..Call::new("PutObject", request) };
        self.api.call(call).await.map(|_| ()).map_err(unavailable)
    }

    /// The content of an object of at most `bytes_max` bytes; `None` if there is no object. All of it is read within `time`: an
    /// answer that begins and then stalls is an error like any other, and keeps nobody waiting.
    ///
    /// # Errors
    /// [`ReadError`]
    pub async fn get(&self, key: &str, bytes_max: usize, time: Duration) -> Result<Option<Vec<u8>>, ReadError> {
        let request = Request::get(path(key)).body(Bytes::new()).map_err(unavailable)?;
        let call = Call { limits: Some(aws::timeouts(time)), ..Call::new("GetObject", request) };
        let answered = async {
            match self.api.stream(call).await {
                Ok(answer) => read(answer, bytes_max).await.map(Some),
                Err(error) if error.code() == Some("NoSuchKey") => Ok(None),
                Err(error) => Err(unavailable(error).into()),
            }
        };
        let late = || BucketUnavailable { cause: format!("the object was not read within {} ms", time.as_millis()) };
        tokio::time::timeout(time, answered).await.unwrap_or_else(|_| Err(late().into()))
    }

    /// The objects whose keys begin with `prefix`, up to a thousand, from `start` on.
    ///
    /// # Errors
    /// If S3 does not say.
    pub async fn list(&self, prefix: &str, start: Option<&str>) -> Result<Page, BucketUnavailable> {
        let encoded = |text: &str| percent_encode(text.as_bytes(), &QUERY).to_string();
        let start = start.map(|start| format!("continuation-token={}&", encoded(start))).unwrap_or_default();
        let target = format!("/?{start}list-type=2&prefix={}", encoded(prefix));
        let request = Request::get(target).body(Bytes::new()).map_err(unavailable)?;
        let answer = self.api.call(Call::new("ListObjectsV2", request)).await.map_err(unavailable)?;
        page(answer.body().bytes().unwrap_or_default())
    }

    /// Deletes an object, if it is there.
    ///
    /// # Errors
    /// If S3 does not acknowledge it.
    pub async fn delete(&self, key: &str) -> Result<(), BucketUnavailable> {
        let request = Request::builder().method(Method::DELETE).uri(path(key)).body(Bytes::new());
        let call = Call::new("DeleteObject", request.map_err(unavailable)?);
        self.api.call(call).await.map(|_| ()).map_err(unavailable)
    }
}

fn path(key: &str) -> String {
    format!("/{}", percent_encode(key.as_bytes(), &PATH))
}

/// Reads the content into its place: ten large bodies at once are as much as an invocation has memory for. It has exactly as
/// many bytes as S3 announces, and S3 announces that of every object. Where nobody does (a proxy may leave it out), the content
/// ends with the answer; a body's digest, or the message's own form, then shows whether something is missing.
async fn read(answer: Response<SdkBody>, bytes_max: usize) -> Result<Vec<u8>, ReadError> {
    let length = answer.headers().get("content-length").and_then(|length| length.to_str().ok()?.parse().ok());
    let too_large = || ReadError::TooLarge { bytes_max };
    if length.is_some_and(|length| length > bytes_max) {
        return Err(too_large());
    }
    let mut content = Vec::with_capacity(length.unwrap_or(0));
    let mut body = answer.into_body();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| BucketUnavailable { cause: format!("the object breaks off: {error}") })?;
        if let Ok(chunk) = frame.into_data() {
            // By what was announced, or else by the most: nothing is kept of an answer without an end.
            if chunk.len() > length.unwrap_or(bytes_max) - content.len() {
                let longer = |length| format!("the object goes on after {length} bytes, and S3 announced no more");
                return Err(length.map_or_else(too_large, |length| BucketUnavailable { cause: longer(length) }.into()));
            }
            content.extend_from_slice(&chunk);
        }
    }
    match length {
        Some(length) if length > content.len() => {
            let cause = format!("the object breaks off after {} of {length} bytes", content.len());
            Err(BucketUnavailable { cause }.into())
        }
        Some(_) | None => Ok(content),
    }
}

/// What S3 answers to a list.
fn page(xml: &[u8]) -> Result<Page, BucketUnavailable> {
    let mut document = Document::try_from(xml).map_err(unavailable)?;
    let mut root = document.root_element().map_err(unavailable)?;
    let mut page = Page { objects: Vec::new(), next: None };
    while let Some(mut tag) = root.next_tag() {
        if tag.start_el().matches("Contents") {
            page.objects.push(object(&mut tag)?);
        } else if tag.start_el().matches("NextContinuationToken") {
            page.next = Some(try_data(&mut tag).map_err(unavailable)?.into_owned());
        }
    }
    Ok(page)
}

fn object(contents: &mut ScopedDecoder<'_, '_>) -> Result<Object, BucketUnavailable> {
    let (mut key, mut stored_at) = (None, None);
    while let Some(mut tag) = contents.next_tag() {
        if tag.start_el().matches("Key") {
            key = Some(try_data(&mut tag).map_err(unavailable)?.into_owned());
        } else if tag.start_el().matches("LastModified") {
            let text = try_data(&mut tag).map_err(unavailable)?;
            stored_at = wharf_webhook::clock::UnixMillis::from_rfc3339(&text);
        }
    }
    let key = key.ok_or_else(|| BucketUnavailable { cause: "a list of objects has one without a key".to_owned() })?;
    Ok(Object { key, stored_at: stored_at.map_or(UnixSeconds(0), |at| at.seconds()) })
}

fn unavailable<E: std::error::Error + Send + Sync + 'static>(error: E) -> BucketUnavailable {
    BucketUnavailable { cause: aws::cause(&error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_in_a_path_as_it_is_signed() {
        assert_eq!(path("spool/new/github/88c3/A1b-_~.="), "/spool/new/github/88c3/A1b-_~.%3D");
        assert_eq!(path("a b+é"), "/a%20b%2B%C3%A9");
    }

    #[tokio::test]
    async fn an_object_has_exactly_the_bytes_that_s3_announces() {
        let read = async |announced: Option<&str>, content: &'static [u8]| {
            let mut answer = Response::new(SdkBody::from(content));
            if let Some(announced) = announced {
                answer.headers_mut().insert("content-length", announced.parse().unwrap());
            }
            read(answer, 5).await.map_err(|error| error.to_string())
        };
        assert_eq!(read(Some("5"), b"hello").await, Ok(b"hello".to_vec()));
        assert_eq!(read(Some("0"), b"").await, Ok(vec![]));
        assert_eq!(read(None, b"hello").await, Ok(b"hello".to_vec()));
        assert_eq!(read(Some("5"), b"hell").await.unwrap_err(), "S3: the object breaks off after 4 of 5 bytes");
        assert_eq!(read(Some("5"), b"").await.unwrap_err(), "S3: the object breaks off after 0 of 5 bytes");
        let longer = "S3: the object goes on after 4 bytes, and S3 announced no more";
        assert_eq!(read(Some("4"), b"hello").await.unwrap_err(), longer);
        let too_large = "the object has more than 5 bytes, and nothing of ours has: somebody else has written it";
        assert_eq!(read(None, b"hello!").await.unwrap_err(), too_large);
        assert_eq!(read(Some("6"), b"hello!").await.unwrap_err(), too_large);
        assert_eq!(read(Some("99999999999999"), b"").await.unwrap_err(), too_large);
    }

    #[test]
    fn a_list_has_its_objects_and_where_it_goes_on() {
        let xml = r#"<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name><Prefix>spool/</Prefix>
<KeyCount>2</KeyCount><IsTruncated>true</IsTruncated><NextContinuationToken>1u/=&amp;+</NextContinuationToken>
<Contents><Key>spool/new/a&amp;b/88c3/A1=</Key><LastModified>2026-11-26T12:00:00.000Z</LastModified>
<ETag>&quot;x&quot;</ETag><Size>3</Size><Owner><ID>1</ID></Owner></Contents>
<Contents><LastModified>2026-11-26T12:00:01Z</LastModified><Key>spool/new/c</Key></Contents></ListBucketResult>"#;
        let object = |key: &str, seconds| Object { key: key.to_owned(), stored_at: UnixSeconds(seconds) };
        let objects = vec![object("spool/new/a&b/88c3/A1=", 1_795_694_400), object("spool/new/c", 1_795_694_401)];
        assert_eq!(page(xml.as_bytes()).unwrap(), Page { objects, next: Some("1u/=&+".to_owned()) });
    }

    #[test]
    fn an_empty_list_ends_and_what_is_no_list_is_an_error() {
        let page = |xml: &str| page(xml.as_bytes()).map_err(|error| error.to_string());
        assert_eq!(page("<ListBucketResult></ListBucketResult>"), Ok(Page { objects: vec![], next: None }));
        assert_eq!(page("<ListBucketResult/>"), Ok(Page { objects: vec![], next: None }));
        for wrong in ["", "{}", "<ListBucketResult><Contents></Contents></ListBucketResult>"] {
            assert!(page(wrong).is_err(), "{wrong:?}");
        }
    }
}
