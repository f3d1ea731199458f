//! A function that lacks what it needs does not start, and says all of it in one message.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use wharf_ops::project::Project;

use crate::harness::{housekeeper, receiver, scratch, shipped_consumer};

/// What a function says that is started with nothing but this folder as its code's.
fn last_words(binary: PathBuf, code: &std::path::Path) -> String {
    let output = Command::new(binary).env_clear().env("LAMBDA_TASK_ROOT", code).current_dir("/").output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let log = String::from_utf8(output.stdout).unwrap();
    let line: serde_json::Value = serde_json::from_str(log.trim()).unwrap();
    assert_eq!(line["level"], "ERROR");
    line["message"].as_str().unwrap().to_owned()
}

#[test]
fn the_endpoints_of_this_deployment_are_valid() {
    Project::find().unwrap().endpoints().unwrap();
}

#[test]
fn the_receiver_says_all_that_is_missing_in_one_message() {
    let folder = scratch().join("missing");
    fs::create_dir_all(&folder).unwrap();
    let message = last_words(receiver(), &folder);
    assert!(
        message.starts_with(
            "the function cannot start. These environment variables are not set, which infra/template.yaml and Lambda \
             set: AWS_ACCESS_KEY_ID, AWS_REGION, AWS_SECRET_ACCESS_KEY, WHARF_BUCKET, WHARF_PUBLIC_URL, WHARF_QUEUE_URL, \
             WHARF_STAGE. cannot read "
        ),
        "{message}"
    );
    assert!(message.contains("endpoints.toml: No such file"), "{message}");
}

#[test]
fn the_receiver_says_all_that_is_wrong_with_its_endpoints() {
    let folder = scratch().join("wrong");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("endpoints.toml"), "[endpoints.a]\nprovider = \"x\"\n[endpoints.b]\n").unwrap();
    let message = last_words(receiver(), &folder);
    assert!(message.contains("endpoints.toml:2: the provider \"x\" is unknown"), "{message}");
    assert!(message.contains("endpoints.toml:3: [endpoints.b] has no `provider`"), "{message}");
}

#[test]
fn roots_that_cannot_be_believed_are_said_and_nothing_is_believed_instead() {
    let folder = scratch().join("roots");
    fs::create_dir_all(&folder).unwrap();
    let said = |name: &str, content: Option<&str>| {
        let path = folder.join(name);
        if let Some(content) = content {
            fs::write(&path, content).unwrap();
        }
        let mut function = Command::new(housekeeper());
        let output = function.env_clear().env("WHARF_TRUST_STORE", &path).current_dir("/").output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let missing = said("missing.pem", None);
    assert!(missing.contains("missing.pem, which WHARF_TRUST_STORE names: No such file"), "{missing}");
    let empty = said("empty.pem", Some("# none\n"));
    assert!(empty.contains("empty.pem, which WHARF_TRUST_STORE names, holds no certificates (PEM)"), "{empty}");
    let broken = said("broken.pem", Some("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"));
    assert!(broken.contains("broken.pem, which WHARF_TRUST_STORE names, holds"), "{broken}");
}

#[test]
fn the_consumer_says_all_that_is_missing_in_one_message() {
    let message = last_words(shipped_consumer(), std::path::Path::new("/"));
    assert!(
        message.starts_with(
            "the function cannot start. These environment variables are not set, which infra/template.yaml and Lambda \
             set: AWS_ACCESS_KEY_ID, AWS_REGION, AWS_SECRET_ACCESS_KEY, WHARF_BUCKET, WHARF_DEAD_LETTER_QUEUE_URL, \
             WHARF_EVENT_BUS, WHARF_QUEUE_URL, WHARF_STAGE, WHARF_TABLE. cannot read /endpoints.toml: "
        ),
        "{message}"
    );
}

#[test]
fn the_housekeeper_says_all_that_is_missing_in_one_message() {
    assert_eq!(
        last_words(housekeeper(), std::path::Path::new("/")),
        "the function cannot start. These environment variables are not set, which infra/template.yaml and Lambda set: \
         AWS_ACCESS_KEY_ID, AWS_REGION, AWS_SECRET_ACCESS_KEY, WHARF_BUCKET, WHARF_PUBLIC_URL, WHARF_QUEUE_URL, WHARF_STAGE, \
         WHARF_TABLE."
    );
}
