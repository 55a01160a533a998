//! Opens a job's own session: its cgroup, its manager, and the wait for that one's word.

use std::io;
use std::path::Path;

use nix::unistd::User;

use crate::kind::Launch;
use crate::outside::files::make_dir;
use crate::own::manager::Becoming;
use crate::own::pause;
use crate::own::place::{OPEN, Place};
use crate::own::ready::Ready;
use crate::record::own::Started;
use crate::terms::budget::Budget;
use crate::terms::error::{Error, Problem, Result};

/// Starts the manager of `job` at `place`, and returns with it when it says that it is ready, which is heard `at`, and
/// there is a pause process for Podman.
///
/// # Errors
/// What went wrong in one of them before it was one; that the manager ended, or one took too long.
pub(crate) fn open(
    becoming: &Becoming<'_>,
    at: &Path,
    place: &Place,
    launch: &dyn Launch,
    budget: Budget,
) -> Result<u32> {
    let cgroup = becoming.roots.cgroup.join(place.session());
    let ready = Ready::listen(at.to_owned(), becoming.user.uid.as_raw());
    let ready = ready.map_err(Error::file("listen for the manager at", at))?;
    let pid = launch.detached(budget.deadline(), &|_| match becoming.manager(place, at) {
        Ok(never) => match never {},
        Err(error) => error.to_string(),
    });
    let pid = pid.map_err(not_started("start a manager in", &cgroup))?;
    // The view is there: who executes the manager has made it.
    let pause = begin_pause(becoming, &cgroup, launch, budget);
    ready.wait(pid, &cgroup, budget)?;
    pause
        .and_then(|pause| pause::wait(pause, &becoming.roots.proc, budget.deadline()))
        .map_err(not_started("have Podman's pause process in", &cgroup))?;
    Ok(pid)
}

fn begin_pause(
    becoming: &Becoming<'_>,
    session: &Path,
    launch: &dyn Launch,
    budget: Budget,
) -> Result<Option<Started>, String> {
    if !pause::is_needed(becoming.roots) {
        return Ok(None);
    }
    let cgroup = session.join(pause::PAUSE);
    let _ = make_dir(&cgroup, OPEN);
    pause::begin(becoming, &cgroup, launch, budget.deadline())
}

/// The account of a job's user, by the name service.
///
/// # Errors
/// That there is none, or that the name service failed.
pub(crate) fn account(uid: u32) -> Result<User> {
    let cause = match User::from_uid(uid.into()) {
        Ok(Some(user)) => return Ok(user),
        Ok(None) => "no such account on this node".into(),
        Err(error) => error.to_string(),
    };
    Err(Problem::NoUser { uid, cause }.into())
}

fn not_started(doing: &'static str, cgroup: &Path) -> impl FnOnce(String) -> Error {
    let wrap = Error::file(doing, cgroup);
    move |cause| wrap(io::Error::other(cause))
}
