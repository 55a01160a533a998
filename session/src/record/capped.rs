//! What is written down while a slice is capped.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::limits::amounts::Limits;
use crate::limits::devices;
use crate::outside::fields::{fields, words};
use crate::outside::properties::{INFINITY, NAMES, Name, Properties, Property};
use crate::terms::error::Result;
use crate::terms::roots::Roots;

/// What is written down while a slice is capped: `slice` beside the leases. In
/// /run, as the properties themselves: neither outlives a reboot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Capped {
    /// The properties before the first cap.
    #[serde(deserialize_with = "fields")]
    pub(crate) before: Properties,
    /// Those that had a drop-in at run time already.
    #[serde(deserialize_with = "words")]
    pub(crate) had_drop_in: Vec<Name>,
    /// What the jobs may use together.
    #[serde(deserialize_with = "fields")]
    pub(crate) wanted: Limits,
    /// The caps that follow: no limit that was there is raised.
    #[serde(deserialize_with = "fields")]
    pub(crate) set: Limits,
    /// The properties that are not as they were before, by us, or may not be.
    #[serde(deserialize_with = "words")]
    pub(crate) touched: Vec<Name>,
    /// systemd has done it.
    pub(crate) done: bool,
    /// Before any job has begun.
    #[serde(default)]
    pub(crate) is_floor: bool,
}

impl Capped {
    pub(crate) fn new(before: Properties, had_drop_in: Vec<Name>) -> Self {
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
    pub(crate) fn caps(&self, roots: &Roots) -> Result<Vec<Property>> {
        let number = |name, value: Option<u64>| value.map(|value| Property::Number(name, value));
        let Limits { memory, swap, tasks, cpus, denied, closed } = &self.set;
        let devices = if (denied.is_empty() && !closed) || self.before.has_device_rules() {
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
