//! What is left of a session when systemd says that it has ended.
//!
//! systemd goes through cgroups by their paths, as far as a path reaches. What a
//! user has nested beyond PATH_MAX lives on in a unit that is inactive
//! (systemd 257).

use std::time::Duration;

use crate::ending::Ending;
use crate::outside::processes::{Process, processes};
use crate::outside::tree::remove;
use crate::terms::roots::{Roots, manager};

/// Ends the processes of a session that has ended, and removes its cgroups.
/// Answers with what lives on.
pub(crate) fn end(roots: &Roots, uid: u32) -> Vec<Process> {
    let cgroup = roots.slice(uid).join(manager(uid));
    if !cgroup.exists() {
        return Vec::new();
    }
    // Not those of a login that has begun a session meanwhile.
    let is_target = |process: &Process| process.is_out_of_reach(uid);
    let ending = Ending {
        roots,
        tree: roots.slice(uid),
        all: &|| processes(roots, uid),
        grace: Duration::ZERO,
        spare_shared: false,
        is_target: &is_target,
    };
    let left = ending.run().alive;
    remove(&cgroup).unwrap_or_else(|error| log::debug!("remove {}: {error}", cgroup.display()));
    left
}
