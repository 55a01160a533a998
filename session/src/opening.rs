//! Opens a session and waits until it is live.

use std::time::{Duration, Instant};

use crate::budget::Budget;
use crate::error::{Error, Result};
use crate::sessions::User;
use crate::store::{Locked, Undo};
use crate::systemd::{RECHECK, Systemd, Units};

/// How a session came to be open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opened {
    /// It was, or a start did it.
    Smoothly,
    /// The first start hung.
    AfterHanging,
}

/// Opens the session of `user` unless it is open. Nothing is done twice: every
/// step first looks whether it is needed.
///
/// # Errors
/// What systemd or logind answered; or what is missing although they said yes.
pub(crate) async fn open(
    systemd: &mut impl Systemd,
    user: &User<'_>,
    state: &Locked,
    budget: Budget,
) -> Result<Opened> {
    remember(user, state)?;
    let (dir, uid) = (user.runtime_dir(), user.uid);
    if user.lingers()? && systemd.look(&dir, uid).is_ok() && systemd.units(uid).await?.are_up() {
        return Ok(Opened::Smoothly);
    }
    systemd.watch(uid).await?;
    wait_out_closing(systemd, uid).await?;
    systemd.set_linger(uid, true).await?;
    require_linger(user)?;
    let opened = start(systemd, uid, budget).await?;
    systemd.look(&dir, uid)?;
    Ok(opened)
}

/// A session without linger would not end when linger is put back, so none is
/// started.
fn require_linger(user: &User<'_>) -> Result<()> {
    if user.lingers()? { Ok(()) } else { Err(Error::NoLinger { uid: user.uid }) }
}

/// Writes down, before anything is changed, how linger was. A record that is
/// there already is from a job that could not undo it: it still holds.
fn remember(user: &User<'_>, state: &Locked) -> Result<()> {
    if let Some(undo) = state.undo()? {
        return state.keep_undo(&undo);
    }
    // Of a session before, which has ended while some lease kept the directory.
    state.remove_found()?;
    state.put_undo(&Undo { name: user.name.clone(), linger_before: user.lingers()? })
}

/// A session that is being taken down still shows a bus, and a start queued on
/// top of its stop was seen to hang for 90 s (systemd 257). So first its end.
async fn wait_out_closing(systemd: &mut impl Systemd, uid: u32) -> Result<()> {
    while systemd.units(uid).await?.are_stopping() {
        let recheck = systemd.now() + RECHECK;
        systemd.changed("wait for the end of the session before", recheck).await?;
    }
    Ok(())
}

/// No start of a manager that ended well took longer: 8 s, when four users came
/// at once to an emulated node that was busy with more. One that does is taken to
/// hang; a new one then takes less than a second.
const PATIENCE: Duration = Duration::from_secs(9);

/// Starts the manager, and once more if the first start hangs.
async fn start(systemd: &mut impl Systemd, uid: u32, budget: Budget) -> Result<Opened> {
    let left = budget.deadline().saturating_duration_since(systemd.now());
    let hangs = systemd.now() + PATIENCE.max(left / 2);
    systemd.start_manager(uid).await?;
    if let Some(units) = settled(systemd, uid, hangs).await? {
        return require_up(uid, units).map(|()| Opened::Smoothly);
    }
    systemd.kill_manager(uid).await?;
    settled(systemd, uid, budget.deadline()).await?;
    systemd.start_manager(uid).await?;
    match settled(systemd, uid, budget.deadline()).await? {
        Some(units) => require_up(uid, units).map(|()| Opened::AfterHanging),
        None => Err(Error::Late { doing: starting(uid), total: budget.total() }),
    }
}

fn require_up(uid: u32, units: Units) -> Result<()> {
    if units.are_up() {
        return Ok(());
    }
    let manager = units.manager;
    let state = if manager.load == "loaded" { manager.active } else { manager.load };
    Err(Error::ManagerFailed { uid, state })
}

/// Waits until no job is left for the manager; `None` if `until` comes first.
async fn settled(systemd: &mut impl Systemd, uid: u32, until: Instant) -> Result<Option<Units>> {
    loop {
        let units = systemd.units(uid).await?;
        if units.are_settled() {
            return Ok(Some(units));
        }
        if systemd.now() >= until {
            return Ok(None);
        }
        let recheck = until.min(systemd.now() + RECHECK);
        systemd.changed(&starting(uid), recheck).await?;
    }
}

fn starting(uid: u32) -> String {
    format!("wait for user@{uid}.service to start")
}
