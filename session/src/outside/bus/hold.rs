//! What holds a user's runtime directory over the bus: up to systemd 257 it goes when nothing needs it.

use std::io;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::units::{self, NO_SUCH_UNIT};
use super::{Bus, SYSTEMD, is_error};
use crate::terms::error::{Error, Result};

const BEGIN: &str = "ssa(sv)a(sa(sv))";
const UNIT_EXISTS: &str = "org.freedesktop.systemd1.UnitExists";
const PROMPTLY: Duration = Duration::from_secs(15);
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// A slice, in which nothing ever is: it has no process of its own, and may require a unit.
fn name(uid: u32) -> String {
    format!("spank_linger_dir_{uid}.slice")
}

pub(super) fn hold(bus: &mut Bus<'_>, uid: u32) -> Result<()> {
    let (unit, dir) = (name(uid), units::runtime_dir_name(uid));
    let doing = format!("start {unit}");
    let words = format!("{unit} replace 2 Requires as 1 {dir} After as 1 {dir} 0");
    match bus.send(&doing, &SYSTEMD, "StartTransientUnit", (BEGIN, &words.replace(' ', "\n")))? {
        Err(error) if is_error(&error, UNIT_EXISTS) => {}
        reply => reply.map(drop).map_err(Error::bus(&*doing))?,
    }
    let until = Instant::now() + PROMPTLY;
    while !units::both(bus, &[dir.clone(), unit.clone()])?
        .iter()
        .all(crate::outside::systemd::Unit::is_up)
    {
        if Instant::now() >= until {
            return Err(Error::bus(doing)(io::Error::from(io::ErrorKind::TimedOut).into()));
        }
        sleep(LOOK_AGAIN);
    }
    Ok(())
}

pub(super) fn let_go(bus: &mut Bus<'_>, uid: u32) -> Result<()> {
    let unit = name(uid);
    let doing = format!("stop {unit}");
    match bus.send(&doing, &SYSTEMD, "StopUnit", ("ss", &format!("{unit}\nreplace")))? {
        Err(error) if is_error(&error, NO_SUCH_UNIT) => Ok(()),
        reply => reply.map(drop).map_err(Error::bus(doing)),
    }
}
