//! What came of a crossing.

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::Value;
use wharf_webhook::clock::UnixMillis;
use wharf_webhook::endpoints::{Endpoint, Endpoints};
use wharf_webhook::judgement::{Verdict, judge};
use wharf_webhook::request::Request;
use wharf_webhook::secret::Secrets;
use wharf_webhook::signature::key::FetchedKey;
use wharf_webhook::signature::signing::{Outgoing, sign};

use super::crossing::{Crossing, Given, Negative};
use super::library::Libraries;
use super::stand_in::StandIn;
use super::variant::{Variant, with_member};
use crate::project::Project;
use crate::samples::Sample;
use crate::secrets;

/// What came of a crossing.
#[derive(Debug, Clone, Serialize)]
pub struct Measured {
    /// As in `endpoints.toml`.
    pub provider: &'static str,
    /// As in `endpoints.toml`; empty for the only one.
    pub scheme: &'static str,
    /// `npm` or `PyPI`.
    pub registry: &'static str,
    /// The library.
    pub package: &'static str,
    /// Its version.
    pub version: &'static str,
    /// Whether what Wharf's side signs is signed with a key of this run, for want of the sender's.
    pub stands_in: bool,
    /// What Wharf signs, judged by the library.
    pub sent: Vec<Case>,
    /// What the library signs, judged by Wharf.
    pub received: Vec<Case>,
    /// What is altered or too old, judged by the library; and, where that signs, by Wharf.
    pub refused: Vec<Case>,
    /// What else there is to know.
    pub note: &'static str,
}

/// One request, judged.
#[derive(Debug, Clone, Serialize)]
pub struct Case {
    /// What was tried.
    pub what: String,
    /// Whether it was judged as it should be.
    pub agrees: bool,
    /// What was said instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub said: Option<String>,
    /// Why it is known to be judged otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub known: Option<&'static str>,
}

impl Case {
    /// Whether it was judged as is known of it.
    pub fn is_expected(&self) -> bool {
        self.agrees == self.known.is_none()
    }
}

impl Measured {
    /// What was judged otherwise than is known, or no longer as is known.
    pub fn surprises(&self) -> impl Iterator<Item = &Case> {
        self.sent.iter().chain(&self.received).chain(&self.refused).filter(|case| !case.is_expected())
    }
}

/// Crosses Wharf with a library.
///
/// # Errors
/// If something cannot be asked or made.
pub fn measure(project: &Project, crossing: &Crossing, libraries: &mut Libraries, now: UnixMillis) -> Result<Measured> {
    let version = crossing.version();
    let side = Side::new(crossing)?;
    let mut measured = Measured {
        provider: crossing.provider,
        scheme: crossing.scheme,
        registry: crossing.language.registry(),
        package: crossing.package,
        version: version.with_context(|| format!("{} is not pinned", crossing.package))?,
        stands_in: side.stand_in.is_some(),
        sent: Vec::new(),
        received: Vec::new(),
        refused: Vec::new(),
        note: crossing.note,
    };
    for variant in crossing.variants.iter().copied() {
        let sample = variant.of(project, crossing.provider)?;
        let known = crossing.differs.iter().find(|(differing, _)| *differing == variant).map(|(_, why)| *why);
        if variant.is_sent() {
            let sent = side.send(&sample, variant, now)?;
            let word = libraries.verify(crossing, &sent, &side.given(), side.certificate(), now)?;
            let what = variant.title().to_owned();
            measured.sent.push(Case { what, agrees: word.accepted, said: word.said, known });
        }
        if crossing.signs {
            let received = side.signed_by(libraries, &sample, variant, now)?;
            let said = side.refusal(&received, now);
            let what = variant.title().to_owned();
            measured.received.push(Case { what, agrees: said.is_none(), said, known: None });
        }
    }
    let sample = Variant::Sample.of(project, crossing.provider)?;
    for negative in crossing.refuses {
        let (what, request) = side.altered(*negative, &sample, now)?;
        let word = libraries.verify(crossing, &request, &side.given(), side.certificate(), now)?;
        measured.refused.push(Case {
            what: format!("{what}, by the library"),
            agrees: !word.accepted,
            said: None,
            known: None,
        });
    }
    if crossing.signs {
        let received = side.signed_by(libraries, &sample, Variant::Sample, now)?;
        for negative in crossing.refuses.iter().filter(|negative| !matches!(negative, Negative::Stale(_))) {
            let (what, judged) = match negative {
                Negative::OtherSecret => ("another secret", Side::new(crossing)?.refusal(&received, now)),
                Negative::MoreInBody | Negative::OtherMember(_) | Negative::Stale(_) => {
                    ("another body", side.refusal(&changed(*negative, received.clone())?, now))
                }
            };
            measured.refused.push(Case {
                what: format!("{what}, by Wharf"),
                agrees: judged.is_some(),
                said: None,
                known: None,
            });
        }
    }
    Ok(measured)
}

/// Wharf's side: an endpoint, and the secret that it shares with the sender.
struct Side<'a> {
    crossing: &'a Crossing,
    endpoint: Endpoint,
    /// As the sender shows it.
    secret: String,
    stand_in: Option<StandIn>,
}

impl Side<'_> {
    /// With a new secret.
    fn new(crossing: &Crossing) -> Result<Side<'_>> {
        let Crossing { provider, scheme, .. } = crossing;
        let scheme = if scheme.is_empty() { String::new() } else { format!("scheme = \"{scheme}\"\n") };
        let needed = match *provider {
            "meta" => "verify_token = \"shown\"\n",
            "sns" => "topics = [\"arn:aws:sns:us-west-2:123456789012:MyTopic\"]\n",
            _ => "",
        };
        let endpoints = Endpoints::parse(&format!("[endpoints.crossed]\nprovider = \"{provider}\"\n{scheme}{needed}"))?;
        let endpoint = endpoints.get("crossed").context("there is no endpoint")?.clone();
        let stand_in = StandIn::of(provider)?;
        let secret = match &stand_in {
            Some(stand_in) => stand_in.shown.clone(),
            None => secrets::generated(&endpoint.terms.scheme)?.context("its secrets cannot be generated")?,
        };
        Ok(Side { crossing, endpoint, secret, stand_in })
    }

    /// The secret as the library takes it.
    fn given(&self) -> String {
        match self.crossing.secret {
            Given::AsShown => self.secret.clone(),
            Given::InBase64 => STANDARD.encode(&self.secret),
        }
    }

    fn certificate(&self) -> &str {
        self.stand_in.as_ref().map_or("", |stand_in| &stand_in.certificate)
    }

    /// As `cargo ops send` makes it.
    fn send(&self, sample: &Sample, variant: Variant, now: UnixMillis) -> Result<Outgoing> {
        match &self.stand_in {
            None => sample.signed(&self.endpoint, &self.secret, variant.url(), None, now),
            Some(stand_in) => stand_in.sign(sample.unsigned(&self.endpoint, variant.url(), None)?, now),
        }
    }

    /// As the library makes it.
    fn signed_by(
        &self,
        libraries: &mut Libraries,
        sample: &Sample,
        variant: Variant,
        now: UnixMillis,
    ) -> Result<Outgoing> {
        let mut request = sample.unsigned(&self.endpoint, variant.url(), None)?;
        let mode = if variant == Variant::Structured { "structured" } else { "" };
        if mode == "structured" {
            let names = ["ce-id", "ce-source", "ce-specversion", "ce-type"];
            names.iter().for_each(|name| drop(request.headers.remove(*name)));
        }
        let signed = libraries.sign(self.crossing, &request, mode, &self.given(), now)?;
        if self.crossing.provider != "cloudevents" {
            return Ok(signed);
        }
        // The library makes the event; the token beside it is the sender's own.
        let terms = &self.endpoint.terms;
        Ok(sign(terms, &Secrets::parse(&self.secret, &terms.scheme)?, signed, now)?)
    }

    /// Why Wharf refuses a request; `None` if it takes it for an event.
    fn refusal(&self, request: &Outgoing, now: UnixMillis) -> Option<String> {
        let terms = &self.endpoint.terms;
        let secrets = match terms.scheme.secret.is_kept().then(|| Secrets::parse(&self.secret, &terms.scheme)) {
            Some(Ok(secrets)) => secrets,
            Some(Err(error)) => return Some(error.to_string()),
            None => Secrets::NONE,
        };
        let published = FetchedKey::from_pem(self.certificate().as_bytes()).ok();
        let Outgoing { method, url, headers, body } = request;
        match judge(terms, &secrets, published.as_ref(), &Request { method, url, headers, body }, now.seconds()) {
            Ok(Verdict::Event(event)) if self.crossing.provider == "cloudevents" => {
                let stated = (event.id().map(|id| id.text.as_str()), event.kind().map(|kind| kind.text.as_str()));
                let expected = (Some("A234-1234-1234"), Some("com.example.order.created"));
                (stated != expected).then(|| format!("its id and type are read as {stated:?}"))
            }
            Ok(Verdict::Event(_)) => None,
            Ok(Verdict::Handshake(_)) => Some("it is taken for a handshake".to_owned()),
            Err(refusal) => Some(refusal.to_string()),
        }
    }

    /// A request that must be refused, and what is wrong with it.
    fn altered(&self, negative: Negative, sample: &Sample, now: UnixMillis) -> Result<(String, Outgoing)> {
        let send = |side: &Side<'_>, at| side.send(sample, Variant::Sample, at);
        Ok(match negative {
            Negative::OtherSecret => ("another secret".to_owned(), send(&Side::new(self.crossing)?, now)?),
            Negative::MoreInBody | Negative::OtherMember(_) => {
                ("another body".to_owned(), changed(negative, send(self, now)?)?)
            }
            Negative::Stale(seconds) => {
                let then = UnixMillis(now.0 - (seconds + 60) * 1000);
                (format!("older than {seconds} s"), send(self, then)?)
            }
        })
    }
}

/// A request with another body than was signed.
fn changed(negative: Negative, mut request: Outgoing) -> Result<Outgoing> {
    match negative {
        Negative::OtherMember(pointer) => {
            let mut body: Value = serde_json::from_slice(&request.body).context("the body is no JSON")?;
            *body.pointer_mut(pointer).with_context(|| format!("the body has no {pointer}"))? = "altered".into();
            request.body = body.to_string().into_bytes();
        }
        Negative::MoreInBody if request.body.starts_with(b"{") || request.body.starts_with(b"[") => {
            request.body = with_member(&request.body, r#""altered":true,"#)?;
        }
        Negative::MoreInBody => request.body.extend_from_slice(b"&Altered=1"),
        Negative::OtherSecret | Negative::Stale(_) => bail!("the body is not what is altered"),
    }
    Ok(request)
}
