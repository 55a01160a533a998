//! Closes a session and waits until nothing is left of it.

use crate::error::Result;
use crate::sessions::User;
use crate::store::{Locked, Undo};
use crate::systemd::{RECHECK, Systemd};

/// Puts linger back as it was before the first lease; the record of it is not
/// needed any more when this returns. What is left to do then is to wait.
///
/// # Errors
/// What logind answered. The record stays, and a later call tries again.
pub(crate) async fn put_back(
    systemd: &mut impl Systemd,
    user: &User<'_>,
    state: &Locked,
    undo: &Undo,
) -> Result<()> {
    if user.lingers()? != undo.linger_before {
        systemd.watch(user.uid).await?;
        systemd.set_linger(user.uid, undo.linger_before).await?;
    }
    state.remove_undo()
}

/// Waits for the end of a session that nobody holds, so that the next job meets
/// no half of it.
pub(crate) async fn wait_until_closed(systemd: &mut impl Systemd, user: &User<'_>) -> Result<()> {
    if user.lingers()? || !user.runtime_dir().exists() {
        return Ok(());
    }
    systemd.watch(user.uid).await?;
    wait_until_gone(systemd, user.uid).await
}

/// A user who is logged in keeps the session; it ends with that login. logind
/// itself forgets the user only UserStopDelaySec (10 s) later: not waited for.
async fn wait_until_gone(systemd: &mut impl Systemd, uid: u32) -> Result<()> {
    while !systemd.units(uid).await?.are_down() && !systemd.is_logged_in(uid).await? {
        let recheck = systemd.now() + RECHECK;
        systemd.changed(&format!("wait for the session of uid {uid} to end"), recheck).await?;
    }
    Ok(())
}
