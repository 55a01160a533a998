//! What a killed call of ours leaves to the next.

use super::*;

/// Show that a record whose writer a power loss has stopped goes with the next
/// start of slurmd, or with an epilog.
#[test]
fn half_a_record_is_removed() {
    let node = Node::new();
    let budget = Budget::starting_now(Duration::from_secs(15));
    drop(record::lock(&node.roots, node.uid, budget).unwrap());
    fs::write(node.roots.lib.join(format!(".{}.new", node.uid)), "{").unwrap();
    assert!(!record::is_unknown(&node.roots, node.uid));
    assert_eq!(record::known_uids(&node.roots).unwrap(), [node.uid].into());
    node.release(1, []).unwrap();
    assert!(node.is_clean() && record::is_unknown(&node.roots, node.uid));
}

/// Show that a job is not taken for over by the processes of an earlier one with
/// its id, whose epilog was killed when it had removed the lease.
#[test]
fn an_id_used_again_is_another_job() {
    let node = Node::new();
    node.take(2, OPENS).unwrap();
    let ended = node.roots.run.join(format!("{}/1.keepers", node.uid));
    fs::write(ended, "extern 4711 998877\n").unwrap();
    node.take(1, [Ask::Look(true)]).unwrap();
    node.release(2, []).unwrap();
    assert_eq!(node.lease(1), Some(Lease::Open));
}

/// Show that a session is known by what is there when it begins: what an earlier
/// one had, whose record another lease has kept, is not taken for it. What the
/// user has begun since would be ended with the next job.
#[test]
fn each_session_has_its_own_record_of_what_was_found() {
    let node = Node::new();
    node.sessions().note(node.job(9), &Lease::Declined, Moment::Prolog).unwrap();
    node.take(1, OPENS).unwrap();
    node.release(1, CLOSES).unwrap();
    let unit = format!("user@{}.service/app.slice/own.service", node.uid);
    let cgroup = node.roots.slice(node.uid).join(&unit);
    for (dir, file, text) in
        [(cgroup, "cgroup.procs", "7\n"), (node.roots.proc.join("7"), "comm", "own\n")]
    {
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join(file), text).unwrap();
    }
    node.take(2, OPENS).unwrap();
    let found = record::state(&node.roots, node.uid).found().unwrap().unwrap();
    assert!(found.cgroups.contains(&PathBuf::from(unit)), "{found:?}");
}

/// Show that a record that somebody has removed is written again from its copy, so
/// that a power loss finds it, and that linger is put back by it.
#[test]
fn a_removed_record_is_written_again() {
    let node = Node::new();
    node.take(1, OPENS).unwrap();
    let record = node.roots.lib.join(node.uid.to_string());
    let before = fs::read(&record).unwrap();
    fs::remove_file(&record).unwrap();
    node.take(2, [Ask::Look(true)]).unwrap();
    assert_eq!(fs::read(&record).unwrap(), before);
    fs::remove_file(&record).unwrap();
    node.release(1, []).unwrap();
    node.release(2, CLOSES).unwrap();
    assert!(node.is_clean());
}

/// Show that a job gets nothing of an earlier one that had its id, and whose
/// processes are gone: neither its limits nor its processes' marks.
#[test]
fn nothing_is_inherited_from_an_earlier_job_of_the_same_id() {
    let node = Node::new();
    node.take(1, OPENS).unwrap();
    let limits = crate::limits::amounts::Limits { tasks: Some(7), ..Default::default() };
    let dir = node.roots.run.join(node.uid.to_string());
    record::lock(&node.roots, node.uid, Budget::starting_now(Duration::from_secs(15)))
        .and_then(|state| state.put_limits(1, &limits))
        .unwrap();
    fs::write(dir.join("1.keepers"), "step 4711 998877\n").unwrap();
    fs::write(dir.join("1.audit"), "77\n").unwrap();
    node.take(1, [Ask::Look(true), Ask::Units("active")]).unwrap();
    assert_eq!(node.lease(1), Some(Lease::Open));
    assert_eq!(record::state(&node.roots, node.uid).limits(1).unwrap(), None);
    assert!(!dir.join("1.audit").exists() && !dir.join("1.keepers").exists());
    assert_eq!(fs::read_to_string(dir.join("ended.audit")).unwrap(), "77\n");
}

/// Show that a job without an extern step, between two steps, is over for a slurmd
/// that starts, and not for one that reads its configuration anew.
#[test]
fn a_new_configuration_ends_no_job() {
    let node = Node::new();
    node.take(1, OPENS).unwrap();
    node.sweep(false, []).unwrap();
    assert_eq!(node.lease(1), Some(Lease::Open));
    node.sweep(true, PUTS_BACK.into_iter().chain([Ask::LoggedIn(false)])).unwrap();
    assert!(!node.lingers() && node.is_clean());
}

/// Show that a lease that nobody drops is looked for as long as it could hold the
/// session open, and not in all of a thousand others.
#[test]
fn enough_jobs_that_go_on_are_enough() {
    let node = Node::new();
    let warm = [Ask::Look(true)];
    node.take(1, OPENS).unwrap();
    (2..=5).for_each(|id| node.take(id, warm.clone()).unwrap());
    let keepers = node.roots.run.join(format!("{}/5.keepers", node.uid));
    fs::write(keepers, "extern 4711 998877\n").unwrap();
    node.take(6, warm).unwrap();
    assert_eq!(node.lease(5), Some(Lease::Open));
    node.release(1, []).unwrap();
    assert_eq!(node.lease(5), None);
}

/// Show that a session full of cgroups fills no disk with their names.
#[test]
fn what_is_found_is_bounded() {
    let node = Node::new();
    let slice = node.roots.slice(node.uid);
    (0..2000).for_each(|n| {
        fs::create_dir_all(slice.join(format!("{n}-{}", "\u{1}".repeat(200)))).unwrap();
    });
    node.take(1, OPENS).unwrap();
    let found = node.roots.run.join(format!("{}/found", node.uid));
    assert!(fs::metadata(found).unwrap().len() < 1000);
}
