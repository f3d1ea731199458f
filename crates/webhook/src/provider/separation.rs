//! Whether a signed content can be parted in one way only.
//!
//! A signature covers bytes, one part behind the other. Whoever has captured a request may send the same bytes parted
//! elsewhere, with the same signature: `{ts}{body}` of `12` and `3{…}` is that of `123` and `{…}`. So a part is its sender's own
//! only if its ends are certain, from the left or from the right:
//!
//! | part | why its end is certain |
//! | --- | --- |
//! | a method, the secret, the endpoint's `webhook_id` | nobody chooses it |
//! | a JSON object or list | no beginning and no end of one is another, but for white space around it |
//! | RFC 3339 | no beginning and no end of one is another |
//! | digits | beside anything that is no digit |
//! | a header, an address, a member, a body of any form | never by itself: it may hold whatever follows |

use super::{BodyForm, Part, TimestampUnit};

/// What a part may hold.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holds {
    /// What nobody chooses.
    Fixed,
    /// A JSON object or list.
    Json,
    /// `2025-08-01T00:13:20+02:00`
    Instant,
    Digits,
    /// An address, which begins with a letter.
    Address,
    Anything,
}

/// Whether these parts can be told apart, whatever they hold.
pub(super) fn is_unique(parts: &[Part], body: BodyForm, unit: Option<TimestampUnit>) -> bool {
    let boundaries = boundaries(parts, body, unit);
    let from_the_left = boundaries.iter().take_while(|boundary| boundary.is_certain_from_the_left()).count();
    let from_the_right = boundaries.iter().rev().take_while(|boundary| boundary.is_certain_from_the_right()).count();
    from_the_left + from_the_right >= boundaries.len()
}

/// Where one part ends and the next one begins.
struct Boundary<'p> {
    before: Holds,
    /// Fixed text between the two.
    literal: &'p str,
    behind: Holds,
}

fn boundaries<'p>(parts: &'p [Part], body: BodyForm, unit: Option<TimestampUnit>) -> Vec<Boundary<'p>> {
    let mut boundaries = Vec::new();
    let (mut before, mut literal) = (None, "");
    for part in parts {
        let behind = match part {
            // Two literals never stand side by side.
            Part::Literal(text) => {
                literal = text;
                continue;
            }
            Part::Method | Part::Secret | Part::WebhookId => Holds::Fixed,
            Part::Body if body == BodyForm::Json => Holds::Json,
            Part::Timestamp if unit == Some(TimestampUnit::Rfc3339) => Holds::Instant,
            Part::Timestamp | Part::Crc32 => Holds::Digits,
            Part::Url | Part::UrlHubspot => Holds::Address,
            Part::Body | Part::Header(_) | Part::Json(_) | Part::JsonOrNothing(_) => Holds::Anything,
        };
        if let Some(before) = before {
            boundaries.push(Boundary { before, literal, behind });
        }
        (before, literal) = (Some(behind), "");
    }
    boundaries
}

impl Boundary<'_> {
    /// Whether the part before it ends here, if it is known where that began.
    fn is_certain_from_the_left(&self) -> bool {
        match self.before {
            Holds::Fixed | Holds::Json | Holds::Instant => true,
            Holds::Digits => match self.literal.bytes().next() {
                Some(first) => !first.is_ascii_digit(),
                None => matches!(self.behind, Holds::Json | Holds::Address),
            },
            Holds::Address | Holds::Anything => false,
        }
    }

    /// Whether the part behind it begins here, if it is known where that ends.
    fn is_certain_from_the_right(&self) -> bool {
        match self.behind {
            Holds::Fixed | Holds::Json | Holds::Instant => true,
            Holds::Digits => match self.literal.bytes().next_back() {
                Some(last) => !last.is_ascii_digit(),
                None => self.before == Holds::Json,
            },
            Holds::Address | Holds::Anything => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::{Content, PROVIDERS};

    #[test]
    fn a_part_is_its_senders_own_where_something_ends_it() {
        use Part::{Body, Header, Literal, Method, Timestamp, Url};
        let seconds = Some(TimestampUnit::Seconds);
        let cases: [(&[Part], BodyForm, bool); 12] = [
            (&[Body], BodyForm::Any, true),
            (&[Timestamp, Body], BodyForm::Any, false),
            (&[Timestamp, Body], BodyForm::Json, true),
            (&[Timestamp, Literal("."), Body], BodyForm::Any, true),
            (&[Timestamp, Literal("0"), Body], BodyForm::Any, false),
            (&[Body, Timestamp], BodyForm::Any, false),
            (&[Body, Literal("."), Timestamp], BodyForm::Any, true),
            (&[Url, Body], BodyForm::Any, false),
            (&[Url, Body], BodyForm::Json, true),
            (&[Method, Literal(" "), Header("x-nonce"), Literal(" "), Body], BodyForm::Any, false),
            (&[Header("webhook-id"), Literal("."), Timestamp, Literal("."), Body], BodyForm::Any, false),
            (&[Header("webhook-id"), Literal("."), Timestamp, Literal("."), Body], BodyForm::Json, true),
        ];
        for (parts, body, expected) in cases {
            assert_eq!(is_unique(parts, body, seconds), expected, "{parts:?} {body:?}");
        }
        assert!(is_unique(&[Timestamp, Body], BodyForm::Any, Some(TimestampUnit::Rfc3339)));
        assert!(!is_unique(&[Timestamp, Url, Body], BodyForm::Any, seconds));
        assert!(is_unique(&[Timestamp, Url, Body], BodyForm::Json, seconds));
    }

    #[test]
    fn whose_parts_can_be_moved_is_known() {
        let movable: Vec<&str> = PROVIDERS
            .iter()
            .flat_map(|provider| provider.schemes.iter().map(move |scheme| (provider.name, scheme)))
            .filter(|(_, scheme)| !scheme.separates())
            .map(|(name, _)| name)
            .collect();
        assert_eq!(movable, ["twilio", "mailgun", "adyen"]);
        assert!(PROVIDERS.iter().flat_map(|provider| provider.schemes).any(|scheme| scheme.content == Content::Twilio));
    }
}
