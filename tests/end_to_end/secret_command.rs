//! What operators do with secrets: list them, and change one without losing an event.

use aws_sdk_cloudwatchlogs::types::InputLogEvent;
use aws_sdk_ssm::types::ParameterType;
use wharf_ops::deployment::Reach;
use wharf_ops::embedded_metrics;
use wharf_ops::log_tail::{Function, Line};
use wharf_ops::secret_use::Use;
use wharf_ops::secrets::{self, Change, Dropped, EndpointSecrets, NewSecret, list};
use wharf_ops::stack::Facts;
use wharf_webhook::clock::{UnixMillis, UnixSeconds};
use wharf_webhook::metrics::{Dimension, Metric, Report, Reporter};

use crate::harness::{Wharf, now, shipped_consumer};
use crate::proxy::{Call, Fault, Proxy};

/// An endpoint in each store, and two that are given no secret when the stack starts.
const ENDPOINTS: &str = r#"
[endpoints.github]
provider = "github"

[endpoints.billing]
provider = "stripe"
secret_store = "secretsmanager"

[endpoints.game]
provider = "discord"

[endpoints.alerts]
provider = "sns"
topics = ["arn:aws:sns:eu-central-1:123456789012:alerts"]
"#;

const STORES: [&str; 2] = ["github", "billing"];
const DAY: i64 = 24 * 60 * 60;

impl Wharf {
    async fn start_with_secrets(secrets: &[(&str, &str)]) -> Wharf {
        Wharf::start_with(ENDPOINTS, shipped_consumer(), secrets).await
    }

    /// What is kept of an endpoint's secrets, as its service says.
    async fn kept_secrets(&self, endpoint: &str) -> Option<String> {
        let configuration = self.stack.facts().configuration();
        if endpoint == "billing" {
            let client = aws_sdk_secretsmanager::Client::new(&configuration);
            let answer = client.get_secret_value().secret_id("wharf/local/billing").send().await.ok()?;
            return answer.secret_string().map(str::to_owned);
        }
        let ssm = aws_sdk_ssm::Client::new(&configuration);
        let name = format!("/wharf/local/{endpoint}");
        let answer = ssm.get_parameters().names(name).with_decryption(true).send().await.unwrap();
        answer.parameters().first()?.value().map(str::to_owned)
    }

    /// Puts a text where an endpoint's secrets are, as somebody does who does not use `cargo ops`.
    async fn keep_secrets(&self, endpoint: &str, text: &str) {
        let configuration = self.stack.facts().configuration();
        if endpoint == "billing" {
            let client = aws_sdk_secretsmanager::Client::new(&configuration);
            client.put_secret_value().secret_id("wharf/local/billing").secret_string(text).send().await.unwrap();
            return;
        }
        let ssm = aws_sdk_ssm::Client::new(&configuration);
        let put = ssm.put_parameter().name(format!("/wharf/local/{endpoint}")).value(text).overwrite(true);
        put.r#type(ParameterType::SecureString).send().await.unwrap();
    }

    /// The change that a secret from standard input makes.
    async fn planned_change(&self, endpoint: &str, how: How) -> Result<Change, String> {
        let found = secrets::read(&self.deployment(), self.endpoint(endpoint)).await.unwrap();
        let endpoint = self.endpoint(endpoint);
        let given = |secret| NewSecret::given(endpoint, secret).unwrap();
        let change = match how {
            How::Set(secret) => secrets::set(endpoint, found, &given(secret)),
            How::Add(secret) => secrets::add(endpoint, found, &given(secret)),
            How::Drop(dropped) => secrets::drop_older(endpoint, found, dropped),
        };
        change.map_err(|error| error.to_string())
    }

    /// Makes it, whatever is in use.
    async fn make_change(&self, endpoint: &str, change: &Change) -> Result<(), String> {
        let made = secrets::make(&self.deployment(), self.endpoint(endpoint), change).await;
        made.map_err(|error| format!("{error:#}"))
    }

    /// What stands against a change at an instant.
    async fn objection_to(&self, endpoint: &str, how: How, now: UnixSeconds) -> Option<String> {
        let change = self.planned_change(endpoint, how).await.unwrap();
        let deployment = self.deployment();
        let unused = secrets::require_unused(&deployment, self.endpoint(endpoint), &change, now).await;
        unused.err().map(|error| format!("{error:#}"))
    }

    async fn listed_secrets(&self, endpoint: &str, now: UnixSeconds) -> EndpointSecrets {
        let endpoint = self.endpoint(endpoint);
        list(&self.deployment(), [endpoint].into_iter(), now).await.remove(0)
    }

    /// Has CloudWatch know what the receiver counted at an instant.
    async fn was_counted(&self, endpoint: &str, metric: Metric, at: UnixSeconds) {
        let at = UnixMillis(at.0 * 1000);
        let line = Report::of(endpoint).with(metric, 1).line(&reporter(), at).unwrap();
        let line = Line { function: Function::Receiver, at, fields: serde_json::from_str(&line).unwrap() };
        embedded_metrics::put(&self.stack.facts().configuration(), &[line]).await.unwrap();
    }
}

fn reporter() -> Reporter {
    Reporter { stage: "local".into(), version: "1".into() }
}

#[derive(Debug, Clone, Copy)]
enum How {
    Set(&'static str),
    Add(&'static str),
    Drop(Dropped),
}

/// The beginning of the minute in which an instant lies, as CloudWatch has it.
fn minute(at: UnixSeconds) -> UnixSeconds {
    UnixSeconds(at.0 / 60 * 60)
}

#[tokio::test]
async fn what_the_receiver_counts_keeps_an_old_secret_from_being_dropped() {
    let wharf = Wharf::start_with_secrets(&[("github", "new\nold")]).await;
    let oldest = How::Drop(Dropped::Oldest);
    let tomorrow = now().seconds().plus(DAY + 360);
    assert_eq!(wharf.objection_to("github", oldest, tomorrow).await, None);
    let headers = wharf.signed_with("old", "github", &[("x-github-event", "push")], b"{}");
    assert_eq!(wharf.post("github", headers, b"{}").await.status, 200);
    wharf.logged("it is counted", |line| line.number("OlderSecretMatched").is_some()).await;
    wharf.metrics_are_made().await;
    let objection = wharf.objection_to("github", oldest, now().seconds()).await.unwrap();
    assert!(objection.starts_with("an older secret of github matched in the minute of "), "{objection}");
}

#[tokio::test]
async fn a_secret_is_rotated_as_documented_in_either_store() {
    let wharf = Wharf::start_with_secrets(&[("github", "old"), ("billing", "old")]).await;
    for endpoint in STORES {
        let added = wharf.planned_change(endpoint, How::Add("new")).await.unwrap();
        assert_eq!((added.before(), added.after()), (1, 2));
        assert_eq!(
            wharf.kept_secrets(endpoint).await.as_deref(),
            Some("old"),
            "nothing is done before it is asked for"
        );
        wharf.make_change(endpoint, &added).await.unwrap();
        assert_eq!(wharf.kept_secrets(endpoint).await.as_deref(), Some("new\nold"));

        // The sender still signs with the old one. A day after it was switched, nothing speaks for the old one.
        let changed = wharf.listed_secrets(endpoint, now().seconds()).await.changed_at.unwrap();
        let matched = changed.plus(-3600);
        wharf.was_counted(endpoint, Metric::OlderSecretMatched, matched).await;
        let objection = wharf.objection_to(endpoint, How::Drop(Dropped::Oldest), now().seconds()).await.unwrap();
        let expected = format!(
            "an older secret of {endpoint} matched in the minute of {}, so its sender still uses it: switch the sender",
            minute(matched)
        );
        assert!(objection.starts_with(&expected), "{objection}");
        assert!(objection.contains("--force"), "{objection}");
        let day_later = minute(matched).plus(DAY + 60);
        assert!(wharf.objection_to(endpoint, How::Drop(Dropped::Oldest), day_later.plus(-1)).await.is_some());
        assert_eq!(wharf.objection_to(endpoint, How::Drop(Dropped::Oldest), day_later).await, None);

        let dropped = wharf.planned_change(endpoint, How::Drop(Dropped::Oldest)).await.unwrap();
        wharf.make_change(endpoint, &dropped).await.unwrap();
        assert_eq!(wharf.kept_secrets(endpoint).await.as_deref(), Some("new"));
        let error = wharf.planned_change(endpoint, How::Drop(Dropped::Oldest)).await.unwrap_err();
        assert!(error.starts_with(&format!("{endpoint} has one secret only")), "{error}");
    }
}

#[tokio::test]
async fn what_was_accepted_before_a_secret_was_added_speaks_against_dropping_the_older_one() {
    let wharf = Wharf::start_with_secrets(&[("github", "new\nold\noldest")]).await;
    let changed = wharf.listed_secrets("github", now().seconds()).await.changed_at.unwrap();
    // Copies of the secrets of before last for five minutes: what was accepted later was signed with the newest, or counted.
    wharf.was_counted("github", Metric::Accepted, changed.plus(360)).await;
    wharf.was_counted("billing", Metric::Accepted, changed).await;
    let soon = changed.plus(600);
    assert_eq!(wharf.objection_to("github", How::Drop(Dropped::AllButNewest), soon).await, None);

    let accepted = changed.plus(-7200);
    wharf.was_counted("github", Metric::Accepted, accepted).await;
    let objection = wharf.objection_to("github", How::Drop(Dropped::AllButNewest), soon).await.unwrap();
    let day_later = minute(accepted).plus(DAY + 60);
    let expected = format!(
        "the secrets of github were changed at {changed}, and a delivery that was accepted in the minute of {} may have been \
         signed with what is an older one now. If none matches until {day_later} it can be dropped; or at once, with --force",
        minute(accepted)
    );
    assert_eq!(objection, expected);
    assert_eq!(wharf.listed_secrets("github", soon).await.older, Some(Use::Perhaps { last: minute(accepted) }));
    assert_eq!(wharf.objection_to("github", How::Drop(Dropped::AllButNewest), day_later).await, None);
    assert_eq!(wharf.listed_secrets("github", day_later).await.older, Some(Use::No));
}

#[tokio::test]
async fn all_secrets_of_an_endpoint_are_replaced_only_if_none_is_in_use() {
    let wharf = Wharf::start_with_secrets(&[("github", "old")]).await;
    let now = now().seconds();
    assert_eq!(wharf.objection_to("github", How::Set("new"), now).await, None);
    wharf.was_counted("github", Metric::Accepted, now.plus(-3600)).await;
    let objection = wharf.objection_to("github", How::Set("new"), now).await.unwrap();
    assert!(objection.contains("`cargo ops secret add github` changes it without losing an event"), "{objection}");
    // What cannot be used is used by nobody, whatever was accepted before.
    wharf.keep_secrets("github", "1\n2\n3\n4\n5\n6\n7\n8\n9").await;
    assert_eq!(wharf.objection_to("github", How::Set("new"), now).await, None);

    let set = wharf.planned_change("github", How::Set("new")).await.unwrap();
    wharf.make_change("github", &set).await.unwrap();
    assert_eq!(wharf.kept_secrets("github").await.as_deref(), Some("new"));
}

#[tokio::test]
async fn where_the_metrics_cannot_be_asked_for_nothing_is_taken_away() {
    let wharf = Wharf::start_with_secrets(&[("github", "new\nold")]).await;
    let change = wharf.planned_change("github", How::Drop(Dropped::Oldest)).await.unwrap();
    // Nobody listens there.
    let nowhere = "http://127.0.0.1:9".to_owned();
    let deployment = Facts { aws_endpoint_url: nowhere, ..wharf.stack.facts().clone() }.deployment();
    let endpoint = wharf.endpoint("github");
    let now = now().seconds();
    let error = secrets::require_unused(&deployment, endpoint, &change, now).await.unwrap_err();
    let error = format!("{error:#}");
    let expected = "whether a secret of github is still used is not known, so none is taken away without --force: cannot read \
                    the metrics of the local stack";
    assert!(error.starts_with(expected), "{error}");
}

#[tokio::test]
async fn the_first_secret_of_an_endpoint_is_set_in_either_store() {
    let wharf = Wharf::start_with_secrets(&[]).await;
    let configuration = wharf.stack.facts().configuration();
    let ssm = aws_sdk_ssm::Client::new(&configuration);
    ssm.delete_parameter().name("/wharf/local/github").send().await.unwrap();
    let manager = aws_sdk_secretsmanager::Client::new(&configuration);
    let delete = manager.delete_secret().secret_id("wharf/local/billing").force_delete_without_recovery(true);
    delete.send().await.unwrap();
    for endpoint in STORES {
        assert_eq!(wharf.listed_secrets(endpoint, now().seconds()).await.problem.as_deref(), Some("it has no secret"));
        let first = wharf.planned_change(endpoint, How::Set("first")).await.unwrap();
        let second = wharf.planned_change(endpoint, How::Add("second")).await.unwrap();
        wharf.make_change(endpoint, &first).await.unwrap();
        assert_eq!(wharf.kept_secrets(endpoint).await.as_deref(), Some("first"));
        // Of two operators who both found none, the second one is told.
        let error = wharf.make_change(endpoint, &second).await.unwrap_err();
        assert!(error.contains("has changed since it was looked at: nothing was written"), "{error}");
        assert_eq!(wharf.kept_secrets(endpoint).await.as_deref(), Some("first"));
    }
}

#[tokio::test]
async fn the_first_secret_is_encrypted_with_the_stages_key_and_a_later_one_stays_with_it() {
    let wharf = Wharf::start_with_secrets(&[]).await;
    let configuration = wharf.stack.facts().configuration();
    let manager = aws_sdk_secretsmanager::Client::new(&configuration);
    // Neither of them is deployed yet.
    for (stage, key, parameters_key, secrets_key) in [
        ("development", None, "alias/aws/ssm", None),
        ("staging", Some("alias/wharf"), "alias/wharf", Some("alias/wharf")),
    ] {
        let mut reach = Reach::of_stage(configuration.clone(), stage).await.unwrap();
        assert_eq!(reach.key, None);
        reach.key = key.map(str::to_owned);
        for endpoint in STORES.map(|name| wharf.endpoint(name)) {
            for secret in ["first", "second"] {
                let found = secrets::read(&reach, endpoint).await.unwrap();
                let added = secrets::add(endpoint, found, &NewSecret::given(endpoint, secret).unwrap()).unwrap();
                secrets::make(&reach, endpoint, &added).await.unwrap();
                reach.key = key.map(str::to_owned).filter(|_| secret == "first");
            }
            reach.key = key.map(str::to_owned);
            assert_eq!(secrets::read(&reach, endpoint).await.unwrap().unwrap().count(), 2);
        }
        let ssm = aws_sdk_ssm::Client::new(&configuration);
        let described = ssm.describe_parameters().send().await.unwrap();
        let name = format!("/wharf/{stage}/github");
        let parameter = described.parameters().iter().find(|parameter| parameter.name() == Some(&*name)).unwrap();
        assert_eq!(parameter.key_id(), Some(parameters_key), "{stage}");
        let secret = manager.describe_secret().secret_id(format!("wharf/{stage}/billing")).send().await.unwrap();
        assert_eq!(secret.kms_key_id(), secrets_key, "{stage}");
    }
}

#[tokio::test]
async fn one_endpoint_whose_secret_cannot_be_read_does_not_hide_the_others() {
    let wharf = Wharf::start_with_secrets(&[("github", "sesame"), ("billing", "sesame")]).await;
    let denied = |call: &Call<'_>| if call.operation == "GetParameters" { Fault::Denied } else { Fault::None };
    let (proxy, _victim) = Proxy::start(&wharf.stack.facts().aws_endpoint_url, denied).await;
    let deployment = Facts { aws_endpoint_url: proxy.url.clone(), ..wharf.stack.facts().clone() }.deployment();
    let endpoints = ["github", "billing"].map(|name| wharf.endpoint(name));
    let listed = list(&deployment, endpoints.into_iter(), now().seconds()).await;
    let why = listed[0].unreadable.as_deref().unwrap();
    assert!(why.contains("cannot read the parameter /wharf/local/github"), "{why}");
    assert_eq!((listed[0].count, &listed[0].problem), (0, &None));
    assert_eq!((listed[1].count, &listed[1].unreadable), (1, &None));
}

#[tokio::test]
async fn of_two_operators_at_once_the_later_one_is_told_and_no_secret_is_lost() {
    let wharf = Wharf::start_with_secrets(&[("github", "old"), ("billing", "old")]).await;
    for endpoint in STORES {
        let mine = wharf.planned_change(endpoint, How::Add("mine")).await.unwrap();
        let theirs = wharf.planned_change(endpoint, How::Add("theirs")).await.unwrap();
        wharf.make_change(endpoint, &theirs).await.unwrap();
        let error = wharf.make_change(endpoint, &mine).await.unwrap_err();
        assert!(error.contains("has changed since it was looked at: nothing was written"), "{error}");
        assert_eq!(wharf.kept_secrets(endpoint).await.as_deref(), Some("theirs\nold"));
    }
}

#[tokio::test]
async fn a_parameter_stays_encrypted_with_the_key_that_it_has() {
    let wharf = Wharf::start_with_secrets(&[]).await;
    let ssm = aws_sdk_ssm::Client::new(&wharf.stack.facts().configuration());
    let put = ssm.put_parameter().name("/wharf/local/github").value("old").overwrite(true).key_id("alias/wharf");
    put.r#type(ParameterType::SecureString).send().await.unwrap();
    let added = wharf.planned_change("github", How::Add("new")).await.unwrap();
    wharf.make_change("github", &added).await.unwrap();
    let described = ssm.describe_parameters().send().await.unwrap();
    let is_it = |parameter: &&aws_sdk_ssm::types::ParameterMetadata| parameter.name() == Some("/wharf/local/github");
    let parameter = described.parameters().iter().find(is_it).unwrap();
    assert_eq!(parameter.key_id(), Some("alias/wharf"));
    assert_eq!(parameter.r#type(), Some(&ParameterType::SecureString));
}

#[tokio::test]
async fn too_many_secrets_and_the_same_one_twice_are_refused_in_either_store() {
    let wharf =
        Wharf::start_with_secrets(&[("github", "1\n2\n3\n4\n5\n6\n7"), ("billing", "1\n2\n3\n4\n5\n6\n7")]).await;
    for endpoint in STORES {
        let error = wharf.planned_change(endpoint, How::Add("5")).await.unwrap_err();
        assert_eq!(error, format!("{endpoint} has this very secret already"));
        let eighth = wharf.planned_change(endpoint, How::Add("8")).await.unwrap();
        wharf.make_change(endpoint, &eighth).await.unwrap();
        let error = wharf.planned_change(endpoint, How::Add("9")).await.unwrap_err();
        assert!(error.starts_with(&format!("{endpoint} has 8 secrets, and 8 are the most")), "{error}");
    }
}

#[tokio::test]
async fn the_list_tells_of_each_endpoint_what_it_has_and_shows_no_part_of_a_secret() {
    let wharf = Wharf::start_with_secrets(&[("github", "sesame-new\nsesame-old"), ("billing", "sesame")]).await;
    wharf.keep_secrets("game", "sesame").await;
    let now = now().seconds();
    wharf.was_counted("github", Metric::OlderSecretMatched, now).await;
    let endpoints = ["github", "billing", "game", "alerts"].map(|name| wharf.endpoint(name));
    let listed = list(&wharf.deployment(), endpoints.into_iter(), now).await;
    let counts: Vec<_> = listed.iter().map(|secrets| (secrets.kept_in.as_deref(), secrets.count)).collect();
    assert_eq!(
        counts,
        [(Some("/wharf/local/github"), 2), (Some("wharf/local/billing"), 1), (Some("/wharf/local/game"), 1), (None, 0)]
    );
    assert_eq!(listed[0].older, Some(Use::Yes { last: minute(now) }));
    assert!(now.0 - listed[0].changed_at.unwrap().0 < 60);
    assert_eq!(listed[1].problem, None);
    assert_eq!(listed[2].problem.as_deref(), Some("line 1 is not hexadecimal, as the secrets of this provider are"));
    assert_eq!((&listed[3].problem, listed[3].changed_at), (&None, None));

    let json = serde_json::to_string(&listed).unwrap();
    assert!(!format!("{json}{listed:?}").contains("sesame"), "{json}");
    let changed_at = listed[0].changed_at.unwrap().0;
    let expected = format!(
        concat!(
            r#"[{{"endpoint":"github","provider":"github","kept_in":"/wharf/local/github","count":2,"#,
            r#""changed_at":{},"problem":null,"older":{{"in_use":"yes","last":{}}},"older_unknown":null,"unreadable":null}},"#
        ),
        changed_at,
        minute(now).0
    );
    assert!(json.starts_with(&expected), "{json}");
}

#[tokio::test]
async fn the_local_sender_signs_with_what_it_knows_as_long_as_that_is_valid_and_then_with_the_newest() {
    let wharf = Wharf::start_with_secrets(&[("github", "old"), ("billing", "old")]).await;
    for endpoint in STORES {
        let deployment = wharf.deployment();
        let signs_with = async || {
            secrets::senders(&deployment, wharf.endpoint(endpoint), Some("old"))
                .await
                .map_err(|error| error.to_string())
        };
        wharf.keep_secrets(endpoint, "new\nold").await;
        assert_eq!(signs_with().await.as_deref(), Ok("old"));
        wharf.keep_secrets(endpoint, "newest\nnew").await;
        assert_eq!(signs_with().await.as_deref(), Ok("newest"));
        wharf.keep_secrets(endpoint, " ").await;
        assert_eq!(signs_with().await, Err(format!("{endpoint} has no secret to sign with")));
    }
}

#[tokio::test]
async fn lines_in_the_embedded_metric_format_become_metrics_once() {
    let wharf = Wharf::start().await;
    let logs = aws_sdk_cloudwatchlogs::Client::new(&wharf.stack.facts().configuration());
    let group = wharf.stack.output("ReceiverLogGroup").unwrap();
    logs.create_log_stream().log_group_name(group).log_stream_name("test").send().await.unwrap();
    let write = async |line: String, at: UnixMillis| {
        let event = InputLogEvent::builder().message(line).timestamp(at.0).build().unwrap();
        let put = logs.put_log_events().log_group_name(group).log_stream_name("test").log_events(event);
        put.send().await.unwrap();
    };
    let at = now();
    let report = |count| Report::of("github").with(Metric::Accepted, count).line(&reporter(), at).unwrap();
    let accepted = async || wharf.metric_sum(Metric::Accepted, &[(Dimension::Stage, "local")]).await;

    write(report(2), at).await;
    write("START RequestId: 1".into(), at).await;
    wharf.metrics_are_made().await;
    wharf.metrics_are_made().await;
    assert_eq!(accepted().await, 2.0);
    write(report(3), at).await;
    wharf.metrics_are_made().await;
    assert_eq!(accepted().await, 5.0);
    let by_endpoint = [(Dimension::Stage, "local"), (Dimension::Endpoint, "github")];
    assert_eq!(wharf.metric_sum(Metric::Accepted, &by_endpoint).await, 5.0);
}
