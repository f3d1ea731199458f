//! What CloudWatch has counted and measured.

use anyhow::{Result, bail};
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{
    Dimension as DimensionOf, Metric as MetricOf, MetricDataQuery, MetricStat, StatusCode,
};
use futures_util::future::try_join_all;
use wharf_webhook::clock::UnixSeconds;
use wharf_webhook::metrics::{Dimension, Metric, NAMESPACE};

use crate::deployment::Reach;

/// How many metrics one call takes (GetMetricData).
const QUERIES_MAX: usize = 500;
/// How finely CloudWatch has what is written in its embedded metric format, in seconds.
pub const MINUTE: i32 = 60;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    namespace: &'static str,
    metric: &'static str,
    dimensions: Vec<(&'static str, String)>,
    statistic: &'static str,
    period_seconds: i32,
}

/// The beginnings of periods for which there is something, in order, and what there is.
pub type Points = Vec<(UnixSeconds, f64)>;

impl Query {
    /// One of our own metrics, of a whole stage.
    pub fn of_stage(reach: &Reach, metric: Metric, statistic: &'static str, period_seconds: i32) -> Query {
        Query {
            namespace: NAMESPACE,
            metric: metric.name(),
            dimensions: vec![(Dimension::Stage.name(), reach.stage.clone())],
            statistic,
            period_seconds,
        }
    }

    /// How much was counted of one endpoint.
    pub fn sum_of_endpoint(reach: &Reach, metric: Metric, endpoint: &str, period_seconds: i32) -> Query {
        let mut query = Query::of_stage(reach, metric, "Sum", period_seconds);
        query.dimensions.push((Dimension::Endpoint.name(), endpoint.to_owned()));
        query
    }

    /// The largest value of a metric that SQS has of a queue, by minute.
    pub fn largest_of_queue(metric: &'static str, queue: &str) -> Query {
        Query {
            namespace: "AWS/SQS",
            metric,
            dimensions: vec![("QueueName", queue.to_owned())],
            statistic: "Maximum",
            period_seconds: MINUTE,
        }
    }

    fn with_id(&self, id: String) -> MetricDataQuery {
        let dimension =
            |(name, value): &(&str, String)| DimensionOf::builder().name(*name).value(value.as_str()).build();
        let metric = MetricOf::builder()
            .namespace(self.namespace)
            .metric_name(self.metric)
            .set_dimensions(Some(self.dimensions.iter().map(dimension).collect()));
        let statistic =
            MetricStat::builder().metric(metric.build()).period(self.period_seconds).stat(self.statistic).build();
        MetricDataQuery::builder().id(id).metric_stat(statistic).build()
    }
}

/// What there is from `from` to now, for each query; whole minutes, the first and the last among them.
///
/// # Errors
/// If CloudWatch does not say.
pub async fn measured(reach: &Reach, queries: &[Query], from: UnixSeconds, now: UnixSeconds) -> Result<Vec<Points>> {
    let chunks = queries.chunks(QUERIES_MAX).map(|queries| measured_at_once(reach, queries, from, now));
    Ok(try_join_all(chunks).await?.into_iter().flatten().collect())
}

async fn measured_at_once(
    reach: &Reach,
    queries: &[Query],
    from: UnixSeconds,
    now: UnixSeconds,
) -> Result<Vec<Points>> {
    let id = |index: usize| format!("q{index}");
    let asked = queries.iter().enumerate().map(|(index, query)| query.with_id(id(index))).collect();
    let minute = |at: UnixSeconds| DateTime::from_secs(at.0.div_euclid(60) * 60);
    let mut pages = reach
        .cloudwatch()
        .get_metric_data()
        .set_metric_data_queries(Some(asked))
        .start_time(minute(from))
        .end_time(minute(now.plus(60)))
        .into_paginator()
        .send();
    let mut all = vec![Points::new(); queries.len()];
    while let Some(page) = pages.next().await {
        let page = page?;
        for result in page.metric_data_results() {
            match result.status_code() {
                // With more to come, on another page.
                Some(StatusCode::Complete | StatusCode::PartialData) => {}
                status => bail!("it answers {}", status.map_or("nothing", StatusCode::as_str)),
            }
            let which = result.id().and_then(|id| id.strip_prefix('q')?.parse::<usize>().ok());
            let points =
                result.timestamps().iter().map(|at| UnixSeconds(at.secs())).zip(result.values().iter().copied());
            if let Some(all) = which.and_then(|which| all.get_mut(which)) {
                all.extend(points);
            }
        }
    }
    for points in &mut all {
        points.sort_by_key(|(at, _)| *at);
    }
    Ok(all)
}
