//! A step of the job, decided once, as root, for all its tasks.

use std::time::Instant;

use user_session::{Job, Launch, Lease, Moment, SessionKind, Sessions, Standing};

use crate::arguments::Arguments;
use crate::job::ms;
use crate::policy::{Request, Verdict, Wish, decide};

/// What the tasks of a step are to find.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// Whatever they would find without the plugin.
    Ignore,
    /// No session, because the job is not to have one.
    Decline,
    /// The session.
    Session {
        /// Its kind.
        kind: SessionKind,
        /// As root saw it before the tasks were forked, it is held to all that the job is limited in: no task has to look.
        is_held: bool,
    },
    /// No session, although the job was to have one.
    Missing {
        /// Why.
        cause: String,
        /// The user does not know it yet.
        tell: bool,
    },
}

/// Decides, as root and before there are tasks. Takes the lease if the prolog
/// did not: it does not run for a job that began before the plugin was there.
pub(crate) fn plan(
    arguments: &Arguments,
    sessions: &Sessions,
    job: Job,
    request: &Request,
) -> Plan {
    let wish = request.wish;
    let lease = sessions.lease(job).unwrap_or_else(|error| {
        log::error!("{job}: read its lease: {error}");
        None
    });
    match (decide(arguments, request), lease) {
        (Verdict::Ignore, _) => Plan::Ignore,
        (Verdict::Leave, _) => Plan::Decline,
        (Verdict::Serve, _) if sessions.is_apart(job) => apart(),
        (_, Some(lease)) if lease.is_open() && wish != Wish::No => session(sessions, job),
        (_, Some(Lease::Failed { cause, told })) if wish != Wish::No => {
            if sessions.take_late(job) {
                Plan::Session { kind: sessions.kind(job), is_held: false }
            } else {
                missing(sessions, job, cause, !told)
            }
        }
        (Verdict::Decline, None) => decline(sessions, job),
        (Verdict::Decline, Some(_)) => Plan::Decline,
        (Verdict::Serve, Some(Lease::Declined)) if wish == Wish::None => Plan::Decline,
        (Verdict::Serve, _) => take(sessions, job),
    }
}

/// The session, as long as it can be held to its jobs. The first step waits for what its prolog has begun. One that an admin, the
/// user or a crash of its manager has ended since is opened again.
fn session(sessions: &Sessions, job: Job) -> Plan {
    if sessions.is_starting(job) {
        let began = Instant::now();
        if let missing @ Plan::Missing { .. } = take(sessions, job) {
            return missing;
        }
        log::info!("{job}: open session: done in {} ms", ms(began));
    }
    let mut found = sessions.check(job);
    if let Standing::Gone(gone) = &found {
        log::warn!("{job}: find its session: {gone}; it is opened again");
        if let missing @ Plan::Missing { .. } = take(sessions, job) {
            return missing;
        }
        found = sessions.check(job);
    }
    match found {
        Standing::Bound { kind, is_held } => Plan::Session { kind, is_held },
        Standing::Gone(gone) => {
            log::error!("{job}: open session: {gone}");
            missing(sessions, job, gone, true)
        }
        Standing::Unbound(error) => {
            log::error!("{job}: confine the session: {error}");
            missing(sessions, job, format!("confine it: {error}"), true)
        }
    }
}

/// Notes a job that no prolog has noted: it counts for what its user may use.
fn decline(sessions: &Sessions, job: Job) -> Plan {
    let noted = sessions.note(job, &Lease::Declined, Moment::Step);
    noted.unwrap_or_else(|error| log::error!("{job}: note that it has no session: {error}"));
    Plan::Decline
}

fn apart() -> Plan {
    let cause = "the job has a pid namespace of its own, and the session has not";
    Plan::Missing { cause: cause.into(), tell: true }
}

fn take(sessions: &Sessions, job: Job) -> Plan {
    match sessions.take(job, Moment::Step) {
        Ok(()) => Plan::Session { kind: sessions.kind(job), is_held: false },
        Err(error) => {
            log::error!("{job}: open session: {error}");
            missing(sessions, job, error.to_string(), true)
        }
    }
}

/// Holds what the user runs beside Slurm's cgroups to what the job may use, whether it has a
/// session or not: as root, in a process of the job,
/// after its tasks were forked and before they become the user's programs. The
/// first step to come here does it, and the extern step, which plans nothing, again: its
/// view of the job is not narrowed to a step. What the step has planned tells the kind of its session.
///
/// # Errors
/// That it could not be. Empty, because why is in the log.
pub(crate) fn bind(
    sessions: &Sessions,
    launch: &dyn Launch,
    job: Job,
    planned: Option<&Plan>,
) -> Result<(), String> {
    let is_bound = |plan: &Plan| match plan {
        Plan::Session { kind, is_held } => *is_held || sessions.is_bound(job, *kind),
        _ => sessions.is_bound(job, sessions.kind(job)),
    };
    let is_due = !planned.is_some_and(is_bound);
    if !is_due {
        return Ok(());
    }
    sessions.bind(job, launch).map_err(|error| {
        let tried = match sessions.kind(job) {
            SessionKind::Shared => "confine the session",
            SessionKind::Own => "open session",
        };
        log::error!("{job}: {tried}: {error}");
        String::new()
    })
}

/// Notes that the user is being told, so that a job of many steps says it once. A session
/// that the job still holds is missing in this step alone.
fn missing(sessions: &Sessions, job: Job, cause: String, tell: bool) -> Plan {
    if tell && !matches!(sessions.lease(job), Ok(Some(Lease::Open))) {
        let told = Lease::Failed { cause: cause.clone(), told: true };
        let noted = sessions.note(job, &told, Moment::Step);
        noted.unwrap_or_else(|error| log::debug!("{job}: note: {error}"));
    }
    Plan::Missing { cause, tell }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::OnError;

    use crate::job::tests::{node_without_bus, request};

    /// What these sessions need no child for.
    struct NoForks;

    impl Launch for NoForks {
        fn detached(&self, _: Instant, _: &dyn Fn(&dyn Fn()) -> String) -> Result<u32, String> {
            Err("no child in here".into())
        }

        fn leave(&self) -> Result<(), String> {
            Ok(())
        }
    }

    fn site(on_error: OnError) -> Arguments {
        Arguments { on_error, min_uid: 0, ..Arguments::default() }
    }

    /// Show that the steps of a job without its session tell the user once, and
    /// that a step takes the lease that no prolog took.
    #[test]
    fn the_user_is_told_once() {
        let (_dir, sessions, job) = node_without_bus();
        let site = site(OnError::Warn);
        for expected in [true, false] {
            let Plan::Missing { cause, tell } =
                plan(&site, &sessions, job, &request(job, Wish::None))
            else {
                panic!("a session without a bus?")
            };
            assert!(cause.starts_with("connect to the system bus: "), "{cause}");
            assert_eq!(tell, expected);
        }
    }

    /// Show that what the prolog declined stays declined, that a step's own wish
    /// counts, and that without a mode nothing is done.
    #[test]
    fn a_step_follows_its_job() {
        let (_dir, sessions, job) = node_without_bus();
        let site = site(OnError::Warn);
        sessions.note(job, &Lease::Declined, Moment::Step).unwrap();
        assert_eq!(plan(&site, &sessions, job, &request(job, Wish::None)), Plan::Decline);
        sessions.note(job, &Lease::Open, Moment::Step).unwrap();
        assert_eq!(plan(&site, &sessions, job, &request(job, Wish::No)), Plan::Decline);
        // Its session is not there: opening it again is tried.
        let again = plan(&site, &sessions, job, &request(job, Wish::None));
        assert!(matches!(again, Plan::Missing { tell: true, .. }), "{again:?}");
        let off = Arguments { mode: crate::arguments::Mode::Off, ..site };
        assert_eq!(plan(&off, &sessions, job, &request(job, Wish::Yes)), Plan::Ignore);
    }

    /// Show that a session that cannot be held to its job is none: the next step
    /// finds it failed, with the cause. There is no cgroup to read on this node.
    #[test]
    fn what_cannot_be_confined_is_no_session() {
        let (_dir, sessions, job) = node_without_bus();
        assert_eq!(bind(&sessions, &NoForks, job, None), Ok(()));
        sessions.note(job, &Lease::Open, Moment::Step).unwrap();
        assert_eq!(bind(&sessions, &NoForks, job, Some(&Plan::Decline)), Err(String::new()));
        let Ok(Some(Lease::Failed { cause, .. })) = sessions.lease(job) else {
            panic!("the lease still holds")
        };
        assert!(cause.starts_with("confine it: "), "{cause}");
        // Its job still counts for what its user may use.
        assert_eq!(bind(&sessions, &NoForks, job, None), Err(String::new()));
    }
}
