//! logind over the bus, and a user in its eyes (org.freedesktop.login1(5)).

use zbus::{Structure, Variant};

use super::body::property;
use super::{Bus, LOGIND, Object, PROPERTIES, is_error};
use crate::terms::bus_error::{bus_cause, nobody_answers};
use crate::terms::error::{Error, Problem, Result};

pub(super) fn set_linger(bus: &mut Bus<'_>, uid: u32, on: bool) -> Result<()> {
    let doing = format!("turn linger {} for uid {uid}", if on { "on" } else { "off" });
    let asked = format!("{uid}\n{on}\nfalse");
    match bus.send(&doing, &LOGIND, "SetUserLinger", ("ubb", &asked))? {
        Err(error) if is_refusal(&error) => {
            let (cause, is_gone) = (bus_cause(&error), nobody_answers(&error));
            Err(Problem::Refused { doing, cause, is_gone }.into())
        }
        reply => reply.map(drop).map_err(Error::bus(doing)),
    }
}

/// Whether somebody has answered: who leaves the bus without an answer may have done
/// it (D-Bus Specification, org.freedesktop.DBus.Error.NoReply). zbus has the bus's own
/// errors in a type of theirs.
fn is_refusal(error: &zbus::Error) -> bool {
    use zbus::fdo::Error::{NoReply, ZBus};
    match error {
        zbus::Error::MethodError(..) => true,
        zbus::Error::FDO(standard) => !matches!(**standard, NoReply(_) | ZBus(_)),
        _ => false,
    }
}

pub(super) fn removes_ipc(bus: &mut Bus<'_>) -> Result<bool> {
    let doing = "ask logind for RemoveIPC";
    let manager = Object { interface: PROPERTIES, ..LOGIND };
    let asked = format!("{}\nRemoveIPC", LOGIND.interface);
    let reply = bus.call(doing.into(), &manager, "Get", ("ss", &asked))?;
    property(&reply).map_err(Error::bus(doing))
}

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
