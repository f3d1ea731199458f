//! The ledger and the bodies.

use serde_json::json;
use wharf_webhook::ledger::table;

use crate::expanded::{arn, reference};
use crate::rules;

rules! {
    fn the_bodies_are_kept_encrypted_and_open_to_nobody_else(template) {
        for name in ["Bodies", "BodiesLog"] {
            let resource = template.resource(name);
            assert_eq!((&resource["DeletionPolicy"], &resource["UpdateReplacePolicy"]), (&json!("Retain"), &json!("Retain")));
            let bucket = template.properties(name);
            let blocked = bucket["PublicAccessBlockConfiguration"].as_object().unwrap();
            assert_eq!(blocked.len(), 4);
            assert!(blocked.values().all(|is_blocked| *is_blocked == true));
            assert_eq!(bucket["OwnershipControls"]["Rules"][0]["ObjectOwnership"], "BucketOwnerEnforced");
            assert!(bucket["BucketEncryption"].is_object());
            assert!(
                bucket.get("VersioningConfiguration").is_none(),
                "an old version outlives the day on which it is to be gone"
            );
        }
        assert_eq!(template.of_type("AWS::S3::Bucket").len(), 2);
    } broken by [
        Set("/Resources/Bodies/DeletionPolicy", r#""Delete""#),
        Set("/Resources/Bodies/Properties/PublicAccessBlockConfiguration/BlockPublicPolicy", "false"),
        Remove("/Resources/Bodies/Properties/OwnershipControls"),
        Set("/Resources/Bodies/Properties/VersioningConfiguration", r#"{"Status": "Enabled"}"#),
        Set("/Resources/BodiesLog/Properties/PublicAccessBlockConfiguration/IgnorePublicAcls", "false"),
    ]

    fn who_asks_for_a_body_is_logged_where_none_but_s3_writes_and_for_90_days(template) {
        assert_eq!(
            template.properties("Bodies")["LoggingConfiguration"],
            json!({ "DestinationBucketName": reference("BodiesLog"), "LogFilePrefix": "bodies/" })
        );
        let log = template.properties("BodiesLog");
        assert!(log.get("LoggingConfiguration").is_none(), "a log of the log has no end");
        let rules = log["LifecycleConfiguration"]["Rules"].as_array().unwrap();
        assert_eq!((rules.len(), &rules[0]["Status"], &rules[0]["ExpirationInDays"]), (1, &json!("Enabled"), &json!(90)));
        // S3 delivers to no bucket with a key of one's own.
        let encryption = &log["BucketEncryption"]["ServerSideEncryptionConfiguration"][0];
        assert_eq!(encryption["ServerSideEncryptionByDefault"], json!({ "SSEAlgorithm": "AES256" }));
        let policy = template.properties("BodiesLogPolicy")["PolicyDocument"]["Statement"].as_array().unwrap();
        let allowed: Vec<_> = policy.iter().filter(|statement| statement["Effect"] == "Allow").collect();
        assert_eq!(allowed.len(), 1);
        assert_eq!(allowed[0]["Principal"], json!({ "Service": "logging.s3.amazonaws.com" }));
        assert_eq!(allowed[0]["Action"], "s3:PutObject");
        assert_eq!(allowed[0]["Resource"], json!({ "Fn::Sub": "${BodiesLog.Arn}/bodies/*" }));
        assert_eq!(
            allowed[0]["Condition"],
            json!({
                "StringEquals": { "aws:SourceAccount": reference("AWS::AccountId") },
                "ArnLike": { "aws:SourceArn": arn("Bodies") }
            })
        );
    } broken by [
        Remove("/Resources/Bodies/Properties/LoggingConfiguration"),
        Set("/Resources/BodiesLog/Properties/LoggingConfiguration", r#"{"LogFilePrefix": "log/"}"#),
        Set("/Resources/BodiesLog/Properties/LifecycleConfiguration/Rules/0/ExpirationInDays", "3650"),
        Set("/Resources/BodiesLog/Properties/BucketEncryption/ServerSideEncryptionConfiguration/0/ServerSideEncryptionByDefault/SSEAlgorithm", r#""aws:kms""#),
        Remove("/Resources/BodiesLogPolicy/Properties/PolicyDocument/Statement/1/Condition/ArnLike"),
    ]

    fn bodies_expire_and_nothing_in_the_spool_does(template) {
        let rules = template.properties("Bodies")["LifecycleConfiguration"]["Rules"].as_array().unwrap();
        assert_eq!(rules.len(), 1);
        assert_eq!((&rules[0]["Status"], &rules[0]["Prefix"]), (&json!("Enabled"), &json!("bodies/")));
        assert_eq!(rules[0]["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"], 1);
    } broken by [
        Remove("/Resources/Bodies/Properties/LifecycleConfiguration/Rules/0/Prefix"),
        Set("/Resources/Bodies/Properties/LifecycleConfiguration/Rules/0/Status", r#""Disabled""#),
    ]

    fn the_ledger_is_kept_forgets_by_its_own_attribute_and_can_be_restored(template) {
        let resource = template.resource("Ledger");
        assert_eq!((&resource["DeletionPolicy"], &resource["UpdateReplacePolicy"]), (&json!("Retain"), &json!("Retain")));
        let table = template.properties("Ledger");
        assert_eq!(table["BillingMode"], "PAY_PER_REQUEST");
        assert_eq!(table["TimeToLiveSpecification"], json!({ "AttributeName": "expires_at", "Enabled": true }));
        let recovery = &table["PointInTimeRecoverySpecification"];
        assert_eq!(recovery["PointInTimeRecoveryEnabled"], true);
        let days = json!({ "Fn::FindInMap": ["Stages", { "Ref": "Stage" }, "RecoveryDays"] });
        assert_eq!(recovery["RecoveryPeriodInDays"], days);
        assert_eq!(template.0["Mappings"]["Stages"]["production"]["RecoveryDays"], 35, "DynamoDB's longest");
        for (stage, map) in template.0["Mappings"]["Stages"].as_object().unwrap() {
            assert!((1..=35).contains(&map["RecoveryDays"].as_i64().unwrap()), "{stage}");
        }
        assert_eq!(table["DeletionProtectionEnabled"], json!({ "Fn::If": ["IsProduction", true, false] }));
        assert_eq!(
            table["KeySchema"],
            json!([
                { "AttributeName": "event_key", "KeyType": "HASH" },
                { "AttributeName": "body_key", "KeyType": "RANGE" }
            ])
        );
    } broken by [
        Set("/Resources/Ledger/UpdateReplacePolicy", r#""Delete""#),
        Set("/Resources/Ledger/Properties/BillingMode", r#""PROVISIONED""#),
        Set("/Resources/Ledger/Properties/TimeToLiveSpecification/AttributeName", r#""settled_at""#),
        Set("/Resources/Ledger/Properties/PointInTimeRecoverySpecification/PointInTimeRecoveryEnabled", "false"),
        Set("/Mappings/Stages/production/RecoveryDays", "7"),
        Set("/Resources/Ledger/Properties/DeletionProtectionEnabled", "false"),
    ]

    fn the_index_of_open_records_is_the_one_that_the_code_queries_and_holds_no_message(template) {
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
    } broken by [
        Set("/Resources/Ledger/Properties/GlobalSecondaryIndexes/0/IndexName", r#""open""#),
        Set("/Resources/Ledger/Properties/GlobalSecondaryIndexes/0/Projection/NonKeyAttributes/0", r#""message""#),
    ]
}
