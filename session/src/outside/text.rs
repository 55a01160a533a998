//! Small files, read whole.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// More than any file of ours, of /proc or of a cgroup that is read here holds: what
/// a user can make longer ends there, and a file of ours is not read.
const MOST: u64 = 16 << 20;

/// As much as most of them hold. /proc does not tell the size of its files, and
/// std begins with 32 bytes then: five reads for a process's `stat`.
const USUAL: usize = 4096;

/// The content of a file.
pub(crate) fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    first(File::open(path)?, MOST)
}

/// The same, whatever its size.
pub(crate) fn all_bytes(path: &Path) -> io::Result<Vec<u8>> {
    first(File::open(path)?, u64::MAX)
}

/// The content of a file that should be text.
pub(crate) fn text(path: &Path) -> io::Result<String> {
    as_text(bytes(path)?)
}

/// The content of an open file of ours: all of it, or an error.
pub(crate) fn whole(file: File) -> io::Result<String> {
    let content = first(file, MOST + 1)?;
    if content.len() as u64 > MOST {
        let problem = format!("more than {} MiB", MOST >> 20);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, problem));
    }
    as_text(content)
}

fn as_text(content: Vec<u8>) -> io::Result<String> {
    String::from_utf8(content).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

fn first(file: File, most: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::with_capacity(USUAL);
    file.take(most).read_to_end(&mut content)?;
    Ok(content)
}
