//! A checkout of a test's own, in which `cargo ops` runs as an operator runs it, and finds AWS in an emulator.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::OnceLock;

use wharf_ops::emulator::{ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY};
use wharf_ops::package::{self, FUNCTIONS};
use wharf_ops::project::Project;
use wharf_ops::{endpoint_alarms, python};

use crate::harness::{receiver, scratch};

/// What tools of AWS would have from the machine that the tests run on.
const FOREIGN: [&str; 3] = ["AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_CA_BUNDLE"];

/// A checkout in a folder of its own, which is removed when this is dropped.
pub struct Checkout {
    root: PathBuf,
    endpoint_url: String,
}

impl Checkout {
    /// One that accepts these endpoints, and deploys the stage `local` with these parameters, to the AWS that answers there.
    pub fn new(name: &str, endpoints: &str, parameters: &str, endpoint_url: &str) -> Checkout {
        let root = scratch().join(format!("{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        for folder in ["infra", "src"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        // By this it is known for a checkout.
        fs::write(root.join("Cargo.toml"), "[workspace]\n[package]\nname = \"wharf\"\nversion = \"0.0.0\"\n").unwrap();
        fs::write(root.join("src/lib.rs"), "").unwrap();
        let own = Project::find().unwrap();
        fs::copy(own.path("infra/template.yaml"), root.join("infra/template.yaml")).unwrap();
        fs::write(root.join("endpoints.toml"), endpoints).unwrap();
        let checkout = Checkout { root, endpoint_url: endpoint_url.to_owned() };
        let alarms = endpoint_alarms::template(&checkout.project().endpoints().unwrap());
        fs::write(checkout.path(endpoint_alarms::PATH), alarms).unwrap();
        checkout.deploys_with(parameters);
        checkout
    }

    /// Writes the stage's parameters.
    pub fn deploys_with(&self, parameters: &str) {
        let text = format!(
            "version = 0.1\n[local.deploy.parameters]\nstack_name = \"wharf-local\"\nresolve_s3 = true\n\
             capabilities = \"CAPABILITY_IAM\"\nconfirm_changeset = true\nfail_on_empty_changeset = false\n\
             parameter_overrides = \"Stage=local {parameters}\"\n"
        );
        fs::write(self.path("infra/samconfig.toml"), text).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The same, with the programs that are installed already.
    pub fn project(&self) -> Project {
        Project::at(self.root.clone(), Project::find().unwrap().made(""))
    }

    /// Makes the zips that cargo-lambda would make, of the binaries that are tested.
    pub fn make_zips(&self) {
        let endpoints = fs::read_to_string(self.path("endpoints.toml")).unwrap();
        for function in FUNCTIONS {
            let zip = package::zip(&receiver().with_file_name(function), &endpoints).unwrap();
            let path = package::zip_path(&self.project(), function);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, zip).unwrap();
        }
    }

    /// What `cargo ops` prints here, and whether it succeeds.
    pub fn ops(&self, arguments: &[&str]) -> Said {
        Said::by(self.in_environment(Command::new(ops()).args(arguments)))
    }

    /// Runs a command as it was suggested: `cargo ops …` or `aws …`.
    pub fn run(&self, line: &str) -> Said {
        let line = line.replace("cargo ops ", &format!("{} ", ops().display()));
        // For SQS, this version does not go by the variable.
        let line = format!("aws() {{ command aws --endpoint-url \"$AWS_ENDPOINT_URL\" \"$@\"; }}; {line}");
        let aws = python::programs(&self.project(), python::AWS_CLI, &|step| println!("{step}")).unwrap();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = [aws].into_iter().chain(std::env::split_paths(&path));
        let mut command = Command::new("sh");
        command.args(["-euc", &line]).env("PATH", std::env::join_paths(path).unwrap());
        Said::by(self.in_environment(&mut command))
    }

    fn in_environment<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        for name in FOREIGN {
            command.env_remove(name);
        }
        command
            .env("WHARF_OPS_FOLDER", self.project().made(""))
            .env("AWS_CONFIG_FILE", self.path("no-config"))
            .env("AWS_SHARED_CREDENTIALS_FILE", self.path("no-credentials"))
            // Where SAM keeps what it knows of this machine.
            .env("__SAM_CLI_APP_DIR", self.path("sam"))
            .env("AWS_ENDPOINT_URL", &self.endpoint_url)
            .env("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID)
            .env("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY)
            .env("AWS_REGION", REGION)
            .env("AWS_DEFAULT_REGION", REGION)
            .current_dir(&self.root)
    }
}

impl Drop for Checkout {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

/// What a command printed.
#[derive(Debug)]
pub struct Said {
    pub succeeded: bool,
    /// Standard output, then standard error.
    pub text: String,
}

impl Said {
    fn by(command: &mut Command) -> Said {
        let Output { status, stdout, stderr } = command.output().unwrap();
        let text = String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned();
        Said { succeeded: status.success(), text }
    }

    #[track_caller]
    pub fn has(&self, expected: &str) -> &Said {
        assert!(self.text.contains(expected), "it does not say {expected:?}:\n{}", self.text);
        self
    }
}

/// `cargo ops`, which `cargo test --test` does not build; it takes no time where it is built.
fn ops() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let build = Command::new(env!("CARGO")).args(["build", "--quiet", "--bin", "wharf-ops"]).status().unwrap();
        assert!(build.success(), "cargo ops cannot be built");
        receiver().with_file_name("wharf-ops")
    });
    built.clone()
}
