//! What the measurements need on the node: the plugin, a floor to compare with, tools, scripts.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::cluster::Cluster;
use crate::progress::Step;
use crate::{build, plugin, process};

/// Where all of it is on the node.
pub(super) const HERE: &str = "/opt/linger-bench";

const COMPILE: Duration = Duration::from_secs(60);
const PREPARE: Duration = Duration::from_secs(60);

/// What is written in C, and how each is compiled. The host has to show Slurm's functions to the
/// plugin that it loads.
const TOOLS: [Tool; 3] = [("floor.so", &["-shared", "-fPIC"]), ("stopwatch", &["-O2"]), HOST];
const HOST: Tool = ("host", &["-O2", "-rdynamic"]);

type Tool = (&'static str, &'static [&'static str]);

/// Puts everything on the node.
///
/// # Errors
/// Something cannot be built or sent.
pub(super) fn move_in(cluster: &Cluster) -> Result<()> {
    let release = cluster.suite().slurm();
    let (plugin, command) = (build::plugin(release)?, build::command()?);
    let step = Step::start("putting the plugin and what it is compared with on the node");
    cluster.must_run("n1", &format!("mkdir -p -m 755 {HERE}"), PREPARE)?;
    for tool in &TOOLS {
        put(cluster, &compiled(tool, release)?, tool.0)?;
    }
    for script in scripts()? {
        let name = script.file_name().context("a script has a name")?.to_string_lossy();
        put(cluster, &script, &name)?;
    }
    // What keep= needs. Not over a file that runs.
    put(cluster, &command, "spank-linger")?;
    cluster.must_run("n1", &format!("mv {HERE}/spank-linger /usr/local/bin/"), PREPARE)?;
    plugin::push(cluster, &plugin)?;
    step.done();
    Ok(())
}

fn put(cluster: &Cluster, file: &Path, name: &str) -> Result<()> {
    let script = format!("cat >{HERE}/{name} && chmod 755 {HERE}/{name}");
    plugin::feed(cluster, "n1", &script, file).with_context(|| format!("put {name} on the node"))
}

/// A program that loads a plugin as Slurm does.
///
/// # Errors
/// It cannot be compiled.
pub(crate) fn host(release: &str) -> Result<PathBuf> {
    compiled(&HOST, release)
}

/// Our own sources.
pub(super) fn sources() -> PathBuf {
    build::checkout().join("xtask/bench")
}

fn scripts() -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(sources()).context("list the scripts of the bench")?;
    let paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    let is_script = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "sh");
    Ok(paths.into_iter().filter(is_script).collect())
}

/// Slurm takes a plugin of its own release only.
fn compiled((tool, flags): &Tool, release: &str) -> Result<PathBuf> {
    let directory = build::target().join("bench");
    fs::create_dir_all(&directory).with_context(|| directory.display().to_string())?;
    let file = directory.join(tool);
    let name = tool.trim_end_matches(".so");
    let (major, minor) = release.split_once('.').context("a release is major.minor")?;
    let mut cc = Command::new("cc");
    cc.args(*flags).arg(format!("-DVERSION=(({major}<<16)|({minor}<<8))"));
    cc.arg("-o").arg(&file).arg(sources().join(format!("{name}.c")));
    process::run(&mut cc, COMPILE)?;
    Ok(file)
}
