//! Nodes where more than Slurm and the plugin has a say: mount namespaces, PAM,
//! ssh, and an admin who installs the plugin while jobs run.
// Tests say what they expect by panicking.
#![allow(clippy::expect_used, missing_docs)]

use cluster_tests::{
    AtEnd, Batch, GO, LIVE, Login, N1, Output, QUICK, Started, alice_is_served, forgetful,
    has_own_sessions, leaves_nothing, skipped,
};

/// A line in slurm.conf that gives each job directories of its own.
fn namespaces() -> &'static str {
    match N1.slurm().as_str() {
        "22.05" | "24.11" => "JobContainerType=job_container/tmpfs",
        _ => "NamespaceType=namespace/tmpfs",
    }
}

/// Its configuration, until the end of the test. The tests need the node's /tmp
/// in their jobs.
fn job_container(more: &str) -> AtEnd {
    const FILE: &str = "/etc/slurm/job_container.conf";
    let text = format!("AutoBasePath=true\\nBasePath=/var/spool/jobs\\n{more}\\n");
    N1.sh(&format!("printf '{text}' >{FILE}")).ok();
    AtEnd(format!("rm {FILE}; umount /var/spool/jobs; rm -r /var/spool/jobs"))
}

/// Steps of alice's find the session, in a mount namespace that is not the node's. One of their job's own is not in
/// there, and they are told so.
fn steps_are_served_apart() {
    let step = format!("srun bash -c '{LIVE}; readlink /proc/self/ns/mnt'");
    let said = N1.sh_as("alice", &step);
    let said = if has_own_sessions() {
        said.complains("Slurm has given the job one of its own").says("dir=\n")
    } else {
        said.ok().says("running dir=/run/user/1001\n")
    };
    let nodes = N1.sh("readlink /proc/self/ns/mnt").ok().stdout;
    said.never_says(&nodes);
}

/// A job with a step before and a step after another job of its user's has closed
/// and opened the session.
fn before_and_after() -> (String, String) {
    let step = format!("srun bash -c '{LIVE}'");
    let job = Batch::of("alice", &format!("{step}; echo up; {GO}; {step}")).start();
    job.wait_says("up");
    let first = job.output().stdout;
    N1.sh("loginctl disable-linger alice").ok();
    N1.waits_until("[ ! -e /run/user/1001 ]");
    alice_finds_it();
    let then = job.go_to_its_end().stdout;
    (first.clone(), then.trim_start_matches(first.as_str()).to_owned())
}

fn alice_finds_it() {
    let job = Batch::of("alice", LIVE).run().ok();
    job.says("running dir=/run/user/1001");
}

/// Show that a job in a mount namespace finds the session, and the new one when
/// that was closed and opened again beside it. Where the new one cannot be seen
/// in the job, it is told so and has no variable that leads there.
#[test]
fn jobs_in_mount_namespaces() {
    if N1.slurm() == "22.05" {
        return only_the_first_session();
    }
    for share in ["Shared=false", "Shared=true"] {
        N1.configure(QUICK);
        let before = N1.snapshot();
        let _end = job_container(&format!("Dirs=/var/tmp\\n{share}"));
        N1.with_slurm_conf(&[namespaces()], || {
            steps_are_served_apart();
            if has_own_sessions() {
                return N1.is_again(&before);
            }
            let (first, then) = before_and_after();
            assert!(first.contains("running dir=/run/user/1001\n"), "{first}");
            if share == "Shared=true" {
                assert_eq!(then, "running dir=/run/user/1001\n");
            } else {
                assert!(then.contains("no user session on this node: /run/user/1001"), "{then}");
                assert!(!then.contains("dir=/"), "{then}");
            }
            N1.is_again(&before);
        });
    }
}

fn only_the_first_session() {
    println!(
        "Slurm 22.05 knows neither Shared nor Dirs: no test sees a batch job's files in /tmp."
    );
    N1.configure(QUICK);
    let before = N1.snapshot();
    let _end = job_container("");
    N1.with_slurm_conf(&[namespaces()], || {
        steps_are_served_apart();
        N1.is_again(&before);
    });
}

/// Show that callbacks that Slurm runs in the job's mount namespace, in a process
/// that shares slurmstepd's memory, do the same.
#[test]
fn callbacks_in_mount_namespaces() {
    if N1.slurm() == "22.05" {
        return skipped("Slurm 22.05 has no SlurmdParameters=contain_spank");
    }
    N1.configure(QUICK);
    let before = N1.snapshot();
    let _end = job_container("Dirs=/var/tmp");
    N1.with_slurm_conf(&[namespaces(), "SlurmdParameters=contain_spank"], || {
        steps_are_served_apart();
        if has_own_sessions() {
            return N1.is_again(&before);
        }
        alice_is_served(&before);
        let job = forgetful(9011);
        N1.waits_for_slice(1001, "memory.max", &(64 * 1024 * 1024).to_string());
        leaves_nothing(job, 9011);
        N1.is_again(&before);
    });
}

/// Show that a step in a pid namespace of its own is told that it has no session:
/// systemctl refuses a manager whose process it cannot see ("No data available",
/// systemd 262), and the manager takes the process ids that Podman gives it for the
/// node's. And that it does not take another job, whose processes it cannot see, for
/// over.
#[test]
fn jobs_in_pid_namespaces() {
    const FILE: &str = "/etc/slurm/namespace.yaml";
    if N1.slurm() != "26.05" {
        return skipped(&format!("Slurm {} has no namespace/linux", N1.slurm()));
    }
    N1.configure(QUICK);
    let before = N1.snapshot();
    let _end = AtEnd(format!("rm {FILE}; umount /var/spool/jobs; rm -r /var/spool/jobs"));
    // The tests need the node's /tmp in their jobs.
    let text = "defaults: {auto_base_path: true, base_path: /var/spool/jobs, dirs: /var/tmp, \
        clone_ns_flags: CLONE_NEWPID}";
    N1.sh(&format!("echo '{text}' >{FILE}")).ok();
    N1.with_slurm_conf(&["NamespaceType=namespace/linux"], || {
        let tells = "readlink /proc/self/ns/pid; echo dir=$XDG_RUNTIME_DIR.";
        let script = format!("{tells}; echo up; {GO}; srun bash -c '{tells}'");
        let jobs = [(); 2].map(|()| Batch::of("alice", &script).start());
        for job in jobs {
            job.wait_says("up");
        }
        // So that the next step has to open it again, and looks for leases on its way.
        N1.sh("systemctl kill --signal=KILL user@1001; sleep 2").ok();
        let [first, second] = jobs;
        let said = [second.go_to_its_end(), {
            N1.sh(&format!("ls /run/spank-linger/1001/{}", first.0)).ok();
            first.go_to_its_end()
        }];
        let nodes = N1.sh("readlink /proc/self/ns/pid").ok().stdout;
        for said in said {
            assert_eq!(said.stdout.matches("dir=.\n").count(), 2, "{said:#?}");
            said.never_says(nodes.trim()).says("the job has a pid namespace of its own");
        }
        N1.is_again(&before);
    });
}

/// Show that tasks that have their audit session from PAM keep it, and that what
/// they leave is found by it.
#[test]
fn tasks_with_an_audit_session_of_pams() {
    const STACK: &str = "/etc/pam.d/slurm";
    N1.configure(QUICK);
    let before = N1.snapshot();
    let _end = AtEnd(format!("rm {STACK}"));
    N1.sh(&format!(
        "printf 'account required pam_permit.so\\nsession required pam_loginuid.so\\n\
         session required pam_exec.so /usr/bin/touch /run/pam-was-asked\\n' >{STACK}"
    ))
    .ok();
    N1.with_slurm_conf(&["UsePAM=1"], || {
        let job =
            Batch::of("alice", "cat /proc/self/loginuid; echo; cat /proc/self/sessionid").run();
        let said = job.ok().stdout;
        N1.sh("rm /run/pam-was-asked").ok();
        assert!(said.starts_with("1001\n") && !said.contains("4294967295"), "{said}");
        alice_is_served(&before);
        leaves_nothing(forgetful(9012), 9012);
        N1.is_again(&before);
    });
}

/// Show that a job that was there before the plugin gets the session in the steps
/// that begin after it, also when slurmd is restarted meanwhile, and that its end
/// leaves nothing then.
#[test]
fn the_plugin_comes_while_a_job_runs() {
    N1.configure("# nothing");
    let before = N1.snapshot();
    let step = format!("srun bash -c '{LIVE}'");
    let wait = GO.replace("go.", "then.");
    let job =
        Batch::of("alice", &format!("{step}; echo up; {GO}; {step}; echo served; {wait}; {step}"));
    let job = job.start();
    job.wait_says("up");
    N1.put_line(QUICK);
    job.go();
    job.wait_says("served");
    N1.sh(&format!("systemctl restart slurmd; touch /tmp/then.{}", job.0)).ok();
    job.wait_over();
    let said = job.output().stdout;
    assert!(said.contains("\ndir=\nup\n"), "{said}");
    assert_eq!(said.matches("running dir=/run/user/1001\n").count(), 2, "{said}");
    N1.is_again(&before);
}

/// Show that a login that is let in for its user's job, and that pam_systemd gives
/// a session, outlives the job, and that the job's own session is not disturbed.
#[test]
fn a_login_that_slurm_adopts() {
    N1.configure(QUICK);
    let before = N1.snapshot();
    let _end = AtEnd("mv /root/sshd.pam /etc/pam.d/sshd".to_owned());
    N1.sh("cp /etc/pam.d/sshd /root/sshd.pam\n\
         sed -i '/^@include common-account/a account required pam_slurm_adopt.so' /etc/pam.d/sshd\n\
         grep adopt /etc/pam.d/sshd")
        .ok();
    let without_a_job = std::panic::catch_unwind(|| Login::of("alice", N1).ask("echo in"));
    assert!(without_a_job.is_err(), "pam_slurm_adopt is not asked");
    let job = Batch::of("alice", &format!("echo up; {GO}; {LIVE}")).start();
    job.wait_says("up");
    let mut login = Login::of("alice", N1);
    assert_eq!(login.ask(LIVE), "running dir=/run/user/1001");
    if has_own_sessions() {
        // Its input is the shell's: it would take the next question.
        let mine = format!("srun --quiet --input=none --jobid={} --overlap", job.0);
        login.ask(&format!("{mine} systemctl --user set-environment OF=job; echo set"));
        let count = "systemctl --user show-environment | grep --count OF=job";
        let inside = format!("{mine} bash -c '{count}'");
        assert_eq!((login.ask(&inside), login.ask(count)), ("1".to_owned(), "0".to_owned()));
    }
    let said = job.go_to_its_end();
    assert_eq!(said.stdout, "up\nrunning dir=/run/user/1001\n", "{said:#?}");
    assert_eq!(login.ask(LIVE), "running dir=/run/user/1001");
    drop(login);
    N1.is_again(&before);
}

/// A job without a script. What its steps print comes by srun: their /tmp is not the node's.
fn allocated() -> Started {
    let ask = "salloc --no-shell --mem=150 2>&1 | sed -n 's/.*Granted job allocation //p'";
    let said = N1.sh_as("alice", ask).ok().stdout;
    Started(said.trim().parse().expect("salloc tells an id"))
}

fn step_of(job: Started, script: &str) -> Output {
    let script =
        format!("srun --jobid={} --overlap bash -s <<'END_OF_STEP'\n{script}\nEND_OF_STEP", job.0);
    N1.sh_as("alice", &script)
}

/// Show that each job has its own /tmp in its containers: beside another job's container, after a unit has used Podman,
/// and when the other job is over; that Podman knows of the other's container, and that nothing is left.
#[test]
fn each_job_sees_its_own_tmp() {
    const BOX: &str =
        "podman run --rm --network=none --volume=/tmp/mine:/mine localhost/busybox cat /mine";
    const UNIT: &str = "systemd-run --user --quiet --wait \
        podman run --rm --network=none localhost/busybox true";
    if has_own_sessions() {
        return skipped("session=job is not where Slurm makes mount namespaces");
    }
    let is_old = N1.slurm() == "22.05";
    for more in if is_old { &[""][..] } else { &["Dirs=/tmp", "Dirs=/tmp,/dev/shm\\nShared=true"] }
    {
        N1.configure(QUICK);
        Batch::of("alice", "podman rm --all --force >/dev/null").with("--mem=150").run();
        N1.settles();
        let before = N1.snapshot();
        let _end = job_container(more);
        N1.with_slurm_conf(&[namespaces()], || {
            let [first, second] = [(); 2].map(|()| allocated());
            let stays = BOX.replace("--rm", "--detach --replace --name=stays");
            let stays = stays.replace("cat /mine", "sleep 7205");
            let script = format!("echo first >/tmp/mine; {stays} >/dev/null; {BOX}");
            step_of(first, &script).ok().says("first\n");
            let lists = "podman ps --format '{{.Names}} {{.Status}}'";
            let script = format!("echo second >/tmp/mine; {BOX}; {UNIT}; {BOX}; {lists}");
            let said = step_of(second, &script).ok();
            assert_eq!(said.stdout.matches("second\n").count(), 2, "{said:#?}");
            said.says("stays Up").never_says("first").never_says("level=error");
            step_of(first, BOX).ok().says("first\n");
            first.cancel();
            N1.sees_the_end_of("sleep 7205");
            N1.waits_until("! grep --quiet first /var/spool/jobs/*/.*/*/mine 2>/dev/null");
            let said = step_of(second, &format!("{BOX}; podman rm --force stays; echo over")).ok();
            said.says("second\n").says("over\n").never_says("level=error");
            assert!(!N1.log_of(second.0).contains("have Podman see"), "{}", N1.log_of(second.0));
            second.cancel();
            N1.is_again(&before);
        });
    }
}
