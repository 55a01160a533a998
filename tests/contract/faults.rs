//! A bus that works, and faults between it and us.

use cluster_tests::{N1, Output};

use crate::place::{behind, cold_node, contract, contract_behind};

/// A cold prolog and a last epilog. Slurm calls the epilog once; the second stands
/// for the call that undoes what that one could not.
const COLD: &str = "begin=$SECONDS; stepd prolog; echo prolog took $((SECONDS - begin))\n\
    begin=$SECONDS; stepd epilog; echo epilog took $((SECONDS - begin))\n\
    echo again:; stepd epilog";

/// With it Slurm sees which of the two failed, and the prolog waits.
const DRAIN: &str = "timeout=45 on_error=drain";

/// Requires that neither of the two takes more than `limit` seconds.
fn in_time(fault: &str, limit: u32, all: Output) -> Output {
    let all = all.ok();
    let took = ["prolog took ", "epilog took "].map(|label| all.value(label));
    println!("{fault}: prolog {} s, epilog {} s", took[0], took[1]);
    let is_in_time = |took: &String| took.parse::<u32>().is_ok_and(|took| took <= limit);
    assert!(took.iter().all(is_in_time), "{fault}: {all:?}");
    all
}

/// The calls that the bus was asked.
fn calls(all: &Output) -> Vec<&str> {
    let (_, asked) = all.stdout.split_once("asked:\nlistening\n").expect("the bus was asked");
    asked.lines().collect()
}

fn nothing_is_left(all: &Output) {
    assert!(!calls(all).iter().any(|line| line.starts_with('/')), "something is left: {all:?}");
}

/// Which callback lost its connection, if any did: it fails and says so, the other
/// does not, and the next call is as good as any.
fn loser(all: &Output) -> Option<&'static str> {
    let (_, again) = all.stdout.split_once("again:\n").expect("a second epilog");
    assert!(again.contains("epilog: exit 0"), "{all:?}");
    let failed = |callback: &&str| all.stdout.contains(&format!("{callback}: exit 1\n"));
    let losers = ["prolog", "epilog"].into_iter().filter(failed).collect::<Vec<_>>();
    assert_eq!(losers.len(), all.stdout.matches("\ndropped\n").count(), "{all:?}");
    let loser = *losers.first()?;
    let attempt = if loser == "prolog" { "open session" } else { "close session" };
    let line = format!("linger: job 77 uid 1001: {attempt}: ");
    let says_why = |said: &&str| said.contains(&line) && !said.contains(": done in ");
    let said = all.stdout.lines().find(says_why);
    println!("{loser}: {}", said.expect("a message"));
    Some(loser)
}

/// Show that the connection may end before the answer to any call of a cold prolog
/// and of a last epilog.
#[test]
fn the_connection_may_end_at_any_call() {
    let mut losers = Vec::new();
    for call in 0.. {
        let fault = format!("drop {call}");
        let all = in_time(&fault, 20, contract_behind(&fault, DRAIN, COLD));
        nothing_is_left(&all);
        let Some(loser) = loser(&all) else { break };
        losers.push(loser);
    }
    let in_prolog = losers.iter().filter(|loser| **loser == "prolog").count();
    println!("{in_prolog} calls in the prolog, {} in the epilog", losers.len() - in_prolog);
    assert!(in_prolog > 5 && losers.len() > in_prolog + 5, "{losers:?}");
}

/// Show the same on the node's own bus of the calls that change something: they did.
#[test]
fn an_answer_may_be_lost_to_what_was_done() {
    let before = cold_node();
    for (fault, in_callback) in
        [("drop 1 SetUserLinger", "prolog"), ("drop 2 SetUserLinger", "epilog")]
    {
        let all = in_time(fault, 45, behind(fault, DRAIN, COLD));
        N1.is_again(&before);
        assert_eq!(loser(&all), Some(in_callback));
    }
}

/// Show that answers that come late cost no more than the timeout: within it there
/// is a session, and past it there is a message.
#[test]
fn late_answers_cost_no_more_than_the_timeout() {
    let late = "late 300";
    let all = in_time(late, 45, contract_behind(late, DRAIN, COLD));
    nothing_is_left(&all);
    all.says("open session: done").says("prolog: exit 0").says("epilog: exit 0");
    let all = in_time(late, 15, contract_behind(late, "timeout=2 on_error=drain", COLD));
    nothing_is_left(&all);
    all.says(": no end after ")
        .says(" s (timeout=2)")
        .says("prolog: exit 0")
        .says("epilog: exit 0");
}

/// Show that a systemd that only says yes is found out, and that nothing is left of
/// what logind did meanwhile.
#[test]
fn a_systemd_that_only_says_yes_is_found_out() {
    let all = in_time("promises", 15, contract("promises", "timeout=3 on_error=drain", COLD));
    nothing_is_left(&all);
    all.says("open session: start user@1001.service: it is inactive");
}

/// Show that where logind alone does nothing, no session is begun that nothing
/// would end, and the message says what is missing.
#[test]
fn a_session_without_linger_is_not_begun() {
    let before = cold_node();
    let all = in_time("idle", 30, behind("idle", "timeout=15", COLD));
    N1.is_again(&before);
    all.says("open session: turn linger on for uid 1001: logind says that it is, and it is not");
}
