//! The APIs of AWS of which the functions need a call or two: of SSM, S3, EventBridge.
//!
//! The SDK's client of each would take up to a million instructions at every start, and up to two megabytes of the binary. So
//! their calls are written here, and are made by what the SDK's clients are made of: its retries, time-outs, connections and
//! signatures ([`Operation`]).

use std::borrow::Cow;
use std::fmt;

use aws_runtime::auth::sigv4::{SCHEME_ID, SigV4AuthScheme};
use aws_runtime::auth::{SigV4OperationSigningConfig, SigningOptions};
use aws_runtime::retries::classifiers::AwsErrorCodeClassifier;
use aws_sdk_sqs::config::BehaviorVersion;
use aws_sdk_sqs::error::{ErrorMetadata, ProvideErrorMetadata, SdkError};
use aws_sigv4::http_request::SignableBody;
use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime::client::retries::classifiers::{HttpStatusCodeClassifier, TransientErrorClassifier};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::auth::static_resolver::StaticAuthSchemeOptionResolver;
use aws_smithy_runtime_api::client::auth::{
    AuthSchemeOptionResolverParams, SharedAuthScheme, SharedAuthSchemeOptionResolver,
};
use aws_smithy_runtime_api::client::identity::SharedIdentityResolver;
use aws_smithy_runtime_api::client::interceptors::context::{Error, Output};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse, OrchestratorError, SensitiveOutput};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponentsBuilder;
use aws_smithy_runtime_api::client::runtime_plugin::StaticRuntimePlugin;
use aws_smithy_runtime_api::client::ser_de::DeserializeResponse;
use aws_smithy_runtime_api::client::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::{ConfigBag, Layer};
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_smithy_xml::decode::{Document, try_data};
use aws_types::region::SigningRegion;
use aws_types::{SdkConfig, SigningName};
use bytes::Bytes;
use http::{Request, Response};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use wharf_webhook::idempotency::Digest;
use wharf_webhook::partition::host;

use crate::aws;

/// Requests and answers may hold secrets and bodies, and at `TRACE` the SDK logs all that it is given.
struct Hidden<T>(T);

impl<T> fmt::Debug for Hidden<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("hidden")
    }
}

/// A service in the function's region.
#[derive(Debug, Clone)]
pub struct Api {
    /// As signatures name it: `ssm`.
    name: &'static str,
    endpoint: String,
    configuration: SdkConfig,
}

/// One call.
pub struct Call {
    /// `PutParameter`
    pub operation: &'static str,
    /// What is sent: method, path and query, headers, body.
    pub request: Request<Bytes>,
    /// The body's digest, if it is known: it is not computed again.
    pub body_digest: Option<Digest>,
    /// Its limits, if they are other than those of all calls.
    pub limits: Option<TimeoutConfig>,
}

impl Call {
    /// A call without anything special.
    pub fn new(operation: &'static str, request: Request<Bytes>) -> Call {
        Call { operation, request, body_digest: None, limits: None }
    }
}

/// What a service says of a call that it does not do: its code and its message.
#[derive(Debug)]
pub struct ApiError(ErrorMetadata);

/// Why a call was not done, or is not known to have been.
pub type CallError = SdkError<ApiError, HttpResponse>;

impl fmt::Display for ApiError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (code, message) = (self.0.code().unwrap_or("an error without a code"), self.0.message());
        match message {
            Some(message) => write!(formatter, "{code}: {message}"),
            None => formatter.write_str(code),
        }
    }
}

impl std::error::Error for ApiError {}

impl ProvideErrorMetadata for ApiError {
    fn meta(&self) -> &ErrorMetadata {
        &self.0
    }
}

impl Api {
    /// The service that signatures, and the names of its hosts, call `name`. `variable` is the end of the SDKs' variable that
    /// leads to another endpoint: `SSM`.
    pub fn new(configuration: &SdkConfig, name: &'static str, variable: &str) -> Api {
        let region = configuration.region().map(|region| region.as_ref()).unwrap_or_default();
        let endpoint =
            aws::endpoint(configuration, variable).unwrap_or_else(|| format!("https://{}", host(name, region)));
        Api { name, endpoint, configuration: configuration.clone() }
    }

    /// S3, for the objects of one bucket: what is called is `/` and an object's key.
    pub fn bucket(configuration: &SdkConfig, bucket: &str) -> Api {
        let region = configuration.region().map(|region| region.as_ref()).unwrap_or_default();
        let endpoint = match aws::endpoint(configuration, "S3") {
            Some(endpoint) => format!("{}/{bucket}", endpoint.trim_end_matches('/')),
            None => format!("https://{bucket}.{}", host("s3", region)),
        };
        Api { name: "s3", endpoint, configuration: configuration.clone() }
    }

    /// The answer to a call, if the service does it; with its body.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn call(&self, call: Call) -> Result<Response<SdkBody>, CallError> {
        self.answer(call, Answers { are_streamed: false }).await
    }

    /// The same, but the body is still to be read, for which the caller sets the limits of time and size: those of the call
    /// end with the headers.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn stream(&self, call: Call) -> Result<Response<SdkBody>, CallError> {
        self.answer(call, Answers { are_streamed: true }).await
    }

    async fn answer(&self, call: Call, answers: Answers) -> Result<Response<SdkBody>, CallError> {
        let Call { operation, request, body_digest, limits } = call;
        let answer = self.operation(operation, body_digest, limits, answers).invoke(Hidden(request)).await?;
        Ok(answer.0)
    }

    /// What a JSON service answers to `POST` of its version's `operation`: `AmazonSSM.GetParameters`.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn ask<T: DeserializeOwned>(&self, target: &'static str, question: String) -> Result<T, CallError> {
        let request = Request::post("/")
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", target)
            .body(Bytes::from(question))
            .map_err(SdkError::construction_failure)?;
        let answer = self.call(Call::new(target, request)).await?;
        let text = answer.body().bytes().unwrap_or_default();
        // Without what the answer says, which may be secrets.
        serde_json::from_slice(text).map_err(|error| {
            let problem = format!("the answer is not what was asked for: {:?} error", error.classify());
            SdkError::construction_failure(problem)
        })
    }

    fn operation(
        &self,
        name: &'static str,
        body_digest: Option<Digest>,
        limits: Option<TimeoutConfig>,
        answers: Answers,
    ) -> Operation<Hidden<Request<Bytes>>, Hidden<Response<SdkBody>>, ApiError> {
        let is_s3 = self.name == "s3";
        let mut options = SigningOptions::default();
        options.double_uri_encode = !is_s3;
        options.normalize_uri_path = !is_s3;
        options.content_sha256_header = is_s3;
        options.payload_override = body_digest.map(|digest| SignableBody::Precomputed(digest.to_string()));
        let mut layer = Layer::new("call");
        layer.store_put(AuthSchemeOptionResolverParams::new(()));
        layer.store_put(SensitiveOutput);
        layer.store_put(SigV4OperationSigningConfig {
            region: self.configuration.region().cloned().map(SigningRegion::from),
            name: Some(SigningName::from_static(self.name)),
            signing_options: options,
            ..SigV4OperationSigningConfig::default()
        });
        let mut components = RuntimeComponentsBuilder::new("call");
        components.set_auth_scheme_option_resolver(Some(SharedAuthSchemeOptionResolver::new(
            StaticAuthSchemeOptionResolver::new(vec![SCHEME_ID]),
        )));
        components.push_auth_scheme(SharedAuthScheme::new(SigV4AuthScheme::new()));
        components.set_http_client(self.configuration.http_client());
        if let Some(credentials) = self.configuration.credentials_provider() {
            components.set_identity_resolver(SCHEME_ID, SharedIdentityResolver::new(credentials));
        }
        components.set_sleep_impl(self.configuration.sleep_impl());
        components.push_retry_classifier(HttpStatusCodeClassifier::default());
        components.push_retry_classifier(TransientErrorClassifier::<ApiError>::new());
        components.push_retry_classifier(AwsErrorCodeClassifier::<ApiError>::new());
        let retries = self.configuration.retry_config().cloned().unwrap_or_else(RetryConfig::standard);
        let all = self.configuration.timeout_config().cloned();
        Operation::builder()
            .service_name(self.name)
            .operation_name(name)
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(&self.endpoint)
            .standard_retry(&retries)
            .timeout_config(limits.or(all).unwrap_or_else(TimeoutConfig::disabled))
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .with_connection_poisoning()
            .serializer(serialized)
            .deserializer_impl(answers)
            .runtime_plugin(StaticRuntimePlugin::new().with_config(layer.freeze()).with_runtime_components(components))
            .build()
    }
}

fn serialized(request: Hidden<Request<Bytes>>) -> Result<HttpRequest, BoxError> {
    Ok(HttpRequest::try_from(request.0.map(SdkBody::from))?)
}

/// Tells answers from errors.
#[derive(Debug)]
struct Answers {
    are_streamed: bool,
}

impl DeserializeResponse for Answers {
    fn deserialize_streaming_with_config(
        &self,
        response: &mut HttpResponse,
        _: &ConfigBag,
    ) -> Option<Result<Output, OrchestratorError<Error>>> {
        if !self.are_streamed || !response.status().is_success() {
            return None;
        }
        let rest = HttpResponse::new(response.status(), SdkBody::taken());
        Some(answer(std::mem::replace(response, rest)))
    }

    fn deserialize_nonstreaming_with_config(
        &self,
        response: &HttpResponse,
        _: &ConfigBag,
    ) -> Result<Output, OrchestratorError<Error>> {
        let body = response.body().bytes().unwrap_or_default();
        if !response.status().is_success() {
            let said = said(response.headers().get("x-amzn-errortype"), body, response.status().as_u16());
            return Err(OrchestratorError::operation(Error::erase(ApiError(said))));
        }
        let mut copy = HttpResponse::new(response.status(), SdkBody::from(body));
        *copy.headers_mut() = response.headers().clone();
        answer(copy)
    }
}

fn answer(response: HttpResponse) -> Result<Output, OrchestratorError<Error>> {
    let response = response.try_into_http1x().map_err(OrchestratorError::other)?;
    Ok(Output::erase(Hidden(response)))
}

/// An error in one of the three ways in which AWS's services say it: in a header, in JSON, in S3's XML.
fn said(header: Option<&str>, body: &[u8], status: u16) -> ErrorMetadata {
    #[derive(Default, Deserialize)]
    struct Json {
        #[serde(rename = "__type")]
        kind: Option<String>,
        code: Option<String>,
        #[serde(alias = "Message")]
        message: Option<String>,
    }
    let json: Json = serde_json::from_slice(body).unwrap_or_default();
    let text = std::str::from_utf8(body).unwrap_or_default();
    let code = header.map(str::to_owned).or(json.kind).or(json.code).or_else(|| element(text, "Code"));
    // `com.amazonaws.ssm#ParameterNotFound`, `ValidationException:http://internal.amazon.com/…`
    let code = code.as_deref().and_then(|code| code.split(':').next()?.rsplit('#').next());
    let mut error = ErrorMetadata::builder().code(code.map_or_else(|| format!("status {status}"), str::to_owned));
    if let Some(message) = json.message.or_else(|| element(text, "Message")) {
        error = error.message(message);
    }
    error.build()
}

/// The text of the first element of this name that holds nothing but text.
fn element(xml: &str, name: &str) -> Option<String> {
    let mut document = Document::try_from(xml.as_bytes()).ok()?;
    let mut root = document.root_element().ok()?;
    while let Some(mut tag) = root.next_tag() {
        if tag.start_el().matches(name) {
            return try_data(&mut tag).ok().map(Cow::into_owned);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_read_wherever_a_service_says_it() {
        let read = |header, body: &str| {
            let error = ApiError(said(header, body.as_bytes(), 400));
            (error.code().map(str::to_owned), error.to_string())
        };
        let json = r#"{"__type":"com.amazonaws.ssm#ParameterNotFound","message":"none such"}"#;
        assert_eq!(read(None, json), (Some("ParameterNotFound".into()), "ParameterNotFound: none such".into()));
        let capital = r#"{"__type":"AccessDeniedException","Message":"you may not"}"#;
        assert_eq!(read(None, capital).1, "AccessDeniedException: you may not");
        let header = Some("ThrottlingException:http://internal.amazon.com/coral/com.amazon.coral.availability/");
        assert_eq!(read(header, "{}").1, "ThrottlingException");
        let xml =
            "<?xml version=\"1.0\"?><Error><Code>NoSuchKey</Code><Message>a &amp; b</Message><Key>k</Key></Error>";
        assert_eq!(read(None, xml).1, "NoSuchKey: a & b");
        for nothing in ["", "<html>", "[]", "\u{0}"] {
            assert_eq!(read(None, nothing).1, "status 400", "{nothing:?}");
        }
    }
}
