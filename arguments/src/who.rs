//! Lists of those who may have a session.

use std::ffi::CString;

use nix::unistd::{Group, User, getgrouplist};

/// Who may have a session: everybody, unless a list is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Who {
    /// Account names.
    pub users: Option<Vec<String>>,
    /// Names of groups, any of which will do in the place of the account's.
    pub groups: Option<Vec<String>>,
    /// Slurm's partitions, in one of which the job must be.
    pub partitions: Option<Vec<String>>,
}

impl Who {
    /// Whether the account is admitted by its name or by one of its groups. Who
    /// cannot be looked up is not on any list.
    #[must_use]
    pub fn admits_account(&self, uid: u32) -> bool {
        if self.users.is_none() && self.groups.is_none() {
            return true;
        }
        let user = User::from_uid(uid.into()).unwrap_or_else(|error| {
            log::warn!("uid {uid}: look up the account for users= and groups=: {error}");
            None
        });
        let Some(user) = user else { return false };
        let is_named = self.users.as_ref().is_some_and(|users| users.contains(&user.name));
        is_named || self.groups.as_ref().is_some_and(|groups| is_in_a_group(&user, groups))
    }
}

fn is_in_a_group(user: &User, groups: &[String]) -> bool {
    let listed = CString::new(user.name.as_str()).map(|name| getgrouplist(&name, user.gid));
    let Ok(Ok(ids)) = listed else {
        log::warn!("uid {}: list the groups of {} for groups=: failed", user.uid, user.name);
        return false;
    };
    let id_of = |name: &String| Group::from_name(name).ok().flatten().map(|group| group.gid);
    groups.iter().filter_map(id_of).any(|id| ids.contains(&id))
}
