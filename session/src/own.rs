//! A session of one job, inside its cgroup: `session=job`.

pub(crate) mod manager;
pub(crate) mod place;
pub(crate) mod view;
