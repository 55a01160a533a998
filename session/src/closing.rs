//! Closes a session and waits until nothing is left of it.

use std::time::Duration;

use crate::error::Result;
use crate::sessions::User;
use crate::store::Undo;
use crate::systemd::Systemd;

/// See `opening`: a lost signal must cost a second, not the budget.
const RECHECK: Duration = Duration::from_secs(1);

/// Puts linger back as it was before the first lease. If that ends the session,
/// waits for the end, so that the next job meets no half of it.
///
/// # Errors
/// What logind answered. The caller keeps the record, and tries again later.
pub(crate) async fn close(systemd: &mut impl Systemd, user: &User<'_>, undo: &Undo) -> Result<()> {
    let put_back = user.lingers()? != undo.linger_before;
    if !put_back && (undo.linger_before || !user.runtime_dir().exists()) {
        return Ok(());
    }
    systemd.watch(user.uid).await?;
    if put_back {
        systemd.set_linger(user.uid, undo.linger_before).await?;
    }
    if undo.linger_before { Ok(()) } else { wait_until_gone(systemd, user.uid).await }
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
