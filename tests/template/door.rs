//! What stands before the receiver.

use serde_json::{Value, json};
use wharf::receiver::gateway::PATH_PREFIX;

use crate::expanded::{arn, reference};
use crate::rules;

rules! {
    fn every_method_of_a_webhook_address_invokes_the_receivers_alias_and_nothing_else_does(template) {
        let routes = template.of_type("AWS::ApiGatewayV2::Route");
        assert_eq!(routes.len(), 1);
        assert_eq!(routes[0].1["RouteKey"], format!("ANY {PATH_PREFIX}{{endpoint}}"));
        assert_eq!(routes[0].1["Target"], json!({ "Fn::Sub": "integrations/${ReceiverIntegration}" }));
        let integration = template.properties("ReceiverIntegration");
        assert_eq!(integration["IntegrationUri"], reference("ReceiverAliaslive"));
        assert_eq!(integration["PayloadFormatVersion"], "2.0");
        let permissions = template.of_type("AWS::Lambda::Permission");
        assert_eq!(permissions.len(), 1);
        assert_eq!(permissions[0].1["FunctionName"], reference("ReceiverAliaslive"));
        let source = permissions[0].1["SourceArn"]["Fn::Sub"].as_str().unwrap();
        assert!(source.ends_with(":${Api}/$default/*/webhooks/{endpoint}"), "{source}");
    } broken by [
        Set("/Resources/WebhookRoute/Properties/RouteKey", r#""$default""#),
        Set("/Resources/ReceiverIntegration/Properties/IntegrationUri", r#"{"Fn::GetAtt": ["Receiver", "Arn"]}"#),
        Set("/Resources/ReceiverIntegration/Properties/PayloadFormatVersion", r#""1.0""#),
        Set("/Resources/ReceiverPermission/Properties/SourceArn/Fn::Sub", r#""arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}/*""#),
    ]

    fn the_stage_is_throttled_and_adds_nothing_to_a_path(template) {
        let stage = template.properties("ApiStage");
        assert_eq!(stage["StageName"], "$default", "another name would become a part of the path");
        assert_eq!(stage["AutoDeploy"], true);
        let settings = &stage["DefaultRouteSettings"];
        assert_eq!(settings["ThrottlingRateLimit"], reference("ThrottleRate"));
        assert_eq!(settings["ThrottlingBurstLimit"], reference("ThrottleBurst"));
        assert_eq!(settings["DetailedMetricsEnabled"], true);
        assert_eq!(template.0["Parameters"]["ThrottleRate"]["Default"], 2000);
        assert_eq!(template.0["Parameters"]["ThrottleBurst"]["Default"], 4000);
    } broken by [
        Set("/Resources/ApiStage/Properties/StageName", r#""v1""#),
        Remove("/Resources/ApiStage/Properties/DefaultRouteSettings/ThrottlingBurstLimit"),
        Set("/Parameters/ThrottleRate/Default", "10000"),
    ]

    fn the_access_log_shows_who_came_and_nothing_that_is_secret(template) {
        let stage = template.properties("ApiStage");
        assert_eq!(stage["AccessLogSettings"]["DestinationArn"], arn("ApiLogs"));
        let log = stage["AccessLogSettings"]["Format"].as_str().unwrap();
        assert!(log.len() < 3000, "API Gateway's limit");
        for secret in ["header", "query", "authorizer", "body"] {
            assert!(!log.to_lowercase().contains(secret), "the access log shows {secret}");
        }
        let log: Value = serde_json::from_str(log).unwrap();
        for field in ["requestId", "sourceIp", "routeKey", "status", "responseLatency", "integrationError"] {
            assert!(log[field].as_str().unwrap().starts_with("$context."), "{field}");
        }
    } broken by [
        Set("/Resources/ApiStage/Properties/AccessLogSettings/Format", r#""{\"requestId\":\"$context.requestId\",\"query\":\"$context.requestOverride.querystring\"}""#),
        Set("/Resources/ApiStage/Properties/AccessLogSettings/DestinationArn", r#"{"Fn::GetAtt": ["ReceiverLogs", "Arn"]}"#),
    ]

    fn senders_that_api_gateway_turns_away_are_counted_from_its_log(template) {
        let filter = template.properties("ThrottledMetric");
        assert_eq!(filter["LogGroupName"], reference("ApiLogs"));
        assert_eq!(filter["FilterPattern"], r#"{ $.status = "429" }"#);
        let stage = template.properties("ApiStage");
        let format: Value = serde_json::from_str(stage["AccessLogSettings"]["Format"].as_str().unwrap()).unwrap();
        assert_eq!((&format["status"], &format["apiId"]), (&json!("$context.status"), &json!("$context.apiId")));
        let metric = &filter["MetricTransformations"][0];
        assert_eq!(metric["Dimensions"], json!([{ "Key": "Api", "Value": "$.apiId" }]));
        let alarm = template.properties("ThrottledAlarm");
        assert_eq!(metric["MetricNamespace"], alarm["Namespace"]);
        assert_eq!(metric["MetricName"], alarm["MetricName"]);
        assert_eq!(alarm["Dimensions"], json!([{ "Name": "Api", "Value": reference("Api") }]));
    } broken by [
        Set("/Resources/ThrottledMetric/Properties/FilterPattern", r#""{ $.status = 429 }""#),
        Set("/Resources/ThrottledMetric/Properties/MetricTransformations/0/MetricName", r#""Throttle""#),
        Set("/Resources/ThrottledAlarm/Properties/Namespace", r#""Wharf""#),
    ]

    fn a_domain_shuts_the_apis_own_address_and_is_what_senders_are_said_to_post_to(template) {
        assert_eq!(template.properties("Api")["DisableExecuteApiEndpoint"], json!({ "Fn::If": ["HasDomain", true, false] }));
        let domain = template.properties("Domain");
        assert_eq!(template.resource("Domain")["Condition"], "HasDomain");
        assert_eq!(domain["DomainNameConfigurations"][0]["SecurityPolicy"], "TLS_1_2");
        let mutual = &domain["MutualTlsAuthentication"]["Fn::If"];
        assert_eq!((&mutual[0], &mutual[1]["TruststoreUri"]), (&json!("HasTruststore"), &reference("TruststoreUri")));
        let mapping = template.properties("DomainMapping");
        assert_eq!((&mapping["ApiId"], &mapping["DomainName"]), (&reference("Api"), &reference("Domain")));
        assert_eq!(mapping["Stage"], reference("ApiStage"));
        assert_eq!(template.resource("DomainRecord")["Condition"], "HasHostedZone");
        let named = json!({ "Fn::If": ["HasDomain", { "Fn::Sub": "https://${DomainName}" }, { "Fn::GetAtt": ["Api", "ApiEndpoint"] }] });
        let url = json!({ "Fn::If": ["HasPublicUrl", reference("PublicUrl"), named] });
        for function in ["Receiver", "Housekeeper"] {
            let variables = &template.properties(function)["Environment"]["Variables"];
            assert_eq!(variables["WHARF_PUBLIC_URL"], url, "{function}");
        }
        assert_eq!(template.0["Outputs"]["ApiUrl"]["Value"], url);
    } broken by [
        Remove("/Resources/Api/Properties/DisableExecuteApiEndpoint"),
        Set("/Resources/Domain/Properties/DomainNameConfigurations/0/SecurityPolicy", r#""TLS_1_0""#),
        Remove("/Resources/Domain/Properties/MutualTlsAuthentication"),
        Set("/Resources/Housekeeper/Properties/Environment/Variables/WHARF_PUBLIC_URL", r#"{"Fn::GetAtt": ["Api", "ApiEndpoint"]}"#),
    ]
}
