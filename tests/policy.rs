//! What the plugin's arguments say: who has a session, by what means, and how it is held and ended.
// Tests say what they expect by panicking.
#![allow(clippy::expect_used, missing_docs)]

use cluster_tests::{AtEnd, Batch, GO, LINE, LIVE, Login, N1};

const BASE: &str = "optional spank_linger.so log_level=debug timeout=120";

/// What sbatch copies from a submit host where the user is logged in.
const STALE: &str = "XDG_RUNTIME_DIR=/run/user/4711 \
    DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/4711/bus";

/// Has the plugin's line say that.
fn argue(arguments: &str) {
    N1.put_line(&format!("{BASE} {arguments}"));
}

/// The line without arguments, which the next test finds as it wants it, and the node's state.
fn begin() -> (AtEnd, String) {
    N1.configure(BASE);
    (AtEnd(format!("echo '{BASE}' >{LINE}")), N1.snapshot())
}

/// Show that of two users who run a job the one who is on the list has a session, and the other one
/// none, no stale variable and nothing to read about it.
#[test]
fn only_who_is_on_the_list_has_a_session() {
    let (_line, before) = begin();
    let _lists = AtEnd("groupdel hpc; scontrol delete partitionname=wide".into());
    N1.sh("groupadd hpc; gpasswd --add bob hpc; scontrol create partitionname=wide nodes=n1").ok();
    let probe = "ls /run/user; echo \"dir=$XDG_RUNTIME_DIR bus=$DBUS_SESSION_BUS_ADDRESS\"";
    for arguments in ["users=carol,bob", "groups=none,hpc", "partitions=gpu,wide", "min_uid=1002"] {
        argue(arguments);
        let on_it = Batch::of("bob", LIVE).with("--partition=wide").start();
        let not = Batch::of("alice", probe).submitted_with(STALE).start();
        on_it.wait_over();
        not.wait_over();
        assert_eq!(on_it.output().stdout, "running dir=/run/user/1002\n", "{arguments}");
        not.output().says("dir= bus=\n").never_says("1001").never_says("linger:");
    }
    N1.is_again(&before);
}

/// Show that who is on no list and lingers by themselves keeps that session, uncapped.
#[test]
fn who_is_on_no_list_is_left_alone() {
    let (_line, nobody) = begin();
    let linger = AtEnd("loginctl disable-linger alice".into());
    N1.sh("loginctl enable-linger alice; systemctl start user@1001").ok();
    let manager = "systemctl show --property=MainPID user@1001";
    let (before, pid) = (N1.snapshot(), N1.sh(manager).ok().stdout);
    argue("users=bob");
    let script = "echo memory=$(cat /sys/fs/cgroup/user.slice/user-1001.slice/memory.max)";
    let job = Batch::of("alice", script).with("--mem=100").run().ok();
    job.says("memory=max\n").never_says("linger:");
    N1.is_again(&before);
    assert_eq!(N1.sh(manager).ok().stdout, pid);
    drop(linger);
    N1.is_again(&nobody);
}

/// Show that with session=manager two jobs have a live session, the second one also when the first is
/// over, while nothing is on disk and nobody lingers; and that it goes with the second.
#[test]
fn the_manager_alone_leaves_nothing_on_disk() {
    let (_line, before) = begin();
    argue("session=manager");
    let script = format!("{LIVE}; echo up; {GO}; {LIVE}; srun bash -c '{LIVE}'");
    let [first, second] = [0, 1].map(|_| Batch::of("alice", &script).start());
    first.wait_says("up");
    second.wait_says("up");
    let on_disk = N1.sh("ls -A /var/lib/systemd/linger /var/lib/spank-linger");
    // Up to systemd 252 logind does not know a user whose manager it has not started.
    let lingers = N1.sh("loginctl show-user alice --property=Linger || echo unknown");
    for job in [first, second] {
        let said = job.go_to_its_end().never_says("linger:");
        assert_eq!(said.stdout.matches("running dir=/run/user/1001\n").count(), 3, "{said:#?}");
    }
    N1.is_again(&before);
    assert_eq!(on_disk.stdout, "/var/lib/spank-linger:\n\n/var/lib/systemd/linger:\n");
    assert!(["Linger=no\n", "unknown\n"].contains(&lingers.ok().stdout.as_str()));
}

/// Logs the job's user in on the node, and out.
fn log_in_and_out(user: &str) {
    assert_eq!(Login::of(user, N1).ask("echo $USER"), user);
}

/// Show that logind takes such a session away when its user logs out, that the job's next step has it
/// again, and that the log says so and why; also of a job that has no other step.
#[test]
fn a_logout_under_the_manager_alone_is_noticed() {
    let (_line, before) = begin();
    argue("session=manager");
    N1.sh("truncate --size=0 /var/log/slurm/slurmd.log").ok();
    let steps = Batch::of("alice", &format!("{LIVE}; {GO}; srun bash -c '{LIVE}'")).start();
    let none = Batch::of("bob", &format!("{LIVE}; {GO}")).start();
    steps.wait_says("running dir=");
    none.wait_says("running dir=");
    log_in_and_out("alice");
    log_in_and_out("bob");
    // UserStopDelaySec=10 in logind.conf, the default.
    N1.waits_until("! ls /run/user | grep --quiet '^100[12]$'");
    let said = steps.go_to_its_end();
    none.go_to_its_end();
    assert_eq!(said.stdout, "running dir=/run/user/1001\n".repeat(2));
    N1.is_again(&before);
    let log = N1.log_of(steps.0);
    let why = "logind stops it when the user logs out; session=linger keeps it";
    assert!(log.contains(why) && log.contains("it is opened again"), "{log}");
    let log = N1.sh("grep -F 'linger: uid 1002: close session' /var/log/slurm/slurmd.log").ok();
    log.says("it had ended before its jobs").says("session=linger keeps it");
}

/// Show that confine= caps what it names, and nothing else.
#[test]
fn only_what_is_named_is_capped() {
    let (_line, before) = begin();
    let script = "cd /sys/fs/cgroup/user.slice/user-1001.slice\n\
        echo memory=$(cat memory.max) cpus=$(cat cpuset.cpus)";
    let caps = |arguments| {
        argue(arguments);
        let job = Batch::of("alice", script).with("--mem=100 --cpus-per-task=1").run();
        job.ok().value("memory=")
    };
    assert_eq!(caps("confine=memory"), "104857600 cpus=");
    let cpus = caps("confine=cpus,tasks");
    assert!(["max cpus=0", "max cpus=1"].contains(&cpus.as_str()), "{cpus}");
    N1.is_again(&before);
}

/// Tells when it was asked to end, and goes on to tell that it lives. By itself: what it starts is
/// asked to end, too.
const STUBBORN: &str = "\
    cat >stubborn <<'END'\n\
    now() { read -r now _ </proc/uptime; echo $now; }\n\
    trap 'now >>asked' TERM\n\
    while :; do now >>lived; sleep 0.1; done\n\
    END\n\
    systemd-run --user --scope --quiet setsid --fork bash stubborn\n\
    until [ -s lived ]; do sleep 0.1; done";

/// Show that grace= is what leftovers have between SIGTERM and SIGKILL.
#[test]
fn leftovers_have_the_grace() {
    let (_line, before) = begin();
    argue("grace=15");
    let _files = AtEnd("cd ~alice && rm --force stubborn asked lived".into());
    Batch::of("alice", STUBBORN).start().wait_over();
    N1.is_again(&before);
    let times = N1.sh("cd ~alice && head --lines=1 asked && tail --lines=1 lived").ok().stdout;
    let times: Vec<f32> = times.lines().map(|time| time.parse().expect("a time")).collect();
    let [asked, lived] = times.try_into().expect("two times");
    // Five seconds are the default.
    assert!((10.0..60.0).contains(&(lived - asked)), "asked at {asked} s, lived until {lived} s");
}
