//! `spank-linger sweep --kept`: the end of a session that is kept between two jobs.
//! systemd calls it, as the plugin has asked for.

use std::process::ExitCode;

use user_session::status;

use crate::Outcome;
use crate::node::Node;
use crate::sweep::{sessions, tell_what_is_logged};

/// When the time is over, or logind knows something else of the user. systemd tries again what fails.
pub(crate) fn end(node: &Node, uid: u32) -> Outcome {
    require_root(node)?;
    let ended = sessions(node).end_kept(uid);
    if status::kept(&node.roots, uid).is_none() {
        let guard = format!("spank-linger-keep-{uid}-*-last.service");
        let stopped = node.tools.run("systemctl", &["stop", "--no-block", &guard]);
        stopped.map_err(|silence| silence.to_string())?;
    }
    ended.map_err(|error| format!("uid {uid}: {error}"))?;
    Ok(ExitCode::SUCCESS)
}

/// When the guard is stopped: by a shutdown, or because it has nothing to guard.
pub(crate) fn end_at_shutdown(node: &Node, uid: u32) -> Outcome {
    require_root(node)?;
    let state = node.tools.run("systemctl", &["show", "--property=SystemState", "--value"]);
    if state.map_err(|silence| silence.to_string())?.trim() == "stopping" {
        sessions(node).end_kept_now(uid).map_err(|error| format!("uid {uid}: {error}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Leases are root's.
pub(crate) fn require_root(node: &Node) -> Result<(), String> {
    tell_what_is_logged();
    if node.asked_by_root() { Ok(()) } else { Err("sweep: leases are root's to read".into()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::made_up::{MadeUp, node};

    const STOP: &str = "systemctl stop --no-block spank-linger-keep-4711-*-last.service";
    const STATE: &str = "systemctl show --property=SystemState --value";

    /// A node that is up for 100 s, where a session is kept until then.
    fn kept(until: &str, state: &str) -> MadeUp {
        let made_up = node()
            .with("/proc/uptime", "100.99 180.00\n")
            .with("/run/spank-linger/4711/kept", until)
            .with("/var/lib/spank-linger/4711", UNDO)
            .with("/var/lib/systemd/linger/erin", "")
            .with_tools([(STOP, Ok("")), (STATE, Ok(state))]);
        for dir in ["/run/spank-linger", "/run/spank-linger/4711", "/var/lib/spank-linger"] {
            made_up.private(dir);
        }
        made_up
    }

    const UNDO: &str = r#"{"version":1,"name":"erin","linger_before":false}"#;

    /// Show that it is closed when its time is over, for which the bus is asked, and
    /// that one is no error which a job has taken.
    #[test]
    fn it_ends_in_time() {
        let over = kept("100\n", "running");
        let error = end(&over.node, 4711).unwrap_err();
        assert!(error.contains("system bus"), "{error}");
        assert_eq!(end(&over.node, 4712), Err("systemctl: not found".into()));
        let taken = node().with_tools([(STOP, Ok(""))]);
        assert!(end(&taken.node, 4711).is_ok());
        assert!(!taken.node.at("/run/spank-linger").exists());
    }

    /// Show that only a shutdown ends one before its time.
    #[test]
    fn a_shutdown_ends_it() {
        assert!(end_at_shutdown(&kept("200\n", "running\n").node, 4711).is_ok());
        let error = end_at_shutdown(&kept("200\n", "stopping\n").node, 4711).unwrap_err();
        assert!(error.contains("system bus"), "{error}");
    }

    /// Show that only root is let do it.
    #[test]
    fn it_is_roots_to_do() {
        let asked = kept("100\n", "stopping").asked_with(|_| None);
        assert!(end(&asked.node, 4711).unwrap_err().contains("root's"));
        assert!(end_at_shutdown(&asked.node, 4711).unwrap_err().contains("root's"));
    }
}
