//! Small files, read whole.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// More than any file of ours, of /proc or of a cgroup that is read here holds:
/// what a user can make longer ends there.
const MOST: u64 = 16 << 20;

/// As much as most of them hold. /proc does not tell the size of its files, and
/// std begins with 32 bytes then: five reads for a process's `stat`.
const USUAL: usize = 4096;

/// The content of a file.
pub(crate) fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    bytes_of(File::open(path)?)
}

/// The content of a file that should be text.
pub(crate) fn text(path: &Path) -> io::Result<String> {
    whole(File::open(path)?)
}

/// The content of an open file that should be text.
pub(crate) fn whole(file: File) -> io::Result<String> {
    String::from_utf8(bytes_of(file)?)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

fn bytes_of(file: File) -> io::Result<Vec<u8>> {
    let mut content = Vec::with_capacity(USUAL);
    file.take(MOST).read_to_end(&mut content)?;
    Ok(content)
}
