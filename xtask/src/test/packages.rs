//! The packages, in the words of dpkg's and rpm's own tools.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::Run;
use super::host::{LARGEST, is_small, keeps_a_panic};
use crate::build::{self, RELEASE};
use crate::dist::{self, GLIBC, NAME, Packages, RELEASES};
use crate::{ansible, process};

const LOOK: Duration = Duration::from_secs(60);
/// `rpm-root.sh` cannot do its work here.
const IMPOSSIBLE: i32 = 77;

/// The unit for a boot after a power loss, the link by which systemd starts it, and what spares users' buses.
const UNITS: [&str; 3] = [
    "/usr/lib/systemd/system/spank-linger-boot.service",
    "/usr/lib/systemd/user/dbus.service.d/spank-linger.conf",
    "/usr/lib/systemd/system/systemd-logind.service.wants/spank-linger-boot.service",
];

pub(super) fn test(checks: &mut Run) -> Result<()> {
    checks.check("builds for two releases differ in one word", dist::compare_two_builds)?;
    checks.check("the packages are whole", are_whole)?;
    checks.check("the Ansible role has no fault that ansible-lint knows", ansible::lint)?;
    // What stops them from being made has been told.
    let Ok(packages) = dist::packages() else { return Ok(()) };
    let plugin = packages.plugin(RELEASE);
    checks.check("a packaged plugin is small", || is_small(&plugin, LARGEST))?;
    checks.check("a packaged plugin keeps a panic to itself", || keeps_a_panic(&plugin))?;
    let Packages { rpm, .. } = packages;
    let what = "rpm installs, follows Slurm and removes";
    let mut script = Command::new(build::checkout().join("xtask/host/rpm-root.sh"));
    let output = process::capture(script.arg(rpm), LOOK)?;
    if output.status.code() == Some(IMPOSSIBLE) {
        let reason = String::from_utf8_lossy(&output.stderr);
        checks.skip(what, reason.lines().next().unwrap_or_default());
        return Ok(());
    }
    checks.check(what, || {
        ensure!(output.status.success(), "{output:?}");
        Ok(())
    })
}

fn are_whole() -> Result<()> {
    let Packages { deb, rpm, .. } = dist::packages()?;
    let packed = read("dpkg-deb", &["--fsys-tarfile"], &deb, "| tar --list | sed 's/^[.]//'")?;
    let listed = rpm_says(&rpm, &["--list"])?;
    for files in [&packed, &listed] {
        for release in RELEASES {
            let plugin = format!("/usr/lib/{NAME}/{release}/spank_linger.so");
            ensure!(files.lines().any(|file| file == plugin), "no {plugin} in {files}");
        }
    }
    for file in listed.lines() {
        let directory = format!("{file}/");
        let is_there = packed.lines().any(|packed| packed == file || packed == directory);
        ensure!(is_there, "{file} is in the .rpm alone");
    }
    for file in UNITS {
        for files in [&packed, &listed] {
            ensure!(files.lines().any(|line| line == file), "no {file} in {files}");
        }
    }
    needs_no_newer_glibc(&rpm_says(&rpm, &["--requires"])?)?;
    let scripts = rpm_says(&rpm, &["--scripts", "--filetriggers"])?;
    for part in [
        "postinstall scriptlet",
        "preuninstall scriptlet",
        "transfiletriggerin",
        "transfiletriggerpostun",
    ] {
        ensure!(scripts.contains(part), "no {part} in {scripts}");
    }
    Ok(())
}

/// rpmbuild has looked it up in the plugins: `libc.so.6(GLIBC_2.28)(64bit)`.
fn needs_no_newer_glibc(requires: &str) -> Result<()> {
    let versions: Vec<_> = requires
        .split("(GLIBC_")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .map(numbers)
        .collect();
    ensure!(!versions.is_empty(), "no version of glibc in {requires}");
    let newest = versions.into_iter().max().unwrap_or_default();
    ensure!(newest <= numbers(GLIBC), "glibc {newest:?} is needed: {requires}");
    Ok(())
}

fn numbers(version: &str) -> Vec<u32> {
    version.split('.').filter_map(|part| part.parse().ok()).collect()
}

fn rpm_says(package: &Path, questions: &[&str]) -> Result<String> {
    let mut asked = vec!["-qp"];
    asked.extend(questions);
    read("rpm", &asked, package, "")
}

fn read(tool: &str, arguments: &[&str], package: &Path, then: &str) -> Result<String> {
    let mut shell = Command::new("sh");
    let script = format!("{tool} {} \"$1\" {then}", arguments.join(" "));
    process::read(shell.args(["-ec", &script, "sh"]).arg(package), LOOK)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Show that 2.4 is older than 2.28, and that a newer one is refused.
    #[test]
    fn versions_are_compared_by_their_numbers() {
        let old = "libc.so.6(GLIBC_2.4)(64bit)\nlibc.so.6(GLIBC_2.28)(64bit)\n";
        assert!(needs_no_newer_glibc(old).is_ok());
        assert!(needs_no_newer_glibc("libc.so.6(GLIBC_2.34)(64bit)").is_err());
        assert!(needs_no_newer_glibc("libm.so.6()(64bit)").is_err());
    }
}
