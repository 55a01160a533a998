//! The host's programs that a node needs, installed when they are missing.
use std::env;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;

use anyhow::{Context, Result, bail, ensure};
use nix::unistd::Uid;

use crate::progress::Step;
use crate::sources::Archive;
use crate::{interrupt, qemu};

/// Program and the Debian package that has it.
const TOOLS: &[(&str, &str)] = &[
    ("mmdebstrap", "mmdebstrap"),
    ("mke2fs", "e2fsprogs"),
    ("ssh", "openssh-client"),
    ("setpriv", "util-linux"),
    ("unshare", "util-linux"),
    ("ip", "iproute2"),
    ("tar", "tar"),
    (qemu::PROGRAM, "qemu-system-x86"),
];
/// What only a build without root needs.
const ROOTLESS_TOOLS: &[(&str, &str)] = &[("newuidmap", "uidmap")];
const BACKPORT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/host/install-from.sh");

/// How this process may become root.
enum Privilege {
    Root,
    Sudo,
    None,
}

/// See to it that every program is there; give the version of QEMU.
pub(crate) fn ensure_all() -> Result<String> {
    let rootless = if Uid::effective().is_root() { &[] } else { ROOTLESS_TOOLS };
    let mut missing = missing(TOOLS.iter().chain(rootless));
    let too_old = qemu::version().is_none_or(|version| !qemu::usable(&version));
    if too_old && codename()? == "bookworm" {
        missing.retain(|package| *package != "qemu-system-x86");
        install_backport("qemu-system-x86")?;
    }
    install_packages(&missing)?;
    let version = qemu::version().context("qemu-system-x86_64 does not run")?;
    qemu::check(&version)?;
    Ok(version)
}

/// See to it that these are there, each a program and its Debian package.
pub(crate) fn ensure(tools: &[(&str, &str)]) -> Result<()> {
    install_packages(&missing(tools.iter()))
}

/// Install Debian packages from the host's own archive.
pub(crate) fn install_packages(packages: &[&str]) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    let line = format!("apt-get install -y --no-install-recommends {}", packages.join(" "));
    install(&packages.join(" "), &line)
}

/// The code name of the host's release, `bookworm`.
pub(crate) fn codename() -> Result<String> {
    let text = fs::read_to_string("/etc/os-release").context("read /etc/os-release")?;
    let name = text.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    Ok(name.unwrap_or_default().trim_matches('"').to_owned())
}

fn missing<'a>(tools: impl Iterator<Item = &'a (&'a str, &'a str)>) -> Vec<&'a str> {
    let mut packages: Vec<_> =
        tools.filter(|(tool, _)| !on_path(tool)).map(|(_, package)| *package).collect();
    packages.dedup();
    packages
}

fn on_path(tool: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    // mke2fs is in a directory that an ordinary user's PATH does not have.
    let more = ["/usr/sbin", "/sbin"].map(Into::into);
    env::split_paths(&path).chain(more).any(|directory| directory.join(tool).is_file())
}

/// From the release's backports, by a source for this one time.
fn install_backport(package: &str) -> Result<()> {
    let release = codename()?;
    let archive = Archive::of_host(&release)?;
    let key = archive.signed_by.unwrap_or_default();
    let line = format!(
        "sh '{BACKPORT}' '{}' '{key}' {release} {release}-backports {package}",
        archive.uri
    );
    install(package, &line)
}

/// Run the line as root, or say what to run.
fn install(what: &str, line: &str) -> Result<()> {
    // apt serves one at a time, and lets the others fail.
    static INSTALLING: Mutex<()> = Mutex::new(());
    let _installing = INSTALLING.lock();
    let mut command = match privilege() {
        Privilege::Root => Command::new("sh"),
        Privilege::Sudo => sudo("sh"),
        Privilege::None => bail!("{what} is missing; install it by\n  sudo {line}"),
    };
    let step = Step::start(format!("installing {what}"));
    let updated = format!("{line} || {{ apt-get update && {line}; }}");
    command.args(["-c", &updated]).env("DEBIAN_FRONTEND", "noninteractive");
    // Not to be interrupted: dpkg would want repair before its next use.
    let output = command.process_group(0).stdin(Stdio::null()).output()?;
    interrupt::check()?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{line}: {}", complaint.trim());
    step.done();
    Ok(())
}

fn privilege() -> Privilege {
    let quiet = |command: &mut Command| {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    if Uid::effective().is_root() {
        Privilege::Root
    } else if Path::new("/usr/bin/sudo").exists() && quiet(&mut sudo("true")) {
        Privilege::Sudo
    } else {
        Privilege::None
    }
}

fn sudo(program: &str) -> Command {
    let mut command = Command::new("sudo");
    command.args(["-n", program]);
    command
}
