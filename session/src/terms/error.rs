//! What can go wrong, as chains that read left to right in one line.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::terms::bus_error::{bus_cause, nobody_answers};

/// This crate's results.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a session could not be opened, closed or accounted for. As thin as a
/// pointer: every `?` moves it.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Error(Box<Problem>);

/// The kinds of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// No account, or the name service failed: see nsswitch.conf(5).
    #[error("look up uid {uid}: {cause}")]
    NoUser {
        /// The uid asked for.
        uid: u32,
        /// What the name service said.
        cause: String,
    },
    /// A file of ours, or one that systemd keeps.
    #[error("{doing} {}: {source}", path.display())]
    File {
        /// The attempt, as a verb.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// Something is where our state should be, and it is not ours to trust.
    #[error("{}: {problem}", path.display())]
    Untrusted {
        /// The file or directory.
        path: PathBuf,
        /// What is wrong with it, and the cure.
        problem: String,
    },
    /// The system bus, or what answers on it, refused.
    #[error("{doing}: {cause}")]
    Bus {
        /// The attempt.
        doing: String,
        /// The answer.
        cause: String,
    },
    /// There is nobody on the system bus who could have answered, or no bus.
    #[error("{doing}: {cause}")]
    NoBus {
        /// The attempt.
        doing: String,
        /// What became of it.
        cause: String,
    },
    /// The system bus, or what answers on it, refused, and so has not done it. After
    /// [`Problem::Bus`] it may have.
    #[error("{doing}: {cause}")]
    Refused {
        /// The attempt.
        doing: String,
        /// The answer.
        cause: String,
        /// There is no logind to do it.
        is_gone: bool,
    },
    /// The time ran out.
    #[error("{doing}: no end after {} s (timeout={})", waited.as_secs(), total.as_secs())]
    Late {
        /// What was going on when it did.
        doing: String,
        /// Since the budget began.
        waited: Duration,
        /// The whole budget.
        total: Duration,
    },
    /// There are no cgroups of version 2, in which a job's limits could be found.
    #[error(
        "find the job's limits: no cgroup v2 at {}; boot with systemd.unified_cgroup_hierarchy=1, \
         or set confine=none for sessions without limits",
        at.display()
    )]
    NoUnified {
        /// Where they should be.
        at: PathBuf,
    },
    /// Somebody turns linger on, over and over, who is not in the session.
    #[error("turn linger off for uid {uid}: somebody turns it on again")]
    LingerStays {
        /// Whose.
        uid: u32,
    },
    /// logind answered that it turned linger on, and it is off.
    #[error("turn linger on for uid {uid}: logind says that it is, and it is not")]
    NoLinger {
        /// Whose.
        uid: u32,
    },
    /// systemd ran the start job and the unit is not up.
    #[error("start user@{uid}.service: it is {state}; see 'journalctl -u user@{uid}.service'")]
    ManagerFailed {
        /// Whose user manager.
        uid: u32,
        /// The unit's ActiveState (systemd.unit(5)) instead of `active`.
        state: String,
    },
    /// SIGKILL did not end them: they hang in the kernel.
    #[error("killed and still there: {}{}", names.join(", "), and_more(*more))]
    StillAlive {
        /// Number, program and cgroup of each, of the first [`MOST_NAMES`].
        names: Vec<String>,
        /// How many more there are.
        more: usize,
    },
    /// The session could not be opened, in another process of the job's.
    #[error("{cause}")]
    NotOpen {
        /// Why.
        cause: String,
    },
    /// systemd says the session is up, and a look at it says it is not.
    #[error(transparent)]
    NotLive(#[from] NotLive),
}

/// Why a session is not usable, for the person who reads it.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{} {problem}", path.display())]
pub struct NotLive {
    pub(crate) path: PathBuf,
    pub(crate) problem: Cow<'static, str>,
}

impl NotLive {
    /// What is missing or wrong: the runtime directory, or something in it.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl<T: Into<Problem>> From<T> for Error {
    fn from(problem: T) -> Self {
        Self(Box::new(problem.into()))
    }
}

impl Error {
    /// Which kind.
    #[must_use]
    pub fn problem(&self) -> &Problem {
        &self.0
    }

    /// Whether logind has said no: what it has not done needs no undoing.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self.problem(), Problem::Refused { .. })
    }

    /// Whether there is no time for anything more.
    pub(crate) fn is_late(&self) -> bool {
        matches!(self.problem(), Problem::Late { .. })
    }

    /// Adds to an I/O error what was tried and on which file.
    pub(crate) fn file(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::of_file(doing, path, source)
    }

    /// Not inlined where each of them is made: kilobytes.
    #[inline(never)]
    fn of_file(doing: &'static str, path: &Path, source: io::Error) -> Self {
        Problem::File { doing, path: path.to_owned(), source }.into()
    }

    /// Names what outlived SIGKILL.
    pub(crate) fn still_alive<T: fmt::Display>(left: &[T]) -> Self {
        let names: Vec<_> = left.iter().take(MOST_NAMES).map(ToString::to_string).collect();
        let more = left.len() - names.len();
        Problem::StillAlive { names, more }.into()
    }

    /// Names the attempt that the bus refused.
    pub(crate) fn bus(doing: impl Into<String>) -> impl FnOnce(zbus::Error) -> Self {
        move |error| Self::of_bus(doing.into(), &error)
    }

    #[inline(never)]
    fn of_bus(doing: String, error: &zbus::Error) -> Self {
        let cause = bus_cause(error);
        if nobody_answers(error) {
            return Problem::NoBus { doing, cause }.into();
        }
        Problem::Bus { doing, cause }.into()
    }
}

/// A line of a log that names thousands of processes is read by nobody.
const MOST_NAMES: usize = 10;

fn and_more(more: usize) -> String {
    if more == 0 { String::new() } else { format!(" and {more} more") }
}

/// What is done whatever becomes of the rest: the first error; the others are in the log, with `whose` they are.
///
/// # Errors
/// The first of them.
pub(crate) fn all<const N: usize>(whose: &dyn fmt::Display, done: [Result<()>; N]) -> Result<()> {
    let mut errors = done.into_iter().filter_map(Result::err);
    let Some(first) = errors.next() else { return Ok(()) };
    let cause = first.to_string();
    // A bus that is dead answers nobody.
    for error in errors.filter(|error| error.to_string() != cause) {
        log::error!("{whose}: {error}");
    }
    Err(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outside::processes::Process;

    /// Show that a message names the first of many, and how many there are.
    #[test]
    fn ten_names_are_enough() {
        let process = |pid| Process { pid, name: "sleep".into(), cgroup: "a".into() };
        let said = |most| Error::still_alive(&(1..=most).map(process).collect::<Vec<_>>());
        assert_eq!(said(1).to_string(), "killed and still there: pid 1 (sleep) in a");
        let ten = said(10).to_string();
        assert!(ten.ends_with(", pid 10 (sleep) in a"), "{ten}");
        assert_eq!(said(47).to_string(), format!("{ten} and 37 more"));
    }
}
