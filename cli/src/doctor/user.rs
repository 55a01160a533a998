//! One user: the site's wishes for the account, its units, and all else that is theirs.

use linger_arguments::{Arguments, Mode};

use super::account::User;
use super::slurm::Slurm;
use super::{Finding, home, podman, session, store, subids};
use crate::node::Node;

pub(super) fn checks(node: &Node, slurm: &Slurm, user: &User) -> Vec<Finding> {
    let is_own = slurm.is_own();
    let mut findings = vec![account(user, &slurm.arguments())];
    if !is_own {
        findings.push(units(node, user));
    }
    findings.push(home::check(node, user));
    findings.extend(session::checks(node, user, is_own));
    findings.extend(subids::checks(node, user));
    findings.extend([podman::choice(node, user), store::check(node, user)]);
    findings
}

fn account(user: &User, arguments: &Arguments) -> Finding {
    const CHECK: &str = "account";
    let User { name, uid, .. } = user;
    if *uid < arguments.min_uid {
        let found = format!("{name} is uid {uid}, below min_uid={}: no session", arguments.min_uid);
        return Finding::warn(
            CHECK,
            found,
            "min_uid in the plugin's line, if they are to have one",
        );
    }
    if !arguments.who.admits_account(*uid) {
        let found = format!("{name} is on no list of users= and groups=: no session");
        return Finding::warn(
            CHECK,
            found,
            "add them in the plugin's line, if they are to have one",
        );
    }
    match arguments.mode {
        Mode::Always => Finding::ok(CHECK, format!("{name}, uid {uid}: a session in every job")),
        Mode::OptIn => {
            let found = format!("{name}, uid {uid}: a session in jobs with --user-session=yes");
            Finding::ok(CHECK, found)
        }
        Mode::Off => Finding::warn(
            CHECK,
            "mode=off: no session for anybody",
            "mode=always in the plugin's line",
        ),
    }
}

fn units(node: &Node, user: &User) -> Finding {
    const CHECK: &str = "user-unit";
    let names = ["user-runtime-dir", "user"].map(|name| format!("{name}@{}.service", user.uid));
    for name in &names {
        let show = ["show", "--property=LoadState", "--value", name];
        match node.tools.run("systemctl", &show).as_deref().map(str::trim) {
            Ok("loaded") => {}
            Ok("masked") => {
                let cure = format!("systemctl unmask {name}; if that is not it, user@.service");
                return Finding::fail(
                    CHECK,
                    format!("{name} is masked: no session can start"),
                    cure,
                );
            }
            Ok(other) => {
                let found = format!("{name} is {other}: no session can start");
                return Finding::fail(
                    CHECK,
                    found,
                    "reinstall systemd; see 'systemctl status user@.service'",
                );
            }
            Err(error) => return Finding::fail(CHECK, error.to_string(), "systemctl status"),
        }
    }
    Finding::ok(CHECK, names.join(" and ") + " can start")
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::super::account::tests::erin;
    use super::super::tests::assert_finding;
    use linger_arguments::Who;

    use super::*;
    use crate::node::made_up::node;

    /// Show that a user whom the site gives no session is told why.
    #[test]
    fn the_site_decides_who_is_served() {
        let site = Arguments::default();
        assert_finding(&account(&erin(), &site), State::Ok, &["erin", "every job"]);
        let high = Arguments { min_uid: 5000, ..Arguments::default() };
        assert_finding(&account(&erin(), &high), State::Warn, &["below min_uid=5000"]);
        let opt_in = Arguments { mode: Mode::OptIn, ..Arguments::default() };
        assert_finding(&account(&erin(), &opt_in), State::Ok, &["--user-session=yes"]);
        let who = Who { users: Some(["alice".to_owned()].into()), ..Who::default() };
        let listed = Arguments { who, ..Arguments::default() };
        assert_finding(&account(&erin(), &listed), State::Warn, &["on no list", "add them"]);
        let off = Arguments { mode: Mode::Off, ..Arguments::default() };
        assert_finding(&account(&erin(), &off), State::Warn, &["mode=always"]);
    }

    /// Show that a masked unit, and one that is not there, are named.
    #[test]
    fn units_are_there_or_not() {
        const SHOW: &str = "systemctl show --property=LoadState --value user";
        let of = |answer| units(&node().with_tools([(SHOW, answer)]).node, &erin());
        assert_finding(&of(Ok("loaded\n")), State::Ok, &["user@4711.service"]);
        let masked = of(Ok("masked\n"));
        let cure = "systemctl unmask user-runtime-dir@4711.service";
        assert_finding(&masked, State::Fail, &["is masked", cure]);
        assert_finding(&of(Ok("not-found\n")), State::Fail, &["not-found", "reinstall systemd"]);
        assert_finding(&of(Err("no bus")), State::Fail, &["no bus"]);
    }
}
