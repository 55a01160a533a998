//! The death of a bus while jobs run: the system's, and the user's own.
// Tests say what they expect by panicking.
#![allow(missing_docs)]

use cluster_tests::{AtEnd, Batch, GO, LIVE, N1, QUICK};

/// A logind that is still there has lost the bus for good: it neither connects
/// again nor ends (systemd 257), and calls wait for it until they are late.
const LOGIND: &str = "systemctl restart systemd-logind";

/// A job that waits for the test, and has a step look for the session.
fn looks_again() -> Batch {
    Batch::of("alice", &format!("{LIVE}; echo up; {GO}; srun bash -c 'echo again; {LIVE}'"))
}

/// What its step says.
const AGAIN: &str = "again\nrunning dir=/run/user/1001\n";

/// Show that when the system bus is killed under a job its next step has the
/// session, a new job is told why it has none, both end without harm to the node,
/// and that all is put back by the next job once logind is there again.
#[test]
fn the_system_bus_is_killed() {
    N1.configure(QUICK);
    let before = N1.snapshot();
    let job = looks_again().start();
    job.wait_says("up");
    let _end = AtEnd(LOGIND.into());
    N1.sh("systemctl kill --signal=KILL dbus; sleep 1; busctl list").ok();
    let other = Batch::of("bob", "echo ran dir=$XDG_RUNTIME_DIR").run().ok().says("ran dir=\n");
    other.complains("no user session on this node").complains("org.freedesktop.login1");
    job.go_to_its_end().says(AGAIN).never_says("linger:");
    N1.settles();
    N1.sh(LOGIND).ok();
    Batch::of("alice", LIVE).run().ok().says("running dir=/run/user/1001");
    N1.is_again(&before);
}

/// Show that an admin who restarts the system bus, and logind as it must be then,
/// takes nothing from a job, and that its end is as ever.
#[test]
fn the_system_bus_is_restarted() {
    N1.configure(QUICK);
    let before = N1.snapshot();
    let job = looks_again().start();
    job.wait_says("up");
    let manager = || N1.sh("systemctl show --property=MainPID user@1001").ok().stdout;
    let first = manager();
    N1.sh(&format!("systemctl restart dbus; {LOGIND}; loginctl")).ok().says("alice");
    assert_eq!(manager(), first, "the session is another");
    job.go_to_its_end().says(AGAIN).never_says("linger:");
    N1.is_again(&before);
}

/// Show that when the user's own bus is killed the next step of the job has one,
/// which the user's manager and Podman use.
#[test]
fn the_users_bus_is_killed() {
    N1.configure(QUICK);
    let before = N1.snapshot();
    let podman = "podman run --rm --network=none localhost/busybox echo contained";
    let script = format!("{LIVE}; echo up; {GO}; srun bash -c 'echo again; {LIVE}; {podman}'");
    let job = Batch::of("alice", &script).with("--mem=200").start();
    job.wait_says("up");
    N1.sh("pkill --signal=KILL --uid alice dbus-daemon").ok();
    job.go_to_its_end().says(AGAIN).says("contained").never_says("linger:").never_says("level=");
    N1.is_again(&before);
}

/// Show that a user who stops it, so that nothing listens any more, is told of
/// it in the next step, and that the end of the job leaves nothing.
#[test]
fn the_users_bus_is_stopped() {
    N1.configure(QUICK);
    let before = N1.snapshot();
    let job = looks_again().start();
    job.wait_says("up");
    let stop = "XDG_RUNTIME_DIR=/run/user/1001 systemctl --user stop dbus.socket dbus.service";
    N1.sh_as("alice", stop).ok();
    let said = job.go_to_its_end().says("again\n").says("dir=\n");
    said.says("no user session on this node: /run/user/1001/bus refuses connections");
    N1.is_again(&before);
}
