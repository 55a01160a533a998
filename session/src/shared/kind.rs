//! The acts of a session that all jobs of its user share, in their order.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::kind::{Kind, Launch, Left, On, Wait};
use crate::limits::amounts::Limits;
use crate::outside::account::User;
use crate::outside::runtime_dir::{Viewpoint, check, check_manager};
use crate::own::beside::{self, First};
use crate::own::books::Books;
use crate::own::close::end;
use crate::own::manager::Becoming;
use crate::own::open::account;
use crate::own::pause::{self, BY_PODMAN};
use crate::own::place::Place;
use crate::record::Undo;
use crate::shared::close::{close, put_back, time_to_end};
use crate::shared::keep::{end_keep, is_kept, keeps};
use crate::shared::leftovers::{end_marked, end_strangers, note_found};
use crate::shared::linger::forget_undo;
use crate::shared::open::{Opened, Opening, open};
use crate::shared::space;
use crate::shared::spare::spare;
use crate::terms::budget::Budget;
use crate::terms::error::{Error, Result};
use crate::terms::job::Job;
use crate::terms::set::Set;
use crate::terms::site::{Means, Site};

/// `session=linger` and `session=manager`.
pub(crate) struct Shared;

/// For the kernel to end a process of Podman's, where a step waits for it.
const AT_ONCE: Duration = Duration::from_secs(1);

impl Kind for Shared {
    fn begin(&self, on: &mut On<'_>, job: Job, is_shared: bool, waits: bool) -> Result<()> {
        let undo = on.state.undo()?;
        let (uid, roots) = (job.uid, &on.site.roots);
        let user = match &undo {
            Some(Undo { name, .. }) => User { uid, name: name.clone(), roots },
            None => User::look_up(uid, roots)?,
        };
        end_keep(on)?;
        let books = Books::of(roots, uid);
        // Beside jobs with sessions of their own what `bind` does in this one needs it at once.
        let waits = waits || books.exist();
        match open(on, &Opening { user: &user, is_shared, waits }, undo)? {
            Opened::NotYet => return Ok(()),
            Opened::Before if !on.state.is_starting() => {}
            opened => {
                spare(roots, uid);
                on.state.remove_starting()?;
                if opened == Opened::AfterHanging {
                    log::warn!(
                        "{job}: start user@{uid}.service: hung, and was killed and begun again"
                    );
                }
            }
        }
        if books.exist() {
            let joined = beside::join(roots, uid, &books, First::Books);
            joined.map_err(Error::file("share Podman's books with", &roots.runtime_dir(uid)))?;
        }
        note_found(on)
    }

    /// Beside jobs with sessions of their own Podman is to find a pause process in this one.
    fn bind(&self, site: &Site, job: Job, launch: &dyn Launch, budget: Budget) -> Result<()> {
        let roots = &site.roots;
        if !Books::of(roots, job.uid).exist() || !pause::is_needed(roots) {
            return Ok(());
        }
        let spare = Place::here(roots)?.make_spare(roots)?;
        let user = &account(job.uid)?;
        let becoming = Becoming { roots, view: None, namespace: None, user };
        let made = pause::make(&becoming, &spare, BY_PODMAN, launch, budget.deadline());
        // Also with a Podman that is not done, or a pause process that no scope has taken.
        if let Err(error) = end(&spare, Instant::now() + AT_ONCE) {
            log::warn!("{job}: end what had Podman's pause process: {error}");
        }
        made.unwrap_or_else(|cause| log::warn!("{job}: have Podman's pause process: {cause}"));
        Ok(())
    }

    /// Without it there is a session all the same.
    fn enter(&self, site: &Site, job: Job, launch: &dyn Launch, budget: Budget) -> Result<()> {
        let parted = space::part(site, job, launch, budget);
        parted.unwrap_or_else(|error| {
            log::warn!("{job}: have Podman see the job's own /tmp: {error}");
        });
        Ok(())
    }

    fn check(&self, site: &Site, job: Job) -> Result<(), String> {
        let (dir, slice) = (site.roots.runtime_dir(job.uid), site.roots.slice(job.uid));
        let live = check(&dir, job.uid, Viewpoint::Root);
        live.and_then(|()| check_manager(&slice, job.uid)).map_err(|gone| match site.means {
            Means::Linger => gone.to_string(),
            Means::Manager => {
                format!("{gone} (logind stops it when the user logs out; session=linger keeps it)")
            }
        })
    }

    fn lives(&self, site: &Site, job: Job) -> bool {
        check_manager(&site.roots.slice(job.uid), job.uid).is_ok()
    }

    fn door(&self, site: &Site, job: Job, is_held: bool) -> Result<PathBuf, String> {
        let dir = site.roots.runtime_dir(job.uid);
        check(&dir, job.uid, Viewpoint::User).map_err(|not_live| not_live.to_string())?;
        if is_held {
            return Ok(dir);
        }
        // Root's callbacks came after this task was forked: no way to tell it.
        match Limits::hold_the_slice(&site.roots, job.uid, site.containment.confine) {
            Ok(true) => Ok(dir),
            _ => Err(format!("user-{}.slice lacks the job's limits", job.uid)),
        }
    }

    fn end_all(&self, site: &Site, job: Job, _grace: Duration, dying: Duration) -> Result<()> {
        space::end_part(&site.roots, job, dying)
    }

    fn end_left(&self, site: &Site, job: Job, marks: &Set<u32>) -> Left {
        end_marked(site, job.uid, marks)
    }

    fn undo(&self, on: &mut On<'_>, wait: Wait) -> Result<bool> {
        match wait {
            Wait::OrKeep if keeps(on) => Ok(false),
            Wait::OrKeep | Wait::ToItsEnd => close(on).map(|()| false),
            Wait::ForNothing => leave(on),
            Wait::NotAfterFailure => match put_back(on)? {
                Some((user, undo)) => forget_undo(&user, on.state, &undo).map(|is_done| !is_done),
                None => Ok(false),
            },
        }
    }

    fn longest_end(&self, site: &Site) -> Duration {
        time_to_end(site.containment.grace)
    }

    fn longest_end_left(&self, site: &Site) -> Duration {
        crate::ending::time_to_end(site.containment.grace)
    }
}

/// Puts linger back and waits for no end. What a session that stays has of its jobs ends all the same; the record
/// is dropped after it, so that what fails is tried again.
fn leave(on: &mut On<'_>) -> Result<bool> {
    let (state, was_kept) = (on.state, is_kept(on.state));
    let put_back = put_back(on)?;
    // After a reboot there is nothing to tell strangers by.
    let is_late = Instant::now() >= on.budget.deadline();
    let closes = put_back.is_some();
    if state.has_found() && !was_kept && !is_late && (!closes || on.systemd.is_logged_in(on.uid)?) {
        end_strangers(on)?;
    }
    match &put_back {
        Some((user, undo)) => forget_undo(user, state, undo).map(|is_done| !is_done),
        None => Ok(false),
    }
}
