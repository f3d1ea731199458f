//! The real `cargo lambda watch` and `cargo lambda invoke`, of the pinned version, run the functions on a developer's machine as
//! the README has it.

use std::ffi::OsString;
use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use http::HeaderMap;
use serde_json::{Value, json};
use wharf_ops::log_tail::Line;
use wharf_ops::project::Project;
use wharf_ops::python::{self, CARGO_LAMBDA};

use crate::harness::{ENDPOINTS, Wharf, sample, shipped_consumer};

/// The secret that the receiver's samples are signed with.
const SECRET: &str = "It's a Secret to Everybody";
/// How long a function may take to answer: the first invocation may have to build it.
const BUILD_PATIENCE: Duration = Duration::from_secs(300);
/// Runs its arguments until standard input is closed: however a test ends, nothing is left running. cargo-lambda ends the
/// functions, which are no members of its process group.
const UNTIL_INPUT_ENDS: &str = r#""$@" & watch=$!; read -r _; kill -TERM "$watch"; wait "$watch""#;

/// `cargo lambda watch` beside a stack.
struct Watch<'a> {
    wharf: &'a Wharf,
    child: Child,
    port: u16,
    path: OsString,
    log: PathBuf,
}

impl Watch<'_> {
    async fn start<'a>(wharf: &'a Wharf, endpoints: &str) -> Watch<'a> {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("cargo-lambda");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("endpoints.toml"), endpoints).unwrap();
        let mut variables = wharf.stack.function_environment().await.unwrap();
        variables.insert("LAMBDA_TASK_ROOT".to_owned(), folder.display().to_string());
        // Not every machine resolves names under `localhost`, as the emulator's own address is one.
        variables.insert("WHARF_PUBLIC_URL".to_owned(), wharf.stack.facts().api_url.clone());
        let environment = folder.join("functions.env");
        let lines: String = variables.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
        fs::write(&environment, lines).unwrap();

        let programs = python::programs(&Project::find().unwrap(), CARGO_LAMBDA, &|step| println!("{step}")).unwrap();
        let inherited = std::env::var_os("PATH").unwrap();
        let path = std::env::join_paths([programs].into_iter().chain(std::env::split_paths(&inherited))).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let log = folder.join("log");
        let output = File::create(&log).unwrap();
        let child = Command::new("sh")
            .args(["-c", UNTIL_INPUT_ENDS, "sh", env!("CARGO"), "lambda", "watch", "--invoke-address", "127.0.0.1"])
            .args(["--invoke-port", &port.to_string(), "--env-file"])
            .arg(&environment)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env("PATH", &path)
            .stdin(Stdio::piped())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        let watch = Watch { wharf, child, port, path, log };
        wharf
            .until("cargo lambda watch listens", async || TcpStream::connect(("127.0.0.1", port)).ok().map(drop))
            .await;
        watch
    }

    /// What `cargo lambda invoke` prints for a sample event, whose name begins with the function's.
    async fn invoke(&self, event: &str) -> Value {
        let (function, _) = event.split_once('-').unwrap();
        let mut child = Command::new(env!("CARGO"))
            .args(["lambda", "invoke", function, "--invoke-address", "127.0.0.1", "--invoke-port"])
            .arg(self.port.to_string())
            .args(["--data-file", &format!("events/lambda/{event}.json")])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env("PATH", &self.path)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let ended = async || child.try_wait().unwrap();
        self.wharf.until_within(BUILD_PATIENCE, &format!("{event} is answered"), ended).await;
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{event}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// What a sender posts to, and asks.
    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/lambda-url/receiver/webhooks/{path}", self.port)
    }

    /// What became of an event, by the functions that it runs; the stack's own have a log of theirs.
    fn outcomes(&self, event_id: &str) -> Vec<String> {
        let log = fs::read_to_string(&self.log).unwrap();
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let of_event = lines.filter(|line| line["event_id"] == event_id);
        of_event.filter_map(|line| line["outcome"].as_str().map(str::to_owned)).collect()
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
        if std::thread::panicking() {
            println!("cargo lambda watch:\n{}", fs::read_to_string(&self.log).unwrap_or_default());
        }
    }
}

#[tokio::test]
async fn cargo_lambda_runs_the_functions_and_every_sample_event_does_what_it_says() {
    let endpoints = format!("{ENDPOINTS}\n[endpoints.dropbox]\nprovider = \"dropbox\"\n");
    let wharf = Wharf::start_with(&endpoints, shipped_consumer(), &[("github", SECRET)]).await;
    let watch = Watch::start(&wharf, &endpoints).await;
    assert_eq!(
        sample_events(),
        [
            "consumer-github-push.json",
            "housekeeper-errands.json",
            "housekeeper-probe.json",
            "receiver-dropbox-handshake.json",
            "receiver-github-push-form.json",
            "receiver-github-push.json"
        ],
        "each is invoked below"
    );

    let push = "72d3162e-cc78-11e3-81ab-4c9367dc0958";
    assert_eq!(watch.invoke("consumer-github-push").await, json!({ "batchItemFailures": [] }));
    assert_eq!(watch.outcomes(push), ["landed"]);
    assert_eq!(wharf.completed("github", push).await.attempt, 1);

    // Of the same event: the stack's own consumer finds it completed.
    assert_eq!(watch.invoke("receiver-github-push").await["statusCode"], 200);
    assert_eq!(watch.outcomes(push), ["landed", "accepted"]);
    wharf.logged("the copy is known", |line| line.text("outcome") == Some("duplicate")).await;

    assert_eq!(watch.invoke("receiver-github-push-form").await["statusCode"], 200);
    assert_eq!(wharf.completed("github", "0b989ba4-242f-11e5-81e1-c7b6966d2516").await.attempt, 1);

    let answer = watch.invoke("receiver-dropbox-handshake").await;
    assert_eq!((&answer["statusCode"], &answer["body"]), (&json!(200), &json!("4f7c2b9e")));

    wharf.spool_order("o-1").await;
    assert_eq!(watch.invoke("housekeeper-errands").await, Value::Null);
    assert_eq!(wharf.completed("shop", "o-1").await.attempt, 1);

    assert_eq!(watch.invoke("housekeeper-probe").await, Value::Null);
    let is_landed = |line: &Line| line.text("outcome") == Some("landed") && line.text("endpoint") == Some("_probe");
    wharf.logged("the probe lands", is_landed).await;

    // What cargo-lambda itself makes of a request: without a query, with one, and with bytes that are no text.
    let body = sample("github-push.json");
    let pairs = [("content-type", "application/json"), ("x-github-event", "push"), ("x-github-delivery", "d-1")];
    let answer = wharf.request("POST", &watch.url("github"), wharf.signed("github", &pairs, &body), &body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(wharf.completed("github", "d-1").await.attempt, 1);

    let answer = wharf.request("GET", &watch.url("dropbox?challenge=5e8d%20"), HeaderMap::new(), b"").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "5e8d "));
    assert_eq!(wharf.request("GET", &watch.url("github"), HeaderMap::new(), b"").await.status, 405);

    let pairs =
        [("content-type", "application/octet-stream"), ("x-github-event", "push"), ("x-github-delivery", "d-2")];
    let answer = wharf.request("POST", &watch.url("github"), wharf.signed("github", &pairs, &body), &body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(wharf.completed("github", "d-2").await.attempt, 1);
}

fn sample_events() -> Vec<String> {
    let folder = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("events/lambda")).unwrap();
    let mut names: Vec<_> = folder.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
