//! The steps of opening a job's own session, each written down before it is done: for whoever ends it after a crash.

use std::fs::File;
use std::io;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::unistd::User;

use crate::kind::Launch;
use crate::own::books::Books;
use crate::own::close::end;
use crate::own::enter::require_outside;
use crate::own::manager::Becoming;
use crate::own::open::{account, guard, open};
use crate::own::pause;
use crate::own::place::Place;
use crate::own::view::View;
use crate::record::own::{OwnSession, Started};
use crate::record::{self, State};
use crate::terms::budget::Budget;
use crate::terms::error::{Error, Result};
use crate::terms::job::Job;
use crate::terms::site::Site;

/// Two steps of a job may find at once that its manager has ended.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// For the kernel to end what is left of a session before.
const DYING: Duration = Duration::from_secs(5);

/// What it takes.
pub(crate) struct Opening<'a> {
    pub(crate) site: &'a Site,
    pub(crate) launch: &'a dyn Launch,
    pub(crate) budget: Budget,
}

impl Opening<'_> {
    /// Opens the session of `job`, and has it be apart from those of the user's other jobs.
    ///
    /// # Errors
    /// What went wrong. What was done is for the caller to end.
    pub(crate) fn open(&self, job: Job, place: &Place) -> Result<()> {
        let (state, user) = (record::state(&self.site.roots, job.uid), account(job.uid)?);
        {
            let _lock = self.lock(job)?;
            match state.own(job.id)? {
                Some(own) if !own.lives(&self.site.roots.proc) => {
                    self.start(&state, job, &user, own.outside, place)?;
                }
                _ => return Ok(()),
            }
        }
        self.part(&state, job.uid, &user)
    }

    fn start(
        &self,
        state: &State,
        job: Job,
        user: &User,
        outside: u64,
        place: &Place,
    ) -> Result<()> {
        let (roots, launch, budget) = (&self.site.roots, self.launch, self.budget);
        require_outside(&roots.proc, outside)?;
        let cgroup = place.session();
        end(&roots.cgroup.join(&cgroup), Instant::now() + DYING)?;
        let mut own = OwnSession { outside, cgroup: Some(cgroup), ..OwnSession::default() };
        state.put_own(job.id, &own)?;
        place.make(roots)?;
        own.guard = Started::of(guard(self.site, place, launch, budget)?, &roots.proc);
        state.put_own(job.id, &own)?;
        let books = Books::of(roots, job.uid);
        let manager = open(&self.becoming(&books, job, user), place, launch, budget)?;
        own.manager = Started::of(manager, &roots.proc);
        state.put_own(job.id, &own)
    }

    /// Has each of the user's sessions have a pause process, if there are two: without any lock of another job's
    /// held, as the others may be doing the same.
    fn part(&self, state: &State, uid: u32, user: &User) -> Result<()> {
        let roots = &self.site.roots;
        let lives = |own: &OwnSession| own.lives(&roots.proc);
        let found = |id: &u32| state.own(*id).ok().flatten().filter(lives);
        let all: Vec<_> =
            state.jobs()?.into_iter().filter_map(|id| Some((id, found(&id)?))).collect();
        if all.len() < 2 || !pause::is_needed(roots) {
            return Ok(());
        }
        for (id, _) in all.into_iter().filter(|(_, own)| !own.pauses) {
            let job = Job { id, uid };
            let _lock = self.lock(job)?;
            let Some(own) = found(&id).filter(|own| !own.pauses) else { continue };
            let Some(cgroup) = &own.cgroup else { continue };
            let books = Books::of(roots, uid);
            let becoming = self.becoming(&books, job, user);
            let made = pause::make(&becoming, cgroup, self.launch, self.budget.deadline());
            match made {
                Ok(()) => state.put_own(id, &OwnSession { pauses: true, ..own })?,
                // Its job has ended meanwhile.
                Err(_) if !lives(&own) => {}
                Err(cause) => {
                    let failed = Error::file("have Podman's pause process be in", cgroup);
                    return Err(failed(io::Error::other(cause)));
                }
            }
        }
        Ok(())
    }

    fn becoming<'a>(&'a self, books: &'a Books, job: Job, user: &'a User) -> Becoming<'a> {
        let (roots, gid) = (&self.site.roots, user.gid.as_raw());
        let view = View { books, roots, job: job.id, uid: job.uid, gid };
        Becoming { roots, view, user }
    }

    /// Of the processes of a job that would open its session.
    fn lock(&self, job: Job) -> Result<File> {
        let path = Books::of(&self.site.roots, job.uid).lock(job.id);
        let file = File::create(&path).map_err(Error::file("open", &path))?;
        while file.try_lock().is_err() {
            if Instant::now() >= self.budget.deadline() {
                let what = format!("wait for the lock of {}", path.display());
                return Err(self.budget.late(what, Instant::now()));
            }
            sleep(LOOK_AGAIN);
        }
        Ok(file)
    }
}
