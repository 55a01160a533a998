//! A job, what a process of Slurm's does for it, and when in its life.

use std::fmt;

/// A job, and the user it runs as. Taking and dropping leases is idempotent:
/// Slurm may run a prolog twice, an epilog without a prolog, and the same id
/// again after a requeue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Job {
    /// Slurm's job id.
    pub id: u32,
    /// The job's user.
    pub uid: u32,
}

/// How a job is named in every line of ours.
impl fmt::Display for Job {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "job {} uid {}", self.id, self.uid)
    }
}

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

/// Where in a job's life this process takes its lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Before any of its steps.
    Prolog,
    /// The same, which waits for no start: the first step does, while Slurm is at work.
    Early,
    /// The first step, where no prolog was (PrologFlags=RunInJob).
    Extern,
    /// Any time later.
    Step,
}

impl Moment {
    /// Nothing that is there yet can be of this run of the job.
    pub(crate) fn begins(self) -> bool {
        self != Self::Step
    }

    /// As what this process shows that the job is not over; a prolog ends too soon.
    pub(crate) fn role(self) -> Option<Role> {
        match self {
            Self::Prolog | Self::Early => None,
            Self::Extern => Some(Role::Extern),
            Self::Step => Some(Role::Step),
        }
    }
}

pub(crate) const ROLES: [(Role, &str); 3] =
    [(Role::Extern, "extern"), (Role::Step, "step"), (Role::Epilog, "epilog")];

impl fmt::Display for Role {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

impl Role {
    pub(crate) fn name(self) -> &'static str {
        ROLES.iter().find(|(role, _)| *role == self).map_or("", |(_, name)| *name)
    }
}
