//! The units of a user's session over the bus.

use zbus::{Structure, Variant};

use super::{Bus, SYSTEMD, is_error};
use crate::outside::systemd::{Unit, Units};
use crate::terms::error::{Error, Result};

pub(super) const NO_SUCH_UNIT: &str = "org.freedesktop.systemd1.NoSuchUnit";

pub(super) fn of(bus: &mut Bus<'_>, uid: u32) -> Result<Units> {
    let [manager, runtime_dir] = both(bus, &[manager_name(uid), runtime_dir_name(uid)])?;
    Ok(Units { manager, runtime_dir })
}

pub(super) fn both(bus: &mut Bus<'_>, names: &[String; 2]) -> Result<[Unit; 2]> {
    let doing = format!("ask systemd for {}", names[0]);
    let asked = format!("2\n{}", names.join("\n"));
    let reply = bus.call(doing.clone(), &SYSTEMD, "ListUnitsByNames", ("as", &asked))?;
    let body = reply.body();
    let rows: Structure<'_> = body.deserialize().map_err(Error::bus(&*doing))?;
    let found = find(&rows, &names[0]).zip(find(&rows, &names[1]));
    found.map(<[Unit; 2]>::from).ok_or(zbus::Error::InvalidReply).map_err(Error::bus(doing))
}

pub(super) fn manager_name(uid: u32) -> String {
    format!("user@{uid}.service")
}

pub(super) fn runtime_dir_name(uid: u32) -> String {
    format!("user-runtime-dir@{uid}.service")
}

fn find(reply: &Structure<'_>, unit: &str) -> Option<Unit> {
    let [Variant::Array(rows)] = reply.fields() else { return None };
    let mut units = rows.iter().filter_map(named);
    units.find(|(name, _)| *name == unit).map(|(_, unit)| unit)
}

/// One row of ListUnitsByNames: name, description, load, active and sub state,
/// followed unit, path, job id, job type, job path (org.freedesktop.systemd1(5)).
fn named<'a>(row: &'a Variant<'_>) -> Option<(&'a str, Unit)> {
    use Variant::{Str, U32};
    let Variant::Structure(row) = row else { return None };
    let [Str(name), _, Str(load), Str(active), _, _, _, U32(job), Str(job_type), _] = row.fields()
    else {
        return None;
    };
    let job = (*job != 0).then(|| job_type.to_string());
    Some((name, Unit { load: load.to_string(), active: active.to_string(), job }))
}

pub(super) fn start(bus: &mut Bus<'_>, uid: u32) -> Result<()> {
    let unit = manager_name(uid);
    let asked = format!("{unit}\nreplace");
    bus.call(format!("start {unit}"), &SYSTEMD, "StartUnit", ("ss", &asked))?;
    Ok(())
}

/// With its runtime directory, which it requires: from 256 that stays for
/// logind's UserStopDelaySec after the manager (systemd 257: 10 s).
pub(super) fn stop(bus: &mut Bus<'_>, uid: u32) -> Result<()> {
    let unit = runtime_dir_name(uid);
    let doing = format!("stop {unit}");
    let asked = format!("{unit}\nreplace");
    match bus.send(&doing, &SYSTEMD, "StopUnit", ("ss", &asked))? {
        Err(error) if is_error(&error, NO_SUCH_UNIT) => Ok(()),
        reply => reply.map(drop).map_err(Error::bus(doing)),
    }
}

pub(super) fn kill(bus: &mut Bus<'_>, uid: u32) -> Result<()> {
    let unit = manager_name(uid);
    let (doing, asked) = (format!("kill {unit}"), format!("{unit}\nall\n9"));
    match bus.send(&doing, &SYSTEMD, "KillUnit", ("ssi", &asked))? {
        Err(error) if is_error(&error, NO_SUCH_UNIT) => Ok(()),
        reply => reply.map(drop).map_err(Error::bus(doing)),
    }
}

pub(super) fn forget_failure(bus: &mut Bus<'_>, uid: u32) -> Result<()> {
    let unit = manager_name(uid);
    let doing = format!("forget that {unit} failed");
    // It has not, or systemd has forgotten it already.
    let _ = bus.send(&doing, &SYSTEMD, "ResetFailedUnit", ("s", &unit))?;
    Ok(())
}
