//! Where a job's own session is: a cgroup below the step that holds the job, given to the job's user.
//!
//! Of that cgroup the directory and what a manager needs to run one belong to the user (cgroup v2, "Delegation"), and
//! of the job's cgroup the file by which a process is moved between two below it: the kernel asks for that of
//! their common ancestor. No limit file ever does.

use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::chown;
use std::path::{Component, Path, PathBuf};

use nix::sys::stat::Mode;

use crate::outside::crash;
use crate::outside::files::make_dir;
use crate::outside::text::text;
use crate::terms::error::{Error, Result};
use crate::terms::roots::Roots;

/// What a container needs that Slurm does not hand down: with Podman's default limit of processes crun fails
/// where there is no `pids` (Podman 4.3 to 5.8).
const CONTROLLERS: [&str; 2] = ["pids", "io"];

/// What of the session's cgroup is the user's, beside its directory.
const GIVEN: [&str; 3] = ["cgroup.procs", "cgroup.subtree_control", "cgroup.threads"];

/// More than any session has that means well, and no more than can be searched by path: a name has 255 bytes at most.
const MOST: [(&str, &str); 2] = [("cgroup.max.descendants", "900"), ("cgroup.max.depth", "7")];

/// Of a cgroup, as Slurm and systemd make them.
pub(crate) const OPEN: Mode = Mode::from_bits_truncate(0o755);

/// Slurm's step for what belongs to the job and to no step (PrologFlags=Contain).
const HOLDER: &str = "step_extern";

/// The cgroups from Slurm's own down to the session's, relative to the hierarchy's root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// slurmstepd's scope.
    scope: PathBuf,
    /// The job's: `job_42`, from 25.11 on a SLUID.
    job: PathBuf,
    /// This process's step's.
    step: PathBuf,
    /// Of the step that holds the session: the extern step, or the first one where there is none.
    session_in: PathBuf,
}

impl Place {
    /// By the cgroup of a slurmstepd of the job, as /proc/PID/cgroup has it:
    /// `…/slurmstepd.scope/job_42/step_extern/slurm`.
    pub(crate) fn of(listed: &str) -> Option<Self> {
        let path = listed.lines().find_map(|line| line.strip_prefix("0::/"))?;
        let path = Path::new(path);
        if !path.components().all(|part| matches!(part, Component::Normal(_))) {
            return None;
        }
        let is_scope = |dir: &Path| dir.as_os_str().as_bytes().ends_with(b"slurmstepd.scope");
        let is_step = |dir: &&Path| dir.ancestors().nth(2).is_some_and(is_scope);
        // The highest: whatever a user calls what is theirs below it.
        let step = path.ancestors().filter(is_step).last()?;
        let job = step.parent()?;
        let [scope, job, step] = [job.parent()?, job, step].map(Path::to_owned);
        Some(Self { scope, job, session_in: step.clone(), step })
    }

    /// That of this process.
    ///
    /// # Errors
    /// When it cannot be read, or names no job's.
    pub(crate) fn here(roots: &Roots) -> Result<Self> {
        let file = roots.proc.join("self/cgroup");
        let listed = text(&file).map_err(Error::file("read", &file))?;
        let cause = "it names no cgroup of a job: session=job needs proctrack/cgroup and cgroup v2";
        let none = || Error::file("find the job's cgroup in", &file)(io::Error::other(cause));
        let here = Self::of(&listed).ok_or_else(none)?;
        let holder = here.job.join(HOLDER);
        let is_held = roots.cgroup.join(&holder).exists();
        Ok(if is_held { Self { session_in: holder, ..here } } else { here })
    }

    /// The session's cgroup.
    pub(crate) fn session(&self) -> PathBuf {
        self.session_in.join("user/session")
    }

    /// One in the step for a process of the user's that is no task, to be removed when that has ended.
    ///
    /// # Errors
    /// What the kernel answered.
    pub(crate) fn make_spare(&self, roots: &Roots) -> Result<PathBuf> {
        let dir = roots.cgroup.join(&self.step).join("user/linger");
        crash::point();
        make_dir(&dir, OPEN).map_err(Error::file("make", &dir))?;
        Ok(dir)
    }

    /// Of the job, with all that is in it.
    pub(crate) fn job(&self) -> &Path {
        &self.job
    }

    /// Has the kernel offer the step's tasks what a session has: Podman asks for it where it is itself. Where there is a
    /// session, it has been offered to the job.
    ///
    /// # Errors
    /// What the kernel answered, with the file.
    pub(crate) fn enable(&self, roots: &Roots) -> Result<()> {
        enable(roots, &[&self.step, &self.step.join("user")])
    }

    /// Makes the session's cgroup, which is root's as yet. One that was used has its processes in a cgroup below and
    /// takes no other: it has been removed.
    ///
    /// # Errors
    /// What the kernel answered, with the file.
    pub(crate) fn make(&self, roots: &Roots) -> Result<()> {
        let users = self.session_in.join("user");
        enable(roots, &[&self.scope, &self.job, &self.session_in, &users])?;
        let session = roots.cgroup.join(self.session());
        let kill = roots.cgroup.join(&self.job).join("cgroup.kill");
        fs::metadata(&kill).map_err(Error::file("find (Linux 5.14)", &kill))?;
        crash::point();
        make_dir(&session, OPEN).map_err(Error::file("make", &session))?;
        MOST.iter().try_for_each(|(name, most)| write(&session.join(name), most))
    }

    /// Gives the user the session's cgroup.
    ///
    /// # Errors
    /// What the kernel answered, with the file.
    pub(crate) fn give(&self, roots: &Roots, uid: u32) -> Result<()> {
        let session = roots.cgroup.join(self.session());
        GIVEN.iter().try_for_each(|name| give(&session.join(name), uid))?;
        // Last: from here on the user can make cgroups in it.
        give(&session, uid)
    }

    /// Gives the user the right to move processes between the session and the tasks of this step, and of all others:
    /// the kernel asks for it at the cgroup that both are below.
    ///
    /// # Errors
    /// What the kernel answered, with the file.
    pub(crate) fn give_moves(&self, roots: &Roots, uid: u32) -> Result<()> {
        if self.is_holder() {
            // No task of the user's begins in it.
            return Ok(());
        }
        give(&roots.cgroup.join(&self.session_in).join("user/cgroup.procs"), uid)?;
        give(&roots.cgroup.join(&self.job).join("cgroup.procs"), uid)
    }

    fn is_holder(&self) -> bool {
        self.step.file_name() == Some(OsStr::new(HOLDER))
    }
}

/// From the highest on.
fn enable(roots: &Roots, cgroups: &[&Path]) -> Result<()> {
    for cgroup in cgroups {
        let dir = roots.cgroup.join(cgroup);
        let [offered, enabled] = ["cgroup.controllers", "cgroup.subtree_control"].map(|name| {
            let file = dir.join(name);
            text(&file).map_err(Error::file("read", &file))
        });
        let (offered, enabled) = (offered?, enabled?);
        let has = |list: &str, name: &str| list.split_ascii_whitespace().any(|it| it == name);
        let is_due = |name: &&&str| has(&offered, name) && !has(&enabled, name);
        for controller in CONTROLLERS.iter().filter(is_due) {
            write(&dir.join("cgroup.subtree_control"), &format!("+{controller}"))?;
        }
    }
    Ok(())
}

/// Root's again with 0.
pub(crate) fn give(file: &Path, uid: u32) -> Result<()> {
    crash::point();
    chown(file, Some(uid), None).map_err(Error::file("give the user", file))
}

/// In files of the kernel's, in directories that are root's.
pub(crate) fn write(file: &Path, text: &str) -> Result<()> {
    let written = OpenOptions::new().write(true).open(file);
    written.and_then(|mut to| to.write_all(text.as_bytes())).map_err(Error::file("write", file))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Show that the places are found by the names that Slurm has for them, of the extern step and of others.
    #[test]
    fn a_place_is_found_by_its_process() {
        for (job, step) in [("job_42", "step_extern"), ("s379M7XY33FH00", "step_0")] {
            let scope = "system.slice/n1_slurmstepd.scope";
            let place = Place::of(&format!("0::/{scope}/{job}/{step}/slurm\n")).unwrap();
            let session = format!("{scope}/{job}/{step}/user/session");
            assert_eq!(place.session(), Path::new(&session));
        }
        let place = Place::of("0::/x_slurmstepd.scope/a/b/user/slurmstepd.scope/c/d").unwrap();
        assert_eq!(place.session(), Path::new("x_slurmstepd.scope/a/b/user/session"));
        for other in
            ["", "0::/user.slice", "0::/x/slurmstepd.scope/job_1", "0::/../slurmstepd.scope/a/b/c"]
        {
            assert_eq!(Place::of(other), None, "{other}");
        }
    }
}
