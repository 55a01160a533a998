//! A user's account, as logind knows it.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use libc::O_NOFOLLOW;

use crate::outside::runtime_dir::check_manager;
use crate::outside::{crash, files};
use crate::terms::error::{Error, Problem, Result};
use crate::terms::roots::Roots;

/// A user as the session logic needs one.
pub(crate) struct User<'a> {
    pub(crate) uid: u32,
    pub(crate) name: String,
    pub(crate) roots: &'a Roots,
}

impl<'a> User<'a> {
    pub(crate) fn look_up(uid: u32, roots: &'a Roots) -> Result<Self> {
        let found = nix::unistd::User::from_uid(uid.into());
        let found = found.map_err(|error| Problem::NoUser { uid, cause: error.to_string() })?;
        let cause = || "no such account on this node".into();
        let name = found.ok_or_else(|| Problem::NoUser { uid, cause: cause() })?.name;
        Ok(Self { uid, name, roots })
    }

    /// Who lingers of those with that number; an account that is no more does not. A name service that does not answer
    /// tells nothing.
    pub(crate) fn who_lingers(uid: u32, roots: &'a Roots) -> Result<Option<Self>> {
        match Self::look_up(uid, roots) {
            Err(_) if (Self { uid, name: String::new(), roots }).is_gone() => Ok(None),
            user => user.and_then(|user| Ok(user.lingers()?.then_some(user))),
        }
    }

    /// Linger is a file of logind's; it is the only place that knows of users
    /// who have nothing running.
    pub(crate) fn lingers(&self) -> Result<bool> {
        let flag = self.linger_file();
        flag.try_exists().map_err(Error::file("look at", &flag))
    }

    pub(crate) fn runtime_dir(&self) -> PathBuf {
        self.roots.runtime_dir(self.uid)
    }

    /// Whether the user's manager has a process, by its cgroup.
    pub(crate) fn has_manager(&self) -> bool {
        check_manager(&self.roots.slice(self.uid), self.uid).is_ok()
    }

    /// Whether the account is no more.
    pub(crate) fn is_gone(&self) -> bool {
        matches!(nix::unistd::User::from_uid(self.uid.into()), Ok(None))
    }

    /// Turns linger off without logind, as an admin would have to.
    pub(crate) fn forget_linger(&self) -> Result<()> {
        files::remove(&self.linger_file())
    }

    /// Turns it on without logind, in whose way nothing is there yet.
    pub(crate) fn write_linger(&self) -> Result<()> {
        let (dir, flag) = (&self.roots.linger, self.linger_file());
        crash::point();
        fs::create_dir_all(dir).map_err(Error::file("make", dir))?;
        let mut options = OpenOptions::new();
        let options = options.write(true).create(true).mode(0o644).custom_flags(O_NOFOLLOW);
        options.open(&flag).map(drop).map_err(Error::file("write", &flag))
    }

    pub(crate) fn linger_file(&self) -> PathBuf {
        self.roots.linger.join(escape(&self.name))
    }
}

/// logind's cescape(): an account name with a backslash, as Samba's winbind
/// makes them, is `DOM\\user` on disk.
pub(crate) fn escape(name: &str) -> String {
    let escape_byte = |byte: u8| match byte {
        b'\\' | b'"' | b'\'' => format!("\\{}", char::from(byte)),
        b' '..=b'~' => char::from(byte).to_string(),
        other => format!("\\{other:03o}"),
    };
    name.bytes().map(escape_byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Show that account names are written as logind writes them.
    #[test]
    fn names_are_escaped_as_logind_does() {
        assert_eq!(escape("alice"), "alice");
        assert_eq!(escape("alice@example.org"), "alice@example.org");
        assert_eq!(escape("DOM\\alice"), "DOM\\\\alice");
        assert_eq!(escape("zoë"), "zo\\303\\253");
    }
}
