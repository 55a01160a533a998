//! Whether /proc shows what is asked: this process, and those of the node.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use libc::ESRCH;

use crate::outside::text::bytes;
use crate::terms::decimal::decimal;

/// The inode of the pid namespace that the kernel boots with (PROC_PID_INIT_INO in
/// Linux's proc_ns.h). It is not written down: the first versions of this plugin
/// wrote none, and read no line that has one.
pub(crate) const INITIAL: u64 = 0xEFFF_FFFC;

/// Whether what /proc answers of a process is that there is none.
pub(crate) fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(ESRCH)
}

/// Whether /proc shows all processes of the node.
pub(crate) fn sees_all(proc: &Path) -> bool {
    namespace(proc) == Some(INITIAL)
}

/// Whether /proc is of this process's own pid namespace.
pub(crate) fn sees_this_process(proc: &Path) -> bool {
    namespace(proc).is_some()
}

/// The pid namespace of this process; none where /proc is another's, and its
/// numbers mean other processes.
pub(crate) fn namespace(proc: &Path) -> Option<u64> {
    let this = fs::read_link(proc.join("self")).ok()?;
    if this.to_str().and_then(decimal) != Some(std::process::id()) {
        return None;
    }
    // A kernel without these namespaces has no such file.
    Some(fs::metadata(proc.join("self/ns/pid")).map_or(INITIAL, |found| found.ino()))
}

/// When a process that runs was started, in clock ticks since the boot; none of one that has ended, if only its
/// parent has not seen that yet.
///
/// # Errors
/// When /proc does not answer.
pub(crate) fn start(pid: u32, proc: &Path) -> io::Result<Option<u64>> {
    // A process may have a name that is no text.
    let text = bytes(&proc.join(format!("{pid}/stat")))?;
    Ok(start_in(&String::from_utf8_lossy(&text)))
}

/// Its second field is a name in parentheses, which may hold blanks and parentheses (proc_pid_stat(5)).
fn start_in(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ');
    let has_ended = matches!(fields.next()?, "Z" | "X");
    let begun = fields.nth(18)?.parse().ok()?;
    (!has_ended).then_some(begun)
}

/// Has a made-up /proc show this process.
#[cfg(test)]
pub(crate) fn show_this_process(proc: &Path) {
    let pid = std::process::id().to_string();
    fs::create_dir_all(proc.join(&pid)).unwrap();
    std::os::unix::fs::symlink(&pid, proc.join("self")).unwrap();
}
