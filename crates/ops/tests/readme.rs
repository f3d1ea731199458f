//! What the README shows is what the code says.

use std::fs;

use wharf_ops::project::Project;
use wharf_webhook::metrics::Metric;

#[test]
fn the_readmes_table_of_providers_is_generated_from_the_rows() {
    let readme = fs::read_to_string(Project::find().unwrap().path("README.md")).unwrap();
    let (_, behind) = readme.split_once("which a test compares. -->\n").unwrap();
    let (table, _) = behind.split_once("<!-- end -->").unwrap();
    let expected = wharf_ops::catalogue::markdown();
    assert!(table == expected, "put the output of `cargo ops providers --markdown` into README.md:\n{expected}");
}

#[test]
fn the_readmes_example_is_the_one_that_is_built_and_run() {
    let project = Project::find().unwrap();
    let root = project.root();
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    let (_, behind) = readme.split_once("which a test compares and others run. -->\n```rust\n").unwrap();
    let (example, _) = behind.split_once("```\n<!-- end -->").unwrap();
    assert!(example.contains("Effects::new()"), "{example}");
    let code = fs::read_to_string(root.join("examples/orders.rs")).unwrap();
    assert!(code.contains(example), "put the function `book` of examples/orders.rs into README.md");
}

#[test]
fn the_readmes_table_of_metrics_has_each_with_its_dimensions() {
    let readme = fs::read_to_string(Project::find().unwrap().path("README.md")).unwrap();
    let rows = readme.lines().skip_while(|line| !line.starts_with("| metric |")).skip(2);
    let rows: Vec<&str> = rows.take_while(|line| line.starts_with('|')).collect();
    let listed: Vec<(&str, Vec<&str>)> = rows
        .iter()
        .map(|row| {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            let also_by = cells[3].split('`').skip(1).step_by(2);
            (cells[1].trim_matches('`'), also_by.collect())
        })
        .collect();
    let reported: Vec<(&str, Vec<&str>)> = Metric::ALL
        .iter()
        .map(|metric| (metric.name(), metric.dimensions().iter().filter_map(|set| Some(set.get(1)?.name())).collect()))
        .collect();
    assert_eq!(listed, reported);
}

#[test]
fn every_test_that_the_readme_names_is_there() {
    let project = Project::find().unwrap();
    let root = project.root();
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    let (_, promises) = readme.split_once("| promise |").unwrap();
    let (promises, _) = promises.split_once("\n\n").unwrap();
    let named =
        promises.lines().filter_map(|row| row.rsplit('|').nth(1)).flat_map(|cell| cell.split('`').skip(1).step_by(2));
    let mut count = 0;
    for name in named.filter(|name| !name.ends_with(".rs")) {
        // `spool::…` is a file of the end-to-end tests; `template::alarms::…` one of the template's.
        let (file, test) = match name.rsplit_once("::") {
            Some((module, test)) if module.starts_with("template") => {
                (format!("tests/{}.rs", module.replace("::", "/")), test)
            }
            Some((module, test)) => (format!("tests/end_to_end/{module}.rs"), test),
            None => panic!("{name} is in no file"),
        };
        let code = fs::read_to_string(root.join(&file)).unwrap_or_else(|_| panic!("{name}: there is no {file}"));
        assert!(code.contains(&format!("fn {test}(")), "{file} has no test {test}");
        count += 1;
    }
    assert!(count > 20, "{count}");
}

#[test]
fn the_packages_that_the_readme_pins_are_the_ones_that_cargo_ops_installs() {
    let project = Project::find().unwrap();
    let readme = fs::read_to_string(project.path("README.md")).unwrap();
    let installed: Vec<String> = ["cargo_lambda", "sam"]
        .iter()
        .flat_map(|name| {
            let text = fs::read_to_string(project.path(&format!("crates/ops/python/{name}.txt"))).unwrap();
            text.lines().map(|line| line.trim_end_matches(['\\', ' ']).to_owned()).collect::<Vec<_>>()
        })
        .collect();
    let pinned: Vec<&str> = readme
        .split(|character: char| character.is_whitespace() || "`(),;".contains(character))
        .filter(|word| word.contains("=="))
        .collect();
    assert!(pinned.len() >= 2, "{pinned:?}");
    for package in pinned {
        assert!(installed.iter().any(|line| line == package), "{package} is not what crates/ops/python has");
    }
}
