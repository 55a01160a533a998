//! What is asked of systemd and logind, as verbs a test can script.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::outside::properties::{Properties, Property};
use crate::terms::error::{NotLive, Result};

/// A signal may be lost with the daemon that sends it, so the state is asked for
/// at least this often.
pub(crate) const RECHECK: Duration = Duration::from_secs(1);

/// A unit in systemd's words (systemctl(1)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unit {
    /// LoadState: `loaded`, `masked`, `not-found`, …
    pub(crate) load: String,
    /// ActiveState: `active`, `activating`, `deactivating`, `inactive`, `failed`.
    pub(crate) active: String,
    /// The type of the job that is queued or running for it, if any.
    pub(crate) job: Option<String>,
}

impl Unit {
    pub(crate) fn is_up(&self) -> bool {
        self.active == "active" && self.job.is_none()
    }

    pub(crate) fn is_down(&self) -> bool {
        matches!(self.active.as_str(), "inactive" | "failed") && self.job.is_none()
    }

    fn is_stopping(&self) -> bool {
        self.active == "deactivating" || self.job.as_deref() == Some("stop")
    }
}

/// The units of a user's session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Units {
    /// `user@<uid>.service`.
    pub(crate) manager: Unit,
    /// `user-runtime-dir@<uid>.service`: up before the manager, down after it.
    pub(crate) runtime_dir: Unit,
}

impl Units {
    /// Up, and nobody is about to change that.
    pub(crate) fn are_up(&self) -> bool {
        self.manager.is_up() && !self.runtime_dir.is_stopping()
    }

    /// Nothing there and nothing on the way.
    pub(crate) fn are_down(&self) -> bool {
        self.manager.is_down() && self.runtime_dir.is_down()
    }

    /// On the way down.
    pub(crate) fn are_stopping(&self) -> bool {
        self.manager.is_stopping() || self.runtime_dir.is_stopping()
    }

    /// The manager is up, or on its way.
    pub(crate) fn are_starting(&self) -> bool {
        self.manager.is_up() || self.manager.job.as_deref() == Some("start")
    }

    /// No job left for the manager.
    pub(crate) fn have_no_job(&self) -> bool {
        self.manager.is_up() || self.manager.is_down()
    }
}

/// What changes of a user's units are waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Awaited {
    /// The start of the manager.
    Start,
    /// The end of both: the runtime directory's comes last.
    End,
}

/// The outside: systemd, logind, the clock, and a look at the session itself.
///
/// Signals only wake us up: any user may send one that looks like systemd's, so
/// after each the state itself is asked for.
pub(crate) trait Systemd {
    fn now(&self) -> Instant;

    /// Whether `dir` looks like a live runtime directory of `uid` to root.
    fn look(&mut self, dir: &Path, uid: u32) -> Result<(), NotLive>;

    /// The user's manager by its cgroup, if it has a process: no other has that number.
    fn manager(&self, uid: u32) -> Option<u64>;

    /// `login1.Manager.SetUserLinger`. Returns before anything has happened.
    fn set_linger(&mut self, uid: u32, on: bool) -> Result<()>;

    /// The user's units as they are now.
    fn units(&mut self, uid: u32) -> Result<Units>;

    /// Queues its start; joins a start that is queued already.
    fn start_manager(&mut self, uid: u32) -> Result<()>;

    /// Queues its stop.
    fn stop_manager(&mut self, uid: u32) -> Result<()>;

    /// SIGKILL to all its processes.
    fn kill_manager(&mut self, uid: u32) -> Result<()>;

    /// Forgets that it failed: it was us who killed it.
    fn forget_failure(&mut self, uid: u32) -> Result<()>;

    /// Stops all that runs in the manager and below, and returns when it stands.
    fn freeze(&mut self, uid: u32) -> Result<()>;

    /// Lets it run again, if it is there.
    fn thaw(&mut self, uid: u32) -> Result<()>;

    /// Has `command` called for a kept session: in `keep`, counted from this call,
    /// when something changes that logind knows of the user, and at a shutdown.
    fn guard(&mut self, uid: u32, keep: Duration, command: &Path) -> Result<()>;

    /// The properties of the user's slice.
    fn slice(&mut self, uid: u32) -> Result<Properties>;

    /// Sets properties of the user's slice until the next boot.
    fn set_slice(&mut self, uid: u32, properties: Vec<Property>) -> Result<()>;

    /// Whether logind is set to delete a user's IPC objects with the last session.
    fn removes_ipc(&mut self) -> Result<bool>;

    /// Whether logind counts a login of the user on this node, by ssh or cron.
    fn is_logged_in(&mut self, uid: u32) -> Result<bool>;

    /// Has those changes of the user's units reported from now on that tell of it.
    fn watch(&mut self, uid: u32, awaited: Awaited) -> Result<()>;

    /// Waits for the next report, for the sake of `what`; false if `until` comes
    /// first, as it does where none is.
    fn changed(&mut self, what: &str, until: Instant) -> Result<bool>;
}
