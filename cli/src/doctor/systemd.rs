//! systemd and logind, and what a user's manager needs of the node.

use std::fs;
use std::path::Path;

use user_session::Confine;

use super::slurm::Slurm;
use super::{Finding, Version, oomd, pam, proc};
use crate::node::Node;
use crate::tools::Silence;

/// A job's own session is none of logind's, and no unit: its manager is started as it is.
pub(super) fn checks(node: &Node, slurm: &Slurm) -> Vec<Finding> {
    let is_own = slurm.is_own();
    let printed = node.tools.run("systemctl", &["--version"]);
    let mut findings = vec![version(&printed, if is_own { &[] } else { &BUGS })];
    if !is_own {
        findings.push(logind(node));
    } else if slurm.arguments().containment.confine != Confine::NONE {
        findings.push(system_bus(node));
    }
    findings.push(user_bus(node));
    if !is_own {
        findings.push(pam::check(node));
    }
    let version = printed.ok().and_then(|printed| version_in(&printed));
    findings.extend([proc::check(node, version), oomd::check(node, is_own)]);
    findings
}

/// Releases from the first to before the second do this.
struct Bug {
    from: Version,
    before: Version,
    what: &'static str,
}

const BUGS: [Bug; 2] = [
    Bug {
        from: (255, 0),
        before: (256, 3),
        what: "ends a lingering user's session at their last logout (systemd issue 43361)",
    },
    Bug {
        from: (256, 0),
        before: (256, 2),
        what: "does not end a session when linger is turned off (systemd issue 33488)",
    },
];

/// The oldest with what the plugin builds on (RHEL 8's).
const OLDEST: Version = (239, 0);

fn version(printed: &Result<String, Silence>, bugs: &[Bug]) -> Finding {
    const CHECK: &str = "systemd";
    let printed = match printed {
        Ok(printed) => printed,
        Err(error) => return Finding::fail(CHECK, error.to_string(), "a node with systemd"),
    };
    let Some(version) = version_in(printed) else {
        return Finding::warn(
            CHECK,
            format!("its release is not known: {}", printed.trim()),
            "look it up",
        );
    };
    let name = format!("{}.{}", version.0, version.1);
    if version < OLDEST {
        return Finding::fail(CHECK, format!("{name} is too old"), "systemd 239 or later");
    }
    let bugs = bugs.iter().filter(|bug| (bug.from..bug.before).contains(&version));
    let bugs: Vec<_> = bugs.map(|bug| bug.what).collect();
    if bugs.is_empty() {
        return Finding::ok(CHECK, name);
    }
    Finding::warn(CHECK, format!("{name} {}", bugs.join(", and ")), "systemd 256.3 or later")
}

/// `systemd 257 (257.9-1~deb13u1)`: the point release is in the packager's version.
fn version_in(printed: &str) -> Option<Version> {
    let mut words = printed.lines().next()?.split_whitespace().skip(1);
    let major: u32 = words.next()?.parse().ok()?;
    let full = words.next().unwrap_or_default().trim_matches(['(', ')']);
    let digits = |text: &str| {
        text.split(|byte: char| !byte.is_ascii_digit())
            .next()
            .and_then(|digits| digits.parse().ok())
    };
    let minor = full.strip_prefix(&format!("{major}.")).and_then(digits).unwrap_or(0);
    Some((major, minor))
}

fn logind(node: &Node) -> Finding {
    answers(
        node,
        "logind",
        ["org.freedesktop.login1", "/org/freedesktop/login1"],
        "systemctl status dbus systemd-logind; systemctl unmask systemd-logind if it is masked",
    )
}

/// By which the user's slice is held to a floor before a job begins.
fn system_bus(node: &Node) -> Finding {
    answers(
        node,
        "system-bus",
        ["org.freedesktop.systemd1", "/org/freedesktop/systemd1"],
        "systemctl status dbus",
    )
}

fn answers(
    node: &Node,
    check: &'static str,
    [name, path]: [&str; 2],
    cure: &'static str,
) -> Finding {
    let ping = ["--timeout=20", "call", name, path, "org.freedesktop.DBus.Peer", "Ping"];
    match node.tools.run("busctl", &ping) {
        Ok(_) => Finding::ok(check, "answers on the system bus"),
        Err(error) => {
            Finding::fail(check, format!("does not answer on the system bus: {error}"), cure)
        }
    }
}

/// The unit that gives each session its bus, in the first place that has it
/// (systemd.unit(5)).
fn user_bus(node: &Node) -> Finding {
    const CHECK: &str = "dbus-user-session";
    const PLACES: [&str; 4] = [
        "/etc/systemd/user/dbus.socket",
        "/usr/local/lib/systemd/user/dbus.socket",
        "/usr/lib/systemd/user/dbus.socket",
        "/lib/systemd/user/dbus.socket",
    ];
    let is_there = |place: &&&str| node.at(place).symlink_metadata().is_ok();
    let Some(place) = PLACES.iter().find(is_there) else {
        let cure = "apt install dbus-user-session; on Enterprise Linux dnf install dbus-daemon";
        return Finding::fail(CHECK, "no dbus.socket for user sessions: they have no bus", cure);
    };
    if fs::read_link(node.at(place)).is_ok_and(|target| target == Path::new("/dev/null")) {
        let cure = "systemctl --global unmask dbus.socket";
        return Finding::fail(CHECK, format!("{place} is masked: sessions have no bus"), cure);
    }
    Finding::ok(CHECK, *place)
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::super::tests::assert_finding;
    use super::*;
    use crate::node::made_up::node;

    fn of(printed: &str) -> Finding {
        version(&Ok(printed.to_owned()), &BUGS)
    }

    /// Show that releases with a bug that matters are named, and their neighbours
    /// are not.
    #[test]
    fn known_bugs_are_named() {
        for good in [
            "systemd 252 (252.39-1~deb12u1)\n",
            "systemd 257 (257.9-1~deb13u1)\n",
            "systemd 254 (v254.20-1.fc39)\n",
            "systemd 256 (256.3-1)\n",
            "systemd 262\n",
        ] {
            assert_finding(&of(good), State::Ok, &[]);
        }
        let ubuntu = of("systemd 255 (255.4-1ubuntu8.17)\n");
        assert_finding(&ubuntu, State::Warn, &["255.4", "43361", "256.3 or later"]);
        let both = of("systemd 256 (256.1-1)\n");
        assert_finding(&both, State::Warn, &["43361", "33488"]);
        assert!(!of("systemd 256 (256.2-1)\n").found.contains("33488"));
        assert_finding(&of("systemd 237 (237-3)\n"), State::Fail, &["too old", "239"]);
        assert_finding(&of("what"), State::Warn, &["not known"]);
        let none = version(&Err(Silence::NotThere("systemctl".into())), &BUGS);
        assert_finding(&none, State::Fail, &["not found", "a node with systemd"]);
    }

    /// Show that with session=job what is logind's, and a unit's, is not asked for, but systemd is, as long as anything
    /// is confined.
    #[test]
    fn a_jobs_own_session_needs_less() {
        let of = |arguments: &str| {
            let made_up = node()
                .with("/etc/slurm/slurm.conf", "")
                .with("/etc/slurm/plugstack.conf", format!("optional spank_linger.so {arguments}"))
                .with("/usr/lib/systemd/user/dbus.socket", "")
                .with_tools([
                    ("systemctl --version", Ok("systemd 255 (255.4-1ubuntu8.17)\n")),
                    ("systemctl show", Ok("Id=systemd-oomd.service\nActiveState=inactive\n")),
                    ("busctl --timeout=20 call org.freedesktop.systemd1", Ok("")),
                ]);
            checks(&made_up.node, &Slurm::of(&made_up.node))
        };
        let names = |findings: &[Finding]| {
            for finding in findings {
                assert_finding(finding, State::Ok, &[]);
            }
            findings.iter().map(|finding| finding.check).collect::<Vec<_>>()
        };
        let least = ["systemd", "dbus-user-session", "proc", "oomd"];
        assert_eq!(names(&of("session=job confine=none")), least);
        let confined = ["systemd", "system-bus", "dbus-user-session", "proc", "oomd"];
        assert_eq!(names(&of("session=job")), confined);
        let shared = of("");
        assert!(shared.iter().any(|finding| finding.state == State::Fail), "{shared:?}");
        let dead = system_bus(&node().with_tools([("busctl", Err("no such file"))]).node);
        assert_finding(&dead, State::Fail, &["no such file", "systemctl status dbus"]);
    }

    /// Show that a logind that is dead or masked is named.
    #[test]
    fn logind_answers_or_not() {
        let answers =
            node().with_tools([("busctl --timeout=20 call org.freedesktop.login1", Ok(""))]);
        assert_finding(&logind(&answers.node), State::Ok, &["answers"]);
        let masked = node().with_tools([("busctl", Err("Unit is masked"))]);
        assert_finding(&logind(&masked.node), State::Fail, &["Unit is masked", "unmask"]);
    }

    /// Show that a node without a bus for its users is named, and one where it is
    /// masked.
    #[test]
    fn users_have_a_bus_or_not() {
        let there = node().with("/usr/lib/systemd/user/dbus.socket", "");
        assert_finding(&user_bus(&there.node), State::Ok, &["/usr/lib/systemd/user"]);
        assert_finding(&user_bus(&node().node), State::Fail, &["install dbus-user-session"]);
        fs::create_dir_all(there.node.at("/etc/systemd/user")).unwrap();
        let mask = there.node.at("/etc/systemd/user/dbus.socket");
        std::os::unix::fs::symlink("/dev/null", mask).unwrap();
        assert_finding(&user_bus(&there.node), State::Fail, &["--global unmask dbus.socket"]);
    }
}
