//! Sessions of single jobs of which nothing is written down: their records were lost with `/run/spank-linger`, or were
//! spoilt.
//!
//! Such a job is over when no slurmstepd of its lives. Its own cgroup does not tell that: each slurmstepd of a job
//! with a session has left it for the scope's `system` (`Launch::leave`). There one is known by what is written down
//! of other jobs, or by its title, where the job's cgroup has the job's number (up to Slurm 25.05, and with
//! CgroupJobIdPaths). Of any other nobody can tell whose it is, and nothing is removed.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::outside::mounts::hold;
use crate::outside::proc::{self, sees_this_process};
use crate::outside::processes::pids_in;
use crate::outside::text::{bytes, text};
use crate::outside::tree::{self, dirs_in};
use crate::own::close::{is_gone, remove_steps};
use crate::own::guard::{OURS, is_slurmstepd};
use crate::record;
use crate::record::keepers::at_work;
use crate::terms::decimal::decimal;
use crate::terms::error::{Error, Result};
use crate::terms::roots::Roots;

/// One.
#[derive(Debug)]
pub struct Stray {
    /// Its cgroup, below the hierarchy's root.
    pub cgroup: PathBuf,
    /// Whose it is; root's as long as it had not been given to its user.
    pub uid: u32,
    /// That its job is over; or why that cannot be told, in one line.
    pub is_over: Result<(), String>,
    /// This one, and no other that is made in its place.
    held: File,
}

const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// All of them on this node.
///
/// # Errors
/// When what is written down cannot be read: any of them might be in there.
pub(crate) fn find(roots: &Roots) -> Result<Vec<Stray>> {
    // Before the records are read: each is written before its cgroup is made.
    let found: Vec<_> =
        sessions(&roots.cgroup).into_iter().filter_map(|at| held(roots, at)).collect();
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let known = Known::read(roots)?;
    let unknown = found.into_iter().filter(|(cgroup, ..)| !known.has(cgroup));
    Ok(unknown
        .map(|(cgroup, uid, held)| Stray {
            is_over: is_over(roots, &known, &cgroup),
            cgroup,
            uid,
            held,
        })
        .collect())
}

/// Whether any session of a single job's is on this node that is `uid`'s, written down or not.
pub(crate) fn has_any(roots: &Roots, uid: u32) -> bool {
    let owner = |cgroup: PathBuf| fs::metadata(roots.cgroup.join(cgroup)).ok().map(|it| it.uid());
    sessions(&roots.cgroup).into_iter().any(|cgroup| owner(cgroup) == Some(uid))
}

/// Ends what runs in it, and removes it with Slurm's empty cgroups above.
///
/// # Errors
/// That its job is not over, or goes on: a job that is requeued has the same cgroup as before. That something does
/// not end until then, or cannot be removed.
pub(crate) fn end(roots: &Roots, stray: &Stray, until: Instant) -> Result<()> {
    let cgroup = roots.cgroup.join(&stray.cgroup);
    let kill = PathBuf::from(format!("/proc/self/fd/{}/cgroup.kill", stray.held.as_raw_fd()));
    loop {
        let known = Known::read(roots)?;
        let now = if known.has(&stray.cgroup) { Err("it has begun anew".into()) } else { Ok(()) };
        let now = now.and_then(|()| is_over(roots, &known, &stray.cgroup));
        now.map_err(|cause: String| Error::file("end", &cgroup)(io::Error::other(cause)))?;
        match fs::write(&kill, "1") {
            Err(error) if is_gone(&error) => return Ok(()),
            killed => killed.map_err(Error::file("kill what is in", &cgroup))?,
        }
        match tree::remove(&cgroup) {
            Err(error) if is_busy(&error) && Instant::now() < until => sleep(LOOK_AGAIN),
            Err(error) if !is_gone(&error) => return Err(Error::file("remove", &cgroup)(error)),
            _ => {
                remove_steps(of_job(&cgroup));
                return Ok(());
            }
        }
    }
}

fn is_busy(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EBUSY)
}

fn held(roots: &Roots, cgroup: PathBuf) -> Option<(PathBuf, u32, File)> {
    let held = hold(&roots.cgroup.join(&cgroup)).ok()?;
    let uid = held.metadata().ok()?.uid();
    Some((cgroup, uid, held))
}

/// `…/job_42` of `…/job_42/step_extern/user/session`, and `…` itself.
fn of_job(session: &Path) -> &Path {
    above(session, 3)
}

fn above(session: &Path, levels: usize) -> &Path {
    session.ancestors().nth(levels).unwrap_or(session)
}

/// Wherever Slurm has its scope: in a slice (system.slice, or CgroupSlice), in none where a container begins. No user
/// can make a slice of systemd's.
fn sessions(root: &Path) -> Vec<PathBuf> {
    let (mut slices, mut sessions) = (vec![PathBuf::new()], Vec::new());
    while let Some(slice) = slices.pop() {
        for below in dirs(root, &slice) {
            let name = below.to_string_lossy();
            if name.ends_with("slurmstepd.scope") {
                sessions.extend(in_scope(root, &below));
            } else if name.ends_with(".slice") {
                slices.push(below);
            }
        }
    }
    sessions
}

fn in_scope(root: &Path, scope: &Path) -> Vec<PathBuf> {
    let steps = dirs(root, scope).into_iter().flat_map(|job| dirs(root, &job));
    let steps = steps.filter(|step| {
        step.file_name().is_some_and(|name| name.to_string_lossy().starts_with("step_"))
    });
    steps.map(|step| step.join("user/session")).filter(|at| root.join(at).is_dir()).collect()
}

fn dirs(root: &Path, dir: &Path) -> Vec<PathBuf> {
    dirs_in(&root.join(dir)).iter().map(|name| dir.join(name)).collect()
}

/// What is written down: the jobs with sessions of their own, by their cgroups, each with its processes of Slurm's.
#[derive(Default)]
struct Known(Vec<(PathBuf, Vec<u32>)>);

impl Known {
    fn read(roots: &Roots) -> Result<Self> {
        let mut known = Self::default();
        for uid in record::known_uids(roots)? {
            let state = record::state(roots, uid);
            for job in state.own_jobs()? {
                if let Some(cgroup) = state.own(job)?.and_then(|own| own.cgroup) {
                    let at_work = at_work(&state.keepers(job)?, &roots.proc);
                    known.0.push((of_job(&cgroup).to_owned(), at_work));
                }
            }
        }
        Ok(known)
    }

    fn has(&self, session: &Path) -> bool {
        self.0.iter().any(|(job, _)| job == of_job(session))
    }

    /// Whether a process is one of another job's in that scope. With two slurmd on a node a job on both has one record.
    fn has_process(&self, pid: u32, scope: &Path) -> bool {
        let mut jobs = self.0.iter().filter(|(job, _)| job.parent() == Some(scope));
        jobs.any(|(_, slurms)| slurms.contains(&pid))
    }
}

/// Whether the job of `session` is over; or why that cannot be told.
fn is_over(roots: &Roots, known: &Known, session: &Path) -> Result<(), String> {
    if !sees_this_process(&roots.proc) {
        return Err("/proc is not of this process's pid namespace".into());
    }
    let (job, step, scope) = (of_job(session), above(session, 2), above(session, 4));
    // First where a slurmstepd begins, then where it goes to.
    has_no_slurmstepd(roots, session)?;
    let number = name(job).strip_prefix("job_").and_then(decimal);
    let beside = roots.cgroup.join(scope).join("system/cgroup.procs");
    let beside = listed(&beside).map_err(|error| format!("{}: {error}", beside.display()))?;
    let is_others =
        |pid: &u32| known.has_process(*pid, scope) || works_elsewhere(&roots.proc, *pid, number);
    if let Some(pid) = beside.iter().find(|pid| !is_others(pid)) {
        return Err(format!("process {pid} of Slurm's may work for its job"));
    }
    // Between two steps nothing of Slurm's tells of a job without an extern step.
    if name(step) != "step_extern" && !is_empty(&roots.cgroup.join(session)) {
        return Err("its job has no extern step, and something runs in it".into());
    }
    Ok(())
}

/// Whether no slurmstepd is at work in the cgroup of the job of `session`; or which is.
pub(crate) fn has_no_slurmstepd(roots: &Roots, session: &Path) -> Result<(), String> {
    let inside = pids_in(&roots.cgroup.join(of_job(session)))
        .ok_or("there are more cgroups in its job than can be searched")?;
    match inside.iter().find(|(pid, _)| is_slurmstepd(&roots.proc, *pid)) {
        Some((pid, _)) => Err(format!("slurmstepd {pid} works for its job")),
        None => Ok(()),
    }
}

fn name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

fn is_empty(cgroup: &Path) -> bool {
    text(&cgroup.join("cgroup.events")).is_ok_and(|events| events.contains("populated 0"))
}

/// The processes in a cgroup.
fn listed(procs: &Path) -> io::Result<Vec<u32>> {
    let listed = match text(procs) {
        Err(error) if is_gone(&error) => return Ok(Vec::new()),
        listed => listed?,
    };
    // A process of another pid namespace is 0.
    let pid = |line: &str| decimal(line).filter(|pid| *pid > 0);
    let unknown = || io::Error::other("it lists processes that cannot be seen from here");
    listed.lines().map(|line| pid(line).ok_or_else(unknown)).collect()
}

/// Whether a process of root's beside the jobs is not of the job with that number: it has ended, is one of ours, keeps
/// the scope (`slurmstepd infinity`), or is a slurmstepd of another job, which has it in its title:
/// `slurmstepd: [42.extern]` (Slurm 22.05 to 26.05).
fn works_elsewhere(proc: &Path, pid: u32, job: Option<u32>) -> bool {
    if matches!(proc::start(pid, proc), Ok(None)) {
        return true;
    }
    let of = |file: &str| bytes(&proc.join(format!("{pid}/{file}")));
    let (name, line) = match (of("comm"), of("cmdline")) {
        (Ok(name), Ok(line)) => (name, line),
        (Err(error), _) | (_, Err(error)) => return proc::is_gone(&error),
    };
    if name.trim_ascii() == OURS.as_bytes() {
        return true;
    }
    let words: Vec<_> = line.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
    match words.iter().map(AsRef::as_ref).collect::<Vec<&str>>()[..] {
        [_, "infinity", ..] => true,
        [title, ..] => job.is_some_and(|job| job_in(title).is_some_and(|other| other != job)),
        [] => false,
    }
}

/// The job's number in the title of a slurmstepd.
fn job_in(title: &str) -> Option<u32> {
    let (job, _step) = title.strip_prefix("slurmstepd: [")?.split_once('.')?;
    decimal(job)
}

#[cfg(test)]
mod tests;
