//! The events of `events/lambda/`, which the README invokes the functions with, do what it says.

use http::HeaderMap;
use serde_json::{Value, json};

use crate::harness::{ENDPOINTS, Wharf, sample, shipped_consumer};

impl Wharf {
    async fn invoke(&self, function: &str, event: &str) -> Value {
        let url =
            format!("{}/2015-03-31/functions/wharf-local-{function}/invocations", self.stack.facts().aws_endpoint_url);
        let answer = self.request("POST", &url, HeaderMap::new(), &sample(&format!("lambda/{event}"))).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        serde_json::from_str(&answer.body).unwrap()
    }
}

#[tokio::test]
async fn the_receivers_sample_is_accepted_with_the_secret_that_it_was_signed_with() {
    let secret = "It's a Secret to Everybody";
    let wharf = Wharf::start_with(ENDPOINTS, shipped_consumer(), &[("github", secret)]).await;
    let answer = wharf.invoke("receiver", "receiver-github-push.json").await;
    assert_eq!(answer["statusCode"], 200, "{answer}");
    wharf.completed("github", "72d3162e-cc78-11e3-81ab-4c9367dc0958").await;
}

#[tokio::test]
async fn the_consumers_sample_lands() {
    let wharf = Wharf::start().await;
    let answer = wharf.invoke("consumer", "consumer-github-push.json").await;
    assert_eq!(answer, json!({ "batchItemFailures": [] }));
    wharf.completed("github", "72d3162e-cc78-11e3-81ab-4c9367dc0958").await;
}
