//! What `cargo ops` says when something is not as it should be.

#![expect(clippy::unwrap_used, reason = "what goes wrong in a test is a failure of the test")]

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

fn ops(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_wharf-ops")).args(arguments).output().unwrap()
}

fn error(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_taken_port_is_said_before_anything_is_built_or_started() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let output = ops(&["dev", "--once", "--port", &port.to_string()]);
    let expected = format!(
        "error: the port {port} of 127.0.0.1 cannot be used, perhaps because another `cargo ops dev` is up: stop that, \
         or choose another with --port: Address already in use"
    );
    assert!(error(&output).starts_with(&expected), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
}

#[test]
fn a_missing_python_is_said_with_what_to_install_before_anything_is_built() {
    // A target folder without the emulator, and a PATH with cargo and nothing else.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("without-python");
    let cargo = Path::new(env!("CARGO"));
    let output = Command::new(env!("CARGO_BIN_EXE_wharf-ops"))
        .args(["dev", "--once", "--port", "0"])
        .env("CARGO_TARGET_DIR", &target)
        .env("CARGO", cargo)
        .env("PATH", cargo.parent().unwrap())
        .output()
        .unwrap();
    let error = error(&output);
    assert!(error.starts_with("error: there is no Python 3.10 or newer on the PATH"), "{error}");
    assert!(error.contains("apt-get install python3 python3-venv"), "{error}");
    assert!(!target.join("debug").exists());
}

#[test]
fn an_endpoint_that_does_not_exist_is_answered_with_those_that_do() {
    let error = error(&ops(&["send", "no-such-endpoint"]));
    assert!(error.starts_with("error: endpoints.toml has no endpoint \"no-such-endpoint\"; it has "), "{error}");
}
