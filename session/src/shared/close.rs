//! Closes a session and waits until nothing is left of it.
//!
//! Every user may turn their own linger on, and a unit of theirs may do so over and over while the session
//! ends. So what is to be undone stays written down until nothing of the user's runs there and linger is as
//! it was.

use std::time::{Duration, Instant};

use crate::outside::account::User;
use crate::outside::dying::Dying;
use crate::outside::mounts;
use crate::outside::processes::{Process, processes};
use crate::outside::systemd::{Awaited, RECHECK, Systemd};
use crate::record::{Locked, Undo};
use crate::terms::error::{Error, Problem, Result};
use crate::terms::site::Means;

/// What became of a session that no job holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closed {
    /// Nothing is left of it.
    Gone,
    /// It was there before, or the user is logged in: it ends with that login.
    Stays,
}

/// Puts linger back as it was before the first lease. What is left to do then is to wait, and to drop the
/// record of it. logind may turn linger on after we have ceased to wait for that: it does what it was asked
/// in order, so it is asked again.
///
/// # Errors
/// What logind answered. The record stays, and a later call tries again.
pub(crate) fn undo_linger(
    systemd: &mut dyn Systemd,
    user: &User<'_>,
    state: &Locked,
    undo: &Undo,
) -> Result<()> {
    if undo.means == Means::Manager {
        return stop_ours(systemd, user, undo);
    }
    if user.lingers()? == undo.linger_before && !state.was_asked() {
        return Ok(());
    }
    systemd.watch(user.uid, Awaited::End)?;
    let set = systemd.set_linger(user.uid, undo.linger_before);
    match set {
        Err(_) if !undo.linger_before && user.is_gone() => close_by_hand(systemd, user)?,
        set => set?,
    }
    // What was asked has been done.
    let noted = state.note_asked(undo, false);
    noted.unwrap_or_else(|error| log::debug!("uid {}: {error}", user.uid));
    Ok(())
}

/// Drops the record where linger is as it says, and where no manager runs who could change that. Answers
/// with whether it did.
pub(crate) fn forget_undo(user: &User<'_>, state: &Locked, undo: &Undo) -> Result<bool> {
    let is_as_before = undo.means == Means::Manager || user.lingers()? == undo.linger_before;
    let is_done = is_as_before && (undo.linger_before || !user.has_manager());
    if is_done {
        state.remove_undo()?;
    }
    Ok(is_done)
}

/// Stops a manager that we have started, unless something else keeps it now.
fn stop_ours(systemd: &mut dyn Systemd, user: &User<'_>, undo: &Undo) -> Result<()> {
    let uid = user.uid;
    if systemd.units(uid)?.are_down() {
        log::warn!(
            "uid {uid}: close session: it had ended before its jobs: with session=manager logind \
             stops it when the user logs out; session=linger keeps it"
        );
        return Ok(());
    }
    if undo.linger_before || user.lingers()? || systemd.is_logged_in(uid)? {
        return Ok(());
    }
    systemd.watch(uid, Awaited::End)?;
    systemd.stop_manager(uid)
}

/// logind refuses to turn off the linger of an account that is no more ("No such
/// process", systemd 257), and does not end its session.
fn close_by_hand(systemd: &mut dyn Systemd, user: &User<'_>) -> Result<()> {
    user.forget_linger()?;
    systemd.kill_manager(user.uid)?;
    while !systemd.units(user.uid)?.are_down() {
        let recheck = systemd.now() + RECHECK;
        systemd.changed(&format!("wait for the session of uid {} to end", user.uid), recheck)?;
    }
    systemd.forget_failure(user.uid)
}

/// What systemd takes for itself to stop a manager or to see that it was killed:
/// up to 2 s on an emulated node with other work.
pub(crate) const OVERHEAD: Duration = Duration::from_secs(5);

/// Waits for the end of a session that nobody holds, so that the next job meets
/// no half of it. systemd gives what runs in it up to 90 s to stop; here it gets
/// `grace`. Whoever turns linger on meanwhile stops it from ending, and is ended first.
pub(crate) fn wait_until_closed(
    systemd: &mut dyn Systemd,
    user: &User<'_>,
    state: &Locked,
    undo: &Undo,
    grace: Duration,
) -> Result<Closed> {
    let is_manager = undo.means == Means::Manager;
    if undo.linger_before || is_manager && user.lingers()? {
        return Ok(Closed::Stays);
    }
    let closed = wait(systemd, user, grace)?;
    if is_manager || !user.lingers()? {
        return Ok(closed);
    }
    let closed = take_down(systemd, user, state)?;
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
    let mut dying = Dying::starting(user.roots, user.uid, systemd.now());
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
fn take_down(systemd: &mut dyn Systemd, user: &User<'_>, state: &Locked) -> Result<Closed> {
    let uid = user.uid;
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
