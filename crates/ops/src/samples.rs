//! Requests as senders post them, signed and ready to be sent. The bodies are `events/<provider>-<event>.<ending>`, and for the
//! other providers those of the conformance cases; the headers that a sender adds of its own are the cases' too.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use serde_json::value::RawValue;
use uuid::Uuid;
use wharf_webhook::clock::UnixMillis;
use wharf_webhook::endpoints::Endpoint;
use wharf_webhook::provider::{self, Content, Part, Provider, Source};
use wharf_webhook::secret::Secrets;
use wharf_webhook::signature::signing::{Outgoing, sign};

use crate::project::Project;
use crate::vectors::{self, CaseBody};

/// A body, and what its sender says about it in headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// The type of the event: `push`.
    pub event: String,
    /// Of the body.
    pub content_type: String,
    /// Where the body is, if it is in a file of its own.
    pub path: Option<PathBuf>,
    /// What its sender says beside that, some of which its own library demands: `X-Shopify-Shop-Domain`. Not the signature,
    /// nor the event's id and type.
    pub headers: Vec<(HeaderName, HeaderValue)>,
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
        let mut sample = Sample::read(project, provider, path)?;
        if let Some(name) = name_of(path) {
            let case = vectors::first_accepted(&project.path(VECTORS), provider)?;
            sample.event = match case {
                // No file's name has a slash: `orders-create` is the event `orders/create`.
                Some(case) if case.event_type.replace('/', "-") == name => case.event_type,
                // `pull_request-opened` is the action `opened` of the event `pull_request`.
                Some(_) | None => name.split('-').next().unwrap_or_default().to_owned(),
            };
        }
        Ok(sample)
    }

    /// The body in a file, as this provider would post it; its content type by the file's ending.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read(project: &Project, provider: &str, path: &Path) -> Result<Sample> {
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
            headers: headers_of(provider, vectors::first_accepted(&project.path(VECTORS), provider)?.as_ref()),
            body,
        })
    }

    /// The body of the provider's first conformance case that is accepted.
    fn of_case(project: &Project, provider: &str) -> Result<Sample> {
        let case = vectors::first_accepted(&project.path(VECTORS), provider)?;
        let case = case.with_context(|| format!("there is no sample of {provider}: give a body with --body FILE"))?;
        let headers = headers_of(provider, Some(&case));
        Ok(Sample { event: case.event_type, content_type: case.content_type, path: None, headers, body: case.body })
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
        let secrets = Secrets::parse(secret, &terms.scheme)?;
        Ok(sign(terms, &secrets, self.unsigned(endpoint, url, id)?, now)?)
    }

    /// The same before it is signed.
    ///
    /// # Errors
    /// If an `id` is given and the provider has no place for one.
    pub fn unsigned(&self, endpoint: &Endpoint, url: &str, id: Option<&str>) -> Result<Outgoing> {
        let terms = &endpoint.terms;
        let mut headers: HeaderMap = self.headers.iter().cloned().collect();
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
        Ok(outgoing)
    }
}

/// Where the conformance cases are.
const VECTORS: &str = "tests/vectors";

/// What a provider's sender adds of its own to the headers of a request, as its first accepted case has them. `generic` is any
/// sender, so it adds nothing.
fn headers_of(provider: &str, case: Option<&CaseBody>) -> Vec<(HeaderName, HeaderValue)> {
    let (Some(provider), Some(case)) = (provider::find(provider), case) else { return Vec::new() };
    let headers = case.headers.iter().filter_map(|(name, value)| {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        Some((name, HeaderValue::from_str(value).ok()?))
    });
    headers.filter(|(name, _)| *name != CONTENT_TYPE && !is_of_one_request(provider, name.as_str())).collect()
}

/// Whether a header is another one in each request: its signature and what is signed beside the body, its time, the event's id
/// and type.
fn is_of_one_request(provider: &Provider, name: &str) -> bool {
    let in_scheme = provider.schemes.iter().any(|scheme| {
        let parts: &[Part] = match scheme.content {
            Content::Parts(parts) => parts,
            Content::Twilio | Content::Contentful | Content::Sns | Content::PlaidToken | Content::MondayToken => &[],
        };
        scheme.has_signature_in(name)
            || parts.iter().any(|part| matches!(part, Part::Header(signed) if *signed == name))
            || scheme
                .event_id
                .iter()
                .chain(scheme.event_type)
                .any(|source| matches!(source, Source::Header(at) if *at == name))
    });
    in_scheme || ["signature", "timestamp"].iter().any(|part| name.contains(part))
}

fn header_of(sources: &[Source]) -> Option<&'static str> {
    sources.iter().find_map(|source| match source {
        Source::Header(name) | Source::EncodedHeader(name) => Some(*name),
        Source::Json(_) | Source::MembersBeside { .. } | Source::Form(_) | Source::FormJson(..) | Source::Query(_) => {
            None
        }
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
            let Some((place, value)) = place_in_json(&outgoing.body, &pointer.replace("/*", "/0")) else {
                return false;
            };
            let put = match (value, id) {
                (Value::Number(_), None) => Value::from(Uuid::new_v4().as_fields().0),
                (Value::Number(_), Some(id)) => serde_json::from_str(id).unwrap_or_else(|_| Value::from(id)),
                (_, Some(id)) => Value::from(id),
                (_, None) => Value::from(Uuid::new_v4().to_string()),
            };
            outgoing.body.splice(place, put.to_string().into_bytes());
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
        | Source::MembersBeside { .. }
        | Source::FormJson(..)
        | Source::Query(_) => false,
    }
}

/// Where in a JSON text the value at `pointer` stands, and the value. The text around it is the sender's, so it is not
/// written anew.
fn place_in_json(body: &[u8], pointer: &str) -> Option<(Range<usize>, Value)> {
    let text = std::str::from_utf8(body).ok()?;
    let mut at: &RawValue = serde_json::from_str(text).ok()?;
    for step in pointer.split('/').skip(1) {
        at = match step.parse::<usize>() {
            Ok(index) => serde_json::from_str::<Vec<&RawValue>>(at.get()).ok()?.get(index).copied()?,
            Err(_) => *serde_json::from_str::<BTreeMap<Cow<'_, str>, &RawValue>>(at.get()).ok()?.get(step)?,
        };
    }
    let start = (at.get().as_ptr() as usize).checked_sub(text.as_ptr() as usize)?;
    Some((start..start + at.get().len(), serde_json::from_str(at.get()).ok()?))
}

#[cfg(test)]
mod tests {
    use wharf_webhook::endpoints::Endpoints;

    use super::*;

    fn project() -> Project {
        Project::at(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."), PathBuf::new())
    }

    fn endpoint(text: &str) -> Endpoint {
        Endpoints::parse(&format!("[endpoints.one]\n{text}\n")).unwrap().get("one").unwrap().clone()
    }

    fn sent(provider: &str, endpoint: &Endpoint) -> Outgoing {
        let sample = Sample::find(&project(), provider, None).unwrap();
        sample.signed(endpoint, "00ff", "https://hooks.example.com/webhooks/one", None, UnixMillis(0)).unwrap()
    }

    #[test]
    fn a_sample_has_the_headers_that_its_senders_library_demands() {
        let sent = sent("shopify", &endpoint("provider = \"shopify\""));
        let header = |name: &str| sent.headers[name].to_str().unwrap();
        assert_eq!(header("x-shopify-shop-domain"), "shop.myshopify.com");
        assert_eq!(header("x-shopify-api-version"), "2025-07");
        assert_eq!(header("x-shopify-topic"), "orders/create");
        // Another one each time.
        assert_ne!(header("x-shopify-webhook-id"), "b54557e4-bdd9-4b37-8a5f-bf7d70bcd043");
    }

    #[test]
    fn a_sample_has_no_signature_id_or_time_of_another_request() {
        let token = sent("gitlab", &endpoint("provider = \"gitlab\""));
        assert_eq!(token.headers["x-gitlab-token"], "00ff");
        let names: Vec<&str> = token.headers.keys().map(HeaderName::as_str).collect();
        for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
            assert!(!names.contains(&name), "{names:?}");
        }
        let sentry = sent("sentry", &endpoint("provider = \"sentry\""));
        assert!(!sentry.headers.contains_key("sentry-hook-timestamp"));
        assert_ne!(sentry.headers["request-id"], "4f3c2b1a00004e5d8c7b6a5948372615");
    }

    #[test]
    fn a_sender_that_an_endpoint_describes_adds_no_headers() {
        let case = CaseBody {
            event_type: "sample".to_owned(),
            content_type: "application/json".to_owned(),
            headers: vec![("X-Tenant".to_owned(), "seven".to_owned())],
            body: Vec::new(),
        };
        let added = |provider| headers_of(provider, Some(&case));
        assert_eq!(added("generic"), []);
        let tenant = (HeaderName::from_static("x-tenant"), HeaderValue::from_static("seven"));
        assert_eq!(added("github"), [tenant]);
    }

    #[test]
    fn an_id_is_put_into_a_body_and_the_rest_of_it_stays_byte_for_byte() {
        let body = "{ \"type\" : \"a\\/b\",\r\n\t\"n\": 2.50, \"id\" : \"old\" , \"u\": \"\\u00fc\" }\n";
        let sample = Sample {
            event: "a".to_owned(),
            content_type: "application/json".to_owned(),
            path: None,
            headers: Vec::new(),
            body: body.as_bytes().to_vec(),
        };
        let sent = sample.unsigned(&endpoint("provider = \"stripe\""), "https://h.example/", Some("evt_1")).unwrap();
        assert_eq!(
            String::from_utf8(sent.body).unwrap(),
            "{ \"type\" : \"a\\/b\",\r\n\t\"n\": 2.50, \"id\" : \"evt_1\" , \"u\": \"\\u00fc\" }\n"
        );
    }

    #[test]
    fn an_id_is_found_in_lists_and_behind_objects() {
        let place = |body: &str, pointer: &str| place_in_json(body.as_bytes(), pointer);
        assert_eq!(place(r#"[{"a":1},{"a":22}]"#, "/1/a"), Some((14..16, Value::from(22))));
        assert_eq!(place(r#" {"a":{"b":"c"}}"#, "/a/b"), Some((11..14, Value::from("c"))));
        assert_eq!(place(r#"{"a":[]}"#, "/a/0"), None);
        assert_eq!(place(r#"{"a":1}"#, "/b"), None);
        assert_eq!(place("a=1", "/a"), None);
    }
}
