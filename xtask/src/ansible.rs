//! Ansible, for the role that installs the plugin.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use crate::{build, process, pypi};

/// The playbook of the example and the role, in the checkout.
pub(crate) const PLACE: &str = "packaging/ansible";

/// With the controller's own dependencies alone: the role uses no collection.
const TOOLS: [&str; 2] = ["ansible-core==2.19.14", "ansible-lint==26.10.1"];
const LINT: Duration = Duration::from_secs(180);

/// The directory with `ansible-playbook` and `ansible-lint`.
///
/// # Errors
/// They cannot be installed.
pub(crate) fn programs() -> Result<PathBuf> {
    pypi::programs("ansible", &TOOLS)
}

/// ansible-lint's strictest profile, which is the one that Galaxy asks for.
///
/// # Errors
/// What it finds.
pub(crate) fn lint() -> Result<()> {
    let programs = programs()?;
    let mut lint = Command::new(programs.join("ansible-lint"));
    lint.args(["--offline", "--strict", "--profile", "production", "site.yml"]);
    lint.arg("slurm_spank_linger").current_dir(build::checkout().join(PLACE));
    // Its cache would be in the checkout.
    lint.env("ANSIBLE_HOME", build::target().join("ansible"))
        .env("PATH", pypi::search_path(&programs)?);
    process::read(&mut lint, LINT).map(drop)
}
