//! Where a test may have this process killed: before each change to the node.

/// Before something is written, removed, signalled or asked of systemd.
#[cfg(not(feature = "crash-points"))]
pub(crate) const fn point() {}

/// What this process does for Slurm, for the test to choose one.
#[cfg(not(feature = "crash-points"))]
pub(crate) const fn acts_as(_role: crate::keepers::Role) {}

#[cfg(feature = "crash-points")]
pub(crate) use armed::{acts_as, point};

#[cfg(feature = "crash-points")]
mod armed {
    use std::fs;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    use rustix::process::{Signal, getpid, kill_process};

    use crate::keepers::Role;

    /// `<role> <number>`: who is to be killed, and at which of its points.
    const ORDER: &str = "/run/linger-crash";
    /// The order, once it is carried out.
    const DONE: &str = "/run/linger-crash.done";

    static ROLE: OnceLock<String> = OnceLock::new();
    static PASSED: AtomicU32 = AtomicU32::new(0);

    pub(crate) fn acts_as(role: Role) {
        ROLE.get_or_init(|| format!("{role:?}").to_lowercase());
    }

    pub(crate) fn point() {
        let Ok(order) = fs::read_to_string(ORDER) else { return };
        let number = PASSED.fetch_add(1, Ordering::Relaxed) + 1;
        let role = ROLE.get().map_or("prolog", String::as_str);
        if order.trim() == format!("{role} {number}") {
            let _ = fs::rename(ORDER, DONE);
            let _ = kill_process(getpid(), Signal::KILL);
        }
    }
}
