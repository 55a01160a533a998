//! Nothing outlives the job, and nothing else is ended with it.
// Tests say what they expect by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use cluster_tests::{AtEnd, Batch, GO, N1, Node, OPTIONAL, Output, QUICK, Started};

/// A job that only holds the user's session.
fn keeper(user: &str) -> Started {
    Batch::of(user, "echo up; sleep 900").start()
}

/// Podman finds what ended with a session in order, and removes it.
fn forget_containers() {
    podman_forgets().ok().never_says("level=");
}

/// What tests before have left is another matter: Podman 4.3 complains of containers that were killed
/// for their memory.
fn podman_forgets() -> Output {
    Batch::of("alice", "podman rm --all --force").with("--mem=100").run()
}

/// Show that a detached container ends with its job, Podman's own state included,
/// while that of the user's other job lives on until its own job ends.
#[test]
fn a_container_ends_with_its_job_and_with_no_other() {
    N1.configure(QUICK);
    podman_forgets();
    N1.settles();
    let before = N1.snapshot();
    // No name of hexadecimal digits: --replace would take the other's id for it.
    let detach = |name: &str, seconds: u32| {
        format!(
            "podman run --detach --replace --name={name} --network=none localhost/busybox \
             sleep {seconds} && echo up\n{GO}\n"
        )
    };
    // From a task's own cgroup, where Podman stays, no process can be moved into a container's.
    let in_scope = "systemd-run --user --scope --quiet ";
    let after = "podman exec yours echo exec works\n\
        exited() { podman ps --all --format '{{.Names}}: {{.Status}}' | grep '^mine: Exited'; }\n\
        for i in $(seq 50); do exited && break; sleep 0.2; done\n\
        podman run --rm --network=none localhost/busybox echo the next runs";
    let one = Batch::of("alice", &detach("mine", 3001)).with("--mem=100").start();
    one.wait_says("up");
    let other = Batch::of("alice", &format!("{}{in_scope}{after}", detach("yours", 3002)))
        .with("--mem=100");
    let other = other.start();
    other.wait_says("up");
    let yours = N1.pid_of("sleep 3002").expect("it is up");

    one.go_to_its_end();
    N1.sees_the_end_of("sleep 3001");
    assert_eq!(N1.pid_of("sleep 3002"), Some(yours), "the other job's container was ended");

    let other = other.go_to_its_end().says("exec works").says("mine: Exited").says("the next runs");
    other.never_says("level=");
    N1.is_again(&before);
    forget_containers();
}

/// A job of `user` with a detached container and a daemon in a scope, that goes
/// on with `end`. What it leaves is named by the user's id.
fn forgetful(user: &str, uid: u32, end: &str) -> Batch {
    let script = format!(
        "podman run --detach --rm --network=none localhost/busybox sleep 40{uid} >/dev/null\n\
         systemd-run --user --scope --quiet setsid --fork sleep 41{uid}\n\
         echo up $SLURM_RESTART_COUNT; {GO}\n{end}"
    );
    Batch::of(user, &script).with("--mem=100 --requeue --open-mode=append")
}

fn leaves_nothing(node: Node, uid: u32) {
    node.sees_the_end_of(&format!("sleep 40{uid}"));
    node.sees_the_end_of(&format!("sleep 41{uid}"));
}

/// Show that a job leaves nothing however it ends: by its time limit, by scancel,
/// killed for its memory, or requeued. The session itself stays, for another job.
#[test]
fn however_a_job_ends_it_leaves_nothing() {
    const PEOPLE: [(&str, u32); 4] =
        [("alice", 1001), ("bob", 1002), ("carol", 1003), ("dave", 1004)];
    N1.configure(QUICK);
    let before = N1.snapshot();
    let keepers = PEOPLE.map(|(user, _)| keeper(user));
    // Slurm 20.11 holds no job to its memory.
    let (killed, as_killed) = match N1.slurm().as_str() {
        "20.11" => ("kill -KILL $$", "FAILED"),
        _ => ("exec tail /dev/zero", "OUT_OF_MEMORY"),
    };
    let jobs = PEOPLE.map(|(user, uid)| {
        let end = if user == "carol" { killed } else { "sleep 900" };
        forgetful(user, uid, end).start()
    });
    let [late, cancelled, greedy, again] = jobs;
    // A limit in minutes would be one; Slurm looks at limits every 30 s.
    late.wait_says("up");
    N1.sh(&format!("scontrol update jobid={} endtime=now+1", late.0)).ok();
    for job in jobs {
        job.wait_says("up");
        job.go();
    }

    N1.sh(&format!("scontrol requeue {}", again.0)).ok();
    cancelled.cancel();
    leaves_nothing(N1, 1002);
    greedy.wait_over();
    leaves_nothing(N1, 1003);
    again.wait_pending();
    leaves_nothing(N1, 1004);
    // A requeued job would wait for two minutes.
    N1.sh(&format!("scontrol update jobid={} starttime=now", again.0)).ok();
    again.wait_says("up 1");
    assert!(N1.runs("sleep 401004"), "the requeued job has no container: {:?}", again.output());
    again.cancel();
    leaves_nothing(N1, 1004);
    late.wait_over();
    leaves_nothing(N1, 1001);

    let states = [late, cancelled, greedy].map(Started::state);
    assert_eq!(states, ["TIMEOUT", "CANCELLED", as_killed]);
    for keeper in keepers {
        keeper.cancel();
    }
    N1.is_again(&before);
}

/// Leaves Slurm's cgroup in every way there is, and the job with it.
const FORKS: &str = r#"
out() { systemd-run --user --scope --quiet "$@"; }
out setsid --fork sleep 5001
out sh -c '(sleep 5002 & ) & '
out nohup sleep 5003 &
out sh -c 'trap "" TERM HUP; exec sleep 5004' &
podman run --detach --restart=always --network=none localhost/busybox sleep 5005 >/dev/null
podman run --detach --network=none localhost/busybox \
    sh -c 'trap "" TERM; (sleep 5006 & ); while :; do sleep 1; done' >/dev/null
systemd-run --user --quiet sleep 5007
for i in $(seq 5001 5007); do
    until pgrep --full "sleep $i\$" >/dev/null; do sleep 0.1; done
done
echo up
"#;

/// Show that what a step forked away is gone after the job, whatever it did to
/// stay, and that a unit of the user manager ends with the last job.
#[test]
fn a_step_cannot_fork_away() {
    N1.configure(QUICK);
    podman_forgets();
    N1.settles();
    let before = N1.snapshot();
    let keeper = keeper("alice");
    keeper.wait_says("up");
    Batch::of("alice", FORKS).with("--mem=200").run().ok().says("up");
    for i in 5001..=5006 {
        N1.sees_the_end_of(&format!("sleep {i}"));
    }
    assert!(N1.runs("sleep 5007"), "the manager's unit ended before the last job");
    keeper.cancel();
    N1.is_again(&before);
    forget_containers();
}

/// Has a `sleep` in a cgroup so far below its own that no path names it: a path
/// has 4095 bytes at most, and the names of these cgroups 6000.
const DEEP: &str = r#"
program=$(mktemp)
cat >$program <<'END'
open my $cgroups, '<', '/proc/self/cgroup';
my ($own) = <$cgroups> =~ /^0::(.*)/;
chdir "/sys/fs/cgroup$own" or die "$own: $!";
if (fork) { exec 'sleep', 'infinity' if $ARGV[1]; exit }
my $name = 'x' x 200;
for (1..30) { mkdir $name and chdir $name or die "$_: $!" }
open my $procs, '>', 'cgroup.procs';
syswrite $procs, '0' or die "move: $!";
exec 'sleep', $ARGV[0];
END
systemd-run --user --scope --quiet perl $program 5101
systemd-run --user --quiet perl $program 5102 stays
for i in 5101 5102; do until pgrep --full "sleep $i\$" >/dev/null; do sleep 0.1; done; done
echo up
"#;

/// Show that a process whose cgroup is too far down for a path ends with its job,
/// or with the user's last job where the manager started it, and is in nobody's
/// way then.
#[test]
fn no_cgroup_is_too_deep() {
    N1.configure(QUICK);
    let before = N1.snapshot();
    // What is left would be in the way of the tests that follow, too.
    let top = "/sys/fs/cgroup/user.slice/user-1001.slice/user@1001.service";
    let _end = AtEnd(format!(
        "pkill --signal=KILL --full 'sleep 510[12]$'; sleep 0.5; \
         find {top} -depth -type d -name 'xxxx*' -delete"
    ));
    let keeper = keeper("alice");
    keeper.wait_says("up");
    Batch::of("alice", DEEP).run().ok().says("up");
    N1.sees_the_end_of("sleep 5101");
    assert!(N1.runs("sleep 5102"), "the manager's unit ended before the last job");
    keeper.cancel();
    N1.sees_the_end_of("sleep 5102");
    N1.is_again(&before);
    Batch::of("alice", "systemctl --user is-system-running --wait").run().ok().says("running");
    N1.is_again(&before);
}

/// Show that leftovers=keep keeps them as long as the user has a job.
#[test]
fn leftovers_are_kept_if_the_admin_says_so() {
    N1.configure("optional spank_linger.so log_level=debug timeout=120 leftovers=keep");
    let before = N1.snapshot();
    let keeper = keeper("alice");
    keeper.wait_says("up");
    forgetful("alice", 1001, "exit").start().go_to_its_end().says("up");
    let job = Batch::of("alice", "true").run();
    let kept = ["sleep 401001", "sleep 411001"].map(|left| N1.runs(left));
    assert_eq!(kept, [true, true], "{job:?}");
    keeper.cancel();
    N1.is_again(&before);
}

/// Show that a session that does not stop by itself is ended within the grace
/// and a few seconds, and that this is no error.
#[test]
fn a_stubborn_session_is_closed_in_time() {
    N1.configure(OPTIONAL);
    let before = N1.snapshot();
    let stubborn = "systemd-run --user --quiet sh -c 'trap \"\" TERM; while :; do sleep 1; done'\n\
        systemd-run --user --quiet sh -c 'trap \"\" TERM; exec sleep 6001'\n\
        until pgrep --full 'sleep 6001$'; do sleep 0.1; done; echo up";
    let job = Batch::of("alice", &format!("{stubborn}; {GO}")).start();
    job.wait_says("up");
    job.go_to_its_end();
    N1.is_again(&before);
    let log = N1.log_of(job.0);
    let took = log.split("close session: done in ").nth(1).and_then(|rest| rest.split(' ').next());
    let took: u32 = took.and_then(|ms| ms.parse().ok()).expect(&log);
    // systemd alone would take 90 s.
    assert!(took < 60_000, "the session took {took} ms to close");
    assert!(!log.to_lowercase().contains("error"), "{log}");
}

/// Show that without audit ids leftovers live until the last job ends, and that
/// this is said once. A kernel that has none is not to be had: here the file that
/// gives them cannot be written.
#[test]
fn without_audit_ids_leftovers_end_with_the_last_job() {
    const DROP_IN: &str = "/run/systemd/system/slurmd.service.d/audit.conf";
    let restart = "systemctl daemon-reload; systemctl restart slurmd";
    N1.configure(QUICK);
    let before = N1.snapshot();
    let end = AtEnd(format!("rm --force {DROP_IN}; {restart}"));
    N1.sh(&format!(
        "mkdir --parents $(dirname {DROP_IN}); printf '[Service]\\nReadOnlyPaths=/proc\\n' >{DROP_IN}\n\
         truncate --size=0 /var/log/slurm/slurmd.log; {restart}"
    ))
    .ok();
    let keeper = keeper("alice");
    keeper.wait_says("up");
    let daemon = "systemd-run --user --scope --quiet setsid --fork sleep 7001";
    Batch::of("alice", &format!("cat /proc/self/sessionid; {daemon}")).run().says("4294967295");
    Batch::of("alice", "srun true; srun true").run().ok();
    let lived = N1.runs("sleep 7001");
    keeper.cancel();
    N1.sees_the_end_of("sleep 7001");
    let told = N1.sh("grep 'linger: .* audit' /var/log/slurm/slurmd.log").stdout;
    drop(end);
    N1.is_again(&before);
    assert!(lived, "what tells it from the other job's?");
    assert_eq!(told.lines().count(), 1, "{told}");
}
