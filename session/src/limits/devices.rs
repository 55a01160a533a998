//! Devices that a job may not open, and how systemd is told.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::stat::{major, minor};
use nix::unistd::{AccessFlags, access};
use serde::{Deserialize, Serialize};

use crate::outside::fields::word;
use crate::outside::text::text;
use crate::terms::decimal::decimal;
use crate::terms::error::{Error, Result};
use crate::terms::set::Set;

/// Character or block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    Char,
    Block,
}

impl fmt::Display for Kind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Char => "char",
            Self::Block => "block",
        })
    }
}

/// A device, as the kernel's device controller knows it: by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Device {
    #[serde(deserialize_with = "word")]
    kind: Kind,
    major: u64,
    minor: u64,
}

/// As it is shown: `char 195:0`.
impl fmt::Display for Device {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, major, minor } = self;
        write!(out, "{kind} {major}:{minor}")
    }
}

/// A set of devices.
pub(crate) type Devices = Set<Device>;

impl Device {
    fn at(found: &fs::Metadata) -> Option<Self> {
        let file_type = found.file_type();
        let kind = match () {
            () if file_type.is_char_device() => Kind::Char,
            () if file_type.is_block_device() => Kind::Block,
            () => return None,
        };
        Some(Self { kind, major: major(found.rdev()), minor: minor(found.rdev()) })
    }
}

/// The devices that this process's cgroup keeps from it. Asked by access(2),
/// which consults the device controller as open(2) does and, unlike open(2),
/// wakes no driver.
///
/// # Errors
/// When `dev` cannot be listed.
pub(crate) fn denied_here(dev: &Path) -> Result<Devices> {
    let is_denied = |path: &Path| access(path, AccessFlags::R_OK | AccessFlags::W_OK);
    nodes(dev, &|path| is_denied(path) == Err(Errno::EPERM))
}

/// The devices with a node below `dev` for which `wanted` holds.
fn nodes(dev: &Path, wanted: &dyn Fn(&Path) -> bool) -> Result<Devices> {
    let mut found = Vec::new();
    let top = fs::symlink_metadata(dev).map_err(Error::file("look at", dev))?;
    let mut dirs = vec![dev.to_owned()];
    while let Some(dir) = dirs.pop() {
        for path in entries(&dir)? {
            let Ok(at) = fs::symlink_metadata(&path) else { continue };
            // Other file systems below /dev hold terminals and shared memory.
            if at.is_dir() && at.dev() == top.dev() {
                dirs.push(path);
            } else if let Some(device) = Device::at(&at)
                && wanted(&path)
            {
                found.push(device);
            }
        }
    }
    Ok(found.into())
}

fn entries(dir: &Path) -> Result<Vec<std::path::PathBuf>> {
    let listed = fs::read_dir(dir)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect());
    match listed {
        // A device that is just being unplugged.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        listed => listed.map_err(Error::file("list", dir)),
    }
}

/// The property DeviceAllow (systemd.resource-control(5)) that lets a slice open
/// everything but `denied`. It has no way to say "all but", so: drivers none of
/// whose devices is denied as a whole, with whatever they add later, and of the
/// others each device that is there now.
///
/// # Errors
/// When the node's devices cannot be listed.
pub(crate) fn allow_all_but(
    denied: &Devices,
    dev: &Path,
    proc_devices: &Path,
) -> Result<Vec<(String, String)>> {
    let listed = text(proc_devices).map_err(Error::file("read", proc_devices))?;
    let is_mixed = |kind, major| denied.iter().any(|d| (d.kind, d.major) == (kind, major));
    let drivers = drivers(&listed);
    let is_whole = |kind, name| {
        let mut rows = drivers.iter().filter(|row| (row.0, row.2) == (kind, name));
        rows.all(|row| !is_mixed(row.0, row.1))
    };
    let whole = drivers.iter().filter(|row| is_whole(row.0, row.2));
    let mut whole: Vec<_> = whole.map(|(kind, _, name)| format!("{kind}-{name}")).collect();
    // A driver has a row for each of its numbers; to allow it twice does no harm.
    whole.dedup();
    let single = nodes(dev, &|_| true)?;
    let single = single
        .iter()
        .filter(|device| !denied.contains(device) && is_mixed(device.kind, device.major))
        .map(|Device { kind, major, minor }| format!("/dev/{kind}/{major}:{minor}"));
    Ok(whole.into_iter().chain(single).map(|name| (name, "rwm".to_owned())).collect())
}

/// The property that lets a slice open everything, whatever drivers are loaded later.
pub(crate) fn allow_all() -> Vec<(String, String)> {
    ["char-*", "block-*"].map(|name| (name.to_owned(), "rwm".to_owned())).into()
}

/// The property that lets a slice open what every program needs and no job is given: with any DeviceAllow
/// systemd adds null, zero, full, random, urandom, tty and ptmx by itself (systemd.resource-control(5),
/// DevicePolicy=auto).
pub(crate) fn allow_the_usual() -> Vec<(String, String)> {
    ["char-pts", "/dev/fuse", "/dev/net/tun"].map(|name| (name.to_owned(), "rwm".to_owned())).into()
}

/// The rows of /proc/devices (proc_devices(5)): kind, major, driver.
pub(crate) fn drivers(listed: &str) -> Vec<(Kind, u64, &str)> {
    let mut kind = Kind::Char;
    let row = |line| {
        match line {
            "Character devices:" => kind = Kind::Char,
            "Block devices:" => kind = Kind::Block,
            _ => {}
        }
        let (major, name) = str::trim(line).split_once(' ')?;
        Some((kind, decimal(major)?, name))
    };
    listed.lines().filter_map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTED: &str = "Character devices:\n  1 mem\n  4 tty\n  4 ttyS\n136 pts\n195 nvidia\n\n\
        Block devices:\n  4 floppy\n254 virtblk\n";

    fn char_device(major: u64, minor: u64) -> Device {
        Device { kind: Kind::Char, major, minor }
    }

    /// Show that only the driver of a denied device is spelled out, and that a
    /// block driver with the same number is not taken for it.
    #[test]
    fn drivers_without_a_denied_device_stay_whole() {
        let root = tempfile::tempdir().unwrap();
        let listed = root.path().join("devices");
        fs::write(&listed, LISTED).unwrap();
        let denied = Devices::from([char_device(4, 61)]);
        let allowed = allow_all_but(&denied, root.path(), &listed).unwrap();
        let names = allowed.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>();
        assert_eq!(names, ["char-mem", "char-pts", "char-nvidia", "block-floppy", "block-virtblk"]);
    }

    /// Show that the devices beside the denied one are allowed one by one. This
    /// machine's own /dev stands for a node's.
    #[test]
    fn neighbours_of_a_denied_device_are_allowed() {
        let null = Device::at(&fs::metadata("/dev/null").unwrap()).unwrap();
        let (dev, listed) = (Path::new("/dev"), Path::new("/proc/devices"));
        let allowed = allow_all_but(&Devices::from([null]), dev, listed).unwrap();
        let has = |name: &str| allowed.iter().any(|(allowed, _)| allowed == name);
        assert!(has("/dev/char/1:5") && !has("/dev/char/1:3") && !has("char-mem"), "{allowed:?}");
    }

    /// Show that the search finds device nodes only.
    #[test]
    fn plain_files_are_no_devices() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("file"), "").unwrap();
        fs::create_dir(root.path().join("dir")).unwrap();
        assert!(nodes(root.path(), &|_| true).unwrap().is_empty());
        assert!(!nodes(Path::new("/dev"), &|path| path.ends_with("null")).unwrap().is_empty());
    }
}
