//! What every supported release must do.
// Tests say what they expect by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use cluster_tests::{Batch, N1, OPTIONAL, as_user, has_own_sessions, skipped};

/// Prints the two variables and the first thing that is wrong with the session.
const PROBE: &str = "echo \"dir=$XDG_RUNTIME_DIR bus=$DBUS_SESSION_BUS_ADDRESS\"; \
    systemctl --user is-system-running --wait";

/// What PROBE prints in a job of alice (uid 1001) that has its session.
const LIVE: &str = "dir=/run/user/1001 bus=unix:path=/run/user/1001/bus\nrunning\n";

/// Values as a login node's session has them.
const STALE: &str = "XDG_RUNTIME_DIR=/run/user/4711 \
    DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/4711/bus";

/// Show that the tests see what is there without the plugin: no session.
#[test]
fn control_without_the_plugin_there_is_no_session() {
    N1.configure("# nothing");
    let job = Batch::of("alice", PROBE).submitted_with(STALE).run();
    job.fails().says("dir=/run/user/4711");
    // Podman 5 fails on the stale directory, Podman 4.3 warns and does without.
    let podman = Batch::of("alice", "podman info 2>&1").submitted_with(STALE).run().stdout;
    assert!(podman.contains("level=warning") || podman.contains("/run/user/4711"), "{podman}");
    // Podman 4.3 would keep its state where this run had it, which outlives sessions.
    N1.sh("rm -rf ~alice/.local/share/containers/storage/{libpod,db.sql*}").ok();
}

/// Show that the very first command of a batch job finds its session, and that
/// nothing is left of it after the job.
#[test]
fn a_batch_job_has_a_live_session() {
    N1.configure(OPTIONAL);
    let before = N1.snapshot();
    let first = "systemctl --user is-system-running --wait";
    Batch::of("alice", first).run().ok().says("running");
    Batch::of("alice", PROBE).run().ok().says(LIVE);
    N1.is_again(&before);
}

/// Show that the session's variables reach the tasks of every kind of step, over
/// stale values and where none are passed on.
#[test]
fn every_task_is_led_to_the_session() {
    N1.configure(OPTIONAL);
    Batch::of("alice", PROBE).submitted_with(STALE).run().ok().says(LIVE);
    Batch::of("alice", PROBE).with("--export=NONE").submitted_with(STALE).run().ok().says(LIVE);
    let both = format!("srun --ntasks=2 --overcommit --output=task%t bash -c '{PROBE}'; cat task?");
    let step = Batch::of("alice", &both).run().ok();
    assert_eq!(step.stdout, format!("{LIVE}{LIVE}"), "{step:?}");
    let array = format!("({PROBE}) >array$SLURM_ARRAY_TASK_ID");
    Batch::of("alice", &array).with("--array=1-2").run().ok();
    N1.sh_as("alice", "cat array1 array2").ok().says(&format!("{LIVE}{LIVE}"));
    for command in ["srun", "srun --export=NONE", "salloc --quiet srun"] {
        let script = format!("env {STALE} {command} /bin/bash -c '{PROBE}'");
        N1.sh_as("alice", &script).ok().says(LIVE);
    }
}

/// Show that Podman uses systemd's cgroups, warns of nothing and runs.
#[test]
fn podman_uses_systemd_without_a_warning() {
    N1.configure(OPTIONAL);
    let script = "echo $(podman info --format '{{.Host.CgroupManager}}')\n\
        podman run --rm --network=none localhost/busybox sh -c 'cat /proc/self/cgroup; echo in the container'";
    let job = Batch::of("alice", script).submitted_with(STALE).run().ok();
    let job = job.says("systemd\n").says("in the container").never_says("level=warning");
    // Podman 3.0 may find that what it is to kill has ended.
    let said = job.stderr.lines().filter(|line| !line.contains("failed to kill"));
    assert_eq!(said.collect::<Vec<_>>(), [""; 0], "Podman said something");
}

/// Show that the session outlives the first of two jobs and ends with the second.
#[test]
fn the_last_of_two_jobs_closes_the_session() {
    N1.configure(OPTIONAL);
    let before = N1.snapshot();
    assert!(!before.contains("user@1001"), "left by a test before: {before}");
    let [first, second] =
        ["sleep 300", "sleep 300"].map(|script| Batch::of("alice", script).start());
    first.wait_running();
    second.wait_running();
    first.cancel();
    Batch::of("alice", PROBE).run().ok().says(LIVE);
    if !has_own_sessions() {
        assert!(N1.snapshot().contains("user@1001.service"));
    }
    second.cancel();
    N1.is_again(&before);
}

/// Show that a user who lingered before lingers afterwards, with the session
/// never interrupted.
#[test]
fn a_lingering_user_stays_one() {
    N1.configure(OPTIONAL);
    N1.sh("loginctl enable-linger bob; systemctl start user@1002").ok();
    let main_pid = "systemctl show --property=MainPID user@1002";
    let (before, manager) = (N1.snapshot(), N1.sh(main_pid).ok().stdout);
    Batch::of("bob", "systemctl --user is-system-running --wait").run().ok().says("running");
    N1.is_again(&before);
    N1.sh(main_pid).ok().says(&manager);
    N1.sh(
        "loginctl disable-linger bob; while systemctl is-active -q user@1002; do sleep 0.2; done",
    )
    .ok();
}

/// Show that who is not to have a session gets none, and no variable either.
#[test]
fn who_declines_gets_nothing() {
    let nothing = "dir= bus=\n";
    N1.configure(OPTIONAL);
    let before = N1.snapshot();
    let probe = "ls /run/user; echo \"dir=$XDG_RUNTIME_DIR bus=$DBUS_SESSION_BUS_ADDRESS\"";
    let no = Batch::of("alice", probe).with("--user-session=no").submitted_with(STALE).run();
    no.ok().says(nothing).never_says("1001");
    Batch::of("svc", probe).submitted_with(STALE).run().ok().says(nothing).never_says("900");
    Batch::of("alice", &format!("srun bash -c '{probe}'"))
        .with("--user-session=no")
        .run()
        .ok()
        .says(nothing);
    N1.is_again(&before);
    N1.configure("optional spank_linger.so mode=opt-in timeout=60");
    Batch::of("alice", probe).submitted_with(STALE).run().ok().says(nothing).never_says("1001");
    Batch::of("alice", PROBE).with("--user-session=yes").run().ok().says(LIVE);
    N1.is_again(&before);
    N1.configure("optional spank_linger.so mode=off");
    Batch::of("alice", probe).submitted_with(STALE).run().ok().says("dir=/run/user/4711");
}

/// Show that a job whose session cannot be opened runs, is told why, and leaves
/// the node idle.
#[test]
fn without_a_session_the_job_runs_and_is_told() {
    N1.configure(OPTIONAL);
    let before = N1.snapshot();
    // Podman remembers the run root of its first run, which may be a session's.
    N1.sh("rm -rf /home/dave/.local/share/containers/storage/{libpod,db.sql*}").ok();
    let (breaks, mends, told) = if has_own_sessions() {
        let manager = "/usr/lib/systemd/systemd";
        (format!("mount --bind /bin/false {manager}"), format!("umount {manager}"), "it has ended")
    } else {
        let [breaks, mends] =
            ["mask", "unmask"].map(|verb| format!("systemctl {verb} --runtime user@.service"));
        (breaks, mends, "user@1004.service is masked")
    };
    N1.sh(&breaks).ok();
    let script = "echo \"dir=$XDG_RUNTIME_DIR bus=$DBUS_SESSION_BUS_ADDRESS\"; srun true; srun true\n\
        podman run --rm --network=none localhost/busybox echo in the container\n\
        echo job $SLURM_JOB_ID";
    let job = Batch::of("dave", script).submitted_with(STALE).run();
    N1.sh(&mends).ok();
    let job = job.ok().says("dir= bus=\n").says("in the container");
    let lines = job.stderr.lines().filter(|line| line.contains("linger:")).collect::<Vec<_>>();
    let [line] = lines[..] else { panic!("one line, please: {job:?}") };
    assert!(line.contains(told), "{line}");
    assert!(line.contains("--user-session=no"), "no cure: {line}");
    let id = job.stdout.lines().find_map(|line| line.strip_prefix("job ")).unwrap();
    assert!(N1.log_of(id.parse().unwrap()).contains(told));
    N1.is_again(&before);
    N1.settles();
}

/// Show that a plugin for another release is refused by Slurm.
#[test]
fn a_plugin_for_another_release_is_refused() {
    if N1.slurm() == "20.11" {
        return skipped("Slurm 20.11 loads a plugin of any release");
    }
    N1.configure(OPTIONAL);
    let other = std::env::var("LINGER_OTHER_PLUGIN").expect("xtask builds it");
    N1.put(other.as_ref(), "/root/other.so");
    let refused = N1.sh("echo required /root/other.so >/etc/slurm/plugstack.conf.d/linger.conf\n\
         truncate --size=0 /var/log/slurm/slurmd.log; systemctl restart slurmd\n\
         until grep --quiet ncompatible /var/log/slurm/slurmd.log || [ $SECONDS -gt 100 ]; do sleep 0.5; done\n\
         cat /var/log/slurm/slurmd.log; journalctl --unit=slurmd --lines=20");
    N1.configure(OPTIONAL);
    refused.ok().says("/root/other.so").says("ncompatible");
}

/// Show that a bad argument is named in slurmd's log together with the cure, and
/// that a job runs all the same.
#[test]
fn a_bad_argument_is_named_in_the_log() {
    for (argument, cure) in [
        ("frobnicate=1", "it knows mode, session, confine"),
        ("timeout=soon", "timeout takes whole seconds"),
        ("confine=disk", "confine takes a list of memory, cpus"),
    ] {
        N1.sh("truncate --size=0 /var/log/slurm/slurmd.log").ok();
        N1.configure(&format!("optional spank_linger.so {argument}"));
        let named = format!("grep \"argument '{argument}'\" /var/log/slurm/slurmd.log");
        N1.waits_until(&named).says(cure);
        let job = Batch::of("alice", "echo dir=$XDG_RUNTIME_DIR").submitted_with(STALE).run();
        job.ok().says("dir=\n").complains(&format!("argument '{argument}'"));
    }
    N1.settles();
}

/// Show that a bad value of the user's option is named at submission.
#[test]
fn a_bad_wish_is_named() {
    N1.configure(OPTIONAL);
    for command in ["srun true", "salloc true", "sbatch --wrap=true"] {
        let (program, rest) = command.split_once(' ').unwrap();
        let script = format!("{program} --user-session=maybe {rest}");
        let said = N1.sh(&as_user("alice", &script));
        said.complains("--user-session=maybe: say yes or no");
    }
}
