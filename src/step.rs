//! A step of the job: decided once as root, carried out in every task as the user.

use std::path::Path;

use user_session::{Job, Lease, Sessions, Viewpoint, check_live};

use crate::arguments::{Arguments, OnError};
use crate::environment::{export, remove_stale};
use crate::host::Host;
use crate::job::name;
use crate::policy::{Verdict, Wish, decide};

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
pub(crate) fn plan(arguments: &Arguments, sessions: &Sessions, job: Job, wish: Wish) -> Plan {
    let lease = sessions.lease(job).unwrap_or_else(|error| {
        log::error!("{}: read its lease: {error}", name(job));
        None
    });
    match (decide(arguments, job.uid, wish), lease) {
        (Verdict::Ignore, _) => Plan::Ignore,
        (_, Some(Lease::Open)) if wish != Wish::No => Plan::Session,
        (_, Some(Lease::Failed { cause, told })) if wish != Wish::No => {
            missing(sessions, job, cause, !told)
        }
        (Verdict::Decline, _) => Plan::Decline,
        (Verdict::Serve, Some(Lease::Declined)) if wish == Wish::None => Plan::Decline,
        (Verdict::Serve, _) => take(sessions, job),
    }
}

fn take(sessions: &Sessions, job: Job) -> Plan {
    match sessions.take(job) {
        Ok(()) => Plan::Session,
        Err(error) => {
            log::error!("{}: open session: {error}", name(job));
            missing(sessions, job, error.to_string(), true)
        }
    }
}

/// Notes that the user is being told, so that a job of many steps says it once.
fn missing(sessions: &Sessions, job: Job, cause: String, tell: bool) -> Plan {
    if tell {
        let told = Lease::Failed { cause: cause.clone(), told: true };
        let noted = sessions.note(job, &told);
        noted.unwrap_or_else(|error| log::debug!("{}: note: {error}", name(job)));
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
    if *plan == Plan::Ignore {
        return Ok(());
    }
    if *plan == Plan::Decline {
        return remove_stale(host, Path::exists);
    }
    let Err(not_live) = check_live(task.dir, task.job.uid, Viewpoint::User) else {
        return export(host, task.dir);
    };
    remove_stale(host, Path::exists)?;
    let (cause, tell) = match plan {
        Plan::Missing { cause, tell } => (cause.clone(), *tell),
        _ => (not_live.to_string(), true),
    };
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
