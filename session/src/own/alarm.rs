//! What gives a guard something to look at. Until then it sleeps, without a wake-up.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::fs::inotify::{CreateFlags, WatchFlags, add_watch, init};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::outside::text::text;
use crate::outside::tree::dirs_in;
use crate::record::own::Started;
use crate::terms::decimal::decimal;
use crate::terms::roots::Roots;

/// Of what root may have of inotify(7), all guards of a node together take so much at most: systemd and others need it,
/// and have 128 in all where nobody has set it (fs.inotify.max_user_instances).
const SHARE: usize = 4;

/// What is watched.
pub(crate) struct Alarm {
    events: File,
    manager: Option<OwnedFd>,
}

impl Alarm {
    /// For the guard of a job, which also has the end of that manager to look at. Not where so many jobs are on the node that their
    /// guards had too much of inotify, nor where the kernel refuses it.
    pub(crate) fn of(roots: &Roots, job: &Path, manager: Option<Started>) -> Option<Self> {
        let most = text(&roots.proc.join("sys/fs/inotify/max_user_instances")).ok()?;
        if dirs_in(job.parent()?).len() * SHARE > decimal(most.trim())? {
            return None;
        }
        let manager = match manager {
            Some(manager) => Some(held(manager, &roots.proc)?),
            None => None,
        };
        let events = init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok()?;
        Some(Self { events: events.into(), manager })
    }

    /// Forgets what has happened and watches all there is: the session, where its user may turn linger on and Podman has
    /// its locks, and that a process of Slurm's comes into a step, which the step's `slurm` tells (cgroups(7),
    /// cgroup.events). To be called before one looks at them.
    pub(crate) fn set(&self, roots: &Roots, job: &Path, session: &Path) -> io::Result<()> {
        let mut some = [0; 4096];
        while (&self.events).read(&mut some).is_ok_and(|read| read > 0) {}
        let new = WatchFlags::CREATE | WatchFlags::MOVED_TO;
        self.watch(&roots.dev.join("shm"), new)?;
        self.watch(roots.linger.parent().unwrap_or(&roots.linger), new)?;
        self.watch(&roots.linger, new)?;
        self.watch(session.parent().unwrap_or(session), WatchFlags::DELETE)?;
        self.watch(job, WatchFlags::CREATE)?;
        for step in dirs_in(job).iter().map(|name| job.join(name)) {
            self.watch(&step, WatchFlags::CREATE)?;
            self.watch(&step.join("slurm/cgroup.events"), WatchFlags::MODIFY)?;
        }
        Ok(())
    }

    /// Waits until something has happened, for as long as it takes.
    pub(crate) fn wait(&self) {
        // Without a manager twice the same.
        let manager = self.manager.as_ref().map_or(self.events.as_fd(), AsFd::as_fd);
        let mut all = [self.events.as_fd(), manager].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        let _ = poll(&mut all, PollTimeout::NONE);
    }

    /// What is not there is told of by what it would be in.
    fn watch(&self, path: &Path, what: WatchFlags) -> io::Result<()> {
        match add_watch(&self.events, path, what | WatchFlags::DONT_FOLLOW) {
            Err(rustix::io::Errno::NOENT) => Ok(()),
            watched => Ok(watched.map(drop)?),
        }
    }
}

/// That one, and no other by its number.
fn held(process: Started, proc: &Path) -> Option<OwnedFd> {
    let pid = Pid::from_raw(i32::try_from(process.pid).ok()?)?;
    let held = pidfd_open(pid, PidfdFlags::empty()).ok()?;
    process.lives(proc).then_some(held)
}
