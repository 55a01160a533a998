//! What keeps a session within its jobs, as the steps of a job ask for it.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;

use crate::kind::On;
use crate::leases::sessions::Sessions;
use crate::limits::amounts::Limits;
use crate::outside::audit;
use crate::outside::bus::Bus;
use crate::outside::proc::sees_this_process;
use crate::outside::systemd::Systemd;
use crate::record::{self, Marked, Together};
use crate::shared::ending::confine;
use crate::terms::budget::Budget;
use crate::terms::error::{Error, Result};
use crate::terms::job::Job;
use crate::terms::site::{Confine, Site};

/// The audit session id of a step that could not be given one of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    inherited: Option<u32>,
}

impl Sessions {
    /// Holds the session to what `job` may use, together with the user's other
    /// jobs. To be called in a process of the job, when its cgroup is complete.
    ///
    /// # Errors
    /// Why it could not be. Unless the kernel holds the session to limits all the same, the
    /// job's lease is marked as failed with the cause: no session rather than one without limits.
    pub fn confine(&self, job: Job) -> Result<()> {
        // Slurm has the extern step join the job's mount namespace here, and not its
        // pid namespace (namespace/linux, 25.11): the first step will do it.
        if !sees_this_process(&self.site.roots.proc) {
            return Ok(());
        }
        let done = self.note_limits(job).and_then(|()| self.cap(job));
        done.or_else(|error| self.fail(job, error))
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

    /// Whether it is known what `job` may use.
    #[must_use]
    pub fn has_limits(&self, job: Job) -> bool {
        matches!(record::state(&self.site.roots, job.uid).limits(job.id), Ok(Some(_)))
    }

    /// Sees to it that the session still is held to what its jobs may use.
    /// Costs a few small files where it is.
    ///
    /// # Errors
    /// As [`Sessions::confine`].
    pub fn keep_confined(&self, job: Job) -> Result<()> {
        match is_capped(&self.site, job.uid) {
            Ok(true) => Ok(()),
            Ok(false) => self.cap(job).or_else(|error| self.fail(job, error)),
            Err(error) => self.fail(job, error),
        }
    }

    /// Whether the session is held to limits where `job` has some: the end of all
    /// that was tried, as a task of the job sees it.
    ///
    /// # Errors
    /// When the kernel's files cannot be read.
    pub fn is_confined(&self, job: Job) -> Result<bool> {
        Limits::hold_the_slice(&self.site.roots, job.uid, self.site.containment.confine)
    }

    fn cap(&self, job: Job) -> Result<()> {
        let budget = Budget::starting_now(self.site.timeout).for_trying();
        hold(&mut Bus::new(&self.site.roots, budget), &self.site, job, budget)
    }

    /// A session that the kernel holds to limits, if only to the floor, is none without:
    /// this step does without it, and what runs in it goes on.
    fn fail(&self, job: Job, error: Error) -> Result<()> {
        if !self.is_confined(job).unwrap_or(false) {
            self.give_up(job, format!("confine it: {error}"));
        }
        Err(error)
    }

    /// Gives this process, a step's, an audit session id of its own, which all
    /// that the step starts will bear.
    #[must_use]
    pub fn mark(&self, job: Job) -> Mark {
        let inherited = audit::id_of(&self.site.roots.proc, "self");
        let renewed = audit::renew(&self.site.roots.proc, job.uid, inherited);
        Mark { inherited: inherited.filter(|_| !renewed) }
    }

    /// Notes the mark that task `pid` of a step bears: `mark`, or the one that
    /// PAM has given it since. Answers with it.
    ///
    /// # Errors
    /// When the note cannot be written.
    pub fn note_mark(
        &self,
        job: Job,
        pid: impl std::fmt::Display,
        mark: Mark,
    ) -> Result<Option<u32>> {
        let id = audit::id_of(&self.site.roots.proc, pid).filter(|id| Some(*id) != mark.inherited);
        match id {
            Some(id) => {
                record::state(&self.site.roots, job.uid).add_audit_id(Marked::Job(job.id), id)?
            }
            None => self.tell_that_nothing_is_marked(job),
        }
        Ok(id)
    }

    /// Once for all jobs that share a session: it is the kernel's doing.
    fn tell_that_nothing_is_marked(&self, job: Job) {
        let told = self.site.roots.run.join(job.uid.to_string()).join("no-audit-ids");
        let mut options = OpenOptions::new();
        let is_new = options.write(true).create_new(true).mode(0o600).open(&told);
        if is_new.is_ok() {
            log::warn!(
                "{job}: mark its processes: no audit session ids on this node; what a job leaves \
                 in the session ends with its user's last job"
            );
        }
    }
}

fn is_capped(site: &Site, uid: u32) -> Result<bool> {
    let state = record::state(&site.roots, uid);
    let Together::Limits(wanted) = state.together()? else { return Ok(true) };
    let wanted = wanted.only(site.containment.confine);
    Ok(match state.capped() {
        Some(capped) => capped.is_right(&wanted, &site.roots.slice(uid)),
        None => wanted == Limits::default(),
    })
}

/// Holds the slice to what the user's jobs may use together, if `job` is one of them.
pub(crate) fn hold(systemd: &mut dyn Systemd, site: &Site, job: Job, budget: Budget) -> Result<()> {
    let is_done = || is_capped(site, job.uid).unwrap_or(false);
    match &record::lock_unless(&site.roots, job.uid, budget, is_done)? {
        Some(state) if !matches!(state.lease(job.id), Ok(None)) => {
            confine(&mut On { site, uid: job.uid, state, systemd, budget })
        }
        _ => Ok(()),
    }
}
