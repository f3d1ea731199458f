//! The log: JSON lines on standard output, one for each outcome, readable alone.
//!
//! Lambda filters lines by `level` only where they have a `timestamp` too, so both are always there. Bodies, secrets and
//! signatures are never logged.

use std::str::FromStr;

use lambda_runtime::tracing::subscriber::filter::LevelFilter;

/// Starts the log of this process, at the level in `AWS_LAMBDA_LOG_LEVEL`, which the template sets; `info` without it.
pub fn start() {
    let level = std::env::var("AWS_LAMBDA_LOG_LEVEL").ok().and_then(|level| LevelFilter::from_str(&level).ok());
    lambda_runtime::tracing::subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_target(false)
        .with_max_level(level.unwrap_or(LevelFilter::INFO))
        .init();
}
