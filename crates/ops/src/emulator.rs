//! The emulator of AWS, as a process that ends with whoever started it.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use aws_credential_types::Credentials;
use aws_types::SdkConfig;

use crate::project::Project;
use crate::{aws, private_file, python};

/// How long it may take to start.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// How often other ports are tried where any will do.
const PORTS_TRIED_MAX: usize = 5;

/// A running emulator. It and the functions that it runs end when this is dropped, or when this process ends in any way.
#[derive(Debug)]
pub struct Emulator {
    child: Child,
    port: u16,
    folder: PathBuf,
    /// Held as long as the folder is in use.
    _lock: File,
}

/// On which port of the loopback interface it listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Port {
    /// This one; if it is taken, that is an error.
    Fixed(u16),
    /// Any that is free.
    Any,
}

impl Port {
    /// Makes sure that it can be listened on.
    ///
    /// # Errors
    /// If another program has it.
    pub fn require_free(self) -> Result<()> {
        let Port::Fixed(number) = self else { return Ok(()) };
        TcpListener::bind((Ipv4Addr::LOCALHOST, number)).map(drop).with_context(|| {
            format!(
                "the port {number} of 127.0.0.1 cannot be used, perhaps because another `cargo ops dev` is up: stop that, or choose another with --port"
            )
        })
    }
}

impl Emulator {
    /// Starts it, and returns when it answers.
    ///
    /// # Errors
    /// If it cannot be installed or started, or the port is taken.
    pub async fn start(project: &Project, port: Port, progress: &dyn Fn(&str)) -> Result<Emulator> {
        port.require_free()?;
        let interpreter = python::interpreter(project, python::EMULATOR, progress)?;
        progress("starting the emulator of AWS");
        let mut tries = 0;
        loop {
            tries += 1;
            let number = match port {
                Port::Fixed(number) => number,
                Port::Any => free_port()?,
            };
            match Emulator::start_on(project, &interpreter, number).await {
                // Somebody else took the port that was free a moment ago.
                Err(_) if port == Port::Any && tries < PORTS_TRIED_MAX => {}
                started => return started,
            }
        }
    }

    async fn start_on(project: &Project, interpreter: &PathBuf, port: u16) -> Result<Emulator> {
        let (folder, lock) = make_run_folder(project, port)?;
        let log_path = folder.join("emulator.log");
        let log = File::create(&log_path).with_context(|| format!("cannot write {}", log_path.display()))?;
        let mut command = Command::new(interpreter);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("AWS_")) {
            command.env_remove(name);
        }
        let child = command
            .args(["-c", include_str!("../python/run_emulator.py")])
            .env("GATEWAY_PORT", port.to_string())
            .env("BIND_HOST", "127.0.0.1")
            .env("IOT_MTLS_ENABLED", "0")
            // Its functions are led to this address.
            .env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{port}"))
            .env("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID)
            .env("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY)
            .env("AWS_DEFAULT_REGION", REGION)
            // Lambda gives every function a session token.
            .env("AWS_SESSION_TOKEN", "test")
            // Where it unpacks the functions.
            .env("TMPDIR", &folder)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(log.try_clone().context("cannot share the log file")?)
            .stderr(log)
            .spawn()
            .context("cannot start the emulator")?;
        let mut emulator = Emulator { child, port, folder, _lock: lock };
        emulator.wait_until_ready().await?;
        Ok(emulator)
    }

    async fn wait_until_ready(&mut self) -> Result<()> {
        let started = Instant::now();
        let url = format!("{}/_ministack/ready", self.url());
        loop {
            if let Some(status) = self.child.try_wait().context("cannot watch the emulator")? {
                bail!("the emulator ended with {status}. Its last words:\n{}", self.last_words());
            }
            if let Ok(answer) = reqwest::get(&url).await
                && answer.status().is_success()
            {
                return Ok(());
            }
            if started.elapsed() > START_TIMEOUT {
                bail!(
                    "the emulator did not answer within {} s. Its last words:\n{}",
                    START_TIMEOUT.as_secs(),
                    self.last_words()
                );
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }

    /// Where every service of AWS answers.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// For any client of its services.
    pub fn configuration(&self) -> SdkConfig {
        configuration(&self.url())
    }

    /// Where it writes what it does.
    pub fn log_path(&self) -> PathBuf {
        self.folder.join("emulator.log")
    }

    /// The end of its log.
    pub fn last_words(&self) -> String {
        let log = fs::read(self.log_path()).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines.get(lines.len().saturating_sub(20)..).unwrap_or_default().join("\n")
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        // Closing the pipe ends it and all that it started.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The emulator's key; its HTTP API serves the account of this one only.
pub const ACCESS_KEY_ID: &str = "test";
/// The emulator checks no signature.
pub const SECRET_ACCESS_KEY: &str = "test";
/// The region that everything local is in.
pub const REGION: &str = "us-east-1";

/// For any client of the services of an emulator that answers there.
pub(crate) fn configuration(endpoint_url: &str) -> SdkConfig {
    let credentials = Credentials::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY, None, None, "local stack");
    aws::configuration(REGION.to_owned(), credentials, Some(endpoint_url.to_owned()))
}

/// Makes the folder of an emulator on this port, and removes those that were left behind by one that was killed: nobody
/// holds their locks.
fn make_run_folder(project: &Project, port: u16) -> Result<(PathBuf, File)> {
    let all = project.made("run");
    fs::create_dir_all(&all).with_context(|| format!("cannot make the folder {}", all.display()))?;
    // One at a time, so that nobody takes a folder for left behind that is just being made.
    let path = project.made("run.lock");
    let one_at_a_time = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    one_at_a_time.lock().with_context(|| format!("cannot lock {}", path.display()))?;
    for left in fs::read_dir(&all).with_context(|| format!("cannot read {}", all.display()))?.flatten() {
        let is_unused = File::open(left.path().join("lock")).is_ok_and(|lock| lock.try_lock().is_ok());
        if is_unused {
            // Another process may be at the same.
            let _ = fs::remove_dir_all(left.path());
        }
    }
    let folder = all.join(format!("{port}-{}", std::process::id()));
    // Its log may quote what a function was given.
    private_file::make_folder(&folder)?;
    let path = folder.join("lock");
    let lock = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    lock.lock().with_context(|| format!("cannot lock {}", path.display()))?;
    Ok((folder, lock))
}

/// A port that is free now.
fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("there is no free port on 127.0.0.1")?;
    Ok(listener.local_addr().context("a listener without an address")?.port())
}
