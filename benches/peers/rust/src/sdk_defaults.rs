//! The receiver's job as the SDK's guide and `cargo lambda new` have it written: a client with its defaults, which makes its
//! first connection to SQS when the first webhook is there.

use std::env;

use aws_config::BehaviorVersion;
use aws_sdk_sqs::error::DisplayErrorContext;
use aws_sdk_sqs::types::MessageAttributeValue;
use hmac::{Hmac, KeyInit, Mac};
use lambda_http::http::StatusCode;
use lambda_http::{Error, Request, Response, run, service_fn, tracing};
use serde_json::json;
use sha2::Sha256;

struct Receiver {
    sqs: aws_sdk_sqs::Client,
    queue_url: String,
    secret: String,
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    tracing::init_default_subscriber();
    let config = aws_config::load_defaults(BehaviorVersion::latest()).await;

    let parameter = env::var("SECRET_PARAMETER")?;
    let ssm = aws_sdk_ssm::Client::new(&config);
    let answer = ssm.get_parameter().name(&parameter).with_decryption(true).send().await?;
    let secret = answer.parameter.and_then(|parameter| parameter.value).ok_or("the parameter has no value")?;

    let receiver = Receiver { sqs: aws_sdk_sqs::Client::new(&config), queue_url: env::var("QUEUE_URL")?, secret };
    run(service_fn(|request| receive(&receiver, request))).await
}

async fn receive(receiver: &Receiver, request: Request) -> Result<Response<String>, Error> {
    // lambda_http has decoded what API Gateway sent as base64.
    let body: &[u8] = request.body();
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());

    let signature = header("x-hub-signature-256").and_then(|value| value.strip_prefix("sha256="));
    if !signature.is_some_and(|signature| is_signed(&receiver.secret, body, signature)) {
        return answer(StatusCode::UNAUTHORIZED);
    }
    let (Some(event), Some(delivery), Ok(text)) =
        (header("x-github-event"), header("x-github-delivery"), str::from_utf8(body))
    else {
        return answer(StatusCode::BAD_REQUEST);
    };

    let sent = receiver
        .sqs
        .send_message()
        .queue_url(&receiver.queue_url)
        .message_body(text)
        .message_attributes("x-github-event", string_attribute(event)?)
        .message_attributes("x-github-delivery", string_attribute(delivery)?)
        .send()
        .await;
    match sent {
        Ok(_) => answer(StatusCode::OK),
        Err(error) => {
            tracing::error!(delivery, error = %DisplayErrorContext(&error), "SQS did not take the delivery");
            answer(StatusCode::SERVICE_UNAVAILABLE)
        }
    }
}

/// Compares in constant time.
fn is_signed(secret: &str, body: &[u8], signature: &str) -> bool {
    let Ok(signature) = hex::decode(signature) else { return false };
    Hmac::<Sha256>::new_from_slice(secret.as_bytes())
        .is_ok_and(|hmac| hmac.chain_update(body).verify_slice(&signature).is_ok())
}

fn string_attribute(value: &str) -> Result<MessageAttributeValue, Error> {
    Ok(MessageAttributeValue::builder().data_type("String").string_value(value).build()?)
}

fn answer(status: StatusCode) -> Result<Response<String>, Error> {
    let body = json!({ "ok": status.is_success() }).to_string();
    Ok(Response::builder().status(status).header("content-type", "application/json").body(body)?)
}
