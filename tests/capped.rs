//! The cap does not depend on the session: a user with a job has what it may use, and no more.
// Tests say what they expect by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use cluster_tests::{AtEnd, Batch, GO, LIVE, N1, QUICK, as_user, many};

/// What a job of 100 MB is held to.
const CAP: &str = "104857600";

/// Prints what the slice is held to and whether 300 MB can be used in a session that the user has made for
/// themselves.
const TRIES: &str = r"
export XDG_RUNTIME_DIR=/run/user/$UID
loginctl enable-linger $(id -un)
until systemctl --user is-system-running --wait >/dev/null 2>&1; do sleep 0.3; done
echo memory=$(cat /sys/fs/cgroup/user.slice/user-$UID.slice/memory.max)
systemd-run --user --scope --quiet dd if=/dev/zero of=/dev/null bs=300M count=1 2>/dev/null; echo used=$?.
";

/// Linger is off again, and with it the session of whoever turned it on.
fn without_linger() -> AtEnd {
    AtEnd(
        "loginctl disable-linger alice; for i in $(seq 100); do \
            systemctl is-active --quiet user@1001 || exit 0; sleep 0.2; done"
            .to_owned(),
    )
}

/// Show that neither a session that was declined, nor one that its user has made fail, leaves the slice
/// without a cap: linger brings a session that is held to the job.
#[test]
fn no_session_is_no_way_around_the_cap() {
    N1.configure(QUICK);
    let before = N1.snapshot();
    let spoilt = format!("rm $XDG_RUNTIME_DIR/bus; srun --overlap true; {TRIES}");
    for (options, script) in [("--user-session=no", TRIES), ("", spoilt.as_str())] {
        let end = without_linger();
        let job = Batch::of("alice", script).with(&format!("--mem=100 {options}")).run();
        drop(end);
        let job = job.says("used=137.");
        assert_eq!(job.value("memory="), CAP, "{options}: {job:#?}");
        N1.is_again(&before);
    }
}

/// Has a unit of alice's start with her manager.
fn enabled(unit: &str, target: &str) -> AtEnd {
    let dir = "~alice/.config/systemd/user";
    N1.sh(&as_user(
        "alice",
        &format!(
            "mkdir -p {dir}/{target}.wants; cat >{dir}/early.service <<'END'\n{unit}\nEND\n\
             ln -s ../early.service {dir}/{target}.wants/"
        ),
    ))
    .ok();
    AtEnd(format!("rm -rf {dir}; rm -f /tmp/early"))
}

/// Show that before the job's limits are known the slice is held to a floor: a unit of the user's that starts
/// with the session has little memory and opens no device that Slurm gives to jobs.
#[test]
fn before_the_first_step_there_is_a_floor() {
    // The prolog waits: else the manager may start when the job's limits are known and set.
    N1.configure(&format!("{QUICK} on_error=drain"));
    let before = N1.snapshot();
    // With systemd's default, OOMPolicy=stop, the manager may end the shell before it says a word more.
    let unit = "[Service]\nType=oneshot\nRemainAfterExit=yes\nOOMPolicy=continue\n\
        ExecStart=sh -c '(: <>/dev/tty60) 2>/dev/null && echo opened. >>/tmp/early; \
            dd if=/dev/zero of=/dev/null bs=600M count=1 2>/dev/null && echo used. >>/tmp/early; \
            echo began. >>/tmp/early'";
    let _end = enabled(unit, "default.target");
    let prolog = "/root/slow-prolog";
    N1.sh(&format!(
        "printf '#!/bin/sh\\nsleep 3; cat /sys/fs/cgroup/user.slice/user-1001.slice/memory.max >/tmp/floor\\n' >{prolog}; \
         chmod 755 {prolog}; usermod --append --groups tty alice"
    ))
    .ok();
    let _files = AtEnd(format!("rm -f {prolog} /tmp/floor; gpasswd --delete alice tty"));
    N1.with_slurm_conf(&[&format!("Prolog={prolog}")], || {
        let job = Batch::of("alice", "cat /sys/fs/cgroup/user.slice/user-1001.slice/memory.max; systemctl --user is-active early")
            .with("--mem=900");
        let said = job.run();
        assert!(said.stdout.starts_with("943718400\n"), "{said:#?}");
        N1.is_again(&before);
    });
    let (floor, early) = (N1.sh("cat /tmp/floor").ok(), N1.sh("cat /tmp/early").ok());
    let floor: u64 = floor.stdout.trim().parse().expect("a number of bytes");
    assert!(floor <= 160 << 20, "{floor}");
    early.says("began.").never_says("used.").never_says("opened.");
}

/// Show that no cgroup of the user's slice is left when the caps are taken back: neither after a session, nor after a job
/// without one.
#[test]
fn no_cgroup_of_the_slice_is_left() {
    N1.configure(QUICK);
    let before = N1.snapshot();
    let slice = "/sys/fs/cgroup/user.slice/user-1001.slice";
    // By an earlier test, which sets something of a slice that is down.
    N1.sh(&format!("rmdir {slice} 2>/dev/null"));
    for options in ["", "--user-session=no"] {
        let job = Batch::of("alice", &format!("[ -d {slice} ] && echo it is there")).with(options);
        job.run().says("it is there");
        N1.is_again(&before);
        N1.waits_until(&format!("[ ! -e {slice} ]"));
    }
}

/// Show that what passes does not end a session under a running container: while the lock is held for too long
/// a step that wants to cap goes without a session, and is told by whom; the next one has it.
#[test]
fn what_passes_ends_no_session() {
    N1.configure(QUICK);
    let before = N1.snapshot();
    let script = format!(
        "podman run --detach --rm --replace --name=long --network=none localhost/busybox sleep 9101; echo up\n{GO}\n\
         srun --overlap bash -c '{LIVE}'; touch /tmp/tried.$SLURM_JOB_ID\n\
         until [ -e /tmp/free.$SLURM_JOB_ID ]; do sleep 0.2; done; srun --overlap bash -c '{LIVE}'\n\
         podman ps --format '{{{{.Names}}}}'"
    );
    let job = Batch::of("alice", &script).with("--mem=200").start();
    job.wait_says("up");
    N1.waits_until("pgrep --full '^([^ ]*/)?sleep 9101$'");
    let lives = N1.pid_of("sleep 9101");
    N1.put_line("optional spank_linger.so log_level=debug timeout=3 grace=1");
    // Somebody has changed the slice, so that the step has to cap it.
    N1.sh(&format!(
        "systemctl set-property --runtime user-1001.slice MemoryMax=300M\n\
         flock /run/spank-linger/1001 sh -c 'touch /tmp/go.{0}; until [ -e /tmp/tried.{0} ]; do sleep 0.2; done'\n\
         touch /tmp/free.{0}",
        job.0
    ))
    .ok();
    job.wait_over();
    let said = job.output();
    let said = said
        .says("no user session on this node")
        .says("wait for the lock of uid 1001, held by pid");
    let said = said.says("running dir=/run/user/1001\n").says("long\n");
    assert_eq!(said.stdout.matches("running dir=").count(), 1, "{said:#?} {lives:?}");
    N1.sh(&format!("rm -f /tmp/tried.{0} /tmp/free.{0} /tmp/go.{0}", job.0)).ok();
    N1.configure(QUICK);
    N1.is_again(&before);
}

/// Show that on a node without cgroup v2 a job is told what to do, and no session is opened without limits:
/// not by the prolog, and not by a step.
#[test]
fn without_cgroups_of_version_2_there_is_no_session() {
    const DROP_IN: &str = "/run/systemd/system/slurmd.service.d/v1.conf";
    const CONF: &str = "/etc/slurm/cgroup.conf";
    N1.configure(QUICK);
    let before = N1.snapshot();
    let lines = ["ProctrackType=proctrack/linuxproc", "TaskPlugin=task/none", "PrologFlags=Alloc"];
    let reload = "systemctl daemon-reload";
    N1.with_slurm_conf(&lines, || {
        let _end = AtEnd(format!(
            "mv {CONF}.before {CONF}; rm -f {DROP_IN}; {reload}; systemctl restart slurmd"
        ));
        N1.sh(&format!(
            "cp {CONF} {CONF}.before; echo CgroupPlugin=disabled >{CONF}\n\
             mkdir -p $(dirname {DROP_IN})\n\
             printf '[Service]\\nTemporaryFileSystem=/sys/fs/cgroup\\nDelegate=no\\n' >{DROP_IN}\n\
             {reload}; systemctl restart slurmd; journalctl --rotate --quiet"
        ))
        .ok();
        N1.settles();
        let since = N1.sh("date '+%F %T'").ok().stdout;
        let job = Batch::of("alice", &format!("{LIVE}; srun bash -c '{LIVE}'")).run();
        job.complains("no cgroup v2 at /sys/fs/cgroup")
            .complains("confine=none")
            .never_says("running");
        let started = format!(
            "journalctl --unit=user@1001 --since='{}' --grep=Started --quiet",
            since.trim()
        );
        assert_eq!(N1.sh(&started).stdout, "", "a session was opened");
        N1.is_again(&before);
    });
}

/// Show that of many jobs of one user that begin at once none waits too long for the lock, and that who has it
/// caps for those who wait.
#[test]
fn many_jobs_at_once_are_capped_together() {
    /// All prologs of ours are through before one extern step begins, and these wait before one has the lock.
    const PROLOG: &str = "/run/linger-prolog";
    const DIR: &str = "/run/spank-linger/1001";
    // Slurm gives none less than 30 MB (MinRAMSpace in cgroup.conf).
    let count = many(16, 48);
    N1.configure("optional spank_linger.so timeout=60 grace=1");
    let before = N1.snapshot();
    let end = AtEnd(format!(
        "kill $(cat /tmp/calls.pid); rm -f /tmp/calls* /tmp/go.all /tmp/go.steps {PROLOG}"
    ));
    N1.sh(&format!(
        "printf '#!/bin/bash\\nuntil [ -e /tmp/go.steps ] || [ ! -e {PROLOG} ]; do sleep 0.5; done\\n' >{PROLOG}
         chmod +x {PROLOG}
         truncate --size=0 /var/log/slurm/slurmd.log
         busctl --system --json=short monitor --match=member=SetUnitProperties >/tmp/calls 2>/dev/null &
         echo $! >/tmp/calls.pid"
    ))
    .ok();
    let mut calls = String::new();
    N1.with_slurm_conf(&[&format!("Prolog={PROLOG}")], || {
        // Killed at once they take a light node's kernel with them.
        let go = "exec {idle}<> <(:); until [ -e /tmp/go.all ]; do read -rt 1 -u $idle; done";
        let jobs = Batch::of("alice", go).with(&format!("--mem=30 --array=1-{count}")).start();
        N1.waits_until(&format!(
            "[ $(ls {DIR} | grep --count --extended-regexp '^[0-9]+$') = {count} ]"
        ));
        let noted = format!("$(ls {DIR} | grep --count \"[0-9].limits$\")");
        let wait = format!("until [ {noted} = {count} ]; do sleep 0.5; done");
        N1.sh_within(60, &format!("flock {DIR} sh -c 'touch /tmp/go.steps; {wait}'")).ok();
        N1.waits_for_slice(1001, "memory.max", &(count * 30 * 1024 * 1024).to_string());
        N1.waits_until(&format!("[ $(pgrep --full --count 'batch[]]') = {count} ]"));
        // The floor's, and those of whoever had the lock before the sum was set.
        calls = N1.sh("grep --count user-1001.slice /tmp/calls").stdout;
        N1.sh("touch /tmp/go.all").ok();
        jobs.wait_over();
    });
    let calls: u32 = calls.trim().parse().unwrap();
    drop(end);
    N1.is_again(&before);
    let late = N1.sh("grep -E 'linger:.*(no end|error)' /var/log/slurm/slurmd.log").stdout;
    assert_eq!(late, "", "somebody waited too long");
    println!("{count} jobs at once: {calls} calls of SetUnitProperties");
    assert!(calls > 0 && calls < count / 4, "{calls} calls for {count} jobs");
}
