//! A secret can be changed without losing an event.

use aws_sdk_ssm::types::ParameterType;
use wharf::receiver::secrets::{SecretStore, SecretsUnavailable};
use wharf_webhook::clock::UnixSeconds;
use wharf_webhook::provider::SecretForm;
use wharf_webhook::secret::Secrets;

use crate::harness::{ENDPOINTS, Wharf, shipped_consumer};

const NOW: UnixSeconds = UnixSeconds(1_754_000_000);

#[tokio::test]
async fn a_signature_made_with_the_previous_secret_is_accepted_and_the_log_says_so() {
    let wharf = Wharf::start_with(ENDPOINTS, shipped_consumer(), &[("github", "new\nold")]).await;
    for (secret, index) in [("old", 1), ("new", 0)] {
        let headers = wharf.signed_with(secret, "github", &[("x-github-delivery", secret)], b"{}");
        assert_eq!(wharf.post("github", headers, b"{}").await.status, 200, "{secret}");
        let is_it = |line: &wharf_ops::log_tail::Line| line.text("event_id") == Some(secret);
        let line = wharf.logged("the receiver logged it", is_it).await;
        assert_eq!(line.number("secret_index"), Some(index));
    }
    let headers = wharf.signed_with("new\nold", "github", &[], b"{}");
    assert_eq!(wharf.post("github", headers, b"{}").await.status, 200, "the newest is the one to sign with");
}

#[tokio::test]
async fn an_endpoint_without_a_secret_answers_503_alone() {
    let wharf = Wharf::start().await;
    let ssm = aws_sdk_ssm::Client::new(&wharf.stack.facts().configuration());
    ssm.delete_parameter().name("/wharf/local/github").send().await.unwrap();
    let answer = wharf.push("d-1", b"{}").await;
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert_eq!(answer.headers["retry-after"], "30");
    assert_eq!(wharf.order(r#"{"id":"o-1","type":"paid"}"#).await.status, 200);
    let is_it = |line: &wharf_ops::log_tail::Line| line.text("reason") == Some("secrets_unavailable");
    let line = wharf.logged("the reason is logged", is_it).await;
    assert_eq!(
        line.text("message"),
        Some("there is no parameter /wharf/local/github: create it as a SecureString that holds the secret")
    );
}

#[tokio::test]
async fn a_secret_that_is_added_works_after_30_seconds_and_one_that_is_dropped_is_dead_after_300() {
    let wharf = Wharf::start_with(ENDPOINTS, shipped_consumer(), &[("github", "old")]).await;
    let ssm = aws_sdk_ssm::Client::new(&wharf.stack.facts().configuration());
    let endpoint = wharf.endpoint("github");
    let secrets = |text: &str| Secrets::parse(text, SecretForm::Utf8).unwrap();
    let put = async |text: &str| {
        let call = ssm.put_parameter().name("/wharf/local/github").value(text).overwrite(true);
        call.r#type(ParameterType::SecureString).send().await.unwrap();
    };
    let store = SecretStore::new(ssm.clone(), "local");
    assert_eq!(store.get(endpoint, NOW).await, Ok(secrets("old")));

    // Added. A mismatch has it fetched, but not sooner than 30 seconds after the last time.
    put("new\nold").await;
    assert_eq!(store.get_after_mismatch(endpoint, NOW.plus(29)).await, Ok(None));
    assert_eq!(store.get_after_mismatch(endpoint, NOW.plus(30)).await, Ok(Some(secrets("new\nold"))));

    // Dropped. The copy of second 30 is used until second 330.
    put("new").await;
    assert_eq!(store.get(endpoint, NOW.plus(329)).await, Ok(secrets("new\nold")));
    assert_eq!(store.get(endpoint, NOW.plus(330)).await, Ok(secrets("new")));

    // Gone. That ends the copy when it is next looked at.
    ssm.delete_parameter().name("/wharf/local/github").send().await.unwrap();
    let gone = Err(SecretsUnavailable::Absent { name: "/wharf/local/github".into() });
    assert_eq!(store.get(endpoint, NOW.plus(629)).await, Ok(secrets("new")));
    assert_eq!(store.get(endpoint, NOW.plus(630)).await, gone);

    // Back again. A missing one is looked for every 30 seconds.
    put("newest").await;
    assert_eq!(store.get(endpoint, NOW.plus(659)).await, gone);
    assert_eq!(store.get(endpoint, NOW.plus(660)).await, Ok(secrets("newest")));
}

#[tokio::test]
async fn while_ssm_cannot_be_reached_the_last_copy_serves() {
    let wharf = Wharf::start_with(ENDPOINTS, shipped_consumer(), &[("github", "old")]).await;
    let configuration = wharf.stack.facts().configuration();
    let retry = aws_smithy_types::retry::RetryConfig::disabled();
    let client =
        aws_sdk_ssm::Client::from_conf(aws_sdk_ssm::config::Builder::from(&configuration).retry_config(retry).build());
    let store = SecretStore::new(client, "local");
    let endpoint = wharf.endpoint("github").clone();
    let old = Secrets::parse("old", SecretForm::Utf8).unwrap();
    assert_eq!(store.get(&endpoint, NOW).await, Ok(old.clone()));
    drop(wharf);
    assert_eq!(store.get(&endpoint, NOW.plus(300)).await, Ok(old.clone()));
    assert_eq!(store.get_after_mismatch(&endpoint, NOW.plus(330)).await, Ok(Some(old)));
}
