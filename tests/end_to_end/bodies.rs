//! The bytes that were signed are the bytes that are processed.
//!
//! API Gateway hands some bodies over as text and some as base64. The consumer's record holds the digest of the body that
//! came out of the queue; the literals here are the digests of what was posted.

use crate::harness::{Wharf, sample};

#[tokio::test]
async fn form_and_non_utf8_bodies_keep_their_exact_bytes() {
    let wharf = Wharf::start().await;
    let push = sample("github-push.json");
    let cases: [(&str, Option<&str>, &[u8], &str); 6] = [
        ("json", Some("application/json"), &push, "b80208ccf35d987558554fbeaa3c3b7143826cd0d26b0fd355143ca3ad328c0c"),
        (
            "form",
            Some("application/x-www-form-urlencoded"),
            b"payload=%7B%7D&a=1+2&a=%C3%A9",
            "b49d2978928b10bc6cdfa84fe9a22aa53c582fa453ecb07c7e6e2ca1456d85d5",
        ),
        (
            "bytes",
            Some("application/octet-stream"),
            b"\x00\xff\xfe\r\n\x80",
            "c941553e3c5f10e58a21a31eb011614eac184ef80b8f411b806ab7b32d659558",
        ),
        ("untyped", None, b"\xc3\x28 not utf-8", "5e30c4f8ef39c7b41af898024a131aae17c9059a868e3018f770c67fc83c7ad5"),
        (
            "text",
            Some("text/plain; charset=utf-8"),
            "Zürich \u{1F600}\r\n".as_bytes(),
            "78e440f043213027fb4d9df3d8fb2c7e7c932bffebe926526cf35f90c2d37d60",
        ),
        ("empty", None, b"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    ];
    for (id, content_type, body, digest) in cases {
        let mut pairs = vec![("x-github-delivery", id)];
        pairs.extend(content_type.map(|content_type| ("content-type", content_type)));
        let answer = wharf.post("github", wharf.signed("github", &pairs, body), body).await;
        assert_eq!(answer.status, 200, "{id}: {}", answer.body);
        assert_eq!(wharf.completed("github", id).await.body_sha256.as_deref(), Some(digest), "{id}");
    }
}
