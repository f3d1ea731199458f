//! The metrics that log lines name. CloudWatch makes them of each line in its embedded metric format; the emulator keeps the
//! lines and makes none, so the local stack does it itself.
//!
//! It takes what the format's specification allows and nothing else, so that what functions write is checked by it
//! (Amazon CloudWatch User Guide, "Specification: Embedded metric format").

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{Dimension, MetricDatum, StandardUnit};
use aws_types::SdkConfig;
use serde::Deserialize;
use serde_json::Value;

use crate::log_tail::Line;

/// The member that makes a line one of the format.
const METADATA: &str = "_aws";
/// How many metrics a directive may name, how many values a metric may have, and how many dimensions a set.
const METRICS_MAX: usize = 100;
const VALUES_MAX: usize = 100;
const DIMENSIONS_MAX: usize = 30;
/// The longest value of a dimension, and the longest name of anything, in characters.
const DIMENSION_CHARACTERS_MAX: usize = 1024;
const NAME_CHARACTERS_MAX: usize = 255;
/// How many metrics `PutMetricData` takes at once.
const PUT_MAX: usize = 1000;

/// Puts the metrics that these lines name where CloudWatch would have them. Lines that are not of the format name none.
///
/// # Errors
/// If a line claims to be of the format and is not, or if the metrics are not taken.
pub async fn put(configuration: &SdkConfig, lines: &[Line]) -> Result<()> {
    let mut metrics: BTreeMap<String, Vec<MetricDatum>> = BTreeMap::new();
    for line in lines {
        for (namespace, metric) in named(&line.fields).with_context(|| {
            format!("the {:?} wrote a line that CloudWatch makes no metrics of: {}", line.function, line.fields)
        })? {
            metrics.entry(namespace).or_default().push(metric);
        }
    }
    let client = aws_sdk_cloudwatch::Client::new(configuration);
    for (namespace, metrics) in &metrics {
        for some in metrics.chunks(PUT_MAX) {
            let put = client.put_metric_data().namespace(namespace).set_metric_data(Some(some.to_vec()));
            put.send().await.with_context(|| format!("cannot put metrics into the namespace {namespace}"))?;
        }
    }
    Ok(())
}

/// `_aws`
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Metadata {
    timestamp: i64,
    cloud_watch_metrics: Vec<Directive>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Directive {
    namespace: String,
    dimensions: Vec<Vec<String>>,
    metrics: Vec<Definition>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Definition {
    name: String,
    unit: Option<String>,
    storage_resolution: Option<i32>,
}

/// The metrics that a line names, each with its namespace; none if it is not of the format.
fn named(fields: &Value) -> Result<Vec<(String, MetricDatum)>> {
    let Some(metadata) = fields.get(METADATA) else { return Ok(Vec::new()) };
    let metadata = Metadata::deserialize(metadata).with_context(|| format!("its {METADATA} is not of the format"))?;
    let mut metrics = Vec::new();
    for directive in &metadata.cloud_watch_metrics {
        require_name("a namespace", &directive.namespace)?;
        if directive.metrics.len() > METRICS_MAX {
            bail!("a directive names {} metrics, and {METRICS_MAX} are the most", directive.metrics.len());
        }
        let sets = directive.dimensions.iter().map(|set| dimensions(fields, set)).collect::<Result<Vec<_>>>()?;
        for definition in &directive.metrics {
            let metric = metric(fields, definition)?.timestamp(DateTime::from_millis(metadata.timestamp));
            let of_each = sets.iter().map(|set| metric.clone().set_dimensions(Some(set.clone())).build());
            metrics.extend(of_each.map(|metric| (directive.namespace.clone(), metric)));
        }
    }
    Ok(metrics)
}

fn dimensions(fields: &Value, names: &[String]) -> Result<Vec<Dimension>> {
    if names.len() > DIMENSIONS_MAX {
        bail!("a metric has {} dimensions, and {DIMENSIONS_MAX} are the most", names.len());
    }
    let dimension = |name: &String| {
        require_name("a dimension", name)?;
        let value = fields.get(name).with_context(|| format!("the dimension {name} has no value"))?;
        let value = value.as_str().with_context(|| format!("the dimension {name} is no text"))?;
        if value.trim().is_empty() || !value.is_ascii() || value.len() > DIMENSION_CHARACTERS_MAX {
            bail!("the dimension {name} must be 1 to {DIMENSION_CHARACTERS_MAX} characters of ASCII");
        }
        Ok(Dimension::builder().name(name).value(value).build())
    };
    names.iter().map(dimension).collect()
}

fn metric(fields: &Value, definition: &Definition) -> Result<aws_sdk_cloudwatch::types::builders::MetricDatumBuilder> {
    let name = &definition.name;
    require_name("a metric", name)?;
    let value = fields.get(name).with_context(|| format!("the metric {name} has no value"))?;
    let values: Vec<&Value> = value.as_array().map_or_else(|| vec![value], |values| values.iter().collect());
    if values.is_empty() || values.len() > VALUES_MAX {
        bail!("the metric {name} has {} values, and must have 1 to {VALUES_MAX}", values.len());
    }
    let numbers: Option<Vec<f64>> = values.into_iter().map(Value::as_f64).collect();
    let numbers = numbers.with_context(|| format!("the metric {name} has a value that is no number"))?;
    let unit = definition.unit.as_deref().unwrap_or("None");
    if !StandardUnit::values().contains(&unit) {
        bail!("the metric {name} has the unit {unit:?}, which CloudWatch does not know");
    }
    if !matches!(definition.storage_resolution, None | Some(1 | 60)) {
        bail!("the metric {name} has another resolution than 1 or 60 seconds");
    }
    Ok(MetricDatum::builder()
        .metric_name(name)
        .unit(StandardUnit::from(unit))
        .set_storage_resolution(definition.storage_resolution)
        .set_values(Some(numbers)))
}

fn require_name(what: &str, name: &str) -> Result<()> {
    if name.trim().is_empty() || !name.is_ascii() || name.len() > NAME_CHARACTERS_MAX || name.starts_with(':') {
        bail!(
            "{what} has the name {name:?}, and must have 1 to {NAME_CHARACTERS_MAX} characters of ASCII, not beginning with a colon"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use wharf_webhook::clock::UnixMillis;
    use wharf_webhook::metrics::{Metric, Report, Reporter};

    use super::*;

    const AT: UnixMillis = UnixMillis(1_754_000_000_250);

    /// Namespace, name, unit, dimensions, values, and when.
    fn told(fields: &Value) -> Vec<String> {
        let dimensions = |metric: &MetricDatum| {
            let pair = |one: &Dimension| format!("{}={}", one.name().unwrap(), one.value().unwrap());
            metric.dimensions().iter().map(pair).collect::<Vec<_>>().join(",")
        };
        let told = |(namespace, metric): &(String, MetricDatum)| {
            let (name, unit) = (metric.metric_name().unwrap(), metric.unit().unwrap().as_str());
            let at = metric.timestamp().unwrap().to_millis().unwrap();
            format!("{namespace} {name} {unit} [{}] {:?} {at}", dimensions(metric), metric.values())
        };
        named(fields).unwrap().iter().map(told).collect()
    }

    fn report(report: &Report<'_>) -> Value {
        let reporter = Reporter { stage: "local".into(), version: "7".into() };
        serde_json::from_str(&report.line(&reporter, AT).unwrap()).unwrap()
    }

    #[test]
    fn what_functions_report_makes_a_metric_for_each_set_of_dimensions() {
        let accepted = Report::of("github").with(Metric::Accepted, 2).with(Metric::Spooled, 1);
        assert_eq!(
            told(&report(&accepted)),
            [
                "Wharf Accepted Count [Stage=local] [2.0] 1754000000250",
                "Wharf Accepted Count [Stage=local,Endpoint=github] [2.0] 1754000000250",
                "Wharf Spooled Count [Stage=local] [1.0] 1754000000250",
            ]
        );
        let ages = Report::of("shop").with(Metric::AgeAtLanding, 40).with(Metric::AgeAtLanding, 7);
        assert_eq!(told(&report(&ages)), ["Wharf AgeAtLanding Milliseconds [Stage=local] [40.0, 7.0] 1754000000250"]);
    }

    #[test]
    fn every_metric_that_there_is_can_be_made() {
        for metric in Metric::ALL {
            let line = report(&Report::of("github").because("stale").with(metric, 1));
            assert_eq!(named(&line).unwrap().len(), metric.dimensions().len(), "{metric:?}");
        }
    }

    #[test]
    fn other_lines_name_no_metrics() {
        assert!(named(&json!({ "level": "INFO", "outcome": "accepted" })).unwrap().is_empty());
    }

    /// A line of the format, but for what a test changes in it.
    fn changed(pointer: &str, value: Value) -> String {
        let mut line = json!({
            "_aws": {
                "Timestamp": 1_754_000_000_250_i64,
                "CloudWatchMetrics": [
                    { "Namespace": "Wharf", "Dimensions": [["Stage"]], "Metrics": [{ "Name": "Landed", "Unit": "Count" }] },
                ],
            },
            "Stage": "local",
            "Landed": 1,
        });
        assert!(named(&line).is_ok());
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        let parent = line.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        if value.is_null() {
            parent.remove(name);
        } else {
            parent.insert(name.to_owned(), value);
        }
        format!("{:#}", named(&line).unwrap_err())
    }

    #[test]
    fn a_line_that_is_not_of_the_format_is_an_error_that_says_why() {
        let hundred_and_one = |value: Value| Value::from(vec![value; 101]);
        let directive = "/_aws/CloudWatchMetrics/0";
        let cases = [
            ("/_aws/Timestamp", Value::Null, "missing field `Timestamp`"),
            ("/_aws/Timestamp", json!("2025-07-31T22:13:20Z"), "invalid type: string"),
            ("/_aws/CloudWatchMetrics", json!({}), "invalid type: map"),
            ("/_aws/Namespace", json!("Wharf"), "unknown field `Namespace`"),
            (&*format!("{directive}/Namespace"), Value::Null, "missing field `Namespace`"),
            (&*format!("{directive}/Namespace"), json!(" "), "a namespace has the name \" \""),
            (&*format!("{directive}/Dimensions"), json!(["Stage"]), "invalid type: string"),
            (&*format!("{directive}/Dimensions"), json!([["Endpoint"]]), "the dimension Endpoint has no value"),
            (&*format!("{directive}/Dimensions"), json!([vec!["Stage"; 31]]), "31 dimensions, and 30 are the most"),
            (
                &*format!("{directive}/Metrics"),
                hundred_and_one(json!({ "Name": "Landed" })),
                "101 metrics, and 100 are the most",
            ),
            (&*format!("{directive}/Metrics"), json!([{ "Unit": "Count" }]), "missing field `Name`"),
            (&*format!("{directive}/Metrics"), json!([{ "Name": "Parked" }]), "the metric Parked has no value"),
            (
                &*format!("{directive}/Metrics/0/Unit"),
                json!("count"),
                "the unit \"count\", which CloudWatch does not know",
            ),
            (&*format!("{directive}/Metrics/0/StorageResolution"), json!(5), "another resolution than 1 or 60 seconds"),
            ("/Stage", json!(7), "the dimension Stage is no text"),
            ("/Stage", json!(""), "the dimension Stage must be 1 to 1024 characters of ASCII"),
            ("/Landed", json!("1"), "the metric Landed has a value that is no number"),
            ("/Landed", json!([]), "the metric Landed has 0 values"),
            ("/Landed", hundred_and_one(json!(1)), "the metric Landed has 101 values"),
        ];
        for (pointer, value, expected) in cases {
            let error = changed(pointer, value);
            assert!(error.contains(expected), "{pointer}: {error}");
        }
    }
}
