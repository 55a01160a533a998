//! The properties of a user's slice in systemd: what we set, and what was there.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::cpus::CpuSet;
use crate::devices;
use crate::error::Result;
use crate::limits::Limits;
use crate::roots::Roots;
use crate::store::{self, Locked};
use crate::systemd::Systemd;

/// What systemd takes for "no limit" in a number.
pub(crate) const INFINITY: u64 = u64::MAX;

/// The properties of a slice that can be capped, by their names in systemd.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Name {
    MemoryMax,
    MemorySwapMax,
    TasksMax,
    AllowedCPUs,
    DeviceAllow,
}

const NAMES: [Name; 5] =
    [Name::MemoryMax, Name::MemorySwapMax, Name::TasksMax, Name::AllowedCPUs, Name::DeviceAllow];

/// A property to be set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Property {
    /// One of the numbers.
    Number(Name, u64),
    /// AllowedCPUs, as a bit mask.
    Cpus(Vec<u8>),
    /// DeviceAllow: node or driver, and what may be done with it.
    Devices(Vec<(String, String)>),
}

/// All of them, as they are (org.freedesktop.systemd1(5)).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Properties {
    pub(crate) memory_max: u64,
    pub(crate) memory_swap_max: u64,
    pub(crate) tasks_max: u64,
    pub(crate) allowed_cpus: Vec<u8>,
    pub(crate) device_policy: String,
    pub(crate) device_allow: Vec<(String, String)>,
}

impl Properties {
    fn of(&self, name: Name) -> Property {
        match name {
            Name::MemoryMax => Property::Number(name, self.memory_max),
            Name::MemorySwapMax => Property::Number(name, self.memory_swap_max),
            Name::TasksMax => Property::Number(name, self.tasks_max),
            Name::AllowedCPUs => Property::Cpus(self.allowed_cpus.clone()),
            Name::DeviceAllow => Property::Devices(self.device_allow.clone()),
        }
    }

    fn limits(&self) -> Limits {
        let number = |value: u64| Some(value).filter(|value| *value != INFINITY);
        let cpus = CpuSet::from_mask(&self.allowed_cpus);
        Limits {
            memory: number(self.memory_max),
            swap: number(self.memory_swap_max),
            tasks: number(self.tasks_max),
            cpus: Some(cpus).filter(|cpus| !cpus.is_empty()),
            ..Limits::default()
        }
    }

    /// An admin's own list of devices is not ours to change.
    fn has_device_rules(&self) -> bool {
        self.device_policy != "auto" || !self.device_allow.is_empty()
    }
}

/// What is written down while a slice is capped: `slice` beside the leases. In
/// /run, as the properties themselves: neither outlives a reboot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Capped {
    /// The properties before the first cap.
    before: Properties,
    /// Those that had a drop-in at run time already.
    had_drop_in: Vec<Name>,
    /// What the jobs may use together.
    wanted: Limits,
    /// The caps that follow: no limit that was there is raised.
    set: Limits,
    /// The properties that we have changed, or were about to.
    touched: Vec<Name>,
    /// systemd has done it.
    done: bool,
    /// Before any job has begun.
    #[serde(default)]
    is_floor: bool,
}

impl Capped {
    fn new(before: Properties, had_drop_in: Vec<Name>) -> Self {
        let [wanted, set] = [Limits::default(), Limits::default()];
        let (touched, done, is_floor) = (Vec::new(), false, false);
        Self { before, had_drop_in, wanted, set, touched, done, is_floor }
    }

    /// Where the record was lost: all of it may have been capped.
    pub(crate) fn of_unlimited() -> Self {
        let before = Properties {
            memory_max: INFINITY,
            memory_swap_max: INFINITY,
            tasks_max: INFINITY,
            allowed_cpus: Vec::new(),
            device_policy: "auto".into(),
            device_allow: Vec::new(),
        };
        Self { touched: NAMES.into(), ..Self::new(before, Vec::new()) }
    }

    /// Whether the slice is held to the floor.
    pub(crate) fn is_at_floor(&self) -> bool {
        self.is_floor && self.done
    }

    /// Whether `slice` is capped as `wanted`, by our record and by the kernel:
    /// a `daemon-reload` or an admin may have set something else since.
    pub(crate) fn is_right(&self, wanted: &Limits, slice: &Path) -> bool {
        let page = |bytes: u64| bytes >> 12;
        if !(self.done && self.wanted == *wanted) {
            return false;
        }
        // Nothing is in it: systemd holds it to what was set when something comes.
        if !slice.exists() {
            return true;
        }
        let Ok(kernel) = Limits::of_cgroup(slice) else { return false };
        let Limits { memory, swap, tasks, cpus, .. } = &self.set;
        (memory.is_none() || memory.map(page) == kernel.memory.map(page))
            && (swap.is_none() || swap.map(page) == kernel.swap.map(page))
            && (tasks.is_none() || *tasks == kernel.tasks)
            && (cpus.is_none() || *cpus == kernel.cpus)
    }

    /// The properties that hold the slice to `self.set`.
    fn caps(&self, roots: &Roots) -> Result<Vec<Property>> {
        let number = |name, value: Option<u64>| value.map(|value| Property::Number(name, value));
        let Limits { memory, swap, tasks, cpus, denied, closed } = &self.set;
        let devices = if denied.is_empty() && !closed || self.before.has_device_rules() {
            None
        } else if *closed {
            Some(Property::Devices(devices::allow_the_usual()))
        } else {
            let listed = roots.proc.join("devices");
            Some(Property::Devices(devices::allow_all_but(denied, &roots.dev, &listed)?))
        };
        let all = [
            number(Name::MemoryMax, *memory),
            number(Name::MemorySwapMax, *swap),
            number(Name::TasksMax, *tasks),
            cpus.as_ref().map(|cpus| Property::Cpus(cpus.to_mask())),
            devices,
        ];
        Ok(all.into_iter().flatten().collect())
    }
}

/// Caps the slice of `uid` to `wanted`, or takes the caps back where nothing is
/// limited any more. Written down before it is done, so that whoever comes after
/// a crash can take back what is there.
///
/// # Errors
/// What systemd answered. The record stays.
pub(crate) fn cap(
    systemd: &mut impl Systemd,
    roots: &Roots,
    uid: u32,
    state: &Locked,
    wanted: Limits,
    is_floor: bool,
) -> Result<()> {
    let mut capped = match state.capped() {
        Some(capped) if capped.is_right(&wanted, &roots.slice(uid)) => return Ok(()),
        Some(capped) => capped,
        None if wanted == Limits::default() => return Ok(()),
        None => begin(systemd, roots, uid, &wanted)?,
    };
    capped.set = wanted.clone().below(&capped.before.limits());
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
    systemd.set_slice(uid, caps.into_iter().chain(before).collect())?;
    for name in undone.iter().filter(|name| !capped.had_drop_in.contains(name)) {
        remove_drop_in(roots, uid, *name)?;
    }
    if kept.is_empty() {
        return state.remove_capped();
    }
    capped.done = true;
    state.put_capped(&capped)
}

fn begin(systemd: &mut impl Systemd, roots: &Roots, uid: u32, wanted: &Limits) -> Result<Capped> {
    let before = systemd.slice(uid)?;
    if !wanted.denied.is_empty() && before.has_device_rules() {
        log::warn!(
            "uid {uid}: confine devices: user-{uid}.slice has device rules of its own; they stay, \
             and the devices of other jobs are not kept from it"
        );
    }
    let has_drop_in = |name: &Name| drop_in(roots, uid, *name).exists();
    Ok(Capped::new(before, NAMES.into_iter().filter(has_drop_in).collect()))
}

/// systemd writes one for each property that is set at run time, and has no call
/// that takes back a single one: RevertUnitFiles would also remove what the
/// admin has put into /etc for this slice.
fn remove_drop_in(roots: &Roots, uid: u32, name: Name) -> Result<()> {
    let file = drop_in(roots, uid, name);
    store::remove(&file)?;
    // Refused while it holds what somebody else has set, which is what we want.
    let _ = file.parent().map(fs::remove_dir);
    Ok(())
}

fn drop_in(roots: &Roots, uid: u32, name: Name) -> PathBuf {
    roots.control.join(format!("user-{uid}.slice.d/50-{name:?}.conf"))
}

impl Property {
    pub(crate) fn name(&self) -> Name {
        match self {
            Self::Number(name, _) => *name,
            Self::Cpus(_) => Name::AllowedCPUs,
            Self::Devices(_) => Name::DeviceAllow,
        }
    }
}

#[cfg(test)]
mod tests;
