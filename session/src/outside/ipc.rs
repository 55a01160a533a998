//! What logind would delete with the session, although others still need it.
//!
//! With RemoveIPC=yes (logind.conf(5), the default) the end of a user's last
//! session removes all System V and POSIX objects that the user owns on the
//! node. Without us a batch job has no session, so it does not expect that.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::outside::podmans_lock::PODMANS_LOCK;
use crate::outside::processes::{name_in, printable};
use crate::outside::scan::processes_of;
use crate::outside::text::{bytes, text};
use crate::terms::decimal::decimal;
use crate::terms::roots::Roots;

/// A process of the user outside the session, if there is one and the user owns
/// objects that logind would delete: for the message.
pub(crate) fn in_use(roots: &Roots, uid: u32) -> Option<String> {
    let process = || process_outside(roots, uid);
    object(roots, uid).zip(process()).map(|(object, process)| format!("{process} may use {object}"))
}

fn object(roots: &Roots, uid: u32) -> Option<String> {
    let tables = ["shm", "sem", "msg"].into_iter().find_map(|table| {
        let listed = text(&roots.proc.join("sysvipc").join(table)).ok()?;
        owns_a_row(&listed, uid).then(|| format!("System V {table}"))
    });
    let files = || ["shm", "mqueue"].iter().find_map(|dir| file_of(&roots.dev.join(dir), uid));
    tables.or_else(files)
}

/// The tables in /proc/sysvipc have one header line (proc_sysvipc(5)).
pub(crate) fn owns_a_row(table: &str, uid: u32) -> bool {
    let mut rows = table.lines().map(str::split_whitespace);
    let Some(column) = rows.next().and_then(|mut header| header.position(|name| name == "uid"))
    else {
        return false;
    };
    rows.any(|mut row| row.nth(column).and_then(decimal) == Some(uid))
}

fn file_of(dir: &Path, uid: u32) -> Option<String> {
    let mut entries = fs::read_dir(dir).ok()?.flatten();
    let owned = entries.find(|entry| {
        let is_podmans = entry.file_name().to_string_lossy().starts_with(PODMANS_LOCK);
        !is_podmans && entry.metadata().is_ok_and(|found| found.uid() == uid)
    });
    owned.map(|entry| printable(&entry.path().to_string_lossy()))
}

fn process_outside(roots: &Roots, uid: u32) -> Option<String> {
    let inside = format!("/user-{uid}.slice/");
    processes_of(roots, uid).find_map(|(pid, process)| {
        let cgroup = bytes(&process.join("cgroup")).ok()?;
        let name = name_in(&bytes(&process.join("comm")).ok()?);
        let is_inside = cgroup.windows(inside.len()).any(|part| part == inside.as_bytes());
        (!is_inside).then(|| format!("pid {pid} ({name})"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "       key      shmid perms                  size  cpid  lpid nattch   uid   gid\n\
        0          3   644                  1000  4711  4711      0  1001  1001\n";

    /// Show that an object counts only while a process outside could use it, and
    /// that the message names both, in one line whatever the user has called them.
    #[test]
    fn an_object_needs_a_process_outside() {
        let root = tempfile::tempdir().unwrap();
        let roots = Roots::below(root.path());
        let uid = nix::unistd::getuid().as_raw();
        let process = roots.proc.join("4711");
        fs::create_dir_all(&process).unwrap();
        fs::create_dir_all(roots.dev.join("shm")).unwrap();
        fs::write(process.join("comm"), b"mpi\xff\n").unwrap();
        fs::write(process.join("cgroup"), "0::/system.slice/slurmstepd.scope/job_2/step_0\n")
            .unwrap();
        fs::write(roots.dev.join("shm/libpod_rootless_lock_1001"), "").unwrap();
        assert_eq!(in_use(&roots, uid), None);
        fs::write(roots.dev.join("shm/segment\nlinger: "), "").unwrap();
        let segment = roots.dev.join("shm/segment?linger: ");
        let expected = format!("pid 4711 (mpi\u{fffd}) may use {}", segment.display());
        assert_eq!(in_use(&roots, uid), Some(expected));
        let inside = format!("0::/user.slice/user-{uid}.slice/user@{uid}.service/init.scope\n");
        fs::write(process.join("cgroup"), inside).unwrap();
        assert_eq!(in_use(&roots, uid), None);
    }

    /// Show that a System V table is read by its header.
    #[test]
    fn a_table_is_read_by_its_header() {
        assert!(owns_a_row(TABLE, 1001));
        assert!(!owns_a_row(TABLE, 4711));
        assert!(!owns_a_row("", 0));
    }
}
