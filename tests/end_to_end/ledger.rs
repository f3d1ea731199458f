//! The ledger's conditional writes, on the real table, with the time as an argument.

use wharf::ledger::{Ledger, Written};
use wharf_webhook::clock::UnixSeconds;
use wharf_webhook::idempotency::Digest;
use wharf_webhook::ledger::table::List;
use wharf_webhook::ledger::{Arriving, Claimant, Condition, Failure, Meeting, Record, RecordKey, State, Write, meet};
use wharf_webhook::policy::Policy;

use crate::harness::Wharf;

const NOW: UnixSeconds = UnixSeconds(1_754_000_000);
const STATES: [State; 5] = [State::Processing, State::Waiting, State::Completed, State::Failed, State::Parked];

fn key(event: &str) -> RecordKey {
    RecordKey { event: format!("shop#{event}"), body: "-".into() }
}

fn arriving() -> Arriving<'static> {
    Arriving {
        received_at: NOW,
        arrival_id: "a-1",
        body: Digest::of(b"{}"),
        guard: None,
        event_type: Some("paid"),
        message: "{}",
    }
}

/// A record with something in every attribute.
fn record(state: State) -> Record {
    Record {
        state,
        owner: "one".into(),
        replay: 2,
        attempt: 3,
        interruptions: 1,
        lease_until: Some(NOW.plus(1)),
        due_at: Some(NOW.plus(2)),
        sent_at: Some(NOW.plus(3)),
        settled_at: Some(NOW.plus(4)),
        keep_until: Some(NOW.plus(5)),
        replayed_at: Some(NOW.plus(6)),
        received_at: NOW,
        expires_at: NOW.plus(1000),
        arrival_id: "a-1".into(),
        body: Digest::of(b"{}"),
        guard: None,
        event_type: Some("paid".into()),
        failures: vec![Failure { at: NOW, replay: 1, attempt: 2, reason: "\u{1F600} \"closed\"".into() }],
        message: Some("{}".into()),
    }
}

/// Writes a record over whatever is there.
async fn put(ledger: &Ledger, key: &RecordKey, record: &Record) {
    let now = UnixSeconds(i64::MAX);
    let write = Write { condition: Condition::Vacant { now }, record: record.clone() };
    assert_eq!(ledger.write(key, &write).await.unwrap(), Written::Yes);
}

/// Claims an event as the consumer does; the record that was written, if it was.
async fn claim(
    ledger: &Ledger,
    owner: &str,
    found: Option<&Record>,
    now: UnixSeconds,
) -> Result<Record, Option<Record>> {
    let claimant = Claimant { owner: owner.into(), lease_until: now.plus(35) };
    let Meeting::Run(write) = meet(found, &arriving(), &Policy::default(), &claimant, now) else { return Err(None) };
    match ledger.write(&key("o-1"), &write).await.unwrap() {
        Written::Yes => Ok(write.record),
        Written::No(found) => Err(found.map(|found| *found)),
    }
}

#[tokio::test]
async fn a_record_is_read_as_it_was_written() {
    let wharf = Wharf::start().await;
    let ledger = wharf.ledger();
    for state in STATES {
        let whole = record(state);
        let bare = Record {
            lease_until: None,
            due_at: None,
            sent_at: None,
            settled_at: None,
            keep_until: None,
            replayed_at: None,
            event_type: None,
            failures: vec![],
            message: None,
            ..whole.clone()
        };
        for record in [whole, bare] {
            put(&ledger, &key("o-1"), &record).await;
            assert_eq!(ledger.read(&key("o-1")).await.unwrap(), Some(record));
        }
    }
    assert_eq!(ledger.read(&key("o-2")).await.unwrap(), None);
}

#[tokio::test]
async fn dynamodb_judges_every_condition_as_the_core_does_for_every_record() {
    let wharf = Wharf::start().await;
    let ledger = wharf.ledger();
    let mut written = 0;
    for found in STATES {
        for expires_at in [NOW.plus(-1), NOW, NOW.plus(1)] {
            let found = Record { expires_at, ..record(found) };
            let mut conditions = vec![Condition::Vacant { now: NOW }];
            for state in STATES {
                conditions.extend(["one", "other"].map(|owner| Condition::Unchanged { state, owner: owner.into() }));
            }
            for condition in conditions {
                put(&ledger, &key("o-1"), &found).await;
                let holds = condition.holds(Some(&found));
                let new = Record { owner: "new".into(), ..record(State::Completed) };
                let write = Write { condition, record: new.clone() };
                let expected = if holds { Written::Yes } else { Written::No(Some(Box::new(found.clone()))) };
                assert_eq!(ledger.write(&key("o-1"), &write).await.unwrap(), expected, "{write:?}");
                assert_eq!(ledger.read(&key("o-1")).await.unwrap().unwrap(), if holds { new } else { found.clone() });
                written += u32::from(holds);
            }
        }
    }
    // Of 15 records, 10 have expired; each is unchanged to one of the ten conditions.
    assert_eq!(written, 10 + 15);
    let unchanged = Condition::Unchanged { state: State::Waiting, owner: "one".into() };
    let write = Write { condition: unchanged, record: record(State::Completed) };
    assert_eq!(ledger.write(&key("o-2"), &write).await.unwrap(), Written::No(None), "what is not there is not changed");
}

#[tokio::test]
async fn a_late_worker_cannot_complete_what_another_has_claimed() {
    let wharf = Wharf::start().await;
    let ledger = wharf.ledger();
    let completed = |record: &Record, now| record.completed(&arriving(), &Policy::default(), now);
    let late = claim(&ledger, "late", None, NOW).await.unwrap();
    assert_eq!(late.attempt, 1);
    // While the lease holds, nobody else gets it.
    let found = claim(&ledger, "next", None, NOW.plus(34)).await.unwrap_err().unwrap();
    assert_eq!(found, late);
    assert_eq!(claim(&ledger, "next", Some(&found), NOW.plus(34)).await, Err(None));
    // It ends, and another worker claims the event.
    let next = claim(&ledger, "next", Some(&found), NOW.plus(35)).await.unwrap();
    assert_eq!((next.attempt, next.interruptions), (2, 1));
    // The first one was only slow.
    let write = completed(&late, NOW.plus(36));
    assert_eq!(ledger.write(&key("o-1"), &write).await.unwrap(), Written::No(Some(Box::new(next.clone()))));
    let write = completed(&next, NOW.plus(37));
    assert_eq!(ledger.write(&key("o-1"), &write).await.unwrap(), Written::Yes);
    // Completing again is what the SDK does when the first answer was lost.
    assert_eq!(ledger.write(&key("o-1"), &write).await.unwrap(), Written::Yes);
    let write = completed(&late, NOW.plus(38));
    assert!(matches!(ledger.write(&key("o-1"), &write).await.unwrap(), Written::No(Some(_))));
}

#[tokio::test]
async fn the_list_of_errands_has_what_is_due_and_the_others_keep_off_it() {
    let wharf = Wharf::start().await;
    let ledger = wharf.ledger();
    let waiting = |due_at| Record { due_at: Some(due_at), sent_at: None, ..record(State::Waiting) };
    let records = [
        ("due", waiting(NOW)),
        ("later", waiting(NOW.plus(1))),
        ("in-the-queue", Record { message: None, ..waiting(NOW) }),
        ("sent", Record { sent_at: Some(NOW), ..waiting(NOW) }),
        ("kept", Record { keep_until: Some(NOW), ..record(State::Completed) }),
        ("kept-longer", Record { keep_until: Some(NOW.plus(1)), ..record(State::Completed) }),
        ("completed", Record { message: None, ..record(State::Completed) }),
        ("failed", record(State::Failed)),
        ("processing", record(State::Processing)),
    ];
    for (event, record) in &records {
        put(&ledger, &key(event), record).await;
    }
    let mut found = Vec::new();
    for partition in List::Errands.partitions() {
        let page = ledger.errands(&partition, NOW, None).await.unwrap();
        assert!(page.next.is_none());
        found.extend(page.keys.into_iter().map(|key| key.event));
    }
    found.sort();
    assert_eq!(found, ["shop#due", "shop#kept"]);
}
