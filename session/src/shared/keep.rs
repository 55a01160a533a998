//! A session that is kept for the user's next job: for a short while, and frozen.
//!
//! No process of ours stays behind. systemd calls the command `spank-linger` when
//! the time is over, when logind's view of the user changes, and when the node
//! shuts down.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::kind::On;
use crate::outside::account::User;
use crate::outside::processes::processes;
use crate::outside::text::text;
use crate::record::{State, Undo};
use crate::shared::leftovers::{end_spared, is_bus};
use crate::terms::decimal::decimal;
use crate::terms::error::Result;
use crate::terms::roots::{Roots, manager};
use crate::terms::site::Means;

/// The command, where its package and the README have it.
const COMMANDS: [&str; 2] = ["bin/spank-linger", "local/bin/spank-linger"];

/// The manager and its helper for PAM; a bus has a launcher, or is alone.
const TOGETHER: usize = 2;

/// Whether a session that no job holds is kept, from now on or since an earlier
/// job. Whoever asks closes it otherwise.
pub(crate) fn keeps(on: &mut On<'_>) -> bool {
    keep(on).unwrap_or_else(|error| {
        log::warn!("uid {}: keep session: {error}; it is closed", on.uid);
        false
    })
}

/// Written down before anything is done, and guarded before it is frozen: whatever
/// a crash leaves ends by itself.
fn keep(on: &mut On<'_>) -> Result<bool> {
    let (roots, uid, state) = (&on.site.roots, on.uid, on.state);
    if on.site.keep.is_zero() || !is_ours_alone(roots, uid, state)? {
        return Ok(false);
    }
    if let Some(left) = left(roots, state) {
        return Ok(!left.is_zero());
    }
    let (Some(command), Some(now)) = (command(roots, uid), uptime(roots)) else {
        return Ok(false);
    };
    end_spared(on)?;
    if !is_idle(roots, uid) {
        return Ok(false);
    }
    state.doubt_kept()?;
    on.systemd.guard(uid, on.site.keep, &command)?;
    // A login that comes after this question has the guard called.
    if on.systemd.is_logged_in(uid)? {
        return Ok(false);
    }
    on.systemd.freeze(uid)?;
    // Nothing can begin any more, so what is there now is all.
    if !is_idle(roots, uid) {
        return Ok(false);
    }
    state.remove_ended()?;
    state.put_kept(now + on.site.keep.as_secs())?;
    Ok(true)
}

fn command(roots: &Roots, uid: u32) -> Option<PathBuf> {
    let found = COMMANDS.map(|name| roots.usr.join(name)).into_iter().find(|file| file.exists());
    if found.is_none() {
        log::warn!(
            "uid {uid}: keep session: no command spank-linger in /usr/bin or /usr/local/bin to \
             close it: it is closed at once; install the command, or leave keep= out"
        );
    }
    found
}

/// Whether nothing runs in the user's slice but the manager and the bus. What they
/// would start again is left to the end of the session.
fn is_idle(roots: &Roots, uid: u32) -> bool {
    let (all, manager) = (processes(roots, uid), manager(uid));
    let init = manager.join("init.scope");
    let are_few =
        |cgroup: &Path| all.iter().filter(|other| other.cgroup == cgroup).count() <= TOGETHER;
    all.iter().all(|process| {
        let cgroup = &process.cgroup;
        (*cgroup == init || cgroup.starts_with(&manager) && is_bus(cgroup)) && are_few(cgroup)
    })
}

/// Ends a keep, for a job or for the end of the session. The record last: a frozen
/// session without one would be taken for one that can be used, and one that runs
/// for one that is kept. That it can be ended on a full disk counts for more.
pub(crate) fn end_keep(on: &mut On<'_>) -> Result<()> {
    let (uid, state) = (on.uid, on.state);
    if state.kept().is_none() {
        return Ok(());
    }
    let noted = state.doubt_kept();
    noted.unwrap_or_else(|error| log::debug!("uid {uid}: end keep: {error}"));
    on.systemd.thaw(uid)?;
    state.remove_kept()
}

/// Whether nobody but us has the session: it was not there before the first job, and the user lingers for
/// it alone, or not at all where a manager was started without.
fn is_ours_alone(roots: &Roots, uid: u32, state: &State) -> Result<bool> {
    let Some(Undo { name, linger_before: false, means, .. }) = state.undo()? else {
        return Ok(false);
    };
    Ok(User { uid, name, roots }.lingers()? == (means == Means::Linger))
}

/// Whether the end of a kept session has come: its time is over, or its user has logged in or
/// lingers no more.
pub(crate) fn is_due(on: &mut On<'_>) -> Result<bool> {
    let (roots, uid, state) = (&on.site.roots, on.uid, on.state);
    let Some(left) = left(roots, state) else { return Ok(false) };
    let is_wanted = !left.is_zero() && is_ours_alone(roots, uid, state)?;
    Ok(!is_wanted || on.systemd.is_logged_in(uid)?)
}

/// Whether it is kept, and so nothing but the manager and the bus was left of it.
pub(crate) fn is_kept(state: &State) -> bool {
    state.kept().is_some_and(|until| until > 0)
}

/// How long a kept session still is to be kept. None of another.
pub(crate) fn left(roots: &Roots, state: &State) -> Option<Duration> {
    let until = state.kept()?;
    let now = uptime(roots).unwrap_or(u64::MAX);
    Some(Duration::from_secs(until.saturating_sub(now)))
}

/// Seconds since boot (proc_uptime(5)), rounded down.
fn uptime(roots: &Roots) -> Option<u64> {
    decimal(text(&roots.proc.join("uptime")).ok()?.split('.').next()?)
}
