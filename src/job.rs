//! The beginning and the end of a job on this node: root, outside the job.

use std::time::Instant;

use user_session::{Error, Job, Lease, Moment, SessionKind, Sessions};

use crate::arguments::{Arguments, OnError};
use crate::policy::{Request, Verdict, decide};

/// The prolog: takes the job's lease and returns when its session is live, or on its way.
///
/// # Errors
/// Only when the site wants the node drained for it.
pub(crate) fn begin(
    arguments: &Arguments,
    sessions: &Sessions,
    job: Job,
    request: &Request,
    moment: Moment,
) -> Result<(), String> {
    let began = Instant::now();
    let (tried, done) = match decide(arguments, request) {
        Verdict::Ignore | Verdict::Leave => return Ok(()),
        Verdict::Decline => {
            ("note that it has no session", sessions.note(job, &Lease::Declined, moment))
        }
        Verdict::Serve => ("open session", sessions.take(job, moment)),
    };
    match done {
        Ok(()) => {
            // Of a session in the job's cgroup the line comes at its end, and of one that starts from its first step.
            let (level, how_far) = match sessions.kind(job) {
                SessionKind::Shared if sessions.is_starting(job) => (log::Level::Debug, "begun"),
                SessionKind::Shared => (log::Level::Info, "done"),
                SessionKind::Own => (log::Level::Debug, "done"),
            };
            log::log!(level, "{job}: {tried}: {how_far} in {} ms", ms(began));
            Ok(())
        }
        Err(error) => report(arguments, sessions, &format!("{job}: {tried}: {error}"), &error),
    }
}

/// The extern step of a job without a prolog of ours: does what that does.
/// Answers with whether the job has its lease from here, also where the site
/// wants the node drained.
pub(crate) fn begin_late(
    arguments: &Arguments,
    sessions: &Sessions,
    job: Job,
    request: &Request,
) -> (bool, Result<(), String>) {
    if sessions.has_lease(job) {
        return (false, Ok(()));
    }
    let begun = begin(arguments, sessions, job, request, Moment::Extern);
    (sessions.has_lease(job), begun)
}

/// The epilog: drops the job's lease. It asks no policy, because the arguments
/// may have changed since the prolog.
///
/// # Errors
/// Only when the site wants the node drained for it.
pub(crate) fn end(arguments: &Arguments, sessions: &Sessions, job: Job) -> Result<(), String> {
    let began = Instant::now();
    match sessions.release(job) {
        Ok(()) => {
            log::debug!("{job}: close session: done in {} ms", ms(began));
            Ok(())
        }
        Err(error) => {
            report(arguments, sessions, &format!("{job}: close session: {error}"), &error)
        }
    }
}

/// The end of a job whose steps still run when Slurm has given them KillWait: what left them ends.
///
/// # Errors
/// What could not be ended.
pub(crate) fn end_what_left(sessions: &Sessions, job: Job) -> Result<(), String> {
    sessions.end_what_left(job).map_err(|error| format!("{job}: end what left its steps: {error}"))
}

/// The end of a job's script: what it has left in a session of its own ends.
///
/// # Errors
/// What could not be ended.
pub(crate) fn end_of_script(
    sessions: &Sessions,
    job: Job,
    is_cancelled: bool,
) -> Result<(), String> {
    sessions
        .end_of_script(job, is_cancelled)
        .map_err(|error| format!("{job}: end its session: {error}"))
}

/// The end of a step whose task was killed: what it has in the session ends.
///
/// # Errors
/// What could not be ended.
pub(crate) fn end_step(sessions: &Sessions, job: Job, id: u32) -> Result<(), String> {
    sessions
        .end_step(job, id)
        .map_err(|error| format!("{job}: end what a killed step left: {error}"))
}

/// The standard library counts them in 128 bits.
pub(crate) fn ms(since: Instant) -> u64 {
    let passed = since.elapsed();
    passed.as_secs() * 1000 + u64::from(passed.subsec_millis())
}

/// What a user can cause drains no node, whatever the site wants: the steps of the job fail for it.
fn report(
    arguments: &Arguments,
    sessions: &Sessions,
    line: &str,
    error: &Error,
) -> Result<(), String> {
    if arguments.on_error == OnError::Drain && sessions.is_the_sites(error) {
        return Err(line.to_owned());
    }
    log::error!("{line}");
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::policy::Wish;
    use std::time::Duration;
    use tempfile::TempDir;
    use user_session::Roots;

    /// A node without a system bus, on which we are the user.
    pub(crate) fn node_without_bus() -> (TempDir, Sessions, Job) {
        let dir = tempfile::tempdir().unwrap();
        let roots = Roots::below(dir.path());
        for parent in [&roots.run, &roots.lib] {
            std::fs::create_dir_all(parent.parent().unwrap()).unwrap();
        }
        let this = std::process::id().to_string();
        std::fs::create_dir_all(roots.proc.join(&this)).unwrap();
        std::fs::create_dir_all(&roots.cgroup).unwrap();
        std::fs::write(roots.cgroup.join("cgroup.controllers"), "").unwrap();
        std::os::unix::fs::symlink(&this, roots.proc.join("self")).unwrap();
        let uid = nix::unistd::getuid().as_raw();
        let arguments = Arguments { timeout: Duration::from_secs(5), ..Arguments::default() };
        (dir, Sessions { site: arguments.site(roots) }, Job { id: 42, uid })
    }

    pub(crate) fn request(job: Job, wish: Wish) -> Request {
        Request { uid: job.uid, wish, partition: None }
    }

    fn site(on_error: OnError) -> Arguments {
        Arguments { on_error, min_uid: 0, ..Arguments::default() }
    }

    /// Show that a prolog without a bus fails only where the site wants a drain,
    /// with a line that names the job, the attempt and the cause; and that the
    /// epilog then leaves nothing.
    #[test]
    fn only_drain_fails_a_prolog() {
        let (_dir, sessions, job) = node_without_bus();
        for on_error in [OnError::Warn, OnError::Fail] {
            assert_eq!(
                begin(&site(on_error), &sessions, job, &request(job, Wish::None), Moment::Prolog),
                Ok(())
            );
        }
        let line =
            begin(&site(OnError::Drain), &sessions, job, &request(job, Wish::None), Moment::Prolog)
                .unwrap_err();
        assert!(
            line.starts_with(&format!("job 42 uid {}: open session: connect", job.uid)),
            "{line}"
        );
        assert!(matches!(sessions.lease(job), Ok(Some(Lease::Failed { .. }))));
        assert_eq!(end(&site(OnError::Drain), &sessions, job), Ok(()));
        assert!(matches!(sessions.lease(job), Ok(None)));
    }

    /// Show that a job that declines asks no bus and that its steps can see it.
    #[test]
    fn a_declined_job_is_noted() {
        let (_dir, sessions, job) = node_without_bus();
        begin(&site(OnError::Drain), &sessions, job, &request(job, Wish::No), Moment::Prolog)
            .unwrap();
        assert!(matches!(sessions.lease(job), Ok(Some(Lease::Declined))));
        let begun = begin_late(&site(OnError::Drain), &sessions, job, &request(job, Wish::None));
        assert_eq!(begun, (false, Ok(())));
        let off = Arguments { mode: crate::arguments::Mode::Off, ..site(OnError::Drain) };
        end(&off, &sessions, job).unwrap();
        begin(&off, &sessions, job, &request(job, Wish::Yes), Moment::Prolog).unwrap();
        assert!(matches!(sessions.lease(job), Ok(None)));
    }

    /// Show that where nothing has left a step there is nothing to end.
    #[test]
    fn nothing_is_left_where_nothing_was() {
        let (_dir, sessions, job) = node_without_bus();
        assert_eq!(end_what_left(&sessions, job), Ok(()));
        assert_eq!(end_of_script(&sessions, job, true), Ok(()));
        assert_eq!(end_step(&sessions, job, 7), Ok(()));
    }

    /// Show that what no prolog did is done by the first step, once.
    #[test]
    fn a_job_without_a_prolog_is_begun_late() {
        let (_dir, sessions, job) = node_without_bus();
        let off = Arguments { mode: crate::arguments::Mode::Off, ..site(OnError::Warn) };
        assert_eq!(begin_late(&off, &sessions, job, &request(job, Wish::None)), (false, Ok(())));
        for expected in [true, false] {
            let begun = begin_late(&site(OnError::Warn), &sessions, job, &request(job, Wish::None));
            assert_eq!(begun, (expected, Ok(())));
            assert!(matches!(sessions.lease(job), Ok(Some(Lease::Failed { .. }))));
        }
        end(&off, &sessions, job).unwrap();
        let (has_lease, begun) =
            begin_late(&site(OnError::Drain), &sessions, job, &request(job, Wish::None));
        assert!(has_lease && begun.is_err());
    }
}
