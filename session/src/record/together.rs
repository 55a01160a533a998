//! What all jobs of a user may use together.
//!
//! Each job's limits are a file of its own, and a node may have 256 jobs of one user, each of whose ends asks for the sum.
//! So whoever holds the lock notes them once more in one file, each with the inode of the file that it was read from: one
//! that has been replaced since is another. That holds on a tmpfs, as /run is: it gives no number twice (Linux 4.18 to
//! 6.17, get_next_ino() and shmem_reserve_inode()). Elsewhere nothing is noted.

use std::fmt::Write;
use std::path::PathBuf;

use nix::sys::statfs::{TMPFS_MAGIC, statfs};

use super::{Locked, State};
use crate::limits::amounts::Limits;
use crate::outside::files::{any_entry_in, fields_in, read_lines, replace};
use crate::terms::cpus::CpuSet;
use crate::terms::decimal::decimal;
use crate::terms::error::Result;
use crate::terms::set::Set;

/// What the user's jobs may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Together {
    /// There is no job.
    NoJob,
    /// There are jobs, and none of them has begun.
    NotBegun,
    /// Those that have begun, whatever their leases say.
    Limits(Limits),
}

const LIMITS: &str = ".limits";

/// No list of CPUs: all that the node has.
const NO_CPUS: &str = "-";

/// Of the files that say what jobs may use.
type Inodes = Set<(u32, u64)>;

/// Of all jobs.
#[derive(Default)]
struct All {
    has_job: bool,
    sum: Option<Limits>,
    /// What is to be noted of them, in the order of their jobs.
    lines: String,
    /// Whether it is noted already.
    is_noted: bool,
}

/// What is noted of a job. The CPUs by themselves: the rest is the same for all jobs of an array.
struct Noted<'a> {
    job: u32,
    inode: u64,
    cpus: &'a str,
    rest: &'a str,
}

/// Jobs in a row that may use the same but for their CPUs.
struct Run<'a> {
    rest: &'a str,
    jobs: u64,
    limits: Limits,
}

impl State {
    /// What all jobs of the user may use together: each counts as long as it has a
    /// lease of any kind.
    pub(crate) fn together(&self) -> Result<Together> {
        self.all_limits().map(All::together)
    }

    // Both of its callers would have it.
    #[inline(never)]
    fn all_limits(&self) -> Result<All> {
        let (jobs, files) = self.jobs_and_limits()?;
        let text = read_lines(&self.noted_path()).unwrap_or_default();
        let noted: Vec<_> = text.lines().filter_map(Noted::of).collect();
        let mut all = All { has_job: !jobs.is_empty(), is_noted: true, ..All::default() };
        let mut run: Option<Run<'_>> = None;
        for job in jobs {
            let file = files.binary_search_by_key(&job, |(job, _)| *job);
            let inode = file.ok().and_then(|at| files.get(at)).map(|(_, inode)| *inode);
            let known = inode.and_then(|inode| find(&noted, job, inode));
            if let Some(known) = known.filter(|known| known.join(&mut run, &mut all.sum)) {
                all.note(job, known.inode, known.cpus, known.rest);
            } else if let Some(limits) = self.limits_or_none(job) {
                // Version 0.1 has them in the lease.
                if let Some(inode) = inode {
                    all.is_noted = false;
                    all.note_new(job, inode, &limits);
                }
                add(&mut all.sum, limits);
            }
        }
        if let Some(run) = run {
            run.end(&mut all.sum);
        }
        Ok(all)
    }

    /// The jobs that have a lease, and the inodes of what says what each may use.
    fn jobs_and_limits(&self) -> Result<(Set<u32>, Inodes)> {
        let (mut jobs, mut files) = (Vec::new(), Set::default());
        any_entry_in(&self.dir, &mut |name, inode| {
            let (name, is_file) =
                name.strip_suffix(LIMITS).map_or((name, false), |job| (job, true));
            match decimal(name) {
                Some(job) if is_file => {
                    files.insert((job, inode));
                }
                Some(job) => jobs.push(job),
                None => {}
            }
            false
        })?;
        Ok((jobs.into(), files))
    }

    fn limits_or_none(&self, job: u32) -> Option<Limits> {
        self.limits(job).unwrap_or_else(|error| {
            log::error!("{error}; taken for those of a job that has not begun");
            None
        })
    }

    fn noted_path(&self) -> PathBuf {
        self.dir.join("limits")
    }
}

impl Locked {
    /// The same, noted for the next one who asks.
    pub(crate) fn together(&self) -> Result<Together> {
        let mut all = self.all_limits()?;
        if !all.is_noted && is_tmpfs(self) {
            let lines = Ok(std::mem::take(&mut all.lines));
            let noted = replace(&self.noted_path(), lines, |_| Ok(()));
            noted.unwrap_or_else(|error| log::debug!("{error}"));
        }
        Ok(all.together())
    }
}

impl All {
    fn together(self) -> Together {
        match self.sum {
            Some(limits) => Together::Limits(limits),
            None if self.has_job => Together::NotBegun,
            None => Together::NoJob,
        }
    }

    fn note(&mut self, job: u32, inode: u64, cpus: &str, rest: &str) {
        let _ = writeln!(self.lines, "{job} {inode} {cpus} {rest}");
    }

    fn note_new(&mut self, job: u32, inode: u64, limits: &Limits) {
        let cpus = limits.cpus.as_ref().map_or_else(|| NO_CPUS.to_owned(), CpuSet::to_string);
        let rest = serde_json::to_string(&Limits { cpus: None, ..limits.clone() });
        // No line is a job that is read again.
        self.note(job, inode, &cpus, &rest.unwrap_or_default());
    }
}

impl<'a> Noted<'a> {
    fn of(line: &'a str) -> Option<Self> {
        let mut parts = line.splitn(4, ' ');
        let [job, inode, cpus, rest] = std::array::from_fn(|_| parts.next().unwrap_or_default());
        Some(Self { job: decimal(job)?, inode: decimal(inode)?, cpus, rest })
    }

    /// Counts with the run, or begins another. Not where it cannot be read.
    fn join(&self, run: &mut Option<Run<'a>>, sum: &mut Option<Limits>) -> bool {
        let cpus: Option<CpuSet> = match self.cpus {
            NO_CPUS => None,
            cpus => match cpus.parse() {
                Ok(cpus) => Some(cpus),
                Err(_) => return false,
            },
        };
        if let Some(run) = run.as_mut().filter(|run| run.rest == self.rest) {
            run.jobs += 1;
            let both = run.limits.cpus.take().zip(cpus);
            run.limits.cpus = both.map(|(one, two)| one.union(two));
            return true;
        }
        let Ok(limits) = fields_in(self.rest) else { return false };
        let begun = Run { rest: self.rest, jobs: 1, limits: Limits { cpus, ..limits } };
        if let Some(run) = run.replace(begun) {
            run.end(sum);
        }
        true
    }
}

impl Run<'_> {
    fn end(self, sum: &mut Option<Limits>) {
        add(sum, self.limits.times(self.jobs));
    }
}

fn add(sum: &mut Option<Limits>, limits: Limits) {
    *sum = Some(match sum.take() {
        Some(sum) => sum.plus(limits),
        None => limits,
    });
}

/// Of the same file.
fn find<'a, 'b>(noted: &'b [Noted<'a>], job: u32, inode: u64) -> Option<&'b Noted<'a>> {
    let at = noted.binary_search_by_key(&(job, inode), |noted| (noted.job, noted.inode));
    noted.get(at.ok()?)
}

fn is_tmpfs(state: &State) -> bool {
    statfs(&state.dir).is_ok_and(|found| found.filesystem_type() == TMPFS_MAGIC)
}

/// Whether something can be read of a note.
#[cfg(test)]
pub(crate) fn reads(text: &str) -> bool {
    let (mut run, mut sum) = (None, None);
    let read = text.lines().filter_map(Noted::of).filter(|noted| noted.join(&mut run, &mut sum));
    let jobs = read.count();
    if let Some(run) = run {
        assert!(run.jobs <= jobs as u64);
        run.end(&mut sum);
    }
    assert_eq!(sum.is_some(), jobs > 0);
    jobs > 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{self, Lease};
    use crate::terms::budget::Budget;
    use crate::terms::roots::Roots;
    use crate::terms::site::SessionKind;
    use std::fs;
    use std::time::Duration;

    fn memory(together: &Together) -> Option<u64> {
        match together {
            Together::Limits(limits) => limits.memory,
            _ => None,
        }
    }

    /// Show that what was noted is the sum as it would be read: after a job has ended, one has begun, one has other
    /// limits, and where the note cannot be read; and that nothing but the directory and the note is looked at then.
    #[test]
    fn what_is_noted_is_what_holds() {
        let dir = tempfile::tempdir_in("/dev/shm").unwrap();
        let roots = Roots::below(dir.path());
        for above in [roots.run.parent(), roots.lib.parent()] {
            fs::create_dir_all(above.unwrap()).unwrap();
        }
        let state = record::lock(&roots, 7, Budget::starting_now(Duration::from_secs(15))).unwrap();
        let put = |job: u32, memory| {
            state.put(job, &Lease::Open, SessionKind::default()).unwrap();
            state.put_limits(job, &Limits { memory: Some(memory), ..Limits::default() }).unwrap();
        };
        let sum = || {
            let noted = memory(&state.together().unwrap());
            assert_eq!(noted, memory(&record::state(&roots, 7).together().unwrap()));
            noted
        };
        assert_eq!(state.together().unwrap(), Together::NoJob);
        for job in [12, 9, 100] {
            put(job, u64::from(job));
        }
        assert_eq!(sum(), Some(121));
        assert!(state.all_limits().unwrap().is_noted);
        state.remove(9).unwrap();
        assert_eq!(sum(), Some(112));
        put(12, 13);
        put(9, 1);
        assert_eq!(sum(), Some(114));
        let file = state.limits_path(12);
        // As only a test does it.
        fs::write(&file, "not to be read").unwrap();
        assert_eq!(sum(), Some(114));
        fs::write(state.noted_path(), "12 x\n\n9 1 {\n").unwrap();
        assert_eq!(sum(), Some(101), "what cannot be read has not begun");
        for job in [9, 12, 100] {
            state.remove(job).unwrap();
        }
        put(12, 5);
        fs::remove_file(&file).unwrap();
        assert_eq!(state.together().unwrap(), Together::NotBegun);
    }
}
