//! What one endpoint's requests are judged by: its provider's row, and what only its owner knows.

use std::borrow::Cow;

use http::HeaderValue;

use crate::provider::{Covered, IdRating, Provider, Scheme, Source};
use crate::request::{Once, Request};

/// What one endpoint's requests are judged by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// Whose requests they are.
    pub provider: &'static Provider,
    /// The provider's scheme that the endpoint chose, with the endpoint's own places of id and type where it names them.
    pub scheme: Scheme,
    /// What only its owner knows.
    pub settings: Settings,
    /// The methods by which its events come.
    pub methods: Vec<&'static str>,
}

/// What the owner of an endpoint says about it in `endpoints.toml`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// The whole address as the sender knows it, where it is signed and is not the one that the request came to.
    pub public_url: Option<String>,
    /// Whether `X-Forwarded-Proto` and `X-Forwarded-Host` say what the sender's address was.
    pub trust_forwarded: bool,
    /// What the sender repeats in its handshake.
    pub verify_token: Option<String>,
    /// The sender's id of the webhook, which it signs.
    pub webhook_id: Option<String>,
    /// The only SNS topics whose messages are let in. `endpoints.toml` must name one: anyone with an AWS account can send
    /// validly signed messages. `None` (conformance cases only): any.
    pub topics: Option<Vec<String>>,
    /// Whether the sender's trial environment sends, where that has keys of its own (Plaid).
    pub sandbox: bool,
    /// How far a signed timestamp may lie in the past, in seconds, this one included. `None`: its age is not judged.
    pub tolerance_seconds: Option<i64>,
    /// The same for the future. `None`: as far as in the past.
    pub future_tolerance_seconds: Option<i64>,
}

impl Terms {
    /// The terms of a provider's scheme, with its own tolerances.
    pub fn new(provider: &'static Provider, scheme: Scheme) -> Terms {
        let settings = Settings {
            tolerance_seconds: scheme.timestamp.and_then(|timestamp| timestamp.tolerance_seconds),
            future_tolerance_seconds: scheme.timestamp.and_then(|timestamp| timestamp.future_tolerance_seconds),
            ..Settings::default()
        };
        Terms { provider, scheme, settings, methods: scheme.methods.to_vec() }
    }

    /// These terms, with the endpoint's own places of the event's id, rated by whether the signature covers them. To be called
    /// when the settings are known.
    #[must_use]
    pub fn with_event_id(mut self, event_id: Vec<Source>) -> Terms {
        let is_covered = |source| self.covers(source) == Covered::Yes;
        let (rating, reason) = if event_id.is_empty() {
            (IdRating::None, "the endpoint names none")
        } else if event_id.iter().all(is_covered) {
            (IdRating::Event, "the endpoint names it, and the signature covers it")
        } else {
            (IdRating::Hint, "the endpoint names it, and the signature does not cover it")
        };
        self.scheme =
            Scheme { event_id: event_id.leak(), event_id_rating: rating, rating_reason: reason, ..self.scheme };
        self
    }

    /// How far a signature vouches for what `source` names, at this endpoint.
    pub fn covers(&self, source: &Source) -> Covered {
        match source {
            // What is signed is the address that the endpoint names, and not the one that the request came to.
            Source::Query(_) if self.settings.public_url.is_some() => Covered::No,
            Source::Query(_)
            | Source::Header(_)
            | Source::EncodedHeader(_)
            | Source::Json(_)
            | Source::MemberBeside(_)
            | Source::Form(_)
            | Source::FormJson(..) => self.scheme.covers(source),
        }
    }

    /// The address that the sender signed.
    pub(crate) fn signed_url<'a>(&'a self, request: &Request<'a>) -> Cow<'a, str> {
        if let Some(url) = &self.settings.public_url {
            return Cow::Borrowed(url);
        }
        let forwarded = |name| match request.header(name) {
            Once::Value(value) if self.settings.trust_forwarded => HeaderValue::to_str(value).ok(),
            Once::Value(_) | Once::Absent | Once::Empty | Once::Repeated => None,
        };
        match (forwarded("x-forwarded-proto"), forwarded("x-forwarded-host")) {
            (Some(scheme), Some(host)) => Cow::Owned(format!("{scheme}://{host}{}", path_and_query(request.url))),
            (Some(_) | None, None) | (None, Some(_)) => Cow::Borrowed(request.url),
        }
    }
}

/// What stands behind scheme and host of an address.
pub(crate) fn path_and_query(url: &str) -> &str {
    let behind_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
    behind_scheme.find(['/', '?']).and_then(|at| behind_scheme.split_at_checked(at)).map_or("", |(_, path)| path)
}
