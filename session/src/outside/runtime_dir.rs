//! Is the session usable now? Asked of the file system, as a task will see it.

use std::borrow::Cow;
use std::fs::{self, Metadata};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};

use crate::outside::mounts::{self, Mount};
use crate::outside::text::text;
use crate::terms::error::NotLive;

const NO_DIRECTORY: &str = "is not a directory";
const NO_MOUNT: &str = "is not mounted: a leftover of an ended session";

/// Of the type of a file system, which a user may have named: as much as a message
/// has room for.
const LONGEST_KIND: usize = 40;

/// Whose eyes look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Viewpoint {
    /// Root, before the job: look at the directory alone. What is below is the
    /// user's, as what they mount over it: it may lead anywhere, and keep root
    /// waiting there. That the bus is there, systemd's word stands for.
    Root,
    /// The user, in the job's own mount namespace: also connect to the bus.
    User,
}

/// Checks that `dir` is a live runtime directory of `uid`: a mount of its own,
/// the user's, closed to others; as the user also that the bus and the manager's
/// socket are in it, and that the bus answers.
///
/// # Errors
/// The first thing that is missing or wrong, with its path.
pub fn check(dir: &Path, uid: u32, seen_by: Viewpoint) -> Result<(), NotLive> {
    match seen_by {
        Viewpoint::Root => check_as_root(dir, uid),
        Viewpoint::User => check_as_user(dir, uid),
    }
}

/// Only what is a tmpfs by the kernel's word is asked for its owner and mode: it
/// answers by itself. What systemd mounts there is one.
fn check_as_root(dir: &Path, uid: u32) -> Result<(), NotLive> {
    let held = mounts::hold(dir).map_err(cannot_be_seen(dir))?;
    require_tmpfs(dir, mounts::mount_of(&held).ok().flatten())?;
    require_private(&held.metadata().map_err(cannot_be_seen(dir))?, dir, uid)
}

fn require_tmpfs(dir: &Path, mount: Option<Mount>) -> Result<(), NotLive> {
    let Some(Mount { point, kind }) = mount else {
        return require(false, dir, "is in a mount that /proc/self/mountinfo does not have");
    };
    require(point == dir, dir, NO_MOUNT)?;
    if kind == mounts::OF_SYSTEMD {
        return Ok(());
    }
    let kind = kind.get(..LONGEST_KIND).unwrap_or(&kind);
    let problem = format!("is covered by a file system of type {kind}").into();
    Err(NotLive { path: dir.to_owned(), problem })
}

fn check_as_user(dir: &Path, uid: u32) -> Result<(), NotLive> {
    let found = look(dir)?;
    require(found.is_dir(), dir, NO_DIRECTORY)?;
    require_private(&found, dir, uid)?;
    require(is_mount(dir, &found)?, dir, NO_MOUNT)?;
    let bus = dir.join("bus");
    require_socket(&bus)?;
    require_socket(&dir.join("systemd/private"))?;
    require(answers(&bus), &bus, "refuses connections")
}

fn require_private(found: &Metadata, dir: &Path, uid: u32) -> Result<(), NotLive> {
    require(found.uid() == uid, dir, "belongs to somebody else")?;
    require(found.mode() & 0o777 == 0o700, dir, "is not closed to others (mode 0700)")
}

/// Whether there is something in the place of a runtime directory, whatever it is:
/// its file system is not asked.
pub(crate) fn is_there(dir: &Path) -> bool {
    mounts::hold(dir).map_or_else(|error| error.kind() != io::ErrorKind::NotFound, |_| true)
}

/// Checks that the manager of `uid` runs: one that was killed leaves its runtime
/// directory behind, with sockets that nobody listens to. The cgroup tells root
/// without a word to what the user controls.
///
/// # Errors
/// That it has no process.
pub fn check_manager(slice: &Path, uid: u32) -> Result<(), NotLive> {
    let scope = scope(slice, uid);
    let has_process = match text(&scope.join("cgroup.procs")) {
        Ok(pids) => !pids.is_empty(),
        // Where cgroups are not of version 2 it is elsewhere: that is not to say that it is gone.
        Err(_) => !slice.ancestors().skip(1).any(|above| above.join("cgroup.controllers").exists()),
    };
    require(has_process, &scope, "has no process")
}

/// The inode of its cgroup: a manager that begins anew has another.
pub(crate) fn manager(slice: &Path, uid: u32) -> Option<u64> {
    check_manager(slice, uid).ok()?;
    fs::metadata(scope(slice, uid)).ok().map(|found| found.ino())
}

fn scope(slice: &Path, uid: u32) -> PathBuf {
    slice.join(format!("user@{uid}.service/init.scope"))
}

fn require(holds: bool, path: &Path, problem: &'static str) -> Result<(), NotLive> {
    if holds { Ok(()) } else { Err(NotLive { path: path.to_owned(), problem: problem.into() }) }
}

/// Does not follow a symbolic link: in the runtime directory the user decides
/// where it leads.
fn look(path: &Path) -> Result<Metadata, NotLive> {
    fs::symlink_metadata(path).map_err(cannot_be_seen(path))
}

fn cannot_be_seen(path: &Path) -> impl FnOnce(io::Error) -> NotLive {
    move |error| NotLive {
        path: path.to_owned(),
        problem: Cow::Borrowed(match error.kind() {
            io::ErrorKind::NotFound => "does not exist",
            io::ErrorKind::NotADirectory => NO_DIRECTORY,
            _ => "cannot be read",
        }),
    }
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

    /// Show that each thing a session needs is missed by name, by root and by the
    /// user.
    #[test]
    fn names_what_is_missing() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("1000");
        let missing = |seen_by, uid| check(&dir, uid, seen_by).unwrap_err().problem;
        for seen_by in [Viewpoint::Root, Viewpoint::User] {
            assert_eq!(missing(seen_by, me()), "does not exist");
        }
        fs::write(&dir, "").unwrap();
        for seen_by in [Viewpoint::Root, Viewpoint::User] {
            assert_eq!(missing(seen_by, me()), "is not a directory");
        }
        fs::remove_file(&dir).unwrap();
        fs::create_dir(&dir).unwrap();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(missing(Viewpoint::User, me()).contains("mode 0700"));
        assert!(missing(Viewpoint::User, me() + 1).contains("somebody else"));
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).unwrap();
        for seen_by in [Viewpoint::Root, Viewpoint::User] {
            assert!(missing(seen_by, me()).contains("not mounted"));
        }
    }

    /// Show that root takes nothing for a runtime directory but a tmpfs of its own
    /// in that place, names what covers it, and only then looks whose it is.
    #[test]
    fn root_asks_no_file_system_of_the_users() {
        let root = tempfile::tempdir().unwrap();
        let dir = Path::new("/run/user/7");
        let mount =
            |point: &str, kind: &str| Some(Mount { point: point.into(), kind: kind.to_owned() });
        let problem = |mount| require_tmpfs(dir, mount).unwrap_err().to_string();
        assert_eq!(require_tmpfs(dir, mount("/run/user/7", "tmpfs")), Ok(()));
        let covered = problem(mount("/run/user/7", "fuse.sshfs"));
        assert_eq!(covered, "/run/user/7 is covered by a file system of type fuse.sshfs");
        assert!(problem(mount("/run/user/7", &"x".repeat(4000))).len() < 100);
        assert!(problem(mount("/run", "tmpfs")).contains("not mounted"));
        assert!(problem(None).contains("mountinfo"));
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let found = fs::metadata(root.path()).unwrap();
        assert_eq!(require_private(&found, root.path(), me()), Ok(()));
        let other = require_private(&found, root.path(), me() + 1).unwrap_err();
        assert!(other.problem.contains("somebody else"), "{other}");
    }

    /// Show that a directory is there until it is known not to be.
    #[test]
    fn what_cannot_be_seen_is_there() {
        let root = tempfile::tempdir().unwrap();
        assert!(is_there(root.path()));
        assert!(!is_there(&root.path().join("none")));
        fs::write(root.path().join("file"), "").unwrap();
        assert!(is_there(&root.path().join("file")));
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
