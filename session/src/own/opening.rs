//! The steps of opening a job's own session, each written down before it is done: for whoever ends it after a crash.

use std::fs::File;
use std::io;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::unistd::User;

use crate::kind::Launch;
use crate::outside::runtime_dir::is_there;
use crate::own::books::Books;
use crate::own::close::{end, is_frozen};
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

/// What Podman may take for it: more than a second where it runs for the first time.
const PAUSING: Duration = Duration::from_secs(5);

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
                    let started = self.start(&state, job, &user, own, place);
                    started.inspect_err(|_| self.end(place))?;
                }
                _ => return Ok(()),
            }
        }
        self.part(&state, job, &user);
        Ok(())
    }

    /// What is left of one that could not be opened.
    fn end(&self, place: &Place) {
        let cgroup = self.site.roots.cgroup.join(place.session());
        let ended = end(&cgroup, Instant::now() + DYING);
        ended.unwrap_or_else(|error| log::error!("{error}"));
    }

    fn start(
        &self,
        state: &State,
        job: Job,
        user: &User,
        before: OwnSession,
        place: &Place,
    ) -> Result<()> {
        let (roots, launch, budget) = (&self.site.roots, self.launch, self.budget);
        let OwnSession { outside, .. } = before;
        require_outside(&roots.proc, outside)?;
        let cgroup = place.session();
        for cgroup in before.cgroup.iter().chain([&cgroup]) {
            end(&roots.cgroup.join(cgroup), Instant::now() + DYING)?;
        }
        let mut own = OwnSession { outside, cgroup: Some(cgroup), ..OwnSession::default() };
        state.put_own(job.id, &own)?;
        place.make(roots)?;
        let watches = guard(self.site, place, launch, budget)?;
        own.guard = Some(Started::of(watches, &roots.proc).ok_or_else(|| is_gone(watches))?);
        state.put_own(job.id, &own)?;
        let books = Books::of(roots, job.uid);
        let manager = open(&self.becoming(&books, job, user), place, launch, budget)?;
        own.manager = Started::of(manager, &roots.proc);
        state.put_own(job.id, &own)
    }

    /// Has each of the user's sessions have a pause process, if there are two, or a login: its own first, and without any lock of
    /// another job's held, as the others may be doing the same. Where that fails a container may be in the wrong job.
    fn part(&self, state: &State, job: Job, user: &User) {
        let roots = &self.site.roots;
        let found = |id: &u32| state.own(*id).ok().flatten().filter(|own| own.lives(&roots.proc));
        let all = state.jobs().unwrap_or_default().into_iter();
        let mut all: Vec<_> = all.filter_map(|id| Some((id, found(&id)?))).collect();
        let is_alone = all.len() < 2 && !is_there(&roots.runtime_dir(job.uid));
        if is_alone || !pause::is_needed(roots) {
            return;
        }
        all.sort_by_key(|(id, _)| *id != job.id);
        for (id, _) in all.into_iter().filter(|(_, own)| !own.pauses) {
            let of = Job { id, uid: job.uid };
            if let Err(error) = self.pause(state, of, user) {
                log::warn!("{job}: have Podman's pause process in job {id}: {error}");
            }
        }
    }

    fn pause(&self, state: &State, job: Job, user: &User) -> Result<()> {
        let _lock = self.lock(job)?;
        let Some(own) = state.own(job.id)?.filter(|own| !own.pauses) else { return Ok(()) };
        let Some(cgroup) = own.cgroup.as_ref().filter(|_| own.lives(&self.site.roots.proc)) else {
            return Ok(());
        };
        if is_frozen(&self.site.roots.cgroup.join(cgroup)) {
            return Ok(());
        }
        let books = Books::of(&self.site.roots, job.uid);
        let until = self.budget.deadline().min(Instant::now() + PAUSING);
        let made = pause::make(&self.becoming(&books, job, user), cgroup, self.launch, until);
        let failed = Error::file("make it in", cgroup);
        made.map_err(|cause| failed(io::Error::other(cause)))?;
        state.put_own(job.id, &OwnSession { pauses: true, ..own })
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

fn is_gone(pid: u32) -> Error {
    let process = format!("/proc/{pid}");
    Error::file("see", Path::new(&process))(io::ErrorKind::NotFound.into())
}
