//! `spank-linger sweep`: drops the leases of jobs that are over.

use std::fmt::Write as _;
use std::process::ExitCode;

use log::{Level, LevelFilter, Log, Metadata, Record};
use user_session::status::Before;
use user_session::{Means, Sessions, Stale};

use crate::Outcome;
use crate::node::Node;
use crate::plugstack;

/// Sweeps, or says what there is to sweep.
pub(crate) fn run(node: &Node, dry_run: bool) -> Outcome {
    if !node.asked_by_root() {
        return Err("sweep: leases are root's to read".into());
    }
    tell_what_is_logged();
    let sessions = sessions(node);
    let mut has_failed = false;
    let mut is_clean = true;
    for uid in sessions.users().map_err(|error| error.to_string())? {
        let (line, done) = sweep_user(&sessions, uid, dry_run);
        print!("{line}");
        is_clean &= line.is_empty();
        if let Err(error) = done {
            eprintln!("spank-linger: uid {uid}: {error}");
            has_failed = true;
        }
    }
    if is_clean && !has_failed {
        println!("nothing to sweep");
    }
    Ok(if has_failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// As the plugin has them on this node: a cap that stays has to be the same.
pub(crate) fn sessions(node: &Node) -> Sessions {
    Sessions { site: plugstack::arguments(node).site(node.roots.clone()) }
}

/// What there is to say, if anything, and what went wrong.
fn sweep_user(sessions: &Sessions, uid: u32, dry_run: bool) -> (String, Result<(), String>) {
    let due = match sessions.stale(uid) {
        Ok(due) => due,
        Err(error) => return (String::new(), Err(error.to_string())),
    };
    let line = line(uid, &due, dry_run);
    if dry_run || due.is_nothing() {
        return (line, Ok(()));
    }
    match sessions.sweep_user(uid) {
        Ok(()) => (line, Ok(())),
        Err(error) => (String::new(), Err(error.to_string())),
    }
}

fn line(uid: u32, due: &Stale, dry_run: bool) -> String {
    let mut line = String::new();
    if due.is_busy {
        let _ = writeln!(line, "uid {uid}: a prolog or an epilog is at work; left to it");
    }
    if due.is_nothing() {
        return line;
    }
    let mut parts = Vec::new();
    if let Some(left) = due.kept {
        parts.push(format!("end the keep, {} s before its time", left.as_secs()));
    }
    if !due.jobs.is_empty() {
        let jobs: Vec<String> = due.jobs.iter().map(ToString::to_string).collect();
        parts.push(format!("drop the lease of job {}", jobs.join(", ")));
    }
    parts.extend(due.before.map(|before| put_back(before).to_owned()));
    if due.uncaps {
        parts.push("take the caps off the slice".into());
    }
    let would = if dry_run { "would " } else { "" };
    let _ = writeln!(line, "uid {uid}: {would}{}", parts.join("; "));
    line
}

fn put_back(before: Before) -> &'static str {
    match (before.means, before.was_on) {
        (_, true) => "leave the session up, as it was before",
        (Means::Linger, false) => "turn linger off, which ends the session",
        (Means::Manager, false) => "end the session",
    }
}

/// What the library has to say while it works, as that of a session whose end is
/// put off.
pub(crate) fn tell_what_is_logged() {
    // Fails only when it has been done before.
    let _ = log::set_logger(&ToStderr);
    log::set_max_level(LevelFilter::Warn);
}

struct ToStderr;

impl Log for ToStderr {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= Level::Warn && metadata.target().starts_with("user_session")
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            eprintln!("spank-linger: {}", record.args());
        }
    }

    fn flush(&self) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::made_up::{MadeUp, node};

    /// A node where the extern step of job 12 is gone.
    fn left() -> MadeUp {
        node()
            .with("/run/spank-linger/4711/12", r#"{"version":1,"state":"open"}"#)
            .with_ended("/run/spank-linger/4711/12")
    }

    /// Show that a dry run names what is stale and leaves it, and that the sweep
    /// drops it.
    #[test]
    fn a_dry_run_changes_nothing() {
        let made_up = left();
        let sessions = sessions(&made_up.node);
        let lease = made_up.node.at("/run/spank-linger/4711/12");
        let (line, done) = sweep_user(&sessions, 4711, true);
        assert_eq!((line.as_str(), done), ("uid 4711: would drop the lease of job 12\n", Ok(())));
        assert!(lease.exists());
        for dir in ["/run/spank-linger", "/run/spank-linger/4711", "/var/lib/spank-linger"] {
            made_up.private(dir);
        }
        let (line, done) = sweep_user(&sessions, 4711, false);
        assert_eq!((line.as_str(), done), ("uid 4711: drop the lease of job 12\n", Ok(())));
        assert!(!lease.exists());
        assert_eq!(sweep_user(&sessions, 4711, false), (String::new(), Ok(())));
    }

    /// Show that all that is to be undone is said.
    #[test]
    fn everything_is_said() {
        let before = Some(Before { means: Means::Linger, was_on: false });
        let due = Stale { jobs: vec![3, 4], before, uncaps: true, ..Stale::default() };
        let said = line(1, &due, false);
        assert_eq!(
            said,
            "uid 1: drop the lease of job 3, 4; turn linger off, which ends the session; \
             take the caps off the slice\n"
        );
        let busy = line(1, &Stale { is_busy: true, ..Stale::default() }, false);
        assert!(busy.contains("left to it"), "{busy}");
    }

    /// Show that only root is let do it.
    #[test]
    fn it_is_roots_to_do() {
        let made_up = left().asked_with(|_| None);
        assert!(run(&made_up.node, true).unwrap_err().contains("root's"));
    }
}
