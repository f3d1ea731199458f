//! The template: as it is written, and expanded as CloudFormation would.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::project::Project;
use crate::python;

/// The template's path in the checkout.
pub const PATH: &str = "infra/template.yaml";

/// The template's text, each function's `CodeUri` replaced by what `code_uri` says for its name.
///
/// # Errors
/// If it cannot be read, or a function in it has another `CodeUri` than cargo-lambda's zip.
pub fn with_code(project: &Project, code_uri: impl Fn(&str) -> String) -> Result<String> {
    let path = project.path(PATH);
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
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

/// What CloudFormation makes of the template for a stage: SAM's resources replaced by those that they stand for.
///
/// # Errors
/// If the template is not valid.
pub fn expand(project: &Project, stage: &str, progress: &dyn Fn(&str)) -> Result<serde_json::Value> {
    let interpreter = python::interpreter(project, python::EMULATOR, progress)?;
    let template = with_code(project, |function| format!("s3://bucket/{function}.zip"))?;
    let mut child = Command::new(interpreter)
        .args(["-c", include_str!("../python/expand_template.py"), &format!("Stage={stage}")])
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

/// Checks the template with cfn-lint, as it is written and as expanded for each stage; prints what it finds.
///
/// # Errors
/// If anything is found.
pub fn lint(project: &Project, progress: &dyn Fn(&str)) -> Result<()> {
    let interpreter = python::interpreter(project, python::LINT, progress)?;
    let mut files = vec![project.path(PATH)];
    for stage in ["development", "staging", "production", "local"] {
        let path = project.made(&format!("template-{stage}.json"));
        let expanded = expand(project, stage, progress)?;
        fs::write(&path, format!("{expanded:#}\n")).with_context(|| format!("cannot write {}", path.display()))?;
        files.push(path);
    }
    for file in files {
        progress(&format!("cfn-lint {}", project.relative(&file).display()));
        let cfn_lint = interpreter.with_file_name("cfn-lint");
        let status = Command::new(cfn_lint).arg(&file).status().context("cannot run cfn-lint")?;
        if !status.success() {
            bail!("cfn-lint finds fault with {}", project.relative(&file).display());
        }
    }
    Ok(())
}
