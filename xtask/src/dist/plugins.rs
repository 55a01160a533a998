//! The plugin for each Slurm release, out of one build.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use object::read::elf::ElfFile64;
use object::{Object, ObjectSection, ObjectSymbol};

use crate::build::{self, RELEASE};

/// The Slurm releases that a package has the plugin for. Of 26.11 there is no more than Slurm's source so far
/// (docs/releases.md).
pub(crate) const RELEASES: [&str; 11] = [
    "20.11", "21.08", "22.05", "23.02", "23.11", "24.05", "24.11", "25.05", "25.11", "26.05",
    "26.11",
];

/// What Slurm compares with its own release when it loads a plugin.
const SYMBOL: &[u8] = b"plugin_version";

/// The plugin as a build for the release `to` would have made it, out of one for `from`.
///
/// A build takes a minute, and two of them differ in this word alone, and in a build id if they have one: `cargo xtask test` compares
/// them byte by byte. The release is used for nothing else (`src/spank.rs`).
///
/// # Errors
/// This is no plugin that was built for `from`.
pub(crate) fn for_release(plugin: &[u8], from: &str, to: &str) -> Result<Vec<u8>> {
    let mut plugin = plugin.to_vec();
    let at = position(&plugin)?;
    let word = plugin.get_mut(at..at + 4).context("plugin_version is outside of the file")?;
    ensure!(word == number(from)?.to_le_bytes(), "plugin_version is not that of Slurm {from}");
    word.copy_from_slice(&number(to)?.to_le_bytes());
    Ok(plugin)
}

/// The plugin for a release, out of the build for [`RELEASE`].
///
/// # Errors
/// The build failed; cargo has said why.
pub(crate) fn like(release: &str) -> Result<PathBuf> {
    let ours = build::plugin(RELEASE)?;
    let copy = ours.with_file_name(format!("spank_linger-like-{release}.so"));
    fs::write(&copy, for_release(&fs::read(ours)?, RELEASE, release)?)?;
    Ok(copy)
}

/// Compares two builds, byte by byte.
///
/// # Errors
/// They differ in more than the word, or a build failed.
pub(crate) fn compare_two_builds() -> Result<()> {
    let other = build::other_than(RELEASE);
    let (ours, theirs) = (fs::read(build::plugin(RELEASE)?)?, fs::read(build::plugin(other)?)?);
    ensure!(ours != theirs, "the builds for {RELEASE} and {other} are the same");
    ensure!(
        without_build_id(for_release(&ours, RELEASE, other)?)? == without_build_id(theirs)?,
        "a build for {other} is not one for {RELEASE} with another plugin_version"
    );
    Ok(())
}

/// The build id is a hash of all the rest; many a compiler's default has the linker write one.
fn without_build_id(mut plugin: Vec<u8>) -> Result<Vec<u8>> {
    let file = ElfFile64::<object::LittleEndian>::parse(&*plugin)?;
    let note = file.section_by_name(".note.gnu.build-id").and_then(|section| section.file_range());
    if let Some((start, length)) = note {
        let (start, end) = (usize::try_from(start)?, usize::try_from(start + length)?);
        plugin.get_mut(start..end).context("the build id is outside of the file")?.fill(0);
    }
    Ok(plugin)
}

/// 24.11 is 0x180b00: a byte for each part, and one for the micro.
fn number(release: &str) -> Result<u32> {
    let (major, minor) = release.split_once('.').context("a release is like 24.11")?;
    Ok(u32::from(major.parse::<u8>()?) << 16 | u32::from(minor.parse::<u8>()?) << 8)
}

/// Where the word is in the file.
fn position(plugin: &[u8]) -> Result<usize> {
    let file = ElfFile64::<object::LittleEndian>::parse(plugin)?;
    let mut symbols = file.dynamic_symbols();
    let symbol = symbols.find(|symbol| symbol.name_bytes() == Ok(SYMBOL));
    let symbol = symbol.context("no plugin_version in the plugin")?;
    ensure!(symbol.size() == 4, "plugin_version is no word");
    let index = symbol.section_index().context("plugin_version is in no section")?;
    let section = file.section_by_index(index)?;
    let (start, _) = section.file_range().context("plugin_version has no bytes in the file")?;
    Ok(usize::try_from(start + (symbol.address() - section.address()))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Show the number that Slurm's own headers have.
    #[test]
    fn a_release_is_a_byte_for_each_part() {
        assert_eq!(number("24.11").unwrap(), 0x18_0b_00);
        assert_eq!(number("20.11").unwrap(), 0x14_0b_00);
        assert!(number("24").is_err() && number("24.x").is_err());
    }

    /// Show that a file that is no plugin is refused.
    #[test]
    fn only_a_plugin_is_changed() {
        assert!(for_release(b"no ELF file", "24.11", "26.05").is_err());
        let program = fs::read("/proc/self/exe").unwrap();
        let error = for_release(&program, "24.11", "26.05").unwrap_err();
        assert_eq!(error.to_string(), "no plugin_version in the plugin");
    }
}
