//! The spool is drained: what the receiver stored there, because the queue did not take it, goes into the queue.
//!
//! A message is put into the queue first, and its object taken away afterwards. Whoever dies in between has it sent twice, and
//! the ledger knows the second one for a copy. What the queue refuses as such, twice, is given up: it becomes a failed record
//! of the ledger, with its message.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use thiserror::Error;
use uuid::Uuid;
use wharf_webhook::clock::{UnixMillis, UnixSeconds};
use wharf_webhook::ledger::unqueueable;
use wharf_webhook::limits::SPOOL_READ_SECONDS_MAX;
use wharf_webhook::message;
use wharf_webhook::metrics::{Metric, Report};

use crate::bucket::ReadError;
use crate::ledger::{Ledger, LedgerError, Written};
use crate::metrics::Metrics;
use crate::queue::{Queue, SendError};
use crate::spool::{Entry, Spool, SpoolUnavailable};

/// How many objects are seen to at a time.
const AT_ONCE: usize = 16;
/// How many calls in a row must fail until a run takes the queue, or the bucket, for gone: as many as are made at a time. One
/// that fails alone, between others that do not, ends no run.
const FAILURES_IN_A_ROW_MAX: usize = AT_ONCE;
/// By how many objects the beginning moves each minute: a prime, so that it comes to every part of a page.
const ROTATED_BY: usize = 389;
/// How much time is kept back for what has begun, in milliseconds.
const RESERVE_MILLIS: i64 = 10_000;

/// Everything that the spool is drained with.
#[derive(Debug)]
pub struct Drain {
    /// From there.
    pub spool: Spool,
    /// To there.
    pub queue: Queue,
    /// Where what is refused is written down.
    pub ledger: Ledger,
    /// What is reported.
    pub metrics: Metrics,
    /// Reads the time.
    pub now: fn() -> UnixMillis,
}

/// Why a run did not drain the spool. The next one goes on.
#[derive(Debug, Error)]
#[error("the spool still holds {left} deliveries or more; one of them because of: {cause}")]
pub struct NotDrained {
    left: usize,
    cause: DrainError,
}

/// Why an object is left in the spool.
#[derive(Debug, Error)]
pub enum DrainError {
    /// S3 did not answer.
    #[error("{0}")]
    Spool(#[from] SpoolUnavailable),
    /// This object cannot be read; nothing follows from that for the others.
    #[error("it cannot be read: {0}")]
    Unreadable(#[from] ReadError),
    /// The queue did not take it, now.
    #[error("{0}")]
    Queue(SendError),
    /// The ledger did not take it.
    #[error("{0}")]
    Ledger(#[from] LedgerError),
    /// The queue refuses it, and it is no delivery of which a record could be made.
    #[error(
        "the queue refuses it, and it is no delivery: {0}. Nobody of ours has put it there: look at it, and delete it"
    )]
    Unusable(String),
    /// The time was up, or the queue or the spool was found not to answer.
    #[error("this run has come to its end")]
    Unseen,
}

/// What was done about an object.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Done {
    Drained,
    /// The queue has refused it for the first time.
    Refused,
    /// The queue has refused it for good.
    Failed,
    /// Somebody else had seen to it.
    Nothing,
}

impl fmt::Display for Done {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Done::Drained => "drained",
            Done::Refused => "queue_refuses",
            Done::Failed => "failed",
            Done::Nothing => "nothing",
        })
    }
}

/// One run.
struct Run {
    deadline: UnixMillis,
    /// How many objects in a row failed because of the queue, or of S3's writes. If all do, whatever is left would only wait
    /// as well, or be sent again each minute.
    failures_in_a_row: AtomicUsize,
}

impl Drain {
    /// Drains the spool, as far as the time until `deadline` allows; what is left, the next run does. One object that cannot be
    /// seen to costs only itself; a queue that does not answer ends the run.
    ///
    /// # Errors
    /// [`NotDrained`].
    pub async fn run(&self, deadline: UnixMillis) -> Result<(), NotDrained> {
        let run = Run { deadline, failures_in_a_row: AtomicUsize::new(0) };
        let (mut left, mut oldest, mut cause, mut next) = (0, None::<UnixSeconds>, None, None);
        loop {
            let page = match self.spool.page(next.take()).await {
                Ok(page) => page,
                Err(error) => {
                    cause = Some(error.into());
                    break;
                }
            };
            // Were a page full of objects that stall, a run would not come to its end: so each minute begins at another one.
            let mut entries: Vec<&Entry> = page.entries.iter().collect();
            let minute = usize::try_from((self.now)().0 / 60_000).unwrap_or(0);
            let first = minute.wrapping_mul(ROTATED_BY).checked_rem(entries.len()).unwrap_or(0);
            entries.rotate_left(first);
            let seen = stream::iter(entries).map(async |entry| (entry, self.see_to(entry, &run).await));
            for (entry, outcome) in seen.buffer_unordered(AT_ONCE).collect::<Vec<_>>().await {
                match outcome {
                    Ok(Done::Drained | Done::Failed | Done::Nothing) => continue,
                    // Whatever else is left, this says why.
                    Err(error) if cause.is_none() || matches!(cause, Some(DrainError::Unseen)) => cause = Some(error),
                    Ok(Done::Refused) | Err(_) => {}
                }
                left += 1;
                oldest = Some(oldest.map_or(entry.stored_at, |oldest| oldest.min(entry.stored_at)));
            }
            next = page.next;
            if next.is_none() || run.is_over(self.now) {
                break;
            }
        }
        let now = (self.now)();
        let age = oldest.map_or(0, |oldest| now.seconds().0.saturating_sub(oldest.0).max(0));
        self.metrics.report(&Report::new().with(Metric::SpoolAge, age), now);
        match cause {
            Some(cause) => Err(NotDrained { left, cause }),
            None => Ok(()),
        }
    }

    /// Does what is to be done about an object, and says in the log what that was.
    async fn see_to(&self, entry: &Entry, run: &Run) -> Result<Done, DrainError> {
        if run.is_over(self.now) {
            return Err(DrainError::Unseen);
        }
        let outcome = self.drain(entry).await;
        let (endpoint, object) = (entry.endpoint(), &entry.key);
        match &outcome {
            Ok(Done::Nothing) => {}
            Ok(done @ Done::Drained) => {
                tracing::info!(outcome = %done, endpoint, object, "from the spool into the queue");
            }
            Ok(done @ Done::Refused) => {
                tracing::warn!(outcome = %done, endpoint, object, "the queue refuses it: the next run tries once more");
            }
            Ok(done @ Done::Failed) => {
                tracing::error!(
                    outcome = %done,
                    endpoint,
                    object,
                    reason = "queue_refuses",
                    "given up, for a person to look at (cargo ops failed): the queue refuses it"
                );
                self.metrics
                    .report(&endpoint.map_or_else(Report::new, Report::of).with(Metric::Failed, 1), (self.now)());
            }
            Err(error) => {
                tracing::error!(outcome = "left", endpoint, object, "left in the spool for the next run: {error}");
            }
        }
        match &outcome {
            Ok(Done::Drained | Done::Refused | Done::Failed) => run.failures_in_a_row.store(0, Ordering::Relaxed),
            Err(DrainError::Queue(_) | DrainError::Spool(_)) => {
                run.failures_in_a_row.fetch_add(1, Ordering::Relaxed);
            }
            // Of this object alone; and the ledger has to do with few of them.
            Ok(Done::Nothing)
            | Err(DrainError::Unreadable(_) | DrainError::Unusable(_) | DrainError::Ledger(_) | DrainError::Unseen) => {
            }
        }
        outcome
    }

    async fn drain(&self, entry: &Entry) -> Result<Done, DrainError> {
        let time = Duration::from_secs(SPOOL_READ_SECONDS_MAX);
        let Some(bytes) = self.spool.get(entry, time).await? else { return Ok(Done::Nothing) };
        let text = String::from_utf8(bytes).map_err(|error| DrainError::Unusable(error.to_string()))?;
        let endpoint = entry.endpoint().ok_or_else(|| DrainError::Unusable("its key is none of ours".to_owned()))?;
        let cause = match self.queue.send(text.clone(), endpoint).await {
            Ok(_) => {
                self.spool.remove(entry).await?;
                return Ok(Done::Drained);
            }
            Err(SendError::Refused { cause }) => cause,
            Err(unavailable @ SendError::Unavailable { .. }) => return Err(DrainError::Queue(unavailable)),
        };
        if !entry.was_refused() {
            self.spool.note_refusal(entry, text.into_bytes()).await?;
            return Ok(Done::Refused);
        }
        let carried = message::decode(&text).map_err(|error| DrainError::Unusable(error.to_string()))?;
        let envelope = carried.envelope();
        let reason = format!("it was accepted while the queue was not there, and the queue refuses it: {cause}");
        let owner = Uuid::new_v4().to_string();
        let write = unqueueable(&envelope.arriving(&text), owner, &reason, (self.now)().seconds());
        let written = self.ledger.write(&envelope.record_key(), &write).await?;
        self.spool.remove(entry).await?;
        // Else another delivery has brought the event.
        Ok(if written == Written::Yes { Done::Failed } else { Done::Nothing })
    }
}

impl Run {
    fn is_over(&self, now: fn() -> UnixMillis) -> bool {
        self.failures_in_a_row.load(Ordering::Relaxed) >= FAILURES_IN_A_ROW_MAX
            || now().0 + RESERVE_MILLIS > self.deadline.0
    }
}
