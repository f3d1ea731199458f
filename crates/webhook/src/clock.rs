//! Instants with their unit in the type, so that milliseconds are never compared with seconds.

use std::fmt;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Seconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct UnixSeconds(pub i64);

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixMillis(pub i64);

impl UnixSeconds {
    /// This instant, `seconds` later (or earlier, where negative).
    pub const fn plus(self, seconds: i64) -> UnixSeconds {
        UnixSeconds(self.0.saturating_add(seconds))
    }

    /// The instant that an RFC 3339 text names, its fraction of a second dropped. `None` if it is not such a text.
    pub fn from_rfc3339(text: &str) -> Option<UnixSeconds> {
        OffsetDateTime::parse(text, &Rfc3339).ok().map(|instant| UnixSeconds(instant.unix_timestamp()))
    }
}

impl UnixMillis {
    /// The whole second in which this instant lies.
    pub const fn seconds(self) -> UnixSeconds {
        UnixSeconds(self.0.div_euclid(1000))
    }

    /// The first whole second that is not before this instant.
    pub const fn seconds_rounded_up(self) -> UnixSeconds {
        UnixSeconds(self.0.saturating_add(999).div_euclid(1000))
    }

    /// The instant that an RFC 3339 text names, to the millisecond. `None` if it is not such a text.
    pub fn from_rfc3339(text: &str) -> Option<UnixMillis> {
        let instant = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        i64::try_from(instant.unix_timestamp_nanos().div_euclid(1_000_000)).ok().map(UnixMillis)
    }
}

/// RFC 3339 in UTC, as in `2026-11-22T16:10:32Z`; outside the years 0 to 9999 the plain number.
impl fmt::Display for UnixSeconds {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = OffsetDateTime::from_unix_timestamp(self.0).ok().and_then(|instant| instant.format(&Rfc3339).ok());
        match text {
            Some(text) => formatter.write_str(&text),
            None => write!(formatter, "{}", self.0),
        }
    }
}

/// RFC 3339 in UTC, as in `2026-11-22T16:10:32.5Z`; outside the years 0 to 9999 the plain number.
impl fmt::Display for UnixMillis {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000)
            .ok()
            .and_then(|instant| instant.format(&Rfc3339).ok());
        match text {
            Some(text) => formatter.write_str(&text),
            None => write!(formatter, "{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_written_and_read_to_the_millisecond() {
        assert_eq!(UnixMillis(1_754_000_000_250).to_string(), "2025-07-31T22:13:20.25Z");
        assert_eq!(UnixMillis::from_rfc3339("2025-07-31T22:13:20.25Z"), Some(UnixMillis(1_754_000_000_250)));
        assert_eq!(UnixSeconds(1_754_000_000).to_string(), "2025-07-31T22:13:20Z");
    }

    #[test]
    fn an_offset_is_honoured() {
        assert_eq!(UnixSeconds::from_rfc3339("2025-08-01T00:13:20+02:00"), Some(UnixSeconds(1_754_000_000)));
    }

    #[test]
    fn what_is_not_a_date_is_none() {
        for text in ["", "yesterday", "1754000000", "2025-13-01T00:00:00Z", "2025-08-01"] {
            assert_eq!(UnixSeconds::from_rfc3339(text), None, "{text:?}");
        }
    }

    #[test]
    fn seconds_round_down_for_the_past_and_up_for_a_deadline() {
        assert_eq!(UnixMillis(1_999).seconds(), UnixSeconds(1));
        assert_eq!(UnixMillis(1_001).seconds_rounded_up(), UnixSeconds(2));
        assert_eq!(UnixMillis(2_000).seconds_rounded_up(), UnixSeconds(2));
        assert_eq!(UnixMillis(-1).seconds(), UnixSeconds(-1));
    }

    #[test]
    fn an_instant_beyond_the_calendar_is_a_number() {
        assert_eq!(UnixMillis(i64::MAX).to_string(), "9223372036854775807");
        assert_eq!(UnixSeconds(i64::MIN).to_string(), "-9223372036854775808");
    }
}
