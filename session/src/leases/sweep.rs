//! Leases of jobs that are over: found and dropped by whoever comes next.

use std::time::{Duration, Instant};

use crate::kind::{On, Wait};
use crate::leases::kinds;
use crate::leases::sessions::Sessions;
use crate::outside::bus::Bus;
use crate::outside::systemd::Systemd;
use crate::record::keepers::{is_over, may_work};
use crate::record::own::OwnSession;
use crate::record::{self, Locked, Marked, State};
use crate::slice::confine::confine;
use crate::terms::budget::Budget;
use crate::terms::error::Result;
use crate::terms::job::Job;
use crate::terms::site::Site;

impl Sessions {
    /// When slurmd loads the plugin: drops the leases of jobs that are over, and
    /// undoes what they, a power loss, a dead bus or a lost record have left. Only
    /// where slurmd begins to run is a job over that has no process of Slurm's:
    /// `scontrol reconfigure` executes it anew under jobs that may be between two
    /// steps (Slurm 23.11).
    ///
    /// # Errors
    /// When the list cannot be read. What fails for one user is logged;
    /// when the time runs out, what it ran out for.
    pub fn sweep(&self, slurmd_starts: bool) -> Result<()> {
        let uids = record::known_uids(&self.site.roots)?;
        let budget = Budget::starting_now(self.site.timeout);
        let mut bus = Bus::new(&self.site.roots, budget);
        if slurmd_starts {
            end_strays(&self.site);
        }
        let mut ending = Vec::new();
        for uid in uids {
            match sweep_at_start(&mut bus, &self.site, uid, slurmd_starts, budget) {
                Err(error) if error.is_late() => return Err(error),
                Err(error) => log::error!("uid {uid}: sweep what an ended job left: {error}"),
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

/// So many jobs of the user that go on are looked at, the oldest of those that are
/// listed first, whether they are over: what a prolog costs must not grow with the
/// leases. While there are that many, the leases of others hold nothing open.
pub(crate) const ENOUGH: usize = 4;

/// Until `enough` that go on have been looked at.
pub(crate) fn jobs_that_are_over(
    site: &Site,
    uid: u32,
    state: &State,
    slurmd_starts: bool,
    enough: usize,
) -> Result<Vec<u32>> {
    let (mut over, mut go_on) = (Vec::new(), 0);
    let jobs = if enough == usize::MAX { state.jobs()? } else { state.some_jobs()? };
    for job in jobs {
        let starts = slurmd_starts && !kinds::goes_on(site, Job { id: job, uid });
        if is_over(&state.keepers(job)?, starts, &site.roots.proc) {
            over.push(job);
        } else {
            go_on += 1;
        }
        if go_on == enough {
            break;
        }
    }
    Ok(over)
}

/// The sweep: drops the leases of jobs that are over and whose epilog did not
/// drop them. What they left in the session is left to the next epilog. Answers
/// with whether there were any.
pub(crate) fn drop_over(
    site: &Site,
    uid: u32,
    state: &Locked,
    slurmd_starts: bool,
) -> Result<bool> {
    let has_any = kinds::has_books(&site.roots, uid);
    let ended = if has_any { end_unended(site, uid, state) } else { Ok(()) };
    ended.unwrap_or_else(|error| log::warn!("uid {uid}: end what an ended job left: {error}"));
    let enough = if slurmd_starts { usize::MAX } else { ENOUGH };
    let over = jobs_that_are_over(site, uid, state, slurmd_starts, enough)?;
    for id in &over {
        let job = Job { id: *id, uid };
        // Also seen where its epilog has not begun yet: no line for the admin.
        log::debug!("{job}: drop its lease: the job is over and its epilog has not dropped it");
        drop_unended(site, state, job)?;
    }
    Ok(!over.is_empty())
}

/// Drops what is there of an earlier job with this id, or of an earlier run of it,
/// unless a process of the job is at work. Answers with whether it was a lease, and
/// not at all where something may be left.
pub(crate) fn drop_earlier(site: &Site, uid: u32, state: &Locked, id: u32) -> Result<Option<bool>> {
    let keepers = state.keepers(id)?;
    if may_work(&keepers, &site.roots.proc) {
        return Ok(None);
    }
    let was_lease = !matches!(state.lease(id), Ok(None));
    let is_noted = !keepers.is_empty() || state.has_audit_ids(id) || state.is_placed(id);
    if was_lease || is_noted {
        drop_unended(site, state, Job { id, uid })?;
    }
    Ok(Some(was_lease))
}

/// What the kernel has killed is gone with this, or stays written down for whoever comes next: here the user's lock is
/// held, and slurmd may wait for it.
const NOW: Duration = Duration::from_secs(1);

/// Drops a lease, and has the next epilog of the user end what the job left. On a full disk that is left
/// to the end of the session: what is taken back needs no space.
pub(crate) fn drop_unended(site: &Site, state: &Locked, job: Job) -> Result<()> {
    let id = job.id;
    let ended = match state.lease(id) {
        Ok(None) => kinds::end_all_again(site, job),
        _ => kinds::end_all(site, job, Duration::ZERO, NOW),
    };
    if let Err(error) = &ended {
        log::error!("{job}: end its session: {error}; it is tried again");
    }
    let noted = state.add_audit_ids(Marked::Ended, &state.audit_ids(Marked::Job(id))?);
    noted.unwrap_or_else(|error| log::warn!("{error}; what job {id} left stays for now"));
    forget(state, id, &ended)
}

/// Drops a lease. Where a session of the job's own has not `ended` its record stays: a process hangs in the kernel, or
/// has much memory to give back. It holds nothing, and what the job could use does not count any more.
pub(crate) fn forget(state: &Locked, id: u32, ended: &Result<()>) -> Result<()> {
    match state.own(id) {
        Ok(Some(own)) if ended.is_err() => {
            // Where it is, and no more: a manager that hangs is none for the same job when it is requeued.
            let OwnSession { outside, cgroup, .. } = own;
            let noted = state.put_own(id, &OwnSession { outside, cgroup, ..OwnSession::default() });
            noted.unwrap_or_else(|error| log::debug!("job {id}: {error}"));
            state.remove_lease(id)
        }
        // By a record that cannot be read nobody finds it: it is a stray from now on.
        _ => state.remove(id),
    }
}

/// Tries again to end sessions that did not with their leases.
///
/// # Errors
/// The first that has not.
pub(crate) fn end_unended(site: &Site, uid: u32, state: &Locked) -> Result<()> {
    let mut done = Ok(());
    for id in state.unended()? {
        let ended = kinds::end_all_again(site, Job { id, uid });
        forget(state, id, &ended)?;
        done = done.and(ended);
    }
    done
}

/// Ends what nobody else would: sessions of which nothing is written down, and whose jobs are over. What does not end
/// in that time, all together, is left to the next start or to the command.
fn end_strays(site: &Site) {
    let until = Instant::now() + NOW;
    let strays = kinds::strays(&site.roots).unwrap_or_else(|error| {
        log::error!("look for sessions without a lease: {error}");
        Vec::new()
    });
    for stray in strays {
        let end =
            |()| kinds::end_stray(&site.roots, &stray, until).map_err(|error| error.to_string());
        if let Err(why) = stray.is_over.clone().and_then(end) {
            let (uid, cgroup) = (stray.uid, stray.cgroup.display());
            log::warn!("uid {uid}: a session without a lease is left: {why}: /{cgroup}");
        }
    }
}

/// When slurmd loads the plugin. Waits for no session to end and for no lock:
/// there may be many, and slurmd waits for us. Who holds the lock sweeps as well.
/// Answers with whether a session still is to end.
pub(crate) fn sweep_at_start(
    systemd: &mut dyn Systemd,
    site: &Site,
    uid: u32,
    slurmd_starts: bool,
    budget: Budget,
) -> Result<bool> {
    let Some(state) = &record::try_lock(&site.roots, uid)? else { return Ok(false) };
    drop_over(site, uid, state, slurmd_starts)?;
    undo_unheld(&mut On { site, uid, state, systemd, budget })
}

/// Undoes what a user's jobs have left that hold nothing any more, without waiting for its end.
pub(crate) fn undo_unheld(on: &mut On<'_>) -> Result<bool> {
    if on.state.is_held()? {
        return confine(on).map(|()| false);
    }
    kinds::undo(on, Wait::ForNothing)
}

/// Waits for the end of a session that was left to end, unless a job has come.
pub(crate) fn see_the_end(
    systemd: &mut dyn Systemd,
    site: &Site,
    uid: u32,
    budget: Budget,
) -> Result<()> {
    match &record::try_lock(&site.roots, uid)? {
        Some(state) if !state.is_held()? => {
            kinds::undo(&mut On { site, uid, state, systemd, budget }, Wait::ToItsEnd).map(drop)
        }
        _ => Ok(()),
    }
}
