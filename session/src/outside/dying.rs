//! Whether what was killed is on its way out.
//!
//! To free hundreds of gigabytes takes a kernel many seconds, and to take down the
//! context of a GPU some: such a process has ended as far as anybody can end it. One
//! that stands still waits for a device or a file server that may never answer.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::outside::text::{bytes, text};
use crate::terms::decimal::decimal;
use crate::terms::roots::Roots;
use crate::terms::set::Set;

/// For the kernel to get on with ending what was killed.
pub(crate) const STANDSTILL: Duration = Duration::from_secs(2);

/// In which it has to be done: 60 s are a terabyte at 17 GB/s.
pub(crate) const LONGEST: Duration = Duration::from_secs(60);

/// Killed processes below a cgroup, and how far their end had got when it was last
/// looked at.
#[derive(Debug)]
pub(crate) struct Dying<'a> {
    roots: &'a Roots,
    tree: PathBuf,
    until: Instant,
    moved: Instant,
    alive: Set<i32>,
    ticks: u64,
    /// What they, and the slice, have not yet given back, at the least.
    least: Held,
}

/// Pages of processes (statm), and bytes of their slice (memory.current): a process
/// shows no page any more when it begins to free them.
#[derive(Clone, Copy, Debug)]
struct Held {
    pages: u64,
    memory: u64,
}

impl<'a> Dying<'a> {
    pub(crate) fn starting(roots: &'a Roots, tree: PathBuf, now: Instant) -> Self {
        let least = Held { pages: u64::MAX, memory: u64::MAX };
        let (until, alive) = (now + LONGEST, Set::default());
        Self { roots, tree, until, moved: now, alive, ticks: 0, least }
    }

    /// Whether it is worth to wait on for these, which live: they get on with their
    /// end, or did so a moment ago.
    pub(crate) fn goes_on(&mut self, now: Instant, alive: Set<i32>) -> bool {
        if self.has_moved(alive) {
            self.moved = now;
        }
        now < self.until && now < self.moved + STANDSTILL
    }

    /// Less memory counts, and not more: that is what others in the slice take.
    fn has_moved(&mut self, alive: Set<i32>) -> bool {
        let ticks = alive.iter().filter_map(|pid| self.ticks(*pid)).sum();
        let held = self.held(&alive);
        let least = Held {
            pages: held.pages.min(self.least.pages),
            memory: held.memory.min(self.least.memory),
        };
        let has_freed = least.pages < self.least.pages || least.memory < self.least.memory;
        let has_moved = has_freed || ticks != self.ticks || alive != self.alive;
        (self.alive, self.ticks, self.least) = (alive, ticks, least);
        has_moved
    }

    fn held(&self, alive: &[i32]) -> Held {
        let current = text(&self.tree.join("memory.current"));
        let memory = current.ok().and_then(|bytes| decimal(bytes.trim()));
        let pages = alive.iter().filter_map(|pid| self.pages(*pid)).sum();
        Held { pages, memory: memory.unwrap_or(u64::MAX) }
    }

    /// Resident pages (proc_pid_statm(5)).
    fn pages(&self, pid: i32) -> Option<u64> {
        decimal(self.of(pid, "statm")?.split(' ').nth(1)?)
    }

    /// Time of CPUs, in utime and stime together (proc_pid_stat(5)).
    fn ticks(&self, pid: i32) -> Option<u64> {
        ticks_in(&self.of(pid, "stat")?)
    }

    fn of(&self, pid: i32, file: &str) -> Option<String> {
        let found = bytes(&self.roots.proc.join(format!("{pid}/{file}"))).ok()?;
        Some(String::from_utf8_lossy(&found).into_owned())
    }
}

/// The second field is a name that may have any character in it. Of those behind it
/// these are the twelfth and the one after.
pub(crate) fn ticks_in(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut times = fields.split(' ').skip(11).map_while(decimal::<u64>);
    times.next()?.checked_add(times.next()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    use tempfile::TempDir;

    const UID: u32 = 7;
    type Change = fn(&Node, u64);

    const STEP: Duration = Duration::from_millis(500);

    /// A node with a user whose processes a test makes up.
    struct Node {
        _dir: TempDir,
        roots: Roots,
    }

    fn node() -> Node {
        let dir = tempfile::tempdir().unwrap();
        let roots = Roots::below(dir.path());
        fs::create_dir_all(roots.slice(UID)).unwrap();
        Node { _dir: dir, roots }
    }

    impl Node {
        fn process(&self, pid: i32, (utime, stime): (u64, u64), pages: u64) {
            let dir = self.roots.proc.join(pid.to_string());
            fs::create_dir_all(&dir).unwrap();
            let stat = format!("{pid} (a) b) R 1 7 7 0 -1 4 1 0 0 0 {utime} {stime} 9 9 20 0 1 0");
            fs::write(dir.join("stat"), stat).unwrap();
            fs::write(dir.join("statm"), format!("900 {pages} 3 1 0 9 0\n")).unwrap();
        }

        fn memory(&self, bytes: u64) {
            fs::write(self.roots.slice(UID).join("memory.current"), format!("{bytes}\n")).unwrap();
        }

        /// For how long these are waited for, looked at twice a second, where each
        /// look is preceded by `change`.
        fn waits(&self, pids: &[i32], mut change: impl FnMut(&Self, u64)) -> Duration {
            let began = Instant::now();
            let (mut now, mut looks) = (began, 0);
            let mut dying = Dying::starting(&self.roots, self.roots.slice(UID), began);
            loop {
                change(self, looks);
                if !dying.goes_on(now, pids.iter().copied().collect()) {
                    return now - began;
                }
                (now, looks) = (now + STEP, looks + 1);
            }
        }
    }

    /// Show that one which stands still is not waited for, whatever others in the
    /// slice take, and that one of which nothing can be read is none the better.
    #[test]
    fn what_stands_still_is_given_up() {
        let node = node();
        assert_eq!(node.waits(&[8], |_, _| ()), STANDSTILL);
        node.process(8, (3, 4), 100);
        node.memory(4096);
        assert_eq!(node.waits(&[8], |_, _| ()), STANDSTILL);
        assert_eq!(node.waits(&[8], |node, look| node.memory(4096 + look % 3)), STANDSTILL);
    }

    /// Show that each sign of an end that goes on is one, for as long as it is seen.
    #[test]
    fn what_gets_on_is_waited_for() {
        let node = node();
        node.process(8, (3, 4), 100);
        node.memory(1 << 30);
        let last = STEP * 20;
        let changes: [Change; 3] = [
            |node, look| node.process(8, (3, 4 + look.min(20)), 100),
            |node, look| node.process(8, (3, 4), 100 - look.min(20)),
            |node, look| node.memory((1 << 30) - look.min(20)),
        ];
        for change in changes {
            assert_eq!(node.waits(&[8], change), last + STANDSTILL);
        }
    }

    /// Show that one of many which ends is progress.
    #[test]
    fn each_that_ends_counts() {
        let node = node();
        let began = Instant::now();
        let mut dying = Dying::starting(&node.roots, node.roots.slice(UID), began);
        assert!(dying.goes_on(began, [9, 8].into()));
        assert!(dying.goes_on(began + STEP * 3, [8].into()));
        assert!(dying.goes_on(began + STEP * 6, [8].into()));
        assert!(!dying.goes_on(began + STEP * 7, [8].into()));
    }

    /// Show that nothing is waited for without end.
    #[test]
    fn the_bound_holds() {
        let node = node();
        assert_eq!(node.waits(&[8], |node, look| node.process(8, (look, 0), 0)), LONGEST);
    }

    /// Show that a line which is cut off, or is none, tells no time.
    #[test]
    fn a_broken_line_tells_nothing() {
        for broken in ["", "8 (a) R 1", "8 (a) R 1 7 7 0 -1 4 1 0 0 0 5", "8 a 1 2 3"] {
            assert_eq!(ticks_in(broken), None, "{broken}");
        }
        assert_eq!(ticks_in("8 (a) R 1 7 7 0 -1 4 1 0 0 0 5 6 0"), Some(11));
    }
}
