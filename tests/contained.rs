//! A session gives a job no more than its allocation.
// Tests say what they expect by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use cluster_tests::{AtEnd, Batch, DEVICES, GO, N1, OPTIONAL, QUICK, skipped};

/// The plugin without its caps: the tests' own control.
const UNCONFINED: &str = "optional spank_linger.so log_level=debug timeout=120 confine=none";

const NO_LIMITS: &str =
    "Slurm 20.11 knows no cgroup v2: its jobs have no limits that a session could be held to";

fn slurm_has_limits() -> bool {
    N1.slurm() != "20.11"
}

/// Debian's 22.05 gives a task all devices, whatever cgroup.conf says.
fn slurm_constrains_devices() -> bool {
    let constrains = slurm_has_limits() && N1.slurm() != "22.05";
    if !constrains {
        println!("This Slurm refuses no device to a plain task: there is nothing to mirror.");
    }
    constrains
}

/// What the attempts share. A service that dd has its memory in says so itself: the kernel may end the
/// user's bus beside dd, and then `systemd-run --wait` of systemd 262 ends with 0, whatever became of it. Where it has
/// ended the user's manager, too (seen once, with a second kill while dd was dying), the next step has it started again.
const TOOLS: &str = r#"
slice=/sys/fs/cgroup/user.slice/user-$UID.slice
big='dd if=/dev/zero of=/dev/null bs=300M count=1'
box='podman run --rm --network=none'
killed() { sed -n 's/^oom_kill //p' $slice/memory.events; }
serve() { systemd-run --user --wait --pipe --quiet "$@" 2>&1 | grep --quiet 'records out'; }
attempt() {
    local what=$1; shift
    systemctl --user --quiet is-active default.target || srun --overlap true
    "$@" >/dev/null; echo "$what=$?."
}
"#;

/// Uses 300 MB in every place that is not Slurm's own, and counts its CPUs there.
const ESCAPES: &str = r"
before=$(killed)
attempt container $box localhost/busybox $big
attempt scope systemd-run --user --scope --quiet $big
attempt service serve $big
echo killed=$(($(killed) - before)).
$box localhost/busybox sh -c 'echo container: $(nproc) $(grep Cpus_allowed_list /proc/self/status)'
echo service: $(systemd-run --user --wait --pipe --quiet nproc)
echo cpus: task=$(grep Cpus_allowed_list /proc/self/status | cut -f2) slice=$(cat $slice/cpuset.cpus.effective)
echo memory=$(cat $slice/memory.max)
echo free: $(cat $slice/pids.max $slice/memory.swap.max)
";

fn job_that(attempts: &str) -> Batch {
    Batch::of("alice", &format!("{TOOLS}{attempts}")).with("--mem=100 --cpus-per-task=1")
}

/// Show that a job of 100 MB and one CPU gets no more in a container, a scope or
/// a service of its session, that the same attempts succeed without the caps, and
/// that what Slurm does not constrain is as free as without them.
#[test]
fn a_job_gets_no_more_than_its_allocation() {
    if !slurm_has_limits() {
        return skipped(NO_LIMITS);
    }
    N1.configure(QUICK);
    let before = N1.snapshot();
    let capped = job_that(ESCAPES).run().ok();
    N1.is_again(&before);
    N1.configure(UNCONFINED);
    let free = job_that(ESCAPES).run().ok();
    N1.is_again(&before);

    let free = free.says("container=0.").says("scope=0.").says("service=0.").says("killed=0.");
    assert_eq!(free.value("service:"), "2", "{free:#?}");

    let capped = capped.says("container=137.").says("scope=137.").never_says("service=0.");
    let capped = capped.kills_at_least(3).says("memory=104857600\n");
    let cpus = capped.value("cpus: ");
    let (task, slice) = cpus.split_once(" slice=").unwrap();
    assert_eq!(task.strip_prefix("task="), Some(slice), "{capped:#?}");
    assert_eq!(capped.value("service:"), "1", "{capped:#?}");
    assert_eq!(capped.value("container:"), format!("1 Cpus_allowed_list: {slice}"));
    assert_eq!(capped.value("free:"), free.value("free:"), "{capped:#?}{free:#?}");
}

/// Each line raises a cap, or tries to, and then uses 300 MB in that place.
const RAISES: &str = r#"
before=$(killed)
systemctl --user set-property --runtime app.slice MemoryMax=infinity
attempt app systemd-run --user --scope --quiet --slice=app.slice $big
systemctl --user set-property --runtime user.slice MemoryMax=2G
attempt user systemd-run --user --scope --quiet --slice=user.slice $big
attempt nested systemd-run --user --scope --quiet --slice=x-y.slice --property=MemoryMax=infinity $big
attempt scope systemd-run --user --scope --quiet --property=MemoryMax=1G $big
attempt service serve --property=MemoryMax=1G $big
attempt memory $box --memory=1g localhost/busybox $big
attempt parent $box --cgroup-parent=x.slice localhost/busybox $big
echo max >$slice/user@$UID.service/memory.max || echo manager: denied
echo max >$slice/memory.max || echo slice: denied
systemctl set-property --runtime user-$UID.slice MemoryMax=infinity || echo systemd: denied
attempt delegated systemd-run --user --scope --quiet --property=Delegate=yes bash -c '
    own=/sys/fs/cgroup$(cut --delimiter=: --fields=3 /proc/self/cgroup)
    mkdir $own/x && echo $BASHPID >$own/x/cgroup.procs && echo +memory >$own/cgroup.subtree_control &&
    echo max >$own/x/memory.max && exec '"$big"
echo killed=$(($(killed) - before)).
echo memory=$(cat $slice/memory.max)
"#;

/// Show that a user who tries cannot raise the cap: whatever they set, wherever
/// their 300 MB then are, they are killed.
#[test]
fn a_user_cannot_raise_the_cap() {
    if !slurm_has_limits() {
        return skipped(NO_LIMITS);
    }
    N1.configure(QUICK);
    let before = N1.snapshot();
    let mut job = job_that(RAISES).run().ok();
    N1.is_again(&before);
    for place in ["app", "user", "nested", "scope", "memory", "parent", "delegated"] {
        job = job.says(&format!("{place}=137."));
    }
    let job = job.never_says("service=0.").says("slice: denied").says("systemd: denied");
    job.kills_at_least(8).says("memory=104857600\n");
}

/// Show that two jobs of one user have the sum of their memory and the union of
/// their CPUs, and that the one that remains has its own.
#[test]
fn two_jobs_have_their_sum_and_then_what_remains() {
    const MB: u32 = 1024 * 1024;
    if !slurm_has_limits() {
        return skipped(NO_LIMITS);
    }
    N1.configure(QUICK);
    let before = N1.snapshot();
    let cpus =
        "echo cpus: $(grep Cpus_allowed_list /proc/self/status | cut -f2); echo up; sleep 600";
    let [small, large] = ["--mem=100 --cpus-per-task=1", "--mem=200 --cpus-per-task=2"]
        .map(|options| Batch::of("alice", cpus).with(options).start());
    small.wait_says("up");
    large.wait_says("up");
    N1.waits_for_slice(1001, "memory.max", &(300 * MB).to_string());
    N1.waits_for_slice(1001, "cpuset.cpus.effective", "0-1");
    large.cancel();
    N1.waits_for_slice(1001, "memory.max", &(100 * MB).to_string());
    let own = small.output().value("cpus:");
    N1.waits_for_slice(1001, "cpuset.cpus.effective", &own);
    small.cancel();
    N1.is_again(&before);
}

/// Show that a session that cannot be held to its job is none: the job runs, is
/// told why, and finds no variable that leads it there.
#[test]
fn what_cannot_be_capped_is_no_session() {
    N1.configure(QUICK);
    let before = N1.snapshot();
    // No record of the slice can be written there.
    let place = "/run/spank-linger";
    N1.sh(&format!("install --directory --mode=700 {place} {place}/1001 {place}/1001/slice")).ok();
    let job =
        Batch::of("alice", "echo \"dir=$XDG_RUNTIME_DIR bus=$DBUS_SESSION_BUS_ADDRESS\"").run();
    N1.sh("rm -rf /run/spank-linger/1001").ok();
    job.ok()
        .says("dir= bus=\n")
        .complains("linger: job")
        .complains("no user session")
        .complains("slice");
    N1.is_again(&before);
}

/// Show that a device that Slurm gave to one job is opened from its container and
/// its services and from those of no other user, and that without the cap both
/// are. Where Slurm refuses no device to a plain task, there is nothing to mirror.
#[test]
fn a_device_is_only_for_the_jobs_it_was_given_to() {
    N1.configure(UNCONFINED);
    let before = N1.snapshot();
    let control = Batch::of("bob", DEVICES).with("--mem=100").run().ok();
    assert_eq!(control.value("container:"), "60 61", "{control:#?}");
    assert_eq!(control.value("service:"), "60 61", "{control:#?}");
    let constrained = control.value("task:").is_empty();

    N1.configure(QUICK);
    let holder = format!("{DEVICES}{GO}");
    let holder = Batch::of("alice", &holder).with("--mem=100 --gres=tty:1").start();
    holder.wait_says("up");
    let other = Batch::of("bob", DEVICES).with("--mem=100").run().ok();
    let holder = holder.go_to_its_end();
    N1.is_again(&before);

    let given = holder.value("task:");
    assert_eq!(given.split_whitespace().count(), if constrained { 1 } else { 2 }, "{holder:#?}");
    for (job, opened) in [(&holder, given), (&other, other.value("task:"))] {
        assert_eq!(job.value("container:"), opened, "{job:#?}");
        assert_eq!(job.value("service:"), opened, "{job:#?}");
    }
    assert_eq!(constrained, slurm_constrains_devices(), "what Slurm does: {control:#?}");
}

/// Show that where Slurm constrains nothing, a session has every device that the job has: the floor that it
/// began with is gone.
#[test]
fn where_nothing_is_constrained_every_device_is_there() {
    const CONF: &str = "/etc/slurm/cgroup.conf";
    N1.configure(QUICK);
    let before = N1.snapshot();
    let restart = "systemctl restart slurmctld slurmd";
    let end = AtEnd(format!("mv {CONF}.before {CONF}; {restart}"));
    N1.sh(&format!("cp -p {CONF} {CONF}.before; sed -i /^Constrain/d {CONF}; {restart}")).ok();
    N1.settles();
    let job = Batch::of("bob", DEVICES).run().ok();
    for place in ["task:", "container:", "service:"] {
        assert_eq!(job.value(place), "60 61", "{job:#?}");
    }
    N1.is_again(&before);
    drop(end);
    N1.settles();
}

/// Show that a session that stays, as that of a user who lingers, has its devices back when the job is over.
#[test]
fn a_session_that_stays_has_its_devices_back() {
    N1.configure(QUICK);
    let end = AtEnd("loginctl disable-linger bob".to_owned());
    let opens = || {
        let opens = "for tty in 60 61; do (: <>/dev/tty$tty) 2>/dev/null && echo -n $tty; done";
        let service = format!(
            "loginctl enable-linger bob; until busctl --machine=bob@ --user status >/dev/null 2>&1; do \
             sleep 0.2; done; systemd-run --machine=bob@ --user --wait --pipe --quiet bash -c '{opens}'"
        );
        N1.sh(&service).stdout
    };
    assert_eq!(opens(), "6061");
    let before = N1.snapshot();
    let job = Batch::of("bob", DEVICES).with("--mem=100").run().ok();
    assert_eq!(job.value("service:"), job.value("task:"), "{job:#?}");
    N1.is_again(&before);
    assert_eq!(opens(), "6061", "after the job");
    drop(end);
}

/// Watches who changes a unit's properties; a call that changes nothing shows that it does.
const WATCH: &str = "\
    busctl --system --json=short monitor --match=member=SetUnitProperties >/tmp/calls 2>/dev/null & \
    echo $! >/tmp/calls.pid; chmod a+r /tmp/calls; \
    for i in $(seq 50); do \
        busctl call org.freedesktop.systemd1 /org/freedesktop/systemd1 \
            org.freedesktop.systemd1.Manager SetUnitProperties 'sba(sv)' '' true 0 2>/dev/null; \
        [ -s /tmp/calls ] && exit 0; sleep 0.2; done; exit 1";

/// Show that a step that needs no change asks systemd for none.
#[test]
fn steps_that_need_no_change_pay_nothing() {
    if !slurm_has_limits() {
        return skipped(NO_LIMITS);
    }
    N1.configure(OPTIONAL);
    let before = N1.snapshot();
    let end = AtEnd("kill $(cat /tmp/calls.pid)".to_owned());
    N1.sh(WATCH).ok();
    let script = "calls() { grep --only-matching user-1001.slice /tmp/calls | wc --lines; }\n\
        srun true; echo first=$(calls).; for i in 1 2 3 4 5; do srun true; done; echo then=$(calls).";
    let job = Batch::of("alice", script).run().ok();
    N1.is_again(&before);
    drop(end);
    let first = job.value("first=");
    assert_ne!(first, "0.", "the monitor sees nothing: {job:#?}");
    assert_eq!(job.value("then="), first, "{job:#?}");
}
