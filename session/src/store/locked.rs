//! One user's state, as whoever holds the lock changes it.

use std::fs::{self, File};
use std::ops::Deref;

use super::files::{make_private, numbers_in, remove, temporary, write};
use super::lock::lock as flock;
use super::{FOUND, Found, Lease, Marked, SLICE, State, UNDO, Undo, state};
use crate::budget::Budget;
use crate::crash;
use crate::error::{Error, Result};
use crate::roots::Roots;
use crate::slice::Capped;

/// One user's state, locked, to be changed.
#[derive(Debug)]
pub(crate) struct Locked {
    state: State,
    _lock: File,
}

impl Deref for Locked {
    type Target = State;

    fn deref(&self) -> &State {
        &self.state
    }
}

/// Takes the user's lock.
pub(crate) fn lock(roots: &Roots, uid: u32, budget: Budget) -> Result<Locked> {
    make_private(&roots.run)?;
    make_private(&roots.lib)?;
    let state = state(roots, uid);
    let lock = flock(&state.dir, budget)?;
    Ok(Locked { state, _lock: lock })
}

impl Locked {
    pub(crate) fn put(&self, job: u32, lease: &Lease) -> Result<()> {
        write(&self.path(job), lease)
    }

    /// Removes the lease and what goes with it.
    pub(crate) fn remove(&self, job: u32) -> Result<()> {
        remove(&self.path(job))?;
        remove(&self.keepers_path(job))?;
        remove(&self.audit_path(Marked::Job(job)))
    }

    pub(crate) fn put_capped(&self, capped: &Capped) -> Result<()> {
        write(&self.dir.join(SLICE), capped)
    }

    pub(crate) fn remove_capped(&self) -> Result<()> {
        remove(&self.dir.join(SLICE))
    }

    pub(crate) fn put_found(&self, found: &Found) -> Result<()> {
        write(&self.dir.join(FOUND), found)
    }

    pub(crate) fn remove_found(&self) -> Result<()> {
        remove(&self.dir.join(FOUND))
    }

    /// On disk when this returns: a power loss right after finds it.
    pub(crate) fn put_undo(&self, undo: &Undo) -> Result<()> {
        write(&self.dir.join(UNDO), undo)?;
        write(&self.undo, undo)?;
        crash::point();
        let parent = self.undo.parent().unwrap_or(&self.undo);
        for path in [&self.undo, parent] {
            let synced = File::open(path).and_then(|file| file.sync_all());
            synced.map_err(Error::file("sync", path))?;
        }
        Ok(())
    }

    pub(crate) fn remove_undo(&self) -> Result<()> {
        // The copy first: a crash between leaves the record.
        remove(&self.dir.join(UNDO))?;
        remove(&self.undo)
    }

    /// No lease, and no cap that is still to be taken back.
    fn is_empty(&self) -> bool {
        numbers_in(&self.dir).is_ok_and(|jobs| jobs.is_empty()) && !self.dir.join(SLICE).exists()
    }
}

/// The last to leave, on whatever way, removes the user's directory.
impl Drop for Locked {
    fn drop(&mut self) {
        #[cfg(test)]
        if crash::is_killed() {
            return;
        }
        if self.is_empty() {
            if !self.undo.exists() {
                // Of a record that was not written to its end.
                let _ = remove(&temporary(&self.undo));
            }
            crash::point();
            let left = fs::remove_dir_all(&self.dir);
            left.unwrap_or_else(|error| log::debug!("remove {}: {error}", self.dir.display()));
        }
    }
}
