//! Whose fault it is that something failed.
//!
//! With `on_error=drain` a node goes out of service for the site's own faults alone: no system bus, no
//! logind, a masked unit, no place for our state, no cgroups. What a user can cause must not: a manager
//! that does not come up, a runtime directory that they spoil, a process that does not die, a systemd that
//! they keep busy, a disk that they fill.

use std::io;
use std::path::Path;

use crate::outside::bus::CONNECT;
use crate::terms::error::{Error, Problem};
use crate::terms::roots::Roots;

impl Error {
    /// Whether no user can have caused it.
    #[must_use]
    pub(crate) fn is_the_sites(&self, roots: &Roots) -> bool {
        let is_ours = |path: &Path| path.starts_with(&roots.run) || path.starts_with(&roots.lib);
        match self.problem() {
            Problem::NoBus { .. } | Problem::NoUnified { .. } => true,
            Problem::Refused { is_gone, .. } => *is_gone,
            Problem::Late { doing, .. } => doing == CONNECT,
            Problem::Untrusted { path, .. } => is_ours(path),
            Problem::File { path, source, .. } => is_ours(path) && !is_full(source),
            _ => false,
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{OutOfMemory, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | OutOfMemory)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use zbus::fdo;

    use super::*;

    fn file(path: &str, kind: io::ErrorKind) -> Error {
        Error::file("write", Path::new(path))(kind.into())
    }

    fn late(doing: &str) -> Error {
        let (waited, total) = (Duration::ZERO, Duration::ZERO);
        Problem::Late { doing: doing.into(), waited, total }.into()
    }

    /// Show that a fault of the site's is told from what a user can do.
    #[test]
    fn a_fault_of_the_sites_is_known() {
        let gone = zbus::Error::FDO(Box::new(fdo::Error::ServiceUnknown("logind".into())));
        let busy = zbus::Error::FDO(Box::new(fdo::Error::LimitsExceeded("jobs".into())));
        let broken = zbus::Error::from(io::Error::from(io::ErrorKind::ConnectionReset));
        let cases = [
            (Error::bus("a")(gone), true),
            (Error::bus("a")(busy), false),
            (Error::bus("a")(broken), true),
            (late(CONNECT), true),
            (late("wait for user@7.service to start"), false),
            (file("/run/spank-linger/7/1", io::ErrorKind::PermissionDenied), true),
            (file("/var/lib/spank-linger/7", io::ErrorKind::ReadOnlyFilesystem), true),
            (file("/var/lib/spank-linger/7", io::ErrorKind::StorageFull), false),
            (file("/proc/self/cgroup", io::ErrorKind::NotFound), false),
            (Problem::ManagerFailed { uid: 7, state: "failed".into() }.into(), false),
            (Error::still_alive::<String>(&[]), false),
            (Problem::LingerStays { uid: 7 }.into(), false),
        ];
        for (error, expected) in cases {
            assert_eq!(error.is_the_sites(&Roots::default()), expected, "{error}");
        }
    }
}
