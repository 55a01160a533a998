//! The systemd user session of a batch job's user, on one node.
//!
//! A *session* is the user's systemd manager with its runtime directory and
//! bus. A *lease* is one job's claim on it: the first lease opens the session,
//! the last one closes it and puts the node back as it was. This crate knows no
//! Slurm; the outside (D-Bus, file system roots) is passed in.
#![forbid(unsafe_code)]

mod ending;
#[cfg(test)]
mod floors;
#[cfg(test)]
mod hostile;
mod kind;
mod leases;
mod limits;
mod outside;
mod own;
mod record;
mod shared;
mod slice;
pub mod status;
mod terms;

pub use kind::Launch;
pub use leases::boot::{PutBack, put_back_at_boot};
pub use leases::door::Standing;
pub use leases::hold::StepCgroup;
pub use leases::mark::Mark;
pub use leases::sessions::Sessions;
pub use leases::stale::Stale;
pub use limits::amounts::Limits;
pub use outside::runtime_dir::{Viewpoint, check as check_live, check_manager};
pub use own::manager::SYSTEMD as MANAGERS;
pub use own::strays::Stray;
pub use record::Lease;
pub use terms::error::{Error, NotLive, Problem, Result};
pub use terms::job::{Job, Moment, Role};
pub use terms::roots::Roots;
pub use terms::set::Set;
pub use terms::site::{Confine, Containment, Means, SessionKind, Site};
