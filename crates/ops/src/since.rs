//! A point in the past, as a person names it.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;
use wharf_webhook::clock::UnixSeconds;

/// A point in the past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// So many seconds ago.
    SecondsAgo(i64),
    /// At this instant.
    Instant(UnixSeconds),
}

/// A text that names no point in the past.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("it must be a time ago as in 30m, 2h or 3d, or an instant as in 2026-11-22T16:10:32Z")]
pub struct NotATime;

impl Since {
    /// The instant that is meant at `now`.
    pub fn before(self, now: UnixSeconds) -> UnixSeconds {
        match self {
            Since::SecondsAgo(seconds) => now.plus(seconds.saturating_neg()),
            Since::Instant(instant) => instant,
        }
    }
}

/// As it is read.
impl fmt::Display for Since {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Since::SecondsAgo(seconds) => write!(formatter, "{}m", seconds / 60),
            Since::Instant(instant) => instant.fmt(formatter),
        }
    }
}

impl FromStr for Since {
    type Err = NotATime;

    fn from_str(text: &str) -> Result<Since, NotATime> {
        if let Some(instant) = UnixSeconds::from_rfc3339(text) {
            return Ok(Since::Instant(instant));
        }
        let units = [('m', 60), ('h', 60 * 60), ('d', 24 * 60 * 60)];
        let (count, seconds) =
            units.into_iter().find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, seconds))).ok_or(NotATime)?;
        // `parse` would take a sign.
        if !count.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(NotATime);
        }
        let count: i64 = count.parse().map_err(|_| NotATime)?;
        count.checked_mul(seconds).map(Since::SecondsAgo).ok_or(NotATime)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minutes_hours_and_days_are_counted_back_from_now() {
        let at = |text: &str| text.parse::<Since>().unwrap().before(UnixSeconds(1_754_000_000)).to_string();
        assert_eq!(at("0m"), "2025-07-31T22:13:20Z");
        assert_eq!(at("30m"), "2025-07-31T21:43:20Z");
        assert_eq!(at("2h"), "2025-07-31T20:13:20Z");
        assert_eq!(at("3d"), "2025-07-28T22:13:20Z");
        assert_eq!(at("2025-08-01T00:00:00+02:00"), "2025-07-31T22:00:00Z");
    }

    #[test]
    fn a_time_is_written_as_it_is_read() {
        for (text, written) in [("30m", "30m"), ("2h", "120m"), ("2026-11-22T16:10:32Z", "2026-11-22T16:10:32Z")] {
            let since: Since = text.parse().unwrap();
            assert_eq!(since.to_string(), written);
            assert_eq!(written.parse(), Ok(since));
        }
    }

    #[test]
    fn what_names_no_time_is_refused() {
        for text in ["", "h", "2", "2w", "-2h", "+2h", "2.5h", "2 h", "yesterday", "2025-08-01", "153722867280912931m"]
        {
            assert_eq!(text.parse::<Since>(), Err(NotATime), "{text:?}");
        }
    }
}
