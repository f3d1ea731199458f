//! What an endpoint's owner decided about processing: where its events go, and what happens when that fails.

use crate::limits::{ATTEMPTS_MAX, WAIT_SECONDS_MAX};

/// How an endpoint's events are processed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Policy {
    /// Who processes them.
    pub deliver: Deliver,
    /// What happens to one whose worker died.
    pub on_interrupted: OnInterrupted,
    /// When a failed attempt is repeated.
    pub retry: Retry,
    /// How long the message of a completed event is kept, so that it can be replayed, in seconds; `None`: not at all.
    pub keep_seconds: Option<i64>,
}

/// Who processes an endpoint's events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Deliver {
    /// The consumer's handler.
    #[default]
    Handler,
    /// Whoever has a rule on the stack's event bus.
    EventBridge,
    /// Nobody: it is Wharf's own probe, and all that matters is that it lands.
    Nobody,
}

/// What happens to an event whose worker died, so that nobody knows how far it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnInterrupted {
    /// It is run again: right where what it does can be done twice, or is committed with the completion.
    #[default]
    Rerun,
    /// It waits for a person.
    Park,
}

/// When a failed attempt is repeated: exponential backoff with full jitter. The wait after attempt n is drawn evenly between
/// one second and `first_seconds` times 2 to the power of n - 1, of which `longest_seconds` are the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// How many attempts there are in all.
    pub attempts: u32,
    /// The bound of the first wait, in seconds.
    pub first_seconds: i64,
    /// The bound of the longest wait, in seconds.
    pub longest_seconds: i64,
}

/// 20 attempts within at most four days, two on average: the bounds are 10 s, 20 s, 40 s, ... 11 h, and 12 h six times.
impl Default for Retry {
    fn default() -> Retry {
        Retry { attempts: 20, first_seconds: 10, longest_seconds: 12 * 60 * 60 }
    }
}

impl Retry {
    /// The wait after an attempt, counted from 1, in seconds. `random` is evenly distributed.
    ///
    /// Jitter is full so that what failed together does not come back together.
    pub fn wait_seconds(&self, attempt: u32, random: u64) -> i64 {
        let doublings = attempt.saturating_sub(1).min(32);
        let bound =
            self.first_seconds.saturating_mul(1 << doublings).min(self.longest_seconds).clamp(1, WAIT_SECONDS_MAX);
        // The upper bits of a product spread a number evenly over a range; the bias is bound / 2^64.
        let drawn = (u128::from(random) * u128::from(bound.unsigned_abs())) >> 64;
        1 + i64::try_from(drawn).unwrap_or(0)
    }

    /// Whether an attempt was the last one.
    pub fn is_used_up(&self, attempt: u32) -> bool {
        attempt >= self.attempts.min(ATTEMPTS_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_are_drawn_between_a_second_and_their_bound() {
        let retry = Retry { attempts: 6, first_seconds: 10, longest_seconds: 60 };
        let longest = |attempt| retry.wait_seconds(attempt, u64::MAX);
        assert_eq!([1, 2, 3, 4, 5, 99].map(longest), [10, 20, 40, 60, 60, 60]);
        assert_eq!([1, 2, 99].map(|attempt| retry.wait_seconds(attempt, 0)), [1, 1, 1]);
        assert_eq!(retry.wait_seconds(3, u64::MAX / 2), 20);
    }

    #[test]
    fn no_wait_is_beyond_the_limit_whatever_is_configured() {
        let retry = Retry { attempts: 100, first_seconds: i64::MAX, longest_seconds: i64::MAX };
        assert_eq!(retry.wait_seconds(100, u64::MAX), 604_800);
    }

    #[test]
    fn the_last_attempt_is_the_one_of_that_number() {
        let retry = Retry { attempts: 3, ..Retry::default() };
        assert_eq!([1, 2, 3, 4].map(|attempt| retry.is_used_up(attempt)), [false, false, true, true]);
    }

    #[test]
    fn the_default_schedule_lasts_for_four_days_at_most() {
        let retry = Retry::default();
        let seconds: i64 = (1..20).map(|attempt| retry.wait_seconds(attempt, u64::MAX)).sum();
        assert_eq!(seconds, 341_110);
    }
}
