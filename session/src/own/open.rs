//! Opens a job's own session: its cgroup, its manager, and the wait for that one's word.

use std::io;
use std::path::Path;

use nix::unistd::User;

use crate::kind::Launch;
use crate::own::books::Books;
use crate::own::guard::watch;
use crate::own::manager::become_manager;
use crate::own::place::Place;
use crate::own::ready::Ready;
use crate::own::view::View;
use crate::terms::budget::Budget;
use crate::terms::error::{Error, Problem, Result};
use crate::terms::job::Job;
use crate::terms::site::Site;

/// Starts the manager of `job` at `place`, and returns with it when it says that it is ready.
///
/// # Errors
/// What went wrong in it before it was one; that it ended, or took too long.
pub(crate) fn open(
    site: &Site,
    job: Job,
    place: &Place,
    launch: &dyn Launch,
    budget: Budget,
) -> Result<u32> {
    let (roots, uid) = (&site.roots, job.uid);
    let found = User::from_uid(uid.into());
    let cause = || match &found {
        Err(error) => error.to_string(),
        Ok(_) => "no such account on this node".into(),
    };
    let user = found.as_ref().ok().and_then(Option::as_ref);
    let user = user.ok_or_else(|| Problem::NoUser { uid, cause: cause() })?;
    let cgroup = roots.cgroup.join(place.session());
    let books = Books::of(roots, uid);
    let (runtime, gid) = (&*roots.runtime, user.gid.as_raw());
    let view = View { books: &books, runtime, job: job.id, uid, gid };
    let ready = Ready::listen().map_err(Error::file("listen for the manager in", &cgroup))?;
    let pid = launch.detached(budget.deadline(), &|_| match become_manager(
        roots,
        place,
        &view,
        user,
        &ready.name,
    ) {
        Ok(never) => match never {},
        Err(error) => error.to_string(),
    });
    let pid = pid.map_err(not_started("start a manager in", &cgroup))?;
    ready.wait(pid, &cgroup, budget)?;
    Ok(pid)
}

/// Starts who watches over the session.
///
/// # Errors
/// That it could not be started.
pub(crate) fn guard(
    site: &Site,
    place: &Place,
    launch: &dyn Launch,
    budget: Budget,
) -> Result<u32> {
    let pid = launch.detached(budget.deadline(), &|has_begun| {
        has_begun();
        watch(&site.roots, place);
        String::new()
    });
    pid.map_err(not_started("start a guard of", &site.roots.cgroup.join(place.session())))
}

fn not_started(doing: &'static str, cgroup: &Path) -> impl FnOnce(String) -> Error {
    let wrap = Error::file(doing, cgroup);
    move |cause| wrap(io::Error::other(cause))
}
