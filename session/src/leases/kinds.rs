//! The kinds of sessions: the one place that names them.

use std::time::Duration;

use crate::kind::{Kind, On, Wait};
use crate::outside::account::User;
use crate::own::books::{Books, Note};
use crate::own::kind::Own;
use crate::own::strays::has_any;
use crate::record::Undo;
use crate::shared::kind::Shared;
use crate::slice::confine::confine;
use crate::terms::error::{Result, all};
use crate::terms::roots::Roots;
use crate::terms::site::{Means, SessionKind, Site};

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

/// Whether there is what jobs with sessions of their own share, and no such session.
pub(crate) fn has_unused_books(roots: &Roots, uid: u32) -> bool {
    Books::of(roots, uid).exist() && !has_any(roots, uid)
}

/// Linger that a user turned on beside jobs with sessions of their own is put back, and what it began is ended, as where
/// it was ours: it could be a unit of theirs that does so over and over. Until that is written down, what tells how it
/// was before those jobs stays.
fn note_linger(on: &On<'_>) -> Result<()> {
    let (roots, books) = (&on.site.roots, Books::of(&on.site.roots, on.uid));
    if !books.exist() || books.has(Note::Lingered) || on.state.undo()?.is_some() {
        return Ok(());
    }
    let user = match User::look_up(on.uid, roots) {
        Err(_) if (User { uid: on.uid, name: String::new(), roots }).is_gone() => return Ok(()),
        user => user?,
    };
    if !user.lingers()? {
        return Ok(());
    }
    let (name, means) = (user.name, Means::Linger);
    on.state.put_undo(&Undo { name, linger_before: false, asked: false, means, is_copy: false })
}

/// Undoes what no job holds any more, and holds the slice to the jobs that there are: each of them
/// whatever becomes of the other. Answers with whether a session still is to end.
pub(crate) fn undo(on: &mut On<'_>, wait: Wait) -> Result<bool> {
    let noted = note_linger(on);
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
