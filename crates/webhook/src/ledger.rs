//! What a record means at an instant.
//!
//! ```text
//! (absent) --claim--> processing(owner, attempt, lease_until)
//! processing --complete, same owner--> completed
//! processing --release, same owner--> waiting(due_at)
//! processing --fail, same owner--> failed
//! processing, lease ended --claim--> processing(new owner, attempt + 1)
//! waiting, due --claim--> processing
//! failed --claim by a later arrival--> processing
//! completed | parked --claim--> duplicate: nothing runs
//! ```
//!
//! These are the rules; `functions/consumer/ledger.rs` writes them as conditions of DynamoDB.

use std::fmt;

use crate::clock::UnixSeconds;
use crate::idempotency::{Digest, IdempotencyKey};

/// The version of a record that is written, and the newest that is read.
pub const VERSION: u32 = 1;

/// Where a record is in the table: the partition is the event, so that all that arrived under a sender's id can be found
/// by that id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordKey {
    /// Partition key: `<endpoint>#<event id>`, or `<endpoint>#<digest>` for an event without an id.
    pub event: String,
    /// Sort key: the digest of the body where the idempotency key has one, else `-`.
    pub body: String,
}

impl RecordKey {
    /// Where the record of this key is.
    pub fn new(endpoint: &str, key: &IdempotencyKey) -> RecordKey {
        let (event, body) = key.event_and_body();
        RecordKey { event: RecordKey::partition(endpoint, event), body: body.unwrap_or("-").to_owned() }
    }

    /// Where it is kept under which key a body was first processed, for endpoints with `replay_guard`. No record is there: a
    /// record's sort key is a digest or `-`.
    pub fn guard(endpoint: &str, body: Digest) -> RecordKey {
        RecordKey { event: RecordKey::partition(endpoint, &body.to_string()), body: GUARD.to_owned() }
    }

    /// The partition that holds all records of a sender's id.
    pub fn partition(endpoint: &str, event: &str) -> String {
        format!("{endpoint}#{event}")
    }
}

/// The sort key of what [`RecordKey::guard`] names.
pub const GUARD: &str = "guard";

/// What the ledger knows of an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Where the event is on its way.
    pub state: State,
    /// The nonce of the last claim.
    pub owner: String,
    /// How many claims there were.
    pub attempt: u32,
    /// Until when the claim holds, while `processing`.
    pub lease_until: Option<UnixSeconds>,
    /// From when it may be claimed, while `waiting`.
    pub due_at: Option<UnixSeconds>,
    /// From when it may be forgotten.
    pub expires_at: UnixSeconds,
}

/// Where an event is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// A worker holds a claim, or held one when it died.
    Processing,
    /// An attempt failed, and the next is due at a known time.
    Waiting,
    /// Processed; its effects are in the world.
    Completed,
    /// Given up, with the reason.
    Failed,
    /// Cut short in a way that a person has to judge.
    Parked,
}

/// What a claim meets at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It may be claimed now.
    Open,
    /// Another worker may be at it until then.
    Held {
        /// When its lease ends.
        until: UnixSeconds,
    },
    /// Its next attempt is due then.
    NotDue {
        /// When that is.
        until: UnixSeconds,
    },
    /// It is done, or waits for a person: a further arrival changes nothing.
    Settled(State),
}

/// What a claim at `now` meets. A record that may be forgotten counts as absent, deleted or not: DynamoDB deletes such
/// items only within days.
pub fn standing(record: Option<&Record>, now: UnixSeconds) -> Standing {
    let Some(record) = record.filter(|record| now < record.expires_at) else { return Standing::Open };
    match record.state {
        State::Processing => match record.lease_until {
            Some(until) if now < until => Standing::Held { until },
            _ => Standing::Open,
        },
        State::Waiting => match record.due_at {
            Some(until) if now < until => Standing::NotDue { until },
            _ => Standing::Open,
        },
        State::Failed => Standing::Open,
        State::Completed | State::Parked => Standing::Settled(record.state),
    }
}

impl State {
    /// As it is stored.
    pub fn word(self) -> &'static str {
        match self {
            State::Processing => "processing",
            State::Waiting => "waiting",
            State::Completed => "completed",
            State::Failed => "failed",
            State::Parked => "parked",
        }
    }

    /// The state that is stored as this word.
    pub fn from_word(word: &str) -> Option<State> {
        [State::Processing, State::Waiting, State::Completed, State::Failed, State::Parked]
            .into_iter()
            .find(|state| state.word() == word)
    }
}

impl fmt::Display for State {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::idempotency::Digest;

    const NOW: UnixSeconds = UnixSeconds(1_754_000_000);

    fn record(state: State) -> Record {
        Record {
            state,
            owner: "one".into(),
            attempt: 1,
            lease_until: Some(NOW.plus(10)),
            due_at: Some(NOW.plus(20)),
            expires_at: NOW.plus(1000),
        }
    }

    #[test]
    fn an_unknown_event_may_be_claimed() {
        assert_eq!(standing(None, NOW), Standing::Open);
    }

    #[test]
    fn a_lease_holds_until_its_end_and_not_a_second_longer() {
        let held = record(State::Processing);
        assert_eq!(standing(Some(&held), NOW.plus(9)), Standing::Held { until: NOW.plus(10) });
        assert_eq!(standing(Some(&held), NOW.plus(10)), Standing::Open);
    }

    #[test]
    fn a_waiting_event_may_be_claimed_when_it_is_due_and_not_a_second_sooner() {
        let waiting = record(State::Waiting);
        assert_eq!(standing(Some(&waiting), NOW.plus(19)), Standing::NotDue { until: NOW.plus(20) });
        assert_eq!(standing(Some(&waiting), NOW.plus(20)), Standing::Open);
    }

    #[test]
    fn what_is_completed_or_parked_stays_so() {
        for state in [State::Completed, State::Parked] {
            assert_eq!(standing(Some(&record(state)), NOW), Standing::Settled(state));
        }
    }

    #[test]
    fn a_failed_event_may_be_claimed_by_a_later_arrival() {
        assert_eq!(standing(Some(&record(State::Failed)), NOW), Standing::Open);
    }

    #[test]
    fn a_record_past_its_time_counts_as_absent() {
        let completed = record(State::Completed);
        assert_eq!(standing(Some(&completed), NOW.plus(999)), Standing::Settled(State::Completed));
        assert_eq!(standing(Some(&completed), NOW.plus(1000)), Standing::Open);
    }

    #[test]
    fn a_record_without_its_instant_does_not_block_its_event_for_ever() {
        let lost = Record { lease_until: None, due_at: None, ..record(State::Processing) };
        assert_eq!(standing(Some(&lost), NOW), Standing::Open);
        assert_eq!(standing(Some(&Record { state: State::Waiting, ..lost }), NOW), Standing::Open);
    }

    #[test]
    fn all_that_arrived_under_one_id_stands_in_one_partition() {
        let key = |body: &[u8]| RecordKey::new("github", &IdempotencyKey::of_event_and_body("d-1", Digest::of(body)));
        assert_eq!(key(b"a").event, "github#d-1");
        assert_eq!(key(b"b").event, "github#d-1");
        assert_ne!(key(b"a").body, key(b"b").body);
        let signed = RecordKey::new("billing", &IdempotencyKey::of_event("evt_1"));
        assert_eq!(signed, RecordKey { event: "billing#evt_1".into(), body: "-".into() });
    }

    #[test]
    fn a_state_is_read_as_it_was_written() {
        for word in ["processing", "waiting", "completed", "failed", "parked"] {
            assert_eq!(State::from_word(word).map(State::word), Some(word));
        }
        assert_eq!(State::from_word("done"), None);
    }
}
