//! The probe: an event of Wharf's own, which the housekeeper sends through the front door, and nobody processes. That it lands,
//! and when, says whether the whole way is open.

use serde::{Deserialize, Serialize};

use crate::clock::UnixMillis;
use crate::delivery::Delivery;

#[derive(Serialize, Deserialize)]
struct Body {
    posted_at_ms: i64,
}

/// The body of a probe that is posted at this instant.
pub fn body(posted_at: UnixMillis) -> Vec<u8> {
    serde_json::to_vec(&Body { posted_at_ms: posted_at.0 }).unwrap_or_default()
}

/// When a probe was posted. `None` if its body is another's.
pub fn posted_at(probe: &Delivery) -> Option<UnixMillis> {
    probe.json::<Body>().ok().map(|body| UnixMillis(body.posted_at_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_says_when_it_was_posted() {
        assert_eq!(body(UnixMillis(1_754_000_000_250)), br#"{"posted_at_ms":1754000000250}"#);
    }
}
