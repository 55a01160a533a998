//! One session for all jobs of a user: `session=linger` and `session=manager`.

pub(crate) mod close;
pub(crate) mod ipc;
pub(crate) mod keep;
pub(crate) mod kind;
pub(crate) mod leftovers;
pub(crate) mod linger;
pub(crate) mod open;
pub(crate) mod order;
pub(crate) mod remains;
