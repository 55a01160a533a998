//! Slurm's own bound for the end of a step, beside the plugin's.

use linger_arguments::Arguments;

use super::Finding;
use super::slurmd::Release;
use crate::slurm_conf::Settings;

const CHECK: &str = "unkillable";
const KEY: &str = "UnkillableStepTimeout";

/// In seconds, slurm.conf(5).
const USUAL: u64 = 60;
const USUAL_MESSAGE_TIMEOUT: u64 = 10;
const USUAL_KILL_WAIT: u64 = 30;

/// From here on the default is five times MessageTimeout, if that is more.
const FOLLOWS_MESSAGES: Release = Release { major: 24, minor: 5 };

/// What it takes to end what SIGKILL ends, beside other work.
const DYING: u64 = 10;

/// A step that is cancelled while its session is opened takes the plugin's `timeout` and `grace`, and what left its step
/// is ended when KillWait is over. If Slurm's patience ends before, it drains the node ("Kill task failed").
pub(super) fn check(
    settings: &Settings,
    arguments: &Arguments,
    release: Option<&Release>,
) -> Finding {
    let number = |key| settings.get(key).and_then(|value| value.parse::<u64>().ok());
    let messages = number("MessageTimeout").unwrap_or(USUAL_MESSAGE_TIMEOUT).saturating_mul(5);
    let usual = match release {
        Some(release) if *release >= FOLLOWS_MESSAGES => messages.max(USUAL),
        _ => USUAL,
    };
    let kill_wait = number("KillWait").unwrap_or(USUAL_KILL_WAIT);
    let timeout = arguments.timeout.as_secs();
    let grace = arguments.containment.grace.as_secs();
    let needed = (timeout + grace).max(kill_wait).saturating_add(DYING);
    let (patience, whose) = number(KEY).map_or((usual, ", Slurm's default"), |set| (set, ""));
    if patience > needed {
        return Finding::ok(CHECK, format!("{KEY}={patience}{whose}"));
    }
    let found = format!(
        "{KEY}={patience}{whose} is not above what the plugin may take: timeout={timeout} and grace={grace}, or \
         KillWait={kill_wait}, and {DYING} s; Slurm drains the node then"
    );
    Finding::warn(
        CHECK,
        found,
        format!("{KEY}={} in slurm.conf, or less for the others", needed + 1),
    )
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::super::State;
    use super::super::tests::assert_finding;
    use super::*;
    use crate::node::made_up::node;

    fn with(conf: &str, timeout: u64, release: Option<&Release>) -> Finding {
        let made_up = node().with("/slurm.conf", conf);
        let settings = Settings::read(&made_up.node, Path::new("/slurm.conf"));
        let timeout = Duration::from_secs(timeout);
        check(&settings, &Arguments { timeout, ..Arguments::default() }, release)
    }

    /// Show that Slurm's patience has to be longer than the plugin's bounds, and than KillWait, and what it is by default.
    #[test]
    fn slurm_is_to_be_the_more_patient() {
        let (old, new) = (Release { major: 23, minor: 11 }, Release { major: 24, minor: 5 });
        assert_finding(&with("", 15, None), State::Ok, &["=60, Slurm's default"]);
        assert_finding(&with("UnkillableStepTimeout=41", 15, None), State::Ok, &["=41"]);
        let short = with("UnkillableStepTimeout=40", 15, None);
        assert_finding(
            &short,
            State::Warn,
            &["=40 is not above", "KillWait=30", "=41 in slurm.conf"],
        );
        let long = with("MessageTimeout=60\nKillWait=5", 60, Some(&old));
        assert_finding(&long, State::Warn, &["timeout=60 and grace=5", "=76 in slurm.conf"]);
        assert_finding(&with("MessageTimeout=60", 60, Some(&new)), State::Ok, &["=300"]);
        assert_finding(&with("KillWait=60", 15, Some(&new)), State::Warn, &["=71 in slurm.conf"]);
    }
}
