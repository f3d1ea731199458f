//! A library's word, asked of a process: one for each language, with a question a line and an answer a line.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use wharf_webhook::clock::UnixMillis;
use wharf_webhook::signature::signing::Outgoing;

use super::crossing::{Crossing, Language};
use crate::project::Project;
use crate::{node, python};

/// The libraries of one language, in a process that ends with this.
#[derive(Debug)]
pub struct Libraries {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

/// What a library says of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// Whether it takes it for genuine.
    pub accepted: bool,
    /// Why not, if it says so.
    pub said: Option<String>,
}

#[derive(Serialize)]
struct Question<'a> {
    library: &'a str,
    ask: &'static str,
    scheme: &'a str,
    /// `structured`, where a library makes an event that is all in the body.
    mode: &'a str,
    secret: &'a str,
    /// PEM, where the sender publishes its key so; else empty.
    certificate: &'a str,
    method: &'a str,
    url: &'a str,
    headers: BTreeMap<&'a str, &'a str>,
    /// In base64.
    body: String,
    now: i64,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    accepted: Option<bool>,
    #[serde(default)]
    said: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    url: Option<String>,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    failed: Option<String>,
}

impl Libraries {
    /// Starts a language's driver; the first call installs the libraries.
    ///
    /// # Errors
    /// If they cannot be installed, or the process cannot be started.
    pub fn start(project: &Project, language: Language, progress: &dyn Fn(&str)) -> Result<Libraries> {
        let mut command = match language {
            Language::Node => {
                let announced = "installing the senders' libraries for Node (once; about a minute)";
                let folder = node::installed(project, NODE_FOLDER, "interop/node", announced, progress)?;
                // It finds the packages beside itself.
                node::copied(project, NODE_FOLDER, &["driver.mjs"], &folder)?;
                let mut command = Command::new("node");
                command.arg(folder.join("driver.mjs"));
                command
            }
            Language::Python => {
                let mut command = Command::new(python::interpreter(project, python::INTEROP, progress)?);
                command.arg(project.path("crates/ops/interop/python/driver.py"));
                command.env("PYTHONDONTWRITEBYTECODE", "1");
                command
            }
        };
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let name = command.get_program().display().to_string();
        let mut child = command.spawn().with_context(|| format!("cannot run {name}"))?;
        let pipes = (child.stdin.take(), child.stdout.take());
        let (Some(input), Some(output)) = pipes else { bail!("{name} has no standard input or output") };
        Ok(Libraries { child, input, output: BufReader::new(output) })
    }

    /// Loads a crossing's library, which may take longer than some of them let a signature live.
    ///
    /// # Errors
    /// If it cannot be loaded.
    pub fn load(&mut self, crossing: &Crossing, now: UnixMillis) -> Result<()> {
        let nothing =
            Outgoing { method: String::new(), url: String::new(), headers: HeaderMap::new(), body: Vec::new() };
        self.ask("load", crossing, &nothing, "", "", "", now).map(drop)
    }

    /// Whether a crossing's library takes a request for genuine.
    ///
    /// # Errors
    /// If it cannot be asked.
    pub fn verify(
        &mut self,
        crossing: &Crossing,
        request: &Outgoing,
        secret: &str,
        certificate: &str,
        now: UnixMillis,
    ) -> Result<Word> {
        let answer = self.ask("verify", crossing, request, "", secret, certificate, now)?;
        let accepted = answer.accepted.context("the driver gave no verdict")?;
        Ok(Word { accepted, said: answer.said })
    }

    /// A request as a crossing's library signs it.
    ///
    /// # Errors
    /// If it cannot be asked, or makes no request.
    pub fn sign(
        &mut self,
        crossing: &Crossing,
        request: &Outgoing,
        mode: &str,
        secret: &str,
        now: UnixMillis,
    ) -> Result<Outgoing> {
        let answer = self.ask("sign", crossing, request, mode, secret, "", now)?;
        let mut signed = request.clone();
        for (name, value) in &answer.headers {
            signed.headers.insert(HeaderName::from_bytes(name.as_bytes())?, HeaderValue::from_str(value)?);
        }
        if let Some(url) = answer.url {
            signed.url = url;
        }
        if let Some(body) = answer.body {
            signed.body = STANDARD.decode(body).context("the driver's body is no base64")?;
        }
        Ok(signed)
    }

    #[expect(clippy::too_many_arguments, reason = "a question has as many parts")]
    fn ask(
        &mut self,
        ask: &'static str,
        crossing: &Crossing,
        request: &Outgoing,
        mode: &str,
        secret: &str,
        certificate: &str,
        now: UnixMillis,
    ) -> Result<Answer> {
        let headers = request.headers.iter();
        let question = Question {
            library: crossing.package,
            ask,
            scheme: crossing.scheme,
            mode,
            secret,
            certificate,
            method: &request.method,
            url: &request.url,
            headers: headers.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?))).collect(),
            body: STANDARD.encode(&request.body),
            now: now.0,
        };
        let what = || format!("cannot ask {} of {}", crossing.package, crossing.language.registry());
        writeln!(self.input, "{}", serde_json::to_string(&question)?).with_context(what)?;
        let mut line = String::new();
        self.output.read_line(&mut line).with_context(what)?;
        let answer: Answer = serde_json::from_str(&line).with_context(what)?;
        match answer.failed {
            Some(failed) => bail!("{}: {failed}", what()),
            None => Ok(answer),
        }
    }
}

impl Drop for Libraries {
    fn drop(&mut self) {
        // Whatever a library has left open.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const NODE_FOLDER: &str = "crates/ops/interop/node";
