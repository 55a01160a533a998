//! What `status` knows of a job's own session.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Serialize, Serializer};
use user_session::status::{OwnState, OwnView};

#[derive(Debug, Serialize)]
pub(crate) struct OwnSession {
    #[serde(serialize_with = "word")]
    pub(crate) state: OwnState,
    pub(crate) problem: Option<String>,
    pub(crate) cgroup: Option<PathBuf>,
    pub(crate) memory_bytes: Option<u64>,
    pub(crate) peak_memory_bytes: Option<u64>,
    pub(crate) tasks: Option<u64>,
    pub(crate) peak_tasks: Option<u64>,
    pub(crate) cpu_usec: Option<u64>,
}

impl From<OwnView> for OwnSession {
    fn from(view: OwnView) -> Self {
        let used = view.usage;
        Self {
            state: view.state,
            problem: view.problem,
            cgroup: view.cgroup,
            memory_bytes: used.memory,
            peak_memory_bytes: used.peaks.memory,
            tasks: used.tasks,
            peak_tasks: used.peaks.tasks,
            cpu_usec: used.peaks.cpu.and_then(micros),
        }
    }
}

/// As the JSON has it.
pub(super) fn micros(time: Duration) -> Option<u64> {
    time.as_micros().try_into().ok()
}

/// As it is shown, too.
pub(crate) fn name_of(state: OwnState) -> &'static str {
    match state {
        OwnState::None => "none",
        OwnState::Opening => "opening",
        OwnState::Live => "live",
        OwnState::Failed => "failed",
        OwnState::Ended => "ended",
        OwnState::Unreadable => "unreadable",
    }
}

// serde passes a reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn word<S: Serializer>(state: &OwnState, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(name_of(*state))
}
