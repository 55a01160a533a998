//! Becoming the manager of a job's own session: what a child of slurmstepd does until it is `systemd --user`.

use std::convert::Infallible;
use std::ffi::CString;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use nix::unistd::{User, initgroups, setgid, setuid};

use crate::own::view::View;
use crate::terms::error::{Error, Result};

/// systemd's own place for it (systemd 247 to 262; without merged /usr it is in /lib).
const PROGRAM: [&str; 2] = ["/usr/lib/systemd/systemd", "/lib/systemd/systemd"];

/// Where a user's programs are: a manager has no shell that says so.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin";

/// Joins the session's cgroup and the job's view, becomes the user and executes the manager, who says to `notify` when
/// it is ready (sd_notify(3)).
///
/// # Errors
/// What went wrong; where all goes well, this process is another.
pub(crate) fn become_manager(
    cgroup: &Path,
    view: &View<'_>,
    user: &User,
    notify: &str,
) -> Result<Infallible> {
    let procs = cgroup.join("cgroup.procs");
    let joined = OpenOptions::new().write(true).open(&procs).and_then(|mut to| to.write_all(b"0"));
    joined.map_err(Error::file("join", &procs))?;
    view.make()?;
    drop_privileges(user).map_err(Error::file("become the user for", view.runtime_dir))?;
    let program = PROGRAM.into_iter().find(|path| Path::new(path).exists()).unwrap_or(PROGRAM[0]);
    let failed = Command::new(program)
        .arg("--user")
        .env_clear()
        .envs([("HOME", user.dir.as_os_str()), ("SHELL", user.shell.as_os_str())])
        .envs([("USER", &user.name), ("LOGNAME", &user.name)])
        .env("XDG_RUNTIME_DIR", view.runtime_dir)
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
