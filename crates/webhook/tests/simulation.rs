//! Days in the life of a queue, its workers, the ledger and the housekeeper, in bad weather, over the ledger's own rules.
//!
//! Each seed is one history: which events arrive, how their handlers behave, and what goes wrong when. The queue is as SQS
//! says it may be: messages come more than once and in any order, are hidden while somebody has them, are given up after
//! too many receives, and are forgotten when they are too old. What a worker does is what `functions/consumer/batch.rs`
//! does. When the weather is over and nothing is left to happen, every event must be accounted for.
//!
//! A history that goes wrong prints its seed; `WHARF_SEED=123 cargo test` runs that one alone, and prints what happens.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "what is not there is a failure")]
#![expect(clippy::disallowed_methods, reason = "WHARF_SEED names the history to look at")]

use std::collections::BTreeMap;

use wharf_webhook::clock::UnixSeconds;
use wharf_webhook::idempotency::Digest;
use wharf_webhook::ledger::{
    Again, Arriving, AttemptFailed, Claimant, Errand, Meeting, Next, Record, State, Write, meet,
};
use wharf_webhook::limits::{
    ALONE_SECONDS_MIN, BATCH_SIZE, CONSUMER_REPORT_SECONDS, CONSUMER_RESERVE_SECONDS, CONSUMER_TIMEOUT_SECONDS,
    HOUSEKEEPER_INTERVAL_SECONDS, LEASE_MARGIN_SECONDS, QUEUE_RETENTION_SECONDS, RECEIVES_IN_QUEUE_MAX, RECEIVES_MAX,
    VISIBILITY_TIMEOUT_SECONDS,
};
use wharf_webhook::policy::{OnInterrupted, Policy, Retry};

const START: i64 = 1_754_000_000;
const DAY_SECONDS: i64 = 86_400;
const RUNS_AT_ONCE_MAX: usize = 3;
/// As in the consumer.
const ROUNDS_MAX: u8 = 3;

/// SplitMix64: a few lines, and the same numbers on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn between(&mut self, least: i64, most: i64) -> i64 {
        least + i64::try_from(self.next() % (most - least + 1).unsigned_abs()).unwrap_or(0)
    }

    fn happens(&mut self, per_thousand: i64) -> bool {
        self.between(0, 999) < per_thousand
    }
}

/// How often things go wrong, in a thousand, until it clears up.
#[derive(Clone, Copy, Default)]
struct Weather {
    crash: i64,
    lost_answer: i64,
    late_write: i64,
    unavailable: i64,
    conflict: i64,
    delivered_twice: i64,
    lasts_seconds: i64,
}

/// How an event's handler behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Handler {
    Succeeds,
    FailsTimes(u32),
    FailsUntil(i64),
    FailsForGood,
    /// The first time; then somebody mends it, and has the event sent again.
    FailsForGoodOnce,
    Kills,
    OutlastsItsTime(u32),
    BlocksTheThread,
}

struct Event {
    handler: Handler,
    policy: Policy,
    record: Option<Record>,
    /// How often the handler was begun.
    begun: u32,
    /// How often effects were committed under each replay number.
    effects: [u32; 3],
    /// How many writes are on their way to its record.
    writes_on_their_way: u32,
    has_run_again_for_good: bool,
}

struct Message {
    event: usize,
    arrival: String,
    text: String,
    received_at: i64,
    sent_at: i64,
    visible_at: i64,
    receives: i64,
    place: Place,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    Queue,
    DeadLetters,
    Deleted,
}

/// An invocation of the consumer, with its batch.
struct Run {
    is_alive: bool,
    is_blocked: bool,
    deadline: i64,
    /// How far its clock is ahead.
    ahead: i64,
    parcels: Vec<Parcel>,
    /// What waits until the others are done, and at which attempt.
    alone: Vec<(u32, usize)>,
    is_anyone_alone: bool,
}

struct Parcel {
    message: usize,
    receives: i64,
    owner: String,
    rounds: u8,
    stage: Stage,
    /// Counts its calls, so that the answer to an older one is none.
    calls: u32,
}

#[derive(Clone, PartialEq, Debug)]
enum Stage {
    Claiming,
    Handling(Box<Record>),
    Writing,
    WaitsForTheOthers,
    Acknowledged,
    Back(Option<i64>),
    Reported,
}

#[derive(Clone)]
struct Call {
    run: usize,
    parcel: usize,
    number: u32,
    event: usize,
    write: Write,
    then: Then,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Then {
    Handle,
    Acknowledge,
    Completed,
    AttemptFailed(Option<i64>),
    /// The housekeeper's, or a person's: nobody waits for it.
    Nothing,
}

enum Happening {
    Poll,
    Arrives(Box<Call>),
    Answered(Box<Call>, Answer),
    Handled { run: usize, parcel: usize },
    HandlersEnd { run: usize },
    Report { run: usize },
    Deadline { run: usize },
    Housekeeping { event: usize },
    Redelivery { event: usize },
    Replay { event: usize },
}

enum Answer {
    Written,
    Refused(Box<Option<Record>>),
    /// Not written, or nobody knows.
    Unknown,
}

struct World {
    random: Random,
    now: i64,
    weather: Weather,
    /// What will happen, by when, and in which order of those at once.
    future: BTreeMap<(i64, u64), Happening>,
    events: Vec<Event>,
    messages: Vec<Message>,
    runs: Vec<Run>,
    forgotten: Vec<usize>,
    is_told: bool,
}

impl World {
    fn new(seed: u64, weather: Weather) -> World {
        World {
            random: Random(seed),
            now: START,
            weather,
            future: BTreeMap::new(),
            events: Vec::new(),
            messages: Vec::new(),
            runs: Vec::new(),
            forgotten: Vec::new(),
            is_told: std::env::var("WHARF_SEED").is_ok(),
        }
    }

    fn accept(&mut self, handler: Handler, policy: Policy, copies: usize) -> usize {
        self.events.push(Event {
            handler,
            policy,
            record: None,
            begun: 0,
            effects: [0; 3],
            writes_on_their_way: 0,
            has_run_again_for_good: false,
        });
        let event = self.events.len() - 1;
        for copy in 0..copies {
            self.send(event, &format!("{event}.{copy}"), self.now);
        }
        event
    }

    fn send(&mut self, event: usize, arrival: &str, received_at: i64) {
        self.messages.push(Message {
            event,
            arrival: arrival.to_owned(),
            text: format!("{arrival}@{received_at}"),
            received_at,
            sent_at: self.now,
            visible_at: self.now,
            receives: 0,
            place: Place::Queue,
        });
        self.after(0, 2, Happening::Poll);
    }

    fn after(&mut self, least: i64, most: i64, happening: Happening) {
        let at = self.now + self.random.between(least, most);
        let order = self.random.next();
        self.future.insert((at, order), happening);
    }

    fn is_bad(&mut self, per_thousand: fn(&Weather) -> i64) -> bool {
        let per_thousand = per_thousand(&self.weather);
        self.now < START + self.weather.lasts_seconds && self.random.happens(per_thousand)
    }

    fn tell(&self, what: impl FnOnce() -> String) {
        if self.is_told {
            println!("{:>7} {}", self.now - START, what());
        }
    }

    /// Lets happen what happens, until nothing is left.
    fn live(&mut self) {
        let mut steps = 0;
        while let Some(((at, _), happening)) = self.future.pop_first() {
            self.now = at;
            steps += 1;
            assert!(steps < 200_000 && at < START + 60 * DAY_SECONDS, "it never ends");
            match happening {
                Happening::Poll => self.poll(),
                Happening::Arrives(call) => self.arrives(*call),
                Happening::Answered(call, answer) => self.answered(*call, answer),
                Happening::Handled { run, parcel } => self.handled(run, parcel, false),
                Happening::HandlersEnd { run } => self.handlers_end(run),
                Happening::Report { run } => self.report(run),
                Happening::Deadline { run } => self.die(run, "at its deadline"),
                Happening::Housekeeping { event } => self.keep_house(event),
                Happening::Redelivery { event } => self.redeliver(event),
                Happening::Replay { event } => self.replay(event),
            }
        }
    }

    fn poll(&mut self) {
        let now = self.now;
        let is_visible = |message: &Message| message.place == Place::Queue && message.visible_at <= now;
        let mut visible: Vec<usize> = (0..self.messages.len()).filter(|at| is_visible(&self.messages[*at])).collect();
        if visible.is_empty() {
            return;
        }
        if self.runs.iter().filter(|run| run.is_alive).count() >= RUNS_AT_ONCE_MAX {
            return self.after(1, 5, Happening::Poll);
        }
        for at in (1..visible.len()).rev() {
            visible.swap(at, usize::try_from(self.random.between(0, i64::try_from(at).unwrap())).unwrap());
        }
        visible.truncate(usize::try_from(BATCH_SIZE).unwrap());
        let run = self.runs.len();
        let mut parcels = Vec::new();
        for at in visible {
            let is_shown_again = self.is_bad(|weather| weather.delivered_twice);
            let message = &mut self.messages[at];
            message.receives += 1;
            if now - message.sent_at >= QUEUE_RETENTION_SECONDS {
                message.place = Place::Deleted;
                self.forgotten.push(message.event);
                continue;
            }
            if message.receives > RECEIVES_MAX {
                message.place = Place::DeadLetters;
                continue;
            }
            let hidden = if is_shown_again { 1 } else { VISIBILITY_TIMEOUT_SECONDS };
            message.visible_at = now + hidden;
            let (receives, owner) = (message.receives, format!("{run}.{at}"));
            parcels.push(Parcel { message: at, receives, owner, rounds: 0, stage: Stage::Claiming, calls: 0 });
            self.after(hidden, hidden + 1, Happening::Poll);
        }
        self.after(0, 1, Happening::Poll);
        if parcels.is_empty() {
            return;
        }
        self.tell(|| {
            format!("run {run} receives {:?}", parcels.iter().map(|parcel| parcel.message).collect::<Vec<_>>())
        });
        let count = parcels.len();
        let (deadline, ahead) = (now + CONSUMER_TIMEOUT_SECONDS, self.random.between(0, LEASE_MARGIN_SECONDS));
        let alone = Vec::new();
        let (is_alive, is_blocked, is_anyone_alone) = (true, false, false);
        self.runs.push(Run { is_alive, is_blocked, deadline, ahead, parcels, alone, is_anyone_alone });
        let handlers = CONSUMER_TIMEOUT_SECONDS - CONSUMER_RESERVE_SECONDS;
        self.after(handlers, handlers, Happening::HandlersEnd { run });
        let writes = CONSUMER_TIMEOUT_SECONDS - CONSUMER_REPORT_SECONDS;
        self.after(writes, writes, Happening::Report { run });
        self.after(CONSUMER_TIMEOUT_SECONDS, CONSUMER_TIMEOUT_SECONDS, Happening::Deadline { run });
        (0..count).for_each(|parcel| self.meet(run, parcel, None));
        self.go_on(run);
    }

    /// What a delivery meets that found this record; nothing before it looked.
    fn meet(&mut self, run: usize, parcel: usize, found: Option<&Record>) {
        let in_hand = &mut self.runs[run].parcels[parcel];
        in_hand.rounds += 1;
        let (at, owner, rounds, receives) = (in_hand.message, in_hand.owner.clone(), in_hand.rounds, in_hand.receives);
        let now = UnixSeconds(self.now + self.runs[run].ahead);
        let lease_until = UnixSeconds(self.runs[run].deadline + self.runs[run].ahead).plus(LEASE_MARGIN_SECONDS);
        let message = &self.messages[at];
        let arriving = arriving(message);
        let event = message.event;
        let policy = self.events[event].policy;
        if rounds > ROUNDS_MAX {
            return self.settle(run, parcel, Stage::Back(Some(self.now + 1)));
        }
        let (write, then) = match meet(found, &arriving, &policy, &Claimant { owner, lease_until }, now) {
            Meeting::Run(write) if write.record.was_interrupted() && !self.runs[run].is_anyone_alone => {
                self.runs[run].alone.push((write.record.attempt, parcel));
                return self.settle(run, parcel, Stage::WaitsForTheOthers);
            }
            Meeting::Run(write) => (*write, Then::Handle),
            Meeting::Settle(write) => (*write, Then::Acknowledge),
            Meeting::Duplicate { .. } => return self.settle(run, parcel, Stage::Acknowledged),
            Meeting::Early { until, .. } => {
                let record = found.filter(|_| receives >= RECEIVES_IN_QUEUE_MAX);
                let Some(write) = record.and_then(|record| record.holding(&arriving)) else {
                    let until = self.now + (until.0 - now.0).max(1);
                    return self.settle(run, parcel, Stage::Back(Some(until)));
                };
                (write, Then::Acknowledge)
            }
        };
        self.call(run, parcel, write, then);
    }

    /// The worker writes to the table, and waits for the answer.
    fn call(&mut self, run: usize, parcel: usize, write: Write, then: Then) {
        let in_hand = &mut self.runs[run].parcels[parcel];
        in_hand.calls += 1;
        let (number, event) = (in_hand.calls, self.messages[in_hand.message].event);
        if then == Then::Handle || then == Then::Acknowledge {
            in_hand.stage = Stage::Claiming;
        } else {
            in_hand.stage = Stage::Writing;
        }
        self.launch(Box::new(Call { run, parcel, number, event, write, then }));
    }

    fn launch(&mut self, call: Box<Call>) {
        if call.then != Then::Nothing && self.is_bad(|weather| weather.unavailable) {
            return self.after(0, 2, Happening::Answered(call, Answer::Unknown));
        }
        self.events[call.event].writes_on_their_way += 1;
        let (least, most) = if self.is_bad(|weather| weather.late_write) { (20, 200) } else { (0, 1) };
        self.after(least, most, Happening::Arrives(call));
    }

    /// A write reaches the table.
    fn arrives(&mut self, call: Call) {
        let event = &mut self.events[call.event];
        event.writes_on_their_way -= 1;
        let meets_another = event.writes_on_their_way > 0 && call.then == Then::Completed;
        if meets_another || call.then == Then::Completed && self.is_bad(|weather| weather.conflict) {
            self.tell(|| format!("event {}: the completion is in conflict", call.event));
            return self.after(0, 1, Happening::Answered(Box::new(call), Answer::Unknown));
        }
        let event = &mut self.events[call.event];
        let answer = if call.write.condition.holds(event.record.as_ref()) {
            let found = event.record.replace(call.write.record.clone());
            if call.then == Then::Completed {
                let owner = found.filter(|found| found.state == State::Processing).map(|found| found.owner);
                assert_eq!(owner.as_ref(), Some(&call.write.record.owner), "a worker completes that lost its lease");
                event.effects[usize::try_from(call.write.record.replay).unwrap()] += 1;
            }
            Answer::Written
        } else {
            Answer::Refused(Box::new(event.record.clone()))
        };
        if matches!(answer, Answer::Written) {
            let record = &call.write.record;
            let (state, attempt) = (record.state, record.attempt);
            self.tell(|| format!("event {}: {state}, attempt {attempt}, owner {}", call.event, record.owner));
            self.wake_housekeeper(call.event);
        }
        if call.then == Then::Nothing {
            return;
        }
        if self.is_bad(|weather| weather.lost_answer) {
            self.events[call.event].writes_on_their_way += 1;
            return self.after(1, 3, Happening::Arrives(Box::new(call)));
        }
        self.after(0, 1, Happening::Answered(Box::new(call), answer));
    }

    /// The worker reads the table's answer.
    fn answered(&mut self, call: Call, answer: Answer) {
        let (run, parcel) = (call.run, call.parcel);
        let in_hand = &self.runs[run].parcels[parcel];
        let is_awaited = in_hand.calls == call.number && matches!(in_hand.stage, Stage::Claiming | Stage::Writing);
        if !self.runs[run].is_alive || self.runs[run].is_blocked || !is_awaited {
            return;
        }
        if self.is_bad(|weather| weather.crash) {
            return self.die(run, "after an answer");
        }
        match (call.then, answer) {
            (Then::Handle | Then::Acknowledge, Answer::Unknown) => self.settle(run, parcel, Stage::Back(None)),
            // The very same write again, and never the handler.
            (_, Answer::Unknown) => self.launch(Box::new(call)),
            (then, Answer::Written) => self.written(run, parcel, then, call.write.record),
            (then, Answer::Refused(found)) => match (then, *found) {
                (then, Some(found)) if call.write.is(&found) => self.written(run, parcel, then, call.write.record),
                (Then::Handle | Then::Acknowledge, found) => self.meet(run, parcel, found.as_ref()),
                _ => self.settle(run, parcel, Stage::Back(None)),
            },
        }
        self.go_on(run);
    }

    fn written(&mut self, run: usize, parcel: usize, then: Then, record: Record) {
        match then {
            Then::Handle => self.handle(run, parcel, record),
            Then::AttemptFailed(Some(until)) => self.settle(run, parcel, Stage::Back(Some(until))),
            Then::Acknowledge | Then::Completed | Then::AttemptFailed(None) | Then::Nothing => {
                self.settle(run, parcel, Stage::Acknowledged);
            }
        }
    }

    fn handle(&mut self, run: usize, parcel: usize, record: Record) {
        let at = self.messages[self.runs[run].parcels[parcel].message].event;
        let handles =
            |parcel: &Parcel| matches!(parcel.stage, Stage::Handling(_)) && self.messages[parcel.message].event == at;
        let is_handled = self.runs.iter().any(|run| run.is_alive && run.parcels.iter().any(handles));
        assert!(!is_handled, "two workers run the handler of event {at} at once");
        let event = &mut self.events[at];
        event.begun += 1;
        self.runs[run].parcels[parcel].stage = Stage::Handling(Box::new(record));
        match self.events[at].handler {
            Handler::Kills => self.die(run, "of poison"),
            Handler::BlocksTheThread => self.runs[run].is_blocked = true,
            Handler::OutlastsItsTime(times) if self.events[at].begun <= times => {}
            Handler::Succeeds
            | Handler::FailsTimes(_)
            | Handler::FailsUntil(_)
            | Handler::FailsForGood
            | Handler::FailsForGoodOnce
            | Handler::OutlastsItsTime(_) => self.after(0, 3, Happening::Handled { run, parcel }),
        }
    }

    fn handled(&mut self, run: usize, parcel: usize, is_cut_off: bool) {
        let worker = &self.runs[run];
        let Stage::Handling(record) = worker.parcels[parcel].stage.clone() else { return };
        if !worker.is_alive || worker.is_blocked {
            return;
        }
        if self.is_bad(|weather| weather.crash) {
            return self.die(run, "after its handler");
        }
        let now = UnixSeconds(self.now + self.runs[run].ahead);
        let may_stay_in_queue = self.runs[run].parcels[parcel].receives < RECEIVES_IN_QUEUE_MAX;
        let message = &self.messages[self.runs[run].parcels[parcel].message];
        let event = &self.events[message.event];
        let again = match event.handler {
            _ if is_cut_off => Some(Again::BySchedule),
            Handler::FailsTimes(times) => (event.begun <= times).then_some(Again::BySchedule),
            Handler::FailsUntil(until) => (self.now < until).then_some(Again::BySchedule),
            Handler::FailsForGood => Some(Again::Never),
            Handler::FailsForGoodOnce => (!event.has_run_again_for_good).then_some(Again::Never),
            Handler::Succeeds | Handler::Kills | Handler::OutlastsItsTime(_) | Handler::BlocksTheThread => None,
        };
        let arriving = arriving(message);
        let Some(again) = again else {
            let write = record.completed(&arriving, &event.policy, now);
            return self.call(run, parcel, write, Then::Completed);
        };
        let random = self.random.next();
        let failed = AttemptFailed { reason: "no".into(), again };
        let (write, next) = record.attempt_failed(&arriving, &failed, &event.policy, may_stay_in_queue, random, now);
        let then = match next {
            Next::InQueue { until } => Some(self.now + (until.0 - now.0).max(1)),
            Next::InRecord { .. } | Next::Failed => None,
        };
        self.call(run, parcel, write, Then::AttemptFailed(then));
    }

    fn settle(&mut self, run: usize, parcel: usize, stage: Stage) {
        self.runs[run].parcels[parcel].stage = stage;
    }

    /// Begins what waits for the others, or ends the invocation.
    fn go_on(&mut self, run: usize) {
        let is_busy = |parcel: &Parcel| matches!(parcel.stage, Stage::Claiming | Stage::Handling(_) | Stage::Writing);
        while self.runs[run].is_alive && !self.runs[run].is_blocked && !self.runs[run].parcels.iter().any(is_busy) {
            let worker = &mut self.runs[run];
            worker.alone.sort();
            if worker.alone.is_empty() {
                return self.finish(run);
            }
            let (_, parcel) = worker.alone.remove(0);
            worker.is_anyone_alone = true;
            // What comes now may kill the worker, and with it the report about the others.
            self.tell_queue(run);
            let worker = &mut self.runs[run];
            if worker.deadline - self.now < ALONE_SECONDS_MIN + CONSUMER_RESERVE_SECONDS {
                self.settle(run, parcel, Stage::Back(Some(self.now + 1)));
            } else {
                self.runs[run].parcels[parcel].rounds = 0;
                self.meet(run, parcel, None);
            }
        }
    }

    /// The handlers' time is up. A claim may be written all the same.
    fn handlers_end(&mut self, run: usize) {
        if self.runs[run].is_blocked {
            return;
        }
        for parcel in 0..self.runs[run].parcels.len() {
            match self.runs[run].parcels[parcel].stage {
                Stage::Claiming => self.settle(run, parcel, Stage::Back(None)),
                Stage::Handling(_) => self.handled(run, parcel, true),
                Stage::Writing | Stage::WaitsForTheOthers | Stage::Acknowledged | Stage::Back(_) | Stage::Reported => {}
            }
        }
        self.go_on(run);
    }

    /// The invocation has to report now, whatever it still waits for.
    fn report(&mut self, run: usize) {
        if !self.runs[run].is_alive || self.runs[run].is_blocked {
            return;
        }
        for parcel in 0..self.runs[run].parcels.len() {
            if !matches!(self.runs[run].parcels[parcel].stage, Stage::Acknowledged | Stage::Back(_) | Stage::Reported) {
                self.settle(run, parcel, Stage::Back(None));
            }
        }
        self.finish(run);
    }

    fn finish(&mut self, run: usize) {
        if self.is_bad(|weather| weather.crash) {
            return self.die(run, "before its report");
        }
        self.tell_queue(run);
        self.runs[run].is_alive = false;
    }

    /// What was acknowledged is deleted, even if somebody else has it in hand, too; what goes back is hidden until its time.
    fn tell_queue(&mut self, run: usize) {
        // By whatever clock.
        let lease_is_over_at = self.runs[run].deadline + 2 * LEASE_MARGIN_SECONDS;
        for parcel in 0..self.runs[run].parcels.len() {
            let in_hand = &mut self.runs[run].parcels[parcel];
            let message = &mut self.messages[in_hand.message];
            match in_hand.stage {
                Stage::Acknowledged => message.place = Place::Deleted,
                Stage::Back(Some(until)) if message.receives == in_hand.receives => {
                    message.visible_at = until.max(self.now + 1);
                    let seconds = message.visible_at - self.now;
                    self.after(seconds, seconds + 2, Happening::Poll);
                }
                Stage::Back(_) => {}
                // This worker may not live to report it: then it comes back when the lease ends.
                Stage::WaitsForTheOthers => {
                    let seconds = (lease_is_over_at - self.now).max(1);
                    if message.receives == in_hand.receives && message.receives < RECEIVES_IN_QUEUE_MAX {
                        message.visible_at = self.now + seconds;
                        self.after(seconds, seconds + 2, Happening::Poll);
                    }
                    continue;
                }
                Stage::Claiming | Stage::Handling(_) | Stage::Writing | Stage::Reported => continue,
            }
            self.runs[run].parcels[parcel].stage = Stage::Reported;
        }
    }

    fn die(&mut self, run: usize, when: &str) {
        if self.runs[run].is_alive {
            self.tell(|| format!("run {run} dies {when}"));
            self.runs[run].is_alive = false;
        }
    }

    fn wake_housekeeper(&mut self, event: usize) {
        if let Some((_, due_at)) = self.events[event].record.as_ref().and_then(Record::errand) {
            let minute = HOUSEKEEPER_INTERVAL_SECONDS;
            let seconds = (due_at.0.max(self.now) + minute).div_euclid(minute) * minute - self.now;
            self.after(seconds, seconds + minute, Happening::Housekeeping { event });
        }
    }

    fn keep_house(&mut self, event: usize) {
        let now = UnixSeconds(self.now + self.random.between(0, LEASE_MARGIN_SECONDS));
        let Some(record) = self.events[event].record.clone() else { return };
        let write = match record.errand() {
            Some((Errand::Send, due_at)) if due_at <= now => {
                let held = record.message.as_deref().and_then(|text| text.rsplit_once('@'));
                let (arrival, received_at) = held.unwrap();
                self.tell(|| format!("event {event}: the housekeeper sends {arrival}"));
                self.send(event, arrival, received_at.parse().unwrap());
                record.sent(now)
            }
            Some((Errand::Erase, due_at)) if due_at <= now => record.erased(),
            _ => return,
        };
        if self.is_bad(|weather| weather.crash) {
            return self.wake_housekeeper(event);
        }
        let (run, parcel, number, then) = (0, 0, 0, Then::Nothing);
        self.launch(Box::new(Call { run, parcel, number, event, write, then }));
    }

    fn redeliver(&mut self, event: usize) {
        self.events[event].has_run_again_for_good = true;
        self.tell(|| format!("event {event} is redelivered"));
        self.send(event, &format!("{event}.r{}", self.now), self.now);
    }

    /// A person has it replayed.
    fn replay(&mut self, event: usize) {
        let Some(record) = self.events[event].record.clone() else { return };
        let owner = format!("person {}", self.now);
        if let Ok(write) = record.replayed(&owner, UnixSeconds(self.now)) {
            self.tell(|| format!("event {event} is replayed"));
            self.events[event].record = Some(write.record);
            self.wake_housekeeper(event);
        }
    }

    fn state(&self, event: usize) -> Option<State> {
        self.events[event].record.as_ref().map(|record| record.state)
    }

    fn dead_letters(&self, event: usize) -> usize {
        let is_dead = |message: &&Message| message.event == event && message.place == Place::DeadLetters;
        self.messages.iter().filter(is_dead).count()
    }

    /// Nothing is left to happen: every event is accounted for.
    fn assert_accounted_for(&self) {
        for (at, event) in self.events.iter().enumerate() {
            let state = self.state(at);
            let what = || format!("event {at}, {:?}, {state:?}, effects {:?}", event.handler, event.effects);
            let is_settled = matches!(state, Some(State::Completed | State::Failed | State::Parked));
            assert!(is_settled || self.dead_letters(at) > 0, "lost: {}", what());
            assert!(event.effects.iter().all(|times| *times <= 1), "doubled: {}", what());
            if state == Some(State::Completed) {
                let replay = event.record.as_ref().map_or(0, |record| record.replay);
                assert_eq!(event.effects[usize::try_from(replay).unwrap()], 1, "completed without effects: {}", what());
            }
            let is_healthy = !matches!(event.handler, Handler::Kills | Handler::BlocksTheThread);
            assert!(self.dead_letters(at) == 0 || !is_healthy, "given up: {}", what());
            if event.handler == Handler::Succeeds && event.policy == Policy::default() {
                assert_eq!(state, Some(State::Completed), "{}", what());
            }
        }
        let left: Vec<usize> = (0..self.messages.len()).filter(|at| self.messages[*at].place == Place::Queue).collect();
        assert!(left.is_empty(), "messages {left:?} are left in the queue");
        assert!(self.forgotten.is_empty(), "the queue forgot events {:?}", self.forgotten);
    }
}

fn arriving(message: &Message) -> Arriving<'_> {
    Arriving {
        received_at: UnixSeconds(message.received_at),
        arrival_id: &message.arrival,
        body: Digest::of(message.text.as_bytes()),
        guard: None,
        event_type: None,
        message: &message.text,
    }
}

/// The histories of a test: so many, or the one that `WHARF_SEED` names.
fn histories(count: u64, history: impl Fn(u64)) {
    let only = std::env::var("WHARF_SEED").ok().map(|seed| seed.parse().unwrap());
    let seeds = only.map_or(0..count, |seed: u64| seed..seed + 1);
    for seed in seeds {
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| history(seed)));
        assert!(caught.is_ok(), "this was WHARF_SEED={seed}");
    }
}

fn bad_weather(random: &mut Random) -> Weather {
    Weather {
        crash: random.between(0, 80),
        lost_answer: random.between(0, 150),
        late_write: random.between(0, 100),
        unavailable: random.between(0, 100),
        conflict: random.between(0, 300),
        delivered_twice: random.between(0, 200),
        lasts_seconds: random.between(60, 1_800),
    }
}

fn any_policy(random: &mut Random) -> Policy {
    let short = Retry { attempts: 6, first_seconds: 2, longest_seconds: 40 };
    match random.between(0, 5) {
        0 => Policy { on_interrupted: OnInterrupted::Park, ..Policy::default() },
        1 => Policy { keep_seconds: Some(DAY_SECONDS), ..Policy::default() },
        2 => Policy { retry: short, ..Policy::default() },
        _ => Policy::default(),
    }
}

fn any_handler(random: &mut Random) -> Handler {
    match random.between(0, 19) {
        0 | 1 => Handler::FailsTimes(3),
        2 => Handler::FailsUntil(START + random.between(0, 20_000)),
        3 => Handler::FailsForGood,
        4 => Handler::FailsForGoodOnce,
        5 => Handler::Kills,
        6 => Handler::OutlastsItsTime(2),
        7 => Handler::BlocksTheThread,
        _ => Handler::Succeeds,
    }
}

#[test]
fn whatever_the_weather_every_event_is_accounted_for_and_none_is_done_twice() {
    histories(3_000, |seed| {
        let mut random = Random(seed ^ 0x5745_4154_4845_5221);
        let weather = bad_weather(&mut random);
        let mut world = World::new(seed, weather);
        for _ in 0..random.between(3, 12) {
            let (handler, policy) = (any_handler(&mut random), any_policy(&mut random));
            let copies = usize::try_from(random.between(1, 4)).unwrap();
            let event = world.accept(handler, policy, copies);
            for _ in 0..random.between(0, 2) {
                world.after(0, 4 * DAY_SECONDS, Happening::Redelivery { event });
            }
            world.after(600, 2 * DAY_SECONDS, Happening::Replay { event });
        }
        world.live();
        world.assert_accounted_for();
    });
}

const FINE: Weather = Weather {
    crash: 0,
    lost_answer: 0,
    late_write: 0,
    unavailable: 0,
    conflict: 0,
    delivered_twice: 0,
    lasts_seconds: 60 * DAY_SECONDS,
};

#[test]
fn while_the_first_of_fifty_copies_waits_the_others_wait_too_and_none_is_given_up() {
    histories(100, |seed| {
        let mut world = World::new(seed, Weather { delivered_twice: 100, ..FINE });
        let event = world.accept(Handler::FailsTimes(12), Policy::default(), 50);
        world.live();
        world.assert_accounted_for();
        assert_eq!(world.state(event), Some(State::Completed));
        assert_eq!(world.events[event].begun, 13, "copies use up no attempts");
    });
}

#[test]
fn an_outage_downstream_may_last_longer_than_the_queue_remembers() {
    let retry = Retry { attempts: 100, ..Retry::default() };
    histories(100, |seed| {
        let mut world = World::new(seed, Weather { delivered_twice: 100, ..FINE });
        let end = START + QUEUE_RETENTION_SECONDS + 2 * DAY_SECONDS;
        let waits = |world: &mut World, copies| {
            world.accept(Handler::FailsUntil(end), Policy { retry, ..Policy::default() }, copies)
        };
        let events: Vec<usize> = (0..10).map(|copies| waits(&mut world, copies % 3 + 1)).collect();
        world.live();
        world.assert_accounted_for();
        assert!(events.into_iter().all(|event| world.state(event) == Some(State::Completed)));
        assert!(world.now > end);
    });
}

#[test]
fn a_handler_that_kills_its_process_each_time_takes_none_of_nine_neighbours_along() {
    histories(100, |seed| {
        let mut world = World::new(seed, FINE);
        let killer = world.accept(Handler::Kills, Policy::default(), 1);
        let neighbours: Vec<usize> = (0..9).map(|_| world.accept(Handler::Succeeds, Policy::default(), 1)).collect();
        world.live();
        world.assert_accounted_for();
        for neighbour in neighbours {
            assert_eq!(world.state(neighbour), Some(State::Completed));
            assert!(world.events[neighbour].begun <= 3, "cut short, and then done");
        }
        assert_eq!(world.state(killer), Some(State::Failed));
    });
}

#[test]
fn a_handler_that_blocks_its_thread_costs_its_neighbours_no_more_than_time() {
    histories(100, |seed| {
        let mut world = World::new(seed, FINE);
        world.accept(Handler::BlocksTheThread, Policy::default(), 1);
        for _ in 0..9 {
            world.accept(Handler::Succeeds, Policy::default(), 2);
        }
        world.live();
        world.assert_accounted_for();
    });
}

#[test]
fn a_failed_event_that_its_sender_delivers_again_is_processed() {
    histories(100, |seed| {
        let mut world = World::new(seed, Weather { crash: 50, lasts_seconds: 600, ..FINE });
        let event = world.accept(Handler::FailsForGoodOnce, Policy::default(), 2);
        world.after(3_600, 30 * DAY_SECONDS, Happening::Redelivery { event });
        world.live();
        world.assert_accounted_for();
        assert_eq!(world.state(event), Some(State::Completed));
    });
}

#[test]
fn a_completion_in_conflict_with_the_claim_of_a_copy_is_repeated_and_its_handler_is_not() {
    histories(100, |seed| {
        let mut world = World::new(seed, Weather { conflict: 700, ..FINE });
        let event = world.accept(Handler::Succeeds, Policy::default(), 8);
        world.live();
        world.assert_accounted_for();
        assert_eq!((world.state(event), world.events[event].begun), (Some(State::Completed), 1));
    });
}

#[test]
fn a_claim_whose_answer_is_lost_is_not_taken_for_somebody_elses() {
    histories(100, |seed| {
        let mut world = World::new(seed, Weather { lost_answer: 600, ..FINE });
        let event = world.accept(Handler::Succeeds, Policy::default(), 1);
        world.live();
        world.assert_accounted_for();
        let attempt = world.events[event].record.as_ref().map(|record| record.attempt);
        assert_eq!((attempt, world.events[event].begun), (Some(1), 1));
    });
}

#[test]
fn a_replay_runs_again_and_commits_once_more() {
    histories(100, |seed| {
        let mut world = World::new(seed, Weather { crash: 50, lost_answer: 100, lasts_seconds: 20_000, ..FINE });
        let policy = Policy { keep_seconds: Some(DAY_SECONDS), ..Policy::default() };
        let event = world.accept(Handler::Succeeds, policy, 3);
        world.after(7_200, 18_000, Happening::Replay { event });
        world.live();
        world.assert_accounted_for();
        assert_eq!(world.events[event].effects, [1, 1, 0]);
    });
}

#[test]
fn an_endpoint_that_parks_what_was_interrupted_never_runs_it_twice() {
    histories(300, |seed| {
        let mut random = Random(seed);
        let mut world = World::new(seed, bad_weather(&mut random));
        let policy = Policy { on_interrupted: OnInterrupted::Park, ..Policy::default() };
        let events: Vec<usize> = (0..6).map(|_| world.accept(Handler::Succeeds, policy, 3)).collect();
        world.live();
        world.assert_accounted_for();
        assert!(events.into_iter().all(|event| world.events[event].begun <= 1));
    });
}
