//! A session of one job, inside its cgroup: `session=job`.

pub(crate) mod close;
pub(crate) mod enter;
pub(crate) mod kind;
pub(crate) mod manager;
pub(crate) mod open;
pub(crate) mod place;
pub(crate) mod view;
