//! What Slurm reads of a plugin's file before it loads it.

use std::fs;
use std::path::Path;

use object::{Architecture, Object, ObjectSection, ObjectSymbol};

use super::slurmd::Release;
use crate::node::Node;

/// Who can be loaded here.
const HERE: Architecture =
    if cfg!(target_arch = "aarch64") { Architecture::Aarch64 } else { Architecture::X86_64 };

/// The release that a plugin was built for.
///
/// # Errors
/// Why it is no plugin that can be loaded.
pub(super) fn release(file: &Path) -> Result<Release, String> {
    let bytes = fs::read(file).map_err(|error| error.to_string())?;
    release_in(&bytes)
}

fn release_in(bytes: &[u8]) -> Result<Release, String> {
    let file = object::File::parse(bytes).map_err(|error| format!("no ELF file: {error}"))?;
    if file.architecture() != HERE {
        return Err(format!("built for another machine: {:?}", file.architecture()));
    }
    let symbol = file.dynamic_symbols().find(|symbol| symbol.name() == Ok("plugin_version"));
    let address = symbol.ok_or("exports no plugin_version: no plugin of Slurm's")?.address();
    let mut sections = file.sections();
    let value = sections.find_map(|section| section.data_range(address, 4).ok().flatten());
    let value = value.and_then(|value| value.try_into().ok());
    let version = u32::from_le_bytes(value.ok_or("plugin_version has no value")?);
    // SLURM_VERSION_NUM in slurm_version.h: a byte each for major, minor and micro.
    let [_, major, minor, _micro] = version.to_be_bytes();
    Ok(Release { major: major.into(), minor: minor.into() })
}

/// Whether a file that can be read exports that symbol.
pub(super) fn exports(file: &Path, symbol: &str) -> bool {
    let bytes = fs::read(file).unwrap_or_default();
    let parsed = object::File::parse(&*bytes);
    parsed.is_ok_and(|file| {
        file.dynamic_symbols().any(|it| it.name() == Ok(symbol) && it.is_definition())
    })
}

/// The first thing that the loader would not find: a library, or a version of one,
/// as of a glibc that is older than the build machine's. Only for files of root's:
/// ldd(1) has the loader map them.
pub(super) fn missing(node: &Node, file: &Path) -> Option<String> {
    // A version that is missing is a complaint, and no failure.
    let ldd = ["-c", "exec ldd \"$0\" 2>&1", &file.display().to_string()];
    let printed = node.tools.run("sh", &ldd).ok()?;
    let line = printed.lines().find(|line| line.contains("not found"))?.trim();
    let own = format!("{}: ", file.display());
    Some(line.strip_prefix(&own).unwrap_or(line).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Show that what is no plugin is named as that: a text, a file cut off, a
    /// program, whose symbols are others.
    #[test]
    fn what_is_no_plugin_is_named() {
        assert!(release_in(b"#!/bin/sh").unwrap_err().contains("no ELF file"));
        let this = fs::read(std::env::current_exe().unwrap()).unwrap();
        assert!(release_in(&this[..1000]).is_err());
        assert!(release_in(&this).unwrap_err().contains("no plugin_version"));
        let mut foreign = this;
        // e_machine, elf(5): 8 is MIPS.
        foreign[18] = 8;
        assert!(release_in(&foreign).unwrap_err().contains("another machine"));
    }

    /// Show that a plugin's release is read where the linker has put it.
    #[test]
    fn a_release_is_read() {
        let plugin = super::super::plugin::tests::plugin_of(24, 11);
        assert_eq!(release_in(&plugin).unwrap().to_string(), "24.11");
    }
}
