//! What the two runs are to show; the demo fails when they do not.
use super::measured::Measured;

/// What is not as promised, in words.
pub(super) fn broken(without: &Measured, with: &Measured) -> Vec<&'static str> {
    let control = [
        (without.first != "running", "without the plugin there was a session all the same"),
        (without.manager != "systemd", "without the plugin Podman used systemd all the same"),
        (!without.warnings.is_empty(), "without the plugin Podman warned of nothing"),
    ];
    let promises = control.into_iter().chain(promised(with));
    promises.filter_map(|(holds, complaint)| (!holds).then_some(complaint)).collect()
}

fn promised(with: &Measured) -> [(bool, &'static str); 8] {
    let dir = format!("/run/user/{}", with.uid);
    let bus = format!("unix:path={dir}/bus");
    let slice = format!("/user.slice/user-{}.slice/", with.uid);
    [
        (with.runtime_dir.value == dir && with.runtime_dir.exists, "XDG_RUNTIME_DIR is wrong"),
        (with.bus.value == bus && with.bus.exists, "DBUS_SESSION_BUS_ADDRESS is wrong"),
        (with.first == "running", "the job's first command found no session"),
        (with.refusal.is_none(), "Podman refused to run"),
        (with.warnings.is_empty(), "Podman warned"),
        (with.manager == "systemd", "Podman does not use systemd"),
        (with.cgroup.starts_with(&slice), "the container is not in the user's slice"),
        (with.after == with.before, "the node is not as it was before the job"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::measured::tests::PROMISED;

    fn control() -> Measured {
        let said = PROMISED.replace("=running", "=offline").replace("=systemd", "=cgroupfs");
        Measured::parse("alice", &format!("{said}warning=msg=\"no session\"\n")).unwrap()
    }

    /// Show that the promised outcome passes.
    #[test]
    fn the_promised_outcome_passes() {
        let with = Measured::parse("bob", PROMISED).unwrap();
        assert_eq!(broken(&control(), &with), Vec::<&str>::new());
    }

    /// Show that a plugin that does nothing is found out.
    #[test]
    fn a_plugin_that_does_nothing_is_found_out() {
        let complaints = broken(&control(), &control());
        assert!(complaints.contains(&"Podman does not use systemd"), "{complaints:?}");
        assert!(complaints.contains(&"the job's first command found no session"));
    }

    /// Show that a demo that proves nothing is found out: a node with sessions of its own.
    #[test]
    fn a_node_with_a_session_of_its_own_is_found_out() {
        let with = Measured::parse("bob", PROMISED).unwrap();
        assert_eq!(broken(&with, &with).len(), 3);
    }

    /// Show that a node that is not put back is found out.
    #[test]
    fn a_node_left_changed_is_found_out() {
        let said = PROMISED.replace("after=linger off", "after=linger on");
        let with = Measured::parse("bob", &said).unwrap();
        assert_eq!(broken(&control(), &with), ["the node is not as it was before the job"]);
    }
}
