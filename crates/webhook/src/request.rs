//! What a sender put on the wire, and how single parts of it are looked up.

use std::borrow::Cow;

use http::HeaderMap;
use http::header::{CONTENT_TYPE, HeaderValue};
use percent_encoding::percent_decode;

use crate::json;
use crate::provider::{Condition, Source};

/// What a sender put on the wire, as far as it can be judged.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// `POST`
    pub method: &'a str,
    /// The whole address as the sender knows it, query included: `https://hooks.example.com/webhooks/square`.
    pub url: &'a str,
    /// Repeated headers stay repeated.
    pub headers: &'a HeaderMap,
    /// Byte for byte as received.
    pub body: &'a [u8],
}

/// How often something that is wanted once is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Once<T> {
    /// Not at all.
    Absent,
    /// Once, without a value.
    Empty,
    /// Once.
    Value(T),
    /// More than once, so that it is unclear which counts.
    Repeated,
}

impl<'a> Request<'a> {
    /// A header that is wanted once.
    pub(crate) fn header(&self, name: &str) -> Once<&'a HeaderValue> {
        once(self.headers.get_all(name).iter(), |value| value.is_empty())
    }

    /// A query parameter that is wanted once, decoded.
    pub(crate) fn query(&self, name: &str) -> Once<Cow<'a, str>> {
        let pairs = form_urlencoded::parse(query_of(self.url).as_bytes());
        once(pairs.filter_map(|(key, value)| (key == name).then_some(value)), |value| value.is_empty())
    }

    /// The fields of a form body, names and values still escaped; none if the body does not say that it is one.
    pub(crate) fn form(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let mut rest: &'a [u8] = if self.is_form() { self.body } else { b"" };
        std::iter::from_fn(move || {
            while !rest.is_empty() {
                let (field, behind) = split_at(rest, b'&');
                rest = behind;
                if !field.is_empty() {
                    return Some(split_at(field, b'='));
                }
            }
            None
        })
    }

    /// The value of a form's first field of this name, decoded, if it is text.
    fn field(&self, name: &str) -> Option<Cow<'a, str>> {
        let (_, value) = self.form().find(|(found, _)| unescaped(found) == name.as_bytes())?;
        match unescaped(value) {
            Cow::Borrowed(value) => std::str::from_utf8(value).ok().map(Cow::Borrowed),
            Cow::Owned(value) => String::from_utf8(value).ok().map(Cow::Owned),
        }
    }

    /// Whether the body says that it is a form.
    pub(crate) fn is_form(&self) -> bool {
        let content_type = self.headers.get(CONTENT_TYPE).map_or(b"".as_slice(), HeaderValue::as_bytes);
        let media_type = content_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        media_type.eq_ignore_ascii_case(b"application/x-www-form-urlencoded")
    }

    /// The text or number that a source yields; nothing where it is absent, empty or something else.
    pub(crate) fn lookup(&self, source: &Source) -> Option<Cow<'a, str>> {
        match source {
            Source::Header(name) => self.headers.get(*name)?.to_str().ok().map(Cow::Borrowed),
            Source::EncodedHeader(name) => decoded_header(self.headers.get(*name)?),
            Source::MembersBeside { .. } => self.lookup_all(source).into_iter().next(),
            Source::Json(pointer) => json::member(self.body, pointer).and_then(json::text),
            Source::Form(field) => self.field(field),
            Source::FormJson(field, pointer) => {
                let value = self.field(field)?;
                json::member(value.as_bytes(), pointer).and_then(json::text).map(|text| Cow::Owned(text.into_owned()))
            }
            Source::Query(name) => match self.query(name) {
                Once::Value(value) => Some(value),
                Once::Absent | Once::Empty | Once::Repeated => None,
            },
        }
        .filter(|text| !text.is_empty())
    }

    /// All texts that a source yields: where a pointer has the step `*`, those of all elements.
    pub(crate) fn lookup_all(&self, source: &Source) -> Vec<Cow<'a, str>> {
        match source {
            Source::Json(pointer) => {
                json::members(self.body, pointer).unwrap_or_default().into_iter().filter_map(json::text).collect()
            }
            Source::MembersBeside { of, names } => json::members(self.body, of)
                .unwrap_or_default()
                .into_iter()
                .flat_map(|object| json::names_beside(object.get().as_bytes(), names))
                .map(Cow::Owned)
                .collect(),
            Source::Header(_)
            | Source::EncodedHeader(_)
            | Source::Form(_)
            | Source::FormJson(..)
            | Source::Query(_) => self.lookup(source).into_iter().collect(),
        }
    }

    /// How many values a pointer yields.
    pub(crate) fn count(&self, pointer: &str) -> usize {
        json::members(self.body, pointer).map_or(0, |values| values.len())
    }

    /// Whether something is there, empty or not.
    fn has(&self, source: &Source) -> bool {
        match source {
            Source::Header(name) | Source::EncodedHeader(name) => self.headers.contains_key(*name),
            Source::Json(pointer) => json::member(self.body, pointer).is_some(),
            Source::Form(field) => self.field(field).is_some(),
            Source::Query(name) => self.query(name) != Once::Absent,
            Source::FormJson(..) | Source::MembersBeside { .. } => self.lookup(source).is_some(),
        }
    }

    /// Whether a condition holds.
    pub(crate) fn meets(&self, condition: &Condition) -> bool {
        match condition {
            Condition::Present(source) => self.has(source),
            Condition::Absent(source) => self.lookup(source).is_none(),
            Condition::Is(source, text) => self.lookup(source).as_deref() == Some(*text),
        }
    }
}

/// What a percent-encoded header says: a quoted string first loses its quotes (CloudEvents, HTTP binding, 3.1.3.2).
fn decoded_header(value: &HeaderValue) -> Option<Cow<'static, str>> {
    let text = value.to_str().ok()?;
    let quoted = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    let text = quoted.map_or(Cow::Borrowed(text), |quoted| {
        let mut is_escaped = false;
        let kept = quoted.chars().filter(|character| {
            is_escaped = *character == '\\' && !is_escaped;
            !is_escaped
        });
        Cow::Owned(kept.collect())
    });
    let decoded = percent_decode(text.as_bytes()).decode_utf8().ok()?;
    Some(Cow::Owned(decoded.into_owned()))
}

/// What stands before and behind the first such byte; all and nothing where there is none.
fn split_at(bytes: &[u8], separator: u8) -> (&[u8], &[u8]) {
    match memchr::memchr(separator, bytes).and_then(|at| bytes.split_at_checked(at)) {
        Some((before, behind)) => (before, behind.get(1..).unwrap_or_default()),
        None => (bytes, b""),
    }
}

/// A form's name or value without its escapes. Bytes, not characters: two broken characters must not become one.
pub(crate) fn unescaped(text: &[u8]) -> Cow<'_, [u8]> {
    if !has_escapes(text) {
        return Cow::Borrowed(text);
    }
    let spaced: Vec<u8> = text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    Cow::Owned(percent_decode(&spaced).collect())
}

/// Whether anything in a form's text stands for something else.
pub(crate) fn has_escapes(text: &[u8]) -> bool {
    memchr::memchr2(b'+', b'%', text).is_some()
}

/// What stands behind the first `?` of an address; nothing where there is none.
pub(crate) fn query_of(url: &str) -> &str {
    url.split_once('?').map_or("", |(_, query)| query.split_once('#').map_or(query, |(query, _)| query))
}

fn once<T>(mut values: impl Iterator<Item = T>, is_empty: impl Fn(&T) -> bool) -> Once<T> {
    match (values.next(), values.next()) {
        (None, _) => Once::Absent,
        (Some(value), None) if is_empty(&value) => Once::Empty,
        (Some(value), None) => Once::Value(value),
        (Some(_), Some(_)) => Once::Repeated,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percent_encoded_header_is_decoded_and_a_quoted_one_unquoted() {
        let decoded = |text: &'static str| decoded_header(&HeaderValue::from_static(text)).map(Cow::into_owned);
        assert_eq!(decoded("1%20%C3%BC").as_deref(), Some("1 \u{fc}"));
        assert_eq!(decoded(r#""a \"b\\c\" %25""#).as_deref(), Some(r#"a "b\c" %"#));
        assert_eq!(decoded("100%").as_deref(), Some("100%"));
        assert_eq!(decoded("%ff"), None);
    }
}
