//! Becoming the manager of a job's own session: what a child of slurmstepd does until it is `systemd --user`.
//!
//! While it is root it is in no cgroup that the user may take it from; the session's is given away by itself, right
//! before it becomes the user's.

use std::convert::Infallible;
use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use nix::sys::stat::{Mode, umask};
use nix::unistd::{User, initgroups, setgid, setuid};

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
    let failed = Command::new(program)
        .arg("--user")
        .env_clear()
        .envs([("HOME", user.dir.as_os_str()), ("SHELL", user.shell.as_os_str())])
        .envs([("USER", &user.name), ("LOGNAME", &user.name)])
        .env("XDG_RUNTIME_DIR", dir)
        .envs([("PATH", PATH), ("NOTIFY_SOCKET", notify)])
        .current_dir("/")
        .exec();
    Err(Error::file("execute", Path::new(program))(failed))
}

fn drop_privileges(user: &User) -> io::Result<()> {
    let name = CString::new(user.name.as_bytes())?;
    initgroups(&name, user.gid)?;
    setgid(user.gid)?;
    setuid(user.uid)?;
    Ok(())
}
