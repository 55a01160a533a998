//! What was tested on which release: the table that a test run ends with.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::tally::{Counted, Tally};
use super::units::split;
use crate::build;
use crate::cluster::Cluster;
use crate::suite::Suite;

/// Prints a name and a version on each line.
const VERSIONS: &str = "\
    echo Debian $(cat /etc/debian_version); echo Slurm $(slurmd -V | cut -d' ' -f2); \
    echo systemd $(systemctl --version | head -n1 | cut -d' ' -f2); \
    echo Podman $(podman --version | cut -d' ' -f3); echo Linux $(uname -r | cut -d- -f1); \
    echo tested $(date --utc +%F)";
const ANSWER: Duration = Duration::from_secs(60);

/// Where an area was not tried on a release.
const NOT_TRIED: &str = "–";

/// The releases that nodes had, and what their tests came to.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Matrix(BTreeMap<Suite, Column>);

#[derive(Debug, Default, Deserialize, Serialize)]
struct Column {
    /// Name and version, in the order in which they are shown.
    versions: Vec<(String, String)>,
    areas: BTreeMap<String, Counted>,
}

impl Matrix {
    /// Asks a node what it runs.
    ///
    /// # Errors
    /// It does not answer.
    pub(crate) fn ask(&mut self, cluster: &Cluster) -> Result<()> {
        let said = cluster.must_run("n1", VERSIONS, ANSWER)?;
        self.column(cluster.suite()).versions = versions(&said);
        Ok(())
    }

    /// Notes what the tests of an area came to; nothing, if none was run.
    pub(crate) fn note(&mut self, suite: Suite, area: &str, counted: Counted) {
        if !counted.is_nothing() {
            self.column(suite).areas.entry(area.to_owned()).or_default().add(counted);
        }
    }

    /// What earlier runs have written, of tests that there still are; nothing if there is no such file.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) fn read(file: &Path) -> Result<Self> {
        if !file.exists() {
            return Ok(Self::default());
        }
        let named = || format!("read {}", file.display());
        let text = fs::read_to_string(file).with_context(named)?;
        let mut matrix: Self = serde_json::from_str(&text).with_context(named)?;
        for column in matrix.0.values_mut() {
            column.areas.retain(|area, _| build::checkout().join(place(area)).exists());
        }
        Ok(matrix)
    }

    /// For `read`.
    ///
    /// # Errors
    /// It cannot be said in JSON.
    pub(crate) fn json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// Takes in what was tested anew, but for areas in which a test failed.
    pub(crate) fn renew(&mut self, new: Self) {
        for (suite, column) in new.0 {
            let has_passed = |(_, counted): &(String, Counted)| counted.tally.failed == 0;
            let own = self.column(suite);
            own.versions = column.versions;
            own.areas.extend(column.areas.into_iter().filter(has_passed));
        }
    }

    /// Takes in what another worker has noted.
    pub(crate) fn add(&mut self, other: Self) {
        for (suite, column) in other.0 {
            let own = self.column(suite);
            own.versions = column.versions;
            column.areas.into_iter().for_each(|(area, counted)| self.note(suite, &area, counted));
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The table, with the reasons below it.
    pub(crate) fn markdown(&self) -> String {
        let names: Vec<_> = self.0.keys().map(|suite| suite.name().to_owned()).collect();
        let ruler = vec!["---".to_owned(); names.len()];
        let mut rows = vec![row("", &names), row("---", &ruler)];
        rows.extend(self.version_rows());
        let reasons = self.reasons();
        rows.extend(self.areas().into_iter().map(|area| self.area_row(area, &reasons)));
        rows.extend(notes(&reasons));
        rows.join("\n") + "\n"
    }

    fn column(&mut self, suite: Suite) -> &mut Column {
        self.0.entry(suite).or_default()
    }

    fn version_rows(&self) -> Vec<String> {
        let columns = || self.0.values();
        let names = columns().next().into_iter().flat_map(|column| &column.versions);
        let cells = |name| columns().map(|column| column.version(name)).collect::<Vec<_>>();
        names.map(|(name, _)| row(name, &cells(name))).collect()
    }

    /// What is tried on every release comes first.
    fn areas(&self) -> Vec<&str> {
        let all: BTreeSet<_> = self.0.values().flat_map(|column| column.areas.keys()).collect();
        let mut all: Vec<_> = all.into_iter().map(String::as_str).collect();
        let tried = |area: &&str| self.0.values().filter(|it| it.areas.contains_key(*area)).count();
        all.sort_by_key(|area| Reverse(tried(area)));
        all
    }

    /// Each once, in the order of the table.
    fn reasons(&self) -> Vec<&str> {
        let mut reasons = Vec::new();
        for area in self.areas() {
            let counted = self.0.values().filter_map(|column| column.areas.get(area));
            for reason in counted.flat_map(|counted| &counted.reasons) {
                if !reasons.contains(&reason.as_str()) {
                    reasons.push(reason);
                }
            }
        }
        reasons
    }

    fn area_row(&self, area: &str, reasons: &[&str]) -> String {
        let cell = |column: &Column| {
            let counted = column.areas.get(area);
            counted.map_or_else(|| NOT_TRIED.to_owned(), |counted| cell(counted, reasons))
        };
        let cells: Vec<_> = self.0.values().map(cell).collect();
        row(&format!("[{area}](../{})", place(area)), &cells)
    }
}

impl Column {
    fn version(&self, name: &str) -> String {
        let found = self.versions.iter().find(|(own, _)| own == name);
        found.map(|(_, version)| version.clone()).unwrap_or_default()
    }
}

fn versions(said: &str) -> Vec<(String, String)> {
    let pair = |line: &str| line.split_once(' ').map(|(name, it)| (name.into(), it.into()));
    said.lines().filter_map(pair).collect()
}

fn row(name: &str, cells: &[String]) -> String {
    format!("| {name} | {} |", cells.join(" | "))
}

/// `7`, or `5, 2 skipped [1] [3]`.
fn cell(counted: &Counted, reasons: &[&str]) -> String {
    let Tally { passed, failed, skipped } = counted.tally;
    let failed = (failed > 0).then(|| format!("**{failed} failed**"));
    let skipped = (skipped > 0).then(|| format!("{skipped} skipped"));
    let counts = [Some(passed.to_string()), failed, skipped].into_iter().flatten();
    let cell = counts.collect::<Vec<_>>().join(", ");
    let is_own = |reason: &&str| counted.reasons.iter().any(|own| own == reason);
    let numbered = reasons.iter().zip(1_u32..).filter(|(reason, _)| is_own(reason));
    numbered.fold(cell, |cell, (_, number)| cell + &format!(" [{number}]"))
}

/// The file of an area's tests, in the checkout; the table is in docs/.
pub(super) fn place(target: &str) -> String {
    let (area, _) = split(target);
    let file = format!("tests/{area}.rs");
    if build::checkout().join(&file).exists() { file } else { format!("tests/{area}/main.rs") }
}

fn notes(reasons: &[&str]) -> Vec<String> {
    let legend = format!("Tests that passed; {NOT_TRIED}: not run there.");
    let notes = reasons.iter().zip(1_u32..).map(|(reason, number)| format!("[{number}] {reason}."));
    let text = std::iter::once(legend).chain(notes).collect::<Vec<_>>().join(" ");
    vec![String::new(), text]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(passed: u32, failed: u32, reasons: &[&str]) -> Counted {
        let skipped = u32::try_from(reasons.len()).unwrap();
        let reasons = reasons.iter().map(|&reason| reason.to_owned()).collect();
        Counted { tally: Tally { passed, failed, skipped }, reasons }
    }

    fn of_one_worker(suite: Suite, debian: &str, areas: &[(&'static str, Counted)]) -> Matrix {
        let mut matrix = Matrix::default();
        matrix.column(suite).versions = versions(&format!("Debian {debian}\nSlurm x.y\n"));
        for (area, counted) in areas {
            matrix.note(suite, area, counted.clone());
        }
        matrix
    }

    /// Show that the workers' counts are one table: releases in their order whoever was first,
    /// each reason once, and what was not run is no zero.
    #[test]
    fn workers_make_one_table() {
        let (core, old) = (counted(9, 0, &[]), ["no limits", "no Quadlet", "no limits"]);
        let mut matrix = of_one_worker(
            Suite::Trixie,
            "13.1",
            &[("core", core.clone()), ("crashes", counted(3, 1, &[]))],
        );
        let users = counted(18, 0, &["no Quadlet"]);
        let areas = [("users", users), ("core", counted(6, 0, &old)), ("load", counted(0, 0, &[]))];
        matrix.add(of_one_worker(Suite::Bullseye, "11.11", &areas));
        matrix.add(of_one_worker(Suite::Trixie, "13.1", &[("core", core)]));
        let table = "\
            |  | bullseye | trixie |\n\
            | --- | --- | --- |\n\
            | Debian | 11.11 | 13.1 |\n\
            | Slurm | x.y | x.y |\n\
            | [core](../tests/core.rs) | 6, 3 skipped [1] [2] | 18 |\n\
            | [crashes](../tests/crashes.rs) | – | 3, **1 failed** |\n\
            | [users](../tests/users/main.rs) | 18, 1 skipped [2] | – |\n\
            \n\
            Tests that passed; –: not run there. [1] no limits. [2] no Quadlet.\n";
        assert_eq!(matrix.markdown(), table);
    }

    /// Show that a run of one release renews what it ran there and leaves the rest, that an area in
    /// which a test failed stays as it was, and that one that is no more is forgotten.
    #[test]
    fn runs_of_one_release_add_up() {
        let ran = |suite, areas: &[(&'static str, Counted)]| of_one_worker(suite, "1", areas);
        let mut matrix = ran(
            Suite::Forky,
            &[
                ("core", counted(8, 0, &[])),
                ("users", counted(20, 0, &[])),
                ("gone", counted(1, 0, &[])),
            ],
        );
        matrix.renew(ran(Suite::Forky, &[("core", counted(9, 0, &["old"]))]));
        matrix.renew(ran(Suite::Forky, &[("users", counted(19, 1, &[]))]));
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), matrix.json().unwrap()).unwrap();
        let table = Matrix::read(file.path()).unwrap().markdown();
        assert!(table.contains("| 9, 1 skipped [1] |") && table.contains("| 20 |"), "{table}");
        assert!(!table.contains("failed") && !table.contains("gone"), "{table}");
    }
}
