//! The probe goes the whole way that a webhook goes, and says how long that took.

use serde_json::json;
use wharf_ops::log_tail::Line;

use crate::harness::{ENDPOINTS, Wharf, housekeeper};
use crate::lambda::Lambda;

impl Wharf {
    async fn prober(&self, name: &str, public_url: &str) -> Lambda {
        let environment = [("WHARF_PUBLIC_URL", public_url)];
        Lambda::start(self, name, &housekeeper(), ENDPOINTS, &self.stack.facts().aws_endpoint_url, &environment).await
    }

    async fn probe_secret(&self) -> Option<String> {
        let ssm = aws_sdk_ssm::Client::new(&self.stack.facts().configuration());
        let call = ssm.get_parameters().names("/wharf/local/_probe").with_decryption(true);
        let found = call.send().await.unwrap();
        found.parameters().first().and_then(|parameter| parameter.value()).map(str::to_owned)
    }
}

#[tokio::test]
async fn a_probe_goes_through_the_front_door_and_lands_and_nobody_processes_it() {
    let wharf = Wharf::start().await;
    assert_eq!(wharf.probe_secret().await, None);
    let lambda = wharf.prober("probe", &wharf.stack.facts().api_url).await;
    lambda.invoke(&json!({ "task": "probe" }), 55).await.unwrap();
    let secret = wharf.probe_secret().await.unwrap();
    assert!(secret.len() >= 40, "the first probe makes its secret");
    let is_landed = |line: &Line| line.text("outcome") == Some("landed") && line.text("endpoint") == Some("_probe");
    wharf.logged("it lands", is_landed).await;
    let reported = wharf.logged("its age is reported", |line| line.number("ProbeAge").is_some()).await;
    let age = reported.number("ProbeAge").unwrap();
    assert!((0..60_000).contains(&age), "{age}");
    assert_eq!(wharf.handled().await, 0);
    // It is no sender's: nothing is counted as accepted or landed.
    for line in wharf.log().await {
        assert!(line.number("Accepted").is_none() && line.number("Landed").is_none(), "{:?}", line.fields);
    }
    // The next one uses the same secret.
    lambda.invoke(&json!({ "task": "probe" }), 55).await.unwrap();
    assert_eq!(wharf.probe_secret().await, Some(secret.clone()));
    assert!(!lambda.log().contains(&secret));
    wharf
        .until("the second lands too", async || {
            let ages = wharf.log().await.iter().filter(|line| line.number("ProbeAge").is_some()).count();
            (ages == 2).then_some(())
        })
        .await;
}

#[tokio::test]
async fn a_probe_that_is_not_accepted_is_an_error_that_says_what_senders_meet() {
    let wharf = Wharf::start().await;
    let lambda = wharf.prober("probe-nobody", "http://127.0.0.1:9").await;
    let error = lambda.fails(&json!({ "task": "probe" }), 55).await;
    assert!(
        error.starts_with("the front door does not answer the probe at http://127.0.0.1:9/webhooks/_probe: "),
        "{error}"
    );
    // A door that knows another secret: somebody has written it anew, and the receiver still has its copy.
    let lambda = wharf.prober("probe-refused", &wharf.stack.facts().api_url).await;
    lambda.invoke(&json!({ "task": "probe" }), 55).await.unwrap();
    let ssm = aws_sdk_ssm::Client::new(&wharf.stack.facts().configuration());
    let put = async |value: &str| {
        ssm.put_parameter().name("/wharf/local/_probe").value(value).overwrite(true).send().await.unwrap();
    };
    put("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=").await;
    let error = lambda.fails(&json!({ "task": "probe" }), 55).await;
    assert!(error.ends_with("/webhooks/_probe with 400 Bad Request: senders are answered so too"), "{error}");
    put("not base64!").await;
    let error = lambda.fails(&json!({ "task": "probe" }), 55).await;
    assert!(error.ends_with("Delete it, and the next probe makes a new one"), "{error}");
}

#[tokio::test]
async fn while_no_probe_was_ever_sent_its_endpoint_is_unknown_to_strangers() {
    let wharf = Wharf::start().await;
    let body = br#"{"posted_at_ms":0}"#;
    let headers = crate::harness::headers(&[("webhook-id", "probe-1"), ("webhook-signature", "v1,AAAA")]);
    assert_eq!(wharf.post("_probe", headers, body).await.status, 404);
    let line = wharf.logged("it is refused", |line| line.text("reason") == Some("unknown_endpoint")).await;
    assert_eq!(line.text("level"), Some("WARN"), "no trouble of ours");
}
