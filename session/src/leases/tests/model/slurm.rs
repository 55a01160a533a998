//! Slurm, as it calls us for one job after another.

use super::logind::Outage;
use super::world::{JobNow, World};
use crate::leases::bind::confine_together;
use crate::leases::stale::end_kept;
use crate::leases::tests::*;
use crate::limits::amounts::Limits;
use crate::terms::job::Moment;

/// What goes wrong during one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    None,
    /// We are killed after so many points.
    Kill(u32),
    /// The bus dies at this question, which may still be carried out.
    NoBus {
        from: u32,
        does_it: bool,
    },
    /// `user@.service` is masked.
    Masked,
    /// What the manager is at ends only when it is killed.
    Hangs,
}

impl Trouble {
    fn outage(self) -> Outage {
        let none = Outage::default();
        match self {
            Self::None | Self::Kill(_) => none,
            Self::NoBus { from, does_it } => Outage { from: Some(from), does_it, ..none },
            Self::Masked => Outage { is_masked: true, ..none },
            Self::Hangs => Outage { hangs: true, ..none },
        }
    }
}

impl World {
    /// Has `work` done with `trouble`; None if it was killed.
    fn during<T>(&mut self, trouble: Trouble, work: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.logind.connect(trouble.outage());
        let done = match trouble {
            Trouble::Kill(at) => crash::killed_at(at, || work(self)),
            _ => Some(work(self)),
        };
        self.logind.connect(Outage::default());
        done
    }

    /// The prolog, which is `Sessions::take`. One that is killed has no job.
    pub(super) fn prolog(&mut self, id: u32, trouble: Trouble) -> Option<Result<()>> {
        // Of one node all wait or none does; what both leave is to be right in any order.
        let moment = if id.is_multiple_of(2) { Moment::Early } else { Moment::Prolog };
        let done = self.during(trouble, |world| world.take(id, moment));
        let job = self.jobs.entry(id).or_default();
        if job.processes.is_empty() {
            *job = JobNow { waits: done.is_some(), ..JobNow::default() };
        }
        done
    }

    /// The beginning of a step. One that is killed has no process.
    pub(super) fn step(
        &mut self,
        id: u32,
        role: Role,
        limits: Limits,
        trouble: Trouble,
    ) -> Option<Result<()>> {
        let pid = self.begin_process(id);
        let done = self.during(trouble, |world| world.begin_step(id, role, pid, limits));
        if done.is_none() {
            self.end_process(id, pid);
        }
        done
    }

    /// A job whose lease is gone may come again, as another with the same id.
    pub(super) fn forget_dropped(&mut self) {
        let leases = self.leases();
        let dropped = self.jobs.iter_mut().filter(|(id, _)| !leases.contains_key(id));
        dropped.for_each(|(_, job)| job.has_told = false);
    }

    /// The job's processes end, and its epilog may come: `Sessions::release`.
    pub(super) fn end(&mut self, id: u32, epilog: Option<Trouble>) -> Option<Result<()>> {
        self.end_job(id);
        let trouble = epilog?;
        let pid = self.begin_process(id);
        let done = self.during(trouble, |world| world.release(id, pid));
        self.end_process(id, pid);
        done
    }

    /// The start of slurmd, which is `Sessions::sweep`.
    pub(super) fn slurmd_starts(&mut self, trouble: Trouble) -> Option<Result<()>> {
        self.during(trouble, |world| {
            let uid = world.uid;
            if !record::known_uids(&world.site.roots)?.contains(&uid) {
                return Ok(());
            }
            if sweep_at_start(&mut world.logind, &world.site, uid, true, budget())? {
                see_the_end(&mut world.logind, &world.site, uid, budget())?;
            }
            Ok(())
        })
    }

    /// systemd calls the command, at the end of a keep or before it.
    pub(super) fn guard_calls(&mut self, is_due: bool, trouble: Trouble) -> Option<Result<()>> {
        if is_due {
            self.pass_keep();
            self.logind.is_guarded = false;
        }
        self.during(trouble, |world| end_kept(&mut world.logind, &world.site, world.uid, budget()))
    }

    /// The node loses power; no job comes back with it.
    pub(super) fn reboot(&mut self) {
        let jobs: Vec<u32> = self.jobs.keys().copied().collect();
        for id in jobs {
            self.end_job(id);
        }
        self.share_memory(false);
        self.logind.reboot();
        self.slice_before = (self.logind.slice_now(), self.logind.drop_ins());
    }

    fn take(&mut self, id: u32, moment: Moment) -> Result<()> {
        if !self.has_record() {
            self.before = Some(self.logind.lingers());
        }
        let job = self.job(id);
        let state = record::lock(&self.site.roots, self.uid, budget())?;
        let (uid, systemd, budget) = (self.uid, &mut self.logind, budget());
        let on = &mut On { site: &self.site, uid, state: &state, systemd, budget };
        let taken = take(on, job, moment);
        drop(state);
        taken.inspect_err(|error| self.give_up(id, error))
    }

    fn give_up(&mut self, id: u32, error: &Error) {
        let (job, cause) = (self.job(id), error.to_string());
        let _ = give_up(&mut self.logind, &self.site, job, cause, budget());
    }

    /// As the plugin does it: the extern step takes what the prolog did not, any
    /// other also what was lost since.
    fn begin_step(&mut self, id: u32, role: Role, pid: u32, limits: Limits) -> Result<()> {
        let is_extern = role == Role::Extern;
        let is_due = match self.lease(id) {
            None => true,
            Some(lease) => {
                !is_extern && (!lease.is_open() || !self.logind.is_live() || self.is_starting())
            }
        };
        if is_due && self.jobs[&id].processes == [pid].into() {
            // What was there was of another job with the same id.
            self.jobs.entry(id).or_default().has_told = false;
        }
        let moment = if is_extern { Moment::Extern } else { Moment::Step };
        let taken = if is_due { self.take(id, moment) } else { Ok(()) };
        self.note_keeper(id, role, pid)?;
        taken?;
        let is_known = self.limits(id).is_some();
        match self.lease(id) {
            Some(_) => self.hold(id, (is_extern || !is_known).then_some(limits)),
            None => Ok(()),
        }
    }

    pub(super) fn is_starting(&self) -> bool {
        record::state(&self.site.roots, self.uid).is_starting()
    }

    fn note_keeper(&mut self, id: u32, role: Role, pid: u32) -> Result<()> {
        let line = format!("{} {pid} 1", format!("{role:?}").to_lowercase());
        let state = record::state(&self.site.roots, self.uid);
        state.add_keeper(id, &line.parse().unwrap())?;
        if let Some(job) = self.jobs.get_mut(&id) {
            job.waits = false;
            job.has_told |= role == Role::Extern;
        }
        Ok(())
    }

    fn hold(&mut self, id: u32, limits: Option<Limits>) -> Result<()> {
        let (job, noted) = (self.job(id), limits.clone());
        if let Some(limits) = limits {
            record::state(&self.site.roots, self.uid).put_limits(id, &limits)?;
        }
        let held = confine_together(&mut self.logind, &self.site, job, budget());
        if held.is_ok() && noted.is_some() {
            assert_eq!(self.limits(id), noted);
        }
        held.inspect_err(|error| self.give_up(id, error))
    }

    fn release(&mut self, id: u32, pid: u32) -> Result<()> {
        let job = self.job(id);
        if record::is_unknown(&self.site.roots, self.uid) {
            return Ok(());
        }
        let line = format!("epilog {pid} 1").parse().unwrap();
        record::state(&self.site.roots, self.uid).add_keeper(id, &line)?;
        end_left(&self.site, job)?;
        release(&mut self.logind, &self.site, job, budget())
    }
}

fn budget() -> Budget {
    Budget::starting_now(Duration::from_secs(15))
}
