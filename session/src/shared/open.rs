//! Opens a session and waits until it is live.

use std::time::{Duration, Instant};
use std::{fs, io};

use crate::kind::On;
use crate::outside::account::User;
use crate::outside::runtime_dir::is_there;
use crate::outside::systemd::{Awaited, RECHECK, Systemd, Units};
use crate::outside::unified::is_unified;
use crate::record::Undo;
use crate::shared::remains;
use crate::terms::budget::Budget;
use crate::terms::error::{Error, Problem, Result};
use crate::terms::site::Means;

/// How a session came to be open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opened {
    /// It was.
    Before,
    /// It is not yet: it was told to start.
    NotYet,
    /// A start did it.
    Smoothly,
    /// The first start hung.
    AfterHanging,
}

/// Whose session.
pub(crate) struct Opening<'a> {
    pub(crate) user: &'a User<'a>,
    /// Another job holds it open.
    pub(crate) is_shared: bool,
    /// For its start, once that is under way.
    pub(crate) waits: bool,
}

/// Opens the session unless it is open; `undo` is what is noted already. Nothing is done twice: every
/// step first looks whether it is needed.
///
/// # Errors
/// What systemd or logind answered; or what is missing although they said yes.
pub(crate) fn open(on: &mut On<'_>, opening: &Opening<'_>, undo: Option<Undo>) -> Result<Opened> {
    let (user, uid, state) = (opening.user, on.uid, on.state);
    let undo = remember(on, user, undo)?;
    if is_open(on, opening)? {
        return Ok(Opened::Before);
    }
    if opening.waits {
        on.systemd.watch(uid, Awaited::Start)?;
    } else {
        state.put_starting()?;
    }
    // Slurm begins no step before an early one has returned: each question takes it from the job.
    let is_bare = !opening.waits && on.site.means == Means::Linger && has_no_unit(user);
    if !is_bare && wait_out_closing(on.systemd, uid)?.manager.is_down() {
        // What systemd could not remove: 247 starts no manager above it.
        remains::end(user.roots, uid);
    }
    if on.site.means == Means::Linger {
        state.note_asked(&undo, true)?;
        let set = on.systemd.set_linger(uid, true);
        if set.as_ref().is_err_and(Error::is_refusal) {
            state.note_asked(&undo, false)?;
        }
        set?;
        require_linger(user)?;
    }
    if !opening.waits {
        // A directory that was not there shows by itself that logind has queued the start.
        let is_begun = is_bare || !begin(on.systemd, uid)?.have_no_job();
        if is_begun && is_on_its_way(on, user)? {
            return Ok(Opened::NotYet);
        }
        on.systemd.watch(uid, Awaited::Start)?;
    }
    let units = begin(on.systemd, uid)?;
    let opened = start(on.systemd, uid, units, on.budget)?;
    let manager = on.systemd.manager(uid);
    on.systemd.look(&user.runtime_dir(), uid)?;
    manager.map_or(Ok(()), |manager| state.put_manager(manager))?;
    Ok(opened)
}

/// So often: it is mounted in a part of the time that the manager takes.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Waits until there is a runtime directory, while the manager is being started. Slurm makes the job's mount namespace after
/// its prolog, and what is mounted later may not be seen in there (job_container/tmpfs, namespace/tmpfs).
fn is_on_its_way(on: &mut On<'_>, user: &User<'_>) -> Result<bool> {
    let uid = user.uid;
    let mut recheck = on.systemd.now() + RECHECK;
    while on.systemd.look(&user.runtime_dir(), uid).is_err() {
        let again = on.systemd.now() + LOOK_AGAIN;
        on.systemd.changed(&starting(uid), again)?;
        if on.systemd.now() >= recheck {
            if begin(on.systemd, uid)?.have_no_job() {
                return Ok(false);
            }
            recheck = on.systemd.now() + RECHECK;
        }
    }
    Ok(true)
}

/// Neither the manager nor its runtime directory is up, or on its way: while one of its processes runs a unit has a cgroup in
/// the user's slice, and what the other has made is there.
fn has_no_unit(user: &User<'_>) -> bool {
    if !is_unified(user.roots) || is_there(&user.runtime_dir()) {
        return false;
    }
    match fs::read_dir(user.roots.slice(user.uid)) {
        Ok(mut found) => found.all(|entry| {
            entry.and_then(|entry| entry.file_type()).is_ok_and(|file_type| !file_type.is_dir())
        }),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

/// A session without linger would not end when linger is put back, so none is
/// started.
fn require_linger(user: &User<'_>) -> Result<()> {
    if user.lingers()? { Ok(()) } else { Err(Problem::NoLinger { uid: user.uid }.into()) }
}

/// A session that another job holds, while its user lingers, is taken down by
/// nobody but an admin: that its manager is still the one that was up tells enough.
/// For any other, which may be half-way up, systemd is asked.
fn is_open(on: &mut On<'_>, opening: &Opening<'_>) -> Result<bool> {
    let Opening { user, is_shared, .. } = *opening;
    let (systemd, state, means) = (&mut *on.systemd, on.state, on.site.means);
    let lingers = user.lingers()?;
    let is_kept = means == Means::Manager || lingers;
    if !is_kept || systemd.look(&user.runtime_dir(), user.uid).is_err() {
        return Ok(false);
    }
    let manager = systemd.manager(user.uid);
    if is_shared && lingers && manager.is_some() && manager == state.manager() {
        return Ok(true);
    }
    let is_up = systemd.units(user.uid)?.are_up();
    manager.filter(|_| is_up).map_or(Ok(()), |manager| state.put_manager(manager))?;
    Ok(is_up)
}

/// Writes down, before anything is changed, how linger was. A record that is
/// there already is from a job that could not undo it: it still holds, unless the
/// site has turned from the manager to linger since.
fn remember(on: &mut On<'_>, user: &User<'_>, undo: Option<Undo>) -> Result<Undo> {
    let (state, means) = (on.state, on.site.means);
    match undo {
        Some(undo) if undo.means == Means::Linger || undo.means == means => {
            state.restore_undo(&undo)?;
            return Ok(undo);
        }
        Some(_) => {}
        // Of a session before, which has ended while some lease kept the directory.
        None => state.remove_found()?,
    }
    let linger_before = match means {
        Means::Linger => user.lingers()?,
        Means::Manager => on.systemd.units(user.uid)?.are_up(),
    };
    let undo = Undo { name: user.name.clone(), linger_before, asked: false, means, is_copy: false };
    state.put_undo(&undo)?;
    Ok(undo)
}

/// A session that is being taken down still shows a bus, and a start queued on
/// top of its stop was seen to hang for 90 s (systemd 257). So first its end.
fn wait_out_closing(systemd: &mut dyn Systemd, uid: u32) -> Result<Units> {
    let mut units = systemd.units(uid)?;
    if units.are_stopping() {
        systemd.watch(uid, Awaited::End)?;
        units = systemd.units(uid)?;
    }
    while units.are_stopping() {
        let recheck = systemd.now() + RECHECK;
        systemd.changed("wait for the end of the session before", recheck)?;
        units = systemd.units(uid)?;
    }
    Ok(units)
}

/// No start of a manager that ended well took longer: 8 s, when four users came
/// at once to an emulated node that was busy with more. One that does is taken to
/// hang; a new one then takes less than a second.
const PATIENCE: Duration = Duration::from_secs(9);

/// Waits for the start that has `begun`, and starts the manager once more if that hangs.
fn start(systemd: &mut dyn Systemd, uid: u32, begun: Units, budget: Budget) -> Result<Opened> {
    let left = budget.deadline().saturating_duration_since(systemd.now());
    let hangs = systemd.now() + PATIENCE.max(left / 2);
    if let Some(units) = job_ends(systemd, uid, begun, hangs)? {
        return require_up(uid, units).map(|()| Opened::Smoothly);
    }
    systemd.kill_manager(uid)?;
    let units = systemd.units(uid)?;
    job_ends(systemd, uid, units, budget.deadline())?;
    let units = begin(systemd, uid)?;
    match job_ends(systemd, uid, units, budget.deadline())? {
        Some(units) => require_up(uid, units).map(|()| Opened::AfterHanging),
        None => Err(budget.late(starting(uid), systemd.now())),
    }
}

/// logind has queued the start when it answers to linger (systemd 247 to 262).
fn begin(systemd: &mut dyn Systemd, uid: u32) -> Result<Units> {
    let units = systemd.units(uid)?;
    if units.are_starting() {
        return Ok(units);
    }
    systemd.start_manager(uid)?;
    systemd.units(uid)
}

fn require_up(uid: u32, units: Units) -> Result<()> {
    if units.are_up() {
        return Ok(());
    }
    let manager = units.manager;
    let state = if manager.load == "loaded" { manager.active } else { manager.load };
    Err(Problem::ManagerFailed { uid, state }.into())
}

/// Waits until no job is left for the manager; `None` if `until` comes first.
fn job_ends(
    systemd: &mut dyn Systemd,
    uid: u32,
    mut units: Units,
    until: Instant,
) -> Result<Option<Units>> {
    while !units.have_no_job() {
        if systemd.now() >= until {
            return Ok(None);
        }
        let recheck = until.min(systemd.now() + RECHECK);
        systemd.changed(&starting(uid), recheck)?;
        units = systemd.units(uid)?;
    }
    Ok(Some(units))
}

fn starting(uid: u32) -> String {
    format!("wait for user@{uid}.service to start")
}
