//! Functions, queues and schedules.

use std::collections::BTreeSet;

use serde_json::json;
use wharf::aws::TRUST_STORE;
use wharf::housekeeper::{Invocation, Task};
use wharf::process::LOG_LEVEL;
use wharf_webhook::limits;

use crate::expanded::{arn, reference};
use crate::rules;

rules! {
    fn the_durations_are_those_of_the_code_where_their_relations_are_asserted(template) {
        assert_eq!(template.properties("Receiver")["Timeout"], limits::RECEIVER_TIMEOUT_SECONDS);
        assert_eq!(template.properties("Consumer")["Timeout"], limits::CONSUMER_TIMEOUT_SECONDS);
        assert_eq!(template.properties("Housekeeper")["Timeout"], limits::HOUSEKEEPER_TIMEOUT_SECONDS);
        assert_eq!(template.properties("ReceiverIntegration")["TimeoutInMillis"], limits::INTEGRATION_TIMEOUT_MILLIS);
        let queue = template.properties("DeliveryQueue");
        assert_eq!(queue["VisibilityTimeout"], limits::VISIBILITY_TIMEOUT_SECONDS);
        assert_eq!(queue["MessageRetentionPeriod"], limits::QUEUE_RETENTION_SECONDS);
        assert_eq!(queue["RedrivePolicy"]["maxReceiveCount"], limits::RECEIVES_MAX);
        assert_eq!(queue["ReceiveMessageWaitTimeSeconds"], 20, "long polls; SQS's limit");
        let dead_letters = template.properties("DeadLetterQueue");
        assert_eq!(dead_letters["MessageRetentionPeriod"], limits::DEAD_LETTER_RETENTION_SECONDS);
        let mapping = template.properties("ConsumerDeliveries");
        assert_eq!(mapping["BatchSize"], limits::BATCH_SIZE);
        assert_eq!(mapping["MaximumBatchingWindowInSeconds"], limits::BATCH_WINDOW_SECONDS);
        assert_eq!(limits::HOUSEKEEPER_INTERVAL_SECONDS, 60);
        assert_eq!(template.properties("HousekeeperSchedule")["ScheduleExpression"], "rate(1 minute)");
        assert_eq!(limits::PROBE_INTERVAL_SECONDS, 300);
        assert_eq!(template.properties("ProbeSchedule")["ScheduleExpression"], "rate(5 minutes)");
        let rule = &template.properties("Bodies")["LifecycleConfiguration"]["Rules"][0];
        assert_eq!(rule["ExpirationInDays"], limits::BODY_RETENTION_SECONDS / (24 * 60 * 60));
    } broken by [
        Set("/Resources/Receiver/Properties/Timeout", "12"),
        Set("/Resources/Consumer/Properties/Timeout", "60"),
        Set("/Resources/Housekeeper/Properties/Timeout", "60"),
        Set("/Resources/ReceiverIntegration/Properties/TimeoutInMillis", "10000"),
        Set("/Resources/DeliveryQueue/Properties/VisibilityTimeout", "30"),
        Set("/Resources/DeliveryQueue/Properties/MessageRetentionPeriod", "1209600"),
        Set("/Resources/DeliveryQueue/Properties/RedrivePolicy/maxReceiveCount", "3"),
        Set("/Resources/DeadLetterQueue/Properties/MessageRetentionPeriod", "345600"),
        Set("/Resources/ConsumerDeliveries/Properties/BatchSize", "100"),
        Set("/Resources/HousekeeperSchedule/Properties/ScheduleExpression", r#""rate(15 minutes)""#),
        Set("/Resources/Bodies/Properties/LifecycleConfiguration/Rules/0/ExpirationInDays", "30"),
    ]

    fn each_function_is_given_exactly_the_variables_that_it_reads(template) {
        // Each one's own, and what all are started with.
        let functions = [
            ("Receiver", &wharf::receiver::ENVIRONMENT[..]),
            ("Consumer", &wharf::consumer::ENVIRONMENT),
            ("Housekeeper", &wharf::housekeeper::ENVIRONMENT),
        ];
        for (function, names) in functions {
            let given = template.properties(function)["Environment"]["Variables"].as_object().unwrap();
            let given: BTreeSet<_> = given.keys().map(String::as_str).collect();
            let read: BTreeSet<_> = names.iter().copied().chain([LOG_LEVEL, TRUST_STORE]).collect();
            assert_eq!(given, read, "{function}");
        }
    } broken by [
        Remove("/Resources/Receiver/Properties/Environment/Variables/WHARF_PUBLIC_URL"),
        Set("/Resources/Consumer/Properties/Environment/Variables/WHARF_PUBLIC_URL", r#""""#),
        Remove("/Resources/Housekeeper/Properties/Environment/Variables/WHARF_LOG_LEVEL"),
    ]

    fn each_function_has_a_role_a_log_and_an_alias_of_its_own(template) {
        let functions = template.of_type("AWS::Lambda::Function");
        assert_eq!(functions.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["Consumer", "Housekeeper", "Receiver"]);
        for (name, function) in functions {
            assert_eq!(function["Role"], arn(&format!("{name}Role")));
            let logging = &function["LoggingConfig"];
            assert_eq!(logging["LogGroup"], reference(&format!("{name}Logs")));
            assert_eq!(logging["LogFormat"], "JSON");
            assert_eq!(logging["ApplicationLogLevel"], "TRACE", "Lambda must not drop metrics");
            assert_eq!(function["Environment"]["Variables"]["WHARF_LOG_LEVEL"], reference("LogLevel"));
            assert_eq!(function["Runtime"], "provided.al2023");
            assert_eq!(function["Architectures"], json!([reference("Architecture")]));
            assert_eq!(function["MemorySize"], 256, "what the README measures");
            let tracing = json!({ "Mode": { "Fn::If": ["HasTracing", "Active", "PassThrough"] } });
            assert_eq!(function["TracingConfig"], tracing);
            assert_eq!(template.properties(&format!("{name}Aliaslive"))["Name"], "live");
        }
        for (name, group) in template.of_type("AWS::Logs::LogGroup") {
            assert_eq!(group["RetentionInDays"], reference("LogRetentionDays"), "{name}");
        }
        for name in ["Receiver", "Consumer"] {
            let parameter = format!("{name}ReservedConcurrency");
            let reserved = json!({ "Fn::If": [format!("Has{parameter}"), reference(&parameter), reference("AWS::NoValue")] });
            assert_eq!(template.properties(name)["ReservedConcurrentExecutions"], reserved);
        }
    } broken by [
        Set("/Resources/Consumer/Properties/Role/Fn::GetAtt/0", r#""ReceiverRole""#),
        Remove("/Resources/Receiver/Properties/LoggingConfig/LogGroup"),
        Set("/Resources/Receiver/Properties/LoggingConfig/LogFormat", r#""Text""#),
        Set("/Resources/Consumer/Properties/LoggingConfig/ApplicationLogLevel", r#""WARN""#),
        Remove("/Resources/HousekeeperLogs/Properties/RetentionInDays"),
        Set("/Resources/Consumer/Properties/ReservedConcurrentExecutions", "5"),
    ]

    fn the_consumer_reports_each_message_alone_and_through_its_alias(template) {
        let mapping = template.properties("ConsumerDeliveries");
        assert_eq!(mapping["FunctionResponseTypes"], json!(["ReportBatchItemFailures"]));
        assert_eq!(mapping["FunctionName"], reference("ConsumerAliaslive"));
        assert_eq!(mapping["EventSourceArn"], arn("DeliveryQueue"));
        let concurrency = json!({ "Fn::If": ["IsOnAws", reference("ConsumerConcurrency"), 5] });
        assert_eq!(mapping["ScalingConfig"]["MaximumConcurrency"], concurrency);
        let parameter = &template.0["Parameters"]["ConsumerConcurrency"];
        assert_eq!(parameter["Default"], 5, "a new account has few concurrent executions");
        assert_eq!((&parameter["MinValue"], &parameter["MaxValue"]), (&json!(2), &json!(1000)), "Lambda's limits");
        assert!(mapping.get("FilterCriteria").is_none(), "SQS deletes what a filter does not match");
    } broken by [
        Remove("/Resources/ConsumerDeliveries/Properties/FunctionResponseTypes"),
        Set("/Resources/ConsumerDeliveries/Properties/FunctionName", r#"{"Ref": "Consumer"}"#),
        Remove("/Resources/ConsumerDeliveries/Properties/ScalingConfig"),
        Set("/Resources/ConsumerDeliveries/Properties/FilterCriteria", r#"{"Filters": []}"#),
        Set("/Parameters/ConsumerConcurrency/Default", "100"),
    ]

    fn a_dead_letter_can_go_back_to_the_queue_that_it_came_from_and_to_no_other(template) {
        assert_eq!(template.of_type("AWS::SQS::Queue").len(), 2);
        let queue = template.properties("DeliveryQueue");
        assert_eq!(queue["RedrivePolicy"]["deadLetterTargetArn"], arn("DeadLetterQueue"));
        let name = queue["QueueName"]["Fn::Sub"].as_str().unwrap();
        let allowed = &template.properties("DeadLetterQueue")["RedriveAllowPolicy"];
        assert_eq!(allowed["redrivePermission"], "byQueue");
        let sources = allowed["sourceQueueArns"].as_array().unwrap();
        assert_eq!(sources.len(), 1);
        let source = sources[0]["Fn::Sub"].as_str().unwrap();
        assert!(source.ends_with(&format!(":{name}")), "{source} is not the queue {name}");
    } broken by [
        Remove("/Resources/DeliveryQueue/Properties/RedrivePolicy"),
        Set("/Resources/DeadLetterQueue/Properties/RedriveAllowPolicy/redrivePermission", r#""allowAll""#),
        Set("/Resources/DeliveryQueue/Properties/QueueName/Fn::Sub", r#""${AWS::StackName}-queue""#),
    ]

    fn the_housekeeper_is_invoked_through_its_alias_and_a_run_that_fails_is_not_repeated(template) {
        let schedule = template.properties("HousekeeperSchedule");
        assert_eq!(schedule["State"], "ENABLED");
        for name in ["HousekeeperSchedule", "ProbeSchedule"] {
            let schedule = template.properties(name);
            assert_eq!(schedule["FlexibleTimeWindow"], json!({ "Mode": "OFF" }), "{name}");
            assert_eq!(schedule["Target"]["Arn"], reference("HousekeeperAliaslive"), "{name}");
            assert_eq!(schedule["Target"]["RoleArn"], arn("HousekeeperScheduleRole"), "{name}");
            assert_eq!(schedule["Target"]["RetryPolicy"]["MaximumRetryAttempts"], 0, "{name}");
        }
        let invocations = template.of_type("AWS::Lambda::EventInvokeConfig");
        assert_eq!(invocations.len(), 1);
        assert_eq!(invocations[0].1["MaximumRetryAttempts"], 0);
    } broken by [
        Set("/Resources/HousekeeperSchedule/Properties/State", r#""DISABLED""#),
        Set("/Resources/ProbeSchedule/Properties/Target/Arn", r#"{"Fn::GetAtt": ["Housekeeper", "Arn"]}"#),
        Remove("/Resources/HousekeeperEventInvokeConfig/Properties/MaximumRetryAttempts"),
    ]

    fn the_probe_is_sent_by_a_schedule_of_its_own_that_can_be_off(template) {
        let schedule = template.properties("ProbeSchedule");
        assert_eq!(schedule["State"], json!({ "Fn::If": ["HasProbe", "ENABLED", "DISABLED"] }));
        let task = |name: &str| {
            let input = template.properties(name)["Target"]["Input"].as_str().unwrap();
            serde_json::from_str::<Invocation>(input).unwrap().task
        };
        assert_eq!((task("ProbeSchedule"), task("HousekeeperSchedule")), (Task::Probe, Task::Errands));
        assert_eq!(template.resource("ProbeAlarm")["Condition"], "HasProbe");
    } broken by [
        Set("/Resources/ProbeSchedule/Properties/State", r#""ENABLED""#),
        Set("/Resources/ProbeSchedule/Properties/Target/Input", r#""{\"task\":\"errands\"}""#),
        Remove("/Resources/ProbeAlarm/Condition"),
    ]
}
