//! Where on the node things are, so that tests can put them elsewhere.

use std::path::PathBuf;

/// The directories the library reads and writes.
#[derive(Clone, Debug)]
pub struct Roots {
    /// Leases; emptied by a reboot. Mode 0700, root.
    pub run: PathBuf,
    /// What must be undone even after a power loss. Mode 0700, root.
    pub lib: PathBuf,
    /// Parent of the users' runtime directories (pam_systemd(8)).
    pub runtime: PathBuf,
    /// One file per lingering user, kept by logind (systemd-logind.service(8)).
    pub linger: PathBuf,
    /// Socket of the system bus (D-Bus Specification, "System message bus").
    pub system_bus: PathBuf,
}

impl Default for Roots {
    fn default() -> Self {
        Self {
            run: "/run/spank-linger".into(),
            lib: "/var/lib/spank-linger".into(),
            runtime: "/run/user".into(),
            linger: "/var/lib/systemd/linger".into(),
            system_bus: "/run/dbus/system_bus_socket".into(),
        }
    }
}

impl Roots {
    /// The runtime directory of a user.
    #[must_use]
    pub fn runtime_dir(&self, uid: u32) -> PathBuf {
        self.runtime.join(uid.to_string())
    }

    /// The same tree below another root.
    #[cfg(test)]
    pub(crate) fn below(root: &std::path::Path) -> Self {
        let place = |path: PathBuf| root.join(path.strip_prefix("/").unwrap());
        let Self { run, lib, runtime, linger, system_bus } = Self::default();
        Self {
            run: place(run),
            lib: place(lib),
            runtime: place(runtime),
            linger: place(linger),
            system_bus: place(system_bus),
        }
    }
}
