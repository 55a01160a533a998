//! The properties of a user's slice over the bus (org.freedesktop.systemd1(5)).

use zbus::{Array, Dict, Structure, Variant};

use super::{Bus, Object, PROPERTIES, SYSTEMD};
use crate::outside::properties::{Properties, Property};
use crate::terms::error::{Error, Result};

/// Asking for a unit's object loads the unit.
pub(super) fn get(bus: &mut Bus<'_>, uid: u32) -> Result<Properties> {
    let doing = format!("ask for the properties of user-{uid}.slice");
    let unit = Object {
        path: &format!("{}/unit/user_2d{uid}_2eslice", SYSTEMD.path),
        interface: PROPERTIES,
        ..SYSTEMD
    };
    let of = ("s", "org.freedesktop.systemd1.Slice");
    let body = bus.call(doing.clone(), &unit, "GetAll", of)?.body();
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

pub(super) fn set(bus: &mut Bus<'_>, uid: u32, properties: &[Property]) -> Result<()> {
    if properties.is_empty() {
        return Ok(());
    }
    let slice = format!("user-{uid}.slice");
    let doing = format!("set properties of {slice}");
    let mut assignments = Vec::new();
    for property in properties {
        assign(property, &mut assignments);
    }
    let asked = format!("{slice}\ntrue\n{}\n{}", assignments.len(), assignments.join("\n"));
    bus.call(doing, &SYSTEMD, "SetUnitProperties", ("sba(sv)", &asked))?;
    Ok(())
}

/// A list is added to, unless an empty one empties it first.
fn assign(property: &Property, to: &mut Vec<String>) {
    let name = property.name();
    match property {
        Property::Number(_, value) => to.push(format!("{name:?}\nt\n{value}")),
        Property::Cpus(mask) => {
            let words = lines(mask.iter().map(u8::to_string));
            to.push(format!("{name:?}\nay\n{}{words}", mask.len()));
        }
        Property::Devices(rules) => {
            to.push(format!("{name:?}\na(ss)\n0"));
            let words = lines(rules.iter().map(|(node, access)| format!("{node}\n{access}")));
            to.push(format!("{name:?}\na(ss)\n{}{words}", rules.len()));
        }
    }
}

/// The words of what follows on a number.
fn lines(words: impl Iterator<Item = String>) -> String {
    words.fold(String::new(), |list, words| list + "\n" + &words)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Show that a list is emptied first, and that one may be empty.
    #[test]
    fn lists_are_counted() {
        let mut words = Vec::new();
        assign(&Property::Cpus(Vec::new()), &mut words);
        assign(&Property::Cpus(vec![255, 1]), &mut words);
        let rules = vec![("char-pts".into(), "rw".into()), ("/dev/null".into(), "rwm".into())];
        assign(&Property::Devices(rules), &mut words);
        let expected = [
            "AllowedCPUs\nay\n0",
            "AllowedCPUs\nay\n2\n255\n1",
            "DeviceAllow\na(ss)\n0",
            "DeviceAllow\na(ss)\n2\nchar-pts\nrw\n/dev/null\nrwm",
        ];
        assert_eq!(words, expected);
    }
}
