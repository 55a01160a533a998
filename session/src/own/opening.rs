//! The steps of opening a job's own session, each written down before it is done: for whoever ends it after a crash.

use std::fs::File;
use std::io;
use std::thread::sleep;
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
use crate::own::pause;
use crate::own::place::{OPEN, Place};
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
        for cgroup in before.cgroup.iter().chain([&cgroup]) {
            end(&roots.cgroup.join(cgroup), Instant::now() + DYING)?;
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
            watch(roots, place);
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
            let manager =
                open(&self.becoming(&books, job, &user), place, self.launch, self.budget)?;
            let manager = Started::of(manager, &self.site.roots.proc);
            self.note(state, job, &|own| own.manager = manager)?;
            self.part(state, job, &user);
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
        if let Some(ours) = all.iter().position(|(id, _)| *id == job.id) {
            all.swap(0, ours);
        }
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
        let cgroup = &self.site.roots.cgroup.join(cgroup).join("pause");
        let _ = make_dir(cgroup, OPEN);
        let made = pause::make(&self.becoming(&books, job, user), cgroup, self.launch, until);
        let failed = Error::file("make it in", cgroup);
        made.map_err(|cause| failed(io::Error::other(cause)))?;
        state.put_own(job.id, &OwnSession { pauses: true, ..own })
    }

    fn becoming<'a>(&'a self, books: &'a Books, job: Job, user: &'a User) -> Becoming<'a> {
        let (roots, gid) = (&self.site.roots, user.gid.as_raw());
        let view = View { books, roots, job: job.id, uid: job.uid, gid };
        Becoming { roots, view: Some(view), user }
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
