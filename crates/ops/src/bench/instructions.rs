//! Instructions, counted by callgrind: the same on a busy machine, so limits can be set to them.
//!
//! Valgrind knows no SHA instructions: what is hashed is counted as if by software, which is twenty times as much. What a
//! processor saves there, no gate sees.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::services::Services;
use super::subject::{Log, Running, Subject};

/// What counts.
const VALGRIND: &str = "valgrind";

/// Makes sure that there is a valgrind.
///
/// # Errors
/// If there is none, with what installs it.
pub fn require_valgrind() -> Result<()> {
    let found = Command::new(VALGRIND).arg("--version").output();
    if !found.is_ok_and(|found| found.status.success()) {
        bail!(
            "valgrind is not installed, and it counts the instructions: `apt-get install valgrind`, `dnf install valgrind`"
        );
    }
    Ok(())
}

/// How many instructions a subject takes until it asks for the first event that it is not given: the first of all, if `work`
/// does nothing.
///
/// # Errors
/// If it does not get there.
pub fn counted(
    subject: &Subject,
    services: &Services,
    folder: &Path,
    work: impl FnOnce(&Running) -> Result<()>,
) -> Result<u64> {
    let wrapper = [VALGRIND, "--tool=callgrind", "--callgrind-out-file=/dev/null"].map(str::to_owned);
    let (running, _) = Running::start_with(&wrapper, subject, services, folder, Log::File)?;
    work(&running)?;
    // Valgrind says what it has counted when it is asked to end.
    let asked = Command::new("kill").args(["-TERM", &running.id().to_string()]).status();
    if !asked.context("cannot run kill")?.success() {
        bail!("{} had ended before its instructions were counted", subject.name);
    }
    running.ended()?;
    let path = folder.join(format!("{}.log", subject.name));
    let said = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    // ==123== Collected : 1234567
    let counted = said.lines().rev().find_map(|line| line.split_once("Collected :"));
    counted
        .and_then(|(_, number)| number.trim().parse().ok())
        .with_context(|| format!("callgrind says no count: {said}"))
}

/// What doing a thing once more takes: it is done once, and then once and so many times more.
///
/// # Errors
/// As [`counted`].
pub fn counted_once(
    subject: &Subject,
    services: &Services,
    folder: &Path,
    more_times: u32,
    thing: impl Fn(&Running) -> Result<()>,
) -> Result<u64> {
    let times = |times: u32| counted(subject, services, folder, |running| (0..times).try_for_each(|_| thing(running)));
    Ok(times(1 + more_times)?.saturating_sub(times(1)?) / u64::from(more_times.max(1)))
}
