//! What jobs leave running in the session, and what was there before them.

use std::path::Path;

use crate::ending::{Ending, bears};
use crate::kind::{Left, On};
use crate::outside::audit;
use crate::outside::processes::{Process, all_gone, processes};
use crate::record::{Found, Marked};
use crate::terms::error::Result;
use crate::terms::roots::manager;
use crate::terms::set::Set;
use crate::terms::site::Site;

/// Units that serve whatever session there is.
const BUSES: [&str; 2] = ["dbus.service", "dbus-broker.service"];

/// Ends what bears one of `ids`, but for what Podman shares between containers.
pub(crate) fn end_marked(site: &Site, uid: u32, ids: &Set<u32>) -> Left {
    run(site, uid, true, &|process| bears(&site.roots, process, ids))
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
    all_gone(&run(site, uid, false, &is_stranger).alive)
}

/// Ends what was spared for the sake of jobs that have ended since.
pub(crate) fn end_spared(on: &On<'_>) -> Result<()> {
    let spared = on.state.audit_ids(Marked::Ended)?;
    if on.site.containment.kill_leftovers && !spared.is_empty() {
        run(on.site, on.uid, false, &|process| bears(&on.site.roots, process, &spared));
    }
    Ok(())
}

/// Whether a cgroup is that of a bus.
pub(crate) fn is_bus(cgroup: &Path) -> bool {
    BUSES.iter().any(|bus| cgroup.ends_with(bus))
}

/// Of those in the user's slice.
fn run(site: &Site, uid: u32, spare_shared: bool, is_target: &dyn Fn(&Process) -> bool) -> Left {
    let (roots, grace) = (&site.roots, site.containment.grace);
    let (tree, all) = (roots.slice(uid), &|| processes(roots, uid));
    Ending { roots, tree, all, grace, spare_shared, is_target }.run()
}
