//! The user's slice in systemd's memory, its drop-ins, and what the kernel has of it.

use std::fs;
use std::path::PathBuf;

use super::logind::Logind;
use crate::limits::devices;
use crate::outside::properties::{INFINITY, Name, Properties, Property};
use crate::terms::cpus::CpuSet;

/// A slice with something in it.
pub(super) struct Loaded {
    properties: Properties,
    /// A device program is attached that lets not everything be opened. It stays when the slice has no rules
    /// any more (seen with systemd 252 and 257).
    is_closed: bool,
}

impl Logind {
    /// The properties of the slice: in memory, or as it would be loaded.
    pub(super) fn slice_now(&self) -> Properties {
        if let Some(loaded) = &self.loaded {
            return loaded.properties.clone();
        }
        let mut properties = self.of_admin.clone();
        for name in self.drop_ins() {
            assign(&mut properties, &self.drop_ins[&name]);
        }
        properties
    }

    /// The properties that have a drop-in at run time.
    pub(super) fn drop_ins(&self) -> Vec<Name> {
        let is_there = |name: &&Name| self.drop_in(**name).exists();
        self.drop_ins.keys().filter(is_there).copied().collect()
    }

    fn drop_in(&self, name: Name) -> PathBuf {
        self.roots.control.join(format!("user-{}.slice.d/50-{name:?}.conf", self.uid))
    }

    /// `systemctl set-property --runtime`, and our SetUnitProperties.
    pub(super) fn set(&mut self, properties: Vec<Property>) {
        let mut now = self.slice_now();
        for property in properties {
            let file = self.drop_in(property.name());
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "").unwrap();
            assign(&mut now, &property);
            self.drop_ins.insert(property.name(), property);
        }
        if let Some(loaded) = &mut self.loaded {
            loaded.is_closed = lets_not_all(&now.device_allow).unwrap_or(loaded.is_closed);
            loaded.properties = now;
            self.tell_the_kernel();
        }
    }

    /// With the first of what is in it.
    pub(super) fn load(&mut self) {
        let properties = self.slice_now();
        let is_closed = lets_not_all(&properties.device_allow).unwrap_or(false);
        self.loaded = Some(Loaded { properties, is_closed });
        self.tell_the_kernel();
    }

    /// Whether something in the slice is refused a device.
    pub(super) fn is_closed(&self) -> bool {
        self.loaded.as_ref().is_some_and(|loaded| loaded.is_closed)
    }

    fn tell_the_kernel(&self) {
        let now = self.slice_now();
        let number = |value: u64| if value == INFINITY { "max".into() } else { value.to_string() };
        let cpus = CpuSet::from_mask(&now.allowed_cpus).to_string();
        for (file, text) in [
            ("memory.max", number(now.memory_max)),
            ("memory.swap.max", number(now.memory_swap_max)),
            ("pids.max", number(now.tasks_max)),
            ("cpuset.cpus", cpus),
        ] {
            fs::write(self.roots.slice(self.uid).join(file), text + "\n").unwrap();
        }
    }
}

/// Whether a program of these rules refuses something; without rules there is none.
fn lets_not_all(rules: &[(String, String)]) -> Option<bool> {
    (!rules.is_empty()).then(|| rules != devices::allow_all())
}

fn assign(to: &mut Properties, property: &Property) {
    match property {
        Property::Number(Name::MemoryMax, value) => to.memory_max = *value,
        Property::Number(Name::MemorySwapMax, value) => to.memory_swap_max = *value,
        Property::Number(_, value) => to.tasks_max = *value,
        Property::Cpus(mask) => to.allowed_cpus.clone_from(mask),
        Property::Devices(rules) => to.device_allow.clone_from(rules),
    }
}
