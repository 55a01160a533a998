//! A prolog that has the session started, and a step that waits for it.

use super::*;

/// What an early prolog asks.
const BEGINS: [Ask; 4] = [Ask::Linger(true), Ask::Look(false), Ask::Changed(None), Ask::Look(true)];

/// What the first step asks that finds it on its way.
const WAITS: [Ask; 7] = [
    Ask::Look(false),
    Ask::Watch,
    Ask::Units("activating+start"),
    Ask::Linger(true),
    Ask::Units("activating+start"),
    Ask::Changed(Some(1)),
    Ask::Units("active"),
];

fn waits() -> impl Iterator<Item = Ask> {
    WAITS.into_iter().chain([Ask::Look(true)])
}

/// Requires that the job then has no session, that linger is put back, and that its epilog has nothing to ask.
fn fails(node: &Node, moment: Moment, id: u32, script: impl IntoIterator<Item = Ask>) {
    node.take_at(moment, id, script).unwrap_err();
    assert!(matches!(node.lease(id), Some(Lease::Failed { .. })) && !node.lingers());
    node.release(id, []).unwrap();
    assert!(node.is_clean());
}

/// Show that an early prolog returns as soon as the manager starts, that the first step waits for it, and the next one
/// for nothing.
#[test]
fn the_first_step_waits() {
    let node = Node::new();
    let (sessions, job) = (node.sessions(), node.job(1));
    node.take_at(Moment::Early, 1, BEGINS).unwrap();
    assert_eq!(node.lease(1), Some(Lease::Open));
    assert!(sessions.is_starting(job));
    node.take_at(Moment::Step, 1, waits()).unwrap();
    assert!(!sessions.is_starting(job));
    node.release(1, CLOSES).unwrap();
    assert!(node.is_clean());
}

/// Show that what has come up meanwhile is not waited for, nor what was there before.
#[test]
fn what_is_up_is_not_waited_for() {
    let node = Node::new();
    node.take_at(Moment::Early, 1, BEGINS).unwrap();
    node.take_at(Moment::Early, 2, [Ask::Look(true), Ask::Units("active")]).unwrap();
    assert!(!node.sessions().is_starting(node.job(1)));
    node.take_at(Moment::Early, 3, [Ask::Look(true)]).unwrap();
    assert!(!node.sessions().is_starting(node.job(3)));
}

/// Show that a prolog that waits does so for what an early one has begun.
#[test]
fn a_prolog_waits_for_an_early_one() {
    let node = Node::new();
    node.take_at(Moment::Early, 1, BEGINS).unwrap();
    node.take(2, waits()).unwrap();
    assert!(!node.sessions().is_starting(node.job(1)));
}

/// Show that a job which ends before any step has its session ended, and that one whose session could not start is
/// told of it by its step, with linger put back.
#[test]
fn what_nobody_waited_for_ends_as_well() {
    let node = Node::new();
    node.take_at(Moment::Early, 1, BEGINS).unwrap();
    node.release(1, CLOSES).unwrap();
    assert!(node.is_clean());
    node.take_at(Moment::Early, 2, BEGINS).unwrap();
    let failed = [
        Ask::Look(false),
        Ask::Watch,
        Ask::Units("failed"),
        Ask::Linger(true),
        Ask::Units("failed"),
        Ask::Start(Err("Unit user@1.service is masked")),
        Ask::Watch,
        Ask::Linger(false),
    ];
    fails(&node, Moment::Step, 2, failed);
}

/// Show that a start which fails before there is a runtime directory is its prolog's to tell.
#[test]
fn a_start_that_fails_at_once_is_told_at_once() {
    let node = Node::new();
    let failed = [
        Ask::Linger(true),
        Ask::Look(false),
        Ask::Changed(Some(1)),
        Ask::Units("failed"),
        Ask::Start(Err("Unit user@1.service is masked")),
        Ask::Watch,
        Ask::Linger(false),
    ];
    fails(&node, Moment::Early, 1, failed);
}

/// Show that an early prolog asks whether the session before is still ending where something of the user's is there, and
/// waits for that.
#[test]
fn what_ends_is_waited_for() {
    let node = Node::new();
    let slice = node.site.roots.slice(node.job(1).uid);
    fs::create_dir_all(slice.join("user-runtime-dir@1.service")).unwrap();
    let ends = [
        Ask::Units("deactivating"),
        Ask::Watch,
        Ask::Units("deactivating"),
        Ask::Changed(Some(1)),
        Ask::Units("inactive"),
    ];
    let begins = [Ask::Linger(true), Ask::Units("activating+start"), Ask::Look(true)];
    node.take_at(Moment::Early, 1, ends.into_iter().chain(begins)).unwrap();
    assert!(node.sessions().is_starting(node.job(1)));
}

/// Show that a runtime directory which a killed manager has left is not taken for a start.
#[test]
fn what_a_killed_manager_left_is_no_start() {
    let node = Node::new();
    fs::create_dir_all(node.site.roots.runtime_dir(node.job(1).uid)).unwrap();
    let starts = [
        Ask::Units("failed"),
        Ask::Linger(true),
        Ask::Units("failed"),
        Ask::Start(Ok(())),
        Ask::Units("activating+start"),
        Ask::Look(true),
    ];
    node.take_at(Moment::Early, 1, starts).unwrap();
    assert!(node.sessions().is_starting(node.job(1)));
}
