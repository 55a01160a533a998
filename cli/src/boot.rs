//! `spank-linger sweep --at-boot`: what a power loss left written down, put back before logind starts.
//! The package's unit `spank-linger-boot.service` calls it.

use std::process::ExitCode;

use user_session::{PutBack, put_back_at_boot};

use crate::Outcome;
use crate::keep::require_root;
use crate::node::Node;

/// Puts linger back for all users with a record, on a node that has had no job since its boot.
pub(crate) fn run(node: &Node) -> Outcome {
    require_root(node)?;
    let all = put_back_at_boot(&node.roots).map_err(|error| error.to_string())?;
    let failed = all.into_iter().filter_map(tell).count();
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Something where it failed.
fn tell((uid, done): PutBack) -> Option<()> {
    match done {
        Ok(Some(before)) if before.was_on => println!("uid {uid}: lingers, as before its jobs"),
        Ok(Some(_)) => println!("uid {uid}: does not linger, as before its jobs"),
        Ok(None) => {}
        Err(error) => {
            eprintln!("spank-linger: uid {uid}: {error}");
            return Some(());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::made_up::{MadeUp, node};

    const RECORD: &str = "/var/lib/spank-linger/4711";
    const LINGER: &str = "/var/lib/systemd/linger/erin";

    /// A node whose power was lost while erin had a job.
    fn without_power() -> MadeUp {
        let undo = r#"{"version":1,"name":"erin","linger_before":false}"#;
        let made_up = node().with(RECORD, undo).with(LINGER, "").with_dir("/run", 0o755);
        made_up.private("/var/lib/spank-linger");
        made_up
    }

    /// Show that linger is put back without a program or a bus.
    #[test]
    fn linger_is_put_back() {
        let made_up = without_power();
        assert_eq!(run(&made_up.node), Ok(ExitCode::SUCCESS));
        assert!(!made_up.node.at(LINGER).exists() && !made_up.node.at(RECORD).exists());
    }

    /// Show that a record that cannot be read fails the command, for the unit to be
    /// seen as failed, and that others are put back.
    #[test]
    fn a_bad_record_is_a_failure() {
        let made_up = without_power().with("/var/lib/spank-linger/4712", "{");
        assert_eq!(run(&made_up.node), Ok(ExitCode::FAILURE));
        assert!(!made_up.node.at(LINGER).exists());
    }

    /// Show that nothing is done under jobs of this boot, nor for others than root.
    #[test]
    fn jobs_of_this_boot_are_left_alone() {
        let made_up = without_power().with_dir("/run/spank-linger", 0o700);
        assert_eq!(run(&made_up.node), Ok(ExitCode::SUCCESS));
        let made_up = made_up.asked_with(|_| None);
        assert!(run(&made_up.node).unwrap_err().contains("root's"));
        assert!(made_up.node.at(LINGER).exists() && made_up.node.at(RECORD).exists());
    }
}
