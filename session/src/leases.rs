//! A job's life: which moment does what.

pub(crate) mod bind;
pub(crate) mod boot;
pub(crate) mod door;
pub(crate) mod kinds;
pub(crate) mod mark;
pub(crate) mod release;
pub(crate) mod sessions;
pub(crate) mod stale;
pub(crate) mod stay;
pub(crate) mod sweep;
pub(crate) mod take;
#[cfg(test)]
mod tests;
