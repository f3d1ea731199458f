//! Your code. It is run for every event that lands: edit it.

use wharf::Delivery;
use wharf::consumer::HandlerError;

/// Processes one event.
///
/// `Ok` completes it: it is never processed again, however often its sender repeats it. `Ok(effects)`, with
/// [`wharf::consumer::Effects`] instead of `()`, has writes to DynamoDB committed together with that, once. An error, a panic or
/// running out of time leaves it to a later attempt; any error converts with `?`, and [`HandlerError::permanent`] says that
/// no attempt can help.
pub async fn handle(delivery: Delivery) -> Result<(), HandlerError> {
    tracing::info!(
        endpoint = delivery.endpoint(),
        event_type = delivery.event_type().map(|stated| stated.text.as_str()),
        body_bytes = delivery.body().len(),
        "handled: replace this by what should happen, in functions/consumer/handler.rs"
    );
    Ok(())
}
