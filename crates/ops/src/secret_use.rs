//! Whether a secret is still used, by what the receiver counts of each endpoint.

use anyhow::{Context, Result};
use serde::Serialize;
use wharf_webhook::clock::UnixSeconds;
use wharf_webhook::limits::SECRET_TTL_SECONDS;
use wharf_webhook::metrics::Metric;

use crate::deployment::Reach;
use crate::measured::{MINUTE, Points, Query, measured};

/// For how long a secret that was used counts as one that is: senders that post once a day exist.
pub const IN_USE_SECONDS: i64 = 24 * 60 * 60;

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

/// Whether any of these secrets of an endpoint was used within the day before `now`; they were last changed at
/// `changed_at`.
///
/// # Errors
/// If CloudWatch does not say.
pub async fn last_use(
    reach: &Reach,
    endpoint: &str,
    which: Which,
    changed_at: UnixSeconds,
    now: UnixSeconds,
) -> Result<Use> {
    let counted = counted(reach, endpoint, now).await;
    let [older_matched, accepted] = counted.with_context(|| reach.cannot("read the metrics"))?;
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
fn judge(which: Which, older_matched: &Points, accepted: &Points, changed_at: UnixSeconds, now: UnixSeconds) -> Use {
    let last = |counted: &Points, until: UnixSeconds| {
        let from = now.plus(-IN_USE_SECONDS - i64::from(MINUTE));
        let is_meant = |(at, sum): &&(UnixSeconds, f64)| *sum > 0.0 && from < *at && *at < until;
        counted.iter().filter(is_meant).map(|(at, _)| *at).max()
    };
    let end = now.plus(i64::from(MINUTE));
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
async fn counted(reach: &Reach, endpoint: &str, now: UnixSeconds) -> Result<[Points; 2]> {
    let asked = [Metric::OlderSecretMatched, Metric::Accepted];
    let queries = asked.map(|metric| Query::sum_of_endpoint(reach, metric, endpoint, MINUTE));
    let counted = measured(reach, &queries, now.plus(-IN_USE_SECONDS), now).await?;
    <[Points; 2]>::try_from(counted).ok().context("it answers something else than what it was asked for")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The beginning of a minute.
    const NOW: UnixSeconds = UnixSeconds(1_754_000_040);
    const DAY: i64 = 86_400;

    fn older(older_matched: &[i64], accepted: &[i64], changed: i64) -> Use {
        let counted = |minutes: &[i64]| minutes.iter().map(|at| (NOW.plus(*at), 1.0)).collect::<Points>();
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
        let used = judge(Which::All, &Points::new(), &accepted, NOW.plus(-10 * DAY), NOW);
        assert_eq!(used, Use::Yes { last: NOW.plus(-120) });
        let old = vec![(NOW.plus(-DAY - 60), 1.0)];
        assert_eq!(judge(Which::All, &old, &old, NOW, NOW), Use::No);
    }
}
