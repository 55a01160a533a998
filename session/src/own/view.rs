//! What `/run/user` is inside a job: a file system of the job's own, with the user's books brought in.
//!
//! It is made by root in a mount namespace in which nobody else is yet, and of what is mounted only the user's books
//! can be reached by somebody else. There Podman wants one directory that is the job's own: that one is opened by
//! its name without following a link, and covered by its descriptor.

use std::fs::File;
use std::io;
use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::path::{Path, PathBuf};

use nix::fcntl::AtFlags;
use nix::mount::MsFlags;
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::stat::Mode;
use nix::unistd::{Uid, fchownat};

use crate::outside::files::make_dir;
use crate::outside::mounts::{by_descriptor, cover, hold, mount, put_tmpfs, take_off};
use crate::own::books::{ALIVE, BOOKS_AT, Books, OPTIONS};
use crate::own::place::OPEN;
use crate::terms::error::{Error, Result};
use crate::terms::roots::{Roots, manager};

/// In Podman's books, and yet of the namespace of networks that one job's containers share.
const NETWORKS: &str = "containers/networks";

/// Of the cgroups of all users' managers.
const USERS: &str = "user.slice";

/// A job's view, to be made by one process and joined by others.
pub(crate) struct View<'a> {
    pub(crate) books: &'a Books,
    pub(crate) roots: &'a Roots,
    pub(crate) job: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl View<'_> {
    /// Joins the view, and makes it first where nobody has.
    ///
    /// # Errors
    /// What the kernel answered.
    pub(crate) fn join(&self) -> Result<()> {
        let joined = match join(&self.books.pin(self.job)) {
            Err(error) if is_not_there(&error) => self.make(),
            joined => joined,
        };
        joined.map_err(Error::file("make the job's view of", &self.dir()))
    }

    /// The job's runtime directory, in it.
    pub(crate) fn dir(&self) -> PathBuf {
        self.roots.runtime_dir(self.uid)
    }

    fn make(&self) -> io::Result<()> {
        let outside = File::open(OWN_NAMESPACE)?;
        unshare(CloneFlags::CLONE_NEWNS)?;
        propagate(MsFlags::MS_SLAVE)?;
        self.fill()?;
        propagate(MsFlags::MS_SHARED)?;
        let inside = File::open(OWN_NAMESPACE)?;
        setns(outside, CloneFlags::CLONE_NEWNS)?;
        let pin = self.books.pin(self.job);
        File::create(&pin)?;
        cover(&by_descriptor(&inside), &pin)?;
        Ok(setns(inside, CloneFlags::CLONE_NEWNS)?)
    }

    fn fill(&self) -> io::Result<()> {
        let runtime = &self.roots.runtime;
        put_tmpfs(runtime, OF_DIRECTORIES)?;
        let (dir, networks) = (self.dir(), runtime.join("networks"));
        for users in [&dir, &networks] {
            make_dir(users, OPEN)?;
            put_tmpfs(users, &format!("{OPTIONS},uid={},gid={}", self.uid, self.gid))?;
        }
        for (name, place) in BOOKS_AT {
            let mut at = dir.clone();
            for part in Path::new(place) {
                at.push(part);
                self.make_dir(&at)?;
            }
            cover(&self.books.book(name), &at)?;
        }
        for name in ALIVE {
            symlink(Path::new("linger").join(name), dir.join("libpod/tmp").join(name))?;
        }
        let covered = dir.join(NETWORKS);
        // Of a book, in which others of the user's may be at work.
        make_dir(&covered, Mode::S_IRWXU)?;
        let held = hold(&covered)?;
        if held.metadata()?.uid() == 0 {
            fchownat(&held, "", Some(Uid::from_raw(self.uid)), None, AtFlags::AT_EMPTY_PATH)?;
        }
        cover(&networks, &by_descriptor(&held))?;
        put_tmpfs(&self.roots.cgroup.join(USERS), OF_DIRECTORIES)?;
        make_dir(&self.roots.slice(self.uid), OPEN)?;
        make_dir(&self.usual_cgroup(), OPEN).map(drop)
    }

    /// In the view: has the session's cgroup be found where managers of users are. Podman looks for a pod's there,
    /// whatever cgroup its manager is in (4.3 to 5.8, assembleSystemdCgroupName()).
    ///
    /// # Errors
    /// What the kernel answered.
    pub(crate) fn show(&self, session: &Path) -> Result<()> {
        let usual = self.usual_cgroup();
        // Of a session before, whose cgroup is gone.
        let _ = take_off(&usual);
        cover(session, &usual).map_err(Error::file("show the job's session at", &usual))
    }

    /// In the view: has what listens at that path be found by another one, to which the job's user gets.
    ///
    /// # Errors
    /// What the kernel answered.
    pub(crate) fn lead_to(&self, heard: &Path) -> Result<PathBuf> {
        let here = self.roots.runtime.join("ready");
        // Of a session before.
        let _ = take_off(&here);
        let led = File::create(&here).and_then(|_| cover(heard, &here));
        led.map_err(Error::file("show the manager who waits for it at", &here))?;
        Ok(here)
    }

    fn usual_cgroup(&self) -> PathBuf {
        self.roots.slice(self.uid).join(manager(self.uid))
    }

    /// In a directory that is root's, or in one that nobody else has seen.
    fn make_dir(&self, dir: &Path) -> io::Result<()> {
        if make_dir(dir, Mode::S_IRWXU)? {
            chown(dir, Some(self.uid), Some(self.gid))
        } else {
            Ok(())
        }
    }
}

/// A file system with a few directories, and nothing in them that takes room.
const OF_DIRECTORIES: &str = "mode=0755,size=64k,nr_inodes=16";

const OWN_NAMESPACE: &str = "/proc/self/ns/mnt";

/// Joins the mount namespace that is pinned there.
pub(crate) fn join(pin: &Path) -> io::Result<()> {
    Ok(setns(File::open(pin)?, CloneFlags::CLONE_NEWNS)?)
}

/// No pin, or nothing pinned to it: a crash came between.
fn is_not_there(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::EINVAL)
}

fn propagate(how: MsFlags) -> io::Result<()> {
    mount(Path::new(""), Path::new("/"), "", how | MsFlags::MS_REC, "")
}
