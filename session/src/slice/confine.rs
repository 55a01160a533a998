//! Holds a user's slice to what their jobs may use together.

use crate::kind::On;
use crate::limits::amounts::Limits;
use crate::outside::unified::is_unified;
use crate::record::{self, Locked, Together};
use crate::slice::cap::cap;
use crate::terms::error::Result;
use crate::terms::site::Site;

/// Holds the slice to what the user's jobs may use that have begun, whether they have a
/// session or not; to a floor before one has; to nothing when there is no job any more,
/// nor a session whose end was put off.
pub(crate) fn confine(on: &mut On<'_>) -> Result<()> {
    let (roots, state) = (&on.site.roots, on.state);
    let wanted = match state.together()? {
        Together::Limits(limits) => limits,
        Together::NotBegun if !is_unified(roots) || is_at_floor(state) => return Ok(()),
        Together::NotBegun => {
            let floor = Limits::floor(&roots.slice(on.uid)).only(on.site.containment.confine);
            return cap(on, floor, true);
        }
        Together::NoJob if state.undo()?.is_some() => return Ok(()),
        Together::NoJob => Limits::default(),
    };
    cap(on, wanted.only(on.site.containment.confine), false)
}

fn is_at_floor(state: &Locked) -> bool {
    state.capped().is_some_and(|capped| capped.is_at_floor())
}

/// What it is held to, by what is written down and by the kernel; None where that is not what it should be. Costs a few
/// small files.
pub(crate) fn capped_to(site: &Site, uid: u32) -> Result<Option<Limits>> {
    let state = record::state(&site.roots, uid);
    let Together::Limits(wanted) = state.together()? else { return Ok(Some(Limits::default())) };
    let wanted = wanted.only(site.containment.confine);
    Ok(match state.capped() {
        Some(capped) => capped.is_right(&wanted, &site.roots.slice(uid)).then_some(capped.set),
        None => (wanted == Limits::default()).then_some(wanted),
    })
}
