//! Audit session ids: the mark that every process of a step keeps.
//!
//! A process inherits the id of the one that started it, however far it runs
//! away, and only a process with CAP_AUDIT_CONTROL gets another. The kernel gives
//! a fresh one to whoever writes its own loginuid (Linux 2.6.39 and later with
//! CONFIG_AUDIT, also where auditing is off).

use std::fs;
use std::path::Path;

/// What `sessionid` and `loginuid` hold as long as they are unset.
const UNSET: u32 = u32::MAX;

/// The id of a process, if it has one. A process that is gone has none.
pub(crate) fn id_of(proc: &Path, pid: impl std::fmt::Display) -> Option<u32> {
    let text = fs::read_to_string(proc.join(format!("{pid}/sessionid"))).ok()?;
    text.trim().parse().ok().filter(|id| *id != UNSET)
}

/// Gives this process, and what it starts from now on, an id of its own.
/// Answers false where the kernel has none, or does not let go of the one we
/// have (`auditctl --loginuid-immutable`).
pub(crate) fn renew(proc: &Path, uid: u32) -> bool {
    let before = id_of(proc, "self");
    let written = fs::write(proc.join("self/loginuid"), uid.to_string());
    let after = id_of(proc, "self");
    written.is_ok() && after.is_some() && after != before
}
