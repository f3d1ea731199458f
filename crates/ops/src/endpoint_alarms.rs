//! The alarms that endpoints have of their own, as the CloudFormation template that `infra/template.yaml` nests.
//!
//! It is made from `endpoints.toml` and kept beside the template, so that a deployment by hand needs no step more. A
//! stack takes 500 resources: two alarms for each of two hundred endpoints have room in one of their own.

use std::fmt::Write;
use std::fs;

use anyhow::{Context, Result};
use wharf_webhook::endpoints::Endpoints;
use wharf_webhook::limits::{ALARM_REFUSALS_SECONDS, ENDPOINTS_MAX};
use wharf_webhook::metrics::{Metric, NAMESPACE};

use crate::project::Project;

/// Its path in the checkout.
pub const PATH: &str = "infra/endpoint-alarms.yaml";

/// How many resources a template may have (CloudFormation).
const RESOURCES_MAX: usize = 500;
const _: () = assert!(2 * ENDPOINTS_MAX <= RESOURCES_MAX, "two alarms for each endpoint");
/// In how many seconds silence is counted.
const HOUR_SECONDS: i64 = 60 * 60;

const HEADER: &str = r#"# Made by `cargo ops alarms` from endpoints.toml: the alarms that endpoints have of their own. Do not edit.
AWSTemplateFormatVersion: "2010-09-09"
Description: The alarms of Wharf's endpoints

Parameters:
  Stage:
    Type: String
    Description: The stage whose metrics they watch
  Prefix:
    Type: String
    Description: What their names begin with
  AlarmTopicArn:
    Type: String
    Description: The topic that they tell

Resources:
"#;

/// A template has a resource, or CloudFormation does not take it.
const NOTHING: &str = r"  # No endpoint has `alarm_refusals` or `alarm_silence_hours`.
  Nothing:
    Type: AWS::CloudFormation::WaitConditionHandle
    Metadata: { Stage: !Ref Stage, Prefix: !Ref Prefix, AlarmTopicArn: !Ref AlarmTopicArn }
";

/// The template's text.
pub fn template(endpoints: &Endpoints) -> String {
    let mut text = HEADER.to_owned();
    let mut alarms = endpoints.iter().flat_map(|endpoint| {
        let name = &endpoint.name;
        let id = logical_id(name);
        let refused = endpoint.alarms.refusals.map(|count| {
            Alarm {
                id: format!("Refused{id}"),
                name: format!("{name}-refused"),
                description: format!(
                    "Over {count} requests to /webhooks/{name} were turned away within {} minutes. The receiver's log says why, \
                     under this endpoint: a secret that was changed at the sender alone, a sender that signs in a new way, or a \
                     stranger. Runbook: endpoint-refused.",
                    ALARM_REFUSALS_SECONDS / 60
                ),
                metric: Metric::Refused,
                endpoint: name,
                period: ALARM_REFUSALS_SECONDS,
                periods: 1,
                threshold: count,
                comparison: "GreaterThanThreshold",
                missing: "notBreaching",
            }
            .text()
        });
        let silent = endpoint.alarms.silence_hours.map(|hours| {
            Alarm {
                id: format!("Silent{id}"),
                name: format!("{name}-silent"),
                description: format!(
                    "For {hours} hours, nothing that was posted to /webhooks/{name} was accepted. Look at the sender's own list of \
                     deliveries: has it switched the webhook off? Runbook: endpoint-silent."
                ),
                metric: Metric::Accepted,
                endpoint: name,
                period: HOUR_SECONDS,
                periods: hours,
                threshold: 1,
                comparison: "LessThanThreshold",
                missing: "breaching",
            }
            .text()
        });
        [refused, silent].into_iter().flatten()
    });
    match alarms.next() {
        None => text.push_str(NOTHING),
        Some(first) => text.push_str(&first),
    }
    alarms.for_each(|alarm| text.push_str(&alarm));
    text
}

/// An endpoint's name in letters and digits, as CloudFormation asks for: a capital letter stands for what is neither. It is the
/// same whatever other endpoints there are, or one's alarm would be deleted as another's.
fn logical_id(endpoint: &str) -> String {
    endpoint.replace('-', "D").replace('_', "U")
}

/// Writes it to its place, if it is not there as it should be; whether it was written.
///
/// # Errors
/// If it cannot be written.
pub fn write(project: &Project, endpoints: &Endpoints) -> Result<bool> {
    let (path, text) = (project.path(PATH), template(endpoints));
    if fs::read_to_string(&path).is_ok_and(|found| found == text) {
        return Ok(false);
    }
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(true)
}

struct Alarm<'a> {
    id: String,
    name: String,
    description: String,
    metric: Metric,
    endpoint: &'a str,
    period: i64,
    periods: i64,
    threshold: i64,
    comparison: &'static str,
    missing: &'static str,
}

impl Alarm<'_> {
    fn text(&self) -> String {
        let mut text = String::new();
        let Alarm { id, name, description, endpoint, period, periods, threshold, comparison, missing, .. } = self;
        let metric = self.metric.name();
        // Writing to a text does not fail.
        let _ = write!(
            text,
            "  {id}:
    Type: AWS::CloudWatch::Alarm
    Properties:
      AlarmName: !Sub ${{Prefix}}-{name}
      AlarmDescription: >-
        {description}
      Namespace: {NAMESPACE}
      MetricName: {metric}
      Dimensions: [{{ Name: Stage, Value: !Ref Stage }}, {{ Name: Endpoint, Value: \"{endpoint}\" }}]
      Statistic: Sum
      Period: {period}
      EvaluationPeriods: {periods}
      Threshold: {threshold}
      ComparisonOperator: {comparison}
      TreatMissingData: {missing}
      AlarmActions: [!Ref AlarmTopicArn]
      OKActions: [!Ref AlarmTopicArn]
"
        );
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(text: &str) -> String {
        template(&Endpoints::parse(text).unwrap())
    }

    #[test]
    fn an_endpoint_that_says_nothing_has_no_alarm_and_the_template_is_one_all_the_same() {
        let text = made("[endpoints.github]\nprovider = \"github\"\n");
        assert!(text.ends_with(NOTHING), "{text}");
        assert!(!text.contains("AWS::CloudWatch::Alarm"), "{text}");
    }

    #[test]
    fn silence_is_counted_in_hours_and_a_missing_one_is_silent() {
        let text = made("[endpoints.shop-2]\nprovider = \"github\"\nalarm_silence_hours = 26\n");
        for line in [
            "      AlarmName: !Sub ${Prefix}-shop-2-silent\n",
            "      MetricName: Accepted\n",
            "      Dimensions: [{ Name: Stage, Value: !Ref Stage }, { Name: Endpoint, Value: \"shop-2\" }]\n",
            "      Period: 3600\n      EvaluationPeriods: 26\n      Threshold: 1\n      ComparisonOperator: LessThanThreshold\n",
            "      TreatMissingData: breaching\n",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("Refused"), "{text}");
    }

    #[test]
    fn refusals_are_counted_over_five_minutes_and_none_is_well() {
        let text = made("[endpoints.github]\nprovider = \"github\"\nalarm_refusals = 20\n");
        for line in [
            "      AlarmName: !Sub ${Prefix}-github-refused\n",
            "      MetricName: Refused\n",
            "      Period: 300\n      EvaluationPeriods: 1\n      Threshold: 20\n      ComparisonOperator: GreaterThanThreshold\n",
            "      TreatMissingData: notBreaching\n",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("Silent"), "{text}");
    }

    #[test]
    fn no_two_endpoints_have_the_same_logical_id() {
        assert_eq!(["a-b", "a_b", "ab"].map(logical_id), ["aDb", "aUb", "ab"]);
    }

    #[test]
    fn every_endpoint_has_alarms_of_its_own() {
        let both =
            |name| format!("[endpoints.{name}]\nprovider = \"github\"\nalarm_refusals = 5\nalarm_silence_hours = 1\n");
        let text = made(&format!("{}{}", both("a"), both("b")));
        assert_eq!(text.matches("AWS::CloudWatch::Alarm").count(), 4);
        for id in ["  Refuseda:", "  Silenta:", "  Refusedb:", "  Silentb:"] {
            assert_eq!(text.matches(id).count(), 1, "{id}");
        }
    }
}
