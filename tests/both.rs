//! What takes long and holds for both kinds of session: no job misses its own.
// Tests say what they expect by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use cluster_tests::{Batch, FIRST, N1, OPTIONAL, QUICK, by_hand, many};

/// A job's first instructions: is the session up by now, and does the bus answer?
const AT_ONCE: &str = "systemctl --user is-active basic.target && \
    busctl --user call org.freedesktop.DBus / org.freedesktop.DBus GetId >/dev/null && echo hit";

/// Show that of many jobs in a row of each user none begins before its session is live, and that no prolog met a
/// closing one.
#[test]
fn many_jobs_in_a_row() {
    let users = ["alice", "bob", "carol", "dave"];
    let each = by_hand(many(16, 100)).div_ceil(4);
    N1.configure(OPTIONAL);
    let before = N1.snapshot();
    for user in users {
        let row = Batch::of(user, &format!("({AT_ONCE}) >~/row.$SLURM_ARRAY_TASK_ID 2>&1"));
        row.with(&format!("--array=1-{each}%1")).start();
    }
    N1.sh_within(300 + 40 * each, "while [ -n \"$(squeue --noheader)\" ]; do pause 2; done").ok();
    let count =
        N1.sh("cat /home/*/row.* | sort | uniq -c; grep -L hit /home/*/row.*; rm /home/*/row.*");
    let all = format!("{0} active {0} hit", 4 * each);
    assert_eq!(count.stdout.split_whitespace().collect::<Vec<_>>().join(" "), all);
    N1.is_again(&before);
}

/// Show that of 20 jobs of three users at once none misses its session.
#[test]
fn twenty_jobs_of_three_users_at_once() {
    // With session=job twenty managers start, each for 2.3 s of the one CPU that a light node has.
    N1.configure(QUICK);
    let before = N1.snapshot();
    let script = format!("({FIRST}) >~/crowd.$SLURM_ARRAY_TASK_ID 2>&1; sleep 5");
    let crowd = [("alice", 7), ("bob", 7), ("carol", 6)]
        .map(|(user, jobs)| Batch::of(user, &script).with(&format!("--array=1-{jobs}")).start());
    for jobs in crowd {
        jobs.wait_over();
    }
    let count = N1.sh("cat /home/*/crowd.* | sort | uniq -c; rm /home/*/crowd.*").ok();
    assert_eq!(count.stdout.split_whitespace().collect::<Vec<_>>(), ["20", "hit", "20", "running"]);
    N1.is_again(&before);
}

/// Show that pods run, and a container that systemd starts from a user unit.
#[test]
fn pods_and_units_run() {
    N1.configure(OPTIONAL);
    let before = N1.snapshot();
    let script = "set -e\n\
        podman pod create --name pod --infra=false >/dev/null\n\
        podman run --pod=pod --rm --network=none localhost/busybox echo in the pod\n\
        podman pod rm pod >/dev/null\n\
        mkdir -p ~/.config/systemd/user\n\
        cat >~/.config/systemd/user/box.service <<'END'\n\
        [Service]\n\
        Type=oneshot\n\
        ExecStart=/usr/bin/podman run --rm --network=none localhost/busybox touch /proof\n\
        ExecStart=/usr/bin/podman run --rm --network=none -v %h:/h localhost/busybox touch /h/proof\n\
        END\n\
        systemctl --user daemon-reload\n\
        systemctl --user start box.service\n\
        ls ~/proof; rm ~/proof";
    let job = Batch::of("carol", script).with("--mem=400").run_within(240).ok();
    job.says("in the pod").says("/home/carol/proof").never_says("level=warning");
    N1.is_again(&before);
}

/// Show that sites without an extern step, and without any prolog flag, get the
/// session all the same.
#[test]
fn without_prolog_flags_there_is_a_session() {
    N1.configure(OPTIONAL);
    let before = N1.snapshot();
    for flags in ["PrologFlags=Alloc", "#PrologFlags="] {
        N1.with_slurm_conf(&[flags], || {
            Batch::of("alice", FIRST).run().ok().says("hit");
            N1.sh_as("alice", &format!("srun bash -c '{FIRST}'")).ok().says("hit");
            N1.is_again(&before);
        });
    }
}

/// Show that a plugin that slurmd does not know yet serves the jobs that begin
/// after it was put there. There is no prolog and no epilog of ours then: the
/// extern step does what they do.
#[test]
fn a_site_that_forgot_to_restart_slurmd_is_served() {
    N1.configure("# nothing");
    let before = N1.snapshot();
    N1.put_line(OPTIONAL);
    Batch::of("alice", FIRST).run().ok().says("hit");
    N1.is_again(&before);
    // The next test's slurmd is to know it.
    N1.configure("# nothing");
}
