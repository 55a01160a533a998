//! Files and directories that only root may have written.

use std::fmt;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use libc::{O_DIRECTORY, O_NOFOLLOW};
use nix::errno::Errno;
use nix::sys::stat::Mode;
use nix::unistd::mkdir;
use rustix::fs::RawDir;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::outside::crash;
use crate::outside::fields::fields;
use crate::outside::text::whole;
use crate::terms::decimal::decimal;
use crate::terms::error::{Error, Problem, Result};
use crate::terms::set::Set;

/// The layout of a state file. `version` lets an upgraded plugin read what the
/// one before it wrote while jobs run.
#[derive(Serialize)]
struct Versioned<T> {
    version: u32,
    #[serde(flatten)]
    content: T,
}

/// What every version has in common.
#[derive(Deserialize)]
struct AnyVersion {
    version: u32,
}

const VERSION: u32 = 1;

/// Of a directory's entries, in bytes: there may be a thousand, and who looks for one has it among these.
const AT_ONCE: usize = 8 << 10;

/// Makes a directory that only we can enter, or checks that it is one: what is
/// in it decides what root does.
pub(crate) fn make_private(dir: &Path) -> Result<()> {
    if let Some(found) = look_at(dir)? {
        return check_private(dir, &found);
    }
    crash::point();
    if make_dir(dir, Mode::S_IRWXU).map_err(Error::file("make", dir))? {
        return Ok(());
    }
    // Or the last to leave has just removed it: the caller begins anew.
    look_at(dir)?.map_or(Ok(()), |found| check_private(dir, &found))
}

/// Answers with whether it is new: there may be something of its name. The standard library's brings the making of
/// all directories above with it.
pub(crate) fn make_dir(dir: &Path, mode: Mode) -> io::Result<bool> {
    match mkdir(dir, mode) {
        Err(Errno::EEXIST) => Ok(false),
        done => Ok(done.map(|()| true)?),
    }
}

fn look_at(dir: &Path) -> Result<Option<Metadata>> {
    match fs::symlink_metadata(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        found => found.map(Some).map_err(Error::file("look at", dir)),
    }
}

fn check_private(dir: &Path, found: &Metadata) -> Result<()> {
    let ours = nix::unistd::geteuid().as_raw();
    if found.is_dir() && found.uid() == ours && found.mode() & 0o777 == 0o700 {
        return Ok(());
    }
    Err(untrusted(dir, "must be a directory of root with mode 0700; remove what is there".into()))
}

fn open_to_read(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(O_NOFOLLOW).open(path)
}

pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    read_text(path)?.map(|text| parse(path, &text)).transpose()
}

fn read_text(path: &Path) -> Result<Option<String>> {
    match open_to_read(path).and_then(whole) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        text => text.map(Some).map_err(Error::file("read", path)),
    }
}

/// Reads the version first: with another one the rest may be anything. A field
/// that is not known is passed over.
pub(crate) fn parse<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T> {
    check_version(path, text)?;
    fields_in(text).map_err(|error| not_ours(path, &error))
}

fn check_version(path: &Path, text: &str) -> Result<()> {
    let AnyVersion { version } = fields_in(text).map_err(|error| not_ours(path, &error))?;
    if version == VERSION {
        return Ok(());
    }
    Err(untrusted(path, format!("has version {version}, this plugin reads {VERSION}")))
}

/// Of a text that tells no version.
pub(crate) fn fields_in<T: DeserializeOwned>(text: &str) -> serde_json::Result<T> {
    let mut from = serde_json::Deserializer::from_str(text);
    let read = fields(&mut from)?;
    from.end()?;
    Ok(read)
}

fn not_ours(path: &Path, error: &serde_json::Error) -> Error {
    untrusted(path, format!("not a state file: {error}; remove it"))
}

fn untrusted(path: &Path, problem: String) -> Error {
    Problem::Untrusted { path: path.to_owned(), problem }.into()
}

pub(crate) fn text_of<T: Serialize>(content: &T) -> serde_json::Result<String> {
    serde_json::to_string(&Versioned { version: VERSION, content })
}

pub(crate) fn write<T: Serialize>(path: &Path, content: &T) -> Result<()> {
    replace(path, text_of(content), |_| Ok(()))
}

/// On disk when this returns: a power loss right after finds it.
pub(crate) fn write_to_disk<T: Serialize>(path: &Path, content: &T) -> Result<()> {
    replace(path, text_of(content), File::sync_all)?;
    crash::point();
    sync(path.parent().unwrap_or(path))
}

/// What was made or removed in `dir` is on disk when this returns.
pub(crate) fn sync(dir: &Path) -> Result<()> {
    let synced = File::open(dir).and_then(|dir| dir.sync_all());
    synced.map_err(Error::file("sync", dir))
}

/// `finish`es the new file before it takes the place of the old one. One function for all that is
/// written, or each would have a copy of it.
#[inline(never)]
pub(crate) fn replace(
    path: &Path,
    text: serde_json::Result<String>,
    finish: fn(&File) -> io::Result<()>,
) -> Result<()> {
    let text = text.map_err(|error| Error::file("write", path)(error.into()))?;
    let new = temporary(path);
    crash::point();
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .custom_flags(O_NOFOLLOW)
        .open(&new)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| finish(&file)))
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

/// Adds a line, of whoever holds the user's lock. The directory of a user without a
/// lease is not made for it.
pub(crate) fn append(path: &Path, line: &dyn fmt::Display) -> Result<()> {
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
pub(crate) fn read_lines(path: &Path) -> Result<String> {
    match open_to_read(path).and_then(whole) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        lines => lines.map_err(Error::file("read", path)),
    }
}

/// One name for each file is enough: its writer holds the user's lock, or the file's.
pub(crate) fn temporary(path: &Path) -> PathBuf {
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

/// The file names in `dir` that are numbers, job ids or uids: the first `most`.
pub(crate) fn numbers_in(dir: &Path, most: usize) -> Result<Set<u32>> {
    first_in(dir, most, &decimal)
}

/// The same of files whose writer was killed.
pub(crate) fn unfinished_in(dir: &Path) -> Result<Set<u32>> {
    let number = |name: &str| name.strip_prefix('.')?.strip_suffix(".new").and_then(decimal);
    first_in(dir, usize::MAX, &number)
}

/// The same of names that `number` takes.
pub(crate) fn names_in(dir: &Path, number: &dyn Fn(&str) -> Option<u32>) -> Result<Set<u32>> {
    first_in(dir, usize::MAX, number)
}

fn first_in(dir: &Path, most: usize, number: &dyn Fn(&str) -> Option<u32>) -> Result<Set<u32>> {
    let mut found = Vec::new();
    any_name_in(dir, &mut |name| {
        found.extend(number(name));
        found.len() >= most
    })?;
    Ok(found.into())
}

/// Whether `is` holds for one of these numbers, without a look at the others.
pub(crate) fn any_number_in(dir: &Path, mut is: impl FnMut(u32) -> bool) -> Result<bool> {
    any_name_in(dir, &mut |name| decimal(name).is_some_and(&mut is))
}

fn any_name_in(dir: &Path, is: &mut dyn FnMut(&str) -> bool) -> Result<bool> {
    any_entry_in(dir, &mut |name, _inode| is(name))
}

/// Whether `is` holds for an entry, by its name and inode, without a look at the others. The standard library makes
/// two strings of each name: felt where there are thousands.
pub(crate) fn any_entry_in(dir: &Path, is: &mut dyn FnMut(&str, u64) -> bool) -> Result<bool> {
    let held = match OpenOptions::new().read(true).custom_flags(O_NOFOLLOW | O_DIRECTORY).open(dir)
    {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        held => held.map_err(Error::file("list", dir))?,
    };
    let mut some = Vec::with_capacity(AT_ONCE);
    let mut entries = RawDir::new(held, some.spare_capacity_mut());
    while let Some(entry) = entries.next() {
        let entry = entry.map_err(|error| Error::file("list", dir)(error.into()))?;
        if entry.file_name().to_str().is_ok_and(|name| is(name, entry.ino())) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Found, Lease};

    fn lease(text: &str) -> Result<Lease> {
        parse(Path::new("/run/7"), text)
    }

    /// Show that a lease of a later version is refused by its version, whatever
    /// else has changed with it.
    #[test]
    fn a_later_version_is_named() {
        for text in [r#"{"version":2,"state":"paused"}"#, r#"{"state":{},"version":2}"#] {
            let error = lease(text).unwrap_err().to_string();
            assert_eq!(error, "/run/7: has version 2, this plugin reads 1");
        }
    }

    /// Show that a field of a later plugin with the same version is passed over.
    #[test]
    fn a_field_more_is_no_problem() {
        let more = r#"{"version":1,"state":"open","since":[{"any":"thing"}]}"#;
        assert_eq!(lease(more).unwrap(), Lease::Open);
        assert_eq!(lease(r#"{"version":1,"state":"declined","more":0}"#).unwrap(), Lease::Declined);
    }

    /// Show that nesting without an end is an error and no crash.
    #[test]
    fn deep_nesting_is_refused() {
        for open in ["[", r#"{"a":"#] {
            let deep = open.repeat(1_000_000);
            lease(&deep).unwrap_err();
            lease(&format!(r#"{{"version":1,"state":"open","more":{deep}"#)).unwrap_err();
        }
    }

    /// Show that only a number's own notation names a job: "+7" is not the file
    /// of job 7.
    #[test]
    fn a_job_has_one_file() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["7", "+8", "09", "7.audit", "11", "slice", ".9.new"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        assert_eq!(numbers_in(dir.path(), usize::MAX).unwrap(), [7, 11].into());
        assert_eq!(numbers_in(dir.path(), 1).unwrap().len(), 1);
        assert_eq!(unfinished_in(dir.path()).unwrap(), [9].into());
        assert!(any_number_in(dir.path(), |number| number == 7).unwrap());
        assert!(!any_number_in(dir.path(), |number| number == 9).unwrap());
    }

    /// Show that a user who names a cgroup by other than text gets a session.
    #[test]
    fn a_cgroup_need_not_be_text() {
        use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
        let odd = Path::new(OsStr::from_bytes(b"a.scope/\xff")).to_owned();
        let text = text_of(&Found { cgroups: ["a.scope".into(), odd].into() }).unwrap();
        let read: Found = parse(Path::new("/run/found"), &text).unwrap();
        assert_eq!(read.cgroups, [PathBuf::from("a.scope")].into());
    }
}
