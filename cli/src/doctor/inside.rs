//! The sessions that are single jobs' own, as root sees them from beside.

use user_session::status::{LeaseView, OwnState, OwnView};

use super::Finding;

const CHECK: &str = "job-session";

/// Those of these jobs: all that are well, or the first that is not.
pub(super) fn check<'a>(leases: impl Iterator<Item = &'a LeaseView>) -> Option<Finding> {
    let own: Vec<_> = leases.filter_map(|lease| Some((lease.job, lease.own.as_ref()?))).collect();
    let wrong = own.iter().find_map(|(job, view)| wrong(*job, view));
    let all = || own.iter().map(|(job, view)| well(*job, view.state)).collect::<Vec<_>>();
    let finding = || wrong.unwrap_or_else(|| Finding::ok(CHECK, all().join(", ")));
    (!own.is_empty()).then(finding)
}

fn wrong(job: u32, view: &OwnView) -> Option<Finding> {
    let problem = format!("job {job}: {}", view.problem.as_deref().unwrap_or_default());
    match view.state {
        OwnState::Failed => {
            let cure = "see slurmd's log; the job's next step opens it again";
            Some(Finding::fail(CHECK, problem, cure))
        }
        OwnState::Unreadable => {
            let cure = "cancel the job; spank-linger sweep ends what is left of it";
            Some(Finding::fail(CHECK, problem, cure))
        }
        OwnState::Ended => {
            let found = format!("job {job}: its manager has ended");
            Some(Finding::warn(CHECK, found, "the job's next step starts it again"))
        }
        OwnState::None | OwnState::Opening | OwnState::Live => None,
    }
}

fn well(job: u32, state: OwnState) -> String {
    let how = match state {
        OwnState::Live => "live",
        OwnState::Opening => "being opened",
        _ => "not begun",
    };
    format!("{how} in job {job}")
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::super::account::tests::erin;
    use super::super::session::checks;
    use super::super::tests::assert_finding;
    use crate::node::made_up::node;

    /// Show that a job with a session of its own needs none beside it, and how it stands with the one inside.
    #[test]
    fn a_jobs_own_session_is_told_of() {
        let manager = r#"{"pid":77,"start":998877}"#;
        let stat = "77 (a) S 1 77 77 0 -1 4194560 1 0 0 0 1 2 0 0 20 0 1 0 998877 1";
        let with = |own: &str| {
            let made_up = node()
                .with("/proc/77/stat", stat)
                .with("/run/spank-linger/4711/12", r#"{"version":1,"state":"open","kind":"own"}"#)
                .with("/run/spank-linger/4711/12.own", own);
            checks(&made_up.node, &erin(), true)
        };
        let own = |more: &str| format!(r#"{{"version":1,"outside":1,"cgroup":"a/session"{more}}}"#);
        let up = format!(r#","manager":{manager},"guard":{manager},"is_ready":true"#);
        for (more, state, words) in [
            (up.as_str(), State::Ok, &["live in job 12"][..]),
            ("", State::Ok, &["not begun in job 12"]),
            (
                r#","failed":"no such program""#,
                State::Fail,
                &["job 12: no such program", "slurmd's log"],
            ),
            (r#","manager":{"pid":78,"start":1}"#, State::Warn, &["has ended", "starts it again"]),
            ("]", State::Fail, &["job 12: ", "not a state file"]),
        ] {
            let findings = with(&own(more));
            let (inside, beside) = findings.split_last().unwrap();
            assert_finding(inside, state, words);
            for finding in beside {
                assert_finding(finding, State::Ok, &[]);
            }
            assert_eq!(beside.len(), 4);
        }
    }
}
