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
    /// Nodes that are machines, of each release: what needs two CPUs and the cpuset controller.
    Machine,
}

/// Nodes and the targets of cargo's that are run on them.
pub(crate) struct Unit {
    pub(crate) part: Part,
    pub(crate) suite: Suite,
    pub(crate) nodes: u8,
    pub(crate) kind: Kind,
    pub(crate) targets: Vec<&'static str>,
}

/// What a unit's nodes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Processes, where a machine would be emulated: not for what is in [`WHOLE`].
    Light,
    /// Machines.
    Whole,
    /// Machines for what light nodes leave out: of an area that has tests in [`WHOLE`] only those.
    Rest,
}

/// Area and test: what needs a second CPU, or Slurm with ConstrainCores, and so the cpuset controller, or the
/// devices of a machine. `odd_nodes` as a whole changes what has Slurm take one CPU for two.
const WHOLE: [(&str, &str); 16] = [
    ("command", "a_health_check_is_quick"),
    ("command", "a_healthy_node_is_well"),
    ("command", "a_job_is_seen"),
    ("command", "what_is_wrong_is_found"),
    ("contained", "a_device_is_only_for_the_jobs_it_was_given_to"),
    ("contained", "a_job_gets_no_more_than_its_allocation"),
    ("contained", "a_session_that_stays_has_its_devices_back"),
    ("contained", "two_jobs_have_their_sum_and_then_what_remains"),
    ("contained", "where_nothing_is_constrained_every_device_is_there"),
    ("own", "a_device_is_the_jobs"),
    ("own", "a_session_is_in_its_job"),
    ("own", "a_session_is_seen_in_its_job"),
    ("policy", "only_what_is_named_is_capped"),
    ("users", "a_gpu_is_for_the_containers_of_its_job"),
    ("users", "containers_are_bound_as_their_tasks"),
    ("users", "cpus_are_chosen_where_cpuset_is_delegated"),
];

/// After an area's name: with the plugin's other kind of session.
const AS_JOB: &str = "@job";

/// The area of a target, and the kind of session that its tests are to have, unless it is the plugin's default.
pub(crate) fn split(target: &str) -> (&str, Option<&'static str>) {
    target.strip_suffix(AS_JOB).map_or((target, None), |area| (area, Some("job")))
}

/// The nodes, what is always run there, and what `--all` adds.
type Row = (Part, Suite, u8, Kind, &'static [&'static str], &'static [&'static str]);

/// The longest first. Without `--all` each area is run once, `symbols` and `core` on every release,
/// `contained` where Slurm holds jobs to limits.
const ROWS: [Row; 15] = [
    (
        Part::Machine,
        Suite::Trixie,
        1,
        Kind::Rest,
        &["contained", "command", "policy", "own"],
        &["symbols", "core", "users", "odd_nodes", "users@job", "odd_nodes@job"],
    ),
    (
        Part::Trixie,
        Suite::Trixie,
        1,
        Kind::Light,
        &["contract", "early", "faults", "buses", "opponent", "hold", "capped", "drains"],
        &[],
    ),
    (
        Part::Trixie,
        Suite::Trixie,
        1,
        Kind::Light,
        &["crashes", "full", "both", "load", "mixes", "bounded", "package", "bridges"],
        &[],
    ),
    (
        Part::Trixie,
        Suite::Trixie,
        1,
        Kind::Light,
        &["symbols", "core", "contained", "leftovers", "command", "policy", "keep"],
        &["beside", "users", "field"],
    ),
    (
        Part::Trixie,
        Suite::Trixie,
        1,
        Kind::Light,
        &["core@job"],
        // Its kernel does not survive that many processes are killed (`nodes.rs`); and twenty Podmans at once take it
        // longer than the timeout where it is not alone.
        &["own", "both@job", "hold@job", "users@job", "crashes@job", "odd@job", "field@job"],
    ),
    (
        Part::Forky,
        Suite::Forky,
        1,
        Kind::Light,
        &["own", "bridges@job"],
        &["core@job", "hold@job", "users@job", "both@job", "field", "field@job", "bridges"],
    ),
    (
        Part::Forky,
        Suite::Forky,
        1,
        Kind::Light,
        &["symbols", "core", "contained", "users", "beside", "odd"],
        &["hold", "leftovers", "command", "package", "policy", "keep"],
    ),
    (
        Part::Machine,
        Suite::Forky,
        1,
        Kind::Rest,
        &["users", "odd_nodes", "own"],
        &["contained", "command", "policy", "users@job", "odd_nodes@job"],
    ),
    (
        Part::Machine,
        Suite::Bookworm,
        1,
        Kind::Rest,
        &[],
        // Its netavark has a firewall of iptables alone, which a light node's kernel has not.
        &[
            "contained",
            "command",
            "policy",
            "users",
            "own",
            "odd_nodes",
            "odd_nodes@job",
            "bridges",
            "bridges@job",
        ],
    ),
    (
        Part::Bookworm,
        Suite::Bookworm,
        1,
        Kind::Light,
        &["symbols", "core", "contained"],
        // What is beside the jobs is systemd's to keep.
        &["hold", "leftovers", "command", "users", "package", "policy", "keep"],
    ),
    (
        Part::Bullseye,
        Suite::Bullseye,
        1,
        // Its user-mode Linux, 5.10, is slower than an emulated machine.
        Kind::Whole,
        &["symbols", "core"],
        &["contained", "leftovers", "users"],
    ),
    (Part::Bookworm, Suite::Bookworm, 1, Kind::Light, &[], &["own", "core@job", "hold@job"]),
    (Part::Trixie, Suite::Trixie, 1, Kind::Light, &[], &["odd"]),
    (Part::Trixie, Suite::Trixie, 1, Kind::Light, &[], &["ansible"]),
    (Part::Cluster, Suite::Trixie, 2, Kind::Whole, &["cluster"], &["cluster@job"]),
];

impl Unit {
    /// Which of an area's tests run here, as arguments for its program; none: all.
    pub(crate) fn tests_of(&self, target: &str) -> Vec<&'static str> {
        let (area, _) = split(target);
        let tests = WHOLE.iter().filter(|(of, _)| *of == area).map(|(_, test)| *test);
        match self.kind {
            Kind::Light => tests.flat_map(|test| ["--skip", test]).collect(),
            Kind::Whole => Vec::new(),
            Kind::Rest => tests.collect(),
        }
    }

    /// Whether an area is among its targets.
    pub(crate) fn has(&self, area: &str) -> bool {
        self.targets.iter().any(|target| split(target).0 == area)
    }

    /// Whether a test of that name may be run here.
    fn may_have(&self, target: &str, name: &str) -> bool {
        let (area, _) = split(target);
        let mut tests = WHOLE.iter().filter(|(of, _)| *of == area).peekable();
        match self.kind {
            Kind::Light => !tests.any(|(_, test)| test.contains(name)),
            Kind::Whole => true,
            Kind::Rest => tests.peek().is_none() || tests.any(|(_, test)| test.contains(name)),
        }
    }
}

/// What an ordinary run has, or with `all` everything; of that only these areas, if any are named, and where
/// tests of that name can be.
///
/// # Errors
/// There is no such area.
pub(crate) fn of(all: bool, areas: &[String], name: Option<&str>) -> Result<Vec<Unit>> {
    let units = ROWS.iter().map(|&(part, suite, nodes, kind, always, more)| {
        let more = if all { more } else { &[] };
        let mut unit = Unit { part, suite, nodes, kind, targets: [always, more].concat() };
        let named = |target: &str| areas.is_empty() || areas.iter().any(|area| area == target);
        let mut targets = std::mem::take(&mut unit.targets);
        targets.retain(|area| named(area) && name.is_none_or(|name| unit.may_have(area, name)));
        Unit { targets, ..unit }
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
        let targets = of(all, &[], None).unwrap().into_iter().flat_map(|unit| unit.targets);
        targets.map(|target| split(target).0).collect()
    }

    /// Show that no file of tests is forgotten, and that an ordinary run leaves out two areas alone.
    #[test]
    fn every_area_is_run() {
        let manifest = std::fs::read_to_string(build::checkout().join("tests/Cargo.toml")).unwrap();
        let names = manifest.split("[[test]]").skip(1).filter_map(|test| test.split('"').nth(1));
        assert_eq!(targets(true), names.collect());
        let rare: Vec<_> = targets(true).difference(&targets(false)).copied().collect();
        assert_eq!(rare, ["ansible", "field"]);
    }

    /// Show that an area is run on every release that has it, and that no other name is passed over.
    #[test]
    fn an_area_can_be_chosen() {
        let units = of(false, &["core".to_owned()], None).unwrap();
        assert_eq!(units.iter().map(|unit| unit.targets.concat()).collect::<Vec<_>>(), ["core"; 4]);
        let units = of(false, &["core@job".to_owned()], None).unwrap();
        assert_eq!(units.iter().map(|unit| unit.suite).collect::<Vec<_>>(), [Suite::Trixie]);
        let error = of(false, &["ansible".to_owned()], None).err().unwrap().to_string();
        assert!(error.starts_with("--area ansible: no such area"), "{error}");
    }

    /// Show that what is passed over on a light node is run on a machine: in a run of everything on one of the same
    /// release.
    #[test]
    fn what_needs_a_machine_has_one() {
        for (all, (area, test)) in
            [false, true].into_iter().flat_map(|all| WHOLE.map(|row| (all, row)))
        {
            let units = of(all, &[area.to_owned()], None).unwrap();
            let on = |kind| {
                units
                    .iter()
                    .filter(move |unit| unit.kind == kind)
                    .map(|unit| unit.suite)
                    .collect::<BTreeSet<_>>()
            };
            let (light, machines) = (on(Kind::Light), on(Kind::Rest));
            let has = if all { light.is_subset(&machines) } else { !machines.is_empty() };
            assert!(has, "{area} {test} {all}");
        }
    }

    /// Show that a test is looked for where it can be, so that one node is left for it.
    #[test]
    fn a_name_chooses_the_kind_of_node() {
        let kinds = |name| {
            let units = of(false, &["policy".to_owned()], Some(name)).unwrap();
            units.iter().map(|unit| unit.kind).collect::<Vec<_>>()
        };
        assert_eq!(kinds("only_what_is_named"), [Kind::Rest]);
        assert_eq!(kinds("leftovers_have_the_grace"), [Kind::Light]);
    }
}
