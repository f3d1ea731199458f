//! A program that is run for an operator: its command is shown first, so that a person can do the same by hand.

use std::fmt;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::project::Project;
use crate::python::{self, Requirements};

/// A program with its arguments, where it runs, and what has to be installed for it. `Display` is the line of a shell that
/// does the same in the checkout.
#[derive(Debug, Clone)]
pub struct Step {
    /// Within the checkout; empty: the checkout.
    folder: &'static str,
    program: &'static str,
    arguments: Vec<String>,
    variables: Vec<(&'static str, &'static str)>,
    requirements: Requirements,
}

impl Step {
    /// A program that these requirements bring, or that finds others there, run in a folder of the checkout.
    pub fn new(requirements: Requirements, folder: &'static str, program: &'static str) -> Step {
        Step { folder, program, arguments: Vec::new(), variables: Vec::new(), requirements }
    }

    /// With further arguments.
    pub fn arguments<T: Into<String>>(mut self, arguments: impl IntoIterator<Item = T>) -> Step {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// With a variable of its environment.
    pub fn variable(mut self, name: &'static str, value: &'static str) -> Step {
        self.variables.push((name, value));
        self
    }

    /// The line of a shell that does the same in the checkout, once its program is installed.
    pub fn line(&self, project: &Project) -> String {
        let programs = python::programs_folder(project, self.requirements);
        let relative = project.relative(&programs);
        // The folder may be elsewhere (CARGO_TARGET_DIR).
        let programs = if relative.is_absolute() { quoted(relative) } else { format!("$PWD/{}", relative.display()) };
        let mut words = vec![format!("PATH=\"{programs}:$PATH\"")];
        words.extend(self.variables.iter().map(|(name, value)| format!("{name}={value}")));
        words.push(self.program.to_owned());
        words.extend(self.arguments.iter().map(quoted));
        let line = words.join(" ");
        if self.folder.is_empty() { line } else { format!("{line}   # in {}/", self.folder) }
    }

    /// Installs what it needs, and runs it to its end, with this terminal as its own.
    ///
    /// # Errors
    /// If it cannot be installed or run, or fails: what it printed above says why.
    pub fn run(&self, project: &Project, progress: &dyn Fn(&str)) -> Result<()> {
        let programs = python::programs(project, self.requirements, progress)?;
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path: Vec<PathBuf> = [programs.clone()].into_iter().chain(std::env::split_paths(&path)).collect();
        let own = programs.join(self.program);
        let program = if own.is_file() { own } else { self.program.into() };
        let status = Command::new(&program)
            .args(&self.arguments)
            .envs(self.variables.iter().copied())
            .env("PATH", std::env::join_paths(path).context("the PATH cannot be extended")?)
            .current_dir(project.path(self.folder))
            .status()
            .with_context(|| format!("cannot run {}", program.display()))?;
        if !status.success() {
            bail!("`{self}` failed ({status}); what it printed above says why");
        }
        Ok(())
    }
}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.program)?;
        self.arguments.iter().try_for_each(|argument| write!(formatter, " {}", quoted(argument)))
    }
}

/// A word of a command, as a shell takes it.
pub fn quoted(word: impl AsRef<std::path::Path>) -> String {
    let word = word.as_ref().to_string_lossy();
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "-_./:=@,+%".contains(character);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.into_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_shown_as_a_person_would_type_it() {
        let step = Step::new(python::SAM, "infra", "sam").variable("SAM_CLI_TELEMETRY", "0");
        let step = step.arguments(["deploy", "--parameter-overrides", "Stage=staging", "Url=https://a b"]);
        assert_eq!(step.to_string(), "sam deploy --parameter-overrides Stage=staging 'Url=https://a b'");
        let project = Project::at("/checkout".into(), "/checkout/target/ops".into());
        assert_eq!(
            step.line(&project),
            "PATH=\"$PWD/target/ops/python/sam/bin:$PATH\" SAM_CLI_TELEMETRY=0 sam deploy --parameter-overrides Stage=staging \
             'Url=https://a b'   # in infra/"
        );
    }

    #[test]
    fn a_word_is_quoted_where_a_shell_would_take_it_apart() {
        assert_eq!(
            ["a-b_c.d/e:f=g@h", "", "a b", "it's", "$x"].map(quoted),
            ["a-b_c.d/e:f=g@h", "''", "'a b'", r"'it'\''s'", "'$x'"]
        );
    }
}
