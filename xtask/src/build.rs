//! Building the plugin, once for each Slurm release.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::process;
use crate::progress::Step;

/// The release that everything but the node tests is built for.
pub(crate) const RELEASE: &str = "24.11";

/// One minute on two cores, with all dependencies.
const BUILD: Duration = Duration::from_secs(600);

/// The root of the repository.
pub(crate) fn checkout() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask).to_path_buf()
}

/// Where cargo builds.
pub(crate) fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| checkout().join("target"), PathBuf::from)
}

/// `cargo`, in the checkout, for a Slurm release.
pub(crate) fn cargo(release: &str) -> Command {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(checkout()).env("SLURM_VERSION", release);
    cargo
}

/// Some release that is not this one.
pub(crate) fn other_than(release: &str) -> &'static str {
    if release == "26.05" { RELEASE } else { "26.05" }
}

/// Builds the plugin for a release, once in this run, and gives its file, a copy of its own.
///
/// # Errors
/// The build failed; cargo has said why.
pub(crate) fn plugin(release: &str) -> Result<PathBuf> {
    built(release, None)
}

/// The same, with a hook for a test to have it killed at each change it makes.
///
/// # Errors
/// The build failed; cargo has said why.
pub(crate) fn crashing_plugin(release: &str) -> Result<PathBuf> {
    built(release, Some("crash-points"))
}

/// Builds the command, which is the same for every release, and gives its file.
///
/// # Errors
/// The build failed; cargo has said why.
pub(crate) fn command() -> Result<PathBuf> {
    let step = Step::start("building the command");
    let mut cargo = cargo(RELEASE);
    cargo.args(["build", "--release", "--quiet", "--package", "spank-linger"]);
    process::run(&mut cargo, BUILD)?;
    step.done();
    Ok(target().join("release/spank-linger"))
}

fn built(release: &str, feature: Option<&str>) -> Result<PathBuf> {
    static BUILT: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    let copy = target()
        .join("plugins")
        .join(format!("spank_linger-{release}{}.so", feature.unwrap_or_default()));
    if !built.contains(&copy) {
        build(release, feature, &copy)?;
        built.insert(copy.clone());
    }
    Ok(copy)
}

fn build(release: &str, feature: Option<&str>, copy: &Path) -> Result<()> {
    let with = feature.map(|feature| format!(" with {feature}")).unwrap_or_default();
    let step = Step::start(format!("building the plugin for Slurm {release}{with}"));
    let mut cargo = cargo(release);
    cargo.args(["build", "--release", "--quiet", "--package", "slurm-spank-linger"]);
    cargo.args(feature.map(|feature| format!("--features={feature}")));
    process::run(&mut cargo, BUILD)?;
    let directory = copy.parent().unwrap_or(copy);
    fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
    let built = target().join("release/libspank_linger.so");
    fs::copy(built, copy).with_context(|| copy.display().to_string())?;
    step.done();
    Ok(())
}
