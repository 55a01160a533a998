//! Whether a user's manager can see what it asks of /proc.

use super::{Finding, Version};
use crate::node::Node;

const CHECK: &str = "proc";

/// Until 248 a manager reads `/proc/1/cgroup`, for the controllers that the kernel has ("Failed to determine supported
/// controllers: No such process", systemd issue 12955); then its own cgroup's (18553).
const ASKS_ITS_OWN: Version = (249, 0);

/// `hidepid=` in proc(5): noaccess, invisible or ptraceable, or their numbers.
pub(super) fn check(node: &Node, version: Option<Version>) -> Finding {
    let options = options(node).unwrap_or_default();
    let value = |key: &str| {
        let mut pairs = options.split(',').filter_map(|option| option.split_once('='));
        pairs.find(|(name, _)| *name == key).map(|(_, value)| value)
    };
    let hides = value("hidepid").filter(|value| !["0", "off"].contains(value));
    let Some(hides) = hides else { return Finding::ok(CHECK, "shows users all processes") };
    let Some(old) = version.filter(|version| *version < ASKS_ITS_OWN) else {
        return Finding::ok(CHECK, format!("hidepid={hides}, which this systemd can live with"));
    };
    let found = format!("hidepid={hides}, and no user's manager of systemd {} starts so", old.0);
    let cure = "mount /proc with hidepid=0, or systemd 249 or later";
    match value("gid") {
        None => Finding::fail(CHECK, found, cure),
        Some(gid) => Finding::warn(
            CHECK,
            format!("{found} without group {gid}"),
            format!("{cure}, or SupplementaryGroups={gid} in a drop-in for user@.service"),
        ),
    }
}

/// Of the file system that covers the others there, as proc_pid_mountinfo(5) has them.
fn options(node: &Node) -> Option<String> {
    let mounts = std::fs::read_to_string(node.roots.proc.join("self/mountinfo")).ok()?;
    let is_proc = |line: &&str| line.split(' ').nth(4) == Some("/proc");
    let (_, of_the_system) = mounts.lines().rfind(is_proc)?.split_once(" - ")?;
    of_the_system.split(' ').nth(2).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::super::tests::assert_finding;
    use super::*;
    use crate::node::made_up::node;

    /// Show that hidden processes are named where systemd is too old for them, and what helps there.
    #[test]
    fn hidden_processes_matter_to_an_old_systemd() {
        let with = |options: &str, version| {
            let line = format!("22 28 0:21 / /proc rw,nosuid shared:13 - proc proc {options}\n");
            let other = "23 28 0:22 / /srv/proc rw - proc proc rw,hidepid=2\n";
            check(&node().with("/proc/self/mountinfo", line + other).node, version)
        };
        let old = Some((239, 0));
        for shown in ["rw", "rw,hidepid=0", "rw,hidepid=off,gid=4"] {
            assert_finding(&with(shown, old), State::Ok, &["all processes"]);
        }
        let hidden = with("rw,hidepid=invisible", old);
        assert_finding(&hidden, State::Fail, &["hidepid=invisible", "systemd 239", "249 or later"]);
        let group = with("rw,gid=4,hidepid=1", Some((248, 3)));
        assert_finding(&group, State::Warn, &["without group 4", "SupplementaryGroups=4"]);
        assert_finding(&with("rw,hidepid=2", Some((249, 0))), State::Ok, &["hidepid=2"]);
        assert_finding(&with("rw,hidepid=2", None), State::Ok, &[]);
        assert_finding(&check(&node().node, old), State::Ok, &[]);
    }
}
