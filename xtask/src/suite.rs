//! The Debian releases a node can be made of.
use clap::ValueEnum;

/// One Debian release, and with it one Slurm release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Suite {
    /// Debian 12: Slurm 22.05, systemd 252, Podman 4.3.
    Bookworm,
    /// Debian 13: Slurm 24.11, systemd 257, Podman 5.4.
    Trixie,
    /// Debian 14 to be: Slurm 26.05, systemd 262, Podman 5.8.
    Forky,
}

/// What differs from one release to the next.
struct Row {
    suite: Suite,
    name: &'static str,
    slurm: &'static str,
    /// Packages on top of those that every release has.
    packages: &'static [&'static str],
    /// Options for apt while the image is built.
    apt_options: &'static [&'static str],
}

const ROWS: &[Row] = &[
    Row {
        suite: Suite::Bookworm,
        name: "bookworm",
        slurm: "22.05",
        // Root-less network of Podman 4.
        packages: &["slirp4netns"],
        apt_options: &[],
    },
    Row {
        suite: Suite::Trixie,
        name: "trixie",
        slurm: "24.11",
        // Memcheck and the polkit rule are tried on this release alone.
        packages: &["passt", "polkitd", "valgrind"],
        apt_options: &[],
    },
    Row {
        suite: Suite::Forky,
        name: "forky",
        slurm: "26.05",
        packages: &["passt"],
        // A mirror that lags serves a Release file past its Valid-Until.
        apt_options: &["Acquire::Check-Valid-Until \"false\""],
    },
];

impl Suite {
    /// The release's code name, as in the archive.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().map_or("", |row| row.name)
    }

    /// The Slurm release it has: what a plugin for it is built with.
    #[must_use]
    pub fn slurm(self) -> &'static str {
        self.row().map_or("", |row| row.slurm)
    }

    /// The release of that code name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        ROWS.iter().find(|row| row.name == name).map(|row| row.suite)
    }

    pub(crate) fn packages(self) -> &'static [&'static str] {
        self.row().map_or(&[], |row| row.packages)
    }

    pub(crate) fn apt_options(self) -> &'static [&'static str] {
        self.row().map_or(&[], |row| row.apt_options)
    }

    fn row(self) -> Option<&'static Row> {
        ROWS.iter().find(|row| row.suite == self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_suite_has_a_row_and_is_found_by_its_name() {
        for suite in Suite::value_variants() {
            assert_eq!(Suite::named(suite.name()), Some(*suite));
        }
    }
}
