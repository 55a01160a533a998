//! What is tested on which node, in an ordinary run and with `--all`.

use anyhow::{Result, bail};
use clap::ValueEnum;

use crate::suite::Suite;

/// A part of the test run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// Formatting, lints, unit tests and builds: no node needed.
    Host,
    /// A node with Slurm 24.11: everything.
    Trixie,
    /// Two nodes with Slurm 24.11.
    Cluster,
    /// A node with Slurm 20.11: the core of what every release must do.
    Bullseye,
    /// A node with Slurm 22.05: what every release must do.
    Bookworm,
    /// A node with Slurm 26.05: what every release must do.
    Forky,
}

/// Nodes and the targets of cargo's that are run on them.
pub(crate) struct Unit {
    pub(crate) part: Part,
    pub(crate) suite: Suite,
    pub(crate) nodes: u8,
    /// Whether nodes with one CPU and no cpuset controller will do.
    pub(crate) light: bool,
    pub(crate) targets: Vec<&'static str>,
}

/// The nodes, whether light ones, what is always run there, and what `--all` adds.
type Row = (Part, Suite, u8, bool, &'static [&'static str], &'static [&'static str]);

/// The longest first. Without `--all` each area is run once, `symbols` and `core` on every release: two
/// emulated nodes then take an hour and a quarter on two cores, and all of it twice that.
const ROWS: [Row; 9] = [
    (
        Part::Forky,
        Suite::Forky,
        1,
        true,
        &["symbols", "core", "users", "beside", "odd", "odd_nodes"],
        &["contained", "hold", "leftovers", "command", "package", "policy", "keep"],
    ),
    (
        Part::Trixie,
        Suite::Trixie,
        1,
        true,
        &["contract", "faults", "buses", "opponent", "hold", "capped", "drains"],
        &[],
    ),
    (
        Part::Trixie,
        Suite::Trixie,
        1,
        true,
        &["crashes", "full", "load", "mixes", "bounded", "package"],
        &[],
    ),
    (
        Part::Trixie,
        Suite::Trixie,
        1,
        true,
        &["symbols", "core", "contained", "leftovers", "command", "policy", "keep"],
        &["beside", "users"],
    ),
    (
        Part::Bookworm,
        Suite::Bookworm,
        1,
        true,
        &["symbols", "core"],
        // What is beside the jobs is systemd's to keep.
        &["contained", "hold", "leftovers", "command", "users", "package", "policy", "keep"],
    ),
    (
        Part::Bullseye,
        Suite::Bullseye,
        1,
        true,
        &["symbols", "core"],
        &["contained", "leftovers", "users"],
    ),
    (Part::Trixie, Suite::Trixie, 1, true, &[], &["odd", "odd_nodes"]),
    (Part::Trixie, Suite::Trixie, 1, true, &[], &["ansible"]),
    (Part::Cluster, Suite::Trixie, 2, false, &["cluster"], &[]),
];

/// What an ordinary run has, or with `all` everything; of that only these areas, if any are named.
///
/// # Errors
/// There is no such area.
pub(crate) fn of(all: bool, areas: &[String]) -> Result<Vec<Unit>> {
    let named = |target: &&str| areas.is_empty() || areas.iter().any(|area| area == target);
    let targets = |always: &[&'static str], more: &[&'static str]| {
        let more = if all { more } else { &[] };
        [always, more].concat().into_iter().filter(named).collect::<Vec<_>>()
    };
    let units = ROWS.iter().map(|&(part, suite, nodes, light, always, more)| {
        let targets = targets(always, more);
        Unit { part, suite, nodes, light, targets }
    });
    let units = units.filter(|unit| !unit.targets.is_empty()).collect::<Vec<_>>();
    let runs = |area: &&String| units.iter().any(|unit| unit.targets.contains(&area.as_str()));
    if let Some(unknown) = areas.iter().find(|area| !runs(area)) {
        bail!("--area {unknown}: no such area of the tests, or one that only a run with --all has");
    }
    Ok(units)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::build;

    fn targets(all: bool) -> BTreeSet<&'static str> {
        of(all, &[]).unwrap().into_iter().flat_map(|unit| unit.targets).collect()
    }

    /// Show that no file of tests is forgotten, and that an ordinary run leaves out one area alone.
    #[test]
    fn every_area_is_run() {
        let manifest = std::fs::read_to_string(build::checkout().join("tests/Cargo.toml")).unwrap();
        let names = manifest.split("[[test]]").skip(1).filter_map(|test| test.split('"').nth(1));
        assert_eq!(targets(true), names.collect());
        let rare: Vec<_> = targets(true).difference(&targets(false)).copied().collect();
        assert_eq!(rare, ["ansible"]);
    }

    /// Show that an area is run on every release that has it, and that no other name is passed over.
    #[test]
    fn an_area_can_be_chosen() {
        let units = of(false, &["core".to_owned()]).unwrap();
        assert_eq!(units.iter().map(|unit| unit.targets.concat()).collect::<Vec<_>>(), ["core"; 4]);
        let error = of(false, &["ansible".to_owned()]).err().unwrap().to_string();
        assert!(error.starts_with("--area ansible: no such area"), "{error}");
    }
}
