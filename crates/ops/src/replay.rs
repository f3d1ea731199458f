//! Having an event processed again, on purpose.

use anyhow::Result;
use uuid::Uuid;
use wharf_webhook::clock::UnixSeconds;
use wharf_webhook::ledger::{NotReplayable, Record, RecordKey};

use crate::deployment::Deployment;
use crate::records::{self, Written};

/// What became of a wish to have an event processed again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replayed {
    /// It will be, once.
    Yes {
        /// The replay number that it is processed under.
        replay: u32,
        /// Whether its message is in the queue already; if not, the housekeeper puts it there within a minute.
        in_queue: bool,
    },
    /// Its record does not allow it.
    Refused(NotReplayable),
    /// Something happened to it at the same time: a worker claimed it, or another operator was faster.
    Overtaken,
    /// It has no record.
    Unknown,
}

/// The replay number under which the event would be processed again.
///
/// # Errors
/// If its record does not allow it.
pub fn next_number(record: &Record, now: UnixSeconds) -> Result<u32, NotReplayable> {
    record.replayed("", now).map(|write| write.record.replay)
}

/// Has an event processed again, once, under a new replay number, whatever happens between the steps:
///
/// ```text
/// failed, parked, completed --write--> waiting, due now, holds the message --send--> in the queue --write--> sent
///                                      from here on the housekeeper would send it
/// ```
///
/// # Errors
/// If the ledger cannot be read, or it is not known whether it was written: look at the record before trying again.
pub async fn replay(deployment: &Deployment, key: &RecordKey, now: UnixSeconds) -> Result<Replayed> {
    let Some(record) = records::read(deployment, key).await? else { return Ok(Replayed::Unknown) };
    let write = match record.replayed(&Uuid::new_v4().to_string(), now) {
        Ok(write) => write,
        Err(refused) => return Ok(Replayed::Refused(refused)),
    };
    match records::write(deployment, key, &write).await? {
        Written::Yes => {}
        Written::No => return Ok(Replayed::Overtaken),
    }
    let waiting = write.record;
    let in_queue = send(deployment, key, &waiting).await;
    if in_queue {
        // Refused if a worker has claimed it already; and if it fails, a copy is sent that finds nothing to do.
        let _ = records::write(deployment, key, &waiting.sent(now)).await;
    }
    Ok(Replayed::Yes { replay: waiting.replay, in_queue })
}

/// Puts the message that a record holds into the queue. Returns whether that is known to have happened.
async fn send(deployment: &Deployment, key: &RecordKey, waiting: &Record) -> bool {
    let Some(message) = &waiting.message else { return false };
    let call = deployment.sqs().send_message().queue_url(&deployment.queue_url).message_body(message);
    call.message_group_id(key.endpoint()).send().await.is_ok()
}
