//! Sessions of single jobs, at the end of their leases. Files stand in for the kernel's: what is there does not end,
//! until it is taken away.

use super::*;
use crate::record::own::OwnSession;
use crate::terms::site::SessionKind;

const PLACE: &str = "system.slice/slurmstepd.scope";

impl Node {
    fn state(&self) -> record::Locked {
        record::lock(&self.roots, self.uid, Budget::starting_now(Duration::from_secs(15))).unwrap()
    }

    /// A job with such a session, which is returned.
    fn has_own(&self, id: u32) -> PathBuf {
        let state = self.state();
        state.put(id, &Lease::Open, SessionKind::Own).unwrap();
        let cgroup = PathBuf::from(format!("{PLACE}/job_{id}/step_extern/user/session"));
        let session = self.roots.cgroup.join(&cgroup);
        fs::create_dir_all(&session).unwrap();
        fs::create_dir_all(crate::record::own::shared(&self.roots, self.uid)).unwrap();
        let own = OwnSession { cgroup: Some(cgroup), ..OwnSession::default() };
        state.put_own(id, &own).unwrap();
        session
    }

    /// A slurmstepd in one of its steps, by its directory in /proc.
    fn works_for(&self, id: u32) -> PathBuf {
        let step = self.roots.cgroup.join(format!("{PLACE}/job_{id}/step_0/slurm"));
        let process = self.roots.proc.join("7");
        for (dir, file, text) in [
            (&step, "cgroup.procs", "7\n"),
            (&process, "status", "Name:\tslurmstepd\nUid:\t0\t0\t0\t0\n"),
        ] {
            fs::create_dir_all(dir).unwrap();
            fs::write(dir.join(file), text).unwrap();
        }
        process
    }

    fn is_written_down(&self, id: u32) -> bool {
        self.roots.run.join(format!("{}/{id}.own", self.uid)).exists()
    }
}

fn is_killed(session: &std::path::Path) -> bool {
    session.join("cgroup.kill").exists()
}

/// Show that a session is ended by its own record, whatever has become of the lease: another kind, a spoilt file,
/// none; by whoever drops it.
#[test]
fn it_ends_by_its_own_record() {
    for lease in
        [Some(r#"{"version":1,"state":"failed","cause":"c","told":true}"#), Some("{"), None]
    {
        for is_epilog in [true, false] {
            let node = Node::new();
            let session = node.has_own(1);
            let file = node.roots.run.join(format!("{}/1", node.uid));
            match lease {
                Some(text) => fs::write(&file, text).unwrap(),
                None => fs::remove_file(&file).unwrap(),
            }
            if is_epilog {
                node.sessions().release(node.job(1)).unwrap_err();
            } else {
                let _ = node.sessions().note(node.job(1), &Lease::Declined, Moment::Prolog);
            }
            assert!(is_killed(&session), "{lease:?}, epilog: {is_epilog}");
        }
    }
}

/// Show that a job goes on by its own session where its lease is spoilt.
#[test]
fn a_spoilt_lease_ends_no_job() {
    let node = Node::new();
    let session = node.has_own(1);
    fs::copy("/proc/self/stat", node.roots.proc.join("self/stat")).unwrap();
    let manager = crate::record::own::Started::of(std::process::id(), &node.roots.proc);
    let state = node.state();
    let own = state.own(1).unwrap().unwrap();
    state.put_own(1, &OwnSession { manager, ..own }).unwrap();
    drop(state);
    fs::write(node.roots.run.join(format!("{}/1", node.uid)), "{").unwrap();
    node.sweep(true, []).unwrap();
    assert!(!is_killed(&session) && node.is_written_down(1));
}

/// Show that where a failure cannot be noted the lease of a session that may be there is not removed.
#[test]
fn a_full_disk_loses_no_session() {
    for is_placed in [true, false] {
        let node = Node::new();
        node.has_own(1);
        if !is_placed {
            node.state().put_own(1, &OwnSession::default()).unwrap();
        }
        // In the way of the file that is renamed to the lease.
        fs::create_dir(node.roots.run.join(format!("{}/.1.new", node.uid))).unwrap();
        node.sessions().give_up(node.job(1), "so".into());
        assert_eq!(node.lease(1).is_some() && node.is_written_down(1), is_placed);
    }
}

/// Show that what does not end in its time stays written down without its lease: it counts for nothing and holds
/// nothing, and whoever comes next ends it: a job of the user's that begins or ends, slurmd, the command.
#[test]
fn what_does_not_end_is_ended_later() {
    type Comes = fn(&Node);
    let comes: [(&str, Comes); 5] = [
        ("its epilog", |node| drop(node.release(1, []))),
        ("another epilog", |node| node.release(2, []).unwrap()),
        ("a prolog", |node| drop(node.take(3, [Ask::Watch, Ask::NoBus]))),
        ("slurmd", |node| node.sweep(true, []).unwrap()),
        ("the command", |node| drop(node.sessions().sweep_user(node.uid))),
    ];
    for (who, comes) in comes {
        let node = Node::new();
        let session = node.has_own(1);
        let limits = crate::limits::amounts::Limits { tasks: Some(7), ..Default::default() };
        node.state().put_limits(1, &limits).unwrap();
        node.release(1, []).unwrap();
        assert!(node.lease(1).is_none() && is_killed(&session) && node.is_written_down(1), "{who}");
        let state = record::state(&node.roots, node.uid);
        assert_eq!(state.together().unwrap(), record::Together::NoJob);
        assert!(!state.is_held().unwrap() && !record::is_unknown(&node.roots, node.uid));
        // What is written down is no stray, and is told of.
        assert!(node.sessions().strays().unwrap().is_empty());
        assert_eq!(node.sessions().stale(node.uid).unwrap().unended, [1]);
        comes(&node);
        assert!(node.is_written_down(1), "{who}");
        fs::remove_dir_all(session).unwrap();
        comes(&node);
        assert!(!node.is_written_down(1), "{who}");
    }
}

/// Show that the epilog finds the session of a job whose lease another job's callback has dropped, as it had not ended.
#[test]
fn the_epilog_finds_what_another_has_dropped() {
    let node = Node::new();
    let session = node.has_own(1);
    let keepers = node.roots.run.join(format!("{}/1.keepers", node.uid));
    fs::write(keepers, "extern 4711 998877\n").unwrap();
    node.release(2, []).unwrap();
    assert!(node.lease(1).is_none() && is_killed(&session));
    fs::remove_file(session.join("cgroup.kill")).unwrap();
    node.sessions().release(node.job(1)).unwrap_err();
    assert!(is_killed(&session) && node.is_written_down(1));
    fs::remove_dir_all(session).unwrap();
    node.sessions().release(node.job(1)).unwrap();
    assert!(node.is_clean());
}

/// Show that of a session that has not ended nothing stays but its place: nobody enters it. And that nothing of a job
/// is killed by it that is requeued and has no lease this time.
#[test]
fn what_is_left_is_not_taken_for_the_next_run() {
    let node = Node::new();
    let session = node.has_own(1);
    let state = node.state();
    let own = state.own(1).unwrap().unwrap();
    state.put_own(1, &OwnSession { is_ready: true, ..own.clone() }).unwrap();
    drop(state);
    node.release(1, []).unwrap();
    assert_eq!(node.state().own(1).unwrap(), Some(own));
    fs::remove_file(session.join("cgroup.kill")).unwrap();
    let process = node.works_for(1);
    node.release(2, []).unwrap();
    assert!(!is_killed(&session) && node.is_written_down(1));
    fs::remove_dir_all(process).unwrap();
    node.release(2, []).unwrap();
    assert!(is_killed(&session));
}

/// Show that a record that cannot be read does not stay.
#[test]
fn a_spoilt_record_goes_with_its_lease() {
    let node = Node::new();
    node.has_own(1);
    fs::write(node.roots.run.join(format!("{}/1.own", node.uid)), "{").unwrap();
    node.release(1, []).unwrap();
    assert!(node.is_clean());
}

/// Show that a session of which nothing is written down is ended as slurmd starts, and not as it reads its configuration
/// anew, nor while a slurmstepd of its job lives.
#[test]
fn the_start_of_slurmd_ends_strays() {
    let node = Node::new();
    let session = node.has_own(1);
    fs::remove_dir_all(&node.roots.run).unwrap();
    node.sessions().sweep(false).unwrap();
    assert!(!is_killed(&session));
    let process = node.works_for(1);
    node.sessions().sweep(true).unwrap();
    assert!(!is_killed(&session));
    fs::remove_dir_all(process).unwrap();
    node.sessions().sweep(true).unwrap();
    assert!(is_killed(&session));
}

/// Show that what jobs with such sessions shared is removed by the next epilog of their user, where the last one could
/// not.
#[test]
fn an_epilog_knows_what_only_the_books_tell() {
    let node = Node::new();
    drop(node.state());
    fs::create_dir(node.roots.run.join(format!("{}.own", node.uid))).unwrap();
    node.sessions().release(node.job(2)).unwrap();
    assert!(node.is_clean() && record::is_unknown(&node.roots, node.uid));
}
