//! Addresses that are not AWS's: keys that senders publish, and our own front door. Nothing here follows a redirect, waits
//! long, or reads much. `HTTPS_PROXY` is honoured, for functions in a network of their own.

use std::sync::OnceLock;
use std::time::Duration;

use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::{Connector, tls::TlsContext};
use aws_smithy_runtime_api::client::http::HttpConnector;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Limited};

/// A way to addresses that are not AWS's.
#[derive(Debug)]
pub struct Web {
    /// Made for the first address: the system's roots, which it trusts, take long to read.
    connector: OnceLock<Connector>,
}

/// A request.
#[derive(Debug)]
pub struct Outgoing<'a> {
    /// Of HTTP.
    pub method: Method,
    /// The whole address.
    pub url: &'a str,
    /// All that matter; those of the connection are added.
    pub headers: HeaderMap,
    /// Empty for none.
    pub body: Vec<u8>,
}

impl Web {
    /// A way that has no connection yet.
    pub fn new() -> Web {
        Web { connector: OnceLock::new() }
    }

    fn connector(&self) -> &Connector {
        self.connector.get_or_init(|| {
            Connector::builder()
                .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
                .tls_context(TlsContext::default())
                .proxy_config(ProxyConfig::from_env())
                .build()
        })
    }

    /// The answer to a request, if it comes within `time` and its body has at most `bytes_max` bytes.
    ///
    /// # Errors
    /// What happened, in words for the log.
    pub async fn ask(
        &self,
        outgoing: Outgoing<'_>,
        time: Duration,
        bytes_max: usize,
    ) -> Result<(StatusCode, Vec<u8>), String> {
        let mut request = Request::builder().method(outgoing.method).uri(outgoing.url);
        if let Some(headers) = request.headers_mut() {
            *headers = outgoing.headers;
        }
        let body = if outgoing.body.is_empty() { SdkBody::empty() } else { SdkBody::from(outgoing.body) };
        let request = request.body(body).map_err(|error| error.to_string())?;
        let request = HttpRequest::try_from(request).map_err(|error| error.to_string())?;
        let answered = async {
            let answer = self.connector().call(request).await.map_err(|error| format!("{error:?}"))?;
            let status = answer.status().as_u16();
            let body = Limited::new(answer.into_body(), bytes_max).collect().await;
            let body = body.map_err(|error| error.to_string())?.to_bytes().to_vec();
            Ok((StatusCode::from_u16(status).map_err(|error| error.to_string())?, body))
        };
        let late = || format!("no answer within {} s", time.as_secs());
        tokio::time::timeout(time, answered).await.unwrap_or_else(|_| Err(late()))
    }
}

impl Default for Web {
    fn default() -> Web {
        Web::new()
    }
}
