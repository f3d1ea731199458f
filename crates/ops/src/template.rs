//! The template: as it is written, and expanded as CloudFormation would.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::endpoint_alarms;
use crate::project::Project;
use crate::{python, samconfig};

/// The template's path in the checkout.
pub const PATH: &str = "infra/template.yaml";

/// What sets up the deployment from GitHub; plain CloudFormation.
pub const GITHUB_PATH: &str = "infra/github-oidc.yaml";

/// The template's text with the addresses of what it refers to, as `sam deploy` puts them in: each function's `CodeUri` is what
/// `code_uri` says for its name, and that of the endpoints' own alarms is `alarms_url`.
///
/// # Errors
/// If it cannot be read, or a function in it has another `CodeUri` than cargo-lambda's zip.
pub fn packaged(project: &Project, code_uri: impl Fn(&str) -> String, alarms_url: &str) -> Result<String> {
    let path = project.path(PATH);
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let nested = format!("TemplateURL: {}", endpoint_alarms::PATH.trim_start_matches("infra/"));
    if !text.contains(&nested) {
        bail!("{PATH} does not nest {}", endpoint_alarms::PATH);
    }
    let text = text.replace(&nested, &format!("TemplateURL: {alarms_url}"));
    let mut lines = Vec::new();
    for line in text.lines() {
        lines.push(match line.split_once("CodeUri: ") {
            Some((indentation, uri)) => {
                let function = uri.strip_prefix("../target/lambda/").and_then(|uri| uri.strip_suffix("/bootstrap.zip"));
                let function = function.with_context(|| {
                    format!("{PATH} has the CodeUri {uri}: it must be ../target/lambda/FUNCTION/bootstrap.zip")
                })?;
                format!("{indentation}CodeUri: {}", code_uri(function))
            }
            None => line.to_owned(),
        });
    }
    Ok(lines.join("\n") + "\n")
}

/// What CloudFormation makes of the template for a stage, with its parameters of `infra/samconfig.toml`: SAM's resources replaced
/// by those that they stand for.
///
/// # Errors
/// If the template is not valid.
pub fn expand(project: &Project, stage: &str, progress: &dyn Fn(&str)) -> Result<serde_json::Value> {
    expand_text(project, &packaged_anywhere(project)?, &samconfig::parameters(project, stage)?, progress)
}

/// The template's text, with addresses that nothing is at.
///
/// # Errors
/// See [`packaged`].
pub fn packaged_anywhere(project: &Project) -> Result<String> {
    let code_uri = |function: &str| format!("s3://bucket/{function}.zip");
    packaged(project, code_uri, "https://bucket.s3.amazonaws.com/endpoint-alarms.yaml")
}

/// What CloudFormation makes of a text with these parameters.
///
/// # Errors
/// If it is no valid template.
pub fn expand_text(
    project: &Project,
    template: &str,
    parameters: &BTreeMap<String, String>,
    progress: &dyn Fn(&str),
) -> Result<serde_json::Value> {
    let interpreter = python::interpreter(project, python::EMULATOR, progress)?;
    let mut child = Command::new(interpreter)
        .args(["-c", include_str!("../python/expand_template.py")])
        .args(parameters.iter().map(|(name, value)| format!("{name}={value}")))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot run Python")?;
    // It reads all of its input before it writes anything.
    child.stdin.take().context("no pipe")?.write_all(template.as_bytes()).context("cannot write to Python")?;
    let output = child.wait_with_output().context("cannot read from Python")?;
    if !output.status.success() {
        bail!("SAM cannot expand {PATH}:\n{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    serde_json::from_slice(&output.stdout).context("SAM printed no JSON")
}
