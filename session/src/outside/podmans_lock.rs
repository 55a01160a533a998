//! The file of Podman's locks (shm_overview(7)), one for a user and node, which numbers their containers.
//!
//! To whose books are made anew it has to be new as well: Podman fails to take the same locks again. To others it must
//! stay: with a new one Podman gives a new container the lock of another. No Podman has it mapped for longer than it
//! runs, so who uses it is not to be seen.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::fcntl::AtFlags;
use nix::sys::stat::{major, minor};
use nix::unistd::{Uid, fchownat};
use rustix::fs::{XattrFlags, setxattr};

use crate::outside::mounts::{by_descriptor, hold_file};
use crate::outside::scan::processes_of;
use crate::outside::text::bytes;
use crate::terms::roots::Roots;

/// How each begins that Podman makes for a user.
pub(crate) const PODMANS_LOCK: &str = "libpod_rootless_lock_";

/// Keeps it from logind, which removes all that a user owns there as their last login ends (logind.conf(5),
/// RemoveIPC=): it is root's, and its user may read and write it, from now on. A user could give it more names than
/// this one only before.
pub(crate) fn keep(roots: &Roots, uid: u32) {
    let Ok((held, found)) = find(roots, uid) else { return };
    if found.uid() == uid && found.nlink() == 1 {
        let file = by_descriptor(&held);
        let kept = setxattr(&file, "system.posix_acl_access", &open_to(uid), XattrFlags::empty())
            .map_err(io::Error::from)
            .and_then(|()| give(&held, 0));
        kept.unwrap_or_else(|error| log::debug!("uid {uid}: keep Podman's lock: {error}"));
    }
}

/// It is its user's again: to be removed with their login.
pub(crate) fn give_back(roots: &Roots, uid: u32) {
    if let Ok((held, found)) = find(roots, uid)
        && found.uid() == 0
    {
        let given = give(&held, uid);
        given.unwrap_or_else(|error| log::debug!("uid {uid}: give Podman's lock back: {error}"));
    }
}

/// Removes it with the session. logind does when it forgets the user, 10 s after the session, and the next job may be
/// faster. Left where a process of the user's has it mapped.
pub(crate) fn remove(roots: &Roots, uid: u32) {
    give_back(roots, uid);
    let Ok((_, found)) = find(roots, uid) else { return };
    if found.uid() == uid && !is_mapped(roots, uid, &found) {
        let file = path(roots, uid);
        let removed = fs::remove_file(&file);
        removed.unwrap_or_else(|error| log::debug!("remove {}: {error}", file.display()));
    }
}

/// Where it is.
pub(crate) fn path(roots: &Roots, uid: u32) -> PathBuf {
    roots.dev.join(format!("shm/{PODMANS_LOCK}{uid}"))
}

fn find(roots: &Roots, uid: u32) -> io::Result<(fs::File, Metadata)> {
    let held = hold_file(&path(roots, uid))?;
    let found = held.metadata()?;
    if found.is_file() { Ok((held, found)) } else { Err(io::ErrorKind::InvalidInput.into()) }
}

fn give(held: &fs::File, uid: u32) -> io::Result<()> {
    Ok(fchownat(held, "", Some(Uid::from_raw(uid)), None, AtFlags::AT_EMPTY_PATH)?)
}

/// An access control list that lets its owner and that user read and write, and nobody else (acl(5), as the kernel has
/// it in linux/posix_acl_xattr.h: a version, and of each entry its tag, what it permits, and whom).
fn open_to(uid: u32) -> Vec<u8> {
    const NOBODY: u32 = u32::MAX;
    let entries: [(u16, u16, u32); 5] = [
        (0x01, 6, NOBODY),
        (0x02, 6, uid),
        (0x04, 0, NOBODY),
        (0x10, 6, NOBODY),
        (0x20, 0, NOBODY),
    ];
    let entries = entries.into_iter().flat_map(|(tag, permits, whom)| {
        [&tag.to_le_bytes()[..], &permits.to_le_bytes(), &whom.to_le_bytes()].concat()
    });
    2u32.to_le_bytes().into_iter().chain(entries).collect()
}

/// By its number: a name may be another file's in a process's own mount namespace. What cannot be read counts,
/// unless the process is gone.
fn is_mapped(roots: &Roots, uid: u32, file: &Metadata) -> bool {
    // As proc_pid_maps(5) has it: `00:19 1234`.
    let (major, minor) = (major(file.dev()), minor(file.dev()));
    let number = format!(" {major:02x}:{minor:02x} {} ", file.ino());
    let maps = |process: &Path| match bytes(&process.join("maps")) {
        Ok(maps) => maps.windows(number.len()).any(|part| part == number.as_bytes()),
        Err(_) => process.exists(),
    };
    processes_of(roots, uid).any(|(_, process)| maps(&process))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outside::apart::is_done_apart;
    use std::os::unix::fs::symlink;

    fn lock_below(roots: &Roots, uid: u32) -> PathBuf {
        fs::create_dir_all(roots.dev.join("shm")).unwrap();
        let lock = path(roots, uid);
        fs::write(&lock, "").unwrap();
        lock
    }

    /// Show that Podman's lock goes with the session, unless a process has it mapped, by whatever name, or what
    /// one has mapped cannot be read.
    #[test]
    fn podmans_lock_goes_unless_it_is_in_use() {
        let root = tempfile::tempdir().unwrap();
        let roots = Roots::below(root.path());
        let uid = nix::unistd::getuid().as_raw();
        let process = roots.proc.join("4711");
        fs::create_dir_all(&process).unwrap();
        let lock = lock_below(&roots, uid);
        let found = fs::metadata(&lock).unwrap();
        let mapped = |inode: u64| {
            let (major, minor) = (major(found.dev()), minor(found.dev()));
            let row = format!("7f00-7f01 rw-s 00000000 {major:02x}:{minor:02x} {inode}    /x\n");
            fs::write(process.join("maps"), row).unwrap();
        };
        mapped(found.ino());
        remove(&roots, uid);
        assert!(lock.exists());
        fs::remove_file(process.join("maps")).unwrap();
        remove(&roots, uid);
        assert!(lock.exists(), "it could not be read");
        mapped(found.ino() + 1);
        remove(&roots, uid);
        assert!(!lock.exists());
    }

    /// Show that only Podman's own file is kept and given back, and no other of a user's that has its name.
    #[test]
    fn no_other_file_changes_hands() {
        if is_done_apart("outside::podmans_lock::tests::no_other_file_changes_hands") {
            return;
        }
        let root = tempfile::tempdir().unwrap();
        let roots = Roots::below(root.path());
        let uid = 4711;
        let lock = lock_below(&roots, uid);
        let owner = |file: &Path| fs::metadata(file).unwrap().uid();
        std::os::unix::fs::chown(&lock, Some(uid), None).unwrap();
        let other = root.path().join("other");
        fs::hard_link(&lock, &other).unwrap();
        keep(&roots, uid);
        assert_eq!(owner(&lock), uid, "it has two names");
        fs::remove_file(&lock).unwrap();
        symlink(&other, &lock).unwrap();
        keep(&roots, uid);
        assert_eq!(owner(&other), uid, "it is a link");
        fs::rename(&other, &lock).unwrap();
        keep(&roots, uid);
        assert_eq!(owner(&lock), 0);
        give_back(&roots, uid);
        assert_eq!(owner(&lock), uid);
        keep(&roots, uid);
        remove(&roots, uid);
        assert!(!lock.exists());
    }
}
