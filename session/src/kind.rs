//! What a kind of session is to the leases, and what its acts are given.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::outside::processes::Process;
use crate::outside::systemd::Systemd;
use crate::record::Locked;
use crate::terms::budget::Budget;
use crate::terms::error::Result;
use crate::terms::job::Job;
use crate::terms::set::Set;
use crate::terms::site::Site;

/// One user's session: what is set, what is written down, and what can be asked and done.
pub(crate) struct On<'a> {
    pub(crate) site: &'a Site,
    pub(crate) uid: u32,
    /// Whoever acts has the user's lock.
    pub(crate) state: &'a Locked,
    pub(crate) systemd: &'a mut dyn Systemd,
    pub(crate) budget: Budget,
}

/// How much time the end of a session that no job holds is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Until it has ended, unless it is kept for the user's next job.
    OrKeep,
    /// Until it has ended.
    ToItsEnd,
    /// None: slurmd waits for us. Whether it still is to end is the answer.
    ForNothing,
    /// None: opening it has failed, and what was changed is put back in what is left of the time.
    NotAfterFailure,
}

/// What was left in a session by a job that has ended.
#[derive(Debug, Default)]
pub(crate) struct Left {
    /// What could not be killed.
    pub(crate) alive: Vec<Process>,
    /// Something was spared, for the sake of the user's other jobs.
    pub(crate) spared: bool,
}

/// For the kernel to end what it was told to kill.
pub(crate) const DYING: Duration = Duration::from_secs(10);

/// A kind of session: how it is opened, found, entered and ended.
pub(crate) trait Kind {
    /// Opens the session for a job that has begun, and returns when it is live; or, unless it `waits`, when it is on
    /// its way. `is_shared`: another job holds it.
    fn begin(&self, on: &mut On<'_>, job: Job, is_shared: bool, waits: bool) -> Result<()>;

    /// Whether it lives beside its jobs' cgroups, in the user's slice: if that cannot be held to what they may use
    /// there is no session. One that does not is bound by each step.
    fn is_beside(&self) -> bool {
        true
    }

    /// Whether the user's slice is to be held to what `job` may use; if to nothing, it stays at the floor.
    fn is_in_slice(&self, _site: &Site, _job: Job) -> bool {
        true
    }

    /// In a process of the job, when its cgroup is complete: opens what `begin` could not.
    fn bind(&self, _site: &Site, _job: Job, _launch: &dyn Launch, _budget: Budget) -> Result<()> {
        Ok(())
    }

    /// As root, in a task of `job`: joins what its session lives in, or has it see its own of what jobs share. In the
    /// first step of a job without an extern step `bind` is at work at the same time.
    fn enter(&self, site: &Site, job: Job, launch: &dyn Launch, budget: Budget) -> Result<()>;

    /// Whether the user of `job` has been told why they cannot enter, which is noted: they are told now.
    fn has_been_told(&self, _site: &Site, _job: Job) -> bool {
        false
    }

    /// Whether the session of `job` can be used, as root can tell: why not, in one line. Takes no lock
    /// and asks no bus.
    fn check(&self, site: &Site, job: Job) -> Result<(), String>;

    /// Whether anything of the session of `job` runs, usable or not.
    fn lives(&self, site: &Site, job: Job) -> bool;

    /// The runtime directory that a task of `job` is to use, looked at as the user in the job's mount
    /// namespace; or why there is none for it, in one line. `is_held`: root has seen the limits of its slice.
    fn door(&self, site: &Site, job: Job, is_held: bool) -> Result<PathBuf, String>;

    /// Takes back what the user could reach Slurm's own processes by, as the job's script has ended.
    fn withdraw(&self, _site: &Site, _job: Job) -> Result<()> {
        Ok(())
    }

    /// Waits for the steps of `job` that Slurm is ending by itself, until then.
    fn await_steps(&self, _site: &Site, _job: Job, _until: Instant) {}

    /// Ends a session that is `job`'s alone, with all that is in it, which is asked to end first.
    fn end(&self, _site: &Site, _job: Job, _grace: Duration) -> Result<()> {
        Ok(())
    }

    /// The same for a job that is over: nothing of it stays, in its session and beside it. `dying`: what the
    /// kernel is given to end what was killed.
    fn end_all(&self, _site: &Site, _job: Job, _grace: Duration, _dying: Duration) -> Result<()> {
        Ok(())
    }

    /// Whether `job` is seen to go on by its session alone: where there is no extern step, between two steps.
    fn goes_on(&self, _site: &Site, _job: Job) -> bool {
        false
    }

    /// Ends what `job` has left in its session: what bears one of the audit session ids `marks`.
    fn end_left(&self, site: &Site, job: Job, marks: &Set<u32>) -> Left;

    /// Undoes what opening did, for a session that no job holds. Answers with whether it still is to end.
    fn undo(&self, on: &mut On<'_>, wait: Wait) -> Result<bool>;

    /// What `begin` may have to wait for, and `undo` may take: the end of a session.
    fn longest_end(&self, site: &Site) -> Duration;

    /// What `end_left` may take.
    fn longest_end_left(&self, site: &Site) -> Duration;
}

/// How a process is started that outlives this one's callback: the face's, who may fork.
pub trait Launch {
    /// Runs `work` in a child that nobody waits for, with nothing of this process open in it and out of every job's
    /// cgroup. Returns with its pid when it is another program, or has called what it is given.
    ///
    /// # Errors
    /// Why neither came to be, in one line: what `work` answered, for one; or that it was not until then, and that the
    /// child was killed.
    fn detached(&self, until: Instant, work: &dyn Fn(&dyn Fn()) -> String) -> Result<u32, String>;

    /// Leaves the job's cgroup: whoever may move processes in that one has no say in this one from now on.
    ///
    /// # Errors
    /// Why it is still there.
    fn leave(&self) -> Result<(), String>;
}
