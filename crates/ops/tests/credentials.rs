//! Where `cargo ops --stage …` has its credentials and its region from: the profiles are those of a home of the test's own,
//! and what comes of them is seen in a request's signature.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "what goes wrong in a test is a failure of the test")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use wharf_ops::project::Project;

/// `cargo ops` as it was built for this run. Its path is compiled in, too, and that is another checkout's where this one is a copy.
fn wharf_ops() -> Command {
    Command::new(std::env::var_os("CARGO_BIN_EXE_wharf-ops").unwrap())
}

/// A home, and an AWS that knows no stack and denies everything else.
struct Home {
    folder: PathBuf,
    url: String,
    signed: Arc<Mutex<Vec<String>>>,
}

impl Home {
    fn new(name: &str, config: &str, credentials: &str) -> Home {
        let folder = Project::find().unwrap().made("tests").join(format!("home-{name}"));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join(".aws")).unwrap();
        fs::write(folder.join(".aws/config"), config).unwrap();
        fs::write(folder.join(".aws/credentials"), credentials).unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let signed = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&signed);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = BufReader::new(stream.unwrap());
                let (mut length, mut line) = (0, String::new());
                while stream.read_line(&mut line).unwrap() > 2 {
                    let lower = line.to_ascii_lowercase();
                    if let Some(value) = lower.strip_prefix("content-length: ") {
                        length = value.trim().parse().unwrap();
                    }
                    if lower.starts_with("authorization: ") {
                        let credential = line.split("Credential=").nth(1).unwrap().split(',').next().unwrap();
                        let parts: Vec<&str> = credential.split('/').collect();
                        heard.lock().unwrap().push(format!("{} in {}", parts[0], parts[2]));
                    }
                    line.clear();
                }
                stream.read_exact(&mut vec![0; length]).unwrap();
                let body =
                    "<ErrorResponse><Error><Code>ValidationError</Code><Message>no</Message></Error></ErrorResponse>";
                let answer =
                    format!("HTTP/1.1 400 Bad\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                stream.get_mut().write_all(answer.as_bytes()).unwrap();
            }
        });
        Home { folder, url, signed }
    }

    fn ops(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
        let mut command = wharf_ops();
        command.args(arguments);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AWS_")) {
            command.env_remove(name);
        }
        // Where rustup has its own is not to move with the home.
        command.env("CARGO", env!("CARGO")).env("HOME", &self.folder);
        command.env("AWS_ENDPOINT_URL", &self.url).env("AWS_EC2_METADATA_DISABLED", "true");
        command.envs(environment.iter().copied()).output().unwrap()
    }

    /// Key and region that the first request was signed with.
    fn signed_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> String {
        self.signed.lock().unwrap().clear();
        let error = self.error(arguments, environment);
        assert!(error.starts_with("error: there is no stack wharf-production in "), "{error}");
        self.signed.lock().unwrap()[0].clone()
    }

    fn error(&self, arguments: &[&str], environment: &[(&str, &str)]) -> String {
        let output = self.ops(arguments, environment);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    }
}

const STAGE: [&str; 3] = ["failed", "--stage", "production"];
const KEYS: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "AKIAENVIRONMENT"), ("AWS_SECRET_ACCESS_KEY", "s3cret")];

#[test]
fn credentials_and_region_are_those_of_the_environment_or_the_profile_as_with_every_tool_of_aws() {
    let home = Home::new(
        "profiles",
        "[default]\nregion = eu-west-1\n[profile other]\nregion = eu-west-3\n",
        "[default]\naws_access_key_id = AKIADEFAULT\naws_secret_access_key = s\n\
         [other]\naws_access_key_id = AKIAOTHER\naws_secret_access_key = s\n",
    );
    assert_eq!(home.signed_with(&STAGE, &[]), "AKIADEFAULT in eu-west-1");
    assert_eq!(home.signed_with(&STAGE, &[("AWS_PROFILE", "other")]), "AKIAOTHER in eu-west-3");
    let named = [&STAGE[..], &["--profile", "other"]].concat();
    assert_eq!(home.signed_with(&named, &[("AWS_PROFILE", "default")]), "AKIAOTHER in eu-west-3");
    assert_eq!(home.signed_with(&STAGE, &KEYS), "AKIAENVIRONMENT in eu-west-1");
    assert_eq!(home.signed_with(&named, &KEYS), "AKIAOTHER in eu-west-3", "what is named is meant");
    assert_eq!(home.signed_with(&named, &[("AWS_REGION", "us-east-2")]), "AKIAOTHER in us-east-2");
    let in_region = [&named[..], &["--region", "sa-east-1"]].concat();
    assert_eq!(home.signed_with(&in_region, &[("AWS_REGION", "us-east-2")]), "AKIAOTHER in sa-east-1");
    assert_eq!(home.signed_with(&STAGE, &[("AWS_REGION", "")]), "AKIADEFAULT in eu-west-1", "empty is not set");
}

#[test]
fn a_process_that_the_profile_names_gives_credentials_and_is_run_once() {
    let home = Home::new("process", "", "");
    let (process, runs) = (home.folder.join("process.sh"), home.folder.join("runs"));
    let script = format!(
        "#!/bin/sh\necho run >> {}\necho '{{\"Version\": 1, \"AccessKeyId\": \"AKIAPROCESS\", \"SecretAccessKey\": \"s\"}}'\n",
        runs.display()
    );
    fs::write(&process, script).unwrap();
    fs::set_permissions(&process, fs::Permissions::from_mode(0o700)).unwrap();
    let config = format!("[profile proc]\nregion = eu-west-1\ncredential_process = {}\n", process.display());
    fs::write(home.folder.join(".aws/config"), config).unwrap();
    // It asks CloudFormation, then SSM.
    let output = home.ops(&["secret", "list", "--stage", "production", "--profile", "proc"], &[]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let signed = home.signed.lock().unwrap().clone();
    assert!(signed.len() >= 2 && signed.iter().all(|signed| signed == "AKIAPROCESS in eu-west-1"), "{signed:?}");
    assert_eq!(fs::read_to_string(&runs).unwrap(), "run\n");

    fs::write(&process, "#!/bin/sh\nexit 3\n").unwrap();
    let error = home.error(&[&STAGE[..], &["--profile", "proc"]].concat(), &[]);
    assert!(
        error.starts_with("error: the credentials to reach a deployed stage cannot be had (profile \"proc\"): "),
        "{error}"
    );
}

#[test]
fn a_profile_that_is_not_there_is_answered_with_those_that_are() {
    let home = Home::new("missing", "[default]\n[profile other]\n", "");
    for (arguments, environment) in
        [(&[&STAGE[..], &["--profile", "nobody"]].concat()[..], &[][..]), (&STAGE, &[("AWS_PROFILE", "nobody")])]
    {
        let error = home.error(arguments, environment);
        assert!(
            error.starts_with(
                "error: there is no profile \"nobody\" in ~/.aws/config and ~/.aws/credentials; they have default, other. `aws \
                 configure --profile nobody`"
            ),
            "{error}"
        );
    }
}

#[test]
fn without_region_or_credentials_it_is_said_what_was_tried_and_what_to_do() {
    let home = Home::new("nothing", "", "");
    let started = Instant::now();
    let error = home.error(&STAGE, &KEYS);
    assert!(
        error.starts_with("error: no region to reach a deployed stage in: AWS_REGION and AWS_DEFAULT_REGION"),
        "{error}"
    );
    assert!(error.contains("Give --region"), "{error}");
    let error = home.error(&STAGE, &[("AWS_REGION", "eu-west-1")]);
    assert!(error.starts_with("error: no credentials to reach a deployed stage: AWS_ACCESS_KEY_ID and"), "{error}");
    assert!(error.contains("`aws sso login --profile NAME`"), "{error}");
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());

    let sso = "[profile sso]\nregion = eu-west-1\nsso_session = s\nsso_account_id = 123456789012\nsso_role_name = dev\n\
               [sso-session s]\nsso_region = eu-west-1\nsso_start_url = https://example.awsapps.com/start\n";
    fs::write(home.folder.join(".aws/config"), sso).unwrap();
    let error = home.error(&[&STAGE[..], &["--profile", "sso"]].concat(), &[]);
    assert!(error.contains("`aws sso login --profile sso` signs in again"), "{error}");
    assert!(home.signed.lock().unwrap().is_empty());
}

#[test]
fn a_metadata_service_that_does_not_answer_costs_two_seconds_at_most() {
    let home = Home::new("metadata", "", "");
    // It takes the connection, and says nothing.
    let silent = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let started = Instant::now();
    let environment =
        [("AWS_EC2_METADATA_DISABLED", "false"), ("AWS_EC2_METADATA_SERVICE_ENDPOINT", endpoint.as_str())];
    let error = home.error(&STAGE, &environment);
    assert!(error.starts_with("error: no region to reach a deployed stage in"), "{error}");
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    let started = Instant::now();
    let error = home.error(&[&STAGE[..], &["--region", "eu-west-1"]].concat(), &environment);
    assert!(error.starts_with("error: no credentials to reach a deployed stage"), "{error}");
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
}
