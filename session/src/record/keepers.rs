//! Slurm's processes that show that a job is not over.
//!
//! An epilog comes for every job, unless it is killed, or slurmd starts without
//! its state. Then a lease is left that nobody drops. Each slurmstepd of a job
//! and its epilog are noted beside the lease, with the time of their start, as a
//! process id is used again, and with their pid namespace: a job container may
//! have one of its own (namespace/linux, Slurm 25.11), in which other processes
//! have these numbers.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use crate::outside::proc::{INITIAL, is_gone, namespace, start};
use crate::terms::decimal::decimal;
use crate::terms::job::{ROLES, Role};

/// One process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Keeper {
    pub(crate) role: Role,
    pub(crate) pid: u32,
    /// In clock ticks since the boot (proc_pid_stat(5)).
    start: u64,
    /// The inode of its pid namespace.
    namespace: u64,
}

impl Keeper {
    /// This process; none where /proc does not show it.
    pub(crate) fn this(role: Role, proc: &Path) -> Option<Self> {
        let namespace = namespace(proc)?;
        let pid = std::process::id();
        let start = start(pid, proc).ok()??;
        Some(Self { role, pid, start, namespace })
    }

    /// What /proc does not answer for is taken to live.
    pub(crate) fn lives(&self, proc: &Path) -> bool {
        match start(self.pid, proc) {
            Ok(start) => start == Some(self.start),
            Err(error) => !is_gone(&error),
        }
    }

    fn is_step(&self) -> bool {
        self.role == Role::Step
    }

    fn is_seen_from(&self, here: u64) -> bool {
        self.namespace == here
    }
}

/// As it is noted: a line.
impl fmt::Display for Keeper {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {} {}", self.role.name(), self.pid, self.start)?;
        if self.namespace == INITIAL { Ok(()) } else { write!(out, " {}", self.namespace) }
    }
}

impl FromStr for Keeper {
    type Err = ();

    fn from_str(line: &str) -> Result<Self, ()> {
        let (role, pid, start, namespace) = match line.split(' ').collect::<Vec<_>>()[..] {
            [role, pid, start] => (role, pid, start, None),
            [role, pid, start, namespace] => (role, pid, start, Some(namespace)),
            _ => return Err(()),
        };
        let (role, _) = ROLES.iter().find(|(_, name)| *name == role).ok_or(())?;
        let (pid, start) = (decimal(pid).ok_or(())?, decimal(start).ok_or(())?);
        let namespace = namespace.map_or(Ok(INITIAL), |inode| decimal(inode).ok_or(()))?;
        Ok(Self { role: *role, pid, start, namespace })
    }
}

/// Whether the job of these is over. A job without an extern step may have no
/// process of Slurm's between two steps: then only `slurmd_starts` says so,
/// since a lease that is dropped too early is taken again by the next step. A
/// step that cannot be seen from here ends with the extern step.
pub(crate) fn is_over(keepers: &[Keeper], slurmd_starts: bool, proc: &Path) -> bool {
    let Some(here) = namespace(proc) else { return false };
    let (seen, hidden): (Vec<_>, Vec<_>) =
        keepers.iter().partition(|keeper| keeper.is_seen_from(here));
    let tells = |keeper: &&Keeper| !keeper.is_step();
    let has_told = seen.iter().any(tells) || slurmd_starts && hidden.is_empty();
    has_told && !hidden.iter().any(tells) && !seen.iter().any(|keeper| keeper.lives(proc))
}

/// Whether a step is seen to live.
pub(crate) fn has_step(keepers: &[Keeper], proc: &Path) -> bool {
    let lives = |here| {
        keepers
            .iter()
            .any(|keeper| keeper.is_step() && keeper.is_seen_from(here) && keeper.lives(proc))
    };
    namespace(proc).is_some_and(lives)
}

/// Whether the extern step of this job has another pid namespace than this process:
/// a job container needs one (PrologFlags=Contain), and it stays outside.
pub(crate) fn is_apart(keepers: &[Keeper], proc: &Path) -> bool {
    let extern_step = keepers.iter().find(|keeper| keeper.role == Role::Extern);
    namespace(proc).is_none_or(|here| extern_step.is_some_and(|step| step.namespace != here))
}

/// Of a list of keepers, the lines that still tell something: not those of steps that
/// are seen to be over. None where /proc does not show it.
pub(crate) fn needed_of(list: &str, proc: &Path) -> Option<String> {
    let here = namespace(proc)?;
    let is_needed = |line: &&str| {
        // A line that this version cannot read may be a later one's.
        line.trim_end().parse().map_or(true, |keeper: Keeper| {
            !keeper.is_step() || !keeper.is_seen_from(here) || keeper.lives(proc)
        })
    };
    Some(list.split_inclusive('\n').filter(is_needed).collect())
}

/// Whether one of these may be at work: it lives, or cannot be seen from here.
pub(crate) fn may_work<'a>(keepers: impl IntoIterator<Item = &'a Keeper>, proc: &Path) -> bool {
    let Some(here) = namespace(proc) else { return true };
    keepers.into_iter().any(|keeper| !keeper.is_seen_from(here) || keeper.lives(proc))
}

/// Those of them that are seen to live.
pub(crate) fn at_work(keepers: &[Keeper], proc: &Path) -> Vec<u32> {
    let Some(here) = namespace(proc) else { return Vec::new() };
    let lives = |keeper: &&Keeper| keeper.is_seen_from(here) && keeper.lives(proc);
    keepers.iter().filter(lives).map(|keeper| keeper.pid).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    use crate::outside::proc::show_this_process;

    const STAT: &str = "4711 (a b) c) S 1 4711 4711 0 -1 4194560 1 0 0 0 1 2 0 0 20 0 1 0 998877 1";

    fn node(processes: &[(u32, &str)]) -> tempfile::TempDir {
        let proc = tempfile::tempdir().unwrap();
        show_this_process(proc.path());
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
        for line in ["extern 1 2", "step 4711 998877 4026531837", "epilog 4294967295 0"] {
            assert_eq!(keeper(line).to_string(), line);
        }
        for broken in ["", "extern", "extern 1", "extern 1 2 3 4", "prolog 1 2", "step -1 2"] {
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
    /// Show that what is in another pid namespace, or in a /proc of one, is not
    /// taken for gone; but that a hidden step ends with the extern step.
    #[test]
    fn what_cannot_be_seen_is_not_gone() {
        let proc = node(&[(1, &STAT.replace("4711 (", "1 ("))]);
        let is_over = |lines: &[&str]| {
            let keepers: Vec<Keeper> = lines.iter().map(|line| keeper(line)).collect();
            is_over(&keepers, false, proc.path()) && super::is_over(&keepers, true, proc.path())
        };
        let here = namespace(proc.path()).unwrap();
        assert_eq!(here, INITIAL);
        let gone = "extern 2 5";
        assert!(is_over(&[gone]) && is_over(&["extern 2 5 4026531836"]));
        assert!(!is_over(&["extern 2 5 7"]) && !is_over(&[gone, "extern 2 5 7"]));
        assert!(is_over(&[gone, "step 1 998877 7"]));
        let step = [keeper("step 1 998876 7")];
        assert!(!super::is_over(&step, true, proc.path()) && may_work(&step, proc.path()));
        assert!(is_apart(&[keeper("extern 2 5 7")], proc.path()) && !is_apart(&[], proc.path()));
        fs::remove_file(proc.path().join("self")).unwrap();
        assert!(is_apart(&[], proc.path()));
        assert!(!is_over(&[gone]) && may_work(&[], proc.path()));
        assert_eq!(Keeper::this(Role::Step, proc.path()), None);
    }

    /// Show that a process of which /proc does not tell is not taken for gone.
    #[test]
    fn no_answer_is_no_end() {
        let proc = node(&[]);
        let odd = proc.path().join("2/stat");
        fs::create_dir_all(&odd).unwrap();
        assert!(keeper("extern 2 5").lives(proc.path()));
        fs::remove_dir(&odd).unwrap();
        fs::write(&odd, b"2 (\xff) S 1 4711 4711 0 -1 4194560 1 0 0 0 1 2 0 0 20 0 1 0 5 1")
            .unwrap();
        assert!(keeper("extern 2 5").lives(proc.path()));
        assert!(!keeper("extern 2 6").lives(proc.path()));
    }
}
