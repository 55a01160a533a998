//! What people who run Podman in batch jobs have reported.
// Tests say what they expect by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use cluster_tests::{AtEnd, Batch, GO, LIVE, N1, QUICK, has_own_sessions, put_compiled, skipped};

const BOX: &str = "podman run --network=none --replace";
const IMAGE: &str = "localhost/busybox";

fn forget_containers() {
    Batch::of("alice", "podman rm --all --force >/dev/null").with("--mem=100").run();
    N1.settles();
}

/// Show that a container that a job left is no error for the next job's Podman, though a process of its user's that no
/// job has runs on, and another was never waited for: Podman's lock is kept only for a process that has it mapped.
#[test]
fn what_a_job_left_is_no_error_in_the_next() {
    N1.configure(QUICK);
    forget_containers();
    let before = N1.snapshot();
    let _end = AtEnd("pkill --exact --full 'sleep 7201'".to_owned());
    let never_waits = "sh -c 'sleep 0 & exec sleep 7201'";
    N1.sh(&format!(
        "setsid --fork runuser --user alice -- {never_waits} </dev/null >/dev/null 2>&1"
    ))
    .ok();
    let leaves = format!("{BOX} --detach --name=left {IMAGE} sleep 7202 >/dev/null && echo up");
    Batch::of("alice", &leaves).with("--mem=100").run().ok().says("up");
    N1.sees_the_end_of("sleep 7202");
    N1.settles();
    let finds =
        "podman ps --all --format '{{.Names}} is {{.Status}}.'; podman rm left; echo listed";
    let said = Batch::of("alice", finds).with("--mem=100").run().ok().says("left is ");
    said.says("listed").never_says("left is Up").never_says("level=");
    N1.sh("pkill --exact --full 'sleep 7201'").ok();
    N1.is_again(&before);
}

/// Show that a container which Podman was told to give no cgroup of systemd's ends with its job, is held to it, and is
/// not in the way of the next one.
#[test]
fn containers_without_cgroups_of_systemds_are_the_jobs() {
    N1.configure(QUICK);
    forget_containers();
    let before = N1.snapshot();
    let manager = "mkdir -p ~/.config/containers; printf '[engine]\\ncgroup_manager = \"cgroupfs\"\\n' \
        >~/.config/containers/containers.conf";
    let _end = AtEnd("rm -f ~alice/.config/containers/containers.conf".to_owned());
    for (first, options) in
        [("", "--cgroups=disabled"), ("", "--cgroups=no-conmon"), (manager, "--env=A=1")]
    {
        let script = format!(
            "{first}
             {BOX} --detach --name=odd {options} {IMAGE} sleep 7203 >/dev/null && echo up
             systemd-run --user --scope --quiet podman exec odd echo inside
             {BOX} --rm --name=much {options} {IMAGE} dd if=/dev/zero of=/dev/null bs=300M count=1 2>/dev/null
             echo much=$?. ; {GO}"
        );
        let job = Batch::of("alice", &script).with("--mem=150").start();
        job.wait_says("much=");
        let said = job.go_to_its_end().says("up\n").says("inside\n").never_says("much=0.");
        println!("{options}: {}", said.stdout);
        N1.sees_the_end_of("sleep 7203");
        let after = "podman ps --all --format '{{.Names}} is {{.Status}}.'; podman rm --force odd; echo listed";
        let said = Batch::of("alice", after).with("--mem=100").run().ok().says("listed");
        said.never_says("is Up").never_says("level=error");
        N1.sh("rm -f ~alice/.config/containers/containers.conf").ok();
    }
    N1.is_again(&before);
}

/// Show that memory that runs out among many small processes costs these, and neither the bus nor the manager of the
/// session, nor a container of the user's other job.
#[test]
fn many_small_processes_do_not_cost_the_session() {
    N1.configure(QUICK);
    forget_containers();
    let before = N1.snapshot();
    let lives = format!(
        "{BOX} --detach --name=lives {IMAGE} sleep 7204 >/dev/null && echo up; {GO}
        systemd-run --user --scope --quiet podman exec lives echo it lives; podman rm --force --time=0 lives >/dev/null"
    );
    let other = Batch::of("alice", &lives).with("--mem=60").start();
    other.wait_says("up");
    let events = if has_own_sessions() {
        "$(sed 's/^0:://; s/.step_.*//' /proc/self/cgroup)"
    } else {
        "/user.slice/user-1001.slice"
    };
    // Each more than the manager and less than a tenth of what there is: a process that the kernel takes before them has
    // a score for it. dd has filled its block before it finds that nobody reads.
    let script = format!(
        "workers='for i in $(seq 40); do dd if=/dev/zero bs=20M count=1 2>/dev/null | sleep 20 & done; wait'
         killed() {{ sed -n 's/^oom_kill //p' /sys/fs/cgroup{events}/memory.events; }}
         bus() {{ systemctl --user show --property=ExecMainPID --value dbus.service; }}
         before=$(bus)
         {BOX} --rm --name=workers {IMAGE} sh -c \"$workers\"; first=$(killed)
         systemd-run --user --quiet --wait sh -c \"$workers\"; second=$(killed)
         [ 0 -lt \"$first\" ] && [ \"$first\" -lt \"$second\" ] && echo memory ran out twice
         echo manager: $(systemctl --user is-active basic.target)
         busctl --user list >/dev/null && [ 0 -lt $before ] && [ $(bus) = $before ] && echo the same bus"
    );
    let said = Batch::of("alice", &script).with("--mem=240").run();
    said.says("memory ran out twice").says("manager: active").says("the same bus");
    other.go_to_its_end().says("it lives");
    N1.is_again(&before);
}

/// Whatever the submit side had.
const STALE: &str =
    "XDG_RUNTIME_DIR=/run/user/1001 DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/1001/bus";

/// A site that refuses a step without a session.
fn strict() -> String {
    format!("{} on_error=fail", QUICK.replacen("optional", "required", 1))
}

/// Show that a step which another plugin takes below another root is not told that it has no session, has no variable
/// that leads nowhere in there, and runs, also where the site refuses a step without one; and that other steps have the
/// session.
#[test]
fn a_step_below_another_root_goes_without() {
    const ROOT: &str = "/srv/taken";
    // Before the plugin's: Slurm calls nothing of it after another's `task_init`.
    let [line, late] = ["a", "z"].map(|at| format!("/etc/slurm/plugstack.conf.d/{at}-taken.conf"));
    N1.configure(&strict());
    put_compiled("taken.c", &["-shared", "-fPIC"], "/usr/local/lib/taken.so");
    let _end = AtEnd(format!("rm -rf {line} {late} {ROOT} /usr/local/lib/taken.so"));
    N1.sh(&format!(
        "mkdir -p {ROOT}/bin; cp /bin/busybox {ROOT}/bin/sh; chmod 755 /usr/local/lib/taken.so"
    ))
    .ok();
    let before = N1.snapshot();
    let tells =
        "[ -e /etc ] || echo taken; echo dir=$XDG_RUNTIME_DIR. bus=$DBUS_SESSION_BUS_ADDRESS.";
    N1.sh(&format!("echo required /usr/local/lib/taken.so >{line}")).ok();
    let taken =
        format!("{STALE} TAKEN_TO={ROOT} srun --ntasks=2 --overcommit /bin/sh -c '{tells}'");
    let said = N1.sh_as("alice", &taken).ok().never_says("linger:");
    // The two write when they like.
    let mut lines: Vec<_> = said.stdout.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["dir=. bus=.", "dir=. bus=.", "taken", "taken"], "{line}: {said:#?}");
    let step = format!("srun bash -c '{LIVE}'");
    N1.sh_as("alice", &step).ok().says("running dir=/run/user/1001\n").never_says("linger:");
    let order = "spank-linger doctor | grep plugstack-order";
    N1.sh(order).ok().says("no other plugin acts in a task after this one");
    N1.sh(&format!("mv {line} {late}; {order}")).ok().says("warn").says("/usr/local/lib/taken.so");
    N1.sh(&format!("rm {late}")).ok();
    N1.is_again(&before);
}

/// Show the same of a step that Slurm runs in an OCI bundle, and that where it is not told how to it runs on the node, in
/// the session.
#[test]
fn a_step_in_a_bundle_goes_without() {
    const BUNDLE: &str = "/srv/bundle";
    const FILE: &str = "/etc/slurm/oci.conf";
    if N1.slurm() == "20.11" {
        return skipped("Slurm 20.11 knows no bundles");
    }
    N1.configure(&strict());
    let _end = AtEnd(format!("rm -rf {BUNDLE} {FILE}"));
    let before = N1.snapshot();
    // Its runtime tells what the container would have.
    let runtime = "echo in a bundle\n\
        grep --only-matching --extended-regexp '(XDG_RUNTIME_DIR|DBUS_SESSION_BUS_ADDRESS|HERE)=[^\"]*' $1/config.json";
    let config = r#"{"ociVersion":"1.0.0","process":{"args":[],"env":[]},"root":{"path":"rootfs"},"mounts":[]}"#;
    N1.sh(&format!(
        "mkdir -p {BUNDLE}/rootfs; echo '{config}' >{BUNDLE}/config.json\n\
         cat >{BUNDLE}/run <<'END'\n{runtime}\nEND"
    ))
    .ok();
    let step = format!("{STALE} HERE=1 srun --container={BUNDLE} bash -c '{LIVE}'");
    N1.sh_as("alice", &step).ok().says("running dir=/run/user/1001\n").never_says("linger:");
    N1.sh(&format!(
        "cat >{FILE} <<'END'\n\
         RunTimeRun=\"/bin/sh {BUNDLE}/run %b\"\n\
         RunTimeKill=\"/bin/true\"\n\
         RunTimeDelete=\"/bin/true\"\n\
         RunTimeQuery=\"/bin/false\"\n\
         END"
    ))
    .ok();
    let said = N1.sh_as("alice", &step).ok().never_says("linger:");
    assert_eq!(said.stdout, "in a bundle\nHERE=1\n", "{said:#?}");
    N1.is_again(&before);
}
