//! Where things are in a checkout.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use toml::de::DeTable;
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

/// What cargo goes by.
const MANIFEST: &str = "Cargo.toml";

/// The package that a checkout's own Cargo.toml describes; `cargo lambda build` names it too.
const PACKAGE: &str = "wharf";

impl Project {
    /// The checkout that the current directory is in, as cargo finds its own. Never the one that this program was built in: a
    /// checkout is copied and moved with its target folder, and a program that then goes back reads and changes another one.
    ///
    /// # Errors
    /// If the current directory is in none, or cargo cannot describe it.
    pub fn find() -> Result<Project> {
        let here = std::env::current_dir().context("cannot tell the current directory: it may have been removed")?;
        Project::around(&here)
    }

    /// The checkout that this folder is in.
    ///
    /// # Errors
    /// If it is in none, or cargo cannot describe it.
    pub fn around(folder: &Path) -> Result<Project> {
        let root = folder.ancestors().find(|folder| is_checkout(folder)).with_context(|| {
            format!(
                "cannot find a checkout of Wharf: neither {} nor a folder above it has the Cargo.toml of the package \
                 {PACKAGE}. Change into a checkout, then run this again",
                folder.display()
            )
        })?;
        let output = Command::new(cargo())
            .args(["metadata", "--format-version", "1", "--no-deps", "--offline", "--manifest-path"])
            .arg(root.join(MANIFEST))
            .current_dir(root)
            .output()
            .context("cannot run `cargo metadata`: cargo must be on the PATH")?;
        if !output.status.success() {
            bail!("`cargo metadata` failed: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        let metadata: serde_json::Value =
            serde_json::from_slice(&output.stdout).context("`cargo metadata` printed no JSON")?;
        let target = metadata.get("target_directory").and_then(serde_json::Value::as_str);
        let target = PathBuf::from(target.context("`cargo metadata` printed no target_directory")?);
        let made = std::env::var_os(FOLDER_VARIABLE).map_or_else(|| target.join("ops"), PathBuf::from);
        Ok(Project { root: root.to_owned(), target, made })
    }

    /// The checkout in this folder; what `cargo ops` makes is where `made` says.
    pub fn at(root: PathBuf, made: PathBuf) -> Project {
        Project { target: root.join("target"), root, made }
    }

    /// The checkout's folder.
    pub fn root(&self) -> &Path {
        &self.root
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

/// Whether a folder is the root of a checkout: not one of the packages within, nor another project around it.
fn is_checkout(folder: &Path) -> bool {
    let Ok(text) = std::fs::read_to_string(folder.join(MANIFEST)) else { return false };
    let Ok(manifest) = DeTable::parse(&text) else { return false };
    let manifest = manifest.get_ref();
    let package =
        manifest.get("package").and_then(|package| package.get_ref().as_table()?.get("name")?.get_ref().as_str());
    package == Some(PACKAGE) && manifest.contains_key("workspace")
}

/// The cargo that runs us, if one does.
fn cargo() -> std::ffi::OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checkout_is_the_nearest_one_around_a_folder_whatever_else_is_a_package_there() {
        let own = Project::find().unwrap();
        assert!(own.path("crates/ops/src/project.rs").is_file());
        for folder in ["", "docs", "crates/ops/src", "fuzz", "benches/peers/rust"] {
            assert_eq!(Project::around(&own.path(folder)).unwrap().root, own.root, "{folder}");
        }
    }

    #[test]
    fn outside_of_a_checkout_it_is_said_what_to_do() {
        assert_eq!(
            Project::around(Path::new("/nowhere")).unwrap_err().to_string(),
            "cannot find a checkout of Wharf: neither /nowhere nor a folder above it has the Cargo.toml of the package wharf. \
             Change into a checkout, then run this again"
        );
    }
}
