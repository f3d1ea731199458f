//! What tells somebody.

use serde_json::{Value, json};
use wharf_webhook::limits;
use wharf_webhook::metrics::{Dimension, Metric, NAMESPACE};

use crate::expanded::reference;
use crate::rules;

/// The metrics of AWS that are watched or shown, with their dimensions, as each service documents them. No linter knows them.
const OF_AWS: [(&str, &str, &[&str]); 18] = [
    ("AWS/ApiGateway", "Count", &["ApiId"]),
    ("AWS/ApiGateway", "4xx", &["ApiId"]),
    ("AWS/ApiGateway", "5xx", &["ApiId"]),
    ("AWS/ApiGateway", "Latency", &["ApiId"]),
    ("AWS/Lambda", "Invocations", &["FunctionName"]),
    ("AWS/Lambda", "Errors", &["FunctionName"]),
    ("AWS/Lambda", "Errors", &["FunctionName", "Resource", "ExecutedVersion"]),
    ("AWS/Lambda", "Throttles", &["FunctionName"]),
    ("AWS/Lambda", "Duration", &["FunctionName"]),
    ("AWS/Lambda", "ConcurrentExecutions", &["FunctionName"]),
    ("AWS/SQS", "ApproximateAgeOfOldestMessage", &["QueueName"]),
    ("AWS/SQS", "ApproximateNumberOfMessagesVisible", &["QueueName"]),
    ("AWS/SQS", "ApproximateNumberOfMessagesNotVisible", &["QueueName"]),
    ("AWS/DynamoDB", "WriteThrottleEvents", &["TableName"]),
    ("AWS/DynamoDB", "ConsumedWriteCapacityUnits", &["TableName"]),
    ("AWS/DynamoDB", "ConditionalCheckFailedRequests", &["TableName"]),
    ("AWS/DynamoDB", "SystemErrors", &["TableName", "Operation"]),
    // From the access log; see `door`.
    ("Wharf/Api", "Throttled", &["Api"]),
];

/// Whether CloudWatch has such a metric.
pub fn is_known(namespace: &str, name: &str, dimensions: &[&str]) -> bool {
    if namespace == NAMESPACE {
        let metric = Metric::ALL.into_iter().find(|metric| metric.name() == name);
        return metric.is_some_and(|metric| {
            metric
                .dimensions()
                .iter()
                .any(|set| set.iter().copied().map(Dimension::name).eq(dimensions.iter().copied()))
        });
    }
    OF_AWS.contains(&(namespace, name, dimensions))
}

/// Every metric that an alarm watches: its own, or those of its expression.
fn watched(alarm: &Value) -> Vec<&Value> {
    match alarm.get("Metrics") {
        None => vec![alarm],
        Some(metrics) => {
            metrics.as_array().unwrap().iter().filter_map(|metric| metric.pointer("/MetricStat/Metric")).collect()
        }
    }
}

/// What a dimension is the name of.
fn named(value: &Value) -> &str {
    let attribute = value.pointer("/Fn::GetAtt/0").or_else(|| value.get("Ref")).or_else(|| value.get("Fn::Sub"));
    attribute.unwrap_or(value).as_str().unwrap()
}

fn is_for_the_roll_out(name: &str) -> bool {
    name.contains("RollOut")
}

fn alarm_name(alarm: &Value) -> &str {
    alarm["AlarmName"]["Fn::Sub"].as_str().unwrap().strip_prefix("${AWS::StackName}-").unwrap()
}

rules! {
    fn every_alarm_says_what_to_do_and_where_the_runbook_has_it(template) {
        let composite = template.of_type("AWS::CloudWatch::CompositeAlarm");
        for (name, alarm) in template.of_type("AWS::CloudWatch::Alarm").into_iter().chain(composite) {
            let description = alarm["AlarmDescription"].as_str().unwrap();
            assert!(description.len() > 100, "{name} does not say what to do");
            assert!(description.len() <= 1024, "CloudWatch's limit");
            assert!(description.ends_with(&format!(" Runbook: {}.", alarm_name(alarm))), "{name}: {description}");
        }
    } broken by [
        Remove("/Resources/SpoolAlarm/Properties/AlarmDescription"),
        Set("/Resources/FailedAlarm/Properties/AlarmName/Fn::Sub", r#""${AWS::StackName}-failures""#),
    ]

    fn every_alarm_tells_somebody_when_it_begins_and_when_it_ends_but_those_of_a_roll_out(template) {
        for (name, alarm) in template.of_type("AWS::CloudWatch::Alarm") {
            let topic = if is_for_the_roll_out(name) { Value::Null } else { json!([reference("AlarmTopic")]) };
            assert_eq!((&alarm["AlarmActions"], &alarm["OKActions"]), (&topic, &topic), "{name}");
            assert_ne!(alarm["ActionsEnabled"], false, "{name}");
        }
        let page = template.properties("PageAlarm");
        assert_eq!(page["AlarmActions"], json!([reference("PageTopic")]));
        assert_eq!(page["OKActions"], json!([reference("PageTopic")]));
        let subscription = template.properties("AlarmSubscription");
        assert_eq!(template.resource("AlarmSubscription")["Condition"], "HasAlarmEmail");
        assert_eq!((&subscription["TopicArn"], &subscription["Endpoint"]), (&reference("AlarmTopic"), &reference("AlarmEmail")));
    } broken by [
        Remove("/Resources/ApiServerErrorsAlarm/Properties/AlarmActions"),
        Set("/Resources/QueueAgeAlarm/Properties/ActionsEnabled", "false"),
        Set("/Resources/ConsumerRollOutErrorsAlarm/Properties/AlarmActions", r#"[{"Ref": "AlarmTopic"}]"#),
        Set("/Resources/PageAlarm/Properties/AlarmActions/0/Ref", r#""AlarmTopic""#),
        Remove("/Resources/AlarmSubscription/Condition"),
    ]

    fn silence_is_the_alarm_only_where_something_is_to_happen(template) {
        for (name, alarm) in template.of_type("AWS::CloudWatch::Alarm") {
            let is_heartbeat = ["HousekeeperSilenceAlarm", "ProbeAlarm"].contains(&name);
            let silence = if is_heartbeat { "breaching" } else { "notBreaching" };
            assert_eq!(alarm["TreatMissingData"], silence, "{name}");
            let (periods, needed) = (&alarm["EvaluationPeriods"], alarm.get("DatapointsToAlarm"));
            assert!(needed.is_none_or(|needed| needed.as_i64() <= periods.as_i64()), "{name}");
            // Of few requests, a hundredth is one.
            let low = alarm.get("ExtendedStatistic").map(|_| json!("ignore"));
            assert_eq!(alarm.get("EvaluateLowSampleCountPercentile").cloned(), low, "{name}");
        }
    } broken by [
        Set("/Resources/ProbeAlarm/Properties/TreatMissingData", r#""notBreaching""#),
        Remove("/Resources/DeadLettersAlarm/Properties/TreatMissingData"),
        Set("/Resources/QueueAgeAlarm/Properties/DatapointsToAlarm", "4"),
        Remove("/Resources/ApiLatencyAlarm/Properties/EvaluateLowSampleCountPercentile"),
    ]

    fn every_metric_that_an_alarm_watches_is_one_that_is_there_of_something_that_is_there(template) {
        for (name, alarm) in template.of_type("AWS::CloudWatch::Alarm") {
            for metric in watched(alarm) {
                let dimensions = metric["Dimensions"].as_array().unwrap();
                let names: Vec<_> = dimensions.iter().map(|dimension| dimension["Name"].as_str().unwrap()).collect();
                let text = |key: &str| metric[key].as_str().unwrap();
                assert!(is_known(text("Namespace"), text("MetricName"), &names), "{name}: {metric}");
                for dimension in dimensions {
                    let (key, of) = (dimension["Name"].as_str().unwrap(), named(&dimension["Value"]));
                    let expected = match key {
                        "ApiId" | "Api" => "AWS::ApiGatewayV2::Api",
                        "FunctionName" => "AWS::Lambda::Function",
                        "QueueName" => "AWS::SQS::Queue",
                        "TableName" => "AWS::DynamoDB::Table",
                        "Version" | "ExecutedVersion" => "AWS::Lambda::Version",
                        "Stage" | "Operation" | "Resource" => continue,
                        _ => panic!("{name} has the dimension {key}"),
                    };
                    assert_eq!(template.resource(of)["Type"], expected, "{name}: {key} is {of}");
                }
            }
        }
    } broken by [
        Set("/Resources/ReceiverThrottlesAlarm/Properties/MetricName", r#""Throttle""#),
        Set("/Resources/ApiServerErrorsAlarm/Properties/MetricName", r#""5XXError""#),
        Set("/Resources/QueueAgeAlarm/Properties/Namespace", r#""AWS/Sqs""#),
        Set("/Resources/LedgerThrottledAlarm/Properties/Dimensions/0/Value/Ref", r#""Bodies""#),
        Set("/Resources/LedgerErrorsAlarm/Properties/Metrics/1/MetricStat/Metric/Dimensions/1/Name", r#""Operations""#),
        Set("/Resources/FailedAlarm/Properties/MetricName", r#""Failures""#),
        Set("/Resources/SpoolAlarm/Properties/Dimensions", r#"[]"#),
    ]

    fn what_goes_wrong_is_watched(template) {
        let mut all: Vec<_> = template.of_type("AWS::CloudWatch::Alarm").into_iter().map(|(_, alarm)| alarm_name(alarm)).collect();
        all.sort_unstable();
        assert_eq!(
            all,
            [
                "api-5xx",
                "api-latency",
                "backlog",
                "bodies-missing",
                "consumer-duration",
                "consumer-errors",
                "consumer-roll-out-errors",
                "consumer-roll-out-failures",
                "consumer-throttles",
                "dead-letters",
                "failed",
                "housekeeper-errors",
                "housekeeper-silence",
                "ledger-errors",
                "ledger-throttled",
                "parked",
                "probe",
                "queue-age",
                "receiver-concurrency",
                "receiver-errors",
                "receiver-roll-out-errors",
                "receiver-roll-out-unavailable",
                "receiver-throttles",
                "refused",
                "spool",
                "throttled",
            ]
        );
        let rule = template.properties("PageAlarm")["AlarmRule"]["Fn::Join"].clone();
        assert_eq!(rule[0], " OR ");
        let mut woken_by = rule[1].as_array().unwrap().clone();
        assert_eq!(woken_by.pop().unwrap()["Fn::If"], json!(["HasProbe", alarm("ProbeAlarm"), "FALSE"]));
        let names = [
            "ApiServerErrorsAlarm",
            "ReceiverErrorsAlarm",
            "ReceiverThrottlesAlarm",
            "SpoolAlarm",
            "QueueAgeAlarm",
            "DeadLettersAlarm",
            "ConsumerErrorsAlarm",
            "BodiesMissingAlarm",
            "HousekeeperSilenceAlarm",
        ];
        assert_eq!(woken_by, names.map(alarm));
    } broken by [
        Remove("/Resources/BodiesMissingAlarm"),
        Set("/Resources/PageAlarm/Properties/AlarmRule/Fn::Join/1/2/Fn::Sub", r#""ALARM(\"${ConsumerThrottlesAlarm}\")""#),
    ]

    fn thresholds_are_below_the_limits_that_they_warn_of(template) {
        let threshold = |name: &str| template.properties(name)["Threshold"].as_i64().unwrap();
        assert_eq!(threshold("SpoolAlarm"), limits::SPOOL_AGE_SECONDS_MAX);
        assert_eq!(threshold("ProbeAlarm"), limits::PROBE_AGE_MILLIS_MAX);
        assert_eq!(template.properties("ProbeAlarm")["Period"], limits::PROBE_INTERVAL_SECONDS);
        assert_eq!(threshold("ConsumerDurationAlarm"), limits::CONSUMER_TIMEOUT_SECONDS * 1000 * 8 / 10);
        assert!(threshold("ApiLatencyAlarm") < limits::RECEIVER_TIMEOUT_SECONDS * 1000 / 2);
        assert!(threshold("QueueAgeAlarm") < limits::QUEUE_RETENTION_SECONDS / 100);
        assert_eq!(template.properties("RefusedAlarm")["Period"], limits::ALARM_REFUSALS_SECONDS);
        let concurrency = template.properties("ReceiverConcurrencyAlarm");
        assert_eq!(concurrency["Metrics"][0]["Expression"], json!({ "Fn::Sub": "100 * used / ${ReceiverReservedConcurrency}" }));
        assert_eq!(concurrency["Threshold"], 80);
    } broken by [
        Set("/Resources/SpoolAlarm/Properties/Threshold", "90000"),
        Set("/Resources/ConsumerDurationAlarm/Properties/Threshold", "30000"),
        Set("/Resources/ApiLatencyAlarm/Properties/Threshold", "12000"),
        Set("/Resources/QueueAgeAlarm/Properties/Threshold", "345600"),
        Set("/Resources/RefusedAlarm/Properties/Period", "60"),
        Set("/Resources/ReceiverConcurrencyAlarm/Properties/Threshold", "120"),
    ]
}

fn alarm(name: &str) -> Value {
    json!({ "Fn::Sub": format!("ALARM(\"${{{name}}}\")") })
}
