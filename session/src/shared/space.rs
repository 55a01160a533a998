//! A job to which Slurm has given a mount namespace of its own (`job_container/tmpfs`, `namespace/tmpfs`), in a session
//! that it shares.
//!
//! Podman's pause process holds the mount namespace that all containers of a user are in. It is found by a file in the
//! runtime directory, and who joins it has the `/tmp` of the job that made it: also in another job, and when that one is
//! over. So where the job has a namespace of its own, that file's directory is its own too, before its first command:
//!
//! ```text
//! /run/user/UID/libpod/tmp             a file system of this namespace alone
//! /run/user/UID/libpod/tmp/shared      what the node has there: the user's books
//! /run/user/UID/libpod/tmp/exits, …    links into it
//! /run/user/UID/containers/networks    the job's own: they are of the pause process's namespaces
//! /dev/shm/libpod_rootless_lock_UID    the node's, whatever else /dev/shm is to the job
//! ```
//!
//! The pause process is in the user's session, in a cgroup that root has made there, and ends with the job. All that is
//! below the runtime directory is the user's, who may rename it at any moment: only descriptors count, as in `own::beside`.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::parent_id;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::fcntl::{OFlag, openat};
use nix::mount::{MntFlags, MsFlags, umount2};
use nix::sched::{CloneFlags, setns};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::symlinkat;
use rustix::fs::{AtFlags, CWD, StatxFlags, statx};
use rustix::mount::{MoveMountFlags, OpenTreeFlags, move_mount, open_tree};

use crate::kind::Launch;
use crate::outside::crash;
use crate::outside::files::make_dir;
use crate::outside::mounts::{by_descriptor, cover, hold, hold_file, mount, put_tmpfs, take_off};
use crate::outside::podmans_lock;
use crate::own::beside::Place;
use crate::own::books::{ALIVE, OPTIONS};
use crate::own::close::end;
use crate::own::enter::namespace;
use crate::own::manager::Becoming;
use crate::own::open::account;
use crate::own::pause::{self, BY_PODMAN, QUICKLY};
use crate::own::place::OPEN;
use crate::own::view::join;
use crate::record;
use crate::terms::budget::Budget;
use crate::terms::error::{Error, Result};
use crate::terms::job::Job;
use crate::terms::roots::{Roots, manager};
use crate::terms::site::Site;

/// Where Podman has its pause process, from the runtime directory.
const TMP: &str = "libpod/tmp";

/// In it, what is one for a user and node, with [`ALIVE`].
const BOOKS: [&str; 2] = ["exits", "persist"];

const NETWORKS: &str = "containers/networks";

/// The node's, in the job's own.
const SHARED: &str = "shared";

/// The slurmstepd of a task is in the node's namespaces.
struct Space<'a> {
    roots: &'a Roots,
    job: Job,
    /// Of the node, as /proc has it.
    namespace: PathBuf,
    /// Its root.
    outside: PathBuf,
}

/// As root, in a task of `job` before it becomes the user's: gives the job its own, where it has a mount namespace of
/// its own and nobody has done so.
///
/// # Errors
/// What the kernel answered, or that Podman was not done in time.
pub(crate) fn part(site: &Site, job: Job, launch: &dyn Launch, budget: Budget) -> Result<()> {
    let roots = &site.roots;
    let node = roots.proc.join(parent_id().to_string());
    let space = Space { roots, job, namespace: node.join("ns/mnt"), outside: node.join("root") };
    if !space.is_apart() || !pause::is_needed(roots) || space.is_parted() {
        return Ok(());
    }
    let mut lock = record::state(roots, job.uid).lock_space(job.id, budget)?;
    let has_failed = lock.metadata().is_ok_and(|found| found.len() > 0);
    if has_failed || !space.is_due() {
        return Ok(());
    }
    space.part(launch, budget).inspect_err(|_| {
        // A Podman that hangs is waited for once, and not by each task.
        let _ = lock.write_all(b"failed");
    })
}

/// Ends what [`part`] has started for a job that is over.
///
/// # Errors
/// That it does not end in that time.
pub(crate) fn end_part(roots: &Roots, job: Job, dying: Duration) -> Result<()> {
    end(&cgroup(roots, job), Instant::now() + dying)
}

/// Of the job's pause process: where the user's manager ends, so does it.
fn cgroup(roots: &Roots, job: Job) -> PathBuf {
    roots.slice(job.uid).join(manager(job.uid)).join(format!("linger-{}", job.id))
}

impl Space<'_> {
    fn part(&self, launch: &dyn Launch, budget: Budget) -> Result<()> {
        let Self { roots, job, .. } = *self;
        let (user, cgroup) = (account(job.uid)?, cgroup(roots, job));
        let kill = cgroup.with_file_name("cgroup.kill");
        fs::metadata(&kill).map_err(Error::file("find (Linux 5.14)", &kill))?;
        crash::point();
        make_dir(&cgroup, OPEN).map_err(Error::file("make", &cgroup))?;
        let podman = |namespace, script| {
            let becoming = Becoming { roots, view: None, namespace, user: &user };
            let made = pause::make(&becoming, &cgroup, script, launch, budget.deadline());
            let failed = Error::file("have Podman's pause process in", &cgroup);
            made.map_err(|cause| failed(io::Error::other(cause)))
        };
        if self.has_own(&roots.dev.join("shm")) {
            // Nobody makes the lock but Podman. Its units then have a pause process of the node's, too.
            let lock = podmans_lock::path(roots, job.uid);
            if hold_file(&self.on_node(&lock)).is_err() {
                podman(Some(self.namespace.as_path()), BY_PODMAN)?;
            }
            self.bring(&lock).map_err(Error::file("bring", &lock))?;
        }
        let dir = roots.runtime_dir(job.uid);
        self.make(&dir).map_err(Error::file("make the job's own of", &dir))?;
        podman(None, QUICKLY)?;
        self.find_pause(&dir).map_err(Error::file("find Podman's pause process in", &dir))
    }

    fn is_apart(&self) -> bool {
        let (here, node) = (namespace(&self.roots.proc), fs::metadata(&self.namespace));
        here.is_ok_and(|here| node.is_ok_and(|node| node.ino() != here))
    }

    /// The same path on the node.
    fn on_node(&self, path: &Path) -> PathBuf {
        self.outside.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Whether what is there, if anything is, is not what the node has there. No file system is asked: it may be the user's.
    fn has_own(&self, dir: &Path) -> bool {
        let device = |dir: &Path| {
            let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
            let found = statx(hold(dir).ok()?, "", flags, StatxFlags::empty()).ok()?;
            Some((found.stx_dev_major, found.stx_dev_minor))
        };
        let here = device(dir);
        here.is_none() || here != device(&self.on_node(dir))
    }

    fn is_made(&self) -> Option<bool> {
        let dir = self.roots.runtime_dir(self.job.uid);
        made(&self.place(&dir), &self.root(&dir).ok()?).ok()?
    }

    fn is_parted(&self) -> bool {
        self.is_made() == Some(true) && !self.has_own(&self.roots.runtime_dir(self.job.uid))
    }

    /// Whether something is to be made, and the session is the one that the node has. Of one that is no more, what was
    /// made in it keeps its directory here, over that of the session that has come after it. With the lock.
    fn is_due(&self) -> bool {
        let dir = self.roots.runtime_dir(self.job.uid);
        if self.is_made().is_some() && self.has_own(&dir) {
            crash::point();
            let _ = take_off(&dir);
        }
        !self.is_parted() && !self.has_own(&dir)
    }

    fn place<'a>(&self, at: &'a Path) -> Place<'a> {
        Place { at, uid: self.job.uid }
    }

    /// The runtime directory, if it is one.
    fn root(&self, at: &Path) -> io::Result<File> {
        let root = hold(at)?;
        if self.place(at).is_systemds(&root)? && root.metadata()?.uid() == self.job.uid {
            return Ok(root);
        }
        Err(io::Error::other("it is no runtime directory"))
    }

    fn make(&self, at: &Path) -> io::Result<()> {
        let (place, root) = (self.place(at), self.root(at)?);
        // What is mounted in it here is not to be on the node, too.
        mount(Path::new(""), &by_descriptor(&root), "", MsFlags::MS_SLAVE, "")?;
        if made(&place, &root)?.is_some() {
            // By who did not come to the end of it.
            umount2(&by_descriptor(&place.dir_in(&root, TMP)?), MntFlags::MNT_DETACH)?;
        }
        let covered = place.dir_in(&root, TMP)?;
        for book in BOOKS {
            place.dir_in(&root, &format!("{TMP}/{book}"))?;
        }
        let networks = place.dir_in(&root, NETWORKS)?;
        crash::point();
        put_tmpfs(&by_descriptor(&covered), OPTIONS)?;
        let own = place.dir_in(&root, TMP)?;
        if place.is_systemds(&own)? {
            return Err(io::Error::other("its user has moved what is in it"));
        }
        let filled = Self::fill(&place, &own, &covered, &networks);
        filled.inspect_err(|_| {
            let _ = umount2(&by_descriptor(&own), MntFlags::MNT_DETACH);
        })
    }

    /// That somebody has made it.
    fn find_pause(&self, at: &Path) -> io::Result<()> {
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let tmp = self.place(at).dir_in(&self.root(at)?, TMP)?;
        openat(&tmp, "pause.pid", flags, Mode::empty())?;
        Ok(())
    }

    /// Of a file system that is root's as yet.
    fn fill(place: &Place<'_>, own: &File, covered: &File, networks: &File) -> io::Result<()> {
        cover(&by_descriptor(covered), &by_descriptor(&made_in(own, SHARED)?))?;
        let own_networks = made_in(own, "networks")?;
        place.give(&own_networks)?;
        cover(&by_descriptor(&own_networks), &by_descriptor(networks))?;
        for book in BOOKS.into_iter().chain(ALIVE) {
            crash::point();
            symlinkat(&*Path::new(SHARED).join(book), own, book)?;
        }
        place.give(own)
    }

    /// A file of the node's to the same place here, unless there is one.
    fn bring(&self, file: &Path) -> io::Result<()> {
        let brought = {
            let here = File::open(self.roots.proc.join("self/ns/mnt"))?;
            join(&self.namespace)?;
            let flags = OpenTreeFlags::OPEN_TREE_CLONE
                | OpenTreeFlags::OPEN_TREE_CLOEXEC
                | OpenTreeFlags::AT_SYMLINK_NOFOLLOW;
            let brought = open_tree(CWD, file, flags);
            setns(here, CloneFlags::CLONE_NEWNS)?;
            brought?
        };
        match File::create_new(file) {
            // Podman has made one here, for who goes on with it.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
            made => drop(made?),
        }
        crash::point();
        Ok(move_mount(brought, "", CWD, file, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?)
    }
}

fn made_in(dir: &File, name: &str) -> io::Result<File> {
    crash::point();
    mkdirat(dir, name, Mode::S_IRWXU)?;
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    Ok(openat(dir, name, flags, Mode::empty())?.into())
}

/// Whether the job's own is there to its end; none where it was not begun.
fn made(place: &Place<'_>, root: &File) -> io::Result<Option<bool>> {
    let tmp = place.dir_in(root, TMP)?;
    Ok(if place.is_systemds(&tmp)? { None } else { Some(tmp.metadata()?.uid() == place.uid) })
}

#[cfg(test)]
mod tests;
