//! Where things are in a checkout.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use wharf_webhook::endpoints::Endpoints;

/// A checkout of Wharf, or of a project made from it.
#[derive(Debug, Clone)]
pub struct Project {
    root: PathBuf,
    target: PathBuf,
    made: PathBuf,
}

/// Leads what `cargo ops` makes elsewhere than to `target/ops`, so that a test leaves a running local stack's facts alone.
const FOLDER_VARIABLE: &str = "WHARF_OPS_FOLDER";

/// Leads to another checkout than the one that this program was built in.
const CHECKOUT_VARIABLE: &str = "WHARF_CHECKOUT";

impl Project {
    /// The checkout that this program was built in, or the one that `WHARF_CHECKOUT` names.
    ///
    /// # Errors
    /// If cargo cannot describe it.
    pub fn find() -> Result<Project> {
        let made = std::env::var_os(FOLDER_VARIABLE).map(PathBuf::from);
        if let Some(root) = std::env::var_os(CHECKOUT_VARIABLE).map(PathBuf::from) {
            let made = made.unwrap_or_else(|| root.join("target/ops"));
            return Ok(Project::at(root, made));
        }
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.toml");
        let output = Command::new(cargo())
            .args(["metadata", "--format-version", "1", "--no-deps", "--offline", "--manifest-path"])
            .arg(&manifest)
            .output()
            .context("cannot run `cargo metadata`: cargo must be on the PATH")?;
        if !output.status.success() {
            bail!("`cargo metadata` failed: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        let metadata: serde_json::Value =
            serde_json::from_slice(&output.stdout).context("`cargo metadata` printed no JSON")?;
        let folder = |name: &str| -> Result<PathBuf> {
            let folder = metadata.get(name).and_then(serde_json::Value::as_str);
            Ok(PathBuf::from(folder.with_context(|| format!("`cargo metadata` printed no {name}"))?))
        };
        let target = folder("target_directory")?;
        let made = made.unwrap_or_else(|| target.join("ops"));
        Ok(Project { root: folder("workspace_root")?, target, made })
    }

    /// The checkout in this folder; what `cargo ops` makes is where `made` says.
    pub fn at(root: PathBuf, made: PathBuf) -> Project {
        Project { target: root.join("target"), root, made }
    }

    /// A file or folder of the checkout.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// A file or folder that `cargo ops` made; all of them are in `target/ops`, so that `cargo clean` removes them.
    pub fn made(&self, name: &str) -> PathBuf {
        self.made.join(name)
    }

    /// The binary that `cargo build` makes of a function.
    pub fn debug_binary(&self, name: &str) -> PathBuf {
        self.target.join("debug").join(name)
    }

    /// `path` as a person would write it, standing in the checkout.
    pub fn relative<'a>(&self, path: &'a Path) -> &'a Path {
        path.strip_prefix(&self.root).unwrap_or(path)
    }

    /// Reads and checks `endpoints.toml`.
    ///
    /// # Errors
    /// If it is not there, or with all its problems.
    pub fn endpoints(&self) -> Result<Endpoints> {
        let path = self.path("endpoints.toml");
        let text = std::fs::read_to_string(&path).with_context(|| {
            format!("cannot read {}, which says what is accepted: the README shows how to write one", path.display())
        })?;
        Ok(Endpoints::parse(&text)?)
    }

    /// Builds the functions as `cargo build` does, with cargo's own output.
    ///
    /// # Errors
    /// If they cannot be built.
    pub fn build_functions(&self) -> Result<()> {
        // The same packages as `cargo ops` itself was built from, so that dependencies are built once.
        let status = Command::new(cargo())
            .args(["build", "--bins"])
            .current_dir(&self.root)
            .status()
            .context("cannot run `cargo build`: cargo must be on the PATH")?;
        if !status.success() {
            bail!("the functions could not be built; cargo's messages above say why");
        }
        Ok(())
    }
}

/// The cargo that runs us, if one does.
fn cargo() -> std::ffi::OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}
