//! The machine that the figures are of: without names and paths, because the figures are published.

use std::fs;
use std::time::Duration;

use anyhow::Result;

use crate::cluster::Cluster;

const LOOK: Duration = Duration::from_secs(60);

/// One line each: its name, a blank, what it is.
const NODE: &str = "echo \"kernel $(uname -r)\"\n\
    echo \"CPUs $(nproc)\"\n\
    echo \"memory $(awk '/^MemTotal/ { printf \"%d MB\", $2 / 1024 }' /proc/meminfo)\"\n\
    echo \"virtualization $(systemd-detect-virt)\"\n\
    echo \"systemd $(systemctl --version | awk 'NR == 1 { print $2 }')\"\n\
    echo \"Slurm $(slurmd -V | awk '{ print $2 }')\"";

/// What is known of the node and of the machine it runs on, in the order to be shown.
pub(super) fn describe(cluster: &Cluster) -> Result<Vec<(String, String)>> {
    let printed = cluster.must_run("n1", NODE, LOOK)?;
    let mut all = facts(&printed, "node");
    all.push(("host: processor".into(), processor()));
    all.push(("host: load, one minute".into(), load()));
    Ok(all)
}

/// How much else this machine does: figures of a busy one are not worth much.
pub(super) fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}

fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let names = text.lines().filter_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let names = names.map(|(_, name)| name).collect::<Vec<_>>();
    format!("{} × {}", names.len(), names.first().copied().unwrap_or("unknown"))
}

fn facts(printed: &str, whose: &str) -> Vec<(String, String)> {
    let lines = printed.lines().filter_map(|line| line.split_once(' '));
    lines.map(|(name, value)| (format!("{whose}: {name}"), value.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Show that what the node says becomes rows.
    #[test]
    fn lines_become_facts() {
        let facts = facts("kernel 6.12\nmemory 2048 MB\n", "node");
        let expected = [("node: kernel", "6.12"), ("node: memory", "2048 MB")];
        assert_eq!(facts, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
}
