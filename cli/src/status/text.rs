//! `status` for people: a table of users, one of leases, one of sessions that are a job's own.

use std::fmt::Write as _;
use std::time::Duration;

use user_session::status::OwnState;

use super::model::{Caps, JobLease, LeaseState, SessionState, Status, User};
use super::own::{OwnSession, name_of};
use crate::paint::{Paint, Tone};
use crate::table::{Cell, table};

const USERS: [&str; 9] =
    ["USER", "SESSION", "LINGER", "JOBS", "MEMORY", "SWAP", "TASKS", "CPUS", "CPU TIME"];

const LEASES: [&str; 8] =
    ["JOB", "USER", "LEASE", "MEMORY", "TASKS", "CPUS", "DEVICES DENIED", "PROCESSES"];

const SESSIONS: [&str; 9] =
    ["JOB", "USER", "SESSION", "MEMORY", "AT MOST", "TASKS", "AT MOST", "CPU TIME", "CGROUP"];

/// All there is to say.
pub(crate) fn of(status: &Status, paint: Paint) -> String {
    if status.users.is_empty() {
        return format!("{}: no user has a session or a lease\n", status.node);
    }
    let users: Vec<_> = status.users.iter().map(user).collect();
    let mut text = table(USERS, &users, paint);
    let each = |user| leases_of(user).map(move |lease| (user, lease));
    let leases: Vec<_> = status.users.iter().flat_map(each).collect();
    if !leases.is_empty() {
        let rows: Vec<_> = leases.iter().map(|(user, one)| lease(user, one)).collect();
        text += "\n";
        text += &table(LEASES, &rows, paint);
    }
    let rows =
        leases.iter().filter_map(|(user, one)| Some(own(user, one.job, one.own_session.as_ref()?)));
    let rows: Vec<_> = rows.collect();
    if !rows.is_empty() {
        text += "\nSessions of single jobs:\n";
        text += &table(SESSIONS, &rows, paint);
    }
    text += &notes(status, &leases);
    text
}

fn leases_of(user: &User) -> impl Iterator<Item = &JobLease> {
    user.leases.iter().flatten()
}

fn notes(status: &Status, leases: &[(&User, &JobLease)]) -> String {
    let mut notes = String::new();
    let problems =
        status.users.iter().filter_map(|user| Some((user, user.session.problem.as_ref()?)));
    for (user, problem) in problems {
        let _ = writeln!(notes, "\n{}: the session is not live: {problem}", user.label());
    }
    for (_, lease) in leases {
        if let Some(cause) = &lease.cause {
            let _ = writeln!(notes, "\njob {}: {cause}", lease.job);
        }
        if let Some(problem) = lease.own_session.as_ref().and_then(|own| own.problem.as_ref()) {
            let _ = writeln!(notes, "\njob {}: its session: {problem}", lease.job);
        }
    }
    if status.users.iter().any(|user| user.leases.is_none()) {
        notes += "\nJobs and their leases are root's to see.\n";
    }
    notes
}

fn user(user: &User) -> [Cell; 9] {
    let (tone, session) = match (user.kept_seconds, user.session.state) {
        (Some(left), _) => (Tone::Plain, format!("kept {left} s")),
        (_, SessionState::Live) => (Tone::Good, "live".into()),
        (_, SessionState::Broken) => (Tone::Bad, "broken".into()),
        (_, SessionState::None) if has_own(user) => (Tone::Plain, "in jobs".into()),
        (_, SessionState::None) => (Tone::Plain, "none".into()),
    };
    let linger = match (user.lingers, user.before.as_ref().map(|was| was.on)) {
        (None, _) => "?",
        (Some(true), Some(false)) => "for jobs",
        (Some(true), _) => "on",
        (Some(false), _) => "off",
    };
    let jobs = user.leases.as_ref().map(|leases| {
        leases.iter().filter(|lease| lease.state == LeaseState::Open).count().to_string()
    });
    let (usage, caps) = (&user.usage, &user.caps);
    [
        Cell::plain(user.label()),
        Cell::of(tone, session),
        Cell::plain(linger),
        Cell::plain(jobs.unwrap_or_else(|| "?".into())),
        Cell::plain(of_cap(usage.memory_bytes.map(bytes), caps.memory_bytes.map(bytes))),
        Cell::plain(of_cap(usage.swap_bytes.map(bytes), caps.swap_bytes.map(bytes))),
        Cell::plain(of_cap(usage.tasks, caps.tasks)),
        Cell::plain(cpus(caps)),
        Cell::plain(usage.cpu_usec.map_or("-".into(), seconds)),
    ]
}

fn has_own(user: &User) -> bool {
    leases_of(user).any(|lease| lease.own_session.is_some())
}

fn own(user: &User, job: u32, own: &OwnSession) -> [Cell; 9] {
    let tone = match own.state {
        OwnState::Live => Tone::Good,
        OwnState::Opening | OwnState::Ended => Tone::Doubtful,
        OwnState::Failed | OwnState::Unreadable => Tone::Bad,
        OwnState::None => Tone::Plain,
    };
    let amount = |amount: Option<u64>| Cell::plain(amount.map_or("-".into(), bytes));
    let number = |number: Option<u64>| Cell::plain(number.map_or("-".into(), |it| it.to_string()));
    let cgroup = own.cgroup.as_ref().map(|cgroup| cgroup.display().to_string());
    [
        Cell::plain(job.to_string()),
        Cell::plain(user.label()),
        Cell::of(tone, name_of(own.state)),
        amount(own.memory_bytes),
        amount(own.peak_memory_bytes),
        number(own.tasks),
        number(own.peak_tasks),
        Cell::plain(own.cpu_usec.map_or("-".into(), seconds)),
        Cell::plain(cgroup.unwrap_or_else(|| "-".into())),
    ]
}

fn lease(user: &User, lease: &JobLease) -> [Cell; 8] {
    let (tone, state) = match lease.state {
        _ if lease.stale => (Tone::Doubtful, "stale"),
        LeaseState::Open => (Tone::Good, "open"),
        LeaseState::Opening => (Tone::Doubtful, "opening"),
        LeaseState::Failed => (Tone::Bad, "failed"),
        LeaseState::Declined => (Tone::Plain, "declined"),
        LeaseState::Unreadable => (Tone::Bad, "unreadable"),
    };
    let limits = lease.limits.as_ref();
    let limit = |show: &dyn Fn(&Caps) -> String| {
        Cell::plain(limits.map_or("-".into(), |limits| show(&limits.caps)))
    };
    let none = || "any".to_owned();
    let denied = limits.map_or("-".into(), |limits| limits.denied_devices.len().to_string());
    let processes = lease.processes.iter().filter(|process| process.alive);
    let processes: Vec<_> =
        processes.map(|process| format!("{} {}", process.role, process.pid)).collect();
    [
        Cell::plain(lease.job.to_string()),
        Cell::plain(user.label()),
        Cell::of(tone, state),
        limit(&|caps| caps.memory_bytes.map_or_else(none, bytes)),
        limit(&|caps| caps.tasks.map_or_else(none, |tasks| tasks.to_string())),
        limit(&cpus),
        Cell::plain(denied),
        Cell::plain(processes.join(", ")),
    ]
}

fn cpus(caps: &Caps) -> String {
    caps.cpus.clone().unwrap_or_else(|| "any".into())
}

/// `10M of 400M`; what is not counted or not capped is `-` or left out.
fn of_cap(used: Option<impl ToString>, cap: Option<impl ToString>) -> String {
    let used = used.map_or("-".into(), |used| used.to_string());
    cap.map_or(used.clone(), |cap| format!("{used} of {}", cap.to_string()))
}

/// Rounded down to a number of at most four digits.
fn bytes(bytes: u64) -> String {
    let units = ["", "K", "M", "G", "T", "P", "E"];
    let steps = (0..6).take_while(|step| bytes >> (10 * step) >= 10_240).count();
    format!("{}{}", bytes >> (10 * steps), units.get(steps).unwrap_or(&""))
}

fn seconds(usec: u64) -> String {
    let time = Duration::from_micros(usec);
    format!("{}.{} s", time.as_secs(), time.subsec_millis() / 100)
}

#[cfg(test)]
mod tests {
    use super::super::model::tests::busy;
    use super::*;
    use crate::node::made_up::node;

    /// Show the tables of a node at work, and that a cause is told in full.
    #[test]
    fn a_table_of_users_and_one_of_leases() {
        let status = Status::of(&busy().node).unwrap();
        let text = of(&status, Paint::NONE);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("USER  SESSION  LINGER"), "{text}");
        assert!(lines[1].starts_with("4711  broken"), "{text}");
        assert!(lines[1].contains("  10M of 400M  -     7      0     1.2 s"), "{text}");
        assert!(lines[4].starts_with("12   4711  stale   400M    any    0     1"), "{text}");
        assert!(lines[5].starts_with("13   4711  failed  -"), "{text}");
        assert!(text.contains("\njob 13: no bus\n"), "{text}");
        let own = lines.iter().position(|line| *line == "Sessions of single jobs:").unwrap();
        let expected = "14   4711  live     20M     40M      12     40       2.5 s     /system.slice/slurmstepd.scope/job_14/";
        assert!(lines[own + 2].starts_with(expected), "{text}");
        assert!(
            of(&status, Paint::ALL).contains("\u{1b}[31m")
                || of(&status, Paint::ALL).contains("\u{1b}[1m")
        );
    }

    /// Show that a user whose jobs have sessions of their own has one in these, and why one of them failed.
    #[test]
    fn a_session_may_be_in_jobs() {
        let made_up = busy();
        let failed = r#"{"version":1,"outside":1,"failed":"no such account"}"#;
        made_up.put("/run/spank-linger/4711/14.own", failed);
        std::fs::remove_dir_all(made_up.node.at("/run/user/4711")).unwrap();
        let text = of(&Status::of(&made_up.node).unwrap(), Paint::NONE);
        assert!(text.lines().any(|line| line.starts_with("4711  in jobs  ")), "{text}");
        assert!(
            text.contains("14   4711  failed   -       -        -      -        -         -\n"),
            "{text}"
        );
        assert!(text.contains("\njob 14: its session: no such account\n"), "{text}");
    }

    /// Show that a node without sessions says so, and a user is told what is not
    /// for them to see.
    #[test]
    fn nothing_is_said_in_words() {
        let nothing = of(&Status::of(&node().node).unwrap(), Paint::NONE);
        assert!(nothing.ends_with(": no user has a session or a lease\n"), "{nothing}");
        let user = node().asked_with(|_| None);
        let text = of(&Status::of(&user.node).unwrap(), Paint::NONE);
        assert!(text.contains("root's to see"), "{text}");
    }

    /// Show how amounts are rounded.
    #[test]
    fn amounts_are_short() {
        assert_eq!(bytes(0), "0");
        assert_eq!(bytes(10_239), "10239");
        assert_eq!(bytes(10_240), "10K");
        assert_eq!(bytes(400 << 20), "400M");
        assert_eq!(bytes(u64::MAX), "15E");
        assert_eq!(seconds(1_250_000), "1.2 s");
    }
}
