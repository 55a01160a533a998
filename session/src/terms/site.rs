//! What the admin has set: for how long, by what means, and how a session is held to its jobs.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::terms::roots::Roots;

/// What the admin has set, and where things are. Data without verbs.
#[derive(Clone, Debug)]
pub struct Site {
    /// Where things are.
    pub roots: Roots,
    /// What one call may take, everything included but the grace that processes
    /// are given to end.
    pub timeout: Duration,
    /// Whose a session is that a job begins with.
    pub kind: SessionKind,
    /// What keeps a shared session up.
    pub means: Means,
    /// How a session is held to its jobs.
    pub containment: Containment,
    /// How long it is kept for the user's next job; not at all by default.
    pub keep: Duration,
}

/// Whose a session is. Written down with each lease: what the site wants may change under a job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SessionKind {
    /// One for all jobs of the user. Also of leases from before there was a word for it.
    #[default]
    Shared,
    /// The job's own, inside its cgroup.
    Own,
}

/// What keeps a session up while a job holds it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Means {
    /// The user lingers meanwhile: logind keeps the manager through logouts.
    #[default]
    Linger,
    /// Its manager is started, and that is all: nothing is left on disk, and logind
    /// stops it when a login of the user's ends.
    Manager,
}

/// How a session is held to its jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Containment {
    /// Which limits of the jobs hold for the session too.
    pub confine: Confine,
    /// End what a job left running.
    pub kill_leftovers: bool,
    /// Between SIGTERM and SIGKILL.
    pub grace: Duration,
}

/// What of a job's limits the session is held to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
// Switches that have nothing to do with each other.
#[allow(clippy::struct_excessive_bools)]
pub struct Confine {
    /// Memory, and swap with it.
    pub memory: bool,
    /// The CPUs to run on.
    pub cpus: bool,
    /// The number of processes and threads.
    pub tasks: bool,
    /// The devices to open.
    pub devices: bool,
}

impl Confine {
    /// Everything: what a site gets that says nothing else.
    pub const ALL: Self = Self { memory: true, cpus: true, tasks: true, devices: true };
    /// Nothing.
    pub const NONE: Self = Self { memory: false, cpus: false, tasks: false, devices: false };

    /// Whether anything is confined.
    pub(crate) fn is_any(self) -> bool {
        self != Self::NONE
    }
}
