//! What holds, after which operation.

use std::collections::BTreeMap;

use super::logind::Manager;
use super::slurm::Trouble;
use super::world::{JobNow, World};
use crate::limits::amounts::Limits;
use crate::outside::properties::{INFINITY, Properties};
use crate::record::Lease;
use crate::terms::error::Result;
use crate::terms::job::Role;

/// A node that is checked after each operation.
pub(super) struct Checked {
    pub(super) world: World,
}

/// What there was before an operation.
// Facts that have nothing to do with each other.
#[allow(clippy::struct_excessive_bools)]
struct Earlier {
    leases: BTreeMap<u32, Lease>,
    is_live: bool,
    has_record: bool,
    must_stay: bool,
    is_confined: bool,
}

impl Checked {
    pub(super) fn prolog(&mut self, id: u32, trouble: Trouble) {
        let earlier = self.earlier();
        let done = self.world.prolog(id, trouble);
        self.check_any(&earlier, Some(id), trouble, done.as_ref());
        match done {
            Some(done) => self.check_taken(&earlier, id, trouble, &done),
            None => self.check_killed(&earlier, id),
        }
    }

    pub(super) fn step(&mut self, id: u32, role: Role, limits: Limits, trouble: Trouble) {
        let earlier = self.earlier();
        let done = self.world.step(id, role, limits, trouble);
        self.check_any(&earlier, Some(id), trouble, done.as_ref());
        // Without a session it had nothing to hold.
        if matches!(done, Some(Ok(()))) && self.holds(id) {
            self.check_confined();
        }
    }

    pub(super) fn end(&mut self, id: u32, epilog: Option<Trouble>) {
        let earlier = self.earlier();
        let done = self.world.end(id, epilog);
        // It waits for no manager that hangs.
        let trouble = epilog.filter(|trouble| *trouble != Trouble::Hangs).unwrap_or(Trouble::None);
        self.check_any(&earlier, Some(id), trouble, done.as_ref());
        if matches!(done, Some(Ok(()))) {
            assert_eq!(self.world.lease(id), None);
            self.check_swept(None);
            self.check_confined();
            self.check_put_back();
            self.check_gone(&earlier);
        }
    }

    pub(super) fn slurmd_starts(&mut self, trouble: Trouble) {
        let earlier = self.earlier();
        let done = self.world.slurmd_starts(trouble);
        self.check_any(&earlier, None, trouble, done.as_ref());
        if matches!(done, Some(Ok(()))) {
            assert_eq!(self.world.kept(), None, "kept beyond slurmd's start");
            self.check_none_is_over();
            self.check_confined();
            self.check_put_back();
        }
    }

    pub(super) fn guard_calls(&mut self, is_due: bool, trouble: Trouble) {
        let earlier = self.earlier();
        let was_kept = self.world.kept().is_some();
        let done = self.world.guard_calls(is_due, trouble);
        self.check_any(&earlier, None, trouble, done.as_ref());
        if was_kept && matches!(done, Some(Ok(()))) {
            self.check_put_back();
            if is_due || self.world.logind.is_logged_in {
                assert_eq!(self.world.kept(), None, "a keep that is over");
            }
        }
    }

    pub(super) fn reboot(&mut self) {
        self.world.reboot();
        self.world.forget_dropped();
        self.check_record();
    }

    fn earlier(&self) -> Earlier {
        let world = &self.world;
        Earlier {
            leases: world.leases(),
            is_live: world.logind.is_live(),
            has_record: world.has_record(),
            must_stay: world.must_stay(),
            is_confined: self
                .expected_slice()
                .is_none_or(|slice| world.logind.slice_now() == slice && !world.logind.is_closed()),
        }
    }

    fn check_any(
        &mut self,
        earlier: &Earlier,
        of: Option<u32>,
        trouble: Trouble,
        done: Option<&Result<()>>,
    ) {
        self.check_record();
        self.check_frozen();
        self.check_others(earlier, of);
        self.world.forget_dropped();
        if trouble == Trouble::None {
            assert!(matches!(done, None | Some(Ok(()))), "without trouble: {done:?}");
        }
    }

    /// Always, also after a kill: where nothing is written down, linger is as it
    /// was before the first lease.
    fn check_record(&mut self) {
        if self.world.has_record() {
            return;
        }
        if let Some(before) = self.world.before.take() {
            assert_eq!(self.world.logind.lingers(), before, "linger, and no record of it");
        }
    }

    /// Always, also after a kill: what is frozen is written down, and no job has it;
    /// what is kept is frozen, and somebody will call to end it.
    fn check_frozen(&self) {
        let (kept, logind) = (self.world.kept(), &self.world.logind);
        assert!(!logind.is_frozen || kept.is_some(), "frozen, and no record of it");
        let is_held = self.world.leases().values().any(Lease::is_open);
        assert!(!is_held || kept.is_none(), "kept under a job");
        if kept.is_some_and(|left| !left.is_zero()) {
            assert!(logind.is_guarded, "kept without an end");
            assert!(logind.is_frozen || logind.manager != Manager::Up, "kept, and not frozen");
        }
    }

    /// Always, also after a kill: what is done for one job neither drops nor
    /// changes the lease of another that is not over, nor closes its session, or
    /// one whose end is put off.
    /// Only the start of slurmd drops that of a job which has not begun.
    fn check_others(&self, earlier: &Earlier, of: Option<u32>) {
        let stays = |id: &u32| {
            let job = self.job(*id);
            Some(*id) != of && !job.is_over() && (of.is_some() || !job.waits)
        };
        let mut is_held = earlier.must_stay;
        for (id, lease) in earlier.leases.iter().filter(|(id, _)| stays(id)) {
            assert_eq!(self.world.lease(*id).as_ref(), Some(lease), "the lease of job {id}");
            is_held |= lease.is_open();
        }
        // That no job has one that is frozen is checked already.
        let is_there = self.world.logind.is_live() || self.world.logind.is_frozen;
        assert!(is_there || !is_held || !earlier.is_live, "closed under a job");
    }

    /// After a prolog that was not killed: an open lease means a live session, or one that starts, and
    /// no lease is open without one. What a failure has undone is undone.
    fn check_taken(&self, earlier: &Earlier, id: u32, trouble: Trouble, done: &Result<()>) {
        let is_open = self.holds(id);
        assert_eq!(is_open, done.is_ok(), "the lease after {done:?}");
        let is_live = self.is_live_or_to_be();
        assert!(!is_open || is_live, "open without a session");
        self.check_swept(Some(id));
        if done.is_err() && !matches!(trouble, Trouble::NoBus { .. }) {
            self.check_confined();
            self.check_put_back();
        }
        if earlier.is_confined && done.is_ok() {
            self.check_confined();
        }
    }

    /// A step waits for what starts.
    fn is_live_or_to_be(&self) -> bool {
        let (world, logind) = (&self.world, &self.world.logind);
        logind.is_live() || logind.comes_back() || world.is_starting() && logind.lingers()
    }

    /// After a prolog that was killed: it has opened no lease without a session.
    fn check_killed(&self, earlier: &Earlier, id: u32) {
        let was_open = earlier.leases.get(&id).is_some_and(Lease::is_open);
        let is_live = self.is_live_or_to_be();
        assert!(was_open || is_live || !self.holds(id), "open without a session");
    }

    /// After a prolog or an epilog: no lease of another job whose extern step was
    /// noted and that is over.
    fn check_swept(&self, but: Option<u32>) {
        for id in self.world.leases().into_keys().filter(|id| Some(*id) != but) {
            let job = self.job(id);
            assert!(!(job.is_over() && job.has_told), "the lease of job {id}, which is over");
        }
    }

    /// After slurmd's start: no lease of a job that is over.
    fn check_none_is_over(&self) {
        for id in self.world.leases().into_keys() {
            assert!(!self.job(id).is_over(), "the lease of job {id}, which is over");
        }
    }

    /// After a prolog that found it so, a step's beginning, an epilog, or slurmd's start: the slice is held
    /// to what the jobs may use together, whatever their leases say, and to nothing else.
    fn check_confined(&self) {
        if let Some(expected) = self.expected_slice() {
            assert_eq!(self.world.logind.slice_now(), expected, "the slice");
            assert!(!self.world.logind.is_closed(), "no job is refused a device");
        }
    }

    fn expected_slice(&self) -> Option<Properties> {
        let known = self.world.leases().into_keys().filter_map(|id| self.world.limits(id));
        let known: Vec<Limits> = known.collect();
        (!known.is_empty()).then(|| capped(&self.world.slice_before.0, &known))
    }

    /// After an epilog, slurmd's start, or a prolog that failed, if no job holds
    /// the session and nothing outside needs it: linger is as it was, and nothing is left to undo; without any
    /// lease there is no file of ours.
    fn check_put_back(&self) {
        let leases = self.world.leases();
        let is_kept = self.world.kept().is_some_and(|left| !left.is_zero());
        if leases.values().any(Lease::is_open) || self.world.must_stay() || is_kept {
            return;
        }
        assert_eq!(self.world.kept(), None, "a keep that is over");
        assert!(!self.world.has_record(), "a record, and no lease");
        if leases.is_empty() {
            let slice = (self.world.logind.slice_now(), self.world.logind.drop_ins());
            assert_eq!(slice, self.world.slice_before, "the slice without a lease");
            assert!(!self.world.logind.is_closed(), "a slice that stays has not its devices back");
        }
        assert!(!leases.is_empty() || self.world.is_empty(), "files without a lease");
        let ends =
            matches!(self.world.logind.manager, Manager::Down | Manager::Stopping { again: false });
        assert!(ends || self.world.logind.is_wanted(), "a session without linger");
    }

    /// After an epilog that had something to undo: the session is gone with its
    /// directory, unless the user lingers.
    fn check_gone(&self, earlier: &Earlier) {
        if earlier.has_record && !self.world.has_record() && !self.world.logind.is_wanted() {
            assert_eq!(self.world.logind.manager, Manager::Down);
            let roots = &self.world.site.roots;
            assert!(!roots.runtime_dir(self.world.uid).exists(), "its directory");
        }
    }

    fn holds(&self, id: u32) -> bool {
        self.world.lease(id).is_some_and(|lease| lease.is_open())
    }

    fn job(&self, id: u32) -> JobNow {
        self.world.jobs.get(&id).cloned().unwrap_or_default()
    }
}

/// The slice of these jobs, where the admin's limits are not lower: computed here
/// anew, bit by bit.
fn capped(before: &Properties, jobs: &[Limits]) -> Properties {
    let least = |of: fn(&Limits) -> Option<u64>, before: u64| {
        let sum: Option<u64> = jobs.iter().map(of).sum();
        sum.unwrap_or(INFINITY).min(before)
    };
    let masks = jobs.iter().map(|job| Some(job.cpus.as_ref()?.to_mask()[0]));
    let all: Option<Vec<u8>> = masks.collect();
    let union = all.map_or(0, |masks| masks.into_iter().fold(0, |all, mask| all | mask));
    let allowed_cpus = match union & before.allowed_cpus[0] {
        0 => before.allowed_cpus.clone(),
        both => vec![both],
    };
    Properties {
        memory_max: least(|job| job.memory, before.memory_max),
        memory_swap_max: least(|job| job.swap, before.memory_swap_max),
        tasks_max: least(|job| job.tasks, before.tasks_max),
        allowed_cpus,
        ..before.clone()
    }
}
