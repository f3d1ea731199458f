//! What is measured: the process of a function, as Lambda starts it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::Bytes;

use super::runtime_api::RuntimeApi;
use super::services::Services;

/// A program that serves Lambda's events.
#[derive(Debug, Clone)]
pub struct Subject {
    /// `receiver`
    pub name: String,
    /// The program, and its arguments.
    pub command: Vec<PathBuf>,
    /// What the template, or its user, sets for it.
    pub variables: Vec<(String, String)>,
    /// Where it finds its code: `LAMBDA_TASK_ROOT`.
    pub folder: PathBuf,
}

/// A subject that runs. It ends with this value.
#[derive(Debug)]
pub struct Running {
    child: Child,
    api: RuntimeApi,
    /// The process that is measured: what it takes is read where Linux tells it.
    status: PathBuf,
    log: PathBuf,
}

/// What something took.
#[derive(Debug, Clone, Copy, Default)]
pub struct Spent {
    /// On the clock.
    pub wall: Duration,
    /// Of a processor, all threads together.
    pub cpu: Duration,
}

/// Where what a function prints goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Log {
    /// Into a file, from which an error is told.
    File,
    /// Nowhere: there are too many lines.
    Nowhere,
}

/// How long a process has to become idle before its time is read.
const SETTLED: Duration = Duration::from_millis(3);

impl Running {
    /// Starts a subject, waits until it asks for its first event, and says what that took.
    ///
    /// # Errors
    /// If it does not, with what it printed.
    pub fn start(subject: &Subject, services: &Services, folder: &Path, log: Log) -> Result<(Running, Spent)> {
        Running::start_with(&[], subject, services, folder, log)
    }

    /// The same, under another program, such as valgrind.
    ///
    /// # Errors
    /// If it does not ask for an event.
    pub fn start_with(
        wrapper: &[String],
        subject: &Subject,
        services: &Services,
        folder: &Path,
        log: Log,
    ) -> Result<(Running, Spent)> {
        let api = RuntimeApi::start()?;
        let words = wrapper.iter().map(PathBuf::from).chain(subject.command.iter().cloned());
        let words: Vec<PathBuf> = words.collect();
        let (program, arguments) = words.split_first().context("a subject has a program")?;
        let path = folder.join(format!("{}.log", subject.name));
        let (output, errors) = match log {
            Log::File => {
                let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
                (Stdio::from(file.try_clone()?), Stdio::from(file))
            }
            Log::Nowhere => (Stdio::null(), Stdio::null()),
        };
        let started_at = Instant::now();
        // Nothing of this process's environment, and what Lambda and the template set.
        let child = Command::new(program)
            .args(arguments)
            .env_clear()
            .envs(services.variables())
            .envs(subject.variables.iter().map(|(name, value)| (name, value)))
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("LAMBDA_TASK_ROOT", &subject.folder)
            .current_dir(&subject.folder)
            .env("AWS_LAMBDA_RUNTIME_API", api.address())
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .with_context(|| format!("cannot run {}", program.display()))?;
        let status = Path::new("/proc").join(child.id().to_string());
        let running = Running { child, api, status, log: path };
        let asked_at = running.explained(running.api.asked().map_err(Into::into))?;
        std::thread::sleep(SETTLED);
        let spent = Spent { wall: asked_at - started_at, cpu: running.cpu()? };
        Ok((running, spent))
    }

    /// Has it handle an event, waits until it asks for the next one, and says how long the answer took.
    ///
    /// # Errors
    /// If there is none, or it is not what is right; with what the function printed.
    pub fn invoke(&self, event: &Bytes, is_right: impl Fn(&[u8]) -> bool) -> Result<Duration> {
        let answered = || -> Result<Duration> {
            let (took, answer) = self.api.invoke(event.clone())?;
            if !is_right(&answer) {
                bail!("its answer is {}", String::from_utf8_lossy(answer.get(..500).unwrap_or(&answer)));
            }
            self.api.asked()?;
            Ok(took)
        };
        self.explained(answered())
    }

    /// The same, with the processor's time.
    ///
    /// # Errors
    /// As [`Running::invoke`].
    pub fn invoke_alone(&self, event: &Bytes, is_right: impl Fn(&[u8]) -> bool) -> Result<Spent> {
        let before = self.cpu()?;
        let wall = self.invoke(event, is_right)?;
        std::thread::sleep(SETTLED);
        Ok(Spent { wall, cpu: self.cpu()?.saturating_sub(before) })
    }

    /// The time that its threads had of a processor.
    ///
    /// # Errors
    /// If the process is gone.
    pub fn cpu(&self) -> Result<Duration> {
        let threads = std::fs::read_dir(self.status.join("task")).context("the function's process is gone")?;
        let of = |thread: std::io::Result<std::fs::DirEntry>| -> Option<u64> {
            let text = std::fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
            text.split_whitespace().next()?.parse().ok()
        };
        Ok(Duration::from_nanos(threads.filter_map(of).sum()))
    }

    /// Its resident memory: the most there was, and what there is; in KiB.
    ///
    /// # Errors
    /// If the process is gone.
    pub fn memory_kib(&self) -> Result<(u64, u64)> {
        let text = std::fs::read_to_string(self.status.join("status")).context("the function's process is gone")?;
        let of = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok()).unwrap_or(0)
        };
        Ok((of("VmHWM:"), of("VmRSS:")))
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it has ended, which somebody has asked it to do.
    ///
    /// # Errors
    /// If that cannot be known.
    pub fn ended(mut self) -> Result<()> {
        self.child.wait().context("cannot wait for the function")?;
        Ok(())
    }

    fn explained<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|error| {
            let printed = std::fs::read_to_string(&self.log).unwrap_or_default();
            let last: Vec<&str> = printed.lines().rev().take(5).collect();
            let last: Vec<&str> = last.into_iter().rev().collect();
            error.context(format!("the last that it printed ({}):\n{}", self.log.display(), last.join("\n")))
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
