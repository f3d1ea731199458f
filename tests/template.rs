//! What no linter knows of `infra/template.yaml`, asserted on what CloudFormation makes of it.
//!
//! The local stack ignores much of this (permissions, retention, throttling), so these assertions are all that holds it.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "what goes wrong in a test is a failure of the test")]

use std::collections::BTreeSet;

use serde_json::{Value, json};
use wharf::housekeeper::{Invocation, Task};
use wharf::process::LOG_LEVEL;
use wharf_ops::project::Project;
use wharf_ops::template;
use wharf_webhook::ledger::table;
use wharf_webhook::limits;
use wharf_webhook::metrics::{Dimension, Metric, NAMESPACE};

struct Template(Value);

impl Template {
    fn expanded(stage: &str) -> Template {
        let project = Project::find().unwrap();
        Template(template::expand(&project, stage, &|step| println!("{step}")).unwrap())
    }

    fn properties(&self, name: &str) -> &Value {
        let properties = &self.0["Resources"][name]["Properties"];
        assert!(properties.is_object(), "there is no resource {name}");
        properties
    }

    fn of_type(&self, resource_type: &str) -> Vec<(&str, &Value)> {
        let resources = self.0["Resources"].as_object().unwrap().iter();
        let found: Vec<_> = resources
            .filter(|(_, resource)| resource["Type"] == resource_type)
            .map(|(name, resource)| (name.as_str(), &resource["Properties"]))
            .collect();
        assert!(!found.is_empty(), "there is no {resource_type}");
        found
    }

    fn environment(&self, function: &str) -> BTreeSet<String> {
        self.properties(function)["Environment"]["Variables"].as_object().unwrap().keys().cloned().collect()
    }

    /// What a role allows: every action with its resource.
    fn permissions(&self, role: &str) -> Vec<(String, Value)> {
        let mut permissions = Vec::new();
        for policy in self.properties(role)["Policies"].as_array().unwrap() {
            for statement in policy["PolicyDocument"]["Statement"].as_array().unwrap() {
                // What is only there with a parameter counts as there.
                let statement = statement.get("Fn::If").map_or(statement, |choice| &choice[1]);
                assert_eq!(statement["Effect"], "Allow");
                let action = &statement["Action"];
                let actions = action.as_array().cloned().unwrap_or_else(|| vec![action.clone()]);
                for action in actions {
                    permissions.push((action.as_str().unwrap().to_owned(), statement["Resource"].clone()));
                }
            }
        }
        permissions
    }
}

fn arn(resource: &str) -> Value {
    json!({ "Fn::GetAtt": [resource, "Arn"] })
}

#[test]
fn a_function_can_create_what_was_offered_or_the_probes_secret_and_change_no_parameter() {
    let template = Template::expanded("production");
    for role in ["ReceiverRole", "HousekeeperRole"] {
        let policies = template.properties(role)["Policies"][0]["PolicyDocument"]["Statement"].clone();
        let statements = policies.as_array().unwrap();
        let put = statements.iter().find(|statement| statement["Action"] == "ssm:PutParameter").unwrap();
        assert_eq!(put["Condition"], json!({ "StringEquals": { "ssm:Overwrite": "false" } }), "{role}");
        // A role without a second policy has no other way to it.
        assert_eq!(template.properties(role)["Policies"].as_array().unwrap().len(), 1);
        assert!(template.properties(role).get("ManagedPolicyArns").is_none());
    }
}

#[test]
fn the_durations_are_those_of_the_code_where_their_relations_are_asserted() {
    let template = Template::expanded("production");
    assert_eq!(template.properties("Receiver")["Timeout"], limits::RECEIVER_TIMEOUT_SECONDS);
    assert_eq!(template.properties("Consumer")["Timeout"], limits::CONSUMER_TIMEOUT_SECONDS);
    let integration = template.properties("ReceiverIntegration");
    assert_eq!(integration["TimeoutInMillis"], limits::INTEGRATION_TIMEOUT_MILLIS);
    let queue = template.properties("DeliveryQueue");
    assert_eq!(queue["VisibilityTimeout"], limits::VISIBILITY_TIMEOUT_SECONDS);
    assert_eq!(queue["MessageRetentionPeriod"], limits::QUEUE_RETENTION_SECONDS);
    assert_eq!(queue["RedrivePolicy"]["maxReceiveCount"], limits::RECEIVES_MAX);
    let dead_letters = template.properties("DeadLetterQueue");
    assert_eq!(dead_letters["MessageRetentionPeriod"], limits::DEAD_LETTER_RETENTION_SECONDS);
    let mapping = template.properties("ConsumerDeliveries");
    assert_eq!(mapping["BatchSize"], limits::BATCH_SIZE);
    assert_eq!(mapping["MaximumBatchingWindowInSeconds"], limits::BATCH_WINDOW_SECONDS);
    assert_eq!(template.properties("Housekeeper")["Timeout"], limits::HOUSEKEEPER_TIMEOUT_SECONDS);
    assert_eq!(limits::HOUSEKEEPER_INTERVAL_SECONDS, 60);
    assert_eq!(template.properties("HousekeeperSchedule")["ScheduleExpression"], "rate(1 minute)");
    let rule = &template.properties("Bodies")["LifecycleConfiguration"]["Rules"][0];
    assert_eq!(rule["ExpirationInDays"], limits::BODY_RETENTION_SECONDS / (24 * 60 * 60));
    assert_eq!((&rule["Status"], &rule["Prefix"]), (&json!("Enabled"), &json!("bodies/")));
}

#[test]
fn each_function_is_given_exactly_the_variables_that_it_reads() {
    let template = Template::expanded("production");
    // Each one's own, and what all are started with.
    let names =
        |names: &[&str]| names.iter().chain([&LOG_LEVEL]).map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(template.environment("Receiver"), names(&wharf::receiver::ENVIRONMENT));
    assert_eq!(template.environment("Consumer"), names(&wharf::consumer::ENVIRONMENT));
    assert_eq!(template.environment("Housekeeper"), names(&wharf::housekeeper::ENVIRONMENT));
}

#[test]
fn each_function_may_do_what_it_does_and_no_more() {
    let template = Template::expanded("production");
    let parameters = json!({
        "Fn::Sub": "arn:${AWS::Partition}:ssm:${AWS::Region}:${AWS::AccountId}:parameter/wharf/${Stage}/*"
    });
    let offered = json!({
        "Fn::Sub": "arn:${AWS::Partition}:ssm:${AWS::Region}:${AWS::AccountId}:parameter/wharf/${Stage}/*/offered"
    });
    let bodies = json!({ "Fn::Sub": "${Bodies.Arn}/bodies/*" });
    let spool = |what: &str| json!({ "Fn::Sub": format!("${{Bodies.Arn}}/spool/{what}*") });
    let parameter = |name: &str| json!({ "Fn::Sub": format!("arn:${{AWS::Partition}}:ssm:${{AWS::Region}}:${{AWS::AccountId}}:parameter/{name}") });
    let secret = json!({
        "Fn::Sub": "arn:${AWS::Partition}:secretsmanager:${AWS::Region}:${AWS::AccountId}:secret:wharf/${Stage}/*"
    });
    assert_eq!(
        template.permissions("ReceiverRole"),
        [
            ("logs:CreateLogStream".to_owned(), arn("ReceiverLogs")),
            ("logs:PutLogEvents".to_owned(), arn("ReceiverLogs")),
            ("ssm:GetParameters".to_owned(), parameters),
            ("ssm:GetParameters".to_owned(), parameter("aws/reference/secretsmanager/wharf/${Stage}/*")),
            ("secretsmanager:GetSecretValue".to_owned(), secret),
            ("ssm:PutParameter".to_owned(), offered),
            ("s3:PutObject".to_owned(), bodies.clone()),
            ("s3:PutObject".to_owned(), spool("new/")),
            ("sqs:SendMessage".to_owned(), arn("DeliveryQueue")),
        ]
    );
    assert_eq!(
        template.permissions("ConsumerRole"),
        [
            ("logs:CreateLogStream".to_owned(), arn("ConsumerLogs")),
            ("logs:PutLogEvents".to_owned(), arn("ConsumerLogs")),
            ("sqs:ReceiveMessage".to_owned(), arn("DeliveryQueue")),
            ("sqs:DeleteMessage".to_owned(), arn("DeliveryQueue")),
            ("sqs:GetQueueAttributes".to_owned(), arn("DeliveryQueue")),
            ("sqs:ChangeMessageVisibility".to_owned(), arn("DeliveryQueue")),
            ("sqs:SendMessage".to_owned(), arn("DeadLetterQueue")),
            ("dynamodb:PutItem".to_owned(), arn("Ledger")),
            ("dynamodb:UpdateItem".to_owned(), arn("Ledger")),
            ("s3:GetObject".to_owned(), bodies),
            ("s3:ListBucket".to_owned(), arn("Bodies")),
            ("events:PutEvents".to_owned(), arn("EventBus")),
            ("dynamodb:PutItem".to_owned(), json!({ "Ref": "EffectTables" })),
            ("dynamodb:UpdateItem".to_owned(), json!({ "Ref": "EffectTables" })),
            ("dynamodb:DeleteItem".to_owned(), json!({ "Ref": "EffectTables" })),
            ("dynamodb:ConditionCheckItem".to_owned(), json!({ "Ref": "EffectTables" })),
        ]
    );
    assert_eq!(
        template.permissions("HousekeeperRole"),
        [
            ("logs:CreateLogStream".to_owned(), arn("HousekeeperLogs")),
            ("logs:PutLogEvents".to_owned(), arn("HousekeeperLogs")),
            ("dynamodb:Query".to_owned(), json!({ "Fn::Sub": "${Ledger.Arn}/index/open-records" })),
            ("dynamodb:GetItem".to_owned(), arn("Ledger")),
            ("dynamodb:PutItem".to_owned(), arn("Ledger")),
            ("sqs:SendMessage".to_owned(), arn("DeliveryQueue")),
            ("s3:ListBucket".to_owned(), arn("Bodies")),
            ("s3:GetObject".to_owned(), spool("")),
            ("s3:DeleteObject".to_owned(), spool("")),
            ("s3:PutObject".to_owned(), spool("refused/")),
            ("ssm:GetParameters".to_owned(), parameter("wharf/${Stage}/_probe")),
            ("ssm:PutParameter".to_owned(), parameter("wharf/${Stage}/_probe")),
        ]
    );
    assert_eq!(
        template.permissions("HousekeeperScheduleRole"),
        [("lambda:InvokeFunction".to_owned(), json!({ "Ref": "HousekeeperAliaslive" }))]
    );
    for (role, properties) in template.of_type("AWS::IAM::Role") {
        assert!(properties.get("ManagedPolicyArns").is_none(), "{role} is given more than its own policy");
    }
}

#[test]
fn each_function_has_a_role_a_log_and_an_alias_of_its_own() {
    let template = Template::expanded("production");
    let functions = template.of_type("AWS::Lambda::Function");
    assert_eq!(functions.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["Consumer", "Housekeeper", "Receiver"]);
    for (name, function) in functions {
        assert_eq!(function["Role"], arn(&format!("{name}Role")));
        assert_eq!(function["LoggingConfig"]["LogGroup"], json!({ "Ref": format!("{name}Logs") }));
        assert_eq!(function["LoggingConfig"]["LogFormat"], "JSON");
        assert_eq!(function["LoggingConfig"]["ApplicationLogLevel"], "TRACE", "Lambda must not drop metrics");
        assert_eq!(function["Environment"]["Variables"]["WHARF_LOG_LEVEL"], json!({ "Ref": "LogLevel" }));
        assert_eq!(function["Runtime"], "provided.al2023");
        assert_eq!(function["Architectures"], json!(["arm64"]));
        assert_eq!(template.properties(&format!("{name}Aliaslive"))["Name"], "live");
    }
    for (name, group) in template.of_type("AWS::Logs::LogGroup") {
        assert_eq!(group["RetentionInDays"], json!({ "Ref": "LogRetentionDays" }), "{name}");
    }
}

#[test]
fn every_method_of_a_webhook_address_invokes_the_receivers_alias_and_nothing_else_does() {
    let template = Template::expanded("production");
    let routes = template.of_type("AWS::ApiGatewayV2::Route");
    assert_eq!(routes.len(), 1);
    assert_eq!(routes[0].1["RouteKey"], "ANY /webhooks/{endpoint}");
    assert_eq!(routes[0].1["Target"], json!({ "Fn::Sub": "integrations/${ReceiverIntegration}" }));
    let integration = template.properties("ReceiverIntegration");
    assert_eq!(integration["IntegrationUri"], json!({ "Ref": "ReceiverAliaslive" }));
    assert_eq!(integration["PayloadFormatVersion"], "2.0");
    let permissions = template.of_type("AWS::Lambda::Permission");
    assert_eq!(permissions.len(), 1);
    assert_eq!(permissions[0].1["FunctionName"], json!({ "Ref": "ReceiverAliaslive" }));
    let source = permissions[0].1["SourceArn"]["Fn::Sub"].as_str().unwrap();
    assert!(source.ends_with(":${Api}/$default/*/webhooks/{endpoint}"), "{source}");
    let stage = template.properties("ApiStage");
    assert_eq!(stage["StageName"], "$default", "another name would become a part of the path");
    assert_eq!(stage["DefaultRouteSettings"]["ThrottlingRateLimit"], 2000);
    assert_eq!(stage["DefaultRouteSettings"]["ThrottlingBurstLimit"], 4000);
    let log = stage["AccessLogSettings"]["Format"].as_str().unwrap();
    assert!(log.len() < 3000);
    for secret in ["header", "query", "authorizer"] {
        assert!(!log.contains(secret), "the access log shows {secret}");
    }
}

#[test]
fn the_consumer_reports_each_message_alone_and_through_its_alias() {
    let template = Template::expanded("production");
    let mapping = template.properties("ConsumerDeliveries");
    assert_eq!(mapping["FunctionResponseTypes"], json!(["ReportBatchItemFailures"]));
    assert_eq!(mapping["FunctionName"], json!({ "Ref": "ConsumerAliaslive" }));
    assert_eq!(mapping["EventSourceArn"], arn("DeliveryQueue"));
    assert_eq!(mapping["ScalingConfig"]["MaximumConcurrency"], 5);
    assert!(mapping.get("FilterCriteria").is_none(), "SQS deletes what a filter does not match");
}

#[test]
fn the_housekeeper_is_invoked_through_its_alias_and_a_run_that_fails_is_not_repeated() {
    let template = Template::expanded("production");
    let schedule = template.properties("HousekeeperSchedule");
    assert_eq!(schedule["State"], "ENABLED");
    assert_eq!(schedule["FlexibleTimeWindow"], json!({ "Mode": "OFF" }));
    assert_eq!(schedule["Target"]["Arn"], json!({ "Ref": "HousekeeperAliaslive" }));
    assert_eq!(schedule["Target"]["RoleArn"], arn("HousekeeperScheduleRole"));
    assert_eq!(schedule["Target"]["RetryPolicy"]["MaximumRetryAttempts"], 0);
    let invocations = template.of_type("AWS::Lambda::EventInvokeConfig");
    assert_eq!(invocations.len(), 1);
    assert_eq!(invocations[0].1["MaximumRetryAttempts"], 0);
}

#[test]
fn the_bodies_are_kept_encrypted_and_open_to_nobody_else() {
    let template = Template::expanded("production");
    assert_eq!(template.0["Resources"]["Bodies"]["DeletionPolicy"], "Retain");
    let bucket = template.properties("Bodies");
    let blocked = bucket["PublicAccessBlockConfiguration"].as_object().unwrap();
    assert_eq!(blocked.len(), 4);
    assert!(blocked.values().all(|is_blocked| *is_blocked == true));
    assert_eq!(bucket["OwnershipControls"]["Rules"][0]["ObjectOwnership"], "BucketOwnerEnforced");
    assert!(bucket["BucketEncryption"].is_object());
    assert!(
        bucket.get("VersioningConfiguration").is_none(),
        "an old version outlives the day on which it is to be gone"
    );
    let policy = template.properties("BodiesPolicy");
    assert_eq!(policy["Bucket"], json!({ "Ref": "Bodies" }));
    let statement = &policy["PolicyDocument"]["Statement"][0];
    assert_eq!((&statement["Effect"], &statement["Action"]), (&json!("Deny"), &json!("s3:*")));
    assert_eq!(statement["Condition"], json!({ "Bool": { "aws:SecureTransport": "false" } }));
}

#[test]
fn the_index_of_open_records_is_the_one_that_the_code_queries_and_holds_no_message() {
    let template = Template::expanded("production");
    let index = &template.properties("Ledger")["GlobalSecondaryIndexes"][0];
    assert_eq!(index["IndexName"], table::INDEX);
    assert_eq!(
        index["KeySchema"],
        json!([
            { "AttributeName": table::INDEX_PARTITION_KEY, "KeyType": "HASH" },
            { "AttributeName": table::INDEX_SORT_KEY, "KeyType": "RANGE" }
        ])
    );
    let projected = index["Projection"]["NonKeyAttributes"].as_array().unwrap();
    assert!(!projected.contains(&json!("message")), "it would be stored twice");
    assert!(projected.len() <= 20, "DynamoDB's limit");
}

#[test]
fn every_metric_of_ours_that_an_alarm_watches_is_one_that_a_function_reports() {
    let template = Template::expanded("production");
    let alarms = template.of_type("AWS::CloudWatch::Alarm");
    let ours = alarms.iter().filter(|(_, alarm)| alarm["Namespace"] == NAMESPACE).collect::<Vec<_>>();
    assert_eq!(ours.len(), 5);
    for (name, alarm) in ours {
        let metric = Metric::ALL.into_iter().find(|metric| alarm["MetricName"] == metric.name());
        let metric = metric.expect(name);
        assert!(metric.dimensions().contains(&&[Dimension::Stage][..]), "{name}");
        assert_eq!(alarm["Dimensions"], json!([{ "Name": "Stage", "Value": { "Ref": "Stage" } }]), "{name}");
    }
    assert_eq!(template.properties("SpoolAlarm")["Threshold"], limits::SPOOL_AGE_SECONDS_MAX);
    assert_eq!(template.properties("ProbeAlarm")["Threshold"], limits::PROBE_AGE_MILLIS_MAX);
    assert_eq!(template.properties("ProbeAlarm")["Period"], limits::PROBE_INTERVAL_SECONDS);
}

#[test]
fn senders_that_api_gateway_turns_away_are_counted_from_its_log() {
    let template = Template::expanded("production");
    let filter = template.properties("ThrottledMetric");
    assert_eq!(filter["LogGroupName"], json!({ "Ref": "ApiLogs" }));
    assert_eq!(filter["FilterPattern"], r#"{ $.status = "429" }"#);
    let stage = template.properties("ApiStage");
    assert_eq!(stage["AccessLogSettings"]["DestinationArn"], arn("ApiLogs"));
    let format: Value = serde_json::from_str(stage["AccessLogSettings"]["Format"].as_str().unwrap()).unwrap();
    assert_eq!((&format["status"], &format["apiId"]), (&json!("$context.status"), &json!("$context.apiId")));
    let metric = &filter["MetricTransformations"][0];
    assert_eq!(metric["Dimensions"], json!([{ "Key": "Api", "Value": "$.apiId" }]));
    let alarm = template.properties("ThrottledAlarm");
    assert_eq!(metric["MetricNamespace"], alarm["Namespace"]);
    assert_eq!(metric["MetricName"], alarm["MetricName"]);
    assert_eq!(alarm["Dimensions"], json!([{ "Name": "Api", "Value": { "Ref": "Api" } }]));
}

#[test]
fn nothing_in_the_spool_expires() {
    let template = Template::expanded("production");
    let rules = template.properties("Bodies")["LifecycleConfiguration"]["Rules"].as_array().unwrap().clone();
    assert!(rules.iter().all(|rule| rule["Prefix"] == "bodies/"), "{rules:?}");
}

#[test]
fn the_probe_is_sent_by_a_schedule_of_its_own_that_can_be_off() {
    let template = Template::expanded("production");
    let schedule = template.properties("ProbeSchedule");
    assert_eq!(schedule["State"], json!({ "Fn::If": ["HasProbe", "ENABLED", "DISABLED"] }));
    assert_eq!(schedule["ScheduleExpression"], "rate(5 minutes)");
    assert_eq!(schedule["Target"]["Arn"], json!({ "Ref": "HousekeeperAliaslive" }));
    assert_eq!(schedule["Target"]["RoleArn"], arn("HousekeeperScheduleRole"));
    let task = |name: &str| {
        let input = template.properties(name)["Target"]["Input"].as_str().unwrap();
        serde_json::from_str::<Invocation>(input).unwrap().task
    };
    assert_eq!((task("ProbeSchedule"), task("HousekeeperSchedule")), (Task::Probe, Task::Errands));
    assert_eq!(template.0["Resources"]["ProbeAlarm"]["Condition"], "HasProbe");
}

#[test]
fn the_queues_are_encrypted_and_take_nothing_that_travels_in_clear() {
    let template = Template::expanded("production");
    let queues = template.of_type("AWS::SQS::Queue");
    assert_eq!(queues.len(), 2);
    for (name, queue) in queues {
        assert_eq!(queue["SqsManagedSseEnabled"], true, "{name}");
        let policies = template.of_type("AWS::SQS::QueuePolicy");
        let policy = policies.iter().find(|(_, policy)| policy["Queues"] == json!([{ "Ref": name }])).unwrap().1;
        let statement = &policy["PolicyDocument"]["Statement"][0];
        assert_eq!(statement["Effect"], "Deny");
        assert_eq!(statement["Condition"], json!({ "Bool": { "aws:SecureTransport": "false" } }));
    }
    let queue = template.properties("DeliveryQueue");
    assert_eq!(queue["RedrivePolicy"]["deadLetterTargetArn"], arn("DeadLetterQueue"));
    let name = queue["QueueName"]["Fn::Sub"].as_str().unwrap();
    let allowed = &template.properties("DeadLetterQueue")["RedriveAllowPolicy"];
    assert_eq!(allowed["redrivePermission"], "byQueue");
    let source = allowed["sourceQueueArns"][0]["Fn::Sub"].as_str().unwrap();
    assert!(source.ends_with(&format!(":{name}")), "{source} is not the queue {name}");
}

#[test]
fn the_ledger_is_kept_forgets_by_its_own_attribute_and_can_be_restored() {
    let template = Template::expanded("production");
    let resource = &template.0["Resources"]["Ledger"];
    assert_eq!(resource["DeletionPolicy"], "Retain");
    assert_eq!(resource["UpdateReplacePolicy"], "Retain");
    let table = template.properties("Ledger");
    assert_eq!(table["BillingMode"], "PAY_PER_REQUEST");
    assert_eq!(table["TimeToLiveSpecification"], json!({ "AttributeName": "expires_at", "Enabled": true }));
    assert_eq!(table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"], true);
    assert_eq!(table["DeletionProtectionEnabled"], json!({ "Fn::If": ["IsProduction", true, false] }));
    assert_eq!(
        table["KeySchema"],
        json!([
            { "AttributeName": "event_key", "KeyType": "HASH" },
            { "AttributeName": "body_key", "KeyType": "RANGE" }
        ])
    );
}

#[test]
fn every_alarm_watches_what_exists_says_what_to_do_and_tells_somebody() {
    let template = Template::expanded("production");
    let mut watched = Vec::new();
    for (name, alarm) in template.of_type("AWS::CloudWatch::Alarm") {
        assert_eq!(alarm["AlarmActions"], json!([{ "Ref": "AlarmTopic" }]), "{name}");
        // Silence is the alarm where something is to happen each minute, or each five.
        let is_heartbeat = ["HousekeeperSilenceAlarm", "ProbeAlarm"].contains(&name);
        let silence = if is_heartbeat { "breaching" } else { "notBreaching" };
        assert_eq!(alarm["TreatMissingData"], silence, "{name}");
        assert!(alarm["AlarmDescription"].as_str().unwrap().len() > 80, "{name} does not say what to do");
        let dimensions = alarm["Dimensions"].as_array().unwrap();
        assert_eq!(dimensions.len(), 1, "{name}");
        let value = &dimensions[0]["Value"];
        let of = match value.get("Ref") {
            Some(name) => name,
            None => {
                assert_eq!(value["Fn::GetAtt"][1], "QueueName", "{name}");
                &value["Fn::GetAtt"][0]
            }
        };
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        watched.push([text(&alarm["Namespace"]), text(&alarm["MetricName"]), text(&dimensions[0]["Name"]), text(of)]);
    }
    watched.sort();
    assert_eq!(
        watched,
        [
            ["AWS/ApiGateway", "5xx", "ApiId", "Api"],
            ["AWS/Lambda", "Errors", "FunctionName", "Consumer"],
            ["AWS/Lambda", "Errors", "FunctionName", "Housekeeper"],
            ["AWS/Lambda", "Errors", "FunctionName", "Receiver"],
            ["AWS/Lambda", "Invocations", "FunctionName", "Housekeeper"],
            ["AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", "DeliveryQueue"],
            ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", "DeadLetterQueue"],
            ["Wharf", "BodiesMissing", "Stage", "Stage"],
            ["Wharf", "Failed", "Stage", "Stage"],
            ["Wharf", "Parked", "Stage", "Stage"],
            ["Wharf", "ProbeAge", "Stage", "Stage"],
            ["Wharf", "SpoolAge", "Stage", "Stage"],
            ["Wharf/Api", "Throttled", "Api", "Api"],
        ]
    );
}

#[test]
fn every_stage_has_its_parameters_in_samconfig() {
    let project = Project::find().unwrap();
    let text = std::fs::read_to_string(project.path("infra/samconfig.toml")).unwrap();
    let stages = Template::expanded("production").0["Parameters"]["Stage"]["AllowedValues"].clone();
    for stage in
        stages.as_array().unwrap().iter().map(|stage| stage.as_str().unwrap()).filter(|stage| *stage != "local")
    {
        assert!(text.contains(&format!("stack_name = \"wharf-{stage}\"")), "{stage}");
        assert!(text.contains(&format!("Stage={stage}")), "{stage}");
    }
}
