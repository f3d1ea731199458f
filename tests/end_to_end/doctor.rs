//! `cargo ops doctor`: each thing is broken as a hand breaks it, is named, and is mended by the command that is named with it.

use std::collections::BTreeSet;

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_sqs::types::QueueAttributeName;
use aws_sdk_ssm::types::ParameterType;
use wharf_ops::deployment::Deployment;
use wharf_ops::doctor::{Finding, Verdict, examine};
use wharf_ops::template;
use wharf_webhook::clock::UnixSeconds;

use crate::checkout::Checkout;
use crate::harness::{Wharf, now, shipped_consumer};

const ENDPOINTS: &str = "[endpoints.github]\nprovider = \"github\"\n[endpoints.tasks]\nprovider = \"asana\"\n";

/// The emulator as an account of AWS: with all that the local stack's own doctor passes over.
struct Clinic {
    wharf: Wharf,
    checkout: Checkout,
    deployment: Deployment,
}

impl Clinic {
    async fn open(name: &str) -> Clinic {
        let wharf = Wharf::start_with(ENDPOINTS, shipped_consumer(), &[("tasks", "asanas-own-secret")]).await;
        let facts = wharf.stack.facts();
        let checkout = Checkout::new(name, ENDPOINTS, "", &facts.aws_endpoint_url);
        let mut deployment = Deployment::of_stage(facts.configuration(), "local").await.unwrap();
        // The address that the emulator gives the API is no name of this machine.
        deployment.api_url = facts.api_url.clone();
        Clinic { checkout, deployment, wharf }
    }

    async fn examine_at(&self, at: UnixSeconds) -> Vec<Finding> {
        examine(&self.checkout.project(), &self.deployment, at).await.unwrap()
    }

    async fn wrong(&self) -> Vec<Finding> {
        let findings = self.examine_at(now().seconds()).await;
        let not_checked: Vec<_> = findings.iter().filter(|finding| finding.verdict == Verdict::NotChecked).collect();
        assert!(not_checked.is_empty(), "{not_checked:?}");
        findings.into_iter().filter(|finding| finding.verdict == Verdict::Wrong).collect()
    }

    /// Runs the commands that were named.
    fn mend(&self, findings: &[Finding]) {
        for finding in findings {
            // Where there are two ways, the first.
            let mend = finding.mend.as_deref().unwrap().split(", or, ").next().unwrap();
            println!("{}: {}\n  $ {mend}", finding.about, finding.said);
            let said = self.checkout.run(mend);
            assert!(said.succeeded, "{mend}:\n{}", said.text);
        }
    }

    /// Fails unless what is wrong is exactly this: what it is about, and a part of what is said.
    #[track_caller]
    fn expect(found: &[Finding], expected: &[(&str, &str)]) {
        let is_found = |(about, said): &(&str, &str)| {
            found.iter().any(|finding| finding.about == *about && finding.said.contains(said))
        };
        let missing: Vec<_> = expected.iter().filter(|expected| !is_found(expected)).collect();
        assert!(missing.is_empty() && found.len() == expected.len(), "not found: {missing:?}, found: {found:#?}");
    }
}

#[tokio::test]
async fn what_is_broken_is_named_and_mended_by_the_command_that_is_named_with_it() {
    let clinic = Clinic::open("doctor").await;
    // What the emulator does not take from the template, as if a hand had changed it.
    let mut expected = vec![
        ("bucket", "large bodies never expire"),
        ("table", "nothing is forgotten"),
        ("table", "cannot be restored"),
        ("alarm topic", "nobody hears of any alarm"),
    ];
    Clinic::expect(&clinic.wrong().await, &expected);

    let wharf = &clinic.wharf;
    let facts = wharf.stack.facts();
    let configuration = facts.configuration();
    let ssm = aws_sdk_ssm::Client::new(&configuration);
    ssm.delete_parameter().name("/wharf/local/github").send().await.unwrap();
    for (name, value) in [("opening", "1754000000"), ("offered", "somebodys-secret")] {
        let put = ssm.put_parameter().name(format!("/wharf/local/tasks/{name}")).value(value);
        put.r#type(ParameterType::SecureString).send().await.unwrap();
    }
    expected.extend([
        ("endpoint github", "it answers 503: it has no secret"),
        ("endpoint tasks", "it was open until 2025-07-31"),
        ("endpoint tasks", "a secret was offered, and nobody took it"),
    ]);

    let set = async |url: &str, name: QueueAttributeName, value: &str| {
        wharf.sqs().set_queue_attributes().queue_url(url).attributes(name, value).send().await.unwrap();
    };
    let (queue, dead_letters) = (&facts.queue_url, &facts.dead_letter_queue_url);
    set(queue, QueueAttributeName::VisibilityTimeout, "30").await;
    set(queue, QueueAttributeName::MessageRetentionPeriod, "60").await;
    set(queue, QueueAttributeName::RedrivePolicy, "").await;
    set(queue, QueueAttributeName::SqsManagedSseEnabled, "false").await;
    set(dead_letters, QueueAttributeName::MessageRetentionPeriod, "345600").await;
    set(dead_letters, QueueAttributeName::RedriveAllowPolicy, r#"{"redrivePermission":"denyAll"}"#).await;
    expected.extend([
        ("queue", "it hides a received message for 30 s, and the code counts on 185"),
        ("queue", "it keeps a message for 60 s, and the code counts on 345600"),
        ("queue", "does not go to the dead-letter queue"),
        ("queue", "not encrypted"),
        ("dead-letter queue", "it keeps a message for 345600 s, and the code counts on 1209600"),
        ("dead-letter queue", "none of Wharf's"),
    ]);

    let s3 = wharf.s3();
    s3.delete_public_access_block().bucket(&facts.bucket).send().await.unwrap();
    expected.push(("bucket", "it is not shut to the public"));

    let lambda = aws_sdk_lambda::Client::new(&configuration);
    let function = &facts.consumer_function;
    let mappings = lambda.list_event_source_mappings().send().await.unwrap();
    let uuid = mappings.event_source_mappings()[0].uuid().unwrap().to_owned();
    let scaling = aws_sdk_lambda::types::ScalingConfig::builder().maximum_concurrency(900).build();
    let update = lambda.update_event_source_mapping().uuid(&uuid).enabled(false).batch_size(5).scaling_config(scaling);
    update.function_name(function).maximum_batching_window_in_seconds(3).send().await.unwrap();
    lambda.put_function_concurrency().function_name(function).reserved_concurrent_executions(0).send().await.unwrap();
    expected.extend([
        ("consumption", "the consumer is paused"),
        ("consumption", "and not the alias live"),
        ("consumption", "it takes 5 messages at once"),
        ("consumption", "it waits 3 s"),
        ("consumption", "runs 900 times at once, and was deployed with 5"),
        ("concurrency", "0 of the concurrent executions are reserved for wharf-local-consumer"),
    ]);

    let cloudwatch = aws_sdk_cloudwatch::Client::new(&configuration);
    let silenced = ["wharf-local-dead-letters", "wharf-local-spool"];
    cloudwatch.disable_alarm_actions().set_alarm_names(Some(silenced.map(str::to_owned).into())).send().await.unwrap();
    let logs = aws_sdk_cloudwatchlogs::Client::new(&configuration);
    logs.delete_retention_policy().log_group_name("/aws/lambda/wharf-local-consumer").send().await.unwrap();
    expected.extend([
        ("alarms", "nobody hears of these: wharf-local-dead-letters, wharf-local-spool"),
        ("logs", "/aws/lambda/wharf-local-consumer is kept for ever, and was deployed with 30"),
    ]);

    let wrong = clinic.wrong().await;
    Clinic::expect(&wrong, &expected);
    clinic.mend(&wrong);
    Clinic::expect(&clinic.wrong().await, &[]);
}

#[tokio::test]
async fn what_no_single_command_brings_back_is_named_with_what_brings_all_back() {
    let clinic = Clinic::open("doctor-gone").await;
    let configuration = clinic.wharf.stack.facts().configuration();
    let cloudwatch = aws_sdk_cloudwatch::Client::new(&configuration);
    cloudwatch.delete_alarms().alarm_names("wharf-local-spool").send().await.unwrap();
    let lambda = aws_sdk_lambda::Client::new(&configuration);
    lambda.delete_alias().function_name("wharf-local-receiver").name("live").send().await.unwrap();
    let logs = aws_sdk_cloudwatchlogs::Client::new(&configuration);
    logs.delete_log_group().log_group_name("/aws/apigateway/wharf-local").send().await.unwrap();
    let mappings = lambda.list_event_source_mappings().send().await.unwrap();
    let uuid = mappings.event_source_mappings()[0].uuid().unwrap().to_owned();
    lambda.delete_event_source_mapping().uuid(uuid).send().await.unwrap();

    let wrong = clinic.wrong().await;
    let expected = [
        ("alarms", "of the stack's alarms these are gone: wharf-local-spool"),
        ("function receiver", "there is no function wharf-local-receiver with the alias live"),
        ("logs", "there is no log group /aws/apigateway/wharf-local"),
        ("consumption", "the event source mapping is gone"),
    ];
    for (about, said) in expected {
        let found = wrong.iter().find(|finding| finding.about == about && finding.said.contains(said));
        let mend = found.unwrap_or_else(|| panic!("{about}: {wrong:#?}")).mend.as_deref().unwrap();
        // The emulator does not know drift: that AWS takes it so is from its documentation.
        assert!(mend.starts_with("aws cloudformation create-change-set --stack-name wharf-local "), "{mend}");
        assert!(
            mend.contains(" --deployment-mode REVERT_DRIFT ") && mend.contains("ParameterKey=Stage,UsePrevious"),
            "{mend}"
        );
    }
}

#[tokio::test]
async fn what_time_brings_is_a_hint_or_wrong() {
    let clinic = Clinic::open("doctor-later").await;
    let s3 = clinic.wharf.s3();
    let put = s3.put_object().bucket(&clinic.wharf.stack.facts().bucket).key("spool/kept/github/0000/A1");
    put.body(ByteStream::from_static(b"{}")).send().await.unwrap();
    let at = async |seconds: i64, about: &str| {
        let findings = clinic.examine_at(now().seconds().plus(seconds)).await;
        let finding = findings.into_iter().find(|finding| finding.about == about).unwrap();
        (finding.verdict, finding.said)
    };
    assert_eq!(at(0, "spool").await.0, Verdict::Hint);
    let (verdict, said) = at(16 * 60, "spool").await;
    assert!(verdict == Verdict::Wrong && said.contains("the housekeeper does not drain it"), "{said}");
    assert_eq!(at(0, "endpoint github").await, (Verdict::Well, "1 secret".to_owned()));
    let (verdict, said) = at(367 * 24 * 60 * 60, "endpoint github").await;
    assert!(verdict == Verdict::Hint && said.starts_with("1 secret, not changed for 36"), "{said}");
    assert_eq!(at(0, "housekeeper's runs").await.0, Verdict::Skipped);
    let (verdict, said) = at(60 * 60, "housekeeper's runs").await;
    assert!(verdict == Verdict::Wrong && said.starts_with("it has not run for 5 minutes"), "{said}");
    let (verdict, said) = at(60 * 60, "alarms").await;
    assert!(verdict == Verdict::Wrong && said.starts_with("these have no data for over 15 minutes"), "{said}");
    clinic.wharf.stack.emulator();
}

#[tokio::test]
async fn a_door_that_leads_elsewhere_and_an_environment_of_another_release_are_named() {
    let mut clinic = Clinic::open("doctor-door").await;
    let path = clinic.checkout.path(template::PATH);
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen("WHARF_BUCKET: !Ref Bodies", "WHARF_BODIES: !Ref Bodies", 1)).unwrap();
    clinic.deployment.api_url = "http://127.0.0.1:9".to_owned();
    let wrong = clinic.wrong().await;
    let found: BTreeSet<_> = wrong.iter().map(|finding| finding.about.as_str()).collect();
    assert!(found.contains("front door"), "{wrong:#?}");
    let receiver: Vec<_> = wrong.iter().filter(|finding| finding.about == "function receiver").collect();
    assert_eq!(receiver.len(), 2, "{wrong:#?}");
    assert_eq!(receiver[0].said, "its environment lacks WHARF_BODIES, which the template has");
    assert_eq!(receiver[1].said, "its environment has WHARF_BUCKET, which the template does not have");
    assert_eq!(receiver[0].mend.as_deref(), Some("cargo ops deploy --stage local --execute"));
    // Nobody but the receiver answers as it does.
    clinic.deployment.api_url = clinic.wharf.stack.emulator().url();
    let wrong = clinic.wrong().await;
    assert!(wrong.iter().any(|finding| finding.about == "front door"), "{wrong:#?}");
}

#[tokio::test]
async fn the_local_stack_is_well_and_says_what_means_nothing_there() {
    let wharf = Wharf::start_with(ENDPOINTS, shipped_consumer(), &[("tasks", "asanas-own-secret")]).await;
    let checkout = Checkout::new("doctor-local", ENDPOINTS, "", &wharf.stack.facts().aws_endpoint_url);
    let findings = examine(&checkout.project(), &wharf.deployment(), now().seconds()).await.unwrap();
    let is_fine = |finding: &&Finding| matches!(finding.verdict, Verdict::Well | Verdict::Skipped);
    assert!(findings.iter().all(|finding| is_fine(&finding)), "{findings:#?}");
    let skipped = findings.iter().filter(|finding| finding.verdict == Verdict::Skipped).map(|finding| &*finding.about);
    let skipped: Vec<_> = skipped.collect();
    assert_eq!(skipped, ["bucket", "table", "housekeeper's runs", "alarms", "alarm topic", "page topic"]);
}
