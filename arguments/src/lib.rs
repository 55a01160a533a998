//! The plugin's arguments in plugstack.conf: `key=value`, one table.
//!
//! The plugin reads them in each callback, the command to check them, and a test
//! holds the manual page to them.
#![forbid(unsafe_code)]

use std::time::Duration;

use log::LevelFilter;
use user_session::{Confine, Containment, Means, Roots, SessionKind, Site};

mod who;
pub use who::Who;

/// Which jobs get a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Every job that does not say `--user-session=no`.
    Always,
    /// Jobs that say `--user-session=yes`.
    OptIn,
    /// None: the plugin does nothing at all.
    Off,
}

/// What a job without its session means to the site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnError {
    /// The job runs, and is told.
    Warn,
    /// The job's steps on this node fail, and say why.
    Fail,
    /// The prolog or epilog fails, and Slurm drains the node.
    Drain,
}

/// The arguments after parsing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arguments {
    /// Which jobs get a session.
    pub mode: Mode,
    /// Whose a session is.
    pub kind: SessionKind,
    /// What keeps a shared session up.
    pub means: Means,
    /// For one prolog, epilog or start of a step, without the grace.
    pub timeout: Duration,
    /// How the session is held to its jobs.
    pub containment: Containment,
    /// How long a session is kept for the user's next job.
    pub keep: Duration,
    /// What a job without its session means.
    pub on_error: OnError,
    /// No session for users below.
    pub min_uid: u32,
    /// Who may have a session.
    pub who: Who,
    /// What goes into Slurm's log.
    pub log_level: LevelFilter,
}

impl Arguments {
    /// What they set for the sessions of a node.
    #[must_use]
    pub fn site(&self, roots: Roots) -> Site {
        let Self { timeout, kind, means, containment, keep, .. } = *self;
        Site { roots, timeout, kind, means, containment, keep }
    }
}

impl Default for Arguments {
    fn default() -> Self {
        Self {
            mode: Mode::Always,
            kind: SessionKind::Shared,
            means: Means::Linger,
            // A cold start takes 0.3 s, a closing session before it 1 s, and a
            // start that hangs is begun again half-way.
            timeout: Duration::from_secs(15),
            containment: Containment {
                confine: Confine::ALL,
                kill_leftovers: true,
                // Podman's own `stop` waits 10 s; a node's next job waits, too.
                grace: Duration::from_secs(5),
            },
            keep: Duration::ZERO,
            on_error: OnError::Warn,
            // The first uid of ordinary users: login.defs(5), UID_MIN.
            min_uid: 1000,
            who: Who::default(),
            log_level: LevelFilter::Info,
        }
    }
}

/// One row of the table. `set` answers None for a value it does not take.
pub struct Key {
    /// What stands before the `=`.
    pub name: &'static str,
    /// What may stand after the `=`, in words.
    pub takes: &'static str,
    set: fn(&mut Arguments, &str) -> Option<()>,
}

/// Every argument there is.
pub const KEYS: [Key; 13] = [
    Key { name: "mode", takes: "always, opt-in or off", set: set_mode },
    Key { name: "session", takes: "linger, manager or job", set: set_means },
    Key {
        name: "confine",
        takes: "a list of memory, cpus, tasks and devices, or none",
        set: set_confine,
    },
    Key { name: "leftovers", takes: "kill or keep", set: set_leftovers },
    Key { name: "grace", takes: "whole seconds, 0 to 300", set: set_grace },
    Key { name: "timeout", takes: "whole seconds, 1 to 3600", set: set_timeout },
    Key { name: "keep", takes: "whole seconds, 0 to 300", set: set_keep },
    Key { name: "on_error", takes: "warn, fail or drain", set: set_on_error },
    Key { name: "min_uid", takes: "a uid", set: set_min_uid },
    Key { name: "users", takes: NAMES, set: |to, value| set_names(&mut to.who.users, value) },
    Key { name: "groups", takes: NAMES, set: |to, value| set_names(&mut to.who.groups, value) },
    Key {
        name: "partitions",
        takes: NAMES,
        set: |to, value| set_names(&mut to.who.partitions, value),
    },
    Key { name: "log_level", takes: "error, warn, info, debug or trace", set: set_log_level },
];

/// The value that counts where a key is not given, as it would be written; None:
/// no restriction. For manual pages: the plugin has it in [`Arguments::default`].
#[must_use]
pub fn default_of(key: &str) -> Option<&'static str> {
    Some(match key {
        "mode" => "always",
        "session" => "linger",
        "confine" => "memory,cpus,tasks,devices",
        "leftovers" => "kill",
        "grace" => "5",
        "timeout" => "15",
        "keep" => "0",
        "on_error" => "warn",
        "min_uid" => "1000",
        "log_level" => "info",
        _ => return None,
    })
}

const NAMES: &str = "a list of names, separated by commas";

/// Reads the arguments of the plugin's line in plugstack.conf.
///
/// # Errors
/// The first argument that is unknown, repeated or has a bad value, or one that is not for
/// this kind of session, with what would be right.
pub fn parse<'a>(given: impl IntoIterator<Item = &'a str>) -> Result<Arguments, String> {
    let mut arguments = Arguments::default();
    let mut seen = Vec::new();
    for argument in given {
        let (name, value) = argument.split_once('=').unwrap_or((argument, ""));
        let key = KEYS.iter().find(|key| key.name == name).ok_or_else(|| unknown(argument))?;
        if seen.contains(&name) {
            return Err(wrong(argument, "this key is given twice; keep one"));
        }
        (key.set)(&mut arguments, value)
            .ok_or_else(|| wrong(argument, &format!("{name} takes {}", key.takes)))?;
        seen.push(name);
    }
    require_one_kind(&arguments)?;
    Ok(arguments)
}

/// A job's own session ends with the job, whatever comes next. keep=0 says so.
fn require_one_kind(Arguments { kind, keep, .. }: &Arguments) -> Result<(), String> {
    if *kind == SessionKind::Own && !keep.is_zero() {
        let cure =
            "not with session=job, whose sessions end with their jobs; leave out one of the two";
        return Err(wrong(&format!("keep={}", keep.as_secs()), cure));
    }
    Ok(())
}

fn unknown(argument: &str) -> String {
    let known = KEYS.map(|key| key.name).join(", ");
    wrong(argument, &format!("no such argument in this version; it knows {known}"))
}

fn wrong(argument: &str, cure: &str) -> String {
    format!("plugstack.conf: argument '{argument}': {cure}")
}

fn set_mode(arguments: &mut Arguments, value: &str) -> Option<()> {
    arguments.mode = match value {
        "always" => Mode::Always,
        "opt-in" => Mode::OptIn,
        "off" => Mode::Off,
        _ => return None,
    };
    Some(())
}

fn set_means(arguments: &mut Arguments, value: &str) -> Option<()> {
    (arguments.kind, arguments.means) = match value {
        "linger" => (SessionKind::Shared, Means::Linger),
        "manager" => (SessionKind::Shared, Means::Manager),
        "job" => (SessionKind::Own, Means::Linger),
        _ => return None,
    };
    Some(())
}

fn set_confine(arguments: &mut Arguments, value: &str) -> Option<()> {
    let mut confine = Confine::NONE;
    if value != "none" {
        for resource in value.split(',') {
            let chosen = match resource {
                "memory" => &mut confine.memory,
                "cpus" => &mut confine.cpus,
                "tasks" => &mut confine.tasks,
                "devices" => &mut confine.devices,
                _ => return None,
            };
            *chosen = true;
        }
    }
    arguments.containment.confine = confine;
    Some(())
}

fn set_leftovers(arguments: &mut Arguments, value: &str) -> Option<()> {
    arguments.containment.kill_leftovers = match value {
        "kill" => true,
        "keep" => false,
        _ => return None,
    };
    Some(())
}

fn set_grace(arguments: &mut Arguments, value: &str) -> Option<()> {
    arguments.containment.grace = seconds(value, 0, 300)?;
    Some(())
}

fn set_timeout(arguments: &mut Arguments, value: &str) -> Option<()> {
    arguments.timeout = seconds(value, 1, 3600)?;
    Some(())
}

fn set_keep(arguments: &mut Arguments, value: &str) -> Option<()> {
    arguments.keep = seconds(value, 0, 300)?;
    Some(())
}

fn set_on_error(arguments: &mut Arguments, value: &str) -> Option<()> {
    arguments.on_error = match value {
        "warn" => OnError::Warn,
        "fail" => OnError::Fail,
        "drain" => OnError::Drain,
        _ => return None,
    };
    Some(())
}

fn set_min_uid(arguments: &mut Arguments, value: &str) -> Option<()> {
    arguments.min_uid = number(value)?;
    Some(())
}

/// An empty name is a comma too many: what was meant cannot be known.
fn set_names(names: &mut Option<Vec<String>>, value: &str) -> Option<()> {
    let all: Vec<_> = value.split(',').map(str::to_owned).collect();
    *names = all.iter().all(|name| !name.is_empty()).then_some(all);
    names.as_ref().map(|_| ())
}

fn set_log_level(arguments: &mut Arguments, value: &str) -> Option<()> {
    arguments.log_level = match value {
        "error" => LevelFilter::Error,
        "warn" => LevelFilter::Warn,
        "info" => LevelFilter::Info,
        "debug" => LevelFilter::Debug,
        "trace" => LevelFilter::Trace,
        _ => return None,
    };
    Some(())
}

fn seconds(value: &str, least: u32, most: u32) -> Option<Duration> {
    let seconds = number(value).filter(|seconds| (least..=most).contains(seconds))?;
    Some(Duration::from_secs(seconds.into()))
}

/// Digits only: `parse` alone would take a `+`.
fn number(value: &str) -> Option<u32> {
    value.bytes().all(|byte| byte.is_ascii_digit()).then(|| value.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Show that no argument means the documented defaults.
    #[test]
    fn nothing_means_defaults() {
        let defaults = parse([]).unwrap();
        assert_eq!(defaults, Arguments::default());
        assert_eq!(defaults.timeout.as_secs(), 15);
    }

    /// Show that the defaults that are told are those that count.
    #[test]
    fn the_defaults_are_told() {
        let given = |key: &Key| Some(format!("{}={}", key.name, default_of(key.name)?));
        let given = KEYS.iter().filter_map(given);
        let line: Vec<_> = given.collect();
        assert_eq!(parse(line.iter().map(String::as_str)), Ok(Arguments::default()));
    }

    /// Show that every key changes what it names.
    #[test]
    fn every_key_is_read() {
        let line = "mode=opt-in session=manager confine=cpus,memory leftovers=keep grace=0 \
            timeout=30 keep=60 on_error=drain min_uid=0 users=a,b groups=hpc partitions=gpu log_level=trace";
        let expected = Arguments {
            kind: SessionKind::Shared,
            mode: Mode::OptIn,
            means: Means::Manager,
            containment: Containment {
                confine: Confine { cpus: true, memory: true, ..Confine::NONE },
                kill_leftovers: false,
                grace: Duration::ZERO,
            },
            timeout: Duration::from_secs(30),
            keep: Duration::from_secs(60),
            on_error: OnError::Drain,
            min_uid: 0,
            who: Who {
                users: Some(["a".to_owned(), "b".to_owned()].into()),
                groups: Some(["hpc".to_owned()].into()),
                partitions: Some(["gpu".to_owned()].into()),
            },
            log_level: LevelFilter::Trace,
        };
        assert_eq!(parse(line.split_whitespace()), Ok(expected));
        let confine = |line| parse([line]).unwrap().containment.confine;
        assert_eq!(confine("confine=none"), Confine::NONE);
        assert_eq!(confine("confine=memory,cpus,tasks,devices"), Confine::ALL);
    }

    /// Show that what is wrong is named, together with what would be right.
    #[test]
    fn an_error_names_the_argument_and_the_cure() {
        for (given, named, cure) in [
            ("frobnicate=1", "'frobnicate=1'", "it knows mode, session"),
            ("users=", "'users='", "separated by commas"),
            ("groups=a,,b", "'groups=a,,b'", "separated by commas"),
            ("partitions", "'partitions'", "separated by commas"),
            ("confine=disk", "'confine=disk'", "memory, cpus, tasks and devices, or none"),
            ("confine=", "'confine='", "or none"),
            ("confine=none,cpus", "'confine=none,cpus'", "or none"),
            ("leftovers=maybe", "'leftovers=maybe'", "kill or keep"),
            ("grace=301", "'grace=301'", "0 to 300"),
            ("keep=301", "'keep=301'", "0 to 300"),
            ("session=on", "'session=on'", "session takes linger, manager or job"),
            ("mode", "'mode'", "always, opt-in or off"),
            ("timeout=0", "'timeout=0'", "1 to 3600"),
            ("timeout=+5", "'timeout=+5'", "1 to 3600"),
            ("timeout=99999999999", "'timeout=99999999999'", "1 to 3600"),
            ("min_uid=-1", "'min_uid=-1'", "a uid"),
            ("min_uid=", "'min_uid='", "a uid"),
            ("on_error=panic", "'on_error=panic'", "warn, fail or drain"),
            ("log_level=loud", "'log_level=loud'", "error, warn"),
        ] {
            let error = parse([given]).unwrap_err();
            assert!(error.contains(named) && error.contains(cure), "{given}: {error}");
        }
        assert!(parse(["mode=off", "mode=off"]).unwrap_err().contains("twice"));
    }

    /// Show that a session of one job alone cannot be kept for the next, in whatever order the two are given, and that
    /// nothing is wrong with not keeping it.
    #[test]
    fn a_jobs_own_session_is_not_kept() {
        let expected = "plugstack.conf: argument 'keep=60': not with session=job, whose sessions end with their jobs; \
            leave out one of the two";
        for given in [["keep=60", "session=job"], ["session=job", "keep=60"]] {
            assert_eq!(parse(given), Err(expected.to_owned()));
        }
        assert_eq!(parse(["session=job", "keep=0"]).unwrap().kind, SessionKind::Own);
        assert_eq!(parse(["session=manager", "keep=60"]).unwrap().keep.as_secs(), 60);
    }
}
