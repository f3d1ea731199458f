//! From the dead-letter queue back to the queue of deliveries.
//!
//! ```text
//! received, hidden --send--> also in the queue of deliveries --delete--> only there
//! ```
//!
//! Whatever happens between the steps, a message is in one of the queues, perhaps in both: the ledger has it processed
//! once.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::{Context, Result};
use aws_sdk_sqs::types::{ChangeMessageVisibilityBatchRequestEntry, Message, MessageSystemAttributeName};
use tokio::time::{Interval, MissedTickBehavior};
use wharf_webhook::clock::UnixMillis;
use wharf_webhook::idempotency::Digest;
use wharf_webhook::message::{self, MessageError};

use crate::consumption;
use crate::deployment::Deployment;

/// For how long what was received is hidden from others, in seconds. Of a run that is killed, it is found again after that.
const HIDDEN_SECONDS: i32 = 300;
/// How long SQS may look for messages, in seconds; less would miss some that are there.
const LOOK_SECONDS: i32 = 1;
/// How many messages one call takes (SQS).
const SQS_BATCH_MAX: usize = 10;

/// How a dead-letter queue is emptied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// How many messages are looked at, at most.
    pub limit: usize,
    /// How many are moved in a second, at most; 1 at least.
    pub per_second: u32,
    /// What happens to those that are no deliveries.
    pub undecodable: Undecodable,
}

/// What happens to messages that are no deliveries, or that only a newer release reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undecodable {
    /// They stay where they are: the consumer would only put them there again.
    Stay,
    /// They are moved all the same.
    Move,
}

/// A message in the dead-letter queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// SQS's id of it.
    pub message_id: String,
    /// The delivery that it carries, or why it carries none.
    pub delivery: Result<DeadDelivery, MessageError>,
    /// Why it was put there, if somebody said so; SQS does not.
    pub reason: Option<String>,
}

/// A delivery that came into the dead-letter queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadDelivery {
    /// The endpoint that it came to.
    pub endpoint: String,
    /// The sender's id of the event, or the idempotency key where there is none.
    pub id: String,
    /// The type of the event.
    pub event_type: Option<String>,
    /// When it was read at the door.
    pub received_at: UnixMillis,
}

/// What is done about a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It was moved; or it would be, where nothing is to be changed.
    Moved,
    /// It stays: it is no delivery.
    Stays,
    /// It stays: the same message was moved in this run, and has come back.
    CameBack,
}

/// What a run comes to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// How many were moved, or would be.
    pub moved: usize,
    /// How many stay, of those that were looked at.
    pub stayed: usize,
    /// About how many there are in the dead-letter queue now.
    pub left: u64,
}

/// Shows what a run with these options would do, and changes nothing. `each` hears of every message.
///
/// # Errors
/// If the dead-letter queue cannot be read.
pub async fn look(
    deployment: &Deployment,
    options: &Options,
    each: &mut dyn FnMut(&DeadLetter, Fate),
) -> Result<Summary> {
    run(deployment, options, None, each).await
}

/// Moves messages back. `each` hears of every one.
///
/// # Errors
/// If a queue refuses a call. What was not moved stays.
pub async fn redrive(
    deployment: &Deployment,
    options: &Options,
    each: &mut dyn FnMut(&DeadLetter, Fate),
) -> Result<Summary> {
    let mut pace = tokio::time::interval(Duration::from_secs(1) / options.per_second.max(1));
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    run(deployment, options, Some(pace), each).await
}

/// Moves at this pace; without one, nothing.
async fn run(
    deployment: &Deployment,
    options: &Options,
    pace: Option<Interval>,
    each: &mut dyn FnMut(&DeadLetter, Fate),
) -> Result<Summary> {
    let mut run = Run { deployment, sqs: deployment.sqs(), pace, hidden: Vec::new(), summary: Summary::default() };
    let done = run.all(options, each).await;
    let shown_again = run.show_again().await;
    done?;
    shown_again?;
    let left = consumption::messages(deployment, &deployment.dead_letter_queue_url).await?;
    Ok(Summary { left, ..run.summary })
}

struct Run<'a> {
    deployment: &'a Deployment,
    sqs: aws_sdk_sqs::Client,
    pace: Option<Interval>,
    /// The receipt handles of those that stay.
    hidden: Vec<String>,
    summary: Summary,
}

impl Run<'_> {
    async fn all(&mut self, options: &Options, each: &mut dyn FnMut(&DeadLetter, Fate)) -> Result<()> {
        let mut seen = HashSet::new();
        let mut moved = HashSet::new();
        while seen.len() < options.limit {
            let messages = self.receive(options.limit - seen.len()).await?;
            let seen_before = seen.len();
            for message in &messages {
                let body = message.body().unwrap_or_default();
                let is_new = seen.insert(message.message_id().unwrap_or_default().to_owned());
                let letter = DeadLetter::new(message);
                let is_moved = letter.delivery.is_ok() || options.undecodable == Undecodable::Move;
                // What comes back at once has another id, and would be moved for ever.
                let fate = match (is_moved, moved.contains(&Digest::of(body.as_bytes()))) {
                    (true, false) => Fate::Moved,
                    (true, true) => Fate::CameBack,
                    (false, _) => Fate::Stays,
                };
                if fate != Fate::Moved || self.pace.is_none() || !is_new {
                    self.hidden.extend(message.receipt_handle().map(str::to_owned));
                } else {
                    self.move_back(message, &letter).await?;
                    moved.insert(Digest::of(body.as_bytes()));
                }
                if is_new {
                    self.summary.moved += usize::from(fate == Fate::Moved);
                    self.summary.stayed += usize::from(fate != Fate::Moved);
                    each(&letter, fate);
                }
            }
            // There are none, or none but those whose time of being hidden is over.
            if seen.len() == seen_before {
                break;
            }
        }
        Ok(())
    }

    async fn receive(&self, count: usize) -> Result<Vec<Message>> {
        let count = i32::try_from(count.min(SQS_BATCH_MAX)).unwrap_or(1);
        let answer = self
            .sqs
            .receive_message()
            .queue_url(&self.deployment.dead_letter_queue_url)
            .max_number_of_messages(count)
            .visibility_timeout(HIDDEN_SECONDS)
            .wait_time_seconds(LOOK_SECONDS)
            .message_attribute_names("All")
            .message_system_attribute_names(MessageSystemAttributeName::All)
            .send()
            .await;
        let answer = answer.with_context(|| self.deployment.cannot("read the dead-letter queue"))?;
        Ok(answer.messages.unwrap_or_default())
    }

    /// Sends a message, then deletes it where it was.
    async fn move_back(&mut self, message: &Message, letter: &DeadLetter) -> Result<()> {
        if let Some(pace) = &mut self.pace {
            pace.tick().await;
        }
        let group = message.attributes().and_then(|all| all.get(&MessageSystemAttributeName::MessageGroupId)).cloned();
        let endpoint = letter.delivery.as_ref().ok().map(|delivery| delivery.endpoint.clone());
        let send = self.sqs.send_message().queue_url(&self.deployment.queue_url).set_message_body(message.body.clone());
        let sent = send.set_message_group_id(group.or(endpoint)).send().await;
        sent.with_context(|| self.deployment.cannot("send to the queue of deliveries"))?;
        let delete = self.sqs.delete_message().queue_url(&self.deployment.dead_letter_queue_url);
        let deleted = delete.set_receipt_handle(message.receipt_handle.clone()).send().await;
        deleted.map(|_| ()).with_context(|| {
            let cannot = self.deployment.cannot("delete from the dead-letter queue");
            format!("{cannot}; the message {} is in both queues now, which is harmless", letter.message_id)
        })
    }

    /// Lets others see again what stays.
    async fn show_again(&self) -> Result<()> {
        let cannot = || {
            let cannot = self.deployment.cannot("hand back what stays in the dead-letter queue");
            format!("{cannot}; it is there again after {HIDDEN_SECONDS} s")
        };
        for handles in self.hidden.chunks(SQS_BATCH_MAX) {
            let entries = handles.iter().enumerate().map(|(index, handle)| {
                let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(index.to_string());
                entry.receipt_handle(handle).visibility_timeout(0).build()
            });
            let entries: Vec<_> = entries.collect::<Result<_, _>>().context("every entry has an id and a handle")?;
            let call = self.sqs.change_message_visibility_batch();
            let call = call.queue_url(&self.deployment.dead_letter_queue_url).set_entries(Some(entries));
            call.send().await.with_context(cannot)?;
        }
        Ok(())
    }
}

impl DeadLetter {
    fn new(message: &Message) -> DeadLetter {
        let reason = message.message_attributes().and_then(|attributes| attributes.get("reason"));
        let decoded = message::decode(message.body().unwrap_or_default());
        DeadLetter {
            message_id: message.message_id().unwrap_or_default().to_owned(),
            delivery: decoded.map(|carried| {
                let envelope = carried.envelope();
                let id = envelope.event_id().map_or_else(|| envelope.key().as_str(), |stated| &stated.text);
                DeadDelivery {
                    endpoint: envelope.endpoint().to_owned(),
                    id: id.to_owned(),
                    event_type: envelope.event_type().map(|stated| stated.text.clone()),
                    received_at: envelope.received_at(),
                }
            }),
            reason: reason.and_then(|reason| reason.string_value()).map(str::to_owned),
        }
    }
}
