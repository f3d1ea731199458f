//! Whether all is well, as `cargo ops status` tells it.

use aws_sdk_cloudwatch::types::StateValue;
use wharf::Delivery;
use wharf::consumer::HandlerError;
use wharf_ops::consumption;
use wharf_ops::deployment::Deployment;
use wharf_ops::stack::Facts;
use wharf_ops::status::{Counts, Status, Told, status};
use wharf_webhook::endpoints::Endpoint;

use crate::harness::{Wharf, headers, now};
use crate::proxy::{Call, Fault, Proxy};

impl Wharf {
    async fn status_by(&self, deployment: &Deployment) -> Status {
        let endpoints: Vec<&Endpoint> = ["github", "shop"].map(|name| self.endpoint(name)).into();
        status(deployment, &endpoints, now().seconds()).await
    }

    async fn status(&self) -> Status {
        self.status_by(&self.deployment()).await
    }
}

async fn refuses(_: Delivery) -> Result<(), HandlerError> {
    Err(HandlerError::permanent("there is no such order"))
}

fn count(count: u64) -> Counts {
    Counts { last_5_minutes: count, last_hour: count, last_day: count }
}

#[tokio::test]
async fn what_arrived_landed_and_was_refused_is_counted_for_the_stage_and_by_endpoint() {
    let wharf = Wharf::start().await;
    for id in ["d-1", "d-2", "d-2"] {
        assert_eq!(wharf.push(id, br#"{"zen":"Speak like a human."}"#).await.status, 200);
    }
    assert_eq!(wharf.order(r#"{"id":"o-1","type":"paid"}"#).await.status, 200);
    assert_eq!(wharf.post("shop", headers(&[]), b"{}").await.status, 400);
    wharf.completed("github", "d-2").await;
    wharf.completed("shop", "o-1").await;
    wharf.queue_is_empty().await;
    let status = wharf
        .until("the metrics are there", async || {
            wharf.metrics_are_made().await;
            let status = wharf.status().await;
            let landed = status.measured.known().unwrap().counts["landed"].last_hour;
            let duplicates = status.measured.known().unwrap().counts["duplicates"].last_hour;
            (landed + duplicates == 4).then_some(status)
        })
        .await;
    let measured = status.measured.known().unwrap();
    let counted = |name: &str| measured.counts[name];
    assert_eq!((counted("accepted"), counted("refused"), counted("failed")), (count(4), count(1), count(0)));
    assert_eq!((counted("landed"), counted("duplicates")), (count(3), count(1)));
    let by_endpoint = |index: usize| {
        let endpoint = &status.endpoints[index];
        let of = |name: &str| endpoint.counts[name].last_day;
        (endpoint.endpoint.as_str(), of("accepted"), of("refused"), of("landed"), endpoint.secrets.count)
    };
    assert_eq!([by_endpoint(0), by_endpoint(1)], [("github", 3, 0, 2, 1), ("shop", 1, 1, 1, 1)]);
    assert!(measured.age_at_landing.unwrap().p99_ms > 0.0, "{measured:?}");
    assert_eq!((measured.probe_age_ms, measured.oldest_in_queue_seconds), (None, None), "the emulator has neither");
    assert!(status.well, "{:?}", status.troubles);
    assert_eq!(status.not_known, Vec::<String>::new());
    assert_eq!(status.stack.known().unwrap().status, "CREATE_COMPLETE");
    assert!(status.alarms.known().unwrap().count >= 12, "{:?}", status.alarms);
    assert_eq!(status.consumer, Told::Known("running".into()));
}

#[tokio::test]
async fn what_is_wrong_is_named_an_alarm_a_paused_consumer_dead_letters_failed_events_and_a_missing_secret() {
    let wharf = Wharf::start().await;
    let configuration = wharf.stack.facts().configuration();
    let alarm = aws_sdk_cloudwatch::Client::new(&configuration).set_alarm_state().alarm_name("wharf-local-queue-age");
    alarm.state_value(StateValue::Alarm).state_reason("a test says so").send().await.unwrap();
    wharf.pause().await;
    assert!(wharf.process(refuses, 10, &wharf.messages_of(&["o-1", "o-2"])).await.is_empty());
    let dead_letters = &wharf.stack.facts().dead_letter_queue_url;
    wharf.sqs().send_message().queue_url(dead_letters).message_body("no delivery").send().await.unwrap();
    let ssm = aws_sdk_ssm::Client::new(&configuration);
    ssm.delete_parameter().name("/wharf/local/github").send().await.unwrap();
    let status = wharf.status().await;
    assert!(!status.well);
    assert_eq!(
        status.troubles,
        [
            "alarm queue-age: The oldest delivery has waited for ten minutes.",
            "the consumer is not running: paused",
            "github answers 503: it has no secret",
            "1 messages are in the dead-letter queue",
            "2 events are failed and wait for somebody",
        ]
    );
    let raised = &status.alarms.known().unwrap().raised;
    assert_eq!(raised.len(), 1);
    assert!(now().seconds().0 - raised[0].since.unwrap().0 < 60, "{raised:?}");
    consumption::resume(&wharf.deployment()).await.unwrap();
    assert_eq!(wharf.status().await.consumer, Told::Known("running".into()));
}

#[tokio::test]
async fn what_is_denied_is_said_in_its_place_and_the_rest_is_there() {
    let wharf = Wharf::start().await;
    // By their wire formats: all of CloudFormation and CloudWatch, and SSM's parameters.
    let denied = |call: &Call<'_>| match call.operation {
        "POST" | "GetParameters" => Fault::Denied,
        _ => Fault::None,
    };
    let (proxy, _victim) = Proxy::start(&wharf.stack.facts().aws_endpoint_url, denied).await;
    let deployment = Facts { aws_endpoint_url: proxy.url.clone(), ..wharf.stack.facts().clone() }.deployment();
    let status = wharf.status_by(&deployment).await;
    for (unknown, what) in [
        (status.stack.known().is_none(), "the stack"),
        (status.alarms.known().is_none(), "the alarms"),
        (status.measured.known().is_none(), "the metrics"),
    ] {
        assert!(unknown && status.not_known.iter().any(|text| text.starts_with(&format!("{what}: "))), "{status:?}");
    }
    assert!(status.not_known.iter().any(|text| text.starts_with("the secrets of github: ")), "{status:?}");
    assert!(status.endpoints.iter().all(|endpoint| endpoint.counts.is_empty()));
    assert_eq!(status.dead_letters, Told::Known(0));
    assert_eq!(status.open_records.known().unwrap().failed, 0);
    assert!(status.well, "what is not known is no trouble: {:?}", status.troubles);
    assert!(serde_json::to_string(&status).unwrap().contains(r#""measured":{"unknown":"cannot read the metrics of "#));
}
