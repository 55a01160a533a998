//! Ends what a job has left running in a session, in an order that keeps Podman's books.
//!
//! Podman needs care. Each container has a `conmon` beside it, which starts
//! `podman container cleanup` when the container has ended: given that time,
//! Podman's books are right afterwards. Its pause process holds the namespaces of
//! all of a user's containers, whichever job started it.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::kind::Left;
use crate::outside::audit;
use crate::outside::crash;
use crate::outside::dying::{self, Dying};
use crate::outside::processes::{Process, send, whole_cgroups};
use crate::terms::roots::Roots;
use crate::terms::set::Set;

/// The end of a process that is not our child can be waited for by a descriptor
/// each; but the tree must be searched again anyway, for what was started
/// meanwhile.
const SEARCH_AGAIN: Duration = Duration::from_millis(50);

/// For Podman to clean up after its containers: a second on an emulated node.
/// Podman repairs on its next call what it could not finish.
pub(crate) const TIDY: Duration = Duration::from_secs(5);

/// What it may take in all to die.
pub(crate) const DYING: Duration = dying::LONGEST;

/// What ends a container and keeps Podman's books.
const CARETAKERS: [&str; 5] = ["conmon", "podman", "crun", "runc", "netavark"];

/// The scopes of what Podman starts once for all containers of a user.
const SHARED_SCOPES: [&str; 2] = ["podman-pause-", "rootless-netns-"];
/// The same, where netavark's scope has no telling name.
const SHARED_PROGRAM: &str = "aardvark-dns";

/// What it may take in all.
pub(crate) fn time_to_end(grace: Duration) -> Duration {
    grace + TIDY + DYING
}

/// What is to be ended, and how.
pub(crate) struct Ending<'a> {
    pub(crate) roots: &'a Roots,
    /// The cgroup that they are in, or below.
    pub(crate) tree: PathBuf,
    /// All that runs there.
    pub(crate) all: &'a dyn Fn() -> Vec<Process>,
    /// Between SIGTERM and SIGKILL.
    pub(crate) grace: Duration,
    /// Leave what Podman shares between the containers of a user.
    pub(crate) spare_shared: bool,
    /// Whether a process there is to be ended.
    pub(crate) is_target: &'a dyn Fn(&Process) -> bool,
}

impl Ending<'_> {
    /// Ends them.
    pub(crate) fn run(&self) -> Left {
        self.terminate();
        self.kill_but_caretakers();
        self.kill_all()
    }

    /// SIGTERM, until nothing but caretakers is there or the grace is over. A
    /// caretaker that comes later is at work for what ends here.
    fn terminate(&self) {
        let until = Instant::now() + self.grace;
        let mut asked = Set::default();
        loop {
            let targets = self.search();
            let is_first = asked.is_empty();
            for process in targets.iter().filter(|process| !is_shared(process)) {
                let may_ask = !is_caretaker(process) || is_first && process.name != "conmon";
                if may_ask && asked.insert(process.pid) {
                    self.signal(process, Signal::TERM);
                }
            }
            if !targets.iter().any(is_ordinary) || Instant::now() >= until {
                return;
            }
            sleep(SEARCH_AGAIN);
        }
    }

    fn kill_but_caretakers(&self) {
        let until = Instant::now() + TIDY;
        loop {
            let targets = self.search();
            let ordinary: Vec<_> = targets.iter().filter(|process| is_ordinary(process)).collect();
            self.kill(&ordinary);
            if targets.iter().all(is_shared) || Instant::now() >= until {
                return;
            }
            sleep(SEARCH_AGAIN);
        }
    }

    fn kill_all(&self) -> Left {
        let mut dying = Dying::starting(self.roots, self.tree.clone(), Instant::now());
        loop {
            let mut alive = self.search();
            let found = alive.len();
            alive.retain(|process| !(self.spare_shared && is_shared(process)));
            let pids = alive.iter().map(|process| process.pid).collect();
            if alive.is_empty() || !dying.goes_on(Instant::now(), pids) {
                return Left { spared: alive.len() < found, alive };
            }
            self.kill(&alive.iter().collect::<Vec<_>>());
            sleep(SEARCH_AGAIN);
        }
    }

    fn search(&self) -> Vec<Process> {
        let mut found = (self.all)();
        found.retain(|process| (self.is_target)(process));
        found
    }

    /// A whole cgroup at once where it can be: no process that is forking away
    /// escapes that (cgroup.kill, Linux 5.14).
    fn kill(&self, targets: &[&Process]) {
        if targets.is_empty() {
            return;
        }
        let pids = targets.iter().map(|process| process.pid).collect();
        for cgroup in whole_cgroups(&(self.all)(), &pids) {
            crash::point();
            let killed = fs::write(self.tree.join(&cgroup).join("cgroup.kill"), "1");
            killed.unwrap_or_else(|error| log::debug!("kill {}: {error}", cgroup.display()));
        }
        for process in targets {
            self.signal(process, Signal::KILL);
        }
    }

    fn signal(&self, process: &Process, signal: Signal) {
        send(process.pid, signal, || (self.is_target)(process));
    }
}

/// Whether a process bears one of these audit session ids.
pub(crate) fn bears(roots: &Roots, process: &Process, ids: &Set<u32>) -> bool {
    audit::id_of(&roots.proc, process.pid).is_some_and(|id| ids.contains(&id))
}

fn is_ordinary(process: &Process) -> bool {
    !is_caretaker(process) && !is_shared(process)
}

fn is_caretaker(process: &Process) -> bool {
    CARETAKERS.contains(&process.name.as_str()) && !is_shared(process)
}

/// A user can give a scope such a name, and has nothing from it: what is in it
/// is held to what the other jobs may use, and ended with the last of them.
fn is_shared(process: &Process) -> bool {
    let has_name = |part: &Path| {
        let part = part.to_string_lossy();
        SHARED_SCOPES.iter().any(|scope| part.starts_with(scope))
    };
    process.name == SHARED_PROGRAM || process.cgroup.iter().any(|part| has_name(Path::new(part)))
}
