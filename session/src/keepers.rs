//! Slurm's processes that show that a job is not over.
//!
//! An epilog comes for every job, unless it is killed, or slurmd starts without
//! its state. Then a lease is left that nobody drops. Each slurmstepd of a job
//! and its epilog are noted beside the lease, with the time of their start, as a
//! process id is used again.

use std::fmt;
use std::fs;
use std::path::Path;
use std::str::FromStr;

use crate::decimal::decimal;

/// What a process does for the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The extern step: it is there as long as the job is.
    Extern,
    /// Any other step: a job may be without one for a while.
    Step,
    /// The epilog, or what stands for it.
    Epilog,
}

const ROLES: [(Role, &str); 3] =
    [(Role::Extern, "extern"), (Role::Step, "step"), (Role::Epilog, "epilog")];

/// One process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Keeper {
    role: Role,
    pid: u32,
    /// In clock ticks since the boot (proc_pid_stat(5)).
    start: u64,
}

impl Keeper {
    /// This process; none where /proc does not show it.
    pub(crate) fn this(role: Role, proc: &Path) -> Option<Self> {
        let pid = std::process::id();
        start_of(pid, proc).map(|start| Self { role, pid, start })
    }

    fn lives(&self, proc: &Path) -> bool {
        start_of(self.pid, proc) == Some(self.start)
    }
}

/// As it is noted: a line.
impl fmt::Display for Keeper {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = ROLES.iter().find(|(role, _)| *role == self.role).map_or("", |(_, name)| *name);
        write!(out, "{name} {} {}", self.pid, self.start)
    }
}

impl FromStr for Keeper {
    type Err = ();

    fn from_str(line: &str) -> Result<Self, ()> {
        let [role, pid, start] = line.split(' ').collect::<Vec<_>>()[..] else { return Err(()) };
        let (role, _) = ROLES.iter().find(|(_, name)| *name == role).ok_or(())?;
        let (pid, start) = (decimal(pid).ok_or(())?, decimal(start).ok_or(())?);
        Ok(Self { role: *role, pid, start })
    }
}

/// Whether the job of these is over. A job without an extern step may have no
/// process of Slurm's between two steps: then only `slurmd_starts` says so,
/// since a lease that is dropped too early is taken again by the next step.
pub(crate) fn is_over(keepers: &[Keeper], slurmd_starts: bool, proc: &Path) -> bool {
    let tells = |keeper: &Keeper| slurmd_starts || keeper.role != Role::Step;
    let has_told = slurmd_starts || keepers.iter().any(tells);
    has_told && !keepers.iter().any(|keeper| keeper.lives(proc))
}

fn start_of(pid: u32, proc: &Path) -> Option<u64> {
    start_in(&fs::read_to_string(proc.join(format!("{pid}/stat"))).ok()?)
}

/// The start of a process that runs, from its `stat`. Its second field is a name
/// in parentheses, which may hold blanks and parentheses.
fn start_in(text: &str) -> Option<u64> {
    let (_, fields) = text.rsplit_once(") ")?;
    let mut fields = fields.split(' ');
    let has_ended = matches!(fields.next()?, "Z" | "X");
    let start = fields.nth(18)?.parse().ok()?;
    (!has_ended).then_some(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "4711 (a b) c) S 1 4711 4711 0 -1 4194560 1 0 0 0 1 2 0 0 20 0 1 0 998877 1";

    fn node(processes: &[(u32, &str)]) -> tempfile::TempDir {
        let proc = tempfile::tempdir().unwrap();
        for (pid, stat) in processes {
            fs::create_dir(proc.path().join(pid.to_string())).unwrap();
            fs::write(proc.path().join(format!("{pid}/stat")), stat).unwrap();
        }
        proc
    }

    fn keeper(line: &str) -> Keeper {
        line.parse().unwrap()
    }

    /// Show that a process is known by its number and its start, and that one that
    /// waits to be reaped is over.
    #[test]
    fn a_number_used_again_is_another_process() {
        let proc = node(&[(4711, STAT), (4712, &STAT.replace(") S", ") Z"))]);
        assert!(keeper("step 4711 998877").lives(proc.path()));
        for other in ["step 4711 998876", "step 4712 998877", "step 4713 998877"] {
            assert!(!keeper(other).lives(proc.path()), "{other}");
        }
    }

    /// Show that what is noted is read as it was, and that half a line is nothing.
    #[test]
    fn a_line_is_a_keeper() {
        for line in ["extern 1 2", "step 4711 998877", "epilog 4294967295 0"] {
            assert_eq!(keeper(line).to_string(), line);
        }
        for broken in ["", "extern", "extern 1", "extern 1 2 3", "prolog 1 2", "step -1 2"] {
            assert!(broken.parse::<Keeper>().is_err(), "{broken:?}");
        }
    }

    /// Show that this process is found where /proc is.
    #[test]
    fn this_process_lives() {
        let proc = Path::new("/proc");
        assert!(Keeper::this(Role::Step, proc).unwrap().lives(proc));
        assert_eq!(Keeper::this(Role::Step, Path::new("/nonexistent")), None);
    }

    /// Show when a job is over: when its extern step or its epilog is gone, and
    /// nothing else of it is left; at the start of slurmd also without them.
    #[test]
    fn a_job_is_over_when_its_processes_are() {
        let proc = node(&[(1, &STAT.replace("4711 (", "1 ("))]);
        let is_over = |lines: &[&str], slurmd_starts| {
            let keepers: Vec<Keeper> = lines.iter().map(|line| keeper(line)).collect();
            is_over(&keepers, slurmd_starts, proc.path())
        };
        let (lives, gone) = ("step 1 998877", "step 2 5");
        for slurmd_starts in [false, true] {
            assert!(!is_over(&["extern 1 998877"], slurmd_starts));
            assert!(!is_over(&["extern 2 5", lives], slurmd_starts));
            assert!(!is_over(&["epilog 1 998877"], slurmd_starts));
            assert!(is_over(&["extern 2 5", gone], slurmd_starts));
            assert!(is_over(&["epilog 2 5", gone], slurmd_starts));
            assert_eq!(is_over(&[gone], slurmd_starts), slurmd_starts);
            assert_eq!(is_over(&[], slurmd_starts), slurmd_starts);
        }
    }
}
