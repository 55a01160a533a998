//! Hostile input for all that reads what a site or a user has written.

use std::path::{Component, Path};

use hostile_input::{Case, Grammar, OF_PLUGIN, Parser, run};
use user_session::{Confine, SessionKind};

use crate::arguments::{self, Arguments, Mode};
use crate::environment::is_stale;
use crate::policy::Wish;

const PARSERS: [Parser; 3] = [
    Parser {
        name: "lines of arguments",
        cases: 1_000_000,
        grammar: Grammar {
            tokens: &[
                "mode=",
                "always",
                "opt-in",
                "off",
                "session=",
                "linger",
                "manager",
                "confine=",
                "memory",
                "cpus",
                "none",
                ",",
                "leftovers=",
                "keep",
                "grace=",
                "timeout=",
                "300",
                "3601",
                "on_error=",
                "drain",
                "min_uid=",
                "log_level=",
                "trace",
                "users=",
                "groups=",
                "partitions=",
                "=",
                " ",
            ],
            samples: &[
                "",
                "mode=opt-in session=linger confine=cpus,memory leftovers=keep grace=0 timeout=30",
                "on_error=drain min_uid=4294967295 log_level=trace confine=none",
                "timeout=3600 grace=300 mode=off confine=memory,cpus,tasks,devices on_error=warn",
            ],
        },
        holds: arguments,
    },
    Parser {
        name: "wishes",
        cases: 500_000,
        grammar: Grammar { tokens: &["yes", "no", "\n", "'", "\\"], samples: &["yes", "no"] },
        holds: wish,
    },
    Parser {
        name: "places in the environment",
        cases: 500_000,
        grammar: Grammar {
            tokens: &["unix:path=", "unix:abstract=", "/run/user/", "/", "1000", ",", ";", "./"],
            samples: &[
                "/scratch/me",
                "unix:path=/scratch/me/bus,guid=0a",
                "unix:path=/tmp/b;unix:",
            ],
        },
        holds: place,
    },
];

/// Show that no text makes a parser panic, hang, take much memory, or read what
/// is not there.
#[test]
fn no_input_is_too_hostile() {
    run(&PARSERS, OF_PLUGIN);
}

/// What is read is within the table, also in another order and written out in full; an error
/// names an argument.
fn arguments(case: &Case) -> bool {
    let given: Vec<_> = case.text.split_whitespace().collect();
    match arguments::parse(given.iter().copied()) {
        Ok(read) => {
            assert!((1..=3600).contains(&read.timeout.as_secs()));
            assert!(read.containment.grace.as_secs() <= 300);
            assert_eq!(arguments::parse(given.iter().rev().copied()).as_ref(), Ok(&read));
            let line = line_of(&read);
            assert_eq!(arguments::parse(line.split_whitespace()), Ok(read), "{line}");
            true
        }
        Err(error) => {
            let is_named = |argument: &&str| error.contains(&format!("'{argument}': "));
            assert!(given.iter().any(is_named), "{error}");
            false
        }
    }
}

fn line_of(arguments: &Arguments) -> String {
    let Arguments {
        mode,
        kind,
        means,
        timeout,
        containment,
        keep,
        on_error,
        min_uid,
        who,
        log_level,
    } = arguments;
    let mode = if *mode == Mode::OptIn { "opt-in".into() } else { format!("{mode:?}") };
    let session = if *kind == SessionKind::Own { "job".into() } else { format!("{means:?}") };
    let leftovers = if containment.kill_leftovers { "kill" } else { "keep" };
    let line = format!(
        "mode={mode} session={session} confine={} leftovers={leftovers} grace={} timeout={} \
         keep={} on_error={on_error:?} min_uid={min_uid} log_level={log_level}",
        confined(containment.confine),
        containment.grace.as_secs(),
        timeout.as_secs(),
        keep.as_secs(),
    );
    let lists = [("users", &who.users), ("groups", &who.groups), ("partitions", &who.partitions)];
    let lists = lists.iter().filter_map(|(key, names)| {
        let names: Vec<_> = names.as_ref()?.iter().map(String::as_str).collect();
        Some(format!(" {key}={}", names.join(",")))
    });
    line.to_lowercase() + &lists.collect::<String>()
}

fn confined(confine: Confine) -> String {
    let Confine { memory, cpus, tasks, devices } = confine;
    let all = [(memory, "memory"), (cpus, "cpus"), (tasks, "tasks"), (devices, "devices")];
    let chosen: Vec<_> = all.iter().filter(|(is_chosen, _)| *is_chosen).collect();
    let names: Vec<_> = chosen.iter().map(|(_, name)| *name).collect();
    if names.is_empty() { "none".into() } else { names.join(",") }
}

/// Two words are read; an error names any other in one line.
fn wish(case: &Case) -> bool {
    match Wish::parse(Some(&case.text)) {
        Ok(wish) => {
            assert_eq!(format!("{wish:?}").to_lowercase(), case.text);
            true
        }
        Err(error) => {
            let named = error.strip_prefix("--user-session=");
            let named = named.and_then(|error| error.strip_suffix(": say yes or no")).unwrap();
            assert!(!error.contains(char::is_control), "{error:?}");
            assert!(named.chars().count() >= case.text.chars().count().min(40));
            false
        }
    }
}

/// What is kept is absolute, exists, and is not below /run/user.
fn place(case: &Case) -> bool {
    assert!(is_stale(&case.text, |_| false));
    let exists = |path: &Path| {
        let mut parts = path.components();
        assert_eq!(parts.next(), Some(Component::RootDir));
        let parts: Vec<_> = parts.take(2).map(Component::as_os_str).collect();
        assert_ne!(parts, ["run", "user"]);
        true
    };
    !is_stale(&case.text, exists)
}
