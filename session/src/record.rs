//! What is written down: leases until a reboot, what to undo beyond it.
//!
//! ```text
//! /run/spank-linger/<uid>/         flock(2) on this directory is the user's lock
//! /run/spank-linger/<uid>/<job>    one lease
//! /run/spank-linger/<uid>/<job>.limits  what the job may use, once it has a cgroup
//! /run/spank-linger/<uid>/<job>.audit   the audit session ids of its steps
//! /run/spank-linger/<uid>/<job>.keepers the processes that show that it is not over
//! /run/spank-linger/<uid>/<job>.space   the lock of what its tasks do once in a mount namespace of its own
//! /run/spank-linger/<uid>/<job>.own     where a session of its own is, until that has ended
//! /run/spank-linger/<uid>/ended.audit   those of ended jobs that left something
//! /run/spank-linger/<uid>/undo     a copy of what is to be undone
//! /run/spank-linger/<uid>/manager  the manager that systemd has said is up
//! /run/spank-linger/<uid>/starting there while a manager was told to start, and nobody has seen it up
//! /run/spank-linger/<uid>/found    what ran in the session when it was found
//! /run/spank-linger/<uid>/limits   those of all jobs once more, for who wants their sum
//! /run/spank-linger/<uid>/slice    the slice as it was before its first cap
//! /run/spank-linger/<uid>/no-audit-ids  that it has been said that this node has none
//! /run/spank-linger/<uid>/kept     until when the session is kept, without a job
//! /var/lib/spank-linger/<uid>      linger as it was before the first lease
//! ```
//!
//! The lock is held over decide *and* act. Without it, the epilog of one job
//! could find no other lease and turn linger off just after the prolog of the
//! next had found it on. The last to leave removes the directory while holding
//! its lock, so whoever waited for it sees that it locked a directory that is
//! gone, and begins anew.

use std::path::PathBuf;

use serde::{Deserialize, Serialize, Serializer};

use crate::outside::fields::word;
use crate::outside::files::{names_in, numbers_in, temporary, unfinished_in};
use crate::terms::error::Result;
use crate::terms::roots::Roots;
use crate::terms::set::Set;
use crate::terms::site::Means;

pub(crate) mod capped;
pub(crate) mod keepers;
mod lease;
mod lists;
mod lock;
mod locked;
pub(crate) mod own;
mod state;
mod together;
use lease::Record;
pub(crate) use lock::lock_file;
pub(crate) use locked::{Locked, lock, lock_unless, try_lock};
pub(crate) use state::State;
pub(crate) use together::Together;
#[cfg(test)]
pub(crate) use together::reads as reads_noted;

/// How one job stands with the session of its user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Record", into = "Record")]
pub enum Lease {
    /// The job holds the session open.
    Open,
    /// The job asked for a session and there is none.
    Failed {
        /// The cause, one line.
        cause: String,
        /// The user has been told, in the stderr of one of the job's steps.
        told: bool,
    },
    /// The job is not to have one.
    Declined,
}

impl Lease {
    /// Whether the job holds the session open.
    #[must_use]
    pub fn is_open(&self) -> bool {
        *self == Self::Open
    }
}

/// What was before the first lease, with the account's name, because at the end
/// the name service may not answer any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Undo {
    pub(crate) name: String,
    /// Of [`Means::Manager`]: whether the session was up.
    pub(crate) linger_before: bool,
    /// logind has been asked to turn it on, in the copy.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) asked: bool,
    #[serde(default, skip_serializing_if = "is_default", deserialize_with = "word")]
    pub(crate) means: Means,
    /// Read from the copy: the record itself is lost.
    #[serde(skip)]
    pub(crate) is_copy: bool,
}

// serde passes a reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_default(means: &Means) -> bool {
    *means == Means::default()
}

/// Whose audit session ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Marked {
    /// The steps of a job.
    Job(u32),
    /// Ended jobs whose user had another: of what all of them share, or without an epilog.
    Ended,
}

/// What ran in the session right after its first lease: cgroups below the slice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Found {
    #[serde(serialize_with = "names")]
    pub(crate) cgroups: Set<PathBuf>,
}

/// A name that is no text is not systemd's but the user's, and is left out: what
/// is in there is taken for what a job left.
fn names<S: Serializer>(cgroups: &Set<PathBuf>, to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(cgroups.iter().filter_map(|cgroup| cgroup.to_str()))
}

/// The cause in a lease that is being opened: it stays if that comes to no end.
pub(crate) const INTERRUPTED: &str = "opening it was interrupted";

/// The record of a capped slice, beside the leases.
const SLICE: &str = "slice";

/// A copy of what is to be undone, beside the leases.
const UNDO: &str = "undo";

/// The managers that systemd has said are up, the last one last.
const MANAGER: &str = "manager";

/// There while a manager has been told to start, and nobody has waited for it yet.
const STARTING: &str = "starting";

/// There while a session is kept; in it the seconds since boot until which it is.
const KEPT: &str = "kept";
const NO_AUDIT_IDS: &str = "no-audit-ids";

/// The record of what was found, beside the leases.
const FOUND: &str = "found";

/// The user's state, not locked.
pub(crate) fn state(roots: &Roots, uid: u32) -> State {
    let name = uid.to_string();
    State { dir: roots.run.join(&name), undo: roots.lib.join(name), proc: roots.proc.clone() }
}

/// Whether there is neither a lease nor anything to undo, so that an epilog for
/// a user we never served costs four system calls.
pub(crate) fn is_unknown(roots: &Roots, uid: u32) -> bool {
    let State { dir, undo, .. } = state(roots, uid);
    let all = [&dir, &undo, &temporary(&undo), &own::shared(roots, uid)];
    all.into_iter().all(|path| matches!(path.try_exists(), Ok(false)))
}

/// The users for whom something may be to be undone, if only a record that was
/// not written to its end before a power loss.
pub(crate) fn known_uids(roots: &Roots) -> Result<Set<u32>> {
    let all_in = |dir| numbers_in(dir, usize::MAX);
    let (served, to_undo) = (names_in(&roots.run, &own::uid_in)?, all_in(&roots.lib)?);
    Ok(served.union(to_undo).union(unfinished_in(&roots.lib)?))
}
