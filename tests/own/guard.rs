//! Slurm's own processes, which a user may be able to move, and what becomes of who does.

use cluster_tests::{GO, N1};

use super::{configured, job};

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
            while :; do
                for pid in $(cat $job/step_[0-9]*/slurm/cgroup.procs); do
                    echo $pid >$session/x/cgroup.procs && echo moved; done
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
