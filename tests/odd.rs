//! Clusters that are set up in other ways: the session is there, and goes.
// Tests say what they expect by panicking.
#![allow(clippy::expect_used, missing_docs)]

use cluster_tests::{
    AtEnd, Batch, GO, LIVE, N1, QUICK, Started, alice_is_served, forgetful, has_own_sessions,
    leaves_nothing, skipped,
};

/// Has systemd see what was changed.
const RELOAD: &str = "systemctl daemon-reload";

/// Show that prologs that run one after the other, and an extern step with X11
/// forwarding, change nothing.
#[test]
fn serial_prologs_and_x11() {
    N1.configure(QUICK);
    let before = N1.snapshot();
    N1.with_slurm_conf(&["PrologFlags=X11,Serial"], || {
        alice_is_served(&before);
        leaves_nothing(forgetful(9001), 9001);
        N1.is_again(&before);
    });
}

/// Whether Slurm takes that line in slurm.conf.
fn takes(line: &str) -> bool {
    let ask = format!(
        "f=$(mktemp); (sed '/^{}=/d' /etc/slurm/slurm.conf; echo '{line}') >$f; \
         SLURM_CONF=$f scontrol show config; code=$?; rm $f; exit $code",
        line.split('=').next().unwrap_or_default()
    );
    let said = N1.sh(&ask);
    let refused = said.stderr.contains("nvalid");
    if refused {
        println!("Slurm {} does not know {line}: {}", N1.slurm(), said.stderr.trim());
    }
    !refused
}

/// A job that goes on for 2 s after it was told to end, in need of its session.
const TIDIES: &str = "tidy() { for i in 1 2 3 4 5 6 7 8; do \
        systemctl --user is-system-running; sleep 0.25; done; echo tidied; exit; }\n\
    trap tidy TERM; echo up; while :; do sleep 0.1; done";

/// Show that where no prolog and no epilog of a plugin is called, the extern step
/// stands for both: its end is the session's, and not before the other steps'.
#[test]
fn prologs_that_run_in_the_job() {
    const FLAG: &str = "PrologFlags=RunInJob";
    let is_old = N1.slurm() == "22.05";
    assert_eq!(takes(FLAG), !is_old);
    if is_old {
        return skipped("Slurm 22.05 has no PrologFlags=RunInJob");
    }
    N1.configure(QUICK);
    let before = N1.snapshot();
    N1.sh("truncate --size=0 /var/log/slurm/slurmd.log").ok();
    // The job has more to do than KillWait gives it on a busy emulated node.
    N1.with_slurm_conf(&[FLAG, "KillWait=120"], || {
        alice_is_served(&before);
        // For a moment of its end slurmstepd of 24.11 has the user's effective id.
        let _ = Batch::of("alice", "true").with("--array=1-4%1").run_within(400);
        let tidy = Batch::of("alice", TIDIES).start();
        tidy.wait_says("up");
        tidy.cancel();
        let said = tidy.output().says("tidied");
        assert_eq!(said.stdout.matches("running\n").count(), 8, "{said:#?}");
        N1.is_again(&before);
        leaves_nothing(forgetful(9002), 9002);
        N1.is_again(&before);
        declines(&before);
    });
    let log = N1.sh("grep 'linger: .*close session: ' /var/log/slurm/slurmd.log").stdout;
    assert!(!log.contains("error:"), "{log}");
}

/// A job that wants no session is led to none, and leaves nothing. Slurm does not
/// tell the extern step what the user asked for, so there is one all the same.
fn declines(before: &str) {
    let job = Batch::of("alice", &format!("{LIVE}; srun bash -c '{LIVE}'"));
    let said = job.with("--user-session=no").run().never_says("running");
    assert_eq!(said.stdout.matches("dir=\n").count(), 2, "{said:#?}");
    N1.is_again(before);
}

/// Show that a job that runs again, where nothing has dropped the lease of its
/// first run, takes that over, and that its end closes the session. The extern
/// step stands for the epilog there, and Slurm waits in vain for one that was
/// killed, until an admin takes the node down.
#[test]
fn a_lease_without_an_end_is_taken_over() {
    if N1.slurm() == "22.05" {
        return skipped("Slurm 22.05 has no PrologFlags=RunInJob");
    }
    N1.configure(QUICK);
    let before = N1.snapshot();
    N1.with_slurm_conf(&["PrologFlags=RunInJob"], || {
        let script = format!("{LIVE}; echo up $SLURM_RESTART_COUNT; sleep 900");
        let job = Batch::of("alice", &script).with("--requeue --open-mode=append").start();
        job.wait_says("up");
        N1.sh(&format!(
            "pkill --signal=KILL --full 'slurmstepd: [[]{}.extern[]]'; scontrol requeue {}; sleep 2; \
             for state in down resume; do scontrol update nodename=n1 reason=test state=$state; done",
            job.0, job.0
        ))
        .ok();
        job.wait_pending();
        N1.sh(&format!("ls /run/spank-linger/1001/{}", job.0)).ok();
        N1.settles();
        N1.sh(&format!("scontrol update jobid={} starttime=now", job.0)).ok();
        job.wait_says("up 1");
        let said = job.output().stdout;
        assert_eq!(said.matches("running dir=/run/user/1001\n").count(), 2, "{said}");
        job.cancel();
        N1.is_again(&before);
    });
}

/// Has slurmd read its configuration anew: since 23.11 it executes itself.
fn reconfigure() {
    let pid = "systemctl show slurmd --property=MainPID --value";
    let before = N1.sh(pid).ok().stdout;
    N1.sh("scontrol reconfigure").ok();
    N1.waits_until(&format!("[ $({pid}) != {} ]", before.trim()));
}

/// Show that where Slurm makes no extern step a job keeps its session between two
/// steps when slurmd reads its configuration anew.
#[test]
fn a_reconfigured_slurmd_keeps_what_lives() {
    if N1.slurm() == "22.05" {
        return skipped("slurmd of 22.05 does not execute itself");
    }
    N1.configure(QUICK);
    let before = N1.snapshot();
    let manager = || N1.sh("systemctl show --property=MainPID user@1001").ok().stdout;
    for flags in ["#PrologFlags=", "PrologFlags=Alloc"] {
        N1.with_slurm_conf(&[flags], || {
            let ask = "salloc --no-shell >&2 && squeue --noheader --format=%A";
            let job = N1.sh_as("alice", ask).ok().stdout;
            let step = format!("srun --jobid={} bash -c '{LIVE}' </dev/null", job.trim());
            let served = || N1.sh_as("alice", &step).ok().says("running dir=/run/user/1001");
            served();
            let first = manager();
            reconfigure();
            served();
            assert_eq!(manager(), first, "the session is another");
            Started(job.trim().parse().expect("squeue prints an id")).cancel();
            N1.is_again(&before);
        });
    }
}

/// Show that a node that gets its configuration from the controller has the
/// session: the plugin and what plugstack.conf includes are files of the node.
#[test]
fn a_node_without_a_configuration_of_its_own() {
    const DROP_IN: &str = "/run/systemd/system/slurmd.service.d/configless.conf";
    N1.configure(QUICK);
    let before = N1.snapshot();
    N1.with_slurm_conf(&["SlurmctldParameters=enable_configless"], || {
        // Before the controller is asked in vain, at the end.
        let _end = AtEnd(format!("rm --force {DROP_IN}; {RELOAD}"));
        N1.sh(&format!(
            "mkdir --parents $(dirname {DROP_IN})\n\
             printf '[Service]\\nEnvironment=SLURMD_OPTIONS=--conf-server=n1\\n' >{DROP_IN}\n\
             {RELOAD}; systemctl restart slurmd"
        ))
        .ok();
        N1.settles();
        let fetched = N1.sh("ls /run/slurm/conf /var/spool/slurmd/conf-cache 2>/dev/null").stdout;
        assert!(fetched.contains("slurm.conf") && fetched.contains("plugstack.conf"), "{fetched}");
        alice_is_served(&before);
    });
}

/// The second slurmd, which is there whenever the first is.
const SECOND: &str = r"
    drop_in=/run/systemd/system/slurmd.service.d/second.conf
    mkdir --parents $(dirname $drop_in)
    printf '[Unit]\nWants=slurmd-n3.service\n' >$drop_in
    sed 's,^ExecStart=.*,ExecStart=/usr/sbin/slurmd -D -N n3,; s/^Type=.*/Type=simple/
        s/^After=/PartOf=slurmd.service\nAfter=slurmctld.service /; /^RuntimeDirectory/d; /^PIDFile/d' \
        $(systemctl show slurmd --property=FragmentPath --value) >/run/systemd/system/slurmd-n3.service
    systemctl daemon-reload";

/// Two nodes that are one host.
const TWO: [&str; 5] = [
    "SlurmdSpoolDir=/var/spool/slurmd.%n",
    "SlurmdLogFile=/var/log/slurm/slurmd.%n.log",
    "SlurmdPidFile=/run/slurmd.%n.pid",
    "NodeName=n1 CPUs=2 RealMemory=1800 Gres=tty:2 State=UNKNOWN",
    "NodeName=n3 NodeHostname=n1 NodeAddr=127.0.0.1 Port=16818 CPUs=2 RealMemory=1800 Gres=tty:2",
];

/// Show that the jobs of a user on both slurmd of a host share one session: the
/// first to end leaves it to the other, the last one closes it.
#[test]
fn two_slurmd_on_one_host_share_a_session() {
    let built = N1.sh("scontrol show config | grep MULTIPLE_SLURMD").stdout;
    assert!(built.to_lowercase().contains("yes"), "Slurm {} is built without: {built}", N1.slurm());
    N1.configure(QUICK);
    let before = N1.snapshot();
    let _end = AtEnd(format!(
        "systemctl stop slurmd-n3; rm -r /run/systemd/system/slurmd-n3.service \
         /run/systemd/system/slurmd.service.d/second.conf /var/spool/slurmd.n*; {RELOAD}"
    ));
    N1.sh(SECOND).ok();
    N1.with_slurm_conf(&TWO, || {
        let job = format!("{LIVE}; echo up; {GO}; {LIVE}");
        let jobs = ["n1", "n3"]
            .map(|node| Batch::of("alice", &job).with(&format!("--nodelist={node}")).start());
        for job in jobs {
            job.wait_says("up");
        }
        for job in jobs {
            let said = job.go_to_its_end();
            assert_eq!(said.stdout.matches("running dir=/run/user/1001\n").count(), 2, "{said:#?}");
        }
        N1.is_again(&before);
    });
}

/// Show that where Slurm has no cgroups there is nothing to hold the session to,
/// and what a job leaves in it ends all the same; and that the other kind, which needs them, says so.
#[test]
fn slurm_without_cgroups() {
    N1.configure(QUICK);
    let before = N1.snapshot();
    let lines = ["ProctrackType=proctrack/linuxproc", "TaskPlugin=task/none", "PrologFlags=Alloc"];
    N1.with_slurm_conf(&lines, || {
        if has_own_sessions() {
            let said = Batch::of("alice", "echo dir=$XDG_RUNTIME_DIR; echo ran").run().ok();
            said.says("dir=\nran\n")
                .complains("session=job needs proctrack/cgroup and cgroup v2. ");
            return N1.is_again(&before);
        }
        alice_is_served(&before);
        let job = forgetful(9003);
        assert_eq!(N1.slice(1001, "memory.max"), "max");
        leaves_nothing(job, 9003);
        N1.is_again(&before);
    });
}
