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
    let (pin, here) = (books.pin(job), proc.join("self/ns/mnt"));
    let entered = require_outside(proc, own).and_then(|()| join(&pin));
    entered.map_err(Error::file("enter the job's view of /run/user from", &here))
}

/// That this process is where the session was begun: in no mount namespace that Slurm has made for the job.
pub(crate) fn require_outside(proc: &Path, own: &OwnSession) -> io::Result<()> {
    if namespace(proc)? == own.outside {
        return Ok(());
    }
    Err(io::Error::other(
        "Slurm has given the job a mount namespace of its own (job_container, namespace/*), where session=job has none",
    ))
}

/// The mount namespace of this process.
pub(crate) fn namespace(proc: &Path) -> io::Result<u64> {
    Ok(fs::metadata(proc.join("self/ns/mnt"))?.ino())
}
