//! Figures of many runs: subjects take turns, so that what else the machine does meets all of them alike; and of each figure the
//! median is told.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use serde::Serialize;

use super::services::{Behaviour, Services};
use super::subject::{Log, Running, Spent, Subject};
use super::work::IsRight;

/// A subject with its work.
#[derive(Debug)]
pub struct Case {
    /// What is measured.
    pub subject: Subject,
    /// What it is given to do, again and again.
    pub event: Bytes,
    /// Whether an answer to it is right.
    pub is_right: IsRight,
    /// How the services behave meanwhile.
    pub behaviour: Behaviour,
    /// How many invocations are measured each time, after a few that are not.
    pub invocations: usize,
}

/// What a case took. Milliseconds, KiB; medians of the rounds, and of all invocations the 50th and 99th percentile.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Figures {
    /// From the start of the process until it asks for its first event.
    pub init_ms: f64,
    /// Of a processor, until then.
    pub init_cpu_ms: f64,
    /// The first invocation.
    pub first_ms: f64,
    /// Of a processor, for it.
    pub first_cpu_ms: f64,
    /// Both, on the clock.
    pub init_and_first_ms: f64,
    /// Each further invocation.
    pub p50_ms: f64,
    /// Each further invocation.
    pub p99_ms: f64,
    /// Of a processor, for each further invocation.
    pub cpu_ms: f64,
    /// The most memory that was resident.
    pub peak_kib: u64,
    /// How many connections to services there were when the first event was asked for, and in the end.
    pub connections: [usize; 2],
    /// How many calls to services were answered at the same time, at most.
    pub calls_at_once: usize,
}

/// How many invocations go before those that are measured.
const WARM_UP: usize = 10;

#[derive(Default)]
struct Rounds {
    init: Vec<Spent>,
    first: Vec<Spent>,
    invocations: Vec<Duration>,
    cpu: Vec<Duration>,
    peak_kib: Vec<u64>,
    connections: [usize; 2],
    calls_at_once: usize,
}

/// Measures cases in turns.
///
/// # Errors
/// If one of them does not do its work.
pub fn measured(cases: &[Case], rounds: usize, folder: &Path, progress: &dyn Fn(&str)) -> Result<Vec<Figures>> {
    let mut all: Vec<Rounds> = cases.iter().map(|_| Rounds::default()).collect();
    for round in 1..=rounds {
        progress(&format!("round {round} of {rounds}"));
        for (case, rounds) in cases.iter().zip(&mut all) {
            one(case, rounds, folder).with_context(|| format!("{} cannot be measured", case.subject.name))?;
        }
    }
    Ok(all.into_iter().map(figures).collect())
}

fn one(case: &Case, rounds: &mut Rounds, folder: &Path) -> Result<()> {
    let services = Services::start(&case.behaviour)?;
    let (running, init) = Running::start(&case.subject, &services, folder, Log::File)?;
    let connections_at_init = services.connections();
    let first = running.invoke_alone(&case.event, case.is_right)?;
    for _ in 0..WARM_UP {
        running.invoke(&case.event, case.is_right)?;
    }
    let before = running.cpu()?;
    for _ in 0..case.invocations {
        rounds.invocations.push(running.invoke(&case.event, case.is_right)?);
    }
    let invocations = u32::try_from(case.invocations).unwrap_or(u32::MAX).max(1);
    rounds.cpu.push(running.cpu()?.saturating_sub(before) / invocations);
    rounds.peak_kib.push(running.memory_kib()?.0);
    rounds.init.push(init);
    rounds.first.push(first);
    rounds.connections = [connections_at_init, services.connections()];
    rounds.calls_at_once = rounds.calls_at_once.max(services.calls_at_once());
    Ok(())
}

fn figures(rounds: Rounds) -> Figures {
    let ms = |spent: &[Spent], of: fn(&Spent) -> Duration| median(spent.iter().map(of).map(millis).collect());
    let both = rounds.init.iter().zip(&rounds.first).map(|(init, first)| millis(init.wall + first.wall));
    let mut invocations: Vec<f64> = rounds.invocations.iter().copied().map(millis).collect();
    invocations.sort_by(f64::total_cmp);
    Figures {
        init_ms: ms(&rounds.init, |spent| spent.wall),
        init_cpu_ms: ms(&rounds.init, |spent| spent.cpu),
        first_ms: ms(&rounds.first, |spent| spent.wall),
        first_cpu_ms: ms(&rounds.first, |spent| spent.cpu),
        init_and_first_ms: median(both.collect()),
        p50_ms: percentile(&invocations, 50),
        p99_ms: percentile(&invocations, 99),
        cpu_ms: median(rounds.cpu.into_iter().map(millis).collect()),
        peak_kib: rounds.peak_kib.into_iter().max().unwrap_or(0),
        connections: rounds.connections,
        calls_at_once: rounds.calls_at_once,
    }
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    percentile(&values, 50)
}

/// Of sorted values, the least that so many of a hundred are not above; of none, 0.
fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let place = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(place - 1).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let values = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0];
        assert_eq!([50, 90, 99, 100].map(|percent| percentile(&values, percent)), [5.0, 9.0, 10.0, 10.0]);
        assert_eq!(percentile(&values[..1], 50), 1.0);
        assert_eq!(percentile(&[], 50), 0.0);
        assert_eq!(median(vec![9.0, 1.0, 5.0]), 5.0);
    }
}
