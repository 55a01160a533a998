//! A build that runs on nodes with an old C library.

use std::env;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

use super::stage::{COMMAND, has_command};
use crate::build::{self, RELEASE};
use crate::progress::Step;
use crate::{process, pypi};

/// The newest version of glibc that the build may need: that of EL 8, and older than those of
/// Debian 11 and Ubuntu 20.04.
pub(crate) const GLIBC: &str = "2.28";

/// The plugin's name for cargo.
const PLUGIN: &str = "slurm-spank-linger";

/// Zig links against any glibc. These are on PyPI with their programs in them.
const TOOLS: [&str; 2] = ["cargo-zigbuild==0.24.0", "ziglang==0.17.1"];
/// One minute and a half on two cores, with all dependencies.
const BUILD: Duration = Duration::from_secs(900);

/// Builds all for [`RELEASE`], and gives the directory with the files.
///
/// # Errors
/// The tools cannot be installed, or the build failed; cargo has said why.
pub(crate) fn build() -> Result<PathBuf> {
    let programs = pypi::programs("zig", &TOOLS)?;
    let target = format!("{}-unknown-linux-gnu", env::consts::ARCH);
    let step = Step::start(format!("building for glibc {GLIBC}"));
    let mut cargo = build::cargo(RELEASE);
    cargo.args(["zigbuild", "--release", "--quiet", &format!("--target={target}.{GLIBC}")]);
    cargo.args(["--package", PLUGIN]);
    cargo.args(has_command().then_some(["--package", COMMAND]).into_iter().flatten());
    // Who builds something else meanwhile need not wait.
    let directory = build::target().join("zig");
    cargo.env("PATH", pypi::search_path(&programs)?).env("CARGO_TARGET_DIR", &directory);
    process::run(&mut cargo, BUILD)?;
    step.done();
    Ok(directory.join(target).join("release"))
}
