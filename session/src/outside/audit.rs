//! Audit session ids: the mark that every process of a step keeps.
//!
//! A process inherits the id of the one that started it, however far it runs
//! away, and only a process with CAP_AUDIT_CONTROL gets another. The kernel gives
//! a fresh one to whoever writes its own loginuid (Linux 2.6.39 and later with
//! CONFIG_AUDIT, also where auditing is off).

use std::fs;
use std::path::Path;

use crate::outside::files::numbers_in;
use crate::outside::proc::{is_gone, sees_all};
use crate::outside::text::text;
use crate::terms::decimal::decimal;
use crate::terms::set::Set;

/// What `sessionid` and `loginuid` hold as long as they are unset.
const UNSET: u32 = u32::MAX;

/// The id of a process, if it has one. A process that is gone has none.
pub(crate) fn id_of(proc: &Path, pid: impl std::fmt::Display) -> Option<u32> {
    let text = text(&proc.join(format!("{pid}/sessionid"))).ok()?;
    parse(text.trim())
}

/// Reads an id; the one that stands for none is none, wherever it is written.
pub(crate) fn parse(text: &str) -> Option<u32> {
    decimal(text).filter(|id| *id != UNSET)
}

/// Reads a list of ids, a line each. A line without its end was cut off: what is
/// left of it may be the id of somebody else.
pub(crate) fn list(text: &str) -> Set<u32> {
    let lines = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
    lines.filter_map(parse).collect()
}

/// A list of ids, as it is written.
pub(crate) fn lines(ids: &[u32]) -> String {
    ids.iter().fold(String::new(), |lines, id| lines + &format!("{id}\n"))
}

/// Of a list of ids, those that a process on the node bears: an id that nobody bears
/// does not come back. None where that cannot be told.
pub(crate) fn borne_of(list: &str, proc: &Path) -> Option<String> {
    // What forks and ends between two looks into /proc may have been passed by.
    let borne = [borne(proc)?, borne(proc)?];
    let listed = self::list(list).into_iter();
    let stay = listed.filter(|id| borne.iter().any(|ids| ids.contains(id)));
    Some(lines(&stay.collect::<Vec<_>>()))
}

/// The ids that are borne on this node.
fn borne(proc: &Path) -> Option<Set<u32>> {
    let of = |pid: u32| text(&proc.join(format!("{pid}/sessionid")));
    if !sees_all(proc) || of(std::process::id()).is_err() {
        return None;
    }
    let mut found = Vec::new();
    for pid in numbers_in(proc, usize::MAX).ok()? {
        match of(pid) {
            Ok(text) => found.extend(parse(text.trim())),
            Err(error) if is_gone(&error) => {}
            Err(_) => return None,
        }
    }
    Some(found.into())
}

/// Gives this process, and what it starts from now on, an id of its own instead of `before`.
/// Answers false where the kernel has none, or does not let go of the one we
/// have (`auditctl --loginuid-immutable`).
pub(crate) fn renew(proc: &Path, uid: u32, before: Option<u32>) -> bool {
    let written = fs::write(proc.join("self/loginuid"), uid.to_string());
    let after = id_of(proc, "self");
    written.is_ok() && after.is_some() && after != before
}

/// Takes off the id that this process has from who forked it. Where that is not to be, what it starts ends with the
/// step which has it.
pub(crate) fn forget(proc: &Path) {
    let _ = fs::write(proc.join("self/loginuid"), UNSET.to_string());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Show that processes without an id are never taken for those of a job, and
    /// that half a line is nobody's.
    #[test]
    fn a_list_holds_whole_ids_only() {
        assert_eq!(list("7\n4294967295\n+8\n\n9\n1"), [7, 9].into());
        assert_eq!(list(""), Set::default());
    }
}
