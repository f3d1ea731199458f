//! What more and larger events cost: instructions and memory by the size of a body and of a batch, calls to the ledger by
//! case, and a hundred thousand events through receiver and consumer.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;

use super::Bench;
use super::functions::function;
use super::instructions::counted_once;
use super::services::{Behaviour, Ledger, Services};
use super::subject::{Log, Running, Subject};
use super::work::{ID, has_no_failures, is_accepted};

/// The bodies that the receiver is given, in KiB: up to 192 they travel within their message.
const BODIES_KIB: [usize; 7] = [1, 8, 64, 192, 256, 1024, 4096];
/// The batches that the consumer is given, of bodies of 8 KiB.
const BATCHES: [usize; 4] = [1, 2, 5, 10];
/// How many events the load has, and after how many of them what they took is read.
const EVENTS: usize = 100_000;
const EVENTS_A_READING: usize = 5_000;
/// How many messages a batch of it has.
const BATCH: usize = 10;

/// What one more event costs.
#[derive(Debug, Clone, Serialize)]
pub struct Growth {
    /// By the size of the body, of the receiver.
    pub bodies: Vec<Cost>,
    /// By the size of the batch, of the consumer.
    pub batches: Vec<Cost>,
    /// By what the ledger says of it: how often each operation is called for one event.
    pub calls: Vec<(String, Vec<(String, usize)>)>,
    /// Along the load.
    pub load: Vec<Reading>,
}

/// What one invocation takes.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Cost {
    /// Bytes of the body, or messages of the batch.
    pub size: usize,
    /// As callgrind counts them.
    pub instructions: u64,
    /// The most that was resident after ten of them, in KiB.
    pub peak_kib: u64,
}

/// What the last so many events took, of receiver and consumer.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Reading {
    /// How many events there were until then.
    pub events: usize,
    /// What is resident, in KiB.
    pub resident_kib: [u64; 2],
    /// Of a processor, for each of the last so many, in microseconds.
    pub cpu_micros: [f64; 2],
}

/// Finds out, in some minutes.
///
/// # Errors
/// If a function does not do its work.
pub fn of(bench: &Bench, folder: &Path, progress: &dyn Fn(&str)) -> Result<Growth> {
    let receiver = function("receiver", &folder.join("receiver"), &bench.folder, &bench.trust)?;
    let consumer = function("consumer", &folder.join("consumer"), &bench.folder, &bench.trust)?;
    let (mut bodies, mut batches) = (Vec::new(), Vec::new());
    for kib in BODIES_KIB {
        progress(&format!("a body of {kib} KiB"));
        let event = bench.work.request(kib << 10, ID)?;
        let take = |running: &Running| running.invoke(&event, is_accepted).map(|_| ());
        bodies.push(cost(bench, &receiver, kib << 10, if kib > 256 { 1 } else { 10 }, take)?);
    }
    for messages in BATCHES {
        progress(&format!("a batch of {messages}"));
        let event = bench.work.batch(messages, 8 << 10, ID)?;
        let take = |running: &Running| running.invoke(&event, has_no_failures).map(|_| ());
        batches.push(cost(bench, &consumer, messages, 10, take)?);
    }
    progress("calls to the ledger");
    let calls = [("an event that lands", Ledger::Vacant), ("a duplicate", Ledger::Completed)];
    let calls = calls.map(|(case, ledger)| Ok((case.to_owned(), calls_for_one(bench, &consumer, ledger)?)));
    let calls = calls.into_iter().collect::<Result<_>>()?;
    Ok(Growth { bodies, batches, calls, load: load(bench, &receiver, &consumer, progress)? })
}

fn cost(
    bench: &Bench,
    subject: &Subject,
    size: usize,
    more_times: u32,
    take: impl Fn(&Running) -> Result<()>,
) -> Result<Cost> {
    let services = Services::start(&bench.plain())?;
    let instructions = counted_once(subject, &services, &bench.folder, more_times, &take)?;
    let (running, _) = Running::start(subject, &services, &bench.folder, Log::File)?;
    (0..10).try_for_each(|_| take(&running))?;
    Ok(Cost { size, instructions, peak_kib: running.memory_kib()?.0 })
}

fn calls_for_one(bench: &Bench, consumer: &Subject, ledger: Ledger) -> Result<Vec<(String, usize)>> {
    let services = Services::start(&Behaviour { ledger, ..bench.plain() })?;
    let (running, _) = Running::start(consumer, &services, &bench.folder, Log::File)?;
    let before = services.calls();
    running.invoke(&bench.work.batch(1, 8 << 10, ID)?, has_no_failures)?;
    let more = |(operation, times): (String, usize)| {
        let times = times - before.get(&operation).copied().unwrap_or(0);
        (times > 0).then_some((operation, times))
    };
    Ok(services.calls().into_iter().filter_map(more).collect())
}

/// What one of the two functions had taken after so many events.
struct Taken {
    resident_kib: u64,
    cpu: Duration,
}

/// Each event under an id of its own, through the receiver into a queue, and from there, ten at a time, through the consumer.
fn load(bench: &Bench, receiver: &Subject, consumer: &Subject, progress: &dyn Fn(&str)) -> Result<Vec<Reading>> {
    let (queue, queued) = mpsc::channel();
    let services = Services::start(&Behaviour { queue: Some(queue), ..bench.behaviour() })?;
    let (receiver, _) = Running::start(receiver, &services, &bench.folder, Log::Nowhere)?;
    let (consumer, _) = Running::start(consumer, &services, &bench.folder, Log::Nowhere)?;
    let is_over = AtomicBool::new(false);
    let (received, consumed) = std::thread::scope(|scope| {
        let is_over = &is_over;
        let consuming = scope.spawn(move || consume(bench, &consumer, &queued, is_over));
        let received = receive(bench, &receiver, progress);
        // If the receiver has failed, nothing more comes.
        is_over.store(received.is_err(), Ordering::Relaxed);
        (received, consuming.join())
    });
    let consumed = consumed.map_err(|_| anyhow::anyhow!("the consumer's thread has panicked"))?;
    Ok(readings(&received?, &consumed?))
}

fn receive(bench: &Bench, receiver: &Running, progress: &dyn Fn(&str)) -> Result<Vec<Taken>> {
    let event = bench.work.request(8 << 10, ID)?;
    let place = event.windows(ID.len()).position(|window| window == ID.as_bytes()).context("the id is in the event")?;
    let mut taken = vec![read(receiver)?];
    for number in 1..=EVENTS {
        let mut event = event.to_vec();
        if let Some(digits) = event.get_mut(place..place + 8) {
            digits.copy_from_slice(format!("{number:08x}").as_bytes());
        }
        receiver.invoke(&event.into(), is_accepted)?;
        if number % EVENTS_A_READING == 0 {
            progress(&format!("{number} of {EVENTS} events"));
            taken.push(read(receiver)?);
        }
    }
    Ok(taken)
}

fn consume(bench: &Bench, consumer: &Running, queued: &Receiver<String>, is_over: &AtomicBool) -> Result<Vec<Taken>> {
    let mut taken = vec![read(consumer)?];
    let mut messages = Vec::new();
    let mut events = 0;
    while events < EVENTS {
        match queued.recv_timeout(Duration::from_secs(1)) {
            Ok(message) => messages.push(message),
            Err(RecvTimeoutError::Timeout) if !is_over.load(Ordering::Relaxed) => continue,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
        }
        if messages.len() < BATCH {
            continue;
        }
        events += messages.len();
        consumer.invoke(&bench.work.batch_of(std::mem::take(&mut messages)), has_no_failures)?;
        if events % EVENTS_A_READING == 0 {
            taken.push(read(consumer)?);
        }
    }
    Ok(taken)
}

fn read(running: &Running) -> Result<Taken> {
    Ok(Taken { resident_kib: running.memory_kib()?.1, cpu: running.cpu()? })
}

fn readings(received: &[Taken], consumed: &[Taken]) -> Vec<Reading> {
    let micros = |pair: &[Taken]| match pair {
        [before, after] => after.cpu.saturating_sub(before.cpu).as_secs_f64() * 1e6 / EVENTS_A_READING as f64,
        _ => 0.0,
    };
    let pairs = received.windows(2).zip(consumed.windows(2)).enumerate();
    let reading = |(number, (received, consumed)): (usize, (&[Taken], &[Taken]))| Reading {
        events: (number + 1) * EVENTS_A_READING,
        resident_kib: [received, consumed].map(|pair| pair.last().map_or(0, |taken| taken.resident_kib)),
        cpu_micros: [micros(received), micros(consumed)],
    };
    pairs.map(reading).collect()
}
