//! Watches that Slurm's own processes stay Slurm's, and that nobody waits for a manager that has ended.
//!
//! To move a process of theirs from a task's cgroup into the session's, a user needs the right to do so with all that
//! is in the job's cgroup. Each slurmstepd, which is root's, is there for a moment as its step begins, and its
//! children until they are their user's. In a cgroup of the session's the user could freeze it, and slurmd would wait
//! for its answer for ever, which takes the node from everybody. Before Linux 6.6 the kernel does not let them
//! (cpuset_can_attach() asks whether the process may be scheduled by them); after it, whoever does so loses the job.

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use nix::unistd::User as Account;

use crate::outside::account::User;
use crate::outside::mounts::{by_descriptor, hold};
use crate::outside::podmans_lock;
use crate::outside::processes::pids_in;
use crate::outside::text::text;
use crate::own::close::kill_steps;
use crate::own::linger::note_soon;
use crate::own::place::Place;
use crate::record::own::Started;
use crate::terms::decimal::decimal;
use crate::terms::roots::Roots;

/// slurmd asks its slurmstepds when slurmctld wants to know of its jobs, and is given minutes for it.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How it is named, also the child that becomes a step's task.
const SLURMS: &str = "slurmstepd";

/// How a child of ours is named (proc_pid_comm(5)) until it is the user's program: it is in the session for a moment.
pub(crate) const OURS: &str = "linger";

/// Returns when there is nothing left to watch.
pub(crate) fn watch(
    roots: &Roots,
    place: &Place,
    user: Option<&Account>,
    manager: Option<Started>,
) {
    let (job, session) = (roots.cgroup.join(place.job()), roots.cgroup.join(place.session()));
    // Of this manager: the next one's is another by the same name.
    let held = hold(&session);
    let user = user.map(|user| User { uid: user.uid.as_raw(), name: user.name.clone(), roots });
    let mut known = Vec::new();
    while session.exists() {
        if let Some(user) = &user {
            // Else it is noted as the last of the user's jobs ends.
            let _ = note_soon(user);
            podmans_lock::keep(roots, user.uid);
        }
        // Its bus would let whoever asks for it wait for ever, as Podman does. systemd ends the rest of a user's, too.
        if manager.is_some_and(|manager| !manager.lives(&roots.proc))
            && let Ok(held) = &held
        {
            let _ = fs::write(by_descriptor(held).join("cgroup.kill"), "1");
        }
        if has_slurmstepd(roots, &session, &mut known) {
            kill_steps(&job);
        }
        sleep(LOOK_AGAIN);
    }
}

/// Whether a slurmstepd is in it, or cannot be searched for. Of those that are `known` to be something else none
/// becomes one. Other processes of root's are none of ours: who may use sudo may do so in a unit, too.
fn has_slurmstepd(roots: &Roots, session: &Path, known: &mut Vec<i32>) -> bool {
    let Some(all) = pids_in(session) else { return true };
    let now: Vec<_> = all.into_iter().map(|(pid, _)| pid).collect();
    let is_new = |pid: &&i32| !known.contains(pid);
    let has = now.iter().filter(is_new).any(|pid| is_slurmstepd(&roots.proc, *pid));
    *known = now;
    has
}

/// Whether a process is root's, by its real uid, and is named so: whatever a user may name theirs. What Slurm leaves of
/// an extern step whose slurmstepd was killed is root's, too, and tells of no job (`sleep`, Slurm 24.11).
pub(crate) fn is_slurmstepd(proc: &Path, pid: i32) -> bool {
    let status = text(&proc.join(format!("{pid}/status"))).unwrap_or_default();
    let about = |name| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let real = about("Uid:").and_then(|uids| decimal::<u32>(uids.split_ascii_whitespace().next()?));
    real == Some(0) && about("Name:") == Some(SLURMS)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Show that a slurmstepd is found, and neither one that its user names so, nor one of ours, nor what sudo runs; and
    /// that what cannot be searched is taken to have one.
    #[test]
    fn slurms_processes_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let roots = Roots::below(dir.path());
        let session = dir.path().join("session");
        let processes = [
            (7, "slurmstepd", "0\t0\t0\t0", true),
            (8, "slurmstepd", "1000\t1000\t1000\t1000", false),
            (9, "slurmstepd", "1000\t0\t0\t0", false),
            (11, "apt", "0\t0\t0\t0", false),
            (10, OURS, "0\t0\t0\t0", false),
        ];
        for (pid, name, uids, found) in processes {
            let process = roots.proc.join(pid.to_string());
            fs::create_dir_all(&process).unwrap();
            fs::create_dir_all(session.join("x")).unwrap();
            fs::write(process.join("status"), format!("Name:\t{name}\nUid:\t{uids}\n")).unwrap();
            fs::write(session.join("x/cgroup.procs"), format!("{pid}\n")).unwrap();
            assert_eq!(has_slurmstepd(&roots, &session, &mut Vec::new()), found, "{name}");
        }
        fs::create_dir_all(session.join(vec!["x".repeat(250); 9].join("/"))).unwrap();
        assert!(has_slurmstepd(&roots, &session, &mut Vec::new()));
    }
}
