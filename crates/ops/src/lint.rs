//! The template, judged by what others know of AWS: cfn-lint, AWS's serverless rules, and SAM itself. What no linter can know
//! is in `tests/template`.
//!
//! | what | judges |
//! | --- | --- |
//! | cfn-lint | the template as it is written, and as it is expanded for each stage |
//! | the serverless rules | as it is expanded, because they know SAM's resources less well than CloudFormation's |
//! | `sam validate --lint` | what `sam deploy` will make of the template and of `infra/samconfig.toml` |

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::project::Project;
use crate::template::{self, expand};
use crate::{endpoint_alarms, python, samconfig};

/// The stages that the template is expanded for.
const STAGES: [&str; 4] = ["development", "staging", "production", "local"];
/// The serverless rules, as cfn-lint loads them.
const SERVERLESS_RULES: &str = "cfn_lint_serverless.rules";
/// SAM asks for a region, and asks it nothing.
const ANY_REGION: &str = "us-east-1";

/// A finding that is none of ours, and why.
struct Excused {
    rule: &'static str,
    resources: &'static [&'static str],
    #[expect(dead_code, reason = "it is there to be read here")]
    because: &'static str,
}

/// All that is excused. A rule is excused for the resources that are named and for no other, and one that is no longer
/// broken there must be gone from here.
const EXCUSED: [Excused; 5] = [
    Excused {
        rule: "WS1000",
        resources: &["Receiver", "Consumer", "Housekeeper"],
        because: "tracing is the parameter Tracing, and the rule does not look into an Fn::If",
    },
    Excused {
        rule: "WS1004",
        resources: &["Receiver", "Consumer", "Housekeeper"],
        because: "each function's LoggingConfig names a log group with a retention, and the rule goes by names alone; \
                  tests/template holds each function to its group",
    },
    Excused {
        rule: "ES1001",
        resources: &["ConsumerDeliveries"],
        because: "what a mapping of SQS cannot deliver is redriven by the queue: it has no destination of its own",
    },
    Excused {
        rule: "ES6000",
        resources: &["DeadLetterQueue"],
        because: "it is where the other queue's messages are redriven to",
    },
    Excused {
        rule: "ES7000",
        resources: &["AlarmSubscription"],
        because: "an address of e-mail: a notice that cannot be delivered is of no use an hour later, and the alarm's state stays",
    },
];

/// Checks the template with every linter; prints what each finds.
///
/// # Errors
/// If anything is found.
pub fn lint(project: &Project, progress: &dyn Fn(&str)) -> Result<()> {
    let written = [template::PATH, endpoint_alarms::PATH, template::GITHUB_PATH].map(|path| project.path(path));
    let mut expanded = Vec::new();
    for stage in STAGES {
        let path = project.made(&format!("template-{stage}.json"));
        let text = format!("{:#}\n", expand(project, stage, progress)?);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        expanded.push(path);
    }
    let mut found = Vec::new();
    progress(&format!("cfn-lint {}", names(project, &written)));
    found.extend(cfn_lint(project, &written, &[], progress)?);
    progress(&format!("cfn-lint, with AWS's serverless rules, {}", names(project, &expanded)));
    let with_rules = cfn_lint(project, &expanded, &["--append-rules", SERVERLESS_RULES], progress)?;
    let (excused, counted): (Vec<_>, Vec<_>) = with_rules.into_iter().partition(Finding::is_excused);
    found.extend(counted);
    found.dedup();
    let mut said = String::new();
    for finding in &found {
        let _ = writeln!(said, "{finding}");
    }
    for (rule, resource) in needless(&excused) {
        let _ =
            writeln!(said, "{rule} is excused for {resource} in crates/ops/src/lint.rs, where it is no longer broken");
    }
    for path in &written {
        progress(&format!("sam validate --lint {}", project.relative(path).display()));
        if let Some(complaint) = sam_validate(project, path, progress)? {
            let _ = writeln!(said, "{complaint}");
        }
    }
    if !said.is_empty() {
        bail!("the linters find fault with {} and {}:\n{}", template::PATH, samconfig::PATH, said.trim_end());
    }
    Ok(())
}

fn names(project: &Project, files: &[PathBuf]) -> String {
    files.iter().map(|file| project.relative(file).display().to_string()).collect::<Vec<_>>().join(", ")
}

/// What a linter found at one place.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Finding {
    rule: String,
    /// The logical id, where it is about a resource.
    resource: Option<String>,
    said: String,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.said)
    }
}

impl Finding {
    fn is_excused(&self) -> bool {
        let Some(resource) = self.resource.as_deref() else { return false };
        EXCUSED.iter().any(|excused| excused.rule == self.rule && excused.resources.contains(&resource))
    }
}

/// What is excused and was not found anywhere.
fn needless(found: &[Finding]) -> Vec<(&'static str, &'static str)> {
    let all = EXCUSED.iter().flat_map(|excused| excused.resources.iter().map(|resource| (excused.rule, *resource)));
    let is_found = |(rule, resource): &(&str, &str)| {
        found.iter().any(|finding| finding.rule == *rule && finding.resource.as_deref() == Some(resource))
    };
    all.filter(|pair| !is_found(pair)).collect()
}

/// What cfn-lint prints with `--format json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Match {
    filename: String,
    level: String,
    message: String,
    location: Location,
    rule: Rule,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Location {
    start: Position,
    #[serde(default)]
    path: Option<Vec<serde_json::Value>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Position {
    line_number: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Rule {
    id: String,
}

impl Match {
    fn finding(self, project: &Project) -> Finding {
        let path = self.location.path.unwrap_or_default();
        let part = |index: usize| path.get(index).and_then(serde_json::Value::as_str);
        let resource = (part(0) == Some("Resources")).then(|| part(1).map(str::to_owned)).flatten();
        let file = project.relative(Path::new(&self.filename)).display().to_string();
        let about = resource.as_deref().map_or_else(String::new, |resource| format!(" ({resource})"));
        let (level, id, line, message) = (self.level, &self.rule.id, self.location.start.line_number, self.message);
        Finding { said: format!("{level} {id} {file}:{line}{about}: {message}"), rule: self.rule.id, resource }
    }
}

fn cfn_lint(project: &Project, files: &[PathBuf], more: &[&str], progress: &dyn Fn(&str)) -> Result<Vec<Finding>> {
    let programs = python::programs(project, python::LINT, progress)?;
    let mut command = Command::new(programs.join("cfn-lint"));
    command.args(["--format", "json"]).args(more).arg("--").args(files);
    let output = command.output().context("cannot run cfn-lint")?;
    let matches: Vec<Match> = serde_json::from_slice(&output.stdout).with_context(|| {
        format!("cfn-lint ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim())
    })?;
    Ok(matches.into_iter().map(|found| found.finding(project)).collect())
}

/// What SAM has against a template; `None` if nothing.
fn sam_validate(project: &Project, template: &Path, progress: &dyn Fn(&str)) -> Result<Option<String>> {
    let programs = python::programs(project, python::SAM, progress)?;
    let mut command = Command::new(programs.join("sam"));
    command.args(["validate", "--lint", "--region", ANY_REGION, "--template"]).arg(template);
    let output = command.env("SAM_CLI_TELEMETRY", "0").output().context("cannot run sam")?;
    if output.status.success() {
        return Ok(None);
    }
    let said = [output.stdout, output.stderr].concat();
    Ok(Some(format!("sam validate --lint: {}", String::from_utf8_lossy(&said).trim())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(rule: &str, resource: &str) -> Finding {
        Finding { rule: rule.into(), resource: Some(resource.into()), said: String::new() }
    }

    #[test]
    fn a_rule_is_excused_for_the_resources_that_are_named_and_for_no_other() {
        assert!(finding("ES6000", "DeadLetterQueue").is_excused());
        assert!(!finding("ES6000", "DeliveryQueue").is_excused());
        assert!(!finding("WS1003", "DeadLetterQueue").is_excused());
        assert!(!Finding { resource: None, ..finding("ES6000", "DeadLetterQueue") }.is_excused());
    }

    #[test]
    fn what_is_excused_and_not_found_is_said() {
        let mut found: Vec<Finding> = EXCUSED
            .iter()
            .flat_map(|excused| excused.resources.iter().map(|resource| finding(excused.rule, resource)))
            .collect();
        assert_eq!(needless(&found), []);
        found.retain(|finding| finding.rule != "ES6000");
        assert_eq!(needless(&found), [("ES6000", "DeadLetterQueue")]);
    }

    #[test]
    fn a_finding_says_where_it_is() {
        let project = Project::find().unwrap();
        let json = format!(
            r#"{{"Filename": "{}", "Level": "Warning", "Message": "it has a star",
                "Location": {{"Start": {{"LineNumber": 12}}, "Path": ["Resources", "ConsumerRole", "Properties", 0]}},
                "Rule": {{"Id": "WS1003"}}}}"#,
            project.path("infra/template.yaml").display()
        );
        let found = serde_json::from_str::<Match>(&json).unwrap().finding(&project);
        assert_eq!(found.to_string(), "Warning WS1003 infra/template.yaml:12 (ConsumerRole): it has a star");
        assert_eq!(found.resource.as_deref(), Some("ConsumerRole"));
    }
}
