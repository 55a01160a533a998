//! One user's state, as whoever holds the lock changes it.

use std::cell::Cell;
use std::fs::{self, File};
use std::ops::Deref;

use super::lease::Record;
use super::{
    FOUND, Found, KEPT, Lease, MANAGER, Marked, SLICE, STARTING, State, UNDO, Undo, state,
};
use crate::outside::crash;
use crate::outside::files::{
    any_number_in, append, make_private, remove, temporary, write, write_to_disk,
};
use crate::record::capped::Capped;
use crate::terms::budget::Budget;
use crate::terms::error::Result;
use crate::terms::roots::Roots;
use crate::terms::site::{Means, SessionKind};

/// One user's state, locked, to be changed.
#[derive(Debug)]
pub(crate) struct Locked {
    state: State,
    /// A lease has been put, and none removed since.
    has_lease: Cell<bool>,
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
    loop {
        if let Some(locked) = lock_unless(roots, uid, budget, || false)? {
            return Ok(locked);
        }
    }
}

/// The same, unless who has it does what it is for.
pub(crate) fn lock_unless(
    roots: &Roots,
    uid: u32,
    budget: Budget,
    is_done: impl Fn() -> bool,
) -> Result<Option<Locked>> {
    let state = place(roots, uid)?;
    let lock = super::lock::lock_unless(&state, uid, budget, is_done)?;
    Ok(lock.map(|lock| Locked::new(state, lock)))
}

/// The same, unless somebody else has it.
pub(crate) fn try_lock(roots: &Roots, uid: u32) -> Result<Option<Locked>> {
    let state = place(roots, uid)?;
    let lock = super::lock::try_lock(&state.dir)?;
    Ok(lock.map(|lock| Locked::new(state, lock)))
}

fn place(roots: &Roots, uid: u32) -> Result<State> {
    make_private(&roots.run)?;
    make_private(&roots.lib)?;
    Ok(state(roots, uid))
}

impl Locked {
    fn new(state: State, lock: File) -> Self {
        Self { state, has_lease: Cell::new(false), _lock: lock }
    }

    pub(crate) fn put(&self, job: u32, lease: &Lease, kind: SessionKind) -> Result<()> {
        write(&self.path(job), &Record::of(lease.clone(), kind))?;
        self.has_lease.set(true);
        Ok(())
    }

    /// Removes the lease and what goes with it.
    pub(crate) fn remove(&self, job: u32) -> Result<()> {
        self.remove_lease(job)?;
        remove(&self.own_path(job))
    }

    /// The same, but for where the job's own session is.
    pub(crate) fn remove_lease(&self, job: u32) -> Result<()> {
        self.has_lease.set(false);
        remove(&self.path(job))?;
        remove(&self.limits_path(job))?;
        remove(&self.space_path(job))?;
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

    /// On disk when this returns: a power loss right after finds it. The copy last:
    /// where there is only that, somebody has removed the record.
    /// A manager that was started does not outlive a reboot.
    pub(crate) fn put_undo(&self, undo: &Undo) -> Result<()> {
        if undo.means == Means::Linger {
            write_to_disk(&self.undo, undo)?;
        }
        write(&self.dir.join(UNDO), undo)
    }

    /// Notes the manager that systemd says is up.
    pub(crate) fn put_manager(&self, id: u64) -> Result<()> {
        if self.manager() == Some(id) { Ok(()) } else { append(&self.dir.join(MANAGER), &id) }
    }

    /// Notes that one is being told to start, and that somebody is to wait for it.
    pub(crate) fn put_starting(&self) -> Result<()> {
        append(&self.dir.join(STARTING), &"")
    }

    pub(crate) fn remove_starting(&self) -> Result<()> {
        remove(&self.dir.join(STARTING))
    }

    /// Notes in the copy whether logind is being asked.
    pub(crate) fn note_asked(&self, undo: &Undo, asked: bool) -> Result<()> {
        write(&self.dir.join(UNDO), &Undo { asked, ..undo.clone() })
    }

    /// Writes the record again from its copy where the disk has lost it.
    pub(crate) fn restore_undo(&self, undo: &Undo) -> Result<()> {
        if undo.means == Means::Manager || !undo.is_copy {
            return Ok(());
        }
        write_to_disk(&self.undo, &Undo { asked: false, ..undo.clone() })
    }

    pub(crate) fn remove_undo(&self) -> Result<()> {
        // The copy first: a crash between leaves the record.
        remove(&self.dir.join(UNDO))?;
        remove(&self.undo)
    }

    /// Notes a keep that is over, until [`Locked::put_kept`]: it begins, or ends.
    pub(crate) fn doubt_kept(&self) -> Result<()> {
        append(&self.dir.join(KEPT), &"")
    }

    /// Cut off by a crash it tells an earlier end.
    pub(crate) fn put_kept(&self, until: u64) -> Result<()> {
        append(&self.dir.join(KEPT), &until)
    }

    pub(crate) fn remove_kept(&self) -> Result<()> {
        remove(&self.dir.join(KEPT))
    }

    /// Forgets what ended jobs had left.
    pub(crate) fn remove_ended(&self) -> Result<()> {
        remove(&self.audit_path(Marked::Ended))
    }

    /// No lease, no session of a job's own that has not ended, none that is kept, and nothing that is still to be undone. Of a manager that was
    /// started there is no record but this copy.
    fn is_empty(&self) -> bool {
        !self.has_lease.get()
            && any_number_in(&self.dir, |_job| true).is_ok_and(|any| !any)
            && self.own_jobs().is_ok_and(|jobs| jobs.is_empty())
            && ![SLICE, KEPT, UNDO].iter().any(|name| self.dir.join(name).exists())
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
