//! Processes in cgroups that are nested too deep for a path.
//!
//! Who may make cgroups may nest them beyond PATH_MAX (cgroup.max.depth is `max`
//! by default). No file of theirs can be opened by its path then, and
//! /proc/pid/cgroup does not tell it either: reading it is ENAMETOOLONG.

use std::fs;
use std::path::Path;

use nix::libc::ENAMETOOLONG;

use crate::decimal::decimal;

/// In bytes, seen from the slice. What is below is not searched by its path: each
/// level would cost a longer one, without an end.
const LONGEST: usize = 2048;

/// Whether what is below `cgroup` is to be found by [`pids_below`] alone.
pub(crate) fn is_too_deep(cgroup: &Path) -> bool {
    cgroup.as_os_str().len() > LONGEST
}

/// The processes below `cgroup`, and any whose cgroup /proc cannot tell.
pub(crate) fn pids_below(slice: &Path, cgroup: &Path, proc: &Path) -> Vec<i32> {
    let Some(slice) = slice.file_name() else { return Vec::new() };
    let below = format!("/{}/", Path::new(slice).join(cgroup).to_string_lossy());
    let is_below = |pid: &i32| match fs::read(proc.join(format!("{pid}/cgroup"))) {
        Ok(text) => String::from_utf8_lossy(&text).contains(&below),
        Err(error) => error.raw_os_error() == Some(ENAMETOOLONG),
    };
    let entries = fs::read_dir(proc).into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| decimal(entry.file_name().to_str()?));
    pids.filter(is_below).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Show that what is below a branch is found by what /proc tells of it.
    #[test]
    fn a_branch_is_searched_from_below() {
        let proc = tempfile::tempdir().unwrap();
        let branch = Path::new("user@7.service/deep");
        for (pid, cgroup) in [(1, "/deep/er"), (2, "/deep"), (3, "/deeper")] {
            let dir = proc.path().join(pid.to_string());
            fs::create_dir(&dir).unwrap();
            let text = format!("0::/user.slice/user-7.slice/user@7.service{cgroup}\n");
            fs::write(dir.join("cgroup"), text).unwrap();
        }
        let slice = Path::new("/sys/fs/cgroup/user.slice/user-7.slice");
        assert_eq!(pids_below(slice, branch, proc.path()), [1]);
        assert!(!is_too_deep(branch));
    }
}
