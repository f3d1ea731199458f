//! Whether a secret is still used, by what the receiver counts of each endpoint.

use anyhow::{Context, Result, bail};
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{
    Dimension as DimensionOf, Metric as MetricOf, MetricDataQuery, MetricStat, StatusCode,
};
use serde::Serialize;
use wharf_webhook::clock::UnixSeconds;
use wharf_webhook::limits::SECRET_TTL_SECONDS;
use wharf_webhook::metrics::{Dimension, Metric, NAMESPACE};

use crate::deployment::Deployment;

/// For how long a secret that was used counts as one that is: senders that post once a day exist.
pub const IN_USE_SECONDS: i64 = 24 * 60 * 60;
/// How finely CloudWatch has what is written in its embedded metric format, in seconds.
const PERIOD_SECONDS: i32 = 60;

/// Which of an endpoint's secrets are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Those that are not its newest.
    Older,
    /// All of them.
    All,
}

/// Whether any of these secrets was used within the last day. Instants are the beginning of a minute, and seconds since
/// 1970 in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "in_use", rename_all = "snake_case")]
pub enum Use {
    /// Not as far as is known.
    No,
    /// A delivery was signed with one.
    Yes {
        /// When the last one was.
        last: UnixSeconds,
    },
    /// The secrets were changed within the last day, and deliveries accepted before that took effect: each was signed with
    /// what was the newest then, and may be an older one now.
    Perhaps {
        /// When the last of these deliveries was accepted.
        last: UnixSeconds,
    },
}

/// What was counted in some minutes: their beginnings, and the sums.
type Counted = Vec<(UnixSeconds, f64)>;

/// Whether any of these secrets of an endpoint was used within the day before `now`; they were last changed at
/// `changed_at`.
///
/// # Errors
/// If CloudWatch does not say.
pub async fn last_use(
    deployment: &Deployment,
    endpoint: &str,
    which: Which,
    changed_at: UnixSeconds,
    now: UnixSeconds,
) -> Result<Use> {
    let counted = counted(deployment, endpoint, now).await;
    let [older_matched, accepted] = counted.with_context(|| deployment.cannot("read the metrics"))?;
    Ok(judge(which, &older_matched, &accepted, changed_at, now))
}

/// ```text
///        now - a day           changed_at        + SECRET_TTL_SECONDS       now
/// ───────────┼────────────────────┼─────────────────────┼────────────────────┼──▶
///            │◀─ accepted: by what may be older now  ──▶│
///            │◀─ an older one matched: by an older one ─────────────────────▶│
/// ```
/// A receiver counts by its copy of the secrets, so for as long as that can last the newest one there is what was the
/// newest before. A minute that only touches one of these spans counts.
fn judge(which: Which, older_matched: &Counted, accepted: &Counted, changed_at: UnixSeconds, now: UnixSeconds) -> Use {
    let last = |counted: &Counted, until: UnixSeconds| {
        let from = now.plus(-IN_USE_SECONDS - i64::from(PERIOD_SECONDS));
        let is_meant = |(at, sum): &&(UnixSeconds, f64)| *sum > 0.0 && from < *at && *at < until;
        counted.iter().filter(is_meant).map(|(at, _)| *at).max()
    };
    let end = now.plus(i64::from(PERIOD_SECONDS));
    match which {
        Which::All => last(accepted, end).max(last(older_matched, end)).map_or(Use::No, |last| Use::Yes { last }),
        Which::Older => match last(older_matched, end) {
            Some(last) => Use::Yes { last },
            None => match last(accepted, changed_at.plus(SECRET_TTL_SECONDS)) {
                Some(last) => Use::Perhaps { last },
                None => Use::No,
            },
        },
    }
}

/// By minute, of the last day: how often an older secret of the endpoint matched, and how many of its deliveries were
/// accepted.
async fn counted(deployment: &Deployment, endpoint: &str, now: UnixSeconds) -> Result<[Counted; 2]> {
    let asked = [("older_matched", Metric::OlderSecretMatched), ("accepted", Metric::Accepted)];
    let queries = asked.map(|(id, metric)| query(id, metric, &deployment.stage, endpoint));
    // Whole minutes, the first and the last among them.
    let minute = |at: UnixSeconds| DateTime::from_secs(at.0.div_euclid(60) * 60);
    let mut pages = deployment
        .cloudwatch()
        .get_metric_data()
        .set_metric_data_queries(Some(queries.to_vec()))
        .start_time(minute(now.plus(-IN_USE_SECONDS)))
        .end_time(minute(now.plus(60)))
        .into_paginator()
        .send();
    let mut counted: [Counted; 2] = Default::default();
    while let Some(page) = pages.next().await {
        let page = page?;
        for result in page.metric_data_results() {
            match result.status_code() {
                // With more to come, on another page.
                Some(StatusCode::Complete | StatusCode::PartialData) => {}
                status => bail!("it answers {}", status.map_or("nothing", StatusCode::as_str)),
            }
            let which = asked.iter().position(|(id, _)| result.id() == Some(id));
            let values =
                result.timestamps().iter().map(|at| UnixSeconds(at.secs())).zip(result.values().iter().copied());
            if let Some(counted) = which.and_then(|which| counted.get_mut(which)) {
                counted.extend(values);
            }
        }
    }
    Ok(counted)
}

fn query(id: &str, metric: Metric, stage: &str, endpoint: &str) -> MetricDataQuery {
    let dimension = |name: Dimension, value: &str| DimensionOf::builder().name(name.name()).value(value).build();
    let metric = MetricOf::builder()
        .namespace(NAMESPACE)
        .metric_name(metric.name())
        .dimensions(dimension(Dimension::Stage, stage))
        .dimensions(dimension(Dimension::Endpoint, endpoint));
    let sums = MetricStat::builder().metric(metric.build()).period(PERIOD_SECONDS).stat("Sum");
    MetricDataQuery::builder().id(id).metric_stat(sums.build()).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The beginning of a minute.
    const NOW: UnixSeconds = UnixSeconds(1_754_000_040);
    const DAY: i64 = 86_400;

    fn older(older_matched: &[i64], accepted: &[i64], changed: i64) -> Use {
        let counted = |minutes: &[i64]| minutes.iter().map(|at| (NOW.plus(*at), 1.0)).collect::<Counted>();
        judge(Which::Older, &counted(older_matched), &counted(accepted), NOW.plus(changed), NOW)
    }

    #[test]
    fn an_older_secret_that_matched_within_the_last_day_is_in_use() {
        assert_eq!(older(&[-7200, -3600], &[], -10 * DAY), Use::Yes { last: NOW.plus(-3600) });
        assert_eq!(older(&[0], &[], -10 * DAY), Use::Yes { last: NOW });
        // A minute that the day begins in counts, and the one before does not.
        assert_eq!(older(&[-DAY - 59], &[], -10 * DAY), Use::Yes { last: NOW.plus(-DAY - 59) });
        assert_eq!(older(&[-DAY - 60], &[], -10 * DAY), Use::No);
    }

    #[test]
    fn what_was_accepted_before_a_change_took_effect_was_signed_with_what_is_old_now() {
        // Changed an hour ago; copies of the secrets last for 300 seconds.
        assert_eq!(older(&[], &[-4000], -3600), Use::Perhaps { last: NOW.plus(-4000) });
        assert_eq!(older(&[], &[-3301], -3600), Use::Perhaps { last: NOW.plus(-3301) });
        assert_eq!(older(&[], &[-3300, -60], -3600), Use::No);
        // Changed a day ago, and copies of before lasted into the last day.
        assert_eq!(older(&[], &[-DAY + 240], -DAY), Use::Perhaps { last: NOW.plus(-DAY + 240) });
        assert_eq!(older(&[], &[-DAY + 300], -DAY), Use::No);
        assert_eq!(older(&[], &[-DAY - 60], -DAY), Use::No);
        assert_eq!(older(&[-120], &[-4000], -3600), Use::Yes { last: NOW.plus(-120) }, "the surer one is said");
    }

    #[test]
    fn minutes_without_anything_are_no_use() {
        let nothing = vec![(NOW.plus(-120), 0.0)];
        assert_eq!(judge(Which::Older, &nothing, &nothing, NOW, NOW), Use::No);
        assert_eq!(judge(Which::All, &nothing, &nothing, NOW, NOW), Use::No);
    }

    #[test]
    fn of_all_secrets_any_delivery_that_was_accepted_is_a_use() {
        let accepted = vec![(NOW.plus(-7200), 3.0), (NOW.plus(-120), 1.0)];
        let used = judge(Which::All, &Counted::new(), &accepted, NOW.plus(-10 * DAY), NOW);
        assert_eq!(used, Use::Yes { last: NOW.plus(-120) });
        let old = vec![(NOW.plus(-DAY - 60), 1.0)];
        assert_eq!(judge(Which::All, &old, &old, NOW, NOW), Use::No);
    }
}
