//! Slurm's hold: its signals reach what runs in a job, and the job ends when Slurm says so.
// Tests say what they expect by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use cluster_tests::{Batch, GO, N1, Output, QUICK, Started, as_user, skipped};

/// A container that says which signal it got, in a file, as nobody may read its output any more; and ends with
/// 3 after a SIGTERM.
const TRAPS: &str = r#"said=/tmp/said.$SLURM_JOB_ID; touch $said
traps='trap "echo got TERM >>/said; exit 3" TERM; trap "echo got USR1 >>/said" USR1
    echo inside >>/said; while :; do sleep 0.2; done'
box="podman run --rm --network=none --volume=$said:/said"
image=localhost/busybox
"#;

/// Slurm's KillWait on the test nodes is 5 s: what is over later than this was not in Slurm's hold.
const PROMPT_S: u32 = 20;

/// A job of alice's that holds the session and has Podman's pause process in it: without one the first
/// Podman forks, and Slurm's child stays where it was.
fn with_pause_process(work: impl FnOnce()) {
    N1.configure(QUICK);
    let before = N1.snapshot();
    let pauses =
        "podman run --rm --network=none localhost/busybox true; podman ps; echo up; sleep 1800";
    let keeper = Batch::of("alice", pauses).with("--mem=100").start();
    keeper.wait_says("up");
    // Podman 3.0 calls it so on its command line, the others by their argument.
    assert!(N1.sh("pgrep --uid alice --full 'podman|catatonit'").succeeded(), "no pause process");
    work();
    keeper.cancel();
    N1.is_again(&before);
    let books = Batch::of("alice", "podman ps --all --noheading --format '{{.ID}} {{.Status}}'")
        .with("--mem=100")
        .run();
    assert_eq!(books.ok().never_says("level=").stdout, "", "Podman's books");
    N1.is_again(&before);
}

fn traps(script: &str) -> Batch {
    Batch::of("alice", &format!("{TRAPS}{script}")).with("--mem=150")
}

/// A container.
const STEP: &str = "srun $box $image sh -c \"$traps\"";

fn started(script: &str, options: &str) -> Started {
    let job = traps(script).with(options).start();
    waits_for(job, "inside", 1);
    job
}

/// Waits until its containers have said that so often.
fn waits_for(job: Started, text: &str, count: usize) {
    let file = format!("/tmp/said.{}", job.0);
    N1.waits_until(&format!("[ \"$(grep --no-messages --count '{text}' {file})\" -ge {count} ]"));
}

/// What the job's containers said, and then the job.
fn said(job: Started) -> Output {
    N1.sh(&format!("cat /tmp/said.{0}; rm /tmp/said.{0}; cat /tmp/out.{0}", job.0)).ok()
}

/// Has `act` done to a job, which is over, or back in the queue, soon after it; the node is not drained
/// for it.
fn ends_promptly(job: Started, act: &str) {
    let id = job.0;
    let over = format!(
        "{act} || exit 1; begin=$(date +%s)\n\
         for i in $(seq 500); do \
             state=$(squeue --noheader --jobs={id} --format=%T 2>/dev/null); \
             case $state in ''|PENDING) break;; esac; sleep 0.2; done\n\
         echo took=$(($(date +%s) - begin)); sinfo --noheader --format=%T%E"
    );
    let said = N1.sh(&over).ok().never_says("drain");
    let took: u32 = said.value("took=").parse().unwrap();
    assert!(took <= PROMPT_S, "took {took} s: {said:#?}{:#?}", job.output());
}

/// Show that scancel reaches a container that is a step's task, that is the batch script itself, and each
/// of a step's tasks.
#[test]
fn scancel_reaches_the_container() {
    with_pause_process(|| {
        for (script, count) in [
            (STEP, 1),
            ("exec $box $image sh -c \"$traps\"", 1),
            ("srun --ntasks=2 --overcommit $box $image sh -c \"$traps\"", 2),
        ] {
            let job = traps(script).start();
            waits_for(job, "inside", count);
            ends_promptly(job, &format!("scancel {}", job.0));
            let said = said(job);
            assert_eq!(said.stdout.matches("got TERM").count(), count, "{script}: {said:#?}");
            assert_eq!(job.state(), "CANCELLED", "{script}");
        }
    });
}

/// Show that the time limit and a requeue reach it.
#[test]
fn the_end_that_slurm_sets_reaches_the_container() {
    with_pause_process(|| {
        let [late, again] = ["--no-requeue", "--requeue"].map(|options| started(STEP, options));
        ends_promptly(again, &format!("scontrol requeue {}", again.0));
        again.cancel();
        said(again).says("got TERM");
        // Slurm looks at limits every 30 s.
        let limit = format!(
            "scontrol update jobid={0} endtime=now+1; \
             until squeue --noheader --jobs={0} --states=CG,TO | grep --quiet .; do sleep 0.2; done",
            late.0
        );
        ends_promptly(late, &limit);
        assert_eq!(late.state(), "TIMEOUT");
        said(late).says("got TERM");
    });
}

/// Show that a step is cancelled alone: Slurm kills its task, and the container ends with it, while the script
/// goes on. And that Podman's exit status is the step's.
#[test]
fn a_step_is_cancelled_alone() {
    with_pause_process(|| {
        let first = "srun $box $image sh -c 'echo inside >>/said; exec sleep 8001'; echo next=$?.";
        let job = started(&format!("{first}; {GO}\n{STEP}; echo then=$?."), "");
        N1.sh(&format!("scancel {}.0", job.0)).ok();
        job.wait_says("next=137.");
        N1.sees_the_end_of("sleep 8001");
        job.go();
        waits_for(job, "inside", 2);
        ends_promptly(job, &format!("scancel --signal=TERM {}.1", job.0));
        assert_eq!(job.state(), "COMPLETED");
        said(job).says("got TERM").says("then=3.");
    });
}

/// Show that a signal that a user asks for reaches the container, at once and before the time limit.
#[test]
fn a_signal_that_was_asked_for_reaches_the_container() {
    with_pause_process(|| {
        let [asked, warned] =
            ["", "--signal=TERM@60 --time=60"].map(|options| started(STEP, options));
        N1.sh(&format!(
            "scontrol update jobid={} endtime=now+70; scancel --signal=USR1 {}",
            warned.0, asked.0
        ))
        .ok();
        waits_for(asked, "got USR1", 1);
        ends_promptly(asked, &format!("scancel {}", asked.0));
        said(asked).says("got TERM");
        waits_for(warned, "got TERM", 1);
        warned.wait_over();
        assert_eq!(warned.state(), "FAILED", "Podman ends with 3: {:?}", said(warned));
    });
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
             while :; do sleep 0.2; done\n\
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
    for (number, script) in [
        (8101, "exec systemd-run --user --scope --quiet sleep 8101"),
        (8102, "srun systemd-run --user --scope --quiet sleep 8102"),
        (8103, "exec systemd-run --user --scope --quiet sh -c 'trap \"\" TERM; exec sleep 8103'"),
    ] {
        let job = Batch::of("alice", script).start();
        N1.waits_until(&format!("pgrep --full '^([^ ]*/)?sleep {number}$'"));
        ends_promptly(job, &format!("scancel {}", job.0));
        assert!(!N1.runs(&format!("sleep {number}")), "{script}");
        N1.is_again(&before);
    }
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
