//! `cargo ops interop`: Wharf and the senders' own libraries.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs;

use anyhow::{Context, Result, bail};
use clap::Args;
use wharf_ops::interop::crossing::{CROSSINGS, WITHOUT};
use wharf_ops::interop::library::Libraries;
use wharf_ops::interop::measured::{Measured, measure};
use wharf_ops::interop::report;
use wharf_ops::project::Project;

use crate::{now, print_json};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cargo ops interop                    every library; holds docs/interop.md to what comes of it
  cargo ops interop --provider stripe  one provider's libraries
  cargo ops interop --write            writes the table of docs/interop.md

It needs Node 20 and Python 3.11 or newer, and the first time the npm registry and the Python package index: it installs some 700 MB
of libraries in target/ops.")]
pub struct Arguments {
    /// One provider's libraries only
    #[arg(long)]
    provider: Option<String>,
    /// Writes what comes of it into docs/interop.md
    #[arg(long, conflicts_with = "provider")]
    write: bool,
    /// Prints JSON: every request, and how it was judged
    #[arg(long)]
    json: bool,
}

const DOCUMENT: &str = "docs/interop.md";
const TABLE_BEGINS: &str = "<!-- The output of `cargo ops interop`, which it compares. -->\n";
const TABLE_ENDS: &str = "<!-- end -->";

pub fn run(project: &Project, arguments: &Arguments) -> Result<()> {
    let is_wanted = |provider: &str| arguments.provider.as_deref().is_none_or(|wanted| wanted == provider);
    let crossings: Vec<_> = CROSSINGS.iter().filter(|crossing| is_wanted(crossing.provider)).collect();
    if crossings.is_empty() {
        let wanted = arguments.provider.as_deref().unwrap_or_default();
        match WITHOUT.iter().find(|(provider, _)| *provider == wanted) {
            Some((_, why)) => bail!("there is no library to cross {wanted} with: {why}"),
            None => bail!("there is no provider {wanted:?}: `cargo ops providers` lists them"),
        }
    }
    let mut libraries = HashMap::new();
    for crossing in &crossings {
        if let Entry::Vacant(vacant) = libraries.entry(crossing.language) {
            vacant.insert(Libraries::start(project, crossing.language, &progress)?);
        }
    }
    let mut all: Vec<Measured> = Vec::new();
    for crossing in crossings {
        let Some(library) = libraries.get_mut(&crossing.language) else { continue };
        let what = || format!("{} with {} of {}", crossing.provider, crossing.package, crossing.language.registry());
        library.load(crossing, now()).with_context(what)?;
        all.push(measure(project, crossing, library, now()).with_context(what)?);
    }
    if arguments.json {
        print_json(&all)?;
    } else {
        print!("{}", report::lines(&all));
    }
    let surprises = all.iter().flat_map(Measured::surprises).count();
    if surprises > 0 {
        bail!(
            "{surprises} requests are judged otherwise than is known of them. Find out who is right by the sender's documentation: \
             mend Wharf, or say in crates/ops/src/interop/crossing.rs why they differ"
        );
    }
    if arguments.provider.is_some() {
        return Ok(());
    }
    let path = project.path(DOCUMENT);
    let document = fs::read_to_string(&path).with_context(|| format!("cannot read {DOCUMENT}"))?;
    let parts = document.split_once(TABLE_BEGINS).and_then(|(before, behind)| {
        let (table, after) = behind.split_once(TABLE_ENDS)?;
        Some((before, table, after))
    });
    let (before, table, after) = parts.with_context(|| format!("{DOCUMENT} has no place for the table"))?;
    let measured = report::markdown(&all);
    if table == measured {
        return Ok(());
    }
    if !arguments.write {
        bail!("{DOCUMENT} says otherwise than was measured: `cargo ops interop --write` writes its table");
    }
    let written = format!("{before}{TABLE_BEGINS}{measured}{TABLE_ENDS}{after}");
    fs::write(&path, written).with_context(|| format!("cannot write {DOCUMENT}"))
}

/// On standard error, so that the report can be piped.
fn progress(step: &str) {
    eprintln!("  … {step}");
}
