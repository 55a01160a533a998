//! Linger that a user turns on beside jobs with sessions of their own.
//!
//! It is written down, on the disk, as linger of ours would be: what it began is ended as a shared session is, as it
//! could be a unit that turns linger on over and over; and after a power loss it is turned off before logind starts.

use std::time::Duration;

use crate::outside::account::User;
use crate::own::books::{Books, Note};
use crate::record::{self, Locked, State, Undo};
use crate::terms::budget::Budget;
use crate::terms::error::Result;
use crate::terms::roots::Roots;
use crate::terms::site::Means;

/// Whoever has the user's lock may be about to write it down.
const AT_ONCE: Duration = Duration::from_millis(100);

/// Writes it down if it is on and was not before those jobs.
///
/// # Errors
/// That it is not known whether it is, or cannot be written down.
pub(crate) fn note(roots: &Roots, uid: u32, state: &Locked) -> Result<()> {
    if !Books::of(roots, uid).exist() {
        return Ok(());
    }
    let Some(user) = User::who_lingers(uid, roots)? else { return Ok(()) };
    note_of(&user, state)
}

/// The same for who looks at it over and over: nothing is locked where there is nothing to be written down.
pub(crate) fn note_soon(user: &User<'_>) -> Result<()> {
    let (roots, uid) = (user.roots, user.uid);
    if is_due(user, &record::state(roots, uid))? {
        note_of(user, &record::lock(roots, uid, Budget::starting_now(AT_ONCE))?)?;
    }
    Ok(())
}

fn note_of(user: &User<'_>, state: &Locked) -> Result<()> {
    if !is_due(user, state)? {
        return Ok(());
    }
    let (name, means) = (user.name.clone(), Means::Linger);
    state.put_undo(&Undo { name, linger_before: false, asked: false, means, is_copy: false })
}

fn is_due(user: &User<'_>, state: &State) -> Result<bool> {
    let books = Books::of(user.roots, user.uid);
    let is_new = books.exist() && !books.has(Note::Lingered) && user.lingers()?;
    Ok(is_new && state.undo()?.is_none())
}
