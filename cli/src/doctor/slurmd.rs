//! slurmd: which process it is, since when, and of which release.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use nix::unistd::{SysconfVar, sysconf};

use crate::node::Node;

/// What Slurm compares: major and minor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Release {
    pub(crate) major: u32,
    pub(crate) minor: u32,
}

impl fmt::Display for Release {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{:02}", self.major, self.minor)
    }
}

impl Release {
    /// From `slurm 24.11.5` or `slurm-wlm 26.05.0-rc1`.
    pub(super) fn printed(text: &str) -> Option<Self> {
        let version = text.split_whitespace().last()?;
        let mut parts = version.split(['.', '-']);
        Some(Self { major: parts.next()?.parse().ok()?, minor: parts.next()?.parse().ok()? })
    }
}

/// The process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Slurmd {
    pub(crate) pid: u32,
    pub(crate) started: Option<SystemTime>,
    /// The file that its `-f` names.
    pub(crate) conf: Option<PathBuf>,
}

impl Slurmd {
    /// The oldest process of that name: it forks.
    pub(crate) fn find(node: &Node) -> Option<Self> {
        let entries = fs::read_dir(&node.roots.proc).ok()?.flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let is_slurmd =
            |pid: &u32| of(node, *pid, "comm").is_some_and(|name| name.trim() == "slurmd");
        let with_start = |pid| Some((ticks(&of(node, pid, "stat")?)?, pid));
        let (ticks, pid) = pids.filter(is_slurmd).filter_map(with_start).min()?;
        let conf = of(node, pid, "cmdline").and_then(|line| conf_in(&line));
        Some(Self { pid, started: since_boot(node, ticks), conf })
    }

    /// The plugin's file as this process has it mapped; None where that is not for
    /// whoever asks to see.
    pub(super) fn mapped(&self, node: &Node, file: &Path) -> Option<Mapped> {
        let maps = of(node, self.pid, "maps").filter(|maps| !maps.is_empty())?;
        // The kernel tells the path behind symbolic links.
        let real = fs::canonicalize(node.at(file)).map(|real| node.name_of(&real));
        let name = real.unwrap_or_else(|_| file.to_owned()).display().to_string();
        let path = |line: &str| line.find('/').and_then(|at| line.get(at..)).map(str::to_owned);
        let paths: Vec<String> = maps.lines().filter_map(path).collect();
        let is_there = |path: &String| *path == name;
        let was_there = |path: &String| *path == format!("{name} (deleted)");
        Some(match () {
            () if paths.iter().any(is_there) => Mapped::Yes,
            () if paths.iter().any(was_there) => Mapped::Replaced,
            () => Mapped::No,
        })
    }
}

/// What a process has of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mapped {
    Yes,
    /// One that was there before.
    Replaced,
    No,
}

fn of(node: &Node, pid: u32, file: &str) -> Option<String> {
    let bytes = fs::read(node.roots.proc.join(format!("{pid}/{file}"))).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The 22nd field of proc_pid_stat(5); the second may hold blanks and parentheses.
fn ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(") ")?;
    fields.split(' ').nth(19)?.parse().ok()
}

/// `btime` in proc_stat(5) is in seconds since the epoch.
fn since_boot(node: &Node, ticks: u64) -> Option<SystemTime> {
    let stat = fs::read_to_string(node.roots.proc.join("stat")).ok()?;
    let boot = stat.lines().find_map(|line| line.strip_prefix("btime "))?;
    let per_second = sysconf(SysconfVar::CLK_TCK).ok().flatten()?;
    let since_boot = Duration::from_secs(ticks / u64::try_from(per_second).ok()?.max(1));
    Some(SystemTime::UNIX_EPOCH + Duration::from_secs(boot.trim().parse().ok()?) + since_boot)
}

fn conf_in(cmdline: &str) -> Option<PathBuf> {
    let mut words = cmdline.split('\0');
    while let Some(word) = words.next() {
        match word.strip_prefix("-f") {
            Some("") => return words.next().map(PathBuf::from),
            Some(file) => return Some(file.into()),
            None => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::made_up::node;

    const STAT: &str = "77 (slurmd) S 1 77 77 0 -1 4194560 1 0 0 0 1 2 0 0 20 0 1 0 100000 1";

    /// Show that the oldest slurmd is found, with its start and its configuration.
    #[test]
    fn the_oldest_is_the_daemon() {
        let made_up = node()
            .with("/proc/stat", "cpu 1\nbtime 1000000\n")
            .with("/proc/77/comm", "slurmd\n")
            .with("/proc/77/stat", STAT)
            .with("/proc/77/cmdline", "/usr/sbin/slurmd\0-D\0-f\0/opt/slurm.conf\0")
            .with("/proc/5/comm", "slurmd\n")
            .with("/proc/5/stat", STAT.replace(" 100000 ", " 200000 "))
            .with("/proc/6/comm", "slurmstepd\n");
        let slurmd = Slurmd::find(&made_up.node).unwrap();
        assert_eq!((slurmd.pid, slurmd.conf), (77, Some("/opt/slurm.conf".into())));
        let started = slurmd.started.unwrap().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(started.as_secs(), 1_001_000);
        assert_eq!(Slurmd::find(&node().node), None);
    }

    /// Show that a file which was replaced under the process is told from one that
    /// it has, and from none.
    #[test]
    fn what_is_mapped_is_seen() {
        let file = Path::new("/usr/lib/slurm/spank_linger.so");
        for (maps, expected) in [
            ("7f 00 r-xp 0 fe:00 1  /usr/lib/slurm/spank_linger.so\n", Some(Mapped::Yes)),
            ("7f 0 r-xp 0 /usr/lib/slurm/spank_linger.so (deleted)\n", Some(Mapped::Replaced)),
            ("7f 00 r-xp 0 fe:00 1  /usr/lib/libc.so.6\n", Some(Mapped::No)),
            ("", None),
        ] {
            let made_up = node().with("/proc/77/maps", maps);
            let slurmd = Slurmd { pid: 77, started: None, conf: None };
            assert_eq!(slurmd.mapped(&made_up.node, file), expected, "{maps}");
        }
    }

    /// Show that the release is read as Slurm's packagers print it.
    #[test]
    fn releases_are_read() {
        for (text, expected) in
            [("slurm-wlm 24.11.5\n", "24.11"), ("slurm 26.05.0-0rc1", "26.05"), ("x 22.5", "22.05")]
        {
            assert_eq!(Release::printed(text).unwrap().to_string(), expected);
        }
        assert_eq!(Release::printed("slurmd: error"), None);
    }
}
