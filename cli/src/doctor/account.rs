//! Whose way the doctor checks.

use nix::unistd::User as Account;

use super::Finding;
use crate::node::Node;

/// Whose way is checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct User {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) name: String,
    pub(super) home: String,
    /// It is they who ask.
    pub(super) asks: bool,
}

impl User {
    /// The account of that name, else of who asks; root has none to check.
    ///
    /// # Errors
    /// That there is no such account, as a finding.
    pub(super) fn find(node: &Node, name: Option<&str>) -> Result<Option<Self>, Finding> {
        let found = match name {
            Some(name) => Account::from_name(name),
            None if node.asked_by_root() => return Ok(None),
            None => Account::from_uid(node.asker.into()),
        };
        let account = found.ok().flatten().ok_or_else(|| {
            let name = name.map_or_else(|| node.asker.to_string(), ToOwned::to_owned);
            let found = format!("no account {name} on this node");
            Finding::fail("account", found, format!("getent passwd {name}; see nsswitch.conf(5)"))
        })?;
        let (uid, gid) = (account.uid.as_raw(), account.gid.as_raw());
        let asks = uid == node.asker && !node.asked_by_root();
        let home = account.dir.display().to_string();
        Ok(Some(Self { uid, gid, name: account.name, home, asks }))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::node::made_up::node;

    /// Somebody whom root asks about.
    pub(in super::super) fn erin() -> User {
        User { uid: 4711, gid: 4712, name: "erin".into(), home: "/home/erin".into(), asks: false }
    }

    /// Show that root is asked about by name only, and others about themselves.
    #[test]
    fn who_is_checked() {
        assert_eq!(User::find(&node().node, None).unwrap(), None);
        let other = node().asked_with(|_| None);
        let user = User::find(&other.node, None).unwrap().unwrap();
        assert_eq!((user.uid, user.asks), (other.node.asker, true));
        let root = User::find(&node().node, Some("root")).unwrap().unwrap();
        assert_eq!((root.uid, root.asks), (0, false));
    }
}
