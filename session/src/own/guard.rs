//! Watches that Slurm's own processes stay Slurm's, and that nobody waits for a manager that has ended.
//!
//! To move a process of theirs from a task's cgroup into the session's, a user needs the right to do so with all that
//! is in the job's cgroup. Each slurmstepd, which is root's, is there for a moment as its step begins, and its
//! children until they are their user's. In a cgroup of the session's the user could freeze it, and slurmd would wait
//! for its answer for ever, which takes the node from everybody. Before Linux 6.6 the kernel does not let them
//! (cpuset_can_attach() asks whether the process may be scheduled by them); after it, whoever does so loses the job.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use nix::unistd::User as Account;

use crate::outside::account::User;
use crate::outside::mounts::{by_descriptor, hold};
use crate::outside::podmans_lock;
use crate::outside::processes::{pids_at, pids_in};
use crate::outside::text::text;
use crate::outside::tree::dirs_in;
use crate::own::alarm::Alarm;
use crate::own::close::kill_steps;
use crate::own::linger::note_soon;
use crate::own::place::Place;
use crate::record::own::Started;
use crate::terms::decimal::decimal;
use crate::terms::roots::Roots;
use crate::terms::set::Set;

/// slurmd asks its slurmstepds when slurmctld wants to know of its jobs, and is given minutes for it.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How it is named, also the child that becomes a step's task.
const SLURMS: &str = "slurmstepd";

/// How a child of ours is named (proc_pid_comm(5)) until it is the user's program: it is in the session for a moment.
pub(crate) const OURS: &str = "linger";

/// For a process of Slurm's to come into a step after the step's cgroup has, and to show in it.
const LOOKS: u32 = 10;

/// What is watched over.
pub(crate) struct Guard<'a> {
    roots: &'a Roots,
    job: PathBuf,
    session: PathBuf,
    /// Of this manager: the next one's is another by the same name.
    held: Option<File>,
    user: Option<User<'a>>,
    manager: Option<Started>,
    /// Of the last look, which was a moment ago: none of these is a slurmstepd or becomes one.
    known: Set<i32>,
}

impl<'a> Guard<'a> {
    /// Of the session at `place`.
    pub(crate) fn of(
        roots: &'a Roots,
        place: &Place,
        user: Option<&Account>,
        manager: Option<Started>,
    ) -> Self {
        let (job, session) = (roots.cgroup.join(place.job()), roots.cgroup.join(place.session()));
        let user = user.map(|user| User { uid: user.uid.as_raw(), name: user.name.clone(), roots });
        let held = hold(&session).ok();
        Self { roots, job, session, held, user, manager, known: Set::default() }
    }

    /// Returns when there is nothing left to watch.
    pub(crate) fn watch(mut self) {
        let alarm = Alarm::of(self.roots, &self.job, self.manager);
        let mut looks = LOOKS;
        while self.session_is_there() {
            let alarm = alarm
                .as_ref()
                .filter(|alarm| alarm.set(self.roots, &self.job, &self.session).is_ok());
            looks = if self.look() { looks.saturating_sub(1) } else { LOOKS };
            if let (Some(alarm), 0) = (alarm, looks) {
                alarm.wait();
                self.known = Set::default();
                looks = LOOKS;
            }
            sleep(LOOK_AGAIN);
        }
    }

    fn session_is_there(&self) -> bool {
        self.held.as_ref().map_or_else(
            || self.session.exists(),
            |held| by_descriptor(held).join("cgroup.procs").exists(),
        )
    }

    /// Answers with whether all is as it should be, until something happens.
    fn look(&mut self) -> bool {
        let mut is_calm = true;
        if let Some(user) = &self.user {
            // Else it is noted as the last of the user's jobs ends.
            is_calm &= note_soon(user).is_ok();
            podmans_lock::keep(self.roots, user.uid);
        }
        // Its bus would let whoever asks for it wait for ever, as Podman does. systemd ends the rest of a user's, too.
        if self.manager.is_some_and(|manager| !manager.lives(&self.roots.proc))
            && let Some(held) = &self.held
        {
            let _ = fs::write(by_descriptor(held).join("cgroup.kill"), "1");
            is_calm = false;
        }
        let mut known = Vec::new();
        // Where there are more than can be searched, one may be.
        let is_taken = pids_in(&self.session).is_none_or(|inside| {
            let pids = inside.into_iter().map(|(pid, _)| pid).collect();
            self.has_slurmstepd(pids, &mut known)
        });
        if is_taken {
            kill_steps(&self.job);
        }
        is_calm &= !is_taken && !self.has_slurmstepd(self.pids_of_steps(), &mut known);
        self.known = known.into();
        is_calm
    }

    /// Other processes of root's are none of ours: who may use sudo may do so in a unit, too.
    fn has_slurmstepd(&self, pids: Vec<i32>, known: &mut Vec<i32>) -> bool {
        let mut has_one = false;
        for pid in pids {
            if self.known.contains(&pid) || !is_slurmstepd(&self.roots.proc, pid) {
                known.push(pid);
            } else {
                has_one = true;
            }
        }
        has_one
    }

    /// What is in the steps where Slurm has put it, and a user could move it from.
    fn pids_of_steps(&self) -> Vec<i32> {
        let mut pids = Vec::new();
        for step in dirs_in(&self.job).iter().map(|name| self.job.join(name)) {
            let users = step.join("user");
            pids.extend(pids_at(&step.join("slurm")));
            pids.extend(pids_at(&users));
            for task in dirs_in(&users).iter().map(|name| users.join(name)) {
                if task != self.session {
                    pids.extend(pids_at(&task));
                }
            }
        }
        pids
    }
}

/// Whether a process is root's, by its real uid, and is named so: whatever a user may name theirs. What Slurm leaves of
/// an extern step whose slurmstepd was killed is root's, too, and tells of no job (`sleep`, Slurm 24.11).
pub(crate) fn is_slurmstepd(proc: &Path, pid: i32) -> bool {
    let status = text(&proc.join(format!("{pid}/status"))).unwrap_or_default();
    let about = |name| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let real = about("Uid:").and_then(|uids| decimal::<u32>(uids.split_ascii_whitespace().next()?));
    real == Some(0) && about("Name:") == Some(SLURMS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard<'a>(roots: &'a Roots, session: &Path) -> Guard<'a> {
        let (job, session) = (roots.cgroup.join("job"), session.to_owned());
        Guard { roots, job, session, held: None, user: None, manager: None, known: Set::default() }
    }

    /// Show that a slurmstepd is found, and neither one that its user names so, nor one of ours, nor what sudo runs; and
    /// that what cannot be searched is taken to have one.
    #[test]
    fn slurms_processes_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let roots = Roots::below(dir.path());
        let session = dir.path().join("session");
        let processes = [
            (7, "slurmstepd", "0\t0\t0\t0", true),
            (8, "slurmstepd", "1000\t1000\t1000\t1000", false),
            (9, "slurmstepd", "1000\t0\t0\t0", false),
            (11, "apt", "0\t0\t0\t0", false),
            (10, OURS, "0\t0\t0\t0", false),
        ];
        for (pid, name, uids, found) in processes {
            let process = roots.proc.join(pid.to_string());
            fs::create_dir_all(&process).unwrap();
            fs::create_dir_all(session.join("x")).unwrap();
            fs::write(process.join("status"), format!("Name:\t{name}\nUid:\t{uids}\n")).unwrap();
            fs::write(session.join("x/cgroup.procs"), format!("{pid}\n")).unwrap();
            assert_eq!(!guard(&roots, &session).look(), found, "{name}");
        }
        fs::create_dir_all(session.join(vec!["x".repeat(250); 9].join("/"))).unwrap();
        assert!(!guard(&roots, &session).look());
    }
}
