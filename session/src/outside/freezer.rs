//! The kernel's freezer on a user's manager (cgroup v2, Documentation/admin-guide).
//!
//! Not systemd's FreezeUnit, which does no more than this and takes note of it: a unit
//! that is frozen for it can neither be stopped nor, once it has been killed, be started
//! (systemd 257; a stop that is pending keeps it from being thawed, too). For a stop of
//! a manager that is frozen by us, systemd's signals wait until it is thawed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::outside::crash;
use crate::outside::text::text;
use crate::terms::error::{Error, Result};
use crate::terms::roots::manager;

/// The kernel has each process stop at its next chance; one that hangs has none.
const STANDING: Duration = Duration::from_secs(2);
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// Stops all processes in and below the manager's cgroup, which only root can undo, and
/// returns when they stand.
pub(crate) fn freeze(slice: &Path, uid: u32) -> Result<()> {
    let cgroup = slice.join(manager(uid));
    set(&cgroup, "1").map_err(Error::file("freeze", &cgroup))?;
    let until = Instant::now() + STANDING;
    while !stands(&cgroup) {
        if Instant::now() >= until {
            return Err(Error::file("freeze", &cgroup)(io::ErrorKind::TimedOut.into()));
        }
        sleep(LOOK_AGAIN);
    }
    Ok(())
}

/// Lets them run again, if there is such a cgroup. A kernel without this freezer has frozen nothing.
pub(crate) fn thaw(slice: &Path, uid: u32) -> Result<()> {
    let cgroup = slice.join(manager(uid));
    match set(&cgroup, "0") {
        Err(error) if file(&cgroup).exists() => Err(Error::file("thaw", &cgroup)(error)),
        _ => Ok(()),
    }
}

fn set(cgroup: &Path, frozen: &str) -> io::Result<()> {
    crash::point();
    fs::OpenOptions::new()
        .write(true)
        .open(file(cgroup))
        .and_then(|mut file| io::Write::write_all(&mut file, frozen.as_bytes()))
}

fn file(cgroup: &Path) -> PathBuf {
    cgroup.join("cgroup.freeze")
}

fn stands(cgroup: &Path) -> bool {
    let events = text(&cgroup.join("cgroup.events"));
    events.is_ok_and(|events| events.lines().any(|line| line == "frozen 1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Show that what does not stand is an error, and that where there is no cgroup, or a kernel
    /// without a freezer, none needs a thaw.
    #[test]
    fn a_freeze_is_seen_through() {
        let slice = tempfile::tempdir().unwrap();
        let cgroup = slice.path().join("user@7.service");
        freeze(slice.path(), 7).unwrap_err();
        thaw(slice.path(), 7).unwrap();
        fs::create_dir(&cgroup).unwrap();
        thaw(slice.path(), 7).unwrap();
        fs::create_dir(file(&cgroup)).unwrap();
        assert!(thaw(slice.path(), 7).unwrap_err().to_string().contains("user@7.service"));
        fs::remove_dir(file(&cgroup)).unwrap();
        fs::write(file(&cgroup), "0").unwrap();
        fs::write(cgroup.join("cgroup.events"), "populated 1\nfrozen 0\n").unwrap();
        assert!(freeze(slice.path(), 7).unwrap_err().to_string().contains("timed out"));
        fs::write(cgroup.join("cgroup.events"), "populated 1\nfrozen 1\n").unwrap();
        freeze(slice.path(), 7).unwrap();
        assert_eq!(fs::read_to_string(file(&cgroup)).unwrap(), "1");
        thaw(slice.path(), 7).unwrap();
        assert_eq!(fs::read_to_string(file(&cgroup)).unwrap(), "0");
    }
}
