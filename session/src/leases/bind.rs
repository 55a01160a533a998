//! The first process in a job's cgroup: what the job may use is known, and holds from now on.

use crate::kind::{Launch, On};
use crate::leases::kinds;
use crate::leases::sessions::Sessions;
use crate::limits::amounts::Limits;
use crate::outside::bus::Bus;
use crate::outside::proc::sees_this_process;
use crate::outside::systemd::Systemd;
use crate::record;
use crate::slice::confine::{capped_to, confine};
use crate::terms::budget::Budget;
use crate::terms::error::{Error, Result};
use crate::terms::job::Job;
use crate::terms::site::{Confine, SessionKind, Site};

impl Sessions {
    /// Holds the session to what `job` may use, together with the user's other
    /// jobs, if it has a lease. To be called in a process of the job, when its cgroup is complete.
    ///
    /// # Errors
    /// Why it could not be. Unless the kernel holds the session to limits all the same, the
    /// job's lease is marked as failed with the cause: no session rather than one without limits.
    pub fn bind(&self, job: Job, launch: &dyn Launch) -> Result<()> {
        // Slurm has the extern step join the job's mount namespace here, and not its
        // pid namespace (namespace/linux, 25.11): the first step will do it.
        if !sees_this_process(&self.site.roots.proc) {
            return Ok(());
        }
        let found = record::state(&self.site.roots, job.uid).lease_and_kind(job.id);
        let (is_open, kind) = match &found {
            Ok(None) => return Ok(()),
            Ok(Some((lease, kind))) => (lease.is_open(), *kind),
            Err(_) => (false, SessionKind::default()),
        };
        let kind = kinds::of(kind);
        if kind.is_in_slice(&self.site, job) && (kind.is_beside() || !self.has_limits(job)) {
            let done = self.note_limits(job).and_then(|()| self.cap(job));
            done.or_else(|error| self.fail(job, error))?;
        }
        if !is_open {
            return Ok(());
        }
        let budget = Budget::starting_now(self.site.timeout).for_trying();
        let opened = kind.bind(&self.site, job, launch, budget);
        opened.inspect_err(|error| {
            // What runs in it goes on: this step may not know what is wrong with itself.
            if !kind.lives(&self.site, job) {
                self.give_up(job, error.to_string());
            }
        })
    }

    /// The same, where it may have been done: answers with whether the kernel was seen to hold the slice to all that
    /// `job` is limited in. Costs a few small files where it does.
    pub(crate) fn bind_again(&self, job: Job) -> Result<bool> {
        match capped_to(&self.site, job.uid) {
            Ok(Some(held)) => Ok(self.limits_of(job).is_some_and(|limits| {
                held.has_all_of(&limits.only(self.site.containment.confine))
            })),
            Ok(None) => self.cap(job).or_else(|error| self.fail(job, error)).map(|()| false),
            Err(error) => self.fail(job, error).map(|()| false),
        }
    }

    /// Without the user's lock: of many jobs that begin at once, who has the lock caps
    /// for all of them.
    fn note_limits(&self, job: Job) -> Result<()> {
        let limits = match self.site.containment.confine {
            Confine::NONE => Limits::default(),
            _ => Limits::of_this_job(&self.site.roots)?,
        };
        record::state(&self.site.roots, job.uid).put_limits(job.id, &limits)
    }

    /// Whether [`Self::bind`] has been called for `job`, whose session is of that kind, and its next steps need not.
    #[must_use]
    pub fn is_bound(&self, job: Job, kind: SessionKind) -> bool {
        kinds::of(kind).is_beside() && self.has_limits(job)
    }

    fn has_limits(&self, job: Job) -> bool {
        self.limits_of(job).is_some()
    }

    fn limits_of(&self, job: Job) -> Option<Limits> {
        record::state(&self.site.roots, job.uid).limits(job.id).ok().flatten()
    }

    fn cap(&self, job: Job) -> Result<()> {
        let budget = Budget::starting_now(self.site.timeout).for_trying();
        confine_together(&mut Bus::new(&self.site.roots, budget), &self.site, job, budget)
    }

    /// A session that the kernel holds to limits, if only to the floor, is none without:
    /// this step does without it, and what runs in it goes on. One that is not in the slice needs none there.
    fn fail(&self, job: Job, error: Error) -> Result<()> {
        if !kinds::of(self.kind(job)).is_beside() {
            log::warn!("{job}: hold user-{}.slice to its limits: {error}", job.uid);
            return Ok(());
        }
        let confine = self.site.containment.confine;
        if !Limits::hold_the_slice(&self.site.roots, job.uid, confine).unwrap_or(false) {
            self.give_up(job, format!("confine it: {error}"));
        }
        Err(error)
    }
}

/// Holds the slice to what the user's jobs may use together, if `job` is one of them.
pub(crate) fn confine_together(
    systemd: &mut dyn Systemd,
    site: &Site,
    job: Job,
    budget: Budget,
) -> Result<()> {
    let is_done = || matches!(capped_to(site, job.uid), Ok(Some(_)));
    match &record::lock_unless(&site.roots, job.uid, budget, is_done)? {
        Some(state) if !matches!(state.lease(job.id), Ok(None)) => {
            confine(&mut On { site, uid: job.uid, state, systemd, budget })
        }
        _ => Ok(()),
    }
}
