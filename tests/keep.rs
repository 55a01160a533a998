//! `keep=`: a session that is kept, frozen, for the user's next job.
// Tests say what they expect by panicking.
#![allow(clippy::expect_used, missing_docs)]

use std::env;
use std::path::Path;

use cluster_tests::{Batch, LIVE, Login, N1, Output};

const LINE: &str = "optional spank_linger.so log_level=debug timeout=120 grace=1";

/// Long enough for a job of an emulated node to come in.
const SHORT: u32 = 80;

/// As long as can be: what a test does ends the keep, and not its time.
const LONG: u32 = 300;

/// Whether alice's manager is frozen.
const FROZEN: &str = "grep --quiet --line-regexp 'frozen 1' \
    /sys/fs/cgroup/user.slice/user-1001.slice/user@1001.service/cgroup.events";

/// Has the command on the node, and the plugin that keeps for so many seconds.
fn install(keep: u32) {
    let command = env::var_os("LINGER_COMMAND").expect("run with 'cargo xtask test'");
    N1.put(Path::new(&command), "/usr/local/bin/.spank-linger");
    N1.sh("cd /usr/local/bin && chmod 755 .spank-linger && mv .spank-linger spank-linger").ok();
    N1.sh("spank-linger sweep").ok();
    N1.configure(&format!("{LINE} keep={keep}"));
}

fn manager() -> String {
    N1.sh("systemctl show user@1001 --property=MainPID --value").ok().stdout
}

/// A job of alice's, up to the end of its epilog.
fn job(script: &str) -> Output {
    let job = Batch::of("alice", script).with("--mem=300").start();
    job.wait_over();
    job.output()
}

/// How long the prolog of the last job took, in ms.
fn prolog() -> u64 {
    let script = "grep -o 'open session: done in [0-9]*' /var/log/slurm/slurmd.log | tail -1";
    let line = N1.sh(script).ok().stdout;
    line.split_whitespace().last().and_then(|ms| ms.parse().ok()).expect("a prolog in the log")
}

/// Show that the next job has the same session, sooner, with nothing of the first in it, and that
/// Podman works in both; and that the node is as before when the time is over.
#[test]
fn the_next_job_has_the_session_sooner() {
    install(SHORT);
    let before = N1.snapshot();
    let podman = "podman run --rm --network=none localhost/busybox echo in a container";
    job(&format!(
        "{LIVE}; {podman}; podman run --detach --network=none localhost/busybox sleep 7301"
    ))
    .says("in a container");
    let (first, cold) = (manager(), prolog());
    N1.waits_until(FROZEN);
    assert!(!N1.runs("sleep 7301"), "a container between the jobs");
    N1.sh("spank-linger status").ok().says("kept");
    N1.sh("spank-linger doctor").ok().says("none is stale");
    job(&format!("{LIVE}; {podman}; systemctl --user is-system-running"))
        .says("in a container")
        .says("running");
    assert_eq!(manager(), first, "another manager");
    // A busy host may hold up one of them.
    let again = || {
        job(LIVE);
        prolog()
    };
    let warm = [prolog(), again(), again()].into_iter().min().unwrap_or(u64::MAX);
    assert!(warm < cold, "{warm} ms after {cold} ms");
    println!("prolog: {cold} ms without a session, {warm} ms with one that was kept");
    N1.sh_within(400, "while systemctl is-active --quiet user@1001; do sleep 2; done").ok();
    N1.is_again(&before);
    N1.waits_until("! systemctl list-units --all 'spank-linger-*' --no-legend | grep --quiet .");
}

/// Show that a timer of a job's does not fire between the jobs, although it is still there for the
/// next, and that a unit that is to start again is the end of the session. What the timer starts is not
/// to run when the job ends: an emulated node takes most of a second for it.
#[test]
fn nothing_runs_between_the_jobs() {
    install(LONG);
    let before = N1.snapshot();
    let tick = "date +%s >>/tmp/ticks";
    job(&format!(
        "rm -f /tmp/ticks; systemd-run --user --on-active=1 --on-unit-active=40 \
         --timer-property=AccuracySec=1ms sh -c '{tick}'; until [ -s /tmp/ticks ]; do sleep 0.2; done; sleep 1"
    ));
    let is_kept = N1.sh(FROZEN).succeeded();
    N1.sh("cp /tmp/ticks /tmp/ticks.before; sleep 41; cmp /tmp/ticks /tmp/ticks.before").ok();
    assert!(is_kept, "a timer without a process is no reason to close");
    N1.sh("spank-linger sweep").ok().says("end the keep");
    N1.is_again(&before);
    job(
        "systemd-run --user --property=Restart=always --property=RestartSec=100ms sleep 7302; sleep 2",
    );
    N1.sees_the_end_of("sleep 7302");
    N1.is_again(&before);
}

/// Show that a user who logs in meanwhile has a session that runs, and keeps it.
#[test]
fn a_login_has_the_session() {
    install(LONG);
    let before = N1.snapshot();
    job(LIVE);
    N1.waits_until(FROZEN);
    let first = manager();
    let mut login = Login::of("alice", N1);
    assert_eq!(login.ask("timeout 200 systemctl --user is-system-running"), "running");
    N1.waits_until("[ ! -e /run/spank-linger/1001 ] && [ ! -e /var/lib/systemd/linger/alice ]");
    assert_eq!(manager(), first, "another manager");
    drop(login);
    N1.is_again(&before);
}

/// Show that what a user begins with the login that ends a keep is not taken for what a job left. It is
/// asked for while all stands, so that it begins at once.
#[test]
fn what_a_login_begins_stays() {
    install(LONG);
    let before = N1.snapshot();
    job(LIVE);
    N1.waits_until(FROZEN);
    N1.sh(
        "cd /; setsid --fork setpriv --reuid=alice --regid=alice --init-groups --reset-env \
         env XDG_RUNTIME_DIR=/run/user/1001 systemd-run --user sleep 7303 </dev/null >/dev/null 2>&1",
    )
    .ok();
    let mut login = Login::of("alice", N1);
    assert_eq!(
        login.ask("until pgrep --full 'sleep 7303$' >/dev/null; do sleep 0.1; done; echo up"),
        "up"
    );
    N1.waits_until("[ ! -e /run/spank-linger/1001 ] && [ ! -e /var/lib/systemd/linger/alice ]");
    assert!(N1.runs("sleep 7303"), "the login's own unit was ended");
    drop(login);
    N1.is_again(&before);
}

/// Show that a keep can begin more often than systemd starts a unit by default, five times in 10 s: one
/// without its timer would have no end.
#[test]
fn a_keep_may_begin_often() {
    install(LONG);
    let before = N1.snapshot();
    job(LIVE);
    N1.waits_until(FROZEN);
    let units = format!("spank-linger-keep-1001-{LONG}s");
    N1.sh(&format!(
        "for i in $(seq 8); do systemctl restart {units}.timer || exit 1; done\n\
         systemctl is-active {units}.timer {units}.path"
    ))
    .ok()
    .says("active\nactive\n");
    N1.sh("spank-linger sweep").ok().says("end the keep");
    N1.is_again(&before);
}

/// Show that without what would close it later a session is closed at once, and that the log says
/// what is missing.
#[test]
fn without_the_command_nothing_is_kept() {
    install(LONG);
    let before = N1.snapshot();
    N1.sh("mv /usr/local/bin/spank-linger /root/spank-linger").ok();
    job(LIVE).says("running dir=/run/user/1001");
    N1.sh("mv /root/spank-linger /usr/local/bin/spank-linger").ok();
    N1.is_again(&before);
    N1.sh("grep 'linger: uid 1001: keep session: ' /var/log/slurm/slurmd.log")
        .ok()
        .says("install the command");
}

/// Show that slurmd's start, linger that somebody turns off, and a kill of the manager each end a
/// keep, and that jobs have sessions after it.
#[test]
fn others_end_a_keep() {
    install(LONG);
    let before = N1.snapshot();
    let kill = "systemctl kill --signal=KILL user@1001; spank-linger sweep";
    for end in ["systemctl restart slurmd", "loginctl disable-linger alice", kill] {
        job(LIVE).says("running dir=/run/user/1001");
        N1.waits_until(FROZEN);
        N1.sh(end).ok();
        N1.is_again(&before);
        N1.settles();
    }
}
