//! Entering the job's view: for a task, as root, before it becomes the user's.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::own::books::Books;
use crate::own::view::join;
use crate::record::own::OwnSession;
use crate::terms::error::{Error, Result};

/// Joins what `job`'s mount namespace is pinned to: root has made and pinned it, so it has no say of the user's in it.
///
/// # Errors
/// That Slurm has given the task another one, or what the kernel answered.
pub(crate) fn enter(proc: &Path, books: &Books, job: u32, own: &OwnSession) -> Result<()> {
    require_outside(proc, own.outside)?;
    let pin = books.pin(job);
    join(&pin).map_err(Error::file("enter the job's view of /run/user by", &pin))
}

/// That this process is where the session was begun: in no mount namespace that Slurm has made for the job.
///
/// # Errors
/// That it is not.
pub(crate) fn require_outside(proc: &Path, outside: u64) -> Result<()> {
    let is_outside = namespace(proc).and_then(|here| {
        let problem = "Slurm has given the job one of its own (job_container, namespace/*), in which session=job is not";
        if here == outside { Ok(()) } else { Err(io::Error::other(problem)) }
    });
    is_outside.map_err(Error::file("look at the mount namespace", &proc.join("self/ns/mnt")))
}

/// The mount namespace of this process.
pub(crate) fn namespace(proc: &Path) -> io::Result<u64> {
    Ok(fs::metadata(proc.join("self/ns/mnt"))?.ino())
}
