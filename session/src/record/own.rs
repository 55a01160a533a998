//! How far a job's own session has come.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::outside::fields::some_fields;
use crate::outside::proc::start;
use crate::terms::decimal::decimal;
use crate::terms::roots::Roots;

/// `JOB.own` beside the lease. It is written before what it tells of is done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OwnSession {
    /// The mount namespace that it was begun in, by its inode.
    pub(crate) outside: u64,
    /// Its cgroup, below the hierarchy's root.
    pub(crate) cgroup: Option<PathBuf>,
    /// Its manager, once that has said that it is up.
    #[serde(default, deserialize_with = "some_fields")]
    pub(crate) manager: Option<Started>,
    #[serde(default)]
    pub(crate) pause: Pause,
    /// Tasks may enter it.
    #[serde(default)]
    pub(crate) is_ready: bool,
    /// Why it could not be opened.
    #[serde(default)]
    pub(crate) failed: Option<String>,
    /// Who opens it, and then watches over it.
    #[serde(default, deserialize_with = "some_fields")]
    pub(crate) guard: Option<Started>,
}

/// Podman's pause process in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Pause {
    /// None was needed: the job was alone.
    #[default]
    None,
    /// Who opens the session makes one before tasks may enter it.
    Due,
    /// There is one, or was.
    Made,
}

/// A process, with the time of its start: a number is used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Started {
    pub(crate) pid: u32,
    /// In clock ticks since the boot (proc_pid_stat(5)).
    pub(crate) start: u64,
}

impl OwnSession {
    /// Whether it is being opened, or is open.
    pub(crate) fn goes_on(&self, proc: &Path) -> bool {
        match self.manager {
            Some(manager) => manager.lives(proc),
            None => self.failed.is_none() && self.guard.is_some_and(|guard| guard.lives(proc)),
        }
    }

    /// Whether its manager runs.
    pub(crate) fn lives(&self, proc: &Path) -> bool {
        self.manager.is_some_and(|manager| manager.lives(proc))
    }
}

impl Started {
    /// That process, if it runs.
    pub(crate) fn of(pid: u32, proc: &Path) -> Option<Self> {
        start(pid, proc).ok().flatten().map(|start| Self { pid, start })
    }

    /// Whether it runs still.
    pub(crate) fn lives(self, proc: &Path) -> bool {
        Self::of(self.pid, proc) == Some(self)
    }
}

/// What follows a uid in the name of what the sessions of a user's jobs share.
const SHARED: &str = ".own";

/// What they share is below it.
pub(crate) fn shared(roots: &Roots, uid: u32) -> PathBuf {
    roots.run.join(format!("{uid}{SHARED}"))
}

/// The uid in the name of a user's leases, or of what their sessions share.
pub(crate) fn uid_in(name: &str) -> Option<u32> {
    decimal(name.strip_suffix(SHARED).unwrap_or(name))
}
