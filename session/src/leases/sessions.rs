//! Leases: the first opens the session of a user, the last closes it.

use std::time::Duration;

use crate::kind::On;
use crate::leases::sweep::{drop_earlier, drop_unended, see_the_end, settle, sweep};
use crate::outside::account::User;
use crate::outside::bus::Bus;
use crate::outside::crash;
use crate::outside::processes::{Process, processes};
use crate::outside::runtime_dir::check_manager;
use crate::outside::systemd::Systemd;
use crate::outside::unified::require_unified;
use crate::record::keepers::{Keeper, is_apart, is_over};
use crate::record::{self, Lease, Locked, Undo};
use crate::shared::close::forget_undo;
use crate::shared::ending::{
    all_gone, confine, end_leftovers, note_found, put_back, release, time_to_end,
    time_to_end_leftovers,
};
use crate::shared::keep::end_keep;
use crate::shared::open::{Opened, Opening, open};
use crate::terms::budget::Budget;
use crate::terms::error::Result;
use crate::terms::job::{Job, Moment, Role};
use crate::terms::site::Site;

/// The sessions of all users on this node.
#[derive(Clone, Debug)]
pub struct Sessions {
    /// What the admin has set.
    pub site: Site,
}

impl Sessions {
    /// Takes a lease for `job` and returns when the session is live. This process
    /// is noted with it, as [`Sessions::note_keeper`] does.
    ///
    /// # Errors
    /// Why there is no session. The lease stays, marked as failed with the
    /// cause, until it is released; linger is put back at once if no other job
    /// holds the session.
    pub fn take(&self, job: Job, moment: Moment) -> Result<()> {
        moment.role().into_iter().for_each(crash::acts_as);
        let was_open = moment == Moment::Step && matches!(self.lease(job), Ok(Some(Lease::Open)));
        self.open(job, moment).inspect_err(|error| {
            // What runs in a session that is there must not end for what passes, or for what its user did.
            if !(was_open && check_manager(&self.site.roots.slice(job.uid), job.uid).is_ok()) {
                self.give_up(job, error.to_string());
            }
        })
    }

    fn open(&self, job: Job, moment: Moment) -> Result<()> {
        if self.site.containment.confine.is_any() {
            require_unified(&self.site.roots)?;
        }
        // The session before may be closing, and has its own time for that.
        let closing = time_to_end(self.site.containment.grace);
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

    /// The lease of `job`, if it has one.
    ///
    /// # Errors
    /// When there is one that cannot be read.
    pub fn lease(&self, job: Job) -> Result<Option<Lease>> {
        record::state(&self.site.roots, job.uid).lease(job.id)
    }

    /// Whether `job` has a lease of this run of it: its first run, or another job
    /// that had its id, may have left one. One that cannot be read counts.
    #[must_use]
    pub fn has_lease(&self, job: Job) -> bool {
        let state = record::state(&self.site.roots, job.uid);
        let keepers = state.keepers(job.id).unwrap_or_default();
        !matches!(state.lease(job.id), Ok(None)) && !is_over(&keepers, false, &self.site.roots.proc)
    }

    /// Whether this process, a step's, is in another pid namespace than the session
    /// (namespace/linux with CLONE_NEWPID, Slurm 25.11). The session's manager would
    /// take the numbers of its processes for others of the node: crun and systemctl
    /// fail, and a wrong process might be moved (systemd 262, Podman 5.8).
    #[must_use]
    pub fn is_apart(&self, job: Job) -> bool {
        let keepers = record::state(&self.site.roots, job.uid).keepers(job.id).unwrap_or_default();
        is_apart(&keepers, &self.site.roots.proc)
    }

    /// Replaces what is noted about `job`, for its later steps to see.
    ///
    /// # Errors
    /// When the note cannot be written.
    pub fn note(&self, job: Job, lease: &Lease, moment: Moment) -> Result<()> {
        let budget = Budget::starting_now(self.site.timeout);
        let state = record::lock(&self.site.roots, job.uid, budget)?;
        if moment.begins() {
            drop_earlier(&self.site, &state, job.id)?;
        }
        state.put(job.id, lease)?;
        note_process(&self.site, &state, job.id, moment)
    }

    /// Notes that this process is at work for `job`, so that its lease is kept
    /// until the process ends. Where there is no lease there is nothing to note.
    ///
    /// # Errors
    /// When the note cannot be written.
    pub fn note_keeper(&self, job: Job, role: Role) -> Result<()> {
        crash::acts_as(role);
        match Keeper::this(role, &self.site.roots.proc) {
            Some(keeper) => record::state(&self.site.roots, job.uid).add_keeper(job.id, &keeper),
            None => Ok(()),
        }
    }

    /// Ends what `job` left running and drops its lease; the last one closes the
    /// session. Without a lease it only settles what an earlier failure may have
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
        let left = end_leftovers(&self.site, job);
        let grace = time_to_end(self.site.containment.grace);
        let budget = Budget::starting_now(self.site.timeout).and(grace);
        release(&mut Bus::new(&self.site.roots, budget), &self.site, job, budget)?;
        let left = left?;
        if left.is_empty() {
            return Ok(());
        }
        let now = processes(&self.site.roots, job.uid);
        let still_there = |process: &Process| now.contains(process);
        all_gone(&left.into_iter().filter(still_there).collect::<Vec<_>>())
    }

    /// What [`Sessions::release`] may take at most, by the deadlines of what it does.
    #[must_use]
    pub fn longest_release(&self) -> Duration {
        let grace = self.site.containment.grace;
        self.site.timeout + time_to_end_leftovers(grace) + time_to_end(grace)
    }

    /// When slurmd loads the plugin: drops the leases of jobs that are over, and
    /// undoes what they, a power loss or a dead bus have left. Only where slurmd
    /// begins to run is a job over that has no process of Slurm's: `scontrol
    /// reconfigure` executes it anew under jobs that may be between two steps
    /// (Slurm 23.11).
    ///
    /// # Errors
    /// When the list cannot be read. What fails for one user is logged;
    /// when the time runs out, what it ran out for.
    pub fn settle(&self, slurmd_starts: bool) -> Result<()> {
        let uids = record::known_uids(&self.site.roots)?;
        let budget = Budget::starting_now(self.site.timeout);
        let mut bus = Bus::new(&self.site.roots, budget);
        let mut ending = Vec::new();
        for uid in uids {
            match settle(&mut bus, &self.site, uid, slurmd_starts, budget) {
                Err(error) if error.is_late() => return Err(error),
                Err(error) => log::error!("uid {uid}: settle what an ended job left: {error}"),
                Ok(still_ends) => ending.extend(still_ends.then_some(uid)),
            }
        }
        // All of them end at the same time. What is not seen to end stays written down.
        for uid in ending {
            let seen = see_the_end(&mut bus, &self.site, uid, budget);
            seen.unwrap_or_else(|error| log::warn!("uid {uid}: see its session end: {error}"));
        }
        Ok(())
    }
}

pub(crate) fn take(on: &mut On<'_>, job: Job, moment: Moment) -> Result<()> {
    let (site, state) = (on.site, on.state);
    let has_swept = sweep(site, job.uid, state, false)?;
    let dropped = if moment.begins() { drop_earlier(site, state, job.id)? } else { None };
    let before = begin(state, job.id, dropped.is_some())?;
    note_process(site, state, job.id, moment)?;
    let undo = state.undo()?;
    let user = match &undo {
        Some(Undo { name, .. }) => User { uid: job.uid, name: name.clone(), roots: &site.roots },
        None => User::look_up(job.uid, &site.roots)?,
    };
    let is_shared = before.is_none() && state.is_held()?;
    end_keep(on)?;
    // Before anything of the user's can begin in it. Where another job holds it that has been done.
    if has_swept || dropped == Some(true) || !is_shared {
        confine(on)?;
    }
    let opening = Opening { user: &user, state, means: site.means, is_shared };
    if open(on.systemd, &opening, undo, on.budget)? == Opened::AfterHanging {
        log::warn!("{job}: start user@{}.service: hung, and was killed and begun again", job.uid);
    }
    note_found(on)?;
    state.put(job.id, &before.unwrap_or(Lease::Open))
}

/// Writes down what a crash from here on leaves behind: there is no session.
/// Gives a lease that is open: of a job whose session was taken away.
fn begin(state: &Locked, id: u32, is_new: bool) -> Result<Option<Lease>> {
    let found = if is_new { Ok(None) } else { state.lease(id) };
    if !is_new && matches!(found, Ok(None)) {
        // What is there without a lease is of a job that had this id, and whose
        // epilog was killed: its processes must not tell that this one is over.
        drop_unended(state, id)?;
    }
    let before = found.ok().flatten().filter(Lease::is_open);
    if before.is_none() {
        let cause = record::INTERRUPTED.into();
        state.put(id, &Lease::Failed { cause, told: false })?;
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

pub(crate) fn give_up(
    systemd: &mut dyn Systemd,
    site: &Site,
    job: Job,
    cause: String,
    budget: Budget,
) -> Result<()> {
    let state = &record::lock(&site.roots, job.uid, budget)?;
    if !matches!(state.lease(job.id), Ok(Some(Lease::Declined))) {
        // On a full disk a lease cannot be changed, and can be removed.
        let noted = state.put(job.id, &Lease::Failed { cause, told: false });
        noted.or_else(|_| state.remove(job.id))?;
    }
    let on = &mut On { site, uid: job.uid, state, systemd, budget };
    if !state.is_held()? {
        if let Some((user, undo)) = put_back(on)? {
            forget_undo(&user, state, &undo)?;
        }
    }
    confine(on)
}

#[cfg(test)]
mod tests;
