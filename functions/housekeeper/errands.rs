//! What is due: waiting events go back into the queue, and kept messages whose time is over are erased.
//!
//! An event is put into the queue first, and marked as sent afterwards. Whoever dies in between has it sent twice, and the
//! ledger knows the second one for a copy. The record keeps the message until the event is claimed, so what is lost on the
//! way is sent again.

use std::fmt;

use futures_util::stream::{self, StreamExt};
use thiserror::Error;
use wharf_webhook::clock::UnixMillis;
use wharf_webhook::ledger::table::List;
use wharf_webhook::ledger::{Errand, RecordKey};
use wharf_webhook::metrics::{Metric, Report};

use crate::ledger::{Ledger, LedgerError, Written};
use crate::metrics::Metrics;
use crate::queue::{Queue, SendError};

/// How many records are seen to at a time.
const AT_ONCE: usize = 16;
/// How much time is kept back for what has begun, in milliseconds.
const RESERVE_MILLIS: i64 = 10_000;

/// Everything that errands are done with.
#[derive(Debug)]
pub struct Errands {
    /// Where they are written down.
    pub ledger: Ledger,
    /// Where waiting events go.
    pub queue: Queue,
    /// What is reported.
    pub metrics: Metrics,
    /// Reads the time.
    pub now: fn() -> UnixMillis,
}

/// Why a run did not do all that was due. The next one does.
#[derive(Debug, Error)]
#[error("{left} of {due} errands were not done; the last one because of: {cause}")]
pub struct NotDone {
    due: usize,
    left: usize,
    cause: ErrandError,
}

/// Why an errand was not done.
#[derive(Debug, Error)]
pub enum ErrandError {
    /// The ledger did not answer, or has a record that this release cannot read.
    #[error("{0}")]
    Ledger(#[from] LedgerError),
    /// The queue did not take the message.
    #[error("{0}")]
    Queue(SendError),
}

/// What was done about a record.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Done {
    Sent,
    Erased,
    /// The queue refuses it.
    Failed,
    /// Somebody else had seen to it.
    Nothing,
}

impl fmt::Display for Done {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Done::Sent => "sent",
            Done::Erased => "erased",
            Done::Failed => "failed",
            Done::Nothing => "nothing",
        })
    }
}

impl Errands {
    /// Does what is due, as far as the time until `deadline` allows; what is left, the next run does. One record that cannot
    /// be seen to keeps none of the others waiting.
    ///
    /// # Errors
    /// [`NotDone`], after all the others were seen to.
    pub async fn run(&self, deadline: UnixMillis) -> Result<(), NotDone> {
        let mut lists: Vec<String> = List::Errands.partitions().collect();
        // If time is short, it is short for another list each minute.
        let first = usize::try_from((self.now)().0 / 60_000).unwrap_or(0) % lists.len().max(1);
        lists.rotate_left(first);
        let (mut due, mut left, mut last) = (0, 0, None);
        for list in &lists {
            let mut next = None;
            loop {
                if (self.now)().0 + RESERVE_MILLIS > deadline.0 {
                    break;
                }
                let page = match self.ledger.errands(list, (self.now)().seconds(), next.take()).await {
                    Ok(page) => page,
                    Err(error) => {
                        (due, left, last) = (due + 1, left + 1, Some(error.into()));
                        break;
                    }
                };
                let outcomes = stream::iter(&page.keys).map(|key| self.see_to(key)).buffer_unordered(AT_ONCE);
                for outcome in outcomes.collect::<Vec<_>>().await {
                    due += 1;
                    if let Err(error) = outcome {
                        (left, last) = (left + 1, Some(error));
                    }
                }
                next = page.next;
                if next.is_none() {
                    break;
                }
            }
        }
        tracing::debug!(due, left, "a run is over");
        match last {
            Some(cause) => Err(NotDone { due, left, cause }),
            None => Ok(()),
        }
    }

    /// Does what is due about a record, and says in the log what that was.
    async fn see_to(&self, key: &RecordKey) -> Result<(), ErrandError> {
        let outcome = self.errand(key).await;
        let (endpoint, event) = (key.endpoint(), &key.event);
        match &outcome {
            Ok(Done::Nothing) => {}
            Ok(done @ Done::Failed) => {
                tracing::error!(
                    outcome = %done,
                    endpoint,
                    record = event,
                    body = key.body,
                    reason = "queue_refuses",
                    "given up, for a person to look at (cargo ops failed): the queue refuses its message"
                );
                self.metrics.report(&Report::of(endpoint).with(Metric::Failed, 1), (self.now)());
            }
            Ok(done @ (Done::Sent | Done::Erased)) => {
                tracing::info!(outcome = %done, endpoint, record = event, body = key.body, "its time has come")
            }
            Err(error) => {
                tracing::error!(
                    outcome = "left",
                    endpoint,
                    record = event,
                    body = key.body,
                    "left for the next run: {error}"
                );
            }
        }
        outcome.map(|_| ())
    }

    async fn errand(&self, key: &RecordKey) -> Result<Done, ErrandError> {
        // The index may be behind: what is concluded is concluded from the record itself.
        let Some(record) = self.ledger.read(key).await? else { return Ok(Done::Nothing) };
        let now = (self.now)().seconds();
        let (Some((errand, due_at)), Some(message)) = (record.errand(), &record.message) else {
            return Ok(Done::Nothing);
        };
        if now < due_at {
            return Ok(Done::Nothing);
        }
        // A refused condition means that the event was claimed meanwhile.
        match errand {
            Errand::Send => match self.queue.send(message.clone(), key.endpoint()).await {
                Ok(_) => {
                    self.ledger.write(key, &record.sent(now)).await?;
                    Ok(Done::Sent)
                }
                Err(SendError::Refused { cause }) => {
                    let reason = format!("the queue refuses its message: {cause}");
                    let written = self.ledger.write(key, &record.unsendable(&reason, now)).await?;
                    Ok(if written == Written::Yes { Done::Failed } else { Done::Nothing })
                }
                Err(unavailable @ SendError::Unavailable { .. }) => Err(ErrandError::Queue(unavailable)),
            },
            Errand::Erase => {
                self.ledger.write(key, &record.erased()).await?;
                Ok(Done::Erased)
            }
        }
    }
}
