//! A step of the job: decided once as root, carried out in every task as the user.

use std::path::Path;

use user_session::{Job, Lease, Means, Moment, Sessions, Viewpoint, check_live, check_manager};

use crate::arguments::{Arguments, OnError};
use crate::environment::{export, remove_stale};
use crate::host::Host;
use crate::policy::{Request, Verdict, Wish, decide};

/// What the tasks of a step are to find.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// Whatever they would find without the plugin.
    Ignore,
    /// No session, because the job is not to have one.
    Decline,
    /// The session.
    Session,
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
        (Verdict::Serve, _) if sessions.is_apart(job) => apart(),
        (_, Some(lease)) if lease.is_open() && wish != Wish::No => session(sessions, job),
        (_, Some(Lease::Failed { cause, told })) if wish != Wish::No => {
            take_late(sessions, job).unwrap_or_else(|| missing(sessions, job, cause, !told))
        }
        (Verdict::Decline, _) => Plan::Decline,
        (Verdict::Serve, Some(Lease::Declined)) if wish == Wish::None => Plan::Decline,
        (Verdict::Serve, _) => take(sessions, job),
    }
}

/// The session, as long as it can be held to its jobs. One that an admin, the
/// user or a crash of its manager has ended since is opened again.
fn session(sessions: &Sessions, job: Job) -> Plan {
    let (dir, slice) = (sessions.roots.runtime_dir(job.uid), sessions.roots.slice(job.uid));
    let live = check_live(&dir, job.uid, Viewpoint::Root);
    if let Err(gone) = live.and_then(|()| check_manager(&slice, job.uid)) {
        let cause = match sessions.means {
            Means::Linger => "",
            Means::Manager => " (logind stops it when the user logs out; session=linger keeps it)",
        };
        log::warn!("{job}: find its session: {gone}{cause}; it is opened again");
        if let missing @ Plan::Missing { .. } = take(sessions, job) {
            return missing;
        }
    }
    match sessions.keep_confined(job) {
        Ok(()) => Plan::Session,
        Err(error) => {
            log::error!("{job}: confine the session: {error}");
            missing(sessions, job, format!("confine it: {error}"), true)
        }
    }
}

fn apart() -> Plan {
    let cause = "the job has a pid namespace of its own, and the session has not";
    Plan::Missing { cause: cause.into(), tell: true }
}

/// What the prolog did not get may be there now, by another job of the user.
/// Using it without a lease would have it vanish under this job.
fn take_late(sessions: &Sessions, job: Job) -> Option<Plan> {
    let dir = sessions.roots.runtime_dir(job.uid);
    check_live(&dir, job.uid, Viewpoint::Root).ok()?;
    sessions.take(job, Moment::Step).ok().map(|()| Plan::Session)
}

fn take(sessions: &Sessions, job: Job) -> Plan {
    match sessions.take(job, Moment::Step) {
        Ok(()) => Plan::Session,
        Err(error) => {
            log::error!("{job}: open session: {error}");
            missing(sessions, job, error.to_string(), true)
        }
    }
}

/// Holds the session to what the job may use: as root, in a process of the job,
/// after its tasks were forked and before they become the user's programs. The
/// first step to come here does it, and the extern step again (`anew`), whose
/// view of the job is not narrowed to a step.
///
/// # Errors
/// That it could not be. Empty, because why is in the log.
pub(crate) fn confine(sessions: &Sessions, job: Job, anew: bool) -> Result<(), String> {
    let is_due = match sessions.lease(job) {
        Ok(lease) => lease.is_some_and(|lease| lease.is_open() && (anew || !lease.has_limits())),
        Err(_) => false,
    };
    if !is_due {
        return Ok(());
    }
    sessions.confine(job).map_err(|error| {
        log::error!("{job}: confine the session: {error}");
        String::new()
    })
}

/// Notes that the user is being told, so that a job of many steps says it once.
fn missing(sessions: &Sessions, job: Job, cause: String, tell: bool) -> Plan {
    if tell {
        let told = Lease::Failed { cause: cause.clone(), told: true };
        let noted = sessions.note(job, &told, Moment::Step);
        noted.unwrap_or_else(|error| log::debug!("{job}: note: {error}"));
    }
    Plan::Missing { cause, tell }
}

/// One task, as its user, in the job's mount namespace.
pub(crate) struct Task<'a> {
    pub(crate) job: Job,
    /// The user's runtime directory.
    pub(crate) dir: &'a Path,
    /// One task of a step speaks for all.
    pub(crate) is_first: bool,
    /// The session has limits where the job has some.
    pub(crate) is_confined: bool,
}

/// Carries the plan out in a task's environment.
///
/// # Errors
/// When the site wants the step to fail for its missing session. Empty, because
/// the user has been told.
pub(crate) fn enter(
    plan: &Plan,
    arguments: &Arguments,
    task: &Task<'_>,
    host: &mut impl Host,
) -> Result<(), String> {
    let (cause, tell) = match plan {
        Plan::Ignore => return Ok(()),
        Plan::Decline => return remove_stale(host, Path::exists),
        Plan::Missing { cause, tell } => (cause.clone(), *tell),
        Plan::Session => match check_live(task.dir, task.job.uid, Viewpoint::User) {
            Ok(()) if task.is_confined => return export(host, task.dir),
            // Root's callbacks came after this task was forked: no way to tell it.
            Ok(()) => (format!("user-{}.slice lacks the job's limits", task.job.uid), true),
            Err(not_live) => (not_live.to_string(), true),
        },
    };
    remove_stale(host, Path::exists)?;
    complain(arguments, task, host, &cause, tell)
}

fn complain(
    arguments: &Arguments,
    task: &Task<'_>,
    host: &mut impl Host,
    cause: &str,
    tell: bool,
) -> Result<(), String> {
    let fails = arguments.on_error != OnError::Warn;
    if task.is_first && (tell || fails) {
        host.tell(&message(task.job, cause, fails));
    }
    if fails { Err(String::new()) } else { Ok(()) }
}

fn message(job: Job, cause: &str, fails: bool) -> String {
    let effect = if fails {
        "This site runs no job without one"
    } else {
        "Rootless Podman may warn or fail in this job"
    };
    format!(
        "linger: job {}: no user session on this node: {cause}. {effect}; \
         tell your administrators, or submit with --user-session=no",
        job.id
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::{BUS_ADDRESS, RUNTIME_DIR};
    use crate::host::Scripted;
    use crate::job::tests::{node_without_bus, request};

    fn site(on_error: OnError) -> Arguments {
        Arguments { on_error, min_uid: 0, ..Arguments::default() }
    }

    fn enter_with(
        plan: &Plan,
        on_error: OnError,
        is_first: bool,
    ) -> (Result<(), String>, Scripted) {
        let stale =
            [(RUNTIME_DIR, "/run/user/4711"), (BUS_ADDRESS, "unix:path=/run/user/4711/bus")];
        let mut host = Scripted::with_env(stale);
        let job = Job { id: 42, uid: 1000 };
        let dir = Path::new("/nonexistent");
        let task = Task { job, dir, is_first, is_confined: true };
        let entered = enter(plan, &site(on_error), &task, &mut host);
        (entered, host)
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
        sessions.note(job, &Lease::NEW, Moment::Step).unwrap();
        assert_eq!(plan(&site, &sessions, job, &request(job, Wish::No)), Plan::Decline);
        // Its session is not there: opening it again is tried.
        let again = plan(&site, &sessions, job, &request(job, Wish::None));
        assert!(matches!(again, Plan::Missing { tell: true, .. }), "{again:?}");
        let off = Arguments { mode: crate::arguments::Mode::Off, ..site };
        assert_eq!(plan(&off, &sessions, job, &request(job, Wish::Yes)), Plan::Ignore);
    }

    /// Show that a task without a session loses stale variables and its user
    /// reads the cause and a cure, from the first task only.
    #[test]
    fn a_task_without_a_session_is_told_why() {
        let missing = Plan::Missing { cause: "user@1000.service is masked".into(), tell: true };
        let (entered, host) = enter_with(&missing, OnError::Warn, true);
        assert_eq!(entered, Ok(()));
        assert_eq!((host.env(RUNTIME_DIR), host.env(BUS_ADDRESS)), (None, None));
        let [line] = &host.told[..] else { panic!("{:?}", host.told) };
        assert!(line.contains("job 42") && line.contains("is masked"), "{line}");
        assert!(line.contains("--user-session=no"), "{line}");
        assert!(enter_with(&missing, OnError::Warn, false).1.told.is_empty());
    }

    /// Show that a session that is not live in the task's own view is not
    /// exported, although the node's view said so.
    #[test]
    fn what_is_not_live_here_is_not_exported() {
        let (entered, host) = enter_with(&Plan::Session, OnError::Warn, true);
        assert_eq!(entered, Ok(()));
        assert_eq!(host.env(RUNTIME_DIR), None);
        assert!(host.told.concat().contains("/nonexistent does not exist"), "{:?}", host.told);
    }

    /// Show that a site can have such a step fail, told each time.
    #[test]
    fn a_site_can_refuse_the_step() {
        let missing = Plan::Missing { cause: "cause".into(), tell: false };
        for on_error in [OnError::Fail, OnError::Drain] {
            let (entered, host) = enter_with(&missing, on_error, true);
            assert_eq!(entered, Err(String::new()));
            assert_eq!(host.told.len(), 1);
        }
    }

    /// Show that a session that cannot be held to its job is none: the next step
    /// finds it failed, with the cause. There is no cgroup to read on this node.
    #[test]
    fn what_cannot_be_confined_is_no_session() {
        let (_dir, sessions, job) = node_without_bus();
        assert_eq!(confine(&sessions, job, true), Ok(()));
        sessions.note(job, &Lease::NEW, Moment::Step).unwrap();
        assert_eq!(confine(&sessions, job, false), Err(String::new()));
        let Ok(Some(Lease::Failed { cause, .. })) = sessions.lease(job) else {
            panic!("the lease still holds")
        };
        assert!(cause.starts_with("confine it: "), "{cause}");
        assert_eq!(confine(&sessions, job, true), Ok(()));
    }

    /// Show that mode=off changes no variable.
    #[test]
    fn off_touches_nothing() {
        let (_, host) = enter_with(&Plan::Ignore, OnError::Fail, true);
        assert_eq!(host.env(RUNTIME_DIR).unwrap(), "/run/user/4711");
    }
}
