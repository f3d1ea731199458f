//! A batch of messages: each is decoded, claimed, processed and reported alone, all at the same time; but what a worker died
//! at before is processed after the others, and by itself, so that it cannot take them along again.
//!
//! A message is acknowledged only when that loses nothing: its event is settled, or its record holds the message, or it can
//! never be processed and lies in the dead-letter queue. Anything else goes back to the queue.

use std::time::Duration;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use futures_util::future::join_all;
use uuid::Uuid;
use wharf_webhook::clock::{UnixMillis, UnixSeconds};
use wharf_webhook::delivery::Delivery;
use wharf_webhook::endpoints::{Endpoint, Endpoints};
use wharf_webhook::ledger::{AttemptFailed, Claimant, Early, Meeting, Next, Record, State, meet};
use wharf_webhook::limits::{
    ALONE_SECONDS_MIN, CONSUMER_REPORT_SECONDS, CONSUMER_RESERVE_SECONDS, LEASE_MARGIN_SECONDS, RECEIVES_IN_QUEUE_MAX,
    VISIBILITY_TIMEOUT_SECONDS,
};
use wharf_webhook::message::{self, Carried, MessageError};
use wharf_webhook::metrics::Report;
use wharf_webhook::policy::{Deliver, Policy};

use super::HandlerError;
use super::attempt::{AttemptError, run_handler};
use super::dead_letter::DeadLetterQueue;
use super::effects::Effects;
use super::event_bus::EventBus;
use super::outcome::{self, Again, Done, Outcome, Traveller};
use crate::bodies::Bodies;
use crate::ledger::{Committed, Ledger, LedgerError, Written};
use crate::metrics::Metrics;
use crate::queue::Queue;

/// How often a claim is tried anew because another worker was faster.
const CLAIM_ROUNDS_MAX: usize = 3;
/// How soon a message comes again that nothing keeps from being processed, in seconds.
const SOON_SECONDS: i32 = 1;
/// How long the pause is before a write is repeated whose outcome is not known: at first, and at most.
const PAUSE_MILLIS: (u64, u64) = (20, 1000);

/// From when on a batch is slow, in milliseconds. Most take a hundredth of it, and make no call because of this.
const SLOW_BATCH_MILLIS: u64 = 2000;
/// How much time is kept back for the answer to Lambda itself, in milliseconds.
const REPORT_RESERVE_MILLIS: i64 = 250;

/// Everything that a batch is processed with.
#[derive(Debug)]
pub struct Consumer<H> {
    /// What the endpoints' owners decided.
    pub endpoints: Endpoints,
    /// Who processes what.
    pub ledger: Ledger,
    /// Where messages come from.
    pub queue: Queue,
    /// Where bodies are that are too large for the queue.
    pub bodies: Bodies,
    /// Where events go that no handler processes.
    pub event_bus: EventBus,
    /// Where messages go that can never be processed.
    pub dead_letters: DeadLetterQueue,
    /// What is reported.
    pub metrics: Metrics,
    /// What processes the others.
    pub handler: H,
    /// Reads the time.
    pub now: fn() -> UnixMillis,
}

/// A message that carries a delivery.
struct Parcel<'a> {
    message: &'a SqsMessage,
    text: &'a str,
    carried: Carried,
    /// Its endpoint, if that is still there.
    endpoint: Option<&'a Endpoint>,
    policy: Policy,
    started_at: UnixMillis,
}

/// How far a message came while the whole batch was at work.
enum Pass<'a> {
    /// To its end.
    Ended { outcome: Outcome, report: Report<'a> },
    /// A worker died at its event, at this attempt: it waits until the others are done.
    Alone { parcel: Box<Parcel<'a>>, attempt: u32 },
}

/// What a claim comes to.
enum Claim {
    /// The event is ours to process.
    Granted(Box<Record>),
    /// It may only be claimed by itself.
    Alone { attempt: u32 },
    /// There is nothing to process.
    Done(Done),
}

/// In whose company a message is processed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Company {
    Batch,
    Nobody,
}

impl Parcel<'_> {
    fn may_stay_in_queue(&self) -> bool {
        was_seldom_received(self.message)
    }

    /// X-Ray's header, as the receiver sent it along.
    fn trace(&self) -> Option<&str> {
        self.message.attributes.get("AWSTraceHeader").map(String::as_str)
    }
}

impl<H, F, T> Consumer<H>
where
    H: Fn(Delivery) -> F + Clone + Send + 'static,
    F: Future<Output = Result<T, HandlerError>> + Send + 'static,
    T: Into<Effects> + Send + 'static,
{
    /// Processes a batch before `deadline`, when Lambda ends the invocation. The answer names the messages that go back
    /// to the queue.
    pub async fn process(&self, batch: SqsEvent, deadline: UnixMillis) -> SqsBatchResponse {
        let (mut settled, mut back, mut alone) = (Vec::new(), Vec::new(), Vec::new());
        let mut reports = Vec::new();
        // Boxed, so that the compiler need not lay ten ways through the SDK out in one another.
        let passes = batch.records.iter().map(|message| Box::pin(self.first_pass(message, deadline)));
        let mut at_work = join_all(passes);
        let mut back_at_lease_end = false;
        let passes = match tokio::time::timeout(Duration::from_millis(SLOW_BATCH_MILLIS), &mut at_work).await {
            Ok(passes) => passes,
            Err(_) => {
                back_at_lease_end = true;
                tokio::join!(at_work, self.come_back_at_lease_end(batch.records.iter(), deadline)).0
            }
        };
        for (message, pass) in batch.records.iter().zip(passes) {
            match pass {
                Pass::Ended { outcome, report } => {
                    reports.push(report);
                    match outcome {
                        Ok(_) => settled.push(message),
                        Err(again) => back.push((message, again)),
                    }
                }
                Pass::Alone { parcel, attempt } => alone.push((attempt, parcel)),
            }
        }
        self.metrics.report_all(reports, (self.now)());
        let mut response = SqsBatchResponse::default();
        // Those first that died seldom: the one that kills its worker is the last in the end.
        alone.sort_by_key(|(attempt, _)| *attempt);
        if !back_at_lease_end && !alone.is_empty() {
            self.come_back_at_lease_end(alone.iter().map(|(_, parcel)| parcel.message), deadline).await;
        }
        for (_, parcel) in alone {
            // It may kill this worker, and with it the report about the others.
            self.report(&mut response, &mut settled, &mut back, back_at_lease_end, deadline).await;
            let (outcome, report) = Box::pin(self.by_itself(&parcel, deadline)).await;
            self.metrics.report(&report, (self.now)());
            match outcome {
                Ok(_) => settled.push(parcel.message),
                Err(again) => back.push((parcel.message, again)),
            }
        }
        // What is settled now, Lambda deletes.
        settled.clear();
        self.report(&mut response, &mut settled, &mut back, back_at_lease_end, deadline).await;
        response
    }

    /// Has messages come back when the lease ends, in case that this worker does not live to report about them:
    ///
    /// ```text
    ///   0 s  SQS hands a message over, and hides it for 185 s: six times the function's time, as AWS wants it, because Lambda
    ///        tries a throttled batch again meanwhile
    ///   0 s  its event is claimed until 35 s: the deadline, and what two clocks may differ
    ///   1 s  the worker dies. The message is hidden until 185 s, though its event could be claimed anew from 35 s on
    ///   2 s  or the worker lives, and the batch is a slow one: it has SQS hide the messages until 40 s. If it dies now, the
    ///        next worker has them at 40 s, when the lease has ended by its clock too
    /// ```
    ///
    /// That is a call of its own, for which each event would pay. So it is made for slow batches, and for what a worker died at
    /// before: only after a first death within two seconds do messages come back as late as the queue has it. And so does what was
    /// received often: a message that waits for its turn while others kill the worker would be given up by the queue so soon
    /// that nobody could mend anything before.
    async fn come_back_at_lease_end<'m>(&self, messages: impl Iterator<Item = &'m SqsMessage>, deadline: UnixMillis) {
        let seconds = seconds_until_lease_end(deadline, (self.now)().seconds());
        let seldom = messages.filter(|message| was_seldom_received(message));
        let hidden: Vec<_> = seldom.filter_map(|message| Some((message.receipt_handle.clone()?, seconds))).collect();
        let told = tokio::time::timeout(Duration::from_millis(SLOW_BATCH_MILLIS), self.queue.hide(&hidden));
        match told.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!("should this worker die, its messages come back later than they could: {error}")
            }
            Err(_) => {
                tracing::warn!("should this worker die, its messages come back later than they could: SQS is slow")
            }
        }
    }

    /// Tells SQS what is settled, and what goes back, and when; and notes the latter for Lambda. If SQS does not hear of it in
    /// time, messages come back when the queue's own time-out is over, which is harmless.
    async fn report<'a>(
        &self,
        response: &mut SqsBatchResponse,
        settled: &mut Vec<&'a SqsMessage>,
        back: &mut Vec<(&'a SqsMessage, Again)>,
        back_at_lease_end: bool,
        deadline: UnixMillis,
    ) {
        let receipts: Vec<_> = settled.drain(..).filter_map(|message| message.receipt_handle.clone()).collect();
        let hidden = hidden(back, back_at_lease_end, (self.now)().seconds());
        let told = async {
            self.queue.delete(&receipts).await?;
            self.queue.hide(&hidden).await
        };
        let time = deadline.0 - REPORT_RESERVE_MILLIS - (self.now)().0;
        match tokio::time::timeout(Duration::from_millis(u64::try_from(time).unwrap_or(0)), told).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!("messages come back later than they could: {error}"),
            Err(_) => tracing::warn!("messages come back later than they could: SQS did not answer in time"),
        }
        for (message, _) in back.drain(..) {
            // SQS gives every message an id. An unknown one here makes Lambda retry the whole batch, which is safe.
            response.add_failure(message.message_id.clone().unwrap_or_default());
        }
    }

    async fn first_pass<'a>(&'a self, message: &'a SqsMessage, deadline: UnixMillis) -> Pass<'a> {
        let started_at = (self.now)();
        let text = message.body.as_deref().unwrap_or_default();
        let carried = match message::decode(text) {
            Ok(carried) => carried,
            Err(error) => {
                let outcome = match error {
                    MessageError::NewerVersion { .. } => Err(Again::NewerVersion(error)),
                    // It never reaches the ledger, so the dead-letter queue is its record.
                    MessageError::Undecodable { problem } => match self.dead_letters.send(text, &problem).await {
                        Ok(()) => Ok(Done::DeadLettered { problem }),
                        Err(error) => Err(Again::DeadLetter(error)),
                    },
                };
                let traveller = Traveller { envelope: None, message_id: message.message_id.as_deref(), trace: None };
                outcome::log(&outcome, traveller, started_at, (self.now)());
                let report = outcome::report(&outcome, None, None, (self.now)());
                return Pass::Ended { outcome, report };
            }
        };
        let endpoint = self.endpoints.get(carried.envelope().endpoint());
        let policy = endpoint.map(|endpoint| endpoint.policy).unwrap_or_default();
        let parcel = Parcel { message, text, carried, endpoint, policy, started_at };
        // No policy is guessed: it might run what the endpoint's owner wanted to be handed on, or parked. While a roll-out has
        // old and new consumers, a newer one knows the endpoint; so the message stays in the queue for as long as it may, and
        // after that its event fails, with its message.
        let claimed = if endpoint.is_none() && parcel.may_stay_in_queue() {
            Err(Again::EndpointUnknown)
        } else {
            self.claim(&parcel, Company::Batch, deadline).await
        };
        let outcome = match claimed {
            Ok(Claim::Alone { attempt }) => return Pass::Alone { parcel: Box::new(parcel), attempt },
            Ok(Claim::Granted(record)) => Box::pin(self.process_claimed(&parcel, *record, deadline)).await,
            Ok(Claim::Done(done)) => Ok(done),
            Err(again) => Err(again),
        };
        let report = self.log(&outcome, &parcel);
        Pass::Ended { outcome, report }
    }

    /// Processes a message whose event a worker died at, when nothing else is at work.
    async fn by_itself<'a>(&self, parcel: &Parcel<'a>, deadline: UnixMillis) -> (Outcome, Report<'a>) {
        let time_left = deadline.0 - (self.now)().0;
        let outcome = if time_left < (ALONE_SECONDS_MIN + CONSUMER_RESERVE_SECONDS) * 1000 {
            Err(Again::NoTimeLeft)
        } else {
            match self.claim(parcel, Company::Nobody, deadline).await {
                Ok(Claim::Granted(record)) => Box::pin(self.process_claimed(parcel, *record, deadline)).await,
                Ok(Claim::Done(done)) => Ok(done),
                Ok(Claim::Alone { .. }) => Err(Again::Overtaken),
                Err(again) => Err(again),
            }
        };
        let report = self.log(&outcome, parcel);
        (outcome, report)
    }

    /// Claims a message's event. The first write is for an event that nobody has seen; whoever is refused learns the record, and
    /// goes by that.
    async fn claim(&self, parcel: &Parcel<'_>, company: Company, deadline: UnixMillis) -> Result<Claim, Again> {
        let envelope = parcel.carried.envelope();
        let handlers_end = deadline.0 - CONSUMER_RESERVE_SECONDS * 1000;
        if envelope.replay_guard() {
            let guarded = self.within(handlers_end, self.ledger.guard(envelope, (self.now)().seconds())).await?;
            if !guarded {
                return Ok(Claim::Done(Done::RepeatedBody));
            }
        }
        let key = envelope.record_key();
        let arriving = envelope.arriving(parcel.text);
        let claimant = Claimant { owner: Uuid::new_v4().to_string(), lease_until: lease_until(deadline) };
        let mut found: Option<Box<Record>> = None;
        for _ in 0..CLAIM_ROUNDS_MAX {
            let met = meet(found.as_deref(), &arriving, &parcel.policy, &claimant, (self.now)().seconds());
            let write = match met {
                Meeting::Run(write) if write.record.was_interrupted() && company == Company::Batch => {
                    return Ok(Claim::Alone { attempt: write.record.attempt });
                }
                Meeting::Run(write) | Meeting::Settle(write) => write,
                Meeting::Duplicate { state, other_body } => {
                    return Ok(Claim::Done(Done::Duplicate { state, other_body }));
                }
                Meeting::Early { until, why } => {
                    let held = found.as_deref().filter(|_| !parcel.may_stay_in_queue());
                    let Some(write) = held.and_then(|record| record.holding(&arriving)) else {
                        return Err(match why {
                            Early::Held => Again::Held { until },
                            Early::NotDue => Again::NotDue { until },
                        });
                    };
                    Box::new(write)
                }
            };
            match self.within(handlers_end, self.ledger.write(&key, &write)).await {
                Ok(Written::Yes) => return Ok(granted_or_done(write.record)),
                Ok(Written::No(record)) => found = record,
                // Its event is being completed, most likely: it comes again to see.
                Err(LedgerError::Conflict) => return Err(Again::Overtaken),
                Err(error) => return Err(error.into()),
            }
        }
        Err(Again::Overtaken)
    }

    async fn process_claimed(&self, parcel: &Parcel<'_>, record: Record, deadline: UnixMillis) -> Outcome {
        let error = match self.attempt(parcel, &record, deadline).await {
            Ok(effects) => match self.complete(parcel, &record, &effects, deadline).await? {
                Committed::Yes => return Ok(Done::Landed { attempt: record.attempt, replay: record.replay }),
                Committed::No => return Err(Again::LeaseLost),
                Committed::Refused(refused) => AttemptError::EffectsRefused {
                    refused,
                    conditions_may_hold_later: effects.conditions_may_hold_later(),
                },
            },
            Err(error) => error,
        };
        self.fail(parcel, &record, error, deadline).await
    }

    /// Has the event processed, by whoever its endpoint names.
    async fn attempt(
        &self,
        parcel: &Parcel<'_>,
        record: &Record,
        deadline: UnixMillis,
    ) -> Result<Effects, AttemptError> {
        if parcel.endpoint.is_none() {
            return Err(AttemptError::EndpointUnknown);
        }
        match parcel.policy.deliver {
            Deliver::Handler => {}
            Deliver::EventBridge => {
                self.event_bus.put(&parcel.carried, record).await?;
                return Ok(Effects::default());
            }
            Deliver::Nobody => return Ok(Effects::default()),
        }
        let delivery = match &parcel.carried {
            Carried::Whole(delivery) => delivery.clone(),
            Carried::Referring(referring) => {
                let reference = referring.reference();
                let time = body_time(UnixMillis(deadline.0 - CONSUMER_RESERVE_SECONDS * 1000), (self.now)());
                let body = self.bodies.get(reference, time).await?;
                let body = body.ok_or_else(|| AttemptError::BodyMissing { reference: reference.to_owned() })?;
                referring.clone().with_body(body)?
            }
        };
        let budget_millis = deadline.0 - CONSUMER_RESERVE_SECONDS * 1000 - (self.now)().0;
        let budget = Duration::from_millis(u64::try_from(budget_millis).unwrap_or(0));
        run_handler(self.handler.clone(), delivery.at_attempt(record.replay, record.attempt), budget).await
    }

    /// Completes the event, with the handler's effects. As long as nobody knows whether that was written, the very same write
    /// is repeated, and never the handler.
    async fn complete(
        &self,
        parcel: &Parcel<'_>,
        record: &Record,
        effects: &Effects,
        deadline: UnixMillis,
    ) -> Result<Committed, LedgerError> {
        let envelope = parcel.carried.envelope();
        let key = envelope.record_key();
        let write = record.completed(&envelope.arriving(parcel.text), &parcel.policy, (self.now)().seconds());
        self.until_known(deadline, async || {
            if effects.writes().is_empty() {
                return Ok(match self.ledger.write(&key, &write).await? {
                    Written::Yes => Committed::Yes,
                    Written::No(_) => Committed::No,
                });
            }
            self.ledger.commit(&key, &write, effects.writes(), &record.owner).await
        })
        .await
    }

    /// Writes down that an attempt failed, and what comes next.
    async fn fail(&self, parcel: &Parcel<'_>, record: &Record, error: AttemptError, deadline: UnixMillis) -> Outcome {
        let envelope = parcel.carried.envelope();
        let key = envelope.record_key();
        let failed = AttemptFailed { reason: error.to_string(), again: error.again() };
        // Its upper bits are random, and only those count.
        let (random, _) = Uuid::new_v4().as_u64_pair();
        let (arriving, now) = (envelope.arriving(parcel.text), (self.now)().seconds());
        let (write, next) =
            record.attempt_failed(&arriving, &failed, &parcel.policy, parcel.may_stay_in_queue(), random, now);
        let written = self.until_known(deadline, async || self.ledger.write(&key, &write).await).await?;
        if written != Written::Yes {
            return Err(Again::LeaseLost);
        }
        match next {
            Next::InQueue { until } => Err(Again::AttemptFailed { error, attempt: record.attempt, until }),
            Next::InRecord { until } => Ok(Done::Waiting { error: Some(error), attempt: record.attempt, until }),
            Next::Failed => Ok(Done::Failed { reason: error.to_string(), error: Some(error), attempt: record.attempt }),
        }
    }

    /// Repeats a call of which it is not known whether it did its work, until the invocation has to report.
    async fn until_known<R>(
        &self,
        deadline: UnixMillis,
        call: impl AsyncFn() -> Result<R, LedgerError>,
    ) -> Result<R, LedgerError> {
        let end = deadline.0 - CONSUMER_REPORT_SECONDS * 1000;
        let (mut pause, longest) = PAUSE_MILLIS;
        loop {
            let result = self.within(end, call()).await;
            let is_time_left = (self.now)().0 + i64::try_from(pause).unwrap_or(i64::MAX) < end;
            match result {
                Err(LedgerError::Unavailable { .. } | LedgerError::Conflict) if is_time_left => {
                    tokio::time::sleep(Duration::from_millis(pause)).await;
                    pause = (pause * 2).min(longest);
                }
                result => return result,
            }
        }
    }

    /// The outcome of a call, if it comes before `end`, in milliseconds since 1970.
    async fn within<R>(&self, end: i64, call: impl Future<Output = Result<R, LedgerError>>) -> Result<R, LedgerError> {
        let time = Duration::from_millis(u64::try_from(end - (self.now)().0).unwrap_or(0));
        let late = || LedgerError::Unavailable { cause: "no answer before this invocation has to report".to_owned() };
        tokio::time::timeout(time, call).await.unwrap_or_else(|_| Err(late()))
    }

    /// Writes a message's line into the log, and returns what is to be reported of it.
    fn log<'a>(&self, outcome: &Outcome, parcel: &Parcel<'a>) -> Report<'a> {
        let traveller = Traveller {
            envelope: Some(parcel.carried.envelope()),
            message_id: parcel.message.message_id.as_deref(),
            trace: parcel.trace(),
        };
        let now = (self.now)();
        outcome::log(outcome, traveller, parcel.started_at, now);
        outcome::report(outcome, Some(&parcel.carried), parcel.endpoint, now)
    }
}

/// Whether a message may be received several times more before the queue gives it up.
fn was_seldom_received(message: &SqsMessage) -> bool {
    let receives = message.attributes.get("ApproximateReceiveCount").and_then(|count| count.parse::<i64>().ok());
    receives.unwrap_or(1) < RECEIVES_IN_QUEUE_MAX
}

/// When the lease ends of what is claimed in an invocation: when its worker is certainly gone.
fn lease_until(deadline: UnixMillis) -> UnixSeconds {
    deadline.seconds_rounded_up().plus(LEASE_MARGIN_SECONDS)
}

/// For how long a message is hidden that comes back when the lease has ended by any clock. One that came sooner would be told to
/// wait, and so cost a receive: with two for each death, the queue would give a message up before its tenth death is written down.
fn seconds_until_lease_end(deadline: UnixMillis, now: UnixSeconds) -> i32 {
    let longest = i32::try_from(VISIBILITY_TIMEOUT_SECONDS).unwrap_or(i32::MAX);
    i32::try_from(lease_until(deadline).0 + LEASE_MARGIN_SECONDS - now.0)
        .unwrap_or(longest)
        .clamp(SOON_SECONDS, longest)
}

/// How long a body may take to come, of the time until the handlers' end: half of it, so that the other half is the handler's.
fn body_time(handlers_end: UnixMillis, now: UnixMillis) -> Duration {
    Duration::from_millis(u64::try_from((handlers_end.0 - now.0) / 2).unwrap_or(0))
}

/// For how many seconds messages are hidden, each by its receipt handle, so that they come back when there is something to do,
/// and not sooner. The others come back when the queue's own time-out is over, which has to be said anew where they would
/// come back at the end of the lease: each time costs a receive.
fn hidden(back: &[(&SqsMessage, Again)], back_at_lease_end: bool, now: UnixSeconds) -> Vec<(String, i32)> {
    back.iter()
        .filter_map(|(message, again)| {
            let seconds = match again.comes_at() {
                Some(until) => i32::try_from((until.0 - now.0).max(i64::from(SOON_SECONDS))).ok()?,
                None if again.comes_soon() => SOON_SECONDS,
                None if back_at_lease_end => i32::try_from(VISIBILITY_TIMEOUT_SECONDS).ok()?,
                None => return None,
            };
            Some((message.receipt_handle.clone()?, seconds))
        })
        .collect()
}

/// What a claim came to that wrote this record.
fn granted_or_done(record: Record) -> Claim {
    let last = || record.failures.last().map(|failure| failure.reason.clone()).unwrap_or_default();
    let attempt = record.attempt;
    match record.state {
        State::Processing => Claim::Granted(Box::new(record)),
        State::Failed => Claim::Done(Done::Failed { reason: last(), error: None, attempt }),
        State::Parked => Claim::Done(Done::Parked { reason: last(), attempt }),
        State::Waiting => {
            let until = record.due_at.unwrap_or(record.expires_at);
            Claim::Done(Done::Waiting { error: None, attempt, until })
        }
        State::Completed => Claim::Done(Done::Duplicate { state: State::Completed, other_body: false }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consumer::attempt::AttemptError;

    /// 2025-07-31T22:13:20Z.
    const START: i64 = 1_754_000_000;

    fn at(seconds: i64) -> UnixSeconds {
        UnixSeconds(START + seconds)
    }

    #[test]
    fn a_dead_workers_messages_come_back_when_the_lease_has_ended_by_a_clock_that_is_five_seconds_behind() {
        let deadline = UnixMillis((START + 30) * 1000);
        assert_eq!(lease_until(deadline), at(35));
        assert_eq!(seconds_until_lease_end(deadline, at(2)), 38);
        assert_eq!(seconds_until_lease_end(deadline, at(29)), 11);
        // A deadline within a second counts as the next whole one, as in the lease.
        assert_eq!(lease_until(UnixMillis((START + 30) * 1000 + 1)), at(36));
        assert_eq!(seconds_until_lease_end(UnixMillis((START + 30) * 1000 + 1), at(2)), 39);
        // Whatever a clock or a deadline says, it is hidden for a second at least, and no longer than the queue does.
        assert_eq!(seconds_until_lease_end(deadline, at(40)), 1);
        assert_eq!(seconds_until_lease_end(UnixMillis(i64::MAX / 2), at(0)), 185);
    }

    #[test]
    fn a_message_is_received_nine_times_before_it_is_spared_further_receives() {
        let received = |times: Option<&str>| {
            let mut message = SqsMessage::default();
            message.attributes.extend(times.map(|times| ("ApproximateReceiveCount".to_owned(), times.to_owned())));
            was_seldom_received(&message)
        };
        assert!(received(None) && received(Some("1")) && received(Some("9")));
        assert!(!received(Some("10")) && !received(Some("20")));
    }

    #[test]
    fn what_goes_back_is_hidden_until_there_is_something_to_do() {
        let mut message = SqsMessage::default();
        message.receipt_handle = Some("r-1".into());
        let hidden_for = |again, back_at_lease_end| {
            let hidden = hidden(&[(&message, again)], back_at_lease_end, at(0));
            hidden.into_iter().map(|(_, seconds)| seconds).collect::<Vec<_>>()
        };
        for back_at_lease_end in [false, true] {
            assert_eq!(hidden_for(Again::Held { until: at(35) }, back_at_lease_end), [35]);
            assert_eq!(hidden_for(Again::NotDue { until: at(-5) }, back_at_lease_end), [1]);
            assert_eq!(hidden_for(Again::Overtaken, back_at_lease_end), [1]);
            let error = AttemptError::HandlerTimedOut { budget_millis: 1 };
            assert_eq!(hidden_for(Again::AttemptFailed { error, attempt: 1, until: at(10) }, back_at_lease_end), [10]);
        }
        assert_eq!(hidden_for(Again::LeaseLost, false), Vec::<i32>::new());
        assert_eq!(hidden_for(Again::LeaseLost, true), [185]);
        assert_eq!(hidden_for(Again::EndpointUnknown, true), [185]);
    }

    #[test]
    fn a_body_has_half_of_the_time_until_the_handlers_end() {
        let time = |now_millis| body_time(UnixMillis((START + 27) * 1000), UnixMillis(START * 1000 + now_millis));
        assert_eq!(time(0), Duration::from_millis(13_500));
        assert_eq!(time(26_000), Duration::from_millis(500));
        assert_eq!([27_000, 28_000].map(time), [Duration::ZERO; 2]);
    }
}
