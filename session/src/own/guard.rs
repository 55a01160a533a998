//! Watches that Slurm's own processes stay Slurm's.
//!
//! To move a process of theirs from a task's cgroup into the session's, a user needs the right to do so with all that
//! is in the job's cgroup, and there each slurmstepd is, which is root's: in a cgroup of the session's the user could
//! freeze it, and slurmd would wait for its answer for ever, which takes the node from everybody. Before Linux 6.6 the
//! kernel does not let them (cpuset_can_attach() asks whether the process may be scheduled by them); after it, whoever
//! does so loses the job.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use crate::outside::processes::processes_in;
use crate::outside::text::text;
use crate::own::place::Place;
use crate::terms::roots::Roots;

/// slurmd asks its slurmstepds when slurmctld wants to know of its jobs, and is given minutes for it.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Each slurmstepd by its name (proc_pid_comm(5)).
const SLURMS: &str = "slurmstepd";

/// Returns when there is nothing left to watch.
pub(crate) fn watch(roots: &Roots, place: &Place) {
    let (job, session) = (roots.cgroup.join(place.job()), roots.cgroup.join(place.session()));
    while session.exists() {
        if misses_one(&job) && has_slurms(roots, &session) {
            for cgroup in steps(&job).into_iter().map(|step| step.join("user")) {
                let _ = fs::write(cgroup.join("cgroup.kill"), "1");
            }
        }
        sleep(LOOK_AGAIN);
    }
}

/// Whether a step has no slurmstepd where it is to be: it is about to begin, or has ended, or was moved. Costs two
/// small files for each step.
fn misses_one(job: &Path) -> bool {
    let is_empty =
        |step: &PathBuf| text(&step.join("slurm/cgroup.procs")).is_ok_and(|pids| pids.is_empty());
    steps(job).iter().any(is_empty)
}

fn steps(job: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(job).into_iter().flatten().flatten();
    let all = entries.map(|entry| entry.path());
    all.filter(|path| path.join("slurm").exists()).collect()
}

fn has_slurms(roots: &Roots, session: &Path) -> bool {
    processes_in(roots, session).iter().any(|process| {
        process.name == SLURMS && is_roots(&roots.proc.join(process.pid.to_string()))
    })
}

/// By all of its four ids (proc_pid_status(5)): a program that is setuid has its user's as the real one.
fn is_roots(process: &Path) -> bool {
    let status = text(&process.join("status")).unwrap_or_default();
    let uids = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    uids.is_some_and(|uids| uids.split_ascii_whitespace().all(|uid| uid == "0"))
}
