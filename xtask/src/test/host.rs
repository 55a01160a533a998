//! What needs no node: formatting, lints, unit tests, and the builds.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Result, bail, ensure};

use super::{Run, packages};
use crate::build::{self, RELEASE};
use crate::{bench, process};

/// A first build of everything takes two minutes on two cores, and a quarter of an hour beside nodes,
/// which go first.
const BUILD: Duration = Duration::from_secs(2700);

/// Bytes of a packaged plugin: it is read from a disk or the network by every slurmd, slurmstepd and srun.
/// The goal is 1,250,000; docs/performance.md says what is in the way.
pub(super) const LARGEST: u64 = 1_365_000;

/// To load the plugin, and to panic.
const PANIC: Duration = Duration::from_secs(60);

/// Beside the nodes: what they compile is done before the lints, which have a directory of their own.
/// Who builds in the same one waits.
pub(super) fn test(checks: &mut Run, all: bool) -> Result<()> {
    checks.check("formatting", || run(&["fmt", "--all", "--check"]))?;
    checks.cargo_test("unit tests", &mut unit_tests(), BUILD)?;
    checks.cargo_test("hostile input", &mut hostile_input(all), BUILD)?;
    let lints = ["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"];
    checks.check("lints", || run(&lints))?;
    checks.check("no release build can be killed by a test", crash_points_are_not_released)?;
    let built = || build::plugin(RELEASE);
    checks.check("a release build is small", || is_small(&built()?, LARGEST))?;
    checks.check("a release build keeps a panic to itself", || keeps_a_panic(&built()?))?;
    packages::test(checks)?;
    checks.check("a bad SLURM_VERSION is named", bad_release_is_named)?;
    missing_release_is_named(checks)
}

fn unit_tests() -> Command {
    let mut tests = cargo(&["test", "--quiet", "-p", "slurm-spank-linger"]);
    tests.args(["-p", "user-session", "-p", "linger-arguments", "-p", "spank-linger"]);
    tests.args(["-p", "xtask"]);
    tests
}

/// The tests named "hostile" once more, with as many inputs as an optimised build has time for. They
/// print how many there were.
fn hostile_input(all: bool) -> Command {
    let mut tests = cargo(&["test", "--quiet", "--profile", "hostile", "-p", "slurm-spank-linger"]);
    tests.args(["-p", "user-session", "hostile", "--", "--nocapture"]);
    tests.envs(all.then_some(("LINGER_ALL", "1")));
    tests
}

/// The file that a test writes its order to is named in the one build that reads it.
fn crash_points_are_not_released() -> Result<()> {
    let name = b"/run/linger-crash";
    let crashing = holds(&build::crashing_plugin(RELEASE)?, name)?;
    ensure!(crashing, "the build with crash-points has none");
    ensure!(!holds(&build::plugin(RELEASE)?, name)?, "a release build has crash-points");
    Ok(())
}

/// And nothing is loaded with it: to load libgcc_s takes longer than to load the plugin. Slurm's release is
/// two bytes of it: one stands for all.
pub(super) fn is_small(plugin: &Path, largest: u64) -> Result<()> {
    let bytes = fs::metadata(plugin)?.len();
    println!("the plugin has {bytes} bytes, of {largest} at most");
    ensure!(bytes <= largest, "the plugin has {bytes} bytes: more than {largest}");
    ensure!(!holds(plugin, b"libgcc_s.so")?, "the plugin needs libgcc_s");
    Ok(())
}

/// The unwinder is in the plugin, in each of the two another one.
pub(super) fn keeps_a_panic(plugin: &Path) -> Result<()> {
    let mut host = Command::new(bench::host(RELEASE)?);
    let output = process::capture(host.args(["panic", "ours", "panic"]).arg(plugin), PANIC)?;
    let printed = |words: &str, out: &[u8]| String::from_utf8_lossy(out).contains(words);
    let is_caught = output.status.success()
        && printed("within a callback: -1\n", &output.stdout)
        && printed("Caught panic while running spank callback", &output.stderr);
    ensure!(is_caught, "{output:?}");
    Ok(())
}

fn holds(file: &Path, words: &[u8]) -> Result<bool> {
    Ok(fs::read(file)?.windows(words.len()).any(|bytes| bytes == words))
}

/// Nicer than the nodes.
fn cargo(arguments: &[&str]) -> Command {
    let mut cargo = Command::new("nice");
    cargo.arg("cargo").args(arguments).current_dir(build::checkout());
    cargo.env("SLURM_VERSION", RELEASE);
    cargo
}

fn checking(arguments: &[&str]) -> Command {
    let mut cargo = cargo(arguments);
    cargo.env("CARGO_TARGET_DIR", build::target().join("lints"));
    cargo
}

fn run(arguments: &[&str]) -> Result<()> {
    process::run(&mut checking(arguments), BUILD)
}

fn bad_release_is_named() -> Result<()> {
    let output = check_with(|cargo| cargo.env("SLURM_VERSION", "latest"))?;
    require_refusal(&output, "SLURM_VERSION=latest: not a Slurm release")
}

/// A machine with Slurm's headers or slurmd needs no variable.
fn missing_release_is_named(checks: &mut Run) -> Result<()> {
    let what = "a build with no Slurm release to be found is refused";
    let headers = ["/usr/include/slurm/slurm_version.h", "/usr/include/slurm/slurm.h"];
    let slurmd = Command::new("slurmd").arg("-V").output().is_ok();
    if slurmd || headers.iter().any(|header| Path::new(header).exists()) {
        checks.skip(what, "Slurm is installed on this machine, and the build asks it");
        return Ok(());
    }
    checks.check(what, || {
        let output = check_with(|cargo| cargo.env_remove("SLURM_VERSION"))?;
        require_refusal(&output, "Set SLURM_VERSION to the major.minor")
    })
}

fn check_with(release: impl FnOnce(&mut Command) -> &mut Command) -> Result<Output> {
    let mut cargo = checking(&["check", "--package", "slurm-spank-linger", "--color=never"]);
    process::capture(release(&mut cargo), BUILD)
}

fn require_refusal(output: &Output, cure: &str) -> Result<()> {
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(!output.status.success(), "the build succeeded");
    if !said.contains(cure) {
        bail!("no '{cure}' in: {said}");
    }
    Ok(())
}
