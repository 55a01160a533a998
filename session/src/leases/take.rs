//! Takes a lease, and gives one up.

use crate::kind::{On, Wait};
use crate::leases::kinds;
use crate::leases::sessions::Sessions;
use crate::leases::sweep::{drop_earlier, drop_over, drop_unended};
use crate::outside::bus::Bus;
use crate::outside::crash;
use crate::outside::systemd::Systemd;
use crate::outside::unified::require_unified;
use crate::record::keepers::Keeper;
use crate::record::{self, Lease, Locked};
use crate::slice::confine::confine;
use crate::terms::budget::Budget;
use crate::terms::error::Result;
use crate::terms::job::{Job, Moment};
use crate::terms::site::Site;

impl Sessions {
    /// Takes a lease for `job` and returns when the session is live, or, if it is early, on its way. This process
    /// is noted with it, as [`Sessions::note_keeper`] does.
    ///
    /// # Errors
    /// Why there is no session. The lease stays, marked as failed with the
    /// cause, until it is released; linger is put back at once if no other job
    /// holds the session.
    pub fn take(&self, job: Job, moment: Moment) -> Result<()> {
        moment.role().into_iter().for_each(crash::acts_as);
        let was_open = moment == Moment::Step
            && matches!(self.lease(job), Ok(Some(Lease::Open)))
            && !self.is_starting(job);
        self.open(job, moment).inspect_err(|error| {
            // What runs in a session that is there must not end for what passes, or for what its user did.
            if !(was_open && kinds::of(self.kind(job)).lives(&self.site, job)) {
                self.give_up(job, error.to_string());
            }
        })
    }

    /// What the prolog did not get may be there now, by another job of the user: takes a lease of it, and
    /// answers with whether `job` has it. To use it without one would have it vanish under this job.
    #[must_use]
    pub fn take_late(&self, job: Job) -> bool {
        kinds::of(self.site.kind).check(&self.site, job).is_ok()
            && self.take(job, Moment::Step).is_ok()
    }

    /// Replaces what is noted about `job`, for its later steps to see.
    ///
    /// # Errors
    /// When the note cannot be written.
    pub fn note(&self, job: Job, lease: &Lease, moment: Moment) -> Result<()> {
        let budget = Budget::starting_now(self.site.timeout);
        let state = record::lock(&self.site.roots, job.uid, budget)?;
        if moment.begins() {
            drop_earlier(&self.site, job.uid, &state, job.id)?;
        }
        let kind = match state.lease(job.id) {
            Ok(None) => self.site.kind,
            _ => state.kind(job.id),
        };
        state.put(job.id, lease, kind)?;
        note_process(&self.site, &state, job.id, moment)
    }

    fn open(&self, job: Job, moment: Moment) -> Result<()> {
        if self.site.containment.confine.is_any() {
            require_unified(&self.site.roots)?;
        }
        // The session before may be closing, and has its own time for that.
        let closing = kinds::longest_end(&self.site);
        let waiting = Budget::starting_now(self.site.timeout).for_trying().and(closing);
        let state = record::lock(&self.site.roots, job.uid, waiting)?;
        let trying = Budget::starting_now(self.site.timeout).for_trying();
        let systemd = &mut Bus::new(&self.site.roots, trying);
        let (site, uid, state, budget) = (&self.site, job.uid, &state, trying);
        take(&mut On { site, uid, state, systemd, budget }, job, moment)
    }

    /// After a failure: notes why, and puts back what no other job holds, in the
    /// fifth of the time that is kept for it.
    pub(crate) fn give_up(&self, job: Job, cause: String) {
        let budget = Budget::starting_now(self.site.timeout).for_putting_back();
        let given_up =
            give_up(&mut Bus::new(&self.site.roots, budget), &self.site, job, cause, budget);
        given_up.unwrap_or_else(|error| log::warn!("{job}: put back what was changed: {error}"));
    }
}

/// Takes a lease: it is written down as failed, and as open when its session is.
pub(crate) fn take(on: &mut On<'_>, job: Job, moment: Moment) -> Result<()> {
    let (site, state) = (on.site, on.state);
    let has_dropped = drop_over(site, job.uid, state, false)?;
    let dropped = if moment.begins() { drop_earlier(site, job.uid, state, job.id)? } else { None };
    let before = begin(on, job, dropped.is_some())?;
    let kind = if before.is_some() { state.kind(job.id) } else { site.kind };
    note_process(site, state, job.id, moment)?;
    let is_shared = before.is_none() && state.is_held_as(kind)?;
    // Before anything of the user's can begin in it, and before a kept one runs again. Where another job holds it
    // that has been done.
    if has_dropped || dropped == Some(true) || !is_shared {
        confine(on)?;
    }
    kinds::of(kind).begin(on, job, is_shared, moment != Moment::Early)?;
    state.put(job.id, &before.unwrap_or(Lease::Open), kind)
}

/// Writes down what a crash from here on leaves behind: there is no session.
/// Gives a lease that is open: of a job whose session was taken away.
fn begin(on: &On<'_>, job: Job, is_new: bool) -> Result<Option<Lease>> {
    let (state, id) = (on.state, job.id);
    let found = if is_new { Ok(None) } else { state.lease(id) };
    if !is_new && matches!(found, Ok(None)) {
        // What is there without a lease is of a job that had this id, and whose
        // epilog was killed: its processes must not tell that this one is over.
        drop_unended(on.site, state, job)?;
    }
    let before = found.ok().flatten().filter(Lease::is_open);
    if before.is_none() {
        let cause = record::INTERRUPTED.into();
        state.put(id, &Lease::Failed { cause, told: false }, on.site.kind)?;
    }
    Ok(before)
}

/// With the lease, so that nobody finds that one without it.
fn note_process(site: &Site, state: &Locked, id: u32, moment: Moment) -> Result<()> {
    let this = moment.role().and_then(|role| Keeper::this(role, &site.roots.proc));
    match this {
        Some(this) if !state.keepers(id)?.contains(&this) => state.add_keeper(id, &this),
        _ => Ok(()),
    }
}

/// Notes why there is no session, and puts back what no other job holds.
pub(crate) fn give_up(
    systemd: &mut dyn Systemd,
    site: &Site,
    job: Job,
    cause: String,
    budget: Budget,
) -> Result<()> {
    let state = &record::lock(&site.roots, job.uid, budget)?;
    if !matches!(state.lease(job.id), Ok(Some(Lease::Declined))) {
        let kind = state.kind(job.id);
        let noted = state.put(job.id, &Lease::Failed { cause, told: false }, kind);
        // On a full disk a lease cannot be changed, and can be removed. Not where its epilog is to find the cgroup
        // that a guard opens.
        noted.or_else(
            |error| if state.is_placed(job.id) { Err(error) } else { state.remove(job.id) },
        )?;
    }
    let on = &mut On { site, uid: job.uid, state, systemd, budget };
    if state.is_held()? { confine(on) } else { kinds::undo(on, Wait::NotAfterFailure).map(drop) }
}
