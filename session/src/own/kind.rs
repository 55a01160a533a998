//! The acts of a session that is one job's alone, in their order.

use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::ending::{Ending, bears, time_to_end};
use crate::kind::{Kind, Launch, Left, On, Wait};
use crate::outside::account;
use crate::outside::ipc;
use crate::outside::processes::{Process, processes, processes_in};
use crate::outside::runtime_dir::{Viewpoint, check};
use crate::own::beside::{self, First};
use crate::own::books::Books;
use crate::own::close::{ask, end, kill_steps, remove_steps, signal};
use crate::own::enter::{enter, namespace, require_outside};
use crate::own::opening::Opening;
use crate::own::place::{Place, give};
use crate::own::usage::Usage;
use crate::record::own::OwnSession;
use crate::record::{self, Lease};
use crate::terms::budget::Budget;
use crate::terms::error::{Error, Problem, Result};
use crate::terms::job::Job;
use crate::terms::roots::Roots;
use crate::terms::set::Set;
use crate::terms::site::Site;

/// `session=job`.
pub(crate) struct Own;

/// What a task waits for takes a second.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// For the kernel to end what it was told to kill.
const DYING: Duration = Duration::from_secs(10);

impl Kind for Own {
    fn is_beside(&self) -> bool {
        false
    }

    /// Only what it shares with the user's other jobs: there is no cgroup yet.
    fn begin(&self, on: &mut On<'_>, job: Job, _is_shared: bool) -> Result<()> {
        let roots = &on.site.roots;
        let here = roots.proc.join("self/ns/mnt");
        let outside = namespace(&roots.proc).map_err(Error::file("look at", &here))?;
        let lives = |own: &OwnSession| own.lives(&roots.proc);
        // What is there of an earlier run has been ended.
        if !on.state.own(job.id).ok().flatten().as_ref().is_some_and(lives) {
            on.state.put_own(job.id, &OwnSession { outside, ..OwnSession::default() })?;
        }
        let books = Books::of(roots, job.uid);
        let is_first = !books.exist();
        books.make(roots, job.uid)?;
        if !is_first {
            return Ok(());
        }
        let joined = beside::join(roots, job.uid, &books, First::RuntimeDirectory);
        joined.map_err(Error::file("share Podman's books with", &roots.runtime_dir(job.uid)))?;
        if lingers(roots, job.uid) { books.note_linger() } else { Ok(()) }
    }

    fn bind(&self, site: &Site, job: Job, launch: &dyn Launch, budget: Budget) -> Result<()> {
        let (roots, place) = (&site.roots, Place::here(&site.roots)?);
        place.enable(roots)?;
        if !self.lives(site, job) {
            Opening { site, launch, budget }.begin(job, &place)?;
        }
        let session = roots.cgroup.join(place.session());
        let left = launch.leave().map_err(std::io::Error::other);
        left.map_err(Error::file("leave the job for", &session))?;
        place.give_moves(roots, job.uid)
    }

    fn enter(&self, site: &Site, job: Job, budget: Budget) -> Result<()> {
        let (roots, state) = (&site.roots, record::state(&site.roots, job.uid));
        loop {
            match state.own(job.id)? {
                Some(own) if own.is_ready && own.lives(&roots.proc) => {
                    return enter(&roots.proc, &Books::of(roots, job.uid), job.id, &own);
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

    fn withdraw(&self, site: &Site, job: Job) -> Result<()> {
        let own = record::state(&site.roots, job.uid).own(job.id)?;
        let Some(session) = own.and_then(|own| own.cgroup) else { return Ok(()) };
        let above = site.roots.cgroup.join(session);
        // `…/job_42/step_extern/user/session`
        let mut above = above.ancestors().skip(1).step_by(2).take(2);
        above.try_for_each(|dir| give(&dir.join("cgroup.procs"), 0))
    }

    /// What has ended of it is started again in the job, before its tasks look for it.
    fn check(&self, _site: &Site, _job: Job) -> Result<(), String> {
        Ok(())
    }

    fn lives(&self, site: &Site, job: Job) -> bool {
        let own = record::state(&site.roots, job.uid).own(job.id).ok().flatten();
        own.is_some_and(|own| own.lives(&site.roots.proc))
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
        // By who removes it: the end of the script, or of the job.
        let usage = cgroup.exists().then(|| Usage::of(&cgroup));
        let ended = end(&cgroup, until + DYING);
        if let (Some(usage), Ok(())) = (usage, &ended) {
            log::info!("{job}: its session has ended: it used {usage}");
        }
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
        let of_job = cgroup.ancestors().nth(3).unwrap_or(&cgroup);
        kill_steps(of_job);
        let ended = self.end(site, job, Duration::ZERO);
        remove_steps(of_job);
        Books::of(roots, job.uid).unpin(job.id);
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
        // By their user, whose jobs have no use for it.
        if lingers(roots, on.uid) && !books.had_linger() {
            on.systemd.set_linger(on.uid, false)?;
        }
        books.remove()?;
        ipc::remove_podmans_lock(roots, on.uid);
        Ok(false)
    }

    fn longest_end(&self, _site: &Site) -> Duration {
        DYING
    }

    fn longest_end_left(&self, site: &Site) -> Duration {
        time_to_end(site.containment.grace)
    }
}

fn lingers(roots: &Roots, uid: u32) -> bool {
    account::User::look_up(uid, roots).and_then(|user| user.lingers()).unwrap_or(false)
}
