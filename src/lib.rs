//! The Slurm plugin `spank_linger.so`: a live systemd user session for a job.
//!
//! This crate is the Slurm face: which callback does what, the arguments in
//! plugstack.conf, the job's environment, the log. What a session is and how it
//! is opened and closed is in the crate `user-session`.
#![deny(unsafe_code)]

use linger_arguments as arguments;

mod environment;
mod host;
#[cfg(test)]
mod hostile;
mod job;
mod policy;
mod step;
mod task;
mod whereabouts;

// The symbols of Slurm's API exist in Slurm's processes only, so a test program
// cannot link what calls them.
#[cfg(not(test))]
mod asked;
#[cfg(not(test))]
mod callbacks;
#[cfg(not(test))]
mod child;
#[cfg(not(test))]
mod home;
#[cfg(not(test))]
mod launch;
#[cfg(not(test))]
mod log_bridge;
#[cfg(not(test))]
mod outcome;
#[cfg(not(test))]
mod running;
#[cfg(not(test))]
mod spank;
#[cfg(not(test))]
mod stepd;
