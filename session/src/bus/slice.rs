//! The properties of a user's slice over the bus (org.freedesktop.systemd1(5)).

use zbus::{Array, Dict, Structure, Variant};

use super::{Bus, Object, PROPERTIES, SYSTEMD};
use crate::error::{Error, Result};
use crate::slice::{Name, Properties, Property};

/// Asking for a unit's object loads the unit.
pub(super) fn get(bus: &mut Bus<'_>, uid: u32) -> Result<Properties> {
    let doing = format!("ask for the properties of user-{uid}.slice");
    let unit = Object {
        path: &format!("{}/unit/user_2d{uid}_2eslice", SYSTEMD.path),
        interface: PROPERTIES,
        ..SYSTEMD
    };
    let of = ("org.freedesktop.systemd1.Slice",).into();
    let body = bus.call(doing.clone(), &unit, "GetAll", &of)?.body();
    let properties = body.deserialize().and_then(|reply| properties(&reply));
    properties.map_err(Error::bus(doing))
}

fn properties(reply: &Structure<'_>) -> zbus::Result<Properties> {
    let [Variant::Dict(all)] = reply.fields() else { return Err(zbus::Error::InvalidReply) };
    Ok(Properties {
        memory_max: value(all, "MemoryMax")?,
        memory_swap_max: value(all, "MemorySwapMax")?,
        tasks_max: value(all, "TasksMax")?,
        allowed_cpus: list(all, "AllowedCPUs", TryInto::try_into)?,
        device_policy: value(all, "DevicePolicy")?,
        device_allow: list(all, "DeviceAllow", rule)?,
    })
}

fn value<'v, T>(all: &'v Dict<'v, 'v>, name: &str) -> zbus::Result<T>
where
    T: TryFrom<&'v Variant<'v>, Error = zbus::Error>,
{
    let is_named = |key: &Variant<'_>| matches!(key, Variant::Str(key) if key == name);
    let found = all.iter().find(|(key, _)| is_named(key));
    found.ok_or(zbus::Error::InvalidReply)?.1.downcast_ref()
}

fn list<'v, T>(
    all: &'v Dict<'v, 'v>,
    name: &str,
    item: impl Fn(&'v Variant<'v>) -> zbus::Result<T>,
) -> zbus::Result<Vec<T>> {
    value::<&Array<'_>>(all, name)?.iter().map(item).collect()
}

/// Node or driver, and what may be done with it.
fn rule(pair: &Variant<'_>) -> zbus::Result<(String, String)> {
    match pair {
        Variant::Structure(pair) => match pair.fields() {
            [Variant::Str(node), Variant::Str(access)] => {
                Ok((node.to_string(), access.to_string()))
            }
            _ => Err(zbus::Error::InvalidReply),
        },
        _ => Err(zbus::Error::InvalidReply),
    }
}

pub(super) fn set(bus: &mut Bus<'_>, uid: u32, properties: Vec<Property>) -> Result<()> {
    if properties.is_empty() {
        return Ok(());
    }
    let slice = format!("user-{uid}.slice");
    let doing = format!("set properties of {slice}");
    let assignments: Vec<_> = properties.into_iter().flat_map(assignments).collect();
    bus.call(doing, &SYSTEMD, "SetUnitProperties", &(slice, true, assignments).into())?;
    Ok(())
}

/// A list is added to, unless an empty one empties it first.
fn assignments(property: Property) -> Vec<(String, Variant<'static>)> {
    let assign = |name: Name, value| (format!("{name:?}"), value);
    match property {
        Property::Number(name, value) => vec![assign(name, Variant::from(value))],
        Property::Cpus(mask) => vec![assign(Name::AllowedCPUs, Variant::from(mask))],
        Property::Devices(rules) => [Vec::new(), rules]
            .into_iter()
            .map(|rules| assign(Name::DeviceAllow, Variant::from(rules)))
            .collect(),
    }
}
