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

/// A process, with the time of its start: a number is used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Started {
    pub(crate) pid: u32,
    /// In clock ticks since the boot (proc_pid_stat(5)).
    pub(crate) start: u64,
}

impl OwnSession {
    /// Whether it is being opened, or is open. With a manager that nobody goes on to make ready it is neither.
    pub(crate) fn goes_on(&self, proc: &Path) -> bool {
        let who = if self.is_ready { self.manager } else { self.guard };
        self.failed.is_none() && who.is_some_and(|who| who.lives(proc))
    }

    /// Whether it goes on, and somebody watches over it.
    pub(crate) fn is_guarded(&self, proc: &Path) -> bool {
        self.goes_on(proc) && self.guard.is_some_and(|guard| guard.lives(proc))
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

/// What follows a uid in the name of what the sessions of a user's jobs share, and a job in that of its record.
const SHARED: &str = ".own";

/// What they share is below it.
pub(crate) fn shared(roots: &Roots, uid: u32) -> PathBuf {
    roots.run.join(format!("{uid}{SHARED}"))
}

/// The uid in the name of a user's leases, or of what their sessions share.
pub(crate) fn uid_in(name: &str) -> Option<u32> {
    decimal(name.strip_suffix(SHARED).unwrap_or(name))
}

/// The job in the name of such a record.
pub(super) fn job_in(name: &str) -> Option<u32> {
    decimal(name.strip_suffix(SHARED)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outside::proc::show_this_process;

    /// Show that a session is opened anew where its manager has ended, where opening it failed, and where nobody is
    /// at it any more who was.
    #[test]
    fn who_is_at_it_counts() {
        let dir = tempfile::tempdir().unwrap();
        show_this_process(dir.path());
        std::fs::copy("/proc/self/stat", dir.path().join("self/stat")).unwrap();
        let this = Started::of(std::process::id(), dir.path());
        let gone = this.map(|this| Started { start: this.start + 1, ..this });
        let own = OwnSession { guard: this, ..OwnSession::default() };
        for (own, goes_on) in [
            (OwnSession::default(), false),
            (own.clone(), true),
            (OwnSession { manager: this, ..own.clone() }, true),
            (OwnSession { manager: this, guard: gone, ..own.clone() }, false),
            (OwnSession { manager: this, is_ready: true, guard: gone, ..own.clone() }, true),
            (OwnSession { manager: gone, is_ready: true, ..own.clone() }, false),
            (OwnSession { failed: Some("so".into()), ..own }, false),
        ] {
            assert_eq!(own.goes_on(dir.path()), goes_on, "{own:?}");
            let is_guarded = goes_on && own.guard == this;
            assert_eq!(own.is_guarded(dir.path()), is_guarded, "{own:?}");
        }
    }
}
