//! Ends a job's own session: what runs in it, and its cgroups.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::outside::crash;
use crate::outside::processes::send;
use crate::outside::text::text;
use crate::outside::tree::{dirs_in, remove};
use crate::own::pause::PAUSE;
use crate::record::own::Started;
use crate::terms::error::{Error, Result};

/// cgroup.events could be waited for; it is over in one or two of these.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Asks the manager to end all that it has, as at a logout, and waits for it until then: a container gets SIGTERM.
pub(crate) fn ask(proc: &Path, manager: Started, session: &Path, until: Instant) {
    signal(proc, manager, Signal::TERM);
    while is_at_work(session) && Instant::now() < until {
        sleep(LOOK_AGAIN);
    }
}

/// Whether anything runs in it but Podman's pause process, which no unit has and nobody tells to end: who waited for it
/// waited for all of the grace, in each job.
fn is_at_work(session: &Path) -> bool {
    dirs_in(session).iter().any(|name| name != PAUSE && is_populated(&session.join(name)))
}

/// Sends a signal to a process of ours, if it is that one still.
pub(crate) fn signal(proc: &Path, to: Started, signal: Signal) {
    if let Ok(pid) = i32::try_from(to.pid) {
        send(pid, signal, || to.lives(proc));
    }
}

/// Has the kernel end all that is in `cgroup` and below, and removes them, deepest first.
///
/// # Errors
/// That something does not end until then, or cannot be removed.
pub(crate) fn end(cgroup: &Path, until: Instant) -> Result<()> {
    let kill = cgroup.join("cgroup.kill");
    crash::point();
    match fs::write(&kill, "1") {
        Err(error) if is_gone(&error) => return Ok(()),
        killed => killed.map_err(Error::file("write", &kill))?,
    }
    // Its user may be at work from elsewhere.
    let _ = fs::write(cgroup.join("cgroup.max.descendants"), "0");
    loop {
        // Who joined it as it was killed.
        let _ = fs::write(&kill, "1");
        match remove(cgroup) {
            Err(error) if is_gone(&error) => return Ok(()),
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) && Instant::now() < until => {
                sleep(LOOK_AGAIN);
            }
            removed => return removed.map_err(Error::file("remove", cgroup)),
        }
    }
}

/// Whether a task runs in one of the job's steps but its script: `step_0/user` and so on.
pub(crate) fn has_step(job: &Path) -> bool {
    let is_step = |name: &OsStr| {
        let id = name.to_str().and_then(|name| name.strip_prefix("step_"));
        id.is_some_and(|id| id.starts_with(|c: char| c.is_ascii_digit()))
    };
    let steps = dirs_in(job);
    steps.iter().any(|name| is_step(name) && is_populated(&job.join(name).join("user")))
}

/// Kills what moved itself from a task's cgroup into another of the user's own, and what the job left in its steps.
pub(crate) fn kill_steps(job: &Path) {
    for name in dirs_in(job) {
        crash::point();
        let _ = fs::write(job.join(name).join("user/cgroup.kill"), "1");
    }
}

/// Removes what Slurm has given up on because of the session's, or as one of its processes was killed: the cgroups of
/// the job's steps, and the job's if nothing is left in it. Where a slurmstepd is there it does so itself: it stops at
/// one that is gone.
pub(crate) fn remove_steps(job: &Path) {
    for step in dirs_in(job).iter().map(|name| job.join(name)) {
        crash::point();
        let is_busy = fs::remove_dir(step.join("slurm")).is_err_and(|error| !is_gone(&error));
        if !is_busy {
            let _ = remove(&step);
        }
    }
    let _ = fs::remove_dir(job);
}

/// Whether anything runs in it or below (cgroups(7)).
pub(crate) fn is_populated(cgroup: &Path) -> bool {
    let events = text(&cgroup.join("cgroup.events"));
    events.is_ok_and(|events| events.lines().any(|line| line == "populated 1"))
}

pub(crate) fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ENODEV)
}
