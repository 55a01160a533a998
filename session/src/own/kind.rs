//! The acts of a session that is one job's alone, in their order.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::ending::{Ending, bears, time_to_end};
use crate::kind::{DYING, Kind, Launch, Left, On, Wait};
use crate::outside::account::User;
use crate::outside::counted::killed;
use crate::outside::podmans_lock;
use crate::outside::processes::{Process, processes, processes_in};
use crate::outside::runtime_dir::{Viewpoint, check, is_there};
use crate::own::beside::{self, First};
use crate::own::books::{Books, Note};
use crate::own::close::{ask, end, has_step, is_populated, kill_steps, remove_steps, signal};
use crate::own::enter::{enter, namespace, require_outside};
use crate::own::opening::Opening;
use crate::own::place::{Place, give};
use crate::own::usage::Peaks;
use crate::record::own::OwnSession;
use crate::record::{self, Lease};
use crate::terms::budget::Budget;
use crate::terms::error::{Error, Problem, Result};
use crate::terms::job::Job;
use crate::terms::set::Set;
use crate::terms::site::{SessionKind, Site};

/// `session=job`.
pub(crate) struct Own;

/// What a task waits for takes a second.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

impl Kind for Own {
    fn is_beside(&self) -> bool {
        false
    }

    /// Only what it shares with the user's other jobs: there is no cgroup yet.
    fn begin(&self, on: &mut On<'_>, job: Job, _is_shared: bool, _waits: bool) -> Result<()> {
        let roots = &on.site.roots;
        let here = roots.proc.join("self/ns/mnt");
        let outside = namespace(&roots.proc).map_err(Error::file("look at", &here))?;
        let lives = |own: &OwnSession| own.lives(&roots.proc);
        let earlier = on.state.own(job.id).ok().flatten();
        if !earlier.as_ref().is_some_and(lives) {
            // What is left of an earlier run is ended before there is a new one.
            let cgroup = earlier.and_then(|own| own.cgroup);
            on.state.put_own(job.id, &OwnSession { outside, cgroup, ..OwnSession::default() })?;
        }
        let books = Books::of(roots, job.uid);
        if !books.begin(roots)? {
            return Ok(());
        }
        // Once: what a user does meanwhile is not what was before their jobs.
        if !books.are_noted() {
            if User::who_lingers(job.uid, roots)?.is_some() {
                books.note(Note::Lingered)?;
            }
            if is_populated(&roots.slice(job.uid)) && !on.state.is_held_as(SessionKind::Shared)? {
                books.note(Note::LoggedIn)?;
            }
        }
        books.make(job.uid)?;
        let joined = beside::join(roots, job.uid, &books, First::RuntimeDirectory);
        joined.map_err(Error::file("share Podman's books with", &roots.runtime_dir(job.uid)))?;
        books.finish()
    }

    /// Where the user was logged in before the first of these jobs, or lingered: what they have there goes on.
    fn is_in_slice(&self, site: &Site, job: Job) -> bool {
        Books::of(&site.roots, job.uid).has(Note::LoggedIn)
    }

    fn bind(&self, site: &Site, job: Job, launch: &dyn Launch, budget: Budget) -> Result<()> {
        let (roots, place) = (&site.roots, Place::here(&site.roots)?);
        let own = record::state(roots, job.uid).own(job.id)?;
        if !own.is_some_and(|own| own.is_guarded(&roots.proc)) {
            let begun = Opening { site, launch, budget }.begin(job, &place);
            begun.inspect_err(|error| note_failed(site, job, Some(error.to_string())))?;
        }
        place.enable(roots)?;
        let session = roots.cgroup.join(place.session());
        let left = launch.leave().map_err(std::io::Error::other);
        left.map_err(Error::file("leave the job for", &session))?;
        place.give_moves(roots, job.uid)
    }

    fn enter(&self, site: &Site, job: Job, _launch: &dyn Launch, budget: Budget) -> Result<()> {
        let (roots, state) = (&site.roots, record::state(&site.roots, job.uid));
        loop {
            match state.own(job.id)? {
                Some(own) if own.is_ready && own.lives(&roots.proc) => {
                    enter(&roots.proc, &Books::of(roots, job.uid), job.id, &own)?;
                    // What its user has mounted over it may keep a task waiting for ever.
                    let live = check(&roots.runtime_dir(job.uid), job.uid, Viewpoint::Root);
                    return live
                        .map_err(|gone| Problem::NotOpen { cause: gone.to_string() }.into());
                }
                Some(OwnSession { failed: Some(cause), .. }) => {
                    return Err(Problem::NotOpen { cause }.into());
                }
                Some(own) => require_outside(&roots.proc, own.outside)?,
                None => {}
            }
            if let Some(Lease::Failed { cause, .. }) = state.lease(job.id)? {
                return Err(Problem::NotOpen { cause }.into());
            }
            let now = Instant::now();
            if now >= budget.deadline() {
                return Err(budget.late("wait for the job's session", now));
            }
            sleep(LOOK_AGAIN);
        }
    }

    fn has_been_told(&self, site: &Site, job: Job) -> bool {
        Books::of(&site.roots, job.uid).has_told(job.id)
    }

    fn withdraw(&self, site: &Site, job: Job) -> Result<()> {
        let Some((_, session)) = placed(site, job)? else { return Ok(()) };
        // `…/job_42/step_extern/user` and `…/job_42`
        let mut above = session.ancestors().skip(1).step_by(2).take(2);
        above.try_for_each(|dir| give(&dir.join("cgroup.procs"), 0))
    }

    /// What has ended of it is started again in the job. Its tasks may look for it before, and are not to find how it
    /// failed in another step.
    fn check(&self, site: &Site, job: Job) -> Result<(), String> {
        note_failed(site, job, None);
        Ok(())
    }

    fn lives(&self, site: &Site, job: Job) -> bool {
        let own = record::state(&site.roots, job.uid).own(job.id).ok().flatten();
        own.is_some_and(|own| own.lives(&site.roots.proc))
    }

    fn door(&self, site: &Site, job: Job, _is_held: bool) -> Result<PathBuf, String> {
        let dir = site.roots.runtime_dir(job.uid);
        let live = check(&dir, job.uid, Viewpoint::User);
        live.map(|()| dir).map_err(|not_live| not_live.to_string())
    }

    fn await_steps(&self, site: &Site, job: Job, until: Instant) {
        let Ok(Some((_, cgroup))) = placed(site, job) else { return };
        while has_step(of_job(&cgroup)) && Instant::now() < until {
            sleep(LOOK_AGAIN);
        }
    }

    fn end(&self, site: &Site, job: Job, grace: Duration) -> Result<()> {
        let Some((own, cgroup)) = placed(site, job)? else { return Ok(()) };
        asked(site, &own, &cgroup, grace);
        ended(site, job, &own, &cgroup, DYING)
    }

    fn end_all(&self, site: &Site, job: Job, grace: Duration, dying: Duration) -> Result<()> {
        let Some((own, cgroup)) = placed(site, job)? else { return Ok(()) };
        asked(site, &own, &cgroup, grace);
        kill_steps(of_job(&cgroup));
        let ended = ended(site, job, &own, &cgroup, dying);
        remove_steps(of_job(&cgroup));
        Books::of(&site.roots, job.uid).unpin(job.id);
        ended
    }

    /// Of a step alone: the whole of it ends with the job.
    fn end_left(&self, site: &Site, job: Job, marks: &Set<u32>) -> Left {
        let (roots, grace) = (&site.roots, site.containment.grace);
        let own = record::state(roots, job.uid).own(job.id).ok().flatten();
        let Some(below) = own.and_then(|own| own.cgroup) else { return Left::default() };
        let (session, slice) = (roots.cgroup.join(below), roots.slice(job.uid));
        let is_target = &|process: &Process| bears(roots, process, marks);
        let run = |tree, all: &dyn Fn() -> Vec<Process>, spare_shared| {
            Ending { roots, tree, all, grace, spare_shared, is_target }.run()
        };
        let mut left = run(session.clone(), &|| processes_in(roots, &session), true);
        // Who has turned their own linger on may have had that manager start something.
        left.alive.extend(run(slice, &|| processes(roots, job.uid), false).alive);
        left
    }

    fn goes_on(&self, site: &Site, job: Job) -> bool {
        self.lives(site, job)
    }

    fn undo(&self, on: &mut On<'_>, _wait: Wait) -> Result<bool> {
        let (roots, books) = (&on.site.roots, Books::of(&on.site.roots, on.uid));
        if !books.exist() {
            return Ok(false);
        }
        // What holds them: a keep that is over ends none of these.
        if !on.state.is_held_as(SessionKind::Own)? && on.state.unended()?.is_empty() {
            books.remove()?;
            if is_there(&roots.runtime_dir(on.uid)) {
                // A login's Podman has the same books.
                podmans_lock::give_back(roots, on.uid);
            } else {
                podmans_lock::remove(roots, on.uid);
            }
        }
        Ok(false)
    }

    fn longest_end(&self, site: &Site) -> Duration {
        site.containment.grace + DYING
    }

    fn longest_end_left(&self, site: &Site) -> Duration {
        time_to_end(site.containment.grace)
    }
}

/// Notes why its session could not be opened, or that this is not known any more.
fn note_failed(site: &Site, job: Job, failed: Option<String>) {
    let (roots, state) = (&site.roots, record::state(&site.roots, job.uid));
    let books = Books::of(roots, job.uid);
    if !books.are_here() {
        return;
    }
    // Who has it writes down what is newer.
    let lock = File::create(books.lock(job.id));
    if lock.and_then(|lock| Ok(lock.try_lock()?)).is_err() {
        return;
    }
    if let Ok(Some(own)) = state.own(job.id)
        && own.failed != failed
        && let Err(error) = state.put_own(job.id, &OwnSession { failed, ..own })
    {
        log::error!("{job}: open session: {error}");
    }
}

/// Where the session of `job` is or was, if it came to that.
fn placed(site: &Site, job: Job) -> Result<Option<(OwnSession, PathBuf)>> {
    let own = record::state(&site.roots, job.uid).own(job.id)?;
    Ok(own.and_then(|own| {
        let cgroup = site.roots.cgroup.join(own.cgroup.as_ref()?);
        Some((own, cgroup))
    }))
}

/// `…/job_42` of `…/job_42/step_extern/user/session`.
fn of_job(session: &Path) -> &Path {
    session.ancestors().nth(3).unwrap_or(session)
}

fn asked(site: &Site, own: &OwnSession, cgroup: &Path, grace: Duration) {
    if let Some(manager) = own.manager.filter(|_| !grace.is_zero()) {
        ask(&site.roots.proc, manager, cgroup, Instant::now() + grace);
    }
}

fn ended(site: &Site, job: Job, own: &OwnSession, cgroup: &Path, dying: Duration) -> Result<()> {
    // By who removes it: the end of the script, or of the job.
    let used = cgroup.exists().then(|| (Peaks::of(cgroup), killed(cgroup)));
    let ended = end(cgroup, Instant::now() + dying);
    match (used, &ended) {
        (Some((used, Some(1..))), Ok(())) => {
            // In its user's eyes, too, as Slurm says it of a step.
            log::error!(
                "{job}: its session has ended: it used {used}; something in it was killed for lack of memory"
            );
        }
        (Some((used, _)), Ok(())) => log::info!("{job}: its session has ended: it used {used}"),
        _ => {}
    }
    if let Some(guard) = own.guard {
        signal(&site.roots.proc, guard, Signal::KILL);
    }
    ended
}
