//! What the prolog and the epilog do, message by message: `slurmstepd spank
//! prolog` alone, with no Slurm daemon, against a scripted bus.
// Tests say what they expect by panicking.
#![allow(clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::BTreeMap;
use std::env;
use std::path::Path;
use std::process::Command;

use cluster_tests::{Batch, N1, OPTIONAL, Output};

/// A place of its own for all that the plugin touches, and its arguments.
const PLACE: &str = "\
    for dir in /run/dbus /run/user /run/spank-linger /var/lib/spank-linger /var/lib/systemd/linger; do \
        mkdir -p -m 700 $dir; mount -t tmpfs -o mode=700 tmpfs $dir; done\n\
    mkdir /run/user/1001; chmod 755 /run/user /run/dbus\n\
    mount -t tmpfs -o mode=700,uid=1001,gid=1001 tmpfs /run/user/1001\n\
    mkdir -p /tmp/contract; sed '/^PlugStackConfig/d' /etc/slurm/slurm.conf >/tmp/contract/slurm.conf\n\
    echo PlugStackConfig=/tmp/contract/plugstack.conf >>/tmp/contract/slurm.conf\n\
    stepd() { SLURM_CONF=/tmp/contract/slurm.conf SLURM_JOBID=77 SLURM_UID=1001 SLURM_JOB_GID=1001 \
        timeout 60 /usr/sbin/slurmstepd spank $1 </dev/null 2>&1; echo \"$1: exit $?\"; }\n";

/// Runs `script` in a place of its own with a bus that follows `bus`, and gives
/// what the plugin said, then what the bus was asked.
fn contract(bus: &str, arguments: &str, script: &str) -> Output {
    let scripted = Path::new(env!("CARGO_BIN_EXE_scripted-bus"));
    N1.put(scripted, "/root/scripted-bus");
    let inside = format!(
        "set -e\n{PLACE}\
         echo 'required spank_linger.so log_level=debug {arguments}' >/tmp/contract/plugstack.conf\n\
         chmod 755 /root/scripted-bus; /root/scripted-bus {bus} 1001 </dev/null >/tmp/contract/asked 2>&1 & bus=$!\n\
         trap 'kill $bus' EXIT\n\
         until grep -q listening /tmp/contract/asked; do sleep 0.1; done\n\
         set +e\n{script}\n\
         echo asked:; cat /tmp/contract/asked\n\
         find /run/spank-linger /var/lib/spank-linger /var/lib/systemd/linger -mindepth 1"
    );
    N1.sh(&format!("unshare --mount --propagation=private bash -s <<'END'\n{inside}\nEND"))
}

/// Show which messages a cold prolog and the last epilog send, and that nothing
/// is left of them.
#[test]
fn a_prolog_and_an_epilog_ask_for_what_they_need() {
    let all = contract("works", "", "stepd prolog; ls /var/lib/systemd/linger; stepd epilog").ok();
    let all = all.says("open session: done").says("prolog: exit 0\nalice\n").says("epilog: exit 0");
    let (_, asked) = all.stdout.split_once("asked:\n").expect("the bus was asked");
    let prolog =
        "Subscribe\nListUnitsByNames\nSetUserLinger 1001 true\nStartUnit\nListUnitsByNames\n";
    let epilog = "Subscribe\nSetUserLinger 1001 false\nListUnitsByNames\n";
    assert_eq!(asked, format!("listening\n{prolog}{epilog}"));
}

/// Show that a prolog that runs twice, an epilog without a prolog, and an epilog
/// that runs twice are as good as once.
#[test]
fn doing_it_twice_does_no_harm() {
    let script = "stepd epilog; stepd prolog; stepd prolog; stepd epilog; stepd epilog";
    let all = contract("works", "", script).ok();
    assert_eq!(all.stdout.matches("exit 0").count(), 5, "{all:?}");
    assert_eq!(all.stdout.matches("SetUserLinger 1001 true").count(), 1, "{all:?}");
    assert_eq!(all.stdout.matches("SetUserLinger 1001 false").count(), 1, "{all:?}");
    assert!(all.stdout.ends_with("ListUnitsByNames\n"), "something is left: {all:?}");
}

/// Show that a bus that is silent, or talks nonsense, or only promises, costs no
/// more than the timeout and is named.
#[test]
fn no_bus_can_hang_the_prolog() {
    for (bus, cause) in [
        ("silent", "connect to the system bus: no end within timeout=3"),
        ("garbage", "connect to the system bus: "),
        ("promises", "start user@1001.service: it is inactive"),
    ] {
        let timed = "begin=$SECONDS; stepd prolog; echo took $((SECONDS - begin)); stepd epilog";
        let all = contract(bus, "timeout=3", timed).ok().says("prolog: exit 0").says(cause);
        let took = all.stdout.lines().find_map(|line| line.strip_prefix("took "));
        let took: u32 = took.and_then(|seconds| seconds.parse().ok()).expect("a number");
        assert!(took <= 4, "{bus}: {took} s");
    }
}

/// Show that a start that hangs is begun again within the timeout.
#[test]
fn a_start_that_hangs_is_begun_again() {
    let all = contract("hangs", "timeout=15", "stepd prolog; stepd epilog").ok();
    let all = all.says("hung, and was killed").says("KillUnit\n").says("open session: done");
    assert_eq!(all.stdout.matches("StartUnit\n").count(), 2, "{all:?}");
}

/// Show that on_error=drain makes Slurm see a failed prolog, and the others not.
#[test]
fn only_drain_fails_the_prolog() {
    let timeout = "timeout=2";
    for (on_error, exit) in [("warn", 0), ("fail", 0), ("drain", 1)] {
        let arguments = format!("{timeout} on_error={on_error}");
        let all = contract("silent", &arguments, "stepd prolog").ok();
        all.says("open session").says(&format!("prolog: exit {exit}\n"));
    }
}

/// Show that threads and descriptors after a prolog and an epilog are those
/// from before.
#[test]
fn no_thread_and_no_descriptor_stays() {
    put_probes();
    let script = format!(
        "printf '{}' >/tmp/contract/plugstack.conf; rm -f /tmp/probe\n\
        stepd prolog; stepd epilog; cat /tmp/probe; rm /tmp/probe",
        probed("linger.so timeout=3")
    );
    for bus in ["works", "silent", "garbage", "promises"] {
        let all = contract(bus, "timeout=3", &script).ok().says("open session: ");
        assert_eq!(compare_counts(bus, &all.stdout), ["job_epilog", "job_prolog"]);
    }
}

/// Show the same of the steps of a job, which hold the session to its limits.
#[test]
fn no_thread_and_no_descriptor_stays_in_a_step() {
    put_probes();
    N1.sh("chmod 755 /root /root/probe-*.so; rm -f /tmp/probe").ok();
    N1.configure(&probed("linger.so").replace("\\n", "\n"));
    Batch::of("alice", "srun true").run().ok();
    N1.configure(OPTIONAL);
    let counts = N1.sh("cat /tmp/probe; rm /tmp/probe; chmod 700 /root").ok();
    let callbacks = compare_counts("a job", &counts.stdout);
    let begun = callbacks.iter().filter(|name| *name == "task_post_fork").count();
    assert_eq!(begun, 3, "the extern, the batch and one more step: {callbacks:?}");
}

/// Two copies of a plugin that counts threads and descriptors.
fn put_probes() {
    let release = env::var("LINGER_SLURM_VERSION").expect("xtask says it");
    let (major, minor) = release.split_once('.').expect("major.minor");
    let version = format!("-DVERSION=(({major}<<16)|({minor}<<8))");
    for name in ["before", "after"] {
        let file = env::temp_dir().join(format!("probe-{name}-{}.so", std::process::id()));
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-o"])
            .arg(&file)
            .args([&version, &format!("-DNAME=\"{name}\""), "probe.c"])
            .status();
        assert!(built.expect("cc runs").success());
        N1.put(&file, &format!("/root/probe-{name}.so"));
        std::fs::remove_file(&file).expect("remove the probe");
    }
}

/// The lines of plugstack.conf that have a probe before and after the plugin.
fn probed(plugin: &str) -> String {
    let stack = ["/root/probe-before.so", &format!("spank_{plugin}"), "/root/probe-after.so"];
    stack.map(|plugin| format!("optional {plugin}\\n")).concat()
}

/// Requires that in each callback of each process the counts before and after
/// are the same, and gives the callbacks, sorted. Slurm's own steps have threads.
fn compare_counts(run: &str, probed: &str) -> Vec<String> {
    let mut counts = BTreeMap::<_, Vec<_>>::new();
    for line in probed.lines() {
        let Some((what, count)) = line.split_once(" threads=") else { continue };
        let (callback, _) = what.split_once(' ').expect("a callback and a name");
        let (count, pid) = count.split_once(" pid=").expect("counts and a process");
        println!("{run}: {what}: threads={count}");
        counts.entry((callback.to_owned(), pid)).or_default().push(count);
    }
    for (callback, counts) in &counts {
        let [before, after] = counts[..] else { panic!("{run}: {callback:?}: {counts:?}") };
        assert_eq!(before, after, "{run}: {callback:?}");
        let is_alone = before.starts_with("1 ");
        assert!(is_alone || !callback.0.starts_with("job_"), "{run}: {callback:?}: {before}");
    }
    counts.into_keys().map(|(callback, _)| callback).collect()
}
