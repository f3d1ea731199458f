//! What the README shows is what the code says.

use std::fs;
use std::path::Path;

#[test]
fn the_readmes_table_of_providers_is_generated_from_the_rows() {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md")).unwrap();
    let (_, behind) = readme.split_once("which a test compares. -->\n").unwrap();
    let (table, _) = behind.split_once("<!-- end -->").unwrap();
    let expected = wharf_ops::catalogue::markdown();
    assert!(table == expected, "put the output of `cargo ops providers --markdown` into README.md:\n{expected}");
}

#[test]
fn the_readmes_example_is_the_one_that_is_built_and_run() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    let (_, behind) = readme.split_once("which a test compares and others run. -->\n```rust\n").unwrap();
    let (example, _) = behind.split_once("```\n<!-- end -->").unwrap();
    assert!(example.contains("Effects::new()"), "{example}");
    let code = fs::read_to_string(root.join("examples/orders.rs")).unwrap();
    assert!(code.contains(example), "put the function `book` of examples/orders.rs into README.md");
}
