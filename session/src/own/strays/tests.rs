//! Trees of cgroups that are made by hand.

use super::*;
use crate::outside::fake::place;
use crate::outside::proc::show_this_process;
use crate::record::own::OwnSession;
use crate::record::{Lease, lock};
use crate::terms::budget::Budget;
use crate::terms::site::SessionKind;

const UID: u32 = 4711;
const SCOPE: &str = "system.slice/n1_slurmstepd.scope";

/// A node on which Slurm has its scope, and `slurmstepd infinity` in it.
struct Node {
    _dir: tempfile::TempDir,
    roots: Roots,
}

impl Node {
    fn new() -> Self {
        let (dir, roots) = place();
        show_this_process(&roots.proc);
        let node = Self { _dir: dir, roots };
        node.runs("system", 5, "/usr/sbin/slurmstepd\0infinity\0");
        node
    }

    fn put(&self, file: &str, text: &str) {
        let file = self.roots.cgroup.join(SCOPE).join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }

    /// A process of root's in a cgroup of the scope.
    fn runs(&self, cgroup: &str, pid: u32, line: &str) {
        let process = self.roots.proc.join(pid.to_string());
        fs::create_dir_all(&process).unwrap();
        let stat = format!("{pid} (a) S 1 7 7 0 -1 4194560 1 0 0 0 1 2 0 0 20 0 1 0 99 1");
        for (file, text) in [
            ("stat", stat.as_str()),
            ("comm", if line == OURS { "linger\n" } else { "slurmstepd\n" }),
            ("cmdline", line),
            ("status", "Name:\tslurmstepd\nUid:\t0\t0\t0\t0\n"),
        ] {
            fs::write(process.join(file), text).unwrap();
        }
        let procs = self.roots.cgroup.join(SCOPE).join(cgroup).join("cgroup.procs");
        let before = fs::read_to_string(&procs).unwrap_or_default();
        self.put(&format!("{cgroup}/cgroup.procs"), &format!("{before}{pid}\n"));
    }

    /// A session in the step of a job, as the kernel shows it.
    fn has_session(&self, step: &str) -> PathBuf {
        self.put(&format!("{step}/slurm/cgroup.procs"), "");
        self.put(&format!("{step}/user/session/cgroup.procs"), "");
        self.put(&format!("{step}/user/session/cgroup.events"), "populated 1\nfrozen 0\n");
        Path::new(SCOPE).join(step).join("user/session")
    }

    /// A job with that session is written down, with a process of Slurm's.
    fn is_known(&self, job: u32, session: &Path, slurms: u32) {
        let budget = Budget::starting_now(Duration::from_secs(1));
        let state = lock(&self.roots, UID, budget).unwrap();
        state.put(job, &Lease::Open, SessionKind::Own).unwrap();
        let own = OwnSession { cgroup: Some(session.to_owned()), ..OwnSession::default() };
        state.put_own(job, &own).unwrap();
        state.add_keeper(job, &format!("extern {slurms} 99").parse().unwrap()).unwrap();
    }

    /// Each with why it is left, if it is.
    fn strays(&self) -> Vec<(PathBuf, Option<String>)> {
        let found = find(&self.roots).unwrap();
        found.into_iter().map(|stray| (stray.cgroup, stray.is_over.err())).collect()
    }

    fn only(&self) -> Option<String> {
        let [(_, why)] = &self.strays()[..] else { panic!("{:?}", self.strays()) };
        why.clone()
    }
}

/// Show that a session is found wherever Slurm has its scope, and that a user makes no scope that is taken for Slurm's.
#[test]
fn sessions_are_found() {
    let root = tempfile::tempdir().unwrap();
    let all = [
        "slurmstepd.scope/job_7/step_extern/user/session",
        "system.slice/slurmstepd.scope/job_7/step_0/user/session",
        "a.slice/a-b.slice/n1_slurmstepd.scope/s379M7XY33FH00/step_extern/user/session",
    ];
    let others = [
        "user.slice/user-7.slice/user@7.service/slurmstepd.scope/job_8/step_extern/user/session",
        "system.slice/slurmstepd.scope/job_8/step_extern/user/task_0",
        "system.slice/slurmstepd.scope/system/other/user/session",
    ];
    for dir in all.iter().chain(&others) {
        fs::create_dir_all(root.path().join(dir)).unwrap();
    }
    let mut found = sessions(root.path());
    found.sort();
    let mut expected = all.map(PathBuf::from);
    expected.sort();
    assert_eq!(found, expected);
    assert!(sessions(&root.path().join("none")).is_empty());
}

/// Show that a session is no stray that is written down, and that one is which is not and whose job is over.
#[test]
fn what_is_written_down_is_no_stray() {
    let node = Node::new();
    assert!(node.strays().is_empty());
    let session = node.has_session("job_42/step_extern");
    assert_eq!(node.strays(), [(session.clone(), None)]);
    node.is_known(42, &session, 900);
    assert!(node.strays().is_empty());
    let other = node.has_session("job_43/step_extern");
    assert_eq!(node.strays(), [(other, None)]);
    // Any of them may be in a record that cannot be read.
    fs::write(node.roots.run.join(format!("{UID}/42.own")), "{").unwrap();
    find(&node.roots).unwrap_err();
}

/// Show that a job goes on while a slurmstepd of it lives: in its cgroup, where its user has moved it, and beside the
/// jobs, where those of jobs with sessions of their own are; and that what cannot be told is named.
#[test]
fn a_job_with_a_slurmstepd_goes_on() {
    for cgroup in
        ["job_42/step_extern/slurm", "job_42/step_0/slurm", "job_42/step_extern/user/session/x"]
    {
        let node = Node::new();
        node.has_session("job_42/step_extern");
        node.runs(cgroup, 7, "slurmstepd: [42.extern]\0");
        assert!(node.only().unwrap().contains("slurmstepd 7 works"), "{cgroup}");
    }
    for other in ["Name:\tsleep\nUid:\t0\t0\t0\t0\n", "Name:\tslurmstepd\nUid:\t7\t0\t0\t0\n"] {
        let node = Node::new();
        node.has_session("job_42/step_extern");
        node.runs("job_42/step_extern/user/task_special", 7, "sleep\0");
        fs::write(node.roots.proc.join("7/status"), other).unwrap();
        assert_eq!(node.only(), None, "{other}");
    }
    for (line, is_left) in [
        ("slurmstepd: [42.extern]\0\0", true),
        ("slurmstepd: [42.0+1 stepmgr]\0", true),
        ("slurmstepd: [420.extern]\0", false),
        ("slurmstepd: [4.batch]\0", false),
        ("slurmstepd: [s379M7XY33FH00.extern]\0", true),
        ("/usr/sbin/slurmstepd\0", true),
        ("", true),
        (OURS, false),
    ] {
        let node = Node::new();
        node.has_session("job_42/step_extern");
        node.runs("system", 7, line);
        let why = node.only();
        assert_eq!(why.is_some(), is_left, "{line}: {why:?}");
        assert!(why.is_none_or(|why| why.contains("process 7 of Slurm's")), "{line}");
    }
}

/// Show that a process that has ended, or was not there when it was looked at, keeps nothing, and that one of another
/// pid namespace does, as a cgroup that cannot be read.
#[test]
fn what_cannot_be_seen_is_not_gone() {
    let node = Node::new();
    node.has_session("job_42/step_extern");
    node.put("system/cgroup.procs", "5\n77\n");
    assert_eq!(node.only(), None);
    node.runs("system", 77, "slurmstepd: [42.extern]\0");
    let ended = "77 (a) Z 1 7 7 0 -1 4194560 1 0 0 0 1 2 0 0 20 0 1 0 99 1";
    fs::write(node.roots.proc.join("77/stat"), ended).unwrap();
    assert_eq!(node.only(), None);
    node.put("system/cgroup.procs", "5\n0\n");
    assert!(node.only().unwrap().contains("cannot be seen from here"));
    let procs = node.roots.cgroup.join(SCOPE).join("system/cgroup.procs");
    fs::write(&procs, b"\xff").unwrap();
    assert!(node.only().unwrap().contains("system/cgroup.procs: "));
    fs::remove_file(procs).unwrap();
    assert_eq!(node.only(), None);
    fs::remove_file(node.roots.proc.join("self")).unwrap();
    assert!(node.only().unwrap().contains("/proc"));
}

/// Show that where the job's cgroup has no number of the job's, a slurmstepd is another job's only if that is written
/// down, of a job in the same scope.
#[test]
fn a_sluid_tells_no_number() {
    let node = Node::new();
    node.has_session("s379M7XY33FH00/step_extern");
    node.runs("system", 7, "slurmstepd: [41.extern]\0");
    assert!(node.only().unwrap().contains("process 7"));
    let other_scope = Path::new("system.slice/n2_slurmstepd.scope/x/step_extern/user/session");
    node.is_known(41, other_scope, 7);
    assert!(node.only().unwrap().contains("process 7"));
    let known = node.has_session("s379M7XY33FH01/step_extern");
    node.is_known(41, &known, 7);
    assert_eq!(node.only(), None);
}

/// Show that a job without an extern step may be between two steps as long as anything runs in its session.
#[test]
fn without_an_extern_step_a_session_tells_that_its_job_goes_on() {
    let node = Node::new();
    node.has_session("job_42/step_0");
    assert!(node.only().unwrap().contains("no extern step"));
    node.put("job_42/step_0/user/session/cgroup.events", "populated 0\n");
    assert_eq!(node.only(), None);
}

/// Show that nothing is killed of a job that has begun again since it was looked at, and of one that has not it is the
/// very session that was found.
#[test]
fn it_is_looked_at_again_before_it_ends() {
    let node = Node::new();
    let session = node.has_session("job_42/step_extern");
    let stray = find(&node.roots).unwrap().pop().unwrap();
    let end = || end(&node.roots, &stray, Instant::now()).map_err(|error| error.to_string());
    let kill = node.roots.cgroup.join(&session).join("cgroup.kill");
    node.runs("system", 7, "slurmstepd: [42.extern]\0");
    assert!(end().unwrap_err().contains("process 7"));
    node.runs("system", 7, "slurmstepd: [41.extern]\0");
    node.is_known(42, &session, 900);
    assert!(end().unwrap_err().contains("begun anew"));
    assert!(!kill.exists());
    fs::remove_dir_all(&node.roots.run).unwrap();
    // Files stand in for the kernel's, and so it is not removed.
    assert!(end().unwrap_err().starts_with("remove "));
    assert_eq!(fs::read_to_string(&kill).unwrap(), "1");
    // Another one is made in its place.
    let at = node.roots.cgroup.join(&session);
    fs::remove_dir_all(&at).unwrap();
    node.has_session("job_42/step_extern");
    assert_eq!(end(), Ok(()));
    assert!(at.exists() && !kill.exists());
}

/// Show that it is known whose sessions there are.
#[test]
fn a_users_sessions_are_found() {
    let node = Node::new();
    let me = nix::unistd::getuid().as_raw();
    assert!(!has_any(&node.roots, me));
    node.has_session("job_42/step_extern");
    assert!(has_any(&node.roots, me) && !has_any(&node.roots, me + 1));
}
