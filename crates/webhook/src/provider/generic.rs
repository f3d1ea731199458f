//! The row that a configuration supplies: a private or unknown sender needs no code.
//!
//! | parameter | values | when absent |
//! | --- | --- | --- |
//! | `header`, `query` or `json` | where the signature is: a header, a query parameter, a member of the JSON body (`/signature`) | an error |
//! | `algorithm` | `hmac-sha1`, `hmac-sha256`, `hmac-sha384`, `hmac-sha512`, `token`; `sha256` of a content with `{secret}`; `ed25519`, `ecdsa-p256-sha256`, `rsa-sha256` with the sender's public key as the secret | `hmac-sha256` |
//! | `encoding` | `hex`, `base64`, `base64url`; for a token `raw` | `hex`; for a token `raw` |
//! | `prefix` | what stands before the signature: `sha256=` | nothing |
//! | `separator` | what stands between several signatures in one place | there is one signature |
//! | `secret_encoding` | `utf8`, `hex`, `base64`, `whsec` (base64 behind `whsec_`) | `utf8`; for a public key `base64` |
//! | `content` | what is signed: text with `{body}`, `{ts}`, `{method}`, `{url}`, `{secret}`, `{header:NAME}`, `{json:/pointer}`, or `{json?:/pointer}`, which may be absent | `{body}` |
//! | `timestamp` | where `{ts}` is: `header:NAME`, `item:PREFIX` (among the signatures), `json:/pointer` | none |
//! | `timestamp_unit` | `s`, `ms`, `rfc3339` | `s` |
//! | `tolerance_seconds` | how far the timestamp may lie in the past | 300 |
//! | `future_tolerance_seconds` | the same for the future | as for the past |
//! | `require` | headers that must have this value: `{ X-Version = "1" }` | none |
//! | `body` | what the body must be, whatever its `Content-Type` says: `json` (an object or list), `json-or-form`, `any` | `any` |
//! | `decompress` | `true`: the signature is over the body without its `Content-Encoding`, `gzip` or `deflate` | `false` |
//!
//! The public key is 32 bytes for `ed25519`, else a SubjectPublicKeyInfo in DER (the text between the lines of a PEM file,
//! joined).
//!
//! Each parameter in an example, which is signed and verified when this is tested:
//!
//! ```
//! # use wharf_webhook::{clock::UnixMillis, endpoints::Endpoints, judgement::judge, request::Request, secret::Secrets};
//! # use wharf_webhook::signature::signing::{Outgoing, SigningError, sign};
//! let endpoints = Endpoints::parse(r#"
//! ## X-Signature: sha256=<hexadecimal HMAC-SHA256 of the body>
//! [endpoints.plain]
//! provider = "generic"
//! signature = { header = "X-Signature", prefix = "sha256=" }
//!
//! ## X-Signature: <base64 HMAC-SHA512 of "v1:<X-Timestamp>:<body>">, at most two minutes old, the secret in base64
//! [endpoints.timed]
//! provider = "generic"
//! event_id = "header:X-Event-Id"
//! [endpoints.timed.signature]
//! header = "X-Signature"
//! algorithm = "hmac-sha512"
//! encoding = "base64"
//! secret_encoding = "base64"
//! content = "v1:{ts}:{body}"
//! timestamp = "header:X-Timestamp"
//! timestamp_unit = "ms"
//! tolerance_seconds = 120
//! future_tolerance_seconds = 10
//! require = { X-Signature-Version = "1" }
//!
//! ## X-Signature: t=1754000000,v1=<hexadecimal>,v1=<hexadecimal>
//! [endpoints.listed]
//! provider = "generic"
//! signature = { header = "X-Signature", separator = ",", prefix = "v1=", content = "{ts}.{body}", timestamp = "item:t=" }
//!
//! ## ?sig=<base64url HMAC-SHA1 of method, a header and the body>
//! [endpoints.asked]
//! provider = "generic"
//! signature = { query = "sig", algorithm = "hmac-sha1", encoding = "base64url", content = "{method} {header:X-Nonce} {body}" }
//!
//! ## {"signature": "<hexadecimal>", "order": {"id": "7", "note": null}}: two fields are signed
//! [endpoints.fields]
//! provider = "generic"
//! event_id = "json:/order/id"
//! event_type = ["json:/type", "form:type", "query:type"]
//! signature = { json = "/signature", content = "{json:/order/id}|{json?:/order/note}" }
//!
//! ## X-Signature: <hexadecimal SHA-256 of "<secret><address><body>">
//! [endpoints.hashed]
//! provider = "generic"
//! signature = { header = "X-Signature", algorithm = "sha256", content = "{secret}{url}{body}" }
//!
//! ## The headers of Standard Webhooks, whose own provider takes a secret in base64: here its text is the key
//! [endpoints.standard]
//! provider = "generic"
//! event_id = "header:webhook-id"
//! [endpoints.standard.signature]
//! header = "webhook-signature"
//! encoding = "base64"
//! separator = " "
//! prefix = "v1,"
//! content = "{header:webhook-id}.{ts}.{body}"
//! timestamp = "header:webhook-timestamp"
//! body = "json"
//!
//! ## X-Api-Key: <the secret>
//! [endpoints.token]
//! provider = "generic"
//! signature = { header = "X-Api-Key", algorithm = "token" }
//!
//! ## X-Signature: <hexadecimal Ed25519 signature of the body>; the secret is the sender's public key in base64
//! [endpoints.published]
//! provider = "generic"
//! signature = { header = "X-Signature", algorithm = "ed25519", secret_encoding = "base64" }
//! "#)?;
//! # let now = UnixMillis(1_754_000_000_000);
//! # for endpoint in endpoints.iter() {
//! #     let secret = match endpoint.name.as_str() {
//! #         "published" => "avjUbEzb1B1bjEYsxO+7G+hX3FMIkmToR2PexBR9b/w=",
//! #         _ => "c2VjcmV0LXNlY3JldA==",
//! #     };
//! #     let secrets = Secrets::parse(secret, &endpoint.terms.scheme)?;
//! #     let headers = [("x-nonce", "n-1"), ("x-event-id", "e-1"), ("webhook-id", "m-1")];
//! #     let headers = headers.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).into_iter().collect();
//! #     let body = br#"{"order":{"id":"7","note":null}}"#.to_vec();
//! #     let outgoing = Outgoing { method: "POST".into(), url: "https://h.example/x".into(), headers, body };
//! #     let signed = match sign(&endpoint.terms, &secrets, outgoing, now) {
//! #         Err(SigningError::PrivateKey { .. }) if endpoint.name == "published" => continue,
//! #         signed => signed?,
//! #     };
//! #     let request = Request { method: "POST", url: &signed.url, headers: &signed.headers, body: &signed.body };
//! #     judge(&endpoint.terms, &secrets, None, &request, now.seconds()).map_err(|refusal| format!("{}: {refusal}", endpoint.name))?;
//! # }
//! # assert_eq!(endpoints.iter().count(), 9);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use thiserror::Error;

use super::table::{PROVIDER, SCHEME};
use super::{
    Algorithm, BodyForm, Content, Encoding, Part, Place, Provider, Scheme, SecretForm, Source, Text, Timestamp,
    TimestampPlace, TimestampUnit,
};

/// How old a timestamp may be where the configuration does not say, in seconds; the Standard Webhooks libraries' value.
pub const TOLERANCE_SECONDS: i64 = 300;

/// Any sender without a row of its own.
pub static GENERIC: Provider = Provider { name: "generic", title: "any other sender", ..PROVIDER };

/// The parameters as they were written; each is described in the [module's table](self).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parameters {
    /// `header`
    pub header: Option<String>,
    /// `query`
    pub query: Option<String>,
    /// `json`
    pub json: Option<String>,
    /// `algorithm`
    pub algorithm: Option<String>,
    /// `encoding`
    pub encoding: Option<String>,
    /// `prefix`
    pub prefix: Option<String>,
    /// `separator`
    pub separator: Option<String>,
    /// `secret_encoding`
    pub secret_encoding: Option<String>,
    /// `content`
    pub content: Option<String>,
    /// `timestamp`
    pub timestamp: Option<String>,
    /// `timestamp_unit`
    pub timestamp_unit: Option<String>,
    /// `tolerance_seconds`
    pub tolerance_seconds: Option<i64>,
    /// `future_tolerance_seconds`
    pub future_tolerance_seconds: Option<i64>,
    /// `require`: names and values.
    pub require: Vec<(String, String)>,
    /// `body`
    pub body: Option<String>,
    /// `decompress`
    pub decompress: Option<bool>,
}

/// The names of all parameters.
pub const PARAMETERS: [&str; 16] = [
    "header",
    "query",
    "json",
    "algorithm",
    "encoding",
    "prefix",
    "separator",
    "secret_encoding",
    "content",
    "timestamp",
    "timestamp_unit",
    "tolerance_seconds",
    "future_tolerance_seconds",
    "require",
    "body",
    "decompress",
];

/// What is wrong with one parameter. `parameter` is its name in `endpoints.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{problem}")]
pub struct ParameterError {
    /// The parameter that is to be changed.
    pub parameter: &'static str,
    /// What is wrong with it, and what would be right.
    pub problem: String,
}

fn wrong(parameter: &'static str, problem: impl Into<String>) -> ParameterError {
    ParameterError { parameter, problem: problem.into() }
}

/// Text of the configuration as text of a row. The configuration is read once, when a process starts, and its rows live as
/// long as that.
pub(crate) fn kept(text: impl Into<String>) -> Text {
    text.into().leak()
}

/// The scheme that these parameters describe, without places of id and type.
///
/// # Errors
/// Every problem, not only the first.
pub fn scheme(parameters: &Parameters) -> Result<Scheme, Vec<ParameterError>> {
    let mut problems = Vec::new();
    match read(parameters, &mut problems) {
        Some(scheme) if problems.is_empty() => Ok(scheme),
        _ => Err(problems),
    }
}

impl Scheme {
    /// This scheme, with these members of the body that differ between attempts, beside its own.
    #[must_use]
    pub fn with_more_that_varies(self, varies: Vec<Source>) -> Scheme {
        Scheme { varies: self.varies.iter().copied().chain(varies).collect::<Vec<_>>().leak(), ..self }
    }

    /// This scheme, with these places of the event's type.
    #[must_use]
    pub fn with_event_type(self, event_type: Vec<Source>) -> Scheme {
        Scheme { event_type: event_type.leak(), ..self }
    }
}

fn read(parameters: &Parameters, problems: &mut Vec<ParameterError>) -> Option<Scheme> {
    let signature = place(parameters, problems);
    let algorithm = one_of(
        "algorithm",
        parameters.algorithm.as_deref().unwrap_or("hmac-sha256"),
        &[
            ("hmac-sha1", Algorithm::HmacSha1),
            ("hmac-sha256", Algorithm::HmacSha256),
            ("hmac-sha384", Algorithm::HmacSha384),
            ("hmac-sha512", Algorithm::HmacSha512),
            ("token", Algorithm::Token),
            ("sha256", Algorithm::Sha256),
            ("ed25519", Algorithm::Ed25519),
            ("ecdsa-p256-sha256", Algorithm::EcdsaP256Sha256),
            ("rsa-sha256", Algorithm::RsaSha256),
        ],
        problems,
    );
    let is_token = algorithm == Some(Algorithm::Token);
    let encoding = one_of(
        "encoding",
        parameters.encoding.as_deref().unwrap_or(if is_token { "raw" } else { "hex" }),
        &[
            ("hex", Encoding::Hex),
            ("base64", Encoding::Base64),
            ("base64url", Encoding::Base64Url),
            ("raw", Encoding::Raw),
        ],
        problems,
    );
    if encoding == Some(Encoding::Raw) && algorithm.is_some() && !is_token {
        problems.push(wrong("encoding", "`encoding` is \"raw\", and only a token can stand in a header as it is"));
    }
    let is_public = algorithm.is_some_and(|algorithm| !algorithm.is_symmetric());
    let secret = one_of(
        "secret_encoding",
        parameters.secret_encoding.as_deref().unwrap_or(if is_public { "base64" } else { "utf8" }),
        &[
            ("utf8", SecretForm::Utf8),
            ("hex", SecretForm::Hex),
            ("base64", SecretForm::Base64),
            ("whsec", SecretForm::StandardWebhooks),
        ],
        problems,
    );
    if parameters.separator.as_deref() == Some("") {
        problems.push(wrong("separator", "`separator` is empty: leave it out where there is one signature only"));
    }
    let timestamp = timestamp(parameters, problems);
    let content = content(parameters, algorithm, problems);
    let require = require(parameters, problems);
    let body = one_of(
        "body",
        parameters.body.as_deref().unwrap_or("any"),
        &[("json", BodyForm::Json), ("json-or-form", BodyForm::JsonOrForm), ("any", BodyForm::Any)],
        problems,
    );
    if let (Some(place), Some(parts)) = (&signature, &content) {
        let is_within_itself = match place {
            Place::Json(_) => parts.contains(&Part::Body),
            Place::Query(_) => parts.contains(&Part::Url),
            Place::Header(name) => parts.contains(&Part::Header(name)),
            Place::Headers(_) | Place::NumberedHeaders(_) | Place::JsonEach { .. } => false,
        };
        if is_within_itself {
            problems.push(wrong(
                "content",
                "`content` holds the place of the signature itself, which then could never fit",
            ));
        }
    }
    let is_item = timestamp.is_some_and(|timestamp| matches!(timestamp.at, TimestampPlace::Item(_)));
    if is_item && parameters.separator.is_none() {
        problems
            .push(wrong("timestamp", "`timestamp` is an item beside the signature, and no `separator` parts the two"));
    }
    Some(Scheme {
        signature: signature?,
        separator: parameters.separator.clone().map(kept),
        prefix: kept(parameters.prefix.clone().unwrap_or_default()),
        encoding: encoding?,
        algorithm: algorithm?,
        secret: secret?,
        content: Content::Parts(content?.leak()),
        body: body?,
        decompress: parameters.decompress.unwrap_or_default(),
        timestamp,
        require: require?.leak(),
        rating_reason: "the endpoint names none",
        ..SCHEME
    })
}

fn place(parameters: &Parameters, problems: &mut Vec<ParameterError>) -> Option<Place> {
    match (&parameters.header, &parameters.query, &parameters.json) {
        (Some(name), None, None) => header_name(name, "header", problems).map(Place::Header),
        (None, Some(name), None) if !name.is_empty() => Some(Place::Query(kept(name))),
        (None, Some(_), None) => {
            problems.push(wrong("query", "`query` is empty: name the parameter that holds the signature"));
            None
        }
        (None, None, Some(pointer)) if pointer.starts_with('/') => Some(Place::Json(kept(pointer))),
        (None, None, Some(pointer)) => {
            problems.push(wrong("json", format!("`json` is {pointer:?}, and must be a pointer: \"/signature\"")));
            None
        }
        (None, None, None) => {
            problems.push(wrong("header", "`header` is missing: name the header that holds the signature"));
            None
        }
        _ => {
            problems.push(wrong("header", "only one of `header`, `query` and `json` can say where the signature is"));
            None
        }
    }
}

fn timestamp(parameters: &Parameters, problems: &mut Vec<ParameterError>) -> Option<Timestamp> {
    let unit = one_of(
        "timestamp_unit",
        parameters.timestamp_unit.as_deref().unwrap_or("s"),
        &[("s", TimestampUnit::Seconds), ("ms", TimestampUnit::Milliseconds), ("rfc3339", TimestampUnit::Rfc3339)],
        problems,
    );
    for (parameter, seconds) in [
        ("tolerance_seconds", parameters.tolerance_seconds),
        ("future_tolerance_seconds", parameters.future_tolerance_seconds),
    ] {
        if seconds.is_some_and(|seconds| seconds < 0) {
            problems.push(wrong(parameter, format!("`{parameter}` is negative: it is a number of seconds")));
        }
    }
    let Some(place) = &parameters.timestamp else {
        for (parameter, present) in [
            ("timestamp_unit", parameters.timestamp_unit.is_some()),
            ("tolerance_seconds", parameters.tolerance_seconds.is_some()),
            ("future_tolerance_seconds", parameters.future_tolerance_seconds.is_some()),
        ] {
            if present {
                problems.push(wrong(
                    parameter,
                    format!("`{parameter}` has no meaning without `timestamp`: say where the timestamp is"),
                ));
            }
        }
        return None;
    };
    let at = match place.split_once(':') {
        Some(("header", name)) => TimestampPlace::Header(header_name(name, "timestamp", problems)?),
        Some(("item", prefix)) if !prefix.is_empty() => TimestampPlace::Item(kept(prefix)),
        Some(("json", pointer)) if pointer.starts_with('/') => TimestampPlace::Json(kept(pointer)),
        _ => {
            let problem =
                format!("`timestamp` is {place:?}, and must be \"header:NAME\", \"item:PREFIX\" or \"json:/pointer\"");
            problems.push(wrong("timestamp", problem));
            return None;
        }
    };
    Some(Timestamp {
        at,
        unit: unit?,
        tolerance_seconds: Some(parameters.tolerance_seconds.unwrap_or(TOLERANCE_SECONDS)),
        future_tolerance_seconds: parameters.future_tolerance_seconds,
    })
}

fn content(
    parameters: &Parameters,
    algorithm: Option<Algorithm>,
    problems: &mut Vec<ParameterError>,
) -> Option<Vec<Part>> {
    let template = match (&parameters.content, algorithm) {
        (Some(_), Some(Algorithm::Token)) => {
            problems
                .push(wrong("content", "`content` has no meaning with `algorithm = \"token\"`: a token signs nothing"));
            return None;
        }
        (None, Some(Algorithm::Token)) => return Some(Vec::new()),
        (Some(template), _) => template,
        (None, _) => "{body}",
    };
    let parts = parse_template(template, problems)?;
    let has_timestamp = parts.contains(&Part::Timestamp);
    let has_body = parts.contains(&Part::Body);
    if has_timestamp && parameters.timestamp.is_none() {
        problems.push(wrong("content", "`content` has {ts}, and no `timestamp` says where that is"));
    }
    let is_in_body = has_body && parameters.timestamp.as_ref().is_some_and(|place| place.starts_with("json:"));
    if !has_timestamp && !is_in_body && parameters.timestamp.is_some() {
        problems.push(wrong(
            "timestamp",
            "`timestamp` is not part of `content`: a timestamp that is not signed proves nothing, write {ts} into `content`",
        ));
    }
    if !has_body && !parts.iter().any(|part| matches!(part, Part::Json(_))) {
        problems.push(wrong(
            "content",
            "`content` has no {body}: such a signature would fit any body, so it would let anyone in who saw one",
        ));
    }
    if parts.contains(&Part::Secret) != (algorithm == Some(Algorithm::Sha256)) && algorithm.is_some() {
        problems.push(wrong(
            "content",
            "{secret} belongs into the `content` of `algorithm = \"sha256\"`, and into no other",
        ));
    }
    Some(parts)
}

/// Reads `v0:{ts}:{body}`. A brace that opens no term is an error, so that a misspelt term is not signed as text.
fn parse_template(template: &str, problems: &mut Vec<ParameterError>) -> Option<Vec<Part>> {
    let mut parts = Vec::new();
    let mut rest = template;
    while !rest.is_empty() {
        let Some((literal, after)) = rest.split_once('{') else {
            parts.push(Part::Literal(kept(rest)));
            break;
        };
        if !literal.is_empty() {
            parts.push(Part::Literal(kept(literal)));
        }
        let Some((term, after)) = after.split_once('}') else {
            problems.push(wrong("content", format!("`content` is {template:?}, in which a {{ is never closed")));
            return None;
        };
        parts.push(match term.split_once(':') {
            None if term == "body" => Part::Body,
            None if term == "ts" => Part::Timestamp,
            None if term == "method" => Part::Method,
            None if term == "url" => Part::Url,
            None if term == "secret" => Part::Secret,
            Some(("header", name)) => Part::Header(header_name(name, "content", problems)?),
            Some(("json", pointer)) if pointer.starts_with('/') => Part::Json(kept(pointer)),
            Some(("json?", pointer)) if pointer.starts_with('/') => Part::JsonOrNothing(kept(pointer)),
            _ => {
                let problem = format!(
                    "`content` has {{{term}}}, and knows {{body}}, {{ts}}, {{method}}, {{url}}, {{secret}}, {{header:NAME}}, {{json:/pointer}} and {{json?:/pointer}}"
                );
                problems.push(wrong("content", problem));
                return None;
            }
        });
        rest = after;
    }
    Some(parts)
}

fn require(parameters: &Parameters, problems: &mut Vec<ParameterError>) -> Option<Vec<(Text, Text)>> {
    let named = parameters.require.iter();
    named.map(|(name, value)| Some((header_name(name, "require", problems)?, kept(value)))).collect()
}

/// Reads `header:NAME`, `json:/pointer`, `form:FIELD`, `form:FIELD:/pointer` or `query:NAME`.
///
/// # Errors
/// What is wrong with the text, and what would be right.
pub fn source(text: &str) -> Result<Source, String> {
    match text.split_once(':') {
        Some(("header", name)) => match http::HeaderName::from_bytes(name.as_bytes()) {
            Ok(name) => Ok(Source::Header(kept(name.as_str()))),
            Err(_) => Err(format!("{name:?} is not a header's name")),
        },
        Some(("json", pointer)) if pointer.starts_with('/') => Ok(Source::Json(kept(pointer))),
        Some(("form", field)) => match field.split_once(":/") {
            Some((field, pointer)) => Ok(Source::FormJson(kept(field), kept(format!("/{pointer}")))),
            None => Ok(Source::Form(kept(field))),
        },
        Some(("query", name)) => Ok(Source::Query(kept(name))),
        _ => Err(format!(
            "{text:?} is none of \"header:NAME\", \"json:/pointer\", \"form:FIELD\", \"form:FIELD:/pointer\", \"query:NAME\""
        )),
    }
}

fn header_name(text: &str, parameter: &'static str, problems: &mut Vec<ParameterError>) -> Option<Text> {
    match http::HeaderName::from_bytes(text.as_bytes()) {
        Ok(name) => Some(kept(name.as_str())),
        Err(_) => {
            problems.push(wrong(parameter, format!("`{parameter}` names {text:?}, which is not a header's name")));
            None
        }
    }
}

fn one_of<T: Copy>(
    parameter: &'static str,
    value: &str,
    choices: &[(&str, T)],
    problems: &mut Vec<ParameterError>,
) -> Option<T> {
    let found = choices.iter().find(|(name, _)| *name == value).map(|(_, choice)| *choice);
    if found.is_none() {
        let names: Vec<_> = choices.iter().map(|(name, _)| format!("{name:?}")).collect();
        problems.push(wrong(parameter, format!("`{parameter}` is {value:?}, and must be one of {}", names.join(", "))));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::{Coverage, IdRating};
    use crate::terms::Terms;

    fn problems(parameters: &Parameters) -> Vec<String> {
        scheme(parameters).err().unwrap_or_default().into_iter().map(|error| error.problem).collect()
    }

    fn signed_by(header: &str) -> Parameters {
        Parameters { header: Some(header.to_owned()), ..Parameters::default() }
    }

    #[test]
    fn a_header_alone_is_an_hmac_of_the_body_in_hex() {
        let row = scheme(&signed_by("X-Signature")).unwrap();
        assert_eq!(row.signature, Place::Header("x-signature"));
        assert_eq!(row.algorithm, Algorithm::HmacSha256);
        assert_eq!(row.encoding, Encoding::Hex);
        assert_eq!(row.content, Content::Parts(&[Part::Body]));
        assert_eq!(row.event_id_rating, IdRating::None);
        assert_eq!(row.coverage(), Coverage::Body);
    }

    #[test]
    fn an_id_is_rated_by_whether_the_signature_covers_it() {
        let rating = |parameters: &Parameters, text: &str| {
            let terms = Terms::new(&GENERIC, scheme(parameters).unwrap());
            terms.with_event_id(vec![source(text).unwrap()]).scheme.event_id_rating
        };
        assert_eq!(rating(&signed_by("X-S"), "json:/id"), IdRating::Event);
        assert_eq!(rating(&signed_by("X-S"), "header:X-Id"), IdRating::Hint);
        let content = Some("{header:X-Id}.{body}".to_owned());
        let joined = Parameters { content, ..signed_by("X-S") };
        // A body of any form may begin anywhere behind a point.
        assert_eq!(rating(&joined, "header:X-Id"), IdRating::Hint);
        assert_eq!(rating(&Parameters { body: Some("json".into()), ..joined }, "header:X-Id"), IdRating::Event);
        let algorithm = Some("token".to_owned());
        assert_eq!(rating(&Parameters { algorithm, ..signed_by("X-S") }, "json:/id"), IdRating::Hint);
    }

    #[test]
    fn every_problem_is_reported() {
        let parameters = Parameters {
            algorithm: Some("md5".into()),
            encoding: Some("morse".into()),
            timestamp_unit: Some("ms".into()),
            content: Some("{ts}.{bdy}".into()),
            ..Parameters::default()
        };
        assert_eq!(
            problems(&parameters),
            [
                "`header` is missing: name the header that holds the signature",
                "`algorithm` is \"md5\", and must be one of \"hmac-sha1\", \"hmac-sha256\", \"hmac-sha384\", \"hmac-sha512\", \"token\", \"sha256\", \"ed25519\", \"ecdsa-p256-sha256\", \"rsa-sha256\"",
                "`encoding` is \"morse\", and must be one of \"hex\", \"base64\", \"base64url\", \"raw\"",
                "`timestamp_unit` has no meaning without `timestamp`: say where the timestamp is",
                "`content` has {bdy}, and knows {body}, {ts}, {method}, {url}, {secret}, {header:NAME}, {json:/pointer} and {json?:/pointer}",
            ]
        );
    }

    #[test]
    fn a_signature_that_leaves_the_body_out_is_refused() {
        let content = Some("{header:X-Nonce}".to_owned());
        assert_eq!(
            problems(&Parameters { content, ..signed_by("X-S") }),
            ["`content` has no {body}: such a signature would fit any body, so it would let anyone in who saw one"]
        );
    }

    #[test]
    fn what_could_never_fit_is_refused() {
        let some = |text: &str| Some(text.to_owned());
        let within = "`content` holds the place of the signature itself, which then could never fit";
        assert_eq!(problems(&Parameters { json: some("/sig"), ..Parameters::default() }), [within]);
        let query = Parameters { query: some("sig"), content: some("{url}{body}"), ..Parameters::default() };
        assert_eq!(problems(&query), [within]);
        assert_eq!(problems(&Parameters { content: some("{header:X-S}{body}"), ..signed_by("X-S") }), [within]);
        let item = Parameters { timestamp: some("item:t="), content: some("{ts}.{body}"), ..signed_by("X-S") };
        assert_eq!(problems(&item), ["`timestamp` is an item beside the signature, and no `separator` parts the two"]);
        let empty = Parameters { query: some(""), ..Parameters::default() };
        assert_eq!(problems(&empty), ["`query` is empty: name the parameter that holds the signature"]);
    }

    #[test]
    fn a_timestamp_that_is_not_signed_is_refused() {
        let timestamp = Some("header:X-T".to_owned());
        assert_eq!(
            problems(&Parameters { timestamp, ..signed_by("X-S") }),
            [
                "`timestamp` is not part of `content`: a timestamp that is not signed proves nothing, write {ts} into `content`"
            ]
        );
    }
}
