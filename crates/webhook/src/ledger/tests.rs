use std::collections::{BTreeMap, BTreeSet};

use super::table::{Attribute, List, Unreadable, item, key, read};
use super::*;
use crate::limits::RECORD_BYTES_MAX;

use crate::policy::Retry;

const NOW: UnixSeconds = UnixSeconds(1_754_000_000);
const DAY_SECONDS: i64 = 86_400;
const THIRTY_FIVE_DAYS_SECONDS: i64 = 3_024_000;

fn record(state: State) -> Record {
    Record {
        state,
        owner: "one".into(),
        replay: 0,
        attempt: 1,
        interruptions: 0,
        lease_until: (state == State::Processing).then(|| NOW.plus(10)),
        due_at: (state == State::Waiting).then(|| NOW.plus(100)),
        sent_at: None,
        settled_at: matches!(state, State::Completed | State::Failed | State::Parked).then(|| NOW.plus(-50)),
        keep_until: None,
        replayed_at: None,
        received_at: NOW.plus(-100),
        expires_at: NOW.plus(1000),
        arrival_id: "first".into(),
        body: Digest::of(b"{}"),
        guard: None,
        event_type: Some("push".into()),
        failures: Vec::new(),
        message: matches!(state, State::Failed | State::Parked).then(|| "kept message".to_owned()),
    }
}

fn arriving() -> Arriving<'static> {
    Arriving {
        received_at: NOW.plus(-1),
        arrival_id: "second",
        body: Digest::of(b"{}"),
        guard: None,
        event_type: Some("push"),
        message: "the message",
    }
}

fn claimant() -> Claimant {
    Claimant { owner: "two".into(), lease_until: NOW.plus(35) }
}

fn met(found: &Record, now: UnixSeconds) -> Meeting {
    meet(Some(found), &arriving(), &Policy::default(), &claimant(), now)
}

#[track_caller]
fn run(meeting: Meeting) -> Write {
    let Meeting::Run(write) = meeting else { panic!("{meeting:?}") };
    *write
}

#[track_caller]
fn settle(meeting: Meeting) -> Write {
    let Meeting::Settle(write) = meeting else { panic!("{meeting:?}") };
    *write
}

fn attempts(attempts: u32) -> Policy {
    Policy { retry: Retry { attempts, ..Retry::default() }, ..Policy::default() }
}

fn unchanged(state: State) -> Condition {
    Condition::Unchanged { state, owner: "one".into() }
}

fn failed_attempt(again: Again) -> AttemptFailed {
    AttemptFailed { reason: "timed out".into(), again }
}

/// After an attempt that failed, of a message that may stay in the queue.
fn failed(record: &Record, again: Again, policy: &Policy) -> (Write, Next) {
    record.attempt_failed(&arriving(), &failed_attempt(again), policy, true, u64::MAX, NOW)
}

#[test]
fn a_records_place_says_its_endpoint_its_event_and_its_idempotency_key() {
    let said = |event: &str, body: &str| {
        let key = RecordKey { event: event.into(), body: body.into() };
        (key.endpoint().to_owned(), key.event_id().to_owned(), key.idempotency_key())
    };
    assert_eq!(said("shop#o#1", "-"), ("shop".into(), "o#1".into(), "o#1".into()));
    let body = "88c33a076d6c13228dc93728ed09cac76bab58b4401aa14cb52b646ffdb6ae58";
    assert_eq!(said("github#d-1", body), ("github".into(), "d-1".into(), format!("d-1:{body}")));
}

#[test]
fn an_unknown_event_is_claimed_where_there_is_no_record() {
    let write = run(meet(None, &arriving(), &Policy::default(), &claimant(), NOW));
    assert_eq!(write.condition, Condition::Vacant { now: NOW });
    let claimed = Record {
        owner: "two".into(),
        lease_until: Some(NOW.plus(35)),
        received_at: NOW.plus(-1),
        expires_at: NOW.plus(THIRTY_FIVE_DAYS_SECONDS),
        arrival_id: "second".into(),
        ..record(State::Processing)
    };
    assert_eq!(write.record, claimed);
}

#[test]
fn a_delivery_is_processed_until_it_is_thirty_days_old_and_then_parked_with_its_message() {
    let at_age = |days_seconds: i64| {
        let old = Arriving { received_at: NOW.plus(-days_seconds), ..arriving() };
        meet(None, &old, &Policy::default(), &claimant(), NOW)
    };
    run(at_age(30 * DAY_SECONDS - 1));
    let write = settle(at_age(30 * DAY_SECONDS));
    assert_eq!(write.condition, Condition::Vacant { now: NOW });
    assert_eq!((write.record.state, write.record.attempt), (State::Parked, 0));
    assert_eq!(write.record.message.as_deref(), Some("the message"));
    assert_eq!((write.record.settled_at, write.record.lease_until), (Some(NOW), None));
}

#[test]
fn an_old_delivery_with_a_record_is_processed_all_the_same() {
    let old = Arriving { received_at: NOW.plus(-40 * DAY_SECONDS), ..arriving() };
    run(meet(Some(&record(State::Waiting)), &old, &Policy::default(), &claimant(), NOW.plus(100)));
}

#[test]
fn a_record_past_its_time_counts_as_absent() {
    let completed = record(State::Completed);
    let duplicate = Meeting::Duplicate { state: State::Completed, other_body: false };
    assert_eq!(met(&completed, NOW.plus(999)), duplicate);
    assert_eq!(run(met(&completed, NOW.plus(1000))).condition, Condition::Vacant { now: NOW.plus(1000) });
}

#[test]
fn a_lease_holds_until_its_end_and_not_a_second_longer() {
    let held = record(State::Processing);
    assert_eq!(met(&held, NOW.plus(9)), Meeting::Early { until: NOW.plus(10), why: Early::Held });
    let write = run(met(&held, NOW.plus(10)));
    assert_eq!(write.condition, unchanged(State::Processing));
    assert_eq!((write.record.owner.as_str(), write.record.attempt, write.record.interruptions), ("two", 2, 1));
    assert_eq!(write.record.lease_until, Some(NOW.plus(35)));
    assert!(write.record.was_interrupted() && !held.was_interrupted());
}

#[test]
fn a_worker_that_died_is_remembered_under_the_attempt_at_which_it_died() {
    let write = run(met(&record(State::Processing), NOW.plus(10)));
    let reason = "its worker died, or its lease ended before anybody heard of it".to_owned();
    assert_eq!(write.record.failures, [Failure { at: NOW.plus(10), replay: 0, attempt: 1, reason }]);
}

#[test]
fn an_interrupted_event_is_parked_with_its_message_where_the_endpoint_says_so() {
    let policy = Policy { on_interrupted: OnInterrupted::Park, ..attempts(1) };
    let write = settle(meet(Some(&record(State::Processing)), &arriving(), &policy, &claimant(), NOW.plus(10)));
    assert_eq!(write.condition, unchanged(State::Processing));
    assert_eq!((write.record.state, write.record.owner.as_str()), (State::Parked, "one"));
    assert_eq!(write.record.message.as_deref(), Some("the message"));
    assert_eq!((write.record.attempt, write.record.interruptions), (1, 1));
}

#[test]
fn an_event_interrupted_at_its_last_attempt_is_failed_with_its_message() {
    let meet_with = |policy| meet(Some(&record(State::Processing)), &arriving(), &policy, &claimant(), NOW.plus(10));
    run(meet_with(attempts(2)));
    let write = settle(meet_with(attempts(1)));
    assert_eq!((write.condition, write.record.state), (unchanged(State::Processing), State::Failed));
    assert_eq!(write.record.message.as_deref(), Some("the message"));
}

#[test]
fn an_event_whose_worker_died_for_the_tenth_time_is_failed_before_the_queue_gives_its_message_up() {
    let after = |interruptions| met(&Record { interruptions, ..record(State::Processing) }, NOW.plus(10));
    assert_eq!(run(after(8)).record.interruptions, 9);
    let write = settle(after(9));
    assert_eq!((write.record.state, write.record.interruptions), (State::Failed, 10));
    assert_eq!(write.record.message.as_deref(), Some("the message"));
}

#[test]
fn a_waiting_event_may_be_claimed_when_it_is_due_and_not_a_second_sooner() {
    let waiting = record(State::Waiting);
    assert_eq!(met(&waiting, NOW.plus(99)), Meeting::Early { until: NOW.plus(100), why: Early::NotDue });
    let write = run(met(&waiting, NOW.plus(100)));
    assert_eq!(write.condition, unchanged(State::Waiting));
    assert_eq!((write.record.attempt, write.record.interruptions, write.record.due_at), (2, 0, None));
}

#[test]
fn a_copy_of_an_event_that_waits_in_the_queue_never_takes_its_place() {
    assert_eq!(met(&record(State::Waiting), NOW), Meeting::Early { until: NOW.plus(100), why: Early::NotDue });
}

#[test]
fn a_copy_of_an_event_whose_record_holds_the_message_is_a_duplicate_until_a_minute_before_it_is_due() {
    let waiting = Record { message: Some("kept".into()), ..record(State::Waiting) };
    let duplicate = Meeting::Duplicate { state: State::Waiting, other_body: false };
    assert_eq!(met(&waiting, NOW.plus(39)), duplicate);
    assert_eq!(met(&waiting, NOW.plus(40)), Meeting::Early { until: NOW.plus(100), why: Early::NotDue });
}

#[test]
fn a_claim_takes_the_message_out_of_the_record_and_forgets_that_it_was_sent() {
    let sent_at = Some(NOW.plus(90));
    let waiting = Record { message: Some("kept".into()), sent_at, ..record(State::Waiting) };
    let write = run(met(&waiting, NOW.plus(100)));
    assert_eq!((write.record.message, write.record.sent_at), (None, None));
}

#[test]
fn a_waiting_event_that_is_allowed_no_further_attempt_is_failed() {
    let meet_with = |policy| meet(Some(&record(State::Waiting)), &arriving(), &policy, &claimant(), NOW.plus(100));
    run(meet_with(attempts(2)));
    let write = settle(meet_with(attempts(1)));
    assert_eq!((write.record.state, write.record.message.as_deref()), (State::Failed, Some("the message")));
    assert_eq!(write.record.failures[0].reason, "its endpoint allows no further attempt");
}

#[test]
fn what_is_completed_or_parked_stays_so() {
    for state in [State::Completed, State::Parked] {
        assert_eq!(met(&record(state), NOW), Meeting::Duplicate { state, other_body: false });
    }
}

#[test]
fn a_duplicate_with_another_body_is_told_apart() {
    let other = Arriving { body: Digest::of(b"[]"), ..arriving() };
    let meeting = meet(Some(&record(State::Completed)), &other, &Policy::default(), &claimant(), NOW);
    assert_eq!(meeting, Meeting::Duplicate { state: State::Completed, other_body: true });
}

#[test]
fn a_failed_event_is_run_again_from_its_first_attempt_by_what_arrived_later() {
    let mut spent = Record { attempt: 7, interruptions: 2, ..record(State::Failed) };
    spent.settled_at = Some(NOW.plus(-2));
    let write = run(met(&spent, NOW));
    assert_eq!(write.condition, unchanged(State::Failed));
    assert_eq!((write.record.attempt, write.record.interruptions, write.record.replay), (1, 0, 0));
    assert_eq!((write.record.arrival_id.as_str(), write.record.message), ("second", None));
    assert_eq!(write.record.received_at, NOW.plus(-100), "it first arrived then");
}

#[test]
fn a_failed_event_is_not_run_again_by_what_arrived_before_it_failed_or_in_that_second() {
    let failed_at = |at| Record { settled_at: Some(at), ..record(State::Failed) };
    let duplicate = Meeting::Duplicate { state: State::Failed, other_body: false };
    assert_eq!(met(&failed_at(NOW), NOW), duplicate);
    assert_eq!(met(&failed_at(NOW.plus(-1)), NOW), duplicate);
}

#[test]
fn a_failed_event_is_not_run_again_by_a_copy_of_what_failed_whatever_the_clock_of_the_door_says() {
    let copy = Arriving { arrival_id: "first", received_at: NOW.plus(5), ..arriving() };
    let meeting = meet(Some(&record(State::Failed)), &copy, &Policy::default(), &claimant(), NOW);
    assert_eq!(meeting, Meeting::Duplicate { state: State::Failed, other_body: false });
}

#[test]
fn a_record_without_its_instant_does_not_block_its_event_for_ever() {
    run(met(&Record { lease_until: None, ..record(State::Processing) }, NOW));
    run(met(&Record { due_at: None, ..record(State::Waiting) }, NOW));
}

#[test]
fn every_transition_has_the_record_remembered_for_35_days_more() {
    let processing = record(State::Processing);
    let records = [
        run(met(&processing, NOW.plus(10))).record.expires_at.plus(-10),
        processing.completed(&arriving(), &Policy::default(), NOW).record.expires_at,
        failed(&processing, Again::Never, &Policy::default()).0.record.expires_at,
        failed(&processing, Again::BySchedule, &Policy::default()).0.record.expires_at,
        record(State::Failed).replayed("three", NOW).unwrap().record.expires_at,
    ];
    assert_eq!(records, [NOW.plus(THIRTY_FIVE_DAYS_SECONDS); 5]);
}

#[test]
fn a_completed_event_keeps_its_message_only_where_the_endpoint_says_so() {
    let processing = record(State::Processing);
    let write = processing.completed(&arriving(), &Policy::default(), NOW);
    assert_eq!(write.condition, unchanged(State::Processing));
    assert_eq!((write.record.state, write.record.settled_at), (State::Completed, Some(NOW)));
    assert_eq!((write.record.message, write.record.keep_until, write.record.lease_until), (None, None, None));
    let keeping = Policy { keep_seconds: Some(60), ..Policy::default() };
    let write = processing.completed(&arriving(), &keeping, NOW);
    assert_eq!(write.record.message.as_deref(), Some("the message"));
    assert_eq!(write.record.keep_until, Some(NOW.plus(60)));
}

#[test]
fn a_failed_attempt_waits_in_the_queue_for_up_to_a_quarter_of_an_hour_and_longer_in_the_record() {
    let processing = record(State::Processing);
    let (write, next) = failed(&processing, Again::AfterSeconds(900), &Policy::default());
    assert_eq!(write.condition, unchanged(State::Processing));
    assert_eq!(next, Next::InQueue { until: NOW.plus(900) });
    assert_eq!((write.record.state, write.record.message), (State::Waiting, None));
    assert_eq!((write.record.due_at, write.record.lease_until), (Some(NOW.plus(900)), None));
    let (write, next) = failed(&processing, Again::AfterSeconds(901), &Policy::default());
    assert_eq!(next, Next::InRecord { until: NOW.plus(901) });
    assert_eq!(write.record.message.as_deref(), Some("the message"));
}

#[test]
fn a_message_that_may_not_stay_in_the_queue_waits_in_the_record_for_a_minute_at_least() {
    let wait = |seconds| {
        let failed = failed_attempt(Again::AfterSeconds(seconds));
        record(State::Processing).attempt_failed(&arriving(), &failed, &Policy::default(), false, 0, NOW)
    };
    let (write, next) = wait(59);
    assert_eq!(next, Next::InRecord { until: NOW.plus(60) });
    assert_eq!((write.record.due_at, write.record.message.as_deref()), (Some(NOW.plus(60)), Some("the message")));
    assert_eq!(wait(61).1, Next::InRecord { until: NOW.plus(61) });
}

#[test]
fn a_wait_is_by_the_schedule_or_what_the_handler_asked_for_within_a_week() {
    let until = |again| failed(&record(State::Processing), again, &Policy::default()).0.record.due_at;
    assert_eq!(until(Again::BySchedule), Some(NOW.plus(10)));
    assert_eq!(until(Again::AfterSeconds(-1)), Some(NOW));
    assert_eq!(until(Again::AfterSeconds(604_800)), Some(NOW.plus(604_800)));
    assert_eq!(until(Again::AfterSeconds(604_801)), Some(NOW.plus(604_800)));
}

#[test]
fn an_attempt_that_would_fail_again_or_was_the_last_leaves_the_event_failed_with_its_message() {
    let processing = Record { attempt: 3, ..record(State::Processing) };
    let reason = "timed out".to_owned();
    for (again, policy) in [(Again::Never, attempts(4)), (Again::BySchedule, attempts(3))] {
        let (write, next) = failed(&processing, again, &policy);
        assert_eq!((next, write.record.state), (Next::Failed, State::Failed));
        assert_eq!(write.condition, unchanged(State::Processing));
        assert_eq!(write.record.message.as_deref(), Some("the message"));
        assert_eq!(write.record.settled_at, Some(NOW));
        assert_eq!(write.record.failures, [Failure { at: NOW, replay: 0, attempt: 3, reason: reason.clone() }]);
    }
    assert_eq!(failed(&processing, Again::AfterSeconds(5), &attempts(4)).1, Next::InQueue { until: NOW.plus(5) });
}

#[test]
fn an_attempt_in_which_nothing_was_begun_does_not_count_and_comes_again_where_one_attempt_is_allowed() {
    let processing = record(State::Processing);
    assert_eq!(processing.attempt, 1);
    let (write, next) = failed(&processing, Again::Uncounted, &attempts(1));
    assert_eq!(next, Next::InQueue { until: NOW.plus(10) });
    assert_eq!((write.record.state, write.record.attempt, write.record.interruptions), (State::Waiting, 0, 0));
    let reason = "timed out".to_owned();
    assert_eq!(write.record.failures, [Failure { at: NOW, replay: 0, attempt: 1, reason }]);
    // The next claim makes it the first attempt again, and the waits grow with the failures.
    let later = NOW.plus(10);
    let Meeting::Run(claim) = meet(Some(&write.record), &arriving(), &attempts(1), &claimant(), later) else {
        panic!("it is due");
    };
    assert_eq!(claim.record.attempt, 1);
    let third = Record { failures: vec![write.record.failures[0].clone(); 2], ..claim.record };
    assert_eq!(failed(&third, Again::Uncounted, &attempts(1)).1, Next::InQueue { until: NOW.plus(40) });
    // It comes to an end when the delivery is too old.
    let old = Arriving { received_at: UnixSeconds(NOW.0 - 30 * 86_400), ..arriving() };
    let failure = failed_attempt(Again::Uncounted);
    let (write, next) = processing.attempt_failed(&old, &failure, &attempts(1), true, 0, NOW);
    assert_eq!((next, write.record.state), (Next::Failed, State::Failed));
}

#[test]
fn no_attempt_is_planned_for_a_delivery_that_will_be_too_old_unless_a_person_asked_for_it() {
    let next_of = |age_seconds: i64, replay| {
        let old = Arriving { received_at: NOW.plus(-age_seconds), ..arriving() };
        let again = failed_attempt(Again::AfterSeconds(10));
        let processing = Record { replay, ..record(State::Processing) };
        processing.attempt_failed(&old, &again, &Policy::default(), true, 0, NOW).1
    };
    assert_eq!(next_of(30 * DAY_SECONDS - 11, 0), Next::InQueue { until: NOW.plus(10) });
    assert_eq!(next_of(30 * DAY_SECONDS - 10, 0), Next::Failed);
    assert_eq!(next_of(30 * DAY_SECONDS, 1), Next::InQueue { until: NOW.plus(10) });
}

#[test]
fn sixteen_failures_are_remembered_and_of_a_reason_four_hundred_characters() {
    let mut long = record(State::Processing);
    for attempt in 1..=17 {
        long.attempt = attempt;
        long.remember_failure(&"é".repeat(401), NOW);
    }
    assert_eq!(long.failures.len(), 16);
    assert_eq!((long.failures[0].attempt, long.failures[15].attempt), (2, 17));
    assert_eq!(long.failures[0].reason, "é".repeat(400));
}

#[test]
fn a_record_takes_a_copy_that_was_received_too_often_only_while_it_waits_without_a_message() {
    let waiting = record(State::Waiting);
    let write = waiting.holding(&arriving()).unwrap();
    assert_eq!(write.condition, unchanged(State::Waiting));
    let held = Record { message: Some("the message".into()), due_at: Some(NOW.plus(160)), ..waiting };
    assert_eq!(write.record, held);
    assert_eq!(held.holding(&arriving()), None);
    for state in [State::Processing, State::Completed, State::Failed, State::Parked] {
        assert_eq!(Record { message: None, ..record(state) }.holding(&arriving()), None);
    }
}

#[test]
fn what_is_settled_and_holds_its_message_can_be_replayed_under_a_new_number() {
    for state in [State::Completed, State::Failed, State::Parked] {
        let settled = Record { message: Some("kept".into()), attempt: 9, interruptions: 3, replay: 4, ..record(state) };
        let settled = Record { keep_until: Some(NOW), sent_at: Some(NOW), ..settled };
        let write = settled.replayed("three", NOW).unwrap();
        assert_eq!(write.condition, unchanged(state));
        let waiting = Record {
            owner: "three".into(),
            replay: 5,
            attempt: 0,
            due_at: Some(NOW.plus(10)),
            replayed_at: Some(NOW),
            expires_at: NOW.plus(THIRTY_FIVE_DAYS_SECONDS),
            message: Some("kept".into()),
            ..record(State::Waiting)
        };
        assert_eq!(write.record, waiting, "it was settled 50 seconds ago");
    }
}

#[test]
fn a_replay_is_due_now_but_not_sooner_than_a_minute_after_its_event_was_settled() {
    let due_at = |settled_at| {
        let failed = Record { message: Some("kept".into()), settled_at: Some(settled_at), ..record(State::Failed) };
        failed.replayed("three", NOW).unwrap().record.due_at
    };
    assert_eq!(due_at(NOW.plus(-60)), Some(NOW));
    assert_eq!(due_at(NOW.plus(-59)), Some(NOW.plus(1)));
}

#[test]
fn what_is_processed_anyway_or_holds_no_message_cannot_be_replayed() {
    let refused = |record: Record| record.replayed("three", NOW).unwrap_err();
    assert_eq!(refused(record(State::Processing)), NotReplayable::Processing);
    assert_eq!(refused(record(State::Waiting)), NotReplayable::Waiting { due_at: NOW.plus(100) });
    assert_eq!(refused(record(State::Completed)), NotReplayable::NotKept);
}

#[test]
fn the_housekeeper_sends_what_waits_in_the_record_when_it_is_due_and_again_a_day_after_it_sent_it() {
    let waiting = Record { message: Some("kept".into()), ..record(State::Waiting) };
    assert_eq!(waiting.errand(), Some((Errand::Send, NOW.plus(100))));
    let write = waiting.sent(NOW.plus(101));
    assert_eq!(write.condition, unchanged(State::Waiting));
    assert_eq!(write.record, Record { sent_at: Some(NOW.plus(101)), ..waiting });
    assert_eq!(write.record.errand(), Some((Errand::Send, NOW.plus(101 + DAY_SECONDS))));
    assert_eq!(record(State::Waiting).errand(), None, "the queue holds it");
}

#[test]
fn the_housekeeper_erases_what_was_kept_of_a_completed_event_when_its_time_is_over() {
    let kept = Record { message: Some("kept".into()), keep_until: Some(NOW.plus(7)), ..record(State::Completed) };
    assert_eq!(kept.errand(), Some((Errand::Erase, NOW.plus(7))));
    let write = kept.erased();
    assert_eq!((write.condition, &write.record), (unchanged(State::Completed), &record(State::Completed)));
    assert_eq!(write.record.errand(), None);
    for state in [State::Processing, State::Failed, State::Parked] {
        assert_eq!(Record { message: Some("kept".into()), ..record(state) }.errand(), None);
    }
}

#[test]
fn vacant_holds_where_there_is_no_record_or_one_past_its_time() {
    let vacant = |now| Condition::Vacant { now };
    let found = record(State::Completed);
    assert!(vacant(NOW).holds(None));
    assert!(!vacant(NOW.plus(999)).holds(Some(&found)));
    assert!(vacant(NOW.plus(1000)).holds(Some(&found)));
}

#[test]
fn unchanged_holds_of_the_same_state_and_the_same_owner_only() {
    assert!(unchanged(State::Waiting).holds(Some(&record(State::Waiting))));
    assert!(!unchanged(State::Waiting).holds(Some(&record(State::Processing))));
    assert!(!unchanged(State::Waiting).holds(Some(&Record { owner: "two".into(), ..record(State::Waiting) })));
    assert!(!unchanged(State::Waiting).holds(None));
}

#[test]
fn a_write_is_recognised_in_the_table_by_its_state_and_its_owner() {
    let write = Write { condition: Condition::Vacant { now: NOW }, record: record(State::Processing) };
    assert!(write.is(&record(State::Processing)));
    assert!(!write.is(&Record { owner: "two".into(), ..record(State::Processing) }));
    assert!(!write.is(&record(State::Waiting)));
}

#[test]
fn all_that_arrived_under_one_id_stands_in_one_partition() {
    let key = |body: &[u8]| RecordKey::new("github", &IdempotencyKey::of_event_and_body("d-1", Digest::of(body)));
    assert_eq!(key(b"a").event, "github#d-1");
    assert_eq!(key(b"b").event, RecordKey::partition("github", "d-1"));
    assert_eq!(key(b"").body, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_ne!(key(b"a").body, key(b"b").body);
    let signed = RecordKey::new("billing", &IdempotencyKey::of_event("evt_1#2"));
    assert_eq!(signed, RecordKey { event: "billing#evt_1#2".into(), body: "-".into() });
    assert_eq!(signed.endpoint(), "billing");
}

#[test]
fn a_guard_stands_where_no_record_does() {
    let guard = RecordKey::guard("github", Digest::of(b""));
    let event = "github#e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855".to_owned();
    assert_eq!(guard, RecordKey { event, body: "guard".into() });
}

#[test]
fn a_state_is_read_as_it_was_written() {
    for word in ["processing", "waiting", "completed", "failed", "parked"] {
        assert_eq!(State::from_word(word).map(State::word), Some(word));
    }
    assert_eq!(State::from_word("done"), None);
}

fn place() -> RecordKey {
    RecordKey { event: "github#d-1".into(), body: "-".into() }
}

fn attributes(record: &Record) -> BTreeMap<&'static str, Attribute> {
    item(&place(), record).into_iter().collect()
}

fn text(text: &str) -> Attribute {
    Attribute::Text(text.to_owned())
}

/// With everything that a record can have; no rule makes one like it.
fn full(state: State) -> Record {
    let failure = |attempt, reason: &str| Failure { at: NOW, replay: 2, attempt, reason: reason.into() };
    Record {
        state,
        owner: "nonce".into(),
        replay: 2,
        attempt: 3,
        interruptions: 1,
        lease_until: Some(UnixSeconds(1)),
        due_at: Some(UnixSeconds(2)),
        sent_at: Some(UnixSeconds(3)),
        settled_at: Some(UnixSeconds(4)),
        keep_until: Some(UnixSeconds(5)),
        replayed_at: Some(UnixSeconds(6)),
        received_at: UnixSeconds(6),
        expires_at: UnixSeconds(7),
        arrival_id: "arrival".into(),
        body: Digest::of(b""),
        guard: None,
        event_type: Some("push".into()),
        failures: vec![failure(1, "timed \"out\""), failure(2, "é")],
        message: Some("{}".into()),
    }
}

#[test]
fn a_record_is_written_as_this_item() {
    let failures = "[{\"at\":1754000000,\"replay\":2,\"attempt\":1,\"reason\":\"timed \\\"out\\\"\"},\
                    {\"at\":1754000000,\"replay\":2,\"attempt\":2,\"reason\":\"é\"}]";
    let expected = [
        ("arrival_id", text("arrival")),
        ("attempt", Attribute::Number(3)),
        ("body_key", text("-")),
        ("body_sha256", text("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")),
        ("due_at", Attribute::Number(2)),
        ("event_key", text("github#d-1")),
        ("event_type", text("push")),
        ("expires_at", Attribute::Number(7)),
        ("failures", text(failures)),
        ("interruptions", Attribute::Number(1)),
        ("keep_until", Attribute::Number(5)),
        ("replayed_at", Attribute::Number(6)),
        ("lease_until", Attribute::Number(1)),
        ("message", text("{}")),
        ("open_at", Attribute::Number(86_403)),
        ("open_list", text("errands#2")),
        ("owner", text("nonce")),
        ("received_at", Attribute::Number(6)),
        ("replay", Attribute::Number(2)),
        ("sent_at", Attribute::Number(3)),
        ("settled_at", Attribute::Number(4)),
        ("state", text("waiting")),
        ("version", Attribute::Number(1)),
    ];
    assert_eq!(attributes(&full(State::Waiting)), expected.into());
}

#[test]
fn an_item_is_read_as_the_record_that_was_written_in_every_state_with_much_in_it_and_little() {
    for state in [State::Processing, State::Waiting, State::Completed, State::Failed, State::Parked] {
        for record in [full(state), Record { event_type: None, ..record(state) }] {
            let attributes = attributes(&record);
            assert_eq!(read(|name| attributes.get(name).cloned()), Ok(record));
        }
    }
}

#[test]
fn an_item_without_what_every_record_has_is_unreadable() {
    let attributes = attributes(&full(State::Waiting));
    let without = |missing: &str| read(|name| attributes.get(name).filter(|_| name != missing).cloned());
    for name in ["state", "owner", "attempt", "received_at", "expires_at"] {
        assert_eq!(without(name), Err(Unreadable::Attribute(name)));
    }
    assert_eq!(without("arrival_id"), Err(Unreadable::Attribute("arrival_id")));
    assert_eq!(without("body_sha256"), Err(Unreadable::Attribute("body_sha256")));
    assert_eq!(without("version"), Err(Unreadable::Version));
}

#[test]
fn a_record_of_the_first_releases_is_read_as_one_that_was_never_replayed_or_interrupted() {
    let attributes = attributes(&full(State::Completed));
    let old = read(|name| attributes.get(name).filter(|_| name != "replay" && name != "interruptions").cloned());
    assert_eq!(old, Ok(Record { replay: 0, interruptions: 0, ..full(State::Completed) }));
}

#[test]
fn an_item_with_something_else_in_it_is_unreadable() {
    let attributes = attributes(&full(State::Waiting));
    let with = |changed: &str, value: Attribute| {
        read(|name| if name == changed { Some(value.clone()) } else { attributes.get(name).cloned() })
    };
    assert_eq!(with("version", Attribute::Number(0)), Err(Unreadable::Version));
    assert_eq!(with("version", Attribute::Number(2)), Err(Unreadable::Version));
    assert_eq!(with("state", text("done")), Err(Unreadable::Attribute("state")));
    assert_eq!(with("owner", Attribute::Number(1)), Err(Unreadable::Attribute("owner")));
    assert_eq!(with("replay", text("1")), Err(Unreadable::Attribute("replay")));
    assert_eq!(with("attempt", text("1")), Err(Unreadable::Attribute("attempt")));
    assert_eq!(with("attempt", Attribute::Number(-1)), Err(Unreadable::Attribute("attempt")));
    assert_eq!(with("body_sha256", text("E3B0")), Err(Unreadable::Attribute("body_sha256")));
    assert_eq!(with("failures", text("[{}]")), Err(Unreadable::Attribute("failures")));
}

#[test]
fn the_key_of_an_item_is_read_unless_it_is_a_guards() {
    let key_of = |event: Option<Attribute>, body: Option<Attribute>| {
        key(move |name| match name {
            "event_key" => event.clone(),
            "body_key" => body.clone(),
            _ => None,
        })
    };
    assert_eq!(key_of(Some(text("github#d-1")), Some(text("-"))), Some(place()));
    assert_eq!(key_of(Some(text("github#d-1")), Some(text("guard"))), None);
    assert_eq!(key_of(Some(text("github#d-1")), None), None);
    assert_eq!(key_of(Some(Attribute::Number(1)), Some(text("-"))), None);
}

#[test]
fn a_record_is_listed_while_somebody_has_to_do_something_about_it() {
    assert_eq!(record(State::Processing).listed(), None);
    assert_eq!(record(State::Waiting).listed(), None, "the queue holds it");
    assert_eq!(record(State::Completed).listed(), None);
    assert_eq!(record(State::Failed).listed(), Some((List::Failed, NOW.plus(-50))));
    assert_eq!(record(State::Parked).listed(), Some((List::Parked, NOW.plus(-50))));
    let holding = |state| Record { message: Some("kept".into()), ..record(state) };
    assert_eq!(holding(State::Processing).listed(), None);
    assert_eq!(holding(State::Waiting).listed(), Some((List::Errands, NOW.plus(100))));
    let kept = Record { keep_until: Some(NOW.plus(7)), ..holding(State::Completed) };
    assert_eq!(kept.listed(), Some((List::Errands, NOW.plus(7))));
    assert!(!attributes(&record(State::Processing)).contains_key("open_list"));
    assert!(!attributes(&record(State::Processing)).contains_key("open_at"));
}

#[test]
fn the_partitions_of_a_list_hold_all_of_it_and_every_one_some() {
    let partition_of = |number: u32| {
        let place = RecordKey { event: format!("github#{number}"), ..place() };
        let (_, partition) = item(&place, &record(State::Failed)).into_iter().find(|(name, _)| *name == "open_list")?;
        Some(partition)
    };
    let used: BTreeSet<String> = (0..200)
        .filter_map(|number| match partition_of(number)? {
            Attribute::Text(partition) => Some(partition),
            Attribute::Number(_) => None,
        })
        .collect();
    let expected: BTreeSet<String> = (0..8).map(|shard| format!("failed#{shard}")).collect();
    assert_eq!(List::Failed.partitions().collect::<BTreeSet<_>>(), expected);
    assert_eq!(used, expected);
    assert_eq!(List::Errands.partitions().next().as_deref(), Some("errands#0"));
    assert_eq!(List::Parked.partitions().next().as_deref(), Some("parked#0"));
}

#[test]
fn conditions_are_said_in_dynamodbs_words() {
    let vacant = Condition::Vacant { now: NOW }.expression();
    assert_eq!(vacant.text, "attribute_not_exists(event_key) OR expires_at <= :now");
    assert_eq!((vacant.names, vacant.values), (&[][..], vec![(":now", Attribute::Number(1_754_000_000))]));
    let unchanged = unchanged(State::Waiting).expression();
    assert_eq!(unchanged.text, "#state = :state AND #owner = :owner");
    assert_eq!(unchanged.names, [("#state", "state"), ("#owner", "owner")]);
    assert_eq!(unchanged.values, [(":state", text("waiting")), (":owner", text("one"))]);
}

#[test]
fn the_largest_record_that_the_limits_allow_fits_an_item() {
    let mut largest = full(State::Waiting);
    largest.failures.clear();
    for attempt in 4_294_967_280..=4_294_967_295 {
        (largest.attempt, largest.replay) = (attempt, 4_294_967_295);
        largest.remember_failure(&"\u{1}".repeat(401), NOW);
    }
    largest.owner = "o".repeat(36);
    largest.arrival_id = "a".repeat(64);
    largest.event_type = Some("t".repeat(1024));
    // 192 KiB in base64, headers of which each byte grows sevenfold, and the envelope.
    largest.message = Some("m".repeat(262_144 + 71_680 + 8_192));
    let place = RecordKey { event: format!("{}#{}", "e".repeat(64), "k".repeat(256)), body: "b".repeat(64) };
    let bytes: usize = item(&place, &largest)
        .into_iter()
        .map(|(name, value)| match value {
            Attribute::Text(text) => name.len() + text.len(),
            // DynamoDB: a number has at most 21 bytes.
            Attribute::Number(_) => name.len() + 21,
        })
        .sum();
    assert!((380_000..=RECORD_BYTES_MAX).contains(&bytes), "{bytes}");
}

#[test]
fn a_waiting_event_whose_message_the_queue_refuses_fails_and_keeps_its_message() {
    let waiting = Record { message: Some("held".into()), sent_at: Some(NOW.plus(-9)), ..record(State::Waiting) };
    let write = waiting.unsendable("it is too long", NOW);
    assert_eq!((write.record.due_at, write.record.sent_at), (None, None), "it waits no more");
    assert_eq!(write.condition, unchanged(State::Waiting));
    assert_eq!((write.record.state, write.record.settled_at), (State::Failed, Some(NOW)));
    assert_eq!(write.record.message.as_deref(), Some("held"));
    assert_eq!(write.record.failures.last().map(|failure| failure.reason.as_str()), Some("it is too long"));
}

#[test]
fn a_delivery_that_the_queue_refuses_fails_without_an_attempt_and_keeps_its_message() {
    let write = unqueueable(&arriving(), "two".into(), "it is too long", NOW);
    assert_eq!(write.condition, Condition::Vacant { now: NOW });
    assert_eq!((write.record.state, write.record.attempt, write.record.settled_at), (State::Failed, 0, Some(NOW)));
    assert_eq!(write.record.message.as_deref(), Some("the message"));
    assert_eq!(write.record.failures.last().map(|failure| failure.reason.as_str()), Some("it is too long"));
}

#[test]
fn a_state_is_shown_by_the_word_that_the_table_has() {
    let states = [State::Processing, State::Waiting, State::Completed, State::Failed, State::Parked];
    let shown: Vec<_> = states.iter().map(State::to_string).collect();
    assert_eq!(shown, ["processing", "waiting", "completed", "failed", "parked"]);
}
