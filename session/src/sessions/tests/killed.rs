//! What a killed call of ours leaves to the next.

use super::*;

/// Show that a record whose writer a power loss has stopped goes with the next
/// start of slurmd, or with an epilog.
#[test]
fn half_a_record_is_removed() {
    let node = Node::new();
    let budget = Budget::starting_now(Duration::from_secs(15));
    drop(store::lock(&node.roots, node.uid, budget).unwrap());
    fs::write(node.roots.lib.join(format!(".{}.new", node.uid)), "{").unwrap();
    assert!(!store::is_unknown(&node.roots, node.uid));
    assert_eq!(store::known_uids(&node.roots).unwrap(), [node.uid].into());
    node.release(1, []).unwrap();
    assert!(node.is_clean() && store::is_unknown(&node.roots, node.uid));
}

/// Show that a job is not taken for over by the processes of an earlier one with
/// its id, whose epilog was killed when it had removed the lease.
#[test]
fn an_id_used_again_is_another_job() {
    let node = Node::new();
    node.take(2, OPENS).unwrap();
    let ended = node.roots.run.join(format!("{}/1.keepers", node.uid));
    fs::write(ended, "extern 4711 998877\n").unwrap();
    node.take(1, [Ask::Look(true), Ask::Units("active")]).unwrap();
    node.release(2, []).unwrap();
    assert_eq!(node.lease(1), Some(Lease::NEW));
}

/// Show that a session is known by what is there when it begins: what an earlier
/// one had, whose record another lease has kept, is not taken for it. What the
/// user has begun since would be ended with the next job.
#[test]
fn each_session_has_its_own_record_of_what_was_found() {
    let node = Node::new();
    node.sessions.note(node.job(9), &Lease::Declined).unwrap();
    node.take(1, OPENS).unwrap();
    node.release(1, CLOSES).unwrap();
    let unit = format!("user@{}.service/app.slice/own.service", node.uid);
    fs::create_dir_all(node.roots.slice(node.uid).join(&unit)).unwrap();
    node.take(2, OPENS).unwrap();
    let found = store::state(&node.roots, node.uid).found().unwrap().unwrap();
    assert!(found.cgroups.contains(&PathBuf::from(unit)), "{found:?}");
}
