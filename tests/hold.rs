//! Slurm's hold: its signals reach what runs in a job, and the job ends when Slurm says so.
// Tests say what they expect by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use cluster_tests::{Batch, GO, N1, Output, QUICK, Started, as_user, epilog_of, hears, skipped};

/// A container that says which signal it got, in a file, as nobody may read its output any more; and ends with
/// 3 after a SIGTERM.
const TRAPS: &str = r#"said=/tmp/said.$SLURM_JOB_ID; touch $said
traps='trap "echo got TERM >>/said; exit 3" TERM; trap "echo got USR1 >>/said" USR1
    echo inside >>/said; while :; do sleep 1; done'
box="podman run --rm --network=none --volume=$said:/said"
image=localhost/busybox
"#;

/// Slurm's own. With the 5 s of the test nodes an emulated Podman is killed as it removes a container.
const KILL_WAIT: &str = "KillWait=30";

/// What is over later than this, in seconds, was not in Slurm's hold: 15 s more than KillWait.
const PROMPT_S: u32 = 45;

/// Where KillWait is 5 s, and nothing that hears a signal is there to wait for: without us it takes 67 s.
const MOVED_S: u32 = 30;

/// With a job of alice's that holds the session and has Podman's pause process in it: without one the first
/// Podman forks, and Slurm's child stays where it was.
fn with_pause_process(work: impl FnOnce()) {
    N1.configure(QUICK);
    let before = N1.snapshot();
    N1.with_slurm_conf(&[KILL_WAIT], || {
        let pauses = "podman run --rm --network=none localhost/busybox true; echo up; sleep 1800";
        let keeper = Batch::of("alice", pauses).with("--mem=100").start();
        keeper.wait_says("up");
        assert!(
            N1.sh("pgrep --uid alice --full 'podman|catatonit|sleep infinity'").succeeded(),
            "no pause process"
        );
        work();
        keeper.cancel();
        N1.is_again(&before);
    });
    let list = "podman ps --all --noheading --format '{{.ID}} {{.Status}}'";
    // Podman repairs on its next call what it could not finish when it was killed.
    let _ = Batch::of("alice", "podman rm --all --force").with("--mem=100").run();
    let books = Batch::of("alice", list).with("--mem=100").run().ok();
    assert_eq!(books.never_says("level=").stdout, "", "Podman's books");
    N1.is_again(&before);
}

fn started(script: &str, options: &str) -> Started {
    Batch::of("alice", &format!("{TRAPS}{script}")).with(&format!("--mem=150 {options}")).start()
}

/// A container.
const STEP: &str = "srun $box $image sh -c \"$traps\"";

/// Waits until a job's containers have said that so often.
fn waits_for(job: Started, text: &str, count: usize) {
    let file = format!("/tmp/said.{}", job.0);
    let said = format!("\"$(grep --no-messages --count '{text}' {file})\"");
    N1.waits_until(&format!("[ {said} -ge {count} ]"));
}

/// What the job's containers said, and then the job.
fn said(job: Started) -> Output {
    N1.sh(&format!("cat /tmp/said.{0}; rm /tmp/said.{0}; cat /tmp/out.{0}", job.0)).ok()
}

/// Has `act` done to a job, which is over, or back in the queue, soon after it; the node is not drained
/// for it.
fn ends_promptly(job: Started, act: &str) {
    ends_within(PROMPT_S, job, act);
}

fn ends_within(seconds: u32, job: Started, act: &str) {
    let id = job.0;
    let epilog = hears("slurmd", &epilog_of(&id.to_string()));
    let over = format!(
        "{act} || exit 1; begin=$(date +%s)\n\
         for i in $(seq 500); do \
             {epilog}; state=$(squeue --noheader --jobs={id} --format=%T 2>/dev/null); \
             case $state in ''|PENDING) break;; esac; done\n\
         echo took=$(($(date +%s) - begin)); sinfo --noheader --format=%T%E"
    );
    let said = N1.sh(&over).ok().never_says("drain");
    let took: u32 = said.value("took=").parse().unwrap();
    assert!(took <= seconds, "took {took} s: {said:#?}{:#?}", job.output());
}

/// Show that what Slurm sends reaches the container of a `podman run` that Slurm started itself: scancel of
/// the job and of a step, a signal, a warning before the time limit, the limit, a requeue; as a step's task,
/// as each of two, and as the batch script.
#[test]
fn signals_reach_the_container() {
    with_pause_process(|| {
        let two = "srun --ntasks=2 --overcommit $box $image sh -c \"$traps\"";
        let first = "srun $box $image sh -c 'echo inside >>/said; exec sleep 8001'; echo next=$?.";
        let stepped = format!("{first}; {GO}\n{STEP}; echo then=$?.");
        let exec = "exec $box $image sh -c \"$traps\"";
        let cancelled = [(STEP, 1, ""), (exec, 1, "--batch"), (two, 2, "")];
        let cancelled =
            cancelled.map(|(script, count, to)| (started(script, ""), script, count, to));
        let [stepped, late] =
            [stepped.as_str(), STEP].map(|script| started(script, "--no-requeue"));
        let [again, warned] =
            ["--requeue", "--signal=TERM@60 --time=60"].map(|options| started(STEP, options));
        // Who starts has the CPU that who is to end needs.
        let others = [stepped, late, again, warned].map(|job| (job, 1));
        for (job, count) in
            cancelled.map(|(job, _, count, _)| (job, count)).into_iter().chain(others)
        {
            waits_for(job, "inside", count);
        }
        // Slurm looks at limits every 30 s.
        N1.sh(&format!("scontrol update jobid={} endtime=now+70", warned.0)).ok();
        for (job, script, count, to) in cancelled {
            N1.sh(&format!("scancel --signal=USR1 {to} {}", job.0)).ok();
            waits_for(job, "got USR1", count);
            ends_promptly(job, &format!("scancel {}", job.0));
            let said = said(job);
            assert_eq!(said.stdout.matches("got TERM").count(), count, "{script}: {said:#?}");
            assert_eq!(job.state(), "CANCELLED", "{script}");
        }
        ends_promptly(again, &format!("scontrol requeue {}", again.0));
        again.cancel();
        said(again).says("got TERM");
        is_cancelled_by_its_steps(stepped);
        let looks = hears("slurmctld", &format!("exhausted for JobId={}\\b", late.0));
        let limit = format!(
            "scontrol update jobid={0} endtime=now+1; \
             until squeue --noheader --jobs={0} --states=CG,TO | grep --quiet .; do {looks}; done",
            late.0
        );
        ends_promptly(late, &limit);
        assert_eq!(late.state(), "TIMEOUT");
        said(late).says("got TERM");
        warned.wait_over();
        assert_eq!(warned.state(), "FAILED", "Podman ends with 3");
        said(warned).says("got TERM");
    });
}

/// Slurm kills the task of a step that is cancelled alone: the container ends with it, and the script goes on.
/// The exit status of another step is Podman's.
fn is_cancelled_by_its_steps(job: Started) {
    N1.sh(&format!("scancel {}.0", job.0)).ok();
    job.wait_says("next=137.");
    N1.sees_the_end_of("sleep 8001");
    job.go();
    waits_for(job, "inside", 2);
    ends_promptly(job, &format!("scancel --signal=TERM {}.1", job.0));
    assert_eq!(job.state(), "COMPLETED");
    said(job).says("got TERM").says("then=3.");
}

/// Show that a container on a terminal hears the signal, and ends with its job.
#[test]
fn a_terminal_ends_with_its_job() {
    with_pause_process(|| {
        let script = as_user(
            "alice",
            "said=/tmp/said.tty; rm -f $said; touch $said\n\
             (until grep --quiet inside $said; do sleep 0.3; done; \
              scancel $(squeue --noheader --name=tty --format=%A)) >/dev/null 2>&1 &\n\
             cat >~/tty.sh <<'END'\n\
             trap 'echo got TERM >>/said; exit 3' TERM; tty >>/said; echo inside >>/said\n\
             while :; do sleep 1; done\n\
             END\n\
             timeout 100 script --quiet --return --command \"srun --job-name=tty --mem=150 --pty \
                 podman run --rm --network=none -it --volume=$said:/said --volume=$HOME/tty.sh:/tty.sh \
                 localhost/busybox sh /tty.sh\" /dev/null </dev/null >/dev/null\n\
             echo ended; cat $said; rm -f $said ~/tty.sh",
        );
        N1.sh(&script).ok().says("/dev/pts/").says("got TERM").says("ended");
        assert!(!N1.state().contains("drain"));
    });
}

/// Show that a task that moves itself into the session does not hold its job's end up, and that the node is
/// not drained for it.
#[test]
fn a_task_that_moves_itself_ends_with_its_job() {
    if N1.slurm() == "22.05" {
        return skipped("up to Slurm 23.11 the extern step does not wait for the others");
    }
    N1.configure(QUICK);
    let before = N1.snapshot();
    let jobs = [
        (8101, "exec systemd-run --user --scope --quiet sleep 8101"),
        (8102, "srun systemd-run --user --scope --quiet sleep 8102"),
        (8103, "exec systemd-run --user --scope --quiet sh -c 'trap \"\" TERM; exec sleep 8103'"),
    ]
    .map(|(number, script)| (number, Batch::of("alice", script).start()));
    for (number, job) in jobs {
        N1.waits_until(&format!("pgrep --full '^([^ ]*/)?sleep {number}$'"));
        ends_within(MOVED_S, job, &format!("scancel {}", job.0));
        assert!(!N1.runs(&format!("sleep {number}")), "{:?}", job.output());
    }
    N1.is_again(&before);
}

/// Show that the cgroup of a task is the user's to have and of no use to them: nothing is made in it, no file
/// in it is theirs, and it goes with the job.
#[test]
fn the_cgroup_of_a_task_is_of_no_other_use() {
    N1.configure(QUICK);
    let before = N1.snapshot();
    let script = "own=/sys/fs/cgroup$(sed 's/^0:://' /proc/self/cgroup)\n\
        echo owner=$(stat --format=%U $own).; mkdir $own/x 2>/dev/null && echo made.\n\
        find $own -type f -user alice | sed 's/^/file: /'; for file in $own/cgroup.procs $own/memory.max; do \
            (echo max >$file) 2>/dev/null && echo \"wrote $file.\"; done\n\
        case $own in /sys/fs/cgroup/system.slice/*/user/task_*) echo at home.;; esac";
    let job =
        Batch::of("alice", &format!("{script}; srun bash -c '{}'", script.replace('\'', "'\\''")))
            .start();
    job.wait_over();
    let said = job.output().never_says("made.").never_says("file:").never_says("wrote");
    assert_eq!(said.stdout.matches("owner=alice.\n").count(), 2, "{said:#?}");
    assert_eq!(said.stdout.matches("at home.\n").count(), 2, "{said:#?}");
    N1.is_again(&before);
    N1.sh(&format!(
        "! ls -d /sys/fs/cgroup/system.slice/*slurmstepd.scope/job_{} 2>/dev/null",
        job.0
    ))
    .ok();
}
