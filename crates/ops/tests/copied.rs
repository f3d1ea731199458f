//! A copied checkout is one of its own: the program that was copied with it acts there, and nowhere else.

#![expect(clippy::unwrap_used, reason = "what goes wrong in a test is a failure of the test")]

use std::fs;
use std::path::Path;
use std::process::Command;

use wharf_ops::project::Project;

/// Copies a folder with all that is in it, but for what is built, and what git knows.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if !entry.file_type().unwrap().is_dir() {
            fs::copy(entry.path(), to).unwrap();
        } else if !["target", ".git", "corpus"].iter().any(|left_out| entry.file_name() == *left_out) {
            copy(&entry.path(), &to);
        }
    }
}

/// Whether it succeeds, and what it prints.
fn said(program: &Path, folder: &Path, arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder).env_remove("CARGO_TARGET_DIR").env_remove("WHARF_OPS_FOLDER");
    let output = command.output().unwrap();
    (output.status.success(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

#[test]
fn the_program_of_a_copied_checkout_reads_and_writes_the_copy_and_leaves_the_original_alone() {
    let original = Project::find().unwrap();
    let alarms = || fs::read(original.path("infra/endpoint-alarms.yaml")).unwrap();
    let before = alarms();
    let root = original.made("tests").join("copied");
    let _ = fs::remove_dir_all(&root);
    copy(original.root(), &root);
    let program = root.join("target/debug/wharf-ops");
    fs::create_dir_all(program.parent().unwrap()).unwrap();
    fs::copy(std::env::var_os("CARGO_BIN_EXE_wharf-ops").unwrap(), &program).unwrap();
    let endpoints = "[endpoints.copied]\nprovider = \"github\"\nalarm_refusals = 7\n";
    fs::write(root.join("endpoints.toml"), endpoints).unwrap();

    for folder in ["", "docs", "crates/ops/src", "fuzz"] {
        let (succeeded, said) = said(&program, &root.join(folder), &["check"]);
        assert!(succeeded && said.starts_with("/webhooks/copied: GitHub, "), "{folder}: {said}");
    }
    let (succeeded, text) = said(&program, &root, &["alarms"]);
    assert!(succeeded, "{text}");
    assert!(fs::read_to_string(root.join("infra/endpoint-alarms.yaml")).unwrap().contains("copied"));
    assert_eq!(alarms(), before);

    // A target folder may hold the way to the original's local stack.
    let mut facts = serde_json::json!({ "checkout": original.root(), "endpoints": [] });
    for name in [
        "aws_endpoint_url",
        "region",
        "access_key_id",
        "secret_access_key",
        "api_url",
        "queue_url",
        "dead_letter_queue_url",
        "table",
        "bucket",
        "consumer_function",
        "receiver_log_group",
        "consumer_log_group",
        "housekeeper_log_group",
    ] {
        facts[name] = "http://127.0.0.1:1".into();
    }
    fs::create_dir_all(root.join("target/ops")).unwrap();
    fs::write(root.join("target/ops/stack.json"), facts.to_string()).unwrap();
    let (succeeded, text) = said(&program, &root, &["pause", "--execute"]);
    assert!(!succeeded && text.starts_with("error: no local stack of this checkout is up: "), "{text}");
    assert!(text.contains(original.root().to_str().unwrap()), "{text}");
    fs::remove_dir_all(&root).unwrap();
}

#[test]
fn outside_of_every_checkout_it_is_said_where_to_go_and_what_needs_none_works() {
    let program = std::env::var_os("CARGO_BIN_EXE_wharf-ops").unwrap();
    let (succeeded, text) = said(program.as_ref(), Path::new("/"), &["check"]);
    assert!(
        !succeeded && text.starts_with("error: cannot find a checkout of Wharf: neither / nor a folder above it"),
        "{text}"
    );
    let (succeeded, text) = said(program.as_ref(), Path::new("/"), &["providers", "github"]);
    assert!(succeeded && text.contains("GitHub"), "{text}");
}
