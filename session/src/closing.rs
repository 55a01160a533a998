//! Closes a session and waits until nothing is left of it.

use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::mounts;
use crate::processes::processes;
use crate::store::{Locked, Means, Undo};
use crate::systemd::{Awaited, RECHECK, Systemd};
use crate::user::User;

/// What became of a session that no job holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closed {
    /// Nothing is left of it.
    Gone,
    /// It was there before, or the user is logged in: it ends with that login.
    Stays,
}

/// Puts linger back as it was before the first lease; the record of it is not
/// needed any more when this returns. What is left to do then is to wait. logind
/// may turn linger on after we have ceased to wait for that: it does what it was
/// asked in order, so it is asked again.
///
/// # Errors
/// What logind answered. The record stays, and a later call tries again.
pub(crate) fn undo_linger(
    systemd: &mut impl Systemd,
    user: &User<'_>,
    state: &Locked,
    undo: &Undo,
) -> Result<()> {
    if undo.means == Means::Manager {
        stop_ours(systemd, user, undo)?;
    } else if user.lingers()? != undo.linger_before || state.was_asked() {
        systemd.watch(user.uid, Awaited::End)?;
        let set = systemd.set_linger(user.uid, undo.linger_before);
        match set {
            Err(_) if !undo.linger_before && user.is_gone() => close_by_hand(systemd, user)?,
            set => set?,
        }
    }
    state.remove_undo()
}

/// Stops a manager that we have started, unless something else keeps it now.
fn stop_ours(systemd: &mut impl Systemd, user: &User<'_>, undo: &Undo) -> Result<()> {
    let uid = user.uid;
    if !user.has_runtime_dir() {
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
fn close_by_hand(systemd: &mut impl Systemd, user: &User<'_>) -> Result<()> {
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
/// `grace`.
pub(crate) fn wait_until_closed(
    systemd: &mut impl Systemd,
    user: &User<'_>,
    grace: Duration,
) -> Result<Closed> {
    if user.lingers()? {
        return Ok(Closed::Stays);
    }
    if !user.has_runtime_dir() {
        return Ok(Closed::Gone);
    }
    mounts::uncover(&user.runtime_dir());
    let uid = user.uid;
    systemd.watch(uid, Awaited::End)?;
    let until = systemd.now() + grace + OVERHEAD;
    if let Some(closed) = closed(systemd, uid, until)? {
        return Ok(closed);
    }
    log::debug!("uid {uid}: close session: user@{uid}.service still runs and is killed");
    systemd.kill_manager(uid)?;
    let until = systemd.now() + OVERHEAD;
    let closed = closed(systemd, uid, until)?;
    systemd.forget_failure(uid)?;
    closed.ok_or_else(|| still_there(user))
}

/// What became of it, unless that takes longer than `until`. logind itself
/// forgets the user only UserStopDelaySec (10 s) later: not waited for.
fn closed(systemd: &mut impl Systemd, uid: u32, until: Instant) -> Result<Option<Closed>> {
    loop {
        let units = systemd.units(uid)?;
        if units.are_down() {
            return Ok(Some(Closed::Gone));
        }
        if !units.are_stopping() && systemd.is_logged_in(uid)? {
            return Ok(Some(Closed::Stays));
        }
        if systemd.now() >= until {
            return Ok(None);
        }
        let recheck = until.min(systemd.now() + RECHECK);
        systemd.changed(&format!("wait for the session of uid {uid} to end"), recheck)?;
    }
}

fn still_there(user: &User<'_>) -> Error {
    let left = processes(user.roots, user.uid);
    Error::still_alive(&left)
}
