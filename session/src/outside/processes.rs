//! The processes in a user's slice, and signals that reach the right one.

use std::fmt;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::outside::text::{bytes, text};
use crate::outside::tree::dirs_in;
use crate::outside::{crash, scan};
use crate::terms::decimal::decimal;
use crate::terms::error::{Error, Result};
use crate::terms::roots::{Roots, manager};
use crate::terms::set::Set;

/// A process, as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    /// The name of its program, as the kernel keeps it: 15 bytes.
    pub(crate) name: String,
    /// Its cgroup, seen from the slice.
    pub(crate) cgroup: PathBuf,
}

impl Process {
    /// Whether its cgroup may be out of reach for a path. Where the kernel does not
    /// tell that, it is named as the manager's, in which no process can be itself.
    pub(crate) fn is_out_of_reach(&self, uid: u32) -> bool {
        self.cgroup == manager(uid) || self.cgroup.as_os_str().len() > LONGEST
    }
}

/// How a process is named in a message.
impl fmt::Display for Process {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cgroup = printable(&self.cgroup.to_string_lossy());
        write!(out, "pid {} ({}) in {cgroup}", self.pid, self.name)
    }
}

/// More cgroups than any session has that means well, and longer paths, in bytes.
const MOST: usize = 1000;
const LONGEST: usize = 2048;

/// The cgroups of a slice, seen from it. None where there are too many, or a path
/// is too long. What vanishes meanwhile is not there.
fn cgroups(slice: &Path) -> Option<Vec<PathBuf>> {
    let mut found = vec![PathBuf::new()];
    let mut at = 0;
    while let Some(dir) = found.get(at).cloned() {
        at += 1;
        if found.len() > MOST || dir.as_os_str().len() > LONGEST {
            return None;
        }
        found.extend(dirs_in(&slice.join(&dir)).iter().map(|name| dir.join(name)));
    }
    Some(found)
}

/// All processes in the slice of `uid`.
pub(crate) fn processes(roots: &Roots, uid: u32) -> Vec<Process> {
    let slice = roots.slice(uid);
    let found = pids_in(&slice).unwrap_or_else(|| scan::pids(roots, uid));
    named(roots, found)
}

/// All in a cgroup that holds no more of them below than can be searched.
pub(crate) fn processes_in(roots: &Roots, tree: &Path) -> Vec<Process> {
    named(roots, pids_in(tree).unwrap_or_default())
}

/// Their numbers, with their cgroups; none where there are more cgroups than can be searched, or longer paths.
pub(crate) fn pids_in(tree: &Path) -> Option<Vec<(i32, PathBuf)>> {
    let in_cgroup = |cgroup: PathBuf| {
        let pids = pids_at(&tree.join(&cgroup));
        pids.into_iter().map(move |pid| (pid, cgroup.clone()))
    };
    Some(cgroups(tree)?.into_iter().flat_map(in_cgroup).collect())
}

/// Of a cgroup itself.
pub(crate) fn pids_at(cgroup: &Path) -> Vec<i32> {
    pids(&text(&cgroup.join("cgroup.procs")).unwrap_or_default())
}

fn named(roots: &Roots, found: Vec<(i32, PathBuf)>) -> Vec<Process> {
    let with_name = |(pid, cgroup)| {
        let name = name_in(&bytes(&roots.proc.join(format!("{pid}/comm"))).ok()?);
        Some(Process { pid, name, cgroup })
    };
    found.into_iter().filter_map(with_name).collect()
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

pub(crate) fn printable(text: &str) -> String {
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
        log::debug!("send signal {} to pid {pid}: {error}", signal.as_raw());
    }
}

/// The cgroups in which, and below which, there is nothing but `targets`.
pub(crate) fn whole_cgroups<'a>(all: &'a [Process], targets: &Set<i32>) -> Set<PathBuf> {
    let is_target = |process: &&Process| targets.contains(&process.pid);
    let (go, stay): (Vec<_>, Vec<_>) = all.iter().partition(is_target);
    // Each cgroup once: there may be tens of thousands of processes in one.
    let cgroups = |of: Vec<&'a Process>| -> Set<_> {
        of.into_iter().map(|process| process.cgroup.as_path()).collect()
    };
    let mut shared = Set::default();
    for cgroup in cgroups(stay) {
        // With one that is known already, all above it are.
        let mut up = cgroup.ancestors();
        while up.next().is_some_and(|cgroup| shared.insert(cgroup)) {}
    }
    let whole = cgroups(go).into_iter().filter(|cgroup| !shared.contains(cgroup));
    whole.filter(|cgroup| !cgroup.as_os_str().is_empty()).map(Path::to_path_buf).collect()
}

/// # Errors
/// The processes that are still there, by name.
pub(crate) fn all_gone(left: &[Process]) -> Result<()> {
    if left.is_empty() { Ok(()) } else { Err(Error::still_alive(left)) }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn process(pid: i32, cgroup: &str) -> Process {
        Process { pid, name: "sleep".into(), cgroup: cgroup.into() }
    }

    /// A node with one user, 7, whose slice has these processes.
    fn node(cgroups: &[(&str, &str)], names: &[(u32, &[u8])]) -> (tempfile::TempDir, Roots) {
        let root = tempfile::tempdir().unwrap();
        let roots = Roots::below(root.path());
        for (dir, pids) in cgroups {
            fs::create_dir_all(roots.slice(7).join(dir)).unwrap();
            fs::write(roots.slice(7).join(dir).join("cgroup.procs"), pids).unwrap();
        }
        for (pid, name) in names {
            fs::create_dir_all(roots.proc.join(pid.to_string())).unwrap();
            fs::write(roots.proc.join(format!("{pid}/comm")), name).unwrap();
        }
        (root, roots)
    }

    /// Show that a tree of cgroups is searched from the top. Process 8 is gone since
    /// its number was read.
    #[test]
    fn all_cgroups_are_searched() {
        let tree = [("", ""), ("user@1.service", ""), ("user@1.service/a.scope/sub", "7\n8\n")];
        let (_root, roots) = node(&tree, &[(7, b"sleep\n")]);
        let found = processes(&roots, 7);
        assert_eq!(found, [process(7, "user@1.service/a.scope/sub")]);
        assert_eq!(found[0].to_string(), "pid 7 (sleep) in user@1.service/a.scope/sub");
        assert!(processes(&roots, 8).is_empty());
    }

    /// Show that a process is found however many cgroups there are, and however
    /// deep it is.
    #[test]
    fn no_number_of_cgroups_hides_a_process() {
        for tree in [(0..=MOST).map(|n| n.to_string()).collect(), vec!["x".repeat(200); 11]] {
            let (_root, roots) = node(&[], &[(7, b"sleep\n")]);
            let is_deep = tree.len() < MOST;
            if is_deep {
                fs::create_dir_all(roots.slice(7).join(tree.join("/"))).unwrap();
            } else {
                for dir in &tree {
                    fs::create_dir_all(roots.slice(7).join(dir)).unwrap();
                }
            }
            let line = "0::/user.slice/user-7.slice/a.scope\n";
            fs::write(roots.proc.join("7/cgroup"), line).unwrap();
            assert_eq!(processes(&roots, 7), [process(7, "a.scope")]);
            assert_eq!(processes(&roots, 8), []);
        }
    }

    /// Show that no name hides a process, and that none forges a line in a log.
    #[test]
    fn no_name_hides_a_process() {
        for (comm, name) in
            [(&b"\xff\xfe\n"[..], "\u{fffd}\u{fffd}"), (b"a\n\x1b[2Jb\n", "a??[2Jb")]
        {
            let (_root, roots) = node(&[("", "0\n7\n")], &[(7, comm)]);
            let found = processes(&roots, 7);
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
        assert_eq!(whole(&[1]), Set::default());
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
