//! The end of a session that no job holds any more.

use super::*;

impl Node {
    /// As if a process of the user's outside the session, which is returned, used
    /// shared memory.
    fn show_shared_memory(&self) -> PathBuf {
        let process = self.roots.proc.join("4711");
        fs::create_dir_all(&process).unwrap();
        fs::write(process.join("cgroup"), "0::/system.slice/slurmstepd.scope/job_2\n").unwrap();
        fs::write(process.join("comm"), "mpirun\n").unwrap();
        fs::create_dir_all(self.roots.dev.join("shm")).unwrap();
        fs::write(self.roots.dev.join("shm/segment"), "").unwrap();
        process
    }
}

/// Show that closing waits for the end of the session, but not for a user who is
/// logged in.
#[test]
fn closing_waits_unless_logged_in() {
    let node = Node::new();
    node.take(1, OPENS).unwrap();
    let waits = [Ask::Units("deactivating"), Ask::Changed(Some(1))];
    let closes = ENDS.into_iter().chain(waits);
    node.release(1, closes.chain([Ask::Units("inactive")])).unwrap();
    node.take(2, OPENS).unwrap();
    let stays = [Ask::Units("active"), Ask::LoggedIn(true)];
    node.release(2, ENDS.into_iter().chain(stays)).unwrap();
    assert!(node.is_clean());
}

/// Show that a bus that dies while the session ends leaves no linger, and that what is to be undone stays
/// written down until it has ended.
#[test]
fn what_ends_late_is_undone_all_the_same() {
    let node = Node::new();
    node.take(1, OPENS).unwrap();
    let waits = [Ask::Units("deactivating"), Ask::NoBus];
    node.release(1, ENDS.into_iter().chain(waits)).unwrap_err();
    assert!(!node.lingers() && !node.is_clean());
    node.release(1, [Ask::Watch, Ask::Units("inactive")]).unwrap();
    assert!(node.is_clean());
}

/// Show that a session that does not end in its grace is killed, and that its
/// failure, which is our doing, is forgotten.
#[test]
fn what_does_not_stop_is_killed() {
    let node = Node::new();
    node.take(1, OPENS).unwrap();
    let mut script = ENDS.to_vec();
    for _ in 0..10 {
        script.extend([Ask::Units("deactivating"), Ask::Changed(None)]);
    }
    script.extend([Ask::Units("deactivating"), Ask::Kill, Ask::Stop]);
    script.extend([Ask::Units("failed"), Ask::Forget]);
    node.release(1, script).unwrap();
    assert!(!node.lingers() && node.is_clean());
}

/// Show that what a kill does not end is named.
#[test]
fn what_cannot_be_killed_is_named() {
    let node = Node::new();
    node.take(1, OPENS).unwrap();
    let scope = node.roots.slice(node.uid).join("user@1.service/x.scope");
    fs::create_dir_all(&scope).unwrap();
    fs::write(scope.join("cgroup.procs"), "4711\n").unwrap();
    fs::create_dir_all(node.roots.proc.join("4711")).unwrap();
    fs::write(node.roots.proc.join("4711/comm"), "stuck\n").unwrap();
    let mut script = ENDS.to_vec();
    let waits = [Ask::Units("deactivating"), Ask::Changed(None)];
    script.extend(waits.iter().cloned().cycle().take(20));
    script.extend([Ask::Units("deactivating"), Ask::Kill, Ask::Stop]);
    script.extend(waits.iter().cloned().cycle().take(10));
    script.extend([Ask::Units("deactivating"), Ask::Forget]);
    let error = node.release(1, script).unwrap_err().to_string();
    assert!(error.contains("pid 4711 (stuck) in user@1.service/x.scope"), "{error}");
}

/// Show that a session stays while logind would delete what a process of the
/// user outside of it may use, and that the next epilog closes it.
#[test]
fn closing_is_put_off_for_ipc() {
    let node = Node::new();
    node.take(1, OPENS).unwrap();
    let process = node.show_shared_memory();
    node.release(1, [Ask::LoggedIn(false), Ask::RemovesIpc(true)]).unwrap();
    assert!(node.lingers() && !node.is_clean());
    fs::remove_dir_all(&process).unwrap();
    node.release(2, CLOSES).unwrap();
    assert!(!node.lingers() && node.is_clean());
}

/// Show that nothing is put off where logind deletes nothing.
#[test]
fn without_remove_ipc_nothing_is_put_off() {
    let node = Node::new();
    node.take(1, OPENS).unwrap();
    node.show_shared_memory();
    let closes = [Ask::LoggedIn(false), Ask::RemovesIpc(false)].into_iter().chain(CLOSES);
    node.release(1, closes).unwrap();
    assert!(node.is_clean());
}

/// Show that linger that logind turns on when nobody waits for that any more is
/// turned off: it is asked to, and as long as it does not answer, that stays to
/// be done.
#[test]
fn a_late_logind_leaves_no_linger() {
    let node = Node::new();
    let late = [Ask::Watch, Ask::Units("inactive"), Ask::NoBus, Ask::Watch, Ask::NoBus];
    node.take(1, late).unwrap_err();
    fs::write(&node.linger_file, "").unwrap();
    node.release(1, CLOSES).unwrap();
    assert!(!node.lingers() && node.is_clean());
    let late = [Ask::Watch, Ask::Units("inactive"), Ask::NoBus, Ask::Watch, Ask::Linger(false)];
    node.take(1, late).unwrap_err();
    node.release(1, []).unwrap();
    assert!(node.is_clean());
}

/// Show that the start of slurmd waits for no epilog that is at work.
#[test]
fn the_start_of_slurmd_passes_by_a_held_lock() {
    let node = Node::new();
    node.take(1, OPENS).unwrap();
    let budget = Budget::starting_now(Duration::from_secs(15));
    let lock = record::lock(&node.roots, node.uid, budget).unwrap();
    node.sweep(true, []).unwrap();
    drop(lock);
    assert_eq!(node.lease(1), Some(Lease::Open));
}

impl Node {
    /// The user turns linger on again while the session ends.
    fn user_lingers_again(&self) -> Ask {
        Ask::UserLingers(self.linger_file.clone())
    }
}

/// Show that a user who turns linger on again while the session ends does not win: what runs is frozen,
/// linger goes off, all of it is killed, and only then is the record dropped.
#[test]
fn who_turns_linger_on_again_is_taken_down() {
    let node = Node::new();
    node.take(1, OPENS).unwrap();
    let again = [
        Ask::Units("active"),
        Ask::LoggedIn(false),
        Ask::Freeze,
        Ask::Linger(false),
        Ask::Kill,
        Ask::Stop,
    ];
    let script = [Ask::Watch, Ask::Linger(false), node.user_lingers_again(), Ask::Watch];
    let gone = [Ask::Units("failed"), Ask::Forget];
    node.release(1, script.into_iter().chain(again).chain(gone)).unwrap();
    assert!(!node.lingers() && node.is_clean());
}

/// Show that where somebody outside of the session keeps turning it on, that is an error, and stays to be
/// undone.
#[test]
fn who_cannot_be_taken_down_is_named() {
    let node = Node::new();
    node.take(1, OPENS).unwrap();
    let again = [Ask::Units("active"), Ask::LoggedIn(false), Ask::Freeze, Ask::Linger(false)];
    let script = [Ask::Watch, Ask::Linger(false), node.user_lingers_again(), Ask::Watch];
    let gone = [node.user_lingers_again(), Ask::Kill, Ask::Stop, Ask::Units("failed"), Ask::Forget];
    let error = node.release(1, script.into_iter().chain(again).chain(gone)).unwrap_err();
    assert!(error.to_string().contains("somebody turns it on again"), "{error}");
    assert!(!node.is_clean());
}
