//! What takes long, or does not depend on the release: run on one suite.
// Tests say what they expect by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use cluster_tests::{Batch, FIRST, N1, OPTIONAL};

/// What the plugin has to do with, from the next callback on.
fn patience(seconds: u32) {
    N1.put_line(&format!("optional spank_linger.so timeout={seconds}"));
}

/// Show that on_error=fail fails the step with the message and keeps the node,
/// and that on_error=drain drains it.
#[test]
fn required_plugins_fail_or_drain() {
    let masked = "user@1001.service is masked";
    N1.configure("required spank_linger.so on_error=fail");
    N1.sh("systemctl mask --runtime user@.service").ok();
    for command in ["echo ran", "srun echo ran"] {
        Batch::of("alice", command).run().fails().complains(masked).never_says("ran\n");
    }
    N1.sh_as("alice", "srun echo ran").fails().complains(masked).never_says("ran\n");
    let up = N1.state();
    N1.configure("required spank_linger.so on_error=drain");
    let job = Batch::of("alice", "echo ran").start();
    let drained = N1.waits("sinfo -hR | grep -q Prolog");
    N1.sh("systemctl unmask --runtime user@.service").ok();
    job.cancel();
    N1.sh("scontrol update nodename=n1 state=resume").ok();
    N1.configure(OPTIONAL);
    drained.ok();
    assert!(["idle", "completing"].contains(&up.as_str()), "on_error=fail left the node {up}");
}

/// Show that jobs run to their end within the timeout, with their message, when
/// logind cannot be had and when the bus is missing or refuses.
#[test]
fn without_logind_or_bus_the_job_runs_and_is_told() {
    let socket = "/run/dbus/system_bus_socket";
    N1.configure("optional spank_linger.so timeout=60");
    let before = N1.snapshot();
    for (fault, repair, cause) in [
        (
            "systemctl mask --runtime --now systemd-logind 2>&1".to_owned(),
            "systemctl unmask --runtime systemd-logind; systemctl start systemd-logind".to_owned(),
            "turn linger on for uid 1002",
        ),
        (format!("mv {socket} {socket}.away"), format!("mv {socket}.away {socket}"), socket),
        (
            format!("mv {socket} {socket}.away; cp -a {socket}.away {socket}"),
            format!("mv {socket}.away {socket}"),
            "onnection refused",
        ),
    ] {
        patience(10);
        N1.sh(&fault).ok();
        let job = Batch::of("bob", "echo dir=$XDG_RUNTIME_DIR; echo ran").run_within(150);
        let state = N1.state();
        N1.sh(&repair).ok();
        patience(60);
        job.ok().says("dir=\nran\n").complains("no user session").complains(cause);
        assert!(["idle", "completing", "mixed"].contains(&state.as_str()), "{fault}: {state}");
        N1.is_again(&before);
        Batch::of("bob", FIRST).run().ok().says("hit");
        // Its epilog is to meet no fault of the next round.
        N1.is_again(&before);
    }
}

/// Show that a bus that dies under a job keeps nothing: the next job of the user
/// puts back what its epilog could not.
#[test]
fn what_an_epilog_could_not_undo_the_next_job_undoes() {
    let socket = "/run/dbus/system_bus_socket";
    N1.configure("optional spank_linger.so timeout=60");
    let before = N1.snapshot();
    let job = Batch::of("bob", "sleep 300").start();
    job.wait_running();
    N1.sh(&format!("mv {socket} {socket}.away")).ok();
    patience(5);
    job.cancel();
    patience(60);
    N1.sh(&format!("sleep 6; mv {socket}.away {socket}")).ok();
    assert!(N1.snapshot().contains("bob"), "the epilog needed no bus?");
    Batch::of("bob", FIRST).run().ok().says("hit");
    N1.is_again(&before);
}

/// Show that what a power loss left written down is put back when slurmd starts.
#[test]
fn the_start_of_slurmd_sweeps_what_is_left() {
    N1.configure(OPTIONAL);
    let before = N1.snapshot();
    let job = Batch::of("bob", "sleep 300").start();
    job.wait_running();
    // A power loss empties /run and keeps /var; the job is gone for Slurm, too.
    N1.sh("cp /var/lib/spank-linger/1002 /root/kept").ok();
    job.cancel();
    N1.is_again(&before);
    N1.sh("mv /root/kept /var/lib/spank-linger/1002; loginctl enable-linger bob").ok();
    N1.sh("systemctl restart slurmd").ok();
    N1.is_again(&before);
}
