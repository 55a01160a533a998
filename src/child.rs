//! Work in a child that is root, whatever this process is at the time.
#![allow(unsafe_code)]

use std::thread::sleep;
use std::time::{Duration, Instant};

use libc::_exit;
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Gid, Pid, Uid, fork, setegid, seteuid};

use crate::home::{leave_step, stay};

/// waitpid(2) has no deadline, so it is asked again.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// It kills once a second.
const AGAIN: u32 = 5;

/// For what has no deadline of its own in the work: the look-up of a name.
const MARGIN: Duration = Duration::from_secs(5);

/// While the extern step of Slurm 24.11 to 25.11 calls `exit`, another thread of
/// it shuts X11 forwarding down, and the process has the user's effective ids for
/// that. A child is out of that thread's reach. Answers with whether it did it.
/// One that takes much longer than `longest` is killed.
pub(crate) fn as_root(longest: Duration, work: &dyn Fn() -> bool) -> Result<bool, String> {
    let mut ended = once(longest, work)?;
    // In the moment before it has left the step's cgroup slurmd may have killed it.
    for _ in 0..AGAIN {
        if !matches!(ended, WaitStatus::Signaled(_, Signal::SIGKILL, _)) {
            break;
        }
        ended = once(longest, work)?;
    }
    match ended {
        WaitStatus::Exited(_, code) => Ok(code == 0),
        WaitStatus::Signaled(_, signal, _) => Err(format!("signal {} ended it", signal as i32)),
        _ => Err("it has not ended".into()),
    }
}

fn once(longest: Duration, work: &dyn Fn() -> bool) -> Result<WaitStatus, String> {
    // SAFETY: the handlers of the C library and of Slurm's log leave their locks usable in
    // the child, which ends without running anything else of this process.
    let forked = stay(|| unsafe { fork() });
    match forked.map_err(|error| format!("fork: {error}"))? {
        ForkResult::Parent { child } => end_of(child, longest + MARGIN),
        ForkResult::Child => {
            let is_root = seteuid(Uid::from_raw(0)).and(setegid(Gid::from_raw(0))).is_ok();
            if let Err(error) = leave_step(Pid::this()) {
                log::debug!("leave the step's cgroup: {error}");
            }
            // SAFETY: it only takes a number.
            unsafe { _exit(i32::from(!(is_root && work()))) }
        }
    }
}

fn end_of(child: Pid, longest: Duration) -> Result<WaitStatus, String> {
    let until = Instant::now() + longest;
    loop {
        match waitpid(child, Some(WaitPidFlag::WNOHANG)) {
            Err(Errno::EINTR) | Ok(WaitStatus::StillAlive) if Instant::now() < until => {
                sleep(LOOK_AGAIN);
            }
            Ok(WaitStatus::StillAlive) => {
                // This process ends soon: init takes over what is left of the child.
                let _ = kill(child, Signal::SIGKILL);
                return Err(format!("not done in {} s, and killed", longest.as_secs()));
            }
            Ok(ended) => return Ok(ended),
            Err(error) => return Err(format!("wait for its child: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Show that a child that hangs is ended, and one that does not is waited for.
    #[test]
    fn no_child_is_waited_for_for_ever() {
        let killed = Err("not done in 1 s, and killed".to_owned());
        let cases = [(Duration::ZERO, 30, Ok(0)), (Duration::from_secs(60), 1, killed)];
        for (takes, longest, end) in cases {
            // SAFETY: the child only sleeps.
            match unsafe { fork() }.unwrap() {
                ForkResult::Parent { child } => {
                    let end = end.map(|code| WaitStatus::Exited(child, code));
                    assert_eq!(end_of(child, Duration::from_secs(longest)), end);
                }
                ForkResult::Child => {
                    sleep(takes);
                    // SAFETY: it only takes a number.
                    unsafe { _exit(0) }
                }
            }
        }
    }
}
