//! A node with one user's jobs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use super::logind::Logind;
use crate::leases::tests::*;
use crate::limits::amounts::Limits;
use crate::outside::proc::show_this_process;
use crate::outside::properties::{Name, Properties, Property};

/// One job, as Slurm knows it.
#[derive(Clone, Debug, Default)]
pub(super) struct JobNow {
    /// Its prolog is done and its first step has not begun.
    pub(super) waits: bool,
    /// Its processes of Slurm's.
    pub(super) processes: BTreeSet<u32>,
    /// Its extern step has been noted.
    pub(super) has_told: bool,
}

impl JobNow {
    pub(super) fn is_over(&self) -> bool {
        !self.waits && self.processes.is_empty()
    }
}

/// The node.
pub(super) struct World {
    _dir: TempDir,
    pub(super) site: Site,
    pub(super) uid: u32,
    pub(super) logind: Logind,
    pub(super) jobs: BTreeMap<u32, JobNow>,
    /// Linger as it was before the first lease, while anything is to be undone.
    pub(super) before: Option<bool>,
    /// The slice and its drop-ins as they are without us.
    pub(super) slice_before: (Properties, Vec<Name>),
    last_pid: u32,
    uptime: u64,
}

/// In memory: what is to be undone is synced to the disk each time.
fn place_in_memory() -> (TempDir, Roots) {
    let memory = Path::new("/dev/shm");
    let dir = tempfile::tempdir_in(memory).or_else(|_| tempfile::tempdir()).unwrap();
    let roots = Roots::below(dir.path());
    for parent in [&roots.run, &roots.lib] {
        fs::create_dir_all(parent.parent().unwrap()).unwrap();
    }
    for place in [&roots.linger, &roots.proc, &roots.dev] {
        fs::create_dir_all(place).unwrap();
    }
    show_this_process(&roots.proc);
    fs::create_dir_all(&roots.cgroup).unwrap();
    fs::write(roots.cgroup.join("cgroup.controllers"), "").unwrap();
    fs::create_dir_all(roots.usr.join("bin")).unwrap();
    fs::write(roots.usr.join("bin/spank-linger"), "").unwrap();
    fs::write(roots.proc.join("uptime"), "100.99 80.00\n").unwrap();
    (dir, roots)
}

impl World {
    /// With the admin's own limits of the slice: in /etc, and set at run time.
    pub(super) fn new(of_admin: Properties, at_run_time: Vec<Property>, keep: Duration) -> Self {
        let (dir, roots) = place_in_memory();
        let uid = nix::unistd::getuid().as_raw();
        let linger_file = User::look_up(uid, &roots).unwrap().linger_file();
        let mut logind = Logind::new(roots.clone(), uid, linger_file, of_admin);
        logind.set(at_run_time);
        let (confine, grace) = (Confine::ALL, Duration::from_secs(5));
        let containment = Containment { confine, kill_leftovers: true, grace };
        let (timeout, means) = (Duration::from_secs(15), Means::Linger);
        let site = Site {
            roots,
            timeout,
            kind: crate::terms::site::SessionKind::Shared,
            means,
            containment,
            keep,
        };
        let slice_before = (logind.slice_now(), logind.drop_ins());
        let (jobs, before, last_pid) = (BTreeMap::new(), None, u32::MAX / 2);
        let uptime = 100;
        Self { _dir: dir, site, uid, logind, jobs, before, slice_before, last_pid, uptime }
    }

    pub(super) fn job(&self, id: u32) -> Job {
        Job { id, uid: self.uid }
    }

    pub(super) fn lease(&self, id: u32) -> Option<Lease> {
        record::state(&self.site.roots, self.uid).lease(id).unwrap()
    }

    pub(super) fn leases(&self) -> BTreeMap<u32, Lease> {
        let jobs = record::state(&self.site.roots, self.uid).jobs().unwrap();
        jobs.into_iter().filter_map(|id| Some((id, self.lease(id)?))).collect()
    }

    pub(super) fn limits(&self, id: u32) -> Option<Limits> {
        record::state(&self.site.roots, self.uid).limits(id).unwrap()
    }

    /// Whether it is written down how linger was.
    pub(super) fn has_record(&self) -> bool {
        self.site.roots.lib.join(self.uid.to_string()).exists()
    }

    /// What is written down of a keep: how long it still is to be.
    pub(super) fn kept(&self) -> Option<Duration> {
        crate::status::kept(&self.site.roots, self.uid)
    }

    /// The time of any keep passes.
    pub(super) fn pass_keep(&mut self) {
        self.uptime += self.site.keep.as_secs() + 1;
        let file = self.site.roots.proc.join("uptime");
        fs::write(file, format!("{}.01 80.00\n", self.uptime)).unwrap();
    }

    pub(super) fn is_empty(&self) -> bool {
        let roots = &self.site.roots;
        let is_empty = |dir| fs::read_dir(dir).map_or(0, Iterator::count) == 0;
        is_empty(&roots.run) && is_empty(&roots.lib)
    }

    /// A process outside the session uses shared memory, which logind would delete
    /// with it.
    pub(super) fn share_memory(&self, on: bool) {
        let roots = &self.site.roots;
        let (process, memory) = (roots.proc.join("1"), roots.dev.join("shm"));
        for dir in [&process, &memory] {
            let _ = fs::remove_dir_all(dir);
            fs::create_dir(dir).unwrap();
        }
        if on {
            fs::write(process.join("cgroup"), "0::/slurmstepd.scope/job_1\n").unwrap();
            fs::write(process.join("comm"), "mpirun\n").unwrap();
            fs::write(memory.join("segment"), "").unwrap();
        }
    }

    /// Whether the end of a session is put off for the sake of shared memory.
    pub(super) fn must_stay(&self) -> bool {
        let shares = self.site.roots.dev.join("shm/segment").exists();
        shares && self.before == Some(false) && !self.logind.is_logged_in
    }

    pub(super) fn begin_process(&mut self, id: u32) -> u32 {
        self.last_pid += 1;
        let process = self.site.roots.proc.join(self.last_pid.to_string());
        fs::create_dir(&process).unwrap();
        let zeros = "0 ".repeat(18);
        let stat = format!("{} (slurmstepd) S {zeros}1 0", self.last_pid);
        fs::write(process.join("stat"), stat).unwrap();
        self.jobs.entry(id).or_default().processes.insert(self.last_pid);
        self.last_pid
    }

    pub(super) fn end_process(&mut self, id: u32, pid: u32) {
        fs::remove_dir_all(self.site.roots.proc.join(pid.to_string())).unwrap();
        self.jobs.entry(id).or_default().processes.remove(&pid);
    }

    pub(super) fn end_job(&mut self, id: u32) {
        let job = self.jobs.entry(id).or_default();
        job.waits = false;
        for pid in job.processes.clone() {
            self.end_process(id, pid);
        }
    }
}
