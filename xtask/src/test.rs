//! `cargo xtask test`: every check there is, and one closing line.

mod host;
mod keep;
mod matrix;
mod nodes;
mod packages;
mod tally;
mod times;
mod units;

use std::mem;
use std::process::Command;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Error, Result, anyhow, bail};
use clap::{Args, value_parser};

use crate::{build, marks};
use matrix::Matrix;
use nodes::NodeTests;
use tally::{Ran, Tally};
use times::{Clock, Left, Times};
use units::{Part, Unit};

/// Nodes at work at a time. A light one waits half of the time, for Slurm's own waits; of emulated ones there
/// are two at most in an ordinary run.
const WORKERS: u8 = 3;

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
    /// Put what was tested on which release into docs/releases.md's table, and what it took into docs/times.json:
    /// areas in which nothing failed.
    #[arg(long, requires = "all", conflicts_with = "name")]
    write: bool,
    /// Run the areas so many times on the same nodes, without a boot between, and say how often a test failed.
    #[arg(long, default_value_t = 1, value_parser = value_parser!(u16).range(1..))]
    #[arg(requires = "area", conflicts_with = "write")]
    repeat: u16,
    /// The nodes stay up after the run, also a failed one: those of one unit, chosen with --only and --area.
    #[arg(long)]
    keep_node: bool,
}

/// The table of what was tested on which release is in it.
const DOCUMENT: &str = "docs/releases.md";

/// What the table is made of: a run may have one release only.
const RECORD: &str = "docs/releases.json";

/// Where the table is in the document.
const TABLE: [&str; 2] = ["<!-- releases -->\n", "<!-- end of releases -->\n"];

/// What a worker has done.
#[derive(Default)]
struct Run {
    tally: Tally,
    /// That on nodes, once more.
    matrix: Matrix,
    /// What it took.
    times: Times,
    /// What failed, by its name: a log can be too long to be read, or be cut.
    failed: Vec<String>,
}

/// Runs the tests and prints `N passed, N failed, N skipped` last.
///
/// # Errors
/// A test failed, or could not be run.
pub fn run(options: &Options) -> Result<()> {
    let clock = Clock::start();
    let units = units::of(options.all, &options.area, options.name.as_deref())?;
    let units: Vec<_> = units.iter().filter(|unit| options.wants(unit.part)).collect();
    if options.keep_node {
        keep::check(&units)?;
    }
    let done = run_all(options, &units);
    let done = done.map(|mut run| {
        let failed = mem::take(&mut run.failed);
        (run.tally, failed, report(options, run, &clock))
    });
    if options.keep_node {
        keep::say(&units);
    }
    let (tally, failed, reported) = done?;
    println!();
    for what in failed {
        println!("failed: {what}");
    }
    println!("{tally}");
    reported?;
    if tally.failed > 0 {
        bail!("{} failed", tally.failed);
    }
    Ok(())
}

/// The host's part and every unit, beside each other.
fn run_all(options: &Options, units: &[&Unit]) -> Result<Run> {
    let mut all = Run::default();
    // What a part of an area takes is not known.
    let earlier = if options.name.is_some() { Times::default() } else { Times::recorded()? };
    let left = Left::of(earlier, units, usize::from(options.repeat), WORKERS);
    let queue = Mutex::new(units.iter().copied());
    thread::scope(|scope| {
        let has_host = options.wants(Part::Host) && options.area.is_empty();
        let host = has_host.then(|| scope.spawn(|| test_host(options)));
        let workers = (0..WORKERS).map(|_| scope.spawn(|| work(&queue, options, &left)));
        // All begin before one is waited for.
        let workers: Vec<_> = host.into_iter().chain(workers).collect();
        workers.into_iter().try_for_each(|worker| {
            let run = worker.join().map_err(|_| anyhow!("a worker of the tests panicked"))?;
            run.map(|run| all.add(run))
        })
    })?;
    Ok(all)
}

/// Prints, and writes if that is asked for, all but the closing line.
fn report(options: &Options, run: Run, clock: &Clock) -> Result<()> {
    let Run { matrix, mut times, .. } = run;
    clock.stop(&mut times);
    if !matrix.is_empty() {
        println!("\n{}", matrix.markdown());
    }
    print!("\n{}", times.report());
    if options.repeat > 1 {
        print!("\nRuns one after the other:\n{}", times.repeated());
    }
    times.save(options.write)?;
    if options.write {
        write(matrix)?;
    }
    Ok(())
}

/// Adds what did not fail to what earlier runs have written.
fn write(new: Matrix) -> Result<()> {
    let record = build::checkout().join(RECORD);
    let mut matrix = Matrix::read(&record)?;
    matrix.renew(new);
    marks::save(&record, &matrix.json()?)?;
    marks::publish(&build::checkout().join(DOCUMENT), TABLE, &matrix.markdown())
}

impl Run {
    fn add(&mut self, other: Self) {
        self.tally.add(other.tally);
        self.matrix.add(other.matrix);
        self.times.add(other.times);
        self.failed.extend(other.failed);
    }

    fn fail(&mut self, what: &str, error: &Error) {
        self.tally.fail(what, error);
        self.failed.push(what.to_owned());
    }

    /// Remembers what failed of it, or it itself where no test did, as in the compiler.
    fn note_failed(&mut self, what: &str, ran: &Ran) {
        let tests = ran.tests.iter().filter(|test| test.has_failed);
        let before = self.failed.len();
        self.failed.extend(tests.map(|test| format!("{what}: {}", test.name)));
        if ran.counted.tally.failed > 0 && self.failed.len() == before {
            self.failed.push(what.to_owned());
        }
    }

    /// A check of the host's part.
    fn check(&mut self, what: &str, check: impl FnOnce() -> Result<()>) -> Result<()> {
        let began = Instant::now();
        let failed = self.tally.failed;
        self.tally.check(what, check)?;
        self.failed.extend((self.tally.failed > failed).then(|| what.to_owned()));
        self.times.note_step(what, began.elapsed());
        Ok(())
    }

    fn skip(&mut self, what: &str, reason: &str) {
        self.tally.skip(what, reason);
    }

    /// Tests of the host's part.
    fn cargo_test(&mut self, what: &str, tests: &mut Command, timeout: Duration) -> Result<()> {
        let ran = self.tally.cargo_test("", tests, timeout)?;
        self.times.note_step(what, ran.took);
        self.note_failed(what, &ran);
        Ok(())
    }
}

impl Options {
    fn wants(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }
}

fn test_host(options: &Options) -> Result<Run> {
    let mut run = Run::default();
    let began = Instant::now();
    host::test(&mut run, options.all)?;
    run.times.note_host(began.elapsed(), run.tally);
    Ok(run)
}

/// Tests unit after unit, until none is left.
fn work<'a>(
    queue: &Mutex<impl Iterator<Item = &'a Unit>>,
    options: &Options,
    left: &Left,
) -> Result<Run> {
    let mut run = Run::default();
    let next = || queue.lock().map_or(None, |mut queue| queue.next());
    while let Some(unit) = next() {
        NodeTests { unit, options, left }.run(&mut run)?;
    }
    Ok(run)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    /// Show that only areas that are named can be repeated, and that their counts get into no table.
    #[test]
    fn what_is_repeated_is_named() {
        let parse = |line: &str| Line::try_parse_from(line.split(' '));
        let repeated = parse("test --repeat 5 --area core --area hold").ok().unwrap().options;
        assert_eq!((repeated.repeat, repeated.area.len()), (5, 2));
        assert_eq!(parse("test").ok().unwrap().options.repeat, 1);
        for bad in ["--repeat 5", "--repeat 0 --area core", "--repeat 2 --area core --all --write"]
        {
            assert!(parse(&format!("test {bad}")).is_err(), "{bad}");
        }
    }

    /// Show that what failed is named: its test, or what there was of it.
    #[test]
    fn what_failed_is_named() {
        let mut run = Run::default();
        let mut cargo = |name: &str, script: &str| {
            let mut sh = Command::new("sh");
            run.cargo_test(name, sh.args(["-c", script]), Duration::from_secs(30)).unwrap();
        };
        cargo(
            "unit tests",
            "echo running 2 tests; echo test good ... ok; echo test bad ... FAILED; \
            echo 'test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out'; exit 1",
        );
        cargo("lints", "exit 1");
        cargo("others", "exit 0");
        run.check("formatting", || bail!("a line is too long")).unwrap();
        assert_eq!(run.failed, ["unit tests: bad", "lints", "formatting"]);
    }

    /// Show that the table has its place: an hour of tests ends with writing it.
    #[test]
    fn the_document_has_a_place_for_the_table() {
        let document = std::fs::read_to_string(build::checkout().join(DOCUMENT)).unwrap();
        let places = TABLE.map(|mark| document.find(mark));
        assert!(matches!(places, [Some(begin), Some(end)] if begin < end), "{places:?}");
    }
}
