//! The properties of a user's slice over the bus (org.freedesktop.systemd1(5)).

use std::collections::HashMap;

use zbus::{OwnedVariant, Variant};

use super::{Bus, Object, PROPERTIES, SYSTEMD};
use crate::error::{Error, Result};
use crate::slice::{Name, Properties, Property};

/// Asking for a unit's object loads the unit.
pub(super) async fn get(bus: &mut Bus<'_>, uid: u32) -> Result<Properties> {
    let doing = format!("ask for the properties of user-{uid}.slice");
    let unit = Object {
        path: &format!("{}/unit/user_2d{uid}_2eslice", SYSTEMD.path),
        interface: PROPERTIES,
        ..SYSTEMD
    };
    let of = ("org.freedesktop.systemd1.Slice",);
    let reply = bus.call(doing.clone(), &unit, "GetAll", &of).await?;
    let all: zbus::Result<HashMap<String, OwnedVariant>> = reply.body().deserialize();
    let properties = all.and_then(|mut all| {
        Ok(Properties {
            memory_max: take(&mut all, "MemoryMax")?,
            memory_swap_max: take(&mut all, "MemorySwapMax")?,
            tasks_max: take(&mut all, "TasksMax")?,
            allowed_cpus: take(&mut all, "AllowedCPUs")?,
            device_policy: take(&mut all, "DevicePolicy")?,
            device_allow: take(&mut all, "DeviceAllow")?,
        })
    });
    properties.map_err(Error::bus(doing))
}

fn take<T>(all: &mut HashMap<String, OwnedVariant>, name: &str) -> zbus::Result<T>
where
    T: TryFrom<OwnedVariant>,
    zbus::Error: From<T::Error>,
{
    let value = all.remove(name).ok_or(zbus::Error::InvalidReply)?;
    Ok(T::try_from(value)?)
}

pub(super) async fn set(bus: &mut Bus<'_>, uid: u32, properties: Vec<Property>) -> Result<()> {
    if properties.is_empty() {
        return Ok(());
    }
    let slice = format!("user-{uid}.slice");
    let doing = format!("set properties of {slice}");
    let assignments: Vec<_> = properties.into_iter().flat_map(assignments).collect();
    bus.call(doing, &SYSTEMD, "SetUnitProperties", &(slice, true, assignments)).await?;
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
