//! What the prolog and the epilog do, message by message: `slurmstepd spank
//! prolog` alone, with no Slurm daemon, against a bus with faults.
// Tests say what they expect by panicking.
#![allow(clippy::expect_used, clippy::panic, missing_docs)]

mod counts;
mod faults;
mod memcheck;
mod place;
mod probes;

use cluster_tests::N1;
use place::contract;

/// Of a prolog that waits until the session is live: the others leave that to the first step.
pub(crate) const WAITS: &str = "on_error=drain";

/// Show which messages a cold prolog and the last epilog send, and that nothing
/// is left of them. This logind leaves the start to whoever wants it, unlike the
/// real one, and the runtime directory is there before.
#[test]
fn a_prolog_and_an_epilog_ask_for_what_they_need() {
    let begins = "ListUnitsByNames\nSetUserLinger 1001 true\nListUnitsByNames\nStartUnit\nListUnitsByNames\n";
    for (arguments, begins) in [
        ("", format!("{begins}Subscribe\nListUnitsByNames\n")),
        (WAITS, format!("Subscribe\n{begins}")),
    ] {
        // What is in a slice that is still there is opened to all devices again: two questions more.
        N1.waits_until("[ ! -e /sys/fs/cgroup/user.slice/user-1001.slice ]");
        let script = "stepd prolog; ls /var/lib/systemd/linger; stepd epilog";
        let all = contract("works", arguments, script).ok();
        let all = all.says("open session: ").says("prolog: exit 0\nalice\n").says("epilog: exit 0");
        let (_, asked) = all.stdout.split_once("asked:\n").expect("the bus was asked");
        // Once more for each second that a busy host takes.
        let asked = asked.replace("ListUnitsByNames\nListUnitsByNames\n", "ListUnitsByNames\n");
        let caps = "GetAll\nSetUnitProperties\n";
        let epilog = "Subscribe\nSetUserLinger 1001 false\nListUnitsByNames\nSetUnitProperties\n";
        assert_eq!(asked, format!("listening\n{caps}{begins}{epilog}"));
    }
}

/// Show that a prolog does not wait for a start that takes its time, and that its epilog ends it all the same.
#[test]
fn a_start_is_not_waited_for() {
    let timed = "begin=$SECONDS; stepd prolog; echo took $((SECONDS - begin)).; stepd epilog";
    let all = contract("hangs", "timeout=60", timed).ok();
    let all = all.says("prolog: exit 0").says("epilog: exit 0").never_says("was killed");
    assert!(all.value("took ").trim_end_matches('.').parse::<u32>().expect("seconds") <= 5);
}

/// Show that a prolog that runs twice, an epilog without a prolog, and an epilog
/// that runs twice are as good as once.
#[test]
fn doing_it_twice_does_no_harm() {
    let script = "stepd epilog; stepd prolog; stepd prolog; stepd epilog; stepd epilog";
    let all = contract("works", WAITS, script).ok();
    assert_eq!(all.stdout.matches("exit 0").count(), 5, "{all:?}");
    assert_eq!(all.stdout.matches("SetUserLinger 1001 true").count(), 1, "{all:?}");
    assert_eq!(all.stdout.matches("SetUserLinger 1001 false").count(), 1, "{all:?}");
    assert!(all.stdout.ends_with("SetUnitProperties\n"), "something is left: {all:?}");
}

/// Show that a bus that is silent, or talks nonsense, or only promises, costs no
/// more than the timeout and is named.
#[test]
fn no_bus_can_hang_the_prolog() {
    for (bus, waits, cause) in [
        ("silent", "", "connect to the system bus: no end after "),
        ("garbage", "", "connect to the system bus: "),
        ("promises", WAITS, "start user@1001.service: it is inactive"),
    ] {
        let timed = "begin=$SECONDS; stepd prolog; echo took $((SECONDS - begin)); stepd epilog";
        let all = contract(bus, &format!("timeout=3 {waits}"), timed).ok();
        let all = all.says("prolog: exit 0").says(cause);
        let took = all.stdout.lines().find_map(|line| line.strip_prefix("took "));
        let took: u32 = took.and_then(|seconds| seconds.parse().ok()).expect("a number");
        assert!(took <= 15, "{bus}: {took} s");
    }
}

/// Show that a start that hangs is begun again within the timeout.
#[test]
fn a_start_that_hangs_is_begun_again() {
    let arguments = &format!("timeout=60 {WAITS}");
    let all = contract("hangs", arguments, "patience=200; stepd prolog; stepd epilog").ok();
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
