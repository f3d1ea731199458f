//! What GitHub may do, and what CloudFormation may do for it.

use serde_json::{Value, json};
use wharf_ops::project::Project;
use wharf_webhook::endpoints::Endpoint;

use crate::expanded::reference;
use crate::rules;

/// The statements of a policy document; what is only there with a parameter counts as there, and so does what is there without.
fn statements(document: &Value) -> Vec<&Value> {
    let choices =
        document["Statement"].as_array().unwrap().iter().flat_map(|statement| match statement.get("Fn::If") {
            Some(choice) => vec![&choice[1], &choice[2]],
            None => vec![statement],
        });
    choices.filter(|statement| statement.get("Sid").is_some()).collect()
}

fn of_role<'a>(template: &'a crate::Template, role: &str) -> Vec<&'a Value> {
    let policies = template.properties(role)["Policies"].as_array().unwrap();
    policies.iter().flat_map(|policy| statements(&policy["PolicyDocument"])).collect()
}

#[track_caller]
fn named<'a>(statements: &[&'a Value], sid: &str) -> &'a Value {
    statements.iter().find(|statement| statement["Sid"] == sid).unwrap_or_else(|| panic!("there is no statement {sid}"))
}

fn actions(statement: &Value) -> Vec<&str> {
    let listed = statement["Action"].as_array().into_iter().flatten().filter_map(Value::as_str);
    statement["Action"].as_str().into_iter().chain(listed).collect()
}

fn sub(text: &str) -> Value {
    json!({ "Fn::Sub": text })
}

rules! {
    of github;

    fn github_is_believed_for_one_repository_environment_and_branch(template) {
        let trust = template.properties("DeployRole")["AssumeRolePolicyDocument"]["Statement"].as_array().unwrap();
        assert_eq!(trust.len(), 1);
        assert_eq!(trust[0]["Action"], "sts:AssumeRoleWithWebIdentity");
        assert_eq!(
            trust[0]["Condition"],
            json!({ "StringEquals": {
                "token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
                "token.actions.githubusercontent.com:sub": sub("repo:${Repository}:environment:${Stage}"),
                "token.actions.githubusercontent.com:ref": sub("refs/heads/${Branch}")
            } })
        );
        assert_eq!(template.0["Parameters"]["Branch"]["Default"], "main");
        for name in ["Repository", "Branch"] {
            assert!(!template.0["Parameters"][name]["AllowedPattern"].as_str().unwrap().contains('*'), "{name}");
        }
        let workflow = std::fs::read_to_string(Project::find().unwrap().path(".github/workflows/deploy.yml")).unwrap();
        assert!(workflow.contains("    branches: [main]\n"), "{workflow}");
    } broken by [
        Remove("/Resources/DeployRole/Properties/AssumeRolePolicyDocument/Statement/0/Condition/StringEquals/token.actions.githubusercontent.com:ref"),
        Set("/Parameters/Branch/Default", r#""release""#),
        Set("/Parameters/Branch/AllowedPattern", r#""^.*$""#),
    ]

    fn github_reads_no_record_but_a_probes(template) {
        let statements = of_role(template, "DeployRole");
        let prefix = format!("{}#*", Endpoint::probe().name);
        assert_eq!(prefix, "_probe#*");
        let mut count = 0;
        for statement in statements {
            if actions(statement).iter().any(|action| action.starts_with("dynamodb:")) {
                assert_eq!(actions(statement), ["dynamodb:Query"]);
                assert_eq!(
                    statement["Condition"],
                    json!({
                        "ForAllValues:StringLike": { "dynamodb:LeadingKeys": prefix },
                        "Null": { "dynamodb:LeadingKeys": "false" }
                    })
                );
                count += 1;
            }
        }
        assert_eq!(count, 1);
    } broken by [
        Remove("/Resources/DeployRole/Properties/Policies/0/PolicyDocument/Statement/8/Condition/ForAllValues:StringLike"),
        Remove("/Resources/DeployRole/Properties/Policies/0/PolicyDocument/Statement/8/Condition/Null"),
        Set("/Resources/DeployRole/Properties/Policies/0/PolicyDocument/Statement/8/Action", r#"["dynamodb:Query", "dynamodb:Scan"]"#),
    ]

    fn nobody_lists_a_whole_bucket_but_cloudformation(template) {
        let github = of_role(template, "DeployRole");
        let boundary = statements(&template.properties("Boundary")["PolicyDocument"]);
        let prefixes = [
            (named(&github, "MissZips"), sub("wharf-${Stage}/*")),
            (named(&boundary, "FindBodies"), json!(["bodies/*", "spool/*"])),
        ];
        for (statement, prefix) in &prefixes {
            assert_eq!(statement["Condition"]["StringLike"], json!({ "s3:prefix": prefix }));
        }
        let lists = github.iter().chain(&boundary).filter(|statement| actions(statement).contains(&"s3:ListBucket"));
        assert_eq!(lists.count(), 2);
        assert_eq!(named(&github, "UploadZips")["Resource"], sub("${Artifacts.Arn}/wharf-${Stage}/*"));
    } broken by [
        Remove("/Resources/DeployRole/Properties/Policies/0/PolicyDocument/Statement/6/Condition"),
        Set("/Resources/DeployRole/Properties/Policies/0/PolicyDocument/Statement/5/Action", r#"["s3:GetBucketLocation", "s3:ListBucket"]"#),
        Remove("/Resources/Boundary/Properties/PolicyDocument/Statement/4/Condition/StringLike"),
    ]

    fn cloudformation_touches_one_api_one_domain_name_and_one_record(template) {
        let statements = of_role(template, "ExecutionRole");
        let path = |path: &str| sub(&format!("arn:${{AWS::Partition}}:apigateway:${{AWS::Region}}::{path}"));
        let resources = |sid: &str| named(&statements, sid)["Resource"].clone();
        assert_eq!(resources("Api"), json!([path("/apis/${ApiId}"), path("/apis/${ApiId}/*")]));
        assert_eq!(resources("DomainOfTheApi"), json!([path("/domainnames/${DomainName}"), path("/domainnames/${DomainName}/*")]));
        assert_eq!((actions(named(&statements, "MakeDomain")), resources("MakeDomain")), (vec!["apigateway:POST"], path("/domainnames")));
        // Before the API is there, no id can be named.
        let policy = template.properties("ExecutionRole")["Policies"][0]["PolicyDocument"]["Statement"].as_array().unwrap();
        let choice = policy.iter().find(|statement| statement["Fn::If"][2]["Sid"] == "MakeApi").unwrap();
        assert_eq!(choice["Fn::If"][0], "HasApi");
        let record = named(&statements, "WriteItsRecord");
        assert_eq!(actions(record), ["route53:ChangeResourceRecordSets"]);
        assert_eq!(
            record["Condition"],
            json!({
                "ForAllValues:StringEquals": {
                    "route53:ChangeResourceRecordSetsNormalizedRecordNames": reference("DomainName"),
                    "route53:ChangeResourceRecordSetsRecordTypes": "A"
                },
                "Null": { "route53:ChangeResourceRecordSetsNormalizedRecordNames": "false" }
            })
        );
        let changes = statements.iter().filter(|statement| actions(statement).contains(&"route53:ChangeResourceRecordSets"));
        assert_eq!(changes.count(), 1);
        // What the template makes.
        let written = crate::Template::production().of_type("AWS::Route53::RecordSet");
        assert_eq!((written.len(), &written[0].1["Type"]), (1, &json!("A")));
    } broken by [
        Set("/Resources/ExecutionRole/Properties/Policies/0/PolicyDocument/Statement/6/Fn::If/1/Resource/1/Fn::Sub", r#""arn:${AWS::Partition}:apigateway:${AWS::Region}::/apis/*""#),
        Set("/Resources/ExecutionRole/Properties/Policies/0/PolicyDocument/Statement/9/Fn::If/1/Resource/0/Fn::Sub", r#""arn:${AWS::Partition}:apigateway:${AWS::Region}::/domainnames/*""#),
        Set("/Resources/ExecutionRole/Properties/Policies/0/PolicyDocument/Statement/6/Fn::If/0", r#""HasDomain""#),
    ]

    fn nobody_changes_whom_a_role_trusts_and_none_is_made_without_the_boundary(template) {
        let all: Vec<&Value> = ["DeployRole", "ExecutionRole"].into_iter().flat_map(|role| of_role(template, role)).collect();
        for statement in all.iter().filter(|statement| statement["Effect"] == "Allow") {
            for action in actions(statement).iter().filter(|action| action.starts_with("iam:")) {
                assert!(!action.contains('*') && *action != "iam:UpdateAssumeRolePolicy", "{action}");
                if ["iam:CreateRole", "iam:PutRolePolicy", "iam:DeleteRolePolicy", "iam:PutRolePermissionsBoundary"].contains(action) {
                    let bounded = json!({ "StringEquals": { "iam:PermissionsBoundary": reference("Boundary") } });
                    assert_eq!(statement["Condition"], bounded, "{action}");
                }
            }
        }
        let trust = &template.properties("ExecutionRole")["AssumeRolePolicyDocument"]["Statement"][0];
        assert_eq!(trust["Principal"], json!({ "Service": "cloudformation.amazonaws.com" }));
        assert_eq!(trust["Condition"], json!({ "StringEquals": { "aws:SourceAccount": reference("AWS::AccountId") } }));
    } broken by [
        Set("/Resources/ExecutionRole/Properties/Policies/0/PolicyDocument/Statement/23/Action/0", r#""iam:UpdateAssumeRolePolicy""#),
        Remove("/Resources/ExecutionRole/Properties/Policies/0/PolicyDocument/Statement/22/Condition"),
        Remove("/Resources/ExecutionRole/Properties/AssumeRolePolicyDocument/Statement/0/Condition"),
    ]

    /// So a role that a template lets others take is worth little to them.
    fn what_is_stored_is_handed_out_and_what_is_sent_is_taken_from_the_stages_own_functions_only(template) {
        let function = sub("arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:function:wharf-${Stage}-*");
        let boundary = statements(&template.properties("Boundary")["PolicyDocument"]);
        let services = ["s3:", "dynamodb:", "ssm:", "secretsmanager:", "events:", "sqs:SendMessage"];
        let mut count = 0;
        for statement in boundary {
            if actions(statement).iter().any(|action| services.iter().any(|service| action.starts_with(service))) {
                assert_eq!(statement["Condition"]["ArnLike"], json!({ "lambda:SourceFunctionArn": function }), "{statement}");
                count += 1;
            }
        }
        assert_eq!(count, 8);
    } broken by [
        Remove("/Resources/Boundary/Properties/PolicyDocument/Statement/3/Condition"),
        Remove("/Resources/Boundary/Properties/PolicyDocument/Statement/5/Condition"),
        Set("/Resources/Boundary/Properties/PolicyDocument/Statement/1/Action", r#"["sqs:ReceiveMessage", "sqs:SendMessage"]"#),
    ]
}
