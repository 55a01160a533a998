//! `cargo xtask test`: every check there is, and one closing line.

mod host;
mod nodes;
mod tally;

use std::thread;

use anyhow::{Result, anyhow, bail};
use clap::{Args, ValueEnum};

use crate::suite::Suite;
use nodes::NodeTests;
use tally::Tally;

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

/// What runs one after the other; the lanes run side by side. Two nodes do not
/// keep two cores busy: half of a test is waiting.
const LANES: [&[Part]; 2] = [&[Part::Trixie], &[Part::Bookworm, Part::Forky, Part::Cluster]];

/// Runs the tests and prints `N passed, N failed, N skipped` last.
///
/// # Errors
/// A test failed, or could not be run.
pub fn run(options: &Options) -> Result<()> {
    let mut tally = Tally::default();
    let is_wanted = |part: &Part| options.only.is_empty() || options.only.contains(part);
    if is_wanted(&Part::Host) {
        host::test(&mut tally)?;
    }
    let lanes = LANES.map(|parts| parts.iter().copied().filter(is_wanted).collect::<Vec<_>>());
    thread::scope(|scope| {
        let lanes = lanes.map(|parts| scope.spawn(move || lane(&parts, options)));
        lanes.into_iter().try_for_each(|lane| {
            let counted = lane.join().map_err(|_| anyhow!("a lane of tests panicked"))?;
            counted.map(|counted| tally.add(counted))
        })
    })?;
    println!("\n{tally}");
    if tally.failed > 0 {
        bail!("{} failed", tally.failed);
    }
    Ok(())
}

fn lane(parts: &[Part], options: &Options) -> Result<Tally> {
    let mut tally = Tally::default();
    for part in parts {
        test(*part, options)?.run(&mut tally)?;
    }
    Ok(tally)
}

fn test(part: Part, options: &Options) -> Result<NodeTests<'_>> {
    const EVERY_RELEASE: &[&str] = &["core", "contained", "leftovers", "beside"];
    // A run has half an hour, and what is beside the jobs is systemd's to keep.
    const OLDEST: &[&str] = &["core", "contained", "leftovers"];
    const EVERYTHING: &[&str] =
        &["core", "contained", "leftovers", "beside", "full", "mixes", "contract"];
    let (suite, nodes, targets) = match part {
        Part::Host => bail!("the host is no node"),
        Part::Trixie => (Suite::Trixie, 1, EVERYTHING),
        Part::Cluster => (Suite::Trixie, 2, &["cluster"][..]),
        Part::Bookworm => (Suite::Bookworm, 1, OLDEST),
        Part::Forky => (Suite::Forky, 1, EVERY_RELEASE),
    };
    Ok(NodeTests { suite, nodes, targets, name: options.name.as_deref() })
}
