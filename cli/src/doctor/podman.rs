//! Which cgroup manager Podman would choose.

use std::path::{Path, PathBuf};

use user_session::status;

use super::Finding;
use super::account::User;
use crate::node::Node;
use crate::tools::Silence;

const CHECK: &str = "podman";

/// From here on Podman looks for `$XDG_RUNTIME_DIR/bus` if there is no variable.
const LOOKS_FOR_THE_BUS: u32 = 5;

/// Settings that hold for everybody.
const SETTINGS: [&str; 2] = ["/usr/share/containers", "/etc/containers"];

pub(super) fn choice(node: &Node, user: &User) -> Finding {
    let printed = match node.tools.run("podman", &["--version"]) {
        Ok(printed) => printed,
        Err(Silence::NotThere(_)) => return Finding::ok(CHECK, "not installed"),
        Err(error) => return Finding::warn(CHECK, error.to_string(), "try 'podman --version'"),
    };
    let version = printed.split_whitespace().last().unwrap_or_default().to_owned();
    if let Some((file, true)) = setting(node, user) {
        let file = file.display();
        let found = format!("{version} uses cgroupfs, because {file} says so");
        return Finding::warn(CHECK, found, format!("remove cgroup_manager from {file}"));
    }
    if user.asks { chosen_here(node, &version) } else { chosen_in_a_job(node, user, &version) }
}

/// The last file that sets it, and whether it sets cgroupfs (containers.conf(5)). The
/// user's own are not root's to read.
fn setting(node: &Node, user: &User) -> Option<(PathBuf, bool)> {
    let home = || Some(format!("{}/.config", node.env("HOME")?));
    let own = node.env("XDG_CONFIG_HOME").or_else(home).filter(|_| user.asks);
    let own = own.map(|config| format!("{config}/containers"));
    let dirs = SETTINGS.map(str::to_owned).into_iter().chain(own);
    let said = |file: PathBuf| {
        let is_cgroupfs = sets_cgroupfs(&node.read(&file).ok()?)?;
        Some((file, is_cgroupfs))
    };
    dirs.flat_map(|dir| files_in(node, &dir)).filter_map(said).next_back()
}

fn files_in(node: &Node, dir: &str) -> Vec<PathBuf> {
    let dropped = glob::glob(&node.at(format!("{dir}/containers.conf.d/*.conf")).to_string_lossy());
    let dropped = dropped.into_iter().flatten().flatten().map(|file| node.name_of(&file));
    std::iter::once(format!("{dir}/containers.conf").into()).chain(dropped).collect()
}

fn sets_cgroupfs(text: &str) -> Option<bool> {
    let mut pairs = text.lines().filter_map(|line| line.trim().split_once('='));
    let (_, value) = pairs.find(|(key, _)| key.trim() == "cgroup_manager")?;
    Some(value.contains("cgroupfs"))
}

/// In a job the plugin sets both variables, if the session is there. Root looks at
/// the directory, and not for the bus in it, which is the user's.
fn chosen_in_a_job(node: &Node, user: &User, version: &str) -> Finding {
    let is_there = status::has_runtime_dir(&node.roots, user.uid);
    let when = if is_there { "in a job" } else { "in a job, once that has opened the session" };
    Finding::ok(CHECK, format!("{version} uses systemd {when}"))
}

/// Podman asks the variables, and connects to nothing.
fn chosen_here(node: &Node, version: &str) -> Finding {
    let (dir, bus) = (node.env("XDG_RUNTIME_DIR"), node.env("DBUS_SESSION_BUS_ADDRESS"));
    if let Some(dir) = dir.as_ref().filter(|dir| !node.at(dir).exists()) {
        let found = format!("{version} fails: XDG_RUNTIME_DIR={dir} is not there");
        return Finding::fail(CHECK, found, "unset XDG_RUNTIME_DIR, or run it in a job");
    }
    let major = version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0);
    let has_bus = |dir| node.at(Path::new(&dir).join("bus")).exists();
    let finds_a_bus = bus.as_ref().map_or_else(
        || major >= LOOKS_FOR_THE_BUS && dir.is_some_and(has_bus),
        |address| major < LOOKS_FOR_THE_BUS || leads_somewhere(node, address),
    );
    match (finds_a_bus, node.env("SLURM_JOB_ID")) {
        (true, _) => Finding::ok(CHECK, format!("{version} uses systemd here")),
        (false, None) => {
            Finding::ok(CHECK, format!("{version} falls back to cgroupfs here, outside of a job"))
        }
        (false, Some(_)) => Finding::warn(
            CHECK,
            format!("{version} falls back to cgroupfs: no bus is set in this job"),
            "see the job's stderr for the cause, or submit with --user-session=yes",
        ),
    }
}

fn leads_somewhere(node: &Node, address: &str) -> bool {
    let path = address.split("unix:path=").nth(1).and_then(|path| path.split([',', ';']).next());
    path.map(PathBuf::from).is_some_and(|path| node.at(path).exists())
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::super::account::tests::erin;
    use super::super::tests::assert_finding;
    use super::*;
    use crate::node::made_up::{MadeUp, node};

    fn with_podman(version: &'static str) -> MadeUp {
        node().with_tools([("podman --version", Ok(version))])
    }

    fn asked(made_up: &MadeUp) -> Finding {
        choice(&made_up.node, &User { asks: true, ..erin() })
    }

    fn session(name: &str) -> Option<String> {
        match name {
            "XDG_RUNTIME_DIR" => Some("/run/user/4711".into()),
            "SLURM_JOB_ID" => Some("7".into()),
            _ => None,
        }
    }

    /// Show what root is told of a user's jobs.
    #[test]
    fn what_a_job_would_choose() {
        assert_finding(&choice(&node().node, &erin()), State::Ok, &["not installed"]);
        let silent = node().with_tools([("podman", Err("no answer"))]);
        assert_finding(&choice(&silent.node, &erin()), State::Warn, &["no answer"]);
        let made_up = with_podman("podman version 5.4.2\n");
        assert_finding(&choice(&made_up.node, &erin()), State::Ok, &["once that has opened"]);
        let made_up = made_up.with("/run/user/4711/bus", "");
        assert_finding(
            &choice(&made_up.node, &erin()),
            State::Ok,
            &["5.4.2 uses systemd in a job"],
        );
    }

    /// Show that a setting that overrules the choice is named.
    #[test]
    fn a_setting_overrules_it() {
        let file = "/etc/containers/containers.conf";
        let set = with_podman("podman version 5.4.2\n")
            .with(file, "[engine]\n  cgroup_manager = \"cgroupfs\"\n");
        assert_finding(&choice(&set.node, &erin()), State::Warn, &[file, "remove cgroup_manager"]);
        let comment = with_podman("podman version 5.4.2\n")
            .with(file, "#cgroup_manager = \"cgroupfs\"\nlog = 1\n");
        assert_eq!(choice(&comment.node, &erin()).state, State::Ok);
        let later = "/etc/containers/containers.conf.d/site.conf";
        let back = set.with(later, "[engine]\ncgroup_manager = \"systemd\"\n");
        assert_eq!(choice(&back.node, &erin()).state, State::Ok);
        back.put(later, "[engine]\ncgroup_manager=\"cgroupfs\"\n");
        assert_finding(&choice(&back.node, &erin()), State::Warn, &[later]);
    }

    /// Show that a user's own setting counts, for the user.
    #[test]
    fn a_user_may_have_set_it() {
        let own = "/home/erin/.config/containers/containers.conf";
        let made_up = with_podman("podman version 5.4.2\n")
            .with(own, "[engine]\ncgroup_manager = \"cgroupfs\"\n")
            .asked_with(|name| (name == "HOME").then(|| "/home/erin".into()));
        assert_finding(&asked(&made_up), State::Warn, &[own, "remove cgroup_manager"]);
        assert_eq!(choice(&made_up.node, &erin()).state, State::Ok);
    }

    /// Show what whoever asks in a job is told, and that Podman 4 wants the variable.
    #[test]
    fn what_is_chosen_here() {
        let here =
            |version| with_podman(version).asked_with(session).with("/run/user/4711/bus", "");
        assert_finding(&asked(&here("podman version 5.4.2")), State::Ok, &["uses systemd here"]);
        let old = asked(&here("podman version 4.3.1"));
        assert_finding(&old, State::Warn, &["falls back to cgroupfs", "--user-session=yes"]);
        let with_bus = here("podman version 4.3.1").asked_with(|name| match name {
            "DBUS_SESSION_BUS_ADDRESS" => Some("unix:path=/run/user/4711/bus".into()),
            other => session(other),
        });
        assert_finding(&asked(&with_bus), State::Ok, &["uses systemd"]);
    }

    /// Show that variables that lead nowhere are named.
    #[test]
    fn variables_that_lead_nowhere() {
        let gone = with_podman("podman version 5.4.2").asked_with(session);
        assert_finding(&asked(&gone), State::Fail, &["/run/user/4711 is not there", "unset"]);
        let stale = with_podman("podman version 5.4.2").asked_with(|name| {
            (name == "DBUS_SESSION_BUS_ADDRESS").then(|| "unix:path=/run/user/1/bus".into())
        });
        assert_finding(&asked(&stale), State::Ok, &["outside of a job"]);
    }
}
