//! What an error of the bus says.

use zbus::{DBusError as _, fdo};

/// What systemd answers where an admin has taken the unit away (org.freedesktop.systemd1(5)).
const TAKEN_AWAY: [&str; 3] = [
    "org.freedesktop.systemd1.UnitMasked",
    "org.freedesktop.systemd1.NoSuchUnit",
    "org.freedesktop.systemd1.LoadFailed",
];

/// Whether nobody is there who could have answered, or an admin has taken away what was asked for.
pub(crate) fn nobody_answers(error: &zbus::Error) -> bool {
    use fdo::Error as E;
    match error {
        zbus::Error::MethodError(name, ..) => TAKEN_AWAY.contains(&name.as_str()),
        zbus::Error::FDO(standard) => matches!(
            **standard,
            E::ServiceUnknown(_)
                | E::NameHasNoOwner(_)
                | E::NoReply(_)
                | E::Disconnected(_)
                | E::NoServer(_)
                | E::ZBus(_)
        ),
        _ => true,
    }
}

/// The human part of a bus error: the reply's text without its error name.
pub(crate) fn bus_cause(error: &zbus::Error) -> String {
    match error {
        zbus::Error::MethodError(_, Some(text), _) => text.trim_end_matches('.').to_owned(),
        zbus::Error::FDO(standard) => {
            standard.description().map_or_else(|| error.to_string(), ToOwned::to_owned)
        }
        other => other.to_string(),
    }
}
