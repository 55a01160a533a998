//! What a user can cause drains no node, whatever `on_error` says.
// Tests say what they expect by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use cluster_tests::{AtEnd, Batch, LIVE, N1, OPTIONAL, as_user};

/// Patience for a manager that never comes up is not needed here.
const DRAIN: &str = "required spank_linger.so log_level=debug timeout=12 grace=1 on_error=drain";

fn is_not_drained(after: &str) {
    N1.settles();
    let state = N1.sh("sinfo --noheader --format='%T %E'").ok().stdout;
    assert!(!state.contains("drain"), "{after}: {state}");
}

/// Show that a unit that keeps the user's manager from coming up fails the steps of the job, and no more.
#[test]
fn a_manager_that_its_user_stops() {
    N1.configure(DRAIN);
    let before = N1.snapshot();
    let dir = "~alice/.config/systemd/user";
    let end = AtEnd(format!("rm -rf {dir}"));
    N1.sh(&as_user(
        "alice",
        &format!(
            "mkdir -p {dir}/basic.target.wants; cat >{dir}/hangs.service <<'END'\n\
             [Unit]\nDefaultDependencies=no\nBefore=basic.target\n[Service]\nType=oneshot\n\
             ExecStart=sleep infinity\nEND\nln -s ../hangs.service {dir}/basic.target.wants/"
        ),
    ))
    .ok();
    let job = Batch::of("alice", "echo ran").run();
    drop(end);
    job.fails().complains("no user session on this node").never_says("ran\n");
    is_not_drained("a manager that hangs");
    N1.is_again(&before);
    N1.configure(OPTIONAL);
}

/// Show that a bus that was removed and a runtime directory that was opened to others fail the steps that
/// follow, and no prolog or epilog.
#[test]
fn a_session_that_its_user_spoils() {
    N1.configure(DRAIN);
    let before = N1.snapshot();
    for spoil in
        ["rm $XDG_RUNTIME_DIR/bus", "chmod 755 $XDG_RUNTIME_DIR", "systemctl --user exit; sleep 1"]
    {
        let job =
            Batch::of("alice", &format!("{LIVE}; {spoil}; srun --overlap bash -c '{LIVE}'")).run();
        job.says("running dir=/run/user/1001\n");
        is_not_drained(spoil);
        N1.is_again(&before);
        let beside = Batch::of("alice", LIVE).run().ok();
        beside.says("running dir=/run/user/1001\n");
    }
    is_not_drained("all of them");
    N1.configure(OPTIONAL);
}

/// Show that a user who turns linger on over and over while the session ends has neither linger nor a session
/// in the end, and that the node is as before.
#[test]
fn linger_that_is_turned_on_again() {
    N1.configure(DRAIN);
    let before = N1.snapshot();
    let again = "while :; do loginctl enable-linger alice; done";
    let script = format!(
        "systemd-run --user --quiet sh -c 'trap \"\" TERM; {again}'\n\
         systemd-run --user --scope --quiet setsid --fork sh -c 'trap \"\" TERM; {again}'; sleep 2; echo up"
    );
    for _ in 0..3 {
        Batch::of("alice", &script).run().ok().says("up");
        N1.is_again(&before);
        is_not_drained("linger");
    }
    N1.configure(OPTIONAL);
}
