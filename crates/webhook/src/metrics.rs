//! What functions report in numbers: lines of the log in CloudWatch's embedded metric format, which CloudWatch makes
//! metrics of.
//!
//! Each value of a dimension makes a metric of its own, and each metric costs. So no dimension ever holds what a stranger
//! wrote: endpoints are those of `endpoints.toml`, reasons are words of ours, versions are a function's. By endpoint there
//! are four metrics and no more ([`Metric::OlderSecretMatched`] exists only while a secret is being changed); the rest is of
//! the whole stage.
//!
//! The lines have no level: a metric does not depend on what is logged.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::clock::UnixMillis;

/// Where CloudWatch has all of them.
pub const NAMESPACE: &str = "Wharf";

/// How many values of one metric a line takes (CloudWatch, embedded metric format).
const VALUES_MAX: usize = 100;

/// Something that is counted or measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Metric {
    /// A delivery was stored, and its sender told so. Receiver.
    Accepted,
    /// A request was turned away. Receiver.
    Refused,
    /// A request was answered 503: ours to mend. Receiver.
    Unavailable,
    /// A delivery was stored in the spool, because the queue did not take it. Receiver.
    Spooled,
    /// A signature was made with a secret that is not the endpoint's newest. Receiver.
    OlderSecretMatched,
    /// An event was completed. Consumer.
    Landed,
    /// How old an event was when it landed. Consumer.
    AgeAtLanding,
    /// A copy of an event that is settled was acknowledged. Consumer.
    Duplicates,
    /// An attempt at an event failed. Consumer.
    AttemptsFailed,
    /// An event was given up. Consumer, and housekeeper.
    Failed,
    /// An event waits for a person. Consumer.
    Parked,
    /// A message that is no delivery went to the dead-letter queue. Consumer.
    DeadLettered,
    /// A body is not in the bucket where its message says, or is another. Consumer.
    BodiesMissing,
    /// How long the probe's event took from the housekeeper through the front door until it landed. Consumer.
    ProbeAge,
    /// How old the oldest delivery in the spool is; 0 if there is none. Housekeeper.
    SpoolAge,
}

/// What a metric is told apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dimension {
    /// The stage: on every metric.
    Stage,
    /// An endpoint of `endpoints.toml`.
    Endpoint,
    /// A word that says why.
    Reason,
    /// The version of the function, by which a roll-out is judged.
    Version,
}

impl Metric {
    /// All of them.
    pub const ALL: [Metric; 15] = [
        Metric::Accepted,
        Metric::Refused,
        Metric::Unavailable,
        Metric::Spooled,
        Metric::OlderSecretMatched,
        Metric::Landed,
        Metric::AgeAtLanding,
        Metric::Duplicates,
        Metric::AttemptsFailed,
        Metric::Failed,
        Metric::Parked,
        Metric::DeadLettered,
        Metric::BodiesMissing,
        Metric::ProbeAge,
        Metric::SpoolAge,
    ];

    /// Its name in CloudWatch.
    pub fn name(self) -> &'static str {
        match self {
            Metric::Accepted => "Accepted",
            Metric::Refused => "Refused",
            Metric::Unavailable => "Unavailable",
            Metric::Spooled => "Spooled",
            Metric::OlderSecretMatched => "OlderSecretMatched",
            Metric::Landed => "Landed",
            Metric::AgeAtLanding => "AgeAtLanding",
            Metric::Duplicates => "Duplicates",
            Metric::AttemptsFailed => "AttemptsFailed",
            Metric::Failed => "Failed",
            Metric::Parked => "Parked",
            Metric::DeadLettered => "DeadLettered",
            Metric::BodiesMissing => "BodiesMissing",
            Metric::ProbeAge => "ProbeAge",
            Metric::SpoolAge => "SpoolAge",
        }
    }

    /// Its unit in CloudWatch.
    pub fn unit(self) -> &'static str {
        match self {
            Metric::AgeAtLanding | Metric::ProbeAge => "Milliseconds",
            Metric::SpoolAge => "Seconds",
            Metric::Accepted
            | Metric::Refused
            | Metric::Unavailable
            | Metric::Spooled
            | Metric::OlderSecretMatched
            | Metric::Landed
            | Metric::Duplicates
            | Metric::AttemptsFailed
            | Metric::Failed
            | Metric::Parked
            | Metric::DeadLettered
            | Metric::BodiesMissing => "Count",
        }
    }

    /// The sets of dimensions under which CloudWatch has it.
    pub fn dimensions(self) -> &'static [&'static [Dimension]] {
        use Dimension::{Endpoint, Reason, Stage, Version};
        match self {
            Metric::Accepted | Metric::Landed | Metric::Failed => &[&[Stage], &[Stage, Endpoint]],
            Metric::Refused => &[&[Stage], &[Stage, Endpoint], &[Stage, Reason]],
            Metric::Unavailable | Metric::AttemptsFailed => &[&[Stage], &[Stage, Version]],
            Metric::OlderSecretMatched => &[&[Stage, Endpoint]],
            Metric::Spooled
            | Metric::AgeAtLanding
            | Metric::Duplicates
            | Metric::Parked
            | Metric::DeadLettered
            | Metric::BodiesMissing
            | Metric::ProbeAge
            | Metric::SpoolAge => &[&[Stage]],
        }
    }
}

impl Dimension {
    /// Its name in CloudWatch.
    pub fn name(self) -> &'static str {
        match self {
            Dimension::Stage => "Stage",
            Dimension::Endpoint => "Endpoint",
            Dimension::Reason => "Reason",
            Dimension::Version => "Version",
        }
    }
}

/// What was counted and measured, of one endpoint and for one reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report<'a> {
    endpoint: Option<&'a str>,
    reason: Option<&'static str>,
    values: BTreeMap<Metric, Vec<i64>>,
}

/// Who reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reporter {
    /// `production`
    pub stage: String,
    /// The version of the function: `7`.
    pub version: String,
}

impl<'a> Report<'a> {
    /// Nothing yet, of no endpoint.
    pub fn new() -> Report<'a> {
        Report::default()
    }

    /// Nothing yet, of an endpoint of `endpoints.toml`.
    pub fn of(endpoint: &'a str) -> Report<'a> {
        Report { endpoint: Some(endpoint), ..Report::default() }
    }

    /// The same, for a reason: a word of ours, never a stranger's.
    #[must_use]
    pub fn because(self, reason: &'static str) -> Report<'a> {
        Report { reason: Some(reason), ..self }
    }

    /// Adds a value; counts are summed up.
    pub fn add(&mut self, metric: Metric, value: i64) {
        let values = self.values.entry(metric).or_default();
        if metric.unit() == "Count"
            && let Some(sum) = values.first_mut()
        {
            *sum = sum.saturating_add(value);
        } else if values.len() < VALUES_MAX {
            values.push(value);
        }
    }

    /// With one more value.
    #[must_use]
    pub fn with(mut self, metric: Metric, value: i64) -> Report<'a> {
        self.add(metric, value);
        self
    }

    /// Reports of the same endpoint, for the same reason, as one.
    pub fn together(reports: Vec<Report<'a>>) -> Vec<Report<'a>> {
        let mut all: Vec<Report<'a>> = Vec::new();
        for report in reports {
            let same = |other: &&mut Report<'a>| other.endpoint == report.endpoint && other.reason == report.reason;
            match all.iter_mut().find(same) {
                None => all.push(report),
                Some(one) => {
                    let values = report.values.into_iter();
                    values
                        .flat_map(|(metric, values)| values.into_iter().map(move |value| (metric, value)))
                        .for_each(|(metric, value)| one.add(metric, value));
                }
            }
        }
        all
    }

    /// The line of the log that CloudWatch makes metrics of; `None` if there is nothing to report.
    pub fn line(&self, reporter: &Reporter, at: UnixMillis) -> Option<String> {
        let value_of = |dimension: &Dimension| match dimension {
            Dimension::Stage => Some(reporter.stage.as_str()),
            Dimension::Endpoint => self.endpoint,
            Dimension::Reason => self.reason,
            Dimension::Version => Some(reporter.version.as_str()),
        };
        let mut line = serde_json::Map::new();
        let mut directives = Vec::new();
        for (metric, values) in &self.values {
            let sets: Vec<_> =
                metric.dimensions().iter().filter(|set| set.iter().all(|name| value_of(name).is_some())).collect();
            if sets.is_empty() {
                continue;
            }
            for dimension in sets.iter().flat_map(|set| set.iter()) {
                line.insert(dimension.name().to_owned(), value_of(dimension).into());
            }
            let names: Vec<Vec<_>> = sets.iter().map(|set| set.iter().map(|name| name.name()).collect()).collect();
            let described = json!({ "Name": metric.name(), "Unit": metric.unit() });
            directives.push(json!({ "Namespace": NAMESPACE, "Dimensions": names, "Metrics": [described] }));
            let values = if let [value] = values[..] { value.into() } else { Value::from(values.clone()) };
            line.insert(metric.name().to_owned(), values);
        }
        if directives.is_empty() {
            return None;
        }
        line.insert("_aws".to_owned(), json!({ "Timestamp": at.0, "CloudWatchMetrics": directives }));
        Some(Value::Object(line).to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(report: &Report<'_>) -> Option<String> {
        let reporter = Reporter { stage: "production".into(), version: "7".into() };
        report.line(&reporter, UnixMillis(1_754_000_000_250))
    }

    #[test]
    fn a_line_is_cloudwatchs_embedded_metric_format() {
        let report = Report::of("github").with(Metric::Accepted, 1).with(Metric::Spooled, 1);
        assert_eq!(
            line(&report).unwrap(),
            concat!(
                r#"{"Accepted":1,"Endpoint":"github","Spooled":1,"Stage":"production","_aws":{"CloudWatchMetrics":["#,
                r#"{"Dimensions":[["Stage"],["Stage","Endpoint"]],"Metrics":[{"Name":"Accepted","Unit":"Count"}],"Namespace":"Wharf"},"#,
                r#"{"Dimensions":[["Stage"]],"Metrics":[{"Name":"Spooled","Unit":"Count"}],"Namespace":"Wharf"}"#,
                r#"],"Timestamp":1754000000250}}"#,
            )
        );
    }

    #[test]
    fn what_is_of_no_endpoint_makes_no_metric_by_endpoint() {
        let refused = line(&Report::new().because("unknown_endpoint").with(Metric::Refused, 1)).unwrap();
        assert!(refused.contains(r#""Dimensions":[["Stage"],["Stage","Reason"]]"#), "{refused}");
        assert!(refused.contains(r#""Reason":"unknown_endpoint""#), "{refused}");
        assert!(!refused.contains("Endpoint\""), "{refused}");
    }

    #[test]
    fn counts_are_summed_and_measurements_listed_up_to_a_hundred() {
        let mut report = Report::of("shop");
        for age in 0..101 {
            report.add(Metric::Landed, 1);
            report.add(Metric::AgeAtLanding, age);
        }
        let text: Value = serde_json::from_str(&line(&report).unwrap()).unwrap();
        assert_eq!(text["Landed"], 101);
        assert_eq!(text["AgeAtLanding"].as_array().unwrap().len(), 100);
        assert_eq!(text["AgeAtLanding"][99], 99);
    }

    #[test]
    fn what_a_batch_has_of_one_endpoint_is_one_line() {
        let landed = |endpoint, age| Report::of(endpoint).with(Metric::Landed, 1).with(Metric::AgeAtLanding, age);
        let together = Report::together(vec![
            landed("shop", 7),
            Report::new().with(Metric::DeadLettered, 1),
            landed("github", 9),
            landed("shop", 8),
        ]);
        let shop =
            Report::of("shop").with(Metric::Landed, 2).with(Metric::AgeAtLanding, 7).with(Metric::AgeAtLanding, 8);
        assert_eq!(together, [shop, Report::new().with(Metric::DeadLettered, 1), landed("github", 9)]);
    }

    #[test]
    fn nothing_is_no_line() {
        assert_eq!(line(&Report::of("shop")), None);
        assert_eq!(line(&Report::new().with(Metric::OlderSecretMatched, 1)), None);
    }

    #[test]
    fn every_metric_has_a_name_of_its_own_and_is_of_its_stage() {
        for (index, metric) in Metric::ALL.iter().enumerate() {
            assert!(Metric::ALL[..index].iter().all(|other| other.name() != metric.name()), "{metric:?}");
            assert!(metric.dimensions().iter().all(|set| set.first() == Some(&Dimension::Stage)), "{metric:?}");
        }
        let by_endpoint = Metric::ALL
            .iter()
            .filter(|metric| metric.dimensions().contains(&&[Dimension::Stage, Dimension::Endpoint][..]));
        assert_eq!(by_endpoint.count(), 5, "each costs, for each endpoint");
    }
}
