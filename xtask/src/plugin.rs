//! Putting a built plugin into the nodes.
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::cluster::Cluster;
use crate::suite::Suite;
use crate::{build, dist, process};

const COPY: Duration = Duration::from_secs(60);
const RESTART: Duration = Duration::from_secs(60);
const PUT_CONFIG: &str = "cat >/etc/slurm/plugstack.conf.d/linger.conf";
const PUT_BUS: &str = "mkdir --parents /usr/lib/systemd/user/dbus.service.d; \
    cat >/usr/lib/systemd/user/dbus.service.d/spank-linger.conf";
const PUT: Duration = Duration::from_secs(30);

/// What is there to put into a release's nodes: what cargo has left, or what is packaged.
pub(crate) fn built(suite: Suite) -> Result<PathBuf> {
    if suite.has_old_libc() {
        return Ok(dist::packages()?.plugin(suite.slurm()));
    }
    Ok(build::target().join("release/libspank_linger.so"))
}

/// Into every node, with the repository's plugstack line, and slurmd started anew: it looks for
/// prologs only when it starts.
pub(crate) fn push(cluster: &Cluster, plugin: &Path) -> Result<()> {
    ensure!(plugin.exists(), "{} is not there: build it first", plugin.display());
    let line = build::checkout().join("plugstack.conf.d/linger.conf");
    for node in cluster.nodes() {
        feed(cluster, node, "linger-node-plugin", plugin)
            .with_context(|| format!("put the plugin into {node}"))?;
        feed(cluster, node, PUT_CONFIG, &line)?;
        feed(cluster, node, PUT_BUS, &build::checkout().join(dist::BUS))?;
        cluster.must_run(node, "systemctl restart slurmd", RESTART)?;
    }
    cluster.wait_idle()
}

/// Have the plugin's line be that on every node, for the jobs that begin from now on.
pub(crate) fn put_line(cluster: &Cluster, line: &str) -> Result<()> {
    let put = format!("echo '{line}' | {PUT_CONFIG}");
    cluster.nodes().try_for_each(|node| cluster.must_run(node, &put, PUT).map(drop))
}

/// Run a command on the node with the file as its input.
pub(crate) fn feed(cluster: &Cluster, node: &str, script: &str, file: &Path) -> Result<()> {
    let input = File::open(file).with_context(|| format!("read {}", file.display()))?;
    ensure!(fs::metadata(file)?.len() > 0, "{} is empty", file.display());
    let mut ssh = cluster.ssh();
    ssh.args([node, script]).stdin(Stdio::from(input));
    process::run(&mut ssh, COPY)
}
