//! Where memory runs out, a session's manager is no earlier to end than its user's tasks are.
//!
//! systemd gives a user's manager a score of 100 (`user@.service`, systemd 247 to 262): for the kernel, a tenth of what
//! the session may have, beyond what the manager has. Where many small processes fill the session it would be the first
//! to go, and all of the session with it. Its bus is up to a file of the package (`packaging/systemd/dbus.service.d`).

use std::fs;

use crate::outside::mounts::{by_descriptor, hold};
use crate::outside::processes::pids;
use crate::outside::text::text;
use crate::terms::roots::{Roots, manager};

/// What systemd has given it; what a site has chosen is left.
const BEFORE: &str = "100\n";

/// What a task has. Less would be for whatever the user has the manager run, before other users' jobs.
const OF_TASKS: &str = "0";

/// Has the manager that was started be spared as long as a task.
pub(crate) fn spare(roots: &Roots, uid: u32) {
    let procs = roots.slice(uid).join(manager(uid)).join("init.scope/cgroup.procs");
    let listed = || pids(&text(&procs).unwrap_or_default());
    for pid in listed() {
        let Ok(process) = hold(&roots.proc.join(pid.to_string())) else { continue };
        let score = by_descriptor(&process).join("oom_score_adj");
        // Of what is held: a number that is listed still is no other process's.
        if listed().contains(&pid) && text(&score).is_ok_and(|score| score == BEFORE) {
            // One that has ended needs it no more.
            let _ = fs::write(score.as_path(), OF_TASKS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCORE: &str = "5/oom_score_adj";

    fn after(score: &str) -> String {
        let dir = tempfile::tempdir().unwrap();
        let roots = Roots::below(dir.path());
        let manager_at = roots.slice(1001).join(manager(1001)).join("init.scope");
        for dir in [&manager_at, &roots.proc.join("5")] {
            fs::create_dir_all(dir).unwrap();
        }
        fs::write(manager_at.join("cgroup.procs"), "4\n5\n").unwrap();
        fs::write(roots.proc.join(SCORE), score).unwrap();
        spare(&roots, 1001);
        fs::read_to_string(roots.proc.join(SCORE)).unwrap()
    }

    /// Show that a manager gets the score of a task, though another process has ended, and not where a site has chosen
    /// one.
    #[test]
    fn a_manager_as_systemd_starts_it_is_spared() {
        assert_eq!(after(BEFORE), OF_TASKS);
        assert_eq!(after("-50\n"), "-50\n");
    }
}
