//! Replays the corpus of the fuzz target `door`: what a fuzzer has found once holds in every test run. (`fuzz/README.md`; the
//! other targets' corpora are replayed by `crates/webhook/tests/corpus.rs`.)

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "what fails here fails the test")]

#[path = "../fuzz/door.rs"]
mod door;
#[expect(dead_code, reason = "it holds the targets of the core too")]
#[path = "../fuzz/targets.rs"]
mod targets;

use std::fs;
use std::path::Path;

#[test]
fn nothing_is_stored_that_is_not_signed_and_what_is_accepted_is_stored() {
    // cargo runs a test in its package's folder. The one that is compiled in is another checkout's where this one is a copy.
    let folder = Path::new("fuzz/corpus/door");
    let mut files: Vec<_> = fs::read_dir(folder)
        .expect("the target has a corpus")
        .map(|entry| entry.expect("the corpus can be listed").path())
        .collect();
    files.sort();
    assert!(!files.is_empty(), "the corpus is empty");
    for file in files {
        // Shown if what follows fails.
        println!("{}", file.display());
        door::door(&fs::read(&file).expect("the corpus can be read"));
    }
}
