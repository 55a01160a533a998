//! One session for all jobs of a user: `session=linger` and `session=manager`.

mod close;
pub(crate) mod keep;
pub(crate) mod kind;
mod leftovers;
mod linger;
mod open;
mod remains;
mod space;
mod spare;
