//! Leases: the first opens the session of a user, the last closes it.

use std::path::PathBuf;
use std::time::Duration;

use crate::budget::Budget;
use crate::bus;
use crate::closing::close;
use crate::error::{Error, Result};
use crate::opening::open;
use crate::roots::Roots;
use crate::store::{self, Lease, Locked, Undo};
use crate::systemd::Systemd;

/// A job, and the user it runs as. Taking and dropping leases is idempotent:
/// Slurm may run a prolog twice, an epilog without a prolog, and the same id
/// again after a requeue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Job {
    /// Slurm's job id.
    pub id: u32,
    /// The job's user.
    pub uid: u32,
}

/// The sessions of all users on this node.
#[derive(Clone, Debug)]
pub struct Sessions {
    /// Where things are.
    pub roots: Roots,
    /// What one call may take, everything included.
    pub timeout: Duration,
}

impl Sessions {
    /// Takes a lease for `job` and returns when the session is live.
    ///
    /// # Errors
    /// Why there is no session. The lease stays, marked as failed with the
    /// cause, until it is released; linger is put back at once if no other job
    /// holds the session.
    pub fn take(&self, job: Job) -> Result<()> {
        let budget = Budget::starting_now(self.timeout);
        bus::within(budget, &self.roots, async |bus| take(bus, &self.roots, job, budget).await)
    }

    /// Notes that `job` is not to have a session, for its later steps to see.
    ///
    /// # Errors
    /// When the note cannot be written.
    pub fn decline(&self, job: Job) -> Result<()> {
        let budget = Budget::starting_now(self.timeout);
        store::lock(&self.roots, job.uid, budget)?.put(job.id, &Lease::Declined)
    }

    /// The lease of `job`, if it has one.
    ///
    /// # Errors
    /// When there is one that cannot be read.
    pub fn lease(&self, job: Job) -> Result<Option<Lease>> {
        store::peek(&self.roots, job.uid, job.id)
    }

    /// Replaces what is noted about `job`.
    ///
    /// # Errors
    /// When the note cannot be written.
    pub fn note(&self, job: Job, lease: &Lease) -> Result<()> {
        let budget = Budget::starting_now(self.timeout);
        store::lock(&self.roots, job.uid, budget)?.put(job.id, lease)
    }

    /// Drops the lease of `job`; the last one closes the session. Without a
    /// lease it only settles what an earlier failure may have left.
    ///
    /// # Errors
    /// Why the session could not be closed. What is to be undone stays written
    /// down for the next call.
    pub fn release(&self, job: Job) -> Result<()> {
        if store::is_unknown(&self.roots, job.uid) {
            return Ok(());
        }
        let budget = Budget::starting_now(self.timeout);
        bus::within(budget, &self.roots, async |bus| release(bus, &self.roots, job, budget).await)
    }

    /// Undoes what a power loss or a dead bus has left: users for whom something
    /// is written down although no job holds a lease.
    ///
    /// # Errors
    /// When the list cannot be read. What fails for one user is logged.
    pub fn settle(&self) -> Result<()> {
        let budget = Budget::starting_now(self.timeout);
        let uids = store::uids_to_undo(&self.roots)?;
        bus::within(budget, &self.roots, async |bus| {
            for uid in uids {
                settle(bus, &self.roots, uid, budget).await.unwrap_or_else(|error| {
                    log::error!("uid {uid}: settle what an ended job left: {error}");
                });
            }
            Ok(())
        })
    }
}

/// A user as the session logic needs one.
pub(crate) struct User<'a> {
    pub(crate) uid: u32,
    pub(crate) name: String,
    roots: &'a Roots,
}

impl<'a> User<'a> {
    fn look_up(uid: u32, roots: &'a Roots) -> Result<Self> {
        let found = nix::unistd::User::from_uid(uid.into());
        let found = found.map_err(|error| Error::NoUser { uid, cause: error.to_string() })?;
        let cause = || "no such account on this node".into();
        let name = found.ok_or_else(|| Error::NoUser { uid, cause: cause() })?.name;
        Ok(Self { uid, name, roots })
    }

    /// Linger is a file of logind's; it is the only place that knows of users
    /// who have nothing running.
    pub(crate) fn lingers(&self) -> Result<bool> {
        let flag = self.linger_file();
        flag.try_exists().map_err(Error::file("look at", &flag))
    }

    pub(crate) fn runtime_dir(&self) -> PathBuf {
        self.roots.runtime_dir(self.uid)
    }

    fn linger_file(&self) -> PathBuf {
        self.roots.linger.join(escape(&self.name))
    }
}

/// logind's cescape(): an account name with a backslash, as Samba's winbind
/// makes them, is `DOM\\user` on disk.
fn escape(name: &str) -> String {
    let escape_byte = |byte: u8| match byte {
        b'\\' | b'"' | b'\'' => format!("\\{}", char::from(byte)),
        b' '..=b'~' => char::from(byte).to_string(),
        other => format!("\\{other:03o}"),
    };
    name.bytes().map(escape_byte).collect()
}

pub(crate) async fn take(
    systemd: &mut impl Systemd,
    roots: &Roots,
    job: Job,
    budget: Budget,
) -> Result<()> {
    let state = store::lock(roots, job.uid, budget)?;
    // What a crash or a timeout from here on leaves behind reads: there is no session.
    let failed = |cause| Lease::Failed { cause, told: false };
    let timeout = budget.total().as_secs();
    state.put(job.id, &failed(format!("opening it did not end within timeout={timeout}")))?;
    let opened = match User::look_up(job.uid, roots) {
        Ok(user) => open(systemd, &user, &state, budget).await,
        Err(error) => Err(error),
    };
    let Err(error) = opened else { return state.put(job.id, &Lease::Open) };
    state.put(job.id, &failed(error.to_string()))?;
    // Undone now rather than in the epilog, unless another job holds the session.
    let undone = close_unless_held(systemd, roots, job.uid, state).await;
    undone.unwrap_or_else(|error| log::debug!("uid {}: put back: {error}", job.uid));
    Err(error)
}

pub(crate) async fn release(
    systemd: &mut impl Systemd,
    roots: &Roots,
    job: Job,
    budget: Budget,
) -> Result<()> {
    let state = store::lock(roots, job.uid, budget)?;
    state.remove(job.id)?;
    close_unless_held(systemd, roots, job.uid, state).await
}

async fn settle(systemd: &mut impl Systemd, roots: &Roots, uid: u32, budget: Budget) -> Result<()> {
    let state = store::lock(roots, uid, budget)?;
    close_unless_held(systemd, roots, uid, state).await
}

async fn close_unless_held(
    systemd: &mut impl Systemd,
    roots: &Roots,
    uid: u32,
    state: Locked,
) -> Result<()> {
    if state.is_held()? {
        return Ok(());
    }
    let closed = match state.undo()? {
        Some(undo) => undo_session(systemd, roots, uid, &state, &undo).await,
        None => Ok(()),
    };
    closed.and(state.leave())
}

async fn undo_session(
    systemd: &mut impl Systemd,
    roots: &Roots,
    uid: u32,
    state: &Locked,
    undo: &Undo,
) -> Result<()> {
    let user = User { uid, name: undo.name.clone(), roots };
    close(systemd, &user, undo).await?;
    state.remove_undo()
}

#[cfg(test)]
mod tests;
