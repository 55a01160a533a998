//! The lock of one user: flock(2) on the directory itself.

use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use libc::{O_DIRECTORY, O_NOFOLLOW};
use nix::sys::stat::{major, minor};

use super::State;
use crate::outside::files::make_private;
use crate::outside::processes::name_in;
use crate::outside::text::{bytes, text};
use crate::terms::budget::Budget;
use crate::terms::decimal::decimal;
use crate::terms::error::{Error, Result};

/// flock(2) has no deadline of its own, so the lock is asked for again. A
/// prolog waits here while an epilog of the same user closes, about 300 ms.
const LOCK_RETRY: Duration = Duration::from_millis(10);

/// Of hundreds that wait since long each asks less often, or those who have the lock had no CPU.
const LOCK_RETRY_AT_MOST: Duration = Duration::from_millis(100);

/// So often who waits looks whether what the lock is for has been done by who has it.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Locks the directory of the user's state, which is made if need be. Not, where who has it
/// meanwhile does what it is for: of hundreds that wait some would have none in their time.
pub(super) fn lock_unless(
    state: &State,
    uid: u32,
    budget: Budget,
    is_done: impl Fn() -> bool,
) -> Result<Option<File>> {
    let began = Instant::now();
    let (mut opened, mut next) = (None, began);
    loop {
        match ask(&state.dir, opened.take())? {
            Asked::Ours(lock) => return Ok(Some(lock)),
            Asked::Held(dir) => opened = dir,
        }
        let now = Instant::now();
        if now >= next {
            if is_done() {
                return Ok(None);
            }
            next = now + LOOK_AGAIN;
        }
        if now >= budget.deadline() {
            let holder = holder(&state.dir, &state.proc);
            let held = holder.map(|holder| format!(", held by pid {holder}")).unwrap_or_default();
            return Err(budget.late(format!("wait for the lock of uid {uid}{held}"), now));
        }
        sleep((now.duration_since(began) / 16).clamp(LOCK_RETRY, LOCK_RETRY_AT_MOST));
    }
}

/// Locks a file, which is made if need be, among the processes of one job.
pub(crate) fn lock_file(path: &Path, budget: Budget) -> Result<File> {
    let mut options = OpenOptions::new();
    let file = options.append(true).create(true).mode(0o600).custom_flags(O_NOFOLLOW).open(path);
    let file = file.map_err(Error::file("open", path))?;
    while file.try_lock().is_err() {
        let now = Instant::now();
        if now >= budget.deadline() {
            return Err(budget.late(format!("wait for the lock of {}", path.display()), now));
        }
        sleep(LOCK_RETRY);
    }
    Ok(file)
}

/// The same of the user's without waiting.
pub(super) fn try_lock(dir: &Path) -> Result<Option<File>> {
    match ask(dir, None)? {
        Asked::Ours(lock) => Ok(Some(lock)),
        Asked::Held(_) => Ok(None),
    }
}

enum Asked {
    Ours(File),
    /// By somebody else: what to ask for again. Nothing, where the directory has been removed or is a new one.
    Held(Option<File>),
}

/// Asks for the lock, of the directory that was `opened` before if it was.
fn ask(dir: &Path, opened: Option<File>) -> Result<Asked> {
    let Some(lock) = opened.map_or_else(|| open(dir), |opened| Ok(Some(opened)))? else {
        return Ok(Asked::Held(None));
    };
    match lock.try_lock() {
        Ok(()) if is_still_at(&lock, dir) => Ok(Asked::Ours(lock)),
        Ok(()) => Ok(Asked::Held(None)),
        Err(TryLockError::WouldBlock) => Ok(Asked::Held(Some(lock))),
        Err(TryLockError::Error(error)) => Err(Error::file("lock", dir)(error)),
    }
}

/// None where the last to leave has just removed it.
fn open(dir: &Path) -> Result<Option<File>> {
    make_private(dir)?;
    match OpenOptions::new().read(true).custom_flags(O_DIRECTORY | O_NOFOLLOW).open(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        opened => opened.map(Some).map_err(Error::file("open", dir)),
    }
}

fn is_still_at(lock: &File, dir: &Path) -> bool {
    let inode = |found: fs::Metadata| (found.dev(), found.ino());
    match (lock.metadata().map(inode), fs::symlink_metadata(dir).map(inode)) {
        (Ok(locked), Ok(named)) => locked == named,
        _ => false,
    }
}

/// More than a command line of Slurm's.
const LONGEST: usize = 100;

/// Who has the lock, as the kernel tells it: `123 (slurmstepd: [42.extern])`. None
/// where it does not: for a file system that has other numbers for it, btrfs for one.
fn holder(dir: &Path, proc: &Path) -> Option<String> {
    let inode = in_table(&fs::symlink_metadata(dir).ok()?);
    let table = text(&proc.join("locks")).ok()?;
    let pid = table.lines().find_map(|line| owner(line, &inode))?;
    let mut command = bytes(&proc.join(format!("{pid}/cmdline"))).unwrap_or_default();
    command.truncate(LONGEST);
    // A zero ends each word.
    command.iter_mut().filter(|byte| **byte == 0).for_each(|byte| *byte = b' ');
    Some(format!("{pid} ({})", name_in(&command)))
}

/// A file, as the table of locks names it: two hexadecimal numbers and a decimal one.
fn in_table(found: &Metadata) -> String {
    let device = found.dev();
    format!("{:02x}:{:02x}:{}", major(device), minor(device), found.ino())
}

/// Whose lock a line of the table is (proc_locks(5)), if it is a flock(2) of this
/// file: `3: FLOCK  ADVISORY  WRITE 123 00:1a:4711 0 EOF`. Where that is of one who
/// waits, the second word is an arrow.
fn owner(line: &str, inode: &str) -> Option<u32> {
    let mut fields = line.split_whitespace().skip(1);
    let (kind, pid, file) = (fields.next()?, fields.nth(2)?, fields.next()?);
    if kind == "FLOCK" && file == inode { decimal(pid) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outside::fake::place;
    use crate::record;

    /// Show that who waits in vain is told for how long, and who has the lock.
    #[test]
    fn the_holder_is_named() {
        let (_dir, mut roots) = place();
        roots.proc = "/proc".into();
        let _lock = record::try_lock(&roots, 7).unwrap().unwrap();
        let budget = Budget::starting_now(Duration::from_millis(1100));
        let said = record::lock(&roots, 7, budget).unwrap_err().to_string();
        let start = format!("wait for the lock of uid 7, held by pid {} (", std::process::id());
        let end = "): no end after 1 s (timeout=1)";
        assert!(said.starts_with(&start) && said.ends_with(end), "{said}");
    }

    /// Show that a process is told by what Slurm calls it, one that is dying by its
    /// number, and that one that nobody knows is left out.
    #[test]
    fn a_holder_is_told_by_its_command() {
        let (dir, roots) = place();
        let holder = || holder(dir.path(), &roots.proc);
        assert_eq!(holder(), None);
        let process = roots.proc.join("123");
        fs::create_dir_all(&process).unwrap();
        let inode = in_table(&dir.path().metadata().unwrap());
        let locks = |pid: u32, inode: &str| {
            let waits = format!("1: -> FLOCK  ADVISORY  WRITE 122 {inode} 0 EOF");
            let posix = format!("2: POSIX  ADVISORY  WRITE 121 {inode} 0 EOF");
            let table =
                format!("{waits}\n{posix}\n3: FLOCK  ADVISORY  WRITE {pid} {inode} 0 EOF\n");
            fs::write(roots.proc.join("locks"), table).unwrap();
        };
        locks(123, &inode);
        assert_eq!(holder().unwrap(), "123 ()");
        fs::write(process.join("cmdline"), "slurmstepd: [42.extern]\0").unwrap();
        assert_eq!(holder().unwrap(), "123 (slurmstepd: [42.extern])");
        fs::write(process.join("cmdline"), "slurmstepd\0spank\0pro\nlog\0").unwrap();
        assert_eq!(holder().unwrap(), "123 (slurmstepd spank pro?log)");
        locks(123, "00:00:1");
        assert_eq!(holder(), None);
    }
}
