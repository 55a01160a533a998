//! Opens a job's own session: a manager in the job's cgroup, and the wait for its word.

use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Instant;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, bind, recv, socket};
use nix::unistd::{User, getpid};
use std::os::fd::{AsRawFd, OwnedFd};

use crate::kind::Launch;
use crate::own::manager::become_manager;
use crate::own::place::Place;
use crate::own::view::View;
use crate::terms::budget::Budget;
use crate::terms::error::{Error, Problem, Result};
use crate::terms::job::Job;
use crate::terms::roots::Roots;

/// Starts the manager of `job` at `place`, and returns with its pid when it says that it is ready.
///
/// # Errors
/// What went wrong in it before it was one; that it ended, or took too long.
pub(crate) fn open(
    roots: &Roots,
    job: Job,
    place: &Place,
    launch: &dyn Launch,
    budget: Budget,
) -> Result<u32> {
    let uid = job.uid;
    let user = User::from_uid(uid.into()).ok().flatten();
    let cause = || "no such account on this node".into();
    let user = user.ok_or_else(|| Problem::NoUser { uid, cause: cause() })?;
    place.make(roots, uid)?;
    let cgroup = roots.cgroup.join(place.session());
    let dir = roots.runtime_dir(uid);
    let view = View { runtime_dir: &dir, job: job.id, uid: user.uid, gid: user.gid };
    let (name, socket) = notify_socket(job).map_err(Error::file("listen for", &cgroup))?;
    let pid = launch.detached(&|| match become_manager(&cgroup, &view, &user, &name) {
        Ok(never) => match never {},
        Err(error) => error.to_string(),
    });
    let pid =
        pid.map_err(|cause| Error::file("start a manager in", &cgroup)(io::Error::other(cause)))?;
    wait_ready(&socket, &cgroup, budget)?;
    Ok(pid)
}

/// In the abstract name space (unix(7)): in no directory of anybody's.
fn notify_socket(job: Job) -> io::Result<(String, OwnedFd)> {
    let name = format!("spank-linger/{}/{}", job.id, getpid());
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Unix, SockType::Datagram, flags, None)?;
    bind(socket.as_raw_fd(), &UnixAddr::new_abstract(name.as_bytes())?)?;
    Ok((format!("@{name}"), socket))
}

fn wait_ready(socket: &OwnedFd, cgroup: &Path, budget: Budget) -> Result<()> {
    let mut text = [0; 4096];
    loop {
        let left = budget.deadline().saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        let mut wanted = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
        let _ = poll(&mut wanted, timeout);
        match recv(socket.as_raw_fd(), &mut text, MsgFlags::empty()) {
            Ok(length) if says_ready(text.get(..length).unwrap_or_default()) => return Ok(()),
            Ok(_) => {}
            Err(_) if left.is_zero() => {
                let what = format!("wait for the manager in {}", cgroup.display());
                return Err(budget.late(what, Instant::now()));
            }
            Err(_) => {}
        }
    }
}

/// sd_notify(3).
fn says_ready(text: &[u8]) -> bool {
    text.split(|byte| *byte == b'\n').any(|line| line == b"READY=1")
}
