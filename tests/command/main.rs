//! The command `spank-linger` on a node: what it shows of jobs, what it finds wrong, what it sweeps.
// Tests say what they expect by panicking.
#![allow(clippy::expect_used, missing_docs)]

mod breakages;
mod health;

use std::env;
use std::path::Path;

use cluster_tests::{AtEnd, Batch, GO, LIVE, N1, OPTIONAL, Output, QUICK, RESTART, well};
use serde_json::Value;

use breakages::{Breakage, breakages};

/// Waits until slurmd has loaded it.
const LOADED: &str = "until grep --quiet spank_linger /proc/$(systemctl show slurmd --property=MainPID --value)/maps \
    || [ $SECONDS -gt 100 ]; do sleep 0.2; done";

/// Has the command on the node, and the plugin with that line.
fn install(line: &str) {
    let command = env::var_os("LINGER_COMMAND").expect("run with 'cargo xtask test'");
    // Not over a file that runs.
    N1.put(Path::new(&command), "/usr/local/bin/.spank-linger");
    N1.sh("cd /usr/local/bin && chmod 755 .spank-linger && mv .spank-linger spank-linger").ok();
    N1.configure(line);
    // What a test before has put back is newer than slurmd.
    N1.sh(RESTART).ok();
    N1.settles();
}

fn json(output: &Output) -> Value {
    serde_json::from_str(&output.stdout).expect("JSON")
}

/// Show that a job's lease, its limits, the caps and what it uses are seen while it
/// runs, by root as a table and as JSON, by its user without leases; colours are for
/// terminals that want them.
#[test]
fn a_job_is_seen() {
    install(QUICK);
    let _well = well();
    let before = N1.snapshot();
    let status = "spank-linger status; spank-linger doctor";
    let script = format!("systemctl --user is-system-running --wait; {status}; echo up; {GO}");
    let job = Batch::of("alice", &script).with("--mem=300").start();
    job.wait_says("up");
    N1.waits_for_slice(1001, "memory.max", &(300 * 1024 * 1024).to_string());
    let table = N1.sh("spank-linger status").ok().says("of 300M").never_says("\u{1b}");
    let user = table.stdout.lines().find(|line| line.starts_with("alice  live  "));
    assert!(user.is_some_and(|line| line.contains("  for jobs  1  ")), "{table:#?}");
    let lease = table.stdout.lines().find(|line| line.starts_with(&format!("{}  ", job.0)));
    let lease = lease.expect("a line for the lease");
    assert!(lease.contains("alice  open") && lease.contains("extern "), "{table:#?}");
    let status = json(&N1.sh("spank-linger status --json").ok());
    let users = status["users"].as_array().expect("users");
    let alice = users.iter().find(|user| user["name"] == "alice").expect("alice");
    assert_eq!(alice["session"]["state"], "live", "{alice:#}");
    assert_eq!(alice["leases"][0]["job"], job.0, "{alice:#}");
    assert_eq!(alice["leases"][0]["limits"]["memory_bytes"], 300 * 1024 * 1024, "{alice:#}");
    assert_eq!(alice["caps"]["memory_bytes"], 300 * 1024 * 1024, "{alice:#}");
    assert!(alice["usage"]["memory_bytes"].as_u64() > Some(0), "{alice:#}");
    assert!(alice["usage"]["tasks"].as_u64() > Some(1), "{alice:#}");
    let on_terminal = |with| N1.sh_on_terminal(&format!("{with} TERM=xterm spank-linger status"));
    on_terminal("").ok().says("\u{1b}[1mUSER");
    on_terminal("NO_COLOR=1").ok().says("alice").never_says("\u{1b}[");
    what_breaks_under_it_is_found();
    let said = job.go_to_its_end();
    let said = said.says("alice  live").says("root's to see").says("bus                answers");
    said.says("uses systemd here").never_says("fail ").never_says("warn ");
    N1.is_again(&before);
    N1.sh("spank-linger status").ok().never_says("alice");
}

/// Stops the bus of alice's session, and turns her linger off behind everybody's back.
fn what_breaks_under_it_is_found() {
    const LINGER: &str = "/var/lib/systemd/linger/alice";
    let bus = |signal| format!("pkill --signal={signal} --uid alice '^dbus-(daemon|broker)'");
    N1.sh("spank-linger doctor --user alice").ok().says("bus                answers");
    let _end = AtEnd(format!("{}; touch {LINGER}", bus("CONT")));
    N1.sh(&format!("{} && rm {LINGER}", bus("STOP"))).ok();
    let found = N1.sh("spank-linger doctor --user alice").fails();
    found
        .says("fail  bus                does not answer: ")
        .says("warn  linger             off under job ")
        .says("; the job's next step opens the session again")
        .says("; cure: the job's next step turns it on again");
}

/// Show that all is well on a node where it is, to root, to a user and as JSON, and
/// that the shells take their completions.
#[test]
fn a_healthy_node_is_well() {
    install(OPTIONAL);
    let _well = well();
    N1.sh("spank-linger doctor").ok().never_says("warn ").never_says("fail ");
    N1.sh_as("alice", "spank-linger doctor").ok().says("subuid").never_says("fail ");
    let report = json(&N1.sh("spank-linger doctor --user alice --json").ok());
    let checks = report["checks"].as_array().expect("checks");
    let state = |name: &str| {
        let check = checks.iter().find(|check| check["check"] == name);
        check.map(|check| check["state"].clone()).unwrap_or_default()
    };
    assert_eq!(report["state"], "ok", "{report:#}");
    for check in ["plugstack", "release", "restarted", "leases", "user-unit", "subuid", "podman"] {
        assert_eq!(state(check), "ok", "{check}: {report:#}");
    }
    for check in ["pam", "proc", "oomd", "home", "podman-store", "unkillable"] {
        assert_eq!(state(check), "ok", "{check}: {report:#}");
    }
    N1.sh("spank-linger doctor --frobnicate; [ $? = 2 ]").ok().complains("--frobnicate");
    N1.sh("spank-linger completions bash | bash -n && spank-linger completions zsh | grep dry-run")
        .ok();
    N1.sh("spank-linger sweep").ok().says("nothing to sweep");
    N1.sh_as("alice", "spank-linger sweep").fails().complains("root's");
}

/// Show that each of these is found, with its cure, and nothing else, and that a node where all cures
/// were taken is well.
#[test]
fn what_is_wrong_is_found() {
    install(QUICK);
    let _well = well();
    let other = env::var_os("LINGER_OTHER_PLUGIN").expect("run with 'cargo xtask test'");
    N1.put(Path::new(&other), "/root/other.so");
    for broken in breakages() {
        let undo: Vec<_> = broken.iter().map(|one| AtEnd(one.undone_by.into())).collect();
        for Breakage { by, .. } in &broken {
            N1.sh(by).ok();
        }
        let found = N1.sh("spank-linger doctor --user alice");
        for Breakage { line: [start, said, cure], .. } in &broken {
            let line = found.stdout.lines().find(|line| line.starts_with(start));
            let line = line.unwrap_or_else(|| panic!("no '{start}': {found:#?}"));
            assert!(line.contains(said) && line.contains(cure), "{line}");
        }
        let wrong = |line: &&str| !line.starts_with("ok ") && !line.contains(" restarted ");
        let known = broken.iter().filter(|one| wrong(&one.line[0])).count();
        assert_eq!(found.stdout.lines().filter(wrong).count(), known, "more than that: {found:#?}");
        found.fails();
        let quiet = N1.sh("spank-linger doctor --user alice --quiet").fails();
        assert!(!quiet.stdout.lines().any(|line| line.starts_with("ok ")), "{quiet:#?}");
        drop(undo);
    }
    N1.sh(&format!("{RESTART}; {LOADED}; spank-linger doctor --user alice"))
        .ok()
        .never_says("warn ");
}

/// Show that a lease whose job has died without an epilog is named, left by a dry
/// run, and swept with all that it kept.
#[test]
fn a_stale_lease_is_swept() {
    install(QUICK);
    let before = N1.snapshot();
    let job = Batch::of("alice", &format!("{LIVE}; sleep 7201")).start();
    job.wait_says("running dir=/run/user/1001");
    let _end = AtEnd(format!("systemctl start slurmd; scancel {}", job.0));
    N1.sh("spank-linger sweep --dry-run").ok().says("nothing to sweep");
    // The order matters: slurmd would run an epilog.
    N1.sh(
        "systemctl stop slurmd; pkill --signal=KILL slurmstepd; pkill --uid alice sleep; sleep 1",
    );
    let lease = format!("/run/spank-linger/1001/{}", job.0);
    N1.sh("spank-linger status").ok().says("stale");
    N1.sh("spank-linger doctor").says("warn  leases").says("cure: spank-linger sweep");
    for _ in 0..2 {
        let dry = N1.sh("spank-linger sweep --dry-run").ok();
        dry.says(&format!("uid 1001: would drop the lease of job {}; turn linger off", job.0));
        N1.sh(&format!("ls {lease} /var/lib/systemd/linger/alice")).ok();
    }
    N1.sh("spank-linger sweep").ok().says("uid 1001: drop the lease").says("caps off the slice");
    N1.sh(&format!("! ls {lease}")).ok();
    N1.is_again(&before);
    N1.sh("spank-linger sweep").ok().says("nothing to sweep");
}
