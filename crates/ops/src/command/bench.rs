//! `cargo ops bench`: what the functions take.

use anyhow::Result;
use clap::Args;
use wharf_ops::bench::Bench;
use wharf_ops::bench::figures::{Case, Figures, measured};
use wharf_ops::bench::functions::{binaries, build, function};
use wharf_ops::bench::gate::{self, Counted, Limit, has_no_failures, is_accepted, is_done};
use wharf_ops::bench::instructions::require_valgrind;
use wharf_ops::project::Project;

use crate::{now, print_json, progress};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cargo ops bench                    the functions, as they are deployed: time, processor, memory
  cargo ops bench --gate             instructions, sizes and counts only, and their limits: what CI runs
  cargo ops bench --json")]
pub struct Arguments {
    /// Counts instructions, connections and bytes, and fails where there are more than may be
    #[arg(long)]
    gate: bool,
    /// How often each process is started
    #[arg(long, default_value_t = 7, value_name = "N")]
    rounds: usize,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

pub fn run(project: &Project, arguments: &Arguments) -> Result<()> {
    require_valgrind()?;
    let folder = match std::env::var_os("X") {
        Some(x) => x.into(),
        None => build(project)?,
    };
    let bench = Bench::new(project, now())?;
    if arguments.gate {
        let mut all = Vec::new();
        for (name, binary) in binaries(&folder)? {
            all.extend(gate::of(&bench, name, &binary, &progress)?);
        }
        return show_counted(&all, arguments.json);
    }
    let mut cases = Vec::new();
    let mut labels = Vec::new();
    for (name, binary) in binaries(&folder)? {
        let subject = function(name, &binary, &bench.folder, &bench.trust)?;
        let works: Vec<(String, bytes::Bytes, fn(&[u8]) -> bool, usize)> = match name {
            "receiver" => [(1, 200), (8, 200), (256, 60), (5 << 10, 10)]
                .into_iter()
                .map(|(kib, times)| {
                    Ok((size(kib), bench.work.request(kib << 10, "72d3162e")?, is_accepted as fn(&[u8]) -> bool, times))
                })
                .collect::<Result<_>>()?,
            "consumer" => [(1, 200), (10, 60)]
                .into_iter()
                .map(|(messages, times)| {
                    Ok((
                        format!("batch of {messages}"),
                        bench.work.batch(messages, 8 << 10, "72d3162e")?,
                        has_no_failures as fn(&[u8]) -> bool,
                        times,
                    ))
                })
                .collect::<Result<_>>()?,
            _ => vec![("nothing due".to_owned(), bench.work.errands(), is_done, 60)],
        };
        for (label, event, is_right, invocations) in works {
            labels.push(format!("{name}, {label}"));
            cases.push(Case { subject: subject.clone(), event, is_right, behaviour: bench.behaviour(), invocations });
        }
    }
    let all = measured(&cases, arguments.rounds, &bench.folder, &progress)?;
    if arguments.json {
        return print_json(&labels.iter().zip(&all).collect::<Vec<_>>());
    }
    show(&labels, &all);
    Ok(())
}

fn size(kib: usize) -> String {
    if kib < 1024 { format!("{kib} KiB") } else { format!("{} MiB", kib / 1024) }
}

fn show(labels: &[String], all: &[Figures]) {
    println!(
        "{:<26}{:>9}{:>9}{:>9}{:>9}{:>9}{:>9}{:>9}{:>10}",
        "", "init", "its CPU", "first", "its CPU", "p50", "p99", "CPU", "memory"
    );
    for (label, figures) in labels.iter().zip(all) {
        println!(
            "{label:<26}{:>9.2}{:>9.2}{:>9.2}{:>9.2}{:>9.2}{:>9.2}{:>9.3}{:>10.1}  {:?} {}",
            figures.init_ms,
            figures.init_cpu_ms,
            figures.first_ms,
            figures.first_cpu_ms,
            figures.p50_ms,
            figures.p99_ms,
            figures.cpu_ms,
            figures.peak_kib as f64 / 1024.0,
            figures.connections,
            figures.calls_at_once
        );
    }
}

fn show_counted(all: &[Counted], json: bool) -> Result<()> {
    if json {
        print_json(&all)?;
    } else {
        for counted in all {
            let (sign, limit) = match counted.limit {
                Limit::AtMost(most) => ("at most", most),
                Limit::Exactly(count) => ("exactly", count),
            };
            let verdict = if counted.is_fit() { "" } else { "  NOT SO" };
            println!(
                "{:<12} {:<52} {:>12}  {sign} {limit:>11}{verdict}",
                counted.function,
                counted.what.text(counted.function),
                counted.count
            );
        }
    }
    let unfit = all.iter().filter(|counted| !counted.is_fit()).count();
    anyhow::ensure!(
        unfit == 0,
        "{unfit} figures are not what they may be: a lever is lost, or a limit in crates/ops/src/bench/gate.rs is to be changed, with the reason"
    );
    Ok(())
}
