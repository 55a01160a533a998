//! Linger, put back as it was before the first lease.

use crate::kind::On;
use crate::outside::account::User;
use crate::outside::systemd::{Awaited, RECHECK, Systemd};
use crate::record::{Locked, Undo};
use crate::terms::error::Result;
use crate::terms::site::Means;

/// Puts linger back as it was before the first lease. What is left to do then is to wait, and to drop the
/// record of it. logind may turn linger on after we have ceased to wait for that: it does what it was asked
/// in order, so it is asked again.
///
/// # Errors
/// What logind answered. The record stays, and a later call tries again.
pub(crate) fn undo_linger(on: &mut On<'_>, user: &User<'_>, undo: &Undo) -> Result<()> {
    let (systemd, state) = (&mut *on.systemd, on.state);
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
