//! What is seen of users whose state is made by hand.

use super::*;
use crate::outside::fake::place;
use crate::outside::proc::show_this_process;
use crate::terms::budget::Budget;
use crate::terms::site::SessionKind;

const UID: u32 = 4711;

fn put(file: &Path, text: &str) {
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, text).unwrap();
}

/// Show that a lease is seen with its limits and with what works for it, and
/// one that cannot be read with the reason.
#[test]
fn leases_are_seen() {
    let (_dir, roots) = place();
    show_this_process(&roots.proc);
    let of_user = roots.run.join(UID.to_string());
    put(
        &of_user.join("12"),
        r#"{"version":1,"state":"open","limits":{"memory":1024,"cpus":"0-1","denied":[{"kind":"char","major":4,"minor":60}]}}"#,
    );
    put(&of_user.join("12.keepers"), "extern 77 1\n");
    put(&of_user.join("13"), "{");
    put(&of_user.join("14"), r#"{"version":1,"state":"open","kind":"own"}"#);
    put(&of_user.join("14.own"), "{");
    let seen = leases(&roots, UID).unwrap();
    let [open, broken, own] = &seen[..] else { panic!("{seen:?}") };
    assert_eq!(own.own.as_ref().unwrap().state, OwnState::Unreadable);
    assert!(open.own.is_none() && broken.own.is_none());
    let limits = open.limits.as_ref().unwrap();
    assert_eq!((limits.memory, limits.cpus.as_deref()), (Some(1024), Some("0-1")));
    assert_eq!(limits.denied_devices, ["char 4:60"]);
    assert_eq!(open.keepers, [KeeperView { role: Role::Extern, pid: 77, lives: false }]);
    assert!(open.is_over && !broken.is_over);
    assert!(broken.lease.is_err() && broken.job == 13);
    assert_eq!(users(&roots).unwrap().into_iter().collect::<Vec<_>>(), [UID]);
}

/// Show that a lease is being opened only while somebody is at it.
#[test]
fn opening_is_told_from_an_interrupted_one() {
    let (_dir, roots) = place();
    let budget = Budget::starting_now(Duration::from_secs(1));
    let state = record::lock(&roots, UID, budget).unwrap();
    let cause = record::INTERRUPTED.to_owned();
    state.put(12, &Lease::Failed { cause, told: false }, SessionKind::Shared).unwrap();
    assert!(leases(&roots, UID).unwrap()[0].is_opening);
    drop(state);
    assert!(!leases(&roots, UID).unwrap()[0].is_opening);
}

/// Show that a user with a session and nothing written down is seen too.
#[test]
fn sessions_are_seen() {
    let (_dir, roots) = place();
    put(&roots.runtime.join("4712/bus"), "");
    put(&roots.linger.join("DOM\\\\erin"), "");
    assert_eq!(users(&roots).unwrap().into_iter().collect::<Vec<_>>(), [4712]);
    assert!(lingers(&roots, "DOM\\erin").unwrap() && !lingers(&roots, "erin").unwrap());
    assert!(check_session(&roots, 4712, Viewpoint::Root).is_err());
    assert!(has_runtime_dir(&roots, 4712) && !has_runtime_dir(&roots, UID));
}

/// Show that linger before the first lease is told as it was written down.
#[test]
fn what_is_to_be_undone_is_seen() {
    let (_dir, roots) = place();
    assert_eq!(before(&roots, UID).unwrap(), None);
    let budget = Budget::starting_now(Duration::from_secs(1));
    let (name, means) = ("erin".into(), Means::Manager);
    let undo = Undo { name, linger_before: true, asked: false, means, is_copy: false };
    let state = record::lock(&roots, UID, budget).unwrap();
    state.put_undo(&undo).unwrap();
    assert_eq!(before(&roots, UID).unwrap(), Some(Before { means, was_on: true }));
}

/// Show that caps and use are the kernel's figures, and what it does not count
/// is not made up.
#[test]
fn caps_and_use_are_the_kernels() {
    let (_dir, roots) = place();
    let slice = roots.slice(UID);
    put(&slice.join("memory.max"), "2048\n");
    put(&slice.join("pids.max"), "max\n");
    put(&slice.join("memory.current"), "1000\n");
    put(&slice.join("cpu.stat"), "usage_usec 1500000\nuser_usec 1\n");
    let expected = Allowance { memory: Some(2048), ..Allowance::default() };
    assert_eq!(caps(&roots, UID).unwrap(), expected);
    let cpu = Some(Duration::from_millis(1500));
    assert_eq!(usage(&roots, UID), Usage { memory: Some(1000), cpu, ..Usage::default() });
}

/// Show that a task of a job with a session of its own is told of its job's limits, and of what that session uses: the
/// user's slice is not to be seen from there.
#[test]
fn a_task_sees_its_own_session() {
    let (_dir, roots) = place();
    let session = roots.slice(UID).join(manager(UID));
    put(&session.join("memory.current"), "1000\n");
    put(&session.join("cgroup.controllers"), "memory pids\n");
    let job = "system.slice/slurmstepd.scope/job_7";
    put(&roots.proc.join("self/cgroup"), &format!("0::/{job}/step_0/user/task_0\n"));
    put(&roots.cgroup.join(job).join("memory.max"), "2048\n");
    assert_eq!(
        (caps(&roots, UID).unwrap().memory, usage(&roots, UID).memory),
        (Some(2048), Some(1000))
    );
    put(&roots.slice(UID).join("cgroup.controllers"), "memory\n");
    assert_eq!((caps(&roots, UID).unwrap().memory, usage(&roots, UID).memory), (None, None));
}
