//! Programs from PyPI, each set in a place of its own in the cache.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use std::{env, fs, iter};

use anyhow::{Context, Result};

use crate::cache::Cache;
use crate::progress::Step;
use crate::{process, tools};

const INSTALL: Duration = Duration::from_secs(600);

/// The directory with the programs of these packages, `name==version` each. They are
/// installed when they are not there yet.
///
/// # Errors
/// Why they cannot be installed, as pip says it.
pub(crate) fn programs(name: &str, packages: &[&str]) -> Result<PathBuf> {
    let cache = Cache::open()?;
    let _lock = cache.lock(name)?;
    let directory = cache.path(name);
    let complete = directory.join("complete");
    let wanted = packages.join(" ");
    // Written last: an installation that was interrupted has none.
    if fs::read_to_string(&complete).ok().as_deref() != Some(&wanted) {
        let step = Step::start(format!("installing {wanted}"));
        let _ = fs::remove_dir_all(&directory);
        install(&directory, packages)?;
        fs::write(complete, wanted)?;
        step.done();
    }
    Ok(directory.join("bin"))
}

/// PATH with the programs of `directory` before all others.
///
/// # Errors
/// The directory's name has a colon.
pub(crate) fn search_path(directory: &Path) -> Result<OsString> {
    let path = env::var_os("PATH").unwrap_or_default();
    let all = iter::once(directory.to_path_buf()).chain(env::split_paths(&path));
    env::join_paths(all).with_context(|| format!("put {} into PATH", directory.display()))
}

fn install(directory: &Path, packages: &[&str]) -> Result<()> {
    tools::ensure(&[("python3", "python3")])?;
    let has_venv = process::read(Command::new("python3").args(["-c", "import ensurepip"]), INSTALL);
    if has_venv.is_err() {
        tools::install_packages(&["python3-venv"])?;
    }
    process::read(Command::new("python3").args(["-m", "venv"]).arg(directory), INSTALL)?;
    let mut pip = Command::new(directory.join("bin/pip"));
    process::read(pip.args(["install", "--quiet"]).args(packages), INSTALL).map(drop)
}
