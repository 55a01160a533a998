//! A session of one job, inside its cgroup: `session=job`.
//!
//! The manager is in a cgroup below the job's, so what it starts is the job's to the kernel and to Slurm. Its runtime
//! directory is in a file system of the job's own, which only the job's mount namespace has. What Podman writes down
//! once for a user and node is shared by the user's jobs.

pub(crate) mod alarm;
pub(crate) mod beside;
pub(crate) mod books;
pub(crate) mod close;
pub(crate) mod enter;
pub(crate) mod guard;
pub(crate) mod kind;
pub(crate) mod linger;
pub(crate) mod manager;
pub(crate) mod open;
pub(crate) mod opening;
pub(crate) mod pause;
pub(crate) mod place;
pub(crate) mod ready;
pub(crate) mod strays;
pub(crate) mod usage;
pub(crate) mod view;
