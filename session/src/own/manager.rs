//! Becoming the manager of a job's own session: what a child of slurmstepd does until it is `systemd --user`.
//!
//! While it is root it is in no cgroup that the user may take it from; the session's is given away by itself, right
//! before it becomes the user's.

use std::convert::Infallible;
use std::ffi::{CString, OsStr};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::sys::stat::{Mode, umask};
use nix::unistd::{User, chdir, execve, initgroups, setgid, setuid};

use crate::own::place::{Place, write};
use crate::own::view::View;
use crate::terms::error::{Error, Result};
use crate::terms::roots::Roots;

/// systemd's own place for it (systemd 247 to 262; without merged /usr it is in /lib).
const PROGRAM: [&str; 2] = ["/usr/lib/systemd/systemd", "/lib/systemd/systemd"];

/// Where a user's programs are: a manager has no shell that says so.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin";

/// Joins the job's view and the session's cgroup, becomes the user and executes the manager, who says to `notify` when
/// it is ready (sd_notify(3)).
///
/// # Errors
/// What went wrong; where all goes well, this process is another.
pub(crate) fn become_manager(
    roots: &Roots,
    place: &Place,
    view: &View<'_>,
    user: &User,
    notify: &str,
) -> Result<Infallible> {
    view.join()?;
    // slurmstepd's own, which the kernel never kills for its memory.
    let score = Path::new("/proc/self/oom_score_adj");
    fs::write(score, "0").map_err(Error::file("write", score))?;
    umask(Mode::from_bits_truncate(0o022));
    write(&roots.cgroup.join(place.session()).join("cgroup.procs"), "0")?;
    place.give(roots, view.uid)?;
    let dir = view.dir();
    drop_privileges(user).map_err(Error::file("become the user for", &dir))?;
    let program = PROGRAM.into_iter().find(|path| Path::new(path).exists()).unwrap_or(PROGRAM[0]);
    execute(program, user, &dir, notify).map_err(Error::file("execute", Path::new(program)))
}

/// What it and its units have to say goes to the journal: what slurmstepd writes to is no place for it.
fn execute(program: &str, user: &User, dir: &Path, notify: &str) -> io::Result<Infallible> {
    let text = |name: &str, value: &OsStr| -> io::Result<CString> {
        Ok(CString::new([name.as_bytes(), value.as_bytes()].concat())?)
    };
    let environment = [
        text("HOME=", user.dir.as_os_str())?,
        text("SHELL=", user.shell.as_os_str())?,
        text("USER=", user.name.as_ref())?,
        text("LOGNAME=", user.name.as_ref())?,
        text("XDG_RUNTIME_DIR=", dir.as_os_str())?,
        text("PATH=", PATH.as_ref())?,
        text("NOTIFY_SOCKET=", notify.as_ref())?,
    ];
    let arguments = [
        text(program, "".as_ref())?,
        c"--user".into(),
        c"--log-target=journal".into(),
        c"--log-level=debug".into(),
    ];
    chdir("/")?;
    Ok(execve(&arguments[0], &arguments, &environment)?)
}

fn drop_privileges(user: &User) -> io::Result<()> {
    let name = CString::new(user.name.as_bytes())?;
    initgroups(&name, user.gid)?;
    setgid(user.gid)?;
    setuid(user.uid)?;
    Ok(())
}
