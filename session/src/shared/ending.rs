//! The end of a lease: what the job left is ended, and the last one closes.

use std::path::Path;
use std::time::Duration;

use crate::kind::On;
use crate::leases::sweep::{ENOUGH, drop_unended, jobs_that_are_over, sweep};
use crate::limits::amounts::Limits;
use crate::outside::account::User;
use crate::outside::audit;
use crate::outside::processes::{Process, processes};
use crate::outside::systemd::Systemd;
use crate::outside::unified::is_unified;
use crate::record::keepers::has_step;
use crate::record::{self, Found, Locked, Marked, State, Together, Undo};
use crate::shared::cap::cap;
use crate::shared::close::{Closed, OVERHEAD, undo_linger, wait_until_closed};
use crate::shared::ipc;
use crate::shared::keep::{end_keep, is_kept, keeps};
use crate::shared::leftovers::{DYING, Ending, Left, TIDY};
use crate::shared::remains;
use crate::terms::budget::Budget;
use crate::terms::error::{Error, Result};
use crate::terms::job::Job;
use crate::terms::roots::manager;
use crate::terms::set::Set;
use crate::terms::site::Site;

/// Units that serve whatever session there is.
const BUSES: [&str; 2] = ["dbus.service", "dbus-broker.service"];

/// What the end of a session may take on top of what it asks on the bus: the
/// grace and the time to die, once for its manager and once for strangers.
pub(crate) fn time_to_end(grace: Duration) -> Duration {
    grace * 2 + OVERHEAD * 2 + TIDY + DYING
}

/// What the end of a job's processes may take.
pub(crate) fn time_to_end_leftovers(grace: Duration) -> Duration {
    grace + TIDY + DYING
}

/// Ends what the steps of `job` left in the session, and answers with what lives
/// on all the same. Without the user's lock: the lease keeps the session open
/// meanwhile, and other jobs of the user need not wait.
pub(crate) fn end_leftovers(site: &Site, job: Job) -> Result<Vec<Process>> {
    let roots = &site.roots;
    let state = record::state(roots, job.uid);
    let ids = audit_ids_of_ended(site, job, &state)?;
    if !site.containment.kill_leftovers || ids.is_empty() {
        return Ok(Vec::new());
    }
    let left = end_marked(site, job.uid, &ids);
    if left.spared {
        // For whoever ends the last job, if the session stays then.
        state.add_audit_ids(Marked::Ended, &state.audit_ids(Marked::Job(job.id))?)?;
    }
    Ok(left.alive)
}

/// Ends what bears one of `ids`, but for what Podman shares between containers.
pub(crate) fn end_marked(site: &Site, uid: u32, ids: &Set<u32>) -> Left {
    ending(site, uid, true, &|process| bears(site, process, ids)).run()
}

/// What this job's steps bear, and those of jobs that have ended before it.
fn audit_ids_of_ended(site: &Site, job: Job, state: &State) -> Result<Set<u32>> {
    // Sorted once: there may be many jobs.
    let mut ids: Vec<_> = state.audit_ids(Marked::Ended)?.into_iter().collect();
    let over = jobs_that_are_over(site, state, false, ENOUGH)?;
    for job in over.into_iter().chain([job.id]) {
        ids.extend(state.audit_ids(Marked::Job(job))?);
    }
    Ok(ids.into())
}

pub(crate) fn release(
    systemd: &mut dyn Systemd,
    site: &Site,
    job: Job,
    budget: Budget,
) -> Result<()> {
    let state = &record::lock(&site.roots, job.uid, budget)?;
    if has_step(&state.keepers(job.id)?, &site.roots.proc) {
        // It outlives its extern step (RunInJob), or cannot be killed.
        drop_unended(state, job.id)?;
    } else {
        state.remove(job.id)?;
    }
    sweep(site, job.uid, state, false)?;
    let on = &mut On { site, uid: job.uid, state, systemd, budget };
    if state.is_held()? || keeps(on) { confine(on) } else { close(on) }
}

/// Closes a session that no job holds, and waits for its end.
pub(crate) fn close(on: &mut On<'_>) -> Result<()> {
    let (site, uid, state) = (on.site, on.uid, on.state);
    let was_kept = is_kept(state);
    let put_back = put_back(on)?;
    let closed = match &put_back {
        Some((user, undo)) => {
            wait_until_closed(on.systemd, user, state, undo, site.containment.grace)?
        }
        None => Closed::Stays,
    };
    match closed {
        Closed::Gone => {
            all_gone(&remains::end(&site.roots, uid))?;
            ipc::remove_podmans_lock(&site.roots, uid);
        }
        // What is new since it was frozen is of the login that ended the keep.
        Closed::Stays if was_kept => {}
        Closed::Stays => end_strangers(on)?,
    }
    if put_back.is_some() {
        state.remove_undo()?;
    }
    confine(on)
}

/// What no job holds. Gives the user and what is to be undone, which stays written down until the session
/// has ended; nothing where its end is put off.
pub(crate) fn put_back<'a>(on: &mut On<'a>) -> Result<Option<(User<'a>, Undo)>> {
    end_keep(on)?;
    let Some(undo) = on.state.undo()? else { return Ok(None) };
    let user = User { uid: on.uid, name: undo.name.clone(), roots: &on.site.roots };
    if !undo.linger_before && must_stay(on, &user)? {
        return Ok(None);
    }
    undo_linger(on.systemd, &user, on.state, &undo)?;
    Ok(Some((user, undo)))
}

/// Whether the end of the session would take something from processes of the
/// user that are not in it.
fn must_stay(on: &mut On<'_>, user: &User<'_>) -> Result<bool> {
    let uid = user.uid;
    let Some(in_use) = ipc::in_use(user.roots, uid) else { return Ok(false) };
    if on.systemd.is_logged_in(uid)? || !on.systemd.removes_ipc()? {
        return Ok(false);
    }
    log::warn!(
        "uid {uid}: close session: put off until the user's next job ends: {in_use}, which \
         logind deletes with the session (RemoveIPC=yes in logind.conf)"
    );
    Ok(true)
}

/// Holds the slice to what the user's jobs may use that have begun, whether they have a
/// session or not; to a floor before one has; to nothing when there is no job any more,
/// nor a session whose end was put off.
pub(crate) fn confine(on: &mut On<'_>) -> Result<()> {
    let (roots, state) = (&on.site.roots, on.state);
    let wanted = match state.together()? {
        Together::Limits(limits) => limits,
        Together::NotBegun if !is_unified(roots) || is_at_floor(state) => return Ok(()),
        Together::NotBegun => {
            let floor = Limits::floor(&roots.slice(on.uid)).only(on.site.containment.confine);
            return cap(on, floor, true);
        }
        Together::NoJob if state.undo()?.is_some() => return Ok(()),
        Together::NoJob => Limits::default(),
    };
    cap(on, wanted.only(on.site.containment.confine), false)
}

fn is_at_floor(state: &Locked) -> bool {
    state.capped().is_some_and(|capped| capped.is_at_floor())
}

/// In bytes of their paths: what is found is written into /run, and read again.
const MOST_FOUND: usize = 256 << 10;

/// Writes down what runs in the session when its first job gets it.
pub(crate) fn note_found(on: &On<'_>) -> Result<()> {
    let (uid, state) = (on.uid, on.state);
    if state.has_found() {
        return Ok(());
    }
    let found = processes(&on.site.roots, uid).into_iter().map(|process| process.cgroup);
    let mut cgroups: Set<_> = found.collect();
    if cgroups.iter().map(|cgroup| cgroup.as_os_str().len()).sum::<usize>() > MOST_FOUND {
        log::warn!(
            "uid {uid}: note what runs in the session: too many cgroups; it ends with the jobs"
        );
        cgroups = Set::default();
    }
    state.put_found(&Found { cgroups })
}

/// Where the session stays, what its manager started for the jobs ends with the
/// last of them, and what they shared: it was not there before, and bears the
/// audit id of the manager or of a job.
pub(crate) fn end_strangers(on: &On<'_>) -> Result<()> {
    let (site, uid, state) = (on.site, on.uid, on.state);
    if !site.containment.kill_leftovers {
        return Ok(());
    }
    let found = state.found().unwrap_or_else(|error| {
        log::error!("{error}; nothing is taken for a leftover");
        None
    });
    let Some(found) = found else { return Ok(()) };
    let (roots, manager) = (&site.roots, manager(uid));
    let init = manager.join("init.scope");
    let all = processes(roots, uid);
    let Some(managers) = all.iter().find(|process| process.cgroup == init) else { return Ok(()) };
    let id_of = |process: &Process| audit::id_of(&roots.proc, process.pid);
    let (managers_id, spared) = (id_of(managers), state.audit_ids(Marked::Ended)?);
    let is_stranger = |process: &Process| {
        let id = id_of(process);
        process.cgroup.starts_with(&manager)
            && !found.cgroups.contains(&process.cgroup)
            && !is_bus(&process.cgroup)
            && (id == managers_id || id.is_some_and(|id| spared.contains(&id)))
    };
    all_gone(&ending(site, uid, false, &is_stranger).run().alive)
}

/// Ends what was spared for the sake of jobs that have ended since.
pub(crate) fn end_spared(on: &On<'_>) -> Result<()> {
    let spared = on.state.audit_ids(Marked::Ended)?;
    if on.site.containment.kill_leftovers && !spared.is_empty() {
        ending(on.site, on.uid, false, &|process| bears(on.site, process, &spared)).run();
    }
    Ok(())
}

/// Whether a cgroup is that of a bus.
pub(crate) fn is_bus(cgroup: &Path) -> bool {
    BUSES.iter().any(|bus| cgroup.ends_with(bus))
}

/// # Errors
/// The processes that are still there, by name.
pub(crate) fn all_gone(left: &[Process]) -> Result<()> {
    if left.is_empty() { Ok(()) } else { Err(Error::still_alive(left)) }
}

fn bears(site: &Site, process: &Process, ids: &Set<u32>) -> bool {
    audit::id_of(&site.roots.proc, process.pid).is_some_and(|id| ids.contains(&id))
}

fn ending<'a>(
    site: &'a Site,
    uid: u32,
    spare_shared: bool,
    is_target: &'a dyn Fn(&Process) -> bool,
) -> Ending<'a> {
    let grace = site.containment.grace;
    Ending { roots: &site.roots, uid, grace, spare_shared, is_target }
}
