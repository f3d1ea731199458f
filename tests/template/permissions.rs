//! Who may do what.

use serde_json::{Value, json};

use crate::expanded::{Template, arn, reference};
use crate::rules;

/// What a role allows: every action with its resource.
fn permissions(template: &Template, role: &str) -> Vec<(String, Value)> {
    let mut permissions = Vec::new();
    for policy in template.properties(role)["Policies"].as_array().unwrap() {
        for statement in policy["PolicyDocument"]["Statement"].as_array().unwrap() {
            // What is only there with a parameter counts as there.
            let statement = statement.get("Fn::If").map_or(statement, |choice| &choice[1]);
            assert_eq!(statement["Effect"], "Allow");
            for action in listed(&statement["Action"]) {
                permissions.push((action.as_str().unwrap().to_owned(), statement["Resource"].clone()));
            }
        }
    }
    permissions
}

fn listed(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_else(|| vec![value.clone()])
}

fn assert_allows(template: &Template, role: &str, expected: &[(&str, Value)]) {
    let allowed = permissions(template, role);
    let allowed: Vec<_> = allowed.iter().map(|(action, resource)| (action.as_str(), resource.clone())).collect();
    assert_eq!(allowed, expected, "{role}");
}

fn sub(text: &str) -> Value {
    json!({ "Fn::Sub": text })
}

fn parameter(name: &str) -> Value {
    sub(&format!("arn:${{AWS::Partition}}:ssm:${{AWS::Region}}:${{AWS::AccountId}}:parameter/{name}"))
}

fn spool(what: &str) -> Value {
    sub(&format!("${{Bodies.Arn}}/spool/{what}*"))
}

/// With a key of one's own, and with X-Ray.
fn key_and_tracing() -> [(&'static str, Value); 4] {
    [
        ("kms:Decrypt", reference("KeyArn")),
        ("kms:GenerateDataKey", reference("KeyArn")),
        ("xray:PutTraceSegments", json!("*")),
        ("xray:PutTelemetryRecords", json!("*")),
    ]
}

rules! {
    fn the_receiver_may_verify_store_and_enqueue_and_no_more(template) {
        let secret = "arn:${AWS::Partition}:secretsmanager:${AWS::Region}:${AWS::AccountId}:secret:wharf/${Stage}/*";
        let mut expected = vec![
            ("logs:CreateLogStream", arn("ReceiverLogs")),
            ("logs:PutLogEvents", arn("ReceiverLogs")),
            ("ssm:GetParameters", parameter("wharf/${Stage}/*")),
            ("ssm:GetParameters", parameter("aws/reference/secretsmanager/wharf/${Stage}/*")),
            ("secretsmanager:GetSecretValue", sub(secret)),
            ("ssm:PutParameter", parameter("wharf/${Stage}/*/offered")),
            ("s3:PutObject", sub("${Bodies.Arn}/bodies/*")),
            ("s3:PutObject", spool("new/")),
            ("sqs:SendMessage", arn("DeliveryQueue")),
            ("sqs:GetQueueAttributes", arn("DeliveryQueue")),
        ];
        expected.extend(key_and_tracing());
        assert_allows(template, "ReceiverRole", &expected);
    } broken by [
        Set("/Resources/ReceiverRole/Properties/Policies/0/PolicyDocument/Statement/8/Fn::If/1/Resource", r#""*""#),
        Set("/Resources/ReceiverRole/Properties/Policies/0/PolicyDocument/Statement/1/Action", r#"["ssm:GetParameters", "ssm:DescribeParameters"]"#),
    ]

    fn the_consumer_may_take_claim_and_complete_and_no_more(template) {
        let effects = || reference("EffectTables");
        let mut expected = vec![
            ("logs:CreateLogStream", arn("ConsumerLogs")),
            ("logs:PutLogEvents", arn("ConsumerLogs")),
            ("sqs:ReceiveMessage", arn("DeliveryQueue")),
            ("sqs:DeleteMessage", arn("DeliveryQueue")),
            ("sqs:GetQueueAttributes", arn("DeliveryQueue")),
            ("sqs:ChangeMessageVisibility", arn("DeliveryQueue")),
            ("sqs:SendMessage", arn("DeadLetterQueue")),
            ("dynamodb:PutItem", arn("Ledger")),
            ("dynamodb:UpdateItem", arn("Ledger")),
            ("dynamodb:GetItem", arn("Ledger")),
            ("s3:GetObject", sub("${Bodies.Arn}/bodies/*")),
            ("s3:ListBucket", arn("Bodies")),
            ("events:PutEvents", arn("EventBus")),
            ("dynamodb:PutItem", effects()),
            ("dynamodb:UpdateItem", effects()),
            ("dynamodb:DeleteItem", effects()),
            ("dynamodb:ConditionCheckItem", effects()),
        ];
        expected.extend(key_and_tracing());
        assert_allows(template, "ConsumerRole", &expected);
    } broken by [
        Set("/Resources/ConsumerRole/Properties/Policies/0/PolicyDocument/Statement/3/Action", r#"["dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:Scan"]"#),
        Set("/Resources/ConsumerRole/Properties/Policies/0/PolicyDocument/Statement/2/Resource/Fn::GetAtt/0", r#""DeliveryQueue""#),
    ]

    fn the_housekeeper_may_send_what_is_due_and_probe_and_no_more(template) {
        let mut expected = vec![
            ("logs:CreateLogStream", arn("HousekeeperLogs")),
            ("logs:PutLogEvents", arn("HousekeeperLogs")),
            ("dynamodb:Query", sub("${Ledger.Arn}/index/open-records")),
            ("dynamodb:GetItem", arn("Ledger")),
            ("dynamodb:PutItem", arn("Ledger")),
            ("sqs:SendMessage", arn("DeliveryQueue")),
            ("s3:ListBucket", arn("Bodies")),
            ("s3:GetObject", spool("")),
            ("s3:DeleteObject", spool("")),
            ("s3:PutObject", spool("refused/")),
            ("ssm:GetParameters", parameter("wharf/${Stage}/_probe")),
            ("ssm:PutParameter", parameter("wharf/${Stage}/_probe")),
        ];
        expected.extend(key_and_tracing());
        assert_allows(template, "HousekeeperRole", &expected);
        let alias = reference("HousekeeperAliaslive");
        assert_allows(template, "HousekeeperScheduleRole", &[("lambda:InvokeFunction", alias)]);
    } broken by [
        Set("/Resources/HousekeeperRole/Properties/Policies/0/PolicyDocument/Statement/5/Resource/Fn::Sub", r#""${Bodies.Arn}/*""#),
        Set("/Resources/HousekeeperScheduleRole/Properties/Policies/0/PolicyDocument/Statement/0/Resource", r#"{"Ref": "ReceiverAliaslive"}"#),
    ]

    fn no_role_has_more_than_its_own_policy_or_a_wildcard_that_could_be_a_name(template) {
        let unnameable = ["xray:PutTraceSegments", "xray:PutTelemetryRecords", "cloudwatch:DescribeAlarms"];
        for (role, properties) in template.of_type("AWS::IAM::Role") {
            assert!(properties.get("ManagedPolicyArns").is_none(), "{role} is given more than its own policy");
            assert_eq!(properties["Policies"].as_array().unwrap().len(), 1, "{role}");
            let policy = "arn:${AWS::Partition}:iam::${AWS::AccountId}:policy/wharf-${Stage}-boundary";
            let boundary = json!({ "Fn::If": ["HasBoundary", sub(policy), reference("AWS::NoValue")] });
            assert_eq!(properties["PermissionsBoundary"], boundary, "{role}");
            for (action, resources) in permissions(template, role) {
                assert!(!action.contains('*'), "{role} may {action}");
                for resource in listed(&resources) {
                    let is_any = resource == "*";
                    assert!(!is_any || unnameable.contains(&&*action), "{role} may {action} on everything");
                    // A name that ends in a star begins with one of this stack or stage.
                    let text = resource["Fn::Sub"].as_str().unwrap_or_default();
                    let is_ours = text.contains("${Stage}/") || text.starts_with("${Bodies.Arn}/");
                    assert!(!text.ends_with('*') || is_ours, "{role} may {action} on {text}");
                }
            }
        }
    } broken by [
        Set("/Resources/ConsumerRole/Properties/ManagedPolicyArns", r#"["arn:aws:iam::aws:policy/service-role/AWSLambdaSQSQueueExecutionRole"]"#),
        Set("/Resources/ReceiverRole/Properties/Policies/0/PolicyDocument/Statement/0/Action", r#""logs:*""#),
        Remove("/Resources/RollOutRole/Properties/PermissionsBoundary"),
        Set("/Resources/ReceiverRole/Properties/Policies/0/PolicyDocument/Statement/7/Resource", r#""*""#),
        Set("/Resources/ReceiverRole/Properties/Policies/0/PolicyDocument/Statement/1/Resource/Fn::Sub", r#""arn:${AWS::Partition}:ssm:${AWS::Region}:${AWS::AccountId}:parameter/*""#),
    ]

    fn each_role_is_taken_by_the_service_that_it_is_for(template) {
        let services = [
            ("ReceiverRole", "lambda"),
            ("ConsumerRole", "lambda"),
            ("HousekeeperRole", "lambda"),
            ("HousekeeperScheduleRole", "scheduler"),
            ("RollOutRole", "codedeploy"),
        ];
        assert_eq!(template.of_type("AWS::IAM::Role").len(), services.len());
        for (role, service) in services {
            // These act for whoever asks them to: so it must be somebody of this account.
            if service != "lambda" {
                let condition = &template.properties(role)["AssumeRolePolicyDocument"]["Statement"][0]["Condition"];
                assert_eq!(*condition, json!({ "StringEquals": { "aws:SourceAccount": reference("AWS::AccountId") } }), "{role}");
            }
            let statements = template.properties(role)["AssumeRolePolicyDocument"]["Statement"].as_array().unwrap();
            assert_eq!(statements.len(), 1, "{role}");
            let principal = json!({ "Service": format!("{service}.amazonaws.com") });
            assert_eq!((&statements[0]["Principal"], &statements[0]["Action"]), (&principal, &json!("sts:AssumeRole")));
        }
    } broken by [
        Set("/Resources/ReceiverRole/Properties/AssumeRolePolicyDocument/Statement/0/Principal", r#"{"AWS": "*"}"#),
        Remove("/Resources/RollOutRole/Properties/AssumeRolePolicyDocument/Statement/0/Condition"),
        Remove("/Resources/HousekeeperScheduleRole/Properties/AssumeRolePolicyDocument/Statement/0/Condition"),
    ]

    /// By this permission S3 tells "missing" from "denied" too, and then takes the key that was asked for as the prefix.
    fn each_function_lists_no_more_of_the_bucket_than_it_reads(template) {
        for (role, prefix) in [("ConsumerRole", "bodies/*"), ("HousekeeperRole", "spool/*")] {
            let statements = template.properties(role)["Policies"][0]["PolicyDocument"]["Statement"].as_array().unwrap();
            let lists: Vec<_> = statements.iter().filter(|statement| statement["Action"] == "s3:ListBucket").collect();
            assert_eq!(lists.len(), 1, "{role}");
            assert_eq!(lists[0]["Condition"], json!({ "StringLike": { "s3:prefix": prefix } }), "{role}");
        }
        assert!(permissions(template, "ReceiverRole").iter().all(|(action, _)| action != "s3:ListBucket"));
    } broken by [
        Remove("/Resources/ConsumerRole/Properties/Policies/0/PolicyDocument/Statement/5/Condition"),
        Set("/Resources/HousekeeperRole/Properties/Policies/0/PolicyDocument/Statement/4/Condition/StringLike/s3:prefix", r#""*""#),
    ]

    fn a_function_can_create_what_was_offered_or_the_probes_secret_and_change_no_parameter(template) {
        for role in ["ReceiverRole", "HousekeeperRole"] {
            let statements = &template.properties(role)["Policies"][0]["PolicyDocument"]["Statement"];
            let mut puts = statements.as_array().unwrap().iter().filter(|statement| statement["Action"] == "ssm:PutParameter");
            let put = puts.next().unwrap();
            assert_eq!(put["Condition"], json!({ "StringEquals": { "ssm:Overwrite": "false" } }), "{role}");
            assert!(puts.next().is_none(), "{role}");
        }
    } broken by [
        Remove("/Resources/ReceiverRole/Properties/Policies/0/PolicyDocument/Statement/4/Condition"),
        Set("/Resources/HousekeeperRole/Properties/Policies/0/PolicyDocument/Statement/8/Condition/StringEquals/ssm:Overwrite", r#""true""#),
    ]

    fn what_travels_in_clear_is_refused(template) {
        let in_clear = json!({ "Bool": { "aws:SecureTransport": "false" } });
        let denies = |statement: &Value| {
            assert_eq!((&statement["Effect"], &statement["Principal"]), (&json!("Deny"), &json!("*")));
            assert_eq!(statement["Condition"], in_clear);
        };
        for (name, _) in template.of_type("AWS::SQS::Queue") {
            let policies = template.of_type("AWS::SQS::QueuePolicy");
            let policy = policies.iter().find(|(_, policy)| policy["Queues"] == json!([reference(name)])).unwrap().1;
            let statement = &policy["PolicyDocument"]["Statement"][0];
            denies(statement);
            assert_eq!((&statement["Action"], &statement["Resource"]), (&json!("sqs:*"), &arn(name)));
        }
        for (name, _) in template.of_type("AWS::S3::Bucket") {
            let policies = template.of_type("AWS::S3::BucketPolicy");
            let policy = policies.iter().find(|(_, policy)| policy["Bucket"] == reference(name)).unwrap().1;
            let statement = &policy["PolicyDocument"]["Statement"][0];
            denies(statement);
            let all = json!([arn(name), sub(&format!("${{{name}.Arn}}/*"))]);
            assert_eq!((&statement["Action"], &statement["Resource"]), (&json!("s3:*"), &all));
        }
    } broken by [
        Set("/Resources/DeliveryQueuePolicy/Properties/PolicyDocument/Statement/0/Effect", r#""Allow""#),
        Set("/Resources/DeadLetterQueuePolicy/Properties/Queues/0/Ref", r#""DeliveryQueue""#),
        Set("/Resources/BodiesPolicy/Properties/PolicyDocument/Statement/0/Condition/Bool/aws:SecureTransport", r#""true""#),
        Remove("/Resources/BodiesPolicy/Properties/PolicyDocument/Statement/0/Resource/1"),
        Remove("/Resources/BodiesLogPolicy/Properties/PolicyDocument/Statement/0"),
    ]
}
