//! How a new version gets its traffic, and loses it.

use serde_json::{Value, json};
use wharf_webhook::metrics::{Dimension, Metric, NAMESPACE};

use crate::expanded::{Template, reference};
use crate::rules;

/// The name of a function's version, which SAM makes of a digest.
fn version(template: &Template, function: &str) -> String {
    let versions = template.of_type("AWS::Lambda::Version");
    let of_function = versions.iter().find(|(_, version)| version["FunctionName"] == reference(function));
    of_function.unwrap().0.to_owned()
}

/// The number of a function's newest version.
fn number(template: &Template, function: &str) -> Value {
    json!({ "Fn::GetAtt": [version(template, function), "Version"] })
}

rules! {
    /// Lambda publishes nothing where nothing has changed, and SAM nothing where a parameter has.
    fn a_version_is_published_when_a_parameter_of_its_configuration_changes_and_for_no_other(template) {
        for function in ["Receiver", "Consumer", "Housekeeper"] {
            let mut configuration = template.properties(function).clone();
            // These are no part of a version; and a stack is of one stage for ever.
            for property in ["Code", "FunctionName", "Role", "Tags", "ReservedConcurrentExecutions"] {
                configuration.as_object_mut().unwrap().remove(property);
            }
            let mut expected = template.parameters_of(&configuration);
            assert!(expected.remove("Stage"));
            let description = &template.properties(&version(template, function))["Description"];
            assert_eq!(template.parameters_of(description), expected, "{function}");
        }
    } broken by [
        Set("/Resources/Receiver/Properties/Timeout", r#"{"Ref": "ThrottleRate"}"#),
        Set("/Resources/Consumer/Properties/Environment/Variables/WHARF_PUBLIC_URL", r#"{"Ref": "PublicUrl"}"#),
    ]

    fn a_new_version_of_receiver_and_consumer_gets_a_tenth_for_five_minutes_and_goes_back_by_its_alarms(template) {
        let alarms = [
            ("Receiver", ["ReceiverRollOutErrorsAlarm", "ReceiverRollOutUnavailableAlarm"]),
            ("Consumer", ["ConsumerRollOutErrorsAlarm", "ConsumerRollOutFailuresAlarm"]),
        ];
        for (function, alarms) in alarms {
            let group = template.properties(&format!("{function}DeploymentGroup"));
            let configuration = group["DeploymentConfigName"].to_string();
            assert!(configuration.contains("Canary10Percent5Minutes"), "{configuration}");
            let stop = &group["AlarmConfiguration"]["Fn::If"];
            assert_eq!((&stop[0], &stop[1]["Enabled"]), (&json!("HasCanary"), &json!(true)));
            let named: Vec<_> = alarms.iter().map(|name| json!({ "Name": reference(name) })).collect();
            assert_eq!(stop[1]["Alarms"], Value::Array(named), "{function}");
            let events = &group["AutoRollbackConfiguration"]["Events"];
            assert!(events.as_array().unwrap().contains(&json!("DEPLOYMENT_STOP_ON_ALARM")), "{function}");
            assert_eq!(group["ServiceRoleArn"]["Fn::If"][1], json!({ "Fn::GetAtt": ["RollOutRole", "Arn"] }));
            let policy = &template.resource(&format!("{function}Aliaslive"))["UpdatePolicy"]["CodeDeployLambdaAliasUpdate"];
            assert_eq!(policy["DeploymentGroupName"], reference(&format!("{function}DeploymentGroup")));
        }
        assert!(template.resource("HousekeeperAliaslive").get("UpdatePolicy").is_none(), "it has no traffic to share");
    } broken by [
        Set("/Resources/ReceiverDeploymentGroup/Properties/AlarmConfiguration/Fn::If/1/Alarms/1/Name/Ref", r#""ApiServerErrorsAlarm""#),
        Remove("/Resources/ConsumerAliaslive/UpdatePolicy"),
        Set("/Resources/ConsumerDeploymentGroup/Properties/AutoRollbackConfiguration/Events", r#"["DEPLOYMENT_FAILURE"]"#),
    ]

    /// What Lambda takes for an error is one thing; an answered 503 and a failed attempt are none to it.
    fn a_version_is_judged_by_what_is_counted_of_it_alone(template) {
        for function in ["Receiver", "Consumer"] {
            let alarm = template.properties(&format!("{function}RollOutErrorsAlarm"));
            assert_eq!((&alarm["Namespace"], &alarm["MetricName"]), (&json!("AWS/Lambda"), &json!("Errors")));
            assert_eq!(
                alarm["Dimensions"],
                json!([
                    { "Name": "FunctionName", "Value": reference(function) },
                    { "Name": "Resource", "Value": { "Fn::Sub": format!("${{{function}}}:live") } },
                    { "Name": "ExecutedVersion", "Value": number(template, function) },
                ])
            );
        }
        let ours = [
            ("Receiver", "ReceiverRollOutUnavailableAlarm", Metric::Unavailable),
            ("Consumer", "ConsumerRollOutFailuresAlarm", Metric::AttemptsFailed),
        ];
        for (function, name, metric) in ours {
            assert!(metric.dimensions().contains(&&[Dimension::Stage, Dimension::Version][..]));
            let metrics = template.properties(name)["Metrics"].as_array().unwrap();
            assert_eq!(metrics[0]["Expression"], "IF(newest >= 3 AND newest > 0.5 * all, 1, 0)");
            let watched = |id: &str| {
                let metric = metrics.iter().find(|metric| metric["Id"] == id).unwrap();
                assert_eq!((&metric["MetricStat"]["Stat"], &metric["ReturnData"]), (&json!("Sum"), &json!(false)));
                metric["MetricStat"]["Metric"].clone()
            };
            let stage = json!({ "Name": "Stage", "Value": reference("Stage") });
            let of_version = json!({ "Name": "Version", "Value": number(template, function) });
            let expected = |dimensions: Value| json!({ "Namespace": NAMESPACE, "MetricName": metric.name(), "Dimensions": dimensions });
            assert_eq!(watched("newest"), expected(json!([stage, of_version])), "{name}");
            assert_eq!(watched("all"), expected(json!([stage])), "{name}");
        }
    } broken by [
        Remove("/Resources/ReceiverRollOutErrorsAlarm/Properties/Dimensions/2"),
        Set("/Resources/ReceiverRollOutUnavailableAlarm/Properties/Metrics/1/MetricStat/Metric/MetricName", r#""AttemptsFailed""#),
        Remove("/Resources/ConsumerRollOutFailuresAlarm/Properties/Metrics/1/MetricStat/Metric/Dimensions/1"),
    ]
}
