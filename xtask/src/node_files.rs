//! The files that make a node out of a Debian tree, from `xtask/node`.

macro_rules! files {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("../node/", $path)))),*]
    };
}

/// Every file of `xtask/node` that goes into the tree: path and text.
pub(crate) const FILES: &[(&str, &str)] = files![
    "enter.sh",
    "init.sh",
    "pack.sh",
    "setup.sh",
    "setup-busybox.sh",
    "setup-initrd.sh",
    "setup-services.sh",
    "setup-slurm.sh",
    "setup-uml.sh",
    "setup-users.sh",
    "files/etc/hosts",
    "files/etc/slurm/cgroup.conf",
    "files/etc/slurm/gres.conf",
    "files/etc/slurm/slurm.conf",
    "files/etc/ssh/sshd_config.d/node.conf",
    "files/etc/systemd/journald.conf.d/node.conf",
    "files/etc/systemd/system/slurmctld.service.d/node.conf",
    "files/etc/systemd/system/slurmd.service.d/node.conf",
    "files/etc/udev/rules.d/70-node.rules",
    "files/usr/local/bin/linger-node-plugin",
    "files/usr/local/bin/linger-node-ready",
];

/// The packages that every suite's node has, one a line.
pub(crate) const PACKAGES: &str = include_str!("../node/packages.txt");
