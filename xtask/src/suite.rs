//! The Debian releases a node can be made of.
use std::borrow::Cow;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// One Debian release, and with it one Slurm release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Suite {
    /// Debian 11: Slurm 20.11, systemd 247, Podman 3.0.
    Bullseye,
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
    /// What this machine builds for itself may need a newer C library.
    has_old_libc: bool,
    /// Packages on top of those that every release has.
    packages: &'static [&'static str],
    /// Options for apt while the image is built.
    apt_options: &'static [&'static str],
    /// Lines of the node's files that read otherwise: file, key, and value, or none.
    lines: &'static [(&'static str, &'static str, Option<&'static str>)],
}

const SLURM_CONF: &str = "files/etc/slurm/slurm.conf";
const CGROUP_CONF: &str = "files/etc/slurm/cgroup.conf";

const ROWS: &[Row] = &[
    Row {
        suite: Suite::Bullseye,
        name: "bullseye",
        slurm: "20.11",
        has_old_libc: true,
        // Podman 3.0 leaves the overlay of its users to a program.
        packages: &["fuse-overlayfs", "slirp4netns"],
        apt_options: &[],
        // It knows cgroups of version 1 only, and Debian 11 has none mounted.
        lines: &[
            (SLURM_CONF, "ProctrackType", Some("proctrack/linuxproc")),
            (SLURM_CONF, "TaskPlugin", Some("task/affinity")),
            (CGROUP_CONF, "CgroupPlugin", None),
        ],
    },
    Row {
        suite: Suite::Bookworm,
        name: "bookworm",
        slurm: "22.05",
        has_old_libc: false,
        // File systems of users; MPI; root-less network of Podman 4; what docs/users-more.md speaks of.
        packages: &[
            "aardvark-dns",
            "dbus-x11",
            "docker-compose",
            "fuse3",
            "iptables",
            "openmpi-bin",
            "slirp4netns",
        ],
        apt_options: &[],
        lines: &[],
    },
    Row {
        suite: Suite::Trixie,
        name: "trixie",
        slurm: "24.11",
        has_old_libc: false,
        // Memcheck, the polkit rule and Ansible are tried on this release alone.
        packages: &[
            "aardvark-dns",
            "dbus-x11",
            "docker-compose",
            "fuse3",
            "nftables",
            "passt",
            "polkitd",
            "python3-apt",
            "valgrind",
        ],
        apt_options: &[],
        lines: &[],
    },
    Row {
        suite: Suite::Forky,
        name: "forky",
        slurm: "26.05",
        has_old_libc: false,
        // Its Slurm has no PMIx, without which Open MPI is of no use.
        packages: &["aardvark-dns", "dbus-x11", "docker-compose", "fuse3", "nftables", "passt"],
        // A mirror that lags serves a Release file past its Valid-Until.
        apt_options: &["Acquire::Check-Valid-Until \"false\""],
        lines: &[],
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

    /// Whether only what is packaged runs there for sure.
    pub(crate) fn has_old_libc(self) -> bool {
        self.row().is_some_and(|row| row.has_old_libc)
    }

    pub(crate) fn packages(self) -> &'static [&'static str] {
        self.row().map_or(&[], |row| row.packages)
    }

    pub(crate) fn apt_options(self) -> &'static [&'static str] {
        self.row().map_or(&[], |row| row.apt_options)
    }

    /// A file of `xtask/node` as this release has it.
    pub(crate) fn file(self, path: &str, text: &'static str) -> Cow<'static, str> {
        let lines = self.row().map_or(&[][..], |row| row.lines);
        let own = lines.iter().filter(|(file, ..)| *file == path);
        own.fold(text.into(), |text, (_, key, value)| with_line(&text, key, *value).into())
    }

    fn row(self) -> Option<&'static Row> {
        ROWS.iter().find(|row| row.suite == self)
    }
}

/// `Key=value` in its place, or without a value no such line.
fn with_line(text: &str, key: &str, value: Option<&str>) -> String {
    let is_it = |line: &&str| line.split_once('=').is_some_and(|(found, _)| found == key);
    let line = |line| match value.filter(|_| is_it(&line)) {
        Some(value) => format!("{key}={value}\n"),
        None => format!("{line}\n"),
    };
    text.lines().filter(|line| value.is_some() || !is_it(line)).map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node_files::FILES;

    #[test]
    fn every_suite_has_a_row_and_is_found_by_its_name() {
        for suite in Suite::value_variants() {
            assert_eq!(Suite::named(suite.name()), Some(*suite));
        }
    }

    #[test]
    fn a_line_is_another_or_none() {
        let text = "# Key=\nKey=old\nOther=x\n";
        assert_eq!(with_line(text, "Key", Some("new")), "# Key=\nKey=new\nOther=x\n");
        assert_eq!(with_line(text, "Key", None), "# Key=\nOther=x\n");
    }

    /// A line that is to read otherwise and is in no file would be left out unseen.
    #[test]
    fn a_release_has_its_own_lines() {
        for (row, (path, key, value)) in
            ROWS.iter().flat_map(|row| row.lines.iter().map(move |line| (row, line)))
        {
            let (_, text) = FILES.iter().find(|(file, _)| file == path).unwrap();
            let of_key = |text: &str| -> Vec<_> {
                let own = text.lines().filter(|line| line.starts_with(&format!("{key}=")));
                own.map(str::to_owned).collect()
            };
            assert_eq!(of_key(text).len(), 1, "{key}");
            let own = value.map(|value| format!("{key}={value}"));
            assert_eq!(of_key(&row.suite.file(path, text)), Vec::from_iter(own));
        }
    }
}
