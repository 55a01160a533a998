//! The .rpm. rpmbuild and not cargo-generate-rpm, which knows no triggers.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::plugins::RELEASES;
use super::stage::{STARTED_BY, Stage};
use super::{NAME, VERSION, pack as run, write};
use crate::{build, tools};

/// Packs the files into `directory`.
///
/// # Errors
/// rpmbuild is missing or failed.
pub(crate) fn pack(stage: &Stage, directory: &Path) -> Result<PathBuf> {
    tools::ensure(&[("rpmbuild", "rpm")])?;
    let (work, list) = (directory.join("rpm"), directory.join("rpm/files"));
    write(&list, file_list(stage)?)?;
    let [oldest, .., newest] = RELEASES;
    let defined = [
        ("_topdir", &*work.to_string_lossy()),
        ("_rpmdir", &*directory.to_string_lossy()),
        ("_rpmfilename", "%{NAME}-%{VERSION}-%{RELEASE}.%{ARCH}.rpm"),
        ("_buildhost", "localhost"),
        ("use_source_date_epoch_as_buildtime", "1"),
        ("clamp_mtime_to_source_date_epoch", "1"),
        ("linger_version", VERSION),
        ("linger_homepage", env!("CARGO_PKG_REPOSITORY")),
        ("linger_first", oldest),
        ("linger_last", newest),
        ("linger_staged", &*stage.root.to_string_lossy()),
        ("linger_files", &*list.to_string_lossy()),
    ];
    let mut rpmbuild = Command::new("rpmbuild");
    rpmbuild.args(["-bb", "--quiet", "--nodeps", "--target", env::consts::ARCH]);
    for (name, value) in defined {
        rpmbuild.args(["--define", &format!("{name} {value}")]);
    }
    run(rpmbuild.arg(build::checkout().join("packaging/rpm/slurm-spank-linger.spec")))?;
    std::fs::remove_dir_all(work)?;
    Ok(directory.join(format!("{NAME}-{VERSION}-1.{}.rpm", env::consts::ARCH)))
}

/// Every file and link, and the directories that are this package's alone, or no package's that is
/// sure to be there. rpm compresses no man page by
/// itself here.
fn file_list(stage: &Stage) -> Result<String> {
    let files = stage.find("! -type d -printf '/%P\\n'")?;
    let own = format!("'(' -path '*/{NAME}*' -o -name '{STARTED_BY}' -o -name dbus.service.d ')'");
    let directories = stage.find(&format!("-type d {own} -printf '%%dir /%P\\n'"))?;
    let documents = |line: &str| {
        let kind = match line {
            _ if line.contains("/LICENSE-") => "%license ",
            _ if line.starts_with("/usr/share/doc/") => "%doc ",
            _ => "",
        };
        format!("{kind}{line}\n")
    };
    Ok(directories + &files.lines().map(documents).collect::<String>())
}
