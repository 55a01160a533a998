//! A slurmstepd beside its job, and its children in it.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::ffi::CString;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use libc::{O_CLOEXEC, O_WRONLY, close, open, pthread_atfork, write};
use nix::unistd::Pid;

/// `cgroup.procs` of where Slurm had put this process. By its path: a descriptor would be one of the child in which
/// `contain_spank` calls us, which shares only memory with its slurmstepd.
static HOME: OnceLock<CString> = OnceLock::new();

/// Has `process`, the slurmstepd, leave the job's cgroup, and each child that it forks from then on begin where it was
/// itself: TaskEpilog and `srun --task-epilog` are their user's, and begin before any callback of ours (22.05 to
/// 26.05, _wait_for_any_task()).
///
/// # Errors
/// Why it is still there.
pub(crate) fn leave(process: Pid) -> io::Result<()> {
    let Some(home) = leave_step(process)? else { return Ok(()) };
    if HOME.set(CString::new(home.into_os_string().into_vec())?).is_ok() {
        // SAFETY: the file of this plugin stays in memory (`nodelete`), and the handler calls what is safe in a child.
        let failed = unsafe { pthread_atfork(None, None, Some(go_home)) };
        if failed != 0 {
            return Err(io::Error::from_raw_os_error(failed));
        }
    }
    Ok(())
}

/// slurmd has everything in the step's cgroup killed each second while a job ends, but for slurmstepd itself
/// (proctrack/cgroup, 24.11). Beside the jobs there is a cgroup of Slurm's for a slurmstepd that is ending.
/// Where there is none nothing is killed so. Answers with the file by which the process goes back.
pub(crate) fn leave_step(process: Pid) -> io::Result<Option<PathBuf>> {
    let listed = fs::read_to_string(format!("/proc/{process}/cgroup"))?;
    let Some(own) = listed.lines().find_map(|line| line.strip_prefix("0::/")) else {
        return Ok(None);
    };
    let own = Path::new("/sys/fs/cgroup").join(own);
    let is_scope = |dir: &&Path| dir.as_os_str().as_bytes().ends_with(b"slurmstepd.scope");
    // The highest: whatever a user calls what is theirs below it.
    let Some(scope) = own.ancestors().skip(1).filter(is_scope).last() else { return Ok(None) };
    let aside = scope.join("system");
    let process = process.to_string();
    OpenOptions::new()
        .write(true)
        .open(aside.join("cgroup.procs"))?
        .write_all(process.as_bytes())?;
    Ok((own != aside).then(|| own.join("cgroup.procs")))
}

thread_local! {
    static STAYS: Cell<bool> = const { Cell::new(false) };
}

/// Has the child that `fork` makes stay beside the job, as this process.
pub(crate) fn stay<T>(fork: impl FnOnce() -> T) -> T {
    STAYS.set(true);
    let forked = fork();
    // In both.
    STAYS.set(false);
    forked
}

/// In each child, before it does anything. After the job it is nowhere to be found.
extern "C" fn go_home() {
    let Some(home) = HOME.get().filter(|_| !STAYS.get()) else { return };
    // SAFETY: a path that ends with a zero, one byte, and a number of this function's own.
    unsafe {
        let file = open(home.as_ptr(), O_WRONLY | O_CLOEXEC);
        if file >= 0 {
            write(file, c"0".as_ptr().cast(), 1);
            close(file);
        }
    }
}
