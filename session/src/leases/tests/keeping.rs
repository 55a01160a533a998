//! A session that is kept between two jobs.

use super::*;
use crate::leases::stale::end_kept;
use crate::outside::fake::untouched;
use crate::outside::properties::{Name, Property};
use crate::record::Marked;

const BEGAN: u64 = 100;

/// What is asked to keep one.
fn keeps(node: &Node) -> [Ask; 3] {
    let command = node.roots.usr.join("local/bin/spank-linger");
    [Ask::Guard(30, command), Ask::LoggedIn(false), Ask::Freeze]
}

/// A node that keeps sessions for 30 s.
fn node() -> Node {
    let mut node = Node::new();
    node.site.keep = Duration::from_secs(30);
    fs::create_dir_all(node.roots.usr.join("local/bin")).unwrap();
    fs::write(node.roots.usr.join("local/bin/spank-linger"), "").unwrap();
    node.is_up_for(BEGAN);
    node
}

impl Node {
    fn is_up_for(&self, seconds: u64) {
        fs::write(self.roots.proc.join("uptime"), format!("{seconds}.99 1.00\n")).unwrap();
    }

    fn kept(&self) -> Option<u64> {
        crate::status::kept(&self.roots, self.uid).map(|left| left.as_secs())
    }

    fn guard_calls(&self, script: impl IntoIterator<Item = Ask>) {
        let budget = Budget::starting_now(Duration::from_secs(15));
        end_kept(&mut self.systemd(script), &self.site, self.uid, budget).unwrap();
    }

    /// A process in the user's slice.
    fn show_process(&self, pid: u32, cgroup: &str) {
        let cgroup = self.roots.slice(self.uid).join(cgroup.replace("UID", &self.uid.to_string()));
        let proc = self.roots.proc.join(pid.to_string());
        for (dir, file, text) in
            [(&cgroup, "cgroup.procs", pid.to_string()), (&proc, "comm", "a".into())]
        {
            fs::create_dir_all(dir).unwrap();
            let before = fs::read_to_string(dir.join(file)).unwrap_or_default();
            fs::write(dir.join(file), format!("{before}{text}\n")).unwrap();
        }
    }
}

/// Show that the last epilog keeps the session, that the next prolog only has it run
/// again, and that the command closes it when its time is over and not before.
#[test]
fn the_next_job_finds_the_session() {
    let node = node();
    node.take(1, OPENS).unwrap();
    node.release(1, keeps(&node)).unwrap();
    assert!(node.lingers() && node.kept() == Some(30));
    node.take(2, [Ask::Thaw, Ask::Look(true), Ask::Units("active")]).unwrap();
    assert_eq!(node.kept(), None);
    node.guard_calls([]);
    node.is_up_for(BEGAN + 20);
    node.release(2, keeps(&node)).unwrap();
    node.is_up_for(BEGAN + 49);
    node.guard_calls([Ask::LoggedIn(false)]);
    assert!(node.lingers() && node.kept() == Some(1));
    node.is_up_for(BEGAN + 50);
    node.guard_calls([Ask::Thaw].into_iter().chain(CLOSES));
    assert!(!node.lingers() && node.is_clean());
}

/// Show that a kept session is held to the floor of its next job before it runs again.
#[test]
fn what_is_kept_is_held_before_it_runs() {
    let mut node = node();
    node.take(1, OPENS).unwrap();
    node.release(1, keeps(&node)).unwrap();
    node.site.containment.confine = Confine { tasks: true, ..Confine::NONE };
    let floor = Ask::SetSlice(vec![Property::Number(Name::TasksMax, 128)]);
    let runs = [Ask::Thaw, Ask::Look(true), Ask::Units("active")];
    node.take(2, [Ask::Slice(untouched()), floor].into_iter().chain(runs)).unwrap();
    assert_eq!(node.lease(2), Some(Lease::Open));
}

/// Show that a job that has no session ends no keep, and begins none anew.
#[test]
fn a_keep_is_not_made_longer() {
    let node = node();
    node.take(1, OPENS).unwrap();
    node.release(1, keeps(&node)).unwrap();
    node.is_up_for(BEGAN + 29);
    node.sessions().note(node.job(2), &Lease::Declined, Moment::Prolog).unwrap();
    node.release(2, []).unwrap();
    assert_eq!(node.kept(), Some(1));
    node.is_up_for(BEGAN + 30);
    node.release(2, [Ask::Thaw].into_iter().chain(CLOSES)).unwrap();
    assert!(node.is_clean());
}

/// Show that a user who logs in has the session at once, and keeps it.
#[test]
fn a_login_ends_a_keep() {
    let node = node();
    node.take(1, OPENS).unwrap();
    node.release(1, keeps(&node)).unwrap();
    let stays = [Ask::Units("active"), Ask::LoggedIn(true)];
    let script = [Ask::LoggedIn(true), Ask::Thaw].into_iter().chain(ENDS).chain(stays);
    node.guard_calls(script);
    assert!(node.is_clean());
    node.take(2, OPENS).unwrap();
    let command = node.roots.usr.join("local/bin/spank-linger");
    let closes = [Ask::Guard(30, command), Ask::LoggedIn(true), Ask::Thaw];
    let stays = [Ask::Units("active"), Ask::LoggedIn(true)];
    node.release(2, closes.into_iter().chain(ENDS).chain(stays)).unwrap();
    assert!(node.is_clean());
}

/// Show that what a login begins as it ends a keep is none of what jobs left: that was nothing. What
/// would be ended here could not be, and be an error.
#[test]
fn what_a_login_begins_is_no_leftover() {
    let node = node();
    node.take(1, OPENS).unwrap();
    node.release(1, keeps(&node)).unwrap();
    // Beyond the highest number of a process (PID_MAX_LIMIT, Linux).
    for (pid, cgroup) in [(4_194_305, "init.scope"), (4_194_306, "app.slice/new.service")] {
        node.show_process(pid, &format!("user@UID.service/{cgroup}"));
        fs::write(node.roots.proc.join(format!("{pid}/sessionid")), "7").unwrap();
    }
    let stays = [Ask::Units("active"), Ask::LoggedIn(true)];
    node.guard_calls([Ask::LoggedIn(true), Ask::Thaw].into_iter().chain(ENDS).chain(stays));
    assert!(node.is_clean());
}

/// Show that linger that somebody turns off meanwhile ends a keep: logind has the
/// manager stopped, which cannot end while it is frozen.
#[test]
fn linger_that_goes_ends_a_keep() {
    let node = node();
    node.take(1, OPENS).unwrap();
    node.release(1, keeps(&node)).unwrap();
    fs::remove_file(&node.linger_file).unwrap();
    node.guard_calls([Ask::Thaw].into_iter().chain(CLOSES));
    assert!(node.is_clean());
}

/// Show that slurmd's start, and a sweep, end a keep.
#[test]
fn the_start_of_slurmd_ends_a_keep() {
    let node = node();
    node.take(1, OPENS).unwrap();
    node.release(1, keeps(&node)).unwrap();
    node.sweep(true, [Ask::Thaw].into_iter().chain(PUTS_BACK)).unwrap();
    assert!(!node.lingers() && node.is_clean());
}

/// Show that without a command, with a user who lingers anyway, and where anything but
/// the manager and its bus runs, nothing is kept.
#[test]
fn what_cannot_be_kept_is_closed() {
    let node = node();
    let init = "user@UID.service/init.scope";
    node.show_process(501, init);
    node.show_process(502, init);
    node.show_process(503, "user@UID.service/app.slice/dbus.service");
    node.take(1, OPENS).unwrap();
    node.release(1, keeps(&node)).unwrap();
    node.take(1, [Ask::Thaw, Ask::Look(true), Ask::Units("active")]).unwrap();
    for (pid, cgroup) in [
        (504, init),
        (505, "user@UID.service/app.slice/mine.service"),
        (506, "session-3.scope"),
        (507, "dbus.service"),
    ] {
        node.show_process(pid, cgroup);
        node.release(1, CLOSES).unwrap();
        assert!(!node.lingers() && node.is_clean(), "{cgroup}");
        fs::remove_dir_all(node.roots.proc.join(pid.to_string())).unwrap();
        node.take(1, OPENS).unwrap();
    }
    fs::remove_file(node.roots.usr.join("local/bin/spank-linger")).unwrap();
    node.release(1, CLOSES).unwrap();
    assert!(node.is_clean());
    fs::write(&node.linger_file, "").unwrap();
    node.take(1, [Ask::Look(true), Ask::Units("active")]).unwrap();
    node.release(1, []).unwrap();
    assert!(node.is_clean() && node.lingers());
}

/// Show that a session that could not be frozen is closed, and that one which is not
/// known to be frozen is not taken for kept.
#[test]
fn a_keep_that_fails_is_none() {
    let node = node();
    node.take(1, OPENS).unwrap();
    let mut script = keeps(&node).to_vec();
    script.truncate(2);
    script.extend([Ask::NoBus, Ask::Thaw]);
    node.release(1, script.into_iter().chain(CLOSES)).unwrap();
    assert!(node.is_clean());
    node.take(1, OPENS).unwrap();
    let budget = Budget::starting_now(Duration::from_secs(15));
    record::lock(&node.roots, node.uid, budget).unwrap().doubt_kept().unwrap();
    assert_eq!(node.kept(), Some(0));
    node.release(1, [Ask::Thaw].into_iter().chain(CLOSES)).unwrap();
    assert!(node.is_clean());
}

/// Show that what ended jobs had left is not looked for for ever.
#[test]
fn a_keep_forgets_what_has_ended() {
    let node = node();
    node.take(1, OPENS).unwrap();
    let state = record::state(&node.roots, node.uid);
    state.add_audit_id(Marked::Ended, 7).unwrap();
    node.release(1, keeps(&node)).unwrap();
    assert!(state.audit_ids(Marked::Ended).unwrap().is_empty());
}
