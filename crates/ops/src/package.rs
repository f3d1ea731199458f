//! A function's zip, as `cargo lambda build --output-format zip --include endpoints.toml` makes it.

use std::fs::File;
use std::io::{self, Cursor, Write};
use std::path::Path;

use anyhow::{Context, Result};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// The zip of a binary and the text of an `endpoints.toml`, not compressed: it goes no further than loopback.
///
/// # Errors
/// If the binary cannot be read.
pub fn zip(binary: &Path, endpoints: &str) -> Result<Vec<u8>> {
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("bootstrap", stored.unix_permissions(0o755))?;
    let mut file = File::open(binary).with_context(|| format!("cannot read {}", binary.display()))?;
    io::copy(&mut file, &mut zip).with_context(|| format!("cannot read {}", binary.display()))?;
    zip.start_file("endpoints.toml", stored.unix_permissions(0o644))?;
    zip.write_all(endpoints.as_bytes())?;
    Ok(zip.finish()?.into_inner())
}
