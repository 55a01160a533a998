//! `cargo xtask dist`: a .deb and an .rpm with the plugin for every Slurm release.

mod deb;
mod plugins;
mod rpm;
mod stage;
mod zig;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::progress::Step;
use crate::{build, process};
use stage::Stage;

pub(crate) use plugins::{RELEASES, compare_two_builds, like as plugin_like};
pub(crate) use stage::BUS;
pub(crate) use zig::GLIBC;

/// The package's name, in file names and in paths.
pub(crate) const NAME: &str = "slurm-spank-linger";

/// The workspace's version.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Compressing eleven plugins.
const PACK: Duration = Duration::from_secs(300);

/// Both packages, and what is in them.
#[derive(Clone, Debug)]
pub(crate) struct Packages {
    pub(crate) deb: PathBuf,
    pub(crate) rpm: PathBuf,
    files: PathBuf,
}

impl Packages {
    /// The plugin for a Slurm release, which runs with an old C library too.
    pub(crate) fn plugin(&self, release: &str) -> PathBuf {
        stage::plugin(&self.files, release)
    }

    /// The command, which does so too.
    pub(crate) fn command(&self) -> PathBuf {
        stage::command(&self.files)
    }
}

/// Makes the packages and says where they are.
///
/// # Errors
/// A tool is missing or a build failed.
pub fn run() -> Result<()> {
    let Packages { deb, rpm, .. } = packages()?;
    for package in [deb, rpm] {
        let kilobytes = fs::metadata(&package)?.len() >> 10;
        println!("{} ({kilobytes} kB)", package.display());
    }
    Ok(())
}

/// Makes the packages, once in this run.
///
/// # Errors
/// A tool is missing or a build failed.
pub(crate) fn packages() -> Result<Packages> {
    static MADE: Mutex<Option<Packages>> = Mutex::new(None);
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(packages) = made.as_ref() {
        return Ok(packages.clone());
    }
    let packages = make()?;
    Ok(made.insert(packages).clone())
}

fn make() -> Result<Packages> {
    let directory = build::target().join("dist");
    let _ = fs::remove_dir_all(&directory);
    let built = zig::build()?;
    let stage = Stage::fill(&directory.join("files"), &built)?;
    let step = Step::start("packing a .deb and an .rpm");
    let (deb, rpm) = (deb::pack(&stage, &directory)?, rpm::pack(&stage, &directory)?);
    step.done();
    Ok(Packages { deb, rpm, files: stage.root })
}

/// Runs a tool that packs. The packages bear the time of the commit: the same commit gives the
/// same packages.
fn pack(tool: &mut Command) -> Result<()> {
    let mut git = Command::new("git");
    git.args(["log", "-1", "--format=%ct"]).current_dir(build::checkout());
    if let Ok(time) = process::read(&mut git, PACK) {
        tool.env("SOURCE_DATE_EPOCH", time.trim());
    }
    process::read(tool, PACK).map(drop)
}

fn write(path: &Path, content: impl AsRef<[u8]>) -> Result<()> {
    let directory = path.parent().unwrap_or(path);
    fs::create_dir_all(directory).with_context(|| format!("make {}", directory.display()))?;
    fs::write(path, content).with_context(|| format!("write {}", path.display()))
}
