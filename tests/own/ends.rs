//! Whatever ends a job: nothing of its session is left.

use std::time::{Duration, Instant};

use cluster_tests::{AtEnd, N1, Started};

use super::outside::LINGERS;
use super::{OWN, books_are_right, configured, job, nothing_is_left, without_managers};

/// Ends a job by `act`, and sees that nothing of it is left.
fn ends_by(act: impl FnOnce(Started)) {
    ends_with("", act);
}

fn ends_with(options: &str, act: impl FnOnce(Started)) {
    let script = "podman run --detach --name=left --replace --network=none $image \
        sh -c 'trap \"\" TERM; sleep 7007' >/dev/null
        systemd-run --user --quiet sleep 7008; (setsid sleep 7009 &)
        echo it is ready; sleep 7010";
    let started = job(script).with(options).start();
    started.wait_says("it is ready");
    act(started);
    started.wait_over();
    nothing_is_left();
    for number in 7007..=7010 {
        assert!(!N1.runs(&format!("sleep {number}")), "sleep {number}");
    }
}

/// Show that what takes too much memory in a container counts in the job's cgroup, where Slurm reads it, and is told
/// to the user as Slurm tells it of a step. The job's state stays the script's: Slurm has it from the step's own cgroup.
#[test]
fn memory_that_runs_out_is_the_jobs() {
    configured(|| {
        let script = "attempt dd $box $image dd if=/dev/zero of=/dev/null bs=300M count=1
            echo killed=$(sed -n 's/^oom_kill //p' $job/memory.events).; echo over";
        let started = job(script).start();
        started.wait_over();
        let said = started.output().says("over").never_says("dd=0.").never_says("killed=0.");
        said.says("killed for lack of memory");
        let log = "/var/log/slurm/slurmd.log";
        // 22.05 has another dash, and `event(s)`.
        N1.sh(&format!("grep 'Detected 1 oom.kill event.* in StepId={}.extern' {log}", started.0))
            .ok();
    });
}

/// Show that a job is over with all that it had in its session, whatever ends it, and that Podman's books are right in
/// the next one.
#[test]
fn every_end_is_the_end_of_all() {
    configured(|| {
        ends_by(|started| drop(N1.sh(&format!("scancel {}", started.0))));
        ends_by(|_| drop(N1.sh("pkill --exact --full 'sleep 7010'")));
        ends_by(|started| {
            drop(N1.sh(&format!("scontrol update jobid={} endtime=now", started.0)));
        });
        ends_by(|_| drop(N1.sh("systemctl restart slurmd; pkill --exact --full 'sleep 7010'")));
        ends_by(|_| {
            drop(N1.sh("scontrol update nodename=n1 state=down reason=test; sleep 3; scontrol update nodename=n1 state=resume"));
        });
        ends_with("--requeue", |started| {
            drop(N1.sh(&format!("scontrol requeuehold {0}; scancel {0}", started.0)));
        });
        let books = job(
            "podman ps --all --format '{{.Names}} {{.Status}}'; podman rm --force left; echo listed",
        );
        // Podman 4.3 says that it was created, after what it takes for a boot.
        books.run().ok().says("left ").never_says("left Up").says("listed");
    });
}

/// Show that a job which has nothing left to end waits for no grace, whether its epilog or the end of its script ends the
/// session.
#[test]
fn what_has_ended_needs_no_grace() {
    configured(|| {
        N1.configure(&OWN.replace("grace=2", "grace=100"));
        let begun = Instant::now();
        N1.sh_as("alice", "srun --mem=100 true").ok();
        N1.sh("until [ -z \"$(squeue --noheader)\" ]; do sleep 0.2; done").ok();
        job("podman run --rm --network=none $image echo contained").run().ok().says("contained\n");
        assert!(begun.elapsed() < Duration::from_secs(90), "{:?}", begun.elapsed());
        N1.configure(OWN);
    });
}

/// Show that a power loss leaves nothing of such jobs, nor the linger that their user has turned on meanwhile, and that
/// the next one has its session.
#[test]
fn a_power_loss_leaves_nothing() {
    configured(|| {
        let _end = AtEnd("loginctl disable-linger alice".to_owned());
        let script =
            "podman run --detach --name=left --replace --network=none $image sleep 7007 >/dev/null
            echo it is ready; sleep 7010";
        let jobs = [job(script).start(), job("echo it is ready; sleep 7010").start()];
        for started in &jobs {
            started.wait_says("it is ready");
        }
        N1.sh(LINGERS).ok();
        N1.waits_until("ls /var/lib/spank-linger/1001");
        // The worst moment: all that was changed is on the disk.
        N1.sh("sync").ok();
        N1.loses_power();
        N1.sh("scancel --user=alice").ok();
        N1.settles();
        assert!(!N1.sh("ls /var/lib/systemd/linger/alice").succeeded(), "alice lingers");
        job("$box $image echo contained").run().ok().says("contained\n");
        books_are_right(&["left"]);
    });
}

/// Show that a step fails with the cause where the site has said so and there is no session, in a batch job and by
/// srun, and that the node goes on.
#[test]
fn a_site_can_have_such_steps_fail() {
    configured(|| {
        N1.configure(&OWN.replace("optional", "required").replace("job", "job on_error=fail"));
        let broken = without_managers();
        let cause = "step_extern/user/session: it has ended. This site runs no job without one";
        for command in ["echo ran", "srun --overlap echo ran"] {
            job(command).run().fails().complains(cause).never_says("ran\n");
        }
        drop(broken);
        assert!(!N1.state().contains("drain"), "{}", N1.state());
        job("systemctl --user is-system-running --wait").run().ok().says("running\n");
        N1.configure(OWN);
    });
}
