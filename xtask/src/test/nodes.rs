//! Tests on nodes: bring them up, put the plugin in, run, end them.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::Result;

use super::Unit;
use super::tally::Tally;
use crate::cluster::{Cluster, Options};
use crate::suite::Suite;
use crate::{build, interrupt};

/// The longest part takes 25 minutes on two cores.
const PART: Duration = Duration::from_secs(4800);

/// Which tests run on which nodes.
pub(crate) struct NodeTests<'a> {
    pub(crate) unit: &'a Unit,
    /// Only tests whose name contains this.
    pub(crate) name: Option<&'a str>,
}

impl NodeTests<'_> {
    /// Runs them; what goes wrong before a test begins counts as a failure.
    pub(crate) fn run(&self, tally: &mut Tally) -> Result<()> {
        if let Err(error) = self.on_nodes(tally) {
            interrupt::check()?;
            tally.fail(&format!("node tests on {}", self.unit.suite.name()), &error);
        }
        Ok(())
    }

    fn on_nodes(&self, tally: &mut Tally) -> Result<()> {
        let (cluster, other, crash) = self.prepare()?;
        let (suite, targets) = (self.unit.suite.name(), self.unit.targets.join(", "));
        println!("==> testing {suite} with {} node(s): {targets}", self.unit.nodes);
        let mut cargo = self.cargo();
        cargo.env("LINGER_SSH_CONFIG", cluster.ssh_config()).env("LINGER_OTHER_PLUGIN", other);
        cargo.envs(crash.map(|crash| ("LINGER_CRASH_PLUGIN", crash)));
        tally.cargo_test(self.label(), &mut cargo, PART)?;
        cluster.down()
    }

    /// One at a time: builds share a directory, and a fresh machine gets its tools.
    fn prepare(&self) -> Result<(Cluster, PathBuf, Option<PathBuf>)> {
        static PREPARING: Mutex<()> = Mutex::new(());
        let _preparing = PREPARING.lock();
        let slurm = self.unit.suite.slurm();
        let plugin = build::plugin(slurm)?;
        let other = build::plugin(build::other_than(slurm))?;
        let is_killed = self.unit.targets.contains(&"crashes");
        let crash = is_killed.then(|| build::crashing_plugin(slurm)).transpose()?;
        let options = Options { nodes: self.unit.nodes, beside: true, ..Options::default() };
        let cluster = Cluster::up(self.unit.suite, &options)?;
        cluster.push_plugin(&plugin)?;
        Ok((cluster, other, crash))
    }

    /// What the lines of its tests begin with.
    fn label(&self) -> &'static str {
        match (self.unit.suite, self.unit.nodes) {
            (_, 2) => "[two nodes] ",
            (Suite::Trixie, _) => "[trixie] ",
            (Suite::Bookworm, _) => "[bookworm] ",
            (Suite::Forky, _) => "[forky] ",
        }
    }

    fn cargo(&self) -> Command {
        let mut cargo = build::cargo(self.unit.suite.slurm());
        cargo.args(["test", "--quiet", "--package", "cluster-tests", "--no-fail-fast"]);
        cargo.args(self.unit.targets.iter().flat_map(|target| ["--test", target]));
        cargo.args(["--", "--test-threads=1", "--format=pretty"]).args(self.name);
        cargo.env("LINGER_SLURM_VERSION", self.unit.suite.slurm()).env("RUST_BACKTRACE", "0");
        cargo
    }
}
