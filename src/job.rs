//! The beginning and the end of a job on this node: root, outside the job.

use std::time::Instant;

use user_session::{Job, Sessions};

use crate::arguments::{Arguments, OnError};
use crate::policy::{Verdict, Wish, decide};

/// The prolog: takes the job's lease and returns when its session is live.
///
/// # Errors
/// Only when the site wants the node drained for it.
pub(crate) fn begin(
    arguments: &Arguments,
    sessions: &Sessions,
    job: Job,
    wish: Wish,
) -> Result<(), String> {
    let began = Instant::now();
    let (tried, done) = match decide(arguments, job.uid, wish) {
        Verdict::Ignore => return Ok(()),
        Verdict::Decline => ("note that it has no session", sessions.decline(job)),
        Verdict::Serve => ("open session", sessions.take(job)),
    };
    match done {
        Ok(()) => {
            log::info!("{}: {tried}: done in {} ms", name(job), began.elapsed().as_millis());
            Ok(())
        }
        Err(error) => report(arguments, &format!("{}: {tried}: {error}", name(job))),
    }
}

/// The epilog: drops the job's lease. It asks no policy, because the arguments
/// may have changed since the prolog.
///
/// # Errors
/// Only when the site wants the node drained for it.
pub(crate) fn end(arguments: &Arguments, sessions: &Sessions, job: Job) -> Result<(), String> {
    match sessions.release(job) {
        Ok(()) => Ok(()),
        Err(error) => report(arguments, &format!("{}: close session: {error}", name(job))),
    }
}

/// How a job is named in every line of ours.
pub(crate) fn name(job: Job) -> String {
    format!("job {} uid {}", job.id, job.uid)
}

fn report(arguments: &Arguments, line: &str) -> Result<(), String> {
    if arguments.on_error == OnError::Drain {
        return Err(line.to_owned());
    }
    log::error!("{line}");
    Ok(())
}
