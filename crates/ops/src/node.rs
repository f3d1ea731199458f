//! Node's packages of pinned versions, installed in the target folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::project::Project;

/// The folder `to` of what `cargo ops` makes, with the packages that `package.json` and `package-lock.json` of the checkout's
/// folder `from` name; the first call installs them, announced by `progress`. No script of a package is run.
///
/// # Errors
/// If there is no Node or npm, or a package cannot be installed.
pub fn installed(project: &Project, from: &str, to: &str, announced: &str, progress: &dyn Fn(&str)) -> Result<PathBuf> {
    let folder = project.made(to);
    let is_new = copied(project, from, &["package.json", "package-lock.json"], &folder)?;
    // npm writes this file last.
    if is_new || !folder.join("node_modules/.package-lock.json").is_file() {
        progress(announced);
        let made = npm(&folder, &["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]);
        if made.is_err() {
            // What was there before may still be there: the next call must not take it for what is asked for.
            let _ = fs::remove_file(folder.join("package.json"));
        }
        made?;
    }
    Ok(folder)
}

/// Runs npm in a folder.
///
/// # Errors
/// If it cannot be run, or fails; it prints why.
pub fn npm(folder: &Path, arguments: &[&str]) -> Result<()> {
    const NEEDS: &str = "Node 20 or newer and npm are needed, and the npm registry";
    let status = Command::new("npm").args(arguments).current_dir(folder).status();
    let status = status.with_context(|| format!("cannot run npm: {NEEDS}"))?;
    if !status.success() {
        bail!("`npm {}` failed, as it says above: {NEEDS}", arguments.join(" "));
    }
    Ok(())
}

/// Copies files of the checkout, and says whether one of them is not as it was.
///
/// # Errors
/// If a file cannot be read or written.
pub fn copied(project: &Project, from: &str, files: &[&str], to: &Path) -> Result<bool> {
    fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    let mut is_new = false;
    for name in files {
        let (source, copy) = (project.path(from).join(name), to.join(name));
        let content = fs::read(&source).with_context(|| format!("cannot read {}", source.display()))?;
        if fs::read(&copy).is_ok_and(|old| old == content) {
            continue;
        }
        is_new = true;
        fs::write(&copy, content).with_context(|| format!("cannot write {}", copy.display()))?;
    }
    Ok(is_new)
}
