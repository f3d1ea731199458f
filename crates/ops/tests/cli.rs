//! What `cargo ops` says when something is not as it should be.

#![expect(clippy::unwrap_used, reason = "what goes wrong in a test is a failure of the test")]

use std::fs::{self, File};
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use wharf_ops::embedded_metrics;
use wharf_ops::log_tail::{Function, Line};
use wharf_ops::project::Project;
use wharf_ops::stack::Facts;
use wharf_webhook::clock::UnixMillis;
use wharf_webhook::metrics::{Metric, Report, Reporter};

fn ops(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_wharf-ops")).args(arguments).output().unwrap()
}

fn error(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn every_command_has_examples_in_its_help() {
    let help = String::from_utf8(ops(&["help"]).stdout).unwrap();
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    let (commands, _) = commands.split_once("\n\n").unwrap();
    // A command's line is indented by two, what it is wrapped to by more.
    let names: Vec<_> = commands
        .lines()
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect();
    assert!(names.contains(&"deploy") && names.contains(&"alarms"), "{help}");
    for name in names {
        let help = String::from_utf8(ops(&[name, "--help"]).stdout).unwrap();
        let examples = help.split_once("\nExamples:\n").map(|(_, examples)| examples);
        assert!(examples.is_some_and(|examples| examples.contains(&format!("cargo ops {name}"))), "{name}:\n{help}");
    }
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
    assert!(error.starts_with("error: there is no Python 3.11 or newer on the PATH"), "{error}");
    assert!(error.contains("apt-get install python3 python3-venv"), "{error}");
    assert!(!target.join("debug").exists());
}

#[test]
fn an_endpoint_that_does_not_exist_is_answered_with_those_that_do() {
    let error = error(&ops(&["send", "no-such-endpoint"]));
    assert!(error.starts_with("error: endpoints.toml has no endpoint \"no-such-endpoint\"; it has "), "{error}");
}

#[test]
fn a_provider_that_cannot_be_crossed_is_told_why_before_anything_is_installed() {
    let told = |provider: &str| error(&ops_without_a_stack(&["interop", "--provider", provider]));
    assert_eq!(
        told("okta"),
        "error: there is no library to cross okta with: `@okta/okta-sdk-nodejs` does not verify\n"
    );
    assert_eq!(told("nobody"), "error: there is no provider \"nobody\": `cargo ops providers` lists them\n");
}

/// What it says with a folder in which no local stack is up.
fn ops_without_a_stack(arguments: &[&str]) -> Output {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("ops-without-a-stack");
    Command::new(env!("CARGO_BIN_EXE_wharf-ops")).args(arguments).env("WHARF_OPS_FOLDER", folder).output().unwrap()
}

#[test]
fn without_a_local_stack_every_operators_command_says_how_to_start_one() {
    let commands: [&[&str]; 15] = [
        &["status"],
        &["tail"],
        &["inspect", "github", "d-1"],
        &["failed"],
        &["failed", "--endpoint", "github"],
        &["replay", "github", "d-1", "--execute"],
        &["replay", "--all-failed"],
        &["forget", "github", "d-1", "--execute"],
        &["pause", "--execute"],
        &["resume"],
        &["redrive"],
        &["secret", "list"],
        &["secret", "set", "github", "--execute"],
        &["secret", "add", "github", "--execute"],
        &["secret", "drop", "github", "--execute"],
    ];
    for arguments in commands {
        let error = error(&ops_without_a_stack(arguments));
        assert!(
            error.starts_with("error: no local stack is up: start one with `cargo ops dev`, in another terminal"),
            "{arguments:?}: {error}"
        );
    }
}

#[test]
fn what_a_command_cannot_mean_is_said_before_anything_is_asked_for() {
    let cases: [(&[&str], &str); 15] = [
        (&["failed", "--profile", "mine"], "--stage <STAGE>"),
        (&["status", "--region", "eu-central-1"], "--stage <STAGE>"),
        (&["failed", "--since", "yesterday"], "it must be a time ago as in 30m, 2h or 3d, or an instant"),
        (&["failed", "--limit", "0"], "0 is not in 1..=10000"),
        (&["replay"], "<ENDPOINT>"),
        (&["replay", "github"], "<ID>"),
        (&["replay", "github", "d-1", "--all-failed"], "cannot be used with"),
        (&["replay", "github", "d-1", "--since", "2h"], "cannot be used with"),
        (&["replay", "--since", "2h"], "--all-failed"),
        (&["redrive", "--rate", "0"], "0 is not in 1..=1000"),
        (&["inspect", "github", "d-1", "--json", "--body", "-"], "cannot be used with"),
        (&["interop", "--provider", "stripe", "--write"], "cannot be used with"),
        (&["secret", "add"], "<ENDPOINT>"),
        (&["secret", "add", "github", "my-secret"], "unexpected argument"),
        (&["secret", "set", "github", "--secret", "my-secret"], "unexpected argument"),
    ];
    for (arguments, expected) in cases {
        let output = ops_without_a_stack(arguments);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {error}");
        assert!(error.contains(expected), "{arguments:?}: {error}");
    }
}

/// `cargo ops dev` of this test, ended with it.
struct Dev {
    child: Child,
    folder: PathBuf,
}

impl Dev {
    fn start(name: &str) -> Dev {
        // A folder of its own, so that the local stack of whoever runs the tests is left alone.
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("ops-{name}"));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let installed = Project::find().unwrap().made("python");
        fs::create_dir_all(&installed).unwrap();
        symlink(installed, folder.join("python")).unwrap();
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let child = Command::new(env!("CARGO_BIN_EXE_wharf-ops"))
            .args(["dev", "--port", &port.to_string()])
            .env("WHARF_OPS_FOLDER", &folder)
            .stdout(File::create(folder.join("output.txt")).unwrap())
            .spawn()
            .unwrap();
        let mut dev = Dev { child, folder };
        dev.until_it_prints("Deliveries, as they arrive and land");
        dev
    }

    fn output(&self) -> String {
        fs::read_to_string(self.folder.join("output.txt")).unwrap()
    }

    fn until_it_prints(&mut self, text: &str) {
        let started = Instant::now();
        while !self.output().contains(text) {
            assert_eq!(self.child.try_wait().unwrap(), None, "it has ended: {}", self.output());
            assert!(started.elapsed() < Duration::from_secs(300), "waited for {text:?}: {}", self.output());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn facts(&self) -> serde_json::Value {
        serde_json::from_str(&fs::read_to_string(self.folder.join("stack.json")).unwrap()).unwrap()
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn dev_tells_how_to_reach_its_stack_shows_what_arrives_and_ctrl_c_stops_all_that_it_started() {
    let mut dev = Dev::start("ctrl-c");
    let facts = dev.facts();
    let names: Vec<_> = facts.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "access_key_id",
            "api_url",
            "aws_endpoint_url",
            "bucket",
            "consumer_function",
            "consumer_log_group",
            "dead_letter_queue_url",
            "endpoints",
            "housekeeper_log_group",
            "queue_url",
            "receiver_log_group",
            "region",
            "secret_access_key",
            "table"
        ]
    );
    let endpoint = &facts["endpoints"][0];
    for name in ["name", "url", "provider", "secret"] {
        assert!(!endpoint[name].as_str().unwrap().is_empty(), "{name}");
    }

    let body = dev.folder.join("body.json");
    fs::write(&body, "{}").unwrap();
    let sent = Command::new(env!("CARGO_BIN_EXE_wharf-ops"))
        .args(["send", endpoint["name"].as_str().unwrap(), "--body"])
        .arg(&body)
        .env("WHARF_OPS_FOLDER", &dev.folder)
        .output()
        .unwrap();
    assert!(sent.status.success(), "{sent:?}");
    dev.until_it_prints("answered 2");

    let pid = dev.child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    assert!(dev.child.wait().unwrap().success(), "{}", dev.output());
    let address = facts["aws_endpoint_url"].as_str().unwrap().replace("http://", "");
    assert!(TcpStream::connect(address).is_err(), "the emulator is still up");
    assert!(!dev.folder.join("stack.json").exists());
    assert_eq!(fs::read_dir(dev.folder.join("run")).unwrap().count(), 0);
}

/// What a command printed that must succeed.
fn printed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn what_operators_do_works_on_the_local_stack_and_in_the_same_words_on_a_stage() {
    let mut dev = Dev::start("operate");
    let folder = dev.folder.clone();
    let local = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wharf-ops"));
        command.args(arguments).env("WHARF_OPS_FOLDER", &folder);
        command
    };
    let facts = dev.facts();
    let variables = ["aws_endpoint_url", "region", "access_key_id", "secret_access_key"];
    let stage = |arguments: &[&str]| {
        let mut command = local(arguments);
        for (name, fact) in
            ["AWS_ENDPOINT_URL", "AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"].iter().zip(variables)
        {
            command.env(name, facts[fact].as_str().unwrap());
        }
        command.args(["--stage", "local"]);
        command
    };
    const UNCHANGED: &str = "\nNothing was changed: with --execute, it is done.\n";

    assert!(printed(&mut local(&["pause"])).ends_with(UNCHANGED));
    assert!(printed(&mut local(&["pause", "--execute"])).contains("it is paused; about 0 messages are in the queue"));
    printed(&mut local(&["send", "github", "--id", "d-1"]));
    let paused = "the consumer of stage local is paused already; about 1 messages wait\n";
    assert_eq!(printed(&mut stage(&["pause"])), paused);
    assert!(printed(&mut stage(&["resume", "--execute"])).ends_with("it is running\n"));
    dev.until_it_prints(" landed ");

    let text = printed(&mut local(&["inspect", "github", "d-1"]));
    assert!(text.contains("state          completed\n"), "{text}");
    assert!(text.contains("\nheaders and body are not shown: the message of a completed event is not kept"), "{text}");
    assert_eq!(printed(&mut stage(&["inspect", "github", "d-1"])), text);
    let json: serde_json::Value =
        serde_json::from_str(&printed(&mut local(&["inspect", "github", "d-1", "--json"]))).unwrap();
    assert_eq!(json[0]["event_key"], "github#d-1");
    assert_eq!(printed(&mut local(&["failed"])), "no failed or parked events\n");
    assert!(printed(&mut stage(&["failed", "--json"])).contains("\"events\": []"));
    let refused = local(&["replay", "github", "d-1", "--execute"]).output().unwrap();
    assert_eq!(error(&refused), "error: nothing can be replayed of what github sent under \"d-1\"\n");
    assert!(printed(&mut local(&["redrive"])).starts_with("0 would be moved, 0 stay"));

    assert!(printed(&mut local(&["forget", "github", "d-1"])).ends_with(UNCHANGED));
    assert!(printed(&mut stage(&["forget", "github", "d-1", "--execute"])).contains("  erased\n"));
    let gone = error(&local(&["inspect", "github", "d-1"]).output().unwrap());
    assert!(gone.starts_with("error: the ledger of the local stack knows no event \"d-1\" of github."), "{gone}");
}

#[test]
fn with_json_every_command_prints_documents_of_json_and_nothing_else() {
    let mut dev = Dev::start("json");
    let folder = dev.folder.clone();
    let ops = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wharf-ops"));
        command.args(arguments).arg("--json").env("WHARF_OPS_FOLDER", &folder);
        command
    };
    let document = |arguments: &[&str]| -> serde_json::Value {
        let text = printed(&mut ops(arguments));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {text}"))
    };
    let lines = |text: &str| -> Vec<serde_json::Value> {
        text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
    };

    let sent = lines(&printed(&mut ops(&["send", "github", "--id", "d-1", "--times", "2"])));
    assert_eq!(sent.len(), 2);
    assert_eq!((&sent[0]["status"], &sent[0]["id"]), (&200.into(), &"d-1".into()));
    dev.until_it_prints(" landed ");

    let paused = document(&["pause"]);
    let states =
        |value: &serde_json::Value| (value["execute"].clone(), value["before"].clone(), value["after"].clone());
    assert_eq!(states(&paused), (false.into(), "running".into(), "running".into()));
    assert_eq!(states(&document(&["pause", "--execute"])), (true.into(), "running".into(), "paused".into()));
    assert_eq!(document(&["status"])["consumer"], "paused");
    assert_eq!(states(&document(&["resume", "--execute"])), (true.into(), "paused".into(), "running".into()));

    let status = document(&["status"]);
    for name in ["stage", "at", "well", "troubles", "not_known", "stack", "alarms", "consumer", "queue", "dead_letters"]
    {
        assert!(!status[name].is_null(), "{name}: {status}");
    }
    assert_eq!(status["endpoints"][0]["endpoint"], "github");
    assert_eq!(document(&["inspect", "github", "d-1"])[0]["event_key"], "github#d-1");
    assert_eq!(document(&["failed"])["events"], serde_json::json!([]));
    assert_eq!(document(&["replay", "--all-failed"])["events"], serde_json::json!([]));
    let redriven = lines(&printed(&mut ops(&["redrive"])));
    assert_eq!((redriven.len(), &redriven[0]["moved"]), (1, &0.into()));
    let refused = ops(&["replay", "github", "d-1", "--execute"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let refused: serde_json::Value = serde_json::from_slice(&refused.stdout).unwrap();
    assert_eq!(refused["events"][0]["outcome"], "refused");
    assert_eq!(document(&["forget", "github", "d-1"])[0]["outcome"], "would_be_erased");
    assert_eq!(document(&["forget", "github", "d-1", "--execute"])[0]["outcome"], "erased");

    let added = document(&["secret", "add", "github", "--execute"]);
    assert_eq!((&added["before"], &added["after"]), (&1.into(), &2.into()));
    assert_eq!(added["secret"].as_str().unwrap().len(), 64);
    assert!(document(&["secret", "add", "github"])["secret"].is_null());
    assert_eq!(document(&["secret", "drop", "github", "--force", "--execute"])["after"], 1);
    assert_eq!(document(&["secret", "list"])[0]["count"], 1);

    assert_eq!(document(&["providers"])[0]["provider"], "github");
    assert_eq!(document(&["providers", "trello"])["schemes"][0]["place"], "x-trello-webhook");
    assert_eq!(document(&["check"])["problems"], serde_json::json!([]));
    let broken = folder.join("broken.toml");
    fs::write(&broken, "[endpoints.one]\nprovider = \"nobody\"\n").unwrap();
    let checked = ops(&["check", broken.to_str().unwrap()]).output().unwrap();
    let checked: serde_json::Value = serde_json::from_slice(&checked.stdout).unwrap();
    assert_eq!(checked["problems"][0]["line"], 2);
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors");
    assert_eq!(document(&["vectors", vectors.to_str().unwrap()])["disagreements"], serde_json::json!([]));
}

#[test]
fn tail_tells_what_happened_since_and_ends_with_ctrl_c() {
    let mut dev = Dev::start("tail");
    let folder = dev.folder.clone();
    let ops = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wharf-ops"));
        command.args(arguments).env("WHARF_OPS_FOLDER", &folder);
        command
    };
    printed(&mut ops(&["send", "github", "--id", "d-1"]));
    printed(&mut ops(&["send", "partner"]));
    dev.until_it_prints("partner    landed");
    dev.until_it_prints("github     landed");
    let tail = |name: &str, arguments: &[&str]| {
        let file = folder.join(name);
        let mut tail = ops(arguments).stdout(File::create(&file).unwrap()).spawn().unwrap();
        let started = Instant::now();
        while !fs::read_to_string(&file).unwrap().contains("landed") {
            assert!(started.elapsed() < Duration::from_secs(30), "nothing landed");
            std::thread::sleep(Duration::from_millis(50));
        }
        assert!(Command::new("kill").args(["-INT", &tail.id().to_string()]).status().unwrap().success());
        assert!(tail.wait().unwrap().success());
        fs::read_to_string(&file).unwrap()
    };
    let told = tail("tail.txt", &["tail", "--since", "10m", "--endpoint", "github"]);
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines.len(), 2, "{told}");
    assert!(lines[0].contains("  github     accepted       push d-1 answered 200"), "{told}");
    assert!(lines[1].contains("  github     landed         push d-1 attempt 1 "), "{told}");
    assert!(lines.iter().all(|line| dev.output().contains(line)), "`cargo ops dev` says the same: {told}");
    let json = tail("tail.json", &["tail", "--since", "10m", "--endpoint", "github", "--json"]);
    let first: serde_json::Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    assert_eq!((&first["outcome"], &first["event_id"]), (&"accepted".into(), &"d-1".into()));
}

/// What bash completes these words with, of which the last one is unfinished.
fn completed_by_bash(before: &str, words: &[&str]) -> Vec<String> {
    let script = printed(Command::new(env!("CARGO_BIN_EXE_wharf-ops")).args(["completions", "bash"]));
    let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    let [.., previous, last] = words else { unreachable!("there are two words at least") };
    let ask = format!(
        "{before}\n{script}\nCOMP_WORDS=({}); COMP_CWORD={}\n\
         [[ $(complete -p cargo) =~ -F\\ ([^ ]+) ]] && \"${{BASH_REMATCH[1]}}\" cargo '{last}' '{previous}'\n\
         printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        quoted.join(" "),
        words.len() - 1
    );
    let text = printed(Command::new("bash").args(["--norc", "-c", &ask]));
    text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[test]
fn bash_completes_cargo_ops_with_commands_options_endpoints_and_stages_and_leaves_the_rest_of_cargo_alone() {
    let completed = |words: &[&str]| completed_by_bash("", words);
    assert_eq!(completed(&["cargo", "ops", "re"]), ["replay", "resume", "redrive"]);
    assert_eq!(completed(&["cargo", "+stable", "ops", "insp"]), ["inspect"]);
    assert_eq!(completed(&["cargo", "ops", "secret", "dr"]), ["drop"]);
    assert_eq!(completed(&["cargo", "ops", "failed", "--stage", "prod"]), ["production"]);
    assert_eq!(completed(&["cargo", "ops", "failed", "--prof"]), ["--profile"]);
    assert_eq!(completed(&["cargo", "ops", "inspect", "gith"]), ["github"]);
    assert_eq!(completed(&["cargo", "ops", "providers", "tre"]), ["trello"]);
    assert_eq!(completed(&["cargo", "o"]), ["ops"]);
    let cargos = "_theirs() { COMPREPLY=(theirs); }; complete -F _theirs cargo";
    assert_eq!(completed_by_bash(cargos, &["cargo", "bu"]), ["theirs"]);
    assert_eq!(completed_by_bash(cargos, &["cargo", "ops", "resu"]), ["resume"]);
}

/// The same, with this on standard input.
fn printed_with_input(command: &mut Command, input: &str) -> String {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Has the stack's CloudWatch know that the receiver counted one, a minute ago.
fn counted(facts: &serde_json::Value, endpoint: &str, metric: Metric) {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let at = UnixMillis(i64::try_from(since_1970.as_millis()).unwrap() - 60_000);
    let reporter = Reporter { stage: "local".into(), version: "1".into() };
    let fields = Report::of(endpoint).with(metric, 1).line(&reporter, at).unwrap();
    let line = Line { function: Function::Receiver, at, fields: serde_json::from_str(&fields).unwrap() };
    let facts: Facts = serde_json::from_value(facts.clone()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(embedded_metrics::put(&facts.configuration(), &[line])).unwrap();
}

#[test]
fn a_secret_is_changed_by_commands_that_show_no_other_than_the_one_that_they_made_up() {
    let dev = Dev::start("secret");
    let folder = dev.folder.clone();
    let ops = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wharf-ops"));
        command.args(arguments).env("WHARF_OPS_FOLDER", &folder);
        command
    };
    let facts = dev.facts();
    let secret_of = |endpoint: usize| facts["endpoints"][endpoint]["secret"].as_str().unwrap().to_owned();
    let (old, partners) = (secret_of(0), secret_of(1));
    let secrets_in = |text: &str| {
        let is_one = |line: &&str| line.len() == 64 && line.bytes().all(|byte| byte.is_ascii_hexdigit());
        text.lines().filter(is_one).map(str::to_owned).collect::<Vec<_>>()
    };
    const UNCHANGED: &str = "\nNothing was changed: with --execute, it is done.\n";

    let shown = printed(&mut ops(&["secret", "add", "github"]));
    assert!(
        shown.starts_with("github of the local stack has 1 secret\none that is made up becomes its newest"),
        "{shown}"
    );
    assert!(shown.ends_with(UNCHANGED), "{shown}");
    assert!(secrets_in(&shown).is_empty(), "{shown}");
    let added = printed(&mut ops(&["secret", "add", "github", "--execute"]));
    let new = secrets_in(&added);
    assert!(new.len() == 1 && new[0] != old, "{added}");
    assert!(added.contains("\n1. wait 5 minutes, until 2"), "{added}");
    assert!(added.contains("cargo ops secret drop github --execute\n"), "{added}");

    // The sender has not been switched: what it signs with is still valid.
    printed(&mut ops(&["send", "github"]));
    counted(&facts, "github", Metric::OlderSecretMatched);
    let list = printed(&mut ops(&["secret", "list"]));
    assert!(list.starts_with("github   2 secrets, changed 2"), "{list}");
    assert!(list.contains("\n         an older one matched in the minute of 2"), "{list}");
    assert!(list.contains("\npartner  1 secret, changed 2"), "{list}");
    for arguments in [&["secret", "drop", "github"][..], &["secret", "drop", "github", "--execute"]] {
        let refused = error(&ops(arguments).output().unwrap());
        assert!(refused.starts_with("error: an older secret of github matched in the minute of 2"), "{refused}");
    }
    let forced = printed(&mut ops(&["secret", "drop", "github", "--force"]));
    assert!(forced.ends_with(UNCHANGED), "{forced}");
    let dropped = printed(&mut ops(&["secret", "drop", "github", "--force", "--execute"]));
    assert!(dropped.ends_with("done: 1 left\n"), "{dropped}");
    let json: serde_json::Value =
        serde_json::from_str(&printed(&mut ops(&["secret", "list", "github", "--json"]))).unwrap();
    assert_eq!((&json[0]["endpoint"], &json[0]["count"]), (&"github".into(), &1.into()));
    let refused = error(&ops(&["secret", "drop", "github", "--execute"]).output().unwrap());
    assert!(refused.starts_with("error: github has one secret only"), "{refused}");

    // On a stage, with what the sender shows.
    let mut set = ops(&["secret", "set", "partner", "--stdin", "--execute", "--stage", "local"]);
    for (name, fact) in [
        ("AWS_ENDPOINT_URL", "aws_endpoint_url"),
        ("AWS_REGION", "region"),
        ("AWS_ACCESS_KEY_ID", "access_key_id"),
        ("AWS_SECRET_ACCESS_KEY", "secret_access_key"),
    ] {
        set.env(name, facts[fact].as_str().unwrap());
    }
    let set = printed_with_input(&mut set, "sesame\n");
    assert!(
        set.starts_with("partner of stage local has 1 secret\nthe one from standard input becomes its only one"),
        "{set}"
    );
    let file = folder.join("secret.txt");
    fs::write(&file, "sesame").unwrap();
    let mut same = ops(&["secret", "add", "partner", "--stdin", "--execute"]);
    let same = error(&same.stdin(File::open(&file).unwrap()).output().unwrap());
    assert_eq!(same, "error: partner has this very secret already\n");
    let unknown = error(&ops(&["secret", "add", "gitlab", "--execute"]).output().unwrap());
    assert_eq!(unknown, "error: endpoints.toml has no endpoint \"gitlab\"; it has github, partner\n");

    for text in [shown, list, forced, dropped, json.to_string(), set, same] {
        for secret in [&old, &new[0], &partners, "sesame"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
    assert!(!added.contains(&old), "{added}");
}

#[test]
fn the_local_stack_ends_even_if_dev_is_killed() {
    let mut dev = Dev::start("killed");
    let address = dev.facts()["aws_endpoint_url"].as_str().unwrap().replace("http://", "");
    assert!(TcpStream::connect(&address).is_ok());
    dev.child.kill().unwrap();
    dev.child.wait().unwrap();
    let started = Instant::now();
    while TcpStream::connect(&address).is_ok() {
        assert!(started.elapsed() < Duration::from_secs(30), "the emulator is still up");
        std::thread::sleep(Duration::from_millis(20));
    }
}
