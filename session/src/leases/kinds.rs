//! The kinds of sessions: the one place that names them.

use crate::kind::{Kind, On, Wait};
use crate::shared::kind::Shared;
use crate::slice::confine::confine;
use crate::terms::error::{Result, all};
use crate::terms::site::Site;

// A session of all jobs alone can be kept for the next one.
pub(crate) use crate::shared::keep::{is_due, left as kept_for};

/// The kind that a job's session is of.
pub(crate) fn of(_site: &Site) -> &'static dyn Kind {
    &Shared
}

/// Undoes what no job holds any more, and holds the slice to the jobs that there are: each of them
/// whatever becomes of the other. Answers with whether a session still is to end.
pub(crate) fn undo(on: &mut On<'_>, wait: Wait) -> Result<bool> {
    let undone = Shared.undo(on, wait);
    let still_ends = matches!(undone, Ok(true));
    all([undone.map(drop), confine(on)]).map(|()| still_ends)
}
