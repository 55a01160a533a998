//! What the kernel has counted in a cgroup, of all that is or was in it or below. None where it does not count.

use std::path::Path;
use std::time::Duration;

use crate::outside::text::text;
use crate::terms::decimal::decimal;

/// A file with one number.
pub(crate) fn number(cgroup: &Path, file: &str) -> Option<u64> {
    decimal(text(&cgroup.join(file)).ok()?.trim())
}

/// Processes that the kernel has killed for lack of memory (memory.events).
pub(crate) fn killed(cgroup: &Path) -> Option<u64> {
    let events = text(&cgroup.join("memory.events")).ok()?;
    events.lines().find_map(|line| decimal(line.strip_prefix("oom_kill ")?))
}

/// CPU time (cpu.stat, usage_usec).
pub(crate) fn cpu_time(cgroup: &Path) -> Option<Duration> {
    let stat = text(&cgroup.join("cpu.stat")).ok()?;
    let micros = stat.lines().find_map(|line| decimal(line.strip_prefix("usage_usec ")?));
    micros.map(Duration::from_micros)
}
