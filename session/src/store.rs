//! What is written down: leases until a reboot, what to undo beyond it.
//!
//! ```text
//! /run/spank-linger/<uid>/         flock(2) on this directory is the user's lock
//! /run/spank-linger/<uid>/<job>    one lease
//! /var/lib/spank-linger/<uid>      linger as it was before the first lease
//! ```
//!
//! The lock is held over decide *and* act. Without it, the epilog of one job
//! could find no other lease and turn linger off just after the prolog of the
//! next had found it on. The last to leave removes the directory while holding
//! its lock, so whoever waited for it sees that it locked a directory that is
//! gone, and begins anew.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::libc::{O_DIRECTORY, O_NOFOLLOW};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::budget::Budget;
use crate::error::{Error, Result};
use crate::roots::Roots;

/// flock(2) has no deadline of its own, so the lock is asked for again. A
/// prolog waits here while an epilog of the same user closes, about 300 ms.
const LOCK_RETRY: Duration = Duration::from_millis(10);

/// How one job stands with the session of its user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum Lease {
    /// The job holds the session open.
    Open,
    /// The job asked for a session and there is none.
    Failed {
        /// The cause, one line.
        cause: String,
        /// The user has been told, in the stderr of one of the job's steps.
        told: bool,
    },
    /// The job is not to have one.
    Declined,
}

/// Linger as it was before the first lease, with the account's name, because
/// at the end the name service may not answer any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Undo {
    pub(crate) name: String,
    pub(crate) linger_before: bool,
}

/// The layout of a state file. `version` lets an upgraded plugin read what the
/// one before it wrote while jobs run.
#[derive(Serialize, Deserialize)]
struct Versioned<T> {
    version: u32,
    #[serde(flatten)]
    content: T,
}

const VERSION: u32 = 1;

/// One user's state, locked.
#[derive(Debug)]
pub(crate) struct Locked {
    dir: PathBuf,
    undo: PathBuf,
    _lock: File,
}

/// Takes the user's lock.
pub(crate) fn lock(roots: &Roots, uid: u32, budget: Budget) -> Result<Locked> {
    make_private(&roots.run)?;
    make_private(&roots.lib)?;
    let dir = roots.run.join(uid.to_string());
    loop {
        make_private(&dir)?;
        if let Some(lock) = try_lock(&dir)? {
            return Ok(Locked { dir, undo: roots.lib.join(uid.to_string()), _lock: lock });
        }
        if Instant::now() >= budget.deadline() {
            let doing = "wait for another job's prolog or epilog of this user".into();
            return Err(Error::Late { doing, total: budget.total() });
        }
        sleep(LOCK_RETRY);
    }
}

/// Reads a lease without the lock: it is replaced whole, so never half written.
pub(crate) fn peek(roots: &Roots, uid: u32, job: u32) -> Result<Option<Lease>> {
    read(&roots.run.join(uid.to_string()).join(job.to_string()))
}

/// Whether there is neither a lease nor anything to undo, so that an epilog for
/// a user we never served costs two system calls.
pub(crate) fn is_unknown(roots: &Roots, uid: u32) -> bool {
    let is_absent = |parent: &Path| matches!(parent.join(uid.to_string()).try_exists(), Ok(false));
    is_absent(&roots.run) && is_absent(&roots.lib)
}

/// The users for whom something is to be undone.
pub(crate) fn uids_to_undo(roots: &Roots) -> Result<Vec<u32>> {
    numbers_in(&roots.lib)
}

impl Locked {
    pub(crate) fn lease(&self, job: u32) -> Result<Option<Lease>> {
        read(&self.path(job))
    }

    pub(crate) fn put(&self, job: u32, lease: &Lease) -> Result<()> {
        write(&self.path(job), lease)
    }

    pub(crate) fn remove(&self, job: u32) -> Result<()> {
        remove(&self.path(job))
    }

    /// Whether a job holds the session open. A lease that cannot be read does:
    /// closing under a running job is the worse mistake.
    pub(crate) fn is_held(&self) -> Result<bool> {
        let jobs = numbers_in(&self.dir)?;
        Ok(jobs.into_iter().any(|job| matches!(self.lease(job), Ok(Some(Lease::Open)) | Err(_))))
    }

    pub(crate) fn undo(&self) -> Result<Option<Undo>> {
        read(&self.undo)
    }

    /// On disk when this returns: a power loss right after finds it.
    pub(crate) fn put_undo(&self, undo: &Undo) -> Result<()> {
        write(&self.undo, undo)?;
        let parent = self.undo.parent().unwrap_or(&self.undo);
        for path in [&self.undo, parent] {
            let synced = File::open(path).and_then(|file| file.sync_all());
            synced.map_err(Error::file("sync", path))?;
        }
        Ok(())
    }

    pub(crate) fn remove_undo(&self) -> Result<()> {
        remove(&self.undo)
    }

    fn path(&self, job: u32) -> PathBuf {
        self.dir.join(job.to_string())
    }
}

/// The last to leave, on whatever way, removes the user's directory.
impl Drop for Locked {
    fn drop(&mut self) {
        if numbers_in(&self.dir).is_ok_and(|jobs| jobs.is_empty()) {
            let left = fs::remove_dir_all(&self.dir);
            left.unwrap_or_else(|error| log::debug!("remove {}: {error}", self.dir.display()));
        }
    }
}

fn try_lock(dir: &Path) -> Result<Option<File>> {
    let opened = OpenOptions::new().read(true).custom_flags(O_DIRECTORY | O_NOFOLLOW).open(dir);
    let lock = match opened {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(Error::file("open", dir))?,
    };
    match lock.try_lock() {
        Ok(()) if is_still_at(&lock, dir) => Ok(Some(lock)),
        Ok(()) | Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(Error::file("lock", dir)(error)),
    }
}

fn is_still_at(lock: &File, dir: &Path) -> bool {
    let inode = |found: fs::Metadata| (found.dev(), found.ino());
    match (lock.metadata().map(inode), fs::symlink_metadata(dir).map(inode)) {
        (Ok(locked), Ok(named)) => locked == named,
        _ => false,
    }
}

/// Makes a directory that only we can enter, or checks that it is one: what is
/// in it decides what root does.
fn make_private(dir: &Path) -> Result<()> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => check_private(dir),
        made => made.map_err(Error::file("make", dir)),
    }
}

fn check_private(dir: &Path) -> Result<()> {
    let found = match fs::symlink_metadata(dir) {
        // The last to leave has just removed it: the caller begins anew.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found.map_err(Error::file("look at", dir))?,
    };
    let ours = nix::unistd::geteuid().as_raw();
    if found.is_dir() && found.uid() == ours && found.mode() & 0o777 == 0o700 {
        return Ok(());
    }
    let problem = "must be a directory of root with mode 0700; remove what is there".into();
    Err(Error::Untrusted { path: dir.to_owned(), problem })
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let opened = OpenOptions::new().read(true).custom_flags(O_NOFOLLOW).open(path);
    let text = match opened.and_then(io::read_to_string) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        text => text.map_err(Error::file("read", path))?,
    };
    let untrusted = |problem: String| Error::Untrusted { path: path.to_owned(), problem };
    let read: Versioned<T> = serde_json::from_str(&text)
        .map_err(|error| untrusted(format!("not a state file: {error}")))?;
    if read.version != VERSION {
        return Err(untrusted(format!(
            "has version {}, this plugin reads {VERSION}",
            read.version
        )));
    }
    Ok(Some(read.content))
}

fn write<T: Serialize>(path: &Path, content: &T) -> Result<()> {
    let text = serde_json::to_vec(&Versioned { version: VERSION, content })
        .map_err(|error| Error::file("write", path)(error.into()))?;
    let new = temporary(path);
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .custom_flags(O_NOFOLLOW)
        .open(&new)
        .and_then(|mut file| file.write_all(&text))
        .and_then(|()| fs::rename(&new, path))
        .map_err(Error::file("write", path))
}

/// One name for each file is enough: its writer holds the user's lock.
fn temporary(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().display().to_string();
    path.with_file_name(format!(".{name}.new"))
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::file("remove", path)(error))
        }
        _ => Ok(()),
    }
}

/// The file names in `dir` that are numbers: job ids, or uids.
fn numbers_in(dir: &Path) -> Result<Vec<u32>> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(Error::file("list", dir))?,
    };
    let numbers = entries.map(|entry| Ok(entry?.file_name().to_str().and_then(|s| s.parse().ok())));
    let numbers: io::Result<Vec<Option<u32>>> = numbers.collect();
    Ok(numbers.map_err(Error::file("list", dir))?.into_iter().flatten().collect())
}
