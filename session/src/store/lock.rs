//! The lock of one user: flock(2) on the directory itself.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::libc::{O_DIRECTORY, O_NOFOLLOW};

use super::files::make_private;
use crate::budget::Budget;
use crate::error::{Error, Problem, Result};

/// flock(2) has no deadline of its own, so the lock is asked for again. A
/// prolog waits here while an epilog of the same user closes, about 300 ms.
const LOCK_RETRY: Duration = Duration::from_millis(10);

/// Locks `dir`, which is made if need be.
pub(super) fn lock(dir: &Path, budget: Budget) -> Result<File> {
    loop {
        if let Some(lock) = try_lock(dir)? {
            return Ok(lock);
        }
        if Instant::now() >= budget.deadline() {
            let doing = "wait for another job's prolog or epilog of this user".into();
            return Err(Problem::Late { doing, total: budget.total() }.into());
        }
        sleep(LOCK_RETRY);
    }
}

/// The same without waiting.
pub(super) fn try_lock(dir: &Path) -> Result<Option<File>> {
    make_private(dir)?;
    let opened = OpenOptions::new().read(true).custom_flags(O_DIRECTORY | O_NOFOLLOW).open(dir);
    let lock = match opened {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(Error::file("open", dir))?,
    };
    match lock.try_lock() {
        Ok(()) if is_still_at(&lock, dir) => Ok(Some(lock)),
        Ok(()) | Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(Error::file("lock", dir)(error)),
    }
}

fn is_still_at(lock: &File, dir: &Path) -> bool {
    let inode = |found: fs::Metadata| (found.dev(), found.ino());
    match (lock.metadata().map(inode), fs::symlink_metadata(dir).map(inode)) {
        (Ok(locked), Ok(named)) => locked == named,
        _ => false,
    }
}
