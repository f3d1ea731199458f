//! The row that a configuration supplies: a private or unknown sender needs no code.
//!
//! | parameter | values | when absent |
//! | --- | --- | --- |
//! | `header` | the header with the signature | an error |
//! | `algorithm` | `hmac-sha1`, `hmac-sha256`, `hmac-sha384`, `hmac-sha512`, `token` | `hmac-sha256` |
//! | `encoding` | `hex`, `base64`, `base64url`, `raw` | `hex`; for a token `raw` |
//! | `prefix` | what stands before the signature: `sha256=` | nothing |
//! | `separator` | what stands between several signatures in the header | there is one signature |
//! | `secret_encoding` | `utf8`, `hex`, `base64` | `utf8` |
//! | `content` | what is signed: text with `{body}`, `{ts}`, `{header:NAME}` | `{body}` |
//! | `timestamp` | where `{ts}` is: `header:NAME` | none |
//! | `timestamp_unit` | `s`, `ms`, `rfc3339` | `s` |
//! | `tolerance_seconds` | how far the timestamp may lie in the past | 300 |
//! | `future_tolerance_seconds` | the same for the future | as for the past |

use thiserror::Error;

use super::{
    Algorithm, Encoding, IdRating, List, Part, Provider, Scheme, SecretForm, Source, Text, Timestamp, TimestampUnit,
};

/// How old a timestamp may be where the configuration does not say, in seconds; the Standard Webhooks libraries' value.
pub const TOLERANCE_SECONDS: i64 = 300;

/// The parameters as they were written; each is described in the [module's table](self).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parameters {
    /// `header`
    pub header: Option<String>,
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
}

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

/// The provider that these parameters describe.
///
/// # Errors
/// Every problem, not only the first.
pub fn provider(
    parameters: &Parameters,
    event_id: List<Source>,
    event_type: List<Source>,
) -> Result<Provider, Vec<ParameterError>> {
    let mut problems = Vec::new();
    let signature = scheme(parameters, &mut problems);
    let Some(signature) = signature.filter(|_| problems.is_empty()) else { return Err(problems) };

    let event_id_rating = if event_id.is_empty() {
        IdRating::None
    } else if event_id.iter().all(|source| signature.covers(source)) {
        IdRating::Event
    } else {
        IdRating::Hint
    };
    let named = event_id.iter().chain(event_type.iter()).filter_map(|source| match source {
        Source::Header(name) => Some(name.clone()),
        Source::Json(_) => None,
    });
    let headers = named.collect();
    Ok(Provider {
        name: "generic".into(),
        title: "any other sender".into(),
        documentation: "".into(),
        signature,
        event_id,
        event_id_rating,
        event_type,
        headers,
        status_accepted: 200,
        status_refused: 400,
        patience_seconds: 10,
    })
}

fn scheme(parameters: &Parameters, problems: &mut Vec<ParameterError>) -> Option<Scheme> {
    let header = match &parameters.header {
        None => {
            problems.push(wrong("header", "`header` is missing: name the header that holds the signature"));
            None
        }
        Some(name) => header_name(name, "header", problems),
    };
    let algorithm = one_of(
        "algorithm",
        parameters.algorithm.as_deref().unwrap_or("hmac-sha256"),
        &[
            ("hmac-sha1", Algorithm::HmacSha1),
            ("hmac-sha256", Algorithm::HmacSha256),
            ("hmac-sha384", Algorithm::HmacSha384),
            ("hmac-sha512", Algorithm::HmacSha512),
            ("token", Algorithm::Token),
        ],
        problems,
    );
    let encoding = one_of(
        "encoding",
        parameters.encoding.as_deref().unwrap_or(if algorithm == Some(Algorithm::Token) { "raw" } else { "hex" }),
        &[
            ("hex", Encoding::Hex),
            ("base64", Encoding::Base64),
            ("base64url", Encoding::Base64Url),
            ("raw", Encoding::Raw),
        ],
        problems,
    );
    let secret = one_of(
        "secret_encoding",
        parameters.secret_encoding.as_deref().unwrap_or("utf8"),
        &[("utf8", SecretForm::Utf8), ("hex", SecretForm::Hex), ("base64", SecretForm::Base64)],
        problems,
    );
    if parameters.separator.as_deref() == Some("") {
        problems.push(wrong("separator", "`separator` is empty: leave it out where there is one signature only"));
    }
    let timestamp = timestamp(parameters, problems);
    let content = content(parameters, algorithm, problems);
    Some(Scheme {
        header: header?,
        separator: parameters.separator.clone().map(Text::Owned),
        prefix: parameters.prefix.clone().unwrap_or_default().into(),
        encoding: encoding?,
        algorithm: algorithm?,
        secret: secret?,
        content: content?.into(),
        timestamp,
    })
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
    let Some(name) = place.strip_prefix("header:") else {
        problems.push(wrong("timestamp", format!("`timestamp` is {place:?}, and must be \"header:NAME\"")));
        return None;
    };
    Some(Timestamp {
        header: header_name(name, "timestamp", problems)?,
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
        (Some(template), _) => template,
        (None, _) => "{body}",
    };
    let parts = parse_template(template, problems)?;
    let has_timestamp = parts.contains(&Part::Timestamp);
    if has_timestamp && parameters.timestamp.is_none() {
        problems.push(wrong("content", "`content` has {ts}, and no `timestamp` says where that is"));
    }
    if !has_timestamp && parameters.timestamp.is_some() {
        problems.push(wrong(
            "timestamp",
            "`timestamp` is not part of `content`: a timestamp that is not signed proves nothing, write {ts} into `content`",
        ));
    }
    if !parts.contains(&Part::Body) {
        problems.push(wrong(
            "content",
            "`content` has no {body}: such a signature would fit any body, so it would let anyone in who saw one",
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
            parts.push(Part::Literal(rest.to_owned().into()));
            break;
        };
        if !literal.is_empty() {
            parts.push(Part::Literal(literal.to_owned().into()));
        }
        let Some((term, after)) = after.split_once('}') else {
            problems.push(wrong("content", format!("`content` is {template:?}, in which a {{ is never closed")));
            return None;
        };
        parts.push(match term.split_once(':') {
            None if term == "body" => Part::Body,
            None if term == "ts" => Part::Timestamp,
            Some(("header", name)) => Part::Header(header_name(name, "content", problems)?),
            _ => {
                problems.push(wrong(
                    "content",
                    format!("`content` has {{{term}}}, and knows {{body}}, {{ts}} and {{header:NAME}}"),
                ));
                return None;
            }
        });
        rest = after;
    }
    Some(parts)
}

/// Reads `header:NAME` or `json:/pointer`.
///
/// # Errors
/// What is wrong with the text, and what would be right.
pub fn source(text: &str) -> Result<Source, String> {
    match text.split_once(':') {
        Some(("header", name)) => match http::HeaderName::from_bytes(name.as_bytes()) {
            Ok(name) => Ok(Source::Header(name.as_str().to_owned().into())),
            Err(_) => Err(format!("{name:?} is not a header's name")),
        },
        Some(("json", pointer)) if pointer.starts_with('/') => Ok(Source::Json(pointer.to_owned().into())),
        _ => Err(format!("{text:?} is neither \"header:NAME\" nor \"json:/pointer\"")),
    }
}

fn header_name(text: &str, parameter: &'static str, problems: &mut Vec<ParameterError>) -> Option<Text> {
    match http::HeaderName::from_bytes(text.as_bytes()) {
        Ok(name) => Some(name.as_str().to_owned().into()),
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

    fn problems(parameters: &Parameters) -> Vec<String> {
        provider(parameters, List::default(), List::default())
            .err()
            .unwrap_or_default()
            .into_iter()
            .map(|error| error.problem)
            .collect()
    }

    fn signed_by(header: &str) -> Parameters {
        Parameters { header: Some(header.to_owned()), ..Parameters::default() }
    }

    #[test]
    fn a_header_alone_is_an_hmac_of_the_body_in_hex() {
        let row = provider(&signed_by("X-Signature"), List::default(), List::default()).unwrap();
        assert_eq!(row.signature.header, "x-signature");
        assert_eq!(row.signature.algorithm, Algorithm::HmacSha256);
        assert_eq!(row.signature.encoding, Encoding::Hex);
        assert_eq!(row.signature.content, vec![Part::Body]);
        assert_eq!(row.event_id_rating, IdRating::None);
    }

    #[test]
    fn an_id_is_rated_by_whether_the_signature_covers_it() {
        let id = |text: &str| vec![source(text).unwrap()].into();
        let rating = |parameters: &Parameters, text: &str| {
            provider(parameters, id(text), List::default()).unwrap().event_id_rating
        };
        assert_eq!(rating(&signed_by("X-S"), "json:/id"), IdRating::Event);
        assert_eq!(rating(&signed_by("X-S"), "header:X-Id"), IdRating::Hint);
        let content = Some("{header:X-Id}.{body}".to_owned());
        assert_eq!(rating(&Parameters { content, ..signed_by("X-S") }, "header:X-Id"), IdRating::Event);
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
                "`algorithm` is \"md5\", and must be one of \"hmac-sha1\", \"hmac-sha256\", \"hmac-sha384\", \"hmac-sha512\", \"token\"",
                "`encoding` is \"morse\", and must be one of \"hex\", \"base64\", \"base64url\", \"raw\"",
                "`timestamp_unit` has no meaning without `timestamp`: say where the timestamp is",
                "`content` has {bdy}, and knows {body}, {ts} and {header:NAME}",
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
