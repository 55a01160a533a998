//! The ids that a rootless container maps its users to: subuid(5), subgid(5).

use super::Finding;
use super::account::User;
use crate::node::Node;

/// What useradd(8) gives, and what an image of a distribution needs.
const ENOUGH: u64 = 65_536;

/// The first that useradd(8) gives: login.defs(5), SUB_UID_MIN.
const FIRST: u64 = 100_000;

pub(super) fn checks(node: &Node, user: &User) -> Vec<Finding> {
    vec![ids(node, user, "subuid"), ids(node, user, "subgid"), newuidmap(node)]
}

fn ids(node: &Node, user: &User, kind: &'static str) -> Finding {
    let file = format!("/etc/{kind}");
    let text = node.read(&file).unwrap_or_default();
    let ranges: Vec<Range<'_>> = text.lines().filter_map(Range::read).collect();
    let uid = user.uid.to_string();
    let own = ranges.iter().filter(|range| range.owner == user.name || range.owner == uid);
    let count: u64 = own.map(|range| range.count).fold(0, u64::saturating_add);
    if count >= ENOUGH {
        return Finding::ok(kind, format!("{count} ids in {file}"));
    }
    if let Some(service) = other_service(node) {
        return Finding::ok(kind, format!("from {service} (nsswitch.conf)"));
    }
    let end = ranges.iter().map(|range| range.start.saturating_add(range.count)).max();
    let first = end.unwrap_or(FIRST).max(FIRST);
    let last = first.saturating_add(ENOUGH - 1);
    let cure =
        format!("usermod --add-{kind}s {first}-{last} {}, then podman system migrate", user.name);
    if count == 0 {
        let found =
            format!("no entry for {} in {file}: no image with users can be unpacked", user.name);
        return Finding::fail(kind, found, cure);
    }
    let found = format!("{count} ids for {} in {file}, images need {ENOUGH}", user.name);
    Finding::warn(kind, found, cure)
}

struct Range<'a> {
    owner: &'a str,
    start: u64,
    count: u64,
}

impl<'a> Range<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let mut fields = line.trim().split(':');
        let owner = fields.next().filter(|owner| !owner.is_empty())?;
        let (start, count) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        Some(Self { owner, start, count })
    }
}

/// The line `subid:` names another source (shadow 4.9).
fn other_service(node: &Node) -> Option<String> {
    let text = node.read("/etc/nsswitch.conf").ok()?;
    let line = text.lines().find_map(|line| line.trim().strip_prefix("subid:"))?;
    line.split_whitespace().find(|service| *service != "files").map(str::to_owned)
}

fn newuidmap(node: &Node) -> Finding {
    const CHECK: &str = "newuidmap";
    const PLACES: [&str; 2] = ["/usr/bin/newuidmap", "/usr/local/bin/newuidmap"];
    node.first(&PLACES).map_or_else(
        || {
            let cure = "apt install uidmap; on Enterprise Linux dnf install shadow-utils";
            Finding::fail(CHECK, "not installed: no container can map its users", cure)
        },
        |place| Finding::ok(CHECK, place),
    )
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::super::account::tests::erin;
    use super::super::tests::assert_finding;
    use super::*;
    use crate::node::made_up::node;

    /// Show that missing and few ids are named, with a range that is free.
    #[test]
    fn ids_are_enough_or_not() {
        let of = |text: &str| ids(&node().with("/etc/subuid", text).node, &erin(), "subuid");
        assert_finding(&of("erin:100000:65536\n"), State::Ok, &["65536 ids"]);
        assert_finding(&of("4711:1:65535\nerin:100000:1"), State::Ok, &["65536 ids"]);
        let cure = "usermod --add-subuids 165536-231071 erin";
        let none = of("alice:100000:65536\n# erin:1:65536\n");
        assert_finding(&none, State::Fail, &["no entry for erin in /etc/subuid", cure]);
        let few = of("erin:100000:1000\n");
        assert_finding(&few, State::Warn, &["1000 ids", "usermod --add-subuids 101000-166535"]);
        let missing = ids(&node().node, &erin(), "subgid");
        assert_finding(&missing, State::Fail, &["/etc/subgid", "--add-subgids 100000-165535 erin"]);
    }

    /// Show that a site whose ids come from elsewhere is not told to make some.
    #[test]
    fn ids_may_come_from_elsewhere() {
        let made_up = node().with("/etc/nsswitch.conf", "passwd: files\nsubid: files sss\n");
        assert_finding(&ids(&made_up.node, &erin(), "subuid"), State::Ok, &["from sss"]);
        let files = node().with("/etc/nsswitch.conf", "subid: files\n");
        assert_eq!(ids(&files.node, &erin(), "subuid").state, State::Fail);
    }

    /// Show that a node without newuidmap is named.
    #[test]
    fn newuidmap_is_there_or_not() {
        let there = node().with("/usr/bin/newuidmap", "");
        assert_finding(&newuidmap(&there.node), State::Ok, &["/usr/bin/newuidmap"]);
        assert_finding(&newuidmap(&node().node), State::Fail, &["apt install uidmap"]);
    }
}
