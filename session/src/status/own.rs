//! A job's own session (`session=job`): how far it has come by its record, and what the kernel counts of it.

use std::path::{Path, PathBuf};

use crate::outside::counted::number;
pub use crate::own::usage::Peaks;
use crate::record::own::OwnSession;
use crate::record::{INTERRUPTED, State};
use crate::terms::error::Result;
use crate::terms::roots::Roots;
use crate::terms::site::SessionKind;

/// One.
#[derive(Debug)]
pub struct OwnView {
    /// How far it has come.
    pub state: OwnState,
    /// Why it failed, or cannot be told.
    pub problem: Option<String>,
    /// Its cgroup, as /proc/PID/cgroup has it. None before the first step of the job that has it, and where the
    /// record does not tell.
    pub cgroup: Option<PathBuf>,
    /// What it uses.
    pub usage: OwnUsage,
}

/// How far a job's own session has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnState {
    /// It has not begun: the job's first step begins it.
    None,
    /// Its manager is being started; tasks wait for it.
    Opening,
    /// Its manager runs, and tasks enter it.
    Live,
    /// It could not be opened.
    Failed,
    /// Its manager has ended: the job's next step starts it again.
    Ended,
    /// Its record cannot be read.
    Unreadable,
}

/// What all that runs in a job's own session uses, and has used since that began. None where the kernel does not
/// count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnUsage {
    /// Bytes now (memory.current).
    pub memory: Option<u64>,
    /// Processes and threads now (pids.current).
    pub tasks: Option<u64>,
    /// At most, and in all.
    pub peaks: Peaks,
}

impl OwnView {
    /// None where the job has none of its own.
    pub(super) fn of(state: &State, job: u32, roots: &Roots) -> Option<Self> {
        if state.kind(job) != SessionKind::Own {
            return None;
        }
        Some(Self::told(state.own(job), roots))
    }

    fn told(record: Result<Option<OwnSession>>, roots: &Roots) -> Self {
        let (state, problem) = match &record {
            Ok(record) => state_of(record.as_ref(), &roots.proc),
            Err(error) => (OwnState::Unreadable, Some(error.to_string())),
        };
        let cgroup = record.ok().flatten().and_then(|own| own.cgroup);
        let usage = cgroup.as_ref().map(|below| OwnUsage::of(&roots.cgroup.join(below)));
        let cgroup = cgroup.map(|below| Path::new("/").join(below));
        Self { state, problem, cgroup, usage: usage.unwrap_or_default() }
    }
}

fn state_of(record: Option<&OwnSession>, proc: &Path) -> (OwnState, Option<String>) {
    let Some(own) = record else { return (OwnState::None, None) };
    if let Some(cause) = &own.failed {
        return (OwnState::Failed, Some(cause.clone()));
    }
    let has_guard = own.guard.is_some_and(|guard| guard.lives(proc));
    match own.manager {
        Some(_) if !own.lives(proc) => (OwnState::Ended, None),
        Some(_) if own.is_ready => (OwnState::Live, None),
        _ if has_guard => (OwnState::Opening, None),
        None if own.guard.is_none() => (OwnState::None, None),
        _ => (OwnState::Failed, Some(INTERRUPTED.to_owned())),
    }
}

impl OwnUsage {
    fn of(cgroup: &Path) -> Self {
        let of = |file| number(cgroup, file);
        let (memory, tasks) = (of("memory.current"), of("pids.current"));
        Self { memory, tasks, peaks: Peaks::of(cgroup) }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::*;
    use crate::record::own::Started;

    /// A process that runs, and one that has ended.
    const RUNS: Option<Started> = Some(Started { pid: 77, start: 998_877 });
    const GONE: Option<Started> = Some(Started { pid: 78, start: 1 });

    fn node() -> (tempfile::TempDir, Roots) {
        let dir = tempfile::tempdir().unwrap();
        let roots = Roots::below(dir.path());
        fs::create_dir_all(roots.proc.join("77")).unwrap();
        let stat = "77 (a) S 1 77 77 0 -1 4194560 1 0 0 0 1 2 0 0 20 0 1 0 998877 1";
        fs::write(roots.proc.join("77/stat"), stat).unwrap();
        (dir, roots)
    }

    /// Show each state that a session can be in, by what is written down at that time and what still runs.
    #[test]
    fn each_state_is_told() {
        let (_dir, roots) = node();
        let begun = OwnSession { cgroup: Some("a/session".into()), ..OwnSession::default() };
        let opening = OwnSession { guard: RUNS, ..begun.clone() };
        let up = OwnSession { manager: RUNS, ..opening.clone() };
        let live = OwnSession { is_ready: true, ..up.clone() };
        let failed = OwnSession { failed: Some("masked".into()), ..opening.clone() };
        for (own, expected) in [
            (OwnSession::default(), OwnState::None),
            (begun, OwnState::None),
            (OwnSession { guard: GONE, ..opening.clone() }, OwnState::Failed),
            (opening, OwnState::Opening),
            (OwnSession { guard: GONE, ..up.clone() }, OwnState::Failed),
            (up, OwnState::Opening),
            (OwnSession { manager: GONE, ..live.clone() }, OwnState::Ended),
            (OwnSession { guard: GONE, ..live.clone() }, OwnState::Live),
            (live, OwnState::Live),
            (failed, OwnState::Failed),
        ] {
            let told = format!("{own:?}");
            let view = OwnView::told(Ok(Some(own)), &roots);
            assert_eq!(view.state, expected, "{told}");
            assert_eq!(view.problem.is_some(), expected == OwnState::Failed, "{told}");
        }
        assert_eq!(OwnView::told(Ok(None), &roots).state, OwnState::None);
    }

    /// Show that what is used is read from the session's own cgroup, and that one which has gone uses nothing that is
    /// known.
    #[test]
    fn what_it_uses_is_the_kernels() {
        let (_dir, roots) = node();
        let cgroup = roots.cgroup.join("a/session");
        let used = || {
            let own = OwnSession { cgroup: Some("a/session".into()), ..OwnSession::default() };
            OwnView::told(Ok(Some(own)), &roots)
        };
        assert_eq!(used().usage, OwnUsage::default());
        assert_eq!(used().cgroup.unwrap(), Path::new("/a/session"));
        fs::create_dir_all(&cgroup).unwrap();
        for (file, text) in [
            ("memory.current", "1000\n"),
            ("memory.peak", "3000\n"),
            ("pids.current", "5\n"),
            ("pids.peak", "7\n"),
            ("cpu.stat", "usage_usec 1500000\n"),
        ] {
            fs::write(cgroup.join(file), text).unwrap();
        }
        let cpu = Some(Duration::from_millis(1500));
        let peaks = Peaks { memory: Some(3000), tasks: Some(7), cpu };
        assert_eq!(used().usage, OwnUsage { memory: Some(1000), tasks: Some(5), peaks });
    }
}
