//! What the runs are to show; the demo fails when they do not.
use super::Runs;
use super::measured::{Limit, Measured};
use super::trial::JOBS_MB;

/// The exit status of what SIGKILL ended.
pub(super) const KILLED: &str = "137";

/// What is to hold, and the complaint if it does not.
type Promise = (bool, &'static str);

/// What is not as promised, in words.
pub(super) fn broken(runs: &Runs) -> Vec<String> {
    let Runs { without, shared, own } = runs;
    let shared = of_both(shared).into_iter().chain(in_the_slice(shared)).collect();
    let own = of_both(own).into_iter().chain(in_the_job(own)).collect();
    let all: [(_, Vec<Promise>); 3] = [
        ("without the plugin", control(without).into()),
        ("with the plugin", shared),
        ("with session=job", own),
    ];
    let complain = |(how, promises): (&str, Vec<Promise>)| {
        let complaints = promises.into_iter().filter(|(holds, _)| !holds);
        complaints.map(|(_, complaint)| format!("{how} {complaint}")).collect::<Vec<_>>()
    };
    all.into_iter().flat_map(complain).collect()
}

fn control(without: &Measured) -> [Promise; 3] {
    [
        (without.first != "running", "there was a session all the same"),
        (without.manager != "systemd", "Podman used systemd all the same"),
        (!without.warnings.is_empty(), "Podman warned of nothing"),
    ]
}

fn of_both(with: &Measured) -> [Promise; 10] {
    let dir = format!("/run/user/{}", with.uid);
    let bus = format!("unix:path={dir}/bus");
    [
        (with.runtime_dir.value == dir && with.runtime_dir.exists, "XDG_RUNTIME_DIR is wrong"),
        (with.bus.value == bus && with.bus.exists, "DBUS_SESSION_BUS_ADDRESS is wrong"),
        (with.first == "running", "the job's first command found no session"),
        (with.refusal.is_none(), "Podman refused to run"),
        (with.warnings.is_empty(), "Podman warned"),
        (with.manager == "systemd", "Podman does not use systemd"),
        (with.big == KILLED, "a container used more memory than the job has"),
        (with.detached == "runs", "the detached container did not run in the job"),
        (with.detached_after == "gone", "the detached container outlived the job"),
        (with.after == with.before, "the node is not as it was before the job"),
    ]
}

fn in_the_slice(with: &Measured) -> [Promise; 2] {
    let slice = format!("/user.slice/user-{}.slice", with.uid);
    let is_in_it = with.cgroup.starts_with(&format!("{slice}/"));
    let held = Limit { mb: JOBS_MB.into(), cgroup: slice };
    [
        (is_in_it, "the container is not in the user's slice"),
        (with.limit == Some(held), "the user's slice is not held to the job's memory"),
    ]
}

/// Slurm calls the job's cgroup by its number up to 25.05, which the demo's node is older than.
fn in_the_job(with: &Measured) -> [Promise; 3] {
    let job = format!("slurmstepd.scope/job_{}", with.job);
    let is_in_it = with.cgroup.contains(&format!("{job}/"));
    let is_the_jobs =
        |limit: &Limit| limit.mb == u64::from(JOBS_MB) && limit.cgroup.ends_with(&job);
    let beside = format!("linger off, user@{}.service inactive,", with.uid);
    [
        (is_in_it, "the container is not in the job's cgroup"),
        (with.limit.as_ref().is_some_and(is_the_jobs), "the job's memory is not the first limit"),
        (with.during.starts_with(&beside), "there is a session beside the job"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::measured::tests::{OWN, PROMISED, control, runs};

    fn shared(said: &str) -> Runs {
        Runs { shared: Measured::parse("bob", said).unwrap(), ..runs() }
    }

    fn own(said: &str) -> Runs {
        Runs { own: Measured::parse("carol", said).unwrap(), ..runs() }
    }

    /// Show that the promised outcome passes.
    #[test]
    fn the_promised_outcome_passes() {
        assert_eq!(broken(&runs()), Vec::<String>::new());
    }

    /// Show that a plugin that does nothing is found out, with either kind of session.
    #[test]
    fn a_plugin_that_does_nothing_is_found_out() {
        let complaints = broken(&Runs { without: control(), shared: control(), own: control() });
        for how in ["with the plugin", "with session=job"] {
            for what in ["Podman does not use systemd", "the job's first command found no session"]
            {
                assert!(complaints.contains(&format!("{how} {what}")), "{complaints:?}");
            }
        }
    }

    /// Show that a demo that proves nothing is found out: a node with sessions of its own.
    #[test]
    fn a_node_with_a_session_of_its_own_is_found_out() {
        let runs = Runs { without: runs().shared, ..runs() };
        assert_eq!(broken(&runs).len(), 3);
    }

    /// Show that a node that is not put back is found out.
    #[test]
    fn a_node_left_changed_is_found_out() {
        let runs = shared(&PROMISED.replace("after=linger off", "after=linger on"));
        let complaint = "with the plugin the node is not as it was before the job";
        assert_eq!(broken(&runs), [complaint]);
    }

    /// Show that a session that gives a job more than it has is found out.
    #[test]
    fn a_session_that_is_not_contained_is_found_out() {
        let said = PROMISED.replace("limit=419430400 /user.slice/user-1002.slice", "limit=none");
        let said = said.replace("big=137", "big=0").replace("detached=gone", "detached=runs");
        let complaints = [
            "with the plugin a container used more memory than the job has",
            "with the plugin the detached container outlived the job",
            "with the plugin the user's slice is not held to the job's memory",
        ];
        assert_eq!(broken(&shared(&said)), complaints);
    }

    /// Show that a demo whose detached container never ran proves nothing.
    #[test]
    fn a_container_that_never_ran_is_found_out() {
        let runs = shared(&PROMISED.replace("\ndetached=runs", "\ndetached=gone"));
        let complaint = "with the plugin the detached container did not run in the job";
        assert_eq!(broken(&runs), [complaint]);
    }

    /// Show that a session that is not in its job is found out: another job's cgroup, a limit that is not the job's,
    /// and one that all of its user's jobs share.
    #[test]
    fn a_session_outside_of_its_job_is_found_out() {
        let elsewhere = OWN.replace("scope/job_8/", "scope/job_88/");
        let complaint = "with session=job the container is not in the job's cgroup";
        assert_eq!(broken(&own(&elsewhere)), [complaint]);
        let other = OWN.replace(
            "limit=419430400 /system.slice/n1_slurmstepd.scope/job_8",
            "limit=419430400 /x",
        );
        let complaint = "with session=job the job's memory is not the first limit";
        assert_eq!(broken(&own(&other)), [complaint]);
        let beside = OWN.replace(
            "linger off, user@1003.service inactive",
            "linger on, user@1003.service active",
        );
        let complaint = "with session=job there is a session beside the job";
        assert_eq!(broken(&own(&beside)), [complaint]);
        assert!(broken(&own(PROMISED)).len() > 2);
    }
}
