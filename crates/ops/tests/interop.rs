//! What `cargo ops interop` measures is all that it should, and what its page says is pinned. The measuring itself needs the npm
//! registry and the Python package index, and is run by hand.

#![expect(clippy::unwrap_used, reason = "what goes wrong in a test is a failure of the test")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use wharf_ops::interop::crossing::{CROSSINGS, Crossing, Language, WITHOUT};
use wharf_webhook::provider::{PROVIDERS, find};

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)).unwrap()
}

#[test]
fn every_provider_is_crossed_with_a_library_or_has_a_row_that_says_that_there_is_none() {
    let crossed: BTreeSet<&str> = CROSSINGS.iter().map(|crossing| crossing.provider).collect();
    let without: BTreeSet<&str> = WITHOUT.iter().map(|(provider, _)| *provider).collect();
    assert_eq!(crossed.intersection(&without).collect::<Vec<_>>(), Vec::<&&str>::new());
    let all: BTreeSet<&str> = PROVIDERS.iter().map(|provider| provider.name).collect();
    assert_eq!(crossed.union(&without).copied().collect::<BTreeSet<_>>(), all);
}

#[test]
fn every_crossing_is_of_a_scheme_that_is_there() {
    for Crossing { provider, scheme, .. } in CROSSINGS {
        let name = Some(*scheme).filter(|scheme| !scheme.is_empty());
        assert!(find(provider).unwrap().scheme(name).is_some(), "{provider} {scheme}");
    }
}

#[test]
fn every_library_is_pinned_and_has_a_function_in_its_driver() {
    let node = read("crates/ops/interop/node/driver.mjs");
    let python = read("crates/ops/interop/python/driver.py");
    for crossing in CROSSINGS {
        let Crossing { package, language, .. } = crossing;
        let version = crossing.version().unwrap_or_default();
        let is_exact =
            version.split('.').count() >= 3 && version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        assert!(is_exact, "{package} {version}");
        let has_function = match language {
            Language::Node => [format!("  async {package}() {{"), format!("  async \"{package}\"() {{")]
                .iter()
                .any(|line| node.contains(line)),
            Language::Python => python.contains(&format!("    \"{package}\": ")),
        };
        assert!(has_function, "{package}");
    }
}

#[test]
fn what_npm_installs_is_what_is_pinned() {
    let lock: serde_json::Value = serde_json::from_str(&read("crates/ops/interop/node/package-lock.json")).unwrap();
    for crossing in CROSSINGS.iter().filter(|crossing| crossing.language == Language::Node) {
        let locked = &lock["packages"][format!("node_modules/{}", crossing.package)]["version"];
        assert_eq!(locked.as_str(), crossing.version(), "{}", crossing.package);
    }
    let requirements = read("crates/ops/interop/python/requirements.txt");
    for line in requirements.lines().filter(|line| !line.starts_with('#')) {
        assert!(line.contains("=="), "{line}");
    }
}

#[test]
fn the_page_has_a_row_for_each_crossing_with_the_version_that_is_pinned() {
    let page = read("docs/interop.md");
    let (_, behind) = page.split_once("which it compares. -->\n").unwrap();
    let (table, _) = behind.split_once("<!-- end -->").unwrap();
    let rows: BTreeSet<String> =
        table.lines().skip(2).map(|row| row.split('|').skip(1).take(2).collect::<Vec<_>>().join("|")).collect();
    let mut expected = BTreeSet::new();
    for crossing in CROSSINGS {
        let Crossing { provider, scheme, package, .. } = crossing;
        let scheme = if scheme.is_empty() { String::new() } else { format!(" `{scheme}`") };
        let (version, registry) = (crossing.version().unwrap_or_default(), crossing.language.registry());
        expected.insert(format!(" `{provider}`{scheme} | `{package}` {version} ({registry}) "));
    }
    expected.extend(WITHOUT.iter().map(|(provider, _)| format!(" `{provider}` | no library ")));
    assert_eq!(rows, expected, "run `cargo ops interop --write`");
}
