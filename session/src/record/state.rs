//! One user's state, as anybody reads it.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use super::lease::Record;
use super::{
    FOUND, Found, KEPT, Lease, MANAGER, Marked, NO_AUDIT_IDS, SLICE, STARTING, UNDO, Undo, lists,
};
use crate::limits::amounts::Limits;
use crate::outside::audit;
use crate::outside::files::{any_number_in, names_in, numbers_in, read, read_lines, write};
use crate::outside::text::text;
use crate::record::capped::Capped;
use crate::record::keepers::{self, Keeper};
use crate::record::lock_file;
use crate::record::own::{OwnSession, job_in};
use crate::terms::budget::Budget;
use crate::terms::decimal::decimal;
use crate::terms::error::Result;
use crate::terms::set::Set;
use crate::terms::site::SessionKind;

/// Leases of one user: more than there are jobs of one on most nodes.
const SOME: usize = 64;

/// One user's state, to be read. Each file is replaced whole, so without the
/// lock what is read may be old, and never half written.
#[derive(Debug)]
pub(crate) struct State {
    pub(super) dir: PathBuf,
    pub(super) undo: PathBuf,
    /// proc(5), which tells of the processes that are noted.
    pub(super) proc: PathBuf,
}

impl State {
    pub(crate) fn lease(&self, job: u32) -> Result<Option<Lease>> {
        Ok(self.record(job)?.map(Lease::from))
    }

    // Its callers would have 3 KB of it each.
    #[inline(never)]
    fn record(&self, job: u32) -> Result<Option<Record>> {
        read(&self.path(job))
    }

    /// The lease, with the kind of the session that it is of.
    pub(crate) fn lease_and_kind(&self, job: u32) -> Result<Option<(Lease, SessionKind)>> {
        Ok(self.record(job)?.map(|record| {
            let kind = record.kind;
            (record.into(), kind)
        }))
    }

    /// The kind of a job's session, as its lease says.
    pub(crate) fn kind(&self, job: u32) -> SessionKind {
        self.record(job).ok().flatten().map_or_else(SessionKind::default, |record| record.kind)
    }

    /// Whether a job holds the session open. A lease that cannot be read does:
    /// closing under a running job is the worse mistake.
    pub(crate) fn is_held(&self) -> Result<bool> {
        any_number_in(&self.dir, |job| self.holds(job))
    }

    /// Whether one does that has a session of that kind.
    pub(crate) fn is_held_as(&self, kind: SessionKind) -> Result<bool> {
        any_number_in(&self.dir, |job| self.kind(job) == kind && self.holds(job))
    }

    /// Whether this one does.
    pub(crate) fn holds(&self, job: u32) -> bool {
        match self.lease(job) {
            Ok(lease) => lease.is_some_and(|lease| lease.is_open()),
            Err(_) => true,
        }
    }

    /// What a job may use, once that is known. Whoever is first to know it writes it
    /// down, and waits for the lock only then: who has the lock caps for all of them.
    pub(crate) fn limits(&self, job: u32) -> Result<Option<Limits>> {
        if let Some(limits) = read(&self.limits_path(job))? {
            return Ok(Some(limits));
        }
        Ok(self.record(job).ok().flatten().and_then(|record| record.limits))
    }

    /// Where a job's own session is.
    pub(crate) fn own(&self, job: u32) -> Result<Option<OwnSession>> {
        read(&self.own_path(job))
    }

    /// Whether it has come to a cgroup. One that cannot be read may have.
    pub(crate) fn is_placed(&self, job: u32) -> bool {
        self.own(job).map_or(true, |own| own.is_some_and(|own| own.cgroup.is_some()))
    }

    /// The jobs of which that is written down.
    pub(crate) fn own_jobs(&self) -> Result<Set<u32>> {
        names_in(&self.dir, &job_in)
    }

    /// Those of them that have no lease any more: their sessions had not ended when it was dropped.
    pub(crate) fn unended(&self) -> Result<Set<u32>> {
        let has_none = |job: &u32| matches!(self.path(*job).try_exists(), Ok(false));
        Ok(self.own_jobs()?.into_iter().filter(has_none).collect())
    }

    /// Writes that down: by the one process that opens it, without the lock.
    pub(crate) fn put_own(&self, job: u32, own: &OwnSession) -> Result<()> {
        write(&self.own_path(job), own)
    }

    pub(super) fn own_path(&self, job: u32) -> PathBuf {
        self.dir.join(format!("{job}.own"))
    }

    /// Locks what the tasks of a job do once for all of them in its mount namespace.
    pub(crate) fn lock_space(&self, job: u32, budget: Budget) -> Result<File> {
        lock_file(&self.space_path(job), budget)
    }

    pub(super) fn space_path(&self, job: u32) -> PathBuf {
        self.dir.join(format!("{job}.space"))
    }

    /// Writes down what a job may use.
    pub(crate) fn put_limits(&self, job: u32, limits: &Limits) -> Result<()> {
        write(&self.limits_path(job), limits)
    }

    /// From the copy where the disk has lost it: before a reboot that will do.
    pub(crate) fn undo(&self) -> Result<Option<Undo>> {
        let copy = || read(&self.dir.join(UNDO)).ok().flatten();
        match read(&self.undo) {
            Ok(Some(undo)) => Ok(Some(undo)),
            lost => copy().map_or(lost, |copy| Ok(Some(Undo { is_copy: true, ..copy }))),
        }
    }

    /// Whether what is to be undone was written down since the boot.
    pub(crate) fn is_of_this_boot(&self) -> bool {
        self.dir.join(UNDO).exists()
    }

    /// Whether somebody has the user's lock now.
    pub(crate) fn is_locked(&self) -> bool {
        let dir = File::open(&self.dir);
        matches!(dir.map(|dir| dir.try_lock()), Ok(Err(TryLockError::WouldBlock)))
    }

    /// The manager that systemd has said is up. Of one that begins after it nobody
    /// has said so.
    pub(crate) fn manager(&self) -> Option<u64> {
        decimal(text(&self.dir.join(MANAGER)).ok()?.lines().last()?)
    }

    /// Whether a manager was told to start, and nobody has seen since that it is up.
    pub(crate) fn is_starting(&self) -> bool {
        self.dir.join(STARTING).exists()
    }

    /// Whether logind has been asked to turn linger on.
    pub(crate) fn was_asked(&self) -> bool {
        let copy: Result<Option<Undo>> = read(&self.dir.join(UNDO));
        copy.is_ok_and(|undo| undo.is_some_and(|undo| undo.asked && !undo.linger_before))
    }

    /// An unreadable record is one of a slice that is to be free afterwards.
    pub(crate) fn capped(&self) -> Option<Capped> {
        read(&self.dir.join(SLICE)).unwrap_or_else(|error| {
            log::error!("{error}; taken for a slice without limits before");
            Some(Capped::of_unlimited())
        })
    }

    /// Until when the session is kept. One that was not written to its end is over.
    pub(crate) fn kept(&self) -> Option<u64> {
        let file = self.dir.join(KEPT);
        let is_there = file.exists();
        let last = || decimal(text(&file).ok()?.lines().last()?);
        is_there.then(|| last().unwrap_or(0))
    }

    pub(crate) fn has_found(&self) -> bool {
        self.dir.join(FOUND).exists()
    }

    pub(crate) fn found(&self) -> Result<Option<Found>> {
        read(&self.dir.join(FOUND))
    }

    /// Whether nobody has said yet that this node has no audit session ids: from now on somebody has.
    pub(crate) fn is_first_to_tell(&self) -> bool {
        let mut options = OpenOptions::new();
        let options = options.write(true).create_new(true).mode(0o600);
        options.open(self.dir.join(NO_AUDIT_IDS)).is_ok()
    }

    /// The audit session ids of a job's steps, or of ended jobs.
    pub(crate) fn audit_ids(&self, of: Marked) -> Result<Set<u32>> {
        Ok(audit::list(&read_lines(&self.audit_path(of))?))
    }

    /// Whether there are any of a job's.
    pub(crate) fn has_audit_ids(&self, job: u32) -> bool {
        self.audit_path(Marked::Job(job)).exists()
    }

    /// Adds one, unless the user is unknown here.
    pub(crate) fn add_audit_id(&self, of: Marked, id: u32) -> Result<()> {
        self.add_audit_ids(of, &[id])
    }

    /// Adds all at once: each time there may be a look at all of /proc.
    pub(crate) fn add_audit_ids(&self, of: Marked, ids: &[u32]) -> Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        let needed = |list: &str| audit::borne_of(list, &self.proc);
        lists::add(&self.audit_path(of), &audit::lines(ids), &needed)
    }

    /// The jobs that have a lease of any kind.
    pub(crate) fn jobs(&self) -> Result<Set<u32>> {
        numbers_in(&self.dir, usize::MAX)
    }

    /// Those that are listed first: all, of a user who has no more than these.
    pub(crate) fn some_jobs(&self) -> Result<Set<u32>> {
        numbers_in(&self.dir, SOME)
    }

    /// The processes that were noted for a job.
    pub(crate) fn keepers(&self, job: u32) -> Result<Vec<Keeper>> {
        // A line that a full disk cut off is no process.
        let lines = read_lines(&self.keepers_path(job))?;
        let whole = lines.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
        Ok(whole.filter_map(|line| line.parse().ok()).collect())
    }

    /// Notes one more, of a job that has a lease.
    pub(crate) fn add_keeper(&self, job: u32, keeper: &Keeper) -> Result<()> {
        if !self.path(job).exists() {
            return Ok(());
        }
        let needed = |list: &str| keepers::needed_of(list, &self.proc);
        lists::add(&self.keepers_path(job), &format!("{keeper}\n"), &needed)
    }

    pub(super) fn path(&self, job: u32) -> PathBuf {
        self.dir.join(job.to_string())
    }

    pub(super) fn limits_path(&self, job: u32) -> PathBuf {
        self.dir.join(format!("{job}.limits"))
    }

    pub(super) fn keepers_path(&self, job: u32) -> PathBuf {
        self.dir.join(format!("{job}.keepers"))
    }

    pub(super) fn audit_path(&self, of: Marked) -> PathBuf {
        self.dir.join(match of {
            Marked::Job(job) => format!("{job}.audit"),
            Marked::Ended => "ended.audit".into(),
        })
    }
}
