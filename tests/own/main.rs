//! A session inside the job's own cgroup: `session=job`.
// Tests say what they expect by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod command;
mod ends;
mod guard;
mod mixes;
mod outside;

use cluster_tests::{AtEnd, Batch, GO, N1};

/// The plugin with sessions of that kind. With the grace a job's end is well below the nodes' KillWait of 5 s: an extern
/// step that is told to end just as it ends by itself may not (Slurm 24.11, step_terminate_monitor_start()).
const OWN: &str = "optional spank_linger.so log_level=debug timeout=120 grace=2 session=job";

/// What a job of this kind may leave nowhere.
const NOTHING_LEFT: &str = "\
    ls -d /sys/fs/cgroup/system.slice/*slurmstepd.scope/*/step_*/user/session 2>/dev/null; \
    grep ' linger ' /proc/self/mountinfo; ls -d /run/spank-linger/*.own 2>/dev/null; \
    pgrep --list-full --uid alice; ls -d /run/user/1001 /dev/shm/libpod_rootless_lock_1001 2>/dev/null; \
    systemctl list-units --plain --no-legend '*1001*'";

/// Tools of the jobs: `home` says in which cgroup of its own job a process is, by its file.
const TOOLS: &str = r#"
here=/sys/fs/cgroup$(sed 's/^0:://' /proc/self/cgroup); job=${here%/step_*}
box='podman run --rm --network=none'; image=localhost/busybox
home() { sed "s/^0::.*slurmstepd.scope\/${job##*/}/MINE/" "$1"; }
attempt() { local what=$1; shift; "$@" >/dev/null 2>&1; echo "$what=$?."; }
"#;

fn job(script: &str) -> Batch {
    Batch::of("alice", &format!("{TOOLS}{script}")).with("--mem=200 --cpus-per-task=1 --no-requeue")
}

/// No manager of a user's can be started until it is dropped.
fn without_managers() -> AtEnd {
    let manager = "/usr/lib/systemd/systemd";
    let mended = AtEnd(format!("umount {manager}"));
    N1.sh(&format!("mount --bind /bin/false {manager}")).ok();
    mended
}

/// A next job finds what others have left, and finds no two containers with one lock.
fn books_are_right(left: &[&str]) {
    let books = "podman ps --all --format '{{.Names}} is {{.Status}}.'
        podman rm --all --force >/dev/null; echo listed";
    let said = Batch::of("alice", books).run().ok().says("listed");
    let said = left.iter().fold(said, |said, name| said.says(&format!("{name} is ")));
    said.never_says("is Up").never_says("level=error");
}

/// Waits until nothing of any job is left, and fails with what is.
fn nothing_is_left() {
    N1.sh(&format!(
        "{{ until [ -z \"$({NOTHING_LEFT})\" ] || [ $SECONDS -gt 30 ]; do pause 0.2; done; }} 2>/dev/null\n\
         left=$({NOTHING_LEFT}); echo \"$left\"; [ -z \"$left\" ]"
    ))
    .ok();
}

fn configured(work: impl FnOnce()) {
    N1.configure(OWN);
    nothing_is_left();
    let before = N1.snapshot();
    work();
    N1.is_again(&before);
    nothing_is_left();
}

/// Show that all of a session is in the cgroup of its job, with all that Podman asks for, that nothing of it is on the
/// node beside the job, and that all of it ends with the job.
#[test]
fn a_session_is_in_its_job() {
    configured(|| {
        let script = "
            echo first: $(systemctl --user is-system-running --wait)
            podman info 2>&1 | grep -E 'cgroupManager|^ *- (cpu|cpuset|io|memory|pids)$|WARN'
            manager=$(systemctl --user show --property=ExecMainPID --value dbus.service)
            busctl --user list >/dev/null && echo bus answers.
            $box --memory=50m --pids-limit=30 --cpus=0.5 $image sh -c 'cat /sys/fs/cgroup/memory.max \
                /sys/fs/cgroup/pids.max /sys/fs/cgroup/cpu.max; echo in $(cat /proc/self/cgroup)'
            podman run --detach --name=own --network=none --replace $image sleep 7001 >/dev/null
            home /proc/$(podman inspect --format '{{.State.Pid}}' own)/cgroup
            echo conmon: $(home /proc/$(podman inspect --format '{{.State.ConmonPid}}' own)/cgroup)
            srun --overlap sh -c 'podman exec own echo from a step; systemctl --user is-active default.target'
            systemd-run --user --quiet --wait --pipe cat /proc/self/cgroup | home -
            echo it is ready; sleep 7002";
        let started = job(script).start();
        started.wait_says("it is ready");
        let said = started.output().says("first: running\n").says("cgroupManager: systemd");
        let said = said.never_says("WARN").says("bus answers.").says("from a step\nactive\n");
        let offered = N1.sh("cat /sys/fs/cgroup/cgroup.controllers").ok().stdout;
        for controller in ["cpu", "cpuset", "io", "memory", "pids"] {
            // A light node has no cpuset.
            let has = said.stdout.contains(&format!("- {controller}\n"));
            assert_eq!(has, offered.contains(controller), "{controller}: {said:?}");
        }
        let said = said.says("52428800\n30\n50000 100000\n");
        // The container, its conmon, a service.
        let session = "MINE/step_extern/user/session/";
        assert_eq!(said.stdout.matches(session).count(), 3, "{said:?}");
        N1.sh("! ls -d /run/user/1001 2>/dev/null; ! loginctl user-status alice 2>/dev/null").ok();
        started.cancel();
        for command in ["sleep 7001", "sleep 7002"] {
            assert!(!N1.runs(command), "{command}");
        }
    });
}

/// Show that a job and its session never have more memory than the job, by the kernel's own peak, that what is too much
/// for it is Slurm's to see, and that a new limit of Slurm's holds in what runs already.
#[test]
fn there_is_one_allocation() {
    configured(|| {
        let script = "
            head -c 80M /dev/zero | (sleep 20; tail) >/dev/null &
            for size in 40 60 200; do
                attempt dd$size $box $image dd if=/dev/zero of=/dev/null bs=${size}M count=1; done
            echo peak=$(cat $job/memory.peak); echo killed=$(sed -n 's/^oom_kill //p' $job/memory.events).
            kill %1
            podman run --detach --name=grows --replace --network=none $image sleep 7003 >/dev/null; echo it is ready";
        let started = job(&format!("{script}\n{GO}\ncat $job/memory.max; echo over")).start();
        started.wait_says("it is ready");
        let said = started.output().says("dd40=0.");
        let number = |name: &str| said.value(name).trim_end_matches('.').parse::<u64>().unwrap();
        assert!(number("peak=") <= 200 << 20, "{said:?}");
        N1.sh(&format!("scontrol update jobid={} minmemorynode=100", started.0));
        let said = started.go_to_its_end().says("over");
        assert!(
            said.stdout.contains("dd200=137.") || said.stdout.contains("dd200=125."),
            "{said:?}"
        );
        assert_ne!(said.value("killed="), "0.", "{said:?}");
    });
}

/// Show that a suspended job's containers use no CPU, and go on with it; and that another job of the user has its own
/// meanwhile.
#[test]
fn a_suspended_job_stands_still() {
    configured(|| {
        let script = "podman run --detach --name=busy --replace --network=none $image \
            sh -c 'while :; do :; done' >/dev/null; echo it is ready; sleep 7004";
        let started = job(script).start();
        started.wait_says("it is ready");
        let session = "/sys/fs/cgroup/system.slice/*slurmstepd.scope/*/step_extern/user/session";
        let used = format!("sed -n 's/^usage_usec //p' {session}/cpu.stat");
        let difference = format!("a=$({used}); sleep 3; b=$({used}); echo used=$((b - a))");
        let used = || N1.sh(&difference).ok().value("used=").parse::<u64>().unwrap();
        assert!(used() > 200_000, "it does not run");
        N1.sh(&format!("scontrol suspend {}", started.0)).ok();
        N1.waits_until(&format!("grep --quiet 'frozen 1' {session}/cgroup.events"));
        assert_eq!(used(), 0);
        let other =
            "podman run --detach --name=other --replace --network=none $image sleep 7005 >/dev/null
            home /proc/$(podman inspect --format '{{.State.Pid}}' other)/cgroup";
        job(other).run().ok().says("MINE/step_extern/user/session/").never_says("level=");
        N1.sh(&format!("scontrol resume {}", started.0)).ok();
        N1.waits_until(&format!("grep --quiet 'frozen 0' {session}/cgroup.events"));
        assert!(used() > 200_000, "it does not run again");
        started.cancel();
    });
}

/// Show that each of a user's jobs has its own bus and its own containers, whichever is first to begin or to end, and
/// that Podman's books are right in both, and after both.
#[test]
fn two_jobs_do_not_meet() {
    configured(|| {
        let script = |name: &str| {
            format!(
                "podman run --detach --name={name} --network=none --replace $image sleep 7005 >/dev/null
                 echo {name} in $(home /proc/$(podman inspect --format '{{{{.State.Pid}}}}' {name})/cgroup)
                 systemctl --user set-environment MINE={name}; echo it is ready
                 {GO}
                 systemctl --user show-environment | grep MINE
                 podman exec {name} echo exec in {name}
                 podman ps --format 'sees {{{{.Names}}}}.'; podman stop --time=0 {name} >/dev/null && echo stopped {name}.
                 podman rm {name} >/dev/null; sleep 1; echo over"
            )
        };
        let jobs = ["one", "two"].map(|name| {
            let started = job(&script(name)).start();
            started.wait_says("it is ready");
            (name, started)
        });
        for (name, started) in jobs {
            let inside = format!("{name} in MINE/step_extern/user/session/");
            let said = started.go_to_its_end().says(&inside).says(&format!("MINE={name}\n"));
            said.says(&format!("exec in {name}\n"))
                .says(&format!("sees {name}."))
                .says(&format!("stopped {name}."))
                .says("over")
                .never_says("level=");
        }
        let after =
            job("podman ps --all --format '{{.Names}} {{.Status}}'; echo listed").run().ok();
        after.says("listed").never_says("one").never_says("two").never_says("level=");
    });
}

/// Show that what a batch script leaves running is asked to end, and has the grace for it.
#[test]
fn a_detached_container_is_asked_to_end() {
    configured(|| {
        let script = "said=/tmp/own.said; rm -f $said; touch $said
            podman run --detach --name=asked --replace --network=none --volume=$said:/said $image \
                sh -c 'trap \"echo got TERM >>/said; exit\" TERM; while :; do sleep 0.1; done' >/dev/null
            sleep 1; echo over";
        job(script).run().ok().says("over");
        N1.sh("cat /tmp/own.said; rm /tmp/own.said").ok().says("got TERM");
    });
}

/// Show that a manager that its user has killed is there again for the next step, and that its job ends as ever.
#[test]
fn a_killed_manager_is_started_again() {
    configured(|| {
        let script = "
            pid=$(pgrep --uid alice --full 'systemd --user'); kill -KILL $pid
            while kill -0 $pid 2>/dev/null; do sleep 0.1; done
            srun --overlap sh -c 'echo again: $(systemctl --user is-system-running --wait)
                podman run --rm --network=none localhost/busybox echo contained'";
        job(script).run().ok().says("again: running\n").says("contained\n");
    });
}

/// Show that nobody is left waiting for a manager that was killed, as where memory runs out: what it had ends with it,
/// and Podman says at once that it cannot.
#[test]
fn a_killed_manager_is_waited_for_by_nobody() {
    configured(|| {
        let script = "
            systemd-run --user --quiet sleep 7012
            pid=$(pgrep --uid alice --full 'systemd --user'); kill -KILL $pid
            for i in $(seq 50); do pgrep --full 'sleep 701[2]' >/dev/null || break; sleep 0.1; done
            timeout --kill-after=5 30 podman run --rm --network=none $image true; echo ended=$?.
            pgrep --uid alice --list-full 'dbus|systemd|sleep'; echo over";
        let said = job(script).run_within(120).says("over\n").never_says("dbus");
        said.says("ended=").never_says("ended=137.").never_says("ended=124.");
    });
}

/// Show that a site may change the kind while jobs run: each keeps what it began with, and Podman's books are one for
/// both.
#[test]
fn kinds_change_under_jobs() {
    let shared = &*OWN.replace("session=job", "session=linger");
    for [first, second] in [[shared, OWN], [OWN, shared]] {
        N1.configure(first);
        let before = N1.snapshot();
        let jobs = [(first, "one"), (second, "two")].map(|(line, name)| {
            N1.put_line(line);
            let script = format!(
                "podman run --detach --name={name} --network=none --replace $image sleep 7011 >/dev/null
                 echo it is ready; {GO}
                 echo status=$(systemctl --user is-active default.target).
                 systemd-run --user --scope --quiet podman exec {name} echo exec in {name}
                 podman ps --format 'sees {{{{.Names}}}}.'
                 podman run --detach --name={name}more --network=none --replace $image sleep 7011 >/dev/null"
            );
            let started = job(&script).start();
            started.wait_says("it is ready");
            (name, started)
        });
        for (name, started) in jobs {
            let said = started.go_to_its_end().says("status=active.").never_says("level=");
            said.says(&format!("exec in {name}\n")).says(&format!("sees {name}."));
        }
        books_are_right(&["one", "onemore", "two", "twomore"]);
        N1.is_again(&before);
    }
    N1.configure(OWN);
    nothing_is_left();
}
