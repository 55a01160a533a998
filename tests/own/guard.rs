//! Slurm's own processes, which a user may be able to move, and what becomes of who does.

use cluster_tests::{AtEnd, GO, N1};

use super::{configured, job, without_managers};

/// Says where it is.
const EPILOG: &str = "#!/bin/sh\ncat /proc/self/cgroup >>/tmp/own.epilogs\n";

/// Show that what Slurm starts for a user as a task ends is in the job, also of a step without a session.
#[test]
fn a_tasks_epilog_is_in_the_job() {
    let files = "/tmp/own.epilog /tmp/own.epilogs";
    let _end = AtEnd(format!("rm -f {files}"));
    N1.sh(&format!("cat >/tmp/own.epilog <<'END'\n{EPILOG}END\nchmod 755 /tmp/own.epilog")).ok();
    N1.with_slurm_conf(&["TaskEpilog=/tmp/own.epilog"], || {
        configured(|| {
            let script = "
                srun --overlap --task-epilog=/tmp/own.epilog true
                srun --overlap --user-session=no --task-epilog=/tmp/own.epilog true; echo over";
            N1.sh("install --owner=alice /dev/null /tmp/own.epilogs").ok();
            let started = job(script).start();
            started.wait_over();
            started.output().says("over");
            let said = N1.sh("cat /tmp/own.epilogs").ok();
            // Two of each step, and one of the script.
            let inside = said.stdout.lines().filter(|line| line.contains("/step_"));
            assert_eq!((inside.count(), said.stdout.lines().count()), (5, 5), "{said:#?}");
        });
    });
}

/// Show that the manager which a step has started goes on when that step is killed, and with it what other steps have
/// in it.
#[test]
fn a_killed_step_takes_no_manager_along() {
    configured(|| {
        let script = "
            pid=$(pgrep --uid alice --full 'systemd --user'); kill -KILL $pid
            while kill -0 $pid 2>/dev/null; do sleep 0.1; done
            srun --overlap sleep 7016 & until pgrep --full 'sleep 7016' >/dev/null; do sleep 0.1; done
            srun --overlap systemd-run --user --quiet sleep 7017
            scancel --signal=KILL $SLURM_JOB_ID.0; wait
            srun --overlap sh -c 'systemctl --user is-active default.target; pgrep --full \"sleep 701[7]\" >/dev/null && echo it lives'";
        job(script).run_within(120).says("active\nit lives\n");
    });
}

/// Show that a job whose guard was killed has another with its next step, and the session that it had.
#[test]
fn a_killed_guard_is_replaced() {
    configured(|| {
        let script = format!(
            "systemd-run --user --quiet sleep 7018; echo it is ready; {GO}
             srun --overlap sh -c 'systemctl --user is-active default.target; pgrep --full \"sleep 701[8]\" >/dev/null && echo it lives'
             echo over; sleep 7017"
        );
        let started = job(&script).start();
        started.wait_says("it is ready");
        let guard = format!(
            "guard=$(sed 's/.*\"guard\":{{\"pid\":\\([0-9]*\\).*/\\1/' /run/spank-linger/1001/{}.own)",
            started.0
        );
        N1.sh(&format!(
            "{guard}; kill -KILL $guard; while kill -0 $guard 2>/dev/null; do sleep 0.1; done"
        ))
        .ok();
        started.go();
        started.wait_says("over");
        N1.waits_until(&format!("{guard}; grep --quiet linger /proc/$guard/comm"));
        started.cancel();
        started.wait_over();
        started.output().says("active\nit lives\n");
    });
}

/// Of the guard of a job, how often it was given a CPU in ten seconds.
fn wakes_of_the_guard() -> u32 {
    let said = N1.sh("switches() { awk '/ctxt_switches/ { sum += $2 } END { print sum }' /proc/$(pgrep --exact linger)/status; }
        before=$(switches); sleep 10; echo $(($(switches) - before))");
    said.ok().stdout.trim().parse().expect("one guard")
}

/// Show that a guard sleeps while nothing happens, and wakes for a step; and that where inotify is short it looks again
/// every second instead of taking what others need.
#[test]
fn a_guard_sleeps_until_something_happens() {
    configured(|| {
        let run = |room: &str, asked: u32| {
            let script =
                format!("echo it is ready; {GO}\nsrun --overlap true; echo again; sleep 7019");
            let started = job(&script).start();
            started.wait_says("it is ready");
            N1.sh("sleep 15").ok();
            let asleep = wakes_of_the_guard();
            started.go();
            started.wait_says("again");
            let awake = wakes_of_the_guard();
            started.cancel();
            started.wait_over();
            println!("{room}: {asleep} wakes in 10 s, {awake} after a step");
            assert!(awake >= 5, "{room}: {awake}");
            assert!(if asked == 0 { asleep == 0 } else { asleep >= asked }, "{room}: {asleep}");
        };
        run("with room", 0);
        let before = N1.sh("cat /proc/sys/fs/inotify/max_user_instances").ok().stdout;
        let restore = format!("echo {} >/proc/sys/fs/inotify/max_user_instances", before.trim());
        let _end = AtEnd(restore);
        N1.sh("echo 3 >/proc/sys/fs/inotify/max_user_instances").ok();
        run("without", 5);
    });
}

/// Show that a step which finds that the session could not be opened has one, if it can be opened by then.
#[test]
fn a_step_has_what_another_could_not_open() {
    configured(|| {
        let broken = without_managers();
        let script = format!(
            "echo it is ready; {GO}\nsrun --overlap systemctl --user is-system-running --wait"
        );
        let started = job(&script).start();
        started.wait_says("it is ready");
        drop(broken);
        started.go_to_its_end().says("running\n");
    });
}

/// Show that whoever moves a process of Slurm's into the session has nothing of it: the job is over, and the node goes
/// on.
#[test]
fn slurms_own_processes_are_out_of_reach() {
    configured(|| {
        let script = "
            session=$job/step_extern/user/session; mkdir $session/x; echo 1 >$session/x/cgroup.freeze
            cat $job/step_*/slurm/cgroup.procs >/tmp/own.steps
            for pid in $(cat /tmp/own.steps); do
                (echo $pid >$session/x/cgroup.procs) 2>/dev/null && echo moved; done
            for limit in $session/memory.max $session/pids.max $session/cgroup.freeze $session/cgroup.kill \
                $session/cgroup.max.descendants $job/memory.max $job/cgroup.kill $job/cgroup.freeze \
                $job/step_*/slurm/cgroup.procs $job/step_*/user/cgroup.procs $job/../system/cgroup.procs; do
                (echo 0 >$limit) 2>/dev/null && echo wrote $limit; done
            echo tried; sleep 7006";
        let started = job(script).start();
        started.wait_says("tried");
        let said = started.output().never_says("wrote");
        println!("moved: {}", said.stdout.matches("moved").count());
        N1.sh(&format!("timeout 60 scancel {}", started.0)).ok();
        started.wait_over();
        assert!(!N1.state().contains("drain"), "{}", N1.state());
    });
}

/// Show that whoever waits for a slurmstepd to begin, and has it stand still in a cgroup of theirs, has nothing of it
/// either: the node goes on, for their next job and for others.
#[test]
fn a_slurmstepd_that_begins_cannot_be_kept() {
    configured(|| {
        let script = "
            session=$job/step_extern/user/session; mkdir $session/x; echo 1 >$session/x/cgroup.freeze
            # Without a fork: user-mode Linux 6.12 panics where one is killed.
            while :; do
                for file in $job/step_[0-9]*/slurm/cgroup.procs; do
                    while read -r pid; do echo $pid >$session/x/cgroup.procs && echo moved; done <$file
                done
            done 2>/dev/null &
            for i in $(seq 15); do timeout 30 srun --overlap true || echo lost; done; kill %1; echo tried";
        let started = job(script).start();
        N1.waits_until(&format!(
            "grep --quiet tried /tmp/out.{0} || [ -z \"$(squeue --noheader --jobs={0})\" ]",
            started.0
        ));
        N1.sh(&format!("timeout 60 scancel {}", started.0));
        started.wait_over();
        let said = started.output();
        println!("moved: {} of 15", said.stdout.matches("moved").count());
        assert!(!N1.state().contains("drain"), "{}", N1.state());
        job(&format!("{GO}\nsystemctl --user is-system-running"))
            .start()
            .go_to_its_end()
            .says("running");
    });
}
