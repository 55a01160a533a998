//! What a job may use, and what several may together.

use serde::{Deserialize, Serialize};

use crate::limits::devices::Devices;
use crate::terms::cpus::CpuSet;
use crate::terms::site::Confine;

/// What there is of each resource. None: as much as the node has, because Slurm
/// is configured not to constrain it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) memory: Option<u64>,
    /// Bytes of swap on top.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) swap: Option<u64>,
    /// Processes and threads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tasks: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cpus: Option<CpuSet>,
    /// Devices that may not be opened.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(crate) denied: Devices,
    /// No device may, but those that every program needs.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) closed: bool,
}

impl Limits {
    /// What two jobs may use together. Where one of them is not limited, nor are both.
    pub(crate) fn plus(self, other: Self) -> Self {
        let sum = |one: Option<u64>, two: Option<u64>| Some(one?.saturating_add(two?));
        Self {
            memory: sum(self.memory, other.memory),
            swap: sum(self.swap, other.swap),
            tasks: sum(self.tasks, other.tasks),
            cpus: self.cpus.zip(other.cpus).map(|(one, two)| one.union(two)),
            denied: self.denied.intersection(&other.denied),
            closed: self.closed && other.closed,
        }
    }

    /// What so many jobs may use together, each of which may use this.
    pub(crate) fn times(self, jobs: u64) -> Self {
        let times = |each: Option<u64>| Some(each?.saturating_mul(jobs));
        let (memory, swap, tasks) = (times(self.memory), times(self.swap), times(self.tasks));
        Self { memory, swap, tasks, ..self }
    }

    /// Whether there is a limit wherever `job` has one.
    pub(crate) fn has_all_of(&self, job: &Self) -> bool {
        (job.memory.is_none() || self.memory.is_some())
            && (job.swap.is_none() || self.swap.is_some())
            && (job.tasks.is_none() || self.tasks.is_some())
            && (job.cpus.is_none() || self.cpus.is_some())
    }

    /// The same, nowhere above what `outer` allows. Where CPUs of the two do not
    /// meet, those of `outer` hold: to systemd an empty set is all of them.
    pub(crate) fn below(self, outer: &Self) -> Self {
        let least =
            |own: Option<u64>, outer: Option<u64>| Some(own?.min(outer.unwrap_or(u64::MAX)));
        let cpus = self.cpus.map(|own| match &outer.cpus {
            Some(outer) if own.intersection(outer).is_empty() => outer.clone(),
            Some(outer) => own.intersection(outer),
            None => own,
        });
        Self {
            memory: least(self.memory, outer.memory),
            swap: least(self.swap, outer.swap),
            tasks: least(self.tasks, outer.tasks),
            cpus,
            ..self
        }
    }

    /// Only what `confine` selects.
    pub(crate) fn only(self, confine: Confine) -> Self {
        Self {
            memory: self.memory.filter(|_| confine.memory),
            swap: self.swap.filter(|_| confine.memory),
            tasks: self.tasks.filter(|_| confine.tasks),
            cpus: self.cpus.filter(|_| confine.cpus),
            denied: if confine.devices { self.denied } else { Devices::default() },
            closed: self.closed && confine.devices,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(memory: Option<u64>, cpus: &str) -> Limits {
        let cpus = Some(cpus.parse().unwrap()).filter(|cpus: &CpuSet| !cpus.is_empty());
        Limits { memory, cpus, ..Limits::default() }
    }

    /// Show that several jobs may use the sum and the union, and that one without
    /// a limit lifts it for all.
    #[test]
    fn jobs_together_have_the_sum() {
        let (small, large) = (limits(Some(100), "0"), limits(Some(200), "1"));
        let free = limits(None, "0");
        assert_eq!(small.clone().plus(large), limits(Some(300), "0-1"));
        assert_eq!(small.clone().plus(free.clone()), free);
        assert_eq!(small.clone().times(3), small.clone().plus(small.clone()).plus(small));
        assert_eq!(free.clone().times(3), free);
    }

    /// Show that a limit that was there is never raised, and none is invented.
    #[test]
    fn no_limit_is_raised() {
        let admins = limits(Some(80), "0-1");
        assert_eq!(limits(Some(100), "1-2").below(&admins), limits(Some(80), "1"));
        assert_eq!(limits(Some(50), "2").below(&admins), limits(Some(50), "0-1"));
        assert_eq!(limits(None, "").below(&admins), limits(None, ""));
    }

    /// Show that a site chooses what is confined.
    #[test]
    fn a_site_chooses() {
        let cpus = Confine { cpus: true, ..Confine::NONE };
        assert_eq!(limits(Some(100), "1").only(cpus), limits(None, "1"));
        assert_eq!(limits(Some(100), "1").only(Confine::ALL), limits(Some(100), "1"));
    }
}
