//! What no linter knows of `infra/template.yaml`, and of `infra/github-oidc.yaml`, asserted on what CloudFormation makes of them.
//!
//! The local stack ignores much of this (permissions, retention, throttling), so these rules are all that holds it. Each rule
//! says with which changes it is broken, and is shown to notice them.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what goes wrong in a test is a failure of the test"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::{panic, thread};

use serde_json::{Value, json};
use wharf_ops::deployment::Deployment;
use wharf_ops::project::Project;
use wharf_ops::template::{expand_text, packaged_anywhere};
use wharf_ops::{endpoint_alarms, samconfig};

mod expanded;
mod alarms;
mod permissions;
mod processing;
mod storage;
mod door;
mod roll_out;
mod dashboard;
mod github;

use expanded::{Template, reference};

/// What must hold, and changes that break it.
pub struct Rule {
    /// The template that it is about.
    pub of: fn() -> &'static Template,
    /// The rule, as a sentence.
    pub name: &'static str,
    /// Panics where it does not hold.
    pub holds: fn(&Template),
    /// Each of these breaks it.
    pub broken_by: &'static [Change],
}

/// One change of the expanded template.
pub enum Change {
    /// What is at this place (RFC 6901) is this JSON instead.
    Set(&'static str, &'static str),
    /// What is at this place is gone.
    Remove(&'static str),
}

/// A rule as a test of its own, and the list of all rules of a module: of what CloudFormation makes of the template for production,
/// or of another template.
#[macro_export]
macro_rules! rules {
    (of $of:ident; $($(#[doc = $doc:literal])* fn $name:ident($template:ident) $body:block broken by [$($change:expr),+ $(,)?])+) => {
        /// The rules of this module.
        pub const RULES: &[$crate::Rule] = &[$($crate::Rule {
            of: $crate::Template::$of,
            name: stringify!($name),
            holds: $name,
            broken_by: { use $crate::Change::*; &[$($change),+] },
        }),+];
        $($(#[doc = $doc])* fn $name($template: &$crate::Template) $body)+
        #[cfg(test)]
        mod tests {
            $(#[test] fn $name() { super::$name($crate::Template::$of()) })+
        }
    };
    ($($rule:tt)+) => { $crate::rules! { of production; $($rule)+ } };
}

#[test]
fn every_rule_notices_the_changes_that_break_it() {
    let all = [
        RULES,
        alarms::RULES,
        permissions::RULES,
        processing::RULES,
        storage::RULES,
        door::RULES,
        roll_out::RULES,
        dashboard::RULES,
        github::RULES,
    ];
    let hook = panic::take_hook();
    let here = thread::current().id();
    // What fails here is meant to; what fails in another test at the same time is not.
    panic::set_hook(Box::new(move |info| {
        if thread::current().id() != here {
            hook(info);
        }
    }));
    let mut unnoticed = Vec::new();
    let mut count = 0;
    for rule in all.into_iter().flatten() {
        for change in rule.broken_by {
            count += 1;
            let changed = (rule.of)().changed(change);
            if panic::catch_unwind(panic::AssertUnwindSafe(|| (rule.holds)(&changed))).is_ok() {
                let (Change::Set(place, _) | Change::Remove(place)) = change;
                unnoticed.push(format!("{} does not notice {place}", rule.name));
            }
        }
    }
    drop(panic::take_hook());
    assert!(unnoticed.is_empty(), "{unnoticed:#?}");
    println!("{count} changes, each noticed");
}

rules! {
    fn whatever_is_referred_to_exists_and_no_two_resources_need_each_other(template) {
        let mut needs = BTreeMap::new();
        for (name, resource) in template.resources() {
            let references = template.references_of(resource);
            for other in &references {
                assert!(template.knows(other), "{name} refers to {other}, which is not there");
            }
            needs.insert(name, references);
        }
        // Whoever needs nobody who is left can go; in the end nobody is left.
        while let Some(free) = needs.iter().find_map(|(name, others)| {
            let is_free = !others.iter().any(|other| needs.contains_key(other.as_str()));
            is_free.then(|| (*name).to_owned())
        }) {
            needs.retain(|name, _| *name != free);
        }
        assert!(needs.is_empty(), "these need each other: {:?}", needs.keys());
        for (name, output) in template.0["Outputs"].as_object().unwrap() {
            for other in template.references_of(output) {
                assert!(template.knows(&other), "the output {name} refers to {other}, which is not there");
            }
        }
    } broken by [
        Set("/Resources/SpoolAlarm/Properties/AlarmActions/0/Ref", r#""AlarmsTopic""#),
        Set("/Resources/DeadLetterQueue/Properties/RedriveAllowPolicy/sourceQueueArns/0", r#"{"Fn::GetAtt": ["DeliveryQueue", "Arn"]}"#),
        Set("/Resources/ReceiverRollOutErrorsAlarm/Properties/Dimensions/0/Value", r#"{"Ref": "ReceiverAliaslive"}"#),
        Remove("/Resources/Ledger"),
    ]

    fn what_cargo_ops_asks_for_is_an_output(template) {
        let outputs: BTreeSet<_> = template.0["Outputs"].as_object().unwrap().keys().map(String::as_str).collect();
        for name in Deployment::outputs() {
            assert!(outputs.contains(name), "there is no output {name}");
            assert!(template.0["Outputs"][name].get("Condition").is_none(), "{name} is not always there");
        }
    } broken by [Remove("/Outputs/TableName"), Remove("/Outputs/HousekeeperLogGroup"), Set("/Outputs/QueueUrl/Condition", r#""HasKey""#)]

    fn every_stage_has_its_parameters_and_tags_and_production_a_canary(template) {
        let project = Project::find().unwrap();
        let text = std::fs::read_to_string(project.path(samconfig::PATH)).unwrap();
        for stage in template.0["Parameters"]["Stage"]["AllowedValues"].as_array().unwrap() {
            let stage = stage.as_str().unwrap();
            let parameters = samconfig::parameters(&project, stage).unwrap();
            for (name, value) in &parameters {
                let parameter = &template.0["Parameters"][name];
                assert!(parameter.is_object(), "{stage} has the parameter {name}, which the template has not");
                if let Some(allowed) = parameter["AllowedValues"].as_array() {
                    let is_it = |allowed: &Value| allowed.as_str().map_or(allowed.to_string(), str::to_owned) == *value;
                    assert!(allowed.iter().any(is_it), "{stage} has {name}={value}");
                }
            }
            let canary = parameters.get("Canary").map(String::as_str);
            assert_eq!(canary == Some("true"), stage == "production", "{stage}");
            if stage != "local" {
                assert!(text.contains(&format!("stack_name = \"wharf-{stage}\"")), "{stage}");
                assert!(text.contains(&format!("tags = \"Project=wharf Stage={stage}\"")), "{stage}");
            }
        }
    } broken by [
        Set("/Parameters/Stage/AllowedValues", r#"["development", "staging", "production", "local", "test"]"#),
        Set("/Parameters/Canary/AllowedValues", r#"["yes"]"#),
        Remove("/Parameters/LogRetentionDays"),
    ]

    fn what_cannot_go_together_is_refused_before_anything_is_made(template) {
        let rules = &template.0["Rules"];
        let is_given = |name: &str| json!({ "Fn::Not": [{ "Fn::Equals": [reference(name), ""] }] });
        let rule = |name: &str| (rules[name]["RuleCondition"].clone(), rules[name]["Assertions"].clone());
        let (condition, assertions) = rule("ADomainHasACertificate");
        assert_eq!((condition, &assertions[0]["Assert"]), (is_given("DomainName"), &is_given("CertificateArn")));
        let (condition, assertions) = rule("MutualTlsHasADomain");
        assert_eq!((condition, &assertions[0]["Assert"]), (is_given("TruststoreUri"), &is_given("DomainName")));
        assert_eq!(assertions[1]["Assert"], json!({ "Fn::Equals": [reference("Probe"), "off"] }));
        let (condition, assertions) = rule("ADomainIsThereForItsZone");
        assert_eq!((condition, &assertions[0]["Assert"]), (is_given("HostedZoneId"), &is_given("DomainName")));
    } broken by [Remove("/Rules/ADomainHasACertificate"), Remove("/Rules/MutualTlsHasADomain/Assertions/1")]

    fn what_holds_data_is_tagged_with_project_and_stage(template) {
        // The stack's own tags, from samconfig.toml, go to whatever takes tags; what holds data has them in the template too.
        let holds_data = ["AWS::S3::Bucket", "AWS::DynamoDB::Table", "AWS::Lambda::Function", "AWS::ApiGatewayV2::Api"];
        for (name, resource) in template.resources() {
            let resource_type = resource["Type"].as_str().unwrap();
            if holds_data.contains(&resource_type) {
                let tags = resource["Properties"]["Tags"].to_string();
                assert!(tags.contains("Project") && tags.contains("Stage"), "{name} has the tags {tags}");
            }
        }
    } broken by [Remove("/Resources/Ledger/Properties/Tags"), Remove("/Resources/Receiver/Properties/Tags")]

    fn a_key_of_ones_own_encrypts_everything_that_is_kept(template) {
        let key = json!({ "Fn::If": ["HasKey", reference("KeyArn"), reference("AWS::NoValue")] });
        let by_type = [
            ("AWS::SQS::Queue", "KmsMasterKeyId"),
            ("AWS::SNS::Topic", "KmsMasterKeyId"),
            ("AWS::Logs::LogGroup", "KmsKeyId"),
            ("AWS::Lambda::Function", "KmsKeyArn"),
            ("AWS::Events::EventBus", "KmsKeyIdentifier"),
        ];
        for (resource_type, property) in by_type {
            for (name, properties) in template.of_type(resource_type) {
                assert_eq!(properties[property], key, "{name}");
            }
        }
        for (name, queue) in template.of_type("AWS::SQS::Queue") {
            let without = json!({ "Fn::If": ["HasKey", reference("AWS::NoValue"), true] });
            assert_eq!(queue["SqsManagedSseEnabled"], without, "{name}");
        }
        let table = &template.properties("Ledger")["SSESpecification"]["Fn::If"];
        assert_eq!(table[1], json!({ "SSEEnabled": true, "SSEType": "KMS", "KMSMasterKeyId": reference("KeyArn") }));
        assert_eq!(table[2], json!({ "SSEEnabled": true }));
        let bucket = &template.properties("Bodies")["BucketEncryption"]["ServerSideEncryptionConfiguration"][0]["Fn::If"];
        let with = &bucket[1]["ServerSideEncryptionByDefault"];
        assert_eq!(with, &json!({ "SSEAlgorithm": "aws:kms", "KMSMasterKeyID": reference("KeyArn") }));
        assert_eq!(bucket[2]["ServerSideEncryptionByDefault"], json!({ "SSEAlgorithm": "AES256" }));
        assert_eq!(template.0["Outputs"]["KeyArn"]["Value"], reference("KeyArn"));
    } broken by [
        Remove("/Resources/DeadLetterQueue/Properties/KmsMasterKeyId"),
        Set("/Resources/DeliveryQueue/Properties/SqsManagedSseEnabled", "true"),
        Remove("/Resources/ApiLogs/Properties/KmsKeyId"),
        Remove("/Resources/Ledger/Properties/SSESpecification/Fn::If/1/KMSMasterKeyId"),
        Remove("/Resources/Bodies/Properties/BucketEncryption"),
        Set("/Resources/AlarmTopic/Properties/KmsMasterKeyId", r#""alias/aws/sns""#),
    ]

    fn the_endpoints_own_alarms_are_nested_with_what_their_template_asks_for(template) {
        let project = Project::find().unwrap();
        let made = endpoint_alarms::template(&project.endpoints().unwrap());
        let kept = std::fs::read_to_string(project.path(endpoint_alarms::PATH)).unwrap();
        assert_eq!(made, kept, "run `cargo ops alarms`");
        let given = template.properties("EndpointAlarms")["Parameters"].as_object().unwrap();
        assert_eq!(
            given.iter().map(|(name, value)| (name.as_str(), value.clone())).collect::<Vec<_>>(),
            [
                ("AlarmTopicArn", reference("AlarmTopic")),
                ("Prefix", reference("AWS::StackName")),
                ("Stage", reference("Stage"))
            ]
        );
        for name in given.keys() {
            assert!(made.contains(&format!("\n  {name}:\n    Type: String\n")), "it asks for no {name}");
        }
    } broken by [
        Remove("/Resources/EndpointAlarms/Properties/Parameters/Prefix"),
        Set("/Resources/EndpointAlarms/Properties/Parameters/AlarmTopicArn/Ref", r#""PageTopic""#),
    ]

    fn no_stage_has_what_only_a_canary_needs_without_one(template) {
        let project = Project::find().unwrap();
        let text = packaged_anywhere(&project).unwrap();
        for stage in ["development", "local"] {
            let parameters = BTreeMap::from([("Stage".to_owned(), stage.to_owned())]);
            let expanded = Template(expand_text(&project, &text, &parameters, &|_| ()).unwrap());
            for (name, resource) in expanded.resources() {
                assert!(!resource["Type"].as_str().unwrap().starts_with("AWS::CodeDeploy"), "{name} in {stage}");
                assert!(resource.get("UpdatePolicy").is_none(), "{name} in {stage}");
            }
        }
        // And where the emulator refuses something, a condition is false on the local stack.
        for (name, resource) in template.resources() {
            let is_refused =
                resource["Type"] == "AWS::CloudWatch::CompositeAlarm" || resource["Properties"].get("Metrics").is_some();
            let false_there = ["IsOnAws", "HasCanary", "HasReceiverReservedConcurrency"];
            let condition = resource["Condition"].as_str();
            assert!(!is_refused || condition.is_some_and(|name| false_there.contains(&name)), "{name}");
        }
    } broken by [Remove("/Resources/LedgerErrorsAlarm/Condition"), Remove("/Resources/PageAlarm/Condition")]
}
