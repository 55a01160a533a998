//! What a session inside its job needs of a node (`session=job`).

use std::fs;

use user_session::MANAGERS;

use super::slurm::Slurm;
use super::system::KNOWS_V2;
use super::{Finding, system};
use crate::node::Node;

const OR_ELSE: &str = "or session=linger in the plugin's line";

pub(super) fn checks(node: &Node, slurm: &Slurm) -> Vec<Finding> {
    if !slurm.is_own() {
        return Vec::new();
    }
    let mut findings = vec![job_cgroup(slurm)];
    if system::is_unified(node) {
        findings.push(cgroup_kill(node));
    }
    findings.push(program(node));
    findings
}

/// In which the session is.
fn job_cgroup(slurm: &Slurm) -> Finding {
    const CHECK: &str = "job-cgroup";
    const TRACKS: &str = "proctrack/cgroup";
    if let Some(old) = slurm.release.as_ref().ok().filter(|release| **release < KNOWS_V2) {
        let found = format!("Slurm {old} knows no cgroup v2: no session can be in its job");
        return Finding::fail(CHECK, found, format!("Slurm {KNOWS_V2} or later, {OR_ELSE}"));
    }
    let set = slurm.conf.as_ref().and_then(|conf| conf.settings.get("ProctrackType"));
    match set {
        Some(other) if !other.eq_ignore_ascii_case(TRACKS) => {
            let found = format!("{other}: jobs have no cgroup in which a session could be");
            let cure = format!("ProctrackType={TRACKS} in slurm.conf, {OR_ELSE}");
            Finding::fail(CHECK, found, cure)
        }
        Some(_) => Finding::ok(CHECK, TRACKS),
        None => Finding::ok(CHECK, format!("{TRACKS}, Slurm's default")),
    }
}

/// By which all of it ends at once. Each cgroup has the file but the first (cgroup v2).
fn cgroup_kill(node: &Node) -> Finding {
    const CHECK: &str = "cgroup-kill";
    let entries = fs::read_dir(&node.roots.cgroup).into_iter().flatten().flatten();
    let has_kill = entries.map(|entry| entry.path().join("cgroup.kill")).any(|kill| kill.exists());
    if has_kill {
        return Finding::ok(CHECK, "the kernel ends a cgroup as a whole");
    }
    let found = "the kernel has no cgroup.kill: it could not end a session with its job";
    Finding::fail(CHECK, found, format!("Linux 5.14 or later, {OR_ELSE}"))
}

/// That is started as a job's manager.
fn program(node: &Node) -> Finding {
    const CHECK: &str = "manager-program";
    node.first(&MANAGERS).map_or_else(
        || {
            let found = format!("no program {}: no manager can start", MANAGERS.join(" or "));
            Finding::fail(CHECK, found, "reinstall systemd")
        },
        |program| Finding::ok(CHECK, program),
    )
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::super::tests::assert_finding;
    use super::*;
    use crate::node::made_up::{MadeUp, node};

    /// A node whose jobs have sessions of their own, with that in slurm.conf.
    fn with_conf(conf: &str) -> MadeUp {
        node()
            .with("/etc/slurm/slurm.conf", conf)
            .with("/etc/slurm/plugstack.conf", "optional spank_linger.so session=job\n")
    }

    fn all(made_up: &MadeUp) -> Vec<Finding> {
        checks(&made_up.node, &Slurm::of(&made_up.node))
    }

    /// Show that nothing is asked for where jobs share sessions, and all of it where they do not.
    #[test]
    fn only_session_job_needs_it() {
        let shared = with_conf("").with("/etc/slurm/plugstack.conf", "optional spank_linger.so\n");
        assert!(all(&shared).is_empty());
        let well = with_conf("")
            .with("/sys/fs/cgroup/cgroup.controllers", "memory\n")
            .with("/sys/fs/cgroup/system.slice/cgroup.kill", "")
            .with("/lib/systemd/systemd", "");
        let found = all(&well);
        for (finding, word) in found.iter().zip(["default", "as a whole", "/lib/systemd/systemd"]) {
            assert_finding(finding, State::Ok, &[word]);
        }
        assert_eq!(found.len(), 3);
    }

    /// Show that jobs without a cgroup are named, by what Slurm is told and by what it is.
    #[test]
    fn jobs_have_a_cgroup_or_not() {
        let found = |made_up: MadeUp| job_cgroup(&Slurm::of(&made_up.node));
        let cgroup = with_conf("ProctrackType=proctrack/cgroup");
        assert_finding(&found(cgroup), State::Ok, &["proctrack/cgroup"]);
        let other = found(with_conf("ProctrackType=proctrack/linuxproc"));
        let words =
            ["proctrack/linuxproc: jobs", "ProctrackType=proctrack/cgroup", "session=linger"];
        assert_finding(&other, State::Fail, &words);
        let old = with_conf("").with_tools([("slurmd -V", Ok("slurm-wlm 20.11.9\n"))]);
        assert_finding(&found(old), State::Fail, &["Slurm 20.11 knows no", "22.05 or later"]);
    }

    /// Show that a kernel that cannot end a cgroup is named, and a node without systemd's program.
    #[test]
    fn what_is_missing_is_named() {
        let made_up = with_conf("").with("/sys/fs/cgroup/cgroup.controllers", "memory\n");
        let old = cgroup_kill(&made_up.node);
        assert_finding(&old, State::Fail, &["no cgroup.kill", "Linux 5.14", "session=linger"]);
        assert_finding(&program(&made_up.node), State::Fail, &["/usr/lib/systemd/systemd or /lib"]);
        // Of cgroups of version 1 another check tells.
        assert_eq!(all(&with_conf("")).len(), 2);
    }
}
