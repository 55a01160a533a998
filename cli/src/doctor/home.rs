//! Whether a user's manager can read what is theirs.

use std::time::Duration;

use super::Finding;
use super::account::User;
use crate::node::Node;
use crate::tools::Silence;

const CHECK: &str = "home";

/// For a file system of the network's to answer, beside other work on an emulated node.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is there of the home, and of the directories in which the manager looks for units. Those need not be there.
const LOOK: &str = "ls -- \"$0/\" >/dev/null || exit
    for dir in .config .config/systemd .config/systemd/user; do
        [ ! -e \"$0/$dir\" ] || ls -- \"$0/$dir/\" >/dev/null || exit
    done";

/// As the manager does: as the user, in no login, so without a ticket of Kerberos or a token of AFS. Root needs nothing
/// of it, and may be refused (root_squash).
pub(super) fn check(node: &Node, user: &User) -> Finding {
    let home = &user.home;
    match as_user(node, user, LOOK) {
        Ok(_) => Finding::ok(CHECK, home.clone()),
        Err(error) => {
            let found = format!(
                "no manager of {}'s can read {home}: it starts without their units, and Podman has no images: {error}",
                user.name
            );
            let cure = "mount it, and let its user in without a ticket or a token, or have jobs bring them \
                        before the session (auks, a prolog)";
            Finding::warn(CHECK, found, cure)
        }
    }
}

/// What a script with the user's home (`$0`) and number (`$1`) prints: root touches nothing that a user controls.
pub(super) fn as_user(node: &Node, user: &User, script: &str) -> Result<String, Silence> {
    let uid = user.uid.to_string();
    let shell = ["-c", script, &user.home, &uid];
    if user.asks {
        return node.tools.run_within(PATIENCE, "sh", &shell);
    }
    let ids = [format!("--reuid={uid}"), format!("--regid={}", user.gid)];
    let become_user = [&ids[0], &ids[1], "--init-groups", "--reset-env", "sh"];
    node.tools.run_within(PATIENCE, "setpriv", &[&become_user[..], &shell].concat())
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::super::State;
    use super::super::account::tests::erin;
    use super::super::tests::assert_finding;
    use super::*;
    use crate::node::made_up::node;
    use crate::tools::Real;

    /// Show that it is the user who looks, also where root asks.
    #[test]
    fn the_user_looks() {
        let look =
            "setpriv --reuid=4711 --regid=4712 --init-groups --reset-env sh -c ls -- \"$0/\"";
        let by_root = node().with_tools([(look, Ok(""))]);
        assert_finding(&check(&by_root.node, &erin()), State::Ok, &["/home/erin"]);
        let refused =
            node().with_tools([("setpriv", Err("ls: cannot open directory '/home/erin/'"))]);
        let words = ["no manager of erin's can read /home/erin", "cannot open", "token"];
        assert_finding(&check(&refused.node, &erin()), State::Warn, &words);
    }

    /// Show that a home without anything of systemd's is well, and one that is missing, or hides what the manager
    /// reads, is not.
    #[test]
    fn homes_are_read_or_not() {
        let mut made_up = node().with_dir("/home/erin", 0o700);
        made_up.node.tools = Box::new(Real);
        let home = made_up.node.at("/home/erin").display().to_string();
        let found = |home: &str| {
            check(&made_up.node, &User { asks: true, home: home.to_owned(), ..erin() })
        };
        assert_finding(&found(&home), State::Ok, &[&home]);
        made_up.put("/home/erin/.config/systemd/user/a.service", "");
        assert_finding(&found(&home), State::Ok, &[&home]);
        let missing = found("/no/such/home");
        assert_finding(&missing, State::Warn, &["/no/such/home", "No such file"]);
        let closed = made_up.node.at("/home/erin/.config/systemd");
        // A file where a directory is to be: the mode of one would not keep root out, who may run this.
        fs::remove_dir_all(&closed).unwrap();
        fs::write(&closed, "").unwrap();
        fs::set_permissions(&closed, Permissions::from_mode(0o600)).unwrap();
        assert_finding(&found(&home), State::Warn, &["Not a directory"]);
    }
}
