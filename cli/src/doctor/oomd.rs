//! systemd-oomd, which kills what presses for memory, whatever a job's limit is.

use super::Finding;
use crate::node::Node;

const CHECK: &str = "oomd";
const SERVICE: &str = "systemd-oomd.service";

/// In the units that sessions are in: of a user with that id, or of jobs (`is_own`).
pub(super) fn check(node: &Node, is_own: bool) -> Finding {
    const PROPERTIES: &str = "--property=Id,ActiveState,ManagedOOMSwap,ManagedOOMMemoryPressure";
    // Drop-ins for all users are in each user's units, of users who are not there too.
    let shared = ["-.slice", "user.slice", "user-1000.slice", "user@1000.service"];
    let own = ["-.slice", "system.slice"];
    let units = if is_own { &own[..] } else { &shared[..] };
    let asked = [&["show", PROPERTIES, "--", SERVICE], units].concat();
    let shown = match node.tools.run("systemctl", &asked) {
        Ok(shown) => shown,
        Err(error) => {
            return Finding::warn(CHECK, error.to_string(), "systemctl status systemd-oomd");
        }
    };
    let units: Vec<_> = shown.split("\n\n").map(Unit).collect();
    let runs = |unit: &&Unit<'_>| unit.get("Id") == Some(SERVICE) && unit.is_active();
    if units.iter().find(runs).is_none() {
        return Finding::ok(CHECK, "systemd-oomd does not run");
    }
    let acts = units.iter().find_map(|unit| unit.acts_on().map(|why| (unit, why)));
    acts.map_or_else(
        || Finding::ok(CHECK, "systemd-oomd leaves sessions alone"),
        |(unit, property)| kills(unit.get("Id").unwrap_or_default(), property),
    )
}

/// What a drop-in for each user is called.
fn kills(unit: &str, property: &str) -> Finding {
    let unit = unit.replace("-1000.", "-.").replace("@1000.", "@.");
    let section = if unit.contains('@') { "Service" } else { "Slice" };
    let found = format!(
        "systemd-oomd kills in {unit} ({property}=kill): containers end within the memory of their job"
    );
    let cure = format!(
        "'[{section}]' and '{property}=auto' in /etc/systemd/system/{unit}.d/zz-jobs.conf, then \
         systemctl daemon-reload; or systemctl disable --now systemd-oomd.service systemd-oomd.socket"
    );
    Finding::warn(CHECK, found, cure)
}

/// What `systemctl show` says of one.
struct Unit<'a>(&'a str);

impl<'a> Unit<'a> {
    fn get(&self, key: &str) -> Option<&'a str> {
        let mut pairs = self.0.lines().filter_map(|line| line.split_once('='));
        pairs.find(|(name, _)| *name == key).map(|(_, value)| value)
    }

    fn is_active(&self) -> bool {
        matches!(self.get("ActiveState"), Some("active" | "activating" | "reloading"))
    }

    fn acts_on(&self) -> Option<&'static str> {
        let kills = |property: &&&str| self.get(property) == Some("kill");
        ["ManagedOOMSwap", "ManagedOOMMemoryPressure"].iter().find(kills).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::super::tests::assert_finding;
    use super::*;
    use crate::node::made_up::node;

    /// Show that an oomd that acts on sessions is named, with the drop-in that keeps it from that, and that one which
    /// does not run, or acts elsewhere, is well.
    #[test]
    fn who_kills_is_named() {
        let with = |is_own, state: &str, swap: &str, pressure: &str| {
            let shown = format!(
                "Id=systemd-oomd.service\nActiveState={state}\nManagedOOMSwap=auto\nManagedOOMMemoryPressure=auto\n\n\
                 Id=-.slice\nActiveState=active\nManagedOOMSwap={swap}\nManagedOOMMemoryPressure=auto\n\n\
                 Id=user@1000.service\nActiveState=inactive\nManagedOOMSwap=auto\nManagedOOMMemoryPressure={pressure}\n"
            );
            check(&node().with_tools([("systemctl show", Ok(&shown))]).node, is_own)
        };
        let pressed = with(false, "active", "auto", "kill");
        let words = [
            "kills in user@.service (ManagedOOMMemoryPressure=kill)",
            "'[Service]' and 'ManagedOOMMemoryPressure=auto' in /etc/systemd/system/user@.service.d/",
            "systemctl disable --now systemd-oomd.service",
        ];
        assert_finding(&pressed, State::Warn, &words);
        let swapped = with(false, "active", "kill", "auto");
        let words = ["kills in -.slice (ManagedOOMSwap=kill)", "'[Slice]'", "-.slice.d/"];
        assert_finding(&swapped, State::Warn, &words);
        assert_finding(&with(false, "inactive", "kill", "kill"), State::Ok, &["does not run"]);
        assert_finding(
            &with(false, "active", "auto", "auto"),
            State::Ok,
            &["leaves sessions alone"],
        );
        let old = node().with_tools([(
            "systemctl show",
            Ok("Id=systemd-oomd.service\nActiveState=inactive\n"),
        )]);
        assert_finding(&check(&old.node, true), State::Ok, &["does not run"]);
        assert_finding(&check(&node().node, false), State::Warn, &["not found"]);
    }

    /// Show that of jobs' own sessions the users' units are not asked.
    #[test]
    fn jobs_are_in_the_systems_slice() {
        let line = "systemctl show --property=Id,ActiveState,ManagedOOMSwap,ManagedOOMMemoryPressure -- \
                    systemd-oomd.service -.slice system.slice";
        let shown =
            "Id=systemd-oomd.service\nActiveState=active\n\nId=system.slice\nManagedOOMSwap=kill\n";
        let found = check(&node().with_tools([(line, Ok(shown))]).node, true);
        assert_finding(&found, State::Warn, &["kills in system.slice"]);
    }
}
