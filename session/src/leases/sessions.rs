//! The sessions of a node, and what is asked about a lease.

use crate::outside::crash;
use crate::record::keepers::{Keeper, is_apart, is_over};
use crate::record::{self, Lease};
use crate::terms::error::{Error, Result};
use crate::terms::job::{Job, Role};
use crate::terms::site::{SessionKind, Site};

/// The sessions of all users on this node.
#[derive(Clone, Debug)]
pub struct Sessions {
    /// What the admin has set.
    pub site: Site,
}

impl Sessions {
    /// Whether a fault is the site's to mend: no user can cause it.
    #[must_use]
    pub fn is_the_sites(&self, error: &Error) -> bool {
        error.is_the_sites(&self.site.roots)
    }

    /// The lease of `job`, if it has one.
    ///
    /// # Errors
    /// When there is one that cannot be read.
    pub fn lease(&self, job: Job) -> Result<Option<Lease>> {
        record::state(&self.site.roots, job.uid).lease(job.id)
    }

    /// The kind of `job`'s session, as its lease says.
    #[must_use]
    pub fn kind(&self, job: Job) -> SessionKind {
        record::state(&self.site.roots, job.uid).kind(job.id)
    }

    /// Whether the session of `job` was told to start, and nobody has seen since that it is live: [`Sessions::take`]
    /// waits for it. Costs one look for a file.
    #[must_use]
    pub fn is_starting(&self, job: Job) -> bool {
        let state = record::state(&self.site.roots, job.uid);
        state.is_starting() && state.kind(job.id) == SessionKind::Shared
    }

    /// Whether `job` has a lease of this run of it: its first run, or another job
    /// that had its id, may have left one. One that cannot be read counts.
    #[must_use]
    pub fn has_lease(&self, job: Job) -> bool {
        let state = record::state(&self.site.roots, job.uid);
        let keepers = state.keepers(job.id).unwrap_or_default();
        !matches!(state.lease(job.id), Ok(None)) && !is_over(&keepers, false, &self.site.roots.proc)
    }

    /// Whether this process, a step's, is in another pid namespace than the session
    /// (namespace/linux with CLONE_NEWPID, Slurm 25.11). The session's manager would
    /// take the numbers of its processes for others of the node: crun and systemctl
    /// fail, and a wrong process might be moved (systemd 262, Podman 5.8).
    #[must_use]
    pub fn is_apart(&self, job: Job) -> bool {
        let keepers = record::state(&self.site.roots, job.uid).keepers(job.id).unwrap_or_default();
        is_apart(&keepers, &self.site.roots.proc)
    }

    /// Notes that this process is at work for `job`, so that its lease is kept
    /// until the process ends. Where there is no lease there is nothing to note.
    ///
    /// # Errors
    /// When the note cannot be written.
    pub fn note_keeper(&self, job: Job, role: Role) -> Result<()> {
        crash::acts_as(role);
        match Keeper::this(role, &self.site.roots.proc) {
            Some(keeper) => record::state(&self.site.roots, job.uid).add_keeper(job.id, &keeper),
            None => Ok(()),
        }
    }
}
