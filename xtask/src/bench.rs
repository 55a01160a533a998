//! `cargo xtask bench`: what the plugin costs, against a plugin that does nothing, against the script
//! that sites use without one, and against systemd itself. `docs/performance.md` says how.

mod bus;
mod goal;
mod goals;
mod here;
mod machine;
mod place;
mod report;
mod samples;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::cluster::{self, Cluster};
use crate::progress::Step;
use crate::suite::Suite;
use crate::{build, marks};
use bus::AllAsked;
use place::HERE;
pub(crate) use place::host;
use report::Report;
use samples::Samples;

/// What to measure, and where to leave it.
#[derive(Args)]
pub struct Options {
    /// A tenth of the rounds: to see that everything works, the ratios are rough.
    #[arg(long)]
    quick: bool,
    /// Jobs in a row of each variant.
    #[arg(long, default_value_t = 40)]
    jobs: u32,
    /// Only these parts.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// A node that is up already (`cargo xtask vm up trixie`), and stays.
    #[arg(long)]
    node: Option<String>,
    /// Where the JSON goes; by default bench.json where cargo builds.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Put the tables into docs/performance.md.
    #[arg(long)]
    write: bool,
}

/// A script, with how many rounds it has in full and quick.
struct Part {
    name: &'static str,
    full: &'static [u32],
    quick: &'static [u32],
}

const PARTS: [Part; 9] = [
    Part { name: "callbacks", full: &[60, 12], quick: &[6, 2] },
    Part { name: "counts", full: &[], quick: &[] },
    Part { name: "steps", full: &[100, 40], quick: &[6, 4] },
    Part { name: "growth", full: &[8], quick: &[1] },
    Part { name: "burst", full: &[3], quick: &[1] },
    Part { name: "idle", full: &[300], quick: &[60] },
    Part { name: "podman", full: &[10, 3], quick: &[1, 1] },
    Part { name: "crowd", full: &[5], quick: &[1] },
    Part { name: "jobs", full: &[2, 5], quick: &[1, 1] },
];

/// Loads of the plugin, and steps, on this machine: a millisecond each.
const CLIENTS: u32 = 100;

/// A part takes some minutes on an emulated node with a host of its own, 200 jobs in a row more than an
/// hour.
const PART: Duration = Duration::from_secs(7200);

const FIGURES: [&str; 2] = ["<!-- figures -->\n", "<!-- end of figures -->\n"];

/// Measures, prints the tables and writes the JSON.
///
/// # Errors
/// Something could not be measured. A goal that is missed is none.
pub fn run(options: &Options) -> Result<()> {
    let known = |part: &String| PARTS.iter().any(|known| known.name == part);
    ensure!(options.only.iter().all(known), "parts are {}", PARTS.map(|part| part.name).join(", "));
    // Dropped at the end of this function, it ends the node: also on an error or Ctrl-C.
    let cluster = match &options.node {
        Some(name) => Cluster::attach(name)?,
        None => Cluster::up(Suite::Trixie, &cluster::Options::default())?,
    };
    place::move_in(&cluster)?;
    let (report, outcome) = measure(&cluster, options)?;
    print!("\n{}", report.markdown());
    let json = options.json.clone().unwrap_or_else(|| build::target().join("bench.json"));
    marks::save(&json, &format!("{:#}\n", report.json()))?;
    outcome?;
    if options.write {
        let document = build::checkout().join("docs/performance.md");
        marks::publish(&document, FIGURES, &report.markdown())?;
    }
    Ok(())
}

/// What the parts came to, and whether all of them did: what was measured before one
/// failed took long enough to be shown.
fn measure(cluster: &Cluster, options: &Options) -> Result<(Report, Result<()>)> {
    let (mut samples, mut asked) = (Samples::default(), AllAsked::new());
    let mut machine = machine::describe(cluster)?;
    samples.read(&size_of_plugin(cluster)?)?;
    samples.read(&here::clients(cluster.suite().slurm(), CLIENTS)?)?;
    samples.read(&here::steps(cluster.suite().slurm(), CLIENTS)?)?;
    let mut parts = PARTS.iter().filter(|part| options.has(part));
    let outcome = parts.try_for_each(|part| {
        let printed = part.run(cluster, options)?;
        samples.read(&printed)?;
        bus::read(&mut asked, &printed)
    });
    machine.push(("host: load at the end".to_owned(), machine::load()));
    let outcomes = goals::outcomes(&samples);
    Ok((Report { machine, samples, asked, outcomes }, outcome))
}

impl Options {
    fn has(&self, part: &Part) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == part.name)
    }
}

impl Part {
    fn run(&self, cluster: &Cluster, options: &Options) -> Result<String> {
        let step = Step::start(format!("measuring: {}", self.name));
        let printed = cluster.must_run("n1", &self.command(options), PART)?;
        step.done();
        Ok(printed)
    }

    fn command(&self, options: &Options) -> String {
        let rounds = if options.quick { self.quick } else { self.full };
        let mut words = rounds.iter().map(u32::to_string).collect::<Vec<_>>();
        if let ("jobs", [times, _]) = (self.name, rounds) {
            let jobs = if options.quick { options.jobs / 10 } else { options.jobs };
            words.push((jobs / times).max(1).to_string());
        }
        format!("bash {HERE}/{}.sh {}", self.name, words.join(" "))
    }
}

fn size_of_plugin(cluster: &Cluster) -> Result<String> {
    let plugin = build::plugin(cluster.suite().slurm())?;
    let size = fs::metadata(&plugin).with_context(|| plugin.display().to_string())?.len();
    Ok(format!("sample plugin ours size_bytes {size}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(quick: bool) -> Options {
        Options { quick, jobs: 200, only: Vec::new(), node: None, json: None, write: false }
    }

    /// Show that the jobs in a row are all that was asked for, over all rounds.
    #[test]
    fn jobs_are_shared_among_the_rounds() {
        let jobs = PARTS.iter().find(|part| part.name == "jobs").unwrap();
        assert!(jobs.command(&options(false)).ends_with("jobs.sh 2 5 100"));
        assert!(jobs.command(&options(true)).ends_with("jobs.sh 1 1 20"));
    }

    /// Show that each part has its script.
    #[test]
    fn every_part_has_its_script() {
        for part in PARTS {
            let script = build::checkout().join(format!("xtask/bench/{}.sh", part.name));
            assert!(script.exists(), "{}", script.display());
        }
    }
}
