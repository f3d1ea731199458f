//! What the crates of the project may be: licences, sources, versions, known weaknesses. `deny.toml` says it, cargo-deny judges it.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::project::Project;
use crate::python;

/// Which of the rules are judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rules {
    /// Licences, sources and versions: all that the lock file and the crates themselves say.
    Crates,
    /// Known weaknesses, for which the RustSec database is fetched from its repository.
    Advisories,
}

/// Holds the crates of the lock file to `deny.toml`; cargo-deny prints what it finds.
///
/// # Errors
/// If anything is found, or cargo-deny cannot be installed.
pub fn audit(project: &Project, rules: Rules, progress: &dyn Fn(&str)) -> Result<()> {
    let interpreter = python::interpreter(project, python::AUDIT, progress)?;
    let checks: &[&str] = match rules {
        Rules::Crates => &["bans", "licenses", "sources"],
        Rules::Advisories => &["advisories"],
    };
    progress(&format!("cargo-deny check {}", checks.join(" ")));
    let mut command = Command::new(interpreter.with_file_name("cargo-deny"));
    // It finds deny.toml beside the manifest.
    command.args(["--locked", "--manifest-path"]).arg(project.path("Cargo.toml")).arg("check").args(checks);
    // The advisories' folder in deny.toml is within the checkout.
    let status = command.current_dir(project.path("")).status().context("cannot run cargo-deny")?;
    match (status.success(), rules) {
        (true, _) => Ok(()),
        (false, Rules::Crates) => bail!(
            "cargo-deny finds fault with the crates: take another one or another version, or say in deny.toml why it may be so"
        ),
        (false, Rules::Advisories) => bail!(
            "cargo-deny finds a known weakness, or could not fetch the database of them, as it says above: take a version \
             without it (`cargo update -p CRATE`), or say in deny.toml why it does not concern us"
        ),
    }
}
