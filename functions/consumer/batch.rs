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
        let receives =
            self.message.attributes.get("ApproximateReceiveCount").and_then(|count| count.parse::<i64>().ok());
        receives.unwrap_or(1) < RECEIVES_IN_QUEUE_MAX
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
        for (message, pass) in batch.records.iter().zip(join_all(passes).await) {
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
        for (_, parcel) in alone {
            // It may kill this worker, and with it the report about the others.
            self.report(&mut response, &mut settled, &mut back, deadline).await;
            let (outcome, report) = Box::pin(self.by_itself(&parcel, deadline)).await;
            self.metrics.report(&report, (self.now)());
            match outcome {
                Ok(_) => settled.push(parcel.message),
                Err(again) => back.push((parcel.message, again)),
            }
        }
        // What is settled now, Lambda deletes.
        settled.clear();
        self.report(&mut response, &mut settled, &mut back, deadline).await;
        response
    }

    /// Tells SQS what is settled, and what goes back, and when; and notes the latter for Lambda. If SQS does not hear of it in
    /// time, messages come back when the queue's own time-out is over, which is harmless.
    async fn report<'a>(
        &self,
        response: &mut SqsBatchResponse,
        settled: &mut Vec<&'a SqsMessage>,
        back: &mut Vec<(&'a SqsMessage, Again)>,
        deadline: UnixMillis,
    ) {
        let receipts: Vec<_> = settled.drain(..).filter_map(|message| message.receipt_handle.clone()).collect();
        let hidden = hidden(back, (self.now)().seconds());
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
        let outcome = match self.claim(&parcel, Company::Batch, deadline).await {
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
        let lease_until = deadline.seconds_rounded_up().plus(LEASE_MARGIN_SECONDS);
        let claimant = Claimant { owner: Uuid::new_v4().to_string(), lease_until };
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
                let body = self.bodies.get(reference).await?;
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

/// For how many seconds messages are hidden, each by its receipt handle, so that they come back when there is something to do,
/// and not sooner. The others come back when the queue's own time-out is over.
fn hidden(back: &[(&SqsMessage, Again)], now: UnixSeconds) -> Vec<(String, i32)> {
    back.iter()
        .filter_map(|(message, again)| {
            let seconds = match again.comes_at() {
                Some(until) => i32::try_from((until.0 - now.0).max(i64::from(SOON_SECONDS))).ok()?,
                None if again.comes_soon() => SOON_SECONDS,
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
