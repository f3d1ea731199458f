//! The bodies in `events/`, signed and ready to be sent: `events/<provider>-<event>.<ending>`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;
use wharf_webhook::clock::UnixMillis;
use wharf_webhook::endpoints::Endpoint;
use wharf_webhook::provider::Source;
use wharf_webhook::secret::Secrets;
use wharf_webhook::signature::sign;

use crate::project::Project;

/// A body, and what its sender says about it in headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// The type of the event: `push`.
    pub event: String,
    /// Of the body.
    pub content_type: &'static str,
    /// Where the body is.
    pub path: PathBuf,
    /// Byte for byte.
    pub body: Vec<u8>,
}

impl Sample {
    /// The sample of a provider for `event`; for `None` the first by name. A name may be shortened, as in `pull_request`
    /// for `pull_request-opened`.
    ///
    /// # Errors
    /// If there is none, with those that there are.
    pub fn find(project: &Project, provider: &str, event: Option<&str>) -> Result<Sample> {
        let folder = project.path("events");
        let files = std::fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
        let mut files: Vec<_> = files.filter_map(|file| file.ok().map(|file| file.path())).collect();
        files.sort();
        let name_of = |path: &Path| {
            let stem = path.file_stem()?.to_str()?;
            stem.strip_prefix(provider)?.strip_prefix('-').map(str::to_owned)
        };
        // GitHub's push is the example throughout; elsewhere the first.
        let wanted = event.or((provider == "github").then_some("push"));
        let is_wanted =
            |name: &str| wanted.is_none_or(|wanted| name == wanted || name.starts_with(&format!("{wanted}-")));
        let found = files.iter().find(|path| name_of(path).is_some_and(|name| is_wanted(&name)));
        let Some(path) = found else {
            let names: Vec<_> = files.iter().filter_map(|path| name_of(path)).collect();
            match event {
                Some(event) if !names.is_empty() => {
                    bail!(
                        "events/ has no {event:?} of {provider}; it has {}. Or give a body with --body",
                        names.join(", ")
                    )
                }
                _ => bail!("events/ has no sample of {provider}: give a body with --body FILE"),
            }
        };
        let mut sample = Sample::read(path)?;
        if let Some(name) = name_of(path) {
            // `pull_request-opened` is the action `opened` of the event `pull_request`.
            sample.event = name.split('-').next().unwrap_or_default().to_owned();
        }
        Ok(sample)
    }

    /// The body in a file; its content type by the file's ending.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read(path: &Path) -> Result<Sample> {
        let body = std::fs::read(path).with_context(|| format!("cannot read the body {}", path.display()))?;
        let content_type = match path.extension().and_then(|ending| ending.to_str()) {
            Some("json") => "application/json",
            Some("form") => "application/x-www-form-urlencoded",
            Some("txt") => "text/plain",
            _ => "application/octet-stream",
        };
        Ok(Sample { event: "sample".to_owned(), content_type, path: path.to_owned(), body })
    }

    /// The headers of a request that brings this sample to an endpoint as its sender would, signed at `now`: with `id` as
    /// the sender's id of the event, or a new one.
    ///
    /// # Errors
    /// If the secret cannot be used; or an `id` is given, and the sender's is not in a header.
    pub fn signed(&self, endpoint: &Endpoint, secret: &str, id: Option<&str>, now: UnixMillis) -> Result<HeaderMap> {
        let provider = &endpoint.provider;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        let header_of = |sources: &[Source]| {
            sources.iter().find_map(|source| match source {
                Source::Header(name) => HeaderName::from_bytes(name.as_bytes()).ok(),
                Source::Json(_) => None,
            })
        };
        match (header_of(&provider.event_id), id) {
            (Some(name), id) => {
                let id = id.map_or_else(|| Uuid::new_v4().to_string(), str::to_owned);
                headers.insert(name, HeaderValue::from_str(&id).with_context(|| format!("{id:?} cannot be an id"))?);
            }
            (None, Some(_)) => bail!("the id of {} is in the body: give a body with that id by --body", provider.title),
            (None, None) => {}
        }
        if let Some(name) = header_of(&provider.event_type) {
            let event = HeaderValue::from_str(&self.event);
            headers.insert(name, event.with_context(|| format!("{:?} cannot be an event", self.event))?);
        }
        let secrets = Secrets::parse(secret, provider.signature.secret)?;
        let secret = secrets.newest().context("there is no secret")?;
        Ok(sign(provider, &headers, &self.body, secret, now)?)
    }
}
