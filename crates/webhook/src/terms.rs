//! What one endpoint's requests are judged by: its provider's row, and what only its owner knows.

use std::borrow::Cow;
use std::net::Ipv6Addr;

use http::HeaderValue;

use crate::provider::{Covered, IdRating, Place, Provider, Scheme, Source};
use crate::request::{Once, Request, query_of};

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
        } else if event_id.iter().all(is_covered) && event_id.iter().any(|source| source.list().is_some()) {
            (IdRating::Events, "the endpoint names it, and the signature covers it")
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
            | Source::MembersBeside { .. }
            | Source::Form(_)
            | Source::FormJson(..) => self.scheme.covers(source),
        }
    }

    /// The query that travels with a delivery: that of the address which it came to, without the parameter that holds the
    /// signature, or the secret itself. `None` where nothing is left.
    pub fn carried_query(&self, url: &str) -> Option<String> {
        let is_signature = |field: &&str| match self.scheme.signature {
            Place::Query(name) => {
                form_urlencoded::parse(field.as_bytes()).next().is_some_and(|(found, _)| found == name)
            }
            Place::Header(_)
            | Place::Headers(_)
            | Place::NumberedHeaders(_)
            | Place::Json(_)
            | Place::JsonEach { .. } => false,
        };
        let kept: Vec<&str> = query_of(url).split('&').filter(|field| !is_signature(field)).collect();
        Some(kept.join("&")).filter(|query| !query.is_empty())
    }

    /// The address that the sender signed. A forwarded scheme or host that is not one counts as absent: then the address is
    /// the one that the request came to, and no signature is computed over text that a stranger chose.
    pub(crate) fn signed_url<'a>(&'a self, request: &Request<'a>) -> Cow<'a, str> {
        if let Some(url) = &self.settings.public_url {
            return Cow::Borrowed(url);
        }
        let forwarded = |name| match request.header(name) {
            Once::Value(value) if self.settings.trust_forwarded => HeaderValue::to_str(value).ok(),
            Once::Value(_) | Once::Absent | Once::Empty | Once::Repeated => None,
        };
        let scheme = forwarded("x-forwarded-proto").filter(|scheme| ["http", "https"].contains(scheme));
        match (scheme, forwarded("x-forwarded-host").filter(|host| is_host_and_port(host))) {
            (Some(scheme), Some(host)) => Cow::Owned(format!("{scheme}://{host}{}", path_and_query(request.url))),
            (Some(_) | None, None) | (None, Some(_)) => Cow::Borrowed(request.url),
        }
    }
}

/// `hooks.example.com`, `203.0.113.7:8443`, `[2001:db8::1]:8443`: a name of DNS or an address, and a port or none.
fn is_host_and_port(text: &str) -> bool {
    // The colons of an IPv6 address stand in brackets.
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !text.ends_with(']') => (host, Some(port)),
        Some(_) | None => (text, None),
    };
    let is_port =
        |port: &str| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0);
    let is_label_byte = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let is_label = |label: &str| (1..=LABEL_BYTES_MAX).contains(&label.len()) && label.bytes().all(is_label_byte);
    let is_host = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => host.len() <= NAME_BYTES_MAX && host.split('.').all(is_label),
    };
    is_host && port.is_none_or(is_port)
}

/// The longest name, and the longest part of one, in bytes (RFC 1035, 2.3.4).
const NAME_BYTES_MAX: usize = 253;
const LABEL_BYTES_MAX: usize = 63;

/// What stands behind scheme and host of an address.
pub(crate) fn path_and_query(url: &str) -> &str {
    let behind_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
    behind_scheme.find(['/', '?']).and_then(|at| behind_scheme.split_at_checked(at)).map_or("", |(_, path)| path)
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName};

    use super::*;
    use crate::provider;

    #[test]
    fn a_forwarded_host_is_a_name_or_an_address_with_a_port_or_without() {
        let longest = format!("{}.example", "a".repeat(63));
        for host in [
            "hooks.example.com",
            "localhost",
            "a_b.example:8443",
            "203.0.113.7",
            "[2001:db8::1]",
            "[::1]:65535",
            &longest,
        ] {
            assert!(is_host_and_port(host), "{host}");
        }
        let too_long = format!("{}.example", "a".repeat(64));
        for text in [
            "",
            "a..b",
            ".a",
            "a.",
            "a b",
            "a,b",
            "a/b",
            "a?b",
            "a#b",
            "user@a.example",
            "a.example:",
            "a.example:0",
            "a.example:65536",
            "a.example:+1",
            "a.example:1:2",
            "a.example:port",
            "::1",
            "[::1",
            "[a]",
            "[::1]x",
            "é.example",
            "%61.example",
            &too_long,
            &"a.".repeat(127),
        ] {
            assert!(!is_host_and_port(text), "{text:?}");
        }
    }

    #[test]
    fn the_forwarded_address_counts_only_where_scheme_and_host_are_such_and_the_endpoint_trusts_them() {
        let twilio = provider::find("twilio").unwrap();
        let url = |trusts: bool, pairs: &[(&str, &str)]| {
            let mut terms = Terms::new(twilio, *twilio.scheme(None).unwrap());
            terms.settings.trust_forwarded = trusts;
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
            }
            let url = "https://own.example/webhooks/sms?a=1";
            terms.signed_url(&Request { method: "POST", url, headers: &headers, body: b"" }).into_owned()
        };
        let own = "https://own.example/webhooks/sms?a=1";
        let good = [("x-forwarded-proto", "http"), ("x-forwarded-host", "front.example:8080")];
        assert_eq!(url(true, &good), "http://front.example:8080/webhooks/sms?a=1");
        assert_eq!(url(false, &good), own);
        for bad in [
            &[("x-forwarded-proto", "http")][..],
            &[("x-forwarded-host", "front.example")],
            &[("x-forwarded-proto", "ftp"), ("x-forwarded-host", "front.example")],
            &[("x-forwarded-proto", "HTTPS"), ("x-forwarded-host", "front.example")],
            &[("x-forwarded-proto", "https, http"), ("x-forwarded-host", "front.example")],
            &[("x-forwarded-proto", "https"), ("x-forwarded-host", "front.example/webhooks/other?")],
            &[("x-forwarded-proto", "https"), ("x-forwarded-host", "front.example, other.example")],
            &[("x-forwarded-proto", "https"), ("x-forwarded-host", "a"), ("x-forwarded-host", "b")],
        ] {
            assert_eq!(url(true, bad), own, "{bad:?}");
        }
    }

    #[test]
    fn the_query_travels_along_and_the_secret_in_it_does_not() {
        let carried = |signature: &str, url: &str| {
            let text = format!("[endpoints.one]\nprovider = \"generic\"\nsignature = {signature}\n");
            let endpoints = crate::endpoints::Endpoints::parse(&text).unwrap();
            endpoints.get("one").unwrap().terms.carried_query(url)
        };
        let header = "{ header = \"x-signature\" }";
        let query = |query| carried(header, &format!("https://own.example/webhooks/one{query}"));
        assert_eq!(query("?Sid=1&Status=a%20b&Status=").as_deref(), Some("Sid=1&Status=a%20b&Status="));
        assert_eq!((query(""), query("?")), (None, None));
        let token = "{ query = \"key\", algorithm = \"token\" }";
        assert_eq!(carried(token, "https://own.example/?a=1&k%65y=s&b=2&keys=3").as_deref(), Some("a=1&b=2&keys=3"));
        assert_eq!(carried(token, "https://own.example/?key=s"), None);
    }
}
