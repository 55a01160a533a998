//! A job's life: which moment does what.

mod bind;
pub(crate) mod boot;
pub(crate) mod door;
pub(crate) mod hold;
mod kinds;
pub(crate) mod mark;
mod release;
pub(crate) mod sessions;
pub(crate) mod stale;
mod sweep;
mod take;
#[cfg(test)]
mod tests;
