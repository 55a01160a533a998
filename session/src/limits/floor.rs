//! What a slice is held to before any of its user's jobs has begun, and where it can be.

use std::path::Path;

use crate::limits::amounts::Limits;
use crate::limits::devices::Devices;
use crate::limits::read::read_limit;

/// What a user's manager and its bus need to come up, and what is enough for them: before it is known what
/// the first job may use, no unit of the user's gets more, nor a device that it could keep open.
const FLOOR: Limits = Limits {
    memory: Some(FLOOR_MEMORY),
    swap: Some(0),
    tasks: Some(FLOOR_TASKS),
    cpus: None,
    denied: Devices::EMPTY,
    closed: true,
};
/// Bytes: Debian's manager and bus have 10 to 25 MB (systemd 247 to 262).
const FLOOR_MEMORY: u64 = 128 << 20;
/// Processes and threads: a program in Go begins with a dozen of them.
const FLOOR_TASKS: u64 = 128;

impl Limits {
    /// What a slice is held to before any of its user's jobs has begun. What is there already, as the login of
    /// a user who lingers, is not ended for it, and gets no more.
    pub(crate) fn floor(slice: &Path) -> Self {
        let now = |file| read_limit(&slice.join(file)).ok().flatten().unwrap_or(0);
        let over = |least: Option<u64>, file| least.map(|least| least.saturating_add(now(file)));
        let memory = over(FLOOR.memory, "memory.current");
        let (swap, tasks) =
            (over(FLOOR.swap, "memory.swap.current"), over(FLOOR.tasks, "pids.current"));
        Self { memory, swap, tasks, ..FLOOR }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// Show that what is there already is not ended for the floor, and gets no more than that on top.
    #[test]
    fn what_is_there_stays() {
        let slice = tempfile::tempdir().unwrap();
        let floor = Limits::floor(slice.path());
        assert_eq!((floor.memory, floor.swap, floor.tasks), (Some(128 << 20), Some(0), Some(128)));
        assert!(floor.closed && floor.cpus.is_none());
        for (file, text) in [("memory.current", "1048576\n"), ("pids.current", "7\n")] {
            fs::write(slice.path().join(file), text).unwrap();
        }
        let floor = Limits::floor(slice.path());
        assert_eq!((floor.memory, floor.tasks), (Some(129 << 20), Some(135)));
    }
}
