//! Tests on nodes: bring them up, put the plugin in, run, end them.

use std::time::Duration;

use anyhow::Result;

use super::tally::Tally;
use crate::cluster::{Cluster, Options};
use crate::suite::Suite;
use crate::{build, interrupt};

/// The longest part takes 12 minutes on two cores.
const PART: Duration = Duration::from_secs(2400);

pub(crate) fn test(
    suite: Suite,
    nodes: u8,
    targets: &[&str],
    name: Option<&str>,
    tally: &mut Tally,
) -> Result<()> {
    let tested = run(suite, nodes, targets, name, tally);
    if let Err(error) = tested {
        interrupt::check()?;
        tally.fail(&format!("node tests on {}", suite.name()), &error);
    }
    Ok(())
}

fn run(
    suite: Suite,
    nodes: u8,
    targets: &[&str],
    name: Option<&str>,
    tally: &mut Tally,
) -> Result<()> {
    let plugin = build::plugin(suite.slurm())?;
    let other = build::plugin(build::other_than(suite.slurm()))?;
    let cluster = Cluster::up(suite, &Options { nodes, ..Options::default() })?;
    cluster.push_plugin(&plugin)?;
    println!("==> testing {} with {nodes} node(s): {}", suite.name(), targets.join(", "));
    let mut cargo = build::cargo(suite.slurm());
    cargo.args(["test", "--quiet", "--package", "cluster-tests"]);
    cargo.args(targets.iter().flat_map(|target| ["--test", target]));
    cargo.args(["--", "--test-threads=1", "--format=pretty"]).args(name);
    cargo
        .env("LINGER_SSH_CONFIG", cluster.ssh_config())
        .env("LINGER_SUITE", suite.name())
        .env("LINGER_SLURM_VERSION", suite.slurm())
        .env("LINGER_OTHER_PLUGIN", other)
        .env("RUST_BACKTRACE", "0");
    tally.cargo_test(&mut cargo, PART)?;
    cluster.down()
}
