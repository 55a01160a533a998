//! A crash at each point of what the plugin does, by a build that can be killed
//! there: what is left is repaired by whoever comes next.
// Tests say what they expect by panicking.
#![allow(clippy::expect_used, missing_docs)]

use std::path::PathBuf;
use std::time::UNIX_EPOCH;

use cluster_tests::{
    AtEnd, Batch, GO, N1, QUICK, RESTART, epilog_of, has_own_sessions, hears, many,
};

/// Whom to kill, and at which of its points (session/src/outside/crash.rs).
const ORDER: &str = "/run/linger-crash";

/// More than there are.
const MOST: u32 = 200;

/// Has the node run the build that can be killed, until the end of the test.
fn with_crash_points() -> AtEnd {
    const PLUGIN: &str = "/root/crash.so";
    let built = std::env::var_os("LINGER_CRASH_PLUGIN").expect("run with 'cargo xtask test'");
    let end = AtEnd(format!(
        "rm --force {ORDER} {ORDER}.done; [ ! -e {PLUGIN}.kept ] || linger-node-plugin <{PLUGIN}.kept; \
         scontrol update nodename=n1 state=resume"
    ));
    N1.put(&PathBuf::from(built), PLUGIN);
    let installed = "$(find /usr/lib -path '*/slurm*' -name spank_linger.so)";
    N1.sh(&format!("cp {installed} {PLUGIN}.kept && linger-node-plugin <{PLUGIN}")).ok();
    end
}

/// `slurmstepd spank` for a job of alice's, as slurmd calls it.
fn spank(what: &str, job: u32) -> String {
    format!(
        "SLURM_CONF=/etc/slurm/slurm.conf SLURM_JOBID={job} SLURM_UID=1001 SLURM_JOB_GID=1001 \
         timeout 200 slurmstepd spank {what} </dev/null 2>&1"
    )
}

/// Has `role` be killed at its point `number` while `script` runs. Answers whether
/// it came that far.
fn killed_at(role: &str, number: u32, script: &str) -> bool {
    let armed = format!("rm --force {ORDER}.done; echo {role} {number} >{ORDER}; {script}\n");
    N1.sh(&format!("{armed}rm --force {ORDER}; [ -e {ORDER}.done ] && echo killed || true"))
        .ok()
        .stdout
        .contains("killed")
}

/// Runs `at` with 1, 2 and so on until it says that nobody was killed. An ordinary run takes every third, others each
/// day.
fn each_point(least: u32, at: impl Fn(u32) -> bool) {
    let stride = many(3, 1);
    let days = UNIX_EPOCH.elapsed().expect("a clock").as_secs() / (24 * 60 * 60);
    let first = 1 + u32::try_from(days % u64::from(stride)).expect("a small number");
    let points = (first..MOST).step_by(stride as usize).take_while(|number| at(*number)).count();
    println!("killed at {points} points, from {first} on, each {stride}");
    assert!(points >= (least / stride) as usize, "only {points} points");
}

/// Show that a prolog that is killed, wherever that is, leaves what its epilog
/// repairs, or the start of slurmd where no epilog comes.
#[test]
fn a_prolog_killed_anywhere_is_repaired() {
    N1.configure(QUICK);
    let _end = with_crash_points();
    let before = N1.snapshot();
    each_point(12, |number| {
        let was_killed = killed_at("prolog", number, &spank("prolog", 9001));
        let repair = match number % 2 {
            0 => RESTART.to_owned(),
            _ => spank("epilog", 9001),
        };
        N1.sh(&repair).ok();
        N1.is_again(&before);
        was_killed
    });
}

/// Show that a plugin that is replaced while a job runs reads what the one before
/// it wrote: the job's later steps have its session, and nothing is left.
#[test]
fn an_upgrade_under_a_job_goes_unnoticed() {
    N1.configure(QUICK);
    let before = N1.snapshot();
    let live = "systemctl --user is-active basic.target";
    let job = Batch::of("carol", &format!("echo up; {GO}\nsrun {live} && echo live again")).start();
    job.wait_says("up");
    let record = format!("/run/spank-linger/1003/{}", job.0);
    if has_own_sessions() {
        // As a build wrote it that made pause processes for jobs that were not alone.
        let now = "s/,\"is_ready\"/,\"pause\":\"Made\"&/w /dev/stdout";
        N1.sh(&format!("sed -i '{now}' {record}.own")).ok().says("Made");
    } else {
        // As a version wrote it that knew one kind of session.
        N1.sh(&format!("sed -i 's/,\"kind\":\"shared\"//w /dev/stdout' {record}"))
            .ok()
            .says("open");
    }
    let _end = with_crash_points();
    N1.sh(RESTART).ok();
    job.go_to_its_end().says("live again");
    N1.is_again(&before);
}

/// Show that an epilog that is killed, wherever that is, is made up for by the
/// next epilog of the user. Slurm itself drains the node for it.
#[test]
fn an_epilog_killed_anywhere_is_repaired() {
    N1.configure(QUICK);
    let _end = with_crash_points();
    let before = N1.snapshot();
    let next = spank("epilog", 9002);
    each_point(15, |number| {
        let job = Batch::of("alice", "setsid --fork sleep 7001; echo up; sleep 900").start();
        job.wait_says("up");
        let hears = hears("slurmd", &epilog_of(&job.0.to_string()));
        let wait = format!("while {hears}; [ -n \"$(squeue --noheader)\" ]; do :; done");
        let was_killed = killed_at("epilog", number, &format!("scancel {}; {wait}", job.0));
        N1.sh("scontrol update nodename=n1 state=resume");
        N1.sh(&next).ok();
        N1.is_again(&before);
        was_killed
    });
}

/// Show that a slurmstepd of a job that is killed, wherever that is, leaves
/// nothing behind when the job is over, and no node down. A slurmd whose extern
/// step is killed at its beginning waits for it for ever (24.11): it is killed too,
/// runs no epilog then, and sweeps at its next start.
#[test]
fn a_step_killed_anywhere_leaves_nothing() {
    N1.configure(QUICK);
    let _end = with_crash_points();
    let before = N1.snapshot();
    for (role, least) in [("extern", 4), ("step", 1)] {
        each_point(least, |number| {
            let end = epilog_of("$id");
            let ends = hears("slurmd", &end);
            let run = format!(
                "cd /; id=$(sbatch --parsable --uid=bob --output=/dev/null --wrap='sleep 1'); \
                over() {{ [ -z \"$(squeue --noheader)\" ]; }}; \
                until [ -e $done ] || tail --bytes=50000 /var/log/slurm/slurmd.log | \
                    grep --quiet --extended-regexp '{end}'; do pause 0.3; done; \
                over || scancel $id; for i in 1 2; do over && break; {ends}; done; over || {{ \
                pkill -KILL -x slurmd; {RESTART}; \
                for state in down resume; do scontrol update nodename=n1 reason=test state=$state; done; \
                until over; do pause 0.5; done; {RESTART}; }} 2>/dev/null"
            );
            let was_killed = killed_at(role, number, &format!("done={ORDER}.done; {run}"));
            N1.settles();
            N1.is_again(&before);
            was_killed
        });
    }
}
