//! The end of a lease: what the job left is ended, and the last one closes.

use std::time::{Duration, Instant};

use crate::kind::{DYING, On, Wait};
use crate::leases::kinds;
use crate::leases::sessions::Sessions;
use crate::leases::sweep::{ENOUGH, drop_over, drop_unended, forget, jobs_that_are_over};
use crate::outside::bus::Bus;
use crate::outside::processes::{Process, all_gone, processes};
use crate::outside::systemd::Systemd;
use crate::record::keepers::has_step;
use crate::record::{self, Locked, Marked, State};
use crate::slice::confine::confine;
use crate::terms::budget::Budget;
use crate::terms::error::{Result, all};
use crate::terms::job::{Job, Role};
use crate::terms::set::Set;
use crate::terms::site::Site;

impl Sessions {
    /// Ends what `job` left running and drops its lease; the last one closes the
    /// session. Without a lease it only undoes what an earlier failure may have
    /// left.
    ///
    /// # Errors
    /// Why the session could not be closed, or what could not be ended. What is
    /// to be undone stays written down for the next call.
    pub fn release(&self, job: Job) -> Result<()> {
        if record::is_unknown(&self.site.roots, job.uid) {
            return Ok(());
        }
        let noted = self.note_keeper(job, Role::Epilog);
        noted.unwrap_or_else(|error| log::debug!("{job}: note its epilog: {error}"));
        let ended = self.end_own(job);
        let left = end_left(&self.site, job);
        let budget = Budget::starting_now(self.site.timeout).and(kinds::longest_end(&self.site));
        let systemd = &mut Bus::new(&self.site.roots, budget);
        let released = release(systemd, &self.site, job, budget);
        all(&job, [ended, released, left.and_then(|left| none_lives(&self.site, job, left))])
    }

    /// What [`Sessions::release`] may take at most, by the deadlines of what it does.
    #[must_use]
    pub fn longest_release(&self) -> Duration {
        let site = &self.site;
        site.timeout + kinds::longest_end_left(site) + kinds::longest_end(site)
    }

    /// Ends what the steps of `job` have in the session, if one of them still runs: Slurm calls for this
    /// when it has given the job KillWait to end. What is left then is what left the step's cgroup.
    ///
    /// # Errors
    /// What could not be ended.
    pub fn end_what_left(&self, job: Job) -> Result<()> {
        let state = record::state(&self.site.roots, job.uid);
        if !has_step(&state.keepers(job.id)?, &self.site.roots.proc) {
            return Ok(());
        }
        kinds::of(self.kind(job)).end(&self.site, job, Duration::ZERO)?;
        all_gone(&end_left(&self.site, job)?)
    }

    /// Has what runs in a session that is `job`'s alone end, when its batch script has: while Slurm still leaves it time.
    /// Where the job `is_cancelled` Slurm is ending its other steps meanwhile: what they have there hears of it from
    /// them, and is not told twice.
    ///
    /// # Errors
    /// What could not be ended.
    pub fn end_of_script(&self, job: Job, is_cancelled: bool) -> Result<()> {
        let (kind, grace) = (kinds::of(self.kind(job)), self.site.containment.grace);
        if is_cancelled {
            kind.await_steps(&self.site, job, Instant::now() + grace);
        }
        kind.end(&self.site, job, grace)
    }

    fn end_own(&self, job: Job) -> Result<()> {
        kinds::end_all(&self.site, job, self.site.containment.grace, DYING)
    }

    /// Ends what bears the mark `id` of one of `job`'s steps in the session.
    ///
    /// # Errors
    /// What could not be ended.
    pub fn end_step(&self, job: Job, id: u32) -> Result<()> {
        all_gone(&kinds::of(self.kind(job)).end_left(&self.site, job, &[id].into()).alive)
    }
}

/// Ends what the steps of `job` left in the session, and answers with what lives
/// on all the same. Without the user's lock: the lease keeps the session open
/// meanwhile, and other jobs of the user need not wait.
pub(crate) fn end_left(site: &Site, job: Job) -> Result<Vec<Process>> {
    let roots = &site.roots;
    let state = record::state(roots, job.uid);
    let ids = audit_ids_of_ended(site, job, &state)?;
    if !site.containment.kill_leftovers || ids.is_empty() {
        return Ok(Vec::new());
    }
    let left = kinds::of(state.kind(job.id)).end_left(site, job, &ids);
    if left.spared {
        // For whoever ends the last job, if the session stays then.
        state.add_audit_ids(Marked::Ended, &state.audit_ids(Marked::Job(job.id))?)?;
    }
    Ok(left.alive)
}

/// What this job's steps bear, and those of jobs that have ended before it.
fn audit_ids_of_ended(site: &Site, job: Job, state: &State) -> Result<Set<u32>> {
    // Sorted once: there may be many jobs.
    let mut ids: Vec<_> = state.audit_ids(Marked::Ended)?.into_iter().collect();
    let over = jobs_that_are_over(site, job.uid, state, false, ENOUGH)?;
    for job in over.into_iter().chain([job.id]) {
        ids.extend(state.audit_ids(Marked::Job(job))?);
    }
    Ok(ids.into())
}

/// With the end of the session other processes may have ended.
fn none_lives(site: &Site, job: Job, left: Vec<Process>) -> Result<()> {
    if left.is_empty() {
        return Ok(());
    }
    let now = processes(&site.roots, job.uid);
    all_gone(&left.into_iter().filter(|process| now.contains(process)).collect::<Vec<_>>())
}

/// Drops the lease of `job`, and undoes what no job of its user holds any more: each act whatever becomes of the
/// others, but nothing is undone while the lease could not be dropped.
pub(crate) fn release(
    systemd: &mut dyn Systemd,
    site: &Site,
    job: Job,
    budget: Budget,
) -> Result<()> {
    let state = &record::lock(&site.roots, job.uid, budget)?;
    drop_lease(site, state, job)?;
    let swept = drop_over(site, job.uid, state, false);
    let on = &mut On { site, uid: job.uid, state, systemd, budget };
    let ended = match state.is_held() {
        Ok(true) => confine(on),
        Ok(false) => kinds::undo(on, Wait::OrKeep).map(drop),
        Err(error) => Err(error),
    };
    all(&job, [ended, swept.map(drop)])
}

fn drop_lease(site: &Site, state: &Locked, job: Job) -> Result<()> {
    if has_step(&state.keepers(job.id)?, &site.roots.proc) {
        // It outlives its extern step (RunInJob), or cannot be killed.
        drop_unended(site, state, job)
    } else {
        // What has not ended in its time may have by now.
        let ended = kinds::end_all(site, job, Duration::ZERO, Duration::ZERO);
        forget(state, job.id, &ended)
    }
}
