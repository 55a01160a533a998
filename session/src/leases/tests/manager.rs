//! `session=manager`: nothing on disk, and no linger.

use super::*;

/// What a first prolog asks.
const STARTS: [Ask; 8] = [
    Ask::Units("inactive"),
    Ask::Look(false),
    Ask::Watch,
    Ask::Units("inactive"),
    Ask::Units("inactive"),
    Ask::Start(Ok(())),
    Ask::Units("active"),
    Ask::Look(true),
];

/// What a last epilog asks to have it end.
const STOPS: [Ask; 4] = [Ask::Units("active"), Ask::LoggedIn(false), Ask::Watch, Ask::Stop];

fn node() -> Node {
    let mut node = Node::new();
    node.site.means = Means::Manager;
    node
}

/// Show that the first lease starts the manager and the last stops it, and that
/// neither linger nor the disk is touched.
#[test]
fn the_manager_is_started_and_stopped() {
    let node = node();
    node.take(1, STARTS).unwrap();
    node.take(2, [Ask::Look(true), Ask::Units("active")]).unwrap();
    assert!(!node.lingers() && fs::read_dir(&node.roots.lib).unwrap().next().is_none());
    node.release(1, []).unwrap();
    node.release(2, STOPS.into_iter().chain([Ask::Watch, Ask::Units("inactive")])).unwrap();
    assert!(node.is_clean());
}

/// Show that a prolog that does not wait starts the manager itself: nobody else would.
#[test]
fn an_early_prolog_starts_the_manager() {
    let node = node();
    let starts = [
        Ask::Units("inactive"),
        Ask::Look(false),
        Ask::Units("inactive"),
        Ask::Units("inactive"),
        Ask::Start(Ok(())),
        Ask::Units("activating+start"),
        Ask::Look(true),
    ];
    node.take_at(Moment::Early, 1, starts).unwrap();
    assert!(node.sessions().is_starting(node.job(1)));
}

/// Show that a session that was up without us stays, as does one in which the user
/// has logged in or lingers since.
#[test]
fn what_others_keep_stays() {
    let node = node();
    node.take(1, [Ask::Units("active"), Ask::Look(true), Ask::Units("active")]).unwrap();
    node.release(1, [Ask::Units("active")]).unwrap();
    assert!(node.is_clean());
    node.take(1, STARTS).unwrap();
    let logged_in = [Ask::Units("active"), Ask::LoggedIn(true)];
    node.release(1, logged_in.clone().into_iter().chain([Ask::Watch]).chain(logged_in)).unwrap();
    assert!(node.is_clean());
    node.take(1, STARTS).unwrap();
    fs::write(&node.linger_file, "").unwrap();
    node.release(1, [Ask::Units("active")]).unwrap();
    assert!(node.is_clean() && node.lingers());
}

/// Show that what to undo is not forgotten when the bus fails the last epilog: there is no record of it but
/// beside the leases, and a manager of ours would be taken for the user's own.
#[test]
fn a_stop_that_failed_is_made_up_for() {
    let node = node();
    node.take(1, STARTS).unwrap();
    let fails = STOPS.into_iter().take(3).chain([Ask::NoBus]);
    node.release(1, fails).unwrap_err();
    assert!(!node.is_clean());
    node.sweep(false, STOPS.into_iter().chain([Ask::LoggedIn(false)])).unwrap();
    assert!(node.is_clean());
}

/// Show that nobody who lingers meanwhile has a session that stands still.
#[test]
fn who_lingers_is_not_frozen() {
    let mut node = node();
    node.site.keep = Duration::from_secs(30);
    fs::create_dir_all(node.roots.usr.join("bin")).unwrap();
    fs::write(node.roots.usr.join("bin/spank-linger"), "").unwrap();
    fs::write(node.roots.proc.join("uptime"), "100.99 1.00\n").unwrap();
    node.take(1, STARTS).unwrap();
    fs::write(&node.linger_file, "").unwrap();
    node.release(1, [Ask::Units("active")]).unwrap();
    assert!(node.is_clean() && node.lingers());
}

/// Show that a logout that has ended the session is no error at the end of the job.
#[test]
fn a_session_that_a_logout_has_ended_is_over() {
    let node = node();
    node.take(1, STARTS).unwrap();
    node.release(1, [Ask::Units("inactive"), Ask::Watch, Ask::Units("inactive")]).unwrap();
    assert!(node.is_clean());
}

/// Show that a site that turns to linger while a job runs has linger put back.
#[test]
fn linger_may_follow_on_the_manager() {
    let mut node = node();
    node.take(1, STARTS).unwrap();
    node.site.means = Means::Linger;
    node.take(2, OPENS).unwrap();
    node.release(1, []).unwrap();
    node.release(2, CLOSES).unwrap();
    assert!(node.is_clean() && !node.lingers());
}
