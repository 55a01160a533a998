//! What the machines of a cluster have in common, of whatever kind they are.
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::accel::Accel;
use crate::cache::Cache;
use crate::image::{self, Image};

const MEMORY_OVERRIDE: &str = "LINGER_NODE_MEMORY";
/// slurm.conf promises 1800 MB of it.
const LEAST_MEMORY: u32 = 2048;
const CONSOLE_LINES: usize = 25;

/// What all machines of one cluster have in common.
pub(crate) struct Plan<'a> {
    pub(crate) name: &'a str,
    pub(crate) cache: &'a Cache,
    /// The cluster's own.
    pub(crate) directory: &'a Path,
    pub(crate) image: &'a Image,
    pub(crate) accel: Accel,
    pub(crate) nodes: u8,
    pub(crate) memory: u32,
    /// Whether the machines outlive this process.
    pub(crate) stay: bool,
    /// Whether others run beside them.
    pub(crate) beside: bool,
}

impl Plan<'_> {
    /// A file of a node's.
    pub(crate) fn file(&self, node: &str, kind: &str) -> PathBuf {
        file(self.directory, node, kind)
    }
}

/// The same, of a cluster with that directory.
pub(crate) fn file(directory: &Path, node: &str, kind: &str) -> PathBuf {
    directory.join(format!("{node}.{kind}"))
}

/// The end of a file, as much as somebody reads.
pub(crate) fn tail(path: &Path) -> String {
    image::tail(path, CONSOLE_LINES)
}

/// How a node of ours is known among the host's processes.
pub(crate) fn mark(cluster: &str, node: &str) -> String {
    format!("spank-linger/{cluster}/{node}")
}

/// What tells one node from the other.
pub(crate) fn own_options(node: &str, number: u8, nodes: u8) -> String {
    format!("net.ifnames=0 systemd.hostname={node} linger.number={number} linger.nodes={nodes}")
}

/// So that it ends with us, even when we are killed. The kernel watches the thread that starts
/// it: clusters are brought up from the main thread.
pub(crate) fn bound_to_us(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--", program]);
    command
}

/// What each node gets, in megabytes.
///
/// # Errors
/// The variable for it says nonsense, or too little.
pub(crate) fn memory() -> Result<u32> {
    let Ok(text) = env::var(MEMORY_OVERRIDE) else { return Ok(LEAST_MEMORY) };
    let memory =
        text.parse().with_context(|| format!("{MEMORY_OVERRIDE} is a number of megabytes"))?;
    ensure!(memory >= LEAST_MEMORY, "{MEMORY_OVERRIDE} is {LEAST_MEMORY} at least");
    Ok(memory)
}
