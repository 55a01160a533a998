//! The cgroups in another, and its removal with all below it, however deep its user has made it.

use std::ffi::{CString, OsString};
use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::dir::{Dir, Type};
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, unlinkat};

/// A user can make any number of cgroups.
const LONGEST: Duration = Duration::from_secs(5);

/// The directories in another, by their names. What is gone has none.
// Most of its code is the directory's, which each caller would have.
#[inline(never)]
pub(crate) fn dirs_in(dir: &Path) -> Vec<OsString> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let dirs = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    dirs.map(|entry| entry.file_name()).collect()
}

/// Removes a directory and those below it. systemd may be doing the same as far as it
/// reaches (seen with 247): what has gone meanwhile is no reason to leave the rest.
pub(crate) fn remove(top: &Path) -> io::Result<()> {
    let until = Instant::now() + LONGEST;
    loop {
        match remove_once(top, until) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Err(_) if top.exists() => {}
            _ => return Ok(()),
        }
    }
}

/// Does so from the bottom, each by its name in the one above.
fn remove_once(top: &Path, until: Instant) -> io::Result<()> {
    let (mut dir, mut names) = (open(top)?, Vec::new());
    while Instant::now() < until {
        if let Some(name) = first_below(&mut dir)? {
            dir = Dir::openat(&dir, name.as_c_str(), flags(), Mode::empty())?;
            names.push(name);
        } else if let Some(name) = names.pop() {
            dir = Dir::openat(&dir, "..", flags(), Mode::empty())?;
            unlinkat(&dir, name.as_c_str(), UnlinkatFlags::RemoveDir)?;
        } else {
            return fs::remove_dir(top);
        }
    }
    Err(io::ErrorKind::TimedOut.into())
}

fn flags() -> OFlag {
    OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC
}

fn open(path: &Path) -> nix::Result<Dir> {
    Dir::open(path, flags(), Mode::empty())
}

fn first_below(dir: &mut Dir) -> nix::Result<Option<CString>> {
    for entry in dir.iter() {
        let entry = entry?;
        let is_dir = entry.file_type() == Some(Type::Directory);
        if is_dir && ![&b"."[..], b".."].contains(&entry.file_name().to_bytes()) {
            return Ok(Some(entry.file_name().to_owned()));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;

    /// Show that it is no matter that systemd removes what it can reach at the same time.
    #[test]
    fn others_may_remove_them_too() {
        let root = tempfile::tempdir().unwrap();
        let top = root.path().join("top");
        for _ in 0..20 {
            for name in 0..200 {
                fs::create_dir_all(top.join(format!("{name}/below/it"))).unwrap();
            }
            std::thread::scope(|scope| {
                let others = [(); 2].map(|()| scope.spawn(|| remove(&top)));
                for other in others {
                    other.join().unwrap().unwrap();
                }
            });
            assert!(!top.exists());
        }
    }

    /// Show that directories are removed that no path names, and no other file is.
    #[test]
    fn no_depth_is_too_much() {
        let root = tempfile::tempdir().unwrap();
        let top = root.path().join("top");
        fs::create_dir_all(top.join("beside/below")).unwrap();
        let mut dir = open(&top).unwrap();
        for _ in 0..40 {
            let name = OsString::from_vec(vec![b'x'; 200]);
            nix::sys::stat::mkdirat(&dir, name.as_os_str(), Mode::S_IRWXU).unwrap();
            dir = Dir::openat(&dir, name.as_os_str(), flags(), Mode::empty()).unwrap();
        }
        remove(&top).unwrap();
        assert!(!top.exists());
        fs::create_dir(&top).unwrap();
        fs::write(top.join("file"), "").unwrap();
        remove(&top).unwrap_err();
        assert!(top.join("file").exists());
    }
}
