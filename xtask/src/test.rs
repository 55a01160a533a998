//! `cargo xtask test`: every check there is, and one closing line.

mod host;
mod matrix;
mod nodes;
mod packages;
mod tally;
mod units;

use std::sync::Mutex;
use std::thread;

use anyhow::{Result, anyhow, bail};
use clap::Args;

use crate::{build, marks};
use matrix::Matrix;
use nodes::NodeTests;
use tally::Tally;
use units::{Part, Unit};

/// Nodes at work at a time: an emulated one has one core at most. The compiler has what they leave. A third
/// had four jobs that begin at once take longer than two minutes.
const WORKERS: usize = 2;

/// What to test; by default every area once, and on each release what releases differ in.
#[derive(Args)]
pub struct Options {
    /// Every area on every release, and more jobs in a row: twice the time.
    #[arg(long)]
    all: bool,
    /// Only these parts.
    #[arg(long, value_enum)]
    only: Vec<Part>,
    /// Only these areas of the node tests: files of tests/.
    #[arg(long)]
    area: Vec<String>,
    /// Only node tests whose name contains this.
    #[arg(long)]
    name: Option<String>,
    /// Put what was tested on which release into README.md's table: areas in which nothing failed.
    #[arg(long, requires = "all", conflicts_with = "name")]
    write: bool,
}

/// What the table in README.md is made of: a run may have one release only.
const RECORD: &str = "docs/releases.json";

/// Where the table is in README.md.
const TABLE: [&str; 2] = ["<!-- releases -->\n", "<!-- end of releases -->\n"];

/// What a worker has done.
#[derive(Default)]
struct Run {
    tally: Tally,
    /// That on nodes, once more.
    matrix: Matrix,
}

/// Runs the tests and prints `N passed, N failed, N skipped` last.
///
/// # Errors
/// A test failed, or could not be run.
pub fn run(options: &Options) -> Result<()> {
    let mut all = Run::default();
    let is_wanted = |part: Part| options.only.is_empty() || options.only.contains(&part);
    let units = units::of(options.all, &options.area)?;
    let queue = Mutex::new(units.iter().filter(|unit| is_wanted(unit.part)));
    thread::scope(|scope| {
        let has_host = is_wanted(Part::Host) && options.area.is_empty();
        let host = has_host.then(|| scope.spawn(test_host));
        let workers = [(); WORKERS].map(|()| scope.spawn(|| work(&queue, options)));
        host.into_iter().chain(workers).try_for_each(|worker| {
            let run = worker.join().map_err(|_| anyhow!("a worker of the tests panicked"))?;
            run.map(|run| all.add(run))
        })
    })?;
    let Run { tally, matrix } = all;
    if !matrix.is_empty() {
        println!("\n{}", matrix.markdown());
    }
    if options.write {
        write(matrix)?;
    }
    println!("\n{tally}");
    if tally.failed > 0 {
        bail!("{} failed", tally.failed);
    }
    Ok(())
}

/// Adds what did not fail to what earlier runs have written.
fn write(new: Matrix) -> Result<()> {
    let record = build::checkout().join(RECORD);
    let mut matrix = Matrix::read(&record)?;
    matrix.renew(new);
    marks::save(&record, &matrix.json()?)?;
    marks::publish(&build::checkout().join("README.md"), TABLE, &matrix.markdown())
}

impl Run {
    fn add(&mut self, other: Self) {
        self.tally.add(other.tally);
        self.matrix.add(other.matrix);
    }
}

fn test_host() -> Result<Run> {
    let mut run = Run::default();
    host::test(&mut run.tally)?;
    Ok(run)
}

/// Tests unit after unit, until none is left.
fn work<'a>(queue: &Mutex<impl Iterator<Item = &'a Unit>>, options: &Options) -> Result<Run> {
    let mut run = Run::default();
    let next = || queue.lock().map_or(None, |mut queue| queue.next());
    while let Some(unit) = next() {
        NodeTests { unit, all: options.all, name: options.name.as_deref() }.run(&mut run)?;
    }
    Ok(run)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Show that the table has its place: an hour of tests ends with writing it.
    #[test]
    fn the_readme_has_a_place_for_the_table() {
        let readme = std::fs::read_to_string(build::checkout().join("README.md")).unwrap();
        let places = TABLE.map(|mark| readme.find(mark));
        assert!(matches!(places, [Some(begin), Some(end)] if begin < end), "{places:?}");
    }
}
