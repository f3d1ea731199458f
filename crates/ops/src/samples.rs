//! Bodies as senders post them, signed and ready to be sent: `events/<provider>-<event>.<ending>`, and for the other providers
//! those of the conformance cases.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use uuid::Uuid;
use wharf_webhook::clock::UnixMillis;
use wharf_webhook::endpoints::Endpoint;
use wharf_webhook::provider::{Content, Part, Source};
use wharf_webhook::secret::Secrets;
use wharf_webhook::signature::signing::{Outgoing, sign};

use crate::project::Project;
use crate::vectors;

/// A body, and what its sender says about it in headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// The type of the event: `push`.
    pub event: String,
    /// Of the body.
    pub content_type: String,
    /// Where the body is, if it is in a file of its own.
    pub path: Option<PathBuf>,
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
                None => return Sample::of_case(project, provider),
                Some(_) => bail!("events/ has no sample of {provider}: give a body with --body FILE"),
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
        Ok(Sample {
            event: "sample".to_owned(),
            content_type: content_type.to_owned(),
            path: Some(path.to_owned()),
            body,
        })
    }

    /// The body of the provider's first conformance case that is accepted.
    fn of_case(project: &Project, provider: &str) -> Result<Sample> {
        let case = vectors::first_accepted(&project.path("tests/vectors"), provider)?;
        let case = case.with_context(|| format!("there is no sample of {provider}: give a body with --body FILE"))?;
        Ok(Sample { event: case.event_type, content_type: case.content_type, path: None, body: case.body })
    }

    /// The request that brings this sample to an endpoint as its sender would, signed at `now`: with `id` as the sender's id
    /// of the event, or a new one. `url` is the address as the sender knows it.
    ///
    /// # Errors
    /// If the secret cannot be used, or the provider's requests cannot be signed, or an `id` is given and the provider has
    /// no place for one.
    pub fn signed(
        &self,
        endpoint: &Endpoint,
        secret: &str,
        url: &str,
        id: Option<&str>,
        now: UnixMillis,
    ) -> Result<Outgoing> {
        let terms = &endpoint.terms;
        let mut headers = HeaderMap::new();
        let content_type = HeaderValue::from_str(&self.content_type);
        headers
            .insert(CONTENT_TYPE, content_type.with_context(|| format!("{:?} is no content type", self.content_type))?);
        let url = terms.settings.public_url.as_deref().unwrap_or(url).to_owned();
        let mut outgoing = Outgoing { method: "POST".to_owned(), url, headers, body: self.body.clone() };
        // A header that is signed and names nothing must be there all the same.
        if let Content::Parts(parts) = terms.scheme.content {
            for part in parts {
                if let Part::Header(name) = part {
                    put_header(&mut outgoing, name, &Uuid::new_v4().to_string())?;
                }
            }
        }
        if let Some(name) = header_of(terms.scheme.event_type) {
            put_header(&mut outgoing, name, &self.event)?;
        }
        let new_id = || Uuid::new_v4().to_string();
        match (header_of(terms.scheme.event_id), id) {
            (Some(name), id) => put_header(&mut outgoing, name, &id.map_or_else(new_id, str::to_owned))?,
            (None, id) => {
                let put = terms.scheme.event_id.iter().any(|source| put_in_body(&mut outgoing, source, id));
                if let (Some(_), false) = (id, put) {
                    bail!("{} has no place for an id in this body", terms.provider.title);
                }
            }
        }
        let secrets = Secrets::parse(secret, &terms.scheme)?;
        Ok(sign(terms, &secrets, outgoing, now)?)
    }
}

fn header_of(sources: &[Source]) -> Option<&'static str> {
    sources.iter().find_map(|source| match source {
        Source::Header(name) | Source::EncodedHeader(name) => Some(*name),
        Source::Json(_) | Source::MemberBeside(_) | Source::Form(_) | Source::FormJson(..) | Source::Query(_) => None,
    })
}

fn put_header(outgoing: &mut Outgoing, name: &'static str, text: &str) -> Result<()> {
    let value = HeaderValue::from_str(text).with_context(|| format!("{text:?} cannot stand in the header {name}"))?;
    outgoing.headers.insert(HeaderName::from_bytes(name.as_bytes())?, value);
    Ok(())
}

/// Puts an id, or a new one, where the body has one already. Returns whether it has.
fn put_in_body(outgoing: &mut Outgoing, source: &Source, id: Option<&str>) -> bool {
    match source {
        Source::Json(pointer) => {
            let Ok(mut body) = serde_json::from_slice::<Value>(&outgoing.body) else { return false };
            let Some(place) = body.pointer_mut(&pointer.replace("/*", "/0")) else { return false };
            *place = match (&*place, id) {
                (Value::Number(_), None) => Value::from(Uuid::new_v4().as_fields().0),
                (Value::Number(_), Some(id)) => serde_json::from_str(id).unwrap_or_else(|_| Value::from(id)),
                (_, Some(id)) => Value::from(id),
                (_, None) => Value::from(Uuid::new_v4().to_string()),
            };
            outgoing.body = body.to_string().into_bytes();
            true
        }
        Source::Form(field) => {
            let fields: Vec<_> = form_urlencoded::parse(&outgoing.body).into_owned().collect();
            if !fields.iter().any(|(name, _)| name == field) {
                return false;
            }
            let id = id.map_or_else(|| Uuid::new_v4().simple().to_string(), str::to_owned);
            let mut form = form_urlencoded::Serializer::new(String::new());
            for (name, value) in &fields {
                form.append_pair(name, if name == field { &id } else { value });
            }
            outgoing.body = form.finish().into_bytes();
            true
        }
        Source::Header(_)
        | Source::EncodedHeader(_)
        | Source::MemberBeside(_)
        | Source::FormJson(..)
        | Source::Query(_) => false,
    }
}
