//! The acts of a session that is one job's alone, in their order.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::ending::{Ending, bears, time_to_end};
use crate::kind::{Kind, Launch, Left, On, Wait};
use crate::outside::processes::{Process, processes_in};
use crate::outside::runtime_dir::{Viewpoint, check};
use crate::own::books::Books;
use crate::own::close::{ask, end, kill_steps, remove_above, signal};
use crate::own::enter::{enter, namespace, require_outside};
use crate::own::open::{guard, open};
use crate::own::place::Place;
use crate::record::own::{OwnSession, Started};
use crate::record::{self, State};
use crate::terms::budget::Budget;
use crate::terms::error::{Error, Result};
use crate::terms::job::Job;
use crate::terms::set::Set;
use crate::terms::site::Site;

/// `session=job`.
pub(crate) struct Own;

/// For the kernel to end what it was told to kill.
const DYING: Duration = Duration::from_secs(10);

/// Two steps of a job may find at once that its manager has ended.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

impl Kind for Own {
    fn is_beside(&self) -> bool {
        false
    }

    /// Only what it shares with the user's other jobs: there is no cgroup yet.
    fn begin(&self, on: &mut On<'_>, job: Job, _is_shared: bool) -> Result<()> {
        let roots = &on.site.roots;
        let here = roots.proc.join("self/ns/mnt");
        let outside = namespace(&roots.proc).map_err(Error::file("look at", &here))?;
        if on.state.own(job.id)?.is_none() {
            on.state.put_own(job.id, &OwnSession { outside, ..OwnSession::default() })?;
        }
        Books::of(roots, job.uid).make(roots, job.uid)
    }

    fn bind(&self, site: &Site, job: Job, launch: &dyn Launch, budget: Budget) -> Result<()> {
        let place = Place::here(&site.roots)?.ok_or_else(|| no_cgroup(&site.roots.proc))?;
        place.enable(&site.roots)?;
        if self.lives(site, job) {
            return Ok(());
        }
        let (state, books) = (record::state(&site.roots, job.uid), Books::of(&site.roots, job.uid));
        let _lock = lock(&books, job, budget)?;
        if self.lives(site, job) {
            return Ok(());
        }
        let opened = start(site, &state, job, &place, launch, budget);
        opened.inspect_err(|_| {
            let ended = self.end(site, job, Duration::ZERO);
            ended.unwrap_or_else(|error| log::error!("{job}: end its session: {error}"));
        })
    }

    fn enter(&self, site: &Site, job: Job) -> Result<()> {
        let roots = &site.roots;
        match record::state(roots, job.uid).own(job.id)? {
            Some(own) => enter(&roots.proc, &Books::of(roots, job.uid), job.id, &own),
            None => Ok(()),
        }
    }

    fn check(&self, site: &Site, job: Job) -> Result<(), String> {
        if self.lives(site, job) { Ok(()) } else { Err("the job's manager has ended".into()) }
    }

    fn lives(&self, site: &Site, job: Job) -> bool {
        let own = record::state(&site.roots, job.uid).own(job.id).ok().flatten();
        own.and_then(|own| own.manager).is_some_and(|manager| manager.lives(&site.roots.proc))
    }

    fn door(&self, site: &Site, job: Job) -> Result<PathBuf, String> {
        let dir = site.roots.runtime_dir(job.uid);
        let live = check(&dir, job.uid, Viewpoint::User);
        live.map(|()| dir).map_err(|not_live| not_live.to_string())
    }

    fn end(&self, site: &Site, job: Job, grace: Duration) -> Result<()> {
        let (roots, state) = (&site.roots, record::state(&site.roots, job.uid));
        let Some(own) = state.own(job.id)? else { return Ok(()) };
        let Some(cgroup) = own.cgroup.map(|below| roots.cgroup.join(below)) else { return Ok(()) };
        let until = Instant::now() + grace;
        if let Some(manager) = own.manager.filter(|_| !grace.is_zero()) {
            ask(&roots.proc, manager, &cgroup, until);
        }
        let ended = end(&cgroup, until + DYING);
        if let Some(guard) = own.guard {
            signal(&roots.proc, guard, Signal::KILL);
        }
        ended
    }

    fn end_all(&self, site: &Site, job: Job) -> Result<()> {
        let (roots, state) = (&site.roots, record::state(&site.roots, job.uid));
        let Some(OwnSession { cgroup: Some(below), .. }) = state.own(job.id)? else {
            return Ok(());
        };
        let cgroup = roots.cgroup.join(below);
        if let Some(of_job) = cgroup.ancestors().nth(3) {
            kill_steps(of_job);
        }
        let ended = self.end(site, job, Duration::ZERO);
        remove_above(&cgroup);
        ended
    }

    /// Of a step alone: the whole of it ends with the job.
    fn end_left(&self, site: &Site, job: Job, marks: &Set<u32>) -> Left {
        let (roots, grace) = (&site.roots, site.containment.grace);
        let own = record::state(roots, job.uid).own(job.id).ok().flatten();
        let Some(below) = own.and_then(|own| own.cgroup) else { return Left::default() };
        let tree = roots.cgroup.join(below);
        let all = &|| processes_in(roots, &tree);
        let is_target = &|process: &Process| bears(roots, process, marks);
        Ending { roots, tree: tree.clone(), all, grace, spare_shared: true, is_target }.run()
    }

    fn undo(&self, on: &mut On<'_>, _wait: Wait) -> Result<bool> {
        Books::of(&on.site.roots, on.uid).remove().map(|()| false)
    }

    fn longest_end(&self, _site: &Site) -> Duration {
        DYING
    }

    fn longest_end_left(&self, site: &Site) -> Duration {
        time_to_end(site.containment.grace)
    }
}

/// Of the processes of a job that would open its session.
fn lock(books: &Books, job: Job, budget: Budget) -> Result<File> {
    let path = books.lock(job.id);
    let file = File::create(&path).map_err(Error::file("open", &path))?;
    while file.try_lock().is_err() {
        if Instant::now() >= budget.deadline() {
            return Err(
                budget.late(format!("wait for the lock of {}", path.display()), Instant::now())
            );
        }
        sleep(LOOK_AGAIN);
    }
    Ok(file)
}

/// What is done is written down before, for whoever ends it after a crash.
fn start(
    site: &Site,
    state: &State,
    job: Job,
    place: &Place,
    launch: &dyn Launch,
    budget: Budget,
) -> Result<()> {
    let roots = &site.roots;
    let Some(mut own) = state.own(job.id)? else { return Ok(()) };
    let here = roots.proc.join("self/ns/mnt");
    require_outside(&roots.proc, &own)
        .map_err(Error::file("open the job's session from", &here))?;
    let cgroup = place.session();
    end(&roots.cgroup.join(&cgroup), Instant::now() + DYING)?;
    own = OwnSession { outside: own.outside, cgroup: Some(cgroup), ..OwnSession::default() };
    state.put_own(job.id, &own)?;
    place.make(roots)?;
    own.guard = Started::of(guard(site, place, launch, budget)?, &roots.proc);
    state.put_own(job.id, &own)?;
    own.manager = Started::of(open(site, job, place, launch, budget)?, &roots.proc);
    state.put_own(job.id, &own)
}

fn no_cgroup(proc: &Path) -> Error {
    let cause = "this process of Slurm's is in no cgroup of the job's: session=job needs \
                 ProctrackType=proctrack/cgroup and cgroup v2";
    Error::file("open the job's session by", &proc.join("self/cgroup"))(std::io::Error::other(
        cause,
    ))
}
