//! Ends a job's own session: what runs in it, its cgroups, its directory.

use std::fs;
use std::io;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::outside::crash;
use crate::terms::error::{Error, Result};

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
