//! The template's alarms go off when they are to, tell somebody, and calm down.
//!
//! The emulator evaluates an alarm when a metric is put: over all dimensions, over the whole window at once, and never by
//! silence. What it does not evaluate (expressions, composites, missing data), `tests/template` holds.

use std::cmp::Reverse;
use std::time::Duration;

use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{MetricAlarm, MetricDatum, StateValue};
use serde_json::Value;
use wharf_ops::project::Project;
use wharf_webhook::metrics::NAMESPACE;

use crate::harness::{ENDPOINTS, Wharf, headers, now, options, orders_consumer, shipped_consumer};

struct Alarms {
    cloudwatch: aws_sdk_cloudwatch::Client,
}

impl Alarms {
    fn of(wharf: &Wharf) -> Alarms {
        Alarms { cloudwatch: aws_sdk_cloudwatch::Client::new(&wharf.stack.facts().configuration()) }
    }

    async fn all(&self) -> Vec<MetricAlarm> {
        self.cloudwatch.describe_alarms().send().await.unwrap().metric_alarms.unwrap()
    }

    async fn state(&self, name: &str) -> StateValue {
        let answer = self.cloudwatch.describe_alarms().alarm_names(name).send().await.unwrap();
        answer.metric_alarms()[0].state_value().unwrap().clone()
    }

    /// Puts a value of the metric that an alarm watches, as of so many seconds ago.
    async fn put(&self, alarm: &MetricAlarm, value: f64, seconds_ago: i64) {
        let datum = MetricDatum::builder()
            .metric_name(alarm.metric_name().unwrap())
            .set_dimensions(alarm.dimensions.clone())
            .timestamp(DateTime::from_millis(now().0 - seconds_ago * 1000))
            .value(value)
            .build();
        let call = self.cloudwatch.put_metric_data().namespace(alarm.namespace().unwrap()).metric_data(datum);
        call.send().await.unwrap();
    }
}

#[tokio::test]
async fn every_alarm_goes_off_at_its_threshold_and_calms_down_and_says_so_to_whoever_subscribed() {
    let endpoints = format!("{ENDPOINTS}\nalarm_refusals = 5\nalarm_silence_hours = 2\n");
    let wharf = Wharf::start_with(&endpoints, shipped_consumer(), &[]).await;
    // The local stack has no probe; its alarm is there all the same with this parameter.
    let options = options(&endpoints, shipped_consumer());
    wharf.stack.update(&Project::find().unwrap(), &options, &[("Probe", "on")]).await.unwrap();
    let told = wharf.subscribe(wharf.stack.output("AlarmTopicArn").unwrap()).await;
    let alarms = Alarms::of(&wharf);
    let mut all = alarms.all().await;
    assert_eq!(all.len(), 22, "{:?}", all.iter().map(MetricAlarm::alarm_name).collect::<Vec<_>>());
    // Of those that watch the same metric, one after the other; who looks back longest first, so as not to see the others' values.
    all.sort_by_key(|alarm| Reverse(window_seconds(alarm)));
    let mut rounds: Vec<Vec<&MetricAlarm>> = Vec::new();
    for alarm in &all {
        let watches_it = |other: &&MetricAlarm| other.metric_name() == alarm.metric_name();
        match rounds.iter_mut().find(|round| !round.iter().any(watches_it)) {
            Some(round) => round.push(alarm),
            None => rounds.push(vec![alarm]),
        }
    }
    for round in rounds {
        for (step, what) in ["well", "raised", "well again"].into_iter().enumerate() {
            for alarm in &round {
                let (value, expected) = steps(alarm)[step].clone();
                // All of this lies at the far end of the alarm's window, and is out of it with the next step.
                alarms.put(alarm, value, window_seconds(alarm) - FRESH_SECONDS).await;
                let name = alarm.alarm_name().unwrap();
                assert_eq!(alarms.state(name).await, expected, "{name} is {what}");
            }
            tokio::time::sleep(Duration::from_secs(FRESH_SECONDS as u64) + Duration::from_millis(100)).await;
        }
    }
    let mut said = Vec::new();
    wharf
        .until("each has said so", async || {
            said.extend(wharf.told(&told).await.iter().map(|text| serde_json::from_str::<Value>(text).unwrap()));
            let has_said = |alarm: &MetricAlarm, state: &str| {
                said.iter().any(|said| {
                    said["AlarmName"] == alarm.alarm_name().unwrap()
                        && said["NewStateValue"] == state
                        && said["AlarmDescription"] == alarm.alarm_description().unwrap()
                })
            };
            all.iter().all(|alarm| has_said(alarm, "ALARM") && has_said(alarm, "OK")).then_some(())
        })
        .await;
}

/// How long what a test puts is in an alarm's window, in seconds.
const FRESH_SECONDS: i64 = 3;

/// Over how long an alarm looks back.
fn window_seconds(alarm: &MetricAlarm) -> i64 {
    i64::from(alarm.period().unwrap()) * i64::from(alarm.evaluation_periods().unwrap())
}

/// A value that is just well, one that is just not, and the first again, each with what becomes of the alarm.
fn steps(alarm: &MetricAlarm) -> [(f64, StateValue); 3] {
    let threshold = alarm.threshold().unwrap();
    let well_at =
        |well: f64, beyond: f64| [(well, StateValue::Ok), (beyond, StateValue::Alarm), (well, StateValue::Ok)];
    match alarm.comparison_operator().unwrap().as_str() {
        "GreaterThanThreshold" => well_at(threshold, threshold + 1.0),
        "GreaterThanOrEqualToThreshold" => well_at(threshold - 1.0, threshold),
        "LessThanThreshold" => well_at(threshold, threshold - 1.0),
        other => panic!("{:?} compares by {other}", alarm.alarm_name()),
    }
}

#[tokio::test]
async fn what_happens_to_deliveries_sets_the_alarms_off_that_watch_for_it() {
    let wharf = Wharf::start_with(ENDPOINTS, orders_consumer(), &[]).await;
    wharf.make_orders_table().await;
    let alarms = Alarms::of(&wharf);
    // One event that fails for good, as no order; and a forger who does not give up.
    assert_eq!(wharf.order(r#"{"type":"paid","id":7}"#).await.status, 200);
    let forged = headers(&[("X-Signature", "00"), ("Content-Type", "application/json")]);
    for number in 0..51 {
        assert_eq!(wharf.post("shop", forged.clone(), format!("{number}").as_bytes()).await.status, 400);
    }
    wharf.logged("the event has failed", |line| line.text("outcome") == Some("failed")).await;
    wharf
        .until("what was logged is counted", async || {
            wharf.metrics_are_made().await;
            let states = [alarms.state("wharf-local-failed").await, alarms.state("wharf-local-refused").await];
            (states == [StateValue::Alarm, StateValue::Alarm]).then_some(())
        })
        .await;
    let ours = alarms.all().await.into_iter().filter(|alarm| alarm.namespace() == Some(NAMESPACE));
    let loud: Vec<_> = ours
        .filter(|alarm| alarm.state_value() == Some(&StateValue::Alarm))
        .map(|alarm| alarm.alarm_name().unwrap().to_owned())
        .collect();
    assert_eq!(loud, ["wharf-local-failed", "wharf-local-refused"]);
}
