//! The steps of opening a job's own session, each written down before it is done: for whoever ends it after a crash.

use std::fs::File;
use std::io;
use std::time::{Duration, Instant};

use nix::unistd::User;

use crate::kind::Launch;
use crate::outside::files::make_dir;
use crate::outside::runtime_dir::is_there;
use crate::own::books::Books;
use crate::own::close::{end, is_frozen};
use crate::own::enter::require_outside;
use crate::own::guard::watch;
use crate::own::manager::Becoming;
use crate::own::open::{account, open};
use crate::own::pause::{self, BY_PODMAN, QUICKLY};
use crate::own::place::{OPEN, Place};
use crate::own::view::View;
use crate::record::own::{OwnSession, Pause, Started};
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
    /// waits for it as it enters.
    ///
    /// # Errors
    /// What went wrong before it could begin.
    pub(crate) fn begin(&self, job: Job, place: &Place) -> Result<()> {
        let (roots, state) = (&self.site.roots, record::state(&self.site.roots, job.uid));
        let Some(OwnSession { outside, .. }) = state.own(job.id)? else { return Ok(()) };
        // In another mount namespace there are no books, and no lock among them.
        require_outside(&roots.proc, outside)?;
        let _lock = self.lock(job)?;
        let Some(before) = state.own(job.id)?.filter(|own| !own.goes_on(&roots.proc)) else {
            return Ok(());
        };
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
        let guard = self.launch.detached(self.budget.deadline(), &|has_begun| {
            let guard = Started::of(std::process::id(), &roots.proc);
            match state.put_own(job.id, &OwnSession { guard, ..begun.clone() }) {
                Ok(()) => has_begun(),
                Err(error) => return error.to_string(),
            }
            self.open(&state, job, place);
            watch(roots, place, job.uid);
            String::new()
        });
        let session = roots.cgroup.join(place.session());
        let failed = Error::file("start a guard of", &session);
        guard.map(drop).map_err(|cause| failed(io::Error::other(cause)))
    }

    /// In the guard.
    fn open(&self, state: &State, job: Job, place: &Place) {
        let opened = account(job.uid).and_then(|user| {
            let books = Books::of(&self.site.roots, job.uid);
            let manager = open(
                &self.becoming(&books, job, &user),
                &books.ready(job.id),
                place,
                self.launch,
                self.budget,
            )?;
            let manager = Started::of(manager, &self.site.roots.proc);
            self.note(state, job, &|own| own.manager = manager)?;
            self.part(state, job, &user)?;
            self.note(state, job, &|own| own.is_ready = true)
        });
        if let Err(error) = opened {
            let cgroup = self.site.roots.cgroup.join(place.session());
            let _ = end(&cgroup, Instant::now() + DYING);
            let _ = self.note(state, job, &|own| own.failed = Some(error.to_string()));
        }
    }

    /// With the job's lock: the guard of another job may note that there is a pause process.
    fn note(&self, state: &State, job: Job, change: &dyn Fn(&mut OwnSession)) -> Result<()> {
        let _lock = self.lock(job)?;
        let Some(mut own) = state.own(job.id)? else { return Ok(()) };
        change(&mut own);
        state.put_own(job.id, &own)
    }

    /// Has each of the user's sessions have a pause process, if there are two, or a login: its own, and that of one
    /// which began alone. Of those that begin now each makes its own. Without them a container might be in the wrong job.
    fn part(&self, state: &State, job: Job, user: &User) -> Result<()> {
        let roots = &self.site.roots;
        let lives =
            |id: &u32| state.own(*id).ok().flatten().is_some_and(|own| own.lives(&roots.proc));
        let jobs = state.jobs().unwrap_or_default();
        let others: Vec<_> = jobs.into_iter().filter(|id| *id != job.id && lives(id)).collect();
        let is_alone = others.is_empty() && !is_there(&roots.runtime_dir(job.uid));
        if is_alone || !pause::is_needed(roots) {
            return Ok(());
        }
        self.note(state, job, &|own| own.pause = own.pause.max(Pause::Due))?;
        self.pause(state, job, user, Pause::Made)?;
        let mut others = others.into_iter().map(|id| Job { id, uid: job.uid });
        others.try_for_each(|other| self.pause(state, other, user, Pause::Due))
    }

    /// Unless it is at work on it already, or has one.
    fn pause(&self, state: &State, job: Job, user: &User, unless: Pause) -> Result<()> {
        let _lock = self.lock(job)?;
        let Some(own) = state.own(job.id)?.filter(|own| own.pause < unless) else { return Ok(()) };
        let Some(cgroup) = own.cgroup.as_ref().filter(|_| own.lives(&self.site.roots.proc)) else {
            return Ok(());
        };
        if is_frozen(&self.site.roots.cgroup.join(cgroup)) {
            return Ok(());
        }
        let books = Books::of(&self.site.roots, job.uid);
        let cgroup = &self.site.roots.cgroup.join(cgroup).join("pause");
        let _ = make_dir(cgroup, OPEN);
        let becoming = self.becoming(&books, job, user);
        let script = format!("{QUICKLY}{BY_PODMAN}");
        let made = pause::make(&becoming, cgroup, &script, self.launch, self.budget.deadline());
        match made {
            Ok(()) => {}
            // It has ended meanwhile.
            Err(_) if !own.lives(&self.site.roots.proc) => return Ok(()),
            Err(cause) => {
                let failed = Error::file("have Podman's pause process in", cgroup);
                return Err(failed(io::Error::other(cause)));
            }
        }
        // It may have ended meanwhile, and be another run of its job by now.
        match state.own(job.id)?.filter(|now| now.manager == own.manager) {
            Some(now) => state.put_own(job.id, &OwnSession { pause: Pause::Made, ..now }),
            None => Ok(()),
        }
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
