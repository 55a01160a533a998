//! The .deb. dpkg-deb and not cargo-deb: it is on every Debian, and one list of files serves for
//! the .rpm too.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use super::plugins::RELEASES;
use super::stage::Stage;
use super::zig::GLIBC;
use super::{NAME, VERSION, pack as run, write};
use crate::{build, tools};

/// Files for dpkg, and their modes.
const CONTROL: [(&str, u32); 5] = [
    ("control", 0o644),
    ("triggers", 0o644),
    ("postinst", 0o755),
    ("prerm", 0o755),
    ("postrm", 0o755),
];

/// Packs the files into `directory`.
///
/// # Errors
/// dpkg-deb failed.
pub(crate) fn pack(stage: &Stage, directory: &Path) -> Result<PathBuf> {
    tools::ensure(&[("dpkg-deb", "dpkg")])?;
    let package = directory.join(format!("{NAME}_{VERSION}-1_{}.deb", architecture()?));
    let tree = directory.join("deb");
    run(Command::new("cp").arg("-a").arg(&stage.root).arg(&tree))?;
    for (file, mode) in CONTROL {
        let text = fs::read_to_string(build::checkout().join("packaging/deb").join(file))?;
        let path = tree.join("DEBIAN").join(file);
        write(&path, filled(&text, stage)?)?;
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode))?;
    }
    let sums = stage.find("-type f -exec md5sum {} +")?.replace("  ./", "  ");
    write(&tree.join("DEBIAN/md5sums"), sums)?;
    let mut dpkg = Command::new("dpkg-deb");
    // Debian 11's dpkg reads no zstd.
    dpkg.args(["--root-owner-group", "-Zxz", "--build"]).arg(&tree).arg(&package);
    run(&mut dpkg)?;
    fs::remove_dir_all(tree)?;
    Ok(package)
}

fn filled(text: &str, stage: &Stage) -> Result<String> {
    let kilobytes: u64 = stage
        .find("-type f -printf '%k\\n'")?
        .lines()
        .filter_map(|size| size.parse::<u64>().ok())
        .sum();
    let [first, .., last] = RELEASES;
    let values = [
        ("@VERSION@", VERSION),
        ("@ARCHITECTURE@", architecture()?),
        ("@MULTIARCH@", &format!("{}-linux-gnu", env::consts::ARCH)),
        ("@KILOBYTES@", &kilobytes.to_string()),
        ("@GLIBC@", GLIBC),
        ("@HOMEPAGE@", env!("CARGO_PKG_REPOSITORY")),
        ("@FIRST@", first),
        ("@LAST@", last),
    ];
    Ok(values.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value)))
}

/// This machine's, in Debian's words.
fn architecture() -> Result<&'static str> {
    match env::consts::ARCH {
        "x86_64" => Ok("amd64"),
        "aarch64" => Ok("arm64"),
        other => bail!("no packages are made for {other}"),
    }
}
