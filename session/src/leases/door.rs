//! How a step and its tasks find the session of their job.

use std::path::PathBuf;

use crate::kind::Launch;
use crate::leases::kinds;
use crate::leases::sessions::Sessions;
use crate::terms::budget::Budget;
use crate::terms::error::Error;
use crate::terms::job::Job;
use crate::terms::site::SessionKind;

/// How the session of a job stands.
#[derive(Debug)]
pub enum Standing {
    /// It can be used, and is held to its jobs.
    Bound {
        /// Its kind.
        kind: SessionKind,
        /// The job's limits are known, and root has seen that the kernel holds the slice that it is in to as many.
        is_held: bool,
    },
    /// An admin, its user, or a crash of its manager has ended it: how that is seen, in one line.
    Gone(String),
    /// It cannot be held to its jobs.
    Unbound(Error),
}

impl Sessions {
    /// How the session of `job` stands, for one of its steps, as root. Where it is not held to its jobs
    /// any more, it is again. Costs a few small files where all is well.
    #[must_use]
    pub fn check(&self, job: Job) -> Standing {
        let kind = self.kind(job);
        if let Err(gone) = kinds::of(kind).check(&self.site, job) {
            return Standing::Gone(gone);
        }
        let is_in_slice = kinds::of(kind).is_in_slice(&self.site, job);
        let held = if is_in_slice { self.bind_again(job) } else { Ok(false) };
        // A session of the job's own is not in the slice that a login beside it has, and each step is led to it.
        let is_held = |held| held && kinds::of(kind).is_beside();
        held.map_or_else(Standing::Unbound, |held| Standing::Bound { kind, is_held: is_held(held) })
    }

    /// As root, in a task of `job`, whose session is of that kind, before it becomes the user's: joins what its session
    /// lives in.
    ///
    /// # Errors
    /// That there is nothing to join, or not in time.
    pub fn enter(&self, job: Job, kind: SessionKind, launch: &dyn Launch) -> Result<(), Error> {
        let budget = Budget::starting_now(self.site.timeout);
        kinds::of(kind).enter(&self.site, job, launch, budget)
    }

    /// Whether the user of `job` has been told why that failed: once a job and node is enough. It is noted that they
    /// are told now.
    #[must_use]
    pub fn has_been_told(&self, job: Job) -> bool {
        kinds::of(self.kind(job)).has_been_told(&self.site, job)
    }

    /// Takes back what the user of `job` could reach Slurm's own processes by, as the job's script has ended.
    ///
    /// # Errors
    /// What could not be taken back.
    pub fn withdraw(&self, job: Job) -> Result<(), Error> {
        kinds::of(self.kind(job)).withdraw(&self.site, job)
    }

    /// The runtime directory for a task of `job`, whose session is of that kind (its user cannot read
    /// the lease): as the user, in the job's mount namespace. Whether its slice is limited is looked at unless it
    /// `is_held`.
    ///
    /// # Errors
    /// Why there is none for it, in one line.
    pub fn door(&self, job: Job, kind: SessionKind, is_held: bool) -> Result<PathBuf, String> {
        kinds::of(kind).door(&self.site, job, is_held)
    }
}
