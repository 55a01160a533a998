//! What a user has outside of the job: no second allocation, and no way of the session to it.

use std::time::{Duration, Instant};

use cluster_tests::{AtEnd, Batch, DEVICES, GO, Login, N1, SILENT, many};

use super::{OWN, books_are_right, configured, job, nothing_is_left};

/// Finds a manager of alice's that is no job's, once her linger is on: `outer` begins a program in it. The way to it
/// is a unit of hers: the kernel lets nobody through a manager that PAM has given a capability.
const OUTER: &str = r#"
echo it is ready
until outer=$(for pid in $(pgrep --uid $UID --exact --full '/bin/sleep 7012'); do
        grep --quiet user@$UID.service /proc/$pid/cgroup && echo $pid; done) && [ -n "$outer" ] &&
    [ -S /proc/$outer/root/run/user/$UID/bus ]; do sleep 0.2; done
outer() {
    local path=/org/freedesktop/systemd1 name=org.freedesktop.systemd1
    rm -f ~/outer.out ~/outer.code
    DBUS_SESSION_BUS_ADDRESS=unix:path=/proc/$outer/root/run/user/$UID/bus busctl --user -- call $name $path \
        $name.Manager StartTransientUnit 'ssa(sv)a(sa(sv))' outer$RANDOM.service replace 2 OOMPolicy s continue \
        ExecStart 'a(sasb)' 1 /bin/sh 3 sh -c "{ $*; } >~/outer.out 2>&1; echo \$? >~/outer.code" false 0 >/dev/null
    for i in $(seq 300); do [ ! -s ~/outer.code ] || break; sleep 0.1; done
    cat ~/outer.out; return $(cat ~/outer.code)
}
"#;

/// Has alice linger. A node without polkit lets nobody do it but root, which is the same; and logind starts nothing for
/// whom it takes for started, as in the seconds after their manager was killed.
pub(crate) const LINGERS: &str =
    "runuser -u alice loginctl enable-linger alice || loginctl enable-linger alice
    systemctl start user@1001";

/// Show that who has their own linger turned on has a manager beside the job, with next to nothing in it; that
/// other ways lead into the job or nowhere; and that linger is off afterwards.
#[test]
fn there_is_no_second_allocation() {
    configured(|| {
        let _end = AtEnd("rm -rf ~alice/.config/systemd ~alice/outer.*".to_owned());
        let script = format!(
            "units=~/.config/systemd/user; mkdir --parents $units/default.target.wants
             printf '[Service]\\nExecStart=/bin/sleep 7012\\n' >$units/door.service
             ln --symbolic ../door.service $units/default.target.wants/
             {OUTER}
             echo outer in $(outer cat /proc/self/cgroup); slice=/sys/fs/cgroup$(outer cat /proc/self/cgroup | sed 's/^0:://; s,/user@.*,,')
             echo $slice | grep --quiet user-$UID.slice || echo lost
             echo memory=$(outer cat $slice/memory.max); echo tasks=$(outer cat $slice/pids.max)
             attempt little outer dd if=/dev/zero of=/dev/null bs=10M count=1
             attempt much outer dd if=/dev/zero of=/dev/null bs=400M count=1
             for parent in user.slice /user.slice system.slice; do
                 echo parent $(podman run --rm --network=none --cgroup-parent=$parent $image cat /proc/1/cgroup 2>/dev/null) end
                 echo files $(podman run --rm --network=none --cgroup-manager=cgroupfs --cgroup-parent=$parent $image cat /proc/1/cgroup 2>/dev/null) end
             done
             podman run --rm --network=none --cgroupns=host $image cat /proc/1/cgroup | home -
             # Last: memory that runs out may cost the job its manager, beside what has taken it.
             machine() {{ timeout 60 systemd-run --machine=$(id -un)@.host --user --quiet --wait --pipe \"$@\"; }}
             attempt machine machine dd if=/dev/zero of=/dev/null bs=400M count=1
             echo over"
        );
        let started = job(&script).start();
        started.wait_says("it is ready");
        N1.sh(LINGERS).ok();
        started.wait_over();
        let said = started.output().says("over").never_says("lost");
        let said = said.says("outer in 0::/user.slice/user-1001.slice/user@1001.service/");
        let said = said.says("little=0.").never_says("much=0.").never_says("machine=0.");
        let number = |name: &str| said.value(name).parse::<u64>().unwrap();
        assert!(number("memory=") <= 160 << 20 && number("tasks=") <= 160, "{said:#?}");
        assert!(said.stdout.contains("MINE/step_extern/user/session/"), "{said:#?}");
        for line in said
            .stdout
            .lines()
            .filter(|line| line.starts_with("parent ") || line.starts_with("files "))
        {
            println!("{line}");
        }
    });
}

/// Show that who turns their own linger on, by a unit that does so over and over and ignores its end, is held to next
/// to nothing until all of it is gone, and has no linger afterwards.
#[test]
fn linger_that_is_turned_on_again_ends_with_the_job() {
    configured(|| {
        let _end = AtEnd("rm -rf ~alice/.config/systemd; loginctl disable-linger alice".to_owned());
        let script = format!(
            "units=~/.config/systemd/user; mkdir --parents $units/default.target.wants
             cat >$units/again.service <<'END'
[Service]
ExecStart=/bin/bash -c 'trap \"\" TERM; while :; do loginctl enable-linger; sleep 0.2; done'
TimeoutStopSec=60
END
             ln --symbolic ../again.service $units/default.target.wants/
             loginctl enable-linger; echo it is ready; {GO}"
        );
        let started = job(&script).start();
        started.wait_says("it is ready");
        N1.sh(LINGERS).ok();
        N1.waits_until(
            "systemctl --quiet is-active user@1001 && pgrep --uid alice --full 'loginctl|trap'",
        );
        // From there a boot would turn it off.
        N1.waits_until("ls /var/lib/spank-linger/1001");
        started.go_to_its_end();
        N1.waits_until("! ls /var/lib/systemd/linger/alice 2>/dev/null");
    });
}

/// Show that a user who was logged in before the job keeps what they have there, held to what the job may use, and
/// has it free again afterwards.
#[test]
fn a_login_is_held_as_its_jobs_are() {
    configured(|| {
        let _end = AtEnd(
            "loginctl disable-linger alice; for i in $(seq 100); do systemctl is-active --quiet user@1001 || exit 0; sleep 0.2; done"
                .to_owned(),
        );
        N1.sh("loginctl enable-linger alice; until [ -S /run/user/1001/bus ]; do sleep 0.1; done")
            .ok();
        let limits = "cat /sys/fs/cgroup/user.slice/user-1001.slice/memory.max";
        let before = N1.sh(limits).ok().stdout;
        let started = job(&format!("echo it is ready; {GO}\n$box $image echo contained")).start();
        started.wait_says("it is ready");
        assert_eq!(N1.sh(limits).ok().stdout, "209715200\n");
        started.go_to_its_end().says("contained\n").never_says("level=");
        N1.waits_until(&format!("[ \"$({limits})\" = {} ]", before.trim()));
        N1.sh("loginctl show-user alice --property=Linger").ok().says("Linger=yes");
    });
}

/// Show that a login that ends beside a job takes nothing from Podman there: logind removes what its user has in
/// /dev/shm, and with new locks two containers would have the same.
#[test]
fn a_logout_takes_no_locks() {
    configured(|| {
        let container = "podman run --detach --network=none --replace";
        let script = format!(
            "{container} --name=one $image sleep 7019 >/dev/null; echo it is ready; {GO}
             {container} --name=two $image sleep 7019 >/dev/null; podman exec one echo over"
        );
        let started = job(&script).start();
        started.wait_says("it is ready");
        let mut login = Login::of("alice", N1);
        assert_eq!(login.ask("echo in"), "in");
        drop(login);
        N1.waits_until("! loginctl show-user alice >/dev/null");
        started.go_to_its_end().says("over").never_says("level=");
        books_are_right(&["one", "two"]);
    });
}

/// Show that what runs in a session opens the devices of its job, and no other's.
#[test]
fn a_device_is_the_jobs() {
    configured(|| {
        let holder = job(&format!("{DEVICES}{GO}")).with("--gres=tty:1").start();
        holder.wait_says("up");
        let other = Batch::of("bob", DEVICES).with("--mem=100").run().ok();
        let holder = holder.go_to_its_end();
        for said in [&holder, &other] {
            let task = said.value("task:");
            assert_eq!((said.value("container:"), said.value("service:")), (task.clone(), task));
        }
        // Slurm 22.05 refuses no device.
        let given = if N1.slurm() == "22.05" { (2, 2) } else { (1, 0) };
        let count = |said: &str| said.split_whitespace().count();
        assert_eq!((count(&holder.value("task:")), count(&other.value("task:"))), given);
    });
}

/// What a step or the end of a job may take where a program of the user's hangs.
const BOUND: Duration = Duration::from_secs(45);

/// Show that a file system that a step has mounted in the job's runtime directory is there in the next one; and that
/// of one that never answers no step of root's doing and no end has to wait, and no other job of the user's.
#[test]
fn a_silent_file_system_is_in_nobodys_way() {
    configured(|| {
        N1.put_line(&OWN.replace("timeout=120", "timeout=12"));
        let _end = AtEnd("pkill --signal=KILL --full 'perl .*/silent'".to_owned());
        N1.sh("modprobe fuse; command -v fusermount3").ok();
        let all = ["", "/libpod", "/bus", "/containers", "/libpod/tmp/linger"];
        for below in all.into_iter().take(many(3, 5) as usize) {
            let script = format!(
                "{SILENT}place=/run/user/$UID{below}; [ -d $place ] || {{ rm $place; : >$place; }}
                 mounted() {{ grep --quiet \" $1 .* fuse.silent \" /proc/self/mountinfo; }}
                 srun --overlap bash -c \"perl ~/silent $place & sleep 7013\" &
                 until mounted $place; do sleep 0.1; done; echo it is ready; {GO}
                 SECONDS=0; timeout --kill-after=5 30 srun --overlap --chdir=/ bash -c \"$(declare -f mounted); mounted $place && echo sees it\"
                 echo took=$SECONDS"
            );
            let first = job(&script).with("--mem=100").start();
            first.wait_says("it is ready");
            let next = job("$box $image echo contained").with("--mem=90").run_within(90).ok();
            next.says("contained\n");
            let began = Instant::now();
            // Where a task looks for its bus it waits, as its user's own process.
            let sees = if below == "/bus" { "" } else { "sees it\n" };
            let said = first.go_to_its_end().says(sees);
            if below.is_empty() {
                said.clone().says("covered by a file system of type fuse.silent");
            }
            assert!(said.value("took=").parse::<u64>().unwrap() < BOUND.as_secs(), "{said:#?}");
            assert!(began.elapsed() < BOUND, "{below}: {:?}", began.elapsed());
            nothing_is_left();
        }
    });
}
