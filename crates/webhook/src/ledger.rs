//! What a record means at an instant, and what becomes of it.
//!
//! ```text
//! (absent) --claim--> processing(owner, attempt, lease_until)
//! processing --complete, same owner--> completed          (+ the handler's writes, in one transaction)
//! processing --attempt failed, same owner--> waiting(due_at), or failed
//! processing, lease ended --claim--> processing(new owner, attempt + 1), or failed at the last attempt   on_interrupted = rerun
//!                                                                        or after the tenth death
//! processing, lease ended --claim--> parked                                                              on_interrupted = park
//! waiting, due --claim--> processing(new owner, attempt + 1)
//! failed --claim by a later arrival--> processing(new owner, attempt 1)
//! completed | parked --claim--> duplicate: nothing runs
//! failed | parked | completed with its message --replay--> waiting(due now), with a new replay number
//! ```
//!
//! Every transition is a function from the record that was read to a [`Write`]: the whole new record, and the condition
//! under which it takes the old one's place. The functions of Lambda have DynamoDB judge that condition
//! ([`table`] says it in DynamoDB's words); the model and the simulation in `tests/` judge it by [`Condition::holds`]. A record
//! that was read is identified by its state and its owner, which is a nonce: whatever happens to it changes one of them.

use std::fmt;

use crate::clock::UnixSeconds;
use crate::idempotency::{Digest, IdempotencyKey};
use crate::limits::{
    AGE_SECONDS_MAX, EARLY_SECONDS_MAX, FAILURES_KEPT_MAX, INTERRUPTIONS_MAX, QUEUE_WAIT_SECONDS_MAX,
    REASON_CHARACTERS_MAX, RECORD_RETENTION_SECONDS, RESEND_SECONDS, WAIT_SECONDS_MAX,
};
use crate::policy::{OnInterrupted, Policy};

pub mod table;

/// Where a record is in the table: the partition is the event, so that all that arrived under a sender's id can be found
/// by that id.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
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
        RecordKey { event: RecordKey::partition(endpoint, event), body: body.unwrap_or(NO_BODY).to_owned() }
    }

    /// Where it is kept under which key something was first processed that one signature fits, for endpoints with
    /// `replay_guard`. No record is there: a record's sort key is a digest or `-`.
    pub fn guard(endpoint: &str, guarded: Digest) -> RecordKey {
        RecordKey { event: RecordKey::partition(endpoint, &guarded.to_string()), body: GUARD.to_owned() }
    }

    /// The partition that holds all records of a sender's id.
    pub fn partition(endpoint: &str, event: &str) -> String {
        format!("{endpoint}#{event}")
    }

    /// The endpoint. Its name has no `#`.
    pub fn endpoint(&self) -> &str {
        self.event.split_once('#').map_or(&self.event, |(endpoint, _)| endpoint)
    }

    /// The sender's id of the event, or what stands for it where there is none.
    pub fn event_id(&self) -> &str {
        self.event.split_once('#').map_or(&self.event, |(_, id)| id)
    }

    /// The idempotency key that the record stands under, as logs and guards have it.
    pub fn idempotency_key(&self) -> String {
        let id = self.event_id();
        if self.body == NO_BODY { id.to_owned() } else { format!("{id}:{}", self.body) }
    }
}

/// The sort key where the idempotency key has no digest.
const NO_BODY: &str = "-";
/// The sort key of what [`RecordKey::guard`] names.
pub const GUARD: &str = "guard";

/// What the ledger knows of an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Record {
    /// Where the event is on its way.
    pub state: State,
    /// The nonce of the last claim, or of the last replay.
    pub owner: String,
    /// How often a person had it processed again.
    pub replay: u32,
    /// How many claims there were, since it last failed, was parked or replayed.
    pub attempt: u32,
    /// How many of these ended with the death of the worker.
    pub interruptions: u32,
    /// Until when the claim holds, while `processing`.
    pub lease_until: Option<UnixSeconds>,
    /// From when it may be claimed, while `waiting`.
    pub due_at: Option<UnixSeconds>,
    /// When the housekeeper last put its message into the queue, while `waiting`.
    pub sent_at: Option<UnixSeconds>,
    /// When it was completed, failed or parked.
    pub settled_at: Option<UnixSeconds>,
    /// Until when the message is kept, if it is `completed` and holds one.
    pub keep_until: Option<UnixSeconds>,
    /// When it was last replayed.
    pub replayed_at: Option<UnixSeconds>,
    /// When it first arrived.
    pub received_at: UnixSeconds,
    /// From when it may be forgotten.
    pub expires_at: UnixSeconds,
    /// API Gateway's id of the request that brought the delivery that was last claimed.
    pub arrival_id: String,
    /// The digest of that delivery's body.
    pub body: Digest,
    /// What its endpoint's replay guard claimed, where it has one and that is another digest.
    pub guard: Option<Digest>,
    /// The type of the event.
    pub event_type: Option<String>,
    /// The attempts that failed, oldest first; of many, the latest.
    pub failures: Vec<Failure>,
    /// The whole queue message, while the record and not the queue holds it.
    pub message: Option<String>,
}

/// An attempt that failed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Failure {
    /// When.
    pub at: UnixSeconds,
    /// Under which replay number.
    pub replay: u32,
    /// Which attempt it was, counted from 1.
    pub attempt: u32,
    /// Why it failed.
    pub reason: String,
}

/// Where an event is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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

/// A delivery that meets the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arriving<'a> {
    /// When it was received at the door.
    pub received_at: UnixSeconds,
    /// API Gateway's id of its request.
    pub arrival_id: &'a str,
    /// The digest of its body.
    pub body: Digest,
    /// What its endpoint's replay guard claims, where it has one and that is another digest.
    pub guard: Option<Digest>,
    /// The type of its event.
    pub event_type: Option<&'a str>,
    /// The queue message that carries it.
    pub message: &'a str,
}

/// Who wants to process it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimant {
    /// A nonce of this claim alone.
    pub owner: String,
    /// When the worker is certainly gone.
    pub lease_until: UnixSeconds,
}

/// A record, and the condition under which it takes the place of what is in the table.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Write {
    /// What must be true of the record in the table.
    pub condition: Condition,
    /// What takes its place.
    pub record: Record,
}

/// What must be true of the record in the table.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Condition {
    /// There is none, or it may be forgotten: DynamoDB deletes such items only within days.
    Vacant {
        /// The instant at which that is judged.
        now: UnixSeconds,
    },
    /// It is the one that was read.
    Unchanged {
        /// Its state.
        state: State,
        /// Its owner.
        owner: String,
    },
}

/// What a delivery meets at an instant, and what is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meeting {
    /// It is ours to process, once this is written.
    Run(Box<Write>),
    /// Nothing is to be processed, and this is to be written: it is failed or parked.
    Settle(Box<Write>),
    /// Nothing is to be done: the event is settled, or its record holds the message. The delivery can be acknowledged.
    Duplicate {
        /// How it stands.
        state: State,
        /// Whether the body is another than the one that was processed under this key.
        other_body: bool,
    },
    /// It comes too early, and has to come again.
    Early {
        /// From when on there may be something to do.
        until: UnixSeconds,
        /// What it has to wait for.
        why: Early,
    },
}

/// Why a delivery comes too early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Early {
    /// Another worker may be at it.
    Held,
    /// The next attempt is not due.
    NotDue,
}

/// How an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptFailed {
    /// Why; for the operator.
    pub reason: String,
    /// When it is tried again.
    pub again: Again,
}

/// When a failed attempt is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// Never: it would fail in the same way.
    Never,
    /// When the endpoint's schedule says.
    BySchedule,
    /// When the schedule says, which goes by all failures, and the attempt does not count: nothing of the event was begun,
    /// because of us. So it comes again even where the endpoint allows one attempt only, until the delivery is too old.
    Uncounted,
    /// After this time, of which [`WAIT_SECONDS_MAX`] is the most.
    AfterSeconds(i64),
}

/// What comes after a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The message waits in the queue.
    InQueue {
        /// Until then.
        until: UnixSeconds,
    },
    /// The record holds the message, and the housekeeper sends it.
    InRecord {
        /// When it is due.
        until: UnixSeconds,
    },
    /// Nothing: a person has to look at it.
    Failed,
}

/// What the housekeeper has to do about a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Errand {
    /// Put its message into the queue.
    Send,
    /// Erase its message, whose time is over.
    Erase,
}

/// Why an event cannot be replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotReplayable {
    /// A worker is at it, or died at it: the queue holds its message.
    #[error("it is being processed; if its worker died, its message comes back by itself")]
    Processing,
    /// It will be processed anyway.
    #[error("it waits already, for its next attempt at {due_at}")]
    Waiting {
        /// When.
        due_at: UnixSeconds,
    },
    /// It is completed, and its endpoint keeps no messages.
    #[error("it is completed, and its message was not kept: `keep_days` in endpoints.toml has messages kept")]
    NotKept,
}

/// What a delivery meets, and what is to be done about it. `found` is the record in the table.
pub fn meet(
    found: Option<&Record>,
    arriving: &Arriving<'_>,
    policy: &Policy,
    claimant: &Claimant,
    now: UnixSeconds,
) -> Meeting {
    let Some(record) = found.filter(|record| now < record.expires_at) else {
        return meet_nothing(arriving, claimant, now);
    };
    match record.state {
        State::Processing => match record.lease_until {
            Some(until) if now < until => Meeting::Early { until, why: Early::Held },
            _ => record.interrupted(arriving, policy, claimant, now),
        },
        State::Waiting => match record.due_at {
            Some(until) if now < until => {
                let is_nearly_due = until <= now.plus(EARLY_SECONDS_MAX);
                if record.message.is_some() && !is_nearly_due {
                    return record.duplicate(arriving);
                }
                Meeting::Early { until, why: Early::NotDue }
            }
            _ => record.next_attempt(arriving, policy, claimant, now),
        },
        // Copies that were on their way when it failed change nothing; one that the sender was asked for does. The door's
        // clock may be ahead of the worker's, so a copy of the very delivery that failed is told by its arrival.
        State::Failed
            if record.arrival_id != arriving.arrival_id
                && record.settled_at.is_some_and(|failed_at| failed_at < arriving.received_at) =>
        {
            let first = Record { attempt: 1, interruptions: 0, ..record.claimed(arriving, claimant, now) };
            Meeting::Run(Box::new(record.replaced_by(first)))
        }
        State::Failed | State::Completed | State::Parked => record.duplicate(arriving),
    }
}

/// The record of a delivery that the queue refuses, so that no worker will ever meet it: failed, with its message. `owner` is
/// a nonce. If the event has a record already, another delivery has brought it.
pub fn unqueueable(arriving: &Arriving<'_>, owner: String, reason: &str, now: UnixSeconds) -> Write {
    let record = Record { attempt: 0, ..first(arriving, &Claimant { owner, lease_until: now }, now) };
    let record = record.settled(State::Failed, Some(reason), Some(arriving), now);
    Write { condition: Condition::Vacant { now }, record }
}

/// The record of an event that nobody has seen, claimed.
fn first(arriving: &Arriving<'_>, claimant: &Claimant, now: UnixSeconds) -> Record {
    Record {
        state: State::Processing,
        owner: claimant.owner.clone(),
        replay: 0,
        attempt: 1,
        interruptions: 0,
        lease_until: Some(claimant.lease_until),
        due_at: None,
        sent_at: None,
        settled_at: None,
        keep_until: None,
        replayed_at: None,
        received_at: arriving.received_at,
        expires_at: now.plus(RECORD_RETENTION_SECONDS),
        arrival_id: arriving.arrival_id.to_owned(),
        body: arriving.body,
        guard: arriving.guard,
        event_type: arriving.event_type.map(str::to_owned),
        failures: Vec::new(),
        message: None,
    }
}

fn meet_nothing(arriving: &Arriving<'_>, claimant: &Claimant, now: UnixSeconds) -> Meeting {
    let record = first(arriving, claimant, now);
    let condition = Condition::Vacant { now };
    if arriving.received_at.plus(AGE_SECONDS_MAX) <= now {
        let reason = "it arrived over 30 days ago: it may have been processed, and its record forgotten";
        let record = Record { attempt: 0, ..record }.settled(State::Parked, Some(reason), Some(arriving), now);
        return Meeting::Settle(Box::new(Write { condition, record }));
    }
    Meeting::Run(Box::new(Write { condition, record }))
}

impl Record {
    /// Whether a worker died at it in this run, so that the next one processes it alone.
    pub fn was_interrupted(&self) -> bool {
        self.interruptions > 0
    }

    /// The record, completed. `arriving` is the delivery that was processed.
    pub fn completed(&self, arriving: &Arriving<'_>, policy: &Policy, now: UnixSeconds) -> Write {
        let kept = policy.keep_seconds.map(|_| arriving);
        let keep_until = policy.keep_seconds.map(|seconds| now.plus(seconds));
        self.replaced_by(Record { keep_until, ..self.clone().settled(State::Completed, None, kept, now) })
    }

    /// The record after an attempt that failed: `waiting`, or `failed` if it was the last one. Only a message that may stay
    /// in the queue waits there. `random` is evenly distributed.
    pub fn attempt_failed(
        &self,
        arriving: &Arriving<'_>,
        failed: &AttemptFailed,
        policy: &Policy,
        may_stay_in_queue: bool,
        random: u64,
        now: UnixSeconds,
    ) -> (Write, Next) {
        let counted = |wait| Some(wait).filter(|_| !policy.retry.is_used_up(self.attempt));
        let wait = match failed.again {
            Again::Never => None,
            Again::BySchedule => counted(policy.retry.wait_seconds(self.attempt, random)),
            Again::AfterSeconds(seconds) => counted(seconds.clamp(0, WAIT_SECONDS_MAX)),
            Again::Uncounted => {
                let failures = u32::try_from(self.failures.len()).unwrap_or(u32::MAX);
                Some(policy.retry.wait_seconds(failures.saturating_add(1), random))
            }
        };
        let Some(wait) = wait else {
            let reason = Some(failed.reason.as_str());
            let write = self.replaced_by(self.clone().settled(State::Failed, reason, Some(arriving), now));
            return (write, Next::Failed);
        };
        let stays_in_queue = may_stay_in_queue && wait <= QUEUE_WAIT_SECONDS_MAX;
        // What leaves the queue is due no sooner than its acknowledgement is through: the queue may have delivered the same
        // message to another worker, who would claim it, and then it would be deleted under that worker's feet.
        let until = now.plus(if stays_in_queue { wait } else { wait.max(EARLY_SECONDS_MAX) });
        if self.replay == 0 && arriving.received_at.plus(AGE_SECONDS_MAX) <= until {
            let reason = format!("{}; the next attempt would come over 30 days after it arrived", failed.reason);
            let write = self.replaced_by(self.clone().settled(State::Failed, Some(&reason), Some(arriving), now));
            return (write, Next::Failed);
        }
        let mut waiting = Record {
            state: State::Waiting,
            lease_until: None,
            due_at: Some(until),
            expires_at: now.plus(RECORD_RETENTION_SECONDS),
            message: (!stays_in_queue).then(|| arriving.message.to_owned()),
            ..self.clone()
        };
        waiting.remember_failure(&failed.reason, now);
        if failed.again == Again::Uncounted {
            waiting.attempt = self.attempt.saturating_sub(1);
        }
        let next = if stays_in_queue { Next::InQueue { until } } else { Next::InRecord { until } };
        (self.replaced_by(waiting), next)
    }

    /// The record of a waiting event whose message the queue refuses: failed, with its message.
    pub fn unsendable(&self, reason: &str, now: UnixSeconds) -> Write {
        let message = self.message.clone();
        let failed = self.clone().settled(State::Failed, Some(reason), None, now);
        self.replaced_by(Record { message, ..failed })
    }

    /// The record of a waiting event, holding the message of a copy that was received too often to stay in the queue.
    /// `None` if it waits for nothing, or holds one already. It waits a little longer, for the reason in `attempt_failed`.
    pub fn holding(&self, arriving: &Arriving<'_>) -> Option<Write> {
        if self.state != State::Waiting || self.message.is_some() {
            return None;
        }
        let due_at = self.due_at.map(|due_at| due_at.plus(EARLY_SECONDS_MAX));
        Some(self.replaced_by(Record { due_at, message: Some(arriving.message.to_owned()), ..self.clone() }))
    }

    /// The record, waiting to be processed again at a person's wish: now, or a minute after it was settled, for the reason in
    /// `attempt_failed`. `owner` is a nonce.
    ///
    /// # Errors
    /// If it holds no message, or will be processed anyway.
    pub fn replayed(&self, owner: &str, now: UnixSeconds) -> Result<Write, NotReplayable> {
        match self.state {
            State::Processing => return Err(NotReplayable::Processing),
            State::Waiting => return Err(NotReplayable::Waiting { due_at: self.due_at.unwrap_or(now) }),
            State::Completed | State::Failed | State::Parked if self.message.is_none() => {
                return Err(NotReplayable::NotKept);
            }
            State::Completed | State::Failed | State::Parked => {}
        }
        let acknowledged_at = self.settled_at.map_or(now, |settled_at| settled_at.plus(EARLY_SECONDS_MAX));
        Ok(self.replaced_by(Record {
            state: State::Waiting,
            owner: owner.to_owned(),
            replay: self.replay.saturating_add(1),
            attempt: 0,
            interruptions: 0,
            due_at: Some(now.max(acknowledged_at)),
            sent_at: None,
            settled_at: None,
            keep_until: None,
            replayed_at: Some(now),
            expires_at: now.plus(RECORD_RETENTION_SECONDS),
            ..self.clone()
        }))
    }

    /// What the housekeeper has to do about it, and from when on.
    pub fn errand(&self) -> Option<(Errand, UnixSeconds)> {
        self.message.as_ref()?;
        match self.state {
            State::Waiting => {
                let resend_at = self.sent_at.map(|sent_at| sent_at.plus(RESEND_SECONDS));
                Some((Errand::Send, resend_at.or(self.due_at)?))
            }
            State::Completed => Some((Errand::Erase, self.keep_until?)),
            State::Processing | State::Failed | State::Parked => None,
        }
    }

    /// The record after its message was put into the queue. It keeps the message until it is claimed.
    pub fn sent(&self, now: UnixSeconds) -> Write {
        self.replaced_by(Record { sent_at: Some(now), ..self.clone() })
    }

    /// The record without its message.
    pub fn erased(&self) -> Write {
        self.replaced_by(Record { message: None, keep_until: None, ..self.clone() })
    }

    /// Its worker died, and another one comes upon it.
    fn interrupted(&self, arriving: &Arriving<'_>, policy: &Policy, claimant: &Claimant, now: UnixSeconds) -> Meeting {
        let record = Record { interruptions: self.interruptions.saturating_add(1), ..self.clone() };
        let reason = "its worker died, or its lease ended before anybody heard of it";
        match policy.on_interrupted {
            OnInterrupted::Park => {
                let parked = record.settled(State::Parked, Some(reason), Some(arriving), now);
                Meeting::Settle(Box::new(self.replaced_by(parked)))
            }
            // Each death costs the message a receive, and nothing would be written down if the queue gave it up first.
            OnInterrupted::Rerun
                if policy.retry.is_used_up(self.attempt) || record.interruptions >= INTERRUPTIONS_MAX =>
            {
                let failed = record.settled(State::Failed, Some(reason), Some(arriving), now);
                Meeting::Settle(Box::new(self.replaced_by(failed)))
            }
            OnInterrupted::Rerun => {
                let mut next = record.claimed(arriving, claimant, now);
                next.attempt = self.attempt;
                next.remember_failure(reason, now);
                next.attempt = self.attempt.saturating_add(1);
                Meeting::Run(Box::new(self.replaced_by(next)))
            }
        }
    }

    /// It is due.
    fn next_attempt(&self, arriving: &Arriving<'_>, policy: &Policy, claimant: &Claimant, now: UnixSeconds) -> Meeting {
        if policy.retry.is_used_up(self.attempt) {
            let reason = "its endpoint allows no further attempt";
            let failed = self.clone().settled(State::Failed, Some(reason), Some(arriving), now);
            return Meeting::Settle(Box::new(self.replaced_by(failed)));
        }
        let attempt = self.attempt.saturating_add(1);
        Meeting::Run(Box::new(self.replaced_by(Record { attempt, ..self.claimed(arriving, claimant, now) })))
    }

    fn duplicate(&self, arriving: &Arriving<'_>) -> Meeting {
        Meeting::Duplicate { state: self.state, other_body: self.body != arriving.body }
    }

    /// Claimed by whoever has this delivery in hand: so the queue holds the message, and the record need not.
    fn claimed(&self, arriving: &Arriving<'_>, claimant: &Claimant, now: UnixSeconds) -> Record {
        Record {
            state: State::Processing,
            owner: claimant.owner.clone(),
            replay: self.replay,
            attempt: self.attempt,
            interruptions: self.interruptions,
            lease_until: Some(claimant.lease_until),
            due_at: None,
            sent_at: None,
            settled_at: None,
            keep_until: None,
            replayed_at: self.replayed_at,
            received_at: self.received_at,
            expires_at: now.plus(RECORD_RETENTION_SECONDS),
            arrival_id: arriving.arrival_id.to_owned(),
            body: arriving.body,
            guard: arriving.guard,
            event_type: arriving.event_type.map(str::to_owned),
            failures: self.failures.clone(),
            message: None,
        }
    }

    /// At an end, holding the message of `held`.
    fn settled(mut self, state: State, reason: Option<&str>, held: Option<&Arriving<'_>>, now: UnixSeconds) -> Record {
        if let Some(reason) = reason {
            self.remember_failure(reason, now);
        }
        Record {
            state,
            lease_until: None,
            due_at: None,
            sent_at: None,
            settled_at: Some(now),
            expires_at: now.plus(RECORD_RETENTION_SECONDS),
            message: held.map(|arriving| arriving.message.to_owned()),
            ..self
        }
    }

    fn remember_failure(&mut self, reason: &str, now: UnixSeconds) {
        let reason = reason.chars().take(REASON_CHARACTERS_MAX).collect();
        self.failures.push(Failure { at: now, replay: self.replay, attempt: self.attempt, reason });
        let surplus = self.failures.len().saturating_sub(FAILURES_KEPT_MAX);
        self.failures.drain(..surplus);
    }

    fn replaced_by(&self, record: Record) -> Write {
        Write { condition: Condition::Unchanged { state: self.state, owner: self.owner.clone() }, record }
    }
}

impl Condition {
    /// Whether it holds of the record in the table.
    pub fn holds(&self, found: Option<&Record>) -> bool {
        match (self, found) {
            (Condition::Vacant { .. }, None) => true,
            (Condition::Vacant { now }, Some(record)) => record.expires_at <= *now,
            (Condition::Unchanged { .. }, None) => false,
            (Condition::Unchanged { state, owner }, Some(record)) => record.state == *state && record.owner == *owner,
        }
    }
}

impl Write {
    /// Whether the record in the table, by which the condition was refused, is the very one that was to be written: then it
    /// was written before, and the answer was lost.
    pub fn is(&self, found: &Record) -> bool {
        found.state == self.record.state && found.owner == self.record.owner
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
mod tests;
