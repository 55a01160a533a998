//! What the jobs of a user share on this node: Podman's books, in a file system that nobody but root gets to by its path.
//!
//! ```text
//! /run/spank-linger/<uid>.own           the file system, private to this mount namespace
//! /run/spank-linger/<uid>.own/books/…   the user's, brought into each of their jobs
//! /run/spank-linger/<uid>.own/<job>     what that job's mount namespace is pinned to
//! ```
//!
//! systemd has none of it: a logout takes `/run/user/UID` away, whoever still needs it.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};

use nix::mount::MsFlags;
use nix::sys::stat::Mode;

use crate::outside::crash;
use crate::outside::files::{make_dir, make_private};
use crate::outside::mounts::{mount, put_tmpfs, take_off};
use crate::record::own::shared;
use crate::terms::error::{Error, Result};
use crate::terms::roots::Roots;

/// Of the node's memory, as logind has it for a runtime directory (logind.conf(5), RuntimeDirectorySize=).
pub(crate) const OPTIONS: &str = "mode=0700,size=10%,nr_inodes=100k";

/// Where each book is in a runtime directory (Podman 4.3 to 5.8, as a user).
pub(crate) const BOOKS_AT: [(&str, &str); 6] = [
    ("containers", "containers"),
    ("crun", "crun"),
    ("runc", "runc"),
    ("exits", "libpod/tmp/exits"),
    ("persist", "libpod/tmp/persist"),
    ("alive", "libpod/tmp/linger"),
];

/// By these Podman tells whether it runs for the first time since a boot. Each job has a directory of its own for
/// them, and is no boot beside another job: so they are links into a book.
pub(crate) const ALIVE: [&str; 2] = ["alive", "alive.lck"];

/// How it was before the first of a user's jobs with such a session.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Note {
    /// The user lingered.
    Lingered,
    /// Something ran in the user's slice, and not for a job.
    LoggedIn,
}

impl Note {
    fn file(self) -> &'static str {
        match self {
            Self::Lingered => "lingered",
            Self::LoggedIn => "logged-in",
        }
    }
}

/// A user may have mounted over what is theirs in it many times, but not in this mount namespace.
const MOST_MOUNTS: u32 = 10;

/// Two processes that made a job's view at once have both pinned it.
fn take_all_off(place: &Path) {
    for _ in 0..MOST_MOUNTS {
        crash::point();
        if take_off(place).is_err() {
            break;
        }
    }
}

/// Where a user's are.
#[derive(Debug)]
pub(crate) struct Books {
    dir: PathBuf,
}

impl Books {
    pub(crate) fn of(roots: &Roots, uid: u32) -> Self {
        Self { dir: shared(roots, uid) }
    }

    /// The directory of one of [`BOOKS_AT`].
    pub(crate) fn book(&self, name: &str) -> PathBuf {
        self.books().join(name)
    }

    fn books(&self) -> PathBuf {
        self.dir.join("books")
    }

    /// What the mount namespace of a job is pinned to.
    pub(crate) fn pin(&self, job: u32) -> PathBuf {
        self.dir.join(job.to_string())
    }

    /// Locked by who opens the session of a job.
    pub(crate) fn lock(&self, job: u32) -> PathBuf {
        self.dir.join(format!("{job}.lock"))
    }

    /// In another mount namespace what is made there would be a file that nobody removes.
    pub(crate) fn are_here(&self) -> bool {
        self.is_mounted().is_ok_and(|is_mounted| is_mounted)
    }

    /// Whether the user has been told of a session that cannot be entered. They are, from now on.
    pub(crate) fn has_told(&self, job: u32) -> bool {
        let noted = self.are_here().then(|| File::create_new(self.told(job)));
        noted.is_some_and(|made| {
            made.is_err_and(|error| error.kind() == io::ErrorKind::AlreadyExists)
        })
    }

    /// Where the manager of a job is heard.
    pub(crate) fn ready(&self, job: u32) -> PathBuf {
        self.dir.join(format!("{job}.ready"))
    }

    fn told(&self, job: u32) -> PathBuf {
        self.dir.join(format!("{job}.told"))
    }

    /// Of a job that is over: its mount namespace goes, with all that is mounted in it alone.
    pub(crate) fn unpin(&self, job: u32) {
        for file in [self.pin(job), self.lock(job), self.told(job), self.ready(job)] {
            take_all_off(&file);
            crash::point();
            let _ = fs::remove_file(&file);
        }
    }

    /// Notes it, between [`Self::begin`] and [`Self::make`].
    ///
    /// # Errors
    /// When that cannot be written.
    pub(crate) fn note(&self, note: Note) -> Result<()> {
        let file = self.dir.join(note.file());
        fs::write(&file, "").map_err(Error::file("write", &file))
    }

    pub(crate) fn has(&self, note: Note) -> bool {
        self.dir.join(note.file()).exists()
    }

    /// Makes the place for them. Answers with whether they are to be made, as they are for the first job. Whoever
    /// does has the user's lock.
    ///
    /// # Errors
    /// What the kernel answered.
    pub(crate) fn begin(&self, roots: &Roots) -> Result<bool> {
        make_private(&roots.run)?;
        make_private(&self.dir)?;
        let made = self.mount();
        made.map_err(Error::file("mount a file system on", &self.dir))?;
        Ok(!self.are_made())
    }

    /// Whether what was before them has been noted: none is made before that.
    pub(crate) fn are_noted(&self) -> bool {
        self.books().exists()
    }

    /// Made when all of them are, and are one with the user's.
    fn last(&self) -> PathBuf {
        self.dir.join("made")
    }

    /// Whether they are, and [`Self::finish`] has noted it.
    pub(crate) fn are_made(&self) -> bool {
        self.last().exists()
    }

    /// Makes them.
    ///
    /// # Errors
    /// What the kernel answered.
    pub(crate) fn make(&self, uid: u32) -> Result<()> {
        make_private(&self.books())?;
        BOOKS_AT.into_iter().try_for_each(|(name, _)| {
            let dir = self.book(name);
            let made = make_dir(&dir, Mode::S_IRWXU).and_then(|_| chown(&dir, Some(uid), None));
            made.map_err(Error::file("make", &dir))
        })
    }

    /// Notes that they are made, and that what the user had is brought in: until then the next job does all of it
    /// again.
    ///
    /// # Errors
    /// What the kernel answered.
    pub(crate) fn finish(&self) -> Result<()> {
        crash::point();
        make_private(&self.last())
    }

    pub(crate) fn exist(&self) -> bool {
        self.dir.exists()
    }

    /// Whatever of it is there goes, with what is pinned in it. What a live process has open of it stays with that.
    ///
    /// # Errors
    /// What the kernel answered.
    pub(crate) fn remove(&self) -> Result<()> {
        take_all_off(&self.dir);
        crash::point();
        match fs::remove_dir(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed.map_err(Error::file("remove", &self.dir)),
        }
    }

    /// That no other mount namespace gets what is mounted in it: the pin of one in another would keep that for ever.
    fn mount(&self) -> io::Result<()> {
        if !self.is_mounted()? {
            crash::point();
            put_tmpfs(&self.dir, OPTIONS)?;
        }
        crash::point();
        mount(Path::new(""), &self.dir, "", MsFlags::MS_PRIVATE, "")
    }

    fn is_mounted(&self) -> io::Result<bool> {
        let device = |dir: &Path| fs::symlink_metadata(dir).map(|found| found.dev());
        let above = self.dir.parent().unwrap_or(&self.dir);
        Ok(device(&self.dir)? != device(above)?)
    }
}
