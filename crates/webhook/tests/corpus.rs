//! Replays the fuzz targets' corpus: what a fuzzer has found once holds in every test run. (`fuzz/README.md`)

#![expect(clippy::disallowed_methods, reason = "the core does no IO, its tests read their corpus")]
#![expect(clippy::expect_used, reason = "what fails here fails the test")]

#[expect(dead_code, reason = "the receiver's target has some more of it")]
#[path = "../../../fuzz/targets.rs"]
mod targets;

use std::fs;
use std::path::Path;

fn replay(target: &str, run: fn(&[u8])) {
    // cargo runs a test in its package's folder. The one that is compiled in is another checkout's where this one is a copy.
    let folder = Path::new("../../fuzz/corpus").join(target);
    let mut files: Vec<_> = fs::read_dir(&folder)
        .expect("every target has a corpus")
        .map(|entry| entry.expect("the corpus can be listed").path())
        .collect();
    files.sort();
    assert!(!files.is_empty(), "the corpus of {target} is empty");
    for file in files {
        // Shown if what follows fails.
        println!("{}", file.display());
        run(&fs::read(&file).expect("the corpus can be read"));
    }
}

#[test]
fn any_request_is_judged_and_nobody_is_let_in_unsigned() {
    replay("judge", targets::judge);
}

#[test]
fn what_is_signed_is_let_in_and_what_is_altered_is_not() {
    replay("sign_then_judge", targets::sign_then_judge);
}

#[test]
fn a_list_lets_in_by_its_genuine_signature_only() {
    replay("lists", targets::lists);
}

#[test]
fn any_configuration_is_read_or_its_problems_are_named() {
    replay("endpoints", targets::endpoints);
}

#[test]
fn any_message_is_carried_unchanged_or_named() {
    replay("message", targets::message);
}
