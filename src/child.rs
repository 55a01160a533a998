//! Work in a child that is root, whatever this process is at the time.
#![allow(unsafe_code)]

use nix::errno::Errno;
use nix::libc::_exit;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Gid, Pid, Uid, fork, setegid, seteuid};

/// While the extern step of Slurm 24.11 to 25.11 calls `exit`, another thread of
/// it shuts X11 forwarding down, and the process has the user's effective ids for
/// that. A child is out of that thread's reach. Answers with whether it did it.
pub(crate) fn as_root(work: impl FnOnce() -> bool) -> Result<bool, String> {
    // SAFETY: the handlers of the C library and of Slurm's log leave their locks usable in
    // the child, which ends without running anything else of this process.
    match unsafe { fork() }.map_err(|error| format!("fork: {error}"))? {
        ForkResult::Parent { child } => end_of(child).map_err(|error| format!("wait: {error}")),
        ForkResult::Child => {
            let is_root = seteuid(Uid::from_raw(0)).and(setegid(Gid::from_raw(0))).is_ok();
            // SAFETY: it only takes a number.
            unsafe { _exit(i32::from(!(is_root && work()))) }
        }
    }
}

fn end_of(child: Pid) -> Result<bool, Errno> {
    loop {
        match waitpid(child, None) {
            Err(Errno::EINTR) => {}
            ended => return ended.map(|status| status == WaitStatus::Exited(child, 0)),
        }
    }
}
