//! `spank-linger sweep`: drops the leases of jobs that are over, and ends sessions of theirs without a lease.

use std::fmt::Write as _;
use std::process::ExitCode;

use log::{Level, LevelFilter, Log, Metadata, Record};
use user_session::status::Before;
use user_session::{Means, Sessions, Stale, Stray};

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
    let mut told = Told::default();
    match sessions.strays() {
        Ok(strays) => {
            for one in &strays {
                told.add("", end_stray(&sessions, one, dry_run));
            }
        }
        Err(error) => told.add("", (String::new(), Err(error.to_string()))),
    }
    for uid in sessions.users().map_err(|error| error.to_string())? {
        told.add(&format!("uid {uid}: "), sweep_user(&sessions, uid, dry_run));
    }
    if told.is_nothing {
        println!("nothing to sweep");
    }
    Ok(if told.has_failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// A line of what there is to do, or was done, and what went wrong.
type Said = (String, Result<(), String>);

/// What was printed of it.
struct Told {
    is_nothing: bool,
    has_failed: bool,
}

impl Default for Told {
    fn default() -> Self {
        Self { is_nothing: true, has_failed: false }
    }
}

impl Told {
    fn add(&mut self, whose: &str, (line, done): Said) {
        print!("{line}");
        if let Err(error) = &done {
            eprintln!("spank-linger: {whose}{error}");
        }
        self.has_failed |= done.is_err();
        self.is_nothing &= line.is_empty() && done.is_ok();
    }
}

/// As the plugin has them on this node: a cap that stays has to be the same.
pub(crate) fn sessions(node: &Node) -> Sessions {
    Sessions { site: plugstack::arguments(node).site(node.roots.clone()) }
}

/// A session of which nothing is written down: what there is to say, and what went wrong.
fn end_stray(sessions: &Sessions, stray: &Stray, dry_run: bool) -> Said {
    let (uid, cgroup) = (stray.uid, stray.cgroup.display());
    if let Err(why) = &stray.is_over {
        let line = format!("uid {uid}: a session without a lease is left: {why}: /{cgroup}\n");
        return (line, Ok(()));
    }
    let would = if dry_run { "would " } else { "" };
    let line = format!("uid {uid}: {would}end a session whose job is over: /{cgroup}\n");
    if dry_run {
        return (line, Ok(()));
    }
    match sessions.end_stray(stray) {
        Ok(()) => (line, Ok(())),
        Err(error) => (String::new(), Err(error.to_string())),
    }
}

/// What there is to say, if anything, and what went wrong.
fn sweep_user(sessions: &Sessions, uid: u32, dry_run: bool) -> Said {
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
    for (what, jobs) in [
        ("drop the lease of job", &due.jobs),
        ("end what is left of the session of job", &due.unended),
    ] {
        if !jobs.is_empty() {
            let jobs: Vec<String> = jobs.iter().map(ToString::to_string).collect();
            parts.push(format!("{what} {}", jobs.join(", ")));
        }
    }
    parts.extend(due.before.map(|before| put_back(before).to_owned()));
    if due.uncaps {
        parts.push("take the caps off the slice".into());
    }
    if due.books {
        parts.push("remove what its jobs with sessions of their own shared".into());
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

    /// Show that a session without a lease is named by a dry run and left, that it is ended where its job is over, and
    /// that it is said why another is left.
    #[test]
    fn a_session_without_a_lease_is_ended() {
        let session = "system.slice/slurmstepd.scope/job_12/step_extern/user/session";
        let procs = format!("/sys/fs/cgroup/{session}/cgroup.procs");
        let made_up = left().with(&procs, "");
        let sessions = sessions(&made_up.node);
        let swept = |dry_run| {
            let strays = sessions.strays().unwrap();
            let (line, done) = end_stray(&sessions, &strays[0], dry_run);
            let uid = format!("uid {}: ", made_up.node.asker);
            (line.replacen(&uid, "", 1), done)
        };
        let would = format!("would end a session whose job is over: /{session}\n");
        assert_eq!(swept(true), (would, Ok(())));
        let kill = made_up.node.at("/sys/fs/cgroup").join(session).join("cgroup.kill");
        assert!(!kill.exists());
        // Files stand in for the kernel's, and so it is not removed.
        let (line, done) = swept(false);
        assert!(line.is_empty() && done.unwrap_err().starts_with("remove "));
        assert!(kill.exists());
        made_up.put("/sys/fs/cgroup/system.slice/slurmstepd.scope/system/cgroup.procs", "0\n");
        let (line, done) = swept(false);
        let words = ["a session without a lease is left: ", "cannot be seen", session];
        assert!(done.is_ok() && words.iter().all(|word| line.contains(word)), "{line}");
    }

    /// Show that all that is to be undone is said.
    #[test]
    fn everything_is_said() {
        let before = Some(Before { means: Means::Linger, was_on: false });
        let (jobs, unended) = (vec![3, 4], vec![5]);
        let due = Stale { jobs, unended, before, uncaps: true, books: true, ..Stale::default() };
        let said = line(1, &due, false);
        assert_eq!(
            said,
            "uid 1: drop the lease of job 3, 4; end what is left of the session of job 5; turn linger off, which ends the session; \
             take the caps off the slice; remove what its jobs with sessions of their own shared\n"
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
