//! The conformance cases of `tests/vectors/`, and the command that judges them.

#![expect(clippy::unwrap_used, reason = "what cannot be read is a failure")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use wharf_ops::project::Project;
use wharf_ops::vectors::judge_folder;
use wharf_webhook::provider::named;

/// `cargo ops` as it was built for this run. Its path is compiled in, too, and that is another checkout's where this one is a copy.
fn wharf_ops() -> Command {
    Command::new(std::env::var_os("CARGO_BIN_EXE_wharf-ops").unwrap())
}

fn folder() -> PathBuf {
    Project::find().unwrap().path("tests/vectors")
}

#[test]
fn every_conformance_case_is_judged_as_expected() {
    let report = judge_folder(&folder()).unwrap();
    let lines: Vec<_> = report
        .disagreements
        .iter()
        .map(|disagreement| {
            format!("{}: expected {}, got {}", disagreement.case, disagreement.expected, disagreement.got)
        })
        .collect();
    assert!(lines.is_empty(), "{} of {} cases disagree:\n{}", lines.len(), report.cases, lines.join("\n"));
}

#[test]
fn every_provider_has_a_file_of_cases_and_every_file_a_provider() {
    let report = judge_folder(&folder()).unwrap();
    let names: BTreeSet<String> = named().map(str::to_owned).collect();
    assert_eq!(report.files, names);
    assert_eq!(report.providers, names);
}

fn vectors(folder: &Path) -> (bool, String) {
    let output = wharf_ops().arg("vectors").arg(folder).output().unwrap();
    (output.status.success(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn the_command_counts_the_cases_and_prints_each_that_disagrees() {
    let made = Project::find().unwrap().made("tests").join("vectors");
    let _ = fs::remove_dir_all(&made);
    fs::create_dir_all(&made).unwrap();
    assert_eq!(vectors(&made), (false, "0 cases, 0 disagree\n".to_owned()));

    let cases = fs::read_to_string(folder().join("github.json")).unwrap();
    let mut cases: Vec<serde_json::Value> = serde_json::from_str(&cases).unwrap();
    cases.truncate(2);
    let write = |cases: &[serde_json::Value]| {
        fs::write(made.join("github.json"), serde_json::to_string(cases).unwrap()).unwrap();
    };
    write(&cases);
    assert_eq!(vectors(&made), (true, "2 cases, 0 disagree\n".to_owned()));

    cases[0]["expect"]["event_id"] = "another".into();
    cases[1]["provider"] = "nobody".into();
    write(&cases);
    let (succeeded, printed) = vectors(&made);
    let lines: Vec<&str> = printed.lines().collect();
    assert!(!succeeded);
    assert!(lines[0].starts_with("github/valid: expected accepted id=another"), "{}", lines[0]);
    assert!(lines[1].ends_with("got cannot be judged: no provider nobody"), "{}", lines[1]);
    assert_eq!(lines[2..], ["2 cases, 2 disagree"]);
}
