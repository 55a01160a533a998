//! What is mounted where, without a word to the file system that it is.
//!
//! A user may mount a file system of their own (FUSE) over any directory or file of
//! theirs. Its daemon answers when and what it likes: `stat` by root fails there
//! (EACCES) or waits for ever (`allow_root`), with the user's lock held. To take hold
//! of a mount's root (O_PATH), and to ask /proc which one it is, need no answer.

use std::ffi::{CString, OsStr};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::mount::{MntFlags, MsFlags, umount2};

use crate::outside::processes::printable;
use crate::outside::text::{all_bytes, text};
use crate::terms::decimal::decimal;

/// The file system of a runtime directory.
pub(crate) const OF_SYSTEMD: &str = "tmpfs";

/// As many as fusermount3 lets all users have together.
const MOST: u32 = 1000;

/// A mount (proc_pid_mountinfo(5)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mount {
    /// Where it is; with `\040` for a space.
    pub(crate) point: PathBuf,
    /// The type of its file system: `fuse.sshfs`. A user has a say in it.
    pub(crate) kind: String,
}

/// Takes hold of a directory, whatever is mounted there.
pub(crate) fn hold(dir: &Path) -> io::Result<File> {
    opened(dir, OFlag::O_DIRECTORY)
}

/// The same of whatever it is, a link as well.
pub(crate) fn hold_file(file: &Path) -> io::Result<File> {
    opened(file, OFlag::empty())
}

fn opened(path: &Path, more: OFlag) -> io::Result<File> {
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | more;
    OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)
}

/// The mount that it is in; while it is held no other has that number. None where
/// the mount is no more: only who holds it has it still.
// Both of its callers would have it.
#[inline(never)]
pub(crate) fn mount_of(held: &File) -> io::Result<Option<Mount>> {
    let about = text(Path::new(&format!("/proc/self/fdinfo/{}", held.as_raw_fd())))?;
    let Some(id) = id_in(&about) else { return Ok(None) };
    // Whatever its size: a user's mounts with long names, which need be no text, must not
    // hide another's.
    let mounts = all_bytes(Path::new("/proc/self/mountinfo"))?;
    Ok(String::from_utf8_lossy(&mounts).split('\n').find_map(|line| mount_in(line, id)))
}

/// mount(2), by texts that nix need not copy: of its generic one each caller would have hundreds of bytes.
pub(crate) fn mount(
    with: &Path,
    at: &Path,
    kind: &str,
    how: MsFlags,
    options: &str,
) -> io::Result<()> {
    let all = [with.as_os_str(), at.as_os_str(), OsStr::new(kind), OsStr::new(options)];
    let [with, at, kind, options] = all.map(|text| CString::new(text.as_bytes()));
    Ok(nix::mount::mount(Some(&*with?), &*at?, Some(&*kind?), how, Some(&*options?))?)
}

/// A file system in memory, of ours.
pub(crate) fn put_tmpfs(dir: &Path, options: &str) -> io::Result<()> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Path::new("linger"), dir, "tmpfs", flags, options)
}

pub(crate) fn cover(with: &Path, at: &Path) -> io::Result<()> {
    mount(with, at, "", MsFlags::MS_BIND, "")
}

/// mount(2) takes such a path for what the descriptor is of, wherever that has been moved to.
pub(crate) fn by_descriptor(file: &impl AsFd) -> PathBuf {
    format!("/proc/self/fd/{}", file.as_fd().as_raw_fd()).into()
}

/// Whatever is in use of it; a link is not followed.
pub(crate) fn take_off(mount: &Path) -> nix::Result<()> {
    umount2(mount, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW)
}

/// Takes off what a user has mounted over a directory of systemd's: that takes one
/// mount off when the session ends, and cannot remove the directory under a second
/// (systemd 257). A detached mount is not waited for, whoever is its daemon.
pub(crate) fn uncover(dir: &Path) {
    for _ in 0..MOST {
        let mount = hold(dir).and_then(|held| mount_of(&held)).ok().flatten();
        if mount.is_none_or(|mount| mount.point != dir || mount.kind == OF_SYSTEMD) {
            return;
        }
        if let Err(error) = take_off(dir) {
            return log::debug!("unmount {}: {error}", dir.display());
        }
    }
}

/// The number of the mount, in what there is to say of a descriptor (Linux 3.15).
fn id_in(about: &str) -> Option<u64> {
    decimal(about.lines().find_map(|line| line.strip_prefix("mnt_id:"))?.trim())
}

/// The mount that a line tells of, if it is that one. Optional fields end with a `-`,
/// which is no field before: paths begin with a slash.
fn mount_in(line: &str, id: u64) -> Option<Mount> {
    let (own, of_its_kind) = line.split_once(" - ")?;
    let mut fields = own.split(' ');
    if decimal(fields.next()?) != Some(id) {
        return None;
    }
    let point = fields.nth(3)?.into();
    Some(Mount { point, kind: printable(of_its_kind.split(' ').next()?) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// Show that a mount is known by its number, and what it is by its line.
    #[test]
    fn a_mount_is_known_by_its_number() {
        let about = "pos:\t0\nflags:\t012600000\nmnt_id:\t87\nino:\t1\n";
        assert_eq!(id_in(about), Some(87));
        assert_eq!(id_in("pos:\t0\nflags:\t0100000\n"), None);
        let line =
            "87 66 0:42 / /run/user/7 rw,nosuid shared:3 master:1 - fuse.a\x1bb h3 rw,user_id=7";
        let (point, kind) = (PathBuf::from("/run/user/7"), "fuse.a?b".into());
        assert_eq!(mount_in(line, 87), Some(Mount { point, kind }));
        assert_eq!(mount_in(line, 8), None);
        for broken in ["", "87", "87 - tmpfs", "87 66 0:42 / /run/user/7 rw"] {
            assert_eq!(mount_in(broken, 87), None, "{broken}");
        }
    }

    /// Show that a real directory is held with the mount it is in, which is not its
    /// own, and that no link and no file is taken for one.
    #[test]
    fn a_directory_is_held() {
        let root = tempfile::tempdir().unwrap();
        let mount = mount_of(&hold(root.path()).unwrap()).unwrap().unwrap();
        assert!(root.path().starts_with(&mount.point) && root.path() != mount.point, "{mount:?}");
        let (link, file) = (root.path().join("link"), root.path().join("file"));
        symlink(root.path(), &link).unwrap();
        std::fs::write(&file, "").unwrap();
        for none in [link, file] {
            assert_eq!(hold(&none).unwrap_err().kind(), io::ErrorKind::NotADirectory);
        }
    }
}
