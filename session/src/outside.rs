//! The node: a file for each thing that can be asked of it or changed.

pub(crate) mod account;
#[cfg(test)]
pub(crate) mod apart;
pub(crate) mod audit;
pub(crate) mod bus;
pub(crate) mod counted;
pub(crate) mod crash;
pub(crate) mod dying;
#[cfg(test)]
pub(crate) mod fake;
mod fault;
pub(crate) mod fields;
pub(crate) mod files;
mod freezer;
pub(crate) mod ipc;
pub(crate) mod mounts;
pub(crate) mod podmans_lock;
pub(crate) mod proc;
pub(crate) mod processes;
pub(crate) mod properties;
pub(crate) mod runtime_dir;
mod scan;
pub(crate) mod systemd;
pub(crate) mod text;
pub(crate) mod tree;
pub(crate) mod unified;
