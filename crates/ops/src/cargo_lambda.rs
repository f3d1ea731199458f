//! cargo-lambda, which builds the functions' zips: of a pinned version, so that what CI tried is what is deployed.

use anyhow::Result;

use crate::package::{self, Architecture};
use crate::project::Project;
use crate::python;
use crate::step::Step;

/// How the functions are built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Build {
    /// As they are deployed.
    Release(Architecture),
    /// The same for the local stack of this machine, by the machine's own compiler and linker.
    Native,
}

/// The step that builds the zips in `target/lambda`.
///
/// # Errors
/// If this machine is of no architecture that Lambda has, and the build is for it.
pub fn build(build: Build) -> Result<Step> {
    let arguments = match build {
        Build::Release(architecture) => ["--release", architecture.flag()].to_vec(),
        Build::Native => ["--release", "--compiler", "cargo", Architecture::of_this_machine()?.flag()].to_vec(),
    };
    // cargo finds `cargo-lambda` on the PATH, and cargo-lambda finds zig there.
    let step = Step::new(python::CARGO_LAMBDA, "", "cargo").arguments(["lambda", "build"]).arguments(arguments);
    Ok(step.arguments(["--package", "wharf", "--output-format", "zip"]))
}

/// Makes sure that the zips in `target/lambda` can be deployed to the local stack.
///
/// # Errors
/// With what is wrong with each, and what makes them anew.
pub fn require_zips_for_this_machine(project: &Project, endpoints: &str) -> Result<()> {
    package::require_fit(project, endpoints, Architecture::of_this_machine()?, "cargo ops build --native")
}
