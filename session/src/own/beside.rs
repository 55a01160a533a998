//! Podman's books where the user has a runtime directory of systemd's as well: a login, or jobs that share a session.
//!
//! They are one for the user and the node, so what is there first is brought into the other. All that is below the
//! runtime directory is the user's, who may rename it, put a link in its place or mount over it at any moment: each
//! directory is opened by its name in one that is open, without following a link, and from then on only the descriptor
//! counts.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::mount::{MntFlags, MsFlags, umount2};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::{Uid, fchownat, symlinkat};

use crate::outside::crash;
use crate::outside::mounts::{Mount, OF_SYSTEMD, by_descriptor, cover, hold, mount, mount_of};
use crate::own::books::{ALIVE, BOOKS_AT, Books};
use crate::terms::roots::Roots;

/// Where the links to what is in the last book are.
const TMP: &str = "libpod/tmp";

/// Which of the two there was first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum First {
    /// The runtime directory: what is in it is the user's books.
    RuntimeDirectory,
    /// The books of jobs with sessions of their own.
    Books,
}

/// Brings what was first into the other, if the user has a runtime directory.
///
/// # Errors
/// What the kernel answered.
pub(crate) fn join(roots: &Roots, uid: u32, books: &Books, first: First) -> io::Result<()> {
    if first == First::Books && !books.are_made() {
        // Whoever makes them brings the user's in: over those there is nothing to put yet.
        return Ok(());
    }
    let at = roots.runtime_dir(uid);
    let Ok(root) = hold(&at) else { return Ok(()) };
    let place = Place { at: &at, uid };
    if !place.is_systemds(&root)? || root.metadata()?.uid() != uid {
        return Ok(());
    }
    for (name, path) in BOOKS_AT {
        place.join(&root, path, &books.book(name), first)?;
    }
    let tmp = place.dir_in(&root, TMP)?;
    let alive = books.book("alive");
    for name in ALIVE {
        crash::point();
        match symlinkat(&*Path::new("linger").join(name), &tmp, name) {
            // Podman has been run there since it was made.
            Err(Errno::EEXIST) => drop(place.file_in(&hold(&alive)?, name)?),
            made => made?,
        }
    }
    Ok(())
}

/// A runtime directory, which is its user's.
pub(crate) struct Place<'a> {
    pub(crate) at: &'a Path,
    pub(crate) uid: u32,
}

impl Place<'_> {
    /// One mount for each book, however many jobs come and go.
    fn join(&self, root: &File, path: &str, book: &Path, first: First) -> io::Result<()> {
        let held = self.dir_in(root, path)?;
        if held.metadata()?.dev() == std::fs::metadata(book)?.dev() {
            return Ok(());
        }
        let is_covered = !self.is_systemds(&held)?;
        crash::point();
        match first {
            First::Books if is_covered => {
                // By books that are no more, or by what it was for them.
                umount2(&by_descriptor(&held), MntFlags::MNT_DETACH)?;
                crash::point();
                cover(book, &by_descriptor(&self.dir_in(root, path)?))
            }
            First::Books => cover(book, &by_descriptor(&held)),
            First::RuntimeDirectory if is_covered => bring(&held, book),
            First::RuntimeDirectory => {
                // What logind removes at a logout ends at a mount.
                cover(&by_descriptor(&held), &by_descriptor(&held))?;
                bring(&self.dir_in(root, path)?, book)
            }
        }
    }

    /// Made, part by part, where it is not there. A file system of the user's is asked nothing: its daemon may never
    /// answer.
    pub(crate) fn dir_in(&self, root: &File, path: &str) -> io::Result<File> {
        let (mut dir, mut at) = (root.try_clone()?, self.at.to_path_buf());
        for part in path.split('/') {
            at.push(part);
            crash::point();
            match mkdirat(&dir, part, Mode::S_IRWXU) {
                Ok(()) | Err(Errno::EEXIST) => {}
                Err(error) => return Err(error.into()),
            }
            let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            crash::point();
            dir = File::from(openat(&dir, part, flags, Mode::empty())?);
            match mount_of(&dir)? {
                Some(mount) if self.is_itself(&mount) => self.give(&dir)?,
                // One of ours covers it.
                Some(Mount { point, kind })
                    if kind == OF_SYSTEMD && point == at && at == self.at.join(path) => {}
                other => return Err(is_covered(&at, other)),
            }
        }
        Ok(dir)
    }

    /// What is there is not opened: it may be a pipe, at which root would wait.
    fn file_in(&self, dir: &File, name: &str) -> io::Result<()> {
        let new = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
        crash::point();
        let file = match openat(dir, name, new, Mode::S_IRUSR | Mode::S_IWUSR) {
            Err(Errno::EEXIST) => {
                let held = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
                openat(dir, name, held, Mode::empty())?
            }
            made => made?,
        };
        self.give(&File::from(file))
    }

    /// What root has made.
    pub(crate) fn give(&self, made: &File) -> io::Result<()> {
        if made.metadata()?.uid() != 0 {
            return Ok(());
        }
        let owner = Some(Uid::from_raw(self.uid));
        crash::point();
        Ok(fchownat(made, "", owner, None, AtFlags::AT_EMPTY_PATH)?)
    }

    /// Whether it is in the runtime directory itself, and in nothing that is mounted there.
    pub(crate) fn is_systemds(&self, dir: &File) -> io::Result<bool> {
        Ok(mount_of(dir)?.is_some_and(|mount| self.is_itself(&mount)))
    }

    fn is_itself(&self, mount: &Mount) -> bool {
        mount.point == self.at && mount.kind == OF_SYSTEMD
    }
}

fn is_covered(dir: &Path, by: Option<Mount>) -> io::Error {
    let dir = dir.display();
    io::Error::other(match by {
        // A user may have named it, at length.
        Some(Mount { kind, .. }) => format!("{dir} is covered by a file system of type {kind:.40}"),
        None => format!("{dir} is in a mount that is no more"),
    })
}

/// Private before there are two of it: what the user mounts at the one is not to be at the other as well, where root
/// works by path.
fn bring(covered: &File, book: &Path) -> io::Result<()> {
    let covered = by_descriptor(covered);
    crash::point();
    mount(Path::new(""), &covered, "", MsFlags::MS_PRIVATE, "")?;
    crash::point();
    cover(&covered, book)
}

#[cfg(test)]
mod tests;
