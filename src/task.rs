//! What was decided for a step, carried out in every task as the user.

use std::path::{Path, PathBuf};

use user_session::{Job, SessionKind};

use crate::arguments::{Arguments, OnError};
use crate::environment::{export, remove_stale};
use crate::host::Host;
use crate::step::Plan;
use crate::whereabouts::Whereabouts;

/// One task, as its user, in the job's mount namespace.
pub(crate) struct Task<'a> {
    pub(crate) job: Job,
    /// Looks for the runtime directory that it is to use, or why there is none for it: of that kind of session, and
    /// without a look at limits that are held.
    pub(crate) door: &'a dyn Fn(SessionKind, bool) -> Result<PathBuf, String>,
    /// Where it will run.
    pub(crate) whereabouts: Whereabouts,
    /// One task of a step speaks for all.
    pub(crate) is_first: bool,
    /// Another step has told why there is none.
    pub(crate) was_told: bool,
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
    // What a bundle has is not to be seen from here.
    let exists = |path: &Path| task.whereabouts == Whereabouts::Bundle || path.exists();
    let (cause, tell) = match plan {
        Plan::Ignore => return Ok(()),
        Plan::Decline => return remove_stale(host, exists),
        Plan::Missing { cause, tell } => (cause.clone(), *tell),
        Plan::Session { .. } if task.whereabouts == Whereabouts::Bundle => {
            return remove_stale(host, exists);
        }
        Plan::Session { kind, is_held } => match (task.door)(*kind, *is_held) {
            Ok(dir) => return export(host, &dir),
            // It is there, on the node.
            Err(_) if task.whereabouts == Whereabouts::OtherRoot => {
                return remove_stale(host, exists);
            }
            Err(cause) => (cause, !task.was_told),
        },
    };
    remove_stale(host, exists)?;
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

    const SESSION: Plan = Plan::Session { kind: SessionKind::Shared, is_held: true };

    fn enter_with(
        plan: &Plan,
        on_error: OnError,
        is_first: bool,
    ) -> (Result<(), String>, Scripted) {
        enter_at(Whereabouts::Node, plan, on_error, is_first)
    }

    fn enter_at(
        whereabouts: Whereabouts,
        plan: &Plan,
        on_error: OnError,
        is_first: bool,
    ) -> (Result<(), String>, Scripted) {
        let stale =
            [(RUNTIME_DIR, "/run/user/4711"), (BUS_ADDRESS, "unix:path=/run/user/4711/bus")];
        let site = Arguments { on_error, min_uid: 0, ..Arguments::default() };
        let mut host = Scripted::with_env(stale);
        let job = Job { id: 42, uid: 1000 };
        let door = |_, _| Err("/nonexistent does not exist".to_owned());
        let task = Task { job, door: &door, whereabouts, is_first, was_told: false };
        let entered = enter(plan, &site, &task, &mut host);
        (entered, host)
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
        let (entered, host) = enter_with(&SESSION, OnError::Warn, true);
        assert_eq!(entered, Ok(()));
        assert_eq!(host.env(RUNTIME_DIR), None);
        assert!(host.told.concat().contains("/nonexistent does not exist"), "{:?}", host.told);
    }

    /// Show that a task which is taken into a container gets no variable that leads nowhere in there, that nobody is told
    /// of a session that is missing, and that the site refuses nothing for it; unless it is missing on the node.
    #[test]
    fn a_container_has_no_session_and_needs_none() {
        let session = SESSION;
        let missing = Plan::Missing { cause: "cause".into(), tell: true };
        for whereabouts in [Whereabouts::OtherRoot, Whereabouts::Bundle] {
            let (entered, host) = enter_at(whereabouts, &session, OnError::Fail, true);
            assert_eq!(entered, Ok(()));
            assert_eq!((host.env(RUNTIME_DIR), host.env(BUS_ADDRESS)), (None, None));
            assert!(host.told.is_empty(), "{:?}", host.told);
            let (entered, host) = enter_at(whereabouts, &missing, OnError::Fail, true);
            assert_eq!((entered, host.told.len()), (Err(String::new()), 1));
        }
    }

    /// Show that the session is there for a task below another root that has it, and that what a bundle says of itself
    /// stays: its files are not to be seen.
    #[test]
    fn what_a_container_has_is_its_own() {
        let site = Arguments { min_uid: 0, ..Arguments::default() };
        let job = Job { id: 42, uid: 1000 };
        let door = |_, _| Ok(PathBuf::from("/run/user/1000"));
        let plan = SESSION;
        let entered = |whereabouts, value| {
            let mut host = Scripted::with_env([(RUNTIME_DIR, value)]);
            let task = Task { job, door: &door, whereabouts, is_first: true, was_told: false };
            enter(&plan, &site, &task, &mut host).unwrap();
            host.env(RUNTIME_DIR)
        };
        let [other, bundle] = [Whereabouts::OtherRoot, Whereabouts::Bundle];
        assert_eq!(entered(other, "/nonexistent").as_deref(), Some("/run/user/1000"));
        assert_eq!(entered(bundle, "/nonexistent").as_deref(), Some("/nonexistent"));
        assert_eq!(entered(bundle, "/run/user/1000"), None);
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

    /// Show that mode=off changes no variable.
    #[test]
    fn off_touches_nothing() {
        let (_, host) = enter_with(&Plan::Ignore, OnError::Fail, true);
        assert_eq!(host.env(RUNTIME_DIR).unwrap(), "/run/user/4711");
    }
}
