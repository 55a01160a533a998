//! What a job may use, and what several may together.

pub(crate) mod amounts;
pub(crate) mod devices;
pub(crate) mod floor;
pub(crate) mod read;
