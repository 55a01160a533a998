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
        let own = OwnSession { cgroup: Some(cgroup), ..OwnSession::default() };
        state.put_own(id, &own).unwrap();
        session
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
