//! The systemd user session of a batch job's user, on one node.
//!
//! A *session* is the user's systemd manager with its runtime directory and
//! bus. A *lease* is one job's claim on it: the first lease opens the session,
//! the last one closes it and puts the node back as it was. This crate knows no
//! Slurm; the outside (D-Bus, file system roots) is passed in.
#![forbid(unsafe_code)]

mod audit;
mod boot;
mod budget;
mod bus;
mod bus_error;
mod capped;
mod closing;
mod containment;
mod cpus;
mod crash;
mod decimal;
mod devices;
mod dying;
mod ending;
mod error;
#[cfg(test)]
mod fake;
mod fault;
mod files;
mod floor;
mod freezer;
mod hold;
#[cfg(test)]
mod hostile;
mod ipc;
mod keepers;
mod keeping;
mod leftovers;
mod limits;
mod live;
mod mounts;
mod on;
mod opening;
mod proc;
mod processes;
mod properties;
mod rest;
mod role;
mod roots;
mod scan;
mod sessions;
mod set;
mod site;
mod slice;
mod stale;
mod store;
mod sweeping;
mod systemd;
mod text;
mod unified;
mod user;
pub mod view;

pub use boot::{PutBack, put_back_at_boot};
pub use containment::Mark;
pub use error::{Error, NotLive, Problem, Result};
pub use limits::Limits;
pub use live::{Viewpoint, check as check_live, check_manager};
pub use role::{Job, Moment, Role};
pub use roots::Roots;
pub use sessions::Sessions;
pub use set::Set;
pub use site::{Confine, Containment, Means, Site};
pub use stale::Stale;
pub use store::Lease;
