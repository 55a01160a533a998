//! Becoming a process of a job's own session: what a child of slurmstepd does until it is the user's program.
//!
//! While it is root it is in no cgroup that the user may take it from; the session's is given away by the manager to
//! be, right before it becomes the user's.

use std::convert::Infallible;
use std::ffi::{CString, OsStr};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::sys::stat::{Mode, umask};
use nix::unistd::{User, chdir, execve, initgroups, setgid, setuid};

use crate::outside::audit;
use crate::own::place::{Place, write};
use crate::own::view::{View, join};
use crate::terms::error::{Error, Result};
use crate::terms::roots::Roots;

/// systemd's own place for it (systemd 247 to 262; without merged /usr it is in /lib).
pub const SYSTEMD: [&str; 2] = ["/usr/lib/systemd/systemd", "/lib/systemd/systemd"];

/// Where a user's programs are: a manager has no shell that says so.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin";

/// Who is to be one.
pub(crate) struct Becoming<'a> {
    pub(crate) roots: &'a Roots,
    /// None where it is to see what the node has.
    pub(crate) view: Option<View<'a>>,
    /// The mount namespace of what it sees, unless it is this process's.
    pub(crate) namespace: Option<&'a Path>,
    pub(crate) user: &'a User,
}

impl Becoming<'_> {
    /// Joins the job's view and the session's cgroup and executes the manager, who says when it is ready to what listens
    /// at `heard` (sd_notify(3)). What it and its units have to say goes to the journal: what slurmstepd writes to is no place
    /// for it.
    ///
    /// # Errors
    /// What went wrong; where all goes well, this process is another.
    pub(crate) fn manager(&self, place: &Place, heard: &Path) -> Result<Infallible> {
        let session = self.roots.cgroup.join(place.session());
        let notify = match &self.view {
            Some(view) => {
                view.join()?;
                view.show(&session)?;
                view.lead_to(heard)?
            }
            None => heard.to_owned(),
        };
        self.settle(&session)?;
        place.give(self.roots, self.user.uid.as_raw())?;
        let program = SYSTEMD.into_iter().find(|path| Path::new(path).exists());
        let arguments = ["--user".into(), "--log-target=journal".into()];
        self.execute(
            program.unwrap_or(SYSTEMD[0]),
            &arguments,
            &[("NOTIFY_SOCKET=", notify.as_os_str())],
        )
    }

    /// The same of a program that the user might have started, in a cgroup of the session's.
    ///
    /// # Errors
    /// What went wrong.
    pub(crate) fn program(
        &self,
        cgroup: &Path,
        program: &str,
        arguments: &[String],
    ) -> Result<Infallible> {
        self.view.as_ref().map_or(Ok(()), View::join)?;
        if let Some(namespace) = self.namespace {
            join(namespace).map_err(Error::file("enter", namespace))?;
        }
        self.settle(cgroup)?;
        self.execute(program, arguments, &[])
    }

    fn settle(&self, cgroup: &Path) -> Result<()> {
        // slurmstepd's own, which the kernel never kills for its memory.
        let score = Path::new("/proc/self/oom_score_adj");
        write(score, "0")?;
        // The mark of the step that starts it: the manager goes on after that step.
        audit::forget(&self.roots.proc);
        umask(Mode::from_bits_truncate(0o022));
        // As long as a name service takes: before the user has a say in where this process is.
        let groups = text(&[self.user.name.as_bytes()])
            .and_then(|name| Ok(initgroups(&name, self.user.gid)?));
        groups.map_err(Error::file("look up the user's groups for", cgroup))?;
        write(&cgroup.join("cgroup.procs"), "0")
    }

    fn execute(
        &self,
        program: &str,
        arguments: &[String],
        more: &[(&str, &OsStr)],
    ) -> Result<Infallible> {
        let dir = self.roots.runtime_dir(self.user.uid.as_raw());
        self.drop_privileges().map_err(Error::file("become the user for", &dir))?;
        let (name, home) = (self.user.name.as_ref(), self.user.dir.as_os_str());
        let known: [(&str, &OsStr); 6] = [
            ("HOME=", home),
            ("SHELL=", self.user.shell.as_os_str()),
            ("USER=", name),
            ("LOGNAME=", name),
            ("XDG_RUNTIME_DIR=", dir.as_os_str()),
            ("PATH=", PATH.as_ref()),
        ];
        let environment = known.iter().chain(more);
        let environment =
            environment.map(|(name, value)| text(&[name.as_bytes(), value.as_bytes()]));
        let all = [program].into_iter().chain(arguments.iter().map(String::as_str));
        let executed = (|| {
            let environment = environment.collect::<io::Result<Vec<_>>>()?;
            let all = all.map(|part| text(&[part.as_bytes()])).collect::<io::Result<Vec<_>>>()?;
            chdir("/")?;
            Ok(execve(&text(&[program.as_bytes()])?, &all, &environment)?)
        })();
        executed.map_err(Error::file("execute", Path::new(program)))
    }

    fn drop_privileges(&self) -> io::Result<()> {
        setgid(self.user.gid)?;
        setuid(self.user.uid)?;
        Ok(())
    }
}

fn text(parts: &[&[u8]]) -> io::Result<CString> {
    Ok(CString::new(parts.concat())?)
}
