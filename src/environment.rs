//! The two variables that lead a job's programs to the session, or astray.

use std::path::Path;

use crate::host::Host;

/// Where the runtime directory is: pam_systemd(8).
pub(crate) const RUNTIME_DIR: &str = "XDG_RUNTIME_DIR";
/// Where the user's bus is: sd_bus_open_user(3).
pub(crate) const BUS_ADDRESS: &str = "DBUS_SESSION_BUS_ADDRESS";

/// Points the task to the session in `dir`, whatever the submit side had.
pub(crate) fn export(host: &mut impl Host, dir: &Path) -> Result<(), String> {
    host.set_env(RUNTIME_DIR, &dir.display().to_string())?;
    host.set_env(BUS_ADDRESS, &format!("unix:path={}/bus", dir.display()))
}

/// Removes what a job without a session must not carry: values copied from the
/// submit side make Podman fail where it could fall back. A place of the user's
/// own choice that exists is kept.
pub(crate) fn remove_stale(
    host: &mut impl Host,
    exists: impl Fn(&Path) -> bool,
) -> Result<(), String> {
    for name in [RUNTIME_DIR, BUS_ADDRESS] {
        if host.env(name).is_some_and(|value| is_stale(&value, &exists)) {
            host.unset_env(name)?;
        }
    }
    Ok(())
}

/// Everything below /run/user is logind's; it comes and goes with sessions that
/// are not this job's.
pub(crate) fn is_stale(value: &str, exists: impl Fn(&Path) -> bool) -> bool {
    let path = value.strip_prefix("unix:path=").unwrap_or(value);
    let path = Path::new(path.split([',', ';']).next().unwrap_or(path));
    !path.is_absolute() || path.starts_with("/run/user") || !exists(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Scripted;

    /// Show that stale values are replaced by those of the live session.
    #[test]
    fn exports_over_stale_values() {
        let mut host = Scripted::with_env([(RUNTIME_DIR, "/run/user/7"), ("HOME", "/home/a")]);
        export(&mut host, Path::new("/run/user/1000")).unwrap();
        assert_eq!(host.env(RUNTIME_DIR).unwrap(), "/run/user/1000");
        assert_eq!(host.env(BUS_ADDRESS).unwrap(), "unix:path=/run/user/1000/bus");
        assert_eq!(host.env("HOME").unwrap(), "/home/a");
    }

    /// Show that values of a submit host's session, or of none, are removed, and
    /// that a place of the user's own is kept.
    #[test]
    fn removes_what_leads_nowhere() {
        let exists =
            |path: &Path| path.starts_with("/scratch") || path.starts_with("/run/user/1000");
        for (value, kept) in [
            ("/run/user/1000", false),
            ("unix:path=/run/user/1000/bus", false),
            ("unix:path=/run/user/1000/bus,guid=0a", false),
            ("unix:abstract=/tmp/dbus-x", false),
            ("", false),
            ("/tmp/gone", false),
            ("/scratch/me", true),
            ("unix:path=/scratch/me/bus,guid=0a", true),
        ] {
            let mut host = Scripted::with_env([(RUNTIME_DIR, value), (BUS_ADDRESS, value)]);
            remove_stale(&mut host, exists).unwrap();
            assert_eq!(host.env(RUNTIME_DIR).is_some(), kept, "{value}");
            assert_eq!(host.env(BUS_ADDRESS).is_some(), kept, "{value}");
        }
    }
}
