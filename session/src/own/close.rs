//! Ends a job's own session: what runs in it, its cgroups, its directory.

use std::fs;
use std::io;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::unistd::{Gid, Uid};

use crate::outside::crash;
use crate::own::view::AsUser;
use crate::terms::error::{Error, Result};
use crate::terms::job::Job;

/// cgroup.events could be waited for; it is over in one or two of these.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Has the kernel end all that is in `cgroup` and below, and removes them, deepest first.
///
/// # Errors
/// That something does not end until then, or cannot be removed.
pub(crate) fn end(cgroup: &Path, until: Instant) -> Result<()> {
    let kill = cgroup.join("cgroup.kill");
    crash::point();
    match fs::write(&kill, "1") {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        killed => killed.map_err(Error::file("write", &kill))?,
    }
    loop {
        match remove(cgroup) {
            Err(error)
                if error.raw_os_error() == Some(nix::libc::EBUSY) && Instant::now() < until =>
            {
                sleep(LOOK_AGAIN);
            }
            removed => return removed.map_err(Error::file("remove", cgroup)),
        }
    }
}

/// Removes what Slurm has given up on because of the session's: the cgroups above, up to the job's, that are empty.
pub(crate) fn end_above(cgroup: &Path) {
    // `…/job_42/step_extern/user/session`
    for above in cgroup.ancestors().skip(1).take(3) {
        if fs::remove_dir(above).is_err() {
            break;
        }
    }
}

/// Removes the job's own directory, as its user: a link that they have put in its place leads to nothing that they could
/// not remove themselves.
///
/// # Errors
/// What cannot be removed.
pub(crate) fn remove_directory(runtime_dir: &Path, job: Job, gid: Gid) -> Result<()> {
    let dir = runtime_dir.join(format!("slurm/{}", job.id));
    let _as_user = AsUser::new(Uid::from_raw(job.uid), gid);
    match fs::remove_dir_all(&dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.map_err(Error::file("remove", &dir)),
    }
}

fn remove(cgroup: &Path) -> io::Result<()> {
    let below = match fs::read_dir(cgroup) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        below => below?,
    };
    for entry in below {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove(&entry.path())?;
        }
    }
    fs::remove_dir(cgroup)
}
