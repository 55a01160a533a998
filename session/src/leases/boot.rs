//! What a power loss left written down, put back before logind starts.
//!
//! slurmd's start does so through logind. On a node whose slurmd does not start nobody would, and
//! the users of its last jobs lingered on. Until logind has read who lingers its files are all there
//! is to it: no bus is needed, and no session begins.

use crate::outside::account::User;
use crate::outside::{crash, files};
use crate::record::{self, Undo};
use crate::status::Before;
use crate::terms::error::{Error, Result};
use crate::terms::roots::Roots;
use crate::terms::site::Means;

/// What was done for one user: None where it is left to slurmd's start.
pub type PutBack = (u32, Result<Option<Before>>);

/// Puts linger back for each user with a record, as it was before the user's jobs. Does nothing where
/// this boot may have had jobs: the records may be theirs. So it is done once, also if it fails for a
/// user: the next boot tries again, or slurmd's start.
///
/// # Errors
/// When the users cannot be listed. What fails for one is in their place.
pub fn put_back_at_boot(roots: &Roots) -> Result<Vec<PutBack>> {
    if roots.run.try_exists().map_err(Error::file("look at", &roots.run))? {
        return Ok(Vec::new());
    }
    let uids = record::known_uids(roots)?;
    Ok(uids.into_iter().map(|uid| (uid, put_back(roots, uid))).collect())
}

/// Under the user's lock, which makes /run/spank-linger, and takes a record that was not written to
/// its end with it.
fn put_back(roots: &Roots, uid: u32) -> Result<Option<Before>> {
    let Some(state) = record::try_lock(roots, uid)? else { return Ok(None) };
    // Started by hand beside slurmd it may meet a prolog that has just written the record.
    if state.is_of_this_boot() {
        return Ok(None);
    }
    let Some(undo) = state.undo()? else { return Ok(None) };
    let user = User { uid, name: undo.name.clone(), roots };
    // logind was first, and has to be asked.
    if user.runtime_dir().exists() {
        return Ok(None);
    }
    put_linger_back(&user, &undo)?;
    state.remove_undo()?;
    Ok(Some(Before::of(&undo)))
}

/// On disk when this returns: the record may go. A manager that was started is gone since the boot.
fn put_linger_back(user: &User<'_>, undo: &Undo) -> Result<()> {
    if undo.means == Means::Manager || user.lingers()? == undo.linger_before {
        return Ok(());
    }
    if undo.linger_before { user.write_linger() } else { user.forget_linger() }?;
    crash::point();
    files::sync(&user.roots.linger)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::*;
    use crate::outside::fake::place;
    use crate::terms::budget::Budget;

    /// Who lingered before their jobs, and whether they do when the power is lost.
    const USERS: [(u32, &str, bool, bool); 4] = [
        (4711, "alice", false, true),
        (4712, "DOM\\bob", false, false),
        (4713, "carol", true, true),
        (4714, "dave", true, false),
    ];

    fn record(roots: &Roots, uid: u32, name: &str, linger_before: bool) {
        let (name, means) = (name.to_owned(), Means::Linger);
        let undo = Undo { name, linger_before, asked: false, means, is_copy: false };
        let budget = Budget::starting_now(Duration::from_secs(1));
        record::lock(roots, uid, budget).unwrap().put_undo(&undo).unwrap();
    }

    fn user<'a>(roots: &'a Roots, uid: u32, name: &str) -> User<'a> {
        User { uid, name: name.to_owned(), roots }
    }

    /// A power loss leaves what is in /var.
    fn lose_power(roots: &Roots) {
        let _ = fs::remove_dir_all(&roots.run);
    }

    fn node_without_power() -> (tempfile::TempDir, Roots) {
        let (dir, roots) = place();
        for (uid, name, before, now) in USERS {
            record(&roots, uid, name, before);
            if now {
                user(&roots, uid, name).write_linger().unwrap();
            }
        }
        lose_power(&roots);
        (dir, roots)
    }

    fn is_put_back(roots: &Roots) {
        for (uid, name, before, _) in USERS {
            assert_eq!(user(roots, uid, name).lingers().unwrap(), before, "{name}");
        }
        assert!(record::known_uids(roots).unwrap().is_empty());
    }

    /// Show that after a boot everybody lingers who did before their jobs, and nobody
    /// else, that no record is left, and that the next time there is nothing to do.
    #[test]
    fn linger_is_as_before() {
        let (_dir, roots) = node_without_power();
        let done = put_back_at_boot(&roots).unwrap();
        let expected = USERS.map(|(uid, _, was_on, _)| (uid, was_on));
        let before = |(uid, done): PutBack| (uid, done.unwrap().unwrap().was_on);
        assert_eq!(done.into_iter().map(before).collect::<Vec<_>>(), expected);
        is_put_back(&roots);
        assert!(put_back_at_boot(&roots).unwrap().is_empty());
        lose_power(&roots);
        assert!(put_back_at_boot(&roots).unwrap().is_empty());
        is_put_back(&roots);
    }

    /// Show that it does not matter where the power is lost again: who is not put back
    /// yet still has a record, and the next boot goes on from there.
    #[test]
    fn a_power_loss_anywhere_is_made_up_for() {
        for points in 0.. {
            let (_dir, roots) = node_without_power();
            let done = crash::killed_at(points, || put_back_at_boot(&roots).unwrap());
            for (uid, name, before, _) in USERS {
                let is_due = user(&roots, uid, name).lingers().unwrap() != before;
                assert!(!is_due || roots.lib.join(uid.to_string()).exists(), "{name}, {points}");
            }
            lose_power(&roots);
            put_back_at_boot(&roots).unwrap();
            is_put_back(&roots);
            if done.is_some() {
                assert!(points > 12, "only {points} points");
                break;
            }
        }
    }

    /// Show that a record that cannot be read is named and stays, and that the others
    /// are put back all the same; and that half a record goes.
    #[test]
    fn a_bad_record_stops_no_other() {
        let (_dir, roots) = node_without_power();
        for (uid, text) in [("4700", "{"), ("4712", "{\"version\":2}"), (".4720.new", "{\"ver")] {
            fs::write(roots.lib.join(uid), text).unwrap();
        }
        let done = put_back_at_boot(&roots).unwrap();
        let failed = done.iter().filter_map(|(uid, done)| Some((*uid, done.as_ref().err()?)));
        for ((uid, error), expected) in failed.zip([4700, 4712]) {
            let named = format!("{}: ", roots.lib.join(uid.to_string()).display());
            assert!(uid == expected && error.to_string().starts_with(&named), "{uid}: {error}");
        }
        assert_eq!(
            record::known_uids(&roots).unwrap().into_iter().collect::<Vec<_>>(),
            [4700, 4712]
        );
        assert!(!user(&roots, 4711, "alice").lingers().unwrap());
        assert!(user(&roots, 4714, "dave").lingers().unwrap());
        assert_eq!(fs::read_dir(&roots.run).unwrap().count(), 0);
    }

    /// Show that a record which others than root may have written is not believed.
    #[test]
    fn what_is_not_roots_is_not_believed() {
        use std::os::unix::fs::PermissionsExt;
        let (_dir, roots) = node_without_power();
        fs::set_permissions(&roots.lib, fs::Permissions::from_mode(0o777)).unwrap();
        let done = put_back_at_boot(&roots).unwrap();
        assert!(done.len() == 4 && done.iter().all(|(_, done)| done.is_err()), "{done:?}");
        assert!(user(&roots, 4711, "alice").lingers().unwrap());
    }

    /// Show that a node that has had jobs since its boot is left alone, and a user
    /// whose record is a job's of this boot or whose session is up.
    #[test]
    fn what_is_of_this_boot_is_left_alone() {
        let (_dir, roots) = node_without_power();
        fs::create_dir_all(roots.runtime_dir(4714)).unwrap();
        record(&roots, 4711, "alice", false);
        assert!(put_back_at_boot(&roots).unwrap().is_empty());
        for uid in [4711, 4714] {
            assert_eq!(put_back(&roots, uid).unwrap(), None, "{uid}");
            assert!(roots.lib.join(uid.to_string()).exists());
        }
        assert!(user(&roots, 4711, "alice").lingers().unwrap());
    }
}
