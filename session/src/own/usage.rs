//! What the kernel counted of a job's own session.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use crate::outside::counted::{cpu_time, number};

/// Of all that was ever in it. None where the kernel does not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Peaks {
    /// Bytes at most (memory.peak, Linux 5.19).
    pub memory: Option<u64>,
    /// Processes and threads at most (pids.peak, Linux 6.1).
    pub tasks: Option<u64>,
    /// CPU time.
    pub cpu: Option<Duration>,
}

impl Peaks {
    pub(crate) fn of(cgroup: &Path) -> Self {
        let of = |file| number(cgroup, file);
        Self { memory: of("memory.peak"), tasks: of("pids.peak"), cpu: cpu_time(cgroup) }
    }
}

impl fmt::Display for Peaks {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut comma = "";
        if let Some(bytes) = self.memory {
            write!(out, "{} MB of memory", bytes.div_ceil(1 << 20))?;
            comma = ", ";
        }
        if let Some(tasks) = self.tasks {
            write!(out, "{comma}{tasks} processes at once")?;
            comma = ", ";
        }
        match self.cpu {
            Some(cpu) => {
                write!(out, "{comma}{}.{} s of CPU", cpu.as_secs(), cpu.subsec_millis() / 100)
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// Show that all that is counted is told, and nothing else.
    #[test]
    fn what_is_counted_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let told = || Peaks::of(dir.path()).to_string();
        assert_eq!(told(), "");
        fs::write(dir.path().join("cpu.stat"), "nice_usec 1\nusage_usec 12340000\n").unwrap();
        assert_eq!(told(), "12.3 s of CPU");
        fs::write(dir.path().join("memory.peak"), "1048577\n").unwrap();
        fs::write(dir.path().join("pids.peak"), "17\n").unwrap();
        assert_eq!(told(), "2 MB of memory, 17 processes at once, 12.3 s of CPU");
    }
}
