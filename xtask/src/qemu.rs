//! Which QEMU there is, and whether it will do.
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::process;

/// The program.
pub(crate) const PROGRAM: &str = "qemu-system-x86_64";
const OLDEST: u32 = 10;
const ASK: Duration = Duration::from_secs(10);

/// QEMU's version, `10.0.2`; none if there is no QEMU.
pub(crate) fn version() -> Option<String> {
    let banner = process::read(Command::new(PROGRAM).arg("--version"), ASK).ok()?;
    parse(&banner)
}

/// Refuse a QEMU whose emulated CPU does not carry a guest through its boot.
pub(crate) fn check(version: &str) -> Result<()> {
    ensure!(
        usable(version),
        "QEMU {version} is too old, {OLDEST} is needed: under the emulation of QEMU 7.2 six of ten boots of a \
         6.12 kernel ended in an oops or a double fault, whatever the CPU model"
    );
    Ok(())
}

/// Whether it is new enough.
pub(crate) fn usable(version: &str) -> bool {
    let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    major.is_some_and(|major| major >= OLDEST)
}

fn parse(banner: &str) -> Option<String> {
    let rest = banner.strip_prefix("QEMU emulator version ")?;
    let version = rest.split_whitespace().next()?;
    Some(version.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_from_the_banner() {
        let banner =
            "QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2)\nCopyright (c) Fabrice Bellard\n";
        assert_eq!(parse(banner).as_deref(), Some("10.0.2"));
        assert_eq!(parse("something else"), None);
    }

    #[test]
    fn seven_is_too_old_and_ten_will_do() {
        assert!(!usable("7.2.17"));
        assert!(!usable("9.2.0"));
        assert!(!usable(""));
        assert!(usable("10.0.2"));
        assert!(usable("11.0.50"));
        assert!(check("7.2.17").unwrap_err().to_string().contains("QEMU 7.2.17 is too old"));
    }
}
