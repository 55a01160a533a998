//! Slurm's hold on a job: its tasks stay in their cgroup. What has left it ends in `release`.
//!
//! Slurm signals, counts and ends what is in a step's cgroup, and waits for its own child. Podman has
//! systemd move it out of a cgroup whose directory is not its user's (`UserOwnsCurrentSystemdCgroup`),
//! and `systemd-run --scope` moves itself: what Slurm waits for then hears no signal of Slurm's, and
//! the node is drained for it (Slurm 24.11, "Kill task failed").

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path};

use libc::{O_DIRECTORY, O_NOFOLLOW};
use nix::unistd::{Uid, fchown};

use crate::leases::sessions::Sessions;
use crate::limits::read::job_in;
use crate::outside::crash;
use crate::outside::proc::sees_this_process;
use crate::outside::text::text;
use crate::terms::error::{Error, Result};
use crate::terms::job::Job;

/// The cgroup that Slurm has put a process of a job's step into, as /proc has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StepCgroup(String);

impl Sessions {
    /// Gives `job`'s user the directory of the cgroup that task `pid` is in: none of the files in it, and
    /// nothing can be made below. To be called in a process of the job, before the task's program begins.
    ///
    /// # Errors
    /// Why it could not be: Podman will then leave the cgroup.
    pub fn hold_in_step(
        &self,
        job: Job,
        pid: impl std::fmt::Display,
        here: &StepCgroup,
    ) -> Result<()> {
        if !sees_this_process(&self.site.roots.proc) {
            return Ok(());
        }
        let (Some(own), task) = (job_in(&here.0), self.cgroup_of(pid)?) else { return Ok(()) };
        // systemd may have moved it meanwhile, for a process of the user's.
        match task_in(own, &task) {
            Some(task) => give(&self.site.roots.cgroup.join(task), job.uid),
            None => Ok(()),
        }
    }

    /// Where this process is: before it has left the job's cgroup.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn step_cgroup(&self) -> Result<StepCgroup> {
        self.cgroup_of("self").map(StepCgroup)
    }

    fn cgroup_of(&self, pid: impl std::fmt::Display) -> Result<String> {
        let file = self.site.roots.proc.join(format!("{pid}/cgroup"));
        text(&file).map_err(Error::file("read", &file))
    }
}

/// The cgroup of a task of the job whose cgroup is `job`, by the task's /proc/PID/cgroup: below the job's it
/// is `step_0/user/task_0` (cgroup/v2, Slurm 22.05 to 26.05).
fn task_in<'a>(job: &str, listed: &'a str) -> Option<&'a Path> {
    use Component::Normal;
    let line = listed.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let below: Vec<_> = Path::new(line).strip_prefix(job).ok()?.components().collect();
    let is_task = matches!(below[..], [Normal(_), Normal(user), Normal(_)] if user == "user");
    is_task.then_some(Path::new(line))
}

/// By a descriptor, in which nothing that the user does changes what is given. That nothing can be made
/// below comes first: a cgroup in there would keep Slurm from removing the task's.
fn give(cgroup: &Path, uid: u32) -> Result<()> {
    let most = cgroup.join("cgroup.max.descendants");
    crash::point();
    match fs::write(&most, "0") {
        // Before Linux 4.14.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        written => written.map_err(Error::file("write", &most))?,
    }
    let dir = open(cgroup).map_err(Error::file("open", cgroup))?;
    crash::point();
    let given = fchown(&dir, Some(Uid::from_raw(uid)), None);
    given.map_err(|error| Error::file("give the user", cgroup)(error.into()))
}

fn open(dir: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(O_DIRECTORY | O_NOFOLLOW).open(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Show that only the cgroup of a task of the same job is given away: not one that systemd has moved
    /// the task to, not another job's, not one above or below.
    #[test]
    fn only_a_task_of_the_job_is_given_its_cgroup() {
        let job = "system.slice/n1_slurmstepd.scope/job_7";
        for task in ["step_0/user/task_0", "step_batch/user/task_special"] {
            let listed = format!("0::/{job}/{task}\n");
            assert_eq!(task_in(job, &listed), Some(Path::new(&format!("{job}/{task}"))));
        }
        for other in [
            "0::/user.slice/user-1001.slice/user@1001.service/user.slice/podman-7.scope",
            "0::/system.slice/n1_slurmstepd.scope/job_70/step_0/user/task_0",
            "0::/system.slice/n1_slurmstepd.scope/job_7/step_0/user",
            "0::/system.slice/n1_slurmstepd.scope/job_7/step_0/slurm/x",
            "0::/system.slice/n1_slurmstepd.scope/job_7/step_0/user/task_0/x",
            "0::/system.slice/n1_slurmstepd.scope/job_7/../user/task_0",
            "",
        ] {
            assert_eq!(task_in(job, other), None, "{other}");
        }
    }

    /// Show that a cgroup is given with nothing to be made in it, and that a link is not followed.
    #[test]
    fn a_cgroup_is_given_by_what_it_is() {
        let root = tempfile::tempdir().unwrap();
        let (task, link) = (root.path().join("task_0"), root.path().join("link"));
        fs::create_dir(&task).unwrap();
        std::os::unix::fs::symlink(&task, &link).unwrap();
        let uid = nix::unistd::getuid().as_raw();
        give(&task, uid).unwrap();
        assert_eq!(fs::read_to_string(task.join("cgroup.max.descendants")).unwrap(), "0");
        assert!(give(&link, uid).unwrap_err().to_string().starts_with("open "));
        assert!(give(&root.path().join("none"), uid).is_err());
    }
}
