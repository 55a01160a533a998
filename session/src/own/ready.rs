//! The word of a manager that it is ready (sd_notify(3)), and the wait for it.

use std::fs;
use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::time::Instant;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::sockopt::PassCred;
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixAddr, UnixCredentials,
    bind, recvmsg, setsockopt, socket,
};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::terms::budget::Budget;
use crate::terms::error::{Error, Result};

/// To read before the time is looked at.
const MOST_WORDS: u32 = 100;

/// Where a manager is to say it.
pub(crate) struct Ready {
    socket: OwnedFd,
    at: PathBuf,
}

impl Ready {
    /// At a path that nobody but root gets to: in the job's view the manager has it elsewhere. By a name of the abstract
    /// kind other users could keep it busy.
    ///
    /// # Errors
    /// What the kernel answered.
    pub(crate) fn listen(at: PathBuf, uid: u32) -> io::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(AddressFamily::Unix, SockType::Datagram, flags, None)?;
        setsockopt(&socket, PassCred, &true)?;
        // Of a session before.
        let _ = fs::remove_file(&at);
        bind(socket.as_raw_fd(), &UnixAddr::new(&at)?)?;
        chown(&at, Some(uid), None)?;
        Ok(Self { socket, at })
    }

    /// Returns when the manager `pid` has said that it is ready; whoever else says so is not heard.
    ///
    /// # Errors
    /// That it has ended, or that the time is up.
    pub(crate) fn wait(&self, pid: u32, cgroup: &Path, budget: Budget) -> Result<()> {
        let failed = || Error::file("wait for the manager in", cgroup);
        let process = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let process = process.ok_or(io::ErrorKind::NotFound.into()).map_err(failed())?;
        let ended = || failed()(io::Error::other("it has ended"));
        let process = pidfd_open(process, PidfdFlags::empty()).map_err(|error| match error {
            // Init has taken note of it by now.
            Errno::SRCH => ended(),
            other => failed()(other.into()),
        })?;
        while !self.has_said(pid) {
            let left = budget.deadline().saturating_duration_since(Instant::now());
            if left.is_zero() {
                let what = format!("wait for the manager in {}", cgroup.display());
                return Err(budget.late(what, Instant::now()));
            }
            let wanted = |fd| PollFd::new(fd, PollFlags::POLLIN);
            let mut all = [wanted(self.socket.as_fd()), wanted(process.as_fd())];
            let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
            let _ = poll(&mut all, timeout);
            if all[1].any().unwrap_or_default() && !self.has_said(pid) {
                return Err(ended());
            }
        }
        Ok(())
    }

    /// Reads what there is.
    fn has_said(&self, pid: u32) -> bool {
        let mut text = [0; 4096];
        // Anybody may write to it, as fast as they can.
        for _ in 0..MOST_WORDS {
            let mut room = nix::cmsg_space!(UnixCredentials);
            let mut parts = [IoSliceMut::new(&mut text)];
            let (fd, flags) = (self.socket.as_raw_fd(), MsgFlags::MSG_CMSG_CLOEXEC);
            let Ok(got) = recvmsg::<()>(fd, &mut parts, Some(&mut room), flags) else {
                return false;
            };
            let mut about = got.cmsgs().into_iter().flatten();
            let is_its = about.any(|about| {
                matches!(about, ControlMessageOwned::ScmCredentials(who) if u32::try_from(who.pid()) == Ok(pid))
            });
            let length = got.bytes;
            if is_its && says_ready(text.get(..length).unwrap_or_default()) {
                return true;
            }
        }
        false
    }
}

impl Drop for Ready {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.at);
    }
}

fn says_ready(text: &[u8]) -> bool {
    text.split(|byte| *byte == b'\n').any(|line| line == b"READY=1")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixDatagram;
    use std::time::Duration;

    fn listen(dir: &Path) -> Ready {
        Ready::listen(dir.join("ready"), nix::unistd::getuid().as_raw()).unwrap()
    }

    /// Show that only the manager's own word counts, whatever else is said, and that no wait is for ever.
    #[test]
    fn only_the_managers_word_counts() {
        let dir = tempfile::tempdir().unwrap();
        let ready = listen(dir.path());
        let say = |text: &str| {
            UnixDatagram::unbound().unwrap().send_to(text.as_bytes(), &ready.at).unwrap()
        };
        let (this, other) = (std::process::id(), std::os::unix::process::parent_id());
        let wait = |pid| {
            let budget = Budget::starting_now(Duration::from_millis(50));
            ready.wait(pid, Path::new("/x"), budget).map_err(|error| error.to_string())
        };
        say("STATUS=Starting\nREADY=1");
        assert!(wait(other).unwrap_err().starts_with("wait for the manager in /x: no end"));
        say("READY=0\nX_READY=1");
        assert!(wait(this).is_err());
        say("STATUS=Up\nREADY=1\n");
        assert_eq!(wait(this), Ok(()));
    }

    /// Show that the end of a manager is no reason to wait on.
    #[test]
    fn a_manager_that_has_ended_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let ready = listen(dir.path());
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        child.kill().unwrap();
        let budget = Budget::starting_now(Duration::from_secs(60));
        let ended = ready.wait(child.id(), Path::new("/x"), budget).unwrap_err().to_string();
        assert_eq!(ended, "wait for the manager in /x: it has ended");
        child.wait().unwrap();
    }
}
