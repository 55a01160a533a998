//! The kinds of sessions: the one place that names them.

use std::io;
use std::time::Duration;

use crate::kind::{Kind, On, Wait};
use crate::own::books::Books;
use crate::own::kind::Own;
use crate::own::linger;
use crate::own::strays::{has_any, has_no_slurmstepd};
use crate::record;
use crate::shared::kind::Shared;
use crate::slice::confine::confine;
use crate::terms::error::{Error, Result, all};
use crate::terms::job::Job;
use crate::terms::roots::Roots;
use crate::terms::site::{SessionKind, Site};

// A session of all jobs alone can be kept for the next one.
pub(crate) use crate::shared::keep::{is_due, left as kept_for};

// One of a single job's can be there without a record, and what it shares with others without a job.
pub(crate) use crate::own::strays::{Stray, end as end_stray, find as strays};

/// All of them.
const ALL: [SessionKind; 2] = [SessionKind::Shared, SessionKind::Own];

/// The acts of a kind.
pub(crate) fn of(kind: SessionKind) -> &'static dyn Kind {
    match kind {
        SessionKind::Shared => &Shared,
        SessionKind::Own => &Own,
    }
}

/// The end of a user's sessions may take so long: one after the other.
pub(crate) fn longest_end(site: &Site) -> Duration {
    ALL.iter().map(|kind| of(*kind).longest_end(site)).sum()
}

/// And the end of what a job left in it.
pub(crate) fn longest_end_left(site: &Site) -> Duration {
    ALL.iter().map(|kind| of(*kind).longest_end_left(site)).max().unwrap_or_default()
}

/// Ends all that is `job`'s alone, by what is written down of it and not by the kind that its lease names: that one may
/// be lost or spoilt, or another since the site changed its mind.
pub(crate) fn end_all(site: &Site, job: Job, grace: Duration, dying: Duration) -> Result<()> {
    all(&job, ALL.map(|kind| of(kind).end_all(site, job, grace, dying)))
}

/// The same again, and without waiting, of a job whose lease is gone. One that is requeued here may have none this time,
/// and runs in the same cgroup.
pub(crate) fn end_all_again(site: &Site, job: Job) -> Result<()> {
    let roots = &site.roots;
    let own = record::state(roots, job.uid).own(job.id)?;
    if let Some(cgroup) = own.and_then(|own| own.cgroup) {
        let works =
            |cause| Error::file("end", &roots.cgroup.join(&cgroup))(io::Error::other(cause));
        has_no_slurmstepd(roots, &cgroup).map_err(works)?;
    }
    end_all(site, job, Duration::ZERO, Duration::ZERO)
}

/// Whether `job` is seen to go on by a session of whatever kind.
pub(crate) fn goes_on(site: &Site, job: Job) -> bool {
    ALL.iter().any(|kind| of(*kind).goes_on(site, job))
}

/// Whether there is what jobs with sessions of their own share: as long as one of these has not ended. One look tells
/// all others that they need not search for such.
pub(crate) fn has_books(roots: &Roots, uid: u32) -> bool {
    Books::of(roots, uid).exist()
}

/// Whether there is that, and no such session.
pub(crate) fn has_unused_books(roots: &Roots, uid: u32) -> bool {
    has_books(roots, uid) && !has_any(roots, uid)
}

/// Undoes what no job holds any more, and holds the slice to the jobs that there are: each of them
/// whatever becomes of the other. Answers with whether a session still is to end.
pub(crate) fn undo(on: &mut On<'_>, wait: Wait) -> Result<bool> {
    // What tells how it was before those jobs stays until it is written down.
    let noted = linger::note(&on.site.roots, on.uid, on.state);
    let is_due = |kind: &SessionKind| *kind == SessionKind::Shared || noted.is_ok();
    let undone = ALL.map(|kind| if is_due(&kind) { of(kind).undo(on, wait) } else { Ok(false) });
    let still_ends = undone.iter().any(|undone| matches!(undone, Ok(true)));
    let whose = format!("uid {}", on.uid);
    let [shared, own] = undone.map(|undone| undone.map(drop));
    let undone = all(&whose, [noted, shared, own]);
    // Last: a session that is to end is held until it has.
    match all(&whose, [undone, confine(on)]) {
        Err(error) if still_ends => log::error!("{whose}: {error}"),
        done => done?,
    }
    Ok(still_ends)
}
