//! Entering the job's view: for a task, as root, before it becomes the user's.

use std::io;
use std::path::Path;

use nix::sched::{CloneFlags, setns};
use rustix::fs::{CWD, Mode, OFlags, openat};

use crate::terms::error::{Error, Result};

/// Joins the mount namespace of the manager `pid`, if that is in the session's `cgroup`. By one descriptor of its
/// directory in /proc: another process that has got the number meanwhile is not in there.
///
/// # Errors
/// That it is gone, or that the kernel refused.
pub(crate) fn enter(proc: &Path, pid: u32, cgroup: &Path) -> Result<()> {
    let process = proc.join(pid.to_string());
    enter_of(&process, cgroup).map_err(Error::file("enter the job's view by", &process))
}

fn enter_of(process: &Path, cgroup: &Path) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let dir = openat(CWD, process, flags | OFlags::DIRECTORY | OFlags::NOFOLLOW, Mode::empty())?;
    let namespace = openat(&dir, "ns/mnt", flags, Mode::empty())?;
    // Looked at after the namespace was opened: it still is the manager.
    let mut listed = vec![0; 4096];
    let file = openat(&dir, "cgroup", flags, Mode::empty())?;
    let length = rustix::io::read(&file, &mut listed)?;
    let listed = String::from_utf8_lossy(listed.get(..length).unwrap_or_default()).into_owned();
    let path = listed.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
    if !Path::new(path).starts_with(cgroup) {
        return Err(io::Error::from(io::ErrorKind::NotFound));
    }
    Ok(setns(namespace, CloneFlags::CLONE_NEWNS)?)
}
