//! The user's slice, held to what their jobs may use: whatever a job's session is, and also without one.

mod cap;
pub(crate) mod confine;
