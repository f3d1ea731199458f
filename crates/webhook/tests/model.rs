//! Every way in which a few workers, copies, crashes and late writes can come together, over the ledger's own rules.
//!
//! One event, and all that can happen to it: each step of a worker is an action of its own, so that every other action can
//! come between any two. [`World`] is what there is, [`Ledger::actions`] what can happen next. What the world may never
//! show is in [`Ledger::properties`]. A run is finite: time only goes forward, a copy that is received is hidden, and how
//! often anything goes wrong is bounded; so "every run ends well" is a property of the worlds in which nothing can happen.
//!
//! Assumed of the outside: a worker is killed at its deadline, but what it sent may arrive at any time; clocks differ by at
//! most [`LEASE_MARGIN_SECONDS`]; and the queue forgets a message only when it is acknowledged.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

use stateright::{Checker, HasDiscoveries, Model, Property};
use wharf_webhook::clock::UnixSeconds;
use wharf_webhook::idempotency::Digest;
use wharf_webhook::ledger::{
    Again, Arriving, AttemptFailed, Claimant, Condition, Early, Errand, Meeting, Next, Record, State, Write, meet,
};
use wharf_webhook::limits::{
    CONSUMER_TIMEOUT_SECONDS, EARLY_SECONDS_MAX, LEASE_MARGIN_SECONDS, RECORD_RETENTION_SECONDS,
    VISIBILITY_TIMEOUT_SECONDS,
};
use wharf_webhook::policy::{OnInterrupted, Policy, Retry};

const START: UnixSeconds = UnixSeconds(1_754_000_000);
const MESSAGES: [&str; 2] = ["the delivery", "the redelivery"];
/// Waits that the queue takes, within [`EARLY_SECONDS_MAX`] and beyond, and one that only the record takes.
const SHORT_WAIT_SECONDS: i64 = 10;
const MIDDLE_WAIT_SECONDS: i64 = 100;
const LONG_WAIT_SECONDS: i64 = 1_000;

/// What a run of the model may contain.
#[derive(Debug, Clone)]
struct Ledger {
    policy: Policy,
    /// How far ahead the clocks are: of the two workers, of the housekeeper, of the door.
    ahead: [i64; 2],
    housekeeper_ahead: i64,
    door_ahead: i64,
    /// Whether every message has been received too often to wait in the queue.
    worn: bool,
    outcomes: &'static [Outcome],
    budget: Budget,
    flaw: Option<Flaw>,
}

/// How often what goes wrong may still do so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Budget {
    crashes: u8,
    lost_answers: u8,
    copies: u8,
    redeliveries: u8,
    replays: u8,
    dead_letters: u8,
}

/// A rule that is broken on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flaw {
    ConditionWithoutOwner,
    ConditionWithoutState,
    VacantWithoutCondition,
    LeaseIgnored,
    LeaseWithoutMargin,
    EarlyAcknowledged,
    AcknowledgedBeforeWritten,
    AcknowledgedWhileQueueHolds,
    OwnWriteUnrecognised,
    FailedRunByOldCopy,
    ReplayWithoutNumber,
    ReplayWithoutCondition,
    SentWithoutCondition,
    ReleasedBeforeSent,
    InterruptionNotCounted,
}

/// All that there is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct World {
    now: UnixSeconds,
    record: Option<Arc<Record>>,
    /// The copies that no worker has in hand, in order, so that worlds that differ in order only are one.
    queue: Vec<Copied>,
    workers: [Option<Run>; 2],
    /// What workers sent before they died, and which has not arrived.
    late: Vec<(Arc<Write>, Then)>,
    housekeeper: Option<(Arc<Record>, bool)>,
    /// What a person read and wants replayed.
    person: Option<Arc<Record>>,
    redelivered_at: Option<UnixSeconds>,
    budget: Budget,
    /// How often effects were committed under each replay number.
    effects: [u8; 2],
    late_completion: bool,
    old_copy_ran: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Copied {
    arrival: usize,
    /// The queue's name for the message, which the queue may deliver twice: acknowledged once, it is gone.
    message: u8,
    place: Place,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Place {
    Visible,
    HiddenUntil(UnixSeconds),
    DeadLetters,
}

/// A worker with a copy in hand.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Run {
    arrival: usize,
    message: u8,
    /// Whether somebody else who had the same message acknowledged it.
    is_deleted: bool,
    /// When the queue shows the copy again, by the queue's clock.
    hidden_until: UnixSeconds,
    /// When Lambda kills the worker, by the worker's clock.
    deadline: UnixSeconds,
    owner: String,
    rounds: u8,
    step: Step,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Step {
    Writing(Arc<Write>, Then),
    Running(Arc<Record>),
    Acknowledging,
}

/// What follows a write once it is known to be in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Then {
    Handle,
    Acknowledge,
    AcknowledgeCompleted,
    AcknowledgeFailedAttempt,
    Return(UnixSeconds),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Succeeds,
    FailsFor(i64),
    FailsForGood,
}

/// What can happen. Workers and copies are named by their index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Receive {
        worker: usize,
        copy: usize,
    },
    /// The worker's write reaches the table, and the answer the worker.
    Write {
        worker: usize,
    },
    /// The write reaches the table, the answer is lost, and the SDK will repeat the write.
    WriteUnanswered {
        worker: usize,
    },
    Handle {
        worker: usize,
        outcome: Outcome,
    },
    Acknowledge {
        worker: usize,
    },
    Die {
        worker: usize,
    },
    DieWithTheWriteOnItsWay {
        worker: usize,
    },
    LateWrite {
        write: usize,
    },
    HousekeeperReads,
    HousekeeperSends,
    HousekeeperMarks,
    HousekeeperDies,
    PersonReads,
    PersonReplays,
    /// The message is sent twice.
    Copy {
        copy: usize,
    },
    /// The message is delivered to another worker, too.
    DeliverAgain {
        worker: usize,
    },
    Redeliver,
    GiveUp {
        copy: usize,
    },
    Redrive {
        copy: usize,
    },
    TimePasses,
}

const NOT_LOST: &str = "no accepted event is lost";
const ONCE: &str = "effects are committed at most once for each replay number";
const NOT_LATE: &str = "no worker completes that lost its lease";
const ALONE: &str = "two workers never run the handler at once";
const ENDS: &str = "every run ends with the event completed, failed or parked, and no copy left";
const NOT_AGAIN: &str = "a failed event is not run again by a copy of what failed";
const CAUSED: &str = "what was interrupted had a worker that died";
const COUNTED: &str = "every death is an attempt";
const BOUNDED: &str = "there are no more attempts than the policy allows";

impl Model for Ledger {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World {
            now: START,
            record: None,
            queue: vec![Copied { arrival: 0, message: 0, place: Place::Visible }],
            workers: [None, None],
            late: Vec::new(),
            housekeeper: None,
            person: None,
            redelivered_at: None,
            budget: self.budget,
            effects: [0; 2],
            late_completion: false,
            old_copy_ran: false,
        }]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        let budget = &world.budget;
        for (worker, run) in world.workers.iter().enumerate() {
            let Some(run) = run else {
                let visible = (0..).zip(&world.queue).filter(|(_, copied)| copied.place == Place::Visible);
                actions.extend(visible.map(|(copy, _)| Action::Receive { worker, copy }));
                continue;
            };
            match run.step {
                Step::Writing(..) => {
                    actions.push(Action::Write { worker });
                    actions.extend((budget.lost_answers > 0).then_some(Action::WriteUnanswered { worker }));
                    actions.extend((budget.crashes > 0).then_some(Action::DieWithTheWriteOnItsWay { worker }));
                }
                Step::Running(_) => {
                    actions.extend(self.outcomes.iter().map(|&outcome| Action::Handle { worker, outcome }));
                }
                Step::Acknowledging => actions.push(Action::Acknowledge { worker }),
            }
            actions.extend((budget.crashes > 0).then_some(Action::Die { worker }));
            actions.extend((budget.copies > 0).then_some(Action::DeliverAgain { worker }));
        }
        actions.extend((0..world.late.len()).map(|write| Action::LateWrite { write }));
        match &world.housekeeper {
            None => actions.push(Action::HousekeeperReads),
            Some((_, is_sent)) => {
                actions.push(if *is_sent { Action::HousekeeperMarks } else { Action::HousekeeperSends });
                actions.extend((budget.crashes > 0).then_some(Action::HousekeeperDies));
            }
        }
        match world.person {
            None if budget.replays > 0 => actions.push(Action::PersonReads),
            None => {}
            Some(_) => actions.push(Action::PersonReplays),
        }
        for (copy, copied) in world.queue.iter().enumerate() {
            if copied.place == Place::DeadLetters {
                actions.push(Action::Redrive { copy });
                continue;
            }
            actions.extend((budget.copies > 0).then_some(Action::Copy { copy }));
            actions.extend((budget.dead_letters > 0).then_some(Action::GiveUp { copy }));
        }
        actions.extend((budget.redeliveries > 0).then_some(Action::Redeliver));
        actions.push(Action::TimePasses);
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut next = world.clone();
        match action {
            Action::Receive { worker, copy } => self.receive(&mut next, worker, copy)?,
            Action::Write { worker } => {
                let (run, write, then) = next.writing(worker)?;
                let answer = self.apply(&mut next, &write, then);
                self.answered(&mut next, worker, run, &write, then, answer);
            }
            Action::WriteUnanswered { worker } => {
                let (run, write, then) = next.writing(worker)?;
                self.apply(&mut next, &write, then).ok()?;
                next.budget.lost_answers -= 1;
                *next.workers.get_mut(worker)? = Some(run);
            }
            Action::Handle { worker, outcome } => self.handled(&mut next, worker, outcome)?,
            Action::Acknowledge { worker } => {
                let run = next.workers.get_mut(worker)?.take()?;
                next.queue.retain(|copied| copied.message != run.message);
                next.workers.iter_mut().flatten().for_each(|other| other.is_deleted |= other.message == run.message);
            }
            Action::Die { worker } => next.die(worker, false)?,
            Action::DieWithTheWriteOnItsWay { worker } => next.die(worker, true)?,
            Action::LateWrite { write } => {
                let (write, then) = next.late.remove(write);
                let _nobody_hears_of_it = self.apply(&mut next, &write, then);
            }
            Action::HousekeeperReads => {
                let record = next.record.clone()?;
                let (errand, due_at) = record.errand()?;
                if errand != Errand::Send || next.now.plus(self.housekeeper_ahead) < due_at {
                    return None;
                }
                if self.flaw == Some(Flaw::ReleasedBeforeSent) {
                    next.record = Some(Arc::new(Record { message: None, ..(*record).clone() }));
                }
                next.housekeeper = Some((record, false));
            }
            Action::HousekeeperSends => {
                let (record, _) = next.housekeeper.take()?;
                let arrival = MESSAGES.iter().position(|message| Some(*message) == record.message.as_deref())?;
                next.send(arrival);
                next.housekeeper = Some((record, true));
            }
            Action::HousekeeperMarks => {
                let (record, _) = next.housekeeper.take()?;
                let write = without_history(record.sent(next.now.plus(self.housekeeper_ahead)));
                if self.flaw == Some(Flaw::SentWithoutCondition) || self.holds(&write.condition, &next.record) {
                    next.record = Some(Arc::new(write.record));
                }
            }
            Action::HousekeeperDies => {
                next.housekeeper = None;
                next.budget.crashes -= 1;
            }
            Action::PersonReads => {
                next.record.as_ref()?.replayed("the person's", next.now).ok()?;
                next.person = next.record.clone();
                next.budget.replays -= 1;
            }
            Action::PersonReplays => self.replay(&mut next)?,
            Action::Copy { copy } => {
                next.send(next.queue.get(copy)?.arrival);
                next.budget.copies -= 1;
            }
            Action::DeliverAgain { worker } => {
                let run = next.workers.get(worker)?.as_ref().filter(|run| !run.is_deleted)?;
                let copied = Copied { arrival: run.arrival, message: run.message, place: Place::Visible };
                next.queue.push(copied);
                next.budget.copies -= 1;
            }
            Action::Redeliver => {
                next.redelivered_at = Some(next.now.plus(self.door_ahead));
                next.send(1);
                next.budget.redeliveries -= 1;
            }
            Action::GiveUp { copy } => {
                next.queue.get_mut(copy)?.place = Place::DeadLetters;
                next.budget.dead_letters -= 1;
            }
            Action::Redrive { copy } => next.queue.get_mut(copy)?.place = Place::Visible,
            Action::TimePasses => self.pass_time(&mut next)?,
        }
        next.queue.sort();
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(NOT_LOST, |_, world: &World| world.is_safe()),
            Property::always(ONCE, |_, world: &World| world.effects.iter().all(|&times| times <= 1)),
            Property::always(NOT_LATE, |_, world: &World| !world.late_completion),
            Property::always(ALONE, |_, world: &World| {
                let running = |run: &&Run| matches!(run.step, Step::Running(_));
                world.workers.iter().flatten().filter(running).count() <= 1
            }),
            Property::always(ENDS, |model: &Self, world: &World| {
                world.is_settled() || !model.next_states(world).is_empty()
            }),
            Property::always(NOT_AGAIN, |_, world: &World| !world.old_copy_ran),
            Property::always(CAUSED, |model: &Self, world: &World| {
                let was_interrupted = world.record.as_ref().is_some_and(|record| record.was_interrupted());
                !was_interrupted || world.budget.crashes < model.budget.crashes
            }),
            Property::always(COUNTED, |_, world: &World| {
                let counted = |record: &Arc<Record>| {
                    record.interruptions < record.attempt + u32::from(record.state != State::Processing)
                };
                world.record.as_ref().is_none_or(counted)
            }),
            Property::always(BOUNDED, |model: &Self, world: &World| {
                world.record.as_ref().is_none_or(|record| record.attempt <= model.policy.retry.attempts)
            }),
        ]
    }
}

impl Ledger {
    fn receive(&self, world: &mut World, worker: usize, copy: usize) -> Option<()> {
        let copied = world.queue.remove(copy);
        let now = world.now.plus(*self.ahead.get(worker)?);
        let run = Run {
            arrival: copied.arrival,
            message: copied.message,
            is_deleted: false,
            hidden_until: world.now.plus(VISIBILITY_TIMEOUT_SECONDS),
            deadline: now.plus(CONSUMER_TIMEOUT_SECONDS),
            owner: world.unused_owner(),
            rounds: 0,
            step: Step::Acknowledging,
        };
        self.meet(world, worker, run, None);
        Some(())
    }

    /// What the consumer does about a delivery, having found this record; nothing before it looked.
    fn meet(&self, world: &mut World, worker: usize, mut run: Run, found: Option<&Record>) {
        let mut now = world.now.plus(self.ahead.get(worker).copied().unwrap_or(0));
        let mut arriving = world.arriving(run.arrival, self.door_ahead);
        if run.rounds == 3 {
            let until = run.hidden_until;
            return world.return_copy(&run, until);
        }
        run.rounds += 1;
        let state = found.map(|record| record.state);
        let margin = if self.flaw == Some(Flaw::LeaseWithoutMargin) { 0 } else { LEASE_MARGIN_SECONDS };
        let claimant = Claimant { owner: run.owner.clone(), lease_until: run.deadline.plus(margin) };
        if self.flaw == Some(Flaw::LeaseIgnored) && state == Some(State::Processing) {
            now = now.plus(CONSUMER_TIMEOUT_SECONDS + LEASE_MARGIN_SECONDS);
        }
        if self.flaw == Some(Flaw::FailedRunByOldCopy) && state == Some(State::Failed) {
            arriving = Arriving { received_at: now.plus(1), arrival_id: "another", ..arriving };
        }
        run.step = match meet(found, &arriving, &self.policy, &claimant, now) {
            Meeting::Run(mut write) => {
                if self.flaw == Some(Flaw::InterruptionNotCounted) && state == Some(State::Processing) {
                    write.record.attempt -= 1;
                }
                write.record.arrival_id = world.arriving(run.arrival, self.door_ahead).arrival_id.into();
                Step::Writing(Arc::new(without_history(*write)), Then::Handle)
            }
            Meeting::Settle(write) => Step::Writing(Arc::new(without_history(*write)), Then::Acknowledge),
            Meeting::Duplicate { .. } => Step::Acknowledging,
            Meeting::Early { .. } if self.flaw == Some(Flaw::EarlyAcknowledged) => Step::Acknowledging,
            Meeting::Early { why: Early::NotDue, .. } if self.flaw == Some(Flaw::AcknowledgedWhileQueueHolds) => {
                Step::Acknowledging
            }
            Meeting::Early { until, .. } => match found.and_then(|record| record.holding(&arriving)) {
                Some(write) if self.worn => Step::Writing(Arc::new(without_history(write)), Then::Acknowledge),
                _ => {
                    let seconds = (until.0 - now.0).max(1);
                    let until = world.now.plus(seconds);
                    return world.return_copy(&run, until);
                }
            },
        };
        if let Some(slot) = world.workers.get_mut(worker) {
            *slot = Some(run);
        }
    }

    /// The write reaches the table: done, or refused because of what is there.
    fn apply(&self, world: &mut World, write: &Arc<Write>, then: Then) -> Result<(), Option<Arc<Record>>> {
        if !self.holds(&write.condition, &world.record) {
            return Err(world.record.clone());
        }
        let found = world.record.replace(Arc::new(write.record.clone()));
        let is_ours = |record: &Arc<Record>| record.state == State::Processing && record.owner == write.record.owner;
        if then == Then::AcknowledgeCompleted {
            world.late_completion |= !found.as_ref().is_some_and(is_ours);
            if let Some(times) = usize::try_from(write.record.replay).ok().and_then(|at| world.effects.get_mut(at)) {
                *times += 1;
            }
        }
        let failed = found.filter(|record| record.state == State::Failed);
        let ran_again = failed.is_some_and(|failed| failed.arrival_id == write.record.arrival_id);
        world.old_copy_ran |= then == Then::Handle && ran_again;
        Ok(())
    }

    fn holds(&self, condition: &Condition, found: &Option<Arc<Record>>) -> bool {
        match (self.flaw, condition, found) {
            (Some(Flaw::VacantWithoutCondition), Condition::Vacant { .. }, _) => true,
            (Some(Flaw::ConditionWithoutOwner), Condition::Unchanged { state, .. }, Some(record)) => {
                record.state == *state
            }
            (Some(Flaw::ConditionWithoutState), Condition::Unchanged { owner, .. }, Some(record)) => {
                record.owner == *owner
            }
            _ => condition.holds(found.as_deref()),
        }
    }

    /// The worker reads the table's answer.
    fn answered(
        &self,
        world: &mut World,
        worker: usize,
        mut run: Run,
        write: &Arc<Write>,
        then: Then,
        answer: Result<(), Option<Arc<Record>>>,
    ) {
        let own = answer.as_ref().err().and_then(Option::as_ref).is_some_and(|found| write.is(found));
        let own = own && self.flaw != Some(Flaw::OwnWriteUnrecognised);
        run.step = match (then, answer) {
            (Then::Handle, answer) if own || answer.is_ok() => Step::Running(Arc::new(write.record.clone())),
            (Then::Return(until), answer) if own || answer.is_ok() => return world.return_copy(&run, until),
            (_, answer) if own || answer.is_ok() => Step::Acknowledging,
            (Then::Handle | Then::Acknowledge, answer) => {
                let found = answer.err().flatten();
                return self.meet(world, worker, run, found.as_deref());
            }
            // The lease is lost: somebody else decides.
            _ => return world.return_copy(&run, run.hidden_until),
        };
        if let Some(slot) = world.workers.get_mut(worker) {
            *slot = Some(run);
        }
    }

    fn handled(&self, world: &mut World, worker: usize, outcome: Outcome) -> Option<()> {
        let mut run = world.workers.get_mut(worker)?.take()?;
        let Step::Running(record) = &run.step else { return None };
        let now = world.now.plus(*self.ahead.get(worker)?);
        let arriving = world.arriving(run.arrival, self.door_ahead);
        let again = match outcome {
            Outcome::Succeeds => {
                let write = without_history(record.completed(&arriving, &self.policy, now));
                run.step = Step::Writing(Arc::new(write), Then::AcknowledgeCompleted);
                *world.workers.get_mut(worker)? = Some(run);
                return Some(());
            }
            Outcome::FailsFor(seconds) => Again::AfterSeconds(seconds),
            Outcome::FailsForGood => Again::Never,
        };
        let failed = AttemptFailed { reason: "no".into(), again };
        let (write, next) = record.attempt_failed(&arriving, &failed, &self.policy, !self.worn, 0, now);
        let then = match next {
            Next::InQueue { until } => Then::Return(world.now.plus((until.0 - now.0).max(1))),
            Next::InRecord { .. } | Next::Failed => Then::AcknowledgeFailedAttempt,
        };
        let write = Arc::new(without_history(write));
        if self.flaw == Some(Flaw::AcknowledgedBeforeWritten) && then == Then::AcknowledgeFailedAttempt {
            world.late.push((write, then));
            return Some(());
        }
        run.step = Step::Writing(write, then);
        *world.workers.get_mut(worker)? = Some(run);
        Some(())
    }

    fn replay(&self, world: &mut World) -> Option<()> {
        let record = world.person.take()?;
        let mut write = without_history(record.replayed("the person's", world.now).ok()?);
        if self.flaw == Some(Flaw::ReplayWithoutNumber) {
            write.record.replay = record.replay;
        }
        if self.flaw == Some(Flaw::ReplayWithoutCondition) || self.holds(&write.condition, &world.record) {
            world.record = Some(Arc::new(write.record));
        }
        Some(())
    }

    /// To the next instant at which anything can be different.
    fn pass_time(&self, world: &mut World) -> Option<()> {
        let hidden = world.queue.iter().filter_map(|copied| match copied.place {
            Place::HiddenUntil(until) => Some(until),
            Place::Visible | Place::DeadLetters => None,
        });
        let busy = world.workers.iter().zip(self.ahead);
        let deadlines = busy.filter_map(|(run, ahead)| Some(run.as_ref()?.deadline.plus(-ahead)));
        let mut instants: Vec<UnixSeconds> = hidden.chain(deadlines).collect();
        if let Some(record) = world.record.as_deref() {
            // What is in the queue is received long before the housekeeper sends it again.
            let is_awaited =
                world.queue.iter().any(|copied| copied.place == Place::Visible) && record.sent_at.is_some();
            let errand = record.errand().filter(|(errand, _)| *errand == Errand::Send && !is_awaited);
            instants.extend(errand.map(|(_, due_at)| due_at.plus(-self.housekeeper_ahead)));
            if !world.queue.is_empty() {
                let nearly_due_at = record.due_at.map(|due_at| due_at.plus(-EARLY_SECONDS_MAX));
                let read = [record.lease_until, record.due_at, nearly_due_at].into_iter().flatten();
                instants.extend(read.flat_map(|at| self.ahead.map(|ahead| at.plus(-ahead))));
            }
        }
        let next = instants.into_iter().filter(|instant| *instant > world.now).min()?;
        world.now = next;
        for (worker, ahead) in (0..).zip(self.ahead) {
            let run = world.workers.get(worker).and_then(Option::as_ref);
            if run.is_some_and(|run| run.deadline <= next.plus(ahead)) {
                // Whoever has no crash left finishes in time.
                (world.budget.crashes > 0).then_some(())?;
                world.die(worker, true)?;
            }
        }
        for copied in &mut world.queue {
            if matches!(copied.place, Place::HiddenUntil(until) if until <= next) {
                copied.place = Place::Visible;
            }
        }
        Some(())
    }
}

impl World {
    fn arriving(&self, arrival: usize, door_ahead: i64) -> Arriving<'static> {
        let message = MESSAGES.get(arrival).copied().unwrap_or_default();
        let received_at = self.redelivered_at.filter(|_| arrival == 1).unwrap_or(START.plus(door_ahead));
        Arriving {
            received_at,
            arrival_id: message,
            body: Digest::of(message.as_bytes()),
            guard: None,
            event_type: None,
            message,
        }
    }

    /// A nonce that nothing remembers is as good as a new one.
    fn unused_owner(&self) -> String {
        let late = self.late.iter().flat_map(|(write, _)| owners(write));
        let runs = self.workers.iter().flatten().flat_map(|run| match &run.step {
            Step::Writing(write, _) => [owners(write), vec![run.owner.as_str()]].concat(),
            Step::Running(_) | Step::Acknowledging => vec![run.owner.as_str()],
        });
        let read = self.record.iter().chain(&self.person).chain(self.housekeeper.as_ref().map(|(record, _)| record));
        let used: Vec<&str> = late.chain(runs).chain(read.map(|record| record.owner.as_str())).collect();
        ["a", "b", "c", "d", "e", "f", "g", "h"].iter().find(|owner| !used.contains(owner)).unwrap_or(&"z").to_string()
    }

    fn writing(&mut self, worker: usize) -> Option<(Run, Arc<Write>, Then)> {
        let run = self.workers.get_mut(worker)?.take()?;
        let Step::Writing(write, then) = &run.step else { return None };
        let (write, then) = (Arc::clone(write), *then);
        Some((run, write, then))
    }

    fn send(&mut self, arrival: usize) {
        let is_used = |name: &u8| {
            self.queue.iter().any(|copied| copied.message == *name)
                || self.workers.iter().flatten().any(|run| run.message == *name)
        };
        let message = (0..=u8::MAX).find(|name| !is_used(name)).unwrap_or(u8::MAX);
        self.queue.push(Copied { arrival, message, place: Place::Visible });
    }

    fn return_copy(&mut self, run: &Run, until: UnixSeconds) {
        if !run.is_deleted {
            let (arrival, message) = (run.arrival, run.message);
            self.queue.push(Copied { arrival, message, place: Place::HiddenUntil(until) });
        }
    }

    fn die(&mut self, worker: usize, write_is_on_its_way: bool) -> Option<()> {
        let run = self.workers.get_mut(worker)?.take()?;
        self.budget.crashes -= 1;
        self.return_copy(&run, run.hidden_until);
        if let Step::Writing(write, then) = run.step
            && write_is_on_its_way
        {
            self.late.push((write, then));
        }
        Some(())
    }

    fn is_safe(&self) -> bool {
        let holds = |record: &Arc<Record>| record.message.is_some() || record.state == State::Completed;
        !self.queue.is_empty()
            || self.record.as_ref().is_some_and(holds)
            || self.workers.iter().flatten().any(|run| run.step != Step::Acknowledging)
    }

    fn is_settled(&self) -> bool {
        let state = self.record.as_ref().map(|record| record.state);
        self.queue.is_empty()
            && self.workers.iter().all(Option::is_none)
            && matches!(state, Some(State::Completed | State::Failed | State::Parked))
    }
}

fn owners(write: &Write) -> Vec<&str> {
    match &write.condition {
        Condition::Vacant { .. } => vec![&write.record.owner],
        Condition::Unchanged { owner, .. } => vec![owner, &write.record.owner],
    }
}

/// What no rule reads is left out, so that worlds that differ in nothing else are one; no run lasts until a record expires.
fn without_history(mut write: Write) -> Write {
    write.record.failures.clear();
    write.record.expires_at = START.plus(RECORD_RETENTION_SECONDS);
    write
}

/// A queue, two workers whose clocks differ by as much as they may, and a person's patience.
fn ledger(budget: Budget) -> Ledger {
    Ledger {
        policy: Policy { retry: Retry { attempts: 2, ..Retry::default() }, ..Policy::default() },
        ahead: [0, LEASE_MARGIN_SECONDS],
        housekeeper_ahead: LEASE_MARGIN_SECONDS,
        door_ahead: LEASE_MARGIN_SECONDS,
        worn: false,
        outcomes: &[Outcome::Succeeds],
        budget,
        flaw: None,
    }
}

const NOTHING_GOES_WRONG: Budget =
    Budget { crashes: 0, lost_answers: 0, copies: 0, redeliveries: 0, replays: 0, dead_letters: 0 };
const FAILS_FOR_LONG_OR_LESS: &[Outcome] =
    &[Outcome::FailsFor(LONG_WAIT_SECONDS), Outcome::FailsFor(MIDDLE_WAIT_SECONDS)];
const SUCCEEDS_OR_FAILS_FOR_SHORT: &[Outcome] = &[Outcome::Succeeds, Outcome::FailsFor(SHORT_WAIT_SECONDS)];
const SUCCEEDS_OR_FAILS: &[Outcome] = &[Outcome::Succeeds, Outcome::FailsForGood];

fn keeping(ledger: Ledger) -> Ledger {
    Ledger { policy: Policy { keep_seconds: Some(86_400), ..ledger.policy }, ..ledger }
}

fn parking(ledger: Ledger) -> Ledger {
    Ledger { policy: Policy { on_interrupted: OnInterrupted::Park, ..ledger.policy }, ..ledger }
}

/// Explores everything, and fails with the steps that lead to what must not be.
fn assert_holds(ledger: Ledger, states_min: usize) {
    let budget = ledger.budget;
    let checker = ledger.checker().threads(2).finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    println!("{} states with {budget:?}", checker.unique_state_count());
    for (property, path) in checker.discoveries() {
        println!("it is not true that {property}: {:#?}", path.into_actions());
    }
    assert!(checker.discoveries().is_empty(), "{budget:?}: what is above must not be");
    let states = checker.unique_state_count();
    assert!(states >= states_min, "only {states} states: the model has lost some of what can happen");
}

#[test]
fn crashes_copies_and_late_writes_neither_lose_nor_double() {
    assert_holds(ledger(Budget { crashes: 2, copies: 1, ..NOTHING_GOES_WRONG }), 60_000);
}

#[test]
fn lost_answers_neither_lose_nor_double() {
    let budget = Budget { crashes: 1, lost_answers: 2, copies: 1, ..NOTHING_GOES_WRONG };
    assert_holds(Ledger { outcomes: SUCCEEDS_OR_FAILS, ..ledger(budget) }, 20_000);
}

#[test]
fn failed_attempts_neither_lose_nor_double() {
    let budget = Budget { crashes: 1, copies: 1, ..NOTHING_GOES_WRONG };
    assert_holds(Ledger { outcomes: FAILS_FOR_LONG_OR_LESS, ..ledger(budget) }, 20_000);
}

#[test]
fn messages_received_too_often_wait_in_the_record_and_are_sent_again() {
    let outcomes = SUCCEEDS_OR_FAILS_FOR_SHORT;
    let budget = Budget { crashes: 1, copies: 1, ..NOTHING_GOES_WRONG };
    assert_holds(Ledger { outcomes, worn: true, ahead: [0; 2], housekeeper_ahead: 0, ..ledger(budget) }, 50_000);
}

#[test]
fn a_redelivery_with_another_body_is_the_same_event() {
    let budget = Budget { crashes: 1, redeliveries: 1, ..NOTHING_GOES_WRONG };
    assert_holds(Ledger { outcomes: SUCCEEDS_OR_FAILS, ..ledger(budget) }, 30_000);
}

#[test]
fn a_replay_runs_once_more_and_no_more() {
    let budget = Budget { crashes: 1, replays: 1, copies: 1, ..NOTHING_GOES_WRONG };
    assert_holds(keeping(ledger(budget)), 20_000);
}

#[test]
fn what_was_interrupted_is_parked_where_nobody_may_run_it_again() {
    let budget = Budget { crashes: 1, copies: 1, replays: 1, ..NOTHING_GOES_WRONG };
    assert_holds(parking(ledger(budget)), 10_000);
}

#[test]
fn what_the_queue_gave_up_is_not_lost_and_can_be_sent_back() {
    let budget = Budget { crashes: 1, copies: 1, dead_letters: 1, ..NOTHING_GOES_WRONG };
    assert_holds(ledger(budget), 10_000);
}

/// No world comes twice in one run; so each run ends, and [`ENDS`] looks at all ends.
#[test]
fn no_run_goes_round_in_circles() {
    let budget = Budget { crashes: 1, copies: 1, ..NOTHING_GOES_WRONG };
    let model = Ledger { outcomes: SUCCEEDS_OR_FAILS, ..ledger(budget) };
    // Of each world, whether all that follows from it is known to end.
    let mut ends: HashMap<u64, bool> = HashMap::new();
    let mut path: Vec<(u64, Vec<World>)> = vec![(0, model.init_states())];
    while let Some((world, followers)) = path.last_mut() {
        let Some(follower) = followers.pop() else {
            ends.insert(*world, true);
            path.pop();
            continue;
        };
        let name = BuildHasherDefault::<DefaultHasher>::default().hash_one(&follower);
        match ends.get(&name) {
            None => {
                ends.insert(name, false);
                path.push((name, model.next_states(&follower)));
            }
            Some(ends) => assert!(ends, "{follower:#?} comes again"),
        }
    }
    assert!(ends.len() > 10_000, "only {} states", ends.len());
}

/// Each rule is needed: without it, the model finds what goes wrong.
#[test]
fn a_broken_rule_is_found() {
    let crash = ledger(Budget { crashes: 1, copies: 1, ..NOTHING_GOES_WRONG });
    let crashes = ledger(Budget { crashes: 2, copies: 1, ..NOTHING_GOES_WRONG });
    let copies = ledger(Budget { copies: 1, ..NOTHING_GOES_WRONG });
    let failing = Ledger { outcomes: FAILS_FOR_LONG_OR_LESS, ..crash.clone() };
    let retrying = Ledger { outcomes: SUCCEEDS_OR_FAILS_FOR_SHORT, ..crash.clone() };
    let worn = Ledger { worn: true, ..retrying.clone() };
    let answer = ledger(Budget { lost_answers: 1, ..NOTHING_GOES_WRONG });
    let replay = ledger(Budget { crashes: 1, redeliveries: 1, replays: 1, ..NOTHING_GOES_WRONG });
    let replay = Ledger { outcomes: SUCCEEDS_OR_FAILS, ..replay };
    let replay_only = keeping(ledger(Budget { replays: 1, ..NOTHING_GOES_WRONG }));
    let table = [
        (Flaw::ConditionWithoutOwner, NOT_LATE, &crashes),
        (Flaw::ConditionWithoutState, NOT_LATE, &crashes),
        (Flaw::VacantWithoutCondition, ALONE, &copies),
        (Flaw::LeaseIgnored, ALONE, &copies),
        (Flaw::LeaseWithoutMargin, ALONE, &copies),
        (Flaw::EarlyAcknowledged, NOT_LOST, &crash),
        (Flaw::AcknowledgedBeforeWritten, NOT_LOST, &failing),
        (Flaw::AcknowledgedWhileQueueHolds, NOT_LOST, &retrying),
        (Flaw::OwnWriteUnrecognised, CAUSED, &answer),
        (Flaw::FailedRunByOldCopy, NOT_AGAIN, &Ledger { outcomes: SUCCEEDS_OR_FAILS, ..crash.clone() }),
        (Flaw::ReplayWithoutNumber, ONCE, &replay_only),
        (Flaw::ReplayWithoutCondition, ALONE, &replay),
        (Flaw::SentWithoutCondition, ONCE, &replay_only),
        (Flaw::ReleasedBeforeSent, NOT_LOST, &worn),
        (Flaw::InterruptionNotCounted, COUNTED, &crash),
    ];
    for (flaw, property, ledger) in table {
        let ledger = Ledger { flaw: Some(flaw), ..ledger.clone() };
        let found = HasDiscoveries::AnyOf([property].into());
        let checker = ledger.checker().threads(2).finish_when(found).spawn_bfs().join();
        let discovered = checker.discoveries();
        let path = discovered.get(property).map(|path| path.clone().into_actions().len());
        println!("{flaw:?}: found after {path:?} steps, {} states", checker.unique_state_count());
        assert!(path.is_some(), "{flaw:?}: nothing shows that {property} is broken; {:?}", discovered.keys());
    }
}

/// One history, step by step; between them, time passes until each can happen.
fn history(ledger: &Ledger, steps: &[Action]) -> World {
    let mut world = ledger.init_states().remove(0);
    for step in steps {
        let mut possible = Vec::new();
        for _ in 0..20 {
            possible.clear();
            ledger.actions(&world, &mut possible);
            if possible.contains(step) {
                break;
            }
            world = ledger.next_state(&world, Action::TimePasses).unwrap_or(world);
        }
        assert!(possible.contains(step), "{step:?} cannot happen in {world:#?}");
        world = ledger.next_state(&world, *step).unwrap_or(world);
    }
    world
}

fn state_and_attempt(world: &World) -> Option<(State, u32)> {
    world.record.as_ref().map(|record| (record.state, record.attempt))
}

const RECEIVE: [Action; 2] = [Action::Receive { worker: 0, copy: 0 }, Action::Receive { worker: 1, copy: 0 }];
const WRITE: [Action; 2] = [Action::Write { worker: 0 }, Action::Write { worker: 1 }];
const SUCCEED: [Action; 2] = [
    Action::Handle { worker: 0, outcome: Outcome::Succeeds },
    Action::Handle { worker: 1, outcome: Outcome::Succeeds },
];
const ACKNOWLEDGE: [Action; 2] = [Action::Acknowledge { worker: 0 }, Action::Acknowledge { worker: 1 }];

#[test]
fn a_claim_whose_answer_is_lost_is_repeated_and_recognised() {
    let ledger = ledger(Budget { lost_answers: 1, ..NOTHING_GOES_WRONG });
    let lost = Action::WriteUnanswered { worker: 0 };
    let world = history(&ledger, &[RECEIVE[0], lost, WRITE[0], SUCCEED[0], WRITE[0], ACKNOWLEDGE[0]]);
    assert_eq!(state_and_attempt(&world), Some((State::Completed, 1)));
    assert!(world.is_settled());
}

#[test]
fn a_late_worker_reports_success_after_it_lost_its_lease_and_the_new_owner_dies() {
    let mut ledger = ledger(Budget { crashes: 2, ..NOTHING_GOES_WRONG });
    ledger.policy.retry.attempts = 3;
    let late = [RECEIVE[0], WRITE[0], SUCCEED[0], Action::DieWithTheWriteOnItsWay { worker: 0 }];
    let new_owner = [RECEIVE[1], WRITE[1], WRITE[1], Action::LateWrite { write: 0 }, Action::Die { worker: 1 }];
    let third = [RECEIVE[0], WRITE[0], WRITE[0], SUCCEED[0], WRITE[0], ACKNOWLEDGE[0]];
    let world = history(&ledger, &[&late[..], &new_owner, &third].concat());
    assert_eq!((state_and_attempt(&world), world.effects), (Some((State::Completed, 3)), [1, 0]));
    assert!(world.is_settled() && !world.late_completion);
}

#[test]
fn a_failed_event_that_its_sender_delivers_again_starts_anew() {
    let budget = Budget { redeliveries: 1, ..NOTHING_GOES_WRONG };
    let ledger = Ledger { outcomes: SUCCEEDS_OR_FAILS, ..ledger(budget) };
    let fail = Action::Handle { worker: 0, outcome: Outcome::FailsForGood };
    let fails = [RECEIVE[0], WRITE[0], fail, WRITE[0], ACKNOWLEDGE[0]];
    let again = [Action::Redeliver, RECEIVE[1], WRITE[1], WRITE[1], SUCCEED[1], WRITE[1], ACKNOWLEDGE[1]];
    let world = history(&ledger, &[&fails[..], &again].concat());
    assert_eq!((state_and_attempt(&world), world.effects), (Some((State::Completed, 1)), [1, 0]));
}

#[test]
fn a_housekeeper_that_dies_before_it_marks_what_it_sent_sends_it_twice_and_no_harm_is_done() {
    let budget = Budget { crashes: 1, ..NOTHING_GOES_WRONG };
    let ledger = Ledger { outcomes: &[Outcome::Succeeds, Outcome::FailsFor(LONG_WAIT_SECONDS)], ..ledger(budget) };
    let fail = Action::Handle { worker: 0, outcome: Outcome::FailsFor(LONG_WAIT_SECONDS) };
    let waits = [RECEIVE[0], WRITE[0], fail, WRITE[0], ACKNOWLEDGE[0], Action::TimePasses, Action::TimePasses];
    let send = [Action::HousekeeperReads, Action::HousekeeperSends];
    let runs = [RECEIVE[1], WRITE[1], WRITE[1], SUCCEED[1], WRITE[1], ACKNOWLEDGE[1]];
    let duplicate = [RECEIVE[0], WRITE[0], ACKNOWLEDGE[0]];
    let dies = [Action::HousekeeperDies];
    let world =
        history(&ledger, &[&waits[..], &send, &dies, &send, &[Action::HousekeeperMarks], &runs, &duplicate].concat());
    assert_eq!((state_and_attempt(&world), world.effects), (Some((State::Completed, 2)), [1, 0]));
    assert!(world.is_settled());
}
