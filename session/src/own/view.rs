//! What `/run/user/UID` is inside a job: the job's own directory, with Podman's books brought in.
//!
//! All that is below `/run/user/UID` is the user's, who may rename it, put a link in its place or mount over it at any
//! moment. So each directory is opened by its name in one that is open, without following a link and without leaving
//! the file system, and from then on only the descriptor counts: what is mounted on it lands on that directory, wherever
//! the user has moved it to. Directories are made as the user.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Gid, Uid, setfsgid, setfsuid};
use rustix::fs::{Mode, OFlags, ResolveFlags, mkdirat, openat, openat2};
use rustix::mount::{MoveMountFlags, OpenTreeFlags, move_mount, open_tree};

use crate::terms::error::{Error, Result};

/// Podman's books, one for each user and node: what all of the user's jobs share.
const BOOKS: [&str; 5] = ["containers", "crun", "libpod/tmp/exits", "libpod/tmp/persist", "slurm"];
/// But of those the job has its own.
const OWN: &str = "containers/networks";
/// Where the jobs' own directories are.
const JOBS: &str = "slurm";

/// A job's directory below its user's, and who that is.
pub(crate) struct View<'a> {
    pub(crate) runtime_dir: &'a Path,
    pub(crate) job: u32,
    pub(crate) uid: Uid,
    pub(crate) gid: Gid,
}

impl View<'_> {
    /// In a process of its own: a mount namespace in which the runtime directory is the job's.
    ///
    /// # Errors
    /// What the kernel answered.
    pub(crate) fn make(&self) -> Result<()> {
        self.enter_new().map_err(Error::file("make the job's view of", self.runtime_dir))
    }

    fn enter_new(&self) -> io::Result<()> {
        unshare(CloneFlags::CLONE_NEWNS)?;
        propagate(MsFlags::MS_SLAVE)?;
        // Opened in this namespace: what is mounted on it stays here.
        let shared = self.open_root()?;
        let own = self.dir_in(&shared, &format!("{JOBS}/{}", self.job))?;
        let book = |name| -> io::Result<_> { Ok((name, clone_of(&self.dir_in(&shared, name)?)?)) };
        let books = BOOKS.into_iter().map(book).collect::<io::Result<Vec<_>>>()?;
        let networks = clone_of(&self.dir_in(&own, "networks")?)?;
        cover(&clone_of(&own)?, &shared)?;
        // The root of what covers it now.
        let inside = self.open_root()?;
        for (name, tree) in books {
            cover(&tree, &self.dir_in(&inside, name)?)?;
        }
        cover(&networks, &self.dir_in(&inside, OWN)?)?;
        propagate(MsFlags::MS_SHARED)
    }

    fn open_root(&self) -> io::Result<OwnedFd> {
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(openat(rustix::fs::CWD, self.runtime_dir, flags, Mode::empty())?)
    }

    /// Made, part by part, where it is not there.
    fn dir_in(&self, root: &impl AsFd, path: &str) -> io::Result<OwnedFd> {
        let _as_user = AsUser::new(self.uid, self.gid);
        let mut dir = root.as_fd().try_clone_to_owned()?;
        for part in path.split('/') {
            match mkdirat(&dir, part, Mode::RWXU) {
                Err(rustix::io::Errno::EXIST) => {}
                made => made?,
            }
            let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::BENEATH;
            dir = openat2(&dir, part, flags, Mode::empty(), resolve)?;
        }
        Ok(dir)
    }
}

/// While it lives, files are made and looked up as the user.
pub(crate) struct AsUser(Uid, Gid);

impl AsUser {
    pub(crate) fn new(uid: Uid, gid: Gid) -> Self {
        // The group first: without root's there is no right to it.
        let gid = setfsgid(gid);
        Self(setfsuid(uid), gid)
    }
}

impl Drop for AsUser {
    fn drop(&mut self) {
        setfsuid(self.0);
        setfsgid(self.1);
    }
}

fn propagate(how: MsFlags) -> io::Result<()> {
    let none: Option<&Path> = None;
    Ok(mount(none, "/", none, how | MsFlags::MS_REC, none)?)
}

fn clone_of(dir: &impl AsFd) -> io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::AT_EMPTY_PATH
        | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    Ok(open_tree(dir, "", flags)?)
}

fn cover(tree: &OwnedFd, dir: &OwnedFd) -> io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    Ok(move_mount(tree, "", dir, "", flags)?)
}
