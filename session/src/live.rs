//! Is the session usable now? Asked of the file system, as a task will see it.

use std::fs::{self, Metadata};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};

use crate::text::text;

/// Whose eyes look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Viewpoint {
    /// Root, before the job: look, and touch nothing that the user controls. What is
    /// below a directory of theirs may lead anywhere, and keep root waiting there.
    Root,
    /// The user, in the job's own mount namespace: also connect to the bus.
    User,
}

/// Why a session is not usable, for the person who reads it.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{} {problem}", path.display())]
pub struct NotLive {
    path: PathBuf,
    problem: &'static str,
}

impl NotLive {
    /// What is missing or wrong: the runtime directory, or something in it.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Checks that `dir` is a live runtime directory of `uid`: a mount of its own,
/// the user's, closed to others, with the bus and the manager's socket in it.
///
/// # Errors
/// The first thing that is missing or wrong, with its path.
pub fn check(dir: &Path, uid: u32, seen_by: Viewpoint) -> Result<(), NotLive> {
    let found = look(dir)?;
    require(found.is_dir(), dir, "is not a directory")?;
    require(found.uid() == uid, dir, "belongs to somebody else")?;
    require(found.mode() & 0o777 == 0o700, dir, "is not closed to others (mode 0700)")?;
    require(is_mount(dir, &found)?, dir, "is not mounted: a leftover of an ended session")?;
    let bus = dir.join("bus");
    require_socket(&bus)?;
    if seen_by == Viewpoint::Root {
        return Ok(());
    }
    require_socket(&dir.join("systemd/private"))?;
    require(answers(&bus), &bus, "refuses connections")
}

/// Checks that the manager of `uid` runs: one that was killed leaves its runtime
/// directory behind, with sockets that nobody listens to. The cgroup tells root
/// without a word to what the user controls.
///
/// # Errors
/// That it has no process.
pub fn check_manager(slice: &Path, uid: u32) -> Result<(), NotLive> {
    let scope = slice.join(format!("user@{uid}.service/init.scope"));
    let processes = text(&scope.join("cgroup.procs"));
    require(processes.is_ok_and(|pids| !pids.is_empty()), &scope, "has no process")
}

fn require(holds: bool, path: &Path, problem: &'static str) -> Result<(), NotLive> {
    if holds { Ok(()) } else { Err(NotLive { path: path.to_owned(), problem }) }
}

/// Does not follow a symbolic link: in the runtime directory the user decides
/// where it leads.
fn look(path: &Path) -> Result<Metadata, NotLive> {
    fs::symlink_metadata(path).map_err(|error| NotLive {
        path: path.to_owned(),
        problem: match error.kind() {
            io::ErrorKind::NotFound => "does not exist",
            _ => "cannot be read",
        },
    })
}

fn require_socket(path: &Path) -> Result<(), NotLive> {
    require(look(path)?.file_type().is_socket(), path, "is not a socket")
}

/// After an unclean end the directory may stay behind without its tmpfs.
fn is_mount(dir: &Path, found: &Metadata) -> Result<bool, NotLive> {
    let parent = look(dir.parent().unwrap_or(dir))?;
    Ok(parent.dev() != found.dev())
}

/// A full backlog (EAGAIN) is an answer too: somebody listens.
fn answers(bus: &Path) -> bool {
    matches!(connect_to(bus), Ok(_) | Err(Errno::EAGAIN))
}

/// Does not wait: where the backlog of who listens there is full, that is EAGAIN
/// (unix(7), connect(2)).
pub(crate) fn connect_to(listener: &Path) -> nix::Result<OwnedFd> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let connected = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    connect(connected.as_raw_fd(), &UnixAddr::new(listener)?)?;
    Ok(connected)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixListener;

    use nix::sys::socket::{Backlog, listen};

    /// A listener, and as many clients as it has room for.
    pub(crate) fn full_backlog(path: &Path) -> (UnixListener, Vec<OwnedFd>) {
        let listener = UnixListener::bind(path).unwrap();
        listen(&listener, Backlog::new(1).unwrap()).unwrap();
        let clients: Vec<_> = (0..10).map_while(|_| connect_to(path).ok()).collect();
        assert!((1..10).contains(&clients.len()));
        (listener, clients)
    }

    fn me() -> u32 {
        nix::unistd::getuid().as_raw()
    }

    /// Show that each thing a session needs is missed by name.
    #[test]
    fn names_what_is_missing() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("1000");
        assert_eq!(check(&dir, me(), Viewpoint::Root).unwrap_err().problem, "does not exist");
        fs::create_dir(&dir).unwrap();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
        let open = check(&dir, me(), Viewpoint::Root).unwrap_err();
        assert!(open.problem.contains("mode 0700"), "{open}");
        let other = check(&dir, me() + 1, Viewpoint::Root).unwrap_err();
        assert!(other.problem.contains("somebody else"), "{other}");
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).unwrap();
        let leftover = check(&dir, me(), Viewpoint::Root).unwrap_err();
        assert!(leftover.problem.contains("not mounted"), "{leftover}");
    }

    /// Show that a socket file without a listener does not count as a bus.
    #[test]
    fn a_dead_socket_does_not_answer() {
        let root = tempfile::tempdir().unwrap();
        let bus = root.path().join("bus");
        let listener = UnixListener::bind(&bus).unwrap();
        assert!(answers(&bus));
        drop(listener);
        assert!(require_socket(&bus).is_ok());
        assert!(!answers(&bus));
    }

    /// Show that a bus whose backlog is full is not waited for.
    #[test]
    fn a_busy_bus_answers_at_once() {
        let root = tempfile::tempdir().unwrap();
        let bus = root.path().join("bus");
        let _full = full_backlog(&bus);
        assert!(answers(&bus));
    }
}
