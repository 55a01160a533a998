//! What takes long, or does not depend on the release: run on one suite.
// Tests say what they expect by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use cluster_tests::{Batch, N1, OPTIONAL, many};

/// What the plugin has to do with, from the next callback on.
fn patience(seconds: u32) {
    N1.put_line(&format!("optional spank_linger.so timeout={seconds}"));
}

/// A job's first command: does the manager answer, and the bus?
const FIRST: &str = "systemctl --user is-system-running --wait && \
    busctl --user call org.freedesktop.DBus / org.freedesktop.DBus GetId >/dev/null && echo hit";

/// Show that of many jobs in a row of one user none misses its session, and that
/// no prolog met a closing one.
#[test]
fn many_jobs_in_a_row() {
    let jobs = many(25, 100);
    N1.configure(OPTIONAL);
    let before = N1.snapshot();
    let row = Batch::of("alice", &format!("({FIRST}) >row.$SLURM_ARRAY_TASK_ID 2>&1"));
    let _ = row.with(&format!("--array=1-{jobs}%1")).run_within(300 + 40 * jobs);
    let count = N1.sh_as("alice", "cat row.* | sort | uniq -c; rm row.*").ok();
    let all = format!("{jobs} hit {jobs} running");
    assert_eq!(count.stdout.split_whitespace().collect::<Vec<_>>().join(" "), all);
    N1.is_again(&before);
}

/// Show that of 20 jobs of three users at once none misses its session.
#[test]
fn twenty_jobs_of_three_users_at_once() {
    N1.configure(OPTIONAL);
    let before = N1.snapshot();
    let script = format!("({FIRST}) >~/crowd.$SLURM_ARRAY_TASK_ID 2>&1; sleep 5");
    let crowd = [("alice", 7), ("bob", 7), ("carol", 6)]
        .map(|(user, jobs)| Batch::of(user, &script).with(&format!("--array=1-{jobs}")).start());
    for jobs in crowd {
        jobs.wait_over();
    }
    let count = N1.sh("cat /home/*/crowd.* | sort | uniq -c; rm /home/*/crowd.*").ok();
    assert_eq!(count.stdout.split_whitespace().collect::<Vec<_>>(), ["20", "hit", "20", "running"]);
    N1.is_again(&before);
}

/// Show that pods run, and a container that systemd starts from a user unit.
#[test]
fn pods_and_units_run() {
    N1.configure(OPTIONAL);
    let before = N1.snapshot();
    let script = "set -e\n\
        podman pod create --name pod --infra=false >/dev/null\n\
        podman run --pod=pod --rm --network=none localhost/busybox echo in the pod\n\
        podman pod rm pod >/dev/null\n\
        mkdir -p ~/.config/systemd/user\n\
        cat >~/.config/systemd/user/box.service <<'END'\n\
        [Service]\n\
        Type=oneshot\n\
        ExecStart=/usr/bin/podman run --rm --network=none localhost/busybox touch /proof\n\
        ExecStart=/usr/bin/podman run --rm --network=none -v %h:/h localhost/busybox touch /h/proof\n\
        END\n\
        systemctl --user daemon-reload\n\
        systemctl --user start box.service\n\
        ls ~/proof; rm ~/proof";
    let job = Batch::of("carol", script).with("--mem=400").run_within(240).ok();
    job.says("in the pod").says("/home/carol/proof").never_says("level=warning");
    N1.is_again(&before);
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

/// Show that sites without an extern step, and without any prolog flag, get the
/// session all the same.
#[test]
fn without_prolog_flags_there_is_a_session() {
    N1.configure(OPTIONAL);
    let before = N1.snapshot();
    for flags in ["PrologFlags=Alloc", "#PrologFlags="] {
        N1.with_slurm_conf(&[flags], || {
            Batch::of("alice", FIRST).run().ok().says("hit");
            N1.sh_as("alice", &format!("srun bash -c '{FIRST}'")).ok().says("hit");
            N1.is_again(&before);
        });
    }
}

/// Show that a plugin that slurmd does not know yet serves the jobs that begin
/// after it was put there. There is no prolog and no epilog of ours then: the
/// extern step does what they do.
#[test]
fn a_site_that_forgot_to_restart_slurmd_is_served() {
    N1.configure("# nothing");
    let before = N1.snapshot();
    N1.put_line(OPTIONAL);
    Batch::of("alice", FIRST).run().ok().says("hit");
    N1.is_again(&before);
    // The next test's slurmd is to know it.
    N1.configure("# nothing");
}
