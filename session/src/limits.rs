//! What a job may use, and what several may together.

pub(crate) mod amounts;
pub(crate) mod devices;
mod floor;
pub(crate) mod read;
