//! What the command `spank-linger` shows of such sessions, and what it sweeps of them.

use std::env;
use std::path::Path;

use cluster_tests::{GO, N1, RESTART, well};
use serde_json::Value;

use super::{OWN, configured, job, nothing_is_left};

/// Has the command on the node.
fn install() {
    let command = env::var_os("LINGER_COMMAND").expect("run with 'cargo xtask test'");
    // Not over a file that runs.
    N1.put(Path::new(&command), "/usr/local/bin/.spank-linger");
    N1.sh("cd /usr/local/bin && chmod 755 .spank-linger && mv .spank-linger spank-linger").ok();
    N1.configure(OWN);
    // What a test before has put back is newer than slurmd.
    N1.sh(RESTART).ok();
    N1.settles();
}

/// Show that a session is seen in its job, with what the kernel counts of it, by root from beside and by its user from
/// inside, and that nothing is found wrong with it or the node.
#[test]
fn a_session_is_seen_in_its_job() {
    install();
    configured(|| {
        let _well = well();
        let script = format!(
            "podman run --detach --name=seen --network=none --replace $image sleep 7007 >/dev/null
             spank-linger status; spank-linger doctor; echo it is ready\n{GO}"
        );
        let started = job(&script).start();
        started.wait_says("it is ready");
        let table = N1.sh("spank-linger status").ok().says("alice  in jobs  ");
        table.says("Sessions of single jobs:").says(&format!("{}  ", started.0));
        let status = N1.sh("spank-linger status --json").ok();
        let status: Value = serde_json::from_str(&status.stdout).expect("JSON");
        let users = status["users"].as_array().expect("users");
        let alice = users.iter().find(|user| user["name"] == "alice").expect("alice");
        let own = &alice["leases"][0]["own_session"];
        assert_eq!(own["state"], "live", "{alice:#}");
        assert!(own["cgroup"].as_str().is_some_and(|at| at.ends_with("/user/session")), "{own:#}");
        let number = |name: &str| own[name].as_u64().unwrap_or_default();
        assert!(number("tasks") > 2 && number("memory_bytes") > 1 << 20, "{own:#}");
        assert!(number("peak_tasks") >= number("tasks"), "{own:#}");
        assert!(number("peak_memory_bytes") >= number("memory_bytes"), "{own:#}");
        assert!(number("cpu_usec") > 10_000, "{own:#}");
        let found = N1.sh("spank-linger doctor --user alice").ok();
        found.says(&format!("live in job {}", started.0)).never_says("fail ").never_says("warn ");
        N1.sh("spank-linger sweep").ok().says("nothing to sweep");
        let said = started.go_to_its_end().says("alice  live  ").says("the job's own runs");
        said.says("bus                answers").says("uses systemd here").never_says("fail ");
    });
}

/// Show that a session whose lease was lost is left as long as its job runs, and swept when that is over.
#[test]
fn a_session_without_a_lease_is_swept() {
    install();
    configured(|| {
        let script =
            "podman run --detach --name=lost --network=none --replace $image sleep 7008 >/dev/null
            echo it is ready; sleep 7009";
        let started = job(script).start();
        started.wait_says("it is ready");
        N1.sh("rm -r /run/spank-linger/1001/[0-9]*").ok();
        for command in ["spank-linger sweep --dry-run", "spank-linger sweep"] {
            N1.sh(command).ok().says("a session without a lease is left: process ");
            assert!(N1.runs("sleep 7008"), "{command}");
        }
        started.cancel();
        N1.sh("spank-linger doctor").says("warn  leases").says("/user/session");
        let would = "would end a session whose job is over: /";
        N1.sh("spank-linger sweep --dry-run").ok().says(would);
        N1.sh("spank-linger sweep").ok().says("end a session whose job is over: /");
        nothing_is_left();
        N1.sh("spank-linger sweep").ok().says("nothing to sweep");
    });
}
