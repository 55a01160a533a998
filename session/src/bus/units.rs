//! The units of a user's session over the bus.

use zbus::OwnedObjectPath;

use super::{Bus, SYSTEMD};
use crate::error::{Error, Result};
use crate::systemd::{Unit, Units};

/// One row of ListUnitsByNames: name, description, load, active and sub state,
/// followed unit, path, job id, job type, job path (org.freedesktop.systemd1(5)).
type UnitRow =
    (String, String, String, String, String, String, OwnedObjectPath, u32, String, OwnedObjectPath);

pub(super) async fn of(bus: &mut Bus<'_>, uid: u32) -> Result<Units> {
    let names = [manager_name(uid), runtime_dir_name(uid)];
    let doing = format!("ask systemd for {}", names[0]);
    let reply = bus.call(doing.clone(), &SYSTEMD, "ListUnitsByNames", &(&names[..],)).await?;
    let rows: Vec<UnitRow> = reply.body().deserialize().map_err(Error::bus(&*doing))?;
    let (manager, runtime_dir) = (find(&rows, &names[0]), find(&rows, &names[1]));
    let both = manager.zip(runtime_dir).ok_or(zbus::Error::InvalidReply);
    let (manager, runtime_dir) = both.map_err(Error::bus(doing))?;
    Ok(Units { manager, runtime_dir })
}

pub(super) fn manager_name(uid: u32) -> String {
    format!("user@{uid}.service")
}

pub(super) fn runtime_dir_name(uid: u32) -> String {
    format!("user-runtime-dir@{uid}.service")
}

fn find(rows: &[UnitRow], unit: &str) -> Option<Unit> {
    let (_, _, load, active, _, _, _, job, job_type, _) = rows.iter().find(|row| row.0 == unit)?;
    let job = (*job != 0).then(|| job_type.clone());
    Some(Unit { load: load.clone(), active: active.clone(), job })
}
