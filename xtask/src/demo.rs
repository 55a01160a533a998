//! `cargo xtask demo`: the same Podman job without the plugin, with it, and with `session=job`, on a fresh node.
use std::path::Path;

use anyhow::{Result, ensure};

use crate::build;
use crate::cluster::{Cluster, Options};
use crate::plugin;
use crate::progress::Step;
use crate::suite::Suite;

use measured::Measured;

mod measured;
mod promise;
mod report;
mod table;
mod trial;

const SUITE: Suite = Suite::Trixie;

/// The plugin's line for the last run. Arguments are read anew for each job.
const OWN: &str = "optional spank_linger.so session=job";

/// The runs of the job, in the order of the table's columns.
struct Runs {
    without: Measured,
    /// With the plugin as it is installed.
    shared: Measured,
    /// With a session in the job's own cgroup.
    own: Measured,
}

/// Build the plugin and a node, run the job three times, show all of them.
///
/// # Errors
/// Something did not work, or the outcome is not the promised one.
pub fn run() -> Result<()> {
    let plugin = build::plugin(SUITE.slurm())?;
    // Dropped at the end of this function, it ends the node: also on an error or Ctrl-C.
    let cluster = Cluster::up(SUITE, &Options::default())?;
    // Podman remembers the run root of its first run, so each run has a user of its own.
    let without = trial(&cluster, "alice", "without the plugin")?;
    install(&cluster, &plugin)?;
    let shared = trial(&cluster, "bob", "with the plugin")?;
    plugin::put_line(&cluster, OWN)?;
    let own = trial(&cluster, "carol", "with session=job")?;
    cluster.down()?;
    let runs = Runs { without, shared, own };
    print!("{}", report::of(&runs));
    let broken = promise::broken(&runs);
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

fn trial(cluster: &Cluster, user: &str, how: &str) -> Result<Measured> {
    let step = Step::start(format!("running the job {how}"));
    let measured = trial::run(cluster, user)?;
    step.done();
    Ok(measured)
}
