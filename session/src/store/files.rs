//! Files and directories that only root may have written.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::libc::O_NOFOLLOW;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::crash;
use crate::error::{Error, Result};

/// The layout of a state file. `version` lets an upgraded plugin read what the
/// one before it wrote while jobs run.
#[derive(Serialize, Deserialize)]
struct Versioned<T> {
    version: u32,
    #[serde(flatten)]
    content: T,
}

const VERSION: u32 = 1;

/// Makes a directory that only we can enter, or checks that it is one: what is
/// in it decides what root does.
pub(super) fn make_private(dir: &Path) -> Result<()> {
    crash::point();
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

fn open_to_read(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(O_NOFOLLOW).open(path)
}

pub(super) fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let text = match open_to_read(path).and_then(io::read_to_string) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        text => text.map_err(Error::file("read", path))?,
    };
    let untrusted = |problem: String| Error::Untrusted { path: path.to_owned(), problem };
    let read: Versioned<T> = serde_json::from_str(&text)
        .map_err(|error| untrusted(format!("not a state file: {error}; remove it")))?;
    if read.version != VERSION {
        return Err(untrusted(format!(
            "has version {}, this plugin reads {VERSION}",
            read.version
        )));
    }
    Ok(Some(read.content))
}

pub(super) fn write<T: Serialize>(path: &Path, content: &T) -> Result<()> {
    let text = serde_json::to_vec(&Versioned { version: VERSION, content })
        .map_err(|error| Error::file("write", path)(error.into()))?;
    let new = temporary(path);
    crash::point();
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .custom_flags(O_NOFOLLOW)
        .open(&new)
        .and_then(|mut file| file.write_all(&text))
        .and_then(|()| {
            crash::point();
            fs::rename(&new, path)
        })
        .map_err(Error::file("write", path))
        .inspect_err(|_| {
            // A full disk keeps half of it.
            let _ = fs::remove_file(&new);
        })
}

/// Adds a line. Needs no lock, and costs a step of a job of thousands no more than
/// the first. The directory of a user without a lease is not made for it.
pub(super) fn append(path: &Path, line: &impl fmt::Display) -> Result<()> {
    let mut options = OpenOptions::new();
    let options = options.append(true).create(true).mode(0o600).custom_flags(O_NOFOLLOW);
    let line = format!("{line}\n");
    crash::point();
    match options.open(path).and_then(|mut file| file.write_all(line.as_bytes())) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        added => added.map_err(Error::file("write", path)),
    }
}

/// What was appended; nothing where there is no such file.
pub(super) fn read_lines(path: &Path) -> Result<String> {
    match open_to_read(path).and_then(io::read_to_string) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        lines => lines.map_err(Error::file("read", path)),
    }
}

/// One name for each file is enough: its writer holds the user's lock.
pub(super) fn temporary(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().display().to_string();
    path.with_file_name(format!(".{name}.new"))
}

pub(crate) fn remove(path: &Path) -> Result<()> {
    crash::point();
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::file("remove", path)(error))
        }
        _ => Ok(()),
    }
}

/// The file names in `dir` that are numbers: job ids, or uids.
pub(super) fn numbers_in(dir: &Path) -> Result<BTreeSet<u32>> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        entries => entries.map_err(Error::file("list", dir))?,
    };
    let names: io::Result<Vec<_>> = entries.map(|entry| Ok(entry?.file_name())).collect();
    let names = names.map_err(Error::file("list", dir))?;
    Ok(numbers(names.iter().filter_map(|name| name.to_str())))
}

pub(super) fn numbers<'a>(texts: impl Iterator<Item = &'a str>) -> BTreeSet<u32> {
    texts.filter_map(|text| text.parse().ok()).collect()
}
