//! Where a test may have this process killed: before each change to the node.

/// Before something is written, removed, signalled or asked of systemd.
#[cfg(not(any(feature = "crash-points", test)))]
pub(crate) const fn point() {}

/// What this process does for Slurm, for the test to choose one.
#[cfg(not(all(feature = "crash-points", not(test))))]
pub(crate) const fn acts_as(_role: crate::terms::job::Role) {}

#[cfg(all(feature = "crash-points", not(test)))]
pub(crate) use armed::{acts_as, point};
#[cfg(test)]
pub(crate) use simulated::{is_killed, killed_at, pauses, point};

/// A kill within a test's process: it unwinds, and what a killed process would
/// not do on its way out asks [`is_killed`].
#[cfg(test)]
mod simulated {
    use std::cell::Cell;
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
    use std::time::Duration;

    struct Killed;

    thread_local! {
        static POINTS_LEFT: Cell<Option<u32>> = const { Cell::new(None) };
        static IS_KILLED: Cell<bool> = const { Cell::new(false) };
        static PAUSES: Cell<Option<Duration>> = const { Cell::new(None) };
    }

    /// Has this thread pause at each point from now on: what somebody else does falls into it.
    pub(crate) fn pauses(how_long: Option<Duration>) {
        PAUSES.set(how_long);
    }

    pub(crate) fn point() {
        PAUSES.get().into_iter().for_each(std::thread::sleep);
        let left = POINTS_LEFT.get();
        POINTS_LEFT.set(left.and_then(|left| left.checked_sub(1)));
        if left == Some(0) {
            IS_KILLED.set(true);
            resume_unwind(Box::new(Killed));
        }
    }

    pub(crate) fn is_killed() -> bool {
        IS_KILLED.get()
    }

    /// Has `work` killed after it has passed so many points; None if it was.
    pub(crate) fn killed_at<T>(points: u32, work: impl FnOnce() -> T) -> Option<T> {
        POINTS_LEFT.set(Some(points));
        let done = catch_unwind(AssertUnwindSafe(work));
        POINTS_LEFT.set(None);
        let was_killed = IS_KILLED.replace(false);
        match done {
            Err(panic) if !was_killed => resume_unwind(panic),
            done => done.ok(),
        }
    }
}

#[cfg(all(feature = "crash-points", not(test)))]
mod armed {
    use std::fs;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    use rustix::process::{Signal, getpid, kill_process};

    use crate::terms::job::Role;

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
