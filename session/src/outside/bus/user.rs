//! A user in logind's eyes over the bus (org.freedesktop.login1(5)).

use zbus::{Structure, Variant};

use super::{Bus, LOGIND, Object, PROPERTIES, is_error};
use crate::terms::error::{Error, Result};

/// By sd_uid_get_state(3); the other states are offline, opening, lingering, closing.
/// A login by ssh or cron has no seat, and is active. `online` is one on a seat that
/// another has now, or from systemd 256 on a manager that was started by itself: its
/// session is nobody's primary one.
pub(super) fn is_logged_in(bus: &mut Bus<'_>, uid: u32) -> Result<bool> {
    Ok(match get(bus, uid, "State")?.as_str() {
        "active" => true,
        "online" => !get(bus, uid, "Display")?.is_empty(),
        _ => false,
    })
}

/// Nothing where logind does not know the user; of a session its id, which is empty
/// where there is none.
fn get(bus: &mut Bus<'_>, uid: u32, name: &str) -> Result<String> {
    let doing = format!("ask logind for uid {uid}");
    let user = Object {
        path: &format!("/org/freedesktop/login1/user/_{uid}"),
        interface: PROPERTIES,
        ..LOGIND
    };
    let asked = format!("org.freedesktop.login1.User\n{name}");
    let reply = match bus.send(&doing, &user, "Get", ("ss", &asked))? {
        Err(error) if is_unknown(&error) => return Ok(String::new()),
        reply => reply.map_err(Error::bus(&*doing))?,
    };
    let body = reply.body();
    let answer: Structure<'_> = body.deserialize().map_err(Error::bus(&*doing))?;
    first_text(answer.fields()).ok_or_else(|| Error::bus(doing)(zbus::Error::InvalidReply))
}

fn first_text(fields: &[Variant<'_>]) -> Option<String> {
    match fields.first()? {
        Variant::Str(text) => Some(text.to_string()),
        Variant::Variant(inner) => first_text(std::slice::from_ref(inner)),
        Variant::Structure(inner) => first_text(inner.fields()),
        _ => None,
    }
}

/// The object of a user whom logind does not know does not exist; which error
/// says so changed with the release.
fn is_unknown(error: &zbus::Error) -> bool {
    let has_no_object = match error {
        zbus::Error::FDO(error) => matches!(**error, zbus::fdo::Error::UnknownObject(_)),
        _ => is_error(error, "org.freedesktop.DBus.Error.UnknownObject"),
    };
    has_no_object || is_error(error, "org.freedesktop.login1.NoSuchUser")
}
