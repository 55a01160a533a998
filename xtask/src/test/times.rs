//! Where the time of a test run went: what is noted while it runs, kept in a file and read again.

mod clock;
mod laps;
mod left;
mod lines;
mod report;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::matrix;
use super::tally::{Ran, Tally};
use super::units::Unit;
use crate::suite::Suite;
use crate::{build, marks};

pub(crate) use clock::Clock;
pub(crate) use laps::Laps;
pub(crate) use left::Left;
pub(crate) use lines::{Stopwatch, Timed};

/// What is checked in: by it the next run says how long it takes.
const RECORD: &str = "docs/times.json";

/// What the last run took, whatever it ran, beside what cargo builds.
const LAST: &str = "test-times.json";

/// Seconds of a run, by what they went to.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Times {
    /// From the run's begin to its end.
    seconds: f64,
    /// How much of the host's cores was idle.
    idle_percent: Option<u64>,
    host: Host,
    areas: BTreeMap<Suite, BTreeMap<String, Area>>,
    nodes: Vec<Nodes>,
}

/// The part that needs no node.
#[derive(Debug, Default, Deserialize, Serialize)]
struct Host {
    seconds: f64,
    tally: Tally,
    steps: Laps,
}

/// An area of the node tests on a release.
#[derive(Debug, Default, Deserialize, Serialize)]
struct Area {
    runs: u32,
    /// Of all runs together.
    seconds: f64,
    tally: Tally,
    tests: BTreeMap<String, Test>,
}

impl Area {
    fn add(&mut self, other: Self) {
        self.runs += other.runs;
        self.seconds += other.seconds;
        self.tally.add(other.tally);
        self.tests.extend(other.tests);
    }
}

#[derive(Debug, Default, Deserialize, Serialize)]
struct Test {
    /// Of its longest run.
    seconds: f64,
    failed: u32,
}

/// What it took to have a unit's nodes.
#[derive(Debug, Deserialize, Serialize)]
struct Nodes {
    suite: Suite,
    areas: Vec<String>,
    steps: Laps,
}

impl Times {
    /// What an earlier run has checked in; nothing if there is no such file.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) fn recorded() -> Result<Self> {
        Self::read(&build::checkout().join(RECORD))
    }

    fn read(file: &Path) -> Result<Self> {
        if !file.exists() {
            return Ok(Self::default());
        }
        let named = || format!("read {}", file.display());
        let text = fs::read_to_string(file).with_context(named)?;
        let mut times: Self = serde_json::from_str(&text).with_context(named)?;
        for areas in times.areas.values_mut() {
            areas.retain(|area, _| build::checkout().join(matrix::place(area)).exists());
        }
        Ok(times)
    }

    /// Notes a run of an area.
    pub(crate) fn note(&mut self, suite: Suite, area: &str, ran: &Ran) {
        let noted = self.areas.entry(suite).or_default().entry(area.to_owned()).or_default();
        noted.runs += 1;
        noted.seconds += seconds(ran.took);
        noted.tally.add(ran.counted.tally);
        for timed in &ran.tests {
            let test = noted.tests.entry(timed.name.clone()).or_default();
            test.seconds = test.seconds.max(seconds(timed.took));
            test.failed += u32::from(timed.has_failed);
        }
    }

    /// Notes what it took to have a unit's nodes, or to fail in it.
    pub(crate) fn note_nodes(&mut self, unit: &Unit, steps: Laps) {
        let areas = unit.targets.iter().map(|&area| area.to_owned()).collect();
        self.nodes.push(Nodes { suite: unit.suite, areas, steps });
    }

    /// Notes a step of the part that needs no node.
    pub(crate) fn note_step(&mut self, what: &str, took: Duration) {
        self.host.steps.note(what, took);
    }

    /// Notes all of that part.
    pub(crate) fn note_host(&mut self, took: Duration, tally: Tally) {
        self.host.seconds = seconds(took);
        self.host.tally = tally;
    }

    /// Takes in what another worker has noted. Two have the same area of a release where some of its tests
    /// need another kind of node.
    pub(crate) fn add(&mut self, other: Self) {
        for (suite, areas) in other.areas {
            let own = self.areas.entry(suite).or_default();
            for (area, noted) in areas {
                own.entry(area).or_default().add(noted);
            }
        }
        self.nodes.extend(other.nodes);
        if !other.host.steps.is_empty() {
            self.host = other.host;
        }
    }

    /// Writes it beside what cargo builds, and, with what earlier runs had and this one had not, where
    /// it is checked in.
    ///
    /// # Errors
    /// A file cannot be written, or what is there not read.
    pub(crate) fn save(self, is_record: bool) -> Result<()> {
        let target = build::target();
        fs::create_dir_all(&target).with_context(|| format!("make {}", target.display()))?;
        marks::save(&target.join(LAST), &self.json()?)?;
        if is_record {
            let mut recorded = Self::recorded()?;
            recorded.renew(self);
            marks::save(&build::checkout().join(RECORD), &recorded.json()?)?;
        }
        Ok(())
    }

    fn json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// Takes in a new run, but for areas in which a test failed: those may have ended early, or late.
    fn renew(&mut self, new: Self) {
        let (seconds, idle_percent) = (new.seconds, new.idle_percent);
        let (mut passed, mut nodes) = (new, Vec::new());
        for (suite, areas) in &mut passed.areas {
            areas.retain(|_, area| area.tally.failed == 0);
            let old = self.areas.entry(*suite).or_default();
            old.retain(|area, _| !areas.contains_key(area));
        }
        nodes.append(&mut self.nodes);
        nodes.retain(|old| !passed.nodes.iter().any(|new| old.are_those_of(new)));
        self.nodes = nodes;
        self.add(passed);
        (self.seconds, self.idle_percent) = (seconds, idle_percent);
    }

    /// What an area takes on a release, if that is known.
    fn expected(&self, suite: Suite, area: &str) -> Option<f64> {
        let area = self.areas.get(&suite)?.get(area)?;
        Some(area.seconds / f64::from(area.runs.max(1)))
    }
}

impl Nodes {
    fn are_those_of(&self, other: &Self) -> bool {
        self.suite == other.suite && self.areas == other.areas
    }
}

/// To a tenth: more is noise, and makes the file's lines long.
fn seconds(took: Duration) -> f64 {
    (took.as_secs_f64() * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::super::tally::Counted;
    use super::*;

    /// A run of an area whose tests took those seconds and failed or not.
    pub(super) fn ran(took: u64, tests: &[(&str, u64, bool)]) -> Ran {
        let count = |is: bool| tests.iter().filter(|(.., has_failed)| *has_failed == is).count();
        let [passed, failed] = [false, true].map(|is| u32::try_from(count(is)).unwrap());
        let tally = Tally { passed, failed, skipped: 0 };
        let tests = tests.iter().map(|&(name, took, has_failed)| Timed {
            name: name.to_owned(),
            took: Duration::from_secs(took),
            has_failed,
        });
        let counted = Counted { tally, reasons: Vec::new() };
        Ran { counted, tests: tests.collect(), took: Duration::from_secs(took) }
    }

    /// Show that a run of one release renews what it ran, that an area in which a test failed stays as it
    /// was, as does what was not run, and that an area that is no more is forgotten.
    #[test]
    fn runs_of_one_release_add_up() {
        let mut recorded = Times::default();
        recorded.note(Suite::Trixie, "core", &ran(60, &[("a", 9, false)]));
        recorded.note(Suite::Forky, "core", &ran(70, &[("a", 9, false)]));
        recorded.note(Suite::Forky, "users", &ran(80, &[("b", 9, false)]));
        recorded.note(Suite::Forky, "gone", &ran(90, &[("c", 9, false)]));
        let mut new = Times::default();
        new.note(Suite::Forky, "core", &ran(50, &[("a", 8, false)]));
        new.note(Suite::Forky, "users", &ran(1, &[("b", 1, true)]));
        recorded.renew(new);
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), recorded.json().unwrap()).unwrap();
        let read = Times::read(file.path()).unwrap();
        let expected = |suite, area| read.expected(suite, area).map(|it| it.to_string());
        assert_eq!(expected(Suite::Trixie, "core").unwrap(), "60");
        assert_eq!(expected(Suite::Forky, "core").unwrap(), "50");
        assert_eq!(expected(Suite::Forky, "users").unwrap(), "80");
        assert_eq!(expected(Suite::Forky, "gone"), None);
    }

    /// Show that nodes are not there twice when the same unit runs again.
    #[test]
    fn nodes_are_renewed() {
        let unit = &super::super::units::of(false, &["crashes".to_owned()], None).unwrap()[0];
        let mut recorded = Times::default();
        for _ in 0..2 {
            let mut new = Times::default();
            new.note_nodes(unit, Laps::default());
            recorded.renew(new);
        }
        assert_eq!(recorded.nodes.len(), 1);
    }
}
