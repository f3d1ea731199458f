//! Calls that are written here and not by a client of the SDK: each is signed as AWS verifies it. The emulator verifies none.
//!
//! The rule is the one of AWS's documentation ("Create a signed AWS API request"), computed anew from what was on the wire.

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_lc_rs::hmac;
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_types::SdkConfig;
use aws_types::region::Region;
use bytes::Bytes;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use wharf::bucket::Bucket;
use wharf::parameters::Parameters;
use wharf_webhook::idempotency::Digest;

use crate::lambda::HttpRequest;

const SECRET_KEY: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

/// What a call sends; it is told 400, so that it does not come again.
async fn sent<T>(call: impl AsyncFnOnce(SdkConfig) -> T) -> HttpRequest {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let credentials = Credentials::new("AKIDEXAMPLE", SECRET_KEY, Some("a/session+token=".to_owned()), None, "test");
    let configuration = SdkConfig::builder()
        .region(Region::new("eu-central-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .sleep_impl(TokioSleep::new())
        .endpoint_url(format!("http://{}", listener.local_addr().unwrap()))
        .build();
    let heard = async {
        let mut stream = listener.accept().await.unwrap().0;
        let request = HttpRequest::read(&mut BufReader::new(&mut stream)).await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        request
    };
    let both = async { tokio::join!(heard, call(configuration)).0 };
    tokio::time::timeout(Duration::from_secs(20), both).await.unwrap()
}

fn sha256(bytes: &[u8]) -> String {
    Digest::of(bytes).to_string()
}

fn hmac_sha256(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

/// Whether a request is signed for a service.
fn is_signed_for(service: &str, request: &HttpRequest) -> bool {
    let authorization = request.header("authorization").unwrap();
    let part = |name: &str| authorization.split_once(name).unwrap().1.split(',').next().unwrap();
    let (names, signature) = (part("SignedHeaders="), part("Signature="));
    let at = request.header("x-amz-date").unwrap();
    // `20261126T180000Z`
    let day = at.split('T').next().unwrap();
    let scope = format!("{day}/eu-central-1/{service}/aws4_request");
    assert_eq!(part("Credential="), format!("AKIDEXAMPLE/{scope}"));
    for needed in ["host", "x-amz-date", "x-amz-security-token"] {
        assert!(names.split(';').any(|name| name == needed), "{needed} is not signed");
    }
    // Of the wire: S3 takes a path as it comes, and the others are called at `/`.
    let mut words = request.head.lines().next().unwrap().split(' ');
    let (method, target) = (words.next().unwrap(), words.next().unwrap());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut pairs: Vec<&str> = query.split('&').collect();
    pairs.sort_unstable();
    let headers: String =
        names.split(';').map(|name| format!("{name}:{}\n", request.header(name).unwrap_or_default())).collect();
    let content = sha256(&request.body);
    let canonical = format!("{method}\n{path}\n{}\n{headers}\n{names}\n{content}", pairs.join("&"));
    let text = format!("AWS4-HMAC-SHA256\n{at}\n{scope}\n{}", sha256(canonical.as_bytes()));
    let mut key = format!("AWS4{SECRET_KEY}").into_bytes();
    for text in [day, "eu-central-1", service, "aws4_request"] {
        key = hmac_sha256(&key, text);
    }
    let expected: String = hmac_sha256(&key, &text).iter().map(|byte| format!("{byte:02x}")).collect();
    signature == expected
}

#[tokio::test]
async fn an_object_is_stored_listed_read_and_deleted_under_a_signature_that_s3_verifies() {
    const KEY: &str = "spool/new/github/88c3/A1b-_~.+=é";
    let content = Bytes::from_static(b"{\"a\":1}");
    let digest = Digest::of(&content);
    let put = sent(async |configuration| {
        let bucket = Bucket::new(&configuration, "bucket");
        bucket.put(KEY, "application/json", content, Some(digest), None).await
    });
    let put = put.await;
    assert!(put.head.starts_with("PUT /bucket/spool/new/github/88c3/A1b-_~.%2B%3D%C3%A9 HTTP/1.1"), "{}", put.head);
    assert_eq!(put.body, b"{\"a\":1}");
    // Of the content, in hexadecimal and in base64.
    let digest = "015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862";
    assert_eq!(put.header("x-amz-content-sha256"), Some(digest));
    assert_eq!(put.header("x-amz-checksum-sha256"), Some("AVq9f1zFei3ZS3WQ8ErYCEJzkF7jPsXOvq5iJ2qX+GI="));
    assert!(is_signed_for("s3", &put));

    let list = sent(async |configuration| Bucket::new(&configuration, "bucket").list("spool/", Some("1u/=+")).await);
    let list = list.await;
    assert!(list.head.starts_with("GET /bucket/?continuation-token=1u%2F%3D%2B&list-type=2&prefix=spool%2F HTTP/1.1"));
    assert!(is_signed_for("s3", &list));
    let get =
        sent(async |configuration| Bucket::new(&configuration, "bucket").get(KEY, 100, Duration::from_secs(8)).await)
            .await;
    assert!(is_signed_for("s3", &get));
    let delete = sent(async |configuration| Bucket::new(&configuration, "bucket").delete(KEY).await).await;
    assert!(delete.head.starts_with("DELETE /bucket/spool/") && is_signed_for("s3", &delete), "{}", delete.head);
}

#[tokio::test]
async fn parameters_are_asked_for_under_a_signature_that_ssm_verifies() {
    let names = ["/wharf/local/github".to_owned()];
    let asked = sent(async |configuration| Parameters::new(&configuration).secrets(&names).await.is_ok()).await;
    assert_eq!(asked.header("x-amz-target"), Some("AmazonSSM.GetParameters"));
    assert_eq!(asked.body, br#"{"Names":["/wharf/local/github"],"WithDecryption":true}"#);
    assert!(is_signed_for("ssm", &asked));
}
