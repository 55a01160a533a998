//! The node's own bus, logind and systemd, with a fault between them and us.

use cluster_tests::{N1, OPTIONAL, Output};

use crate::place::{behind, contract, put_proxy};

/// A cold prolog and a last epilog. Slurm calls the epilog once; the second stands
/// for the call that settles what that one could not.
const COLD: &str = "begin=$SECONDS; stepd prolog; echo took $((SECONDS - begin))\n\
    begin=$SECONDS; stepd epilog; echo and $((SECONDS - begin)); echo again:; stepd epilog";

/// Runs a cold prolog and a last epilog behind a fault on a node where nobody has a
/// session, and requires that the node is then as it was.
fn cold(fault: &str, arguments: &str, before: &str) -> Output {
    let all = behind(fault, arguments, COLD).ok();
    println!("{fault}: prolog {} s, epilog {} s", all.value("took "), all.value("and "));
    N1.is_again(before);
    all
}

fn seconds(all: &Output, of: &str) -> u32 {
    all.value(of).parse().expect("a number")
}

fn quiet_node() -> String {
    N1.configure(OPTIONAL);
    put_proxy();
    N1.snapshot()
}

/// Show that the connection may end after any message of a cold prolog or a last
/// epilog: the one of the two fails in time and says so, and the next call leaves
/// the node as it was.
#[test]
fn the_connection_may_end_after_any_message() {
    let before = quiet_node();
    let mut dropped = [0, 0];
    for call in 0.. {
        let all = cold(&format!("drop {call}"), "timeout=15 on_error=drain", &before);
        if !all.stdout.contains("dropped\n") {
            all.says("prolog: exit 0").says("epilog: exit 0");
            break;
        }
        let in_prolog = all.stdout.contains("prolog: exit 1");
        let fails = if in_prolog { "open session: " } else { "close session: " };
        let all = all.says(&format!("linger: job 77 uid 1001: {fails}"));
        assert_eq!(all.stdout.matches("exit 1").count(), 1, "{all:?}");
        let (_, again) = all.stdout.split_once("again:\n").expect("a second epilog");
        assert!(again.contains("epilog: exit 0"), "{all:?}");
        assert!(seconds(&all, "took ") <= 15 && seconds(&all, "and ") <= 15, "{all:?}");
        dropped[usize::from(!in_prolog)] += 1;
    }
    println!("dropped in the prolog: {}, in the epilog: {}", dropped[0], dropped[1]);
    assert!(dropped.iter().all(|count| *count > 5), "{dropped:?}");
}

/// Show that answers that come late cost no more than the timeout: within it there
/// is a session, and past it there is a message.
#[test]
fn late_answers_cost_no_more_than_the_timeout() {
    let before = quiet_node();
    let all = cold("late 300", "timeout=15", &before);
    assert!(seconds(&all, "took ") <= 15, "{all:?}");
    all.says("open session: done").says("prolog: exit 0").says("epilog: exit 0");

    let all = cold("late 300", "timeout=2", &before);
    assert!(seconds(&all, "took ") <= 3, "{all:?}");
    all.says("no end within timeout=2").says("prolog: exit 0").says("epilog: exit 0");
}

/// Show that a logind and a systemd that only say yes are found out, and that
/// nothing is left of what was asked.
#[test]
fn who_only_says_yes_is_found_out() {
    let all = contract("promises", "timeout=3", "stepd prolog; stepd epilog").ok();
    let all = all.says("open session: start user@1001.service: it is inactive");
    let (_, asked) = all.stdout.split_once("asked:\n").expect("the bus was asked");
    assert!(!asked.contains('/'), "something is left: {asked}");
}

/// Show that a session that systemd opened is one, whatever logind did not do about
/// linger, and that it ends all the same.
#[test]
fn an_idle_logind_leaves_nothing() {
    let before = quiet_node();
    let all = cold("idle", "timeout=15", &before);
    println!("{}", all.stdout);
    assert!(seconds(&all, "took ") <= 15, "{all:?}");
    all.says("prolog: exit 0").says("epilog: exit 0");
}
