//! Closes a session and waits until nothing is left of it.
//!
//! Every user may turn their own linger on, and a unit of theirs may do so over and over while the session
//! ends. So what is to be undone stays written down until nothing of the user's runs there and linger is as
//! it was.

use std::time::{Duration, Instant};

use crate::ending::{DYING, TIDY};
use crate::kind::On;
use crate::outside::account::User;
use crate::outside::dying::Dying;
use crate::outside::ipc;
use crate::outside::mounts;
use crate::outside::podmans_lock;
use crate::outside::processes::{Process, all_gone, processes};
use crate::outside::systemd::{Awaited, RECHECK, Systemd};
use crate::own::books::Books;
use crate::record::Undo;
use crate::shared::keep::{end_keep, is_kept};
use crate::shared::leftovers::end_strangers;
use crate::shared::linger::undo_linger;
use crate::shared::remains;
use crate::terms::error::{Error, Problem, Result};
use crate::terms::site::Means;

/// What became of a session that no job holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Closed {
    /// Nothing is left of it.
    Gone,
    /// It was there before, or the user is logged in: it ends with that login.
    Stays,
}

/// What systemd takes for itself to stop a manager or to see that it was killed:
/// up to 2 s on an emulated node with other work.
const OVERHEAD: Duration = Duration::from_secs(5);

/// What the end of a session may take on top of what it asks on the bus: the
/// grace and the time to die, once for its manager and once for strangers.
pub(crate) fn time_to_end(grace: Duration) -> Duration {
    grace * 2 + OVERHEAD * 2 + TIDY + DYING
}

/// Closes a session that no job holds, and waits for its end.
pub(crate) fn close(on: &mut On<'_>) -> Result<()> {
    let (site, uid, state) = (on.site, on.uid, on.state);
    let was_kept = is_kept(state);
    let put_back = put_back(on)?;
    let closed = match &put_back {
        Some((user, undo)) => wait_until_closed(on, user, undo)?,
        None => Closed::Stays,
    };
    match closed {
        Closed::Gone => {
            all_gone(&remains::end(&site.roots, uid))?;
            if !Books::of(&site.roots, uid).exist() {
                podmans_lock::remove(&site.roots, uid);
            }
        }
        // What is new since it was frozen is of the login that ended the keep.
        Closed::Stays if was_kept => {}
        Closed::Stays => end_strangers(on)?,
    }
    if put_back.is_some() { state.remove_undo() } else { Ok(()) }
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
    undo_linger(on, &user, &undo)?;
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

/// Waits for the end of a session that nobody holds, so that the next job meets
/// no half of it. systemd gives what runs in it up to 90 s to stop; here it gets
/// `grace`. Whoever turns linger on meanwhile stops it from ending, and is ended first.
fn wait_until_closed(on: &mut On<'_>, user: &User<'_>, undo: &Undo) -> Result<Closed> {
    let is_manager = undo.means == Means::Manager;
    if undo.linger_before || is_manager && user.lingers()? {
        return Ok(Closed::Stays);
    }
    let closed = wait(on.systemd, user, on.site.containment.grace)?;
    if is_manager || !user.lingers()? {
        return Ok(closed);
    }
    let closed = take_down(on, user)?;
    if user.lingers()? { Err(Problem::LingerStays { uid: user.uid }.into()) } else { Ok(closed) }
}

fn wait(systemd: &mut dyn Systemd, user: &User<'_>, grace: Duration) -> Result<Closed> {
    mounts::uncover(&user.runtime_dir());
    let uid = user.uid;
    systemd.watch(uid, Awaited::End)?;
    let until = systemd.now() + grace + OVERHEAD;
    if let Some(closed) = closed(systemd, user, until)? {
        return Ok(closed);
    }
    log::debug!("uid {uid}: close session: user@{uid}.service still runs and is killed");
    kill(systemd, user)
}

/// logind would let the directory of a manager that was killed be (systemd 257): nobody lingers or is logged
/// in who could want it.
fn kill(systemd: &mut dyn Systemd, user: &User<'_>) -> Result<Closed> {
    systemd.kill_manager(user.uid)?;
    systemd.stop_manager(user.uid)?;
    let mut dying = Dying::starting(user.roots, user.roots.slice(user.uid), systemd.now());
    let left = || processes(user.roots, user.uid);
    let pids = |left: &[Process]| left.iter().map(|process| process.pid).collect();
    dying.goes_on(systemd.now(), pids(&left()));
    let closed = loop {
        let until = systemd.now() + OVERHEAD;
        let (closed, left) = (closed(systemd, user, until)?, left());
        if closed.is_some() || !dying.goes_on(systemd.now(), pids(&left)) {
            break closed.ok_or_else(|| Error::still_alive(&left));
        }
    };
    systemd.forget_failure(user.uid)?;
    closed
}

/// Takes a session down whose user has turned linger on again. Nothing of theirs runs between the look at
/// it and the end: it is frozen, and then killed. Who is logged in is another matter.
fn take_down(on: &mut On<'_>, user: &User<'_>) -> Result<Closed> {
    let (systemd, state, uid) = (&mut *on.systemd, on.state, user.uid);
    log::warn!("uid {uid}: close session: its user has turned linger on again; it is killed");
    if systemd.is_logged_in(uid)? {
        return systemd.set_linger(uid, false).map(|()| Closed::Stays);
    }
    // Whoever comes after a crash has it run again.
    state.doubt_kept()?;
    let frozen = systemd.freeze(uid);
    frozen.unwrap_or_else(|error| log::debug!("uid {uid}: close session: {error}"));
    systemd.set_linger(uid, false)?;
    let closed = kill(systemd, user)?;
    state.remove_kept()?;
    Ok(closed)
}

/// What became of it, unless that takes longer than `until`. logind itself
/// forgets the user only UserStopDelaySec (10 s) later: not waited for.
fn closed(systemd: &mut dyn Systemd, user: &User<'_>, until: Instant) -> Result<Option<Closed>> {
    let uid = user.uid;
    loop {
        let units = systemd.units(uid)?;
        if units.are_down() {
            return Ok(Some(Closed::Gone));
        }
        if !units.are_stopping() && (user.lingers()? || systemd.is_logged_in(uid)?) {
            return Ok(Some(Closed::Stays));
        }
        if systemd.now() >= until {
            return Ok(None);
        }
        let recheck = until.min(systemd.now() + RECHECK);
        systemd.changed(&format!("wait for the session of uid {uid} to end"), recheck)?;
    }
}
