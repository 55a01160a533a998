//! The sweep that an admin asks for: what it would do, and doing it.

use std::time::{Duration, Instant};

use crate::kind::{DYING, On, Wait};
use crate::leases::kinds::{self, Stray};
use crate::leases::sessions::Sessions;
use crate::leases::sweep::{drop_unended, end_unended, jobs_that_are_over, undo_unheld};
use crate::outside::bus::Bus;
use crate::outside::systemd::Systemd;
use crate::record::{self, Locked, State};
use crate::status::Before;
use crate::terms::budget::Budget;
use crate::terms::error::{Result, all};
use crate::terms::job::Job;
use crate::terms::set::Set;
use crate::terms::site::Site;

/// What there is to do for one user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stale {
    /// A prolog or an epilog is at work: it sees to the rest itself.
    pub is_busy: bool,
    /// Jobs that are over and whose leases nobody has dropped.
    pub jobs: Vec<u32>,
    /// Jobs that have no lease any more, and whose own sessions have not ended.
    pub unended: Vec<u32>,
    /// No job holds the session then: it is put back as it was before the first.
    pub before: Option<Before>,
    /// No job holds the session then: the slice is as it was before its first cap.
    pub uncaps: bool,
    /// No job holds a session then: what Podman has written down for jobs with sessions of their own goes.
    pub books: bool,
    /// No job holds the session, and it is kept for so long.
    pub kept: Option<Duration>,
}

impl Stale {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        let is_over = self.jobs.is_empty() && self.unended.is_empty();
        is_over && self.before.is_none() && !self.uncaps && !self.books
    }

    /// Whether all there is to do is to end a keep whose time is not over.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        let is_over = self.jobs.is_empty() && self.unended.is_empty();
        is_over && self.kept.is_some_and(|left| !left.is_zero())
    }
}

impl Sessions {
    /// The users for whom something is written down.
    ///
    /// # Errors
    /// When the list cannot be read: it is root's.
    pub fn users(&self) -> Result<Set<u32>> {
        record::known_uids(&self.site.roots)
    }

    /// What [`Sessions::sweep_user`] would do now. Changes nothing.
    ///
    /// # Errors
    /// When the user's state cannot be read.
    pub fn stale(&self, uid: u32) -> Result<Stale> {
        let state = record::state(&self.site.roots, uid);
        if state.is_locked() {
            return Ok(Stale { is_busy: true, ..Stale::default() });
        }
        stale(&self.site, uid, &state)
    }

    /// Drops the leases of this user's jobs that are provably over, all of them, and
    /// undoes what they have left.
    ///
    /// # Errors
    /// Why that could not be done. What is to be undone stays written down.
    pub fn sweep_user(&self, uid: u32) -> Result<()> {
        let budget = Budget::starting_now(self.site.timeout);
        sweep_all(&mut Bus::new(&self.site.roots, budget), &self.site, uid, budget)
    }

    /// The sessions of single jobs on this node of which nothing is written down. Changes nothing.
    ///
    /// # Errors
    /// When what is written down cannot be read: it is root's.
    pub fn strays(&self) -> Result<Vec<Stray>> {
        kinds::strays(&self.site.roots)
    }

    /// Ends one of them, if its job still is over.
    ///
    /// # Errors
    /// Why that could not be done.
    pub fn end_stray(&self, stray: &Stray) -> Result<()> {
        kinds::end_stray(&self.site.roots, stray, Instant::now() + DYING)
    }

    /// Closes the session of this user if it is kept and its time is over, or its
    /// user has logged in or lingers no more; and waits for its end. A job has come
    /// where there is nothing to close.
    ///
    /// # Errors
    /// Why that could not be done. What is to be undone stays written down.
    pub fn end_kept(&self, uid: u32) -> Result<()> {
        let budget = self.to_close();
        end_kept(&mut Bus::new(&self.site.roots, budget), &self.site, uid, budget)
    }

    /// The same while the node shuts down, whenever it is, without waiting: systemd is
    /// about to stop the manager, and cannot while that is frozen.
    ///
    /// # Errors
    /// As [`Sessions::end_kept`].
    pub fn end_kept_now(&self, uid: u32) -> Result<()> {
        let budget = self.to_close();
        end_kept_now(&mut Bus::new(&self.site.roots, budget), &self.site, uid, budget)
    }

    fn to_close(&self) -> Budget {
        Budget::starting_now(self.site.timeout).and(kinds::longest_end(&self.site))
    }
}

/// Makes no directory for a user who has none. A job may have come before the lock.
fn lock_kept(site: &Site, uid: u32, budget: Budget) -> Result<Option<Locked>> {
    if record::state(&site.roots, uid).kept().is_none() {
        return Ok(None);
    }
    record::lock(&site.roots, uid, budget).map(Some)
}

/// Closes the session if it is kept and its end has come.
pub(crate) fn end_kept(
    systemd: &mut dyn Systemd,
    site: &Site,
    uid: u32,
    budget: Budget,
) -> Result<()> {
    let Some(state) = &lock_kept(site, uid, budget)? else { return Ok(()) };
    let on = &mut On { site, uid, state, systemd, budget };
    if kinds::is_due(on)? { kinds::undo(on, Wait::ToItsEnd).map(drop) } else { Ok(()) }
}

fn end_kept_now(systemd: &mut dyn Systemd, site: &Site, uid: u32, budget: Budget) -> Result<()> {
    match &lock_kept(site, uid, budget)? {
        Some(state) if state.kept().is_some() => {
            undo_unheld(&mut On { site, uid, state, systemd, budget }).map(drop)
        }
        _ => Ok(()),
    }
}

fn stale(site: &Site, uid: u32, state: &State) -> Result<Stale> {
    let jobs = jobs_that_are_over(site, uid, state, false, usize::MAX)?;
    let unended = state.unended()?.into_iter().collect();
    let is_held = state.jobs()?.iter().any(|job| !jobs.contains(job) && state.holds(*job));
    if is_held {
        return Ok(Stale { jobs, unended, ..Stale::default() });
    }
    let before = state.undo()?.as_ref().map(Before::of);
    let (uncaps, kept) = (state.capped().is_some(), kinds::kept_for(&site.roots, state));
    let books = kinds::has_unused_books(&site.roots, uid);
    Ok(Stale { jobs, unended, before, uncaps, books, kept, is_busy: false })
}

fn sweep_all(systemd: &mut dyn Systemd, site: &Site, uid: u32, budget: Budget) -> Result<()> {
    let state = &record::lock(&site.roots, uid, budget)?;
    for job in jobs_that_are_over(site, uid, state, false, usize::MAX)? {
        drop_unended(site, state, Job { id: job, uid })?;
    }
    let ended = end_unended(site, uid, state);
    let on = &mut On { site, uid, state, systemd, budget };
    let undone = match undo_unheld(on) {
        Ok(true) => kinds::undo(on, Wait::ToItsEnd).map(drop),
        undone => undone.map(drop),
    };
    all(&format!("uid {uid}"), [undone, ended])
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::outside::fake::{Ask, Scripted, site};
    use crate::outside::proc::show_this_process;
    use crate::record::{Lease, Undo};
    use crate::terms::site::{Means, SessionKind};

    const UID: u32 = 4711;

    fn node() -> (tempfile::TempDir, Sessions) {
        let (dir, site) = site();
        show_this_process(&site.roots.proc);
        std::fs::create_dir(site.roots.proc.join("77")).unwrap();
        let stat = "77 (a) S 1 77 77 0 -1 4194560 1 0 0 0 1 2 0 0 20 0 1 0 998877 1";
        std::fs::write(site.roots.proc.join("77/stat"), stat).unwrap();
        (dir, Sessions { site })
    }

    fn budget() -> Budget {
        Budget::starting_now(Duration::from_secs(1))
    }

    /// A lease of a job whose extern step lives, or has ended.
    fn add(state: &Locked, job: u32, lives: bool) {
        let start = if lives { "998877" } else { "1" };
        state.put(job, &Lease::Open, SessionKind::Shared).unwrap();
        state.add_keeper(job, &format!("extern 77 {start}").parse().unwrap()).unwrap();
    }

    fn sweep(sessions: &Sessions, script: impl IntoIterator<Item = Ask>) {
        let mut systemd = Scripted::new(sessions.site.roots.linger.join("nobody"), script);
        sweep_all(&mut systemd, &sessions.site, UID, budget()).unwrap();
    }

    /// Show that all jobs that are over are named and dropped, however many go on,
    /// and that looking changes nothing.
    #[test]
    fn every_job_that_is_over_is_found() {
        let (_dir, sessions) = node();
        let state = record::lock(&sessions.site.roots, UID, budget()).unwrap();
        for job in [1, 2, 3, 4, 5, 6, 7, 9] {
            add(&state, job, job < 7);
        }
        assert!(sessions.stale(UID).unwrap().is_busy);
        drop(state);
        for _ in 0..2 {
            let due = sessions.stale(UID).unwrap();
            assert_eq!(due, Stale { jobs: vec![7, 9], ..Stale::default() });
        }
        sweep(&sessions, []);
        assert!(sessions.stale(UID).unwrap().is_nothing());
        let jobs = record::state(&sessions.site.roots, UID).jobs().unwrap();
        assert_eq!(jobs.into_iter().collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    }

    /// Show that what jobs with sessions of their own share goes with the last of them, and is told of where only that
    /// is left; and that it stays while such a session is there, if nothing is written down of it.
    #[test]
    fn books_without_a_job_are_removed() {
        let (_dir, sessions) = node();
        let roots = &sessions.site.roots;
        let books = roots.run.join(format!("{UID}.own"));
        std::fs::create_dir_all(&books).unwrap();
        let expected = Stale { books: true, ..Stale::default() };
        assert_eq!(sessions.stale(UID).unwrap(), expected);
        assert!(!expected.is_nothing());
        let me = nix::unistd::getuid().as_raw();
        let session = "system.slice/slurmstepd.scope/job_7/step_extern/user/session";
        std::fs::create_dir_all(roots.run.join(format!("{me}.own"))).unwrap();
        std::fs::create_dir_all(roots.cgroup.join(session)).unwrap();
        assert!(sessions.stale(me).unwrap().is_nothing());
        for dir in [&roots.run, &books] {
            std::fs::set_permissions(dir, Permissions::from_mode(0o700)).unwrap();
        }
        sweep(&sessions, []);
        assert!(!books.exists());
        let state = record::lock(roots, UID, budget()).unwrap();
        add(&state, 7, true);
        std::fs::create_dir(&books).unwrap();
        drop(state);
        assert!(sessions.stale(UID).unwrap().is_nothing());
    }

    /// Show that with the last lease linger is told to be put back, and is.
    #[test]
    fn the_last_one_puts_linger_back() {
        let (_dir, sessions) = node();
        let linger = sessions.site.roots.linger.join("nobody");
        std::fs::create_dir_all(&sessions.site.roots.linger).unwrap();
        std::fs::write(&linger, "").unwrap();
        let state = record::lock(&sessions.site.roots, UID, budget()).unwrap();
        add(&state, 7, false);
        let (name, means) = ("nobody".into(), Means::Linger);
        let undo = Undo { name, linger_before: false, asked: false, means, is_copy: false };
        state.put_undo(&undo).unwrap();
        drop(state);
        let due = sessions.stale(UID).unwrap();
        let before = Some(Before { means, was_on: false });
        let expected = Stale { jobs: vec![7], before, ..Stale::default() };
        assert_eq!(due, expected);
        assert_eq!(sessions.users().unwrap().into_iter().collect::<Vec<_>>(), [UID]);
        sweep(&sessions, [Ask::Watch, Ask::Linger(false)]);
        assert!(!linger.exists() && sessions.users().unwrap().is_empty());
    }
}
