//! What a job finds on every site that has the plugin, and what it leaves.

use crate::{Batch, GO, N1, Started};

/// Says `running dir=/run/user/UID` where the session is live.
pub const LIVE: &str = "echo $(systemctl --user is-system-running --wait) dir=$XDG_RUNTIME_DIR";

/// A job's first command: do the manager and the bus answer? Says `running` and `hit`.
pub const FIRST: &str = "systemctl --user is-system-running --wait && \
    busctl --user call org.freedesktop.DBus / org.freedesktop.DBus GetId >/dev/null && echo hit";

/// Runs a job of alice's whose batch step and srun step find the session, the
/// batch step also after the other has ended; then the node is as `before`.
///
/// # Panics
/// When they do not.
pub fn alice_is_served(before: &str) {
    let job = Batch::of("alice", &format!("{LIVE}; srun bash -c '{LIVE}'; sleep 1; {LIVE}")).run();
    let job = job.ok();
    assert_eq!(job.stdout, "running dir=/run/user/1001\n".repeat(3), "{job:#?}");
    N1.is_again(before);
}

/// A job of alice's that leaves a daemon in her session, `sleep` of so many
/// seconds, and waits.
pub fn forgetful(seconds: u32) -> Started {
    let daemon = format!("systemd-run --user --scope --quiet setsid --fork sleep {seconds}");
    let job = Batch::of("alice", &format!("{daemon}\necho up\n{GO}")).start();
    job.wait_says("up");
    job
}

/// Ends it and waits until nothing is left of it, while another job of alice's
/// holds the session.
///
/// # Panics
/// When that is not so.
pub fn leaves_nothing(job: Started, seconds: u32) {
    let daemon = format!("sleep {seconds}");
    let keeper = Batch::of("alice", "echo up; sleep 900").start();
    keeper.wait_says("up");
    assert!(N1.runs(&daemon), "{daemon} ended before its job");
    job.cancel();
    N1.sees_the_end_of(&daemon);
    let state = keeper.state();
    keeper.cancel();
    assert_eq!(state, "RUNNING");
}
