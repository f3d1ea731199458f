//! The sums in docs/cost.md are those of its own tables; and what it counts in the template and in the code is there as often.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what goes wrong in a test is a failure of the test"
)]

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;
use wharf_ops::project::Project;
use wharf_ops::template;
use wharf_webhook::limits::{
    BODY_RETENTION_SECONDS, HOUSEKEEPER_INTERVAL_SECONDS, INDEX_SHARDS, PROBE_INTERVAL_SECONDS,
    RECORD_RETENTION_SECONDS,
};
use wharf_webhook::metrics::{Dimension, Metric};

/// A month has 30 days here.
const MONTH_SECONDS: f64 = 30.0 * 86_400.0;
/// The sizes of the columns.
const COLUMNS: usize = 4;

/// docs/cost.md.
struct Document(String);

impl Document {
    fn read() -> Document {
        Document(fs::read_to_string(Project::find().unwrap().path("docs/cost.md")).unwrap())
    }

    /// The rows of the table whose first column has this head.
    fn table(&self, head: &str) -> Vec<Vec<&str>> {
        let head = format!("| {head} |");
        let rows = self.0.lines().skip_while(|line| !line.starts_with(&head)).skip(2);
        let rows: Vec<_> = rows
            .take_while(|line| line.starts_with('|'))
            .map(|row| row.strip_prefix('|').unwrap().strip_suffix('|').unwrap().split('|').map(str::trim).collect())
            .collect();
        assert!(!rows.is_empty(), "docs/cost.md has no table {head}");
        rows
    }

    /// What a stage has each month, but for what events bring, where the table gives a number.
    fn each_month(&self) -> BTreeMap<&str, f64> {
        let rows = self.table("each month").into_iter().filter(|row| !row[1].is_empty());
        rows.map(|row| (row[0], number(row[1]))).collect()
    }

    /// What one of something costs, by the price's name.
    fn prices(&self) -> BTreeMap<&str, f64> {
        let price = |row: &Vec<&str>| number(row[1]) / number(row[2]);
        self.table("price").iter().map(|row| (row[0].trim_matches('`'), price(row))).collect()
    }

    /// What an event costs, by what is paid for, in each column.
    fn event(&self) -> Vec<(&str, [f64; COLUMNS])> {
        let prices = self.prices();
        let rows = self.table("for one event").into_iter().filter(|row| !row[5].is_empty());
        rows.map(|row| {
            let price = prices[row[5].trim_matches('`')];
            (row[0], std::array::from_fn(|column| number(row[1 + column]) * price))
        })
        .collect()
    }

    /// What an event costs in each column.
    fn event_in_all(&self) -> [f64; COLUMNS] {
        std::array::from_fn(|column| self.event().iter().map(|(_, costs)| costs[column]).sum())
    }

    /// What a stage costs in a month without any event.
    fn fixed(&self) -> f64 {
        let prices = self.prices();
        let event = self.event_in_all()[0];
        let rows = self.table("each month");
        let rows = rows.iter().filter(|row| !row[0].starts_with("**"));
        rows.map(|row| number(row[1]) * if row[2].is_empty() { event } else { prices[row[2].trim_matches('`')] }).sum()
    }
}

fn number(text: &str) -> f64 {
    text.replace(',', "").parse().unwrap_or_else(|_| panic!("{text:?} is no number"))
}

/// Dollars as the document shows them: cents up to a hundred, then none.
fn dollars(amount: f64) -> String {
    if amount < 100.0 {
        return format!("{amount:.2}");
    }
    let digits = format!("{amount:.0}");
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap()).collect();
    groups.join(",")
}

#[test]
fn every_cell_of_the_table_is_what_a_stage_costs_and_what_its_events_cost() {
    let document = Document::read();
    let (fixed, event) = (document.fixed(), document.event_in_all());
    for row in document.table("events a month") {
        let expected: Vec<String> = event.iter().map(|cost| dollars(fixed + number(row[0]) * cost)).collect();
        assert_eq!(row[1..], expected, "{} events: | {} | {} |", row[0], row[0], expected.join(" | "));
    }
    let rows = document.table("each month");
    assert_eq!(rows.last().unwrap()[3], format!("**${}**", dollars(fixed)));
}

#[test]
fn where_the_money_goes_is_what_the_rows_of_each_group_come_to() {
    let document = Document::read();
    for row in document.table("of a million events of 8 KiB") {
        let of_group = |name: &str| name.split(':').next() == Some(row[0]);
        let sum: f64 = document.event().iter().filter(|(name, _)| of_group(name)).map(|(_, costs)| costs[1]).sum();
        assert_eq!(row[1], dollars(1e6 * sum), "{}", row[0]);
    }
    let groups: Vec<&str> = document.table("of a million events of 8 KiB").iter().map(|row| row[0]).collect();
    assert!(document.event().iter().all(|(name, _)| groups.contains(&name.split(':').next().unwrap())));
}

#[test]
fn what_is_kept_is_kept_as_long_as_the_code_keeps_it() {
    let document = Document::read();
    let rows: BTreeMap<&str, Vec<&str>> =
        document.table("for one event").into_iter().map(|row| (row[0], row)).collect();
    // DynamoDB takes up to two days to delete what has expired.
    let days = (RECORD_RETENTION_SECONDS / 86_400 + 2) as f64;
    let columns = |name: &str| rows[name][1..=COLUMNS].iter().map(|cell| number(cell)).collect::<Vec<_>>();
    let kept: Vec<f64> = columns("record, bytes").iter().map(|bytes| ((bytes + 100.0) * days / 30.0).floor()).collect();
    assert_eq!(columns("DynamoDB: bytes kept, times months"), kept);
    assert_eq!(columns("DynamoDB: bytes that can be restored, times months"), kept);
    let body = 256.0 * 1024.0 * BODY_RETENTION_SECONDS as f64 / MONTH_SECONDS;
    assert_eq!(number(rows["S3: bytes kept, times months"][4]), body);
}

#[test]
fn the_housekeepers_share_is_what_its_runs_come_to() {
    let document = Document::read();
    let fixed = document.each_month();
    let run: BTreeMap<&str, f64> =
        document.table("for one run of the housekeeper").iter().map(|row| (row[0], number(row[1]))).collect();
    let errands = MONTH_SECONDS / HOUSEKEEPER_INTERVAL_SECONDS as f64;
    let probes = MONTH_SECONDS / PROBE_INTERVAL_SECONDS as f64;
    assert_eq!(run["DynamoDB: queries"], f64::from(INDEX_SHARDS));
    assert_eq!(fixed["the probe's events"], probes);
    assert_eq!(fixed["the probe's secret read"], probes);
    assert_eq!(fixed["housekeeper: invocations"], errands + probes);
    assert_eq!(fixed["housekeeper: schedules"], errands + probes);
    assert_eq!(fixed["housekeeper: GB-seconds"], (errands + probes) * 0.1 * 0.25);
    assert_eq!(fixed["housekeeper: read units"], errands * run["DynamoDB: queries"] / 2.0);
    assert_eq!(fixed["housekeeper: lists of the spool"], errands * run["S3: lists"]);
    assert_eq!(fixed["housekeeper: bytes of the log"], (errands + probes) * (run["log, bytes"] + 500.0));
    assert_eq!(fixed["polls of an empty queue"], 5.0 * MONTH_SECONDS / 20.0);
}

#[test]
fn alarms_metrics_and_the_access_log_are_those_of_the_template_and_the_code() {
    let document = Document::read();
    let fixed = document.each_month();
    let template = template::expand(&Project::find().unwrap(), "production", &|_| {}).unwrap();
    let resources = template["Resources"].as_object().unwrap();
    let of_type = |name: &str| resources.values().filter(move |resource| resource["Type"] == name).collect::<Vec<_>>();
    let watched = |alarm: &&Value| match alarm["Properties"]["Metrics"].as_array() {
        Some(metrics) => metrics.iter().filter(|metric| metric["MetricStat"].is_object()).count(),
        None => 1,
    };
    let alarms = of_type("AWS::CloudWatch::Alarm").iter().map(watched).sum::<usize>() as f64;
    assert_eq!(fixed["alarms: metrics that they watch"], alarms, "the template's alarms watch {alarms}");
    assert_eq!(fixed["alarms: composite"], of_type("AWS::CloudWatch::CompositeAlarm").len() as f64);
    assert_eq!(fixed["dashboard"], of_type("AWS::CloudWatch::Dashboard").len() as f64);

    let with = |wanted: &[Dimension]| Metric::ALL.iter().filter(|metric| metric.dimensions().contains(&wanted)).count();
    let of_stage = with(&[Dimension::Stage]);
    // The one more exists only while a secret is being changed.
    let by_endpoint = with(&[Dimension::Stage, Dimension::Endpoint]) - 1;
    let by_version = with(&[Dimension::Stage, Dimension::Version]);
    assert_eq!((of_stage, by_endpoint, by_version), (14, 4, 2), "docs/cost.md says so in words");
    assert_eq!(fixed["metrics of Wharf"], (of_stage + 2 * by_endpoint + 5 + by_version + 1) as f64);

    let format = of_type("AWS::ApiGatewayV2::Stage")[0]["Properties"]["AccessLogSettings"]["Format"].as_str().unwrap();
    let line = [
        ("apiId", "a1b2c3d4e5"),
        ("requestId", "Jk3mPiCvIAMEVTQ="),
        ("requestTimeEpoch", "1795693677113"),
        ("identity.sourceIp", "203.0.113.107"),
        ("httpMethod", "POST"),
        ("path", "/webhooks/github"),
        ("routeKey", "ANY /webhooks/{endpoint}"),
        ("status", "200"),
        ("responseLatency", "25"),
        ("integrationLatency", "23"),
        ("integrationErrorMessage", "-"),
    ]
    .iter()
    .fold(format.to_owned(), |line, (name, value)| {
        line.replace(&format!("\"$context.{name}\""), &format!("\"{value}\""))
    });
    let rows = document.table("for one event");
    let row = rows.iter().find(|row| row[0] == "logs: bytes of API Gateway").unwrap();
    let bytes = line.len() as f64;
    assert!((number(row[1]) - bytes).abs() <= 60.0, "a line of the access log has {bytes} bytes: {line}");
}
