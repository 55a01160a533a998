//! The steps of opening a job's own session, each written down before it is done: for whoever ends it after a crash.

use std::fs::File;
use std::io;
use std::time::{Duration, Instant};

use nix::unistd::User;

use crate::kind::Launch;
use crate::own::books::Books;
use crate::own::close::end;
use crate::own::enter::require_outside;
use crate::own::guard::Guard;
use crate::own::manager::Becoming;
use crate::own::open::{account, open};
use crate::own::place::Place;
use crate::own::view::View;
use crate::record::own::{OwnSession, Started};
use crate::record::{self, State, lock_file};
use crate::terms::budget::Budget;
use crate::terms::error::{Error, Result};
use crate::terms::job::Job;
use crate::terms::site::Site;

/// For the kernel to end what is left of a session before.
const DYING: Duration = Duration::from_secs(5);

/// What it takes.
pub(crate) struct Opening<'a> {
    pub(crate) site: &'a Site,
    pub(crate) launch: &'a dyn Launch,
    pub(crate) budget: Budget,
}

impl Opening<'_> {
    /// Begins to open the session of `job`, unless somebody does or has. The guard does it, while Slurm goes on: a task
    /// waits for it as it enters. One that was killed is replaced.
    ///
    /// # Errors
    /// What went wrong before it could begin.
    pub(crate) fn begin(&self, job: Job, place: &Place) -> Result<()> {
        let (roots, state) = (&self.site.roots, record::state(&self.site.roots, job.uid));
        let Some(OwnSession { outside, .. }) = state.own(job.id)? else { return Ok(()) };
        // In another mount namespace there are no books, and no lock among them.
        require_outside(&roots.proc, outside)?;
        let _lock = self.lock(job)?;
        let Some(before) = state.own(job.id)?.filter(|own| !own.is_guarded(&roots.proc)) else {
            return Ok(());
        };
        if before.goes_on(&roots.proc) {
            // The session is none the worse for it.
            let guarded = self.guard(&state, job, place, &before);
            guarded.unwrap_or_else(|error| log::warn!("{job}: {error}"));
            return Ok(());
        }
        let cgroup = place.session();
        end(&roots.cgroup.join(&cgroup), Instant::now() + DYING)?;
        // Slurm 26.05 has another cgroup for each run of a job. What hangs there keeps no later run from its session,
        // and is a stray from now on.
        if let Some(earlier) = before.cgroup.filter(|earlier| *earlier != cgroup)
            && let Err(error) = end(&roots.cgroup.join(earlier), Instant::now())
        {
            log::warn!("{job}: end what an earlier run left: {error}");
        }
        let begun = OwnSession { outside, cgroup: Some(cgroup), ..OwnSession::default() };
        state.put_own(job.id, &begun)?;
        place.make(roots)?;
        self.guard(&state, job, place, &begun)
    }

    /// Starts it.
    fn guard(&self, state: &State, job: Job, place: &Place, own: &OwnSession) -> Result<()> {
        let roots = &self.site.roots;
        let guard = self.launch.detached(self.budget.deadline(), &|has_begun| {
            let guard = Started::of(std::process::id(), &roots.proc);
            match state.put_own(job.id, &OwnSession { guard, ..own.clone() }) {
                Ok(()) => has_begun(),
                Err(error) => return error.to_string(),
            }
            let user = account(job.uid);
            let manager = if own.is_ready {
                own.manager
            } else {
                self.open(state, job, place, user.as_ref())
            };
            Guard::of(roots, place, user.ok().as_ref(), manager).watch();
            String::new()
        });
        let session = roots.cgroup.join(place.session());
        let failed = Error::file("start a guard of", &session);
        guard.map(drop).map_err(|cause| failed(io::Error::other(cause)))
    }

    /// In the guard: the manager, unless the record says why there is none.
    fn open(
        &self,
        state: &State,
        job: Job,
        place: &Place,
        user: Result<&User, &Error>,
    ) -> Option<Started> {
        let opened = user.map_err(Error::to_string).and_then(|user| {
            let books = Books::of(&self.site.roots, job.uid);
            let (becoming, heard) = (self.becoming(&books, job, user), books.ready(job.id));
            let opened = open(&becoming, &heard, place, self.launch, self.budget);
            let manager = opened.map_err(|error| error.to_string())?;
            let manager = Started::of(manager, &self.site.roots.proc);
            self.note(state, job, &|own| (own.manager, own.is_ready) = (manager, true))
                .map(|()| manager)
                .map_err(|error| error.to_string())
        });
        opened.unwrap_or_else(|cause: String| {
            let cgroup = self.site.roots.cgroup.join(place.session());
            let _ = end(&cgroup, Instant::now() + DYING);
            let _ = self.note(state, job, &|own| own.failed = Some(cause.clone()));
            None
        })
    }

    /// With the job's lock: a step may note something, too.
    fn note(&self, state: &State, job: Job, change: &dyn Fn(&mut OwnSession)) -> Result<()> {
        let _lock = self.lock(job)?;
        let Some(mut own) = state.own(job.id)? else { return Ok(()) };
        change(&mut own);
        state.put_own(job.id, &own)
    }

    fn becoming<'a>(&'a self, books: &'a Books, job: Job, user: &'a User) -> Becoming<'a> {
        let (roots, gid) = (&self.site.roots, user.gid.as_raw());
        let view = View { books, roots, job: job.id, uid: job.uid, gid };
        Becoming { roots, view: Some(view), namespace: None, user }
    }

    /// Of the processes of a job that would open its session: two steps may find at once that its manager has ended.
    fn lock(&self, job: Job) -> Result<File> {
        lock_file(&Books::of(&self.site.roots, job.uid).lock(job.id), self.budget)
    }
}
