//! What is measured on the machine that runs the bench: an emulated CPU's milliseconds say little of a
//! real one's.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use super::place::sources;
use crate::{build, process};

const LOAD: Duration = Duration::from_secs(10);
const STEPS: Duration = Duration::from_secs(120);

/// What a client pays for loading the plugin.
///
/// # Errors
/// The plugin cannot be loaded here.
pub(super) fn clients(release: &str, rounds: u32) -> Result<String> {
    let load = |(variant, plugin): &(&str, PathBuf)| {
        let mut host = Command::new(compiled("host"));
        host.args(["client-here", variant, "client"]).arg(plugin);
        process::read(&mut host, LOAD)
    };
    let plugins = [("floor", compiled("floor.so")), ("ours", build::plugin(release)?)];
    (0..rounds).flat_map(|_| plugins.iter().map(load)).collect()
}

/// What a step pays in slurmstepd; nothing for whoever is not root.
///
/// # Errors
/// A callback failed.
pub(super) fn steps(release: &str, rounds: u32) -> Result<String> {
    if !nix::unistd::geteuid().is_root() {
        println!("steps on this machine are not measured: that needs root");
        return Ok(String::new());
    }
    let mut script = Command::new("bash");
    script.arg(sources().join("steps-here.sh")).arg(rounds.to_string());
    script.args([compiled("host"), compiled("floor.so"), build::plugin(release)?]);
    process::read(&mut script, STEPS)
}

fn compiled(tool: &str) -> PathBuf {
    build::target().join("bench").join(tool)
}
