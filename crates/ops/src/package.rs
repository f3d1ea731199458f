//! A function's zip: made here of a binary, or by cargo-lambda, and then looked into before it is deployed.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Cursor, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use thiserror::Error;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use crate::project::Project;

/// The functions, by the names of their binaries.
pub const FUNCTIONS: [&str; 3] = ["receiver", "consumer", "housekeeper"];

/// What a function's binary is in its zip, as Lambda starts it.
const BOOTSTRAP: &str = "bootstrap";
/// What it finds beside itself.
const ENDPOINTS: &str = "endpoints.toml";
/// Any of the three bits by which a file can be run.
const EXECUTABLE: u32 = 0o111;
/// The start of an ELF file up to and with its machine (System V ABI, `e_machine` at 18), in bytes.
const ELF_START_BYTES: usize = 20;

/// The processors that Lambda has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// The template's `arm64`.
    Arm64,
    /// The template's `x86_64`.
    X86_64,
}

/// What is wrong with a zip.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Unfit {
    /// There is none.
    #[error("it is not there")]
    Missing,
    /// It cannot be read.
    #[error("it is no zip that can be read: {0}")]
    Unreadable(String),
    /// It lacks a file.
    #[error("it has no file {0}")]
    Lacks(&'static str),
    /// Lambda could not start it.
    #[error("its bootstrap is not executable")]
    NotExecutable,
    /// Its bootstrap is no program for Lambda.
    #[error("its bootstrap is no ELF program")]
    NoProgram,
    /// It is for another processor.
    #[error("its bootstrap is built for {found}, and {wanted} is needed")]
    OtherArchitecture {
        /// What it is built for.
        found: String,
        /// What would run it.
        wanted: Architecture,
    },
    /// It accepts something else than the checkout does.
    #[error("the endpoints.toml in it is not the checkout's")]
    Stale,
}

impl Architecture {
    /// As the template's parameter has it.
    ///
    /// # Errors
    /// If it is none of Lambda's.
    pub fn of_parameter(value: &str) -> Result<Architecture> {
        let known = [Architecture::Arm64, Architecture::X86_64];
        let found = known.into_iter().find(|architecture| architecture.to_string() == value);
        found.with_context(|| format!("the parameter Architecture is {value:?}: it must be arm64 or x86_64"))
    }

    /// This machine's, on which the local stack runs the functions.
    ///
    /// # Errors
    /// If Lambda has none like it.
    pub fn of_this_machine() -> Result<Architecture> {
        match std::env::consts::ARCH {
            "aarch64" => Ok(Architecture::Arm64),
            "x86_64" => Ok(Architecture::X86_64),
            other => Err(anyhow::anyhow!("this machine is {other}: Lambda's zips cannot run here")),
        }
    }

    /// Rust's target for it.
    pub fn target(self) -> &'static str {
        match self {
            Architecture::Arm64 => "aarch64-unknown-linux-gnu",
            Architecture::X86_64 => "x86_64-unknown-linux-gnu",
        }
    }

    /// What chooses it, of `cargo lambda build`.
    pub fn flag(self) -> &'static str {
        match self {
            Architecture::Arm64 => "--arm64",
            Architecture::X86_64 => "--x86-64",
        }
    }

    /// In ELF's `e_machine`.
    fn elf_machine(self) -> u16 {
        match self {
            Architecture::Arm64 => 183,
            Architecture::X86_64 => 62,
        }
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Architecture::Arm64 => "arm64",
            Architecture::X86_64 => "x86_64",
        })
    }
}

/// Where cargo-lambda puts a function's zip, and the template looks for it.
pub fn zip_path(project: &Project, function: &str) -> PathBuf {
    project.path(&format!("target/lambda/{function}/bootstrap.zip"))
}

/// What is to be deployed of a function: a zip as it is, or the zip of a binary and the text of an `endpoints.toml`.
///
/// # Errors
/// If the file cannot be read.
pub fn of(path: &Path, endpoints: &str) -> Result<Vec<u8>> {
    if path.extension().is_some_and(|extension| extension == "zip") {
        return fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    }
    zip(path, endpoints)
}

/// The zip of a binary and the text of an `endpoints.toml`, not compressed: it goes no further than loopback.
///
/// # Errors
/// If the binary cannot be read.
pub fn zip(binary: &Path, endpoints: &str) -> Result<Vec<u8>> {
    zipped(binary, endpoints, CompressionMethod::Stored)
}

/// The same, compressed as cargo-lambda compresses what is deployed.
///
/// # Errors
/// If the binary cannot be read.
pub fn compressed(binary: &Path, endpoints: &str) -> Result<Vec<u8>> {
    zipped(binary, endpoints, CompressionMethod::Deflated)
}

fn zipped(binary: &Path, endpoints: &str, method: CompressionMethod) -> Result<Vec<u8>> {
    let options = SimpleFileOptions::default().compression_method(method);
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file(BOOTSTRAP, options.unix_permissions(0o755))?;
    let mut file = File::open(binary).with_context(|| format!("cannot read {}", binary.display()))?;
    io::copy(&mut file, &mut zip).with_context(|| format!("cannot read {}", binary.display()))?;
    zip.start_file(ENDPOINTS, options.unix_permissions(0o644))?;
    zip.write_all(endpoints.as_bytes())?;
    Ok(zip.finish()?.into_inner())
}

/// Takes the program out of a function's zip.
///
/// # Errors
/// If the zip cannot be read, or the file cannot be written.
pub fn unpack(path: &Path, program: &Path) -> Result<()> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut zip = ZipArchive::new(file).with_context(|| format!("{} is no zip", path.display()))?;
    let mut bootstrap = zip.by_name(BOOTSTRAP).with_context(|| format!("{} has no {BOOTSTRAP}", path.display()))?;
    let mode = bootstrap.unix_mode().unwrap_or(0o755);
    let mut file = File::create(program).with_context(|| format!("cannot write {}", program.display()))?;
    io::copy(&mut bootstrap, &mut file).with_context(|| format!("cannot unpack {}", path.display()))?;
    fs::set_permissions(program, fs::Permissions::from_mode(mode))?;
    Ok(())
}

/// The zips that cargo-lambda made, once each is fit to be deployed with the checkout's `endpoints.toml`, whose text is given,
/// to this architecture.
///
/// # Errors
/// With what is wrong with each, and the command that makes them anew.
pub fn require_fit(project: &Project, endpoints: &str, architecture: Architecture, build: &str) -> Result<()> {
    let mut unfit = String::new();
    for function in FUNCTIONS {
        let path = zip_path(project, function);
        if let Err(problem) = judge(&path, endpoints, architecture) {
            unfit.push_str(&format!("\n  {}: {problem}", project.relative(&path).display()));
        }
    }
    anyhow::ensure!(unfit.is_empty(), "the functions' zips cannot be deployed:{unfit}\nMake them anew: {build}");
    Ok(())
}

/// Whether a zip is what Lambda starts, on this architecture, with these endpoints.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn judge(path: &Path, endpoints: &str, architecture: Architecture) -> Result<(), Unfit> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Unfit::Missing),
        Err(error) => return Err(Unfit::Unreadable(error.to_string())),
    };
    let unreadable = |error: &dyn fmt::Display| Unfit::Unreadable(error.to_string());
    let mut zip = ZipArchive::new(file).map_err(|error| unreadable(&error))?;
    let mut start = Vec::new();
    let bootstrap = zip.by_name(BOOTSTRAP).map_err(|_| Unfit::Lacks(BOOTSTRAP))?;
    if bootstrap.unix_mode().is_none_or(|mode| mode & EXECUTABLE == 0) {
        return Err(Unfit::NotExecutable);
    }
    bootstrap.take(ELF_START_BYTES as u64).read_to_end(&mut start).map_err(|error| unreadable(&error))?;
    match elf_machine(&start) {
        None => return Err(Unfit::NoProgram),
        Some(machine) if machine != architecture.elf_machine() => {
            let known = [Architecture::Arm64, Architecture::X86_64];
            let found = known.iter().find(|known| known.elf_machine() == machine);
            let found = found.map_or_else(|| format!("the machine {machine} of ELF"), Architecture::to_string);
            return Err(Unfit::OtherArchitecture { found, wanted: architecture });
        }
        Some(_) => {}
    }
    let mut packaged = String::new();
    let mut file = zip.by_name(ENDPOINTS).map_err(|_| Unfit::Lacks(ENDPOINTS))?;
    file.read_to_string(&mut packaged).map_err(|error| unreadable(&error))?;
    if packaged == endpoints { Ok(()) } else { Err(Unfit::Stale) }
}

/// The machine of a little-endian ELF program of 64 bits.
fn elf_machine(start: &[u8]) -> Option<u16> {
    let start: [u8; ELF_START_BYTES] = start.try_into().ok()?;
    let [0x7f, b'E', b'L', b'F', 2, 1, .., low, high] = start else { return None };
    Some(u16::from_le_bytes([low, high]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDPOINTS_TEXT: &str = "[endpoints.github]\nprovider = \"github\"\n";

    fn elf(machine: u8) -> Vec<u8> {
        let mut start = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, machine, 0];
        start.extend([0; 1000]);
        start
    }

    /// A file in a zip: name, mode, content.
    type Packed<'a> = (&'a str, u32, &'a [u8]);

    /// A zip with these files.
    fn zip_of(name: &str, files: &[Packed<'_>]) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("wharf-package-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join(name);
        let mut zip = ZipWriter::new(File::create(&path).unwrap());
        for (name, mode, content) in files {
            // As cargo-lambda compresses.
            let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
            zip.start_file(*name, options.unix_permissions(*mode)).unwrap();
            zip.write_all(content).unwrap();
        }
        zip.finish().unwrap();
        path
    }

    #[test]
    fn a_zip_is_fit_only_with_an_executable_program_for_the_processor_and_the_checkouts_endpoints() {
        let endpoints = ("endpoints.toml", 0o644, ENDPOINTS_TEXT.as_bytes());
        let (arm, x86) = (elf(183), elf(62));
        let judge = |name: &str, files: &[Packed<'_>]| {
            judge(&zip_of(name, files), ENDPOINTS_TEXT, Architecture::Arm64).map_err(|unfit| unfit.to_string())
        };
        let other = ("endpoints.toml", 0o644, ENDPOINTS_TEXT.trim_end().as_bytes());
        assert_eq!(judge("fit.zip", &[("bootstrap", 0o755, &arm), endpoints]), Ok(()));
        let cases: [(&str, &[Packed<'_>], &str); 7] = [
            ("lacks.zip", &[endpoints], "it has no file bootstrap"),
            ("mode.zip", &[("bootstrap", 0o644, &arm), endpoints], "its bootstrap is not executable"),
            ("script.zip", &[("bootstrap", 0o755, b"#!/bin/sh\n"), endpoints], "its bootstrap is no ELF program"),
            (
                "x86.zip",
                &[("bootstrap", 0o755, &x86), endpoints],
                "its bootstrap is built for x86_64, and arm64 is needed",
            ),
            (
                "riscv.zip",
                &[("bootstrap", 0o755, &elf(243)), endpoints],
                "its bootstrap is built for the machine 243 of ELF, and arm64 is needed",
            ),
            ("bare.zip", &[("bootstrap", 0o755, &arm)], "it has no file endpoints.toml"),
            ("stale.zip", &[("bootstrap", 0o755, &arm), other], "the endpoints.toml in it is not the checkout's"),
        ];
        for (name, files, expected) in cases {
            assert_eq!(judge(name, files), Err(expected.to_owned()), "{name}");
        }
    }

    #[test]
    fn what_is_no_zip_and_what_is_not_there_is_said() {
        let path = zip_of("broken.zip", &[]);
        fs::write(&path, "PK").unwrap();
        let judge = |path: &Path| judge(path, ENDPOINTS_TEXT, Architecture::X86_64).unwrap_err();
        assert!(matches!(judge(&path), Unfit::Unreadable(_)), "{:?}", judge(&path));
        assert_eq!(judge(&path.with_file_name("none.zip")), Unfit::Missing);
    }

    #[test]
    fn what_is_zipped_here_is_fit_for_this_machine() {
        let program = std::env::current_exe().unwrap();
        let path = zip_of("own.zip", &[]);
        fs::write(&path, zip(&program, ENDPOINTS_TEXT).unwrap()).unwrap();
        assert_eq!(judge(&path, ENDPOINTS_TEXT, Architecture::of_this_machine().unwrap()), Ok(()));
    }
}
