//! The functions as they are measured: the binaries as they are deployed, with the variables that the template sets.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::certificate::Authority;
use super::subject::Subject;
use super::work::ENDPOINTS;
use crate::cargo_lambda::{self, Build};
use crate::package::{self, FUNCTIONS};
use crate::project::Project;

/// The roots that functions trust, as they are built.
const AMAZON_ROOTS: &str = "functions/amazon-roots.pem";
/// Where systems keep the roots that they trust: Debian's, and that of Amazon Linux, on which Lambda runs.
const SYSTEM_ROOTS: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// What trusts a run's authority, beside what it trusts anyway.
#[derive(Debug, Clone)]
pub struct TrustFiles {
    /// Amazon's roots and ours.
    small: PathBuf,
    /// The system's and ours.
    large: PathBuf,
    /// Ours alone.
    own: PathBuf,
}

impl TrustFiles {
    /// Written into `folder`.
    ///
    /// # Errors
    /// If a file cannot be read or written.
    pub fn write(project: &Project, folder: &Path, authority: &Authority) -> Result<TrustFiles> {
        let read = |path: &Path| fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()));
        let system = SYSTEM_ROOTS.iter().map(Path::new).find(|path| path.is_file());
        let system = system.with_context(|| format!("this system's roots are not in {}", SYSTEM_ROOTS.join(", ")))?;
        let write = |name: &str, roots: &str| -> Result<PathBuf> {
            let path = folder.join(name);
            fs::write(&path, format!("{roots}\n{}", authority.pem))
                .with_context(|| format!("cannot write {}", path.display()))?;
            Ok(path)
        };
        Ok(TrustFiles {
            small: write("small.pem", &read(&project.path(AMAZON_ROOTS))?)?,
            large: write("large.pem", &read(system)?)?,
            own: write("own.pem", "")?,
        })
    }

    /// The variables by which functions, and the SDKs of other languages, are told.
    pub fn variables(&self) -> Vec<(String, String)> {
        let (small, large) = (self.small.display().to_string(), self.large.display().to_string());
        vec![
            ("WHARF_TRUST_STORE".to_owned(), small),
            ("SSL_CERT_FILE".to_owned(), large.clone()),
            ("AWS_CA_BUNDLE".to_owned(), large.clone()),
            // Beside Node's own.
            ("NODE_EXTRA_CA_CERTS".to_owned(), self.own.display().to_string()),
        ]
    }
}

/// What Lambda sets for every function, with credentials that nobody checks.
pub fn lambda_variables(name: &str) -> Vec<(String, String)> {
    let variables = [
        ("AWS_REGION", "eu-central-1"),
        ("AWS_DEFAULT_REGION", "eu-central-1"),
        ("AWS_ACCESS_KEY_ID", "ASIAMEASURED"),
        ("AWS_SECRET_ACCESS_KEY", "measured"),
        ("AWS_SESSION_TOKEN", "measured"),
        ("AWS_LAMBDA_FUNCTION_NAME", name),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
        ("AWS_LAMBDA_LOG_FORMAT", "JSON"),
    ];
    variables.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
}

/// What the template sets for each function.
const TEMPLATE_VARIABLES: [(&str, &str); 7] = [
    ("WHARF_STAGE", "measured"),
    ("WHARF_QUEUE_URL", "https://sqs.eu-central-1.amazonaws.com/123456789012/deliveries"),
    ("WHARF_DEAD_LETTER_QUEUE_URL", "https://sqs.eu-central-1.amazonaws.com/123456789012/dead-letters"),
    ("WHARF_BUCKET", "measured"),
    ("WHARF_TABLE", "ledger"),
    ("WHARF_EVENT_BUS", "default"),
    ("WHARF_PUBLIC_URL", "https://hooks.example.com"),
];

/// A function in this binary.
///
/// # Errors
/// If its folder cannot be made.
pub fn function(name: &str, binary: &Path, folder: &Path, trust: &TrustFiles) -> Result<Subject> {
    // It is run in another folder.
    let binary = fs::canonicalize(binary).with_context(|| format!("{} is not there", binary.display()))?;
    let own = folder.join("function");
    fs::create_dir_all(&own).with_context(|| format!("cannot make {}", own.display()))?;
    let endpoints = own.join("endpoints.toml");
    fs::write(&endpoints, ENDPOINTS).with_context(|| format!("cannot write {}", endpoints.display()))?;
    let mut variables = lambda_variables(name);
    variables.extend(TEMPLATE_VARIABLES.map(|(name, value)| (name.to_owned(), value.to_owned())));
    variables.extend(trust.variables());
    Ok(Subject { name: name.to_owned(), command: vec![binary], variables, folder: own })
}

/// Builds the functions as they are deployed, but for this machine and with its own linker; takes the binaries out of their
/// zips, and says where they are.
///
/// # Errors
/// If they cannot be built.
pub fn build(project: &Project, progress: &dyn Fn(&str)) -> Result<PathBuf> {
    let step = cargo_lambda::build(Build::Native)?;
    progress(&step.line(project));
    step.run(project, progress)?;
    let folder = project.made("bench/binaries");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for function in FUNCTIONS {
        package::unpack(&package::zip_path(project, function), &folder.join(function))?;
    }
    Ok(folder)
}

/// The sizes of a function, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Sizes {
    /// Of its binary.
    pub binary_bytes: u64,
    /// Of its zip, compressed as cargo-lambda compresses.
    pub zip_bytes: u64,
}

/// The sizes of the function in this binary.
///
/// # Errors
/// If it cannot be read.
pub fn sizes(binary: &Path) -> Result<Sizes> {
    let bytes = fs::metadata(binary).with_context(|| format!("cannot read {}", binary.display()))?.len();
    Ok(Sizes { binary_bytes: bytes, zip_bytes: package::compressed(binary, ENDPOINTS)?.len() as u64 })
}

/// The binaries of all functions in a folder, or the one function's whose binary is given.
///
/// # Errors
/// If there is none.
pub fn binaries(path: &Path) -> Result<Vec<(&'static str, PathBuf)>> {
    let found: Vec<_> = if path.is_dir() {
        FUNCTIONS.iter().map(|name| (*name, path.join(name))).filter(|(_, path)| path.is_file()).collect()
    } else {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        FUNCTIONS.iter().filter(|function| name.starts_with(**function)).map(|name| (*name, path.to_owned())).collect()
    };
    if found.is_empty() {
        bail!("{} is no binary of {}, and no folder that has one", path.display(), FUNCTIONS.join(", "));
    }
    Ok(found)
}
