//! What there is of a user's session on this node, to be shown: reads, and
//! changes nothing.
//!
//! Leases are root's to read. What the kernel and logind tell of a session is
//! for everybody.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::limits::amounts::Limits;
use crate::limits::read::job_cgroup;
use crate::outside::account::escape;
use crate::outside::counted::{cpu_time, number};
use crate::outside::runtime_dir::{Viewpoint, check, check_manager, is_there};
use crate::record::keepers::{Keeper, is_over};
use crate::record::{self, Lease, State, Undo};
use crate::shared::keep::left;
use crate::terms::decimal::decimal;
use crate::terms::error::{Error, NotLive, Result};
use crate::terms::job::Role;
use crate::terms::roots::{Roots, manager};
use crate::terms::set::Set;
use crate::terms::site::Means;

mod own;
pub use own::{OwnState, OwnUsage, OwnView, Peaks};

/// One job's lease.
#[derive(Debug)]
pub struct LeaseView {
    /// Slurm's job id.
    pub job: u32,
    /// How the job stands, or why that cannot be read.
    pub lease: Result<Lease>,
    /// What the job may use, once that is known.
    pub limits: Option<Allowance>,
    /// The session that is the job's alone.
    pub own: Option<OwnView>,
    /// Slurm's processes that were noted for it.
    pub keepers: Vec<KeeperView>,
    /// Its session is being opened.
    pub is_opening: bool,
    /// It is provably over: its lease is stale.
    pub is_over: bool,
}

/// One process of Slurm's that works for a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeeperView {
    /// What it does.
    pub role: Role,
    /// Its number.
    pub pid: u32,
    /// It is still there, or cannot be seen from here.
    pub lives: bool,
}

/// What may be used. None: as much as the node has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowance {
    /// Bytes.
    pub memory: Option<u64>,
    /// Bytes of swap on top.
    pub swap: Option<u64>,
    /// Processes and threads.
    pub tasks: Option<u64>,
    /// As in cpuset.cpus (cgroups(7)): `0-3,8`.
    pub cpus: Option<String>,
    /// Devices that may not be opened: `char 195:0`. Of a slice it is not known:
    /// no file of the kernel's tells.
    pub denied_devices: Vec<String>,
}

/// What is put back after the last lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Before {
    /// What keeps the session up.
    pub means: Means,
    /// Linger was on, or with [`Means::Manager`] the session was up.
    pub was_on: bool,
}

impl Before {
    pub(crate) fn of(undo: &Undo) -> Self {
        Self { means: undo.means, was_on: undo.linger_before }
    }
}

/// What all that runs in a user's slice uses. None where the kernel does not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes now (memory.current).
    pub memory: Option<u64>,
    /// Bytes of swap now (memory.swap.current).
    pub swap: Option<u64>,
    /// Processes and threads now (pids.current).
    pub tasks: Option<u64>,
    /// CPU time since the slice is there (cpu.stat, usage_usec).
    pub cpu: Option<Duration>,
}

/// The users who have a session, or for whom something is written down.
///
/// # Errors
/// When what is written down cannot be listed: it is root's.
pub fn users(roots: &Roots) -> Result<Set<u32>> {
    Ok(record::known_uids(roots)?.union(users_with_sessions(roots)))
}

/// The users who have a runtime directory.
#[must_use]
pub fn users_with_sessions(roots: &Roots) -> Set<u32> {
    let entries = fs::read_dir(&roots.runtime).into_iter().flatten().flatten();
    entries.filter_map(|entry| decimal(entry.file_name().to_str()?)).collect()
}

/// The leases of a user's jobs.
///
/// # Errors
/// When they cannot be listed: they are root's.
pub fn leases(roots: &Roots, uid: u32) -> Result<Vec<LeaseView>> {
    let state = record::state(roots, uid);
    let is_locked = state.is_locked();
    let view = |job| LeaseView::of(&state, job, is_locked, roots).transpose();
    state.jobs()?.into_iter().filter_map(view).collect()
}

impl LeaseView {
    /// None where the job's epilog came between.
    fn of(state: &State, job: u32, is_locked: bool, roots: &Roots) -> Result<Option<Self>> {
        let proc = &roots.proc;
        let keepers = state.keepers(job)?;
        let Some(lease) = state.lease(job).transpose() else { return Ok(None) };
        let is_over = is_over(&keepers, false, proc);
        let keepers = keepers.iter().map(|keeper| KeeperView::of(keeper, proc)).collect();
        let limits = state.limits(job).ok().flatten().as_ref().map(Allowance::from);
        let is_opening = is_locked
            && matches!(&lease, Ok(Lease::Failed { cause, .. }) if cause == record::INTERRUPTED);
        let own = OwnView::of(state, job, roots);
        Ok(Some(Self { job, lease, limits, own, keepers, is_opening, is_over }))
    }
}

impl KeeperView {
    fn of(keeper: &Keeper, proc: &Path) -> Self {
        Self { role: keeper.role, pid: keeper.pid, lives: keeper.lives(proc) }
    }
}

/// What was before the user's first lease, if it is to be put back.
///
/// # Errors
/// When the record cannot be read: it is root's.
pub fn before(roots: &Roots, uid: u32) -> Result<Option<Before>> {
    Ok(record::state(roots, uid).undo()?.as_ref().map(Before::of))
}

/// For how long the user's session still is kept, if it is: no job holds it.
#[must_use]
pub fn kept(roots: &Roots, uid: u32) -> Option<Duration> {
    left(roots, &record::state(roots, uid))
}

/// Whether logind keeps the user's session without a login.
///
/// # Errors
/// When logind's directory cannot be read.
pub fn lingers(roots: &Roots, name: &str) -> Result<bool> {
    let flag = roots.linger.join(escape(name));
    flag.try_exists().map_err(Error::file("look at", &flag))
}

/// Whether there is something in the place of the user's runtime directory. For
/// everybody, and without a word to a file system of the user's.
#[must_use]
pub fn has_runtime_dir(roots: &Roots, uid: u32) -> bool {
    is_there(&roots.runtime_dir(uid))
}

/// Whether the session can be used, as `seen_by` finds it.
///
/// # Errors
/// What is missing.
pub fn check_session(roots: &Roots, uid: u32, seen_by: Viewpoint) -> Result<(), NotLive> {
    check(&roots.runtime_dir(uid), uid, seen_by)?;
    check_manager(&roots.slice(uid), uid)
}

/// What the kernel holds the user's slice to; in a task of a job with a session of its own, the job.
///
/// # Errors
/// When its files cannot be read or understood.
pub fn caps(roots: &Roots, uid: u32) -> Result<Allowance> {
    let job = if session_in_view(roots, uid).is_some() { job_cgroup(roots)? } else { None };
    Ok((&Limits::of_cgroup(&job.unwrap_or_else(|| roots.slice(uid)))?).into())
}

/// A job's own session, as its tasks find it: in a directory that is no slice.
fn session_in_view(roots: &Roots, uid: u32) -> Option<PathBuf> {
    let (slice, session) = (roots.slice(uid), roots.slice(uid).join(manager(uid)));
    let is_cgroup = |dir: &Path| dir.join("cgroup.controllers").exists();
    (is_cgroup(&session) && !is_cgroup(&slice)).then_some(session)
}

/// What the user's slice uses; in a task of a job with a session of its own, that session.
#[must_use]
pub fn usage(roots: &Roots, uid: u32) -> Usage {
    let slice = session_in_view(roots, uid).unwrap_or_else(|| roots.slice(uid));
    let of = |file| number(&slice, file);
    Usage {
        memory: of("memory.current"),
        swap: of("memory.swap.current"),
        tasks: of("pids.current"),
        cpu: cpu_time(&slice),
    }
}

impl From<&Limits> for Allowance {
    fn from(limits: &Limits) -> Self {
        let Limits { memory, swap, tasks, cpus, denied, .. } = limits;
        Self {
            memory: *memory,
            swap: *swap,
            tasks: *tasks,
            cpus: cpus.as_ref().map(ToString::to_string),
            denied_devices: denied.iter().map(ToString::to_string).collect(),
        }
    }
}

#[cfg(test)]
mod tests;
