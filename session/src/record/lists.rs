//! Lists to which each step adds a line, and which hold what still matters rather
//! than all that ever was.
//!
//! A step adds without the user's lock, beside many others, and must pay no more
//! because 20,000 went before it. A list that has grown to twice what was needed
//! of it is written anew with what is needed now. Whoever adds holds flock(2) on
//! the file: a line must not go to one that is being replaced. Who finds that the
//! file has been replaced meanwhile begins anew.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use libc::O_NOFOLLOW;

use crate::outside::crash;
use crate::outside::files::{read_lines, replace};
use crate::terms::decimal::decimal;
use crate::terms::error::{Error, Result};

/// Gives the lines of a list that are still needed; None where that cannot be told.
pub(super) type Needed<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The lines of 200 steps, in bytes: up to that nobody asks what is needed.
const FEW: u64 = 4 << 10;

/// Begins the first line of a list that was written anew: how many bytes were
/// needed of it. No reader takes it for a line of theirs.
const HEADER: &str = "needed ";

/// How often, and after what time again, a lock is asked for that is held as long
/// as one line takes, or one look at all of /proc.
const TRIES: u32 = 200;
const RETRY: Duration = Duration::from_millis(5);

/// Adds whole lines. The directory of a user without a lease is not made for it.
pub(super) fn add(path: &Path, lines: &str, needed: Needed<'_>) -> Result<()> {
    crash::point();
    let added = List::open(path).and_then(|list| Ok((list.add(lines)?, list)));
    let (size, list) = match added {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        added => added.map_err(Error::file("write", path))?,
    };
    if size > FEW && size / 2 > list.needed_before() {
        let shorter = list.shorten(path, needed);
        // It has the lines, and more than it needs.
        shorter.unwrap_or_else(|error| log::warn!("{error}; nothing is left out of it for now"));
    }
    Ok(())
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true).mode(0o600).custom_flags(O_NOFOLLOW).open(path)
}

/// One that is open to be added to.
struct List {
    file: File,
    /// When it was locked. None where it is not: whoever has the lock hangs, and a
    /// line that may be lost is better than none.
    size: Option<u64>,
}

impl List {
    fn open(path: &Path) -> io::Result<Self> {
        for _ in 0..TRIES {
            if let Some(list) = Self::try_open(path)? {
                return Ok(list);
            }
            sleep(RETRY);
        }
        Ok(Self { file: open(path)?, size: None })
    }

    /// None where somebody else has the lock, and of a file that was replaced, or
    /// removed, before it was locked.
    fn try_open(path: &Path) -> io::Result<Option<Self>> {
        let file = open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let found = file.metadata()?;
        Ok((found.nlink() > 0).then(|| Self { file, size: Some(found.len()) }))
    }

    /// Answers with the size that it has then; 0 if that is not known.
    fn add(&self, lines: &str) -> io::Result<u64> {
        let added = (&self.file).write_all(lines.as_bytes());
        if let (Err(_), Some(size)) = (&added, self.size) {
            // A full disk has taken half a line, and the next would make it another.
            let _ = self.file.set_len(size);
        }
        added.map(|()| self.size.map_or(0, |size| size + lines.len() as u64))
    }

    /// What was needed when it was last written anew.
    fn needed_before(&self) -> u64 {
        let mut begin = [0; 32];
        let read = self.file.read_at(&mut begin, 0).unwrap_or(0);
        let text = begin.get(..read).and_then(|read| str::from_utf8(read).ok());
        let line = text.and_then(|text| text.lines().next()?.strip_prefix(HEADER));
        line.and_then(decimal).unwrap_or(0)
    }

    /// Writes it anew. What cannot be told about is needed.
    fn shorten(&self, path: &Path, needed: Needed<'_>) -> Result<()> {
        let all = read_lines(path)?;
        let lines = match all.split_once('\n') {
            Some((first, lines)) if first.starts_with(HEADER) => lines,
            _ => &all,
        };
        let lines = needed(lines).unwrap_or_else(|| lines.to_owned());
        let found = self.file.metadata().map_err(Error::file("look at", path))?;
        // It is removed with its lease, and a version of this plugin before this one
        // adds without the lock.
        if found.nlink() == 0 || found.len() != all.len() as u64 {
            return Ok(());
        }
        replace(path, Ok(format!("{HEADER}{}\n{lines}", lines.len())), |_| Ok(()))
    }
}

#[cfg(test)]
mod tests;
