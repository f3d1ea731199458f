//! Single members of a JSON text, found by RFC 6901 pointer without building the rest of it.
//!
//! The text is read once from end to end, whatever it holds: time is linear in its length, memory constant but for what is
//! found, and no nesting is too deep. A text that is not JSON to its last byte has no members. Of equal keys the last
//! counts, as in most readers.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// The member at `pointer`; the step `*` stands for the first element of a list.
pub(crate) fn member<'a>(text: &'a [u8], pointer: &str) -> Option<&'a RawValue> {
    found(text, pointer, Elements::First)?.pop()
}

/// The members at `pointer`; the step `*` stands for each element of a list. `None` if the text is not JSON.
pub(crate) fn members<'a>(text: &'a [u8], pointer: &str) -> Option<Vec<&'a RawValue>> {
    found(text, pointer, Elements::All)
}

/// A string that is not empty, or a number as it was written: two ids of more than 64 bits must not become one.
pub(crate) fn text(value: &RawValue) -> Option<Cow<'_, str>> {
    match value.get().as_bytes().first()? {
        b'"' => string(value).filter(|text| !text.is_empty()),
        b'-' | b'0'..=b'9' => Some(Cow::Borrowed(value.get())),
        _ => None,
    }
}

/// A string; `None` for anything else.
pub(crate) fn string(value: &RawValue) -> Option<Cow<'_, str>> {
    let unescaped =
        value.get().strip_prefix('"').and_then(|text| text.strip_suffix('"')).filter(|text| !text.contains('\\'));
    match unescaped {
        Some(text) => Some(Cow::Borrowed(text)),
        None => serde_json::from_str(value.get()).ok().map(Cow::Owned),
    }
}

/// What a signed content takes from a member: a string's characters, a number, `true` or `false` as written, nothing for
/// `null`. `None` for lists and objects.
pub(crate) fn scalar(value: &RawValue) -> Option<Cow<'_, str>> {
    match value.get().as_bytes().first()? {
        b'"' => string(value),
        b'{' | b'[' => None,
        b'n' => Some(Cow::Borrowed("")),
        _ => Some(Cow::Borrowed(value.get())),
    }
}

/// Whether a text is JSON from its beginning to its end.
pub(crate) fn is_json(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok())
}

/// Whether a text is a JSON object or list.
pub(crate) fn is_object_or_list(text: &[u8]) -> bool {
    matches!(text.trim_ascii_start().first(), Some(b'{' | b'[')) && is_json(text)
}

/// The names of an object's members that are not in `names`; none if the text is no JSON object.
pub(crate) fn names_beside(text: &[u8], names: &[&str]) -> Vec<String> {
    let all = std::str::from_utf8(text).ok().and_then(|text| serde_json::from_str::<MemberNames>(text).ok());
    all.map(|all| all.0).unwrap_or_default().into_iter().filter(|name| !names.contains(&&**name)).collect()
}

/// The text in pieces, without the members at `pointers` and the commas beside them: as if they had never been there. The
/// whole of it if it is no JSON.
pub(crate) fn without<'a>(text: &'a [u8], pointers: &[&str]) -> Vec<&'a [u8]> {
    let mut left_out: Vec<Range<usize>> = Vec::new();
    for pointer in pointers {
        let name = pointer.rsplit('/').next().unwrap_or_default();
        for value in members(text, pointer).unwrap_or_default() {
            // A value that was found in a text is a part of it.
            let start = (value.get().as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
            left_out.push(with_name(text, start..start + value.get().len(), name));
        }
    }
    left_out.sort_unstable_by_key(|range| (range.start, range.end));
    let (mut pieces, mut at) = (Vec::with_capacity(left_out.len() + 1), 0);
    for range in left_out {
        if range.start < at {
            continue;
        }
        let before = text.get(at..range.start).unwrap_or_default();
        let behind = text.get(range.end..).unwrap_or_default();
        match (before.trim_ascii_end().strip_suffix(b","), behind.trim_ascii_start().strip_prefix(b",")) {
            (Some(before), _) => {
                pieces.push(before);
                at = range.end;
            }
            (None, Some(behind)) => {
                pieces.push(before);
                at = text.len() - behind.len();
            }
            (None, None) => {
                pieces.push(before);
                at = range.end;
            }
        }
    }
    pieces.extend(text.get(at..));
    pieces
}

/// Where a member stands, its name included, whose value is at `value`. An element of a list has no name, and one that is
/// written with escapes stays.
fn with_name(text: &[u8], value: Range<usize>, name: &str) -> Range<usize> {
    let before = text.get(..value.start).unwrap_or_default().trim_ascii_end();
    let quoted = before.strip_suffix(b":").map(<[u8]>::trim_ascii_end).and_then(|text| text.strip_suffix(b"\""));
    let named = quoted.and_then(|text| text.strip_suffix(name.as_bytes())).and_then(|text| text.strip_suffix(b"\""));
    named.map_or(value.start, <[u8]>::len)..value.end
}

/// The names of an object's members, in their order.
struct MemberNames(Vec<String>);

impl<'de> Deserialize<'de> for MemberNames {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<MemberNames, D::Error> {
        deserializer.deserialize_map(Names)
    }
}

struct Names;

impl<'de> Visitor<'de> for Names {
    type Value = MemberNames;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<MemberNames, A::Error> {
        let mut names = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            map.next_value::<IgnoredAny>()?;
            names.push(name);
        }
        Ok(MemberNames(names))
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Elements {
    First,
    All,
}

fn found<'a>(text: &'a [u8], pointer: &str, elements: Elements) -> Option<Vec<&'a RawValue>> {
    let mut found = Vec::new();
    let mut deserializer = serde_json::Deserializer::from_str(std::str::from_utf8(text).ok()?);
    let walk = Walk { pointer, elements, found: &mut found };
    walk.deserialize(&mut deserializer).ok()?;
    deserializer.end().ok()?;
    Some(found)
}

/// The way from a value along the rest of a pointer.
struct Walk<'p, 'f, 'a> {
    pointer: &'p str,
    elements: Elements,
    found: &'f mut Vec<&'a RawValue>,
}

impl<'p> Walk<'p, '_, '_> {
    /// The next step, unescaped, and the pointer behind it.
    fn step(&self) -> Option<(Cow<'p, str>, &'p str)> {
        let rest = self.pointer.strip_prefix('/')?;
        let (step, behind) = rest.find('/').and_then(|at| rest.split_at_checked(at)).unwrap_or((rest, ""));
        let step = if step.contains('~') {
            Cow::Owned(step.replace("~1", "/").replace("~0", "~"))
        } else {
            Cow::Borrowed(step)
        };
        Some((step, behind))
    }
}

impl<'a> DeserializeSeed<'a> for Walk<'_, '_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.pointer.is_empty() {
            self.found.push(Deserialize::deserialize(deserializer)?);
            return Ok(());
        }
        deserializer.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for Walk<'_, '_, 'a> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any JSON value")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        let step = self.step();
        let before = self.found.len();
        while let Some(is_next) = map.next_key_seed(Key(step.as_ref().map(|(step, _)| &**step)))? {
            match &step {
                Some((_, behind)) if is_next => {
                    self.found.truncate(before);
                    map.next_value_seed(Walk { pointer: behind, elements: self.elements, found: &mut *self.found })?;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut list: A) -> Result<(), A::Error> {
        let step = self.step();
        let wanted = |index: usize| match &step {
            Some((step, _)) if step == "*" => index == 0 || self.elements == Elements::All,
            Some((step, _)) => step.parse() == Ok(index),
            None => false,
        };
        let behind = step.as_ref().map_or("", |(_, behind)| behind);
        for index in 0.. {
            let next = if wanted(index) {
                list.next_element_seed(Walk { pointer: behind, elements: self.elements, found: &mut *self.found })?
            } else {
                list.next_element::<IgnoredAny>()?.map(|_| ())
            };
            if next.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// Whether a key is the one that is looked for.
struct Key<'k>(Option<&'k str>);

impl<'a> DeserializeSeed<'a> for Key<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = bool;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<bool, E> {
        Ok(self.0 == Some(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_at<'a>(body: &'a [u8], pointer: &str) -> Option<Cow<'a, str>> {
        member(body, pointer).and_then(text)
    }

    #[test]
    fn a_member_is_found_by_its_pointer_and_keeps_its_digits() {
        let body = br#"{"id":18446744073709551617,"a/b":{"c~d":[0,"x"]},"t":true,"e":"","n":null,"s":"\u00e9"}"#;
        assert_eq!(text_at(body, "/id").as_deref(), Some("18446744073709551617"));
        assert_eq!(text_at(body, "/a~1b/c~0d/1").as_deref(), Some("x"));
        assert_eq!(text_at(body, "/s").as_deref(), Some("é"));
        for absent in
            ["/t", "/e", "/n", "/none", "/a~1b", "/id/0", "/a~1b/c~0d/9", "/a~1b/c~0d/x", "/t/x", "/s/x", "/n/x"]
        {
            assert_eq!(text_at(body, absent), None, "{absent}");
        }
    }

    #[test]
    fn a_star_is_the_first_element_or_each() {
        let body = br#"[{"a":[{"b":1},{"b":2}]},{"a":[{"b":3}]},{}]"#;
        assert_eq!(text_at(body, "/*/a/*/b").as_deref(), Some("1"));
        let all: Vec<_> = members(body, "/*/a/*/b").unwrap().into_iter().filter_map(text).collect();
        assert_eq!(all, ["1", "2", "3"]);
        assert_eq!(text_at(br#"[{},{"b":2}]"#, "/*/b"), None);
    }

    #[test]
    fn of_equal_keys_the_last_counts() {
        assert_eq!(text_at(br#"{"id":"1","id":"2"}"#, "/id").as_deref(), Some("2"));
        assert_eq!(text_at(br#"{"a":{"id":"1"},"a":{}}"#, "/a/id"), None);
    }

    #[test]
    fn what_is_not_json_to_its_end_has_no_members() {
        for body in [&b"{\"id\":1} x"[..], b"{\"id\":1", b"", b"{\"id\":\"\xff\"}", b"{\"id\":1,}"] {
            assert!(member(body, "/id").is_none(), "{body:?}");
        }
    }

    #[test]
    fn a_body_that_is_deeply_nested_has_no_member_and_does_no_harm() {
        let deep = "[".repeat(100_000);
        assert!(member(deep.as_bytes(), "/0").is_none());
        let closed = format!("{deep}{}", "]".repeat(100_000));
        assert!(text_at(closed.as_bytes(), "/0/0/0").is_none());
    }

    #[test]
    fn a_member_is_left_out_with_its_name_and_one_comma() {
        let left =
            |body: &str, pointers: &[&str]| String::from_utf8(without(body.as_bytes(), pointers).concat()).unwrap();
        assert_eq!(left(r#"{"a":1,"n":2,"b":3}"#, &["/n"]), r#"{"a":1,"b":3}"#);
        assert_eq!(left(r#"{"n" : {"x":[]} , "b":3}"#, &["/n"]), r#"{ "b":3}"#);
        assert_eq!(left(r#"{"a":1,"n":2,"m":3}"#, &["/m", "/n"]), r#"{"a":1}"#);
        assert_eq!(left(r#"{"n":2,"m":3}"#, &["/m", "/n"]), "{}");
        assert_eq!(left(r#"{"a":1 , "n":"2"}"#, &["/n"]), r#"{"a":1 }"#);
        assert_eq!(left(r#"{"n":2}"#, &["/n"]), "{}");
        assert_eq!(left(r#"{"n":2,"m":3,"a":1}"#, &["/m", "/n"]), r#"{"a":1}"#);
        let list = r#"[{"n":0,"a":"n"},{"a":"x","n":1},{"a":1}]"#;
        assert_eq!(left(list, &["/*/n"]), r#"[{"a":"n"},{"a":"x"},{"a":1}]"#);
        assert_eq!(left(r#"{"d":{"r":true},"a":1}"#, &["/d/r", "/none", "/a/x"]), r#"{"d":{},"a":1}"#);
        // What is left out once is not left out twice.
        assert_eq!(left(r#"{"d":{"r":true},"a":1}"#, &["/d", "/d/r"]), r#"{"a":1}"#);
        for whole in ["", "{", "\"n\"", r#"{"a":1}"#] {
            assert_eq!(left(whole, &["/n"]), whole);
        }
    }

    #[test]
    fn the_names_beside_others_are_found() {
        let beside = |body: &str| names_beside(body.as_bytes(), &["update_id"]);
        assert_eq!(beside(r#"{"update_id":1,"message":{"a":1}}"#), ["message"]);
        assert_eq!(beside(r#"{"poll":{},"update_id":1,"more":1}"#), ["poll", "more"]);
        for none in [r#"{"update_id":1}"#, "[]", "", r#"{"a":1"#, "1"] {
            assert_eq!(beside(none), [] as [String; 0], "{none}");
        }
    }

    #[test]
    fn json_is_json_to_its_end_however_deep() {
        assert!(is_object_or_list(b" {\"a\": [1, \"x\"]} "));
        assert!(is_object_or_list(b"[]"));
        assert!(is_json(b"\"x\"") && !is_object_or_list(b"\"x\""));
        assert!(is_json(b"1") && !is_object_or_list(b"1"));
        for body in [&b""[..], b"{", b"{} {}", b"\xff", b"\"\xff\"", b"payload={}", b"[\"\xff\"]"] {
            assert!(!is_json(body), "{body:?}");
        }
        assert!(is_object_or_list(format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)).as_bytes()));
    }

    #[test]
    fn a_scalar_is_taken_as_it_is_written() {
        let body = br#"{"s":"a\nb","i":1130,"t":true,"n":null,"o":{},"l":[]}"#;
        let at = |pointer| member(body, pointer).and_then(scalar).map(Cow::into_owned);
        assert_eq!(at("/s").as_deref(), Some("a\nb"));
        assert_eq!(at("/i").as_deref(), Some("1130"));
        assert_eq!(at("/t").as_deref(), Some("true"));
        assert_eq!(at("/n").as_deref(), Some(""));
        assert_eq!((at("/o"), at("/l")), (None, None));
    }
}
