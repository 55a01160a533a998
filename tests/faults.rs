//! What goes wrong on a node while jobs run: it is repaired by whoever comes next.
// Tests say what they expect by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use cluster_tests::{AtEnd, Batch, GO, Login, N1, OPTIONAL, QUICK, Started};

/// A command of a job: is there a session, and does it answer?
const LIVE: &str = "systemctl --user is-active basic.target && \
    busctl --user call org.freedesktop.DBus / org.freedesktop.DBus GetId >/dev/null && echo live";

/// A job that waits for the test, has a step look for the session, and ends.
fn looks_again(user: &str) -> Batch {
    Batch::of(user, &format!("{LIVE}; echo up; {GO}; srun bash -c '{LIVE}' && echo live again"))
}

/// Show that a power loss with jobs running leaves nobody lingering who did not
/// before, and no lease, and that the next job has its session.
#[test]
fn a_power_loss_is_repaired() {
    N1.configure(OPTIONAL);
    N1.sh("loginctl enable-linger dave; systemctl start user@1004").ok();
    let _end = AtEnd("loginctl disable-linger dave".into());
    let before = N1.snapshot();
    for user in ["alice", "dave"] {
        Batch::of(user, "echo up; sleep 900").start().wait_says("up");
    }
    // The worst moment: all that was changed is on the disk.
    N1.sh("sync").ok();
    N1.loses_power();
    N1.sh("scancel --user=alice; scancel --user=dave").ok();
    N1.settles();
    N1.is_again(&before);
    Batch::of("alice", LIVE).run().ok().says("live");
    N1.is_again(&before);
}

/// Show that a job keeps its session over a restart of slurmd, and that one whose
/// state slurmd has thrown away leaves nothing.
#[test]
fn a_restart_of_slurmd_keeps_what_lives() {
    N1.configure(OPTIONAL);
    let before = N1.snapshot();
    let manager = || N1.sh("systemctl show --property=MainPID user@1001").ok().stdout;
    let job = looks_again("alice").start();
    job.wait_says("up");
    let first = manager();
    N1.sh("systemctl restart slurmd; sleep 1").ok();
    assert_eq!(manager(), first);
    job.go_to_its_end().says("live again");
    N1.is_again(&before);

    let job = looks_again("alice").start();
    job.wait_says("up");
    let clean = AtEnd(
        "rm --force /etc/default/slurmd.test; systemctl unset-environment SLURMD_OPTIONS; \
         systemctl restart slurmd"
            .into(),
    );
    N1.sh("systemctl stop slurmd; systemctl set-environment SLURMD_OPTIONS=-c; systemctl start slurmd").ok();
    N1.sh(&format!("scancel {}", job.0)).ok();
    drop(clean);
    N1.settles();
    N1.is_again(&before);
}

/// Notes alice's manager before a fault, which is to end it, and waits until it has.
const WAS: &str = "pid() { systemctl show user@1001 --property=MainPID --value; }; was=$(pid)\n";
const ENDED: &str =
    "for i in $(seq 200); do [ \"$(pid)\" != $was ] && exit 0; sleep 0.2; done; exit 1";

/// Show that after logind, the bus or the user's manager was killed under a job
/// a later step has a live session again, and that nothing is left afterwards.
#[test]
fn a_later_step_gets_the_session_back() {
    N1.configure(QUICK);
    let before = N1.snapshot();
    for fault in [
        "systemctl kill --signal=KILL systemd-logind; sleep 1; loginctl; was=0",
        "systemctl kill --signal=KILL user@1001",
        "loginctl terminate-user alice",
    ] {
        let job = looks_again("alice").start();
        job.wait_says("up");
        N1.sh(&format!("{WAS}{fault}; {ENDED}")).ok();
        job.go_to_its_end().says("live again");
        N1.settles();
        N1.is_again(&before);
    }
}

/// Show that linger that an admin or the user turns off or on under a job is as
/// it was before the first job when the last is over, and that a later step has
/// its session again.
#[test]
fn linger_that_others_change_is_put_back() {
    N1.configure(QUICK);
    let _end = AtEnd("loginctl disable-linger alice".into());
    for (at_first, meanwhile) in [
        ("disable", "loginctl disable-linger alice"),
        ("enable", "loginctl disable-linger alice"),
        ("disable", "loginctl enable-linger alice; was=0"),
        (
            "disable",
            "runuser -u alice -- busctl call org.freedesktop.login1 /org/freedesktop/login1 \
             org.freedesktop.login1.Manager SetUserLinger ubb 1001 false false",
        ),
    ] {
        N1.sh(&format!("loginctl {at_first}-linger alice")).ok();
        N1.waits_until(match at_first {
            "enable" => "systemctl is-active --quiet user@1001 && sleep 2",
            _ => "[ ! -e /run/user/1001 ]",
        });
        let before = N1.snapshot();
        let job = looks_again("alice").start();
        job.wait_says("up");
        N1.sh(&format!("{WAS}{meanwhile}; {ENDED}")).ok();
        job.go_to_its_end().says("live again");
        N1.is_again(&before);
    }
}

/// Show that the polkit rule of docs/limits.md keeps users from lingering by themselves,
/// and that they have a session in their jobs all the same.
#[test]
fn users_can_be_kept_from_lingering() {
    const RULE: &str = "/etc/polkit-1/rules.d/50-no-self-linger.rules";
    N1.configure(OPTIONAL);
    let document = include_str!("../docs/limits.md");
    let rule =
        document.split("no-self-linger.rules\n").nth(1).and_then(|rest| rest.split("```").next());
    let _end = AtEnd(format!("rm --force {RULE}; loginctl disable-linger alice"));
    let turn_on = |login: &mut Login| login.ask("loginctl enable-linger 2>/dev/null; echo done");
    let lingers = || N1.sh("ls /var/lib/systemd/linger").ok().stdout.contains("alice");
    turn_on(&mut Login::of("alice", N1));
    assert!(lingers());
    N1.sh("loginctl disable-linger alice").ok();
    N1.sh(&format!("cat >{RULE} <<'END'\n{}END\nsystemctl restart polkit", rule.unwrap())).ok();
    turn_on(&mut Login::of("alice", N1));
    assert!(!lingers());
    Batch::of("alice", LIVE).run().ok().says("live");
}

/// Show that a disk that is full, or cannot be written, costs a job its session
/// and nothing else, and that what an epilog could not write is made up for.
#[test]
fn a_full_disk_costs_the_session_and_no_more() {
    N1.configure(QUICK);
    let before = N1.snapshot();
    for place in ["/run/spank-linger", "/var/lib/spank-linger"] {
        for (fault, options) in [("full", "size=4k"), ("read-only", "ro")] {
            let fill = format!("! head --bytes=8192 /dev/zero >{place}/filler 2>/dev/null");
            let fill = if fault == "full" { fill.as_str() } else { "true" };
            N1.sh(&format!("mkdir -p -m 700 {place}; mount -t tmpfs -o mode=700,{options} tmpfs {place}; {fill}")).ok();
            let end = AtEnd(format!("umount {place}"));
            let job = Batch::of("alice", "echo dir=$XDG_RUNTIME_DIR; echo ran").run();
            drop(end);
            job.ok().says("dir=\nran\n").complains("no user session").complains(place);
            N1.settles();
            N1.is_again(&before);
        }
    }
    Batch::of("alice", LIVE).run().ok().says("live");
    N1.is_again(&before);
}

/// Show that an epilog that can write nothing any more still puts back what it
/// can, and that the next job of the user does the rest.
#[test]
fn a_disk_that_fills_up_under_a_job_is_no_leak() {
    N1.configure(QUICK);
    let before = N1.snapshot();
    for fault in ["size=0", "remount,ro"] {
        let place = "/run/spank-linger";
        N1.sh(&format!(
            "mkdir -p -m 700 {place}; mount -t tmpfs -o mode=700,size=64k tmpfs {place}"
        ))
        .ok();
        let end = AtEnd(format!("umount {place}"));
        let job = Batch::of("alice", &format!("{LIVE}; echo up; {GO}")).start();
        job.wait_says("up");
        if fault == "remount,ro" {
            N1.sh(&format!("mount -o remount,ro {place}")).ok();
        } else {
            N1.sh(&format!("! head --bytes=99999 /dev/zero >{place}/filler 2>/dev/null")).ok();
        }
        job.go_to_its_end();
        N1.sh(&format!("mount -o remount,rw {place}; rm --force {place}/filler")).ok();
        Batch::of("alice", LIVE).run().ok().says("live");
        N1.settles();
        drop(end);
        N1.is_again(&before);
    }
}

/// Show that state that was cut off, is another version's, or belongs to somebody
/// else harms no job, is named, and is gone after the next.
#[test]
fn state_that_was_spoilt_is_repaired() {
    N1.configure(QUICK);
    let before = N1.snapshot();
    for spoil in ["truncate --size=9", "sed -i s/1/9/", "chown bob", "chmod 666"] {
        let job = looks_again("alice").start();
        job.wait_says("up");
        N1.sh(&format!("cd /run/spank-linger/1001; {spoil} {} slice found undo", job.0)).ok();
        job.go_to_its_end().says("live again");
        N1.settles();
        Batch::of("alice", LIVE).run().ok().says("live");
        N1.is_again(&before);
    }
}

/// Show that all state is root's and closed to others, and that nothing in a job's
/// environment leads root elsewhere.
#[test]
fn the_environment_of_a_job_decides_nothing() {
    N1.configure(OPTIONAL);
    let before = N1.snapshot();
    let evil = "DBUS_SYSTEM_BUS_ADDRESS=unix:path=/tmp/evil XDG_RUNTIME_DIR=/tmp RUST_LOG=trace \
        SLURM_JOB_UID=0 SLURM_JOB_USER=root SLURM_JOBID=1 SLURM_UID=0 TMPDIR=/nonexistent HOME=/root";
    let job = looks_again("alice").submitted_with(evil).start();
    job.wait_says("up");
    let open = N1.sh("find /run/spank-linger /var/lib/spank-linger ! -user root -o ! -group root \
         -o -type d ! -perm 700 -o ! -type d ! -perm 600 -o ! -type d ! -type f");
    assert_eq!(open.ok().stdout, "");
    job.go_to_its_end().says("live again").never_says("linger:");
    N1.is_again(&before);
}

/// Show that a state directory that is not root's alone is not used, and that the
/// user is told which.
#[test]
fn state_of_others_is_not_trusted() {
    N1.configure(OPTIONAL);
    let before = N1.snapshot();
    let place = "/run/spank-linger";
    for plant in [
        format!("mkdir -m 777 {place}"),
        format!("mkdir -m 700 {place}; chown bob {place}"),
        format!("mkdir -m 700 /home/bob/trap; ln -s /home/bob/trap {place}"),
        format!("echo >{place}"),
    ] {
        N1.sh(&format!("rm -rf {place} /home/bob/trap; {plant}")).ok();
        let end = AtEnd(format!("rm -rf {place} /home/bob/trap; mkdir -m 700 {place}"));
        let job = Batch::of("alice", "echo dir=$XDG_RUNTIME_DIR").run().ok();
        job.says("dir=\n").complains(place).complains("must be a directory of root with mode 0700");
        N1.sh("[ -z \"$(ls -A /home/bob/trap 2>/dev/null)\" ]").ok();
        drop(end);
        N1.settles();
        N1.is_again(&before);
    }
}

/// Show that a job id that is used again, after slurmctld has lost its state, is
/// another job.
#[test]
fn an_id_used_again_is_another_job() {
    N1.configure(QUICK);
    let before = N1.snapshot();
    // The process that holds Slurm's scope lives, else a slurmd that starts before
    // the scope is gone starts no step in it.
    let lose_state = || {
        N1.sh("systemctl stop slurmctld slurmd; pkill --signal=KILL --full 'slurmstepd: [[]'; \
             pkill --uid alice sleep; rm -rf /var/spool/slurm{ctld,d}/* /tmp/{out,go}.7001; \
             systemctl start slurmctld slurmd");
        N1.settles();
    };
    N1.with_slurm_conf(&["FirstJobId=7001"], || {
        lose_state();
        let first = Batch::of("alice", "setsid --fork sleep 7101; echo up; sleep 900").start();
        first.wait_says("up");
        // Its epilog never comes: as if slurmd had died with it.
        lose_state();
        let second = Batch::of("alice", &format!("{LIVE}; {GO}")).start();
        assert_eq!(first, second);
        second.go_to_its_end().says("live");
    });
    N1.is_again(&before);
}

/// Show that accounts with unusual names and numbers, and one that the name
/// service has lost when the job ends, are served and leave nothing.
#[test]
fn unusual_accounts_are_served() {
    N1.configure(QUICK);
    let before = N1.snapshot();
    let add = |name: &str, uid: u32| {
        format!("printf '%s\\n' '{name}:*:{uid}:100::/tmp:/bin/bash' >>/etc/passwd")
    };
    let _end = AtEnd("cp /etc/passwd.before /etc/passwd".into());
    N1.sh("cp /etc/passwd /etc/passwd.before").ok();
    for (name, uid) in [("DOM\\erin", 5001), ("e.r-i_n@site", 5002), ("top", 4_294_967_290)] {
        N1.sh(&format!("{}; {}", add(name, uid), add("twin", uid))).ok();
        let script = format!("#!/bin/bash\n{LIVE}; echo up; {GO}\n");
        let submit = format!(
            "cd /; sbatch --uid={uid} --parsable --output=/tmp/out.%j <<'END'\n{script}END"
        );
        let job = Started(N1.sh(&submit).ok().stdout.trim().parse().unwrap());
        job.wait_says("up");
        N1.sh("cp /etc/passwd.before /etc/passwd").ok();
        job.go_to_its_end().says("live");
        N1.is_again(&before);
    }
}
