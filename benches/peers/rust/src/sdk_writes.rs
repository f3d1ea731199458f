//! What the consumer's writes cost by themselves: for each message of a batch the two that an event takes which lands, a claim
//! and a completion, by the SDK with its defaults, one after the other, and nothing else.

use std::collections::HashMap;

use aws_config::BehaviorVersion;
use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use aws_sdk_dynamodb::types::AttributeValue;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let config = aws_config::load_defaults(BehaviorVersion::latest()).await;
    let dynamodb = aws_sdk_dynamodb::Client::new(&config);
    let table = std::env::var("WHARF_TABLE")?;
    run(service_fn(|event: LambdaEvent<SqsEvent>| write_all(&dynamodb, &table, event.payload))).await
}

async fn write_all(dynamodb: &aws_sdk_dynamodb::Client, table: &str, batch: SqsEvent) -> Result<SqsBatchResponse, Error> {
    for message in &batch.records {
        let id = message.message_id.as_deref().unwrap_or_default();
        let claim = dynamodb.put_item().table_name(table).set_item(Some(record(id, "processing")));
        claim.condition_expression("attribute_not_exists(event_key)").send().await?;
        let completion = dynamodb.put_item().table_name(table).set_item(Some(record(id, "completed")));
        let is_ours = completion.condition_expression("#owner = :owner").expression_attribute_names("#owner", "owner");
        is_ours.expression_attribute_values(":owner", text("7f1d3b5c")).send().await?;
    }
    Ok(SqsBatchResponse::default())
}

/// As large as the ledger's.
fn record(id: &str, state: &str) -> HashMap<String, AttributeValue> {
    let number = || AttributeValue::N("1795706697".to_owned());
    let attributes = [
        ("event_key", text(&format!("github#72d3162e-cc78-11e3-81ab-4c9367dc0958:{id}"))),
        ("body", text("-")),
        ("state", text(state)),
        ("owner", text("7f1d3b5c-1f0e-4c57-9d0a-5f2f6f1c3b11")),
        ("attempt", number()),
        ("lease_until", number()),
        ("received_at", number()),
        ("expires_at", number()),
        ("body_sha256", text("88c33a076d6c13228dc93728ed09cac76bab58b4401aa14cb52b646ffdb6ae58")),
        ("event_type", text("push")),
        ("version", number()),
    ];
    attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}
