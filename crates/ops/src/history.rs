//! What happened to an event, one line each, as far as its record tells.

use wharf_webhook::clock::UnixSeconds;
use wharf_webhook::ledger::{Record, State};

use crate::terminal::one_line;

/// Something that happened to an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happening {
    /// When; `None` where the record does not say.
    pub at: Option<UnixSeconds>,
    /// What.
    pub what: String,
}

/// What happened to an event, oldest first, and what comes next.
pub fn history(record: &Record) -> Vec<Happening> {
    let mut happenings = vec![at(record.received_at, "received".to_owned())];
    let mut replay = 0;
    let mut replays_until = |number: u32, happenings: &mut Vec<Happening>| {
        for number in replay + 1..=number {
            // Of several replays, the record knows when the last one was.
            let at = record.replayed_at.filter(|_| number == record.replay);
            happenings.push(Happening { at, what: format!("replayed: replay {number}") });
        }
        replay = replay.max(number);
    };
    for failure in &record.failures {
        replays_until(failure.replay, &mut happenings);
        happenings.push(at(failure.at, format!("attempt {} failed: {}", failure.attempt, one_line(&failure.reason))));
    }
    replays_until(record.replay, &mut happenings);
    happenings.extend(record.sent_at.map(|sent_at| at(sent_at, "put into the queue".to_owned())));
    happenings.extend(match record.state {
        State::Processing => {
            record.lease_until.map(|until| at(until, format!("attempt {} is over, whatever happens", record.attempt)))
        }
        State::Waiting => {
            record.due_at.map(|due_at| at(due_at, format!("attempt {} is due", record.attempt.saturating_add(1))))
        }
        State::Completed | State::Failed | State::Parked => {
            record.settled_at.map(|settled_at| at(settled_at, record.state.word().to_owned()))
        }
    });
    happenings
}

fn at(at: UnixSeconds, what: String) -> Happening {
    Happening { at: Some(at), what }
}

#[cfg(test)]
pub(crate) mod tests {
    use wharf_webhook::idempotency::Digest;
    use wharf_webhook::ledger::Failure;

    use super::*;

    fn failure(at: i64, replay: u32, attempt: u32, reason: &str) -> Failure {
        Failure { at: UnixSeconds(at), replay, attempt, reason: reason.into() }
    }

    /// An event that failed, was replayed, and failed again.
    pub(crate) fn failed() -> Record {
        Record {
            state: State::Failed,
            owner: "nonce".into(),
            replay: 1,
            attempt: 2,
            interruptions: 0,
            lease_until: None,
            due_at: None,
            sent_at: None,
            settled_at: Some(UnixSeconds(1_754_000_100)),
            keep_until: None,
            replayed_at: Some(UnixSeconds(1_754_000_080)),
            received_at: UnixSeconds(1_754_000_000),
            expires_at: UnixSeconds(1_757_024_100),
            arrival_id: "A1=".into(),
            body: Digest::of(b"\xff{}"),
            guard: None,
            event_type: Some("paid".into()),
            failures: vec![
                failure(1_754_000_010, 0, 1, "the warehouse is closed"),
                failure(1_754_000_090, 1, 1, "the warehouse is closed"),
                failure(1_754_000_100, 1, 2, "there is no such order"),
            ],
            message: Some("{}".into()),
        }
    }

    fn lines(record: &Record) -> Vec<String> {
        let line = |Happening { at, what }: Happening| match at {
            Some(at) => format!("{at} {what}"),
            None => what,
        };
        history(record).into_iter().map(line).collect()
    }

    #[test]
    fn a_replay_stands_between_the_attempts_before_and_after_it() {
        assert_eq!(
            lines(&failed()),
            [
                "2025-07-31T22:13:20Z received",
                "2025-07-31T22:13:30Z attempt 1 failed: the warehouse is closed",
                "2025-07-31T22:14:40Z replayed: replay 1",
                "2025-07-31T22:14:50Z attempt 1 failed: the warehouse is closed",
                "2025-07-31T22:15:00Z attempt 2 failed: there is no such order",
                "2025-07-31T22:15:00Z failed",
            ]
        );
    }

    #[test]
    fn what_comes_next_stands_last() {
        let waiting = Record {
            state: State::Waiting,
            replay: 2,
            attempt: 0,
            sent_at: Some(UnixSeconds(1_754_000_201)),
            due_at: Some(UnixSeconds(1_754_000_200)),
            settled_at: None,
            failures: vec![],
            ..failed()
        };
        assert_eq!(
            lines(&waiting),
            [
                "2025-07-31T22:13:20Z received",
                "replayed: replay 1",
                "2025-07-31T22:14:40Z replayed: replay 2",
                "2025-07-31T22:16:41Z put into the queue",
                "2025-07-31T22:16:40Z attempt 1 is due",
            ]
        );
    }

    #[test]
    fn a_reason_is_one_line_that_no_terminal_acts_on() {
        let failures = vec![failure(1_754_000_010, 0, 1, "no\n  such\torder\u{1b}[31m")];
        assert_eq!(
            lines(&Record { failures, replay: 0, ..failed() })[1],
            r"2025-07-31T22:13:30Z attempt 1 failed: no such order\u{1b}[31m"
        );
    }
}
