//! How long a run takes, and how much of the host's cores is idle meanwhile.

use std::fs;
use std::time::Instant;

use super::{Times, seconds};

/// The kernel's times of all cores together, since the host's boot.
const STAT: &str = "/proc/stat";

/// `user nice system idle iowait irq softirq steal`; what follows, of guests, is in the first two.
const COUNTED: usize = 8;

/// A run's begin.
pub(crate) struct Clock {
    began: Instant,
    stat: Option<Cores>,
}

/// What the host's cores have done since its boot, in ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cores {
    idle: u64,
    all: u64,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { began: Instant::now(), stat: now() }
    }

    /// Notes what has gone by.
    pub(crate) fn stop(&self, times: &mut Times) {
        times.seconds = seconds(self.began.elapsed());
        times.idle_percent = self.stat.zip(now()).and_then(|(begin, end)| end.idle_since(begin));
    }
}

impl Cores {
    fn idle_since(self, begin: Self) -> Option<u64> {
        // The kernel's idle time may go back by a tick when a core comes or goes.
        let idle = self.idle.saturating_sub(begin.idle);
        (idle * 100).checked_div(self.all.saturating_sub(begin.all))
    }
}

/// None on a host that does not tell: that is no failure of a test.
fn now() -> Option<Cores> {
    cores(&fs::read_to_string(STAT).ok()?)
}

fn cores(stat: &str) -> Option<Cores> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let numbers = line.split_whitespace().take(COUNTED).map(|number| number.parse().ok());
    let ticks = numbers.collect::<Option<Vec<u64>>>()?;
    let &[_user, _nice, _system, idle, iowait, ..] = ticks.as_slice() else { return None };
    Some(Cores { idle: idle + iowait, all: ticks.iter().sum() })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Show that waiting for a disk is idle, that a guest's time, which is a user's, counts once, and that
    /// a run of no ticks has no share.
    #[test]
    fn the_idle_share_is_that_of_the_run() {
        let begin = cores("cpu  100 0 50 800 40 5 5 0 90 0\ncpu0 1 2 3 4 5 6 7 8 9 10\n").unwrap();
        assert_eq!(begin, Cores { idle: 840, all: 1000 });
        let end = cores("cpu  240 0 80 820 50 5 5 0 200 0\n").unwrap();
        assert_eq!(end.idle_since(begin), Some(15));
        assert_eq!(begin.idle_since(begin), None);
        assert_eq!(cores("cpu0 1 2 3 4 5 6 7 8\n"), None);
        assert_eq!(cores("cpu  1 2 x 4 5\n"), None);
    }

    /// Show that this host tells.
    #[test]
    fn the_host_is_asked() {
        let cores = now().unwrap();
        assert!(cores.all >= cores.idle && cores.all > 0, "{cores:?}");
    }
}
