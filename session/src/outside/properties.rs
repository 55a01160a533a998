//! The properties of a user's slice in systemd.

use serde::{Deserialize, Serialize};

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

pub(crate) const NAMES: [Name; 5] =
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
    pub(crate) fn of(&self, name: Name) -> Property {
        match name {
            Name::MemoryMax => Property::Number(name, self.memory_max),
            Name::MemorySwapMax => Property::Number(name, self.memory_swap_max),
            Name::TasksMax => Property::Number(name, self.tasks_max),
            Name::AllowedCPUs => Property::Cpus(self.allowed_cpus.clone()),
            Name::DeviceAllow => Property::Devices(self.device_allow.clone()),
        }
    }

    /// An admin's own list of devices is not ours to change.
    pub(crate) fn has_device_rules(&self) -> bool {
        self.device_policy != "auto" || !self.device_allow.is_empty()
    }
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
