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
    // Without the notes nothing is known of how it was: a prolog was killed before them, or an epilog after.
    let is_new = books.are_noted() && !books.has(Note::Lingered) && user.lingers()?;
    // A manager that was started without linger is stopped by its record, but not where its user lingers.
    Ok(is_new && state.undo()?.is_none_or(|undo| undo.means == Means::Manager))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// Show that linger is written down where it is known to be new, and nowhere else; a record of a manager that was
    /// started without linger is no reason against it.
    #[test]
    fn what_is_new_is_written_down() {
        let undo = |means| Undo {
            name: "alice".into(),
            linger_before: true,
            asked: false,
            means,
            is_copy: false,
        };
        let books: &[&str] = &["books"];
        for (dirs, linger, before, is_noted) in [
            (books, false, None, false),
            (books, true, None, true),
            // Killed before the notes, or after them.
            (&[][..], true, None, false),
            (&["books", "lingered"], true, None, false),
            (books, true, Some(Means::Linger), false),
            (books, true, Some(Means::Manager), true),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let roots = Roots::below(dir.path());
            for above in [roots.run.parent(), roots.lib.parent()] {
                fs::create_dir_all(above.unwrap()).unwrap();
            }
            let budget = Budget::starting_now(Duration::from_secs(15));
            let state = record::lock(&roots, 1001, budget).unwrap();
            let shared = crate::record::own::shared(&roots, 1001);
            fs::create_dir(&shared).unwrap();
            for name in dirs {
                fs::create_dir(shared.join(name)).unwrap();
            }
            let user = User { uid: 1001, name: "alice".into(), roots: &roots };
            if linger {
                user.write_linger().unwrap();
            }
            if let Some(means) = before {
                state.put_undo(&undo(means)).unwrap();
            }
            drop(state);
            note_soon(&user).unwrap();
            let noted = record::state(&roots, 1001).undo().unwrap();
            let is_new = noted.is_some_and(|undo| !undo.linger_before);
            assert_eq!(is_new, is_noted, "{dirs:?} {linger} {before:?}");
        }
    }
}
