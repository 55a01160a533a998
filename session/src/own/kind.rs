//! The acts of a session that is one job's alone, in their order.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::unistd::User;

use crate::kind::{Kind, Launch, Left, On, Wait};
use crate::outside::runtime_dir::{Viewpoint, check};
use crate::own::close::{end, end_above, remove_directory};
use crate::own::enter::enter;
use crate::own::open::open;
use crate::own::place::Place;
use crate::record;
use crate::record::own::OwnSession;
use crate::terms::budget::Budget;
use crate::terms::error::Result;
use crate::terms::job::Job;
use crate::terms::set::Set;
use crate::terms::site::Site;

/// `session=job`.
pub(crate) struct Own;

/// For the kernel to end what it was told to kill.
const DYING: Duration = Duration::from_secs(10);

impl Kind for Own {
    /// Only what its directory is in: there is no cgroup yet.
    fn begin(&self, on: &mut On<'_>, job: Job, _is_shared: bool) -> Result<()> {
        on.systemd.hold_runtime_dir(job.uid)
    }

    fn bind(&self, site: &Site, job: Job, launch: &dyn Launch, budget: Budget) -> Result<()> {
        if self.lives(site, job) {
            return Ok(());
        }
        let state = record::state(&site.roots, job.uid);
        let Some(place) = Place::here(&site.roots)? else { return Ok(()) };
        let cgroup = place.session();
        state.put_own(job.id, &OwnSession { cgroup: cgroup.clone(), manager: None })?;
        end(&site.roots.cgroup.join(&cgroup), Instant::now() + DYING)?;
        let manager = Some(open(&site.roots, job, &place, launch, budget)?);
        state.put_own(job.id, &OwnSession { cgroup, manager })
    }

    fn enter(&self, site: &Site, job: Job) -> Result<()> {
        match record::state(&site.roots, job.uid).own(job.id)? {
            Some(OwnSession { cgroup, manager: Some(manager) }) => {
                enter(&site.roots.proc, manager, &cgroup)
            }
            _ => Ok(()),
        }
    }

    fn check(&self, site: &Site, job: Job) -> Result<(), String> {
        if self.lives(site, job) { Ok(()) } else { Err("the job's session has ended".into()) }
    }

    fn lives(&self, site: &Site, job: Job) -> bool {
        let own = record::state(&site.roots, job.uid).own(job.id).ok().flatten();
        own.is_some_and(|own| {
            own.manager.is_some() && site.roots.cgroup.join(own.cgroup).join("init.scope").exists()
        })
    }

    fn door(&self, site: &Site, job: Job) -> Result<PathBuf, String> {
        let dir = site.roots.runtime_dir(job.uid);
        let live = check(&dir, job.uid, Viewpoint::User);
        live.map(|()| dir).map_err(|not_live| not_live.to_string())
    }

    fn end_left(&self, site: &Site, job: Job, _marks: &Set<u32>) -> Left {
        let ended = self.end(site, job);
        ended.unwrap_or_else(|error| log::error!("{job}: end its session: {error}"));
        Left::default()
    }

    fn undo(&self, on: &mut On<'_>, _wait: Wait) -> Result<bool> {
        on.systemd.let_runtime_dir_go(on.uid)?;
        let is_needed = on.systemd.manager(on.uid).is_some() || on.systemd.is_logged_in(on.uid)?;
        if is_needed { Ok(false) } else { on.systemd.stop_manager(on.uid).map(|()| false) }
    }

    fn longest_end(&self, _site: &Site) -> Duration {
        DYING
    }

    fn longest_end_left(&self, _site: &Site) -> Duration {
        DYING
    }
}

impl Own {
    fn end(&self, site: &Site, job: Job) -> Result<()> {
        let Some(own) = record::state(&site.roots, job.uid).own(job.id)? else { return Ok(()) };
        let cgroup = site.roots.cgroup.join(own.cgroup);
        end(&cgroup, Instant::now() + DYING)?;
        end_above(&cgroup);
        let user = User::from_uid(job.uid.into()).ok().flatten();
        user.map_or(Ok(()), |user| {
            remove_directory(&site.roots.runtime_dir(job.uid), job, user.gid)
        })
    }
}
