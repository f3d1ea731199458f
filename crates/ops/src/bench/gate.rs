//! The limits that CI holds the functions to: by instructions, sizes and counts, which are the same on any machine, and never
//! by times.
//!
//! Each limit is what was counted when it was set (26 November 2026, x86-64, Rust 1.95), and a few hundredths more. Whoever loses
//! a lever exceeds one of them: without `AWS_LC_SYS_NO_JITTER_ENTROPY` the start takes hundreds of millions of instructions more,
//! with the system's roots 17 million; without the release profile, or with another generated client of the SDK, a binary is
//! larger; what is connected, whether that is then used, and what is written at the same time, is counted.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use serde::Serialize;

use super::Bench;
use super::figures::{Case, Figures, measured};
use super::functions::{function, sizes};
use super::instructions::{counted, counted_once};
use super::services::{Behaviour, Services};
use super::subject::Subject;
use super::work::{ID, IsRight, has_no_failures, is_accepted, is_done};

/// What is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// Instructions from the process's start until it asks for its first event, without a network: nobody answers at its services,
    /// and it has no secret to fetch.
    StartAlone,
    /// The same, with TLS connections made and calls answered.
    StartConnected,
    /// How many connections that makes: as many as events need, and one more or less is wrong.
    Connections,
    /// How many there are after a hundred small events: if there are more, those of the start are used by nobody.
    ConnectionsInAll,
    /// Instructions for a request of 8 KiB, or for a batch of one.
    Small,
    /// Instructions for a request of 256 KiB, or for a batch of ten.
    Large,
    /// How many of ten messages are at the ledger at the same time: one more or less is wrong.
    CallsAtOnce,
    /// The most memory that is resident after a hundred small events, in KiB.
    MemoryKib,
    /// The binary's size.
    BinaryBytes,
    /// The zip's.
    ZipBytes,
}

/// How many there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// So many or fewer.
    AtMost(u64),
    /// So many.
    Exactly(u64),
}

/// The limits of each function.
pub const LIMITS: [(&str, &[(What, Limit)]); 3] = [
    (
        "receiver",
        &[
            // A call to SQS in vain is half a million of them.
            (What::StartAlone, Limit::AtMost(2_200_000)),
            (What::StartConnected, Limit::AtMost(8_300_000)),
            // SSM's and SQS's.
            (What::Connections, Limit::Exactly(2)),
            (What::ConnectionsInAll, Limit::Exactly(2)),
            (What::Small, Limit::AtMost(2_870_000)),
            (What::Large, Limit::AtMost(37_700_000)),
            (What::MemoryKib, Limit::AtMost(9_216)),
            (What::BinaryBytes, Limit::AtMost(7_600_000)),
            (What::ZipBytes, Limit::AtMost(3_550_000)),
        ],
    ),
    (
        "consumer",
        &[
            (What::StartAlone, Limit::AtMost(2_230_000)),
            (What::StartConnected, Limit::AtMost(5_330_000)),
            // DynamoDB's.
            (What::Connections, Limit::Exactly(1)),
            (What::ConnectionsInAll, Limit::Exactly(1)),
            (What::Small, Limit::AtMost(2_060_000)),
            (What::Large, Limit::AtMost(19_100_000)),
            (What::CallsAtOnce, Limit::Exactly(10)),
            (What::MemoryKib, Limit::AtMost(9_600)),
            (What::BinaryBytes, Limit::AtMost(8_200_000)),
            (What::ZipBytes, Limit::AtMost(3_750_000)),
        ],
    ),
    (
        "housekeeper",
        &[
            (What::StartAlone, Limit::AtMost(1_650_000)),
            (What::Small, Limit::AtMost(4_420_000)),
            (What::MemoryKib, Limit::AtMost(9_216)),
            (What::BinaryBytes, Limit::AtMost(7_800_000)),
            (What::ZipBytes, Limit::AtMost(3_600_000)),
        ],
    ),
];

/// What was counted, and what it may be.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Counted {
    /// `receiver`
    pub function: &'static str,
    /// Of it.
    pub what: What,
    /// How much.
    pub count: u64,
    /// How much there may be.
    pub limit: Limit,
}

impl What {
    /// For people.
    pub fn text(self, function: &str) -> &'static str {
        match (self, function) {
            (What::StartAlone, _) => "instructions until it is ready, without a network",
            (What::StartConnected, _) => "the same, connected by TLS",
            (What::Connections, _) => "connections by then",
            (What::ConnectionsInAll, _) => "connections after a hundred of those",
            (What::Small, "receiver") => "instructions for a request of 8 KiB",
            (What::Small, "consumer") => "instructions for a batch of 1 of 8 KiB",
            (What::Small, _) => "instructions for a run with nothing to do",
            (What::Large, "receiver") => "instructions for a request of 256 KiB",
            (What::Large, _) => "instructions for a batch of 10 of 8 KiB",
            (What::CallsAtOnce, _) => "calls to the ledger at once, of 10 messages",
            (What::MemoryKib, _) => "memory, KiB resident at most",
            (What::BinaryBytes, _) => "binary, bytes",
            (What::ZipBytes, _) => "zip, bytes",
        }
    }
}

impl Counted {
    /// Whether it is as it may be.
    pub fn is_fit(&self) -> bool {
        match self.limit {
            Limit::AtMost(most) => self.count <= most,
            Limit::Exactly(count) => self.count == count,
        }
    }
}

/// Counts all that is limited of a function.
///
/// # Errors
/// If the function does not do its work.
pub fn of(bench: &Bench, name: &'static str, binary: &Path, progress: &dyn Fn(&str)) -> Result<Vec<Counted>> {
    let subject = function(name, binary, &bench.folder, &bench.trust)?;
    let limits = LIMITS.iter().find(|(function, _)| *function == name).map_or(&[][..], |(_, limits)| *limits);
    let mut all = Vec::new();
    // Measured once, and only if something of it is limited.
    let mut figures = None;
    let mut small = || -> Result<Figures> {
        if let Some(figures) = &figures {
            return Ok(Figures::clone(figures));
        }
        let case = case(bench, &subject, What::Small)?;
        Ok(figures.insert(measured(&[case], 1, &bench.folder, &|_| ())?.remove(0)).clone())
    };
    for (what, limit) in limits {
        progress(&format!("{name}: {}", what.text(name)));
        let count = match what {
            What::StartAlone => {
                counted(&alone(bench, &subject)?, &Services::start(&bench.plain())?, &bench.folder, |_| Ok(()))?
            }
            What::StartConnected => {
                counted(&subject, &Services::start(&bench.behaviour())?, &bench.folder, |_| Ok(()))?
            }
            What::Small | What::Large => {
                let case = case(bench, &subject, *what)?;
                counted_once(&subject, &Services::start(&bench.plain())?, &bench.folder, TIMES, |running| {
                    running.invoke(&case.event, case.is_right).map(|_| ())
                })?
            }
            What::Connections => small()?.connections[0] as u64,
            What::ConnectionsInAll => small()?.connections[1] as u64,
            What::MemoryKib => small()?.peak_kib,
            What::CallsAtOnce => {
                let mut case = case(bench, &subject, What::Large)?;
                case.behaviour = Behaviour { ledger_latency: LATENCY, ..bench.plain() };
                measured(&[case], 1, &bench.folder, &|_| ())?.remove(0).calls_at_once as u64
            }
            What::BinaryBytes => sizes(binary)?.binary_bytes,
            What::ZipBytes => sizes(binary)?.zip_bytes,
        };
        all.push(Counted { function: name, what: *what, count, limit: *limit });
    }
    Ok(all)
}

/// So long that ten calls must meet, if they are made at the same time.
const LATENCY: Duration = Duration::from_millis(20);
/// How often an event is handled to count what it takes.
const TIMES: u32 = 10;
/// How many invocations there are before memory is read.
const INVOCATIONS: usize = 100;

fn case(bench: &Bench, subject: &Subject, what: What) -> Result<Case> {
    let (event, is_right) = work(bench, &subject.name, what == What::Large)?;
    Ok(Case { subject: subject.clone(), event, is_right, behaviour: bench.behaviour(), invocations: INVOCATIONS })
}

/// A function's small or large event, and what answer is right.
fn work(bench: &Bench, function: &str, is_large: bool) -> Result<(Bytes, IsRight)> {
    Ok(match (function, is_large) {
        ("receiver", false) => (bench.work.request(8 << 10, ID)?, is_accepted),
        ("receiver", true) => (bench.work.request(256 << 10, ID)?, is_accepted),
        ("consumer", false) => (bench.work.batch(1, 8 << 10, ID)?, has_no_failures),
        ("consumer", true) => (bench.work.batch(10, 8 << 10, ID)?, has_no_failures),
        _ => (bench.work.errands(), is_done),
    })
}

/// A subject that finds nobody where its services should be, and whose endpoints' senders keep no secret with it.
fn alone(bench: &Bench, subject: &Subject) -> Result<Subject> {
    let mut subject = subject.clone();
    subject.folder = bench.folder.join("alone");
    fs::create_dir_all(&subject.folder)?;
    fs::write(subject.folder.join("endpoints.toml"), ALONE)?;
    let nobody = |service: &str| (format!("AWS_ENDPOINT_URL_{service}"), "http://127.0.0.1:1".to_owned());
    subject.variables.push(("WHARF_TRUST_STORE".to_owned(), "amazon".to_owned()));
    subject.variables.extend(["SQS", "SSM", "DYNAMODB", "S3", "EVENTBRIDGE"].map(nobody));
    Ok(subject)
}

/// SNS publishes its keys.
const ALONE: &str =
    "[endpoints.alerts]\nprovider = \"sns\"\ntopics = [\"arn:aws:sns:eu-central-1:123456789012:alerts\"]\n";
