//! What the two runs are to show; the demo fails when they do not.
use super::measured::{Limit, Measured};
use super::trial::JOBS_MB;

/// The exit status of what SIGKILL ended.
pub(super) const KILLED: &str = "137";

/// What is not as promised, in words.
pub(super) fn broken(without: &Measured, with: &Measured) -> Vec<&'static str> {
    let control = [
        (without.first != "running", "without the plugin there was a session all the same"),
        (without.manager != "systemd", "without the plugin Podman used systemd all the same"),
        (!without.warnings.is_empty(), "without the plugin Podman warned of nothing"),
    ];
    let promises = control.into_iter().chain(promised(with)).chain(contained(with));
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

fn contained(with: &Measured) -> [(bool, &'static str); 4] {
    let cgroup = format!("/user.slice/user-{}.slice", with.uid);
    let own = Limit { mb: JOBS_MB.into(), cgroup };
    [
        (with.limit == Some(own), "the user's slice is not held to the job's memory"),
        (with.big == KILLED, "a container used more memory than the job has"),
        (with.detached == "runs", "the detached container did not run in the job"),
        (with.detached_after == "gone", "the detached container outlived the job"),
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

    /// Show that a session that gives a job more than it has is found out.
    #[test]
    fn a_session_that_is_not_contained_is_found_out() {
        let said = PROMISED.replace("limit=419430400 /user.slice/user-1002.slice", "limit=none");
        let said = said.replace("big=137", "big=0").replace("detached=gone", "detached=runs");
        let with = Measured::parse("bob", &said).unwrap();
        let complaints = [
            "the user's slice is not held to the job's memory",
            "a container used more memory than the job has",
            "the detached container outlived the job",
        ];
        assert_eq!(broken(&control(), &with), complaints);
    }

    /// Show that a demo whose detached container never ran proves nothing.
    #[test]
    fn a_container_that_never_ran_is_found_out() {
        let said = PROMISED.replace("\ndetached=runs", "\ndetached=gone");
        let with = Measured::parse("bob", &said).unwrap();
        let complaint = "the detached container did not run in the job";
        assert_eq!(broken(&control(), &with), [complaint]);
    }
}
