//! The processes of a session by what /proc tells of each on the node.
//!
//! A user makes cgroups as they like: without end, and nested beyond PATH_MAX,
//! where no file of theirs can be opened by its path and reading
//! /proc/pid/cgroup is ENAMETOOLONG. What this costs is bounded by processes.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use libc::ENAMETOOLONG;

use crate::outside::audit;
use crate::outside::text::bytes;
use crate::terms::decimal::decimal;
use crate::terms::roots::{Roots, manager};

/// The processes below the slice of `uid`, with their cgroups seen from it. One
/// whose cgroup the kernel cannot tell counts as the manager's, whoever it is of:
/// an audit session id will tell, and one without is left out.
pub(crate) fn pids(roots: &Roots, uid: u32) -> Vec<(i32, PathBuf)> {
    let slice = roots.slice(uid);
    let slice = slice.strip_prefix(&roots.cgroup).unwrap_or(&slice);
    let entries = fs::read_dir(&roots.proc).into_iter().flatten().flatten();
    let all = entries.filter_map(|entry| decimal(entry.file_name().to_str()?));
    let found = all.filter_map(|pid: i32| {
        let cgroup = match bytes(&roots.proc.join(format!("{pid}/cgroup"))) {
            Ok(listed) => below(slice, &listed)?,
            Err(error) if error.raw_os_error() == Some(ENAMETOOLONG) => {
                audit::id_of(&roots.proc, pid)?;
                manager(uid)
            }
            Err(_) => return None,
        };
        Some((pid, cgroup))
    });
    found.collect()
}

/// Those of a user: their numbers, and where /proc has what it tells of each.
pub(crate) fn processes_of(roots: &Roots, uid: u32) -> impl Iterator<Item = (i32, PathBuf)> {
    let entries = fs::read_dir(&roots.proc).into_iter().flatten().flatten();
    entries.filter_map(move |entry| {
        let pid = decimal(entry.file_name().to_str()?)?;
        (entry.metadata().ok()?.uid() == uid).then(|| (pid, entry.path()))
    })
}

/// The cgroup seen from `slice`, in the unified hierarchy's line (cgroups(7)).
fn below(slice: &Path, listed: &[u8]) -> Option<PathBuf> {
    let line = listed.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"0::/"))?;
    Path::new(OsStr::from_bytes(line)).strip_prefix(slice).ok().map(Path::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Show that a process counts where its cgroup is below the slice, whatever the
    /// cgroup's name is, and not where only the name looks like it.
    #[test]
    fn a_process_is_known_by_its_line() {
        let slice = Path::new("user.slice/user-7.slice");
        let of = |line: &[u8]| below(slice, line);
        let found = of(b"1:name=systemd:/\n0::/user.slice/user-7.slice/a\xff/b\n").unwrap();
        assert_eq!(found.as_os_str().as_bytes(), b"a\xff/b");
        assert_eq!(of(b"0::/user.slice/user-7.slice\n"), Some(PathBuf::new()));
        assert_eq!(of(b"0::/user.slice/user-70.slice/a\n"), None);
        assert_eq!(of(b"0::/evil/user.slice/user-7.slice/a\n"), None);
        assert_eq!(of(b""), None);
    }
}
