//! Where on the node things are, so that tests can put them elsewhere.

use std::path::{Path, PathBuf};

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
    /// What systemd keeps of properties that are set at run time (systemd.unit(5)).
    pub control: PathBuf,
    /// The unified cgroup hierarchy (cgroups(7)).
    pub cgroup: PathBuf,
    /// proc(5).
    pub proc: PathBuf,
    /// The device nodes, and POSIX shared memory and queues below.
    pub dev: PathBuf,
    /// Installed programs.
    pub usr: PathBuf,
}

impl Default for Roots {
    fn default() -> Self {
        Self {
            run: "/run/spank-linger".into(),
            lib: "/var/lib/spank-linger".into(),
            runtime: "/run/user".into(),
            linger: "/var/lib/systemd/linger".into(),
            system_bus: "/run/dbus/system_bus_socket".into(),
            control: "/run/systemd/system.control".into(),
            cgroup: "/sys/fs/cgroup".into(),
            proc: "/proc".into(),
            dev: "/dev".into(),
            usr: "/usr".into(),
        }
    }
}

impl Roots {
    /// The runtime directory of a user.
    #[must_use]
    pub fn runtime_dir(&self, uid: u32) -> PathBuf {
        self.runtime.join(uid.to_string())
    }

    /// The cgroup of all that runs in the user's sessions.
    #[must_use]
    pub fn slice(&self, uid: u32) -> PathBuf {
        self.cgroup.join(format!("user.slice/user-{uid}.slice"))
    }

    /// The same tree below another root, for tests.
    #[must_use]
    pub fn below(root: &Path) -> Self {
        let place = |path: PathBuf| root.join(path.strip_prefix("/").unwrap_or(&path));
        let real = Self::default();
        Self {
            run: place(real.run),
            lib: place(real.lib),
            runtime: place(real.runtime),
            linger: place(real.linger),
            system_bus: place(real.system_bus),
            control: place(real.control),
            cgroup: place(real.cgroup),
            proc: place(real.proc),
            dev: place(real.dev),
            usr: place(real.usr),
        }
    }
}

/// The cgroup of the user's manager and its units, seen from the slice.
pub(crate) fn manager(uid: u32) -> PathBuf {
    PathBuf::from(format!("user@{uid}.service"))
}
