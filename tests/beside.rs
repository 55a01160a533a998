//! What was there before the jobs, and what is there beside them, stays as it is.
// Tests say what they expect by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use cluster_tests::{AtEnd, Batch, GO, Login, N1, QUICK};

/// In a script: run the rest in a scope of the user's manager.
const IN_SCOPE: &str = "systemd-run --user --scope --quiet setsid --fork";

/// Show that a user who is logged in by ssh keeps their shell, their session and
/// what they started there, through jobs that leave something and the last lease.
#[test]
fn a_login_lives_through_all_jobs() {
    N1.configure(QUICK);
    let nobody = N1.snapshot();
    let mut login = Login::of("alice", N1);
    let shell = login.ask("echo $$");
    login.ask(&format!("{IN_SCOPE} sleep 8001 >/dev/null 2>&1; sleep 8002 >/dev/null 2>&1 & echo"));
    login.ask("systemd-run --user --quiet sleep 8003; echo");
    N1.waits_until("pgrep --full 'sleep 8001$'");
    let manager = login.ask("systemctl show --property=MainPID user@1001");
    let before = N1.snapshot();
    let theirs = ["sleep 8001", "sleep 8002", "sleep 8003"].map(|own| N1.pid_of(own));
    assert!(theirs.iter().all(Option::is_some), "{theirs:?}");

    let script = format!("{IN_SCOPE} sleep 8004; echo up; {GO}");
    let [first, last] = [0, 1].map(|_| Batch::of("alice", &script).with("--mem=100").start());
    first.wait_says("up");
    last.wait_says("up");
    let capped = N1.slice(1001, "memory.max");
    first.go_to_its_end();
    last.go_to_its_end();
    N1.sees_the_end_of("sleep 8004");
    N1.is_again(&before);

    assert_eq!(login.ask("echo $$"), shell);
    assert_eq!(login.ask("systemctl show --property=MainPID user@1001"), manager);
    assert_eq!(login.ask("systemctl --user is-active default.target"), "active");
    assert_eq!(["sleep 8001", "sleep 8002", "sleep 8003"].map(|own| N1.pid_of(own)), theirs);
    assert_eq!(N1.slice(1001, "memory.max"), "max");
    drop(login);
    N1.sh("pkill --uid alice; true").ok();
    N1.is_again(&nobody);
    assert_eq!(capped, (200 << 20).to_string(), "a login is no way around the cap");
}

/// Show that of a user who lingered before, their own service stays as it is, and
/// goes what a job started there, by itself or through the user's manager.
#[test]
fn a_service_of_a_lingering_user_stays() {
    const BUS: &str = "export XDG_RUNTIME_DIR=/run/user/1002;";
    N1.configure(QUICK);
    let nobody = N1.snapshot();
    let end = AtEnd("loginctl disable-linger bob; systemctl stop user@1002".to_owned());
    N1.sh("loginctl enable-linger bob; systemctl start user@1002").ok();
    let own = format!("{BUS} systemd-run --user --quiet --unit=own sleep 8101");
    N1.sh_as("bob", &own).ok();
    let before = N1.snapshot();
    let service = N1.pid_of("sleep 8101").expect("it was started");

    // The first is spared with its job, for the sake of the second: its scope has
    // the name of what Podman shares between the containers of a user.
    let spared =
        "systemd-run --user --scope --quiet --unit=podman-pause-x setsid --fork sleep 8105";
    let first = Batch::of("bob", &format!("{spared}; echo up; {GO}")).start();
    first.wait_says("up");
    let script = format!(
        "{IN_SCOPE} sleep 8102; systemd-run --user --quiet --unit=job sleep 8103\n\
         podman run --detach --rm --network=none localhost/busybox sleep 8104; echo up; {GO}"
    );
    let last = Batch::of("bob", &script).with("--mem=100").start();
    last.wait_says("up");
    first.go_to_its_end();
    last.go_to_its_end();
    for left in ["sleep 8102", "sleep 8103", "sleep 8104", "sleep 8105"] {
        N1.sees_the_end_of(left);
    }
    N1.is_again(&before);
    assert_eq!(N1.pid_of("sleep 8101"), Some(service));
    drop(end);
    N1.is_again(&nobody);
}

/// How an admin limits a user's slice, in MB, and takes that back.
struct Limit {
    user: &'static str,
    set: &'static str,
    unset: &'static str,
    mb: u32,
}

const LIMITS: [Limit; 4] = [
    Limit {
        user: "alice",
        set: "systemctl set-property --runtime user-1001.slice MemoryMax=80M",
        unset: "systemctl revert user-1001.slice",
        mb: 80,
    },
    Limit {
        user: "bob",
        set: "systemctl set-property user-1002.slice MemoryMax=70M TasksMax=500",
        unset: "systemctl revert user-1002.slice",
        mb: 70,
    },
    Limit {
        user: "carol",
        set: "mkdir /etc/systemd/system/user-1003.slice.d; printf '[Slice]\\nMemoryMax=90M\\n' \
              >/etc/systemd/system/user-1003.slice.d/x.conf; systemctl daemon-reload",
        unset: "rm -r /etc/systemd/system/user-1003.slice.d; systemctl daemon-reload",
        mb: 90,
    },
    Limit {
        user: "dave",
        set: "systemctl set-property --runtime user-1004.slice MemoryMax=500M",
        unset: "systemctl revert user-1004.slice",
        mb: 500,
    },
];

/// Show that limits that an admin set on a user's slice, in whatever way, are not
/// raised for a job, are lowered where the job has less, and are afterwards as
/// they were.
#[test]
fn limits_of_an_admin_are_kept() {
    N1.configure(QUICK);
    let free = N1.snapshot();
    let undo = LIMITS.map(|limit| {
        N1.sh(limit.set).ok();
        AtEnd(limit.unset.to_owned())
    });
    let before = N1.snapshot();
    let script = "cat /sys/fs/cgroup/user.slice/user-$UID.slice/memory.max; echo up; sleep 600";
    let jobs = LIMITS.map(|limit| (Batch::of(limit.user, script).with("--mem=100").start(), limit));
    for (job, _) in &jobs {
        job.wait_says("up");
    }
    N1.sh("systemctl daemon-reload").ok();
    let printed = jobs.map(|(job, limit)| {
        job.cancel();
        (job.output(), limit)
    });
    N1.is_again(&before);
    drop(undo);
    N1.is_again(&free);
    for (output, limit) in printed {
        output.says(&format!("{}\n", limit.mb.min(100) << 20));
    }
}

/// Show that the end of a session does not take the shared memory from a job of
/// the same user that has none: logind would delete it (RemoveIPC). The session
/// closes with that job.
#[test]
fn shared_memory_of_a_job_without_a_session_stays() {
    N1.configure(QUICK);
    let before = N1.snapshot();
    N1.sh("truncate --size=0 /var/log/slurm/slurmd.log").ok();
    let script = format!(
        "ipcmk --shmem=4711; echo content >/dev/shm/alices; echo up; {GO}\n\
         ipcs --shmems | grep --word-regexp 4711; cat /dev/shm/alices"
    );
    let without = Batch::of("alice", &script).with("--user-session=no").start();
    without.wait_says("up");
    let with = Batch::of("alice", "systemctl --user is-system-running --wait").start();
    with.wait_over();
    with.output().says("running");
    // logind deletes when it forgets the user, 10 s after the session.
    N1.sh("for i in $(seq 60); do loginctl show-user alice >/dev/null || exit 0; sleep 0.2; done");
    let without = without.go_to_its_end().says(" 4711 ").says("content");
    N1.is_again(&before);
    without.never_says("No such file");
    N1.sh("cat /var/log/slurm/slurmd.log").ok().says("put off").says("RemoveIPC");
}

/// Show that the same end takes what the job itself left there, if there is no
/// other job.
#[test]
fn shared_memory_of_a_job_goes_with_its_session() {
    N1.configure(QUICK);
    let before = N1.snapshot();
    // No `sbatch --wait`: it is a process of alice's outside the session.
    let job = Batch::of("alice", "ipcmk --shmem=4711; echo content >/dev/shm/alices; echo up");
    let job = job.start();
    job.wait_over();
    job.output().says("up");
    N1.is_again(&before);
}
