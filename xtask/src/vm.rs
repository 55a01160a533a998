//! `cargo xtask vm`: test nodes by hand.
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Subcommand;

use crate::cache::Cache;
use crate::cluster::{Cluster, Options};
use crate::image::Image;
use crate::progress::Step;
use crate::state::State;
use crate::suite::Suite;
use crate::{plugin, tools};

const LOGS: Duration = Duration::from_secs(30);
const SHOW_LOGS: &str =
    "tail -n 40 /var/log/slurm/slurmctld.log /var/log/slurm/slurmd.log 2>/dev/null";

/// What to do with a node. NAME is the suite's name unless given to `up`.
#[derive(Subcommand)]
pub enum Task {
    /// Build a node's image, if the cache does not have it.
    Build {
        /// The Debian release.
        suite: Suite,
    },
    /// Boot a node, or two, and wait until Slurm is ready.
    Up {
        /// The Debian release.
        suite: Suite,
        /// One node, or two in one network.
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=2))]
        nodes: u8,
        /// Its name for the other commands; by default the suite's.
        #[arg(long)]
        name: Option<String>,
        /// Others run beside it: an emulated node keeps to one core.
        #[arg(long)]
        beside: bool,
        /// One CPU and no cpuset will do: not emulated, where the host can do that.
        #[arg(long)]
        light: bool,
    },
    /// A shell on a node, or a command.
    Ssh {
        /// The cluster's name.
        name: String,
        /// The node, with a user if not root: n2, alice@n1.
        #[arg(long, default_value = "n1")]
        node: String,
        /// The command; none: a shell.
        #[arg(last = true)]
        command: Vec<String>,
    },
    /// Put a built plugin into the nodes and restart slurmd.
    Push {
        /// The cluster's name.
        name: String,
        /// The plugin; by default what `cargo build --release` made, or for bullseye
        /// what `cargo xtask dist` makes.
        #[arg(long)]
        plugin: Option<PathBuf>,
    },
    /// Slurm's logs and the consoles.
    Logs {
        /// The cluster's name.
        name: String,
    },
    /// End the nodes.
    Down {
        /// The cluster's name.
        name: String,
    },
    /// Take the power from a node and give it back.
    Reset {
        /// The cluster's name.
        name: String,
        /// The node.
        #[arg(long, default_value = "n1")]
        node: String,
    },
}

/// Do it.
///
/// # Errors
/// It did not work.
pub fn run(task: Task) -> Result<()> {
    match task {
        Task::Build { suite } => build(suite),
        Task::Up { suite, nodes, name, beside, light } => {
            up(suite, &Options { name, nodes, stay: true, beside, light })
        }
        Task::Ssh { name, node, command } => ssh(&name, &node, &command),
        Task::Push { name, plugin } => push(&name, plugin),
        Task::Logs { name } => logs(&name),
        Task::Down { name } => State::end(&name),
        Task::Reset { name, node } => reset(&name, &node),
    }
}

/// Sees to it that a node's image is there.
pub(crate) fn build(suite: Suite) -> Result<()> {
    tools::ensure_all()?;
    Image::ensure(&Cache::open()?, suite).map(drop)
}

fn up(suite: Suite, options: &Options) -> Result<()> {
    let shown = options.name.clone().unwrap_or_else(|| suite.name().to_owned());
    let cluster = Cluster::up(suite, options)?;
    println!("{shown} is ready: cargo xtask vm ssh {shown}");
    println!("or: ssh -F {} n1", cluster.ssh_config().display());
    Ok(())
}

fn ssh(name: &str, node: &str, command: &[String]) -> Result<()> {
    let mut ssh = Cluster::attach(name)?.ssh();
    Err(ssh.arg(node).args(command).exec()).context("start ssh")
}

fn push(name: &str, plugin: Option<PathBuf>) -> Result<()> {
    let cluster = Cluster::attach(name)?;
    let plugin = plugin.map_or_else(|| plugin::built(cluster.suite()), Ok)?;
    let step = Step::start(format!("putting the plugin into {name}"));
    plugin::push(&cluster, &plugin)?;
    step.done();
    Ok(())
}

fn logs(name: &str) -> Result<()> {
    let cluster = Cluster::attach(name)?;
    println!("{}", cluster.consoles());
    for node in cluster.nodes() {
        let output = cluster.run(node, SHOW_LOGS, LOGS)?;
        println!("\nlogs of {node}:\n{}", String::from_utf8_lossy(&output.stdout));
    }
    Ok(())
}

fn reset(name: &str, node: &str) -> Result<()> {
    let cluster = Cluster::attach(name)?;
    let step = Step::start(format!("resetting {node} of {name}"));
    cluster.reset(node)?;
    step.done();
    Ok(())
}
