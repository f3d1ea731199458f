//! What makes two deliveries the same event: its key, and digests of what was sent.

use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::limits::KEY_BYTES_MAX;

/// Same event, same key, within one endpoint. At most [`KEY_BYTES_MAX`] bytes and never empty.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// For an id that is signed and unique to the event.
    pub(crate) fn of_event(id: &str) -> IdempotencyKey {
        IdempotencyKey::within_bounds(id.to_owned())
    }

    /// For a list of such ids, of which there is one at least: in this order they are the event.
    pub(crate) fn of_events(ids: &[String]) -> IdempotencyKey {
        match ids {
            [] => IdempotencyKey::of_content(Digest::of(b"")),
            [id] => IdempotencyKey::of_event(id),
            [first, ..] => IdempotencyKey::of_event_and_body(first, Digest::of(ids.join("\n").as_bytes())),
        }
    }

    /// For an id that is neither.
    pub(crate) fn of_event_and_body(id: &str, body: Digest) -> IdempotencyKey {
        IdempotencyKey::within_bounds(format!("{id}:{body}"))
    }

    /// For an event without an id.
    pub(crate) fn of_content(digest: Digest) -> IdempotencyKey {
        IdempotencyKey(digest.to_string())
    }

    /// The key that a text stands for, as a queue message and the log show it; `None` if it cannot be one.
    pub fn parse(text: &str) -> Option<IdempotencyKey> {
        (!text.is_empty() && text.len() <= KEY_BYTES_MAX).then(|| IdempotencyKey(text.to_owned()))
    }

    fn within_bounds(text: String) -> IdempotencyKey {
        if text.len() <= KEY_BYTES_MAX {
            IdempotencyKey(text)
        } else {
            IdempotencyKey::of_content(Digest::of(text.as_bytes()))
        }
    }

    /// The whole key.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The sender's id of the event and the digest of the body, where the key is made of these; else the key and nothing.
    /// So all that arrived under one id stand together in the ledger, and can be found by that id.
    pub fn event_and_body(&self) -> (&str, Option<&str>) {
        match self.0.rsplit_once(':') {
            Some((event, body)) if !event.is_empty() && Digest::from_hex(body).is_some() => (event, Some(body)),
            _ => (&self.0, None),
        }
    }
}

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A SHA-256 digest; shown in lower-case hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The SHA-256 digest of these bytes.
    pub fn of(bytes: &[u8]) -> Digest {
        Digest(Sha256::digest(bytes).into())
    }

    /// The digest of these bytes, one after the other.
    pub(crate) fn of_parts(parts: &[&[u8]]) -> Digest {
        let mut hash = Sha256::new();
        parts.iter().for_each(|part| hash.update(part));
        Digest(hash.finalize().into())
    }

    /// Its 32 bytes.
    pub fn bytes(&self) -> [u8; 32] {
        self.0
    }

    /// The digest that 64 lower-case hexadecimal digits stand for.
    pub fn from_hex(text: &str) -> Option<Digest> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        let digest = Digest(bytes);
        (digest.to_string() == text).then_some(digest)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Digest({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_256_bytes_stays_and_one_of_257_becomes_its_digest() {
        assert_eq!(IdempotencyKey::of_event(&"x".repeat(256)).as_str(), "x".repeat(256));
        assert_eq!(
            IdempotencyKey::of_event(&"x".repeat(257)).as_str(),
            "15eb95a462ee20bd91a415ae2d4aed341288186ddaa2b37908f7d592f0c3f85f"
        );
    }

    #[test]
    fn the_ids_of_a_list_are_one_key_in_their_order() {
        let key = |ids: &[&str]| IdempotencyKey::of_events(&ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>());
        assert_eq!(key(&["a"]).as_str(), "a");
        assert_eq!(key(&["a", "b"]).as_str(), "a:7e18f737311b2dc3b2f269dd78396b0351f14fb66efa879f768cb23181883c78");
        assert_ne!(key(&["a", "b"]), key(&["b", "a"]));
    }

    #[test]
    fn a_key_is_parted_into_event_and_body_where_it_is_made_of_them() {
        let body = Digest::of(b"");
        let key = IdempotencyKey::of_event_and_body("a:b", body);
        assert_eq!(
            key.event_and_body(),
            ("a:b", Some("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"))
        );
        assert_eq!(IdempotencyKey::of_event("a:b").event_and_body(), ("a:b", None));
        assert_eq!(IdempotencyKey::of_event("evt_1").event_and_body(), ("evt_1", None));
        assert_eq!(IdempotencyKey::of_event(&format!(":{body}")).event_and_body(), (&*format!(":{body}"), None));
    }

    #[test]
    fn a_key_and_a_digest_are_shown_as_they_are_written() {
        let digest = Digest::of(b"");
        let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(IdempotencyKey::of_event("evt_1").to_string(), "evt_1");
        assert_eq!((digest.to_string(), format!("{digest:?}")), (hex.to_owned(), format!("Digest({hex})")));
        // S3 is told these.
        assert_eq!(digest.bytes()[..4], [0xe3, 0xb0, 0xc4, 0x42]);
        assert_eq!(digest.bytes()[28..], [0x78, 0x52, 0xb8, 0x55]);
    }
}
