//! The processes in a user's slice, and signals that reach the right one.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use crate::crash;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::decimal::decimal;
use crate::deep::{is_too_deep, pids_below};

/// A process, as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    /// The name of its program, as the kernel keeps it: 15 bytes.
    pub(crate) name: String,
    /// Its cgroup, seen from the slice.
    pub(crate) cgroup: PathBuf,
}

/// How a process is named in a message.
impl fmt::Display for Process {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cgroup = printable(&self.cgroup.to_string_lossy());
        write!(out, "pid {} ({}) in {cgroup}", self.pid, self.name)
    }
}

/// The cgroups below `top`, seen from `slice`: down to where a branch is too deep.
/// What vanishes meanwhile is not there.
pub(crate) fn cgroups(slice: &Path, top: &Path) -> Vec<PathBuf> {
    let mut found = vec![top.to_owned()];
    let mut at = 0;
    while let Some(dir) = found.get(at).cloned() {
        at += 1;
        if is_too_deep(&dir) {
            continue;
        }
        let entries = fs::read_dir(slice.join(&dir)).into_iter().flatten().flatten();
        let dirs = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        found.extend(dirs.map(|entry| dir.join(entry.file_name())));
    }
    found
}

/// All processes below `slice`. One in a branch that is too deep counts as being
/// at its top.
pub(crate) fn processes(slice: &Path, proc: &Path) -> Vec<Process> {
    let in_cgroup = |cgroup: PathBuf| {
        let listed = fs::read_to_string(slice.join(&cgroup).join("cgroup.procs"));
        let mut pids = pids(&listed.unwrap_or_default());
        if is_too_deep(&cgroup) {
            pids.extend(pids_below(slice, &cgroup, proc));
        }
        pids.into_iter().filter_map(move |pid| {
            let name = name_in(&fs::read(proc.join(format!("{pid}/comm"))).ok()?);
            Some(Process { pid, name, cgroup: cgroup.clone() })
        })
    };
    cgroups(slice, Path::new("")).into_iter().flat_map(in_cgroup).collect()
}

/// The numbers in cgroup.procs; 0 is a process of another pid namespace.
pub(crate) fn pids(listed: &str) -> Vec<i32> {
    listed.lines().filter_map(decimal).filter(|pid| *pid > 0).collect()
}

/// A process names itself (prctl(2), PR_SET_NAME), also by other than text: it
/// must be found all the same, and write no line of its own into a log.
pub(crate) fn name_in(comm: &[u8]) -> String {
    printable(String::from_utf8_lossy(comm).trim())
}

fn printable(text: &str) -> String {
    text.replace(char::is_control, "?")
}

/// Sends `signal` to the process that `is_right` says it is. The descriptor
/// holds on to the process, so the check and the signal are for the same one,
/// although its number may be given to another at any time.
pub(crate) fn send(pid: i32, signal: Signal, is_right: impl FnOnce() -> bool) {
    let Some(fd) = Pid::from_raw(pid).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok())
    else {
        return;
    };
    crash::point();
    if is_right()
        && let Err(error) = pidfd_send_signal(fd, signal)
    {
        log::debug!("send signal {signal:?} to pid {pid}: {error}");
    }
}

/// The cgroups in which, and below which, there is nothing but `targets`.
pub(crate) fn whole_cgroups<'a>(all: &'a [Process], targets: &BTreeSet<i32>) -> BTreeSet<PathBuf> {
    let is_target = |process: &&Process| targets.contains(&process.pid);
    let (go, stay): (Vec<_>, Vec<_>) = all.iter().partition(is_target);
    // Each cgroup once: there may be tens of thousands of processes in one.
    let cgroups = |of: Vec<&'a Process>| {
        of.into_iter().map(|process| process.cgroup.as_path()).collect::<BTreeSet<_>>()
    };
    let shared: BTreeSet<&Path> = cgroups(stay).into_iter().flat_map(Path::ancestors).collect();
    let whole = cgroups(go).into_iter().filter(|cgroup| !shared.contains(cgroup));
    whole.filter(|cgroup| !cgroup.as_os_str().is_empty()).map(Path::to_path_buf).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: i32, cgroup: &str) -> Process {
        Process { pid, name: "sleep".into(), cgroup: cgroup.into() }
    }

    /// Show that a tree of cgroups is listed from the top, with what is in it.
    #[test]
    fn all_cgroups_are_searched() {
        let root = tempfile::tempdir().unwrap();
        let (slice, proc) = (root.path().join("slice"), root.path().join("proc"));
        for (dir, pids) in
            [("", ""), ("user@1.service", ""), ("user@1.service/a.scope/sub", "7\n8\n")]
        {
            fs::create_dir_all(slice.join(dir)).unwrap();
            fs::write(slice.join(dir).join("cgroup.procs"), pids).unwrap();
        }
        fs::create_dir_all(proc.join("7")).unwrap();
        fs::write(proc.join("7/comm"), "sleep\n").unwrap();
        let cgroups = cgroups(&slice, Path::new("user@1.service"));
        assert_eq!(cgroups.len(), 3, "{cgroups:?}");
        // Process 8 is gone since its number was read.
        let found = processes(&slice, &proc);
        assert_eq!(found, [process(7, "user@1.service/a.scope/sub")]);
        assert_eq!(found[0].to_string(), "pid 7 (sleep) in user@1.service/a.scope/sub");
        assert!(processes(&root.path().join("none"), &proc).is_empty());
    }

    /// Show that no name hides a process, and that none forges a line in a log.
    #[test]
    fn no_name_hides_a_process() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("cgroup.procs"), "0\n7\n").unwrap();
        fs::create_dir(root.path().join("7")).unwrap();
        for (comm, name) in
            [(&b"\xff\xfe\n"[..], "\u{fffd}\u{fffd}"), (b"a\n\x1b[2Jb\n", "a??[2Jb")]
        {
            fs::write(root.path().join("7/comm"), comm).unwrap();
            let found = processes(root.path(), root.path());
            assert_eq!(found.iter().map(|found| &*found.name).collect::<Vec<_>>(), [name]);
        }
        assert_eq!(process(7, "a\x1b.scope").to_string(), "pid 7 (sleep) in a?.scope");
    }

    /// Show that only a cgroup all of which is to go is taken as a whole.
    #[test]
    fn a_shared_cgroup_is_not_whole() {
        let all = [process(1, "a"), process(2, "a/b"), process(3, "c"), process(4, "")];
        let whole = |targets: &[i32]| whole_cgroups(&all, &targets.iter().copied().collect());
        assert_eq!(whole(&[1, 2, 3]), ["a", "a/b", "c"].map(PathBuf::from).into());
        assert_eq!(whole(&[1]), BTreeSet::new());
        assert_eq!(whole(&[2, 4]), [PathBuf::from("a/b")].into());
    }

    /// Show that a signal goes to the process that is meant, or to none.
    #[test]
    fn a_signal_needs_the_right_process() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        send(pid, Signal::KILL, || false);
        assert!(child.try_wait().unwrap().is_none());
        send(pid, Signal::KILL, || true);
        assert!(!child.wait().unwrap().success());
    }
}
