//! The event that API Gateway hands over (payload format 2.0), and the answer that it takes.
//!
//! The event is read leniently: a header of odd bytes or an unusual host must cost the sender at most its own request, and
//! never end in an error of the function. A member that is `null` is one that is absent: API Gateway leaves out what it has
//! nothing for, and what stands in for it on a developer's machine writes `null` (cargo-lambda 1.9.2: `rawQueryString`).

use std::collections::HashMap;
use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Deserializer, Serialize};

/// What stands before an endpoint's name in its address. The template's route has the same.
pub const PATH_PREFIX: &str = "/webhooks/";

/// What of the event matters here. Header names come in lower case, repeated headers joined by commas.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// `/webhooks/github`
    #[serde(default, deserialize_with = "null_as_absent")]
    pub raw_path: String,
    #[serde(default, deserialize_with = "null_as_absent")]
    raw_query_string: String,
    #[serde(default, deserialize_with = "null_as_absent")]
    headers: HashMap<String, Option<String>>,
    request_context: RequestContext,
    #[serde(default)]
    body: Option<String>,
    #[serde(default, deserialize_with = "null_as_absent")]
    is_base64_encoded: bool,
}

/// What only API Gateway has. An event without it, its id or its method is no request, and an error of whoever invokes the
/// function: without the id, different events could pass for one.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RequestContext {
    request_id: String,
    http: HttpContext,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct HttpContext {
    method: String,
    /// Who is at the other end of the connection, which API Gateway knows and no header can change.
    #[serde(default, deserialize_with = "null_as_absent")]
    source_ip: String,
}

fn null_as_absent<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Why there is no body to verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyError {
    /// More bytes than are accepted.
    TooLarge {
        /// How many, or a little more.
        bytes: usize,
    },
    /// API Gateway says base64, and it is not.
    NotBase64,
}

impl Request {
    /// API Gateway's id of this request.
    pub fn arrival_id(&self) -> &str {
        &self.request_context.request_id
    }

    /// `POST`
    pub fn method(&self) -> &str {
        &self.request_context.http.method
    }

    /// Where the request came from, if that is an address.
    pub fn source(&self) -> Option<IpAddr> {
        self.request_context.http.source_ip.parse().ok()
    }

    /// How many bytes its headers and its request line have, about.
    pub fn header_bytes(&self) -> usize {
        let headers = self.headers.iter().map(|(name, value)| name.len() + value.as_ref().map_or(0, String::len));
        headers.sum::<usize>() + self.raw_path.len() + self.raw_query_string.len()
    }

    /// The whole address, as a sender knows it that posts to `public_url`: `https://hooks.example.com`.
    pub fn url(&self, public_url: &str) -> String {
        let query = if self.raw_query_string.is_empty() { "" } else { "?" };
        format!("{}{}{query}{}", public_url.trim_end_matches('/'), self.raw_path, self.raw_query_string)
    }

    /// The last part of `/webhooks/{endpoint}`; `None` for any other path.
    pub fn endpoint(&self) -> Option<&str> {
        let name = self.raw_path.strip_prefix(PATH_PREFIX)?;
        (!name.is_empty() && !name.contains('/')).then_some(name)
    }

    /// The headers; one that HTTP would not allow is left out, as if it had not been sent.
    pub fn headers(&self) -> HeaderMap {
        let valid = self.headers.iter().filter_map(|(name, value)| {
            let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
            Some((name, HeaderValue::from_bytes(value.as_ref()?.as_bytes()).ok()?))
        });
        valid.collect()
    }

    /// Takes the body, as API Gateway hands it on. Its size is judged before anything is decoded.
    ///
    /// # Errors
    /// [`BodyError`] if there are more than `bytes_max` of them, or they cannot be decoded.
    pub fn take_body(&mut self, bytes_max: usize) -> Result<Vec<u8>, BodyError> {
        let text = self.body.take().unwrap_or_default();
        let bytes = if self.is_base64_encoded { base64::decoded_len_estimate(text.len()) } else { text.len() };
        // The estimate is up to two bytes too high.
        if bytes > bytes_max + if self.is_base64_encoded { 2 } else { 0 } {
            return Err(BodyError::TooLarge { bytes });
        }
        if !self.is_base64_encoded {
            return Ok(text.into_bytes());
        }
        let body = STANDARD.decode(text).map_err(|_| BodyError::NotBase64)?;
        if body.len() > bytes_max { Err(BodyError::TooLarge { bytes: body.len() }) } else { Ok(body) }
    }
}

/// What the sender is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// HTTP status.
    pub status_code: u16,
    /// Names in lower case.
    pub headers: HashMap<&'static str, String>,
    /// Text.
    pub body: String,
    /// There are none. API Gateway does not ask for the member, and `cargo lambda watch` does.
    cookies: [String; 0],
}

impl Answer {
    /// An answer with one header.
    pub fn new(status_code: u16, content_type: &str, body: String) -> Answer {
        Answer::with_headers(status_code, HashMap::from([("content-type", content_type.to_owned())]), body)
    }

    /// An answer with these headers. With 204 goes no body, whatever it is.
    pub fn with_headers(status_code: u16, headers: HashMap<&'static str, String>, body: String) -> Answer {
        let body = if status_code == 204 { String::new() } else { body };
        Answer { status_code, headers, body, cookies: [] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(fields: &str) -> Request {
        serde_json::from_str(&format!(
            r#"{{"version":"2.0","rawPath":"/webhooks/github","requestContext":{{"requestId":"A1=","http":{{"method":"POST"}}}}{fields}}}"#
        ))
        .unwrap()
    }

    #[test]
    fn only_one_part_behind_webhooks_names_an_endpoint() {
        let endpoint = |path: &str| {
            let request = Request { raw_path: path.to_owned(), ..request("") };
            request.endpoint().map(str::to_owned)
        };
        assert_eq!(endpoint("/webhooks/github").as_deref(), Some("github"));
        for path in ["", "/", "/webhooks", "/webhooks/", "/webhooks/a/b", "/other/github", "webhooks/github"] {
            assert_eq!(endpoint(path), None, "{path:?}");
        }
    }

    #[test]
    fn the_address_is_the_senders_with_its_query() {
        let url = |fields: &str| request(fields).url("https://hooks.example.com/");
        assert_eq!(url(""), "https://hooks.example.com/webhooks/github");
        assert_eq!(url(r#","rawQueryString":"a=%20&b""#), "https://hooks.example.com/webhooks/github?a=%20&b");
    }

    #[test]
    fn an_answer_of_204_has_no_body() {
        assert_eq!(Answer::new(204, "application/json", "{}".to_owned()).body, "");
    }

    #[test]
    fn a_header_of_odd_bytes_is_kept_or_left_out_and_never_an_error() {
        let headers =
            request(r#","headers":{"x-file":"é","x-control":"\u0001","bad name":"a","x-tab":"a\tb","host":"a b["}"#)
                .headers();
        assert_eq!(headers["x-file"].as_bytes(), "é".as_bytes());
        assert_eq!(headers["x-tab"], "a\tb");
        assert_eq!(headers["host"], "a b[");
        assert_eq!(headers.len(), 3);
    }

    #[test]
    fn a_body_at_the_limit_is_taken_and_one_byte_more_is_too_large() {
        let text = |length: usize| request(&format!(r#","body":"{}""#, "x".repeat(length))).take_body(100);
        assert_eq!(text(100), Ok(vec![b'x'; 100]));
        assert_eq!(text(101), Err(BodyError::TooLarge { bytes: 101 }));
        let binary = |length: usize| {
            let body = STANDARD.encode(vec![0xff; length]);
            request(&format!(r#","isBase64Encoded":true,"body":"{body}""#)).take_body(100)
        };
        assert_eq!(binary(100), Ok(vec![0xff; 100]));
        assert_eq!(binary(101), Err(BodyError::TooLarge { bytes: 101 }));
        assert!(matches!(binary(1000), Err(BodyError::TooLarge { .. })));
    }

    #[test]
    fn headers_and_address_count_by_their_bytes() {
        assert_eq!(request("").header_bytes(), 16);
        assert_eq!(request(r#","rawQueryString":"a=1","headers":{"x-a":"é","x-b":""}"#).header_bytes(), 27);
    }

    #[test]
    fn the_source_is_the_connections_and_no_headers() {
        let http = r#"{"method":"POST","sourceIp":"192.30.252.1"}"#;
        let text = format!(
            r#"{{"requestContext":{{"requestId":"A1=","http":{http}}},"headers":{{"x-forwarded-for":"10.0.0.1"}}}}"#
        );
        let request: Request = serde_json::from_str(&text).unwrap();
        assert_eq!(request.source(), Some("192.30.252.1".parse().unwrap()));
        let request: Request = serde_json::from_str(&text.replace("192.30.252.1", "unknown")).unwrap();
        assert_eq!(request.source(), None);
    }

    #[test]
    fn a_request_without_a_body_has_an_empty_one() {
        assert_eq!(request("").take_body(100), Ok(vec![]));
        assert_eq!(request(r#","body":null"#).take_body(100), Ok(vec![]));
    }

    #[test]
    fn a_member_that_is_null_is_one_that_is_absent() {
        let nulls = r#"{
            "version": null, "routeKey": null, "rawPath": null, "rawQueryString": null, "cookies": null, "headers": null,
            "queryStringParameters": null, "pathParameters": null, "stageVariables": null, "body": null,
            "isBase64Encoded": null,
            "requestContext": {
                "accountId": null, "apiId": null, "authentication": null, "authorizer": null, "domainName": null,
                "domainPrefix": null, "requestId": "A1=", "routeKey": null, "stage": null, "time": null, "timeEpoch": null,
                "http": { "method": "POST", "path": null, "protocol": null, "sourceIp": null, "userAgent": null }
            }
        }"#;
        let absent = r#"{"requestContext":{"requestId":"A1=","http":{"method":"POST"}}}"#;
        for text in [nulls, absent] {
            let mut request: Request = serde_json::from_str(text).unwrap();
            assert_eq!((request.arrival_id(), request.method()), ("A1=", "POST"));
            assert_eq!(request.endpoint(), None);
            assert_eq!(request.url("https://hooks.example.com"), "https://hooks.example.com");
            assert_eq!(request.source(), None);
            assert_eq!(request.headers().len(), 0);
            assert_eq!(request.header_bytes(), 0);
            assert_eq!(request.take_body(100), Ok(vec![]));
        }
    }

    #[test]
    fn a_header_that_is_null_was_not_sent() {
        let request = request(r#","headers":{"x-a":null,"x-b":"1"}"#);
        assert_eq!(request.headers().len(), 1);
        assert_eq!(request.headers()["x-b"], "1");
        assert_eq!(request.header_bytes(), 23);
    }

    #[test]
    fn what_is_no_request_is_an_error_that_names_what_it_lacks() {
        let said = |text: &str| serde_json::from_str::<Request>(text).unwrap_err().to_string();
        assert!(said("{}").starts_with("missing field `requestContext`"));
        assert!(said(r#"{"requestContext":{"http":{"method":"POST"}}}"#).starts_with("missing field `requestId`"));
        assert!(said(r#"{"requestContext":{"requestId":"A1=","http":{}}}"#).starts_with("missing field `method`"));
    }

    /// Written by `cargo lambda watch` 1.9.2 for `curl http://…/lambda-url/receiver/webhooks/github`.
    #[test]
    fn the_event_of_cargo_lambda_is_read() {
        let request: Request = serde_json::from_str(
            r#"{"type":null,"methodArn":null,"httpMethod":"GET","identitySource":null,"authorizationToken":null,
            "resource":null,"version":"2.0","routeKey":"$default","rawPath":"/webhooks/github","rawQueryString":null,
            "headers":{"host":"127.0.0.1:9000","accept":"*/*"},"requestContext":{"routeKey":"$default","accountId":null,
            "stage":"$default","requestId":"441a0175-29e4-4d74-9679-2c5bc0efc864","apiId":null,"domainName":"localhost",
            "domainPrefix":"receiver","time":"27/Nov/2026:19:35:44 +0000","timeEpoch":1795808144,"http":{"method":"POST",
            "path":"/webhooks/github","protocol":"http","sourceIp":"127.0.0.1","userAgent":"cargo-lambda"}},
            "stageVariables":{},"isBase64Encoded":false}"#,
        )
        .unwrap();
        assert_eq!(request.endpoint(), Some("github"));
        assert_eq!(request.method(), "POST");
        assert_eq!(request.url("https://hooks.example.com"), "https://hooks.example.com/webhooks/github");
    }

    #[test]
    fn what_claims_to_be_base64_and_is_not_is_said() {
        assert_eq!(request(r#","isBase64Encoded":true,"body":"***""#).take_body(100), Err(BodyError::NotBase64));
    }

    #[test]
    fn an_answer_has_the_form_that_api_gateway_takes() {
        let answer = Answer::new(200, "text/plain", "ok".to_owned());
        assert_eq!(
            serde_json::to_string(&answer).unwrap(),
            r#"{"statusCode":200,"headers":{"content-type":"text/plain"},"body":"ok","cookies":[]}"#
        );
    }
}
