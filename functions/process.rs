//! A function as a process: its log, its clock and its end.

use std::process::ExitCode;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use tracing_subscriber::filter::LevelFilter;
use wharf_webhook::clock::UnixMillis;
use wharf_webhook::limits::LEASE_MARGIN_SECONDS;

/// The variable that says what is logged; `INFO`, if it says nothing. Lambda's own filter is left open by the template: it
/// takes a line without a level, as metrics are, for `INFO`.
pub const LOG_LEVEL: &str = "WHARF_LOG_LEVEL";

/// Runs a function until Lambda ends the process. If it cannot start, the log says why.
///
/// The log is JSON lines on standard output, one for each outcome, readable alone; and metrics ([`crate::metrics`]). Secrets and
/// signatures are never logged, bodies only where an endpoint says so.
pub async fn run(function: impl Future<Output = Result<(), lambda_runtime::Error>>) -> ExitCode {
    let level = std::env::var(LOG_LEVEL).ok().and_then(|level| LevelFilter::from_str(&level).ok());
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_target(false)
        .with_max_level(level.unwrap_or(LevelFilter::INFO))
        .init();
    match function.await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// The only place where a function reads the clock; everything else is told the time.
pub fn now() -> UnixMillis {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX))
}

/// The deadline of an invocation: the stated one, in milliseconds since 1970, or the end of the function's own timeout where
/// that is implausible. What stands in for Lambda on a developer's machine states no real one: cargo-lambda 1.9.2 says 600000,
/// which is ten minutes past midnight in 1970.
///
/// ```text
/// now ── plausible ──▶ now + timeout + what two clocks may differ by
/// ```
pub fn deadline(stated: u64, timeout_seconds: i64, now: UnixMillis) -> UnixMillis {
    let stated = i64::try_from(stated).unwrap_or(i64::MAX);
    let is_plausible = now.0 < stated && stated <= now.0 + (timeout_seconds + LEASE_MARGIN_SECONDS) * 1000;
    UnixMillis(if is_plausible { stated } else { now.0 + timeout_seconds * 1000 })
}

/// The id within X-Ray's header: `Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1`.
pub fn trace_id(header: &str) -> Option<&str> {
    header.split(';').find_map(|part| part.trim().strip_prefix("Root="))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_within_the_timeout_counts_and_an_implausible_one_is_the_end_of_the_timeout() {
        const NOW: UnixMillis = UnixMillis(1_754_000_000_000);
        let deadline = |stated| deadline(stated, 30, NOW).0;
        assert_eq!(deadline(1_754_000_000_001), 1_754_000_000_001, "one millisecond is left");
        assert_eq!(deadline(1_754_000_030_000), 1_754_000_030_000, "all of it is left");
        assert_eq!(deadline(1_754_000_035_000), 1_754_000_035_000, "by Lambda's clock");
        assert_eq!(deadline(1_754_000_035_001), 1_754_000_030_000, "no function has so long");
        assert_eq!(deadline(1_754_000_000_000), 1_754_000_030_000, "it is over");
        assert_eq!(deadline(600_000), 1_754_000_030_000, "cargo-lambda's");
        assert_eq!(deadline(0), 1_754_000_030_000);
        assert_eq!(deadline(u64::MAX), 1_754_000_030_000);
    }

    #[test]
    fn the_trace_id_is_the_root_of_x_rays_header() {
        let header = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";
        assert_eq!(trace_id(header), Some("1-5759e988-bd862e3fe1be46a994272793"));
        assert_eq!(trace_id("Parent=1"), None);
    }
}
