//! What came of the crossings, as a table.

use std::fmt::Write;

use wharf_webhook::provider::PROVIDERS;

use super::crossing::WITHOUT;
use super::measured::{Case, Measured};

/// The table of `docs/interop.md`, in Markdown: a line for each crossing, and one for each provider without a library.
pub fn markdown(all: &[Measured]) -> String {
    let mut table = String::from(
        "| `provider` | library | Wharf signs, it accepts | it signs, Wharf accepts | refused as it must be | where they differ, and what else |\n| --- | --- | --- | --- | --- | --- |\n",
    );
    for provider in PROVIDERS {
        for measured in all.iter().filter(|measured| measured.provider == provider.name) {
            let Measured { provider, scheme, registry, package, version, .. } = measured;
            let scheme = if scheme.is_empty() { String::new() } else { format!(" `{scheme}`") };
            let sent = count(&measured.sent);
            let sent = if measured.stands_in { format!("{sent}, under a key of this run") } else { sent };
            // Writing to a text cannot fail.
            let _ = writeln!(
                table,
                "| `{provider}`{scheme} | `{package}` {version} ({registry}) | {sent} | {} | {} | {} |",
                count(&measured.received),
                count(&measured.refused),
                notes(measured)
            );
        }
        for (name, looked_at) in WITHOUT.iter().filter(|(name, _)| *name == provider.name) {
            let _ = writeln!(table, "| `{name}` | no library | - | - | - | {looked_at} |");
        }
    }
    table
}

/// The same as lines for a terminal.
pub fn lines(all: &[Measured]) -> String {
    let mut text = format!("{:<27} {:<46} {:>9} {:>9} {:>9}\n", "PROVIDER", "LIBRARY", "ACCEPTS", "SIGNS", "REFUSES");
    for measured in all {
        let Measured { provider, scheme, registry, package, version, .. } = measured;
        let name = format!("{provider} {scheme}");
        let library = format!("{package} {version} ({registry})");
        let counts = [&measured.sent, &measured.received, &measured.refused].map(|cases| count(cases));
        let [sent, received, refused] = counts;
        let _ = writeln!(text, "{name:<27} {library:<46} {sent:>9} {received:>9} {refused:>9}");
        for case in measured.surprises() {
            let said = case.said.as_deref().unwrap_or("it is judged otherwise than is known of it");
            let _ = writeln!(text, "    NOT SO: {}: {said}", case.what);
        }
    }
    text
}

fn count(cases: &[Case]) -> String {
    let agree = cases.iter().filter(|case| case.agrees).count();
    if cases.is_empty() { "-".to_owned() } else { format!("{agree} of {}", cases.len()) }
}

fn notes(measured: &Measured) -> String {
    let differing = measured.sent.iter().chain(&measured.received);
    let mut notes: Vec<String> = differing.filter_map(|case| Some(format!("{}: {}", case.what, case.known?))).collect();
    if !measured.note.is_empty() {
        notes.push(measured.note.to_owned());
    }
    notes.join(". ")
}
