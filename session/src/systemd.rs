//! What is asked of systemd and logind, as verbs a test can script.

use std::time::Instant;

use crate::error::Result;

/// The unit `user@<uid>.service`, in systemd's words (systemctl(1)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Manager {
    /// LoadState: `loaded`, `masked`, `not-found`, …
    pub(crate) load: String,
    /// ActiveState: `active`, `activating`, `deactivating`, `inactive`, `failed`.
    pub(crate) active: String,
    /// The type of the job that is queued or running for it, if any.
    pub(crate) job: Option<String>,
}

impl Manager {
    /// Up, and nobody is about to change that.
    pub(crate) fn is_up(&self) -> bool {
        self.active == "active" && self.job.is_none()
    }

    /// Neither up nor on the way to either side.
    pub(crate) fn is_down(&self) -> bool {
        matches!(self.active.as_str(), "inactive" | "failed") && self.job.is_none()
    }

    /// On its way down.
    pub(crate) fn is_stopping(&self) -> bool {
        self.active == "deactivating" || self.job.as_deref() == Some("stop")
    }
}

/// What logind says of a user that it knows (sd_uid_get_state(3)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UserState {
    /// No session any more, and what is left is being taken down.
    Closing,
    /// Logged in on this node: `online` or `active`.
    LoggedIn,
    /// Anything else: `lingering`, `opening`, `offline`.
    Other,
}

/// The outside: systemd, logind and the clock.
///
/// Signals only wake us up: any user may send one that looks like systemd's, so
/// after each the state itself is asked for.
pub(crate) trait Systemd {
    fn now(&self) -> Instant;

    /// `login1.Manager.SetUserLinger`. Returns before anything has happened.
    async fn set_linger(&mut self, uid: u32, on: bool) -> Result<()>;

    /// The user's manager as it is now.
    async fn manager(&mut self, uid: u32) -> Result<Manager>;

    /// Queues its start; joins a start that is queued already.
    async fn start_manager(&mut self, uid: u32) -> Result<()>;

    /// SIGKILL to all its processes.
    async fn kill_manager(&mut self, uid: u32) -> Result<()>;

    /// What logind knows of the user; `None` if it does not know the user.
    async fn user(&mut self, uid: u32) -> Result<Option<UserState>>;

    /// Has changes of this user reported from now on.
    async fn watch(&mut self, uid: u32) -> Result<()>;

    /// Waits for the next report, for the sake of `what`; false if `until` comes
    /// first.
    async fn changed(&mut self, what: &str, until: Instant) -> Result<bool>;
}
