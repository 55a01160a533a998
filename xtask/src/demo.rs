//! `cargo xtask demo`: the same Podman job without and with the plugin, on a fresh node.
use std::path::Path;

use anyhow::{Result, ensure};

use crate::build;
use crate::cluster::{Cluster, Options};
use crate::plugin;
use crate::progress::Step;
use crate::suite::Suite;

mod measured;
mod promise;
mod report;
mod table;
mod trial;

const SUITE: Suite = Suite::Trixie;

/// Build the plugin and a node, run the job twice, show both.
///
/// # Errors
/// Something did not work, or the outcome is not the promised one.
pub fn run() -> Result<()> {
    let plugin = build::plugin(SUITE.slurm())?;
    // Dropped at the end of this function, it ends the node: also on an error or Ctrl-C.
    let cluster = Cluster::up(SUITE, &Options::default())?;
    // Podman remembers the run root of its first run, so each run has a user of its own.
    let without = trial(&cluster, "alice", "without")?;
    install(&cluster, &plugin)?;
    let with = trial(&cluster, "bob", "with")?;
    cluster.down()?;
    print!("{}", report::of(&without, &with));
    let broken = promise::broken(&without, &with);
    ensure!(broken.is_empty(), "this is not what was promised: {}", broken.join("; "));
    let checkout = build::checkout();
    let plugin = plugin.strip_prefix(&checkout).unwrap_or(&plugin);
    print!("{}", report::next(&plugin.display().to_string()));
    Ok(())
}

fn install(cluster: &Cluster, plugin: &Path) -> Result<()> {
    let step = Step::start("installing the plugin on the node");
    plugin::push(cluster, plugin)?;
    step.done();
    Ok(())
}

fn trial(cluster: &Cluster, user: &str, how: &str) -> Result<measured::Measured> {
    let step = Step::start(format!("running the job {how} the plugin"));
    let measured = trial::run(cluster, user)?;
    step.done();
    Ok(measured)
}
