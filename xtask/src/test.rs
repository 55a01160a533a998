//! `cargo xtask test`: every check there is, and one closing line.

mod host;
mod nodes;
mod tally;

use anyhow::{Result, bail};
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

/// Runs the tests and prints `N passed, N failed, N skipped` last.
///
/// # Errors
/// A test failed, or could not be run.
pub fn run(options: &Options) -> Result<()> {
    let mut tally = Tally::default();
    for part in Part::value_variants() {
        if options.only.is_empty() || options.only.contains(part) {
            test(*part, options, &mut tally)?;
        }
    }
    println!("\n{tally}");
    if tally.failed > 0 {
        bail!("{} failed", tally.failed);
    }
    Ok(())
}

fn test(part: Part, options: &Options, tally: &mut Tally) -> Result<()> {
    const EVERY_RELEASE: &[&str] = &["core", "contained", "leftovers", "beside"];
    const EVERYTHING: &[&str] =
        &["core", "contained", "leftovers", "beside", "full", "mixes", "contract"];
    let (suite, nodes, targets) = match part {
        Part::Host => return host::test(tally),
        Part::Trixie => (Suite::Trixie, 1, EVERYTHING),
        Part::Cluster => (Suite::Trixie, 2, &["cluster"][..]),
        Part::Bookworm => (Suite::Bookworm, 1, EVERY_RELEASE),
        Part::Forky => (Suite::Forky, 1, EVERY_RELEASE),
    };
    NodeTests { suite, nodes, targets, name: options.name.as_deref() }.run(tally)
}
