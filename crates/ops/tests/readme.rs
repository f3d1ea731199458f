//! The README's table of providers is what the rows say.

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
