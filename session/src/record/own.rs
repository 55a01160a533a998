//! Where a job's own session is.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// `JOB.own` beside the lease: written before the cgroup is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OwnSession {
    /// Of the session, below the hierarchy's root.
    pub(crate) cgroup: PathBuf,
    /// Its manager, once that has said that it is ready.
    pub(crate) manager: Option<u32>,
}
