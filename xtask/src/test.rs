//! `cargo xtask test`: every check there is, and one closing line.

mod host;
mod nodes;
mod tally;

use std::sync::Mutex;
use std::thread;

use anyhow::{Result, anyhow, bail};
use clap::{Args, ValueEnum};

use crate::suite::Suite;
use nodes::NodeTests;
use tally::Tally;

/// Nodes at work at a time: an emulated one has one core at most. The compiler has what they leave.
const WORKERS: usize = 2;

/// What to test; everything by default.
#[derive(Args)]
pub struct Options {
    /// Only these parts.
    #[arg(long, value_enum)]
    only: Vec<Part>,
    /// Only node tests whose name contains this.
    #[arg(long)]
    name: Option<String>,
}

/// A part of the test run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Formatting, lints, unit tests and builds: no node needed.
    Host,
    /// A node with Slurm 24.11: everything.
    Trixie,
    /// Two nodes with Slurm 24.11.
    Cluster,
    /// A node with Slurm 22.05: what every release must do.
    Bookworm,
    /// A node with Slurm 26.05: what every release must do.
    Forky,
}

/// Nodes and what is tested on them, the longest first.
struct Unit {
    part: Part,
    suite: Suite,
    nodes: u8,
    targets: &'static [&'static str],
}

const EVERY_RELEASE: &[&str] = &["symbols", "core", "contained", "leftovers", "beside"];

static UNITS: [Unit; 11] = [
    unit(Part::Trixie, Suite::Trixie, &["crashes"]),
    unit(Part::Trixie, Suite::Trixie, EVERY_RELEASE),
    unit(Part::Forky, Suite::Forky, EVERY_RELEASE),
    unit(Part::Trixie, Suite::Trixie, &["full"]),
    unit(Part::Trixie, Suite::Trixie, &["mixes", "load"]),
    // A run has half an hour, and what is beside the jobs is systemd's to keep.
    unit(Part::Bookworm, Suite::Bookworm, &["symbols", "core", "contained", "leftovers"]),
    unit(Part::Trixie, Suite::Trixie, &["faults", "buses"]),
    unit(Part::Trixie, Suite::Trixie, &["odd", "odd_nodes"]),
    unit(Part::Forky, Suite::Forky, &["odd", "odd_nodes"]),
    unit(Part::Trixie, Suite::Trixie, &["contract"]),
    Unit { nodes: 2, ..unit(Part::Cluster, Suite::Trixie, &["cluster"]) },
];

const fn unit(part: Part, suite: Suite, targets: &'static [&'static str]) -> Unit {
    Unit { part, suite, nodes: 1, targets }
}

/// Runs the tests and prints `N passed, N failed, N skipped` last.
///
/// # Errors
/// A test failed, or could not be run.
pub fn run(options: &Options) -> Result<()> {
    let mut tally = Tally::default();
    let is_wanted = |part: &Part| options.only.is_empty() || options.only.contains(part);
    let queue = Mutex::new(UNITS.iter().filter(|unit| is_wanted(&unit.part)));
    thread::scope(|scope| {
        let host = is_wanted(&Part::Host).then(|| scope.spawn(test_host));
        let workers = [(); WORKERS].map(|()| scope.spawn(|| work(&queue, options)));
        host.into_iter().chain(workers).try_for_each(|worker| {
            let counted = worker.join().map_err(|_| anyhow!("a worker of the tests panicked"))?;
            counted.map(|counted| tally.add(counted))
        })
    })?;
    println!("\n{tally}");
    if tally.failed > 0 {
        bail!("{} failed", tally.failed);
    }
    Ok(())
}

fn test_host() -> Result<Tally> {
    let mut tally = Tally::default();
    host::test(&mut tally)?;
    Ok(tally)
}

/// Tests unit after unit, until none is left.
fn work<'a>(queue: &Mutex<impl Iterator<Item = &'a Unit>>, options: &Options) -> Result<Tally> {
    let mut tally = Tally::default();
    let next = || queue.lock().map_or(None, |mut queue| queue.next());
    while let Some(unit) = next() {
        NodeTests { unit, name: options.name.as_deref() }.run(&mut tally)?;
    }
    Ok(tally)
}
