//! Capping a user's slice, and taking the caps back.

use std::fs;
use std::path::{Path, PathBuf};

use crate::kind::On;
use crate::limits::amounts::Limits;
use crate::limits::devices;
use crate::outside::crash;
use crate::outside::files;
use crate::outside::properties::{NAMES, Name, Property};
use crate::record::capped::Capped;
use crate::terms::error::Result;
use crate::terms::roots::Roots;

/// Caps the user's slice to `wanted`, or takes the caps back where nothing is
/// limited any more. Written down before it is done, so that whoever comes after
/// a crash can take back what is there.
///
/// # Errors
/// What systemd answered. The record stays.
pub(crate) fn cap(on: &mut On<'_>, wanted: Limits, is_floor: bool) -> Result<()> {
    let (roots, uid, state) = (&on.site.roots, on.uid, on.state);
    let mut capped = match state.capped() {
        Some(capped) if capped.is_right(&wanted, &roots.slice(uid)) => return Ok(()),
        Some(capped) => capped,
        None if wanted == Limits::default() => return Ok(()),
        None => begin(on, &wanted)?,
    };
    capped.set = wanted.clone().below(&Limits::of_properties(&capped.before));
    (capped.wanted, capped.is_floor) = (wanted, is_floor);
    let caps = capped.caps(roots)?;
    let kept: Vec<_> = caps.iter().map(Property::name).collect();
    let undone: Vec<_> =
        capped.touched.iter().copied().filter(|name| !kept.contains(name)).collect();
    capped.touched = kept.iter().chain(&undone).copied().collect();
    capped.done = false;
    // To take back what is written down must be possible on a full disk, too.
    let noted = state.put_capped(&capped);
    if !kept.is_empty() {
        noted?;
    }
    let before = undone.iter().map(|name| capped.before.of(*name));
    let (slice, is_over) = (roots.slice(uid), kept.is_empty());
    let was_down = is_over && !slice.exists();
    on.systemd.set_slice(uid, caps.into_iter().chain(before).collect())?;
    let has_devices = undone.contains(&Name::DeviceAllow) && !capped.before.has_device_rules();
    // systemd makes the cgroup of a slice that is down to set something, and leaves it (seen with 257). One that is in
    // use has others below and stays.
    if !(was_down && remove_empty(&slice)) && has_devices && slice.exists() {
        open_devices(on)?;
    }
    for name in undone.iter().filter(|name| !capped.had_drop_in.contains(name)) {
        remove_drop_in(roots, uid, *name)?;
    }
    if is_over {
        // Or it was made as the caps were set.
        remove_empty(&slice);
        return state.remove_capped();
    }
    (capped.touched, capped.done) = (kept, true);
    state.put_capped(&capped)
}

fn begin(on: &mut On<'_>, wanted: &Limits) -> Result<Capped> {
    let (roots, uid) = (&on.site.roots, on.uid);
    let before = on.systemd.slice(uid)?;
    if !wanted.denied.is_empty() && before.has_device_rules() {
        log::warn!(
            "uid {uid}: confine devices: user-{uid}.slice has device rules of its own; they stay, \
             and the devices of other jobs are not kept from it"
        );
    }
    let has_drop_in = |name: &Name| drop_in(roots, uid, *name).exists();
    Ok(Capped::new(before, NAMES.into_iter().filter(has_drop_in).collect()))
}

fn remove_empty(cgroup: &Path) -> bool {
    crash::point();
    fs::remove_dir(cgroup).is_ok()
}

/// To the cgroup of a slice that has no device rules any more systemd does not go for devices, and leaves the
/// program there that it has attached last (seen with 252 and 257): so that is one that allows everything.
/// A cgroup that comes from now on has none.
fn open_devices(on: &mut On<'_>) -> Result<()> {
    on.systemd.set_slice(on.uid, vec![Property::Devices(devices::allow_all())])?;
    on.systemd.set_slice(on.uid, vec![Property::Devices(Vec::new())])
}

/// systemd writes one for each property that is set at run time, and has no call
/// that takes back a single one: RevertUnitFiles would also remove what the
/// admin has put into /etc for this slice.
fn remove_drop_in(roots: &Roots, uid: u32, name: Name) -> Result<()> {
    let file = drop_in(roots, uid, name);
    files::remove(&file)?;
    // Refused while it holds what somebody else has set, which is what we want.
    let _ = file.parent().map(fs::remove_dir);
    Ok(())
}

fn drop_in(roots: &Roots, uid: u32, name: Name) -> PathBuf {
    roots.control.join(format!("user-{uid}.slice.d/50-{name:?}.conf"))
}

#[cfg(test)]
mod tests;
