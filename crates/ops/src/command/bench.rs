//! `cargo ops bench`: what the functions take.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use clap::Args;
use serde::Serialize;
use wharf_ops::bench::chart::{Panel, svg};
use wharf_ops::bench::figures::{Case, Figures, measured};
use wharf_ops::bench::functions::{binaries, build, function};
use wharf_ops::bench::gate::{self, Counted, Limit};
use wharf_ops::bench::growth::{self, Cost, Growth};
use wharf_ops::bench::instructions::require_valgrind;
use wharf_ops::bench::machine::Machine;
use wharf_ops::bench::work::{ID, IsRight, has_no_failures, is_accepted, is_done};
use wharf_ops::bench::{Bench, peers};
use wharf_ops::project::Project;

use crate::{now, print_json};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cargo ops bench                                the functions: time, processor, memory; then what CI counts
  cargo ops bench --peers                        the same job by others, in turns
  cargo ops bench --against ../before/target/release     and by another build of ours
  cargo ops bench --gate                         what CI counts, and its limits, only
  cargo ops bench --growth --chart docs/growth.svg       what more and larger events cost

Everything runs on this machine: each function's own binary under a Runtime API, with stand-ins for AWS that speak TLS and
answer at once. Times hold for this machine and its load; compare those of one run. It needs Linux, and valgrind.")]
pub struct Arguments {
    /// Measures the same job in JavaScript, in Python and in Rust with the SDK's defaults, beside ours
    #[arg(long)]
    peers: bool,
    /// Measures another build of our functions beside this one: its binary, or the folder of its binaries
    #[arg(long, value_name = "PATH", conflicts_with = "peers")]
    against: Option<PathBuf>,
    /// Counts instructions, connections and bytes only, and fails where there are more than may be
    #[arg(long, conflicts_with_all = ["peers", "against"])]
    gate: bool,
    /// Finds out what larger bodies and batches cost, and has 100,000 events go through; takes some minutes
    #[arg(long, conflicts_with_all = ["peers", "against", "gate"])]
    growth: bool,
    /// Where --growth draws its chart
    #[arg(long, value_name = "FILE", requires = "growth")]
    chart: Option<PathBuf>,
    /// How often each process is started
    #[arg(long, default_value_t = 9, value_name = "N", value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..))]
    rounds: usize,
    /// The binaries in this folder, instead of building them
    #[arg(long, value_name = "FOLDER")]
    binaries: Option<PathBuf>,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// All that was found out.
#[derive(Debug, Serialize)]
struct Report {
    machine: Machine,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    figures: Vec<Row>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    counted: Vec<Counted>,
    #[serde(skip_serializing_if = "Option::is_none")]
    growth: Option<Growth>,
}

/// A case and what it took; and what its counterpart took, if there is one.
#[derive(Debug, Serialize)]
struct Row {
    case: String,
    #[serde(flatten)]
    figures: Figures,
    #[serde(skip_serializing_if = "Option::is_none")]
    against: Option<Figures>,
}

pub fn run(project: &Project, arguments: &Arguments) -> Result<()> {
    if cfg!(not(target_os = "linux")) {
        bail!("what a process takes is read from /proc, which only Linux has: run it there");
    }
    require_valgrind()?;
    // Before anything is built, which takes minutes.
    let others = arguments.against.as_deref().map(binaries).transpose()?.unwrap_or_default();
    let folder = match &arguments.binaries {
        Some(folder) => folder.clone(),
        None => build(project, &progress)?,
    };
    let bench = Bench::new(project, now())?;
    let mut report = Report { machine: Machine::this(), figures: Vec::new(), counted: Vec::new(), growth: None };
    if arguments.growth {
        let growth = growth::of(&bench, &folder, &progress)?;
        if let Some(path) = &arguments.chart {
            fs::write(path, drawn(&growth)).with_context(|| format!("cannot write {}", path.display()))?;
        }
        report.growth = Some(growth);
    } else if arguments.peers {
        report.figures = against_peers(project, &bench, &folder, arguments.rounds)?;
    } else {
        if !arguments.gate {
            report.figures = own(&bench, &folder, &others, arguments.rounds)?;
        }
        for (name, binary) in binaries(&folder)? {
            report.counted.extend(gate::of(&bench, name, &binary, &progress)?);
        }
    }
    if arguments.json {
        print_json(&report)?;
    } else {
        show(&report, arguments);
    }
    let unfit = report.counted.iter().filter(|counted| !counted.is_fit()).count();
    if arguments.gate && unfit > 0 {
        bail!(
            "{unfit} of these are not what they may be. Find out what has changed (cargo ops bench --against the build before \
             it), or change the limit in crates/ops/src/bench/gate.rs and say why"
        );
    }
    Ok(())
}

/// On standard error, so that the report can be piped.
fn progress(step: &str) {
    eprintln!("  … {step}");
}

/// What a function is given to do, what answer is right, and how often in a round.
struct Task {
    label: String,
    event: Bytes,
    is_right: IsRight,
    invocations: usize,
}

fn tasks(bench: &Bench, function: &str) -> Result<Vec<Task>> {
    let request = |label: &str, bytes: usize, invocations| -> Result<Task> {
        let event = bench.work.request(bytes, ID)?;
        Ok(Task { label: label.to_owned(), event, is_right: is_accepted, invocations })
    };
    let batch = |label: &str, messages, invocations| -> Result<Task> {
        let event = bench.work.batch(messages, 8 << 10, ID)?;
        Ok(Task { label: label.to_owned(), event, is_right: has_no_failures, invocations })
    };
    match function {
        "receiver" => [("1 KiB", 1, 200), ("8 KiB", 8, 200), ("256 KiB", 256, 60), ("5 MiB", 5 << 10, 10)]
            .into_iter()
            .map(|(label, kib, invocations)| request(label, kib << 10, invocations))
            .collect(),
        "consumer" => [("batch of 1", 1, 200), ("batch of 10", 10, 60)]
            .into_iter()
            .map(|(label, messages, invocations)| batch(label, messages, invocations))
            .collect(),
        _ => {
            let label = "nothing due".to_owned();
            Ok(vec![Task { label, event: bench.work.errands(), is_right: is_done, invocations: 60 }])
        }
    }
}

/// The functions, and beside each another build of it, if that is wanted.
fn own(bench: &Bench, folder: &Path, others: &[(&str, PathBuf)], rounds: usize) -> Result<Vec<Row>> {
    let (mut cases, mut names) = (Vec::new(), Vec::new());
    for (name, binary) in binaries(folder)? {
        let other = others.iter().find(|(other, _)| *other == name);
        if !others.is_empty() && other.is_none() {
            continue;
        }
        for Task { label, event, is_right, invocations } in tasks(bench, name)? {
            names.push((format!("{name}, {label}"), other.is_some()));
            for binary in [Some(&binary), other.map(|(_, binary)| binary)].into_iter().flatten() {
                let subject = function(name, binary, &bench.folder, &bench.trust)?;
                let (event, behaviour) = (event.clone(), bench.behaviour());
                cases.push(Case { subject, event, is_right, behaviour, invocations });
            }
        }
    }
    let mut figures = measured(&cases, rounds, &bench.folder, &progress)?.into_iter();
    let row = |(case, has_other): (String, bool)| {
        let own = figures.next()?;
        Some(Row { case, figures: own, against: has_other.then(|| figures.next()).flatten() })
    };
    Ok(names.into_iter().filter_map(row).collect())
}

/// The same job by ours and by the peers.
fn against_peers(project: &Project, bench: &Bench, folder: &Path, rounds: usize) -> Result<Vec<Row>> {
    let (cases, names): (Vec<Case>, Vec<String>) =
        peers::cases(project, bench, folder, &progress)?.into_iter().map(|(name, case)| (case, name)).unzip();
    let figures = measured(&cases, rounds, &bench.folder, &progress)?;
    Ok(names.into_iter().zip(figures).map(|(case, figures)| Row { case, figures, against: None }).collect())
}

fn show(report: &Report, arguments: &Arguments) {
    println!("{}", report.machine);
    if !report.figures.is_empty() {
        println!(
            "Milliseconds; CPU is a processor's; over TLS; medians of {} starts, or of all invocations.\n",
            arguments.rounds
        );
        show_figures(&report.figures);
    }
    if !report.counted.is_empty() {
        println!();
        show_counted(&report.counted);
    }
    if let Some(growth) = &report.growth {
        show_growth(growth);
    }
}

fn show_figures(rows: &[Row]) {
    println!(
        "{:<30}{:>9}{:>9}{:>9}{:>9}{:>12}{:>9}{:>9}{:>9}{:>11}",
        "", "init", "CPU", "first", "CPU", "init+first", "p50", "p99", "CPU", "memory, MB"
    );
    for Row { case, figures, against } in rows {
        show_row(case, figures);
        if let Some(other) = against {
            show_row("  against", other);
            let ratio = |of: fn(&Figures) -> f64| of(other) / of(figures);
            println!(
                "{:<30}{:>9.2}{:>9.2}{:>9.2}{:>9.2}{:>12.2}{:>9.2}{:>9.2}{:>9.2}{:>11.2}",
                "  as a multiple of ours",
                ratio(|figures| figures.init_ms),
                ratio(|figures| figures.init_cpu_ms),
                ratio(|figures| figures.first_ms),
                ratio(|figures| figures.first_cpu_ms),
                ratio(|figures| figures.init_and_first_ms),
                ratio(|figures| figures.p50_ms),
                ratio(|figures| figures.p99_ms),
                ratio(|figures| figures.cpu_ms),
                ratio(|figures| figures.peak_kib as f64),
            );
        }
    }
}

fn show_row(name: &str, figures: &Figures) {
    println!(
        "{name:<30}{:>9.2}{:>9.2}{:>9.2}{:>9.2}{:>12.2}{:>9.2}{:>9.2}{:>9.3}{:>11.1}",
        figures.init_ms,
        figures.init_cpu_ms,
        figures.first_ms,
        figures.first_cpu_ms,
        figures.init_and_first_ms,
        figures.p50_ms,
        figures.p99_ms,
        figures.cpu_ms,
        megabytes(figures.peak_kib),
    );
}

fn show_counted(all: &[Counted]) {
    for counted in all {
        let limit = match counted.limit {
            Limit::AtMost(most) => format!("at most {most}"),
            Limit::Exactly(count) => format!("exactly {count}"),
        };
        let verdict = if counted.is_fit() { "" } else { "  NOT SO" };
        let (function, what) = (counted.function, counted.what.text(counted.function));
        println!("{function:<12} {what:<52} {:>12}  {limit}{verdict}", counted.count);
    }
}

fn show_growth(growth: &Growth) {
    let show = |title: &str, unit: fn(usize) -> String, costs: &[Cost]| {
        println!("\n{title:<30}{:>16}{:>14}", "instructions", "memory, MB");
        for cost in costs {
            println!("{:<30}{:>16}{:>14.1}", unit(cost.size), cost.instructions, megabytes(cost.peak_kib));
        }
    };
    show("receiver, by body", |bytes| format!("{} KiB", bytes / 1024), &growth.bodies);
    show("consumer, by batch", |messages| format!("{messages} of 8 KiB"), &growth.batches);
    println!("\ncalls to services for one event");
    for (case, calls) in &growth.calls {
        let calls: Vec<String> = calls.iter().map(|(operation, times)| format!("{operation} {times}")).collect();
        println!("{case:<30}{}", calls.join(", "));
    }
    println!("\n{:<20}{:>24}{:>24}", "", "receiver", "consumer");
    println!("{:<20}{:>12}{:>12}{:>12}{:>12}", "events", "MB", "µs CPU each", "MB", "µs CPU each");
    for reading in &growth.load {
        let ([receiver, consumer], [receiving, consuming]) = (reading.resident_kib.map(megabytes), reading.cpu_micros);
        println!("{:<20}{receiver:>12.1}{receiving:>12.0}{consumer:>12.1}{consuming:>12.0}", reading.events);
    }
}

fn drawn(growth: &Growth) -> String {
    let line = |of: fn(&growth::Reading) -> f64| -> Vec<(f64, f64)> {
        growth.load.iter().map(|reading| (reading.events as f64, of(reading))).collect()
    };
    let bodies = growth.bodies.iter().map(|cost| (cost.size as f64 / 1024.0, megabytes(cost.peak_kib))).collect();
    svg(&[
        Panel {
            title: "Memory under load, MB resident",
            across: "events of 8 KiB",
            lines: vec![
                ("receiver", line(|reading| megabytes(reading.resident_kib[0]))),
                ("consumer", line(|reading| megabytes(reading.resident_kib[1]))),
            ],
        },
        Panel {
            title: "Processor for each event, µs",
            across: "events of 8 KiB",
            lines: vec![
                ("receiver", line(|reading| reading.cpu_micros[0])),
                ("consumer", line(|reading| reading.cpu_micros[1])),
            ],
        },
        Panel {
            title: "Receiver's memory by body, MB at most",
            across: "KiB of the body",
            lines: vec![("receiver", bodies)],
        },
    ])
}

/// Of 1,000,000 bytes.
fn megabytes(kib: u64) -> f64 {
    kib as f64 * 1024.0 / 1e6
}
