//! A prolog has the session started, and the first step waits for it.
// Tests say what they expect by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use cluster_tests::{AtEnd, Batch, GO, N1, QUICK, Started};

/// What a job of alice's finds that has its session.
const RUNNING: &str = "systemctl --user is-system-running";

/// Has alice's manager do that before it starts, until the end of the test.
fn before_the_manager(command: &str) -> AtEnd {
    let dir = "/run/systemd/system/user@1001.service.d";
    N1.sh(&format!(
        "mkdir -p {dir}; printf '[Service]\nExecStartPre=+{command}\n' >{dir}/linger-test.conf
         systemctl daemon-reload"
    ))
    .ok();
    AtEnd(format!("rm -rf {dir}; systemctl daemon-reload; scancel --user=alice"))
}

/// The milliseconds of a job's line that ends so.
fn took(job: Started, what: &str) -> u64 {
    let log = N1.log_of(job.0);
    let of = |line: &str| line.split_once(what)?.1.split(' ').next()?.parse().ok();
    log.lines().find_map(of).unwrap_or_else(|| panic!("no '{what}' in {log}"))
}

/// Show that a prolog does not wait for a manager that takes its time, that the first step does, and that a site that
/// wants its nodes drained has the prolog wait.
#[test]
fn the_first_step_waits() {
    N1.configure(QUICK);
    let before = N1.snapshot();
    let slow = before_the_manager("/bin/sleep 4");
    let first = Batch::of("alice", RUNNING).start();
    first.wait_over();
    first.output().says("running\n");
    let (begun, done) = (took(first, "open session: begun in "), took(first, "session: done in "));
    println!("begun in {begun} ms, and the step waited for {done} ms");
    assert!(begun < 3000, "the prolog took {begun} ms");
    N1.configure(&format!("{QUICK} on_error=drain"));
    let second = Batch::of("alice", RUNNING).start();
    second.wait_over();
    second.output().says("running\n");
    assert!(took(second, "open session: done in ") >= 4000);
    drop(slow);
    N1.configure(QUICK);
    N1.is_again(&before);
}

/// Show that a job which is cancelled while its session starts leaves nothing, nor a second one that waits for the same
/// start without it.
#[test]
fn what_starts_ends_with_its_jobs() {
    N1.configure(QUICK);
    let before = N1.snapshot();
    let slow = before_the_manager("/bin/sleep 6");
    // A second one may find that the first one's step waits already, and has the user's lock.
    let begin = || {
        let job = Batch::of("alice", &format!("{RUNNING}; {GO}")).start();
        N1.waits_until(&format!(
            "grep --quiet --extended-regexp 'job {} uid 1001: open session: (begun|done)' /var/log/slurm/slurmd.log",
            job.0
        ));
        job
    };
    begin().cancel();
    N1.is_again(&before);
    let (first, second) = (begin(), begin());
    first.cancel();
    second.go_to_its_end().says("running\n");
    drop(slow);
    N1.is_again(&before);
}

/// Show that a job whose session does not come up is told so by its first step, or fails if the site wants that; and
/// that the node stays, with linger as it was.
#[test]
fn a_start_that_fails_is_told() {
    N1.configure(QUICK);
    let before = N1.snapshot();
    let fails = before_the_manager("/bin/sh -c \"sleep 2; exit 1\"");
    let job = Batch::of("alice", "srun true; echo it runs").run().ok().says("it runs");
    assert_eq!(job.stderr.matches("linger: ").count(), 1, "{job:?}");
    job.complains("user@1001.service");
    N1.configure(&format!("{} on_error=fail", QUICK.replacen("optional", "required", 1)));
    Batch::of("alice", "echo it runs").run().fails().never_says("it runs");
    drop(fails);
    N1.configure(QUICK);
    N1.settles();
    N1.is_again(&before);
}
