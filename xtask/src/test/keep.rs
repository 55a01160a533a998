//! Nodes that stay up after the tests, to look at what failed there.

use anyhow::{Result, bail, ensure};
use clap::ValueEnum;

use super::tally::Ran;
use super::units::{Part, Unit};
use crate::cluster::Cluster;
use crate::state::State;

/// The nodes of these units are to stay, under their release's name.
///
/// # Errors
/// Not one unit is asked for, or nodes of that name are up.
pub(super) fn check(units: &[&Unit]) -> Result<()> {
    let &[unit] = units else {
        let chosen = "choose one with --only and --area";
        bail!("--keep-node is for the nodes of one unit, not of {}: {chosen}", units.len());
    };
    let name = unit.suite.name();
    let is_up = State::is_up(name)?;
    ensure!(!is_up, "--keep-node: {name} is up already; to end it: cargo xtask vm down {name}");
    Ok(())
}

/// How to get to nodes that have stayed, and to end them; nothing if they never got ready.
pub(super) fn say(units: &[&Unit]) {
    for unit in units {
        let name = unit.suite.name();
        if let Ok(cluster) = Cluster::attach(name) {
            println!("\n{name} stays up: ssh -F {} n1", cluster.ssh_config().display());
            println!("to end it: cargo xtask vm down {name}");
        }
    }
}

/// Commands that run what failed in an area again, each alone.
pub(super) fn again(part: Part, area: &str, all: bool, ran: &Ran) -> Vec<String> {
    let failed = ran.tests.iter().filter(|test| test.has_failed);
    let mut names: Vec<_> = failed.map(|test| format!(" --name {}", test.name)).collect();
    if names.is_empty() && ran.counted.tally.failed > 0 {
        names.push(String::new());
    }
    let part = part.to_possible_value().map(|part| part.get_name().to_owned()).unwrap_or_default();
    let all = if all { " --all" } else { "" };
    let command =
        |name| format!("cargo xtask test{all} --only {part} --area {area}{name} --keep-node");
    names.into_iter().map(command).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::units;
    use super::*;
    use crate::test::times::Timed;

    fn ran(failed: u32, tests: &[(&str, bool)]) -> Ran {
        let mut ran = Ran::default();
        ran.counted.tally.failed = failed;
        ran.tests.extend(tests.iter().map(|&(name, has_failed)| Timed {
            name: name.to_owned(),
            took: Duration::ZERO,
            has_failed,
        }));
        ran
    }

    /// Show that each test that failed can be run alone, that an area that failed without one can be as
    /// a whole, and that nothing is said where nothing failed.
    #[test]
    fn what_failed_can_be_run_again() {
        let tests = [("good", false), ("only_what_is_named_is_capped", true)];
        let policy = again(Part::Trixie, "policy", false, &ran(1, &tests));
        let alone = "cargo xtask test --only trixie --area policy \
            --name only_what_is_named_is_capped --keep-node";
        assert_eq!(policy, [alone]);
        let broken = again(Part::Cluster, "cluster", true, &ran(1, &[]));
        assert_eq!(broken, ["cargo xtask test --all --only cluster --area cluster --keep-node"]);
        assert!(again(Part::Forky, "core", false, &ran(0, &[("good", false)])).is_empty());
    }

    /// Show that nodes of one unit alone can stay: two of a release would have the same name.
    #[test]
    fn one_unit_can_stay() {
        let units = units::of(false, &["hold".to_owned(), "crashes".to_owned()], None).unwrap();
        let error = check(&units.iter().collect::<Vec<_>>()).unwrap_err().to_string();
        assert!(error.contains("one unit, not of 2: choose one with --only"), "{error}");
    }
}
