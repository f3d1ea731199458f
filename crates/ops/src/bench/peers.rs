//! The same job as others would write it (`benches/peers`): built, installed, and made ready to be measured in turns with ours.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::Bench;
use super::figures::Case;
use super::functions::{function, lambda_variables};
use super::subject::Subject;
use super::work::{ID, IsRight, has_no_failures, is_accepted};
use crate::node::{copied, npm};
use crate::project::Project;
use crate::python;

/// What Node's handler is made of.
const NODE_FILES: [&str; 5] = ["package.json", "package-lock.json", ".npmrc", "handler.mjs", "runtime.mjs"];
/// How often each is invoked in a round.
const INVOCATIONS: usize = 200;
const BATCHES: usize = 40;

/// Ours and the peers, each with the same work: a request of 8 KiB to be verified and enqueued; and batches of one and ten
/// messages, beside the writes that they take.
///
/// # Errors
/// If one of them cannot be built, installed or found.
pub fn cases(project: &Project, bench: &Bench, folder: &Path, progress: &dyn Fn(&str)) -> Result<Vec<(String, Case)>> {
    let rust = rust(project, progress)?;
    let own = |name: &str| function(name, &folder.join(name), &bench.folder, &bench.trust);
    let other = |name: &str, command: Vec<PathBuf>, folder: &Path| subject(bench, name, command, folder);
    let (node, node_folder) = node(project, progress)?;
    let (python, python_folder) = python(project, progress)?;
    let receivers: [(&str, Subject, IsRight); 5] = [
        ("Wharf's receiver", own("receiver")?, is_accepted),
        ("nothing, in Rust", other("empty", vec![rust.join("empty")], &rust), is_answered),
        ("Rust, the SDK's defaults", other("sdk-defaults", vec![rust.join("sdk-defaults")], &rust), is_answered),
        ("Node 20, minified", other("node", node, &node_folder), is_answered),
        ("Python, boto3", other("python", python, &python_folder), is_answered),
    ];
    let event = bench.work.request(8 << 10, ID)?;
    let mut cases = Vec::new();
    for (name, subject, is_right) in receivers {
        let (event, behaviour) = (event.clone(), bench.behaviour());
        cases.push((name.to_owned(), Case { subject, event, is_right, behaviour, invocations: INVOCATIONS }));
    }
    for messages in [1, 10] {
        let event = bench.work.batch(messages, 8 << 10, ID)?;
        let writes = other("sdk-writes", vec![rust.join("sdk-writes")], &rust);
        let consumers =
            [("Wharf's consumer, batch of", own("consumer")?), ("its writes alone, the SDK's defaults,", writes)];
        for (name, subject) in consumers {
            let (event, behaviour) = (event.clone(), bench.behaviour());
            let case = Case { subject, event, is_right: has_no_failures, behaviour, invocations: BATCHES };
            cases.push((format!("{name} {messages}"), case));
        }
    }
    Ok(cases)
}

/// lambda_http writes more into an answer than the others.
fn is_answered(answer: &[u8]) -> bool {
    let answer: serde_json::Value = serde_json::from_slice(answer).unwrap_or_default();
    answer.get("statusCode").and_then(serde_json::Value::as_u64) == Some(200)
}

fn subject(bench: &Bench, name: &str, command: Vec<PathBuf>, folder: &Path) -> Subject {
    let mut variables = lambda_variables(name);
    variables.extend(bench.trust.variables());
    variables.push(("SECRET_PARAMETER".to_owned(), "/wharf/measured/github".to_owned()));
    variables.push(("WHARF_TABLE".to_owned(), "ledger".to_owned()));
    Subject { name: name.to_owned(), command, variables, folder: folder.to_owned() }
}

/// The folder of the binaries.
fn rust(project: &Project, progress: &dyn Fn(&str)) -> Result<PathBuf> {
    progress("building benches/peers/rust (the first time takes minutes)");
    let target = project.made("peers/rust");
    let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    build
        .args(["build", "--release", "--locked", "--manifest-path"])
        .arg(project.path("benches/peers/rust/Cargo.toml"));
    build.arg("--target-dir").arg(&target);
    // As they would be built elsewhere: what `.cargo/config.toml` sets is one of the things that are compared.
    build.env("AWS_LC_SYS_NO_JITTER_ENTROPY", "0").env("AWS_LC_SYS_CFLAGS", "");
    succeed(&mut build, "the peers in Rust cannot be built")?;
    Ok(target.join("release"))
}

/// The command, and the folder of its code.
fn node(project: &Project, progress: &dyn Fn(&str)) -> Result<(Vec<PathBuf>, PathBuf)> {
    let folder = project.made("peers/node");
    let is_new = copied(project, "benches/peers/node", &NODE_FILES, &folder)?;
    let bundle = folder.join("dist/handler.mjs");
    if is_new || !bundle.is_file() {
        progress("installing the AWS SDK for JavaScript, and esbuild, which makes one file of it");
        npm(&folder, &["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"])?;
        npm(&folder, &["run", "build", "--silent"])?;
    }
    Ok((vec!["node".into(), folder.join("runtime.mjs"), bundle], folder))
}

/// The command, and the folder of its code.
fn python(project: &Project, progress: &dyn Fn(&str)) -> Result<(Vec<PathBuf>, PathBuf)> {
    let interpreter = python::interpreter(project, python::PEER, progress)?;
    let folder = project.made("peers/python");
    copied(project, "benches/peers/python", &["handler.py"], &folder)?;
    Ok((vec![interpreter, "-m".into(), "awslambdaric".into(), "handler.handler".into()], folder))
}

fn succeed(command: &mut Command, problem: &str) -> Result<()> {
    let status = command.status().with_context(|| format!("{problem}: {:?} cannot be run", command.get_program()))?;
    if !status.success() {
        bail!("{problem}; what is printed above says why");
    }
    Ok(())
}
