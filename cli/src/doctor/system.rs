//! What the kernel and the node have to offer a session.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::Finding;
use super::slurmd::Release;
use crate::node::Node;
use crate::slurm_conf::{Settings, SlurmConf};
use crate::sweep;

pub(super) fn checks(node: &Node, is_own: bool) -> Vec<Finding> {
    let mut findings = vec![cgroup(node, is_own), audit(node, is_own), state(node)];
    if node.asked_by_root() {
        findings.push(leases(node));
    }
    findings
}

/// Whether cgroups are of version 2.
pub(super) fn is_unified(node: &Node) -> bool {
    node.roots.cgroup.join("cgroup.controllers").exists()
}

fn cgroup(node: &Node, is_own: bool) -> Finding {
    const CHECK: &str = "cgroup";
    const CURE: &str = "boot with systemd.unified_cgroup_hierarchy=1, or set confine=none for sessions \
                        without limits";
    const CURE_OF_OWN: &str = "boot with systemd.unified_cgroup_hierarchy=1, or set session=linger and \
                               confine=none for sessions without limits";
    let Ok(listed) = fs::read_to_string(node.roots.cgroup.join("cgroup.controllers")) else {
        let (found, cure) = if is_own {
            ("no unified hierarchy (cgroup v2): no session can be in its job", CURE_OF_OWN)
        } else {
            ("no unified hierarchy (cgroup v2): no session can be held to its jobs", CURE)
        };
        return Finding::fail(CHECK, found, cure);
    };
    let has = |name: &&str| listed.split_whitespace().any(|listed| listed == *name);
    let missing: Vec<_> =
        ["cpuset", "memory", "pids"].into_iter().filter(|name| !has(name)).collect();
    if missing.is_empty() {
        return Finding::ok(CHECK, "v2, with cpuset, memory and pids");
    }
    let found = format!("v2, without {}: not held to in a session", missing.join(", "));
    Finding::warn(CHECK, found, "boot without cgroup_disable= and with these controllers in v2")
}

/// The first release with cgroup/v2 (Slurm's RELEASE_NOTES). Older ones constrain nothing here.
pub(super) const KNOWS_V2: Release = Release { major: 22, minor: 5 };

/// A session mirrors what Slurm constrains, and nothing else.
pub(super) fn constrain(
    node: &Node,
    release: Option<&Release>,
    conf: Option<&SlurmConf>,
) -> Finding {
    const CHECK: &str = "constrain";
    if let Some(old) = release.filter(|release| **release < KNOWS_V2) {
        let found =
            format!("Slurm {old} knows no cgroup v2: it holds jobs to nothing, nor is a session");
        return Finding::warn(CHECK, found, format!("Slurm {KNOWS_V2} or later"));
    }
    let settings = conf.map(|conf| Settings::read(node, &conf.beside("cgroup.conf")));
    let settings = settings.unwrap_or_default();
    let by_cgroup = conf.is_some_and(|conf| conf.settings.has("TaskPlugin", "task/cgroup"));
    let is_on = |key: &&str| by_cgroup && settings.is_on(key);
    let keys = ["ConstrainRAMSpace", "ConstrainCores", "ConstrainDevices"];
    let (on, off): (Vec<_>, Vec<_>) = keys.into_iter().partition(is_on);
    if off.is_empty() {
        return Finding::ok(CHECK, on.join(", "));
    }
    let found = format!("Slurm does not hold jobs to {}, so nor is a session", off.join(", "));
    let cure = format!("{}=yes in cgroup.conf, and task/cgroup in TaskPlugin", off.join("=yes, "));
    Finding::warn(CHECK, found, cure)
}

/// /proc/pid/sessionid is there with CONFIG_AUDIT. A job's own session ends with it by its cgroup.
fn audit(node: &Node, is_own: bool) -> Finding {
    const CHECK: &str = "audit";
    if node.roots.proc.join("self/sessionid").exists() {
        return Finding::ok(CHECK, "the kernel has audit session ids");
    }
    if is_own {
        let found =
            "the kernel has no audit session ids: what a killed step leaves ends with its job";
        return Finding::ok(CHECK, found);
    }
    let found =
        "the kernel has no audit session ids: leftovers of a job end with its user's last job";
    Finding::warn(CHECK, found, "a kernel with CONFIG_AUDIT")
}

fn state(node: &Node) -> Finding {
    const CHECK: &str = "state";
    let places = [&node.roots.run, &node.roots.lib];
    let wrong = places.into_iter().find_map(|dir| wrong(node, dir));
    wrong.unwrap_or_else(|| {
        let names = places.map(|dir| node.name_of(dir).display().to_string());
        Finding::ok(CHECK, format!("{} are root's alone, or not there yet", names.join(" and ")))
    })
}

fn wrong(node: &Node, dir: &Path) -> Option<Finding> {
    const CHECK: &str = "state";
    let found = fs::symlink_metadata(dir).ok()?;
    let name = node.name_of(dir).display().to_string();
    if !found.is_dir() || found.uid() != node.owner {
        let cure = format!("remove {name}; the plugin makes it anew");
        return Some(Finding::fail(CHECK, format!("{name} is not a directory of root"), cure));
    }
    let mode = found.mode() & 0o777;
    (mode != 0o700).then(|| {
        let found = format!("{name} has mode {mode:04o}: the plugin does not trust it");
        Finding::fail(CHECK, found, format!("chmod 700 {name}"))
    })
}

/// Leases that nobody drops keep sessions open, and caps too wide. What is in a job's own session without one is ended
/// by nobody.
fn leases(node: &Node) -> Finding {
    const CHECK: &str = "leases";
    let sessions = sweep::sessions(node);
    let users = match sessions.users() {
        Ok(users) => users,
        Err(error) => return Finding::fail(CHECK, error.to_string(), "see to that directory"),
    };
    let strays = match sessions.strays() {
        Ok(strays) => strays,
        Err(error) => return unreadable(CHECK, &error),
    };
    let mut stale: Vec<_> =
        strays.iter().map(|stray| format!("/{}", stray.cgroup.display())).collect();
    for uid in users {
        match sessions.stale(uid) {
            Ok(due) if due.is_nothing() || due.is_kept() => {}
            Ok(_) => stale.push(format!("uid {uid}")),
            Err(error) => return unreadable(CHECK, &error),
        }
    }
    if stale.is_empty() {
        return Finding::ok(CHECK, "none is stale");
    }
    Finding::warn(CHECK, format!("left by ended jobs: {}", stale.join(", ")), "spank-linger sweep")
}

fn unreadable(check: &'static str, error: &user_session::Error) -> Finding {
    Finding::fail(check, error.to_string(), "remove the file; a job's next step writes it anew")
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::super::tests::assert_finding;
    use super::*;
    use crate::node::made_up::node;

    /// Show that cgroup v1, and a controller that is missing, are named.
    #[test]
    fn cgroups_are_unified_or_not() {
        let with = |listed| node().with("/sys/fs/cgroup/cgroup.controllers", listed);
        let full = with("cpuset cpu io memory pids\n");
        assert_finding(&cgroup(&full.node, false), State::Ok, &["v2"]);
        let less = with("cpu memory pids\n");
        assert_finding(
            &cgroup(&less.node, false),
            State::Warn,
            &["without cpuset", "cgroup_disable"],
        );
        let words = ["no unified", "systemd.unified_cgroup_hierarchy=1"];
        assert_finding(&cgroup(&node().node, false), State::Fail, &words);
        let own = ["can be in its job", "session=linger and confine=none"];
        assert_finding(&cgroup(&node().node, true), State::Fail, &own);
    }

    /// Show that what Slurm does not constrain is named.
    #[test]
    fn what_slurm_does_not_constrain_is_named() {
        let found_by = |release: &Release, task: &str, cgroup: &str| {
            let made_up =
                node().with("/etc/slurm/slurm.conf", task).with("/etc/slurm/cgroup.conf", cgroup);
            let conf = SlurmConf::find(&made_up.node, None);
            constrain(&made_up.node, Some(release), conf.as_ref())
        };
        let found = |task: &str, cgroup: &str| found_by(&KNOWS_V2, task, cgroup);
        let all = "ConstrainRAMSpace=yes\nConstrainCores=yes\nConstrainDevices=yes\n";
        let with_cgroup = "TaskPlugin=task/cgroup,task/affinity";
        assert_finding(&found(with_cgroup, all), State::Ok, &["ConstrainRAMSpace"]);
        let less = found(with_cgroup, "ConstrainCores=yes\nConstrainDevices=yes");
        assert_finding(&less, State::Warn, &["ConstrainRAMSpace=yes in cgroup.conf"]);
        let none = found("TaskPlugin=task/affinity", all);
        assert_finding(&none, State::Warn, &["task/cgroup in TaskPlugin"]);
        let old = found_by(&Release { major: 20, minor: 11 }, with_cgroup, all);
        assert_finding(&old, State::Warn, &["Slurm 20.11 knows no cgroup v2", "22.05 or later"]);
    }

    /// Show that a kernel without audit session ids is named.
    #[test]
    fn audit_ids_are_there_or_not() {
        let there = node().with("/proc/self/sessionid", "1");
        assert_finding(&audit(&there.node, false), State::Ok, &[]);
        assert_finding(&audit(&node().node, false), State::Warn, &["last job", "CONFIG_AUDIT"]);
        assert_finding(&audit(&node().node, true), State::Ok, &["ends with its job"]);
    }

    /// Show that state directories that the plugin would refuse are named.
    #[test]
    fn state_is_roots_alone() {
        assert_finding(&state(&node().node), State::Ok, &["/run/spank-linger"]);
        let private = node().with_dir("/run/spank-linger", 0o700);
        assert_finding(&state(&private.node), State::Ok, &[]);
        let open = node().with_dir("/var/lib/spank-linger", 0o755);
        let words = ["/var/lib/spank-linger has mode 0755", "chmod 700 /var/lib/spank-linger"];
        assert_finding(&state(&open.node), State::Fail, &words);
        let file = node().with("/run/spank-linger", "");
        assert_finding(&state(&file.node), State::Fail, &["remove /run/spank-linger"]);
        let mut others = private;
        others.node.owner += 1;
        assert_finding(&state(&others.node), State::Fail, &["remove /run/spank-linger"]);
    }

    /// Show that what ended jobs have left is named, a session without a lease too, and a record that cannot be
    /// read.
    #[test]
    fn stale_leases_are_named() {
        assert_finding(&leases(&node().node), State::Ok, &["none is stale"]);
        let record = r#"{"version":1,"name":"erin","linger_before":false}"#;
        let left = node().with("/var/lib/spank-linger/4711", record);
        assert_finding(&leases(&left.node), State::Warn, &["uid 4711", "spank-linger sweep"]);
        let session = "/system.slice/slurmstepd.scope/job_7/step_extern/user/session";
        let stray = node().with_dir(&format!("/sys/fs/cgroup{session}"), 0o755);
        assert_finding(&leases(&stray.node), State::Warn, &[session, "spank-linger sweep"]);
        let broken = node().with("/var/lib/spank-linger/4711", "{");
        assert_finding(&leases(&broken.node), State::Fail, &["not a state file", "remove"]);
    }
}
