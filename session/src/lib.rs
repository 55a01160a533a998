//! The systemd user session of a job's user.
#![forbid(unsafe_code)]
